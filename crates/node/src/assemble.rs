//! A node, assembled over any runtime: shard store with its healer and scrubber, index, engine, and the server in
//! front of them.

use crate::serve::{Context, Front};
use chain::{
    application::Network,
    applied::Applied,
    block::Block,
    engine::{self, Blocks, Derived, Engine, References, Timeouts},
    index::{Index, Store},
    mempool::Mempool,
    network::Channels,
    query::Query,
    reader::Reader,
    voting::{Claim, Register, Standing},
};
use commonware_codec::DecodeExt as _;
use commonware_cryptography::ed25519;
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_runtime::{Handle, Listener};
use commonware_utils::channel::mpsc;
use link::Handler;
use proof::SecretKey;
use shards::{
    Client as ShardClient, ClientLimits, Healer, HealerConfig, ScrubPace, Server as ShardServer,
    ServerConfig, ShardStore, StoreConfig, StoreError,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};
use tracing::{error, warn};

/// Blocks' references on their way to the shard store.
const REFERENCES: usize = 32;
/// How long fetching one chunk from the other nodes may take.
const HEAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often shards that nothing refers to are looked for.
const COLLECT_EVERY: Duration = Duration::from_secs(600);

/// Who the node is and how it takes part.
pub struct Parts<E, S, V> {
    /// The network's facts.
    pub network: Arc<Network>,
    /// The node's key.
    pub key: SecretKey,
    /// What vouches for its journal of votes.
    pub claim: Claim,
    /// Where that is kept.
    pub register: V,
    /// Whose storage keeps its journal of votes. All else is in the storage of the node's own context.
    pub voting: E,
    /// What the names of its storage partitions begin with.
    pub partition: String,
    /// How shards are kept. The partition is chosen here.
    pub shards: StoreConfig,
    /// The rows of its index.
    pub index: Index<S>,
    /// Consensus timeouts.
    pub timeouts: Timeouts,
    /// How it gets shards back, and finds out that it has to.
    pub upkeep: Upkeep,
}

/// How a node keeps what it should hold.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// Where the nodes serve gateways, and one another, in the order of the committee.
    pub nodes: Vec<SocketAddr>,
    /// Bytes of shards healed in a second at most.
    pub heal_bytes_per_second: u64,
    /// How fast shards are read again.
    pub scrub: ScrubPace,
}

/// A running node. None of its tasks ends by itself unless something is badly wrong.
pub struct Node<E: Context> {
    /// Consensus.
    pub consensus: Handle<()>,
    /// The task that tells the shard store what the chain refers to.
    pub keeper: Handle<()>,
    /// The task that heals, scrubs and collects. It ends when the shard log fails: the node is to be started anew.
    pub upkeep: Handle<()>,
    /// The server of gateways.
    pub server: Handle<()>,
    /// Its shards.
    pub shards: ShardStore<E>,
    /// What it has applied and can prove.
    pub applied: Applied,
    /// Its blocks.
    pub blocks: Blocks,
    /// Transactions that wait for a block.
    pub mempool: Mempool,
    /// Whether it votes.
    pub standing: Standing,
}

/// Starts a node that talks to others over `channels` and to gateways through `listener`. `door` puts something before
/// what answers requests; a node of the real network puts nothing there.
///
/// # Panics
///
/// If its key is of no member, and on storage failure.
pub async fn assemble<E, S, V, Tx, Rx, P, B, L, H>(
    context: E,
    parts: Parts<E, S, V>,
    channels: Channels<Tx, Rx>,
    peers: P,
    blocker: B,
    listener: L,
    door: impl FnOnce(Front<E, S>) -> H,
) -> Result<Node<E>, StoreError>
where
    H: Handler,
    E: Context + link::Context,
    S: Store,
    V: Register,
    Tx: Sender<PublicKey = ed25519::PublicKey>,
    Rx: Receiver<PublicKey = ed25519::PublicKey>,
    P: Provider<PublicKey = ed25519::PublicKey>,
    B: Blocker<PublicKey = ed25519::PublicKey>,
    L: Listener,
{
    let Parts { network, key, claim, register, voting, partition, shards, index, timeouts, upkeep } = parts;
    let member =
        network.lineage.committee().index(&key.public_key()).expect("a node is a member of its committee");
    let store_config = StoreConfig { partition: format!("{partition}-shards"), ..shards };
    let store = ShardStore::open(context.child("shards"), store_config).await?;
    let engine_key = engine_key(&key);
    let (references, referenced) = mpsc::channel(REFERENCES);
    let engine_config = engine::Config {
        partition: format!("{partition}-chain"),
        network: network.clone(),
        key: engine_key.clone(),
        claim,
        register,
        timeouts,
        index: Indexer { index: index.clone(), network: network.clone() },
        referenced_height: store.referenced_height(),
        references,
    };
    let engine =
        engine::start(context.child("engine"), voting, engine_config, channels, peers, blocker).await;
    let chain_time_ms = Arc::new(AtomicU64::new(0));
    let keeper = context.child("keep").spawn({
        let (store, chain_time_ms) = (store.clone(), chain_time_ms.clone());
        move |_| keep(store, referenced, chain_time_ms)
    });
    let healer = healer(&context, &network, &engine_key, store.clone(), member as usize, &upkeep);
    let upkeep = context.child("upkeep").spawn({
        let (store, blocks) = (store.clone(), engine.blocks.clone());
        move |_| keep_up(store, healer, upkeep.scrub, blocks, chain_time_ms)
    });
    let reader = Reader::new(context.child("reader"), network.clone(), &engine);
    let shards = ShardServer::new(
        store.clone(),
        ServerConfig {
            network: network.id,
            committee: network.lineage.committee().clone(),
            node: u8::try_from(member).expect("a committee has at most 31 nodes"),
            key,
        },
    );
    let query = Query::new(context.child("query"), reader, index);
    let server = link::ServerConfig {
        key: engine_key,
        namespace: proof::genesis::link_namespace(network.id),
        limits: link::Limits::default(),
    };
    let server =
        link::serve(context.child("serve"), listener, server, door(Front::new(network, query, shards)));
    let Engine { mempool, applied, blocks, standing, consensus, .. } = engine;
    Ok(Node { consensus, keeper, upkeep, server, shards: store, applied, blocks, mempool, standing })
}

/// Links to all nodes, over which this one heals its store. The link to itself is never used, so never dialled.
fn healer<E: Context + link::Context>(
    context: &E,
    network: &Network,
    key: &ed25519::PrivateKey,
    store: ShardStore<E>,
    node: usize,
    upkeep: &Upkeep,
) -> Healer<E> {
    let committee = network.lineage.committee();
    let links = committee.nodes().iter().zip(&upkeep.nodes).map(|(peer, address)| {
        let config = link::ClientConfig {
            key: key.clone(),
            namespace: proof::genesis::link_namespace(network.id),
            peer: chain::block::engine_key(peer),
            address: *address,
            limits: link::Limits::default(),
        };
        link::Client::start(context.child("peer"), config)
    });
    let limits =
        ClientLimits { get_timeout: HEAL_TIMEOUT, call_timeout: HEAL_TIMEOUT / 2, ..ClientLimits::default() };
    let links = links.collect();
    let client =
        ShardClient::with_limits(context.child("peers"), network.id, committee.clone(), links, limits);
    let config = HealerConfig { node, bytes_per_second: upkeep.heal_bytes_per_second };
    Healer::new(context.child("healer"), store, client, config)
}

/// Heals, scrubs and collects until the shard log fails.
///
/// It is too late to refer to something when the chain's time says so (see `proof::availability`), whatever this node's
/// clock says: the chain may have stood still for long, or this node may be far behind it.
async fn keep_up<E: Context>(
    store: ShardStore<E>,
    healer: Healer<E>,
    pace: ScrubPace,
    blocks: Blocks,
    chain_time_ms: Arc<AtomicU64>,
) {
    let processed = || async { blocks.get_processed().await.map_or(0, |processed| processed.height().get()) };
    let chain_time = || UNIX_EPOCH + Duration::from_millis(chain_time_ms.load(Ordering::Relaxed));
    let failure = commonware_macros::select! {
        failure = healer.run() => failure,
        failure = store.scrub(pace) => failure,
        failure = store.collect_every(COLLECT_EVERY, processed, chain_time) => failure,
    };
    error!(%failure, "the disk of the shard log is not used any more");
}

/// The key in the engine's form.
pub fn engine_key(key: &SecretKey) -> ed25519::PrivateKey {
    ed25519::PrivateKey::decode(key.seed().to_vec()).expect("every 32 bytes are a key")
}

/// Brings the index along with the chain.
struct Indexer<S> {
    index: Index<S>,
    network: Arc<Network>,
}

impl<S: Store> Derived for Indexer<S> {
    fn height(&self) -> u64 {
        self.index.height()
    }

    fn follow(&mut self, block: &Block) {
        let context = ledger::BlockContext {
            genesis: self.network.lineage.genesis(),
            network: self.network.id,
            height: block.header.height,
            time_ms: block.header.time_ms,
        };
        let applied = self.index.apply(&context, &block.transactions, &block.outcomes);
        applied.expect("the index takes the next block, or is not to be used");
    }
}

/// Tells the shard store what the chain refers to, and what the chain's time is, milliseconds since 1970. Nothing that
/// takes long may be done here: the chain waits for it.
async fn keep<E: Context>(
    store: ShardStore<E>,
    mut referenced: mpsc::Receiver<References>,
    chain_time_ms: Arc<AtomicU64>,
) {
    while let Some(References { height, time_ms, manifests }) = referenced.recv().await {
        match store.reference(height, &manifests).await {
            // They are known, and written with later ones.
            Err(StoreError::Full) => warn!(height, "no room for what the chain refers to"),
            kept => kept.expect("references can be written, or the store is not to be used"),
        }
        chain_time_ms.store(time_ms, Ordering::Relaxed);
    }
}
