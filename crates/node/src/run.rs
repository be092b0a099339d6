//! A node as a process: its directory, ports, runtime and end.

use crate::{
    assemble::{Node, Parts, Upkeep, assemble, engine_key},
    config::Loaded,
    metrics,
    voter::Voter,
    voting::{self, Votes},
};
use chain::{
    application::Network,
    engine::Timeouts,
    index::{Disk, Index},
    network::{self, Addresses},
    voting::Claim,
};
use commonware_runtime::{Network as _, Runner as _, Spawner as _, Supervisor as _, tokio};
use shards::{ScrubPace, StoreConfig};
use std::{
    fs::{File, TryLockError},
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tracing::{error, info};

/// Bytes of the index's cache.
const INDEX_CACHE_BYTES: u64 = 32 << 20;
/// Where the runtime keeps everything but the journal of votes and the index, below the node's directory.
const STORAGE: &str = "storage";
/// How long tasks may take to end at shutdown.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a node does not start, or stopped. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The directory cannot be used.
    #[error("cannot use the directory {path}: {error}. Check that it is writable and its disk not full")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process uses the directory.
    #[error("another process uses {0}. Stop it first: two nodes with one key endanger the network")]
    Locked(PathBuf),
    /// The disk of the shard log has failed.
    #[error("{0}. Check the disk before the node is started again")]
    Disk(shards::StoreError),
    /// A port cannot be listened on.
    #[error(
        "cannot listen on {address}: {error}. Stop what uses the port, or change {setting} in the configuration"
    )]
    Port {
        /// The address.
        address: SocketAddr,
        /// The configuration's name for it.
        setting: &'static str,
        /// Why.
        error: io::Error,
    },
    /// The shard log cannot be opened.
    #[error("cannot open the shard log: {0}")]
    Shards(#[from] shards::StoreError),
    /// The index cannot be opened.
    #[error("cannot open the index: {0}")]
    Index(#[from] chain::index::StoreError),
    /// Consensus ended, which it does only on a failure that was logged.
    #[error("consensus ended; the log says why. The node can be started again")]
    Consensus,
}

/// Runs a node until `shutdown` resolves, which is polled in a tokio runtime.
///
/// # Panics
///
/// On storage failure: the process is the unit of failure, and its supervisor starts it again.
pub fn run(loaded: Loaded, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), RunError> {
    // Behind a pointer, so that the engine is compiled here, once, and not with each caller.
    run_until(loaded, Box::pin(shutdown))
}

/// Ready when the node should stop.
type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

fn run_until(loaded: Loaded, shutdown: Shutdown) -> Result<(), RunError> {
    let directory = &loaded.config.directory;
    let votes = loaded.config.votes();
    let _lock = (lock(&votes)?, lock(directory)?);
    probe(loaded.config.consensus_listen, "consensus_listen")?;
    let metrics = loaded.config.metrics_listen.map(|address| probe(address, "metrics_listen")).transpose()?;
    let wrong = |error| RunError::Directory { path: votes.clone(), error };
    let epoch = (loaded.lineage.network(), loaded.lineage.committee().epoch());
    let register =
        Votes::open(&votes, &loaded.config.permit, epoch, &loaded.key.public_key()).map_err(wrong)?;
    let claim = register.claim().map_err(wrong)?;
    let runtime =
        tokio::Config::new().with_storage_directory(directory.join(STORAGE)).with_tcp_nodelay(Some(true));
    let voter = Voter::start(votes.join(voting::JOURNALS)).map_err(wrong)?;
    tokio::Runner::new(runtime).start(|context| async move {
        let voting = voter.context();
        let told = metrics::Told::default();
        if let (Some(address), Some(listener)) = (loaded.config.metrics_listen, metrics) {
            metrics::serve(context.child("metrics"), voting.child("metrics"), listener, told.clone())
                .map_err(|error| RunError::Port { address, setting: "metrics_listen", error })?;
        }
        let stopping = context.child("stopping");
        let result = node(context, voting, loaded, (claim, register), told, shutdown).await;
        // A task that is slow to stop leaves nothing that a restart does not recover.
        let stop = stopping.stop(0, Some(STOP_TIMEOUT));
        drop(futures::join!(stop, voter.stop(STOP_TIMEOUT)));
        result
    })
}

fn lock(directory: &Path) -> Result<File, RunError> {
    let wrong = |error| RunError::Directory { path: directory.into(), error };
    std::fs::create_dir_all(directory).map_err(wrong)?;
    let file = File::create(directory.join("lock")).map_err(wrong)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::Locked(directory.into())),
        Err(TryLockError::Error(error)) => Err(wrong(error)),
    }
}

/// Listens where the configuration says. The engine panics on a port that is taken; a message is better.
fn probe(address: SocketAddr, setting: &'static str) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).map_err(|error| RunError::Port { address, setting, error })
}

async fn node(
    context: tokio::Context,
    voting: tokio::Context,
    loaded: Loaded,
    (claim, register): (Claim, Votes),
    told: metrics::Told,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    let Loaded { config, lineage, key, index: number, consensus, gateways } = loaded;
    let network = Arc::new(Network::new::<tokio::Context>(lineage));
    info!(node = number, key = %key.public_key(), network = %network.id, ?claim, "starting");

    let index = Index::open(Disk::open(&config.directory.join("index"), INDEX_CACHE_BYTES)?)?;
    let listener = context.bind(config.gateway_listen).await.map_err(|error| RunError::Port {
        address: config.gateway_listen,
        setting: "gateway_listen",
        error: io::Error::other(error.to_string()),
    })?;
    let addresses = Addresses { listen: config.consensus_listen, nodes: consensus };
    let (channels, oracle) =
        network::start(context.child("network"), &network.lineage, engine_key(&key), addresses);
    let parts = Parts {
        network,
        key,
        claim,
        register,
        voting,
        partition: "node".into(),
        shards: StoreConfig {
            segment_bytes: config.shards.segment_bytes,
            grace: Duration::from_secs(config.shards.grace_seconds),
            bytes_max: config.shards.bytes_max,
            ..StoreConfig::new("shards")
        },
        index,
        timeouts: Timeouts::default(),
        upkeep: Upkeep {
            nodes: gateways,
            heal_bytes_per_second: config.shards.heal_bytes_per_second,
            scrub: ScrubPace {
                period: Duration::from_secs(config.shards.scrub_period_seconds),
                bytes_per_second: config.shards.scrub_bytes_per_second,
            },
        },
    };
    let Node { consensus, keeper, upkeep, server, shards, standing, .. } =
        assemble(context.child("node"), parts, channels, oracle.clone(), oracle, listener, |front| front)
            .await?;
    info!(gateway = %config.gateway_listen, consensus = %config.consensus_listen, "serving");

    let _ = told.set((shards.clone(), standing));
    let tasks = [consensus, keeper, upkeep, server];
    match futures::future::select(shutdown, futures::future::select_all(tasks)).await {
        futures::future::Either::Left(_) => {
            info!("stopping");
            Ok(())
        }
        futures::future::Either::Right(_) => {
            error!("a task that never ends has ended");
            Err(shards.failure().map_or(RunError::Consensus, RunError::Disk))
        }
    }
}
