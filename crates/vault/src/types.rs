//! What the vault's operations take and give.

use crate::{Metadata, object::Contents};
use chain::protocol::Stance;
use proof::{BucketName, Digest, ObjectKey, PublicKey, UploadId, VersionId, transaction::Place};
use std::net::SocketAddr;

/// What must hold at the moment a write is executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// The key has no current version, or a delete marker.
    IfAbsent,
    /// The key's current version is this one.
    IfVersion(VersionId),
    /// The key's current version is an object, whichever.
    IfPresent,
}

/// A write that is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The new version.
    pub version: VersionId,
    /// Its block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The transaction's id.
    pub transaction: Digest,
}

/// A delete that is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// The delete marker that is now current.
    pub marker: VersionId,
    /// Its block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The transaction's id.
    pub transaction: Digest,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: BucketName,
    /// Block time of its creation, milliseconds since the Unix epoch.
    pub created_ms: u64,
}

/// A version of an object: proven to be what its place and version name, and opened.
#[derive(Clone, Debug)]
pub struct Object {
    /// Where.
    pub place: Place,
    /// Which.
    pub version: VersionId,
    /// Block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Bytes of plaintext.
    pub length: u64,
    /// Its metadata.
    pub metadata: Metadata,
    /// Whether it can have a lock.
    pub(crate) lockable: bool,
    /// Whether it can have tags.
    pub(crate) annotated: bool,
    pub(crate) contents: Contents,
}

/// What to list.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// Keys begin with this. May be empty.
    pub prefix: String,
    /// Keys that share what follows the prefix up to this are rolled up into one common prefix.
    pub delimiter: Option<String>,
    /// Where to go on.
    pub after: Option<ListAfter>,
    /// Objects and prefixes together, at most.
    pub limit: usize,
    /// The height as of which to list, instead of now.
    pub at: Option<u64>,
}

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListAfter {
    /// With the first key greater than this text. It need not be a key.
    Key(String),
    /// With the first key greater than all that begin with this common prefix.
    Prefix(String),
}

/// One page of a listing of current objects. All of it is of one block height.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The objects, by key.
    pub objects: Vec<Listed>,
    /// Common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins; `None` when there is none.
    pub next: Option<ListAfter>,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: ObjectKey,
    /// Its current version.
    pub version: VersionId,
    /// Block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Bytes of plaintext.
    pub length: u64,
    /// Its metadata.
    pub metadata: Metadata,
}

/// Which versions to list.
#[derive(Clone, Debug)]
pub struct VersionsRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// Keys begin with this. May be empty.
    pub prefix: String,
    /// Only the key that is the prefix itself.
    pub exact: bool,
    /// As in [`ListRequest::delimiter`].
    pub delimiter: Option<String>,
    /// Where to go on.
    pub after: Option<VersionsAfter>,
    /// Versions and prefixes together, at most.
    pub limit: usize,
    /// Whether hidden versions are listed too.
    pub hidden: bool,
    /// The height as of which to list, instead of now.
    pub at: Option<u64>,
}

/// Where a listing of versions goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionsAfter {
    /// With the first key greater than this text. It need not be a key.
    Key(String),
    /// With the first key greater than all that begin with this common prefix.
    Prefix(String),
    /// With the versions of this very key that are older than this one, which need not be there.
    Version(String, VersionId),
}

/// One page of a listing of versions. All of it is of one block height.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionsPage {
    /// The versions, by key, newest first.
    pub versions: Vec<ListedVersion>,
    /// Common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins; `None` when there is none.
    pub next: Option<VersionsAfter>,
}

/// A version in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// Its key.
    pub key: ObjectKey,
    /// Which.
    pub version: VersionId,
    /// Block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Bytes of plaintext, and metadata, of an object; `None` for a delete marker.
    pub contents: Option<(u64, Metadata)>,
    /// Whether it is the key's current version.
    pub current: bool,
    /// When it was hidden, if it is.
    pub hidden: Option<Hiding>,
}

/// That a version was hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hiding {
    /// Where in the chain.
    pub place: VersionId,
    /// Block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// A version that was hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HiddenVersion {
    /// Which.
    pub version: VersionId,
    /// Whether it is a delete marker.
    pub marker: bool,
}

/// An open multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub upload: UploadId,
    /// Where the object will be.
    pub place: Place,
    /// Block time of its opening, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The metadata it was opened with.
    pub metadata: Metadata,
}

/// Which open uploads to list.
#[derive(Clone, Debug)]
pub struct UploadsRequest {
    /// The bucket.
    pub bucket: BucketName,
    /// Keys begin with this. May be empty.
    pub prefix: String,
    /// Go on after this key and upload.
    pub after: Option<(String, UploadId)>,
    /// Uploads at most.
    pub limit: usize,
}

/// One page of open uploads, by key and id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadsPage {
    /// The uploads.
    pub uploads: Vec<Upload>,
    /// Whether there are more.
    pub more: bool,
}

/// A part of a multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10,000.
    pub number: u16,
    /// Bytes of plaintext.
    pub length: u64,
    /// Block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Its metadata: ETag and checksums.
    pub metadata: Metadata,
}

/// One page of parts, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartsPage {
    /// The parts.
    pub parts: Vec<Part>,
    /// Whether there are more.
    pub more: bool,
}

/// The network as this gateway sees it now. What nodes say of themselves proves nothing.
#[derive(Clone, Debug)]
pub struct Status {
    /// The network's id.
    pub network: Digest,
    /// The network's name for people.
    pub name: String,
    /// Faulty nodes tolerated.
    pub faults: usize,
    /// Nodes whose agreement decides.
    pub quorum: usize,
    /// The nodes in the order of the committee.
    pub nodes: Vec<NodeStatus>,
}

impl Status {
    /// The height that a quorum of nodes says to have applied.
    pub fn height(&self) -> u64 {
        let mut heights: Vec<u64> =
            self.nodes.iter().filter_map(|node| Some(node.chain.as_ref().ok()?.height)).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        heights.get(self.quorum - 1).copied().unwrap_or(0)
    }
}

/// A node as it describes itself, and as this gateway finds it.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// Its index in the committee.
    pub index: usize,
    /// Its key.
    pub key: PublicKey,
    /// Where it serves gateways.
    pub address: SocketAddr,
    /// How long an answer takes lately, microseconds.
    pub latency_us: u64,
    /// Answers that were found false, since this gateway started.
    pub faults: u64,
    /// Calls that took so long that another node was asked, since this gateway started.
    pub stalls: u64,
    /// Whether it is left out for now because an answer was false.
    pub avoided: bool,
    /// What its chain half says, or why it says nothing.
    pub chain: Result<ChainStatus, String>,
    /// What its shard log says, or why it says nothing.
    pub shards: Result<ShardsStatus, String>,
}

/// The chain half of a node, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainStatus {
    /// The version of its program.
    pub software: String,
    /// Height of the newest block that it has applied.
    pub height: u64,
    /// Block time of that, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Height up to which its derived index goes.
    pub index_height: u64,
    /// Whether it votes, and why if it does not; one that does not only follows.
    pub stance: Stance,
    /// Transactions waiting to be ordered.
    pub pending: u32,
    /// Their bytes.
    pub pending_bytes: u64,
}

/// The shard log of a node, by its own word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardsStatus {
    /// Bytes taken on disk.
    pub bytes: u64,
    /// Bytes of them in use.
    pub live_bytes: u64,
    /// Bytes it may take; `u64::MAX` without a limit.
    pub bytes_max: u64,
    /// Shards and pages it holds.
    pub held: u64,
    /// Of those, the ones the chain does not reference yet.
    pub pending: u64,
    /// Shards and pages the chain references that it does not hold.
    pub missing: u64,
    /// Of those, the ones that one more loss would lose.
    pub endangered: u64,
    /// Of those, the ones that too few nodes hold for now.
    pub unhealable: u64,
    /// Shards and pages healed since it started.
    pub healed: u64,
    /// Bytes of them.
    pub healed_bytes: u64,
    /// Attempts to heal that failed, since it started.
    pub heal_failures: u64,
    /// Bytes healed in a second, of late.
    pub heal_bytes_per_second: u64,
    /// Seconds until nothing is missing, at that speed, if that is known.
    pub heal_seconds: Option<u64>,
    /// Records found damaged since it started.
    pub damaged: u64,
    /// Times that its whole log was scrubbed since it started.
    pub scrubbed_passes: u64,
    /// Bytes scrubbed of the present pass since it started.
    pub scrubbed_bytes: u64,
    /// Whether its disk has failed and is not used any more.
    pub failed: bool,
    /// Height up to which it knows what the chain references.
    pub referenced_height: u64,
}
