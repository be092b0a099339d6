//! The rules of execution, one test each.

use crate::network::{
    self, Chain, START_MS, TENANT, approver, body, bucket, owner, place, secret, transaction, unsigned,
    upload,
};
use ledger::{
    BlockContext, Effect, Record, Refusal, effects, execute, key,
    record::{Bucket, Head, Kind, Part, Signer, Tenant, Upload, UploadState, Usage, Version},
};
use proof::{
    Digest, TenantId, VersionId,
    limits::EXPIRY_AHEAD_MS_MAX,
    transaction::{
        AbortUpload, AddKey, Attachment, CompleteUpload, CreateBucket, CreateTenant, CreateUpload,
        DeleteBucket, KeyAt, Operation, Precondition, PutMarker, PutPart, PutVersion, RevokeKey, UploadAt,
    },
    wire::Octets,
};
use std::collections::BTreeMap;

fn create(name: &str) -> Operation {
    Operation::CreateBucket(CreateBucket { bucket: bucket(name) })
}

fn delete(name: &str) -> Operation {
    Operation::DeleteBucket(DeleteBucket { bucket: bucket(name) })
}

fn put(name: &str, at: &str, content: u8) -> Operation {
    Operation::PutVersion(PutVersion { place: place(name, at), body: body(content) })
}

fn mark(name: &str, at: &str) -> Operation {
    Operation::PutMarker(PutMarker { place: place(name, at) })
}

fn open(id: u8, name: &str, at: &str) -> Operation {
    let sealed = Attachment { digest: Digest([9; 32]), length: 9 };
    Operation::CreateUpload(CreateUpload { upload: upload(id), place: place(name, at), sealed })
}

fn part(id: u8, number: u16, content: u8) -> Operation {
    Operation::PutPart(PutPart { upload: upload(id), number, body: body(content) })
}

fn complete(id: u8, name: &str, at: &str) -> Operation {
    Operation::CompleteUpload(CompleteUpload { upload: upload(id), place: place(name, at), body: body(77) })
}

fn abort(id: u8) -> Operation {
    Operation::AbortUpload(AbortUpload { upload: upload(id) })
}

fn absent(name: &str, at: &str) -> Precondition {
    Precondition::KeyAbsent(place(name, at))
}

fn at(name: &str, at: &str, version: VersionId) -> Precondition {
    Precondition::KeyAt(KeyAt { place: place(name, at), version })
}

fn unchanged(id: u8, revision: u32) -> Precondition {
    Precondition::UploadAt(UploadAt { upload: upload(id), revision })
}

fn live(chain: &Chain, name: &str) -> u64 {
    chain.get::<Bucket>(key::bucket(&TENANT, &bucket(name))).expect("the bucket exists").live
}

fn head(chain: &Chain, name: &str, at: &str) -> Option<Head> {
    chain.get(key::head(&TENANT, &place(name, at)))
}

#[test]
fn the_first_block_founds_the_tenants() {
    let chain = Chain::new();
    assert_eq!(
        chain.get(key::tenant(&TENANT)),
        Some(Tenant { created_ms: START_MS, keys: 1, usage: Usage::default() })
    );
    assert_eq!(chain.get(key::signer(&TENANT, &owner().public_key())), Some(Signer { active: true }));
    assert!(
        matches!(chain.state[&key::chain()], Record::Chain(ref at) if (at.height, at.time_ms) == (1, START_MS))
    );
}

#[test]
fn a_tenant_founded_with_two_keys_has_two() {
    let mut genesis = network::genesis();
    let mut tenants = genesis.tenants.into_inner();
    tenants.push(tenants[0].clone());
    tenants.push(proof::genesis::GenesisTenant { key: secret(101).public_key(), ..tenants[0].clone() });
    genesis.tenants = proof::wire::List::new(tenants).unwrap();
    let block = BlockContext { genesis: &genesis, network: genesis.id(), height: 1, time_ms: START_MS };
    let execution = execute(&block, &BTreeMap::new(), &[]);
    assert_eq!(
        execution.writes[&key::tenant(&TENANT)],
        Record::Tenant(Tenant { created_ms: START_MS, keys: 2, usage: Usage::default() })
    );
}

#[test]
fn the_first_block_executes_on_the_tenants_it_founds() {
    let genesis = network::genesis();
    let block = BlockContext { genesis: &genesis, network: genesis.id(), height: 1, time_ms: START_MS };
    let execution =
        execute(&block, &BTreeMap::new(), &[unsigned(transaction(0, vec![], vec![create("one")]))]);
    assert_eq!(execution.outcomes, [0]);
}

#[test]
fn a_transaction_is_executed_once() {
    let mut chain = Chain::new();
    let applied = transaction(1, vec![], vec![create("one")]);
    let refused = transaction(2, vec![], vec![put("two", "key", 1)]);
    assert!(chain.submit(applied.clone()).is_ok());
    assert_eq!(chain.submit(refused.clone()), Err(Refusal::NoSuchBucket));
    let before = chain.state.clone();
    assert!(chain.run(vec![], vec![create("two")]).is_ok());
    assert_eq!(chain.submit(applied.clone()), Err(Refusal::Duplicate));
    assert_eq!(chain.submit(refused.clone()), Err(Refusal::Duplicate), "a refused one is not executed later");
    for transaction in [applied, refused] {
        let outcome = key::outcome(&transaction.id());
        assert_eq!(chain.state[&outcome], before[&outcome], "the first outcome stands");
    }
}

#[test]
fn a_transaction_is_executed_once_within_a_block() {
    let mut chain = Chain::new();
    let twice = unsigned(transaction(1, vec![], vec![create("one")]));
    assert_eq!(chain.block(&[twice.clone(), twice]), [Ok(()), Err(Refusal::Duplicate)]);
}

#[test]
fn expiry_is_bounded_on_both_sides() {
    let mut chain = Chain::new();
    let mut nonce = 0;
    let mut expiring = |expires_ms: u64| {
        nonce += 1;
        let mut transaction = transaction(nonce, vec![], vec![create(&format!("bucket{nonce}"))]);
        transaction.expires_ms = expires_ms;
        chain.submit(transaction).map(|_| ())
    };
    assert_eq!(expiring(0), Err(Refusal::Expired));
    assert_eq!(expiring(START_MS), Err(Refusal::Expired));
    assert_eq!(expiring(START_MS + 1), Ok(()));
    assert_eq!(expiring(START_MS + EXPIRY_AHEAD_MS_MAX), Ok(()));
    assert_eq!(expiring(START_MS + EXPIRY_AHEAD_MS_MAX + 1), Err(Refusal::ExpiryTooFar));
    assert_eq!(expiring(u64::MAX), Err(Refusal::ExpiryTooFar));
}

#[test]
fn block_time_at_its_end_does_not_overflow() {
    let mut chain = Chain::new();
    chain.time_ms = u64::MAX - 1;
    let mut last = transaction(1, vec![], vec![create("one")]);
    last.expires_ms = u64::MAX;
    assert!(chain.submit(last).is_ok());
}

#[test]
fn other_networks_and_strangers_are_refused() {
    let mut chain = Chain::new();
    let mut other = transaction(1, vec![], vec![create("one")]);
    other.network = Digest::ZERO;
    assert_eq!(chain.submit(other), Err(Refusal::OtherNetwork));
    let mut stranger = transaction(2, vec![], vec![create("one")]);
    stranger.signer = secret(101).public_key();
    assert_eq!(chain.submit(stranger), Err(Refusal::NotSigner));
    let mut elsewhere = transaction(3, vec![], vec![create("one")]);
    elsewhere.tenant = TenantId([8; 16]);
    assert_eq!(chain.submit(elsewhere), Err(Refusal::NotSigner));
}

#[test]
fn a_refused_operation_takes_back_all_of_its_transaction() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create("one")]).unwrap();
    let operations = vec![put("one", "key", 1), create("two"), put("three", "key", 1)];
    assert_eq!(chain.run(vec![], operations), Err(Refusal::NoSuchBucket));
    assert_eq!((head(&chain, "one", "key"), live(&chain, "one")), (None, 0));
    assert!(!chain.state.contains_key(&key::bucket(&TENANT, &bucket("two"))));
}

#[test]
fn operations_see_earlier_ones_and_so_do_transactions_of_a_block() {
    let mut chain = Chain::new();
    let operations =
        vec![create("one"), put("one", "key", 1), mark("one", "key"), delete("one"), create("one")];
    let transactions = [
        unsigned(transaction(1, vec![], operations)),
        unsigned(transaction(2, vec![absent("one", "key")], vec![put("one", "key", 2)])),
        unsigned(transaction(3, vec![absent("one", "key")], vec![put("one", "key", 3)])),
    ];
    assert_eq!(chain.block(&transactions), [Ok(()), Ok(()), Err(Refusal::KeyPresent)]);
    let version = VersionId { height: chain.height, index: 1, operation: 0 };
    assert_eq!(head(&chain, "one", "key").unwrap().version, version);
    assert_eq!(live(&chain, "one"), 1);
}

#[test]
fn preconditions_look_at_the_state_before_the_first_operation() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create("one")]).unwrap();
    let version = VersionId { height: chain.height + 1, index: 0, operation: 0 };
    let own = vec![absent("one", "key"), at("one", "key", version)];
    assert_eq!(chain.run(own, vec![put("one", "key", 1)]), Err(Refusal::KeyMissing));
}

#[test]
fn buckets_are_created_once_deleted_when_empty_and_created_again() {
    let mut chain = Chain::new();
    assert_eq!(chain.run(vec![], vec![delete("one")]), Err(Refusal::NoSuchBucket));
    let first = chain.run(vec![], vec![create("one")]).unwrap();
    assert_eq!(chain.run(vec![], vec![create("one")]), Err(Refusal::BucketExists));
    chain.run(vec![], vec![put("one", "a", 1), put("one", "b", 1), put("one", "a", 2)]).unwrap();
    assert_eq!(live(&chain, "one"), 2);
    assert_eq!(chain.run(vec![], vec![delete("one")]), Err(Refusal::BucketNotEmpty));
    chain.run(vec![], vec![mark("one", "a"), mark("one", "b"), mark("one", "b")]).unwrap();
    assert_eq!(live(&chain, "one"), 0);
    chain.run(vec![], vec![delete("one")]).unwrap();
    for operation in [delete("one"), put("one", "a", 1), mark("one", "a"), open(1, "one", "a")] {
        assert_eq!(chain.run(vec![], vec![operation]), Err(Refusal::NoSuchBucket));
    }
    let second = chain.run(vec![], vec![create("one")]).unwrap();
    let record = chain.get::<Bucket>(key::bucket(&TENANT, &bucket("one"))).unwrap();
    assert!(first < second);
    let (lock, annotated) = (proof::wire::List::default(), false);
    // What was put in its earlier life is kept.
    let usage = Usage { bytes: 48, objects: 3, ..Usage::default() };
    let (created, created_ms) = (second, START_MS);
    let expected = Bucket { created, created_ms, deleted: false, live: 0, lock, annotated, usage };
    assert_eq!(record, expected);
}

#[test]
fn heads_of_an_earlier_life_of_the_bucket_do_not_count() {
    let mut chain = Chain::new();
    // A bucket is deleted only without live keys, so what is left of an earlier life are markers.
    chain.run(vec![], vec![create("one"), put("one", "key", 1), mark("one", "key")]).unwrap();
    let old = head(&chain, "one", "key").unwrap();
    chain.run(vec![], vec![delete("one"), create("one")]).unwrap();
    let record = chain.get::<Bucket>(key::bucket(&TENANT, &bucket("one"))).unwrap();
    assert!(!old.is_current(&record));
    assert_eq!(
        chain.run(vec![at("one", "key", old.version)], vec![mark("one", "key")]),
        Err(Refusal::KeyMissing)
    );
    chain.run(vec![absent("one", "key")], vec![put("one", "key", 2)]).unwrap();
    assert!(head(&chain, "one", "key").unwrap().is_current(&record));
    assert_eq!(live(&chain, "one"), 1);
}

#[test]
fn versions_stay_and_the_newest_is_the_head() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create("one")]).unwrap();
    let first = chain.run(vec![], vec![put("one", "key", 1)]).unwrap();
    let second = chain.run(vec![], vec![mark("one", "key")]).unwrap();
    let record =
        |version| chain.get::<Version>(key::version(&TENANT, &place("one", "key"), &version)).unwrap();
    assert_eq!((record(first).kind, record(second).kind), (Kind::Object, Kind::Marker));
    let head = head(&chain, "one", "key").unwrap();
    assert_eq!((head.version, head.kind, head.entry), (second, Kind::Marker, record(second).entry));
}

#[test]
fn a_marker_on_an_absent_key_is_written() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create("one")]).unwrap();
    let version = chain.run(vec![], vec![mark("one", "key")]).unwrap();
    assert_eq!(head(&chain, "one", "key").unwrap().version, version);
    assert_eq!(live(&chain, "one"), 0);
}

#[test]
fn key_preconditions_tell_absent_from_changed() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create("one")]).unwrap();
    let any = VersionId { height: 1, index: 0, operation: 0 };
    assert_eq!(chain.run(vec![at("one", "key", any)], vec![put("one", "key", 1)]), Err(Refusal::KeyMissing));
    let first = chain.run(vec![absent("one", "key")], vec![put("one", "key", 1)]).unwrap();
    assert_eq!(chain.run(vec![absent("one", "key")], vec![put("one", "key", 2)]), Err(Refusal::KeyPresent));
    let second = chain.run(vec![at("one", "key", first)], vec![put("one", "key", 2)]).unwrap();
    assert_eq!(
        chain.run(vec![at("one", "key", first)], vec![put("one", "key", 3)]),
        Err(Refusal::KeyChanged)
    );
    let marker = chain.run(vec![at("one", "key", second)], vec![mark("one", "key")]).unwrap();
    assert_eq!(
        chain.run(vec![at("one", "key", marker)], vec![put("one", "key", 3)]),
        Err(Refusal::KeyMissing)
    );
    assert!(chain.run(vec![absent("one", "key")], vec![put("one", "key", 3)]).is_ok());
    assert_eq!(chain.run(vec![at("two", "key", any)], vec![create("two")]), Err(Refusal::NoSuchBucket));
    assert!(chain.run(vec![absent("two", "key")], vec![create("two")]).is_ok());
}

#[test]
fn an_upload_takes_parts_until_it_is_completed() {
    let mut chain = Chain::new();
    let state = |chain: &Chain| chain.get::<Upload>(key::upload(&TENANT, &upload(1))).unwrap();
    chain.run(vec![], vec![create("one")]).unwrap();
    assert_eq!(chain.run(vec![], vec![part(1, 1, 1)]), Err(Refusal::NoSuchUpload));
    let opened = chain.run(vec![], vec![open(1, "one", "key")]).unwrap();
    assert_eq!(chain.run(vec![], vec![open(1, "one", "other")]), Err(Refusal::UploadExists));
    chain.run(vec![unchanged(1, 0)], vec![part(1, 1, 1), part(1, 2, 2)]).unwrap();
    let again = chain.run(vec![], vec![part(1, 1, 3)]).unwrap();
    assert_eq!(chain.get::<Part>(key::part(&TENANT, &upload(1), 1)).unwrap().version, again);
    assert_eq!((state(&chain).revision, state(&chain).version), (3, opened));
    assert_eq!(chain.run(vec![unchanged(1, 2)], vec![abort(1)]), Err(Refusal::UploadChanged));
    assert_eq!(chain.run(vec![], vec![complete(1, "one", "other")]), Err(Refusal::NoSuchUpload));
    let version = chain.run(vec![unchanged(1, 3)], vec![complete(1, "one", "key")]).unwrap();
    assert_eq!((state(&chain).revision, state(&chain).state), (4, UploadState::Completed));
    assert_eq!((head(&chain, "one", "key").unwrap().version, live(&chain, "one")), (version, 1));
    for operation in [part(1, 3, 3), abort(1), complete(1, "one", "key")] {
        assert_eq!(chain.run(vec![], vec![operation]), Err(Refusal::NoSuchUpload));
    }
    assert_eq!(chain.run(vec![unchanged(1, 4)], vec![create("two")]), Err(Refusal::NoSuchUpload));
    assert_eq!(
        chain.run(vec![], vec![open(1, "one", "key")]),
        Err(Refusal::UploadExists),
        "ids are not reused"
    );
}

#[test]
fn an_aborted_upload_is_closed() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create("one"), open(1, "one", "key")]).unwrap();
    chain.run(vec![], vec![abort(1)]).unwrap();
    assert_eq!(chain.run(vec![], vec![complete(1, "one", "key")]), Err(Refusal::NoSuchUpload));
    assert_eq!(head(&chain, "one", "key"), None);
}

#[test]
fn an_upload_ends_with_its_buckets_life() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create("one"), open(1, "one", "key"), part(1, 1, 1), delete("one")]).unwrap();
    assert_eq!(chain.run(vec![], vec![complete(1, "one", "key")]), Err(Refusal::NoSuchBucket));
    chain.run(vec![], vec![create("one")]).unwrap();
    assert_eq!(chain.run(vec![], vec![complete(1, "one", "key")]), Err(Refusal::NoSuchUpload));
}

#[test]
fn keys_are_added_and_revoked_but_never_the_last() {
    let mut chain = Chain::new();
    let (owner, second) = (owner().public_key(), secret(101).public_key());
    let add = |key| Operation::AddKey(AddKey { key });
    let revoke = |key| Operation::RevokeKey(RevokeKey { key });
    let keys = |chain: &Chain| chain.get::<Tenant>(key::tenant(&TENANT)).unwrap().keys;
    assert_eq!(chain.run(vec![], vec![revoke(owner)]), Err(Refusal::LastSigner));
    assert_eq!(chain.run(vec![], vec![revoke(second)]), Err(Refusal::NoSuchSigner));
    assert_eq!(chain.run(vec![], vec![add(owner)]), Err(Refusal::SignerExists));
    chain.run(vec![], vec![add(second)]).unwrap();
    assert_eq!(keys(&chain), 2);
    assert_eq!(chain.run(vec![], vec![revoke(second), revoke(owner)]), Err(Refusal::LastSigner));
    chain.run(vec![], vec![revoke(owner)]).unwrap();
    assert_eq!(keys(&chain), 1);
    assert_eq!(chain.run(vec![], vec![create("one")]), Err(Refusal::NotSigner));
    let mut handed_over = transaction(1, vec![], vec![add(owner), create("one")]);
    handed_over.signer = second;
    assert!(chain.submit(handed_over).is_ok());
    assert_eq!(keys(&chain), 2);
    assert!(chain.run(vec![], vec![create("two")]).is_ok());
}

#[test]
fn only_an_approver_creates_a_tenant_and_nothing_else() {
    let mut chain = Chain::new();
    let tenant = TenantId([8; 16]);
    let creation = Operation::CreateTenant(CreateTenant {
        tenant,
        name: Octets::default(),
        key: secret(101).public_key(),
    });
    let of = |nonce, signer: proof::PublicKey, tenant, operations| {
        let mut transaction = transaction(nonce, vec![], operations);
        (transaction.signer, transaction.tenant) = (signer, tenant);
        transaction
    };
    let (approver, owner) = (approver().public_key(), owner().public_key());
    assert_eq!(chain.submit(of(1, owner, tenant, vec![creation.clone()])), Err(Refusal::NotApprover));
    assert_eq!(chain.submit(of(2, approver, TENANT, vec![creation.clone()])), Err(Refusal::MixedCreation));
    let mixed = vec![creation.clone(), create("one")];
    assert_eq!(chain.submit(of(3, approver, tenant, mixed)), Err(Refusal::MixedCreation));
    assert!(chain.submit(of(4, approver, tenant, vec![creation.clone()])).is_ok());
    assert_eq!(chain.get::<Tenant>(key::tenant(&tenant)).unwrap().keys, 1);
    assert_eq!(chain.submit(of(5, approver, tenant, vec![creation])), Err(Refusal::TenantExists));
    assert_eq!(chain.submit(of(6, approver, tenant, vec![create("one")])), Err(Refusal::NotSigner));
    let first = of(7, secret(101).public_key(), tenant, vec![create("one")]);
    let genesis = network::genesis();
    let block = BlockContext { genesis: &genesis, network: genesis.id(), height: 99, time_ms: START_MS };
    assert_eq!(execute(&block, &chain.state, &[unsigned(first)]).outcomes, [0]);
}

#[test]
fn tenants_do_not_see_each_other() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create("one"), put("one", "key", 1), open(1, "one", "key")]).unwrap();
    let other = TenantId([8; 16]);
    chain.state.insert(key::signer(&other, &owner().public_key()), Signer { active: true }.into());
    let mut nonce = 0;
    for operation in [put("one", "key", 2), delete("one"), part(1, 1, 1), abort(1), complete(1, "one", "key")]
    {
        nonce += 1;
        let mut foreign = transaction(nonce, vec![], vec![operation]);
        foreign.tenant = other;
        let refusal = chain.submit(foreign).unwrap_err();
        assert!(matches!(refusal, Refusal::NoSuchBucket | Refusal::NoSuchUpload));
    }
}

#[test]
fn effects_are_in_the_order_of_the_operations() {
    let chain = Chain::new();
    let operations = vec![
        create("one"),
        open(1, "one", "key"),
        part(1, 1, 1),
        complete(1, "one", "key"),
        mark("one", "key"),
        delete("one"),
    ];
    let signed = unsigned(transaction(1, vec![], operations));
    let block =
        BlockContext { genesis: &chain.genesis, network: chain.network, height: 5, time_ms: START_MS };
    let version = |operation| VersionId { height: 5, index: 3, operation };
    let effects = effects(&block, 3, &signed);
    assert!(
        matches!(&effects[..], [
        Effect::BucketCreated(created),
        Effect::UploadOpened(opened),
        Effect::PartPut(TENANT, part),
        Effect::UploadClosed(closed),
        Effect::VersionAdded(object),
        Effect::VersionAdded(marker),
        Effect::BucketDeleted(deleted),
    ] if created.version == version(0) && opened.version == version(1) && part.version == version(2)
        && closed.version == version(3) && closed.completed && object.version == version(3)
        && object.body().is_some() && marker.version == version(4) && marker.body().is_none()
        && deleted.version == version(5)),
        "{effects:?}"
    );
}
