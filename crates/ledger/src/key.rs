//! Where records are: keys of the state, each kind hashed in a domain of its own, so that no two things share a key.

use proof::{
    BucketName, Digest, PublicKey, TenantId, UploadId, VersionId,
    digest::sha256,
    transaction::{About, Place},
    wire::Encode,
};

/// A key of the state.
pub type StateKey = Digest;

/// Of the one [`Chain`](crate::record::Chain) record.
pub fn chain() -> StateKey {
    sha256("outlast/state/chain/1", &[])
}

/// Of a [`Tenant`](crate::record::Tenant).
pub fn tenant(tenant: &TenantId) -> StateKey {
    sha256("outlast/state/tenant/1", &[&tenant.0])
}

/// Of a [`Signer`](crate::record::Signer) of a tenant.
pub fn signer(tenant: &TenantId, signer: &PublicKey) -> StateKey {
    sha256("outlast/state/signer/1", &[&tenant.0, &signer.0])
}

/// Of a [`Bucket`](crate::record::Bucket).
pub fn bucket(tenant: &TenantId, bucket: &BucketName) -> StateKey {
    sha256("outlast/state/bucket/1", &[&tenant.0, bucket.as_str().as_bytes()])
}

/// Of the [`Head`](crate::record::Head) of an object's key.
pub fn head(tenant: &TenantId, place: &Place) -> StateKey {
    let (bucket, key) = (place.bucket.as_str(), place.key.as_str());
    sha256("outlast/state/head/1", &[&tenant.0, bucket.as_bytes(), key.as_bytes()])
}

/// Of a [`Version`](crate::record::Version).
pub fn version(tenant: &TenantId, place: &Place, version: &VersionId) -> StateKey {
    let (bucket, key) = (place.bucket.as_str(), place.key.as_str());
    sha256("outlast/state/version/1", &[&tenant.0, bucket.as_bytes(), key.as_bytes(), &version.encode()])
}

/// Of the [`Visibility`](crate::record::Visibility) of a key's versions.
pub fn visibility(tenant: &TenantId, place: &Place) -> StateKey {
    let (bucket, key) = (place.bucket.as_str(), place.key.as_str());
    sha256("outlast/state/visibility/1", &[&tenant.0, bucket.as_bytes(), key.as_bytes()])
}

/// Of what a version is [`Hidden`](crate::record::Hidden) by.
pub fn hidden(tenant: &TenantId, place: &Place, version: &VersionId) -> StateKey {
    let (bucket, key) = (place.bucket.as_str(), place.key.as_str());
    sha256("outlast/state/hidden/1", &[&tenant.0, bucket.as_bytes(), key.as_bytes(), &version.encode()])
}

/// Of a version's [`Lock`](crate::record::Lock).
pub fn lock(tenant: &TenantId, place: &Place, version: &VersionId) -> StateKey {
    let (bucket, key) = (place.bucket.as_str(), place.key.as_str());
    sha256("outlast/state/lock/1", &[&tenant.0, bucket.as_bytes(), key.as_bytes(), &version.encode()])
}

/// Of an [`Annotation`](crate::record::Annotation). A version in it is named by its id.
pub fn annotation(tenant: &TenantId, about: &About) -> StateKey {
    sha256("outlast/state/annotation/1", &[&tenant.0, &about.encode()])
}

/// Of an [`Upload`](crate::record::Upload).
pub fn upload(tenant: &TenantId, upload: &UploadId) -> StateKey {
    sha256("outlast/state/upload/1", &[&tenant.0, &upload.0])
}

/// Of a [`Part`](crate::record::Part).
pub fn part(tenant: &TenantId, upload: &UploadId, number: u16) -> StateKey {
    sha256("outlast/state/part/1", &[&tenant.0, &upload.0, &number.to_be_bytes()])
}

/// Of the [`Outcome`](crate::record::Outcome) of the transaction with this id.
pub fn outcome(transaction: &Digest) -> StateKey {
    sha256("outlast/state/outcome/1", &[&transaction.0])
}
