//! What the state holds: records of [`RECORD_BYTES`] bytes.
//!
//! A record's bytes are its canonical encoding (a tag, then the fields) filled up with zeros. Anything else does not
//! decode, so equal records have equal bytes. What does not fit (names, sealed bodies, certificates) is bound by the
//! hash of its [entry](proof::entry).

use crate::key::StateKey;
use proof::{
    Digest, VersionId,
    transaction::{DefaultRetention, Quota, Retention},
    wire::{Copying, Encode, EncodeSize, Error, List, Read},
};

/// Length of every record.
pub const RECORD_BYTES: usize = 128;

proof::wire_struct! {
    /// How far the chain is.
    pub struct Chain {
        /// Height of the newest block.
        pub height: u64,
        /// Its block time, milliseconds since the Unix epoch.
        pub time_ms: u64,
    }
}

proof::wire_struct! {
    /// A tenant.
    pub struct Tenant {
        /// Block time of its creation, milliseconds since the Unix epoch.
        pub created_ms: u64,
        /// Number of keys that sign for it. Never zero.
        pub keys: u32,
        /// What all its buckets keep, and unfinished uploads.
        pub usage: Usage,
    }
}

proof::wire_struct! {
    /// What is kept, all that was ever accepted, and how much that may be: see `quotas`.
    #[derive(Default)]
    pub struct Usage {
        /// Bytes of ciphertext.
        pub bytes: u64,
        /// Versions of objects.
        pub objects: u64,
        /// The limit, if there is one.
        pub quota: List<Quota, 1>,
    }
}

proof::wire_struct! {
    /// A key that signs, or once signed, for a tenant.
    pub struct Signer {
        /// Whether it still does.
        pub active: bool,
    }
}

proof::wire_struct! {
    /// A bucket, or what is left of a deleted one.
    pub struct Bucket {
        /// The place in the chain at which its present life began. Heads and uploads before it do not count.
        pub created: VersionId,
        /// Block time of that, milliseconds since the Unix epoch.
        pub created_ms: u64,
        /// Whether it was deleted since.
        pub deleted: bool,
        /// Number of keys whose current version is an object.
        pub live: u64,
        /// Given when its versions can be locked.
        pub lock: List<BucketLock, 1>,
        /// Whether a version of it was ever annotated.
        pub annotated: bool,
        /// What it keeps, from all its lives.
        pub usage: Usage,
    }
}

proof::wire_struct! {
    /// How a bucket's versions are locked.
    pub struct BucketLock {
        /// The retention of new objects that ask for none.
        pub default: List<DefaultRetention, 1>,
        /// Number of its shown versions that have a retention, ended or not.
        pub retained: u64,
        /// Number of its shown versions that are held.
        pub held: u64,
        /// No version's retention ends later, milliseconds since the Unix epoch.
        pub retained_until_ms: u64,
    }
}

proof::wire_struct! {
    /// What keeps a version from being hidden. Not there for versions that never were locked.
    #[derive(Default)]
    pub struct Lock {
        /// Until when.
        pub retention: List<Retention, 1>,
        /// Whether it is held besides.
        pub hold: bool,
    }
}

proof::wire_struct! {
    /// An annotation of a bucket or version, as it was set last.
    pub struct Annotation {
        /// The place in the chain at which that was.
        pub changed: VersionId,
        /// Hash of its [`AnnotationEntry`](proof::entry::AnnotationEntry).
        pub entry: Digest,
    }
}

proof::wire_enum! {
    /// What a version is.
    pub enum Kind {
        /// An object.
        0 => Object,
        /// A delete marker.
        1 => Marker,
        /// Nothing: of a head, when every version of its key is hidden.
        2 => Nothing,
    }
}

proof::wire_struct! {
    /// A key's newest version that is not hidden. It is current unless it is older than its bucket's `created`. Of
    /// kind [`Kind::Nothing`] it names the version that was hidden last, and none is current.
    pub struct Head {
        /// Which.
        pub version: VersionId,
        /// What.
        pub kind: Kind,
        /// Its block time, milliseconds since the Unix epoch.
        pub time_ms: u64,
        /// Hash of its [`VersionEntry`](proof::entry::VersionEntry).
        pub entry: Digest,
    }
}

impl Head {
    /// Whether it is the key's current version in `bucket`, and not left over from before the bucket was deleted.
    pub fn is_current(&self, bucket: &Bucket) -> bool {
        self.kind != Kind::Nothing && !bucket.deleted && self.version > bucket.created
    }
}

proof::wire_struct! {
    /// How often versions of a key were hidden or shown again. Not there for keys of which none was.
    pub struct Visibility {
        /// The number of times.
        pub revision: u32,
    }
}

proof::wire_struct! {
    /// Whether a version is hidden. Not there for versions that never were.
    pub struct Hidden {
        /// Whether it is.
        pub hidden: bool,
        /// The place in the chain at which that changed last.
        pub changed: VersionId,
        /// Block time of that, milliseconds since the Unix epoch.
        pub changed_ms: u64,
    }
}

proof::wire_struct! {
    /// A version. Written once.
    pub struct Version {
        /// What.
        pub kind: Kind,
        /// Its block time, milliseconds since the Unix epoch.
        pub time_ms: u64,
        /// Hash of its [`VersionEntry`](proof::entry::VersionEntry).
        pub entry: Digest,
    }
}

proof::wire_enum! {
    /// Where a multipart upload is in its life.
    pub enum UploadState {
        /// It takes parts.
        0 => Open,
        /// It became an object.
        1 => Completed,
        /// It was given up.
        2 => Aborted,
    }
}

proof::wire_struct! {
    /// A multipart upload.
    pub struct Upload {
        /// Where it is in its life.
        pub state: UploadState,
        /// Number of changes since it was opened: parts put, and its end.
        pub revision: u32,
        /// The place in the chain at which it was opened.
        pub version: VersionId,
        /// State key of the head that completing it sets.
        pub head: StateKey,
        /// Hash of its [`UploadEntry`](proof::entry::UploadEntry).
        pub entry: Digest,
    }
}

proof::wire_struct! {
    /// The newest part with its number.
    pub struct Part {
        /// The place in the chain at which it was accepted.
        pub version: VersionId,
        /// Hash of its [`PartEntry`](proof::entry::PartEntry).
        pub entry: Digest,
    }
}

proof::wire_struct! {
    /// What became of a transaction.
    pub struct Outcome {
        /// Height of its block.
        pub height: u64,
        /// Its place there.
        pub index: u32,
        /// [`APPLIED`](crate::APPLIED), or the code of its [`Refusal`](crate::Refusal).
        pub code: u16,
        /// Block time, milliseconds since the Unix epoch.
        pub time_ms: u64,
    }
}

/// Defines [`Record`] over the kinds of records, and how each goes into it and comes out of it.
macro_rules! records {
    ($($tag:literal => $kind:ident),* $(,)?) => {
        proof::wire_enum! {
            /// A record of any kind.
            pub enum Record {
                $(#[doc = concat!("See [`", stringify!($kind), "`].")] $tag => $kind(record: $kind)),*
            }
        }

        $(
            impl From<$kind> for Record {
                fn from(record: $kind) -> Self {
                    Self::$kind(record)
                }
            }

            impl TryFrom<Record> for $kind {
                type Error = Record;
                /// The record, if it is of this kind; otherwise what it is.
                fn try_from(record: Record) -> Result<Self, Record> {
                    match record {
                        Record::$kind(record) => Ok(record),
                        other => Err(other),
                    }
                }
            }
        )*
    };
}

// Tag 0 is no record: all zeros do not decode.
records! {
    1 => Chain,
    2 => Tenant,
    3 => Signer,
    4 => Bucket,
    5 => Head,
    6 => Version,
    7 => Upload,
    8 => Part,
    9 => Outcome,
    10 => Visibility,
    11 => Hidden,
    12 => Lock,
    13 => Annotation,
}

impl Record {
    /// Its bytes in the state.
    pub fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..self.encode_size()].copy_from_slice(&self.encode());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote, and nothing else.
    pub fn from_bytes(bytes: &[u8; RECORD_BYTES]) -> Result<Self, Error> {
        let mut rest = Copying(bytes);
        let record = Self::read_cfg(&mut rest, &())?;
        if rest.0.iter().any(|byte| *byte != 0) {
            return Err(Error::Invalid("Record", "the bytes after it are not zero"));
        }
        Ok(record)
    }
}
