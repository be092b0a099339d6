//! Progress: when all faults are over, everything asked for is answered within a bound.
//!
//! An answer is what was asked for, or a refusal that the network's state explains. Overload, lack of availability, an
//! unknown outcome and silence are none.

use super::Violation;
use crate::history::{Call, History, Outcome};

/// The end of all faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calm {
    /// From then on, milliseconds since the Unix epoch, calls must be answered.
    pub from_ms: u64,
    /// How long an answer may take, milliseconds.
    pub bound_ms: u64,
    /// Calls invoked from then on, at least: progress of nothing is not seen.
    pub calls_min: usize,
}

fn violation(what: String) -> Violation {
    Violation { checker: "progress", what }
}

/// Judges the calls invoked after the end of all faults.
pub fn check(history: &History, calm: &Calm) -> Vec<Violation> {
    let after = || history.calls.iter().filter(|call| call.invoked.time_ms >= calm.from_ms);
    let mut violations: Vec<_> = after().filter_map(|call| judge(call, calm.bound_ms)).collect();
    let count = after().count();
    if count < calm.calls_min {
        violations
            .push(violation(format!("{count} calls were made after all faults, not {}", calm.calls_min)));
    }
    violations
}

fn judge(call: &Call, bound_ms: u64) -> Option<Violation> {
    let Some(returned) = &call.returned else {
        return Some(violation(format!("was not answered: {call}")));
    };
    let took_ms = returned.at.time_ms.saturating_sub(call.invoked.time_ms);
    match &returned.outcome {
        Outcome::Failed(_) | Outcome::Unknown(_) => Some(violation(format!("is no answer: {call}"))),
        _ if took_ms > bound_ms => Some(violation(format!("took {took_ms} ms: {call}"))),
        // That something is damaged is an answer, and a matter of falsehood.
        Outcome::Ok(_) | Outcome::Refused(_) | Outcome::Damaged(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::sample::Story,
        history::{Operation, Outcome, Refusal},
    };

    const CALM: Calm = Calm { from_ms: 100, bound_ms: 50, calls_min: 0 };

    fn get(story: &mut Story, at: u64, until: u64, outcome: Outcome) {
        story.at(at);
        let id = story.begin(0, Operation::CreateUpload { key: "k".into() });
        story.at(until);
        story.end(id, outcome);
    }

    fn absent() -> Outcome {
        Outcome::Refused(Refusal::NoSuchKey { marker: None })
    }

    #[test]
    fn answers_in_time_are_progress_and_what_was_before_does_not_count() {
        let mut story = Story::new();
        get(&mut story, 10, 99, Outcome::Failed("down".into()));
        story.at(99);
        story.begin(0, Operation::CreateBucket);
        get(&mut story, 100, 150, absent());
        assert_eq!(check(&story.history, &CALM), []);
    }

    #[test]
    fn failures_silence_and_slowness_are_found() {
        for outcome in [Outcome::Failed("down".into()), Outcome::Unknown("?".into())] {
            let mut story = Story::new();
            get(&mut story, 100, 101, outcome);
            assert!(check(&story.history, &CALM)[0].what.contains("is no answer"));
        }
        let mut story = Story::new();
        get(&mut story, 100, 151, absent());
        assert!(check(&story.history, &CALM)[0].what.contains("took 51 ms"));
        let mut story = Story::new();
        story.at(100);
        story.begin(0, Operation::CreateBucket);
        assert!(check(&story.history, &CALM)[0].what.contains("was not answered"));
    }

    #[test]
    fn nothing_asked_for_is_no_progress() {
        let calm = Calm { calls_min: 1, ..CALM };
        assert_eq!(check(&Story::new().history, &calm).len(), 1);
    }
}
