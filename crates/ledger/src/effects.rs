//! What an applied transaction left behind, for indexes derived from the chain.

use crate::{entries::Position, execute::BlockContext};
use proof::{
    BucketName, PublicKey, SignedTransaction, TenantId, UploadId, VersionId,
    entry::{AnnotationEntry, PartEntry, UploadEntry, VersionEntry, VersionKind},
    transaction::{Operation, Place},
};

/// A bucket began a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketCreated {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub bucket: BucketName,
    /// The place in the chain: keys and uploads before it do not count.
    pub version: VersionId,
    /// Block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// A bucket, which had no current objects, ended its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketDeleted {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub bucket: BucketName,
    /// The place in the chain.
    pub version: VersionId,
    /// Block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// A deleted bucket lives on, with the keys it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUndeleted {
    /// Whose.
    pub tenant: TenantId,
    /// Its name.
    pub bucket: BucketName,
    /// The place in the chain at which it was undeleted; its life began where it was created.
    pub version: VersionId,
}

/// A version was hidden, or shown again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibilityChanged {
    /// Whose.
    pub tenant: TenantId,
    /// Where.
    pub place: Place,
    /// Which.
    pub version: VersionId,
    /// The change's place in the chain.
    pub changed: VersionId,
    /// Block time of that, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Whether it is hidden from here on.
    pub hidden: bool,
    /// If which version is current changed with it: that version, or none.
    pub current: Option<Option<VersionId>>,
}

/// A multipart upload takes no more parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadClosed {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub upload: UploadId,
    /// The place in the chain; when completed, also the version of the object it became.
    pub version: VersionId,
    /// Whether it became an object.
    pub completed: bool,
}

/// A key that may, or may no longer, sign for a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerChanged {
    /// Whose.
    pub tenant: TenantId,
    /// The key.
    pub key: PublicKey,
    /// The change's place in the chain.
    pub version: VersionId,
    /// Whether it may sign from here on.
    pub active: bool,
}

/// One change to what there is to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A bucket began a life.
    BucketCreated(BucketCreated),
    /// A bucket ended its life.
    BucketDeleted(BucketDeleted),
    /// A bucket's life goes on.
    BucketUndeleted(BucketUndeleted),
    /// A key has a new current version.
    VersionAdded(VersionEntry),
    /// A version was hidden, or shown again.
    VisibilityChanged(VisibilityChanged),
    /// A multipart upload was opened.
    UploadOpened(UploadEntry),
    /// A part was added or replaced.
    PartPut(TenantId, PartEntry),
    /// A multipart upload was closed.
    UploadClosed(UploadClosed),
    /// A key was added, or revoked.
    SignerChanged(SignerChanged),
    /// An annotation was set, or removed.
    Annotated(AnnotationEntry),
}

/// The effects of the transaction number `index` of the block, in order, given that it was applied.
pub fn effects(block: &BlockContext<'_>, index: u32, signed: &SignedTransaction) -> Vec<Effect> {
    let tenant = signed.transaction.tenant;
    let operations = signed.transaction.operations.iter().enumerate();
    operations.flat_map(|(at, operation)| of(&Position::new(block, index, at, tenant), operation)).collect()
}

fn of(position: &Position, operation: &Operation) -> Vec<Effect> {
    let Position { tenant, version, time_ms } = *position;
    let closed =
        |upload, completed| Effect::UploadClosed(UploadClosed { tenant, upload, version, completed });
    let signer = |key, active| Effect::SignerChanged(SignerChanged { tenant, key, version, active });
    match operation {
        Operation::CreateBucket(create) => {
            let bucket = create.bucket.clone();
            vec![Effect::BucketCreated(BucketCreated { tenant, bucket, version, time_ms })]
        }
        Operation::DeleteBucket(delete) => {
            let bucket = delete.bucket.clone();
            vec![Effect::BucketDeleted(BucketDeleted { tenant, bucket, version, time_ms })]
        }
        Operation::PutVersion(put) => {
            let kind = VersionKind::Object(put.body.clone());
            vec![Effect::VersionAdded(position.version_entry(&put.place, kind))]
        }
        Operation::PutMarker(put) => {
            vec![Effect::VersionAdded(position.version_entry(&put.place, VersionKind::Marker))]
        }
        Operation::CreateUpload(create) => vec![Effect::UploadOpened(position.upload_entry(create))],
        Operation::PutPart(put) => vec![Effect::PartPut(tenant, position.part_entry(put))],
        Operation::CompleteUpload(complete) => {
            let kind = VersionKind::Object(complete.body.clone());
            let entry = position.version_entry(&complete.place, kind);
            vec![closed(complete.upload, true), Effect::VersionAdded(entry)]
        }
        Operation::AbortUpload(abort) => vec![closed(abort.upload, false)],
        Operation::CreateTenant(create) => vec![signer(create.key, true)],
        Operation::AddKey(add) => vec![signer(add.key, true)],
        Operation::RevokeKey(revoke) => vec![signer(revoke.key, false)],
        Operation::HideVersion(hide) => {
            let current = hide.succession.first().map(|succession| succession.successor.first().copied());
            vec![visibility(position, &hide.place, hide.version, true, current)]
        }
        Operation::UnhideVersion(show) => {
            let current = show.current.then_some(Some(show.version));
            vec![visibility(position, &show.place, show.version, false, current)]
        }
        // Records tell of locks; listings do not.
        Operation::SetBucketLock(_)
        | Operation::SetRetention(_)
        | Operation::SetHold(_)
        | Operation::SetQuota(_)
        | Operation::SetTenantQuota(_) => Vec::new(),
        Operation::Annotate(annotate) => vec![Effect::Annotated(position.annotation_entry(annotate))],
        Operation::UndeleteBucket(undelete) => {
            let bucket = undelete.bucket.clone();
            vec![Effect::BucketUndeleted(BucketUndeleted { tenant, bucket, version })]
        }
    }
}

fn visibility(
    position: &Position,
    place: &Place,
    version: VersionId,
    hidden: bool,
    current: Option<Option<VersionId>>,
) -> Effect {
    let Position { tenant, version: changed, time_ms } = *position;
    let place = place.clone();
    Effect::VisibilityChanged(VisibilityChanged { tenant, place, version, changed, time_ms, hidden, current })
}
