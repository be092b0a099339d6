//! Nothing that decodes makes the ledger panic: neither made up from its parts nor a damaged encoding.

use crate::network::{Chain, TENANT, approver, certificate, genesis, owner, secret};
use ledger::{BlockContext, admit, effects, execute, reads};
use proof::{
    AvailabilityCertificate, Digest, PublicKey, Signature, SignedTransaction, TenantId, Transaction,
    VersionId,
    transaction::{
        AbortUpload, About, AddKey, Annotate, Attachment, Body, CompleteUpload, CreateBucket, CreateTenant,
        CreateUpload, DefaultRetention, DeleteBucket, HideVersion, KeyAt, Mode, Operation, Payload, Period,
        Place, Precondition, PutMarker, PutPart, PutVersion, Retention, RevokeKey, SetBucketLock, SetHold,
        SetRetention, Stored, Succession, Target, TargetAt, UndeleteBucket, UnhideVersion, UploadAt,
    },
    wire::{DecodeExt, Encode, List, Octets},
};
use proptest::{collection::vec, prelude::*, sample::select};

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![select(vec![0, 1, 16, u64::MAX - 1, u64::MAX]), any::<u64>()]
}

fn place() -> impl Strategy<Value = Place> {
    let key = prop_oneof![select(vec!["a".to_owned(), "b".to_owned()]), "\\PC{1,40}"];
    (select(vec!["one", "two"]), key)
        .prop_map(|(bucket, key)| Place { bucket: bucket.parse().unwrap(), key: key.parse().unwrap() })
}

fn public_key() -> impl Strategy<Value = PublicKey> {
    let known = vec![owner().public_key(), approver().public_key(), secret(101).public_key()];
    prop_oneof![4 => select(known), 1 => any::<[u8; 32]>().prop_map(PublicKey)]
}

fn attachment() -> impl Strategy<Value = Attachment> {
    (any::<[u8; 32]>(), number())
        .prop_map(|(digest, length)| Attachment { digest: Digest(digest), length: length as u32 })
}

fn body() -> impl Strategy<Value = Body> {
    let certificate = prop_oneof![
        number().prop_map(|time_ms| AvailabilityCertificate::new(0, time_ms, Vec::new())),
        Just(certificate(genesis().id(), Digest::ZERO, 3)),
    ];
    let stored = (attachment(), certificate)
        .prop_map(|(manifest, certificate)| Payload::Stored(Stored { manifest, certificate }));
    let payload = prop_oneof![attachment().prop_map(Payload::Inline), stored];
    (number(), attachment(), payload).prop_map(|(ciphertext_length, sealed, payload)| Body {
        ciphertext_length,
        content: Digest::ZERO,
        sealed,
        payload,
    })
}

fn version() -> impl Strategy<Value = VersionId> {
    (0..4u64, 0..3u32, 0..5u16).prop_map(|(height, index, operation)| VersionId { height, index, operation })
}

fn precondition() -> impl Strategy<Value = Precondition> {
    prop_oneof![
        place().prop_map(Precondition::KeyAbsent),
        (place(), version()).prop_map(|(place, version)| Precondition::KeyAt(KeyAt { place, version })),
        (0..3u8, number()).prop_map(|(id, revision)| Precondition::UploadAt(UploadAt {
            upload: crate::network::upload(id),
            revision: revision as u32,
        })),
    ]
}

fn succession() -> impl Strategy<Value = Succession> {
    (prop_oneof![3 => 0..3u32, 1 => Just(u32::MAX)], vec(version(), 0..2))
        .prop_map(|(revision, successor)| Succession { revision, successor: List::new(successor).unwrap() })
}

fn tenant() -> impl Strategy<Value = TenantId> {
    select(vec![TENANT, TenantId([8; 16])])
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![version().prop_map(Target::Version), (0..4u16).prop_map(Target::Made)]
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Governance), Just(Mode::Compliance)]
}

fn period() -> impl Strategy<Value = Period> {
    number().prop_flat_map(|number| select(vec![Period::Days(number as u32), Period::Years(number as u32)]))
}

fn operation() -> impl Strategy<Value = Operation> {
    let upload = || (0..3u8).prop_map(crate::network::upload);
    prop_oneof![
        place().prop_map(|place| Operation::CreateBucket(CreateBucket { bucket: place.bucket })),
        place().prop_map(|place| Operation::DeleteBucket(DeleteBucket { bucket: place.bucket })),
        (place(), body()).prop_map(|(place, body)| Operation::PutVersion(PutVersion { place, body })),
        place().prop_map(|place| Operation::PutMarker(PutMarker { place })),
        (upload(), place(), attachment()).prop_map(|(upload, place, sealed)| {
            Operation::CreateUpload(CreateUpload { upload, place, sealed })
        }),
        (upload(), number(), body()).prop_map(|(upload, number, body)| {
            Operation::PutPart(PutPart { upload, number: number as u16, body })
        }),
        (upload(), place(), body()).prop_map(|(upload, place, body)| {
            Operation::CompleteUpload(CompleteUpload { upload, place, body })
        }),
        upload().prop_map(|upload| Operation::AbortUpload(AbortUpload { upload })),
        (tenant(), public_key()).prop_map(|(tenant, key)| {
            Operation::CreateTenant(CreateTenant { tenant, name: Octets::default(), key })
        }),
        public_key().prop_map(|key| Operation::AddKey(AddKey { key })),
        public_key().prop_map(|key| Operation::RevokeKey(RevokeKey { key })),
        (place(), version(), vec(succession(), 0..2)).prop_map(|(place, version, succession)| {
            let succession = List::new(succession).unwrap();
            Operation::HideVersion(HideVersion { place, version, succession })
        }),
        (place(), version(), any::<bool>()).prop_map(|(place, version, current)| {
            Operation::UnhideVersion(UnhideVersion { place, version, current })
        }),
        (place(), vec((mode(), period()), 0..2)).prop_map(|(place, default)| {
            let default = default.into_iter().map(|(mode, period)| DefaultRetention { mode, period });
            let default = List::new(default.collect()).unwrap();
            Operation::SetBucketLock(SetBucketLock { bucket: place.bucket, default })
        }),
        (place(), target(), vec((mode(), number()), 0..2), any::<bool>()).prop_map(
            |(place, version, retention, bypass)| {
                let retention = retention.into_iter().map(|(mode, until_ms)| Retention { mode, until_ms });
                let retention = List::new(retention.collect()).unwrap();
                Operation::SetRetention(SetRetention { place, version, retention, bypass })
            }
        ),
        (place(), target(), any::<bool>()).prop_map(|(place, version, hold)| Operation::SetHold(SetHold {
            place,
            version,
            hold
        })),
        (place(), target(), 0..6u8, vec(attachment(), 0..2)).prop_map(|(place, version, kind, sealed)| {
            let about = match kind {
                0 => About::BucketTags(place.bucket),
                1 => About::BucketCors(place.bucket),
                2 => About::BucketLifecycle(place.bucket),
                3 => About::BucketPolicy(place.bucket),
                4 => About::BucketPublicAccess(place.bucket),
                _ => About::VersionTags(TargetAt { place, version }),
            };
            Operation::Annotate(Annotate { about, sealed: List::new(sealed).unwrap() })
        }),
        place().prop_map(|place| Operation::UndeleteBucket(UndeleteBucket { bucket: place.bucket })),
    ]
}

fn transaction() -> impl Strategy<Value = SignedTransaction> {
    let network = prop_oneof![9 => Just(genesis().id()), 1 => Just(Digest::ZERO)];
    let expires_ms = prop_oneof![5 => Just(crate::network::START_MS + 1), 1 => number()];
    let core = (
        network,
        prop_oneof![5 => Just(TENANT), 1 => tenant()],
        prop_oneof![5 => Just(owner().public_key()), 1 => public_key()],
        any::<[u8; 16]>(),
        expires_ms,
        prop_oneof![Just(Vec::new()), vec(precondition(), 0..3)],
        vec(operation(), 0..5),
    );
    let attachments = vec(vec(any::<u8>(), 0..40), 0..4);
    (core, attachments, any::<bool>()).prop_map(|(core, attachments, signed)| {
        let (network, tenant, signer, nonce, expires_ms, preconditions, operations) = core;
        let (preconditions, operations) = (List::new(preconditions).unwrap(), List::new(operations).unwrap());
        let transaction =
            Transaction { network, tenant, signer, nonce, expires_ms, preconditions, operations };
        let attachments = attachments.into_iter().map(bytes::Bytes::from).collect();
        let made = transaction.sign(&owner(), attachments);
        if signed { made } else { SignedTransaction { signature: Signature([0; 64]), ..made } }
    })
}

/// Flips some bytes of the encoding; gives what still decodes.
fn damaged(signed: &SignedTransaction, flips: &[(prop::sample::Index, u8)]) -> Option<SignedTransaction> {
    let mut bytes = signed.encode().to_vec();
    for (at, flip) in flips {
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
    }
    SignedTransaction::decode(bytes::Bytes::from(bytes)).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_decodes_panics(
        blocks in vec(vec(transaction(), 1..4), 1..6),
        flips in vec((any::<prop::sample::Index>(), 1..=255u8), 1..4),
    ) {
        let mut chain = Chain::new();
        let genesis = genesis();
        for block in blocks {
            let context = BlockContext { genesis: &genesis, network: genesis.id(), height: 2, time_ms: chain.time_ms };
            let damaged: Vec<_> = block.iter().filter_map(|signed| damaged(signed, &flips)).collect();
            for signed in damaged.iter().chain(&block) {
                let _ = admit(signed, &genesis, genesis.id());
                let _ = effects(&context, u32::MAX, signed);
                prop_assert!(reads(signed).is_sorted());
            }
            let _ = execute(&context, &chain.state, &damaged);
            chain.block(&block);
        }
    }
}
