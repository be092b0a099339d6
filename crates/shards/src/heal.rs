//! Healing: a node gets back what the chain says it should hold and it does not.
//!
//! What is missing is known to the store: what it missed while it was down, what a wipe took, what rotted, and what its
//! writer's gateway did not bring in time. There is no other state, so a healer that is stopped goes on when it starts.
//! It repeats, for as long as the store works:
//!
//! 1. *Rank.* Peers are asked which of the missing they hold. The fewer do, the earlier it is healed: pages, without
//!    which chunks are unknown, and what one more loss would lose, first; what too few hold last. What peers say here
//!    is an order and nothing else.
//! 2. *Fetch.* k shards of a chunk from the peers that answer fastest, each checked against the chunk's opening and that
//!    against the chunk's id; a page from any one peer, checked against its id. A peer that sends anything else is
//!    reported with the evidence and avoided for a time; one that merely does not have it is not.
//! 3. *Rebuild* this node's shard: decode, encode again, and compare with the opening. A chunk whose writer did not
//!    encode it consistently has no shard to be had; it is given up, and does not count as missing.
//! 4. *Write, then sync* a batch at once, while the next is fetched. Only what is synced counts as healed.
//!
//! What fails is postponed, longer each time, up to a minute. At most [`CHUNKS`] chunks are in memory, and a token
//! bucket keeps healing from taking what clients' reads and writes need.

use crate::{
    client::{Client, ClientContext},
    pace::Bucket,
    store::{Context, ShardStore, StoreError},
    wire::HOLDS_MAX,
};
use commonware_utils::sync::Mutex;
use futures::{StreamExt, stream};
use proof::Digest;
use std::time::Duration;

/// Chunks that are being healed at the same time.
const CHUNKS: usize = 8;
/// Records that one sync covers at most.
const BATCH: usize = 64;
/// How often it is looked whether something is missing.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a node without room waits before it tries again.
const FULL_WAIT: Duration = Duration::from_secs(10);

/// How a node heals.
#[derive(Clone, Copy, Debug)]
pub struct HealerConfig {
    /// This node's index in the committee.
    pub node: usize,
    /// Bytes of shards and pages restored in a second at most. The network carries k times as much.
    pub bytes_per_second: u64,
}

/// Heals one node's store through a client of all nodes, of which its own is never asked.
pub struct Healer<E: Context + ClientContext> {
    store: ShardStore<E>,
    client: Client<E>,
    config: HealerConfig,
    context: E,
    bucket: Mutex<Bucket>,
}

/// What is written and not synced yet.
#[derive(Debug, Default)]
struct Batch {
    records: u64,
    bytes: u64,
}

/// What became of one missing record.
enum Outcome {
    /// It is written, this many bytes.
    Written(u64),
    /// Not now.
    Postponed,
}

impl<E: Context + ClientContext> Healer<E> {
    /// A healer of `store`, which belongs to node [`HealerConfig::node`].
    pub fn new(context: E, store: ShardStore<E>, client: Client<E>, config: HealerConfig) -> Self {
        let bucket = Mutex::new(Bucket::new(config.bytes_per_second, context.current()));
        Self { store, client, config, context, bucket }
    }

    /// Heals until the store fails, and says why it did.
    pub async fn run(self) -> StoreError {
        let mut written = Batch::default();
        loop {
            match self.round(&mut written).await {
                Ok(true) => {}
                Ok(false) => self.context.sleep(LOOK_EVERY).await,
                Err(StoreError::Full) => {
                    tracing::warn!("no room to heal what is missing");
                    self.context.sleep(FULL_WAIT).await;
                }
                Err(error) => return error,
            }
        }
    }

    /// Ranks some of what is missing, or heals a batch of it. What was `written` before is synced meanwhile, and what
    /// is written now is left there. Whether there was anything to do.
    async fn round(&self, written: &mut Batch) -> Result<bool, StoreError> {
        if let Some(failure) = self.store.failure() {
            return Err(failure);
        }
        let unranked = self.store.unranked(HOLDS_MAX);
        if !unranked.is_empty() {
            self.rank(&unranked).await;
            return Ok(true);
        }
        let batch = self.store.to_heal(BATCH);
        let before = std::mem::take(written);
        let is_idle = batch.is_empty() && before.records == 0;
        let (settled, healed) = futures::join!(self.settle(before), self.heal_all(batch, written));
        settled.and(healed).map(|()| !is_idle)
    }

    /// Makes a batch durable. Only then it counts.
    async fn settle(&self, batch: Batch) -> Result<(), StoreError> {
        if batch.records > 0 {
            self.store.sync().await?;
            self.store.note_healed(batch.records, batch.bytes);
            tracing::info!(records = batch.records, bytes = batch.bytes, "healed");
        }
        Ok(())
    }

    /// Heals these, several at a time. Goes through all of them also when there is no room for one.
    async fn heal_all(&self, batch: Vec<(Digest, bool)>, written: &mut Batch) -> Result<(), StoreError> {
        let (mut postponed, mut result) = (Vec::new(), Ok(()));
        let mut healed = stream::iter(batch)
            .map(|(id, is_page)| async move { (id, self.heal(id, is_page).await) })
            .buffer_unordered(CHUNKS);
        while let Some((id, outcome)) = healed.next().await {
            match outcome {
                Ok(Outcome::Written(bytes)) => {
                    self.store.note_unsynced(1);
                    written.records += 1;
                    written.bytes += bytes;
                }
                Ok(Outcome::Postponed) => postponed.push(id),
                Err(error) => result = Err(error),
            }
        }
        // Whoever held it may have lost it since.
        self.rank(&postponed).await;
        result
    }

    /// Asks all peers which of these they hold.
    async fn rank(&self, ids: &[Digest]) {
        if !ids.is_empty() {
            let holders = self.client.holders(ids, self.config.node).await;
            self.store.rank(ids, &holders, self.client.k());
        }
    }

    async fn heal(&self, id: Digest, is_page: bool) -> Result<Outcome, StoreError> {
        let healed = if is_page { self.heal_page(&id).await } else { self.heal_chunk(&id).await };
        match healed {
            // It came by another way, and differs: another shard of the chunk than this node's. Nothing to heal.
            Err(StoreError::Mismatch | StoreError::NotAPage | StoreError::Damaged(_)) => {
                self.store.postpone(&id);
                Ok(Outcome::Postponed)
            }
            Err(StoreError::Full) => {
                self.store.postpone(&id);
                Err(StoreError::Full)
            }
            healed => healed,
        }
    }

    async fn heal_page(&self, id: &Digest) -> Result<Outcome, StoreError> {
        match self.client.fetch_page(id, self.config.node).await {
            Ok(page) => {
                let length = page.len() as u64;
                self.pay(length).await;
                self.store.put_page(page).await?;
                Ok(Outcome::Written(length))
            }
            Err(error) => Ok(self.later(id, &error)),
        }
    }

    async fn heal_chunk(&self, id: &Digest) -> Result<Outcome, StoreError> {
        let node = self.config.node;
        match self.client.rebuild_shard(id, node).await {
            Ok((opening, shard)) => {
                let length = shard.len() as u64;
                self.pay(length).await;
                self.store.append(&opening, node as u8, shard).await?;
                Ok(Outcome::Written(length))
            }
            Err(crate::Error::Inconsistent(_)) => {
                tracing::warn!(chunk = %id, "its writer did not encode it consistently: there is no shard of this node's");
                self.store.give_up(id);
                Ok(Outcome::Postponed)
            }
            Err(error) => Ok(self.later(id, &error)),
        }
    }

    fn later(&self, id: &Digest, error: &crate::Error) -> Outcome {
        tracing::debug!(%id, %error, "not healed yet");
        self.store.postpone(id);
        Outcome::Postponed
    }

    /// Waits until so many bytes more may be healed.
    async fn pay(&self, bytes: u64) {
        let wait = self.bucket.lock().take(bytes, self.context.current());
        if !wait.is_zero() {
            self.context.sleep(wait).await;
        }
    }
}
