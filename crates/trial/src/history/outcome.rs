//! What came of it.

use super::{After, AfterVersion};
use proof::{UploadId, VersionId};

/// Bytes that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BytesSeen {
    /// How many.
    pub length: u64,
    /// Their hash: [`content::hash`](crate::workload::content::hash).
    pub hash: [u8; 32],
}

/// An object as a reader saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSeen {
    /// Its key.
    pub key: String,
    /// The version.
    pub version: VersionId,
    /// Its block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Bytes of plaintext that it has.
    pub length: u64,
    /// The id of the call that wrote it, by its ETag; `None` when the ETag is no such id.
    pub write: Option<u64>,
    /// What was read of it; `None` when no bytes were asked for.
    pub bytes: Option<BytesSeen>,
}

/// A page of a listing as a reader saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageSeen {
    /// Objects, in the order in which they came. None has bytes.
    pub objects: Vec<ObjectSeen>,
    /// Common prefixes, in the order in which they came.
    pub prefixes: Vec<String>,
    /// Where the next page begins.
    pub next: Option<After>,
}

/// A version in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSeen {
    /// Its key.
    pub key: String,
    /// Which.
    pub version: VersionId,
    /// Its block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// An object's bytes of plaintext, and the id of the call that wrote it, by its ETag. A delete marker has neither.
    pub contents: Option<(u64, Option<u64>)>,
    /// Whether it is said to be current.
    pub current: bool,
    /// The height at which it was hidden, if it is.
    pub hidden: Option<u64>,
}

/// A page of a listing of versions as a reader saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionsSeen {
    /// In the order in which they came.
    pub versions: Vec<VersionSeen>,
    /// Where the next page begins.
    pub next: Option<AfterVersion>,
}

/// What came of an operation that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was done, and there is no more to say of it: a bucket created, an upload closed, a part put.
    Done,
    /// A version was written: an object, or by a delete a marker.
    Written {
        /// The version.
        version: VersionId,
        /// Its block time, milliseconds since the Unix epoch.
        time_ms: u64,
    },
    /// An object was read.
    Object(ObjectSeen),
    /// A page was listed.
    Page(PageSeen),
    /// A page of versions was listed.
    Versions(VersionsSeen),
    /// These versions were hidden: those asked for that were there.
    Hidden(Vec<VersionId>),
    /// So many versions were shown or hidden.
    Undeleted(usize),
    /// A time is of this height.
    Height(u64),
    /// An upload was opened.
    Upload(UploadId),
}

/// Why an operation was not done: the network's state said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key has no current object.
    NoSuchKey {
        /// The delete marker that is current, if that is why.
        marker: Option<VersionId>,
    },
    /// The key has no such version.
    NoSuchVersion,
    /// The version is a delete marker.
    Marker {
        /// The marker.
        marker: VersionId,
        /// Its block time, milliseconds since the Unix epoch.
        time_ms: u64,
    },
    /// The condition did not hold.
    PreconditionFailed,
    /// There is no such open upload.
    NoSuchUpload,
    /// Parts were being put at the same time.
    Conflict,
    /// A part named for completion was not put, or not so.
    InvalidPart,
    /// That moment has not come yet.
    NotYet,
    /// There is no such bucket.
    NoSuchBucket,
    /// The bucket exists.
    BucketExists,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, and this was seen.
    Ok(Seen),
    /// The network's state did not allow it. Nothing was done.
    Refused(Refusal),
    /// Nothing was done, and nothing is known of the network's state.
    Failed(String),
    /// It may take effect at any later time, or never. Only of what changes something.
    Unknown(String),
    /// What is stored was said to be damaged. Nothing was done.
    Damaged(String),
}

impl Outcome {
    /// Whether this is the service's answer to what was asked, and not the lack of one.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Ok(_) | Self::Refused(_))
    }
}
