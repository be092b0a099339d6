//! What convinces: receipts, finality, availability. However valid proofs are damaged, what still verifies says nothing
//! that the valid ones do not say.

use crate::proof_network::{Case, genesis, nodes, recovery};
use bytes::Bytes;
use fuzz::{bounded, fuzz};
use proof::{
    AvailabilityCertificate, Digest, Genesis, Header, Lineage, Receipt, StorageReceipt,
    digest::sha256,
    finality::FinalizedHeader,
    lineage::Recovery,
    wire::{DecodeExt as _, Encode as _, List},
};
use std::sync::LazyLock;

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| genesis(1));
static LINEAGE: LazyLock<Lineage> = LazyLock::new(|| GENESIS.clone().into());

/// A valid receipt of every shape.
static RECEIPTS: LazyLock<Vec<(&str, Receipt)>> = LazyLock::new(|| {
    let all = vec![0, 1, 2, 3];
    [
        ("opened", Case::new()),
        ("closed", Case { opened: false, ..Case::new() }),
        ("by descendants", Case { descendants: 2, ..Case::new() }),
        ("signed by all", Case { voters: all, index: 4, ..Case::new() }),
    ]
    .map(|(name, case)| (name, case.receipt()))
    .into()
});

#[test]
fn receipts() {
    let seeds = RECEIPTS.iter().map(|(name, receipt)| ((*name).to_owned(), receipt.encode().to_vec()));
    fuzz!("receipts", seeds, |input: &[u8]| {
        assert!(Receipt::from_file(input).is_err(), "without magic and checksum it is no file");
        let bytes = Bytes::copy_from_slice(input);
        let Ok(receipt) = bounded(input.len(), || Receipt::decode(bytes)) else { return };
        let read = Receipt::from_file(&receipt.to_file()).expect("what is written is read");
        assert_eq!(read, receipt);
        let Ok(proven) = receipt.verify(&LINEAGE) else { return };
        let says = |valid: &Receipt| {
            let same = valid.verify(&LINEAGE).expect("it is valid") == proven;
            let opened = receipt.opening.is_empty() || receipt.opening == valid.opening;
            same && opened
                && receipt.transaction == valid.transaction
                && receipt.block.header == valid.block.header
        };
        assert!(RECEIPTS.iter().any(|(_, valid)| says(valid)), "a damaged receipt proves {proven:?}");
        assert!(receipt.verify(&genesis(11).into()).is_err(), "to another network it is nothing");
    });
}

/// However a recovery is damaged, what still counts is what the approvers signed.
#[test]
fn recoveries() {
    let (lineage, valid) = recovery();
    let recovered = {
        let mut lineage = lineage.clone();
        lineage.recover(valid.clone()).expect("it counts");
        lineage
    };
    let seeds =
        [("recovery".to_owned(), valid.encode().to_vec()), ("genesis file".to_owned(), recovered.to_file())];
    fuzz!("recoveries", seeds, |input: &[u8]| {
        assert!(Recovery::from_file(input).is_err(), "without magic and checksum it is no file");
        let bytes = Bytes::copy_from_slice(input);
        if let Ok(recovery) = bounded(input.len(), || Recovery::decode(bytes)) {
            assert_eq!(Recovery::from_file(&recovery.to_file()).expect("what is written is read"), recovery);
            let mut lineage = lineage.clone();
            if lineage.recover(recovery.clone()).is_ok() {
                assert_eq!(recovery.terms, valid.terms, "nobody approved that");
            }
        }
        // A genesis file with its checksum made right, as a forger would.
        let mut file = input.to_vec();
        if let Some(body) = file.len().checked_sub(32) {
            let checksum = sha256("outlast/lineage/1", &[&file[..body]]);
            file[body..].copy_from_slice(&checksum.0);
        }
        if let Ok(read) = bounded(file.len(), || Lineage::from_file(&file)) {
            assert_eq!(read.to_file(), file);
            assert!(read.recoveries().iter().all(|read| read.terms == valid.terms), "nobody approved that");
        }
    });
}

/// Headers that a quorum made final.
static FINAL: LazyLock<Vec<Header>> = LazyLock::new(|| {
    let blocks = RECEIPTS.iter().map(|(_, receipt)| &receipt.block);
    blocks.flat_map(|block| block.descendants.iter().chain([&block.header]).cloned()).collect()
});

#[test]
fn finality() {
    let valid = RECEIPTS.iter().map(|(name, receipt)| ((*name).to_owned(), receipt.block.clone()));
    let seeds = valid.chain([("at the greatest height".to_owned(), at_greatest_height())]);
    let seeds = seeds.map(|(name, block)| (name, block.encode().to_vec()));
    fuzz!("finality", seeds, |input: &[u8]| {
        let bytes = Bytes::copy_from_slice(input);
        let Ok(block) = bounded(input.len(), || FinalizedHeader::decode(bytes)) else { return };
        for block in [relinked(block.clone()), block] {
            if LINEAGE.verify(&block).is_ok() {
                assert!(FINAL.contains(&block.header), "{:?} is not final", block.header);
            }
        }
    });
}

/// A header that no other can follow, and one that says it does.
fn at_greatest_height() -> FinalizedHeader {
    let mut block = RECEIPTS[2].1.block.clone();
    block.header.height = u64::MAX;
    relinked(block)
}

/// With each header naming the one before it, and the certificate the last: what a forger would do.
fn relinked(mut block: FinalizedHeader) -> FinalizedHeader {
    let mut newest = block.header.digest();
    let mut descendants = block.descendants.into_inner();
    for descendant in &mut descendants {
        descendant.parent = newest;
        newest = descendant.digest();
    }
    block.finalization.block = newest;
    FinalizedHeader { descendants: List::new(descendants).expect("as many as before"), ..block }
}

const MANIFEST: Digest = Digest([2; 32]);
const CERTIFIED_MS: u64 = 1_800_000_000_000;

/// What nodes signed, all four of them.
static SIGNED: LazyLock<Vec<StorageReceipt>> = LazyLock::new(|| {
    let sign = |(node, key): (usize, _)| {
        StorageReceipt::sign(GENESIS.id(), 0, MANIFEST, CERTIFIED_MS, node as u8, key)
    };
    nodes(1).iter().enumerate().map(sign).collect()
});

#[test]
fn availability() {
    let certificate =
        |count| AvailabilityCertificate::new(0, CERTIFIED_MS, SIGNED[..count].to_vec()).encode().to_vec();
    let seeds = [("of three".to_owned(), certificate(3)), ("of four".to_owned(), certificate(4))];
    fuzz!("availability", seeds, |input: &[u8]| {
        let bytes = Bytes::copy_from_slice(input);
        let Ok(certificate) = bounded(input.len(), || AvailabilityCertificate::decode(bytes)) else { return };
        if certificate.verify(GENESIS.id(), &GENESIS.committee, MANIFEST).is_ok() {
            assert_eq!(certificate.time_ms, CERTIFIED_MS);
            assert!(certificate.receipts.len() >= GENESIS.committee.quorum());
            assert!(
                certificate.receipts.iter().all(|receipt| SIGNED.contains(receipt)),
                "nobody signed that"
            );
        }
        assert!(certificate.verify(GENESIS.id(), &GENESIS.committee, Digest([3; 32])).is_err());
    });
}
