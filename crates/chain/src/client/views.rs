//! What the client gives: all of it verified, or agreed on by more nodes than can be faulty.

use crate::protocol::{After, AfterUpload, AfterVersion, StatusAnswer};
use bytes::Bytes;
use proof::{
    BucketName, Digest, Manifest, PublicKey, Signature, Transaction, VersionId,
    entry::{PartEntry, UploadEntry, VersionEntry},
    finality::FinalizedHeader,
    merkle,
};

/// A transaction that was applied, with the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The transaction's id.
    pub transaction: Digest,
    /// The signature with which it was ordered.
    pub signature: Signature,
    /// Its place in the block.
    pub index: u32,
    /// From the transaction to the header's root.
    pub path: merkle::Path,
    /// The block.
    pub block: FinalizedHeader,
}

impl Committed {
    /// The version that the operation number `operation` made.
    pub fn version(&self, operation: u16) -> VersionId {
        VersionId { height: self.block.header.height, index: self.index, operation }
    }

    /// Block time, milliseconds since the Unix epoch.
    pub fn time_ms(&self) -> u64 {
        self.block.header.time_ms
    }
}

/// What a key, or one version of it, holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadView {
    /// There is no such bucket, or it was deleted.
    NoBucket,
    /// There is no such key or version in the bucket's present life.
    Absent,
    /// A delete marker.
    Marker(VersionEntry),
    /// An object.
    Object(VersionView),
}

/// What a key holds under a version's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedView {
    /// Where the bucket's present life began, if it is there now. The version may be of an earlier one.
    pub life: Option<VersionId>,
    /// Whether the version is hidden now.
    pub hidden: bool,
    /// The version. Never [`HeadView::NoBucket`].
    pub view: HeadView,
}

/// A version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionView {
    /// Its entry, whose kind is an object.
    pub entry: VersionEntry,
    /// The sealed body.
    pub sealed: Bytes,
    /// Where its ciphertext is.
    pub payload: PayloadView,
    /// Whether it can have a lock.
    pub lockable: bool,
    /// Whether it can have annotations.
    pub annotated: bool,
}

/// An object's ciphertext, or where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadView {
    /// The ciphertext.
    Inline(Bytes),
    /// What it consists of.
    Manifest(Manifest),
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketView {
    /// Its name.
    pub bucket: BucketName,
    /// The place in the chain at which its present life began.
    pub created: VersionId,
    /// Block time of that, milliseconds since the Unix epoch.
    pub created_ms: u64,
}

/// A multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadView {
    /// As it was opened.
    pub entry: UploadEntry,
    /// The sealed body.
    pub sealed: Bytes,
    /// Number of changes it has seen.
    pub revision: u32,
    /// Whether it takes parts, provided that its bucket was not deleted since.
    pub open: bool,
}

/// A page of a bucket's current objects at one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsView {
    /// The height.
    pub height: u64,
    /// The objects, by key.
    pub objects: Vec<ObjectView>,
    /// Common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins, if more may follow. A page may be empty and yet not the last.
    pub next: Option<After>,
}

/// A page of a bucket's versions and delete markers at one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionsView {
    /// The height.
    pub height: u64,
    /// The versions, by key, newest first.
    pub versions: Vec<ListedVersionView>,
    /// Common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins, if more may follow. A page may be empty and yet not the last.
    pub next: Option<AfterVersion>,
}

/// A version or delete marker in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersionView {
    /// Its entry.
    pub entry: VersionEntry,
    /// The sealed body, unless it is a marker.
    pub sealed: Option<Bytes>,
    /// Whether it is the key's current version.
    pub current: bool,
    /// Where in the chain and when (block time, milliseconds since the Unix epoch) it was hidden, if it is.
    pub hidden: Option<(VersionId, u64)>,
}

/// Which version of a key was current at a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CurrentView {
    /// There was no such bucket.
    NoBucket,
    /// None was.
    Absent,
    /// This one, an object or a delete marker.
    Version(VersionId),
}

/// A block: an instant of the whole network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MomentView {
    /// Its height.
    pub height: u64,
    /// Its time, milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectView {
    /// Its current version's entry.
    pub entry: VersionEntry,
    /// The sealed body.
    pub sealed: Bytes,
}

/// A page of a tenant's buckets at one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketsView {
    /// The height.
    pub height: u64,
    /// The buckets, by name.
    pub buckets: Vec<BucketView>,
    /// Whether more follow.
    pub more: bool,
}

/// A page of a bucket's open uploads at one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadsView {
    /// The height.
    pub height: u64,
    /// The uploads with their sealed bodies, by key, then id.
    pub uploads: Vec<(UploadEntry, Bytes)>,
    /// Where the next page begins, if more may follow. A page may be empty and yet not the last.
    pub next: Option<AfterUpload>,
}

/// A page of an upload's parts at one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartsView {
    /// The height.
    pub height: u64,
    /// The parts, by number.
    pub parts: Vec<PartView>,
    /// Whether more follow.
    pub more: bool,
}

/// A part in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartView {
    /// Its entry.
    pub entry: PartEntry,
    /// The sealed body.
    pub sealed: Bytes,
    /// Its manifest, if asked for.
    pub manifest: Option<Manifest>,
}

/// A decided transaction with the proof: what a write receipt is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptView {
    /// Its core.
    pub transaction: Transaction,
    /// The signature with which it was ordered.
    pub signature: Signature,
    /// [`ledger::APPLIED`], or the code of its refusal.
    pub outcome: u16,
    /// Its place in the block.
    pub index: u32,
    /// From the transaction to the header's root.
    pub path: merkle::Path,
    /// The block.
    pub block: FinalizedHeader,
}

/// A node as it describes itself and as this gateway finds it.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// Its index in the committee.
    pub node: usize,
    /// Its key.
    pub key: PublicKey,
    /// Its own report, which proves nothing, or why there is none.
    pub report: Result<StatusAnswer, String>,
    /// How long an answer takes lately, microseconds.
    pub latency_us: u64,
    /// Answers that were found false, since this client was made.
    pub faults: u64,
    /// Calls that took so long that another node was asked, since this client was made.
    pub stalls: u64,
    /// Whether it is left out for now because an answer was false.
    pub avoided: bool,
}
