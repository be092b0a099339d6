//! What buckets are set to, as it was lately.
//!
//! Settings that every request needs are read from the chain once in [`FRESH`] and bucket. Since whoever asks need not be
//! anybody, few are looked up at a time, and few are kept. A setting that was changed through this gateway is forgotten
//! at once.

use proof::BucketName;
use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// How long what was read is used.
pub(crate) const FRESH: Duration = Duration::from_secs(5);
/// Buckets that are remembered.
const BUCKETS_MAX: usize = 1024;
/// Lookups at a time.
const LOOKUPS_MAX: usize = 4;

/// A setting of buckets.
pub(crate) struct Remembered<T> {
    lookups: Semaphore,
    entries: Mutex<BTreeMap<BucketName, (Instant, Arc<T>)>>,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { lookups: Semaphore::new(LOOKUPS_MAX), entries: Mutex::default() }
    }
}

impl<T> Remembered<T> {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<BucketName, (Instant, Arc<T>)>> {
        self.entries.lock().expect("nothing panics while holding it")
    }

    fn known(&self, bucket: &BucketName) -> Option<Arc<T>> {
        let entries = self.entries();
        entries.get(bucket).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, setting)| setting.clone())
    }

    /// The bucket's setting, which `read` gives if it is not known. What fails is not remembered.
    pub(crate) async fn get<E>(
        &self,
        bucket: &BucketName,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, E> {
        if let Some(known) = self.known(bucket) {
            return Ok(known);
        }
        let _permit = self.lookups.acquire().await.expect("never closed");
        if let Some(known) = self.known(bucket) {
            return Ok(known);
        }
        // What is read is at least as new as this.
        let asked = Instant::now();
        let setting = Arc::new(read.await?);
        let mut entries = self.entries();
        if entries.len() >= BUCKETS_MAX {
            entries.retain(|_, (at, _)| at.elapsed() < FRESH);
            if entries.len() >= BUCKETS_MAX {
                entries.clear();
            }
        }
        entries.insert(bucket.clone(), (asked, setting.clone()));
        Ok(setting)
    }

    /// Reads the bucket's setting again when it is needed next.
    pub(crate) fn forget(&self, bucket: &BucketName) {
        self.entries().remove(bucket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_known_is_not_read_again_until_forgotten() {
        let remembered = Remembered::default();
        let bucket: BucketName = "bucket".parse().unwrap();
        let read = |value: Result<u8, ()>| remembered.get(&bucket, async move { value });
        assert!(read(Err(())).await.is_err());
        assert_eq!(read(Ok(1)).await.map(|setting| *setting), Ok(1));
        assert_eq!(read(Ok(2)).await.map(|setting| *setting), Ok(1));
        remembered.forget(&bucket);
        assert_eq!(read(Ok(3)).await.map(|setting| *setting), Ok(3));
    }

    #[tokio::test]
    async fn few_are_kept() {
        let remembered = Remembered::default();
        for number in 0..BUCKETS_MAX + 10 {
            let bucket: BucketName = format!("bucket-{number}").parse().unwrap();
            let _: Result<_, ()> = remembered.get(&bucket, async { Ok(number) }).await;
            assert!(remembered.entries().len() <= BUCKETS_MAX);
        }
    }
}
