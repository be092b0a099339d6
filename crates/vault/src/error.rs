//! Why an operation of the vault failed. Each operation says in its documentation which of these it gives.

use proof::{PublicKey, VersionId, limits::SEALED_MAX};

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bucket does not exist.
    #[error("there is no such bucket")]
    NoSuchBucket,
    /// The tenant has a bucket of this name already.
    #[error("the bucket exists already")]
    BucketExists,
    /// The bucket holds current objects.
    #[error("the bucket is not empty: delete its objects first")]
    BucketNotEmpty,
    /// The key has no current object.
    #[error("there is no object with this key")]
    NoSuchKey {
        /// The delete marker that is current, if that is why.
        marker: Option<VersionId>,
    },
    /// The key has no such version, or it is hidden.
    #[error("the key has no such version")]
    NoSuchVersion,
    /// The version asked for is a delete marker: it has no contents.
    #[error("the version is a delete marker")]
    Marker {
        /// The marker.
        marker: VersionId,
        /// Its block time, milliseconds since the Unix epoch.
        time_ms: u64,
    },
    /// The upload does not exist, is not of this place, or is closed.
    #[error("there is no such open upload")]
    NoSuchUpload,
    /// A part listed for completion was never put, or has another ETag.
    #[error("part {number} was not uploaded, or has another ETag")]
    InvalidPart {
        /// The part's number.
        number: u16,
    },
    /// The parts listed for completion are not in ascending order, none, or more than S3 allows.
    #[error("the parts must be listed in ascending order, each once")]
    InvalidPartOrder,
    /// A part other than the last is shorter than S3 allows.
    #[error(
        "part {number} has {length} bytes: every part but the last needs {} or more",
        crate::limits::PART_LENGTH_MIN
    )]
    PartTooSmall {
        /// The part's number.
        number: u16,
        /// Its bytes.
        length: u64,
    },
    /// The moment asked for is later than the newest block, or than this gateway's clock.
    #[error("that moment has not come yet")]
    NotYet,
    /// The [`Condition`](crate::Condition) did not hold.
    #[error("the condition does not hold")]
    PreconditionFailed,
    /// Others changed the same thing at the same time, again and again.
    #[error("others are changing the same thing at the same time: try again")]
    Conflict,
    /// This gateway or the network has more work than it takes. Nothing is acknowledged.
    #[error("too much work at the moment: slow down and try again")]
    Overloaded,
    /// The nodes have no room left, or the tenant has used up its own.
    #[error("there is no room left")]
    Full,
    /// The bucket or the tenant would keep more than its quota.
    #[error(
        "the quota of the bucket or of the tenant is used up; deleting frees nothing: have the quota raised"
    )]
    QuotaExceeded,
    /// Too few nodes answer. Nothing was done.
    #[error("not available: {0}")]
    Unavailable(String),
    /// Whether the write happened is not known: it may still.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// What is stored is not what was written, or not under this tenant's master key. Never wrong bytes instead.
    #[error("damaged: {0}")]
    Damaged(String),
    /// An object, or a part, is larger than S3 allows.
    #[error("larger than an object or part may be")]
    TooLarge,
    /// Metadata that, sealed, exceed [`SEALED_MAX`], or a field of which exceeds its own limit.
    #[error("the metadata of an object take up to {SEALED_MAX} bytes")]
    MetadataTooLarge,
    /// Versions of the bucket cannot be locked.
    #[error("the bucket has no object lock")]
    NotLockable,
    /// A version, or one of the bucket to be deleted, is retained or held.
    #[error("locked: {0}")]
    Locked(String),
    /// A retention would end in the past, or too far ahead.
    #[error("a retention must end in the future, at most ten years ahead; it can be extended later")]
    InvalidRetention,
    /// The network does not allow it to this tenant or key.
    #[error("not allowed: {0}")]
    NotAllowed(String),
}

/// Why a vault cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The configuration has no address for a member of the committee.
    #[error("no address is given for node {0}")]
    NoAddress(PublicKey),
    /// A member of the committee has a key that is none.
    #[error("the genesis file names a node whose key {0} is no Ed25519 key")]
    InvalidKey(PublicKey),
}
