//! Rows on disk: a log-structured merge tree (the crate fjall).
//!
//! A commit is one atomic batch in the journal and is not synced: a crash of the process loses nothing, a crash of the
//! machine may lose the newest commits, whole ones, and what they held is written again from blocks. All rows are in one
//! keyspace, so none can become durable before those of an earlier commit.

use super::store::{Step, Store, StoreError, Visit};
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions};
use std::path::Path;

/// Values from this length on (inline ciphertext, manifests) are kept apart, so that listings do not read past them.
const SEPARATE_FROM_BYTES: u32 = 2048;
/// Threads for flushing and compacting.
const WORKERS: usize = 1;

/// Rows in a directory of their own.
#[derive(Clone)]
pub struct Disk {
    database: Database,
    rows: Keyspace,
}

impl Disk {
    /// Opens the directory, or creates it. `cache_bytes` bounds the memory for blocks that were read.
    pub fn open(directory: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let database =
            Database::builder(directory).cache_size(cache_bytes).worker_threads(WORKERS).open().map_err(failed)?;
        let separation = KvSeparationOptions::default().separation_threshold(SEPARATE_FROM_BYTES);
        let options = || KeyspaceCreateOptions::default().with_kv_separation(Some(separation));
        let rows = database.keyspace("rows", options).map_err(failed)?;
        Ok(Self { database, rows })
    }
}

fn failed(error: fjall::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

impl Store for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.rows.get(key).map_err(failed)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut from = from.to_vec();
        'seek: while from.as_slice() < until {
            for row in self.rows.range(from.as_slice()..until) {
                let (key, value) = row.into_inner().map_err(failed)?;
                match visit(&key, &value)? {
                    Step::Next => {}
                    Step::Stop => return Ok(()),
                    Step::Seek(to) => {
                        debug_assert!(to.as_slice() > &*key, "a scan goes forward");
                        from = to;
                        continue 'seek;
                    }
                }
            }
            return Ok(());
        }
        Ok(())
    }

    fn commit(&self, rows: Vec<(Vec<u8>, Bytes)>) -> Result<(), StoreError> {
        let mut batch = self.database.batch();
        for (key, value) in rows {
            batch.insert(&self.rows, key, value.as_ref());
        }
        batch.commit().map_err(failed)
    }
}
