//! What execution looks at, known from the transaction alone.

use crate::key::{self, StateKey};
use proof::{
    SignedTransaction, TenantId, VersionId,
    transaction::{Operation, Place, Precondition, Target},
};

/// Every key that [`execute`](crate::execute) may read for this transaction, sorted, each once.
pub fn reads(signed: &SignedTransaction) -> Vec<StateKey> {
    let transaction = &signed.transaction;
    let tenant = &transaction.tenant;
    let mut keys = vec![key::outcome(&transaction.id()), key::signer(tenant, &transaction.signer)];
    keys.extend(
        transaction.preconditions.iter().flat_map(|precondition| of_precondition(tenant, precondition)),
    );
    keys.extend(transaction.operations.iter().flat_map(|operation| of_operation(tenant, operation)));
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn of_place(tenant: &TenantId, place: &Place) -> Vec<StateKey> {
    vec![key::bucket(tenant, &place.bucket), key::head(tenant, place)]
}

/// A key's head, and of these versions all there is.
fn of_versions<'a>(
    tenant: &TenantId,
    place: &Place,
    versions: impl IntoIterator<Item = &'a VersionId>,
) -> Vec<StateKey> {
    let versions = versions.into_iter();
    let of = |version| {
        let (hidden, lock) = (key::hidden(tenant, place, version), key::lock(tenant, place, version));
        [key::version(tenant, place, version), hidden, lock]
    };
    let keys = of_place(tenant, place).into_iter().chain([key::visibility(tenant, place)]);
    keys.chain(versions.flat_map(of)).collect()
}

/// Of a version that is being made there is nothing yet.
fn of_target(tenant: &TenantId, place: &Place, target: &Target) -> Vec<StateKey> {
    match target {
        Target::Version(version) => of_versions(tenant, place, [version]),
        Target::Made(_) => of_place(tenant, place),
    }
}

fn of_precondition(tenant: &TenantId, precondition: &Precondition) -> Vec<StateKey> {
    match precondition {
        Precondition::KeyAbsent(place) => of_place(tenant, place),
        Precondition::KeyAt(at) => of_place(tenant, &at.place),
        Precondition::UploadAt(at) => vec![key::upload(tenant, &at.upload)],
    }
}

fn of_operation(tenant: &TenantId, operation: &Operation) -> Vec<StateKey> {
    match operation {
        Operation::CreateBucket(create) => vec![key::bucket(tenant, &create.bucket)],
        Operation::DeleteBucket(delete) => vec![key::bucket(tenant, &delete.bucket)],
        Operation::PutVersion(put) => [of_place(tenant, &put.place), vec![key::tenant(tenant)]].concat(),
        Operation::PutMarker(put) => of_place(tenant, &put.place),
        Operation::CreateUpload(create) => {
            vec![key::bucket(tenant, &create.place.bucket), key::upload(tenant, &create.upload)]
        }
        Operation::PutPart(put) => vec![key::upload(tenant, &put.upload), key::tenant(tenant)],
        Operation::CompleteUpload(complete) => {
            let others = vec![key::upload(tenant, &complete.upload), key::tenant(tenant)];
            [of_place(tenant, &complete.place), others].concat()
        }
        Operation::AbortUpload(abort) => vec![key::upload(tenant, &abort.upload)],
        Operation::CreateTenant(create) => {
            vec![key::tenant(&create.tenant), key::signer(&create.tenant, &create.key)]
        }
        Operation::AddKey(add) => vec![key::tenant(tenant), key::signer(tenant, &add.key)],
        Operation::RevokeKey(revoke) => vec![key::tenant(tenant), key::signer(tenant, &revoke.key)],
        Operation::HideVersion(hide) => {
            let successors = hide.succession.iter().flat_map(|succession| succession.successor.iter());
            of_versions(tenant, &hide.place, successors.chain([&hide.version]))
        }
        Operation::UnhideVersion(show) => of_versions(tenant, &show.place, [&show.version]),
        Operation::UndeleteBucket(undelete) => vec![key::bucket(tenant, &undelete.bucket)],
        Operation::SetBucketLock(set) => vec![key::bucket(tenant, &set.bucket)],
        Operation::SetRetention(set) => of_target(tenant, &set.place, &set.version),
        Operation::SetHold(set) => of_target(tenant, &set.place, &set.version),
        Operation::Annotate(annotate) => match annotate.about.version() {
            Some((place, target)) => of_target(tenant, place, target),
            None => vec![key::bucket(tenant, annotate.about.bucket())],
        },
        Operation::SetQuota(set) => vec![key::bucket(tenant, &set.bucket)],
        Operation::SetTenantQuota(set) => vec![key::tenant(&set.tenant)],
    }
}
