//! Reading everything again, to find what has rotted before it matters.
//!
//! A *pass* reads every record of every segment, in the order of their numbers, and checks it as every read does: what
//! is damaged is not held any more, so that it is healed. Where a pass has come to is written down after each segment,
//! and a restarted node goes on there. A pass begins when the one before it has ended and its period is over; it goes
//! as fast as it must to be done within the period, but not slower than its least rate.
//!
//! Files that are gone are noticed sooner: every [`LOOK_EVERY`] the names of the segments are compared with those in
//! the directory. A process does not see that its open files have no name any more, and would go on writing what is
//! lost with its end. So the store fails then, and has to be opened anew.

use crate::{
    pace::Bucket,
    store::{Context, ShardStore, StoreError},
};
use bytes::{Buf as _, BufMut as _, BytesMut};
use commonware_runtime::{Blob, Error, ReadOptions, WriteOptions};
use commonware_utils::SystemTimeExt;
use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

/// How often it is looked whether the segments' files are there.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Where the position is written, in a partition of its own.
const POSITION: &[u8] = b"position";
const POSITION_BYTES: usize = 8 + 4 + 32;
const POSITION_DOMAIN: &str = "outlast 2026-11 scrub position v1";

/// How fast to scrub.
#[derive(Clone, Copy, Debug)]
pub struct ScrubPace {
    /// Time in which everything is read once.
    pub period: Duration,
    /// Bytes that are read in a second at least, while there is something to read.
    pub bytes_per_second: u64,
}

impl Default for ScrubPace {
    /// Everything in two weeks, at a megabyte a second or more.
    fn default() -> Self {
        Self { period: Duration::from_secs(14 * 24 * 60 * 60), bytes_per_second: 1 << 20 }
    }
}

impl ScrubPace {
    /// Bytes in a second, when `left_bytes` are left of a pass that began `elapsed` ago.
    fn rate(&self, left_bytes: u64, elapsed: Duration) -> u64 {
        let left = self.period.saturating_sub(elapsed).as_secs().max(1);
        // Some more than just enough, because there are pauses, and more is being written.
        (left_bytes / left).saturating_mul(5) / 4 + self.bytes_per_second
    }
}

/// Where a pass is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    /// When the pass began.
    began_ms: u64,
    /// The first segment that it has not read.
    next: u32,
}

impl Position {
    fn encode(&self) -> BytesMut {
        let mut bytes = BytesMut::with_capacity(POSITION_BYTES);
        bytes.put_u64(self.began_ms);
        bytes.put_u32(self.next);
        let checksum = proof::digest::blake3(POSITION_DOMAIN, &bytes);
        bytes.put_slice(&checksum.0);
        bytes
    }

    /// `None` if torn: then a pass begins anew.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut stated, checksum) = bytes.split_at_checked(POSITION_BYTES - 32)?;
        let is_whole = proof::digest::blake3(POSITION_DOMAIN, stated).0 == *checksum;
        is_whole.then(|| Self { began_ms: stated.get_u64(), next: stated.get_u32() })
    }
}

impl<E: Context> ShardStore<E> {
    /// Scrubs until the store fails, and says why it did.
    pub async fn scrub(&self, pace: ScrubPace) -> StoreError {
        let ended = futures::future::try_join(self.passes(pace), self.look()).await;
        ended.map(|(never, _)| match never {}).unwrap_err()
    }

    /// Looks after the segments' files.
    async fn look(&self) -> Result<Infallible, StoreError> {
        loop {
            self.shared.context.sleep(LOOK_EVERY).await;
            self.look_once().await?;
        }
    }

    /// Fails the store if a segment's file is gone.
    async fn look_once(&self) -> Result<(), StoreError> {
        self.shared.check()?;
        let expected = self.shared.index.lock().segment_numbers();
        let names = match self.shared.context.scan(&self.shared.config.partition).await {
            Ok(names) => names.into_iter().collect::<BTreeSet<_>>(),
            Err(Error::PartitionMissing(_)) => BTreeSet::new(),
            Err(error) => return Err(self.shared.fail(&error)),
        };
        let gone = expected.into_iter().find(|number| !names.contains(&number.to_be_bytes()[..]));
        // One that was removed on purpose in the meantime is not in the index any more.
        let gone = gone.filter(|number| self.shared.index.lock().segment_numbers().contains(number));
        gone.map_or(Ok(()), |number| {
            Err(self
                .shared
                .fail(&Error::BlobMissing(self.shared.config.partition.clone(), number.to_string())))
        })
    }

    /// Pass after pass.
    async fn passes(&self, pace: ScrubPace) -> Result<Infallible, StoreError> {
        let shared = &self.shared;
        let partition = format!("{}-scrub", shared.config.partition);
        let opened = shared.context.open(&partition, POSITION).await;
        let (blob, size) = opened.map_err(|error| shared.fail(&error))?;
        let mut position = None;
        if size >= POSITION_BYTES as u64 {
            let bytes = blob.read_at(0, POSITION_BYTES, ReadOptions::default()).await;
            position = bytes.ok().and_then(|bytes| Position::decode(bytes.coalesce().freeze().as_ref()));
        }
        loop {
            let now_ms = shared.now_ms();
            // A clock that went back must not make a pass that begins in the future.
            let current = position.take().filter(|position: &Position| position.began_ms <= now_ms);
            let mut current = current.unwrap_or(Position { began_ms: now_ms, next: 0 });
            let mut bucket = Bucket::new(pace.bytes_per_second, shared.context.current());
            let mut is_read = false;
            while let Some(number) = self.next_segment(current.next) {
                self.scrub_segment(number, &pace, current.began_ms, &mut bucket).await?;
                is_read = true;
                let Some(next) = number.checked_add(1) else { break };
                current.next = next;
                write_down(&blob, current).await;
            }
            let end = SystemTime::UNIX_EPOCH + Duration::from_millis(current.began_ms) + pace.period;
            if is_read {
                shared.progress.lock().scrubbed_passes += 1;
                let damaged = shared.damaged.load(Ordering::Relaxed);
                tracing::info!(damaged, "read the whole shard log");
            }
            let floor = shared.context.current() + LOOK_EVERY;
            shared.context.sleep_until(end.max(floor)).await;
            shared.progress.lock().scrubbed_bytes = 0;
        }
    }

    fn next_segment(&self, from: u32) -> Option<u32> {
        self.shared.index.lock().segment_numbers().into_iter().find(|number| *number >= from)
    }

    /// Reads the records of one segment.
    async fn scrub_segment(
        &self,
        number: u32,
        pace: &ScrubPace,
        began_ms: u64,
        bucket: &mut Bucket,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let records = shared.index.lock().records_in(&[number]);
        for (id, location) in records {
            shared.check()?;
            let now = shared.context.current();
            let elapsed = Duration::from_millis(now.epoch_millis().saturating_sub(began_ms));
            let live_bytes = shared.index.lock().live_bytes();
            let left = live_bytes.saturating_sub(shared.progress.lock().scrubbed_bytes);
            bucket.set_rate(pace.rate(left, elapsed), now);
            let wait = bucket.take(location.extent(), now);
            if !wait.is_zero() {
                shared.context.sleep(wait).await;
            }
            if shared.index.lock().find(&id) != Some(location) {
                continue;
            }
            match shared.read_at(&id, location).await {
                Ok(_) | Err(StoreError::Damaged(_)) => {}
                Err(error) => return Err(error),
            }
            shared.progress.lock().scrubbed_bytes += location.extent();
        }
        Ok(())
    }
}

/// Writes a position. It is only that: without it a pass begins anew.
async fn write_down<B: Blob>(blob: &B, position: Position) {
    let bytes = position.encode().freeze();
    let written = async {
        blob.write_at(0, bytes, WriteOptions::default()).await?;
        blob.sync().await
    };
    if let Err(error) = written.await {
        tracing::warn!(%error, "cannot write down how far the shard log is scrubbed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_that_are_torn_are_none() {
        let position = Position { began_ms: 1 << 40, next: 7 };
        let mut bytes = position.encode();
        assert_eq!(Position::decode(&bytes), Some(position));
        bytes[3] ^= 1;
        assert_eq!(Position::decode(&bytes), None);
        assert_eq!(Position::decode(&bytes[..40]), None);
    }

    #[test]
    fn a_pass_is_done_within_its_period() {
        let pace = ScrubPace { period: Duration::from_secs(1000), bytes_per_second: 10 };
        assert_eq!(pace.rate(0, Duration::ZERO), 10);
        assert!(pace.rate(100_000, Duration::ZERO) > 100);
        assert!(pace.rate(100_000, Duration::from_secs(900)) > 1000);
        assert!(pace.rate(100_000, Duration::from_secs(2000)) >= 100_000);
    }
}
