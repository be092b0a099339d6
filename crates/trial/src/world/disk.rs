//! A machine's disk: partitions of blobs, with what can go wrong with disks.
//!
//! Names are durable as soon as an operation on them returns; bytes, once synced ([`super::file`]). Errors are those
//! that the production runtime returns for the same condition, down to the system's error numbers. As there, a failed
//! sync poisons a blob until the process starts anew, and opening a blob makes durable what an earlier open left.

mod state;

use super::{
    blob::Blob,
    file::File,
    machine::{Life, Loss},
    pages::Pages,
};
use commonware_formatting::hex;
use commonware_runtime::{BlobVersion, Clock as _, Error, ReadOptions, deterministic};
use commonware_utils::{channel::oneshot, sync::Mutex};
use memchr::memmem::Finder;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use state::{INPUT_OUTPUT, system};
pub(super) use state::{State, poison};
use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc, time::Duration};

/// What goes wrong with a disk. [`Default`] is a disk that works.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiskFaults {
    /// Probability that a read fails.
    pub read_error: f64,
    /// Probability that a write fails; a beginning of it may have happened.
    pub write_error: f64,
    /// Probability that a sync fails. The blob is lost for durability until the process starts anew.
    pub sync_error: f64,
    /// What a sync that failed should have written is not on disk, but processes go on reading it, also later ones,
    /// and no later sync writes it: Linux does so. Otherwise it waits, and is durable when the next process starts.
    pub sync_error_forgets: bool,
    /// Nothing that needs room succeeds.
    pub full: bool,
    /// Bytes that the disk holds, in pages of 4 KiB.
    pub bytes_max: Option<u64>,
    /// Every operation takes a random time up to this, milliseconds.
    pub latency_ms: u64,
    /// Operations wait until this is unset.
    pub stall: bool,
}

/// A machine's disk. Clones share it.
#[derive(Clone)]
pub struct Disk(Arc<Core>);

struct Core {
    context: deterministic::Context,
    state: Mutex<State>,
}

/// What is on a disk, as a copy of its files would show it: bytes that were not synced are there too. Cheap to take and
/// to keep.
#[derive(Clone)]
pub struct Snapshot(BTreeMap<String, BTreeMap<Vec<u8>, File>>);

impl Disk {
    /// An empty disk. What a power failure leaves of it follows from `seed`.
    pub(super) fn new(context: deterministic::Context, seed: u64) -> Self {
        let state = State {
            partitions: BTreeMap::new(),
            files: BTreeMap::new(),
            next: 0,
            pages: 0,
            faults: DiskFaults::default(),
            stalled: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
        };
        Self(Arc::new(Core { context, state: Mutex::new(state) }))
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: DiskFaults) {
        let mut state = self.0.state.lock();
        if !faults.stall {
            state.stalled.clear();
        }
        state.faults = faults;
    }

    /// What goes wrong.
    pub fn faults(&self) -> DiskFaults {
        self.0.state.lock().faults.clone()
    }

    /// Removes everything, as `rm -rf` would: a process that runs keeps what it has open, until it closes it.
    pub fn wipe(&self) {
        let mut state = self.0.state.lock();
        for blobs in std::mem::take(&mut state.partitions).into_values() {
            blobs.into_values().for_each(|file| state.unlink(file));
        }
    }

    /// Copies everything.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.0.state.lock();
        let copy = |file: &u64| {
            let mut file = state.files[file].clone();
            file.settle();
            file.open = None;
            file.failed = None;
            file
        };
        let copied = |blobs: &BTreeMap<Vec<u8>, u64>| {
            blobs.iter().map(|(name, file)| (name.clone(), copy(file))).collect::<BTreeMap<_, _>>()
        };
        Snapshot(
            state.partitions.iter().map(|(partition, blobs)| (partition.clone(), copied(blobs))).collect(),
        )
    }

    /// Replaces everything by a copy, of this disk or of another, durably. For a process that runs, this is
    /// [`Self::wipe`] and new files under the names.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.wipe();
        let mut state = self.0.state.lock();
        for (partition, blobs) in &snapshot.0 {
            for (name, file) in blobs {
                state.link(partition, name, file.clone());
            }
        }
    }

    /// Flips `count` random bits in written bytes of blobs whose partitions' names contain `partition_contains`, in
    /// what is durable and in what is not yet. Says where; fewer places than `count` if nothing is written there.
    pub fn rot(&self, rng: &mut impl Rng, partition_contains: &str, count: usize) -> Vec<String> {
        let mut state = self.0.state.lock();
        let mut places: Vec<(String, u64)> = Vec::new();
        for (partition, blobs) in
            state.partitions.iter().filter(|(name, _)| name.contains(partition_contains))
        {
            places.extend(blobs.iter().map(|(name, file)| (format!("{partition}/{}", hex(name)), *file)));
        }
        let pages: u64 = places.iter().map(|(_, file)| state.files[file].live().allocated()).sum();
        let mut rotten = Vec::new();
        for _ in 0..count.saturating_mul(4) {
            if pages == 0 || rotten.len() == count {
                break;
            }
            let mut index = rng.random_range(0..pages);
            for (place, file) in &places {
                let file = state.files.get_mut(file).expect("names lead to files");
                let allocated = file.live().allocated();
                if index < allocated {
                    rotten.extend(file.rot(index, rng).map(|offset| format!("{place} at byte {offset}")));
                    break;
                }
                index -= allocated;
            }
        }
        rotten
    }

    /// Makes the page at this offset of a blob unreadable, until it is written again.
    pub fn spoil(&self, partition: &str, name: &[u8], offset: u64) {
        let mut state = self.0.state.lock();
        let file = state.partitions[partition][name];
        state.files.get_mut(&file).expect("names lead to files").spoil(offset);
    }

    /// Bytes that are taken: pages that were written, and one for each blob.
    pub fn bytes(&self) -> u64 {
        self.0.state.lock().taken()
    }

    /// Names of the partitions.
    pub fn partitions(&self) -> Vec<String> {
        self.0.state.lock().partitions.keys().cloned().collect()
    }

    /// Names and lengths of the blobs of a partition.
    pub fn blobs(&self, partition: &str) -> Vec<(Vec<u8>, u64)> {
        let state = self.0.state.lock();
        let blobs = state.partitions.get(partition).into_iter().flatten();
        blobs.map(|(name, file)| (name.clone(), state.files[file].live().len())).collect()
    }

    /// Where the needle is on this disk, if it is: in a name, in what processes read, or in what is durable.
    pub fn find(&self, needle: &[u8]) -> Option<String> {
        let finder = Finder::new(needle);
        let state = self.0.state.lock();
        for (partition, blobs) in &state.partitions {
            for (name, file) in blobs {
                let place = || format!("{partition}/{}", hex(name));
                if finder.find(partition.as_bytes()).or_else(|| finder.find(name)).is_some() {
                    return Some(format!("{}, in its name", place()));
                }
                if let Some(offset) = state.files[file].find(&finder) {
                    return Some(format!("{} at byte {offset}", place()));
                }
            }
        }
        let mut unlinked = state.files.iter().filter(|(_, file)| !file.linked);
        unlinked
            .find_map(|(_, file)| file.find(&finder))
            .map(|offset| format!("a removed blob at byte {offset}"))
    }

    /// Shows all bytes that processes read, run by run: the blob, the offset in it, and the bytes.
    pub fn each_run(&self, mut look: impl FnMut(&str, u64, &[u8])) {
        let state = self.0.state.lock();
        for (partition, blobs) in &state.partitions {
            for (name, file) in blobs {
                let place = format!("{partition}/{}", hex(name));
                state.files[file].live().each_run(|offset, bytes| look(&place, offset, bytes));
            }
        }
    }

    /// The blobs of a partition with all that processes read of them.
    pub fn contents(&self, partition: &str) -> Vec<Vec<u8>> {
        let state = self.0.state.lock();
        let blobs = state.partitions.get(partition).into_iter().flatten();
        let read = |file: &u64| {
            let live = state.files[file].live();
            let mut bytes = vec![0; live.len() as usize];
            live.each_run(|offset, run| {
                let from = offset as usize;
                let to = (from + run.len()).min(bytes.len());
                bytes[from..to].copy_from_slice(&run[..to - from]);
            });
            bytes
        };
        blobs.map(|(_, file)| read(file)).collect()
    }

    /// A process starts: what it reads is durable, unless the system has forgotten it, and no other holds anything.
    pub(super) fn begin(&self) {
        let mut state = self.0.state.lock();
        for file in state.files.values_mut() {
            file.flush();
        }
    }

    /// The process has ended. What it had open is closed; if the power failed too, what was not synced is at stake.
    pub(super) fn end(&self, loss: Loss) {
        let mut state = self.0.state.lock();
        let State { files, rng, stalled, .. } = &mut *state;
        stalled.clear();
        files.retain(|_, file| file.linked);
        for file in files.values_mut() {
            file.open = None;
            file.failed = None;
            if loss == Loss::Power {
                file.lose(rng);
            }
        }
        state.pages = state.files.values().map(|file| file.live().allocated()).sum();
    }

    /// Lasts as long as the disk takes for an operation.
    pub(super) async fn operate(&self, life: &Life) -> Result<(), Error> {
        if let Some(latency) = self.latency(life).await? {
            self.0.context.sleep(latency).await;
        }
        life.check()
    }

    /// Waits while the disk stalls; how long the operation takes then, if it takes time.
    async fn latency(&self, life: &Life) -> Result<Option<Duration>, Error> {
        loop {
            life.check()?;
            let stalled = {
                let mut state = self.0.state.lock();
                if !state.faults.stall {
                    let latency_ms = state.faults.latency_ms;
                    let drawn = (latency_ms > 0).then(|| state.rng.random_range(0..=latency_ms));
                    return Ok(drawn.map(Duration::from_millis));
                }
                let (ended, stalled) = oneshot::channel();
                state.stalled.push(ended);
                stalled
            };
            // The sender is dropped, never used.
            let _ = stalled.await;
        }
    }

    /// Whether operations return at once.
    pub(super) fn immediate(&self) -> bool {
        let state = self.0.state.lock();
        !state.faults.stall && state.faults.latency_ms == 0
    }

    /// A context for what outlasts the operation that began it.
    pub(super) fn context(&self) -> &deterministic::Context {
        &self.0.context
    }

    pub(super) async fn open(
        &self,
        life: &Life,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(Blob, u64, BlobVersion), Error> {
        validate(partition)?;
        self.operate(life).await?;
        let mut state = self.0.state.lock();
        let (number, open) = state.open(partition, name, versions)?;
        let file = &state.files[&number];
        let key = (partition.to_owned(), name.to_vec());
        Ok((Blob::new(self.clone(), life.clone(), key, number, open), file.live().len(), file.version))
    }

    pub(super) async fn remove(
        &self,
        life: &Life,
        partition: &str,
        name: Option<&[u8]>,
    ) -> Result<(), Error> {
        validate(partition)?;
        self.operate(life).await?;
        let mut state = self.0.state.lock();
        let Some(name) = name else {
            let blobs = state
                .partitions
                .remove(partition)
                .ok_or_else(|| Error::PartitionMissing(partition.into()))?;
            blobs.into_values().for_each(|file| state.unlink(file));
            return Ok(());
        };
        let file = state.partitions.get_mut(partition).and_then(|blobs| blobs.remove(name));
        let file = file.ok_or_else(|| Error::BlobMissing(partition.into(), hex(name)))?;
        state.unlink(file);
        Ok(())
    }

    pub(super) async fn scan(&self, life: &Life, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        validate(partition)?;
        self.operate(life).await?;
        let mut state = self.0.state.lock();
        if state.fails(|faults| faults.read_error) {
            return Err(Error::ReadFailed);
        }
        let blobs =
            state.partitions.get(partition).ok_or_else(|| Error::PartitionMissing(partition.into()))?;
        Ok(blobs.keys().cloned().collect())
    }

    /// Reads from a file.
    pub(super) fn read(
        &self,
        number: u64,
        offset: u64,
        len: usize,
        options: ReadOptions,
        out: impl FnOnce(&Pages),
    ) -> Result<(), Error> {
        let mut state = self.0.state.lock();
        if state.fails(|faults| faults.read_error) {
            return Err(system(INPUT_OUTPUT).into());
        }
        let file = state.file(number)?;
        let pages = file.live();
        if offset + len as u64 > pages.len() {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        if file.is_spoilt(offset, len as u64) {
            return Err(system(INPUT_OUTPUT).into());
        }
        if options.contains(ReadOptions::DONT_CACHE) {
            out(&file.uncached());
        } else {
            out(pages);
        }
        Ok(())
    }

    /// Changes a file.
    pub(super) fn change<T>(
        &self,
        number: u64,
        change: impl FnOnce(&mut State, &mut File) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut state = self.0.state.lock();
        let mut file = state.files.remove(&number).ok_or(Error::Closed)?;
        let before = file.live().allocated();
        let result = change(&mut state, &mut file);
        state.pages = state.pages + file.live().allocated() - before;
        state.files.insert(number, file);
        result
    }

    /// Syncs a file up to a mark. One that is gone needs no sync.
    pub(super) fn sync(&self, number: u64, mark: u64, key: &(String, Vec<u8>)) -> Result<(), Error> {
        let mut state = self.0.state.lock();
        let fails = state.fails(|faults| faults.sync_error);
        let State { files, rng, faults, .. } = &mut *state;
        let Some(file) = files.get_mut(&number) else { return Ok(()) };
        if let Some(failed) = &file.failed {
            return Err(failed.clone());
        }
        if fails {
            if faults.sync_error_forgets {
                file.forget(rng);
            }
            return Err(poison(file, key, system(INPUT_OUTPUT).into()));
        }
        file.sync(mark);
        Ok(())
    }

    /// A handle is gone.
    pub(super) fn close(&self, number: u64, open: u64) {
        let mut state = self.0.state.lock();
        let Some(file) = state.files.get_mut(&number).filter(|file| file.open == Some(open)) else { return };
        file.open = None;
        if !file.linked {
            state.pages -= file.live().allocated();
            state.files.remove(&number);
        }
    }
}

/// Partitions have the names that the runtime's contract allows.
fn validate(partition: &str) -> Result<(), Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if partition.is_empty() || !partition.bytes().all(allowed) {
        return Err(Error::PartitionNameInvalid(partition.to_owned()));
    }
    Ok(())
}
