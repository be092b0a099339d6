//! A node, assembled: shard store, index, engine, and the server in front of them.

use crate::{
    config::Loaded,
    serve::Front,
    voting::{self, Standing},
};
use chain::{
    application::Network,
    block::Block,
    engine::{self, Derived, References, Timeouts},
    index::{Disk, Index},
    network::{self, Addresses},
    query::Query,
    reader::Reader,
};
use commonware_codec::DecodeExt as _;
use commonware_cryptography::ed25519;
use commonware_runtime::{
    Clock as _, Network as _, Runner as _, Spawner as _, Supervisor as _,
    tokio::{self, telemetry},
};
use commonware_utils::channel::mpsc;
use proof::SecretKey;
use shards::{Server as ShardServer, ServerConfig, ShardStore, StoreConfig};
use std::{
    fs::{File, TryLockError},
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tracing::{error, info, warn};

/// Blocks' references on their way to the shard store.
const REFERENCES: usize = 32;
/// How often shards that nothing refers to are looked for.
const COLLECT_EVERY: Duration = Duration::from_secs(600);
/// Bytes of the index's cache.
const INDEX_CACHE_BYTES: u64 = 32 << 20;
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
    /// A port cannot be listened on.
    #[error("cannot listen on {address}: {error}. Stop what uses the port, or change {setting} in the configuration")]
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

/// How a node logs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logs {
    /// One JSON object an event instead of text.
    pub json: bool,
    /// Debug events too.
    pub debug: bool,
}

/// Runs a node until `shutdown` resolves, which is polled in a tokio runtime.
///
/// # Panics
///
/// On storage failure: the process is the unit of failure, and its supervisor starts it again.
pub fn run(
    loaded: Loaded,
    logs: Logs,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let directory = &loaded.config.directory;
    let _lock = lock(directory)?;
    probe_ports(&loaded)?;
    let standing =
        voting::standing(directory, &loaded.config.permit, loaded.genesis.id(), &loaded.key.public_key())
            .map_err(|error| RunError::Directory { path: directory.clone(), error })?;
    let runtime = tokio::Config::new()
        .with_storage_directory(directory.join("storage"))
        .with_tcp_nodelay(Some(true));
    tokio::Runner::new(runtime).start(|context| async move {
        let level = if logs.debug { tracing::Level::DEBUG } else { tracing::Level::INFO };
        let settings = telemetry::Logs { level, json: logs.json };
        telemetry::init(context.child("telemetry"), settings, loaded.config.metrics_listen, None);
        node(context, loaded, standing, shutdown).await
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

/// The engine panics on a port that is taken; a message is better.
fn probe_ports(loaded: &Loaded) -> Result<(), RunError> {
    let config = &loaded.config;
    let ports = [("consensus_listen", Some(config.consensus_listen)), ("metrics_listen", config.metrics_listen)];
    for (setting, address) in ports {
        let Some(address) = address else { continue };
        TcpListener::bind(address).map_err(|error| RunError::Port { address, setting, error })?;
    }
    Ok(())
}

async fn node(
    context: tokio::Context,
    loaded: Loaded,
    standing: Standing,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let Loaded { config, genesis, key, index: number, consensus } = loaded;
    let votes = standing == Standing::Voter;
    let network = Arc::new(Network::new::<tokio::Context>(genesis));
    info!(node = number, key = %key.public_key(), network = %network.id, votes, "starting");
    if !votes {
        warn!("this node's journal of votes is gone or not its own: it observes, stores and serves, and does not vote");
    }

    let store = ShardStore::open(
        context.child("shards"),
        StoreConfig {
            segment_bytes: config.shards.segment_bytes,
            grace: Duration::from_secs(config.shards.grace_seconds),
            bytes_max: config.shards.bytes_max,
            ..StoreConfig::new("shards")
        },
    )
    .await?;
    let index = Index::open(Disk::open(&config.directory.join("index"), INDEX_CACHE_BYTES)?)?;
    let listener = context.bind(config.gateway_listen).await.map_err(|error| RunError::Port {
        address: config.gateway_listen,
        setting: "gateway_listen",
        error: io::Error::other(error.to_string()),
    })?;

    let engine_key = engine_key(&key);
    let addresses = Addresses { listen: config.consensus_listen, nodes: consensus };
    let (channels, oracle) =
        network::start(context.child("network"), &network.genesis, engine_key.clone(), addresses);
    let (references, referenced) = mpsc::channel(REFERENCES);
    let engine_config = engine::Config {
        partition: "chain".into(),
        network: network.clone(),
        key: engine_key.clone(),
        votes,
        timeouts: Timeouts::default(),
        index: Indexer { index: index.clone(), network: network.clone() },
        referenced_height: store.referenced_height(),
        references,
    };
    let engine = engine::start(context.child("engine"), engine_config, channels, oracle.clone(), oracle).await;
    let keeper = context.child("keep").spawn({
        let store = store.clone();
        move |context| keep(context, store, referenced)
    });

    let reader = Reader::new(context.child("reader"), network.clone(), &engine, votes);
    let shards = ShardServer::new(
        store,
        ServerConfig {
            network: network.id,
            committee: network.genesis.committee.clone(),
            node: u8::try_from(number).expect("a committee has at most 31 nodes"),
            key,
        },
    );
    let front = Front::new(network.clone(), Query::new(context.child("query"), reader, index), shards);
    let server = link::ServerConfig {
        key: engine_key,
        namespace: link_namespace(&network.id),
        limits: link::Limits::default(),
    };
    let serving = link::serve(context.child("serve"), listener, server, front);
    info!(gateway = %config.gateway_listen, consensus = %config.consensus_listen, "serving");

    let ended = futures::future::select(
        Box::pin(shutdown),
        futures::future::select(engine.consensus, futures::future::select(keeper, serving)),
    )
    .await;
    let result = match ended {
        futures::future::Either::Left(_) => {
            info!("stopping");
            Ok(())
        }
        futures::future::Either::Right(_) => {
            error!("a task that never ends has ended");
            Err(RunError::Consensus)
        }
    };
    // A task that is slow to stop leaves nothing that a restart does not recover.
    let _ = context.stop(0, Some(STOP_TIMEOUT)).await;
    result
}

/// The namespace of links between gateways and the nodes of this network.
pub fn link_namespace(network: &proof::Digest) -> Vec<u8> {
    [b"outlast/link/1".as_slice(), &network.0].concat()
}

fn engine_key(key: &SecretKey) -> ed25519::PrivateKey {
    ed25519::PrivateKey::decode(key.seed().to_vec()).expect("every 32 bytes are a key")
}

/// Brings the index along with the chain.
struct Indexer {
    index: Index<Disk>,
    network: Arc<Network>,
}

impl Derived for Indexer {
    fn height(&self) -> u64 {
        self.index.height()
    }

    fn follow(&mut self, block: &Block) {
        let context = ledger::BlockContext {
            genesis: &self.network.genesis,
            network: self.network.id,
            height: block.header.height,
            time_ms: block.header.time_ms,
        };
        let applied = self.index.apply(&context, &block.transactions, &block.outcomes);
        applied.expect("the index takes the next block, or is not to be used");
    }
}

/// Tells the shard store what the chain refers to, and has it drop what nothing does.
async fn keep(context: tokio::Context, store: ShardStore<tokio::Context>, mut referenced: mpsc::Receiver<References>) {
    let mut collect_at = context.current() + COLLECT_EVERY;
    loop {
        commonware_macros::select! {
            references = referenced.recv() => {
                let Some(References { height, manifests }) = references else { return };
                let kept = store.reference(height, &manifests).await;
                kept.expect("references can be written, or the store is not to be used");
            },
            _ = context.sleep_until(collect_at) => {
                match store.collect(context.current()).await {
                    Ok(collected) => info!(?collected, "collected what nothing refers to"),
                    Err(error) => warn!(%error, "could not collect what nothing refers to"),
                }
                collect_at = context.current() + COLLECT_EVERY;
            },
        }
    }
}
