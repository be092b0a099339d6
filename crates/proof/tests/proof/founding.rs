//! Genesis files: whole or refused.

use crate::network::genesis;
use proof::{
    Genesis,
    genesis::GenesisError,
    wire::{Encode, List},
};

#[test]
fn a_genesis_file_comes_back() {
    let genesis = genesis(1);
    assert_eq!(Genesis::from_file(&genesis.to_file()).unwrap(), genesis);
}

#[test]
fn every_flipped_bit_and_every_other_length_is_refused() {
    let file = genesis(1).to_file();
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Genesis::from_file(&flipped).is_err(), "bit {bit}");
    }
    for length in 0..file.len() {
        assert!(Genesis::from_file(&file[..length]).is_err(), "{length} bytes");
    }
    for more in 1..=64 {
        assert!(Genesis::from_file(&[file.clone(), vec![0; more]].concat()).is_err(), "{more} bytes more");
    }
}

#[test]
fn approvals_can_be_had() {
    for (approvers, needed) in [(1, 0), (1, 2), (0, 0), (0, 1)] {
        let mut genesis = genesis(1);
        genesis.approvers = List::new(genesis.approvers.into_inner().repeat(approvers)).unwrap();
        genesis.approvals_needed = needed;
        assert!(matches!(Genesis::from_file(&genesis.to_file()), Err(GenesisError::Approvers { .. })));
    }
}

#[test]
fn any_difference_makes_another_network() {
    let (one, other) = (genesis(1), genesis(11));
    let renamed = Genesis { name: proof::wire::Octets::default(), ..one.clone() };
    assert!(one.id() != other.id() && one.id() != renamed.id());
    assert!(one.encode() != renamed.encode());
}
