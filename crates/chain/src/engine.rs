//! The engine, wired: simplex consensus, marshal (blocks in order, kept and backfilled), the stateful application.
//!
//! ```text
//!   votes, certificates        blocks, backfill                final blocks
//!   network <-> simplex <-> Paced(Deferred) <-> marshal -> Stateful(App) -> apply
//!                                     \______ QMDB batches ______/            |-> index, applied, references
//! ```
//!
//! Simplex signs nothing until [`crate::voting`] says so; until then, and if it never does, it observes.
//!
//! Blocks and finalizations in marshal's archives are the source of truth. The state is rebuilt from them by the
//! engine; the index, and whatever else follows the chain, by [`follow`], which first replays what its followers
//! have missed and then takes blocks as they are finalized.
//!
//! Every generic is fixed here, once.

use crate::{
    application::{App, Databases, Network},
    applied::Applied,
    block::{Block, digest, engine_digest},
    consensus::{Lent, Simplex},
    epochs::{Epochs, Schemes, arrive, participants},
    inquiry::{Answers, Inquiry},
    intake::{Inadmissible, take_gossip},
    journal::{self, Recalled},
    memory::{self, Memory},
    mempool::Mempool,
    network::{Channels, SYNC_BATCH},
    pacing::Paced,
    protocol::Stance,
    state,
    voting::{Claim, Register, Standing, Voting},
};
use commonware_broadcast::buffered;
use commonware_codec::{DecodeExt as _, Encode as _, FixedSize as _};
use commonware_consensus::{
    marshal::{
        self,
        core::{Actor as Marshal, Mailbox as MarshalMailbox},
        resolver::p2p as marshal_resolver,
        standard::{Deferred, Standard},
    },
    simplex::{self, scheme::ed25519::Scheme},
    types::{Epoch, Height, ViewDelta},
};
use commonware_cryptography::{Digested, Digestible as _, Signer as _, ed25519, sha256};
use commonware_glue::stateful::{
    self, Stateful, SyncPlan,
    db::{SyncEngineConfig, p2p as state_sync},
};
use commonware_p2p::{Blocker, Provider, Receiver, Recipients, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Handle, Spawner, buffer::paged::CacheRef};
use commonware_storage::{
    Context as StorageContext,
    archive::{Archive as _, prunable},
    mmr,
    qmdb::any::ordered,
    translator::EightCap,
};
use commonware_utils::{NZDuration, NZU16, NZU64, NZUsize, SystemTimeExt, channel::mpsc};
use proof::{Manifest, SignedTransaction, finality::Finalization};
use rand_core::CryptoRng;
use std::{
    num::NonZeroU64,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tracing::{debug, warn};

/// What the engine needs of a runtime.
pub trait Context: StorageContext + Spawner + Clock + CryptoRng {}
impl<E: StorageContext + Spawner + Clock + CryptoRng> Context for E {}

/// Final blocks on their way to the follower.
const FINAL_BLOCKS: usize = 32;
const ARCHIVE_SECTION: NonZeroU64 = NZU64!(16_384);
const GOSSIP_EVERY: Duration = Duration::from_millis(250);
const GOSSIP_BATCH: usize = 64;

/// Something derived from blocks, which sees each of them once and in order.
pub trait Derived: Send + 'static {
    /// Height of the newest block that it has seen.
    fn height(&self) -> u64;

    /// Takes the next block.
    ///
    /// # Panics
    ///
    /// If it cannot be stored: the process is the unit of failure.
    fn follow(&mut self, block: &Block);
}

/// Timeouts of consensus. `idle < leader < certification < skip` and `retry < skip`.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// How long an idle leader waits before it proposes an empty block.
    pub idle: Duration,
    /// How long a leader may take to propose.
    pub leader: Duration,
    /// How long a view may take to be certified.
    pub certification: Duration,
    /// How long until a node votes again to leave a view that is stuck.
    pub retry: Duration,
    /// A leader silent for so long is skipped without waiting.
    pub skip: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            idle: ms(1_000),
            leader: ms(1_500),
            certification: ms(2_500),
            retry: ms(1_000),
            skip: ms(3_000),
        }
    }
}

/// How a node takes part.
pub struct Config<I, V> {
    /// What the names of all its storage partitions begin with.
    pub partition: String,
    /// The network's facts.
    pub network: Arc<Network>,
    /// The node's key.
    pub key: ed25519::PrivateKey,
    /// What vouches for its journal of votes.
    pub claim: Claim,
    /// Where that is kept.
    pub register: V,
    /// Consensus timeouts.
    pub timeouts: Timeouts,
    /// The index derived from blocks.
    pub index: I,
    /// The height up to which the follower of manifests has seen blocks.
    pub referenced_height: u64,
    /// Takes, block by block, the manifests that the chain refers to.
    pub references: mpsc::Sender<References>,
}

/// Manifests that an applied block refers to. Their shards must be kept.
#[derive(Clone, Debug)]
pub struct References {
    /// Height of the block.
    pub height: u64,
    /// Its time, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The manifests.
    pub manifests: Vec<Manifest>,
}

/// Blocks and finalizations, in order.
pub type Blocks = MarshalMailbox<Scheme, Standard<Block>>;

/// A started engine.
pub struct Engine<E: Context> {
    /// Transactions that wait for a block.
    pub mempool: Mempool,
    /// What is applied and proved.
    pub applied: Applied,
    /// The authenticated state.
    pub state: Databases<E>,
    /// The blocks.
    pub blocks: Blocks,
    /// Whether this node votes.
    pub standing: Standing,
    /// Ends when consensus does, which it never should.
    pub consensus: Handle<()>,
}

type StateOperation = ordered::fixed::Operation<mmr::Family, sha256::Digest, state::Value>;

/// Bytes of the largest state sync message.
pub fn state_sync_bytes_max<E: StorageContext + Spawner>() -> usize {
    state_sync::max_payload_size::<mmr::Family, sha256::Digest>(NZU64!(SYNC_BATCH), StateOperation::SIZE)
}

fn archive<C>(name: &str, page_cache: CacheRef, codec_config: C) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: format!("{name}-metadata"),
        key_partition: format!("{name}-key"),
        key_page_cache: page_cache,
        value_partition: format!("{name}-value"),
        compression: None,
        codec_config,
        items_per_section: ARCHIVE_SECTION,
        key_write_buffer: BUFFER,
        value_write_buffer: BUFFER,
        replay_buffer: BUFFER,
    }
}

pub(crate) const BUFFER: std::num::NonZeroUsize = NZUsize!(64 * 1024);

/// Starts consensus and all that follows it. The journal of votes, and nothing else, is kept in the storage of `voting`.
/// It is complete without the rest: a node that lost everything but its journal follows from genesis again and votes as
/// soon as it can tell what to vote for, never against what the journal says.
///
/// # Panics
///
/// On storage failure, as everything here does later: the process is the unit of failure.
pub async fn start<E, I, V, S, R, P, B>(
    context: E,
    voting: E,
    config: Config<I, V>,
    channels: Channels<S, R>,
    peers: P,
    blocker: B,
) -> Engine<E>
where
    E: Context,
    I: Derived,
    V: Register,
    S: Sender<PublicKey = ed25519::PublicKey>,
    R: Receiver<PublicKey = ed25519::PublicKey>,
    P: Provider<PublicKey = ed25519::PublicKey>,
    B: Blocker<PublicKey = ed25519::PublicKey>,
{
    let Config { partition, network, key, claim, register, timeouts, index, referenced_height, references } =
        config;
    let public_key = key.public_key();
    let committee = network.lineage.committee();
    let participants = participants(committee);
    let codec = participants.len();
    let namespace = network.lineage.genesis().consensus_namespace();
    let signer = Scheme::signer(&namespace, participants.clone(), key);
    let signer = signer.expect("a node is a member of its committee");
    // Whoever only verifies cannot sign.
    let scheme = Scheme::member(&namespace, participants, &public_key);
    let scheme = scheme.expect("a node is a member of its committee");
    let me = memory::place(&scheme, &public_key).expect("a node is a member of its committee");
    let epochs = Epochs::new(&network.lineage);
    let page_cache = CacheRef::new(NZU16!(4096), NZUsize!(4096));
    let journal = journal::Place {
        partition: partition.clone(),
        epoch: committee.epoch(),
        nodes: codec,
        page_cache: page_cache.clone(),
        buffer: BUFFER,
    };
    let recalled = recall(&voting, &journal, claim).await;

    let finalizations = prunable::Archive::init(
        context.child("finalizations"),
        archive(&format!("{partition}-finalizations"), page_cache.clone(), codec),
    )
    .await
    .expect("the archive of finalizations opens");
    let blocks = prunable::Archive::init(
        context.child("blocks"),
        archive(&format!("{partition}-blocks"), page_cache.clone(), ()),
    )
    .await
    .expect("the archive of blocks opens");
    let kept = blocks.last_index().unwrap_or(0);

    let resolver = marshal_resolver::init(
        context.child("backfill"),
        marshal_resolver::Config {
            public_key: public_key.clone(),
            peer_provider: peers.clone(),
            blocker: blocker.clone(),
            mailbox_size: NZUsize!(256),
            fetch_timeout: NZDuration!(Duration::from_secs(2)),
            fetch_retry_delay: Duration::from_millis(100),
            priority_requests: false,
            priority_responses: false,
        },
        channels.backfill,
    );
    let (broadcast, buffer) = buffered::Engine::new(
        context.child("broadcast"),
        buffered::Config {
            public_key: public_key.clone(),
            mailbox_size: NZUsize!(256),
            deque_size: 16,
            priority: false,
            codec_config: (),
            peer_provider: peers.clone(),
            strategy: Sequential,
        },
    );
    broadcast.start(channels.broadcast);

    let plan = SyncPlan::init(context.child("plan"), &partition).await;
    let (marshal, marshal_mailbox, floor) = Marshal::<_, Standard<Block>, _, _, _, _, _>::init(
        context.child("marshal"),
        finalizations,
        blocks,
        marshal::Config {
            provider: Schemes::new(&network.lineage, scheme.clone()),
            epocher: epochs.clone(),
            start: plan.marshal_start(Digested::precomputed(network.block.clone(), network.block.digest())),
            partition_prefix: partition.clone(),
            mailbox_size: NZUsize!(1024),
            view_retention: ViewDelta::new(64),
            prunable_items_per_section: NZU64!(256),
            page_cache: page_cache.clone(),
            replay_buffer: BUFFER,
            key_write_buffer: BUFFER,
            value_write_buffer: BUFFER,
            block_codec_config: (),
            max_repair: NZUsize!(32),
            max_pending_acks: NZUsize!(16),
            strategy: Sequential,
        },
    )
    .await;

    let (sync_actor, sync_resolver) =
        state_sync::Actor::<_, ed25519::PublicKey, _, _, mmr::Family, state::Database<E>>::new(
            context.child("state_sync"),
            state_sync::Config {
                peer_provider: peers,
                blocker: blocker.clone(),
                database: None,
                mailbox_size: NZUsize!(64),
                me: Some(public_key.clone()),
                fetch_timeout: NZDuration!(Duration::from_secs(2)),
                fetch_retry_delay: Duration::from_millis(100),
                max_serve_ops: NZU64!(SYNC_BATCH),
                priority_requests: false,
                priority_responses: false,
            },
        );
    sync_actor.start(channels.state_sync);

    let mempool = Mempool::default();
    let (final_sender, final_receiver) = mpsc::channel(FINAL_BLOCKS);
    let (stateful, stateful_mailbox) = Stateful::new(
        context.child("stateful"),
        stateful::Config {
            application: App::new(network.clone(), mempool.clone(), final_sender),
            db_config: state::config(&partition, page_cache.clone()),
            provider: (),
            marshal: (marshal_mailbox.clone(), floor),
            mailbox_size: NZUsize!(256),
            plan,
            resolvers: sync_resolver,
            sync_config: SyncEngineConfig {
                fetch_batch_size: NZU64!(SYNC_BATCH),
                apply_batch_size: NZU64!(1024),
                max_outstanding_requests: NZUsize!(8),
            },
            prune_config: None,
            strategy: Sequential,
        },
    );
    let deferred =
        Deferred::new(context.child("deferred"), stateful_mailbox.clone(), marshal_mailbox.clone(), epochs);
    marshal.start(stateful_mailbox.clone(), buffer, resolver);
    stateful.start();

    let finalizing = recalled.as_ref().map_or(0, |(_, recalled)| recalled.finalizing());
    let applied = Applied::new(committee.epoch(), finalizing);
    applied.kept(kept);
    context.child("follow").spawn({
        let (blocks, applied, mempool) = (marshal_mailbox.clone(), applied.clone(), mempool.clone());
        let follower = Follower { index, references, referenced_height, blocks, applied, mempool };
        move |_| follower.run(final_receiver)
    });
    let memory = Memory::new(me, recalled.as_ref().map_or(0, |(_, recalled)| recalled.finalized()));
    let claimed = recalled.as_ref().map(|(number, _)| *number);
    if let Some((_, recalled)) = recalled {
        recalled.votes.into_iter().for_each(|vote| memory.note(vote));
        recalled.certificates.into_iter().for_each(|certificate| memory.note_certificate(certificate));
    }
    let standing = Standing::new(if claimed.is_some() { Stance::Asking } else { Stance::Lost });
    let answers = Answers::default();
    context.child("inquiry").spawn({
        let (scheme, memory) = (scheme.clone(), memory.clone());
        let (standing, answers) = (standing.clone(), answers.clone());
        move |context| Inquiry { context, scheme, me, memory, standing, answers }.run(channels.inquiry)
    });
    let heard = Arc::new(AtomicBool::new(false));
    let simplex = Simplex {
        observing: context.child("observing"),
        voting: voting.child("voting"),
        partition,
        schemes: (scheme, signer),
        epoch: Epoch::new(committee.epoch()),
        floor: engine_digest(&network.base()),
        automaton: Paced::new(context.child("pacing"), deferred.clone(), mempool.clone(), timeouts.idle),
        deferred,
        memory: memory.clone(),
        heard: heard.clone(),
        blocker,
        page_cache,
        timeouts,
        votes: Lent::new(channels.votes),
        certificates: Lent::new(channels.certificates),
        resolver: Lent::new(channels.resolver),
        journal: journal.clone(),
    };
    let consensus = context.child("consensus").spawn({
        let (standing, applied, committee) = (standing.clone(), applied.clone(), committee.clone());
        let (blocks, network) = (marshal_mailbox.clone(), network.clone());
        move |context| async move {
            arrive(&context, &blocks, &network.lineage, &public_key).await;
            let voting = Voting {
                context,
                journals: voting,
                place: journal,
                nodes: committee.n(),
                faults: committee.f(),
                journal: claimed,
                memory,
                answers,
                standing,
                register,
                applied,
                heard,
            };
            voting.run(move |role| simplex.start(role)).await;
        }
    });
    let state = stateful_mailbox.subscribe_databases().await;
    context.child("gossip").spawn({
        let gossip =
            Gossip { network, mempool: mempool.clone(), applied: applied.clone(), state: state.clone() };
        move |context| gossip.run(context, channels.gossip)
    });
    Engine { mempool, applied, state, blocks: marshal_mailbox, standing, consensus }
}

/// Reads the journal that is claimed, if it is there. Gives its number with it.
async fn recall<E: Context>(voting: &E, place: &journal::Place, claim: Claim) -> Option<(u64, Recalled)> {
    let (number, is_first) = match claim {
        Claim::First => (0, true),
        Claim::Journal(number) => (number, false),
        Claim::Lost => return None,
    };
    let recalled = place.recall(voting.child("recall"), number, is_first).await;
    recalled.map(|recalled| (number, recalled))
}

/// Brings every follower of the chain to its end and keeps it there.
struct Follower<I> {
    index: I,
    references: mpsc::Sender<References>,
    referenced_height: u64,
    blocks: Blocks,
    applied: Applied,
    mempool: Mempool,
}

impl<I: Derived> Follower<I> {
    async fn run(mut self, mut live: mpsc::Receiver<Arc<Block>>) {
        // What was acknowledged before a restart is not delivered again, so what a follower missed comes from the
        // archive.
        let processed = self.blocks.get_processed().await.map_or(0, |processed| processed.height().get());
        let mut height = self.index.height().min(self.referenced_height);
        while height < processed {
            height += 1;
            let block = self.blocks.get_block(Height::new(height)).await;
            let block = block.expect("a processed block is in the archive");
            self.follow(block.inner_shared()).await;
        }
        while let Some(block) = live.recv().await {
            // Delivery repeats after a crash.
            if block.header.height > height {
                assert_eq!(block.header.height, height + 1, "final blocks come in order");
                height += 1;
                self.follow(block).await;
            }
        }
        debug!("the engine hands on no more blocks");
    }

    async fn follow(&mut self, block: Arc<Block>) {
        let height = block.header.height;
        if height > self.index.height() {
            self.index.follow(&block);
        }
        if height > self.referenced_height {
            let (time_ms, manifests) = (block.header.time_ms, manifests(&block));
            // A closed channel means that the node is shutting down.
            let _ = self.references.send(References { height, time_ms, manifests }).await;
            self.referenced_height = height;
        }
        let ids: Vec<_> = block.transactions.iter().map(|signed| signed.transaction.id()).collect();
        self.mempool.remove(&ids);
        let time_ms = block.header.time_ms;
        let finalization = self.blocks.get_finalization(Height::new(height)).await;
        self.applied.push(block, finalization.map(|finalization| to_proof(&finalization)));
        self.applied.expire(&self.mempool.expire(time_ms));
        if height.is_multiple_of(64) {
            self.applied.forget_closed();
        }
    }
}

/// The engine's finalization as `proof` reads it.
pub fn to_proof(finalization: &simplex::types::Finalization<Scheme, sha256::Digest>) -> Finalization {
    Finalization::decode(finalization.encode()).expect("proof decodes what the engine encodes")
}

/// The manifests that a block's applied transactions refer to.
fn manifests(block: &Block) -> Vec<Manifest> {
    let applied = block.transactions.iter().zip(block.outcomes.iter()).filter(|(_, outcome)| **outcome == 0);
    let of = |signed: &SignedTransaction| {
        let bodies = signed.transaction.operations.iter().filter_map(|operation| operation.body());
        let stored = bodies.filter_map(|body| match &body.payload {
            proof::transaction::Payload::Stored(stored) => Some(&stored.manifest),
            proof::transaction::Payload::Inline(_) => None,
        });
        let decode = |name| {
            let bytes = signed.attachment(name).expect("attachments were matched").clone();
            Manifest::decode(bytes).expect("admitted manifests decode")
        };
        stored.map(decode).collect::<Vec<_>>()
    };
    applied.flat_map(|(signed, _)| of(signed)).collect()
}

/// Passes on transactions that have waited too long, and takes those of others.
struct Gossip<E: Context> {
    network: Arc<Network>,
    mempool: Mempool,
    applied: Applied,
    state: Databases<E>,
}

impl<E: Context> Gossip<E> {
    async fn run<S, R>(self, context: E, (mut sender, mut receiver): (S, R))
    where
        S: Sender<PublicKey = ed25519::PublicKey>,
        R: Receiver<PublicKey = ed25519::PublicKey>,
    {
        let Self { network, mempool, applied, state } = self;
        let mut next = context.current() + GOSSIP_EVERY;
        loop {
            commonware_macros::select! {
                message = receiver.recv() => {
                    let Ok((peer, bytes)) = message else { return };
                    let now_ms = context.current().epoch_millis();
                    let taken = match SignedTransaction::decode(bytes::Bytes::from(bytes)) {
                        Ok(signed) => take_gossip(&network, &state, &applied, &mempool, signed, now_ms).await,
                        Err(_) => Err(Inadmissible),
                    };
                    if let Err(Inadmissible) = taken {
                        warn!(?peer, "a node passed on a transaction that is not admissible");
                    }
                },
                _ = context.sleep_until(next) => {
                    next = context.current() + GOSSIP_EVERY;
                    for signed in mempool.take_gossip(context.current().epoch_millis(), GOSSIP_BATCH) {
                        debug!(transaction = %digest(&sha256::Digest(signed.transaction.id().0)), "passing on a transaction");
                        sender.send(Recipients::All, signed.encode(), false);
                    }
                },
            }
        }
    }
}
