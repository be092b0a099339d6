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

mod operation;
mod outcome;
mod trace;

pub use operation::{After, AfterVersion, Condition, Content, Operation, Span, Write};
pub use outcome::{BytesSeen, ObjectSeen, Outcome, PageSeen, Refusal, Seen, VersionSeen, VersionsSeen};
pub use trace::Short;

use commonware_utils::sync::Mutex;
use proof::VersionId;
use std::sync::Arc;

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Its place in the order of all events of the history.
    pub sequence: u64,
    /// Virtual time, milliseconds since the Unix epoch.
    pub time_ms: u64,
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
