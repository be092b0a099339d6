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
/// The keyspace of the rows, named after their layout: what it is changes with [`super::layout`].
const ROWS: &str = "rows-2";
/// Keyspaces of earlier layouts. They are deleted, and the rows written anew from blocks.
const ROWS_BEFORE: &[&str] = &["rows"];
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
        let database = Database::builder(directory)
            .cache_size(cache_bytes)
            .worker_threads(WORKERS)
            .open()
            .map_err(failed)?;
        let separation = KvSeparationOptions::default().separation_threshold(SEPARATE_FROM_BYTES);
        let options = || KeyspaceCreateOptions::default().with_kv_separation(Some(separation.clone()));
        for before in ROWS_BEFORE.iter().filter(|before| database.keyspace_exists(before)) {
            tracing::info!("the index has an old layout; it is made anew from blocks");
            let rows = database.keyspace(before, options).map_err(failed)?;
            database.delete_keyspace(rows).map_err(failed)?;
        }
        let rows = database.keyspace(ROWS, options).map_err(failed)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    const HEIGHT: &[u8] = b"height";

    /// Commits of several rows each, the number of the commit among them.
    fn commit(store: &Disk, number: u64) {
        let row = |row: u64| (format!("{number:08}/{row}").into_bytes(), value(number, row));
        let mut rows: Vec<_> = (0..5).map(row).collect();
        rows.push((HEIGHT.to_vec(), Bytes::copy_from_slice(&number.to_be_bytes())));
        store.commit(rows).unwrap();
    }

    /// Some are long enough to be kept apart.
    fn value(number: u64, row: u64) -> Bytes {
        vec![number as u8; if row == 0 { 3000 } else { 10 }].into()
    }

    /// The height of a store, all of whose commits up to it must be whole.
    fn whole_up_to(store: &Disk) -> u64 {
        let height = store.get(HEIGHT).unwrap();
        let height = height.map_or(0, |height| u64::from_be_bytes(height.as_ref().try_into().unwrap()));
        let mut rows = 0;
        store
            .scan(b"0", b"9", &mut |key, bytes| {
                let (number, row) = (rows / 5 + 1, rows % 5);
                assert_eq!((key, bytes), (format!("{number:08}/{row}").as_bytes(), &*value(number, row)));
                rows += 1;
                Ok(Step::Next)
            })
            .unwrap();
        assert_eq!(rows, 5 * height, "commits are whole, and none is there beyond the height");
        height
    }

    /// Copies the directory of a store that is open, as a crash of the process leaves it.
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (entry, to) = (entry.as_ref().unwrap(), to.join(entry.as_ref().unwrap().file_name()));
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to);
            } else {
                let bytes = fs::read(entry.path()).unwrap();
                // The journal is preallocated: its zeros need not be written again.
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                fs::write(&to, &bytes[..end]).unwrap();
                fs::OpenOptions::new().write(true).open(&to).unwrap().set_len(bytes.len() as u64).unwrap();
            }
        }
    }

    fn journal(directory: &Path) -> std::path::PathBuf {
        let is_journal = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "jnl");
        let mut found: Vec<_> = walk(directory).into_iter().filter(is_journal).collect();
        found.sort();
        found.pop().expect("a store has a journal")
    }

    fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn a_killed_process_loses_nothing() {
        let (directory, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Disk::open(directory.path(), 1 << 20).unwrap();
        (1..=50).for_each(|number| commit(&store, number));
        copy(directory.path(), copied.path());
        assert_eq!(whole_up_to(&Disk::open(copied.path(), 1 << 20).unwrap()), 50);
    }

    #[test]
    fn rows_of_an_earlier_layout_go_away() {
        let directory = tempfile::tempdir().unwrap();
        {
            let database = Database::builder(directory.path()).open().unwrap();
            let rows = database.keyspace(ROWS_BEFORE[0], KeyspaceCreateOptions::default).unwrap();
            rows.insert(HEIGHT, 7u64.to_be_bytes()).unwrap();
        }
        for _ in 0..2 {
            let store = Disk::open(directory.path(), 1 << 20).unwrap();
            let names = store.database.list_keyspace_names();
            assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), [ROWS]);
            let height = store.get(HEIGHT).unwrap();
            assert!(height.is_none_or(|height| height == 1u64.to_be_bytes().as_slice()));
            commit(&store, 1);
        }
    }

    #[test]
    fn it_goes_on_after_a_flush() {
        let directory = tempfile::tempdir().unwrap();
        let store = Disk::open(directory.path(), 1 << 20).unwrap();
        (1..=20).for_each(|number| commit(&store, number));
        store.rows.rotate_memtable_and_wait().unwrap();
        (21..=40).for_each(|number| commit(&store, number));
        drop(store);
        assert_eq!(whole_up_to(&Disk::open(directory.path(), 1 << 20).unwrap()), 40);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
        /// A journal of which only a beginning reached the disk gives an earlier height, whole.
        #[test]
        fn a_torn_journal_gives_an_earlier_height(cut in any::<prop::sample::Index>(), zeros in any::<bool>()) {
            let (directory, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let store = Disk::open(directory.path(), 1 << 20).unwrap();
            (1..=10).for_each(|number| commit(&store, number));
            copy(directory.path(), copied.path());
            let path = journal(copied.path());
            let mut bytes = fs::read(&path).unwrap();
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            let cut = cut.index(end);
            // The file's length is there before its bytes are, or it is not.
            if zeros { bytes[cut..].fill(0) } else { bytes.truncate(cut) }
            fs::write(&path, bytes).unwrap();
            let store = Disk::open(copied.path(), 1 << 20).unwrap();
            let height = whole_up_to(&store);
            prop_assert!(height < 10);
            (height + 1..=12).for_each(|number| commit(&store, number));
            drop(store);
            prop_assert_eq!(whole_up_to(&Disk::open(copied.path(), 1 << 20).unwrap()), 12);
        }
    }
}
