//! What is admitted, and each way in which a transaction is not.

use crate::network::{
    TENANT, approver, body, bucket, certificate, certificate_at, genesis, owner, place, secret, transaction,
    upload,
};
use bytes::Bytes;
use ledger::{Inadmissible, admit};
use proof::{
    Digest, Manifest, SignedTransaction, TenantId,
    availability::CertificateError,
    limits::{
        CERTIFICATE_AGE_MS_MAX, CHUNK_LENGTH, DIRECT_CHUNKS_MAX, INLINE_MAX, OPERATIONS_MAX, PAGE_CHUNKS_MAX,
        PART_NUMBER_MAX, SEALED_MAX, TRANSACTION_BYTES_MAX,
    },
    manifest::{Page, PageRef, SealedKey, Segment},
    transaction::{
        About, Annotate, Attachment, Body, CompleteUpload, CreateBucket, CreateTenant, CreateUpload,
        Operation, Payload, Place, PutPart, PutVersion, SetHold, Stored, Target,
    },
    wire::{Encode, List, Octets},
};

/// A body with the attachments that it names.
type Made = (Body, Vec<Bytes>);

fn inline(sealed: usize, ciphertext: usize) -> Made {
    let attachments = vec![Bytes::from(vec![1; sealed]), Bytes::from(vec![2; ciphertext])];
    let body = Body {
        ciphertext_length: ciphertext as u64,
        content: Digest([3; 32]),
        sealed: Attachment::of(&attachments[0]),
        payload: Payload::Inline(Attachment::of(&attachments[1])),
    };
    (body, attachments)
}

/// A body whose manifest is stored, as `signers` nodes say.
fn stored_bytes(manifest: Bytes, ciphertext_length: u64, signers: usize) -> Made {
    let name = Attachment::of(&manifest);
    let certificate = certificate(genesis().id(), name.digest, signers);
    let sealed = Bytes::from_static(b"sealed");
    let body = Body {
        ciphertext_length,
        content: Digest([3; 32]),
        sealed: Attachment::of(&sealed),
        payload: Payload::Stored(Stored { manifest: name, certificate }),
    };
    (body, vec![sealed, manifest])
}

fn stored(manifest: &Manifest, ciphertext_length: u64) -> Made {
    stored_bytes(manifest.encode(), ciphertext_length, 3)
}

fn direct(length: u64) -> Manifest {
    let chunks = vec![Digest([4; 32]); length.div_ceil(CHUNK_LENGTH) as usize];
    let chunks = List::new(chunks).unwrap();
    Manifest::Direct(
        Page::new(vec![Segment { sealed_key: SealedKey([5; 48]), first_chunk: 0, length, chunks }]).unwrap(),
    )
}

fn paged(pages: &[(u32, u64)]) -> Manifest {
    let page =
        |(chunks, length): &(u32, u64)| PageRef { id: Digest([6; 32]), length: *length, chunks: *chunks };
    Manifest::Paged(List::new(pages.iter().map(page).collect()).unwrap())
}

fn put((body, attachments): Made) -> (Operation, Vec<Bytes>) {
    (Operation::PutVersion(PutVersion { place: place("one", "key"), body }), attachments)
}

fn part(number: u16, (body, attachments): Made) -> (Operation, Vec<Bytes>) {
    (Operation::PutPart(PutPart { upload: upload(1), number, body }), attachments)
}

fn sign(operations: Vec<(Operation, Vec<Bytes>)>) -> SignedTransaction {
    let (operations, attachments): (Vec<_>, Vec<_>) = operations.into_iter().unzip();
    transaction(1, vec![], operations).sign(&owner(), attachments.concat())
}

fn check(signed: &SignedTransaction) -> Result<(), Inadmissible> {
    let genesis = genesis();
    admit(signed, &genesis.committee, genesis.id())
}

/// Expects a certain refusal of a transaction with these operations.
macro_rules! refused {
    ($operations:expr, $pattern:pat) => {
        let result = check(&sign($operations));
        assert!(matches!(result, Err($pattern)), "{result:?}");
    };
}

#[test]
fn inline_and_stored_bodies_are_admitted() {
    check(&sign(vec![put(inline(0, 16))])).unwrap();
    check(&sign(vec![put(inline(SEALED_MAX, INLINE_MAX))])).unwrap();
    check(&sign(vec![put(stored(&direct(1), 17))])).unwrap();
    check(&sign(vec![put(stored(&direct(CHUNK_LENGTH + 1), CHUNK_LENGTH + 1 + 32))])).unwrap();
    let most = DIRECT_CHUNKS_MAX as u64;
    check(&sign(vec![part(
        PART_NUMBER_MAX,
        stored(&direct(most * CHUNK_LENGTH), most * (CHUNK_LENGTH + 16)),
    )]))
    .unwrap();
    let full = PAGE_CHUNKS_MAX as u64 * CHUNK_LENGTH;
    let pages = paged(&[(PAGE_CHUNKS_MAX as u32, full), (1, 1)]);
    check(&sign(vec![put(stored(&pages, full + 1 + 16 * (PAGE_CHUNKS_MAX as u64 + 1)))])).unwrap();
    let (body, attachments) = inline(5, 20);
    let complete = CompleteUpload { upload: upload(1), place: place("one", "key"), body };
    check(&sign(vec![(Operation::CompleteUpload(complete), attachments)])).unwrap();
    check(&sign(vec![put(inline(1, 16)), put(stored(&direct(1), 17)), put(inline(2, 17))])).unwrap();
}

#[test]
fn another_network_is_refused() {
    let genesis = genesis();
    let signed = sign(vec![put(inline(0, 16))]);
    assert!(matches!(admit(&signed, &genesis.committee, Digest::ZERO), Err(Inadmissible::OtherNetwork(_))));
}

#[test]
fn nothing_to_do_is_refused() {
    refused!(vec![], Inadmissible::Empty);
}

#[test]
fn large_transactions_are_refused() {
    let count = TRANSACTION_BYTES_MAX / (INLINE_MAX + SEALED_MAX) + 1;
    assert!(count < OPERATIONS_MAX);
    refused!(vec![put(inline(SEALED_MAX, INLINE_MAX)); count], Inadmissible::TooLarge(_));
}

#[test]
fn sealed_bodies_are_bounded() {
    refused!(vec![put(inline(SEALED_MAX + 1, 16))], Inadmissible::SealedTooLarge(_));
    let sealed = Bytes::from(vec![0; SEALED_MAX + 1]);
    let create =
        CreateUpload { upload: upload(1), place: place("one", "key"), sealed: Attachment::of(&sealed) };
    refused!(vec![(Operation::CreateUpload(create), vec![sealed])], Inadmissible::SealedTooLarge(_));
}

#[test]
fn inline_ciphertexts_have_the_length_of_one_small_chunk() {
    refused!(vec![put(inline(0, 15))], Inadmissible::InlineLength(15));
    refused!(vec![put(inline(0, INLINE_MAX + 1))], Inadmissible::InlineLength(_));
    let (mut body, attachments) = inline(0, 20);
    body.ciphertext_length = 21;
    refused!(vec![put((body, attachments))], Inadmissible::InlineLength(20));
}

#[test]
fn parts_are_numbered_and_stored() {
    refused!(vec![part(0, stored(&direct(1), 17))], Inadmissible::PartNumber(0));
    refused!(vec![part(PART_NUMBER_MAX + 1, stored(&direct(1), 17))], Inadmissible::PartNumber(_));
    refused!(vec![part(1, inline(0, 16))], Inadmissible::PartInline);
}

#[test]
fn attachments_are_those_that_are_named() {
    let good = sign(vec![put(inline(5, 20))]);
    let with = |change: fn(&mut Vec<Octets<TRANSACTION_BYTES_MAX>>)| {
        let mut attachments = good.attachments.clone().into_inner();
        change(&mut attachments);
        SignedTransaction { attachments: List::new(attachments).unwrap(), ..good.clone() }
    };
    let changes: [fn(&mut Vec<Octets<TRANSACTION_BYTES_MAX>>); 5] = [
        |attachments| drop(attachments.pop()),
        |attachments| attachments.push(Octets::default()),
        |attachments| attachments.swap(0, 1),
        |attachments| attachments.clear(),
        |attachments| attachments[1] = Octets::new(vec![3; 20]).unwrap(),
    ];
    for change in changes {
        assert!(matches!(check(&with(change)), Err(Inadmissible::Attachments)));
    }
}

#[test]
fn signatures_are_checked() {
    let good = sign(vec![put(inline(5, 20))]);
    let mut forged = good.clone();
    forged.signature.0[0] ^= 1;
    assert!(matches!(check(&forged), Err(Inadmissible::Signature)));
    let mut changed = good;
    changed.transaction.nonce[0] ^= 1;
    assert!(matches!(check(&changed), Err(Inadmissible::Signature)));
    let other = changed.transaction.clone().sign(&secret(101), Vec::new()).signature;
    let attachments = changed.attachments.clone();
    let other = SignedTransaction { transaction: changed.transaction, signature: other, attachments };
    assert!(matches!(check(&other), Err(Inadmissible::Signature)));
}

#[test]
fn manifests_decode_strictly() {
    let good = direct(1).encode();
    let longer = Bytes::from([good.as_ref(), &[0]].concat());
    for bytes in [Bytes::new(), good.slice(1..), good.slice(..good.len() - 1), longer] {
        refused!(vec![put(stored_bytes(bytes, 17, 3))], Inadmissible::Manifest(_));
    }
}

#[test]
fn manifests_can_be() {
    let empty = Manifest::Direct(Page::new(Vec::new()).unwrap());
    let chunks = DIRECT_CHUNKS_MAX as u64 + 1;
    let long = direct(chunks * CHUNK_LENGTH);
    refused!(vec![put(stored(&empty, 0))], Inadmissible::ManifestShape);
    refused!(vec![put(stored(&long, chunks * (CHUNK_LENGTH + 16)))], Inadmissible::ManifestShape);
    refused!(vec![put(stored(&paged(&[]), 0))], Inadmissible::ManifestShape);
    let most = PAGE_CHUNKS_MAX as u32;
    for page in
        [(0, 0), (0, 1), (2, 1), (1, CHUNK_LENGTH + 1), (most + 1, u64::from(most)), (u32::MAX, u64::MAX)]
    {
        let pages = paged(&[(1, 1), page]);
        refused!(vec![put(stored(&pages, 17))], Inadmissible::ManifestShape);
    }
}

#[test]
fn manifests_add_up() {
    for length in [0, 16, 18, u64::MAX] {
        refused!(vec![put(stored(&direct(1), length))], Inadmissible::ManifestLength(_));
        refused!(vec![put(stored(&paged(&[(1, 1)]), length))], Inadmissible::ManifestLength(_));
    }
}

#[test]
fn certificates_are_of_a_quorum() {
    let with = |signers| sign(vec![put(stored_bytes(direct(1).encode(), 17, signers))]);
    for (signers, ok) in [(0, false), (2, false), (3, true), (4, true)] {
        assert_eq!(check(&with(signers)).is_ok(), ok, "{signers} of 4");
    }
    let (mut body, attachments) = stored(&direct(1), 17);
    let Payload::Stored(stored) = &mut body.payload else { unreachable!() };
    stored.certificate = certificate(genesis().id(), Digest([8; 32]), 3);
    refused!(vec![put((body, attachments))], Inadmissible::Certificate(CertificateError::Signature(0)));
}

/// Nodes are free to drop what the chain does not refer to. Whoever could bring an old certificate could have it refer
/// to what no node has any more.
#[test]
fn certificates_are_recent() {
    let with = |time_ms| {
        let (mut body, attachments) = stored(&direct(1), 17);
        let Payload::Stored(stored) = &mut body.payload else { unreachable!() };
        stored.certificate = certificate_at(time_ms, genesis().id(), stored.manifest.digest, 3);
        sign(vec![put((body, attachments))])
    };
    let oldest = with(0).transaction.expires_ms - CERTIFICATE_AGE_MS_MAX;
    for (time_ms, ok) in [(oldest, true), (oldest + 1, true), (oldest - 1, false), (0, false)] {
        let checked = check(&with(time_ms));
        assert_eq!(checked.is_ok(), ok, "{time_ms}: {checked:?}");
        assert!(ok || matches!(checked, Err(Inadmissible::CertificateOld(old)) if old == time_ms));
    }
    // Receipts of one time are none of another.
    let mut younger = with(oldest - 1);
    let Operation::PutVersion(put) = &younger.transaction.operations[0] else { unreachable!() };
    let mut put = put.clone();
    let Payload::Stored(stored) = &mut put.body.payload else { unreachable!() };
    stored.certificate.time_ms = oldest;
    younger.transaction.operations = List::new(vec![Operation::PutVersion(put)]).unwrap();
    let attachments = younger.attachments.iter().map(|bytes| bytes.bytes().clone()).collect();
    let checked = check(&younger.transaction.sign(&owner(), attachments));
    assert!(matches!(checked, Err(Inadmissible::Certificate(CertificateError::Signature(0)))), "{checked:?}");
}

#[test]
fn a_creation_stands_alone() {
    let tenant = TenantId([8; 16]);
    let creation = Operation::CreateTenant(CreateTenant {
        tenant,
        name: Octets::default(),
        key: secret(101).public_key(),
    });
    let other = Operation::CreateBucket(CreateBucket { bucket: bucket("one") });
    let of = |tenant, operations| {
        let mut transaction = transaction(1, vec![], operations);
        (transaction.tenant, transaction.signer) = (tenant, approver().public_key());
        check(&transaction.sign(&approver(), Vec::new()))
    };
    assert!(of(tenant, vec![creation.clone()]).is_ok());
    assert!(matches!(of(TENANT, vec![creation.clone()]), Err(Inadmissible::MixedCreation)));
    assert!(matches!(of(tenant, vec![creation, other]), Err(Inadmissible::MixedCreation)));
}

#[test]
fn what_is_cheap_is_checked_before_signatures() {
    let mut signed = sign(vec![part(0, (body(1), Vec::new()))]);
    signed.signature.0 = [0; 64];
    assert!(matches!(check(&signed), Err(Inadmissible::PartNumber(0))));
}

#[test]
fn settings_are_of_versions_made_before_at_the_same_place() {
    let made = || put(inline(10, 16));
    let here = || made().0.makes().cloned().expect("a put makes a version");
    let hold = |operation, place| {
        let version = Target::Made(operation);
        (Operation::SetHold(SetHold { place, version, hold: true }), vec![])
    };
    check(&sign(vec![made(), hold(0, here())])).unwrap();
    check(&sign(vec![made(), hold(0, here()), made(), hold(2, here())])).unwrap();
    let elsewhere = Place { key: "elsewhere".parse().unwrap(), ..here() };
    for (operations, of) in [
        (vec![hold(0, here()), made()], 0),
        (vec![made(), hold(1, here())], 1),
        (vec![made(), hold(2, here()), made()], 2),
        (vec![made(), hold(u16::MAX, here())], u16::MAX),
        (vec![made(), hold(0, elsewhere)], 0),
        (vec![made(), hold(0, here()), hold(1, here())], 1),
    ] {
        let refused = check(&sign(operations));
        assert!(matches!(refused, Err(Inadmissible::Target(target)) if target == of), "{refused:?}");
    }
    let document = Bytes::from(vec![1; SEALED_MAX + 1]);
    let sealed = List::new(vec![Attachment::of(&document)]).unwrap();
    let about = About::BucketTags(here().bucket);
    let annotate = (Operation::Annotate(Annotate { about, sealed }), vec![document]);
    assert!(matches!(check(&sign(vec![annotate])), Err(Inadmissible::SealedTooLarge(_))));
}
