//! Everything with a canonical encoding: transactions, blocks, headers, finalizations, receipts, manifests, openings,
//! certificates, state proofs, genesis, requests and responses of both lanes.
//!
//! Bytes either do not decode, or are the very encoding of what they decode to. No bytes take more memory than they
//! justify. Every input is taken for every type.

use crate::{chain_samples, proof_samples, shards_samples};
use bytes::Bytes;
use fuzz::{bounded, fuzz};
use proof::{
    BucketName, Committee, Digest, Genesis, ObjectKey, PublicKey, TenantId, UploadId, VersionId,
    genesis::GenesisError,
};
use std::sync::LazyLock;

type Recode = Box<dyn Fn(Bytes) -> Option<Bytes> + Send + Sync>;

/// Every type: decodes bytes as it, and encodes what that gave.
static TYPES: LazyLock<Vec<(&str, Recode)>> = LazyLock::new(|| {
    let mut types: Vec<(&str, Recode)> = Vec::new();
    for sample in proof_samples::samples() {
        types.push((sample.name, Box::new(move |bytes| (sample.recode)(bytes).ok())));
    }
    for sample in shards_samples::samples() {
        types.push((sample.name, Box::new(sample.recode)));
    }
    for sample in chain_samples::samples() {
        types.push((sample.name, Box::new(sample.recode)));
    }
    // One name of each type is enough.
    types.dedup_by_key(|(name, _)| name.split([':', ',']).next().expect("a name"));
    types
});

fn seeds() -> Vec<(String, Vec<u8>)> {
    let proof = proof_samples::samples().into_iter().map(|sample| (sample.name, sample.bytes));
    let shards = shards_samples::samples().into_iter().map(|sample| (sample.name, sample.bytes));
    let chain = chain_samples::samples().into_iter().map(|sample| (sample.name, sample.bytes));
    let named =
        |layer: &'static str| move |(name, bytes): (&str, Bytes)| (format!("{layer} {name}"), bytes.to_vec());
    proof.map(named("proof")).chain(shards.map(named("shards"))).chain(chain.map(named("chain"))).collect()
}

#[test]
fn encodings() {
    fuzz!("encodings", seeds(), |input: &[u8]| {
        let bytes = Bytes::copy_from_slice(input);
        for (name, recode) in TYPES.iter() {
            if let Some(again) = bounded(input.len(), || recode(bytes.clone())) {
                assert_eq!(again, input, "{name} has two encodings");
            }
        }
    });
}

/// A genesis file: what is read is written the same, and its committee can do arithmetic.
#[test]
fn genesis_file() {
    let seeds = [("genesis".to_owned(), crate::proof_network::genesis(1).to_file())];
    fuzz!("genesis_file", seeds, |input: &[u8]| {
        // The hash at the end is made right, or nothing else would ever be reached.
        let mut file = input.to_vec();
        let body = input.len().checked_sub(32).and_then(|end| input.get(9..end));
        if let Some(genesis) = body.and_then(decoded::<Genesis>) {
            file.truncate(input.len() - 32);
            file.extend_from_slice(&genesis.id().0);
        }
        match bounded(file.len(), || Genesis::from_file(&file)) {
            Ok(genesis) => {
                assert_eq!(genesis.to_file(), file);
                let committee: &Committee = &genesis.committee;
                assert_eq!(committee.n(), committee.nodes().len());
                assert!(committee.quorum() <= committee.n() && committee.k() <= committee.n());
            }
            Err(GenesisError::Approvers { needed, approvers }) => {
                assert!(needed == 0 || usize::from(needed) > approvers);
            }
            Err(GenesisError::NotGenesis | GenesisError::Damaged(_)) => {}
            Err(GenesisError::Recovery(why)) => panic!("there is no recovery in such a file: {why}"),
        }
    });
}

fn decoded<T: commonware_codec::DecodeExt<()>>(bytes: &[u8]) -> Option<T> {
    T::decode(Bytes::copy_from_slice(bytes)).ok()
}

/// Names as text: what is read is written the same.
#[test]
fn names() {
    let texts = [
        "a-bucket.1".to_owned(),
        "photos/naïve café.jpg".to_owned(),
        "10.0.0.1".to_owned(),
        TenantId([10; 16]).to_string(),
        VersionId { height: 1, index: 2, operation: 3 }.to_string(),
        Digest([1; 32]).to_string(),
    ];
    let seeds = texts.map(|text| (text.clone(), text.into_bytes()));
    fuzz!("names", seeds, |input: &[u8]| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let written = [
            text.parse::<BucketName>().ok().map(|name| name.to_string()),
            text.parse::<ObjectKey>().ok().map(|key| key.to_string()),
            TenantId::from_hex(text).map(|id| id.to_string()),
            UploadId::from_hex(text).map(|id| id.to_string()),
            text.parse::<VersionId>().ok().map(|id| id.to_string()),
            Digest::from_hex(text).map(|digest| digest.to_string()),
            PublicKey::from_hex(text).map(|key| key.to_string()),
        ];
        assert!(written.into_iter().flatten().all(|again| again == text), "{text:?}");
    });
}
