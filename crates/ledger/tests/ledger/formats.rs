//! The bytes of the state: all nodes, of all releases, must write the same. A change here needs a new domain or tag, and
//! the old one read for ever.

use crate::network::{TENANT, bucket, owner, place, upload};
use ledger::{
    APPLIED, RECORD_BYTES, Record, Refusal, StateKey, key,
    record::{
        Annotation, Bucket, BucketLock, Chain, Head, Hidden, Kind, Lock, Outcome, Part, Signer, Tenant,
        Upload, UploadState, Usage, Version, Visibility,
    },
};
use proof::{
    Digest, VersionId,
    digest::sha256,
    transaction::{About, DefaultRetention, Mode, Period, Quota, Retention, Target, TargetAt},
    wire::List,
};

fn version() -> VersionId {
    VersionId { height: 1 << 40, index: 2, operation: 3 }
}

fn keys() -> Vec<StateKey> {
    vec![
        key::chain(),
        key::tenant(&TENANT),
        key::signer(&TENANT, &owner().public_key()),
        key::bucket(&TENANT, &bucket("one")),
        key::head(&TENANT, &place("one", "key")),
        key::version(&TENANT, &place("one", "key"), &version()),
        key::upload(&TENANT, &upload(1)),
        key::part(&TENANT, &upload(1), 1),
        key::outcome(&Digest([1; 32])),
    ]
}

fn bucket_record(lock: Vec<BucketLock>, annotated: bool) -> Bucket {
    let lock = List::new(lock).unwrap();
    let usage = Usage { bytes: 13, objects: 14, quota: quota(annotated) };
    Bucket { created: version(), created_ms: 5, deleted: false, live: u64::MAX, lock, annotated, usage }
}

fn quota(given: bool) -> List<Quota, 1> {
    let quota = given.then_some(Quota { bytes: u64::MAX, objects: 15 });
    List::new(quota.into_iter().collect()).unwrap()
}

fn records() -> Vec<Record> {
    let (version, entry, time_ms) = (version(), Digest([0xee; 32]), 4);
    let state = UploadState::Completed;
    vec![
        Chain { height: 1, time_ms }.into(),
        Tenant { created_ms: 2, keys: 3, usage: Usage { bytes: 16, objects: 17, quota: quota(true) } }.into(),
        Signer { active: true }.into(),
        bucket_record(Vec::new(), false).into(),
        Head { version, kind: Kind::Marker, time_ms, entry }.into(),
        Version { kind: Kind::Object, time_ms, entry }.into(),
        Upload { state, revision: 6, version, head: Digest([0xdd; 32]), entry }.into(),
        Part { version, entry }.into(),
        Outcome { height: 7, index: 8, code: 20, time_ms }.into(),
    ]
}

/// Keys of the records that came with hiding.
fn later_keys() -> Vec<StateKey> {
    let place = place("one", "key");
    vec![key::visibility(&TENANT, &place), key::hidden(&TENANT, &place, &version())]
}

fn later_records() -> Vec<Record> {
    let (version, entry) = (version(), Digest([0xee; 32]));
    vec![
        Visibility { revision: 9 }.into(),
        Hidden { hidden: true, changed: version, changed_ms: 10 }.into(),
        Head { version, kind: Kind::Nothing, time_ms: 4, entry }.into(),
    ]
}

/// Keys of the records that came with locks and annotations.
fn lock_keys() -> Vec<StateKey> {
    let (place, version) = (place("one", "key"), version());
    let tags = TargetAt { place: place.clone(), version: Target::Version(version) };
    vec![
        key::lock(&TENANT, &place, &version),
        key::annotation(&TENANT, &About::BucketTags(bucket("one"))),
        key::annotation(&TENANT, &About::BucketCors(bucket("one"))),
        key::annotation(&TENANT, &About::BucketLifecycle(bucket("one"))),
        key::annotation(&TENANT, &About::BucketPolicy(bucket("one"))),
        key::annotation(&TENANT, &About::BucketPublicAccess(bucket("one"))),
        key::annotation(&TENANT, &About::VersionTags(tags)),
    ]
}

fn lock_records() -> Vec<Record> {
    let default = DefaultRetention { mode: Mode::Compliance, period: Period::Years(u32::MAX) };
    let default = List::new(vec![default]).unwrap();
    let lock = BucketLock { default, retained: u64::MAX, held: 11, retained_until_ms: 12 };
    let retention = Retention { mode: Mode::Governance, until_ms: u64::MAX };
    vec![
        bucket_record(vec![lock], true).into(),
        Lock { retention: List::new(vec![retention]).unwrap(), hold: true }.into(),
        Annotation { changed: version(), entry: Digest([0xee; 32]) }.into(),
    ]
}

#[test]
fn state_keys_and_records_are_frozen() {
    let bytes_of_keys = |keys: &[StateKey]| keys.iter().flat_map(|key| key.0).collect::<Vec<u8>>();
    let bytes_of = |records: &[Record]| records.iter().flat_map(Record::to_bytes).collect::<Vec<u8>>();
    let (keys, records) = (bytes_of_keys(&keys()), bytes_of(&records()));
    let hash = |bytes: &[u8]| sha256("outlast/test/format", &[bytes]).to_string();
    assert_eq!(
        hash(&bytes_of_keys(&later_keys())),
        "57b730e277a500660b7249a11ba32a69e1e362a8ba1daf6953476f935bf2880c"
    );
    assert_eq!(
        hash(&bytes_of(&later_records())),
        "81e45f0d7a27f70193a005db92b8f954a928b639b715c1624e6574c68ac612ef"
    );
    assert_eq!(
        hash(&bytes_of_keys(&lock_keys())),
        "9a5d74495fac371c2f8af2f8a7ee3440673a8f97f1df85fccdd5d674e86808e9"
    );
    assert_eq!(
        hash(&bytes_of(&lock_records())),
        "5c0cc811e485376389fd268250b4a62b9d96a9a5bb65586c10f114939de760fc"
    );
    assert_eq!(hash(&keys), "09a7d6b4a724b067cba3e96b9165b8c30daeadc4f0fcceb80b6aea0f13402161");
    assert_eq!(hash(&records), "b902a2c88a889679fb57d37776b68dfbeb7defc15f9efbdd7ee09fb9eb97863d");
}

#[test]
fn every_kind_of_record_has_keys_of_its_own() {
    let mut keys = [keys(), later_keys(), lock_keys()].concat();
    let kinds = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), kinds);
    let moved = [key::head(&TENANT, &place("abc", "de")), key::head(&TENANT, &place("abcd", "e"))];
    assert_ne!(moved[0], moved[1], "the parts of a name do not run together");
}

#[test]
fn records_come_back_and_nothing_else_does() {
    for record in records().into_iter().chain(later_records()).chain(lock_records()) {
        let bytes = record.to_bytes();
        assert_eq!(Record::from_bytes(&bytes).unwrap(), record);
        for bit in 0..RECORD_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(other) = Record::from_bytes(&flipped) {
                assert!(other != record && other.to_bytes() == flipped, "bit {bit} of {record:?}");
            }
        }
        let mut tailed = bytes;
        tailed[RECORD_BYTES - 1] = 1;
        assert!(Record::from_bytes(&tailed).is_err());
    }
    for tag in [0, 14, 0xff] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[0] = tag;
        assert!(Record::from_bytes(&bytes).is_err(), "tag {tag}");
    }
}

#[test]
fn refusals_keep_their_codes() {
    let expected = [
        (1, Refusal::Duplicate),
        (2, Refusal::OtherNetwork),
        (3, Refusal::Expired),
        (4, Refusal::ExpiryTooFar),
        (5, Refusal::NotSigner),
        (6, Refusal::NotApprover),
        (7, Refusal::MixedCreation),
        (10, Refusal::NoSuchBucket),
        (11, Refusal::BucketExists),
        (12, Refusal::BucketNotEmpty),
        (20, Refusal::KeyPresent),
        (21, Refusal::KeyMissing),
        (22, Refusal::KeyChanged),
        (23, Refusal::NoSuchVersion),
        (24, Refusal::VersionHidden),
        (25, Refusal::VersionShown),
        (26, Refusal::VersionsChanged),
        (30, Refusal::UploadExists),
        (31, Refusal::NoSuchUpload),
        (32, Refusal::UploadChanged),
        (40, Refusal::TenantExists),
        (41, Refusal::SignerExists),
        (42, Refusal::NoSuchSigner),
        (43, Refusal::LastSigner),
        (44, Refusal::NoSuchTenant),
        (50, Refusal::Exhausted),
        (51, Refusal::QuotaExceeded),
        (60, Refusal::NotLockable),
        (61, Refusal::Retained),
        (62, Refusal::RetainedByGovernance),
        (63, Refusal::Held),
        (64, Refusal::InvalidRetention),
    ];
    let actual: Vec<_> = Refusal::ALL.iter().map(|refusal| (refusal.code(), *refusal)).collect();
    assert_eq!(actual, expected);
    for code in 0..=u16::MAX {
        let refusal = expected.iter().find(|(known, _)| *known == code).map(|(_, refusal)| *refusal);
        assert_eq!(Refusal::from_code(code), refusal);
    }
    assert_eq!(Refusal::from_code(APPLIED), None);
}
