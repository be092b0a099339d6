//! What clients ask for.

use proof::{UploadId, VersionId};
use std::ops::Range;

/// Contents: which, and how many bytes of it from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// The id of the call that made it up.
    pub id: u64,
    /// Bytes.
    pub length: u64,
}

/// What must hold for a write to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// The key has no current object.
    IfAbsent,
    /// This version is the key's current object.
    IfVersion(VersionId),
}

/// How much of an object is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// What is known of it, and no bytes.
    Head,
    /// All bytes.
    Whole,
    /// These bytes, as far as the object goes.
    Range(Range<u64>),
}

/// Where a listing goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// With the first key greater than this.
    Key(String),
    /// With the first key greater than all that begin with this.
    Prefix(String),
}

/// Where a listing of versions goes on: with the versions of this key that are older than this one, or, without one, with
/// the next key.
pub type AfterVersion = (String, Option<VersionId>);

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// To create the bucket.
    CreateBucket,
    /// To write an object.
    Put {
        /// Its key.
        key: String,
        /// Its bytes.
        content: Content,
        /// What must hold.
        condition: Condition,
    },
    /// To make a version's contents those of a key.
    Copy {
        /// The key to copy from.
        source: String,
        /// The version to copy.
        version: VersionId,
        /// The key to write.
        key: String,
        /// The contents of that version.
        content: Content,
        /// What must hold.
        condition: Condition,
    },
    /// To read a key's current object, or a version.
    Read {
        /// The key.
        key: String,
        /// The version; the current object without it.
        version: Option<VersionId>,
        /// How much of it.
        span: Span,
    },
    /// To read a version, hidden or not.
    Kept {
        /// The key.
        key: String,
        /// The version.
        version: VersionId,
    },
    /// To read a key's current object, or a version, as of a height.
    ReadAt {
        /// The key.
        key: String,
        /// The version; the current object without it.
        version: Option<VersionId>,
        /// The height.
        height: u64,
    },
    /// To be told the height of the block that was the newest at a time.
    HeightAt {
        /// The time, milliseconds since the Unix epoch.
        time_ms: u64,
    },
    /// To hide a version.
    Hide {
        /// The key.
        key: String,
        /// The version: an object, or a delete marker.
        version: VersionId,
    },
    /// To make a deleted object current again: the newest object is shown, delete markers above it are hidden.
    Undelete {
        /// The key.
        key: String,
    },
    /// To list a page of versions and delete markers.
    ListVersions {
        /// Keys begin with this.
        prefix: String,
        /// Whether hidden ones are listed, too.
        hidden: bool,
        /// Where the page begins.
        after: Option<AfterVersion>,
        /// Versions, at most.
        limit: usize,
        /// As of this height, if not now.
        at: Option<u64>,
    },
    /// To put a delete marker.
    Delete {
        /// The key.
        key: String,
        /// What must hold.
        condition: Condition,
    },
    /// To list a page of current objects.
    List {
        /// Keys begin with this.
        prefix: String,
        /// Keys that share what follows the prefix up to this are one common prefix.
        delimiter: Option<String>,
        /// Where the page begins.
        after: Option<After>,
        /// Objects and prefixes, at most.
        limit: usize,
        /// As of this height, if not now.
        at: Option<u64>,
    },
    /// To open a multipart upload. Its contents are those with the id of this call.
    CreateUpload {
        /// The key of the object to be.
        key: String,
    },
    /// To put a part.
    PutPart {
        /// The key of the object to be.
        key: String,
        /// The upload.
        upload: UploadId,
        /// The part.
        number: u16,
        /// Its bytes: this range of the contents.
        content: Content,
        /// See `content`.
        range: Range<u64>,
    },
    /// To join an upload's parts into an object.
    CompleteUpload {
        /// The key.
        key: String,
        /// The upload.
        upload: UploadId,
        /// All parts' bytes.
        content: Content,
        /// What must hold.
        condition: Condition,
    },
    /// To close an upload without an object.
    AbortUpload {
        /// The key of the object that will not be.
        key: String,
        /// The upload.
        upload: UploadId,
    },
}

/// A write of a version, as a call asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// The key.
    pub key: &'a str,
    /// The contents; a delete marker has none.
    pub content: Option<Content>,
    /// What must hold.
    pub condition: Condition,
}

impl Operation {
    /// The version to be written, if this writes one.
    pub fn write(&self) -> Option<Write<'_>> {
        match self {
            Self::Put { key, content, condition }
            | Self::Copy { key, content, condition, .. }
            | Self::CompleteUpload { key, content, condition, .. } => {
                Some(Write { key, content: Some(*content), condition: *condition })
            }
            Self::Delete { key, condition } => Some(Write { key, content: None, condition: *condition }),
            _ => None,
        }
    }

    /// Whether this changes nothing, so that it makes no difference whether a call that gave no answer was executed.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Read { .. }
                | Self::Kept { .. }
                | Self::ReadAt { .. }
                | Self::HeightAt { .. }
                | Self::List { .. }
                | Self::ListVersions { .. }
        )
    }

    /// Its name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateBucket => "create bucket",
            Self::Put { condition: Condition::None, .. } => "put",
            Self::Put { .. } => "put on condition",
            Self::Copy { .. } => "copy",
            Self::Read { version: Some(_), .. } => "get version",
            Self::Read { span: Span::Head, .. } => "head",
            Self::Read { span: Span::Range(_), .. } => "get range",
            Self::Read { .. } => "get",
            Self::Kept { .. } => "get hidden or not",
            Self::ReadAt { .. } => "get as of a height",
            Self::HeightAt { .. } => "height of a time",
            Self::Hide { .. } => "hide version",
            Self::Undelete { .. } => "undelete",
            Self::ListVersions { at: None, .. } => "list versions",
            Self::ListVersions { .. } => "list versions as of a height",
            Self::Delete { condition: Condition::None, .. } => "delete",
            Self::Delete { .. } => "delete on condition",
            Self::List { at: None, .. } => "list",
            Self::List { .. } => "list as of a height",
            Self::CreateUpload { .. } => "create upload",
            Self::PutPart { .. } => "put part",
            Self::CompleteUpload { .. } => "complete upload",
            Self::AbortUpload { .. } => "abort upload",
        }
    }

    /// The contents whose beginning this sends.
    pub fn sends(&self) -> Option<Content> {
        match self {
            Self::Put { content, .. } => Some(*content),
            Self::PutPart { content, range, .. } if range.start == 0 => Some(*content),
            _ => None,
        }
    }
}
