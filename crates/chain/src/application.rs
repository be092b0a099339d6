//! The state machine as consensus drives it: build a block, check a block, hand on a final one.
//!
//! *Proposing*: take waiting transactions whose time it is, leave out those that the state already knows, execute, and put
//! their outcomes and the resulting roots into the header.
//!
//! *Checking*: the header continues its parent; every transaction is admissible, new and unexpired; execution gives
//! the same outcomes and roots. A block from the future is not wrong but early: the check waits until the local clock
//! has come to within [`DRIFT`] of it. The step from parent to child is bounded by [`STEP_MS_MAX`], so the wait is. After a
//! stop of the whole network block time therefore takes a block for each step to catch up with the clock; `mempool`
//! says what becomes of transactions meanwhile.
//!
//! What a transaction does is `ledger`'s; this file only brings it records and takes its writes.

use crate::{
    block::{Block, BlockContext, digest, leaves, public_key},
    mempool::Mempool,
    state::{Database, RECORD_BYTES, from_value, to_value},
};
use commonware_consensus::{marshal::ancestry::Ancestry, simplex::scheme::ed25519::Scheme};
use commonware_cryptography::sha256;
use commonware_glue::stateful::{
    Application, Finality, Input, Proposed,
    db::{DatabaseSet, Merkleized as _, Shared, Unmerkleized as _},
};
use commonware_runtime::{Clock, Spawner};
use commonware_storage::{Context as StorageContext, qmdb::sync::Target};
use commonware_utils::{SystemTimeExt, channel::mpsc, non_empty_range};
use futures::StreamExt;
use ledger::{Execution, Record, StateKey};
use proof::{Digest, Header, Lineage, SignedTransaction, merkle, wire::List};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Block time may be ahead of a node's clock by this much.
pub const DRIFT: Duration = Duration::from_millis(500);
/// Block time advances by at most this much from parent to child.
pub const STEP_MS_MAX: u64 = 60_000;

/// The databases that consensus manages: one.
pub type Databases<E> = Shared<Database<E>>;
type Unmerkleized<E> = <Databases<E> as DatabaseSet<E>>::Unmerkleized;
type Merkleized<E> = <Databases<E> as DatabaseSet<E>>::Merkleized;

/// The facts of the network that every block repeats.
#[derive(Debug)]
pub struct Network {
    /// The founding facts, and who decides since.
    pub lineage: Lineage,
    /// The founding facts' hash.
    pub id: Digest,
    /// The hash of the committee that decides now.
    pub committee: Digest,
    /// The first block.
    pub block: Block,
}

impl Network {
    /// Derives them from the genesis and what came after.
    pub fn new<E: StorageContext + Spawner>(lineage: impl Into<Lineage>) -> Self {
        let lineage = lineage.into();
        let target = <Databases<E> as DatabaseSet<E>>::initial_sync_targets();
        let block =
            Block::genesis(lineage.genesis(), target.root, *target.range.start(), *target.range.end());
        Self { id: lineage.network(), committee: lineage.committee().digest(), lineage, block }
    }

    /// The hash of the block that the newest epoch begins after.
    pub fn base(&self) -> Digest {
        let last = self.lineage.last().map(|last| last.header.digest());
        last.unwrap_or_else(|| self.block.header.digest())
    }

    fn execute(
        &self,
        height: u64,
        time_ms: u64,
        loaded: &Loaded,
        transactions: &[SignedTransaction],
    ) -> Execution {
        let context =
            ledger::BlockContext { genesis: self.lineage.genesis(), network: self.id, height, time_ms };
        ledger::execute(&context, loaded, transactions)
    }
}

/// The records that execution may read.
struct Loaded(BTreeMap<StateKey, Record>);

impl ledger::View for Loaded {
    fn get(&self, key: &StateKey) -> Option<Record> {
        self.0.get(key).cloned()
    }
}

impl Loaded {
    async fn of<E: StorageContext + Spawner>(
        batches: &Unmerkleized<E>,
        transactions: &[SignedTransaction],
    ) -> Self {
        let keys: BTreeSet<StateKey> = transactions.iter().flat_map(ledger::reads).collect();
        let engine_keys: Vec<sha256::Digest> = keys.iter().map(|key| sha256::Digest(key.0)).collect();
        let references: Vec<&sha256::Digest> = engine_keys.iter().collect();
        let values = batches.get_many(&references).await.expect("the state is readable");
        let present =
            keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, from_value(&value?))));
        Self(present.collect())
    }

    /// Whether the chain has this transaction already.
    fn knows(&self, id: &Digest) -> bool {
        self.0.contains_key(&ledger::key::outcome(id))
    }
}

/// The application. Clones share everything.
pub struct App {
    network: Arc<Network>,
    mempool: Mempool,
    finalized: mpsc::Sender<Arc<Block>>,
}

impl Clone for App {
    fn clone(&self) -> Self {
        Self {
            network: self.network.clone(),
            mempool: self.mempool.clone(),
            finalized: self.finalized.clone(),
        }
    }
}

impl App {
    /// An application that hands final blocks, in order and possibly again after a crash, to `finalized`.
    pub fn new(network: Arc<Network>, mempool: Mempool, finalized: mpsc::Sender<Arc<Block>>) -> Self {
        Self { network, mempool, finalized }
    }

    async fn build<E: StorageContext + Spawner>(
        &self,
        now_ms: u64,
        context: BlockContext,
        parent: &Header,
        batches: Unmerkleized<E>,
    ) -> (Block, Merkleized<E>) {
        let time_ms = now_ms.clamp(parent.time_ms, parent.time_ms + STEP_MS_MAX);
        let height = parent.height + 1;
        let candidates: Vec<SignedTransaction> = self
            .mempool
            .select(time_ms, now_ms)
            .iter()
            .map(|signed| SignedTransaction::clone(signed))
            .collect();
        let loaded = Loaded::of::<E>(&batches, &candidates).await;
        let (transactions, known): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|signed| !loaded.knows(&signed.transaction.id()));
        self.mempool.mark_in_flight(&ids(&known), now_ms);
        self.mempool.mark_in_flight(&ids(&transactions), now_ms);
        let execution = self.network.execute(height, time_ms, &loaded, &transactions);
        let merkleized = write::<E>(batches, &execution).await;
        let header = Header {
            network: self.network.id,
            committee: self.network.committee,
            epoch: context.round.epoch().get(),
            view: context.round.view().get(),
            leader: public_key(&context.leader),
            parent_view: context.parent.0.get(),
            parent: digest(&context.parent.1),
            height,
            time_ms,
            transactions: transactions.len() as u32,
            transactions_root: merkle::root(&leaves(&transactions, &execution.outcomes)),
            ..roots::<E>(parent, &merkleized)
        };
        let block = Block {
            header,
            transactions: List::new(transactions).expect("the pool selects what fits a block"),
            outcomes: List::new(execution.outcomes).expect("one outcome a transaction"),
        };
        (block, merkleized)
    }

    /// Whether the header continues `parent` as the rules want it, apart from what execution decides.
    fn continues(&self, header: &Header, parent: &Header) -> bool {
        header.network == self.network.id
            && header.committee == self.network.committee
            && header.height == parent.height + 1
            && header.parent == parent.digest()
            && header.time_ms >= parent.time_ms
            && header.time_ms <= parent.time_ms + STEP_MS_MAX
    }

    /// Whether every transaction may be in a block at all, none twice and none too late.
    fn admits(&self, block: &Block) -> bool {
        let mut seen = BTreeSet::new();
        block.transactions.iter().all(|signed| {
            let id = signed.transaction.id();
            seen.insert(id)
                && signed.transaction.expires_ms > block.header.time_ms
                && (self.mempool.has_admitted(&id, signed)
                    || ledger::admit(signed, self.network.lineage.committee(), self.network.id).is_ok())
        })
    }
}

fn ids(transactions: &[SignedTransaction]) -> Vec<Digest> {
    transactions.iter().map(|signed| signed.transaction.id()).collect()
}

async fn write<E: StorageContext + Spawner>(
    mut batches: Unmerkleized<E>,
    execution: &Execution,
) -> Merkleized<E> {
    for (key, record) in &execution.writes {
        batches = batches.write(sha256::Digest(key.0), Some(to_value(record)));
    }
    batches.merkleize().await.expect("the state is writable")
}

/// A copy of `parent` with the roots of this state.
fn roots<E: StorageContext + Spawner>(parent: &Header, merkleized: &Merkleized<E>) -> Header {
    Header {
        state_root: digest(&merkleized.root()),
        log_root: digest(&merkleized.ops_root()),
        log_start: *merkleized.sync_boundary(),
        log_end: *merkleized.bounds().tip.size,
        ..parent.clone()
    }
}

impl<E: StorageContext + Spawner + Clock> Application<E> for App {
    type SigningScheme = Scheme;
    type Context = BlockContext;
    type Block = Block;
    type Databases = Databases<E>;
    type Captured = ();
    type Provider = ();
    type Input = ();

    fn sync_targets(block: &Block) -> <Databases<E> as DatabaseSet<E>>::SyncTargets {
        let header = &block.header;
        let range = non_empty_range!(header.log_start.into(), header.log_end.into());
        Target::new(sha256::Digest(header.log_root.0), range)
    }

    async fn genesis(&mut self) -> Block {
        self.network.block.clone()
    }

    async fn propose(
        &mut self,
        (runtime, context): (E, BlockContext),
        ancestry: impl Ancestry<Block>,
        batches: Unmerkleized<E>,
        _: Input<(), ()>,
    ) -> Option<Proposed<Self, E>> {
        let parent = Box::pin(ancestry).next().await?;
        let now_ms = runtime.current().epoch_millis();
        let (block, merkleized) = self.build::<E>(now_ms, context, &parent.inner().header, batches).await;
        Some(Proposed { block, merkleized })
    }

    async fn process(
        &mut self,
        (runtime, _): (E, BlockContext),
        ancestry: impl Ancestry<Block>,
        batches: Unmerkleized<E>,
        finality: Finality,
    ) -> Option<Merkleized<E>> {
        let mut ancestry = Box::pin(ancestry);
        let block = ancestry.next().await?;
        let block = block.inner();
        if finality == Finality::Candidate {
            let parent = ancestry.next().await?;
            if !self.continues(&block.header, &parent.inner().header) || !self.admits(block) {
                return None;
            }
            let now = runtime.current();
            let early_ms = block.header.time_ms.saturating_sub((now + DRIFT).epoch_millis());
            if early_ms > 0 {
                runtime.sleep(Duration::from_millis(early_ms)).await;
            }
        }
        let header = &block.header;
        let loaded = Loaded::of::<E>(&batches, &block.transactions).await;
        let ids = ids(&block.transactions);
        if ids.iter().any(|id| loaded.knows(id)) {
            return None;
        }
        let execution = self.network.execute(header.height, header.time_ms, &loaded, &block.transactions);
        if execution.outcomes != *block.outcomes {
            return None;
        }
        let merkleized = write::<E>(batches, &execution).await;
        if roots::<E>(header, &merkleized) != *header {
            return None;
        }
        self.mempool.mark_in_flight(&ids, runtime.current().epoch_millis());
        Some(merkleized)
    }

    async fn capture(
        &mut self,
        _: (E, BlockContext),
        _: &Block,
        _: &Merkleized<E>,
        _: <Databases<E> as DatabaseSet<E>>::Readers,
    ) {
    }

    async fn finalized(
        &mut self,
        _: (E, BlockContext),
        block: &Block,
        (): (),
        _: <Databases<E> as DatabaseSet<E>>::Readers,
    ) {
        // A closed channel means that the node is shutting down.
        let _ = self.finalized.send(Arc::new(block.clone())).await;
    }
}

const _: () = assert!(RECORD_BYTES == ledger::RECORD_BYTES);
