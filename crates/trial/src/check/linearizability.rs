//! Linearizability: for each key some order of its calls, in which no call comes before one that had returned before it
//! was invoked, explains what every call saw (Herlihy & Wing 1990). A key is a register: an object's version, a delete
//! marker, or nothing; objects in listings, and current versions in listings of versions, are reads of their keys. If
//! versions of it are hidden it is a stack of versions, of which the newest that is not hidden is current. The search is
//! in `search`.
//!
//! A write of unknown outcome may take effect at any later time, or never. If anybody saw its version it did, by then.
//!
//! Besides, over all keys, versions are ordered by age: a write asked for when a version was known gets a higher one.
//! The register relies on that too, and so each order of writes but one is soon refused.

mod register;
mod search;

use super::{Versions, Violation};
use crate::history::{Call, History, Operation, Outcome, Refusal, Seen, VersionSeen};
use register::{State, Step};
use search::{Found, Interval, search};
use std::collections::BTreeMap;

/// States that are visited for one key before the search is given up.
pub const STATES_MAX: usize = 500_000;

/// Calls of unknown outcome that may be needed at once to explain the next call, where versions are hidden.
const TOGETHER: usize = 4;

fn violation(what: String) -> Violation {
    Violation { checker: "linearizability", what }
}

/// Judges a history.
pub fn check(history: &History) -> Vec<Violation> {
    bounded(history, STATES_MAX)
}

fn bounded(history: &History, states_max: usize) -> Vec<Violation> {
    let versions = Versions::of(history);
    let mut violations = younger_than_known(history, &versions);
    for (key, calls) in by_key(history, &versions) {
        violations.extend(explain(&key, &calls, states_max));
    }
    violations
}

/// A call as far as it concerns one key.
struct OfKey<'a> {
    call: &'a Call,
    step: Step,
    interval: Interval,
}

/// Acknowledged versions that are not higher than one that was known before their calls were made.
fn younger_than_known(history: &History, versions: &Versions) -> Vec<Violation> {
    let mut known: Vec<_> = versions.all().map(|(_, id, version)| (version.known_from, id)).collect();
    known.sort();
    let (mut known, mut highest, mut found) = (known.into_iter().peekable(), None, Vec::new());
    for call in &history.calls {
        while let Some((_, id)) = known.next_if(|(from, _)| *from < call.invoked.sequence) {
            highest = highest.max(Some(id));
        }
        if let (Some(highest), Some((version, _))) = (highest, call.acknowledged())
            && version <= highest
        {
            found.push(violation(format!("{highest} was known before, and is not older: {call}")));
        }
    }
    found
}

fn by_key<'a>(history: &'a History, versions: &Versions) -> BTreeMap<String, Vec<OfKey<'a>>> {
    let mut keys: BTreeMap<String, Vec<OfKey<'a>>> = BTreeMap::new();
    for call in &history.calls {
        let returned = call.returned.as_ref().map(|returned| returned.at.sequence);
        let invoked = call.invoked.sequence;
        for (key, step, returned) in steps(call, versions, returned) {
            let returned = returned.map(|returned| returned.max(invoked));
            let interval = Interval { invoked, returned, class: step.class() };
            keys.entry(key.to_owned()).or_default().push(OfKey { call, step, interval });
        }
    }
    keys
}

/// What a call is to the keys that it concerns: the key, the step, and the event by which the step was taken, if it
/// certainly was.
fn steps<'a>(
    call: &'a Call,
    versions: &Versions,
    returned: Option<u64>,
) -> Vec<(&'a str, Step, Option<u64>)> {
    if let Some(write) = call.operation.write() {
        let step =
            |version| Step::Write { version, is_marker: write.content.is_none(), condition: write.condition };
        return match call.outcome() {
            Some(Outcome::Ok(Seen::Written { version, .. })) => {
                vec![(write.key, step(Some(*version)), returned)]
            }
            Some(Outcome::Refused(Refusal::PreconditionFailed)) => {
                vec![(write.key, Step::Fails(write.condition), returned)]
            }
            _ if call.is_unknown() => match versions.written_by(call) {
                Some((version, seen)) => vec![(write.key, step(Some(version)), Some(seen.known_from))],
                None => vec![(write.key, step(None), None)],
            },
            _ => Vec::new(),
        };
    }
    match (&call.operation, call.outcome()) {
        (Operation::Read { key, version: None, .. }, Some(Outcome::Ok(Seen::Object(seen)))) => {
            vec![(key, Step::Object(seen.version), returned)]
        }
        (
            Operation::Read { key, version: None, .. },
            Some(Outcome::Refused(Refusal::NoSuchKey { marker })),
        ) => {
            vec![(key, Step::Absent(*marker), returned)]
        }
        (Operation::Hide { key, version }, outcome) => match outcome {
            Some(Outcome::Ok(Seen::Hidden(hidden))) if hidden.is_empty() => {
                vec![(key, Step::HidesNothing(*version), returned)]
            }
            Some(Outcome::Ok(_)) => vec![(key, Step::Hide(*version), returned)],
            _ if call.is_unknown() => vec![(key, Step::Hide(*version), None)],
            _ => Vec::new(),
        },
        (Operation::Undelete { key }, outcome) => match outcome {
            Some(Outcome::Ok(Seen::Undeleted(0))) => vec![(key, Step::UndeletesNothing, returned)],
            Some(Outcome::Ok(_)) => vec![(key, Step::Undelete, returned)],
            _ if call.is_unknown() => vec![(key, Step::Undelete, None)],
            _ => Vec::new(),
        },
        (Operation::ListVersions { at: None, .. }, Some(Outcome::Ok(Seen::Versions(page)))) => {
            let current = page.versions.iter().filter(|seen| seen.current);
            let step = |seen: &'a VersionSeen| match seen.contents {
                Some(_) => (seen.key.as_str(), Step::Object(seen.version), returned),
                None => (seen.key.as_str(), Step::Absent(Some(seen.version)), returned),
            };
            current.map(step).collect()
        }
        (Operation::List { at: None, .. }, Some(Outcome::Ok(Seen::Page(page)))) => page
            .objects
            .iter()
            .map(|seen| (seen.key.as_str(), Step::Object(seen.version), returned))
            .collect(),
        _ => Vec::new(),
    }
}

/// Looks for an order that explains the calls of a key.
fn explain(key: &str, calls: &[OfKey<'_>], states_max: usize) -> Option<Violation> {
    let intervals: Vec<_> = calls.iter().map(|of| of.interval).collect();
    let hides = |of: &OfKey<'_>| {
        matches!(of.step, Step::Hide(_) | Step::HidesNothing(_) | Step::Undelete | Step::UndeletesNothing)
    };
    let hides = calls.iter().any(hides);
    let together = if hides { TOGETHER } else { 1 };
    let after = |state: &State, index: usize| state.after(&calls[index].step);
    match search(&intervals, State::new(hides), after, together, states_max) {
        Found::Order => None,
        Found::Undecided => Some(violation(format!(
            "undecided: the calls of {key}, of which there are {}, have more than {states_max} partial orders",
            calls.len()
        ))),
        Found::None { explained, state, next } => {
            let next: Vec<_> = next.into_iter().map(|index| calls[index].call.to_string()).collect();
            let count = calls.len();
            Some(violation(format!(
                "no order explains the calls of {key}: after {explained} of {count}, it has {state}, and next is none of: {}",
                next.join("; ")
            )))
        }
    }
}

#[cfg(test)]
mod tests;
