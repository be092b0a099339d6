//! Durability: what was acknowledged, or once seen, can be read back by its version id after all work, byte for byte,
//! whether it was hidden or not; a delete marker is still that.

use super::{Kind, Version, Versions, Violation};
use crate::{
    history::{Call, History, Operation, Outcome, Phase, Refusal, Seen, Span},
    workload::content,
};
use proof::VersionId;

/// Judges a history that ends with everything being read back.
pub fn check(history: &History) -> Vec<Violation> {
    let work = history.calls.iter().filter(|call| call.phase == Phase::Work);
    let versions = Versions::told_by(work);
    let judge = |(key, id, version): (&str, VersionId, &Version)| {
        let attempts: Vec<_> = history.calls.iter().filter(|call| reads_back(call, key, id)).collect();
        if attempts.iter().any(|call| is_as_written(history, call, version.kind, id)) {
            return None;
        }
        let what = match attempts.last() {
            None => format!("{id} of {key} was not read back"),
            Some(last) => format!("{id} of {key}, {version:?}, cannot be read back: {last}"),
        };
        Some(Violation { checker: "durability", what })
    };
    versions.all().filter_map(judge).collect()
}

fn reads_back(call: &Call, of: &str, id: VersionId) -> bool {
    let reads = matches!(
        &call.operation,
        Operation::Read { key, version: Some(version), span: Span::Whole } | Operation::Kept { key, version }
            if key == of && *version == id
    );
    reads && call.phase == Phase::ReadBack
}

fn is_as_written(history: &History, call: &Call, kind: Kind, id: VersionId) -> bool {
    match (kind, call.outcome()) {
        (Kind::Marker, Some(Outcome::Refused(Refusal::Marker { marker, .. }))) => *marker == id,
        (Kind::Object(Some(write)), Some(Outcome::Ok(Seen::Object(seen)))) => {
            let Some(content) = history.content_of(write) else { return false };
            let Some(bytes) = &seen.bytes else { return false };
            let hash = content::hash(&content::bytes(history.seed, content.id, 0..content.length));
            seen.version == id && bytes.length == content.length && bytes.hash == hash
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::sample::{LENGTH, Story, read, v};

    fn worked() -> (Story, u64, u64) {
        let mut story = Story::new();
        let (first, lost) = (story.put("a", v(1)), story.lost_put("a"));
        story.get("a", v(2), lost);
        story.delete("a", v(3));
        story.read_back();
        (story, first, lost)
    }

    fn read_marker(story: &mut Story) {
        let marker = Refusal::Marker { marker: v(3), time_ms: 30 };
        story.call(read("a", Some(v(3))), Outcome::Refused(marker));
    }

    #[test]
    fn what_can_be_read_back_is_durable() {
        let (mut story, first, lost) = worked();
        story.call(read("a", Some(v(1))), Outcome::Failed("try again".into()));
        story.get_version("a", v(1), first);
        story.get_version("a", v(2), lost);
        read_marker(&mut story);
        // A write of unknown outcome that nobody saw before need not be there, and may be.
        story.lost_put("b");
        assert_eq!(check(&story.history), []);
    }

    #[test]
    fn what_was_acknowledged_and_is_gone_is_found() {
        let (mut story, _, lost) = worked();
        story.call(read("a", Some(v(1))), Outcome::Refused(Refusal::NoSuchVersion));
        story.get_version("a", v(2), lost);
        read_marker(&mut story);
        let found = check(&story.history);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("cannot be read back") && found[0].what.contains("NoSuchVersion"));
    }

    #[test]
    fn what_was_seen_once_and_other_bytes_are_found() {
        let (mut story, first, _) = worked();
        story.get_version("a", v(1), first);
        let others = story.object("a", v(2), first, 0..LENGTH);
        story.call(read("a", Some(v(2))), others);
        read_marker(&mut story);
        assert_eq!(check(&story.history).len(), 1);
    }

    #[test]
    fn what_is_hidden_is_durable_and_must_be_read_as_such() {
        let mut story = Story::new();
        let first = story.put("a", v(1));
        story.hide("a", v(1));
        story.read_back();
        story.call(read("a", Some(v(1))), Outcome::Refused(Refusal::NoSuchVersion));
        assert_eq!(check(&story.history).len(), 1);
        let seen = story.object("a", v(1), first, 0..LENGTH);
        story.call(Operation::Kept { key: "a".into(), version: v(1) }, seen);
        assert_eq!(check(&story.history), []);
    }

    #[test]
    fn a_marker_that_is_gone_is_found() {
        let (mut story, first, lost) = worked();
        story.get_version("a", v(1), first);
        story.get_version("a", v(2), lost);
        story.call(read("a", Some(v(3))), Outcome::Refused(Refusal::NoSuchVersion));
        assert_eq!(check(&story.history).len(), 1);
    }

    #[test]
    fn what_was_not_read_back_is_not_taken_for_durable() {
        let (story, ..) = worked();
        let found = check(&story.history);
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|violation| violation.what.contains("was not read back")));
    }
}
