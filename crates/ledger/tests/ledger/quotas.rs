//! Quotas one by one. That usage is counted right in every history is in `model`.

use crate::network::{Chain, TENANT, approver, body, bucket, place, secret, transaction, upload};
use ledger::{
    Refusal, key,
    record::{Bucket, Tenant, Usage},
};
use proof::{
    Digest, TenantId,
    transaction::{
        Attachment, CompleteUpload, CreateBucket, CreateTenant, CreateUpload, DeleteBucket, Operation,
        PutMarker, PutPart, PutVersion, Quota, SetQuota, SetTenantQuota,
    },
    wire::{List, Octets},
};

const ANY: u64 = u64::MAX;

fn create() -> Operation {
    Operation::CreateBucket(CreateBucket { bucket: bucket("one") })
}

fn delete() -> Operation {
    Operation::DeleteBucket(DeleteBucket { bucket: bucket("one") })
}

fn put(bytes: u64) -> Operation {
    let body = proof::transaction::Body { ciphertext_length: bytes, ..body(1) };
    Operation::PutVersion(PutVersion { place: place("one", "key"), body })
}

fn mark() -> Operation {
    Operation::PutMarker(PutMarker { place: place("one", "key") })
}

fn part(bytes: u64) -> Operation {
    let body = proof::transaction::Body { ciphertext_length: bytes, ..body(1) };
    Operation::PutPart(PutPart { upload: upload(1), number: 1, body })
}

fn list(quota: Option<(u64, u64)>) -> List<Quota, 1> {
    List::new(quota.into_iter().map(|(bytes, objects)| Quota { bytes, objects }).collect()).unwrap()
}

fn limit(quota: Option<(u64, u64)>) -> Operation {
    Operation::SetQuota(SetQuota { bucket: bucket("one"), quota: list(quota) })
}

/// What the approver says of a tenant's quota, or whoever `signer` is.
fn govern(
    chain: &mut Chain,
    signer: &proof::SecretKey,
    tenant: TenantId,
    more: Vec<Operation>,
    quota: Option<(u64, u64)>,
) -> Result<(), Refusal> {
    let set = Operation::SetTenantQuota(SetTenantQuota { tenant, quota: list(quota) });
    let operations = [vec![set], more].concat();
    let mut transaction = transaction(chain.height, Vec::new(), operations);
    (transaction.signer, transaction.tenant) = (signer.public_key(), tenant);
    chain.submit(transaction).map(drop)
}

fn used(chain: &Chain) -> ((u64, u64), (u64, u64)) {
    let pair = |usage: Usage| (usage.bytes, usage.objects);
    let of_bucket = chain.get::<Bucket>(key::bucket(&TENANT, &bucket("one"))).unwrap().usage;
    let of_tenant = chain.get::<Tenant>(key::tenant(&TENANT)).unwrap().usage;
    (pair(of_bucket), pair(of_tenant))
}

#[test]
fn a_bucket_keeps_as_much_as_it_may() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create(), put(100)]).unwrap();
    chain.run(vec![], vec![limit(Some((150, ANY)))]).unwrap();
    assert_eq!(chain.run(vec![], vec![put(51)]), Err(Refusal::QuotaExceeded));
    // All of a transaction, or nothing.
    assert_eq!(chain.run(vec![], vec![put(25), put(26)]), Err(Refusal::QuotaExceeded));
    assert_eq!(used(&chain), ((100, 1), (100, 1)));
    chain.run(vec![], vec![put(50)]).unwrap();
    // Deleting needs no room, and makes none.
    chain.run(vec![], vec![mark()]).unwrap();
    assert_eq!(chain.run(vec![], vec![put(1)]), Err(Refusal::QuotaExceeded));
    chain.run(vec![], vec![limit(Some((ANY, 3)))]).unwrap();
    chain.run(vec![], vec![put(1000)]).unwrap();
    assert_eq!(chain.run(vec![], vec![put(0)]), Err(Refusal::QuotaExceeded));
    chain.run(vec![], vec![limit(None), put(1)]).unwrap();
    assert_eq!(used(&chain), ((1151, 4), (1151, 4)));
    // A limit below what is used forbids more, and nothing else.
    chain.run(vec![], vec![limit(Some((1, 1))), mark()]).unwrap();
    assert_eq!(chain.run(vec![], vec![put(0)]), Err(Refusal::QuotaExceeded));
}

#[test]
fn a_new_life_does_not_get_rid_of_a_quota() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create(), limit(Some((100, ANY))), put(100), mark(), delete()]).unwrap();
    assert_eq!(chain.run(vec![], vec![limit(None)]), Err(Refusal::NoSuchBucket));
    chain.run(vec![], vec![create()]).unwrap();
    assert_eq!(chain.run(vec![], vec![put(1)]), Err(Refusal::QuotaExceeded));
}

#[test]
fn parts_count_for_the_tenant_when_they_are_put() {
    let mut chain = Chain::new();
    let sealed = Attachment { digest: Digest([9; 32]), length: 9 };
    let place = place("one", "key");
    let open = Operation::CreateUpload(CreateUpload { upload: upload(1), place: place.clone(), sealed });
    chain.run(vec![], vec![create(), open, part(70), part(70)]).unwrap();
    assert_eq!(used(&chain), ((0, 0), (140, 0)));
    let body = proof::transaction::Body { ciphertext_length: 70, ..body(1) };
    let complete = Operation::CompleteUpload(CompleteUpload { upload: upload(1), place, body });
    chain.run(vec![], vec![limit(Some((69, ANY)))]).unwrap();
    assert_eq!(chain.run(vec![], vec![complete.clone()]), Err(Refusal::QuotaExceeded));
    chain.run(vec![], vec![limit(Some((70, ANY)))]).unwrap();
    chain.run(vec![], vec![complete]).unwrap();
    assert_eq!(used(&chain), ((70, 1), (140, 1)));
}

#[test]
fn an_approver_limits_a_tenant() {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create(), put(100)]).unwrap();
    govern(&mut chain, &approver(), TENANT, vec![], Some((150, 3))).unwrap();
    assert_eq!(chain.run(vec![], vec![put(51)]), Err(Refusal::QuotaExceeded));
    chain.run(vec![], vec![put(10), put(10)]).unwrap();
    assert_eq!(chain.run(vec![], vec![put(10)]), Err(Refusal::QuotaExceeded));
    let sealed = Attachment { digest: Digest([9; 32]), length: 9 };
    let place = place("one", "other");
    let open = Operation::CreateUpload(CreateUpload { upload: upload(1), place, sealed });
    chain.run(vec![], vec![open, part(30)]).unwrap();
    assert_eq!(chain.run(vec![], vec![part(1)]), Err(Refusal::QuotaExceeded));
    chain.run(vec![], vec![mark()]).unwrap();
    govern(&mut chain, &approver(), TENANT, vec![], None).unwrap();
    chain.run(vec![], vec![put(1000)]).unwrap();
}

#[test]
fn nobody_else_limits_a_tenant() {
    let mut chain = Chain::new();
    let owner = crate::network::owner();
    for signer in [owner, secret(101)] {
        assert_eq!(govern(&mut chain, &signer, TENANT, vec![], None), Err(Refusal::NotApprover));
    }
    let other = TenantId([8; 16]);
    assert_eq!(govern(&mut chain, &approver(), other, vec![], None), Err(Refusal::NoSuchTenant));
    let mixed = govern(&mut chain, &approver(), TENANT, vec![create()], None);
    assert_eq!(mixed, Err(Refusal::MixedCreation));
    // A tenant may be limited in the transaction that makes it.
    let (name, key) = (Octets::default(), secret(101).public_key());
    let make = Operation::CreateTenant(CreateTenant { tenant: other, name, key });
    let set = Operation::SetTenantQuota(SetTenantQuota { tenant: other, quota: list(Some((1, 1))) });
    let mut transaction = transaction(99, Vec::new(), vec![make, set]);
    (transaction.signer, transaction.tenant) = (approver().public_key(), other);
    chain.submit(transaction).unwrap();
    let usage = chain.get::<Tenant>(key::tenant(&other)).unwrap().usage;
    assert_eq!(usage.quota, list(Some((1, 1))));
}
