//! What a disk has and how it is, and what follows from that for single operations.

use super::DiskFaults;
use crate::world::{file::File, pages::PAGE};
use commonware_formatting::hex;
use commonware_runtime::{BlobVersion, Error};
use commonware_utils::channel::oneshot;
use rand::{RngExt, rngs::StdRng};
use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

/// `EIO`.
pub(super) const INPUT_OUTPUT: i32 = 5;
/// `ENOSPC`.
const NO_SPACE: i32 = 28;
/// What a blob takes before its first byte: the page of its header.
const HEADER_BYTES: u64 = PAGE as u64;

/// What the disk has and how it is.
pub(in crate::world) struct State {
    pub(super) partitions: BTreeMap<String, BTreeMap<Vec<u8>, u64>>,
    /// By number. Those without a name go with their last handle.
    pub(super) files: BTreeMap<u64, File>,
    /// Numbers for files and opens.
    pub(super) next: u64,
    /// Pages that all files take.
    pub(super) pages: u64,
    pub(super) faults: DiskFaults,
    /// Those who wait for a stall to end.
    pub(super) stalled: Vec<oneshot::Sender<()>>,
    pub(super) rng: StdRng,
}

impl State {
    /// Opens a blob, or creates it. Returns the numbers of the file and of the open.
    pub(super) fn open(
        &mut self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(u64, u64), Error> {
        let blobs = self.partitions.entry(partition.to_owned()).or_default();
        let number = match blobs.get(name).copied() {
            Some(number) => number,
            None => self.link(partition, name, File::new(*versions.end())),
        };
        let (room, opened) = (self.room(), self.number());
        let fails = self.fails(|faults| faults.sync_error);
        let file = self.files.get_mut(&number).expect("names lead to files");
        if !file.created {
            // The name is there already and stays; the next open begins anew.
            if room == 0 {
                return Err(Error::WriteFailed);
            }
            file.created = true;
            file.version = *versions.end();
        }
        if !versions.contains(&file.version) {
            return Err(Error::BlobVersionMismatch { expected: versions, found: file.version });
        }
        if file.open.is_some() {
            return Err(Error::BlobAlreadyOpen(partition.to_owned(), hex(name)));
        }
        if let Some(failed) = &file.failed {
            return Err(failed.clone());
        }
        if file.dirty() {
            if fails {
                if self.faults.sync_error_forgets {
                    file.forget(&mut self.rng);
                }
                let key = (partition.to_owned(), name.to_vec());
                return Err(poison(file, &key, system(INPUT_OUTPUT).into()));
            }
            file.flush();
        }
        file.open = Some(opened);
        Ok((number, opened))
    }

    /// Gives a file a name that no other has.
    pub(super) fn link(&mut self, partition: &str, name: &[u8], file: File) -> u64 {
        let number = self.number();
        self.pages += file.live().allocated();
        self.files.insert(number, file);
        self.partitions.entry(partition.to_owned()).or_default().insert(name.to_vec(), number);
        number
    }

    /// A file has lost its name. It stays as long as it is open.
    pub(super) fn unlink(&mut self, number: u64) {
        let file = self.files.get_mut(&number).expect("names lead to files");
        file.linked = false;
        if file.open.is_none() {
            self.pages -= file.live().allocated();
            self.files.remove(&number);
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn file(&self, number: u64) -> Result<&File, Error> {
        self.files.get(&number).ok_or(Error::Closed)
    }

    pub(super) fn taken(&self) -> u64 {
        self.pages * PAGE as u64 + self.files.len() as u64 * HEADER_BYTES
    }

    /// Pages that are free.
    pub(super) fn room(&self) -> u64 {
        match self.faults.bytes_max {
            _ if self.faults.full => 0,
            Some(bytes_max) => bytes_max.saturating_sub(self.taken()) / PAGE as u64,
            None => u64::MAX,
        }
    }

    /// Draws whether something goes wrong.
    pub(super) fn fails(&mut self, probability: impl FnOnce(&DiskFaults) -> f64) -> bool {
        let probability = probability(&self.faults);
        probability > 0.0 && self.rng.random_bool(probability.min(1.0))
    }

    /// How much of a write happens, and what it fails with if that is not all of it. The file is taken out of
    /// `self.files` while it changes.
    pub(in crate::world) fn admit(
        &mut self,
        file: &File,
        offset: u64,
        len: u64,
    ) -> (u64, Option<std::io::Error>) {
        if self.fails(|faults| faults.write_error) {
            return (self.rng.random_range(0..=len / 512) * 512, Some(system(INPUT_OUTPUT)));
        }
        // The file is not among the others now: its header is not counted.
        let room = self.room().saturating_sub(1);
        let mut fits = len;
        while file.live().missing(offset, fits) > room {
            fits = ((offset + fits - 1) / PAGE as u64 * PAGE as u64).saturating_sub(offset);
        }
        (fits, (fits < len).then(|| system(NO_SPACE)))
    }
}

/// A sync failed: so does every later one.
pub(in crate::world) fn poison(
    file: &mut File,
    key: &(String, Vec<u8>),
    error: Arc<std::io::Error>,
) -> Error {
    let failed = Error::BlobSyncFailed(key.0.clone(), hex(&key.1), error);
    file.failed = Some(failed.clone());
    failed
}

/// The system's error of that number.
pub(super) fn system(number: i32) -> std::io::Error {
    std::io::Error::from_raw_os_error(number)
}
