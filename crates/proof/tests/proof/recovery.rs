//! Going on with another committee: what counts, and what does not.

use crate::network::{Case, genesis, nodes, recovery, secret};
use proof::{
    Genesis, Header, Lineage, PublicKey, Receipt, SecretKey,
    committee::CommitteeError,
    finality::{FinalityError, FinalizedHeader},
    genesis::GenesisError,
    lineage::{Approval, Recovery, RecoveryError, Terms},
    receipt::ReceiptError,
    wire::{DecodeExt, Encode, List},
};

/// Two of three approvers must agree.
fn founded() -> Genesis {
    recovery().0.genesis().clone()
}

/// A case in that network.
fn case() -> Case {
    Case { genesis: founded(), ..Case::new() }
}

/// The committee in which the nodes in places 1 and 3 are replaced, by keys that would be sorted otherwise.
fn replaced() -> Vec<SecretKey> {
    let mut keys = nodes(1);
    for (place, seed) in [(1, 50), (3, 60)] {
        keys[place] = secret(seed);
    }
    keys
}

fn public(keys: &[SecretKey]) -> Vec<PublicKey> {
    keys.iter().map(SecretKey::public_key).collect()
}

fn terms(lineage: &Lineage, last: FinalizedHeader) -> Terms {
    lineage.terms(public(&replaced()), last).unwrap()
}

fn approved(terms: Terms, seeds: &[u8]) -> Recovery {
    let approvals = seeds.iter().map(|seed| terms.approve(&secret(*seed))).collect();
    Recovery { approvals: List::new(approvals).unwrap(), terms }
}

/// The network after its recovery, from the block of [`Case`] on.
fn recovered() -> Lineage {
    let (mut lineage, recovery) = recovery();
    lineage.recover(recovery).unwrap();
    lineage
}

/// A receipt of the epoch after, at a height, with these voters' places among the sorted keys.
fn later(lineage: &Lineage, keys: &[SecretKey], height: u64) -> Receipt {
    let mut sorted = keys.to_vec();
    sorted.sort_by_key(SecretKey::public_key);
    let case = Case { nodes: sorted, epoch: lineage.committee().epoch(), height, ..case() };
    case.receipt_by(lineage.committee())
}

#[test]
fn what_the_next_committee_finalizes_is_proved_and_what_the_former_did_stays_so() {
    let lineage = recovered();
    assert_eq!((lineage.committee().epoch(), lineage.committee().n()), (1, 4));
    assert_eq!(lineage.committee().nodes(), public(&replaced()), "each in its place");
    assert_eq!((lineage.span(0), lineage.span(1)), (Some((1, Some(42))), Some((43, None))));
    case().receipt().verify(&lineage).unwrap();
    let proven = later(&lineage, &replaced(), 43).verify(&lineage).unwrap();
    assert_eq!(proven.height, 43);
    let unknown = later(&lineage, &replaced(), 43).verify(&case().lineage());
    assert!(matches!(unknown, Err(ReceiptError::Finality(FinalityError::Epoch(1)))), "{unknown:?}");
}

#[test]
fn what_the_former_committee_finalizes_afterwards_is_left_behind() {
    let lineage = recovered();
    let above = Case { height: 43, ..case() }.receipt();
    above.verify(&case().lineage()).unwrap();
    assert!(matches!(above.verify(&lineage), Err(ReceiptError::Finality(FinalityError::Abandoned(43)))));
    // Another block at the height itself, and a proof of a good block that leads over an abandoned one.
    let beside = Case { outcome: 0, index: 3, ..case() }.receipt();
    assert!(matches!(beside.verify(&lineage), Err(ReceiptError::Finality(FinalityError::Abandoned(42)))));
    let over = Case { descendants: 1, ..case() }.receipt();
    assert!(matches!(over.verify(&lineage), Err(ReceiptError::Finality(FinalityError::Abandoned(43)))));
    // The new committee decides nothing below.
    let below = later(&lineage, &replaced(), 42).verify(&lineage);
    assert!(matches!(below, Err(ReceiptError::Finality(FinalityError::Abandoned(42)))), "{below:?}");
}

#[test]
fn the_lost_nodes_keys_count_no_more() {
    let lineage = recovered();
    let old = later(&lineage, &nodes(1), 43).verify(&lineage);
    assert!(matches!(old, Err(ReceiptError::Finality(FinalityError::Signature(_)))), "{old:?}");
}

#[test]
fn so_many_different_approvers_as_the_genesis_asks_for() {
    let refused = |seeds: &[u8], why: fn(&RecoveryError) -> bool| {
        let mut lineage = case().lineage();
        let recovery = approved(terms(&lineage, case().receipt().block), seeds);
        let error = lineage.recover(recovery).unwrap_err();
        assert!(why(&error), "{seeds:?}: {error}");
        assert_eq!(lineage, case().lineage(), "nothing happened");
    };
    refused(&[], |error| *error == RecoveryError::TooFew { got: 0, needed: 2 });
    refused(&[201], |error| *error == RecoveryError::TooFew { got: 1, needed: 2 });
    refused(&[201, 201], |error| matches!(error, RecoveryError::Approval(_)));
    refused(&[200, 203], |error| matches!(error, RecoveryError::Approval(_)));
    refused(&[200, 1], |error| matches!(error, RecoveryError::Approval(_)));
    for seeds in [vec![200, 201], vec![202, 200], vec![200, 201, 202]] {
        let mut lineage = case().lineage();
        let recovery = approved(terms(&lineage, case().receipt().block), &seeds);
        lineage.recover(recovery).unwrap();
    }
}

#[test]
fn approvals_are_of_these_terms_alone() {
    let mut lineage = case().lineage();
    let good = approved(terms(&lineage, case().receipt().block), &[200, 201]);
    let mut others = replaced();
    others[1] = secret(70);
    let other = lineage.terms(public(&others), case().receipt().block).unwrap();
    let forged = Recovery { terms: other, approvals: good.approvals.clone() };
    assert!(matches!(lineage.recover(forged), Err(RecoveryError::Approval(_))));
    let mut swapped = good.approvals.into_inner();
    let (first, second) = (swapped[0].signature, swapped[1].signature);
    (swapped[0].signature, swapped[1].signature) = (second, first);
    let swapped: Vec<Approval> = swapped;
    let forged =
        Recovery { terms: terms(&lineage, case().receipt().block), approvals: List::new(swapped).unwrap() };
    assert!(matches!(lineage.recover(forged), Err(RecoveryError::Approval(_))));
}

#[test]
fn it_begins_after_what_is_final_in_this_network() {
    let lineage = case().lineage();
    let block = case().receipt().block;
    let refused = |terms: Terms| {
        let mut lineage = case().lineage();
        lineage.recover(approved(terms, &[200, 201])).unwrap_err()
    };
    let few = Case { voters: vec![0, 1], ..case() }.receipt().block;
    assert!(matches!(refused(terms(&lineage, few)), RecoveryError::Last(FinalityError::TooFew { .. })));
    let altered = FinalizedHeader { header: Header { time_ms: 1, ..block.header.clone() }, ..block.clone() };
    assert!(matches!(refused(terms(&lineage, altered)), RecoveryError::Last(FinalityError::Chain)));
    let foreign = Terms { network: genesis(1).id(), ..terms(&lineage, block.clone()) };
    assert_eq!(refused(foreign), RecoveryError::Network);
    let seven = (10..17).map(|seed| secret(seed).public_key()).collect();
    let larger = lineage.terms(seven, block.clone()).unwrap();
    assert_eq!(refused(larger), RecoveryError::Committee(1, 7, 1, 4));
    let again = approved(terms(&lineage, block.clone()), &[200, 201]);
    assert_eq!(recovered().recover(again), Err(RecoveryError::Committee(1, 4, 2, 4)));
    let twice = public(&[secret(1), secret(1), secret(2), secret(3)]);
    assert!(matches!(lineage.terms(twice, block), Err(CommitteeError::Duplicate(_))));
}

/// A recovery may be needed again: before the epoch has a block, or after.
#[test]
fn epochs_follow_one_another_also_without_blocks() {
    let mut lineage = recovered();
    let third = lineage.terms(public(&nodes(21)), case().receipt().block).unwrap();
    lineage.recover(approved(third, &[201, 202])).unwrap();
    assert_eq!(lineage.span(1), Some((43, Some(42))), "it had no block");
    assert_eq!((lineage.span(2), lineage.epoch_at(43), lineage.epoch_at(42)), (Some((43, None)), 2, 0));
    let between = later(&recovered(), &replaced(), 43).verify(&lineage);
    assert!(matches!(between, Err(ReceiptError::Finality(FinalityError::Abandoned(43)))), "{between:?}");
    let last = later(&lineage, &nodes(21), 50).block;
    let back = lineage.terms(public(&replaced()), case().receipt().block).unwrap();
    let fourth = lineage.terms(public(&nodes(31)), last).unwrap();
    lineage.recover(approved(fourth, &[200, 202])).unwrap();
    assert_eq!((lineage.span(2), lineage.span(3)), (Some((43, Some(50))), Some((51, None))));
    let back =
        Terms { committee: proof::Committee::placed(4, back.committee.nodes().to_vec()).unwrap(), ..back };
    assert_eq!(lineage.recover(approved(back, &[200, 202])), Err(RecoveryError::Before));
    assert_eq!(Lineage::from_file(&lineage.to_file()).unwrap(), lineage);
}

#[test]
fn files_come_back_or_are_refused() {
    let lineage = recovered();
    let file = lineage.to_file();
    assert_eq!(Lineage::from_file(&file).unwrap(), lineage);
    let founded: Lineage = founded().into();
    assert_eq!(Lineage::from_file(&founded.to_file()).unwrap(), founded, "without recoveries, as ever");
    assert_eq!(founded.to_file(), founded.genesis().to_file());
    for at in (0..file.len()).step_by(7) {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        assert!(Lineage::from_file(&damaged).is_err(), "byte {at}");
        assert!(Lineage::from_file(&file[..at]).is_err(), "{at} bytes");
    }
    let recovery = &lineage.recoveries()[0];
    let file = recovery.to_file();
    assert_eq!(&Recovery::from_file(&file).unwrap(), recovery);
    for at in (0..file.len()).step_by(7) {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        assert!(Recovery::from_file(&damaged).is_err(), "byte {at}");
        assert!(Recovery::from_file(&file[..at]).is_err(), "{at} bytes");
    }
    assert_eq!(Terms::decode(recovery.terms.encode()).unwrap(), recovery.terms);
}

/// A file that is whole, with a recovery in it that nobody approved.
#[test]
fn a_genesis_file_brings_its_proofs() {
    let lineage = recovered();
    let one = lineage.recoveries()[0].approvals[0].signature.0;
    let mut file = lineage.to_file();
    let at = file.windows(64).position(|bytes| bytes == one).unwrap();
    file[at] ^= 1;
    let body = file.len() - 32;
    let checksum = proof::digest::sha256("outlast/lineage/1", &[&file[..body]]);
    file[body..].copy_from_slice(&checksum.0);
    assert!(matches!(Lineage::from_file(&file), Err(GenesisError::Recovery(RecoveryError::Approval(_)))));
}
