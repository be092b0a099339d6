//! Pages of versions: each has what it must have, and nothing that it must not.
//!
//! * Versions come by key, and newest first; no more than asked for; a page that is not the last is not empty.
//! * What was known before, in the page's reach, and what nobody asked to hide, is there.
//! * What was hidden, and what nobody asked to show again, is there only for those who ask for hidden ones, and as such.
//! * What is said to be hidden somebody asked to hide.
//! * The first version of a key that is not hidden is current, and no other.

use super::{Versions, Violation, lives::Lives};
use crate::history::{Call, History, Operation, Seen, VersionSeen, VersionsSeen};
use proof::VersionId;

fn violation(what: String) -> Violation {
    Violation { checker: "visibility", what }
}

/// Judges a history.
pub fn check(history: &History) -> Vec<Violation> {
    let versions = Versions::of(history);
    let lives = Lives::of(history, &versions);
    let judge = |call: &Call| {
        let Some(Seen::Versions(page)) = call.seen() else { return None };
        let wrong = misfit(&call.operation, page).or_else(|| untrue(&lives, call, page))?;
        Some(violation(format!("{wrong}: {call}")))
    };
    history.calls.iter().filter_map(judge).collect()
}

/// Whether a page tells of this version, if it is there.
pub(super) fn reaches(operation: &Operation, page: &VersionsSeen, key: &str, id: VersionId) -> bool {
    let Operation::ListVersions { prefix, after, .. } = operation else { return false };
    let is_behind = |(after, version): &(String, Option<VersionId>)| match version {
        Some(version) => key > after.as_str() || (key == after && id < *version),
        None => key > after.as_str(),
    };
    key.starts_with(prefix)
        && after.as_ref().is_none_or(is_behind)
        && page.next.as_ref().is_none_or(|next| !is_behind(next))
}

/// Why a page is not what was asked for, whatever the bucket has.
fn misfit(operation: &Operation, page: &VersionsSeen) -> Option<&'static str> {
    let Operation::ListVersions { hidden: hidden_too, limit, .. } = operation else {
        return Some("this lists no versions");
    };
    let versions = &page.versions;
    if !versions.is_sorted_by(|a, b| a.key < b.key || (a.key == b.key && a.version > b.version)) {
        return Some("it is not in order, or has something twice");
    }
    if versions.len() > *limit {
        return Some("it has more than was asked for");
    }
    if versions.is_empty() && page.next.is_some() {
        return Some("it is empty and goes on");
    }
    if versions.iter().any(|seen| !reaches(operation, page, &seen.key, seen.version)) {
        return Some("it has a version out of its reach");
    }
    if versions.iter().any(|seen| seen.hidden.is_some() && (!hidden_too || seen.current)) {
        return Some("it has a hidden version, which is not asked for or is current");
    }
    let shown: Vec<_> = versions.iter().filter(|seen| seen.hidden.is_none()).collect();
    let follows = |pair: &[&VersionSeen]| pair[0].key == pair[1].key && pair[1].current;
    let firsts = |pair: &[&VersionSeen]| pair[0].key != pair[1].key && !pair[1].current;
    if shown.windows(2).any(|pair| follows(pair) || firsts(pair)) {
        return Some("another version is current than the first");
    }
    None
}

/// Why a page of now is not true.
fn untrue(lives: &Lives<'_>, call: &Call, page: &VersionsSeen) -> Option<&'static str> {
    let Operation::ListVersions { hidden: hidden_too, at: None, .. } = &call.operation else { return None };
    let (from, to) = (call.invoked.sequence, call.returned.as_ref()?.at.sequence);
    for VersionSeen { key, version, hidden, .. } in &page.versions {
        match hidden {
            None if lives.must_be_hidden(key, *version, from, to) => return Some("it was hidden"),
            Some(_) if !lives.may_be_hidden(key, *version, to) => return Some("nobody hid it"),
            _ => {}
        }
    }
    let lacks = |(key, id, version): (&str, VersionId, &super::Version)| {
        version.known_from < from
            && (*hidden_too || !lives.may_be_hidden(key, id, to))
            && reaches(&call.operation, page, key, id)
            && !page.versions.iter().any(|seen| seen.version == id)
    };
    lives.versions.all().any(lacks).then_some("it lacks what was known before")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::sample::{Story, hide, lost, v, versions},
        history::Outcome,
    };

    fn list(hidden: bool, limit: usize) -> Operation {
        Operation::ListVersions { prefix: String::new(), hidden, after: None, limit, at: None }
    }

    /// Two versions of `a`, of which the second is hidden.
    fn told() -> (Story, [u64; 2]) {
        let mut story = Story::new();
        let puts = [story.put("a", v(1)), story.put("a", v(2))];
        story.hide("a", v(2));
        (story, puts)
    }

    type Row = (u64, bool, Option<u64>);

    fn ask(operation: Operation, rows: &[Row]) -> usize {
        let (mut story, puts) = told();
        answer(&mut story, puts, operation, rows)
    }

    fn answer(story: &mut Story, puts: [u64; 2], operation: Operation, rows: &[Row]) -> usize {
        let row = |(height, current, hidden): &Row| {
            let write = puts.get(*height as usize - 1).copied();
            (*height, write, *current, *hidden)
        };
        let outcome = versions("a", rows.iter().map(row));
        story.call(operation, outcome);
        check(&story.history).len()
    }

    #[test]
    fn pages_have_what_they_must() {
        assert_eq!(ask(list(false, 9), &[(1, true, None)]), 0);
        assert_eq!(ask(list(true, 9), &[(2, false, Some(3)), (1, true, None)]), 0);
        assert_eq!(ask(list(false, 9), &[]), 1, "it lacks one");
        assert_eq!(ask(list(true, 9), &[(1, true, None)]), 1, "it lacks the hidden one");
        assert_eq!(ask(list(false, 9), &[(2, true, None), (1, false, None)]), 1, "one is hidden");
        assert_eq!(ask(list(false, 9), &[(2, false, Some(3)), (1, true, None)]), 1, "none was asked for");
        assert_eq!(ask(list(true, 9), &[(2, false, Some(3)), (1, false, Some(3))]), 1, "one is not hidden");
        assert_eq!(ask(list(true, 1), &[(2, false, Some(3)), (1, true, None)]), 1, "too many");
        assert_eq!(ask(list(true, 9), &[(1, true, None), (2, false, Some(3))]), 1, "out of order");
        assert_eq!(
            ask(list(true, 9), &[(2, true, Some(3)), (1, false, None)]),
            1,
            "the hidden one is current"
        );
    }

    #[test]
    fn the_first_that_is_shown_is_current() {
        let page = |rows: &[Row]| {
            let mut story = Story::new();
            let puts = [story.put("a", v(1)), story.put("a", v(2))];
            answer(&mut story, puts, list(false, 9), rows)
        };
        assert_eq!(page(&[(2, true, None), (1, false, None)]), 0);
        assert_eq!(page(&[(2, true, None), (1, true, None)]), 1);
    }

    #[test]
    fn what_may_be_hidden_may_be_there_or_not() {
        for rows in [&[(2, true, None), (1, false, None)][..], &[(1, true, None)]] {
            let mut story = Story::new();
            let puts = [story.put("a", v(1)), story.put("a", v(2))];
            let slow = story.begin(1, hide("a", v(2)));
            assert_eq!(answer(&mut story, puts, list(false, 9), rows), 0, "it is being hidden");
            story.end(slow, lost());
            assert_eq!(answer(&mut story, puts, list(false, 9), rows), 0, "nobody knows");
        }
    }

    #[test]
    fn what_was_shown_again_is_there() {
        let (mut story, puts) = told();
        story.undelete("a", 1);
        assert_eq!(answer(&mut story, puts, list(false, 9), &[(2, true, None), (1, false, None)]), 0);
    }

    #[test]
    fn pages_tell_of_what_is_in_their_reach() {
        let after = |version| {
            let after = Some(("a".to_owned(), version));
            Operation::ListVersions { prefix: "a".into(), hidden: true, after, limit: 9, at: None }
        };
        assert_eq!(ask(after(Some(v(2))), &[(1, true, None)]), 0);
        assert_eq!(ask(after(Some(v(1))), &[]), 0);
        assert_eq!(ask(after(None), &[]), 0);
        assert_eq!(ask(after(Some(v(2))), &[]), 1);
        assert_eq!(ask(after(None), &[(1, true, None)]), 1);
        let (mut story, [first, _]) = told();
        let next = Some(("a".to_owned(), Some(v(1))));
        let Outcome::Ok(Seen::Versions(page)) = versions("a", [(1, Some(first), true, None)].into_iter())
        else {
            panic!("a page")
        };
        story.call(list(false, 1), Outcome::Ok(Seen::Versions(VersionsSeen { next, ..page })));
        assert_eq!(check(&story.history), []);
    }
}
