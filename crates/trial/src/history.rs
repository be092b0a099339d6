//! What clients did and saw: the evidence that checkers judge.
//!
//! A history is one tenant's, in one bucket. Every call of the vault is invoked at one moment and returns at a later
//! one, or never. Moments have a place in one order of all events, so two calls are either concurrent, or one returned
//! before the other was invoked, whatever the clock's resolution.
//!
//! The number of a call in the history is its id. What a call wrote is known by that id: it is the version's ETag, which
//! travels in the sealed body. Contents are known by the id of the call that made them up: see
//! [`content`](crate::workload::content).
//!
//! An outcome is one of: done, with what was seen; refused, by a state of the network that says so; failed, and nothing
//! was done; unknown, and what was asked for may take effect at any later time, or never; damaged.

mod trace;

pub use trace::Short;

use commonware_utils::sync::Mutex;
use proof::{UploadId, VersionId};
use std::{ops::Range, sync::Arc};

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Its place in the order of all events of the history.
    pub sequence: u64,
    /// Virtual time, milliseconds since the Unix epoch.
    pub time_ms: u64,
}

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
        matches!(self, Self::Read { .. } | Self::List { .. })
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

/// When an operation ended, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// When.
    pub at: Moment,
    /// How.
    pub outcome: Outcome,
}

/// To what end a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Work.
    Work,
    /// To read back, after all work, everything that there should be.
    ReadBack,
}

/// One operation of one client through one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number in the history.
    pub id: u64,
    /// To what end it was made.
    pub phase: Phase,
    /// The client. A client has one call at a time.
    pub client: u32,
    /// The gateway.
    pub gateway: u32,
    /// When it began.
    pub invoked: Moment,
    /// What was asked for.
    pub operation: Operation,
    /// When and how it ended. `None`: it has not; its outcome is unknown.
    pub returned: Option<Return>,
}

impl Call {
    /// How it ended, if it did.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.returned.as_ref().map(|returned| &returned.outcome)
    }

    /// What was seen, if it was done.
    pub fn seen(&self) -> Option<&Seen> {
        match self.outcome() {
            Some(Outcome::Ok(seen)) => Some(seen),
            _ => None,
        }
    }

    /// The version that was acknowledged, and its block time in milliseconds since the Unix epoch.
    pub fn acknowledged(&self) -> Option<(VersionId, u64)> {
        match self.seen() {
            Some(Seen::Written { version, time_ms }) => Some((*version, *time_ms)),
            _ => None,
        }
    }

    /// Whether it may have taken effect without an acknowledgement, now or later.
    pub fn is_unknown(&self) -> bool {
        !self.operation.is_read() && matches!(self.outcome(), None | Some(Outcome::Unknown(_)))
    }

    /// Whether it ended before `other` began.
    pub fn is_before(&self, other: &Self) -> bool {
        self.returned.as_ref().is_some_and(|returned| returned.at < other.invoked)
    }
}

/// All that one tenant's clients did and saw in one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// What contents are derived from.
    pub seed: u64,
    /// In the order in which they were invoked: a call's id is its index.
    pub calls: Vec<Call>,
    /// Events so far: invocations and returns.
    pub events: u64,
}

impl History {
    /// An empty history, whose contents are derived from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// The call with this id.
    pub fn call(&self, id: u64) -> Option<&Call> {
        self.calls.get(usize::try_from(id).ok()?)
    }

    /// The contents of what this call writes.
    pub fn content_of(&self, write: u64) -> Option<Content> {
        self.call(write)?.operation.write()?.content
    }

    /// Begins a call; `operation` is given its id.
    pub fn invoke(
        &mut self,
        phase: Phase,
        (client, gateway): (u32, u32),
        time_ms: u64,
        operation: impl FnOnce(u64) -> Operation,
    ) -> u64 {
        let id = self.calls.len() as u64;
        let invoked = self.moment(time_ms);
        let operation = operation(id);
        self.calls.push(Call { id, phase, client, gateway, invoked, operation, returned: None });
        id
    }

    /// Ends a call.
    pub fn complete(&mut self, id: u64, time_ms: u64, outcome: Outcome) {
        let at = self.moment(time_ms);
        let call = self.calls.get_mut(id as usize).expect("a call is completed after it was invoked");
        assert!(call.returned.is_none(), "a call returns once");
        call.returned = Some(Return { at, outcome });
    }

    fn moment(&mut self, time_ms: u64) -> Moment {
        let sequence = self.events;
        self.events += 1;
        Moment { sequence, time_ms }
    }

    /// A hash of all of it: the same for two runs exactly when clients did and saw the same at the same moments.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_be_bytes());
        for call in &self.calls {
            let line = format!("{call:?}");
            hasher.update(&(line.len() as u64).to_be_bytes()).update(line.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

/// A history that clients write together. Clones share it.
#[derive(Clone, Debug)]
pub struct Recorder {
    history: Arc<Mutex<History>>,
}

impl Recorder {
    /// Begins a history.
    pub fn new(seed: u64) -> Self {
        Self { history: Arc::new(Mutex::new(History::new(seed))) }
    }

    /// As [`History::invoke`].
    pub fn invoke(
        &self,
        phase: Phase,
        by: (u32, u32),
        time_ms: u64,
        operation: impl FnOnce(u64) -> Operation,
    ) -> u64 {
        self.history.lock().invoke(phase, by, time_ms, operation)
    }

    /// As [`History::complete`].
    pub fn complete(&self, id: u64, time_ms: u64, outcome: Outcome) {
        self.history.lock().complete(id, time_ms, outcome);
    }

    /// What this gives of the history so far.
    pub fn with<T>(&self, look: impl FnOnce(&History) -> T) -> T {
        look(&self.history.lock())
    }

    /// The history so far.
    pub fn history(&self) -> History {
        self.history.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(id: u64) -> Operation {
        let content = Content { id, length: 9 };
        Operation::Put { key: "k".into(), content, condition: Condition::IfAbsent }
    }

    #[test]
    fn moments_are_ordered_within_one_instant() {
        let mut history = History::new(1);
        let first = history.invoke(Phase::Work, (0, 0), 5, put);
        history.complete(first, 5, Outcome::Refused(Refusal::PreconditionFailed));
        let second = history.invoke(Phase::Work, (0, 0), 5, put);
        let (first, second) = (history.call(first).unwrap(), history.call(second).unwrap());
        assert!(first.is_before(second) && !second.is_before(first));
        assert!(second.is_unknown() && !first.is_unknown());
        assert_eq!(
            first.to_string(),
            "    0 c0 g0 0.005s..0.005s put k #0 9B if absent -> PreconditionFailed"
        );
        assert_eq!(second.to_string(), "    1 c0 g0 0.005s..never put k #1 9B if absent");
    }

    #[test]
    fn the_digest_tells_any_difference() {
        let run = |time_ms, outcome: Option<Outcome>| {
            let mut history = History::new(1);
            let id = history.invoke(Phase::Work, (0, 0), time_ms, put);
            if let Some(outcome) = outcome {
                history.complete(id, time_ms, outcome);
            }
            history.digest()
        };
        let done = Some(Outcome::Ok(Seen::Done));
        assert_eq!(run(1, done.clone()), run(1, done.clone()));
        assert_ne!(run(1, done.clone()), run(2, done.clone()));
        assert_ne!(run(1, done), run(1, None));
    }
}
