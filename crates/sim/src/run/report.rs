//! What a run found.

use std::{collections::BTreeMap, fmt::Write as _};
use trial::{
    history::{History, Outcome},
    plan::Plan,
};

/// What a run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was to happen.
    pub plan: String,
    /// What the plan stays within, and its number of nodes.
    pub kind: String,
    /// Promises broken. None, if all is well.
    pub violations: Vec<String>,
    /// How often each kind of fault was injected.
    pub faults: BTreeMap<&'static str, u64>,
    /// What adversaries did.
    pub acts: BTreeMap<(&'static str, &'static str), u64>,
    /// Calls of clients, by how they ended.
    pub calls: BTreeMap<&'static str, u64>,
    /// Calls of clients, by what they asked for; and, in parentheses, what was looked up besides.
    pub operations: BTreeMap<&'static str, u64>,
    /// Virtual time, milliseconds.
    pub virtual_ms: u64,
    /// The highest block.
    pub height: u64,
    /// What happened to the network, for people.
    pub events: Vec<String>,
    /// What clients did and saw.
    pub history: Option<History>,
    /// A hash of all that happened, down to the order of tasks.
    pub digest: String,
}

impl Report {
    pub(super) fn empty(plan: &Plan) -> Self {
        Self {
            seed: plan.seed,
            plan: plan.to_string(),
            kind: format!("{:?}, {} nodes", plan.kind, plan.n),
            violations: Vec::new(),
            faults: BTreeMap::new(),
            acts: BTreeMap::new(),
            calls: BTreeMap::new(),
            operations: BTreeMap::new(),
            virtual_ms: 0,
            height: 0,
            events: Vec::new(),
            history: None,
            digest: String::new(),
        }
    }

    /// What happened, for people. With every call of every client, if `trace`.
    pub fn story(&self, trace: bool) -> String {
        let mut story = self.plan.clone();
        story.push_str("\nwhat happened\n");
        for event in &self.events {
            let _ = writeln!(story, "  {event}");
        }
        for ((who, act), count) in &self.acts {
            let _ = writeln!(story, "  {who}: {act}, {count} times");
        }
        if let Some(history) = self.history.as_ref().filter(|_| trace) {
            story.push_str("\nhistory\n");
            for call in &history.calls {
                let _ = writeln!(story, "  {call}");
            }
        }
        let ended: Vec<_> = self.calls.iter().map(|(how, count)| format!("{count} {how}")).collect();
        let _ = writeln!(
            story,
            "\n{} calls ({}), {} blocks in {:.1} virtual s, digest {}",
            self.calls.values().sum::<u64>(),
            ended.join(", "),
            self.height,
            self.virtual_ms as f64 / 1e3,
            self.digest
        );
        match self.violations.len() {
            0 => story.push_str("no promise was broken\n"),
            count => {
                let _ = writeln!(story, "{count} VIOLATIONS");
                for violation in &self.violations {
                    let _ = writeln!(story, "  {violation}");
                }
            }
        }
        story
    }
}

/// Calls by how they ended.
pub(super) fn ends(history: &History) -> BTreeMap<&'static str, u64> {
    let mut ends = BTreeMap::new();
    for call in &history.calls {
        let how = match call.outcome() {
            Some(Outcome::Ok(_)) => "done",
            Some(Outcome::Refused(_)) => "refused",
            Some(Outcome::Failed(_)) => "failed",
            Some(Outcome::Unknown(_)) | None => "unknown",
            Some(Outcome::Damaged(_)) => "damaged",
        };
        *ends.entry(how).or_default() += 1;
    }
    ends
}

/// Calls by what they asked for.
pub(super) fn operations(history: &History) -> BTreeMap<&'static str, u64> {
    let mut operations = BTreeMap::new();
    for call in &history.calls {
        *operations.entry(call.operation.name()).or_default() += 1;
    }
    operations
}
