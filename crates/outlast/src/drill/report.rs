//! What the drill counts while it runs, and tells at its end.

use crate::output;
use serde::Serialize;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Counts that the workers share.
pub(crate) struct Tally {
    requests: AtomicU64,
    longest_ms: AtomicU64,
    acknowledged_bytes: AtomicU64,
    writing_done: AtomicBool,
    reads_checked: AtomicU64,
    false_reads: AtomicU64,
    read_back_ms: AtomicU64,
}

impl Tally {
    pub(super) fn start() -> Self {
        Self {
            requests: AtomicU64::new(0),
            longest_ms: AtomicU64::new(0),
            acknowledged_bytes: AtomicU64::new(0),
            writing_done: AtomicBool::new(false),
            reads_checked: AtomicU64::new(0),
            false_reads: AtomicU64::new(0),
            read_back_ms: AtomicU64::new(0),
        }
    }

    /// Counts a request that is answered now.
    pub(super) fn answered(&self, since: Instant) {
        self.requests.fetch_add(1, Relaxed);
        self.longest_ms.fetch_max(since.elapsed().as_millis() as u64, Relaxed);
    }

    pub(super) fn acknowledge(&self, bytes: u64) {
        self.acknowledged_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn writing_done(&self) {
        self.writing_done.store(true, Relaxed);
    }

    /// Waits until so many bytes are acknowledged, or nothing more will be.
    pub(super) async fn until_acknowledged(&self, bytes: u64) {
        while self.acknowledged_bytes.load(Relaxed) < bytes && !self.writing_done.load(Relaxed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Counts an object that was read to its end.
    pub(super) fn checked(&self, same: bool) {
        self.reads_checked.fetch_add(1, Relaxed);
        self.false_reads.fetch_add(u64::from(!same), Relaxed);
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    pub(super) fn longest_ms(&self) -> u64 {
        self.longest_ms.load(Relaxed)
    }

    pub(super) fn reads_checked(&self) -> u64 {
        self.reads_checked.load(Relaxed)
    }

    pub(super) fn false_reads(&self) -> u64 {
        self.false_reads.load(Relaxed)
    }

    pub(super) fn read_back_took(&self, took: Duration) {
        self.read_back_ms.store(took.as_millis() as u64, Relaxed);
    }

    pub(super) fn read_back_seconds(&self) -> f64 {
        self.read_back_ms.load(Relaxed) as f64 / 1000.0
    }
}

/// Something that was done, or came about.
#[derive(Debug, Serialize)]
pub(crate) struct Event {
    /// Since the writing began.
    pub seconds: f64,
    pub what: String,
}

/// What came of a drill.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// What was done to the network.
    pub scenario: String,
    /// Nodes of the network.
    pub nodes: usize,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What should have come about and did not.
    pub unmet: Vec<String>,
    /// Nodes that were killed and deleted.
    pub deleted: Vec<String>,
    /// Objects whose write was acknowledged.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Time to write all.
    pub write_seconds: f64,
    /// Time to read all back.
    pub read_seconds: f64,
    /// Time with the fault.
    pub fault_seconds: f64,
    /// Requests answered.
    pub requests: u64,
    /// Requests answered during the fault.
    pub requests_during_fault: u64,
    /// Objects read to their end and compared while others were written.
    pub reads_while_writing: u64,
    /// The longest time that a request took.
    pub longest_stall_ms: u64,
    /// Writes that were refused although the client tried again.
    pub refused: u64,
    /// Acknowledged objects whose bytes cannot be had.
    pub lost: u64,
    /// Reads that gave other bytes than were stored.
    #[serde(rename = "false")]
    pub false_reads: u64,
}

impl Report {
    /// Whether the network kept its promise.
    pub(crate) fn passed(&self) -> bool {
        self.objects > 0
            && self.lost == 0
            && self.false_reads == 0
            && self.refused == 0
            && self.unmet.is_empty()
    }

    /// The report for people.
    pub(crate) fn table(&self) -> String {
        let rate = |seconds: f64| output::bytes((self.bytes as f64 / seconds.max(0.001)) as u64);
        let must = |count: u64| format!("{count}{}", if count == 0 { "" } else { "   <- must be 0" });
        let deleted = if self.deleted.is_empty() { "none".into() } else { self.deleted.join(", ") };
        let rows = [
            ("scenario", self.scenario.clone()),
            ("nodes", self.nodes.to_string()),
            ("killed and deleted", deleted),
            ("objects", self.objects.to_string()),
            ("bytes", format!("{} ({})", self.bytes, output::bytes(self.bytes))),
            ("written in", format!("{:.1} s, {}/s", self.write_seconds, rate(self.write_seconds))),
            ("read back in", format!("{:.1} s, {}/s", self.read_seconds, rate(self.read_seconds))),
            ("operations", self.requests.to_string()),
            (
                "operations during the fault",
                format!("{} in {:.1} s", self.requests_during_fault, self.fault_seconds),
            ),
            ("objects read while writing", self.reads_while_writing.to_string()),
            ("longest stall", format!("{} ms", self.longest_stall_ms)),
            ("refused", must(self.refused)),
            ("lost", must(self.lost)),
            ("false", must(self.false_reads)),
            ("not met", must(self.unmet.len() as u64)),
        ];
        let happened = self.events.iter().map(|event| format!("{:>7.1} s  {}", event.seconds, event.what));
        let rows = rows.map(|(name, value)| format!("{name:<28} {value}"));
        happened.chain(rows).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_the_promised_names_and_a_verdict() {
        let mut report = Report {
            scenario: "one".into(),
            nodes: 4,
            events: vec![Event { seconds: 0.5, what: "node-1 killed".into() }],
            unmet: Vec::new(),
            deleted: vec!["node-1".into()],
            objects: 3,
            bytes: 10,
            write_seconds: 1.0,
            read_seconds: 1.0,
            fault_seconds: 0.5,
            requests: 9,
            requests_during_fault: 4,
            reads_while_writing: 2,
            longest_stall_ms: 7,
            refused: 0,
            lost: 0,
            false_reads: 0,
        };
        let json = serde_json::to_value(&report).unwrap();
        for name in ["objects", "bytes", "lost", "false", "longest_stall_ms"] {
            assert!(json.get(name).is_some_and(serde_json::Value::is_u64), "{name}");
        }
        assert!(report.passed());
        report.false_reads = 1;
        assert!(!report.passed());
        assert!(report.table().contains("must be 0"));
        report.false_reads = 0;
        report.unmet.push("node-1 healed".into());
        assert!(!report.passed(), "what was expected counts");
        report.unmet.clear();
        report.objects = 0;
        assert!(!report.passed(), "a drill that stored nothing shows nothing");
    }
}
