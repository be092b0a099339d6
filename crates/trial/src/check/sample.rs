//! Histories made by hand, for the tests of checkers.

use crate::{
    history::{
        BytesSeen, Condition, Content, History, ObjectSeen, Operation, Outcome, PageSeen, Phase, Refusal,
        Seen, Span, VersionSeen, VersionsSeen,
    },
    workload::content,
};
use proof::VersionId;

/// Bytes of every object.
pub(super) const LENGTH: u64 = 40;

/// The version of this height.
pub(super) fn v(height: u64) -> VersionId {
    VersionId { height, index: 0, operation: 0 }
}

/// Block time of a version, milliseconds.
pub(super) fn time_ms(version: VersionId) -> u64 {
    10 * version.height
}

/// A history that is being told. Every event is a millisecond after the one before.
pub(super) struct Story {
    pub(super) history: History,
    now_ms: u64,
    phase: Phase,
}

impl Story {
    pub(super) fn new() -> Self {
        Self { history: History::new(3), now_ms: 0, phase: Phase::Work }
    }

    /// Goes on at this time.
    pub(super) fn at(&mut self, time_ms: u64) {
        self.now_ms = time_ms;
    }

    /// From now on everything is read back.
    pub(super) fn read_back(&mut self) {
        self.phase = Phase::ReadBack;
    }

    pub(super) fn begin(&mut self, client: u32, operation: Operation) -> u64 {
        self.now_ms += 1;
        self.history.invoke(self.phase, (client, 0), self.now_ms - 1, |_| operation)
    }

    pub(super) fn end(&mut self, call: u64, outcome: Outcome) {
        self.now_ms += 1;
        self.history.complete(call, self.now_ms - 1, outcome);
    }

    /// A call by itself.
    pub(super) fn call(&mut self, operation: Operation, outcome: Outcome) -> u64 {
        let call = self.begin(0, operation);
        self.end(call, outcome);
        call
    }

    pub(super) fn begin_put(&mut self, key: &str, condition: Condition) -> u64 {
        let content = Content { id: self.history.calls.len() as u64, length: LENGTH };
        self.begin(0, Operation::Put { key: key.into(), content, condition })
    }

    pub(super) fn put(&mut self, key: &str, version: VersionId) -> u64 {
        let call = self.begin_put(key, Condition::None);
        self.end(call, written(version));
        call
    }

    /// A put whose outcome is not known.
    pub(super) fn lost_put(&mut self, key: &str) -> u64 {
        let call = self.begin_put(key, Condition::None);
        self.end(call, lost());
        call
    }

    pub(super) fn begin_delete(&mut self, key: &str) -> u64 {
        self.begin(0, Operation::Delete { key: key.into(), condition: Condition::None })
    }

    pub(super) fn delete(&mut self, key: &str, marker: VersionId) -> u64 {
        let call = self.begin_delete(key);
        self.end(call, written(marker));
        call
    }

    /// Reads the current object, and sees this version, written by this call.
    pub(super) fn get(&mut self, key: &str, version: VersionId, write: u64) -> u64 {
        let outcome = self.object(key, version, write, 0..LENGTH);
        self.call(read(key, None), outcome)
    }

    /// Reads this version.
    pub(super) fn get_version(&mut self, key: &str, version: VersionId, write: u64) -> u64 {
        let outcome = self.object(key, version, write, 0..LENGTH);
        self.call(read(key, Some(version)), outcome)
    }

    /// Reads, and finds no current object.
    pub(super) fn absent(&mut self, key: &str, marker: Option<VersionId>) -> u64 {
        self.call(read(key, None), Outcome::Refused(Refusal::NoSuchKey { marker }))
    }

    /// An object as the call that wrote it made it, and these bytes of it.
    pub(super) fn object(
        &self,
        key: &str,
        version: VersionId,
        write: u64,
        range: std::ops::Range<u64>,
    ) -> Outcome {
        let bytes = content::bytes(self.history.seed, write, range);
        let bytes = BytesSeen { length: bytes.len() as u64, hash: content::hash(&bytes) };
        Outcome::Ok(Seen::Object(ObjectSeen { bytes: Some(bytes), ..listed(key, version, write) }))
    }

    pub(super) fn begin_list(&mut self, prefix: &str) -> u64 {
        let (prefix, delimiter) = (prefix.to_owned(), Some("/".to_owned()));
        self.begin(0, Operation::List { prefix, delimiter, after: None, limit: 10, at: None })
    }

    /// Hides a version that is there.
    pub(super) fn hide(&mut self, key: &str, version: VersionId) -> u64 {
        self.call(hide(key, version), Outcome::Ok(Seen::Hidden(vec![version])))
    }

    /// Undoes deletes, and changes so many versions.
    pub(super) fn undelete(&mut self, key: &str, count: usize) -> u64 {
        self.call(Operation::Undelete { key: key.into() }, Outcome::Ok(Seen::Undeleted(count)))
    }

    /// Lists all keys, `/` being the delimiter.
    pub(super) fn list(&mut self, objects: Vec<ObjectSeen>, prefixes: &[&str]) -> u64 {
        let call = self.begin_list("");
        self.end(call, page(objects, prefixes));
        call
    }
}

pub(super) fn read(key: &str, version: Option<VersionId>) -> Operation {
    Operation::Read { key: key.into(), version, span: Span::Whole }
}

pub(super) fn hide(key: &str, version: VersionId) -> Operation {
    Operation::Hide { key: key.into(), version }
}

pub(super) fn written(version: VersionId) -> Outcome {
    Outcome::Ok(Seen::Written { version, time_ms: time_ms(version) })
}

pub(super) fn lost() -> Outcome {
    Outcome::Unknown("no answer".into())
}

/// An object as a listing shows it.
pub(super) fn listed(key: &str, version: VersionId, write: u64) -> ObjectSeen {
    let time_ms = time_ms(version);
    ObjectSeen { key: key.into(), version, time_ms, length: LENGTH, write: Some(write), bytes: None }
}

/// A page of versions of one key: heights, the calls that wrote objects, whether they are current, since when hidden.
pub(super) fn versions(
    key: &str,
    of: impl Iterator<Item = (u64, Option<u64>, bool, Option<u64>)>,
) -> Outcome {
    let seen = of.map(|(height, write, current, hidden)| VersionSeen {
        key: key.into(),
        version: v(height),
        time_ms: time_ms(v(height)),
        contents: write.map(|write| (LENGTH, Some(write))),
        current,
        hidden,
    });
    Outcome::Ok(Seen::Versions(VersionsSeen { versions: seen.collect(), next: None }))
}

pub(super) fn page(objects: Vec<ObjectSeen>, prefixes: &[&str]) -> Outcome {
    let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
    Outcome::Ok(Seen::Page(PageSeen { objects, prefixes, next: None }))
}
