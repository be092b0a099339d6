//! Many reports together.

use super::Report;
use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

/// Many reports together.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Totals {
    /// Seeds played.
    pub seeds: u64,
    /// Seeds that failed.
    pub failed: u64,
    /// How often each kind of fault was injected.
    pub faults: BTreeMap<String, u64>,
    /// What adversaries did, by who and how.
    pub acts: BTreeMap<String, u64>,
    /// Calls of clients, by how they ended.
    pub calls: BTreeMap<String, u64>,
    /// Calls of clients, by what they asked for, all of which are checked; and, in parentheses, what was looked up besides.
    pub operations: BTreeMap<String, u64>,
    /// Plans, by what they stay within and their number of nodes.
    pub plans: BTreeMap<String, u64>,
    /// Blocks.
    pub blocks: u64,
    /// Virtual time, milliseconds.
    pub virtual_ms: u64,
}

impl Totals {
    /// Adds a report.
    pub fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.failed += u64::from(!report.violations.is_empty());
        self.blocks += report.height;
        self.virtual_ms += report.virtual_ms;
        for (fault, count) in &report.faults {
            *self.faults.entry((*fault).into()).or_default() += count;
        }
        for ((who, act), count) in &report.acts {
            *self.acts.entry(format!("{who}: {act}")).or_default() += count;
        }
        for (how, count) in &report.calls {
            *self.calls.entry((*how).into()).or_default() += count;
        }
        for (what, count) in &report.operations {
            *self.operations.entry((*what).into()).or_default() += count;
        }
        *self.plans.entry(report.kind.clone()).or_default() += 1;
    }

    /// Virtual hours.
    fn hours(&self) -> f64 {
        self.virtual_ms as f64 / 3.6e6
    }

    /// Virtual seconds a second of `wall`.
    fn speed(&self, wall: Duration) -> f64 {
        self.virtual_ms as f64 / 1e3 / wall.as_secs_f64().max(1e-3)
    }

    /// As one JSON object. `wall` is how long it took, and `cpu` how much of processors, if that is known.
    pub fn json(&self, wall: Duration, cpu: Option<Duration>) -> String {
        let mut totals = serde_json::to_value(self).expect("counts are JSON");
        totals["operations_checked"] = self.calls.values().sum::<u64>().into();
        totals["virtual_hours"] = self.hours().into();
        totals["wall_ms"] = (wall.as_millis() as u64).into();
        totals["virtual_seconds_per_second"] = self.speed(wall).into();
        if let Some(cpu) = cpu {
            totals["cpu_ms"] = (cpu.as_millis() as u64).into();
            totals["virtual_seconds_per_cpu_second"] = self.speed(cpu).into();
        }
        totals.to_string()
    }

    /// As tables, for people and documents.
    pub fn table(&self, wall: Duration, cpu: Option<Duration>) -> String {
        let mut table = String::new();
        let _ = writeln!(
            table,
            "{} seeds, {} failed; {:.2} virtual hours in {:.1} s, {:.0} virtual seconds a second{}",
            self.seeds,
            self.failed,
            self.hours(),
            wall.as_secs_f64(),
            self.speed(wall),
            cpu.map_or(String::new(), |cpu| format!(", {:.0} a second of one core", self.speed(cpu)))
        );
        let calls: u64 = self.calls.values().sum();
        let of = |counts: &BTreeMap<String, u64>| {
            counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        let _ = writeln!(table, "{calls} calls checked: {}; {} blocks", of(&self.calls), self.blocks);
        let _ = writeln!(table, "plans: {}", of(&self.plans));
        for (what, counts) in [("fault", &self.faults), ("act", &self.acts), ("operation", &self.operations)]
        {
            let _ = writeln!(table, "\n| {what} | times |\n| --- | --- |");
            for (name, count) in counts {
                let _ = writeln!(table, "| {name} | {count} |");
            }
        }
        table
    }
}
