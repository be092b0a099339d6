//! Calls as lines of text, for people who follow a run.

use super::{
    After, AfterVersion, BytesSeen, Call, Condition, Content, Moment, ObjectSeen, Operation, Outcome,
    PageSeen, Refusal, Return, Seen, Span, VersionSeen, VersionsSeen,
};
use proof::{UploadId, VersionId};
use std::{fmt, ops::Range};

/// A version, short: height, transaction, operation.
pub struct Short(pub VersionId);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VersionId { height, index, operation } = self.0;
        write!(f, "v{height}.{index}.{operation}")
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.time_ms / 1000, self.time_ms % 1000)
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {}B", self.id, self.length)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::IfAbsent => write!(f, " if absent"),
            Self::IfVersion(version) => write!(f, " if {}", Short(*version)),
        }
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "{key}"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

fn as_of(f: &mut fmt::Formatter<'_>, height: Option<u64>) -> fmt::Result {
    height.map_or(Ok(()), |height| write!(f, " as of {height}"))
}

fn of_place((key, version): &AfterVersion) -> String {
    version.map_or_else(|| key.clone(), |version| format!("{key} {}", Short(version)))
}

impl fmt::Display for VersionSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, version, contents, current, hidden, .. } = self;
        write!(f, "{key} {}", Short(*version))?;
        if contents.is_none() {
            write!(f, " marker")?;
        }
        if *current {
            write!(f, " current")?;
        }
        hidden.map_or(Ok(()), |height| write!(f, " hidden at {height}"))
    }
}

fn of_upload(upload: &UploadId) -> String {
    upload.0[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateBucket => write!(f, "create-bucket"),
            Self::Put { key, content, condition } => write!(f, "put {key} {content}{condition}"),
            Self::Copy { source, version, key, content, condition } => {
                write!(f, "copy {source} {} to {key} {content}{condition}", Short(*version))
            }
            Self::Read { key, version, span } => {
                match span {
                    Span::Head => write!(f, "head {key}")?,
                    Span::Whole => write!(f, "get {key}")?,
                    Span::Range(range) => write!(f, "get {key} {}..{}", range.start, range.end)?,
                }
                version.map_or(Ok(()), |version| write!(f, " {}", Short(version)))
            }
            Self::Delete { key, condition } => write!(f, "delete {key}{condition}"),
            Self::List { prefix, delimiter, after, limit, at } => {
                write!(f, "list {prefix:?} by {:?} limit {limit}", delimiter.as_deref().unwrap_or(""))?;
                after.as_ref().map_or(Ok(()), |after| write!(f, " after {after}"))?;
                as_of(f, *at)
            }
            Self::Kept { key, version } => write!(f, "get {key} {}, hidden or not", Short(*version)),
            Self::ReadAt { key, version, height } => {
                write!(f, "get {key}")?;
                version.map_or(Ok(()), |version| write!(f, " {}", Short(version)))?;
                as_of(f, Some(*height))
            }
            Self::HeightAt { time_ms } => write!(f, "height at {time_ms}"),
            Self::Hide { key, version } => write!(f, "hide {key} {}", Short(*version)),
            Self::Undelete { key } => write!(f, "undelete {key}"),
            Self::ListVersions { prefix, hidden, after, limit, at } => {
                write!(
                    f,
                    "list versions {prefix:?}{} limit {limit}",
                    if *hidden { " and hidden" } else { "" }
                )?;
                after.as_ref().map_or(Ok(()), |after| write!(f, " after {}", of_place(after)))?;
                as_of(f, *at)
            }
            Self::CreateUpload { key } => write!(f, "create-upload {key}"),
            Self::PutPart { key, upload, number, content, range } => {
                let (upload, Range { start, end }) = (of_upload(upload), range);
                write!(f, "put-part {key} {upload} {number} {content} {start}..{end}")
            }
            Self::CompleteUpload { key, upload, content, condition } => {
                write!(f, "complete {key} {} {content}{condition}", of_upload(upload))
            }
            Self::AbortUpload { key, upload } => write!(f, "abort {key} {}", of_upload(upload)),
        }
    }
}

impl fmt::Display for ObjectSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.key, Short(self.version))?;
        match self.write {
            Some(write) => write!(f, "of call {write}, {}B", self.length)?,
            None => write!(f, "of no call, {}B", self.length)?,
        }
        let Some(BytesSeen { length, hash }) = &self.bytes else { return Ok(()) };
        write!(f, ", read {length}B {:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3])
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(f, "ok"),
            Self::Written { version, time_ms } => write!(f, "{} at block time {time_ms}", Short(*version)),
            Self::Object(object) => write!(f, "{object}"),
            Self::Page(PageSeen { objects, prefixes, next }) => {
                let objects: Vec<_> =
                    objects.iter().map(|o| format!("{} {}", o.key, Short(o.version))).collect();
                write!(f, "[{}] [{}]", objects.join(", "), prefixes.join(", "))?;
                next.as_ref().map_or(Ok(()), |next| write!(f, " next after {next}"))
            }
            Self::Versions(VersionsSeen { versions, next }) => {
                let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", versions.join(", "))?;
                next.as_ref().map_or(Ok(()), |next| write!(f, " next after {}", of_place(next)))
            }
            Self::Hidden(versions) => {
                let versions: Vec<_> = versions.iter().map(|version| Short(*version).to_string()).collect();
                write!(f, "hidden [{}]", versions.join(", "))
            }
            Self::Undeleted(count) => write!(f, "{count} changed"),
            Self::Height(height) => write!(f, "height {height}"),
            Self::Upload(upload) => write!(f, "upload {}", of_upload(upload)),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(seen) => write!(f, "{seen}"),
            Self::Refused(Refusal::NoSuchKey { marker: Some(marker) }) => {
                write!(f, "absent, by marker {}", Short(*marker))
            }
            Self::Refused(Refusal::NoSuchKey { marker: None }) => write!(f, "absent"),
            Self::Refused(Refusal::Marker { marker, .. }) => write!(f, "is marker {}", Short(*marker)),
            Self::Refused(refusal) => write!(f, "{refusal:?}"),
            Self::Failed(why) => write!(f, "FAILED: {why}"),
            Self::Unknown(why) => write!(f, "UNKNOWN: {why}"),
            Self::Damaged(why) => write!(f, "DAMAGED: {why}"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, client, gateway, invoked, operation, .. } = self;
        write!(f, "{id:>5} c{client} g{gateway} {invoked}..")?;
        match &self.returned {
            Some(Return { at, outcome }) => write!(f, "{at} {operation} -> {outcome}"),
            None => write!(f, "never {operation}"),
        }
    }
}
