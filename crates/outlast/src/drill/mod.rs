//! The drill: real processes, real disks, real faults, and a count of what was lost.
//!
//! 1. A network of its own is started in a scratch directory, and a bucket made.
//! 2. Workers store the files through S3, while a reader checks again and again what was acknowledged. Meanwhile the
//!    scenario does its harm ([`scenario`], a file each). When the files are stored and it is not done yet, small ones are
//!    stored again under other keys, so that it never does it to a network at rest.
//! 3. Some scenarios do more when all is written.
//! 4. Every object is read back and compared by SHA-256 with the file.
//!
//! An object is *lost* when its write was acknowledged and its bytes cannot be had; a read is *false* when it gives
//! other bytes than were stored, in step 2 or in step 4. What a scenario expects besides, such as that a node has healed,
//! is *unmet* when it does not come about. The *longest stall* is the longest time that any request
//! took, with the client's own retries; no request carries more than [`client::PIECE_BYTES`].

mod client;
mod ground;
mod report;
mod scenario;
mod tree;

pub(crate) use report::Report;
pub(crate) use scenario::Scenario;

use crate::{
    failure::{Exit, Failure},
    files,
    gateway::stop_asked,
    keys,
    layout::Layout,
    network::{Network, Running, Wishes},
    output::Output,
};
use ground::{Ground, Run};
use sha2::{Digest as _, Sha256};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tree::Source;

/// How long the network may take to start.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// What to do.
#[derive(Clone)]
pub(crate) struct Drill {
    pub output: Output,
    pub scenario: Scenario,
    pub files: Option<PathBuf>,
    /// Bytes of files that are stored at most.
    pub bytes: Option<u64>,
    pub nodes: Option<usize>,
    pub workers: usize,
    pub scratch: Option<PathBuf>,
}

impl Drill {
    fn nodes(&self) -> usize {
        self.nodes.unwrap_or(self.scenario.nodes())
    }
}

/// Runs the drill.
pub(crate) fn run(drill: &Drill) -> Result<Report, Failure> {
    drill.scenario.enter()?;
    let bytes = match (&drill.files, drill.bytes) {
        (Some(_), None) => u64::MAX,
        (_, bytes) => bytes.unwrap_or(drill.scenario.bytes()),
    };
    let mut sources = tree::choose(drill.files.as_deref(), bytes)?;
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
            outcome = on_own_network(drill, sources, &scratch) => outcome,
            () = stop_asked() => Err(Failure::new(Exit::Failed, "stopped")),
        }
    });
    // Whatever still runs stops with the runtime.
    drop(runtime);
    drill.scenario.leave(&scratch);
    match &outcome {
        Ok(report) if report.passed() => files::remove_directory(&scratch)?,
        _ => eprintln!("the network's directories and logs are kept in {kept}"),
    }
    outcome
}

async fn on_own_network(drill: &Drill, sources: Vec<Source>, scratch: &Path) -> Result<Report, Failure> {
    let wishes =
        Wishes { nodes: Some(drill.nodes()), s3_addr: Some(([127, 0, 0, 1], 0).into()), ..Wishes::default() };
    let layout = Layout::new(scratch);
    // Founded, and then opened as founded before, so that the scenario can change its configuration in between.
    drop(Network::prepare(layout.clone(), &wishes)?);
    let bytes = sources.iter().map(|source| source.length).sum();
    let target = drill.scenario.prepare(&layout, drill.nodes(), bytes).await?;
    let network = Network::prepare(layout, &Wishes { s3_addr: None, ..wishes })?;
    let mut running = network.start()?;
    let outcome = match tokio::time::timeout(START_PATIENCE, running.ready(|_| {})).await {
        Ok(Ok(())) => on_network(drill, sources, &mut running, target).await,
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

async fn on_network(
    drill: &Drill,
    sources: Vec<Source>,
    running: &mut Running,
    target: scenario::Prepared,
) -> Result<Report, Failure> {
    let run = Run::start(drill, &sources, &running.network).await?;
    let mut ground = Ground::new(drill, run.clone(), running);
    let reading = tokio::spawn(ground::read_again(run.clone()));
    let (refused, harmed) = tokio::join!(ground::write_all(&run, sources, drill.workers), async {
        let harmed = drill.scenario.harm(&mut ground, &target).await;
        run.harm_done();
        harmed
    });
    reading.abort();
    harmed?;
    ground.written();
    drill.scenario.afterwards(&mut ground).await?;
    let lost = ground::read_back(&run, drill).await;
    for why in lost.iter().chain(&refused) {
        eprintln!("{why}");
    }
    Ok(ground.report(refused.len() as u64, lost.len() as u64))
}
