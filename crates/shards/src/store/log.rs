//! The log's one writing task: it alone gives out places, begins segments and syncs.
//!
//! Writes run concurrently, each at the place it was given; they go on when their caller is gone. Syncs run one at a
//! time over all segments with completed writes: a request joins the next sync to *start*, so all that wait share it,
//! and each is covered for every write that had completed before it asked.
//!
//! After a write or a sync that fails for any reason but lack of room the log has *failed*: nothing is written any
//! more, and nothing is ever said to be durable again (a failed sync may have dropped the pages it could not write,
//! and the next one would not know). Lack of room fails one append: its place is given up, and its first slot erased
//! so that no later scan takes a torn record for a whole one.
//!
//! The limit is one of shards: references and referenced pages may take a segment more, and copies two, because without
//! them a full store could never free anything.
//!
//! A place given up, or never written because of a crash, is a hole. Recovery finds the records behind it.

use crate::store::{
    Context, Shared, StoreError,
    index::Location,
    is_no_room,
    record::{Kind, RECORDS_START, Record, SLOT, SegmentHeader, erased},
    reference::resolve,
};
use bytes::Bytes;
use commonware_macros::select;
use commonware_runtime::{Blob, IoBuf, IoBufs, ReadOptions, WriteOptions};
use commonware_utils::{
    channel::{mpsc, oneshot},
    futures::Pool,
};
use futures::future::try_join_all;
use proof::Digest;
use std::{collections::BTreeMap, sync::Arc};

/// Appends that wait for the writing task.
pub(crate) const QUEUE: usize = 256;

pub(crate) type Reply = oneshot::Sender<Result<(), StoreError>>;

/// What the writing task is asked.
pub(crate) enum Job {
    /// Write a record, unless it is here.
    Append { record: Record, reply: Reply },
    /// Write a copy of the record at `from`, which it replaces.
    Copy { record: Record, from: Location, reply: Reply },
    /// Make durable what was written before.
    Sync(Reply),
}

/// A segment that is not sealed yet.
struct Open<B> {
    blob: Arc<B>,
    /// The next free offset.
    end: u64,
    writing: usize,
    /// A write has completed since the last sync started.
    dirty: bool,
    syncing: bool,
}

impl<B> Open<B> {
    fn is_clean(&self) -> bool {
        self.writing == 0 && !self.dirty && !self.syncing
    }
}

/// A finished piece of I/O.
enum Finished {
    Written {
        id: Digest,
        location: Location,
        /// A manifest page's encoding.
        page: Option<Bytes>,
        copied: Option<(Location, Reply)>,
        result: Result<(), StoreError>,
    },
    Synced {
        segments: Vec<u32>,
        replies: Vec<Reply>,
        result: Result<(), StoreError>,
    },
}

pub(crate) struct Log<E: Context> {
    shared: Arc<Shared<E>>,
    jobs: mpsc::Receiver<Job>,
    io: Pool<'static, Finished>,
    open: BTreeMap<u32, Open<E::Blob>>,
    /// The segment that gets the next record, once there is one.
    active: Option<u32>,
    next_segment: u32,
    /// Who waits for the record of an id that is being written.
    appending: BTreeMap<Digest, Vec<Reply>>,
    /// Who waits for the next sync.
    to_sync: Vec<Reply>,
    syncing: bool,
}

impl<E: Context> Log<E> {
    pub(crate) fn new(shared: Arc<Shared<E>>, jobs: mpsc::Receiver<Job>, next_segment: u32) -> Self {
        Self {
            shared,
            jobs,
            io: Pool::default(),
            open: BTreeMap::new(),
            active: None,
            next_segment,
            appending: BTreeMap::new(),
            to_sync: Vec::new(),
            syncing: false,
        }
    }

    /// Runs until the last handle to the store is gone.
    pub(crate) async fn run(mut self) {
        loop {
            select! {
                finished = self.io.next_completed() => self.finish(finished),
                job = self.jobs.recv() => match job {
                    Some(job) => self.take(job).await,
                    None => break,
                },
            }
            self.start_sync();
        }
        while !self.io.is_empty() {
            let finished = self.io.next_completed().await;
            self.finish(finished);
        }
    }

    async fn take(&mut self, job: Job) {
        match job {
            Job::Sync(reply) => self.to_sync.push(reply),
            Job::Append { record, reply } => {
                if let Some(held) = self.held(&record) {
                    let _ = reply.send(held);
                } else if let Some(waiting) = self.appending.get_mut(&record.id) {
                    waiting.push(reply);
                } else {
                    match self.place(&record, self.reserve_bytes(&record)).await {
                        Ok(segment) => {
                            self.appending.insert(record.id, vec![reply]);
                            self.write(segment, record, None);
                        }
                        Err(error) => drop(reply.send(Err(error))),
                    }
                }
            }
            // Copies make room, so references must not take it from them.
            Job::Copy { record, from, reply } => {
                match self.place(&record, self.shared.config.segment_bytes * 2).await {
                    Ok(segment) => self.write(segment, record, Some((from, reply))),
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
        }
    }

    /// The answer to an append of what is here.
    fn held(&self, record: &Record) -> Option<Result<(), StoreError>> {
        let mut index = self.shared.index.lock();
        let location = index.find(&record.id)?;
        if location.header(record.id) != record.header() {
            return Some(Err(StoreError::Mismatch));
        }
        index.touch(&record.id, record.kind, self.shared.now_ms());
        Some(self.shared.check())
    }

    /// Bytes beyond the limit that an append may take. Without references, and the pages among them, a full store
    /// could not tell what may be dropped.
    fn reserve_bytes(&self, record: &Record) -> u64 {
        let frees = match record.kind {
            Kind::Reference => true,
            Kind::Page => self.shared.index.lock().is_unresolved(&record.id),
            Kind::Shard => false,
        };
        if frees { self.shared.config.segment_bytes } else { 0 }
    }

    /// The segment to write `record` to: the active one, or a new one if it does not fit. All segments together may
    /// take `reserve_bytes` more than the limit.
    async fn place(&mut self, record: &Record, reserve_bytes: u64) -> Result<u32, StoreError> {
        self.shared.check()?;
        let extent = record.header().extent();
        let config = &self.shared.config;
        let needed = self.shared.index.lock().reserved_bytes().saturating_add(extent + RECORDS_START);
        if config.bytes_max.is_some_and(|bytes_max| needed > bytes_max.saturating_add(reserve_bytes)) {
            return Err(StoreError::Full);
        }
        if let Some(active) = self.active {
            if self.open[&active].end + extent <= config.segment_bytes {
                return Ok(active);
            }
            self.active = None;
            self.seal(active);
        }
        let number = self.next_segment;
        let next = number.checked_add(1).expect("2^32 segments are not written in a node's life");
        match self.begin(number).await {
            Ok(open) => {
                self.next_segment = next;
                self.open.insert(number, open);
                self.active = Some(number);
                Ok(number)
            }
            // The runtime says that it could not write when there was no room for the file's own header.
            Err(error) if is_no_room(&error) || matches!(error, commonware_runtime::Error::WriteFailed) => {
                tracing::warn!(%error, segment = number, "no room for another segment");
                // It holds no record. Opening the store would need room for it.
                let partition = &self.shared.config.partition;
                let _ = self.shared.context.remove(partition, Some(&number.to_be_bytes())).await;
                Err(StoreError::Full)
            }
            Err(error) => Err(self.shared.fail(&error)),
        }
    }

    /// Creates a segment. Its header is synced before any record is written behind it.
    async fn begin(&mut self, number: u32) -> Result<Open<E::Blob>, commonware_runtime::Error> {
        let shared = &self.shared;
        let sealed_below = self.open.keys().next().copied().unwrap_or(number);
        let header = SegmentHeader { number, sealed_below, key: shared.key };
        let (blob, _) = shared.context.open(&shared.config.partition, &number.to_be_bytes()).await?;
        blob.resize(shared.config.segment_bytes).await?;
        blob.write_at(0, header.encode(), WriteOptions::default()).await?;
        blob.sync().await?;
        let blob = Arc::new(blob);
        shared.index.lock().reserve(number, RECORDS_START);
        shared.segments.write().insert(number, blob.clone());
        Ok(Open { blob, end: RECORDS_START, writing: 0, dirty: false, syncing: false })
    }

    /// Starts the write of `record` at the end of a segment in which there is room for it.
    fn write(&mut self, number: u32, record: Record, copied: Option<(Location, Reply)>) {
        let segment = self.open.get_mut(&number).expect("places are given out in open segments only");
        let (id, header, offset) = (record.id, record.header(), segment.end);
        segment.end += header.extent();
        segment.writing += 1;
        self.shared.index.lock().reserve(number, header.extent());
        let location = Location::new(number, offset, &header);
        let blob = segment.blob.clone();
        let shared = self.shared.clone();
        let page = (record.kind == Kind::Page).then(|| record.payload.clone());
        let bufs: IoBufs = record.encode(&shared.key, number, offset).into_iter().map(IoBuf::from).collect();
        self.io.push(async move {
            let result = match blob.write_at(offset, bufs, WriteOptions::default()).await {
                Err(error) if is_no_room(&error) => give_up(&shared, &*blob, offset).await,
                result => result.map_err(|error| shared.fail(&error)),
            };
            Finished::Written { id, location, page, copied, result }
        });
    }

    fn finish(&mut self, finished: Finished) {
        match finished {
            Finished::Written { id, location, page, copied, result } => {
                let segment =
                    self.open.get_mut(&location.segment).expect("a segment is open while written to");
                segment.writing -= 1;
                segment.dirty = true;
                let now_ms = self.shared.now_ms();
                let mut index = self.shared.index.lock();
                let replies = match copied {
                    Some((from, reply)) => {
                        if result.is_ok() {
                            index.relocate(id, from, location, now_ms);
                        }
                        vec![reply]
                    }
                    None => {
                        if result.is_ok() {
                            index.insert(id, location, now_ms);
                        }
                        self.appending.remove(&id).expect("appends are waited for until they are written")
                    }
                };
                drop(index);
                // Here, because whoever brought the page may be gone.
                if let Some(page) = page.filter(|_| result.is_ok()) {
                    resolve(&self.shared, id, page);
                }
                for reply in replies {
                    let _ = reply.send(result.clone());
                }
            }
            Finished::Synced { segments, replies, result } => {
                self.syncing = false;
                for number in segments {
                    self.open.get_mut(&number).expect("a segment is open while synced").syncing = false;
                    if result.is_ok() {
                        self.seal(number);
                    }
                }
                for reply in replies {
                    let _ = reply.send(result.clone());
                }
            }
        }
    }

    /// Closes a segment that gets no more records and whose records are all synced.
    fn seal(&mut self, number: u32) {
        if self.active != Some(number) && self.open.get(&number).is_some_and(Open::is_clean) {
            self.open.remove(&number);
            self.shared.index.lock().seal(number);
        }
    }

    /// Starts the next sync, if anyone waits for one and none is running.
    fn start_sync(&mut self) {
        if self.syncing || self.to_sync.is_empty() {
            return;
        }
        let replies = std::mem::take(&mut self.to_sync);
        let mut segments = Vec::new();
        let mut syncs = Vec::new();
        for (number, segment) in self.open.iter_mut().filter(|(_, segment)| segment.dirty) {
            segment.dirty = false;
            segment.syncing = true;
            segments.push(*number);
            let blob = segment.blob.clone();
            syncs.push(async move { blob.sync().await });
        }
        self.syncing = true;
        let shared = self.shared.clone();
        self.io.push(async move {
            let synced = try_join_all(syncs).await.map_err(|error| shared.fail(&error));
            // Another failure in the meantime counts too: nothing is durable after one.
            let result = synced.and_then(|_| shared.check());
            Finished::Synced { segments, replies, result }
        });
    }
}

/// Erases the start of a record that did not fit on the disk.
async fn give_up<E: Context>(shared: &Shared<E>, blob: &E::Blob, offset: u64) -> Result<(), StoreError> {
    let erased_slot = match blob.write_at(offset, erased(), WriteOptions::default()).await {
        Err(error) if is_no_room(&error) => {
            let slot = blob.read_at(offset, SLOT as usize, ReadOptions::default()).await;
            // Perhaps not even the first slot had room, and it is a hole.
            let is_hole = slot.is_ok_and(|slot| slot.coalesce().as_ref() == erased());
            if is_hole { Ok(()) } else { Err(error) }
        }
        result => result,
    };
    match erased_slot {
        Ok(()) => Err(StoreError::Full),
        Err(error) => Err(shared.fail(&error)),
    }
}
