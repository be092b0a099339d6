//! The drill: real processes, real disks, real deletions, and a count of what was lost.
//!
//! 1. A network of its own is started in a scratch directory, and a bucket made.
//! 2. Workers store the files through S3, while a reader checks again and again what was acknowledged.
//! 3. When [`FAULT_AT`] of the bytes are acknowledged, f nodes drawn at random are killed (SIGKILL) and their whole
//!    directories deleted. Writing and reading go on without them.
//! 4. When [`RETURN_AT`] of the bytes are acknowledged, they are started again, empty: they fetch the chain and heal.
//! 5. When all is written, every object is read back and compared by SHA-256 with the file.
//!
//! An object is *lost* when its write was acknowledged and its bytes cannot be had; a read is *false* when it gives
//! other bytes than were stored, in step 2 or in step 5. The *longest stall* is the longest time that any request
//! took, with the client's own retries; no request carries more than [`client::PIECE_BYTES`].

mod client;
mod report;
mod tree;

pub(crate) use report::Report;

use crate::{
    failure::{Exit, Failure},
    files,
    gateway::stop_asked,
    keys,
    layout::{Layout, node_name},
    network::{Network, Running, Wishes},
    output::Output,
};
use client::{BUCKET, Bucket};
use futures::{StreamExt as _, stream};
use report::Tally;
use sha2::{Digest as _, Sha256};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tree::Source;

/// Share of the bytes acknowledged when nodes are deleted, in percent.
const FAULT_AT: u64 = 30;
/// Share of the bytes acknowledged when they are started again, in percent.
const RETURN_AT: u64 = 65;
/// The reader's pause between objects, so that it leaves the machine to the writers.
const READ_EVERY: Duration = Duration::from_millis(20);
/// How long the network may take to start.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// What to do.
pub(crate) struct Drill {
    pub output: Output,
    pub files: Option<PathBuf>,
    pub nodes: usize,
    pub workers: usize,
    pub scratch: Option<PathBuf>,
}

/// An object whose write was acknowledged.
#[derive(Clone)]
struct Stored {
    key: String,
    length: u64,
    sha256: [u8; 32],
}

/// What the workers share.
struct Run {
    bucket: Bucket,
    tally: Tally,
    stored: Mutex<Vec<Stored>>,
    bar: indicatif::ProgressBar,
}

/// Runs the drill.
pub(crate) fn run(drill: Drill) -> Result<Report, Failure> {
    let mut sources = tree::choose(drill.files.as_deref())?;
    // Large and small in any order, the same in each run, so that every stretch of the writing is like the others.
    sources.sort_by_cached_key(|source| <[u8; 32]>::from(Sha256::digest(&source.key)));
    let scratch = drill.scratch.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("outlast-drill-{}", proof::TenantId(keys::draw())))
    });
    let kept = scratch.display().to_string();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = on_own_network(&drill, sources, &scratch) => outcome,
            () = stop_asked() => Err(Failure::new(Exit::Failed, "stopped")),
        }
    });
    // Whatever still runs stops with the runtime.
    drop(runtime);
    match &outcome {
        Ok(report) if report.passed() => files::remove_directory(&scratch)?,
        _ => eprintln!("the network's directories and logs are kept in {kept}"),
    }
    outcome
}

async fn on_own_network(drill: &Drill, sources: Vec<Source>, scratch: &Path) -> Result<Report, Failure> {
    let wishes =
        Wishes { nodes: Some(drill.nodes), s3_addr: Some(([127, 0, 0, 1], 0).into()), ..Wishes::default() };
    let network = Network::prepare(Layout::new(scratch), &wishes)?;
    let mut running = network.start()?;
    let outcome = match tokio::time::timeout(START_PATIENCE, running.ready(|_| {})).await {
        Ok(Ok(())) => on_network(drill, sources, &mut running).await,
        Ok(Err(failure)) => Err(failure),
        Err(_) => {
            let message = format!("the network was not ready after {} s", START_PATIENCE.as_secs());
            Err(Failure::new(Exit::Unavailable, message)
                .hint(format!("the logs are in {}", scratch.join("logs").display())))
        }
    };
    running.supervisor.stop().await;
    outcome
}

async fn on_network(drill: &Drill, sources: Vec<Source>, running: &mut Running) -> Result<Report, Failure> {
    let network = &running.network;
    let bytes: u64 = sources.iter().map(|source| source.length).sum();
    make_bucket(network.layout.root()).await?;
    let run = Arc::new(Run {
        bucket: Bucket::new(&network.gateway, &network.access)?,
        tally: Tally::start(),
        stored: Mutex::default(),
        bar: drill.output.bytes_bar(Some(bytes), "writing"),
    });
    let writing = Instant::now();
    let reading = tokio::spawn(read_again(run.clone()));
    let (refused, fault) =
        tokio::join!(write_all(&run, sources, drill.workers), break_nodes(&run, running, bytes));
    let fault = fault?;
    reading.abort();
    run.bar.finish_and_clear();
    let written_in = writing.elapsed();
    let stored = run.stored.lock().expect("no worker panics").clone();
    let reading = Instant::now();
    let bar = drill.output.bytes_bar(Some(stored.iter().map(|object| object.length).sum()), "reading back");
    let lost: Vec<String> = stream::iter(&stored)
        .map(|object| {
            let (run, bar) = (&run, &bar);
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
    for why in lost.iter().chain(&refused) {
        eprintln!("{why}");
    }
    Ok(report::Report {
        nodes: drill.nodes,
        deleted: fault.deleted,
        objects: stored.len() as u64,
        bytes: stored.iter().map(|object| object.length).sum(),
        write_seconds: written_in.as_secs_f64(),
        read_seconds: reading.elapsed().as_secs_f64(),
        fault_seconds: fault.lasted.as_secs_f64(),
        requests: run.tally.requests(),
        requests_during_fault: fault.requests,
        reads_while_writing: run.tally.reads_checked(),
        longest_stall_ms: run.tally.longest_ms(),
        refused: refused.len() as u64,
        lost: lost.len() as u64,
        false_reads: run.tally.false_reads(),
    })
}

/// By the program's own command, in a process of its own.
async fn make_bucket(directory: &Path) -> Result<(), Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::file("find", Path::new("the program's own file"), &error))?;
    let mut command = tokio::process::Command::new(program);
    let made = command.arg("--dir").arg(directory).args(["mb", BUCKET]).output().await;
    let made =
        made.map_err(|error| Failure::new(Exit::Failed, format!("cannot run `outlast mb`: {error}")))?;
    if made.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&made.stderr).trim().to_owned();
    Err(Failure::new(Exit::Failed, format!("cannot make the drill's bucket: {why}")))
}

/// Stores all files; gives the reasons of those writes that were refused in the end.
async fn write_all(run: &Run, sources: Vec<Source>, workers: usize) -> Vec<String> {
    let refused =
        stream::iter(sources)
            .map(|source| async move {
                write(run, &source).await.err().map(|why| format!("{}: {why}", source.key))
            })
            .buffer_unordered(workers)
            .filter_map(|refused| async { refused })
            .collect()
            .await;
    run.tally.writing_done();
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
async fn read_again(run: Arc<Run>) {
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

/// What was done to the network.
struct Fault {
    deleted: Vec<String>,
    requests: u64,
    lasted: Duration,
}

/// Kills and deletes f nodes in the middle of the writing, and starts them again later.
async fn break_nodes(run: &Run, running: &mut Running, bytes: u64) -> Result<Fault, Failure> {
    run.tally.until_acknowledged(bytes / 100 * FAULT_AT).await;
    let genesis = &running.network.nodes[0].genesis;
    let deleted = drawn(genesis.committee.n(), genesis.committee.f());
    let (before, since) = (run.tally.requests(), Instant::now());
    for index in &deleted {
        running.supervisor.kill_and_hold(&node_name(*index)).await;
        files::remove_directory(&running.network.layout.node_directory(*index))?;
    }
    let deleted: Vec<String> = deleted.into_iter().map(node_name).collect();
    run.bar.set_message(format!("writing; {} killed and deleted", deleted.join(", ")));
    run.tally.until_acknowledged(bytes / 100 * RETURN_AT).await;
    let fault = Fault { requests: run.tally.requests() - before, lasted: since.elapsed(), deleted };
    for name in &fault.deleted {
        running.supervisor.release(name);
    }
    run.bar.set_message(format!("writing; {} back, empty", fault.deleted.join(", ")));
    Ok(fault)
}

/// `count` different numbers below `n`, drawn at random.
fn drawn(n: usize, count: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    let mut chosen: Vec<usize> =
        (0..count).map(|_| all.swap_remove(usize::from(keys::draw::<1>()[0]) % all.len())).collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_nodes_differ() {
        for _ in 0..100 {
            let nodes = drawn(10, 3);
            assert!(nodes.len() == 3 && nodes.is_sorted_by(|a, b| a < b) && nodes[2] < 10, "{nodes:?}");
        }
    }
}
