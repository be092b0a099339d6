//! A node's shard log: shards and manifest pages on disk.
//!
//! # Promises
//!
//! 1. What was appended before a [`ShardStore::sync`] that returned `Ok` is there after any crash.
//! 2. What is read is what its id names, or the read fails with [`StoreError::Damaged`]; damaged records count as
//!    not held from then on.
//! 3. What the chain references ([`ShardStore::reference`]) is never dropped. What it does not is dropped when its
//!    grace period is over, which starts anew whenever somebody appends it, asks whether it is here, or the store is
//!    opened.
//! 4. After a failed write or sync every operation fails with [`StoreError::Failed`], until the store is opened anew.
//!
//! # Life of a record
//!
//! | stage | after a crash |
//! |---|---|
//! | being written | gone, or whole if all of it reached the disk; never torn |
//! | written (the append returned) | the same |
//! | synced | there |
//! | pending, until referenced | there, its grace period starts anew |
//! | referenced | there for good |
//!
//! # Parts
//!
//! `record` defines the bytes, `log` writes them, `recover` reads them when the store is opened, `index` knows what is
//! where and `absent` what is missing, `reference` follows the chain, `collect` frees space, `scrub` reads everything
//! again, and `progress` counts. No lock is held across I/O.

mod absent;
mod collect;
pub(crate) mod index;
mod log;
mod progress;
pub(crate) mod record;
pub(crate) mod recover;
mod reference;
mod scrub;

use crate::wire::{MISSING_CHUNKS_MAX, MISSING_PAGES_MAX, Missing};
use bytes::Bytes;
use commonware_runtime::{Blob, Clock, Error, ReadOptions, Spawner, Storage};
use commonware_utils::{
    SystemTimeExt,
    channel::{mpsc, oneshot},
    sync::{AsyncMutex, Mutex, RwLock},
};
use index::{Index, Location};
use log::{Job, Log, Reply};
use progress::Progress;
use proof::{
    Digest, Manifest,
    manifest::{Opening, Page},
    wire::{DecodeExt, List},
};
use rand_core::CryptoRng;
use record::{CheckedRecord, Kind, Record};
use reference::Unwritten;
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use collect::Collected;
pub use scrub::ScrubPace;

/// What a store needs of its runtime. Every commonware runtime context has it.
pub trait Context: Spawner + Clock + Storage + CryptoRng {}

impl<E: Spawner + Clock + Storage + CryptoRng> Context for E {}

/// Where a store is and what it may take.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The storage partition, which is the store's alone.
    pub partition: String,
    /// Bytes of a segment. At least 2 MiB, so that every record fits, and less than 16 TiB.
    pub segment_bytes: u64,
    /// How long what the chain does not reference is kept.
    pub grace: Duration,
    /// Bytes that all segments together may take; beyond, appends fail with [`StoreError::Full`]. Two segments more are
    /// kept for what frees space: references, pages that the chain uses, and copies.
    pub bytes_max: Option<u64>,
    /// How long what the chain has just referenced may be on its way from its writer, before it is healed. At most a
    /// minute.
    pub late: Duration,
}

impl StoreConfig {
    /// Segments of 256 MiB, 24 hours of grace, no limit, 2 seconds for what is late.
    pub fn new(partition: impl Into<String>) -> Self {
        Self {
            partition: partition.into(),
            segment_bytes: 256 << 20,
            grace: Duration::from_secs(24 * 60 * 60),
            bytes_max: None,
            late: Duration::from_secs(2),
        }
    }
}

/// Why an operation of a store failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no room. Nothing was stored, and the store goes on.
    #[error("no room for more")]
    Full,
    /// The record is damaged: what it holds is not what its id names. It is not held any more.
    #[error("the record of {0} is damaged")]
    Damaged(Digest),
    /// The shard is not the one its opening names, or another shard of the chunk is here.
    #[error("not the shard that its opening names, or another of the chunk is here")]
    Mismatch,
    /// The page is longer than a page may be, or none.
    #[error("not a manifest page")]
    NotAPage,
    /// The disk failed. The store must be opened anew before anything may be said about it.
    #[error("the shard log has failed: {0}")]
    Failed(Arc<str>),
    /// The files are not those of a store, or beyond recovery.
    #[error("the shard log cannot be opened: {0}")]
    Unusable(Arc<str>),
}

/// A shard read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredShard {
    /// Its index in the chunk.
    pub index: u8,
    /// The chunk's opening.
    pub opening: Opening,
    /// The shard.
    pub bytes: Bytes,
}

/// A shard log. Clones share it; it closes with the last of them.
pub struct ShardStore<E: Context> {
    shared: Arc<Shared<E>>,
    jobs: mpsc::Sender<Job>,
}

impl<E: Context> Clone for ShardStore<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), jobs: self.jobs.clone() }
    }
}

/// What the store's handles and its writing task share.
struct Shared<E: Context> {
    context: E,
    config: StoreConfig,
    /// The store key.
    key: [u8; 32],
    index: Mutex<Index>,
    segments: RwLock<BTreeMap<u32, Arc<E::Blob>>>,
    /// References that are not written yet. Held while they are: references are written one after the other.
    unwritten: AsyncMutex<Unwritten>,
    collecting: AsyncMutex<()>,
    referenced_height: AtomicU64,
    damaged: AtomicU64,
    progress: Mutex<Progress>,
    failure: OnceLock<StoreError>,
}

impl<E: Context> Shared<E> {
    fn now_ms(&self) -> u64 {
        self.context.current().epoch_millis()
    }

    /// When what is referenced now is to be healed if it is not here by then.
    fn late_ms(&self) -> u64 {
        let late_ms = u64::try_from(self.config.late.as_millis()).unwrap_or(u64::MAX);
        self.now_ms().saturating_add(late_ms.min(absent::WAIT_MAX_MS))
    }

    /// Fails the store, for the reason given or the one it failed for before.
    fn fail(&self, error: &Error) -> StoreError {
        let failure = StoreError::Failed(error.to_string().into());
        self.failure
            .get_or_init(|| {
                tracing::error!(partition = %self.config.partition, %error, "shard log failed");
                failure
            })
            .clone()
    }

    fn check(&self) -> Result<(), StoreError> {
        self.failure.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// The record of `id` at `location`, or `None` if it has moved since.
    async fn read_at(&self, id: &Digest, location: Location) -> Result<Option<CheckedRecord>, StoreError> {
        let Some(blob) = self.segments.read().get(&location.segment).cloned() else { return Ok(None) };
        let length = location.header(*id).length();
        let read = || blob.read_at(location.offset(), length, ReadOptions::default());
        let mut bytes = read().await;
        if bytes.is_err() {
            bytes = read().await;
        }
        let error = match bytes {
            Ok(bytes) => {
                let bytes = Bytes::from(bytes.coalesce().freeze());
                match CheckedRecord::new(&self.key, location.segment, location.offset(), bytes) {
                    Some(checked) if checked.record.id == *id => return Ok(Some(checked)),
                    _ => None,
                }
            }
            Err(error) => Some(error.to_string()),
        };
        let (segment, offset) = (location.segment, location.offset());
        {
            let mut index = self.index.lock();
            if !index.lose(id, location) {
                return Ok(None);
            }
            if error.is_some() {
                // Perhaps only for now: the segment stays as it is.
                index.suspect(segment);
            }
        }
        tracing::error!(%id, segment, offset, error, "damaged record");
        self.damaged.fetch_add(1, Ordering::Relaxed);
        Err(StoreError::Damaged(*id))
    }

    /// The record of `id`, if it is here and of this kind.
    async fn read(&self, id: &Digest, kind: Kind) -> Result<Option<CheckedRecord>, StoreError> {
        loop {
            self.check()?;
            let location = self.index.lock().find(id).filter(|location| location.kind() == kind);
            let Some(location) = location else { return Ok(None) };
            if let Some(checked) = self.read_at(id, location).await? {
                return Ok(Some(checked));
            }
        }
    }
}

/// The system's codes for too many open files, of all processes and of this one.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Whether an operation failed for lack of room only: on the disk, or for one more open file, which a segment is.
fn is_no_room(error: &Error) -> bool {
    let io = match error {
        Error::Io(io)
        | Error::BlobOpenFailed(_, _, io)
        | Error::BlobResizeFailed(_, _, io)
        | Error::BlobSyncFailed(_, _, io) => io,
        _ => return false,
    };
    matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
        || matches!(io.raw_os_error(), Some(ENFILE | EMFILE))
}

impl<E: Context> ShardStore<E> {
    /// Opens the store, after a crash too: see `recover`. The writing task ends with the last handle, or with the
    /// task that `context` belongs to.
    pub async fn open(mut context: E, config: StoreConfig) -> Result<Self, StoreError> {
        assert!(config.segment_bytes >= 2 << 20 && config.segment_bytes < 16 << 40, "no such segment size");
        let recovered = recover::recover(&mut context, &config).await?;
        let (jobs, queue) = mpsc::channel(log::QUEUE);
        let log_context = context.child("shard_log");
        let shared = Arc::new(Shared {
            context,
            config,
            key: recovered.key,
            index: Mutex::new(recovered.index),
            segments: RwLock::new(recovered.segments),
            unwritten: AsyncMutex::new(Unwritten::default()),
            collecting: AsyncMutex::new(()),
            referenced_height: AtomicU64::new(0),
            damaged: AtomicU64::new(recovered.damaged),
            progress: Mutex::new(Progress::default()),
            failure: OnceLock::new(),
        });
        reference::restore(&shared, &recovered.references).await?;
        let log = Log::new(shared.clone(), queue, recovered.next_segment);
        log_context.spawn(move |_| log.run());
        Ok(Self { shared, jobs })
    }

    /// Stores shard `index` of the chunk with this opening. Does nothing if it is here. Written, not yet synced, when
    /// it returns; dropping the future does not stop the write.
    pub async fn append(&self, opening: &Opening, index: u8, shard: Bytes) -> Result<(), StoreError> {
        let hash = opening.shards.get(usize::from(index)).ok_or(StoreError::Mismatch)?;
        let is_too_long = shard.len() > record::PAYLOAD_MAX;
        if is_too_long || shard.len() != opening.shard_length() || blake3::hash(&shard) != hash.0 {
            return Err(StoreError::Mismatch);
        }
        self.append_record(Record::shard(opening, index, shard)).await
    }

    /// Stores a manifest page (its encoding) and returns its id. Otherwise like [`Self::append`].
    pub async fn put_page(&self, page: Bytes) -> Result<Digest, StoreError> {
        if page.len() > proof::limits::PAGE_BYTES_MAX {
            return Err(StoreError::NotAPage);
        }
        Page::decode(page.clone()).map_err(|_| StoreError::NotAPage)?;
        let record = Record::page(page);
        let id = record.id;
        self.append_record(record).await?;
        Ok(id)
    }

    /// This node's clock, in milliseconds since the Unix epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        self.shared.now_ms()
    }

    /// What the store runs on, for tasks that end with it.
    pub(crate) fn context(&self) -> &E {
        &self.shared.context
    }

    /// Bytes of the record of `id`, if it is here.
    pub(crate) fn length(&self, id: &Digest) -> Result<Option<usize>, StoreError> {
        self.shared.check()?;
        Ok(self.shared.index.lock().find(id).map(|location| location.header(*id).length()))
    }

    /// This node's shard of a chunk, if it is here.
    pub async fn read(&self, chunk: &Digest) -> Result<Option<StoredShard>, StoreError> {
        let checked = self.shared.read(chunk, Kind::Shard).await?;
        Ok(checked.map(|checked| StoredShard {
            index: checked.record.index,
            opening: checked.opening.expect("a checked shard has its opening"),
            bytes: checked.record.payload,
        }))
    }

    /// A manifest page's encoding, if it is here.
    pub async fn read_page(&self, page: &Digest) -> Result<Option<Bytes>, StoreError> {
        Ok(self.shared.read(page, Kind::Page).await?.map(|checked| checked.record.payload))
    }

    /// What is not here of a manifest, or the first of it. What is here gets a new grace period. Chunks of a page that
    /// is not here are not listed.
    ///
    /// `Err(NotAPage)` when a page is not as the manifest says.
    pub async fn missing(&self, manifest: &Manifest) -> Result<Missing, StoreError> {
        let (mut chunks, mut pages) = (Vec::new(), Vec::new());
        match manifest {
            Manifest::Direct(page) => self.missing_chunks(page, &mut chunks)?,
            Manifest::Paged(refs) => {
                for page in refs.iter() {
                    if chunks.len() >= MISSING_CHUNKS_MAX || pages.len() >= MISSING_PAGES_MAX {
                        break;
                    }
                    self.touch(&page.id, Kind::Page)?;
                    let encoded = match self.read_page(&page.id).await {
                        Ok(encoded) => encoded,
                        Err(StoreError::Damaged(_)) => None,
                        Err(error) => return Err(error),
                    };
                    let Some(encoded) = encoded else {
                        pages.push(page.id);
                        continue;
                    };
                    let decoded = Page::decode(encoded).map_err(|_| StoreError::NotAPage)?;
                    if decoded.length() != page.length
                        || decoded.chunks().count() as u64 != u64::from(page.chunks)
                    {
                        return Err(StoreError::NotAPage);
                    }
                    self.missing_chunks(&decoded, &mut chunks)?;
                }
            }
        }
        let chunks = List::new(chunks).expect("no more are gathered");
        Ok(Missing { chunks, pages: List::new(pages).expect("no more are gathered") })
    }

    fn missing_chunks(&self, page: &Page, missing: &mut Vec<Digest>) -> Result<(), StoreError> {
        for chunk in page.chunks() {
            if missing.len() >= MISSING_CHUNKS_MAX {
                break;
            }
            if !self.touch(chunk, Kind::Shard)? {
                missing.push(*chunk);
            }
        }
        Ok(())
    }

    fn touch(&self, id: &Digest, kind: Kind) -> Result<bool, StoreError> {
        self.shared.check()?;
        Ok(self.shared.index.lock().touch(id, kind, self.shared.now_ms()))
    }

    /// Makes durable all that was appended before. Concurrent calls share the disk's sync.
    pub async fn sync(&self) -> Result<(), StoreError> {
        self.ask(Job::Sync).await
    }

    async fn append_record(&self, record: Record) -> Result<(), StoreError> {
        self.ask(|reply| Job::Append { record, reply }).await
    }

    /// Asks the writing task and waits for its answer.
    async fn ask(&self, job: impl FnOnce(Reply) -> Job) -> Result<(), StoreError> {
        self.shared.check()?;
        let (reply, answer) = oneshot::channel();
        // Either fails only when the writing task has ended, which is with the runtime.
        let ended = || StoreError::Failed("its writing task has ended".into());
        self.jobs.send(job(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_runtime::{Runner as _, Supervisor as _, deterministic};
    use commonware_utils::probability;
    use proof::wire::Encode as _;

    /// A record that was copied while it was read is fine at its new place.
    #[test]
    fn a_read_that_fails_where_the_record_is_no_more_damages_nothing() {
        deterministic::Runner::default().start(|context| async move {
            let store = ShardStore::open(context.child("store"), StoreConfig::new("shards")).await.unwrap();
            let segment = proof::manifest::Segment {
                sealed_key: proof::manifest::SealedKey([7; 48]),
                first_chunk: 0,
                length: 1,
                chunks: List::new(vec![Digest([1; 32])]).unwrap(),
            };
            let page = Page::new(vec![segment]).unwrap().encode();
            let id = store.put_page(page.clone()).await.unwrap();
            let find = || store.shared.index.lock().find(&id).unwrap();
            let before = find();
            let record = Record::page(page.clone());
            store.ask(|reply| Job::Copy { record, from: before, reply }).await.unwrap();
            assert_ne!(find(), before);
            let faults = deterministic::FaultConfig::default().read(probability!(1.0));
            *context.storage_fault_config().write() = faults;
            assert_eq!(store.shared.read_at(&id, before).await.map(|read| read.is_some()), Ok(false));
            assert_eq!((store.status().damaged, store.status().held), (0, 1));
            *context.storage_fault_config().write() = deterministic::FaultConfig::default();
            assert_eq!(store.read_page(&id).await, Ok(Some(page)));
        });
    }

    #[test]
    fn a_file_too_many_is_lack_of_room() {
        let failed = |code| {
            let io = std::io::Error::from_raw_os_error(code);
            Error::BlobOpenFailed("shards".into(), "1".into(), io.into())
        };
        const ENOSPC: i32 = 28;
        const EIO: i32 = 5;
        assert!([ENFILE, EMFILE, ENOSPC].into_iter().all(|code| is_no_room(&failed(code))));
        assert!(!is_no_room(&failed(EIO)));
    }
}
