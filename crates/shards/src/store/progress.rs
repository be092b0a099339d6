//! What a store tells of itself, and what it keeps for its healer (see [`Healer`](crate::Healer)).

use crate::{
    pace::Meter,
    store::{Context, ShardStore, StoreError},
    wire::NodeStatus,
};
use proof::Digest;
use std::sync::atomic::Ordering;

/// Counts of healing and scrubbing since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Healed and synced.
    healed: u64,
    healed_bytes: u64,
    failures: u64,
    /// Healed and written, not synced yet: these count as missing.
    unsynced: u64,
    bytes_meter: Meter,
    records_meter: Meter,
    pub(crate) scrubbed_passes: u64,
    /// Of the present pass.
    pub(crate) scrubbed_bytes: u64,
}

impl<E: Context> ShardStore<E> {
    /// How the store is.
    pub fn status(&self) -> NodeStatus {
        let shared = &self.shared;
        let counts = shared.index.lock().counts();
        let progress = shared.progress.lock();
        let now = shared.context.current();
        let missing = counts.missing + progress.unsynced;
        let speed = progress.records_meter.per_second(now);
        NodeStatus {
            bytes: counts.bytes,
            live_bytes: counts.live_bytes,
            bytes_max: shared.config.bytes_max.unwrap_or(u64::MAX),
            segments: counts.segments,
            held: counts.held,
            pending: counts.pending,
            missing,
            unresolved: counts.unresolved,
            damaged: shared.damaged.load(Ordering::Relaxed),
            referenced_height: self.referenced_height(),
            endangered: counts.endangered,
            unhealable: counts.unhealable,
            inconsistent: counts.inconsistent,
            healed: progress.healed,
            healed_bytes: progress.healed_bytes,
            heal_failures: progress.failures,
            heal_bytes_per_second: progress.bytes_meter.per_second(now) as u64,
            heal_seconds: match missing {
                0 => 0,
                _ if speed < 0.01 => u64::MAX,
                missing => (missing as f64 / speed).ceil() as u64,
            },
            scrubbed_passes: progress.scrubbed_passes,
            scrubbed_bytes: progress.scrubbed_bytes,
            failed: u64::from(self.failure().is_some()),
        }
    }

    /// The failure for which the store must be opened anew, if it has failed.
    pub fn failure(&self) -> Option<StoreError> {
        self.shared.failure.get().cloned()
    }

    /// Some of what the chain references and this node does not hold, in the order of ids above `after`.
    pub fn lacking(&self, after: Option<Digest>, limit: usize) -> Vec<Digest> {
        self.shared.index.lock().absent().after(after, limit)
    }

    /// For each id, 1 if it is here and 0 if not.
    pub(crate) fn holds(&self, ids: &[Digest]) -> Result<Vec<u8>, StoreError> {
        self.shared.check()?;
        let index = self.shared.index.lock();
        Ok(ids.iter().map(|id| u8::from(index.find(id).is_some())).collect())
    }

    /// Up to `limit` ids that are to be healed now and that peers have not been asked about.
    pub(crate) fn unranked(&self, limit: usize) -> Vec<Digest> {
        let now_ms = self.shared.now_ms();
        self.shared.index.lock().absent().unranked(now_ms, limit)
    }

    /// Up to `limit` ids that are to be healed now, the most endangered first, and whether each is a page.
    pub(crate) fn to_heal(&self, limit: usize) -> Vec<(Digest, bool)> {
        let now_ms = self.shared.now_ms();
        let mut index = self.shared.index.lock();
        let ids = index.absent().ranked(now_ms, limit);
        ids.into_iter().map(|id| (id, index.is_unresolved(&id))).collect()
    }

    /// Notes how many nodes hold each of these, of which a chunk needs `k`.
    pub(crate) fn rank(&self, ids: &[Digest], holders: &[usize], k: usize) {
        let mut index = self.shared.index.lock();
        for (id, holders) in ids.iter().zip(holders) {
            if index.is_unresolved(id) {
                index.absent().rank_page(id, *holders);
            } else {
                index.absent().rank_chunk(id, *holders, k);
            }
        }
    }

    /// Notes that `id` could not be healed: it is tried again later.
    pub(crate) fn postpone(&self, id: &Digest) {
        let now_ms = self.shared.now_ms();
        self.shared.index.lock().absent().postpone(id, now_ms);
        self.shared.progress.lock().failures += 1;
    }

    /// Notes that nobody can have this node's shard of `id`.
    pub(crate) fn give_up(&self, id: &Digest) {
        self.shared.index.lock().absent().give_up(id);
    }

    /// Notes that so many records are healed and not synced yet.
    pub(crate) fn note_unsynced(&self, records: u64) {
        self.shared.progress.lock().unsynced += records;
    }

    /// Notes that so many records, of so many bytes in all, are healed and synced.
    pub(crate) fn note_healed(&self, records: u64, bytes: u64) {
        let now = self.shared.context.current();
        let mut progress = self.shared.progress.lock();
        progress.unsynced -= records;
        progress.healed += records;
        progress.healed_bytes += bytes;
        progress.bytes_meter.note(bytes, now);
        progress.records_meter.note(records, now);
    }
}
