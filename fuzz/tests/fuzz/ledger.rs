//! Transactions as anybody submits them: decoded, then admitted or not.

use crate::proof_network::{genesis, nodes, secret};
use bytes::Bytes;
use fuzz::{bounded, fuzz};
use ledger::{admit, reads};
use proof::{
    AvailabilityCertificate, Digest, Genesis, Manifest, SignedTransaction, StorageReceipt, TenantId,
    Transaction, UploadId, VersionId,
    manifest::{Page, SealedKey, Segment},
    transaction::{
        Attachment, Body, CompleteUpload, CreateTenant, CreateUpload, KeyAt, Operation, Payload, Place,
        Precondition, PutPart, PutVersion, Stored, UploadAt,
    },
    wire::{DecodeExt as _, Encode as _, List, Octets},
};
use std::sync::LazyLock;

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| genesis(1));
const TENANT: TenantId = TenantId([7; 16]);
const UPLOAD: UploadId = UploadId([8; 16]);
const SEALED: &[u8] = b"sealed";

fn place() -> Place {
    Place { bucket: "bucket".parse().expect("a bucket's name"), key: "a/key".parse().expect("a key") }
}

fn body(ciphertext_length: u64, payload: Payload) -> Body {
    Body { ciphertext_length, content: Digest([9; 32]), sealed: Attachment::of(SEALED), payload }
}

/// When nodes signed for it.
const CERTIFIED_MS: u64 = 1_800_000_000_000;

/// A manifest of two chunks, with the certificate for it.
fn stored() -> (Bytes, Body) {
    let length = (1 << 20) + 5;
    let chunks = List::new(vec![Digest([4; 32]), Digest([5; 32])]).expect("two");
    let page = Page::new(vec![Segment { sealed_key: SealedKey([3; 48]), first_chunk: 0, length, chunks }]);
    let manifest = Manifest::Direct(page.expect("a page"));
    let (network, id) = (GENESIS.id(), manifest.id());
    let keys = nodes(1);
    let receipts = keys
        .iter()
        .enumerate()
        .map(|(at, key)| StorageReceipt::sign(network, 0, id, CERTIFIED_MS, at as u8, key));
    let certificate = AvailabilityCertificate::new(0, CERTIFIED_MS, receipts.take(3).collect());
    let encoded = manifest.encode();
    let stored = Stored { manifest: Attachment::of(&encoded), certificate };
    (encoded, body(length + 2 * 16, Payload::Stored(stored)))
}

fn signed(tenant: TenantId, operations: Vec<Operation>, attachments: Vec<Bytes>) -> SignedTransaction {
    let version = VersionId { height: 1, index: 2, operation: 3 };
    let preconditions = vec![
        Precondition::KeyAbsent(place()),
        Precondition::KeyAt(KeyAt { place: place(), version }),
        Precondition::UploadAt(UploadAt { upload: UPLOAD, revision: 1 }),
    ];
    let transaction = Transaction {
        network: GENESIS.id(),
        tenant,
        signer: secret(100).public_key(),
        nonce: [3; 16],
        expires_ms: 1_800_000_060_000,
        preconditions: List::new(preconditions).expect("three"),
        operations: List::new(operations).expect("few"),
    };
    transaction.sign(&secret(100), attachments)
}

/// An admissible transaction of every kind.
static ADMISSIBLE: LazyLock<Vec<(&str, SignedTransaction)>> = LazyLock::new(|| {
    let (sealed, ciphertext) = (Bytes::from_static(SEALED), Bytes::from_static(b"ciphertext and tag"));
    let inline = body(ciphertext.len() as u64, Payload::Inline(Attachment::of(&ciphertext)));
    let (manifest, stored) = stored();
    let put = |body| Operation::PutVersion(PutVersion { place: place(), body });
    let opened = CreateUpload { upload: UPLOAD, place: place(), sealed: Attachment::of(SEALED) };
    let part = PutPart { upload: UPLOAD, number: 1, body: stored.clone() };
    let completed = CompleteUpload { upload: UPLOAD, place: place(), body: stored.clone() };
    let founded = TenantId([6; 16]);
    let created = CreateTenant { tenant: founded, name: Octets::default(), key: secret(101).public_key() };
    vec![
        ("inline", signed(TENANT, vec![put(inline)], vec![sealed.clone(), ciphertext])),
        ("stored", signed(TENANT, vec![put(stored)], vec![sealed.clone(), manifest.clone()])),
        ("upload", signed(TENANT, vec![Operation::CreateUpload(opened)], vec![sealed.clone()])),
        ("part", signed(TENANT, vec![Operation::PutPart(part)], vec![sealed.clone(), manifest.clone()])),
        ("completed", signed(TENANT, vec![Operation::CompleteUpload(completed)], vec![sealed, manifest])),
        ("tenant", signed(founded, vec![Operation::CreateTenant(created)], vec![])),
    ]
});

/// However a transaction is damaged, what is still admitted is one of those that were signed, byte for byte.
#[test]
fn transactions() {
    for (name, valid) in ADMISSIBLE.iter() {
        admit(valid, &GENESIS.committee, GENESIS.id()).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    let seeds = ADMISSIBLE.iter().map(|(name, valid)| ((*name).to_owned(), valid.encode().to_vec()));
    fuzz!("transactions", seeds, |input: &[u8]| {
        let bytes = Bytes::copy_from_slice(input);
        let Ok(signed) = bounded(input.len(), || SignedTransaction::decode(bytes)) else { return };
        assert_eq!(signed.encode(), input);
        reads(&signed);
        if admit(&signed, &GENESIS.committee, GENESIS.id()).is_ok() {
            assert!(ADMISSIBLE.iter().any(|(_, valid)| *valid == signed), "nobody signed {signed:?}");
        }
        // A hostile tenant signs anything, and names whatever it attaches.
        let own = signed_by_tenant(signed);
        if admit(&own, &GENESIS.committee, GENESIS.id()).is_ok() {
            assert!(own.attachments_match() && own.transaction.verify(&own.signature));
        }
    });
}

/// The same with the names of what is attached, in the tenant's network, signed by the tenant.
fn signed_by_tenant(signed: SignedTransaction) -> SignedTransaction {
    let attached: Vec<Bytes> =
        signed.attachments.iter().map(|attachment| attachment.bytes().clone()).collect();
    let mut names = attached.iter().map(|bytes| Attachment::of(bytes));
    let Transaction { preconditions, operations, .. } = signed.transaction;
    let mut operations = operations.into_inner();
    for operation in &mut operations {
        let body = match operation {
            Operation::PutVersion(put) => &mut put.body,
            Operation::PutPart(put) => &mut put.body,
            Operation::CompleteUpload(complete) => &mut complete.body,
            Operation::CreateUpload(create) => {
                create.sealed = names.next().unwrap_or(create.sealed.clone());
                continue;
            }
            _ => continue,
        };
        body.sealed = names.next().unwrap_or(body.sealed.clone());
        let payload = match &mut body.payload {
            Payload::Inline(inline) => inline,
            Payload::Stored(stored) => &mut stored.manifest,
        };
        *payload = names.next().unwrap_or(payload.clone());
    }
    let operations = List::new(operations).expect("as many as before");
    let network = GENESIS.id();
    let signer = secret(100).public_key();
    Transaction { network, preconditions, operations, signer, ..signed.transaction }
        .sign(&secret(100), attached)
}
