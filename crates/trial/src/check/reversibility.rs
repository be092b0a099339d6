//! Reversibility: deletes write markers, versions are hidden by their ids, and nothing goes otherwise.
//!
//! * A version that a client knew of is addressable by its id for ever, whatever was deleted since, unless somebody asked
//!   to hide it. One that is hidden can be read by whoever asks for hidden ones.
//! * The current state of a key never goes back: no read, and above all none after all work, finds an older version than
//!   one that was known before it began and that nobody asked to hide, or none at all.
//! * A version that was hidden, and that nobody asked to show again, is not addressable.
//! * Every marker is explained by a delete of its key that was asked for before: an acknowledged one, or one of unknown
//!   outcome, each of which explains one marker.

use super::{Kind, Versions, Violation, lives::Lives};
use crate::history::{Call, History, Operation, Outcome, Refusal, Seen};
use proof::VersionId;

fn violation(what: String) -> Violation {
    Violation { checker: "reversibility", what }
}

/// Judges a history.
pub fn check(history: &History) -> Vec<Violation> {
    let versions = Versions::of(history);
    let lives = Lives::of(history, &versions);
    let judge = |call| disappeared(&lives, call).or_else(|| reappeared(&lives, call));
    let mut violations: Vec<_> = history.calls.iter().filter_map(judge).map(violation).collect();
    violations.extend(unexplained(history, &versions).map(violation));
    violations
}

fn disappeared(lives: &Lives<'_>, call: &Call) -> Option<String> {
    let versions = lives.versions;
    let returned = call.returned.as_ref()?.at.sequence;
    let (key, version, hidden_too) = match &call.operation {
        Operation::Read { key, version, .. } => (key, *version, false),
        Operation::Kept { key, version } => (key, Some(*version), true),
        _ => return None,
    };
    let may_be_hidden = |id: VersionId| !hidden_too && lives.may_be_hidden(key, id, returned);
    let known_before = |id: VersionId| {
        let version = versions.get(key, id)?;
        (version.known_from < call.invoked.sequence && !may_be_hidden(id)).then_some(id)
    };
    let Some(asked) = version else {
        let current = match call.outcome()? {
            Outcome::Ok(Seen::Object(seen)) => Some(seen.version),
            Outcome::Refused(Refusal::NoSuchKey { marker }) => *marker,
            _ => return None,
        };
        let newest = versions.keys.get(key)?.keys().rev().find_map(|id| known_before(*id))?;
        let gone = current.is_none_or(|current| current < newest);
        return gone.then(|| format!("{newest} of {key} was known and is no longer reached: {call}"));
    };
    let refusal = match call.outcome()? {
        Outcome::Refused(refusal) => refusal,
        _ => return None,
    };
    let denied = matches!(refusal, Refusal::NoSuchVersion | Refusal::NoSuchKey { .. });
    let gone = denied && known_before(asked).is_some();
    gone.then(|| format!("{asked} of {key} was known and is gone: {call}"))
}

/// Versions that can be read by their ids though they are hidden.
fn reappeared(lives: &Lives<'_>, call: &Call) -> Option<String> {
    let Operation::Read { key, version: Some(version), .. } = &call.operation else { return None };
    let returned = call.returned.as_ref()?;
    let is_there = matches!(returned.outcome, Outcome::Ok(_) | Outcome::Refused(Refusal::Marker { .. }));
    let hidden = lives.must_be_hidden(key, *version, call.invoked.sequence, returned.at.sequence);
    (is_there && hidden).then(|| format!("{version} of {key} was hidden and is there: {call}"))
}

/// Markers without a delete.
fn unexplained(history: &History, versions: &Versions) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    for (key, of_key) in &versions.keys {
        let deletes = |call: &&Call| {
            let write = call.operation.write();
            write.is_some_and(|write| write.content.is_none() && write.key == key) && call.is_unknown()
        };
        let mut deletes: Vec<_> =
            history.calls.iter().filter(deletes).map(|call| call.invoked.sequence).collect();
        let unacknowledged = |(_, version): &(_, &super::Version)| {
            version.kind == Kind::Marker && version.acknowledged.is_none()
        };
        let mut markers: Vec<_> = of_key.iter().filter(unacknowledged).collect();
        // The marker known first has the fewest deletes to choose from; among those, one is as good as another.
        markers.sort_by_key(|(_, version)| version.known_from);
        for (id, version) in markers {
            match deletes.iter().position(|invoked| *invoked < version.known_from) {
                Some(explained_by) => drop(deletes.remove(explained_by)),
                None => found.push(format!("nobody asked for the delete marker {id} of {key}")),
            }
        }
    }
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::sample::{Story, hide, lost, read, v};

    fn only(story: &Story) -> String {
        let found = check(&story.history);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].what.clone()
    }

    #[test]
    fn deletes_and_older_versions_are_fine() {
        let mut story = Story::new();
        let put = story.put("a", v(1));
        story.delete("a", v(2));
        story.absent("a", Some(v(2)));
        story.get_version("a", v(1), put);
        story.absent("b", None);
        let second = story.put("a", v(3));
        story.get("a", v(3), second);
        story.call(read("a", Some(v(9))), Outcome::Refused(Refusal::NoSuchVersion));
        assert_eq!(check(&story.history), []);
    }

    #[test]
    fn what_was_hidden_is_gone_until_it_is_shown_and_nothing_else_is() {
        let gone = |story: &mut Story, version| {
            story.call(read("a", Some(version)), Outcome::Refused(Refusal::NoSuchVersion));
        };
        let mut story = Story::new();
        let (first, second) = (story.put("a", v(1)), story.put("a", v(2)));
        story.hide("a", v(2));
        gone(&mut story, v(2));
        story.get("a", v(1), first);
        story.undelete("a", 1);
        story.get_version("a", v(2), second);
        // An attempt that gave no answer may have hidden it, or not, or not yet.
        let lost_one = story.begin(1, hide("a", v(2)));
        story.end(lost_one, lost());
        story.get_version("a", v(2), second);
        gone(&mut story, v(2));
        story.get("a", v(1), first);
        assert_eq!(check(&story.history), []);
        gone(&mut story, v(1));
        assert!(only(&story).contains("is gone"));
    }

    #[test]
    fn a_hidden_version_that_is_read_is_found() {
        let mut story = Story::new();
        let first = story.put("a", v(1));
        story.hide("a", v(1));
        story.get_version("a", v(1), first);
        assert!(only(&story).contains("was hidden and is there"));
    }

    #[test]
    fn a_hidden_version_that_cannot_be_had_at_all_is_found() {
        let mut story = Story::new();
        story.put("a", v(1));
        story.hide("a", v(1));
        let kept = Operation::Kept { key: "a".into(), version: v(1) };
        story.call(kept, Outcome::Refused(Refusal::NoSuchVersion));
        assert!(only(&story).contains("is gone"));
    }

    #[test]
    fn a_marker_that_undeleting_hid_uncovers_the_object() {
        let mut story = Story::new();
        let first = story.put("a", v(1));
        story.delete("a", v(2));
        story.undelete("a", 1);
        story.get("a", v(1), first);
        assert_eq!(check(&story.history), []);
    }

    #[test]
    fn a_version_that_is_gone_is_found() {
        let mut story = Story::new();
        story.put("a", v(1));
        story.delete("a", v(2));
        story.call(read("a", Some(v(1))), Outcome::Refused(Refusal::NoSuchVersion));
        assert!(only(&story).contains("is gone"));
    }

    #[test]
    fn an_object_that_vanished_without_a_marker_is_found() {
        let mut story = Story::new();
        story.put("a", v(1));
        story.absent("a", None);
        assert!(only(&story).contains("no longer reached"));
    }

    #[test]
    fn a_key_that_went_back_is_found() {
        let mut story = Story::new();
        let first = story.put("a", v(1));
        story.put("a", v(2));
        story.get("a", v(1), first);
        assert!(only(&story).contains("no longer reached"));
    }

    #[test]
    fn a_marker_needs_a_delete_asked_for_before() {
        let mut story = Story::new();
        story.put("a", v(1));
        story.absent("a", Some(v(2)));
        let delete = story.begin_delete("a");
        story.end(delete, lost());
        assert!(only(&story).contains("nobody asked for the delete marker"));
    }

    #[test]
    fn a_delete_of_unknown_outcome_explains_one_marker_and_not_two() {
        let mut story = Story::new();
        let delete = story.begin_delete("a");
        story.end(delete, lost());
        story.absent("a", Some(v(2)));
        assert_eq!(check(&story.history), []);
        story.absent("a", Some(v(3)));
        assert!(only(&story).contains("nobody asked for"));
    }
}
