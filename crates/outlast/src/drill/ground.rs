//! What all scenarios share: storing, reading and checking, and the means to do harm to nodes and to see how they are.

use super::{
    Drill,
    client::{BUCKET, Bucket},
    report::{Event, Report, Tally},
    tree::Source,
};
use crate::{
    failure::{Exit, Failure},
    files, keys,
    layout::{Layout, node_name},
    network::{GATEWAY, Network, Running},
    supervisor,
};
use futures::{StreamExt as _, stream};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::process::Command;

/// The reader's pause between objects, so that it leaves the machine to the writers.
const READ_EVERY: Duration = Duration::from_millis(20);
/// The writer's pause between objects that are stored only to go on with something.
const WRITE_EVERY: Duration = Duration::from_millis(100);
/// Bytes of such an object at most.
const SMALL_BYTES: u64 = 64 << 10;
/// How often it is looked how nodes are.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long a request to a node may take to show that it is down.
const STATUS_PATIENCE: Duration = Duration::from_secs(30);

/// An object whose write was acknowledged.
#[derive(Clone)]
pub(super) struct Stored {
    pub key: String,
    pub length: u64,
    pub sha256: [u8; 32],
}

/// What the workers share.
pub(super) struct Run {
    bucket: Bucket,
    pub tally: Tally,
    stored: Mutex<Vec<Stored>>,
    bar: indicatif::ProgressBar,
    bytes: u64,
    began: Instant,
    harm_done: AtomicBool,
}

impl Run {
    /// Makes the bucket.
    pub(super) async fn start(
        drill: &Drill,
        sources: &[Source],
        network: &Network,
    ) -> Result<Arc<Self>, Failure> {
        make_bucket(network.layout.root(), BUCKET).await?;
        let bytes = sources.iter().map(|source| source.length).sum();
        Ok(Arc::new(Self {
            bucket: Bucket::new(&network.gateway, &network.access)?,
            tally: Tally::start(),
            stored: Mutex::default(),
            bar: drill.output.bytes_bar(Some(bytes), "writing"),
            bytes,
            began: Instant::now(),
            harm_done: AtomicBool::new(false),
        }))
    }

    pub(super) fn harm_done(&self) {
        self.harm_done.store(true, Relaxed);
    }

    pub(super) fn stored(&self) -> Vec<Stored> {
        self.stored.lock().expect("no worker panics").clone()
    }
}

/// Runs a command of this program on the network in the directory, in a process of its own.
async fn command(directory: &Path, arguments: &[&str]) -> Result<std::process::Output, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::file("find", Path::new("the program's own file"), &error))?;
    let mut command = Command::new(program);
    let output = command.arg("--dir").arg(directory).args(arguments).kill_on_drop(true).output();
    let cannot = |why: String| {
        Failure::new(Exit::Failed, format!("cannot run `outlast {}`: {why}", arguments.join(" ")))
    };
    match tokio::time::timeout(STATUS_PATIENCE, output).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(cannot(error.to_string())),
        Err(_) => Err(cannot(format!("it takes more than {} s", STATUS_PATIENCE.as_secs()))),
    }
}

async fn make_bucket(directory: &Path, name: &str) -> Result<(), Failure> {
    let made = command(directory, &["mb", name]).await?;
    if made.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&made.stderr).trim().to_owned();
    Err(Failure::new(Exit::Failed, format!("cannot make the bucket {name}: {why}")))
}

/// Stores all files, and goes on with small ones until the harm is done; gives the reasons of those writes that were
/// refused in the end.
pub(super) async fn write_all(run: &Run, sources: Vec<Source>, workers: usize) -> Vec<String> {
    let small: Vec<Source> =
        sources.iter().filter(|source| source.length <= SMALL_BYTES).take(200).cloned().collect();
    let mut refused: Vec<String> =
        stream::iter(sources)
            .map(|source| async move {
                write(run, &source).await.err().map(|why| format!("{}: {why}", source.key))
            })
            .buffer_unordered(workers)
            .filter_map(|refused| async { refused })
            .collect()
            .await;
    run.tally.writing_done();
    for turn in 0.. {
        if run.harm_done.load(Relaxed) {
            break;
        }
        if let Some(source) = small.get(turn % small.len().max(1)) {
            let again = Source { key: format!("again-{turn}/{}", source.key), ..source.clone() };
            refused.extend(write(run, &again).await.err().map(|why| format!("{}: {why}", again.key)));
        }
        tokio::time::sleep(WRITE_EVERY).await;
    }
    run.bar.finish_and_clear();
    refused
}

async fn write(run: &Run, source: &Source) -> Result<(), String> {
    let (length, sha256) = run.bucket.put(&run.tally, &source.key, &source.path).await?;
    let stored = Stored { key: source.key.clone(), length, sha256 };
    run.stored.lock().expect("no worker panics").push(stored);
    run.tally.acknowledge(length);
    run.bar.inc(length);
    Ok(())
}

/// Reads, again and again, objects that were acknowledged before. Errors are for the end to count: here only what is
/// false counts.
pub(super) async fn read_again(run: Arc<Run>) {
    let mut turn: usize = 0;
    loop {
        // Strides through what there is, old and new.
        turn = turn.wrapping_add(7919);
        let object = {
            let stored = run.stored.lock().expect("no worker panics");
            stored.get(turn % stored.len().max(1)).cloned()
        };
        if let Some(object) = object {
            let _ = check(&run, &object).await;
        }
        tokio::time::sleep(READ_EVERY).await;
    }
}

/// Reads an object back. Other bytes than were stored are counted as false.
async fn check(run: &Run, object: &Stored) -> Result<(), String> {
    let mut hasher = Sha256::new();
    run.bucket.get(&run.tally, &object.key, object.length, |piece| hasher.update(piece)).await?;
    let same = <[u8; 32]>::from(hasher.finalize()) == object.sha256;
    run.tally.checked(same);
    Ok(())
}

/// Reads all back; gives what could not be had, and why.
pub(super) async fn read_back(run: &Run, drill: &Drill) -> Vec<String> {
    let stored = run.stored();
    let began = Instant::now();
    let bar = drill.output.bytes_bar(Some(stored.iter().map(|object| object.length).sum()), "reading back");
    let lost = stream::iter(&stored)
        .map(|object| {
            let bar = &bar;
            async move {
                let back = check(run, object).await;
                bar.inc(object.length);
                back.err().map(|why| format!("{}: {why}", object.key))
            }
        })
        .buffer_unordered(drill.workers)
        .filter_map(|lost| async { lost })
        .collect()
        .await;
    bar.finish_and_clear();
    run.tally.read_back_took(began.elapsed());
    lost
}

/// Where a scenario does its harm.
pub(super) struct Ground<'a> {
    drill: &'a Drill,
    run: Arc<Run>,
    pub running: &'a mut Running,
    events: Vec<Event>,
    unmet: Vec<String>,
    deleted: Vec<String>,
    /// Requests that were answered before the fault, and when that began.
    fault: Option<(u64, Instant)>,
    fault_requests: u64,
    fault_lasted: Duration,
    written_in: Duration,
    /// Found false or missing by other means than reading through S3.
    pub lost_elsewhere: u64,
    pub false_elsewhere: u64,
}

impl<'a> Ground<'a> {
    pub(super) fn new(drill: &'a Drill, run: Arc<Run>, running: &'a mut Running) -> Self {
        Self {
            drill,
            run,
            running,
            events: Vec::new(),
            unmet: Vec::new(),
            deleted: Vec::new(),
            fault: None,
            fault_requests: 0,
            fault_lasted: Duration::ZERO,
            written_in: Duration::ZERO,
            lost_elsewhere: 0,
            false_elsewhere: 0,
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.running.network.layout
    }

    pub(super) fn n(&self) -> usize {
        self.running.network.nodes.len()
    }

    pub(super) fn f(&self) -> usize {
        self.running.network.nodes[0].lineage.committee().f()
    }

    pub(super) fn stored(&self) -> Vec<Stored> {
        self.run.stored()
    }

    pub(super) fn output(&self) -> crate::output::Output {
        self.drill.output
    }

    /// A node's directory with all its data.
    pub(super) fn directory(&self, index: usize) -> PathBuf {
        self.layout().node_directory(index)
    }

    /// A node's directory of votes.
    pub(super) fn votes(&self, index: usize) -> PathBuf {
        self.running.network.nodes[index].config.votes()
    }

    /// Waits until so many percent of the bytes are acknowledged.
    pub(super) async fn acknowledged(&self, percent: u64) {
        self.run.tally.until_acknowledged(self.run.bytes / 100 * percent).await;
    }

    /// Tells what is done, in the report and beside the progress.
    pub(super) fn tell(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.run.bar.set_message(format!("writing; {what}"));
        self.events.push(Event { seconds: self.run.began.elapsed().as_secs_f64(), what });
    }

    /// Tells what should have come about and did not.
    pub(super) fn miss(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.tell(format!("NOT MET: {what}"));
        self.unmet.push(what);
    }

    /// From here on requests count as answered during the fault.
    pub(super) fn fault_begins(&mut self) {
        self.fault.get_or_insert((self.run.tally.requests(), Instant::now()));
    }

    pub(super) fn fault_ends(&mut self) {
        if let Some((requests, since)) = self.fault.take() {
            self.fault_requests += self.run.tally.requests() - requests;
            self.fault_lasted += since.elapsed();
        }
    }

    /// The time for writing is over.
    pub(super) fn written(&mut self) {
        self.written_in = self.run.began.elapsed();
    }

    /// Kills a node (SIGKILL) and keeps it down.
    pub(super) async fn kill(&mut self, index: usize) {
        self.running.supervisor.kill_and_hold(&node_name(index)).await;
    }

    /// Deletes all that a node that is down has stored; not what it has voted for, which lies apart.
    pub(super) fn delete(&mut self, index: usize) -> Result<(), Failure> {
        files::remove_directory(&self.directory(index))?;
        self.deleted.push(node_name(index));
        Ok(())
    }

    /// Starts again a node that was killed.
    pub(super) fn start(&mut self, index: usize) {
        self.running.supervisor.release(&node_name(index));
    }

    /// Writes something more, which nobody else does at the time.
    pub(super) async fn makes_bucket(&mut self, name: &str) {
        match make_bucket(self.layout().root(), name).await {
            Ok(()) => self.tell(format!("bucket {name} made")),
            Err(failure) => self.miss(format!("the network takes writes: {failure}")),
        }
    }

    /// Kills the gateway and keeps it down.
    pub(super) async fn stop_gateway(&mut self) {
        self.running.supervisor.kill_and_hold(GATEWAY).await;
    }

    pub(super) fn start_gateway(&mut self) {
        self.running.supervisor.release(GATEWAY);
    }

    /// What `outlast status` says.
    pub(super) async fn status(&self) -> Result<Value, String> {
        let said = command(self.layout().root(), &["status", "--json"]).await;
        let said = said.map_err(|failure| failure.to_string())?;
        serde_json::from_slice(&said.stdout)
            .map_err(|_| String::from_utf8_lossy(&said.stderr).trim().to_owned())
    }

    /// Waits until these nodes follow the chain, lack nothing and, if so wanted, vote. Gives what is wrong if they do not
    /// come to that.
    pub(super) async fn healed(&self, nodes: &[usize], vote: bool, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        loop {
            let wrong = self.ailments(nodes, vote).await;
            if wrong.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(format!("after {} s: {}", patience.as_secs(), wrong.join("; ")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What is wrong with these nodes now.
    pub(super) async fn ailments(&self, nodes: &[usize], vote: bool) -> Vec<String> {
        match self.status().await {
            Ok(status) => nodes.iter().filter_map(|node| ailment(&status, *node, vote)).collect(),
            Err(why) => vec![why],
        }
    }

    /// Why a node ended last, as far as its supervisor knows, if it did of itself since this was asked before.
    pub(super) fn last_words(&mut self, index: usize) -> Option<String> {
        let (mut last, of) = (None, node_name(index));
        while let Ok(event) = self.running.events.try_recv() {
            if let supervisor::Event::Ended { name, reason, .. } = event
                && name == of
            {
                last = Some(reason);
            }
        }
        last
    }

    /// The same as [`Self::healed`], told in the report; that it does not come about is unmet.
    pub(super) async fn await_healed(&mut self, nodes: &[usize], patience: Duration) {
        let (names, since) = (names(nodes), Instant::now());
        let are = if nodes.len() == 1 { "lacks nothing and votes" } else { "lack nothing and vote" };
        match self.healed(nodes, true, patience).await {
            Ok(()) => self.tell(format!("{names} {are}, {:.1} s later", since.elapsed().as_secs_f64())),
            Err(why) => self.miss(format!("{names} {are}: {why}")),
        }
    }

    pub(super) fn report(mut self, refused: u64, lost: u64) -> Report {
        self.fault_ends();
        let (tally, stored) = (&self.run.tally, self.run.stored());
        Report {
            scenario: self.drill.scenario.name().to_owned(),
            nodes: self.n(),
            events: self.events,
            unmet: self.unmet,
            deleted: self.deleted,
            objects: stored.len() as u64,
            bytes: stored.iter().map(|object| object.length).sum(),
            write_seconds: self.written_in.as_secs_f64(),
            read_seconds: tally.read_back_seconds(),
            fault_seconds: self.fault_lasted.as_secs_f64(),
            requests: tally.requests(),
            requests_during_fault: self.fault_requests,
            reads_while_writing: tally.reads_checked().saturating_sub(stored.len() as u64 - lost),
            longest_stall_ms: tally.longest_ms(),
            refused,
            lost: lost + self.lost_elsewhere,
            false_reads: tally.false_reads() + self.false_elsewhere,
        }
    }
}

/// Names of nodes, for reports.
pub(super) fn names(nodes: &[usize]) -> String {
    nodes.iter().map(|node| node_name(*node)).collect::<Vec<_>>().join(", ")
}

/// What is wrong with a node, by what `status` says of it. That it found damage on its disk is none: it heals that.
fn ailment(status: &Value, index: usize, vote: bool) -> Option<String> {
    let (node, height) = (&status["nodes"][index], status["height"].as_u64().unwrap_or(0));
    let problems = node["problems"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let problems: Vec<&str> = problems
        .filter(|problem| !problem.contains("damaged records"))
        .filter(|problem| vote || !problem.contains("observes"))
        .collect();
    let name = node_name(index);
    if !problems.is_empty() {
        return Some(format!("{name}: {}", problems.join(", ")));
    }
    let behind = node["height"].as_u64().is_none_or(|at| at + 5 < height);
    if behind || node["missing"].as_u64() != Some(0) || (vote && node["votes"].as_bool() != Some(true)) {
        return Some(format!("{name} is not there yet"));
    }
    None
}

/// `count` different numbers below `n`, drawn at random, ascending.
pub(super) fn drawn(n: usize, count: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    let mut chosen: Vec<usize> =
        (0..count).map(|_| all.swap_remove(usize::from(keys::draw::<1>()[0]) % all.len())).collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn drawn_nodes_differ() {
        for _ in 0..100 {
            let nodes = drawn(10, 3);
            assert!(nodes.len() == 3 && nodes.is_sorted_by(|a, b| a < b) && nodes[2] < 10, "{nodes:?}");
        }
    }

    #[test]
    fn a_node_is_healed_only_when_it_lacks_nothing_and_is_there() {
        let of = |height: Value, missing: Value, votes: bool, problems: Value| {
            let node = json!({ "height": height, "missing": missing, "votes": votes, "problems": problems });
            json!({ "height": 100, "nodes": [node] })
        };
        let ails = |status: Value, vote| ailment(&status, 0, vote).is_some();
        assert!(!ails(of(json!(99), json!(0), true, json!([])), true));
        assert!(!ails(of(json!(99), json!(0), true, json!(["found 3 damaged records on its disk"])), true));
        assert!(ails(of(json!(99), json!(1), true, json!([])), true));
        assert!(ails(of(json!(9), json!(0), true, json!([])), true));
        assert!(ails(of(Value::Null, Value::Null, true, json!(["does not answer"])), true));
        assert!(ails(of(json!(99), json!(0), false, json!(["observes: ..."])), true));
        assert!(!ails(of(json!(99), json!(0), false, json!(["observes: ..."])), false));
        assert!(ails(json!({}), false));
    }
}
