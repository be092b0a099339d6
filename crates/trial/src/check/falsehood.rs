//! Falsehood: nothing is ever told that is not so.
//!
//! * An object read or listed is of a write to its key that was asked for before the answer came, and that was not said
//!   to have done nothing; it has its length.
//! * Bytes read are its bytes: all of them, or those of the range.
//! * A read by version gives that version.
//! * All that is told of a version agrees: one key, one write, one kind, one block time; and a write makes one version.
//! * Block time does not go back from a version to a later one, and is one for all of a block.
//! * An upload becomes one object or none.
//! * Nothing is said to be damaged, or the bucket not to be there, unless it is so.

use super::{Versions, Violation};
use crate::{
    history::{Call, Content, History, ObjectSeen, Operation, Outcome, Refusal, Seen, Span, VersionSeen},
    workload::content,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

fn violation(what: String) -> Violation {
    Violation { checker: "falsehood", what }
}

/// Judges a history in which a malicious writer may have damaged `damaged_keys`, and nobody anything else.
pub fn check(history: &History, damaged_keys: &BTreeSet<String>) -> Vec<Violation> {
    let versions = Versions::of(history);
    let oldest = versions.all().map(|(_, id, _)| id.height).min();
    let mut judge = Judge { history, damaged_keys, oldest, hashes: BTreeMap::new() };
    let mut found: Vec<String> = history.calls.iter().filter_map(|call| judge.call(call)).collect();
    found.extend(versions.conflicts.iter().cloned());
    found.extend(times_that_go_back(&versions));
    found.extend(uploads_that_ended_twice(history, &versions));
    found.into_iter().map(violation).collect()
}

struct Judge<'a> {
    history: &'a History,
    damaged_keys: &'a BTreeSet<String>,
    /// The least height of any version.
    oldest: Option<u64>,
    /// Of contents and ranges of them.
    hashes: BTreeMap<(u64, u64, u64), [u8; 32]>,
}

impl Judge<'_> {
    fn call(&mut self, call: &Call) -> Option<String> {
        let why = match call.outcome()? {
            Outcome::Damaged(_) if self.may_be_damaged(&call.operation) => None,
            Outcome::Damaged(_) => Some("nothing was damaged"),
            Outcome::Refused(Refusal::NoSuchBucket) => self.bucket_exists(call),
            Outcome::Ok(Seen::Object(seen)) => self.read(call, seen),
            Outcome::Ok(Seen::Page(page)) => {
                page.objects.iter().find_map(|seen| self.written(call, seen).err().flatten())
            }
            Outcome::Ok(Seen::Versions(page)) => page.versions.iter().find_map(|seen| {
                let (length, write) = seen.contents?;
                let VersionSeen { key, version, time_ms, .. } = seen.clone();
                let seen = ObjectSeen { key, version, time_ms, length, write, bytes: None };
                self.written(call, &seen).err().flatten()
            }),
            Outcome::Ok(Seen::Hidden(hidden)) => match &call.operation {
                Operation::Hide { version, .. } if hidden.iter().all(|hidden| hidden == version) => None,
                _ => Some("it hid what it was not asked to"),
            },
            _ => None,
        };
        why.map(|why| format!("{why}: {call}"))
    }

    fn may_be_damaged(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Read { key, .. } | Operation::ReadAt { key, .. } | Operation::Kept { key, .. } => {
                self.damaged_keys.contains(key)
            }
            Operation::Copy { source, .. } => self.damaged_keys.contains(source),
            _ => false,
        }
    }

    fn bucket_exists(&self, call: &Call) -> Option<&'static str> {
        if let Operation::ReadAt { height, .. }
        | Operation::List { at: Some(height), .. }
        | Operation::ListVersions { at: Some(height), .. } = &call.operation
        {
            // Whoever has a version had a bucket.
            return self.oldest.is_some_and(|oldest| *height >= oldest).then_some("the bucket existed");
        }
        let mut creations =
            self.history.calls.iter().filter(|call| call.operation == Operation::CreateBucket).peekable();
        let created = creations.peek().is_none()
            || creations.any(|creation| {
                creation.is_before(call) && creation.outcome().is_some_and(Outcome::is_answer)
            });
        created.then_some("the bucket exists")
    }

    /// The contents of an object that a call saw. The error: why it is false, or `None` where a damaged one may be.
    fn written(&self, by: &Call, seen: &ObjectSeen) -> Result<Content, Option<&'static str>> {
        let write = seen.write.and_then(|write| self.history.call(write));
        let (Some(write), Some(returned)) = (write, &by.returned) else {
            return Err((!self.damaged_keys.contains(&seen.key)).then_some("no call wrote this"));
        };
        let asked = write.operation.write().filter(|asked| asked.key == seen.key);
        let Some(content) = asked.and_then(|asked| asked.content) else {
            return Err(Some("the call that it names did not write to this key"));
        };
        if write.invoked > returned.at {
            return Err(Some("it was written later"));
        }
        if write.acknowledged().is_none() && !write.is_unknown() {
            return Err(Some("the write that it names was said to have done nothing"));
        }
        if seen.length != content.length {
            return Err(Some("it has another length"));
        }
        Ok(content)
    }

    fn read(&mut self, call: &Call, seen: &ObjectSeen) -> Option<&'static str> {
        let (key, version, span) = match &call.operation {
            Operation::Read { key, version, span } => (key, *version, span),
            Operation::ReadAt { key, version, .. } => (key, *version, &Span::Whole),
            Operation::Kept { key, version } => (key, Some(*version), &Span::Whole),
            _ => return Some("this does not read"),
        };
        if seen.key != *key || version.is_some_and(|version| version != seen.version) {
            return Some("it is not what was asked for");
        }
        let content = match self.written(call, seen) {
            Ok(content) => content,
            Err(why) => return why,
        };
        let range = match span {
            Span::Head => return None,
            Span::Whole => 0..content.length,
            Span::Range(range) => {
                let end = range.end.min(content.length);
                range.start.min(end)..end
            }
        };
        let Some(bytes) = &seen.bytes else { return Some("no bytes were read") };
        if bytes.length != range.end - range.start {
            return Some("another number of bytes was read");
        }
        (bytes.hash != self.hash(content.id, range)).then_some("other bytes were read")
    }

    fn hash(&mut self, id: u64, range: Range<u64>) -> [u8; 32] {
        let seed = self.history.seed;
        let hash = || content::hash(&content::bytes(seed, id, range.clone()));
        *self.hashes.entry((id, range.start, range.end)).or_insert_with(hash)
    }
}

fn times_that_go_back(versions: &Versions) -> Vec<String> {
    let mut all: Vec<_> = versions.all().filter_map(|(key, id, of)| Some((id, of.time_ms?, key))).collect();
    all.sort();
    let wrong = |pair: &[(proof::VersionId, u64, &str)]| {
        let [(a, a_ms, a_key), (b, b_ms, b_key)] = pair else { unreachable!("windows of two") };
        let wrong = if a.height == b.height { a_ms != b_ms } else { a_ms > b_ms };
        wrong.then(|| format!("{a} of {a_key} is of {a_ms} ms and the later {b} of {b_key} of {b_ms} ms"))
    };
    all.windows(2).filter_map(wrong).collect()
}

fn uploads_that_ended_twice(history: &History, versions: &Versions) -> Vec<String> {
    let mut ends = BTreeMap::new();
    let mut twice = Vec::new();
    for call in &history.calls {
        let ended = match &call.operation {
            Operation::CompleteUpload { upload, .. } => versions.written_by(call).map(|_| upload),
            Operation::AbortUpload { upload, .. } => call.seen().map(|_| upload),
            _ => None,
        };
        if let Some(upload) = ended
            && let Some(first) = ends.insert(upload.0, call)
        {
            twice.push(format!("an upload ended twice: {first}; {call}"));
        }
    }
    twice
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::sample::{LENGTH, Story, listed, lost, page, read, v, written},
        history::{BytesSeen, Condition},
    };
    use proof::UploadId;

    fn found(story: &Story) -> Vec<Violation> {
        check(&story.history, &BTreeSet::new())
    }

    fn only(story: &Story) -> String {
        let found = found(story);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].what.clone()
    }

    fn range(key: &str, range: Range<u64>) -> Operation {
        Operation::Read { key: key.into(), version: None, span: Span::Range(range) }
    }

    #[test]
    fn the_truth_is_accepted() {
        let mut story = Story::new();
        story.call(Operation::CreateBucket, Outcome::Ok(Seen::Done));
        let first = story.put("a", v(1));
        let slow = story.begin_put("a", Condition::None);
        story.get("a", v(2), slow);
        story.end(slow, written(v(2)));
        let unknown = story.lost_put("b");
        story.get("b", v(3), unknown);
        story.get_version("a", v(1), first);
        let slice = story.object("a", v(2), slow, 5..10);
        story.call(range("a", 5..10), slice);
        let cut = story.object("a", v(2), slow, LENGTH - 3..LENGTH);
        story.call(range("a", LENGTH - 3..LENGTH + 7), cut);
        let none = story.object("a", v(2), slow, 0..0);
        story.call(range("a", LENGTH + 3..LENGTH + 7), none);
        story.list(vec![listed("a", v(2), slow), listed("b", v(3), unknown)], &[]);
        assert_eq!(found(&story), []);
    }

    #[test]
    fn bytes_of_another_write_are_found() {
        let mut story = Story::new();
        let (first, second) = (story.put("a", v(1)), story.put("a", v(2)));
        let Outcome::Ok(Seen::Object(other)) = story.object("a", v(1), first, 0..LENGTH) else { panic!() };
        let seen = ObjectSeen { bytes: other.bytes, ..listed("a", v(2), second) };
        story.call(read("a", None), Outcome::Ok(Seen::Object(seen)));
        assert!(only(&story).contains("other bytes were read"));
    }

    #[test]
    fn a_wrong_slice_and_too_few_bytes_are_found() {
        for (wrong, why) in [(6..11, "other bytes"), (5..9, "another number of bytes")] {
            let mut story = Story::new();
            let put = story.put("a", v(1));
            let slice = story.object("a", v(1), put, wrong);
            story.call(range("a", 5..10), slice);
            assert!(only(&story).contains(why));
        }
        let mut story = Story::new();
        let put = story.put("a", v(1));
        story.call(read("a", None), Outcome::Ok(Seen::Object(listed("a", v(1), put))));
        assert!(only(&story).contains("no bytes"));
    }

    #[test]
    fn what_nobody_wrote_is_found() {
        let mut story = Story::new();
        let bytes = Some(BytesSeen { length: LENGTH, hash: [0; 32] });
        let seen = ObjectSeen { bytes, write: None, ..listed("a", v(1), 0) };
        story.call(read("a", None), Outcome::Ok(Seen::Object(seen)));
        assert!(only(&story).contains("no call wrote this"));
        let mut story = Story::new();
        let put = story.put("b", v(1));
        story.list(vec![listed("a", v(2), put + 7)], &[]);
        assert!(only(&story).contains("no call wrote this"));
    }

    #[test]
    fn another_keys_object_is_found() {
        let mut story = Story::new();
        let put = story.lost_put("b");
        story.get("a", v(2), put);
        assert!(only(&story).contains("did not write to this key"));
    }

    #[test]
    fn what_was_written_later_is_found() {
        let mut story = Story::new();
        story.get("a", v(1), 1);
        story.lost_put("a");
        assert!(only(&story).contains("written later"));
    }

    #[test]
    fn a_write_said_to_have_done_nothing_and_seen_is_found() {
        for outcome in [Outcome::Failed("down".into()), Outcome::Refused(Refusal::PreconditionFailed)] {
            let mut story = Story::new();
            let put = story.begin_put("a", Condition::IfAbsent);
            story.end(put, outcome);
            story.get("a", v(1), put);
            assert!(only(&story).contains("said to have done nothing"));
        }
    }

    #[test]
    fn a_wrong_length_in_a_listing_is_found() {
        let mut story = Story::new();
        let put = story.put("a", v(1));
        story.list(vec![ObjectSeen { length: LENGTH + 1, ..listed("a", v(1), put) }], &[]);
        assert!(only(&story).contains("another length"));
    }

    #[test]
    fn another_version_than_the_one_asked_for_is_found() {
        let mut story = Story::new();
        let (_, second) = (story.put("a", v(1)), story.put("a", v(2)));
        let outcome = story.object("a", v(2), second, 0..LENGTH);
        story.call(read("a", Some(v(1))), outcome);
        assert!(only(&story).contains("not what was asked for"));
    }

    #[test]
    fn damage_is_found_unless_a_malicious_writer_made_it() {
        let mut story = Story::new();
        story.call(read("a", None), Outcome::Damaged("does not decrypt".into()));
        assert!(only(&story).contains("nothing was damaged"));
        assert_eq!(check(&story.history, &["a".to_owned()].into()), []);
        assert_eq!(check(&story.history, &["b".to_owned()].into()).len(), 1);
    }

    #[test]
    fn a_bucket_that_exists_is_not_denied() {
        let deny = |story: &mut Story| {
            story.call(read("a", None), Outcome::Refused(Refusal::NoSuchBucket));
        };
        let mut story = Story::new();
        deny(&mut story);
        assert!(only(&story).contains("the bucket exists"));
        let mut story = Story::new();
        deny(&mut story);
        story.call(Operation::CreateBucket, Outcome::Ok(Seen::Done));
        assert_eq!(found(&story), []);
        deny(&mut story);
        assert!(only(&story).contains("the bucket exists"));
    }

    #[test]
    fn contradictions_about_a_version_are_found() {
        let mut story = Story::new();
        story.put("a", v(1));
        story.absent("a", Some(v(1)));
        assert_eq!(found(&story).len(), 1);
    }

    #[test]
    fn block_time_that_goes_back_or_differs_within_a_block_is_found() {
        let put = |story: &mut Story, version, time_ms| {
            let put = story.begin_put("a", Condition::None);
            story.end(put, Outcome::Ok(Seen::Written { version, time_ms }));
        };
        for (first_ms, second, second_ms) in [(10, v(2), 9), (10, proof::VersionId { index: 1, ..v(1) }, 11)]
        {
            let mut story = Story::new();
            put(&mut story, v(1), first_ms);
            put(&mut story, second, second_ms);
            assert!(only(&story).contains("is of"));
        }
    }

    #[test]
    fn an_upload_that_becomes_two_objects_is_found() {
        let complete = |story: &mut Story, outcome| {
            let content = Content { id: 0, length: LENGTH };
            let (upload, condition) = (UploadId([1; 16]), Condition::None);
            story.call(Operation::CompleteUpload { key: "a".into(), upload, content, condition }, outcome)
        };
        let mut story = Story::new();
        complete(&mut story, lost());
        complete(&mut story, written(v(2)));
        assert_eq!(found(&story), []);
        let (list, outcome) = (story.begin_list(""), page(vec![listed("a", v(1), 0)], &[]));
        story.end(list, outcome);
        assert!(only(&story).contains("ended twice"));
    }
}
