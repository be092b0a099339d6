//! Freeing space.
//!
//! Records whose grace period is over without the chain having referenced them are forgotten; a restart finds them
//! again, as pending. Space is freed by segments: one without a record in use is removed, the records of a sparse one
//! are copied to the log's end and synced before it is removed. A crash in between leaves two copies, of which the
//! later counts. Reads that go on while their record moves find it at its new place.

use crate::store::{Context, ShardStore, StoreError, index::Location, log::Job};
use commonware_utils::SystemTimeExt;
use proof::Digest;
use std::time::{Duration, SystemTime};

/// Sparse segments rewritten by one collection. The next goes on.
const REWRITES_MAX: usize = 4;

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Records dropped because the chain did not reference them in time.
    pub expired: u64,
    /// Segments removed.
    pub removed_segments: u64,
    /// Records copied out of sparse segments.
    pub copied: u64,
    /// Nothing was dropped, because a referenced page is not here and so its chunks are unknown.
    pub suspended: bool,
}

impl<E: Context> ShardStore<E> {
    /// Collects in every such period until the store fails, and says why it did. Runs beside everything else: what the
    /// chain refers to is taken in meanwhile.
    ///
    /// `processed` says up to which height this node has processed the chain. Nothing is dropped before the store knows
    /// what the blocks up to there refer to: it may have to be told all of it again, which may take longer than grace.
    /// `chain_time` is that of the newest block that it was told of.
    pub async fn collect_every<F: Future<Output = u64>>(
        &self,
        period: Duration,
        processed: impl Fn() -> F,
        chain_time: impl Fn() -> SystemTime,
    ) -> StoreError {
        loop {
            // Blocks that come meanwhile do not hold it up.
            let height = processed().await;
            self.shared.context.sleep(period).await;
            if self.referenced_height() < height {
                tracing::info!(height, "not collected: what the chain refers to is not known yet");
                continue;
            }
            match self.collect(self.shared.context.current().min(chain_time())).await {
                Ok(collected) => tracing::info!(?collected, "collected what nothing refers to"),
                Err(error) if self.failure().is_some() => return error,
                Err(error) => tracing::warn!(%error, "could not collect what nothing refers to"),
            }
        }
    }

    /// Drops what was pending for the grace period at `now`, and frees the space. One at a time. `now` is no later than
    /// the chain's time, or what a block yet to come refers to may be dropped.
    pub async fn collect(&self, now: SystemTime) -> Result<Collected, StoreError> {
        let _one = self.shared.collecting.lock().await;
        match self.write_references().await {
            // What they say is known in memory, and after a restart they are passed again.
            Ok(()) | Err(StoreError::Full) => {}
            Err(error) => return Err(error),
        }
        let before_ms = now.epoch_millis().saturating_sub(self.shared.config.grace.as_millis() as u64);
        let mut collected = Collected::default();
        {
            let mut index = self.shared.index.lock();
            collected.suspended = index.counts().unresolved > 0;
            collected.expired = index.expire(before_ms);
        }
        // What the log has written must be sealed before its segments can be judged.
        self.sync().await?;
        self.remove_dead(&mut collected).await?;

        let (segments, records) = {
            let index = self.shared.index.lock();
            let segments = index.sparse_segments(self.shared.config.segment_bytes, REWRITES_MAX);
            let records = if segments.is_empty() { Vec::new() } else { index.records_in(&segments) };
            (segments, records)
        };
        for (id, location) in records {
            match self.copy(id, location).await {
                Ok(copied) => collected.copied += u64::from(copied),
                // The next collection goes on: segments whose records are all copied make room.
                Err(StoreError::Full) => break,
                Err(error) => return Err(error),
            }
        }
        if !segments.is_empty() {
            self.sync().await?;
            self.remove_dead(&mut collected).await?;
        }
        Ok(collected)
    }

    /// Copies a record to the log's end. Whether it was still there and whole.
    async fn copy(&self, id: Digest, from: Location) -> Result<bool, StoreError> {
        if self.shared.index.lock().find(&id) != Some(from) {
            return Ok(false);
        }
        let checked = match self.shared.read_at(&id, from).await {
            Ok(Some(checked)) => checked,
            Ok(None) | Err(StoreError::Damaged(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        self.ask(|reply| Job::Copy { record: checked.record, from, reply }).await?;
        Ok(true)
    }

    /// Removes the sealed segments without a record in use.
    async fn remove_dead(&self, collected: &mut Collected) -> Result<(), StoreError> {
        let shared = &self.shared;
        let dead = shared.index.lock().dead_segments();
        for number in dead {
            shared.index.lock().remove_segment(number);
            shared.segments.write().remove(&number);
            let removed = shared.context.remove(&shared.config.partition, Some(&number.to_be_bytes())).await;
            removed.map_err(|error| shared.fail(&error))?;
            collected.removed_segments += 1;
        }
        Ok(())
    }
}
