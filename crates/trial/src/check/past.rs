//! The past: whatever is said as of a height was so at that height, and stays so.
//!
//! * A key, a version or a page of versions as of a height is what [`Lives`] allows at that height. (Pages of objects are
//!   judged in [`listing`](super::listing), by the same.)
//! * Two answers to one question about one height are the same, whoever asked, and when.
//! * The height of a time has all versions of blocks up to that time, and none of later ones.

use super::{Versions, Violation, lives::Lives};
use crate::history::{Call, History, Operation, Outcome, Refusal, Seen, VersionSeen, VersionsSeen};
use proof::VersionId;
use std::collections::BTreeMap;

fn violation(what: String) -> Violation {
    Violation { checker: "past", what }
}

/// Judges a history.
pub fn check(history: &History) -> Vec<Violation> {
    let versions = Versions::of(history);
    let lives = Lives::of(history, &versions);
    let mut violations: Vec<_> = history
        .calls
        .iter()
        .filter_map(|call| Some(format!("{}: {call}", untrue(&lives, call)?)))
        .map(violation)
        .collect();
    violations.extend(changed(history).map(violation));
    violations
}

/// Why an answer about the past is not true.
fn untrue(lives: &Lives<'_>, call: &Call) -> Option<&'static str> {
    let answer = call.outcome()?;
    match &call.operation {
        Operation::HeightAt { time_ms } => match answer {
            Outcome::Ok(Seen::Height(height)) => wrong_height(lives, *time_ms, *height),
            _ => None,
        },
        Operation::ReadAt { key, version: None, height } => {
            let allowed = match answer {
                Outcome::Ok(Seen::Object(seen)) => lives.current(key, seen.version),
                Outcome::Refused(Refusal::NoSuchKey { marker: Some(marker) }) => lives.current(key, *marker),
                Outcome::Refused(Refusal::NoSuchKey { marker: None }) => lives.nothing(key),
                _ => return None,
            };
            (!allowed.has(*height)).then_some("it was not so at that height")
        }
        Operation::ReadAt { key, version: Some(version), height } => {
            let is_there = match answer {
                Outcome::Ok(Seen::Object(_)) | Outcome::Refused(Refusal::Marker { .. }) => true,
                Outcome::Refused(Refusal::NoSuchVersion) => false,
                _ => return None,
            };
            misplaced(lives, key, *version, *height, is_there)
        }
        Operation::ListVersions { at: Some(height), .. } => match answer {
            Outcome::Ok(Seen::Versions(page)) => wrong_page(lives, &call.operation, page, *height),
            _ => None,
        },
        _ => None,
    }
}

fn wrong_height(lives: &Lives<'_>, time_ms: u64, height: u64) -> Option<&'static str> {
    let is_wrong = |(_, id, version): (&str, VersionId, &super::Version)| {
        version.time_ms.is_some_and(|of_ms| (of_ms <= time_ms) != (id.height <= height))
    };
    lives.versions.all().any(is_wrong).then_some("the block of that height was not the newest at that time")
}

/// Why a version cannot be there, or not be there, at a height, to ordinary eyes.
fn misplaced(
    lives: &Lives<'_>,
    key: &str,
    version: VersionId,
    height: u64,
    is_there: bool,
) -> Option<&'static str> {
    if is_there {
        let hidden = lives.hidden_surely(key, version).has(height);
        return (version.height > height || hidden).then_some("it was not there at that height");
    }
    let known = lives.versions.get(key, version).is_some();
    let hidden = lives.hidden_perhaps(key, version).has(height);
    (known && version.height <= height && !hidden).then_some("it was there at that height")
}

fn wrong_page(
    lives: &Lives<'_>,
    operation: &Operation,
    page: &VersionsSeen,
    height: u64,
) -> Option<&'static str> {
    let Operation::ListVersions { hidden: hidden_too, .. } = operation else { return None };
    for VersionSeen { key, version, current, hidden, .. } in &page.versions {
        let wrong = match hidden {
            None => misplaced(lives, key, *version, height, true),
            Some(_) if version.height > height => Some("it was not there at that height"),
            Some(at) if *at > height => Some("it was hidden later"),
            Some(_) => (!lives.hidden_perhaps(key, *version).has(height)).then_some("nobody had hidden it"),
        };
        if wrong.is_some() {
            return wrong;
        }
        if *current && !lives.current(key, *version).has(height) {
            return Some("it was not current at that height");
        }
    }
    let lacks = |(key, id, _): (&str, VersionId, &super::Version)| {
        let shown = *hidden_too || !lives.hidden_perhaps(key, id).has(height);
        id.height <= height
            && shown
            && super::visibility::reaches(operation, page, key, id)
            && !page.versions.iter().any(|seen| seen.version == id)
    };
    lives.versions.all().any(lacks).then_some("it lacks what was there at that height")
}

/// Questions about one height that had two answers.
fn changed(history: &History) -> impl Iterator<Item = String> {
    let mut answers: BTreeMap<String, (&Call, String)> = BTreeMap::new();
    let mut changed = Vec::new();
    for call in &history.calls {
        let is_past = matches!(
            call.operation,
            Operation::ReadAt { .. }
                | Operation::List { at: Some(_), .. }
                | Operation::ListVersions { at: Some(_), .. }
        );
        let Some(answer) = call.outcome().filter(|outcome| is_past && outcome.is_answer()) else { continue };
        let answer = format!("{answer:?}");
        let (first, known) =
            answers.entry(format!("{:?}", call.operation)).or_insert_with(|| (call, answer.clone()));
        if *known != answer {
            changed.push(format!("the past has changed: {first}; {call}"));
        }
    }
    changed.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::sample::{LENGTH, Story, listed, v, versions};

    fn at(key: &str, version: Option<VersionId>, height: u64) -> Operation {
        Operation::ReadAt { key: key.into(), version, height }
    }

    fn absent(marker: Option<VersionId>) -> Outcome {
        Outcome::Refused(Refusal::NoSuchKey { marker })
    }

    fn list(height: u64, hidden: bool) -> Operation {
        Operation::ListVersions { prefix: "a".into(), hidden, after: None, limit: 9, at: Some(height) }
    }

    /// Two versions of `a` and a marker, at heights 2, 4 and 6; the second is hidden before `b` is written at 8.
    fn told() -> (Story, [u64; 2]) {
        let mut story = Story::new();
        let puts = [story.put("a", v(2)), story.put("a", v(4))];
        story.delete("a", v(6));
        story.hide("a", v(4));
        story.put("b", v(8));
        (story, puts)
    }

    fn ask(operation: Operation, answer: impl Fn(&Story, [u64; 2]) -> Outcome) -> usize {
        let (mut story, puts) = told();
        let outcome = answer(&story, puts);
        story.call(operation, outcome);
        check(&story.history).len()
    }

    #[test]
    fn a_key_as_of_a_height_is_what_it_was() {
        for (height, good, bad) in [(2, 0, 1), (3, 0, 1), (4, 1, 0), (5, 1, 0), (1, 1, 1), (6, 1, 1)] {
            let first = ask(at("a", None, height), |story, puts| story.object("a", v(2), puts[0], 0..LENGTH));
            let second =
                ask(at("a", None, height), |story, puts| story.object("a", v(4), puts[1], 0..LENGTH));
            assert_eq!((first, second), (good, bad), "{height}");
        }
        for (height, nothing, marker) in [(1, 0, 1), (2, 1, 1), (6, 1, 0), (9, 1, 0)] {
            assert_eq!(ask(at("a", None, height), |_, _| absent(None)), nothing, "{height}");
            assert_eq!(ask(at("a", None, height), |_, _| absent(Some(v(6)))), marker, "{height}");
        }
    }

    #[test]
    fn a_version_as_of_a_height_is_there_or_not() {
        // Hidden at height 7, or at 6 or 8 at the outside.
        for (height, there, gone) in [(3, 1, 0), (4, 0, 1), (6, 0, 1), (7, 0, 0), (8, 1, 0), (9, 1, 0)] {
            let seen =
                ask(at("a", Some(v(4)), height), |story, puts| story.object("a", v(4), puts[1], 0..LENGTH));
            let not = ask(at("a", Some(v(4)), height), |_, _| Outcome::Refused(Refusal::NoSuchVersion));
            assert_eq!((seen, not), (there, gone), "{height}");
        }
    }

    #[test]
    fn pages_of_versions_as_of_a_height_are_what_they_were() {
        let page = |height, hidden, list_of: &'static [(u64, bool, Option<u64>)]| {
            ask(list(height, hidden), |_, puts| {
                let write = |height| match height {
                    2 => Some(puts[0]),
                    4 => Some(puts[1]),
                    _ => None,
                };
                let seen = list_of
                    .iter()
                    .map(|(height, current, hidden)| (*height, write(*height), *current, *hidden));
                versions("a", seen)
            })
        };
        assert_eq!(page(5, false, &[(4, true, None), (2, false, None)]), 0);
        assert_eq!(page(5, false, &[(4, false, None), (2, true, None)]), 1, "another was current");
        assert_eq!(page(5, false, &[(4, true, None)]), 1, "it lacks one");
        assert_eq!(page(3, false, &[(4, true, None), (2, false, None)]), 1, "one is of later");
        assert_eq!(page(9, false, &[(6, true, None), (2, false, None)]), 0);
        assert_eq!(
            page(9, false, &[(6, true, None), (4, false, None), (2, false, None)]),
            1,
            "one is hidden"
        );
        assert_eq!(page(9, true, &[(6, true, None), (4, false, Some(7)), (2, false, None)]), 0);
        assert_eq!(
            page(9, true, &[(6, true, None), (4, false, Some(7)), (2, false, Some(7))]),
            1,
            "not hidden"
        );
        assert_eq!(page(9, true, &[(6, true, None), (2, false, None)]), 1, "it lacks the hidden one");
    }

    #[test]
    fn pages_of_objects_as_of_a_height_are_what_they_were() {
        let list = |height| Operation::List {
            prefix: String::new(),
            delimiter: None,
            after: None,
            limit: 9,
            at: Some(height),
        };
        let page = |height, of: &'static [u64]| {
            let (mut story, puts) = told();
            let objects = of.iter().map(|height| listed("a", v(*height), puts[(height / 2 - 1) as usize]));
            let outcome = crate::check::sample::page(objects.collect(), &[]);
            story.call(list(height), outcome);
            crate::check::listing::check(&story.history).len()
        };
        assert_eq!((page(3, &[2]), page(4, &[4]), page(7, &[])), (0, 0, 0));
        assert_eq!((page(4, &[2]), page(3, &[4]), page(3, &[]), page(6, &[4])), (1, 1, 1, 1));
    }

    #[test]
    fn a_past_that_changes_is_found() {
        let (mut story, puts) = told();
        let seen = story.object("a", v(4), puts[1], 0..LENGTH);
        story.call(at("a", Some(v(4)), 7), seen);
        assert_eq!(check(&story.history), []);
        story.call(at("a", Some(v(4)), 7), Outcome::Refused(Refusal::NoSuchVersion));
        let found = check(&story.history);
        assert!(found.len() == 1 && found[0].what.contains("the past has changed"), "{found:?}");
    }

    #[test]
    fn heights_of_times_are_those_of_the_newest_blocks() {
        // Block time is ten times the height.
        for (time_ms, height, wrong) in
            [(20, 2, 0), (39, 3, 0), (40, 4, 0), (41, 5, 0), (40, 3, 1), (39, 4, 1)]
        {
            let answer = Outcome::Ok(Seen::Height(height));
            assert_eq!(
                ask(Operation::HeightAt { time_ms }, |_, _| answer.clone()),
                wrong,
                "{time_ms} {height}"
            );
        }
    }
}
