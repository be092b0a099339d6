//! A receipt proves; nothing that differs from one by a bit does.

use crate::network::{CONTENTS, Case, genesis, opening};
use proof::{
    Genesis, Receipt, Signature,
    digest::sha256,
    finality::FinalityError,
    receipt::{Proven, ReceiptError},
    wire::List,
};

const CHECKSUM_BYTES: usize = 32;

fn check(file: &[u8], genesis: &Genesis) -> Result<Proven, ReceiptError> {
    Receipt::from_file(file)?.verify(&genesis.clone().into())
}

/// The file with its checksum made anew, as a forger would.
fn sealed_again(mut file: Vec<u8>) -> Vec<u8> {
    let body = file.len() - CHECKSUM_BYTES;
    let checksum = sha256("outlast/receipt-file/1", &[&file[..body]]);
    file[body..].copy_from_slice(&checksum.0);
    file
}

fn cases() -> [Case; 4] {
    [
        Case::new(),
        Case { descendants: 2, index: 4, ..Case::new() },
        Case { opened: false, index: 0, voters: vec![0, 1, 2, 3], ..Case::new() },
        Case { descendants: 1, voters: vec![1, 2, 3], ..Case::new() },
    ]
}

#[test]
fn receipts_prove() {
    for case in cases() {
        let receipt = case.receipt();
        let file = receipt.to_file();
        assert_eq!(Receipt::from_file(&file).unwrap(), receipt);
        let proven = check(&file, &case.genesis).unwrap();
        assert_eq!(proven.transaction, receipt.transaction.id());
        assert_eq!((proven.height, proven.time_ms), (42, 1_800_000_012_345));
        assert_eq!(
            (proven.version.height, proven.version.index, proven.version.operation),
            (42, case.index, 0)
        );
        assert!(file.len() < 4096, "a receipt of one block has a few kilobytes, not {}", file.len());
    }
}

#[test]
fn every_flipped_bit_is_refused_also_with_a_new_checksum() {
    for case in cases() {
        let file = case.receipt().to_file();
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Receipt::from_file(&flipped).is_err(), "bit {bit}");
            if bit / 8 < file.len() - CHECKSUM_BYTES {
                assert!(check(&sealed_again(flipped), &case.genesis).is_err(), "bit {bit}, sealed again");
            }
        }
    }
}

#[test]
fn every_other_length_is_refused_also_with_a_new_checksum() {
    let case = Case { descendants: 1, ..Case::new() };
    let file = case.receipt().to_file();
    let body = &file[..file.len() - CHECKSUM_BYTES];
    for length in 0..file.len() {
        assert!(Receipt::from_file(&file[..length]).is_err(), "{length} bytes");
        if length < body.len() {
            let resealed = sealed_again([&body[..length], &[0; CHECKSUM_BYTES]].concat());
            assert!(check(&resealed, &case.genesis).is_err(), "{length} bytes, sealed again");
        }
    }
    for byte in [0, 1, 0xff] {
        for more in 1..=64 {
            let longer = [file.clone(), vec![byte; more]].concat();
            assert!(Receipt::from_file(&longer).is_err(), "{more} bytes more");
            let resealed = sealed_again([body, &vec![byte; more], &[0; CHECKSUM_BYTES]].concat());
            assert!(check(&resealed, &case.genesis).is_err(), "{more} bytes more, sealed again");
        }
    }
}

#[test]
fn another_genesis_is_refused() {
    let file = Case::new().receipt().to_file();
    assert!(matches!(check(&file, &genesis(11)), Err(ReceiptError::Network { .. })));
    let renamed = Genesis { name: proof::wire::Octets::new("tess").unwrap(), ..genesis(1) };
    assert!(matches!(check(&file, &renamed), Err(ReceiptError::Network { .. })));
}

#[test]
fn nodes_of_another_network_prove_nothing_in_this_one() {
    let forged = Case { nodes: crate::network::nodes(11), ..Case::new() }.receipt();
    let result = forged.verify(&genesis(1).into());
    assert!(matches!(result, Err(ReceiptError::Finality(FinalityError::Signature(0)))), "{result:?}");
}

#[test]
fn a_refused_transaction_is_not_proved() {
    for outcome in [1, 20, u16::MAX] {
        let refused = Case { outcome, ..Case::new() };
        assert!(matches!(refused.receipt().verify(&refused.lineage()), Err(ReceiptError::Path)));
    }
}

#[test]
fn the_place_in_the_block_is_proved() {
    let case = Case::new();
    for index in [0, 1, 3, 4, 5, u32::MAX] {
        let moved = Receipt { index, ..case.receipt() };
        assert!(matches!(moved.verify(&case.lineage()), Err(ReceiptError::Path)));
    }
}

#[test]
fn fewer_votes_than_a_quorum_are_refused() {
    for voters in [vec![], vec![0], vec![2, 3]] {
        let got = voters.len();
        let case = Case { voters, ..Case::new() };
        let result = case.receipt().verify(&case.lineage());
        let expected = FinalityError::TooFew { got, needed: 3 };
        assert!(matches!(result, Err(ReceiptError::Finality(error)) if error == expected));
    }
}

#[test]
fn votes_are_counted_once() {
    for voters in [vec![0, 0, 1], vec![0, 1, 1], vec![2, 2, 2, 2], vec![1, 0, 2]] {
        let case = Case { voters, ..Case::new() };
        let result = case.receipt().verify(&case.lineage());
        assert!(matches!(result, Err(ReceiptError::Finality(FinalityError::Signers))), "{result:?}");
    }
}

#[test]
fn votes_are_of_the_block_and_of_members() {
    let case = Case::new();
    let mut receipt = case.receipt();
    receipt.block.finalization.signatures[1].1 = receipt.block.finalization.signatures[0].1;
    assert!(matches!(
        receipt.verify(&case.lineage()),
        Err(ReceiptError::Finality(FinalityError::Signature(1)))
    ));
    let mut receipt = case.receipt();
    receipt.block.finalization.signatures.push((4, Signature([0; 64])));
    assert!(matches!(receipt.verify(&case.lineage()), Err(ReceiptError::Finality(FinalityError::Committee))));
    let mut receipt = case.receipt();
    receipt.block.finalization.committee_size = 7;
    assert!(matches!(receipt.verify(&case.lineage()), Err(ReceiptError::Finality(FinalityError::Committee))));
}

#[test]
fn a_certificate_over_another_block_is_refused() {
    let case = Case::new();
    let mut receipt = case.receipt();
    let other = proof::Header { time_ms: 1, ..receipt.block.header.clone() };
    receipt.block.finalization = case.finalization(&other);
    assert!(matches!(receipt.verify(&case.lineage()), Err(ReceiptError::Finality(FinalityError::Chain))));
}

#[test]
fn descendants_link_without_a_gap() {
    let case = Case { descendants: 3, ..Case::new() };
    for gap in 0..3 {
        let mut receipt = case.receipt();
        let mut descendants = receipt.block.descendants.into_inner();
        descendants.remove(gap);
        receipt.block.descendants = List::new(descendants).unwrap();
        assert!(matches!(receipt.verify(&case.lineage()), Err(ReceiptError::Finality(FinalityError::Chain))));
    }
}

/// Found while a fuzz target was written: the height after the greatest one overflowed.
#[test]
fn nothing_follows_the_greatest_height() {
    let case = Case { descendants: 1, ..Case::new() };
    let mut block = case.receipt().block;
    block.header.height = u64::MAX;
    let mut descendants = block.descendants.into_inner();
    descendants[0].parent = block.header.digest();
    block.finalization = case.finalization(&descendants[0]);
    block.descendants = List::new(descendants).unwrap();
    assert_eq!(case.lineage().verify(&block), Err(FinalityError::Chain));
}

#[test]
fn an_opening_is_of_this_transactions_contents() {
    let case = Case::new();
    let mut receipt = case.receipt();
    // The same bytes in one run are another opening.
    receipt.opening = List::new(vec![opening(&[CONTENTS])]).unwrap();
    assert!(matches!(receipt.verify(&case.lineage()), Err(ReceiptError::Opening)));
    receipt.opening = List::default();
    assert!(receipt.verify(&case.lineage()).is_ok(), "an opening may be left out");
}
