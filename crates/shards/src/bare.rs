//! Reading a shard log that no node runs on: from bare files, which are never written.
//!
//! The directory may be a copy, of a process that crashed in the middle of a write, or damaged. So nothing is repaired
//! and nothing taken on trust: what a scan of the segments finds are candidates, and a record is given out only if its
//! bytes are what its id names. Ids are asked for by those who know them from finalized blocks. What cannot be read is
//! counted.
//!
//! 1. [`Log::open`] reads the segments' headers. Any one of them gives the store key, without which no record can be
//!    told from a payload.
//! 2. It scans the segments for records' headers, as a node does that is started: see `store::recover`.
//! 3. [`Log::shard`] and [`Log::page`] read and check one record.

use crate::store::{
    index::Location,
    record::{CheckedRecord, Kind, RECORDS_START, SegmentHeader},
    recover::scan,
};
use bytes::Bytes;
use commonware_runtime::{Blob, Error, Handle, IoBufs, IoBufsMut, ReadOptions, WriteOptions};
use proof::{
    Digest,
    manifest::{Opening, Page},
    wire::DecodeExt as _,
};
use std::{io, sync::Arc};

/// The partition of a node's shard log, below its storage directory. A segment's file is its number in eight
/// hexadecimal digits.
pub const PARTITION: &str = "node-shards";
/// Bytes that the runtime may have put before a segment: of its second layout, of its first, none.
const PREFACES: [u64; 3] = [4096, 8, 0];
/// Bytes of a segment that are looked at: far more than any has, so that places in it fit their type.
const SEGMENT_MAX: u64 = 1 << 40;

/// The files of a shard log's segments.
pub trait Files: Send + Sync + 'static {
    /// Fills the buffer with what the file of this segment has from `offset` on, or gives an error.
    fn read_at(&self, segment: u32, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// Bytes before a segment, and its key, if its header can be read. The header is there twice, in two slots: behind a wrong
/// number of bytes one of them may seem to be the other, so where both are, is right.
fn header<F: Files>(files: &F, number: u32) -> Option<(u64, [u8; 32])> {
    let mut best: Option<(usize, u64, [u8; 32])> = None;
    for preface in PREFACES {
        let mut slots = vec![0; RECORDS_START as usize];
        if files.read_at(number, preface, &mut slots).is_err() {
            continue;
        }
        let (first, second) = slots.split_at(slots.len() / 2);
        let copies = [first, second].map(|slot| SegmentHeader::decode(number, slot));
        let count = copies.iter().flatten().count();
        let header = copies.into_iter().flatten().next();
        if let Some(header) = header.filter(|_| best.is_none_or(|(most, ..)| count > most)) {
            best = Some((count, preface, header.key));
        }
    }
    best.map(|(_, preface, key)| (preface, key))
}

/// A shard log, to be read only.
pub struct Log<F> {
    files: Arc<F>,
    key: [u8; 32],
    /// Sorted. Of 56 bytes: there is one for each record.
    records: Vec<(Digest, Location)>,
    /// Bytes before each segment, by its number. Sorted.
    prefaces: Vec<(u32, u64)>,
    /// What could not be read when it was opened.
    pub unreadable: Vec<String>,
}

/// There is no shard log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no segment's header can be read, and without one no record can be found")]
pub struct NoHeader;

/// A shard that is what its opening says, of the chunk that was asked for.
#[derive(Clone, Debug)]
pub struct BareShard {
    /// Its index in the chunk.
    pub index: usize,
    /// The chunk's opening.
    pub opening: Opening,
    /// Its bytes.
    pub bytes: Bytes,
}

/// What a log has of an id.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// This.
    Whole(T),
    /// A record whose bytes are not what the id names.
    Damaged,
    /// Nothing.
    Nothing,
}

impl<F: Files> Log<F> {
    /// Reads what segments there are, given their numbers and lengths.
    pub fn open(files: F, segments: &[(u32, u64)]) -> Result<Self, NoHeader> {
        let files = Arc::new(files);
        let mut unreadable = Vec::new();
        let mut found = Vec::new();
        for (number, length) in segments {
            let header = header(&*files, *number);
            if header.is_none() {
                unreadable.push(format!("the header of segment {number:08x}"));
            }
            found.push((*number, *length, header));
        }
        let (usual, key) = found.iter().find_map(|(_, _, header)| *header).ok_or(NoHeader)?;
        let mut log = Self { files, key, records: Vec::new(), prefaces: Vec::new(), unreadable };
        found.sort_unstable_by_key(|(number, ..)| *number);
        for (number, length, header) in found {
            // All segments of a store have one key: one with another is of another store, and has nothing for us.
            if header.is_some_and(|(_, other)| other != key) {
                log.unreadable.push(format!("segment {number:08x}, which is of another store"));
                continue;
            }
            log.scan(number, length, header.map_or(usual, |(preface, _)| preface));
        }
        log.records.sort_by_key(|(id, _)| *id);
        Ok(log)
    }

    fn scan(&mut self, number: u32, length: u64, preface: u64) {
        self.prefaces.push((number, preface));
        let blob = Segment { files: self.files.clone(), number, preface };
        let length = length.saturating_sub(preface).min(SEGMENT_MAX);
        let scan = scan(&blob, &self.key, number, length, false);
        match futures::executor::block_on(scan) {
            Ok(scanned) => {
                self.records.extend(scanned.records);
                if scanned.failed_reads > 0 {
                    self.unreadable.push(format!("{} places of segment {number:08x}", scanned.failed_reads));
                }
            }
            Err(error) => self.unreadable.push(format!("segment {number:08x}: {error}")),
        }
    }

    /// Records that it seems to have, shards and pages alike.
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// Its shard of a chunk.
    pub fn shard(&self, chunk: &Digest) -> Found<BareShard> {
        self.find(chunk, Kind::Shard, |record| {
            let (index, bytes) = (usize::from(record.record.index), record.record.payload);
            Some(BareShard { index, opening: record.opening?, bytes })
        })
    }

    /// A manifest page.
    pub fn page(&self, id: &Digest) -> Found<Page> {
        self.find(id, Kind::Page, |record| Page::decode(record.record.payload).ok())
    }

    fn find<T>(&self, id: &Digest, kind: Kind, open: impl Fn(CheckedRecord) -> Option<T>) -> Found<T> {
        let from = self.records.partition_point(|(other, _)| other < id);
        let same = self.records[from..].iter().take_while(|(other, _)| other == id);
        let mut found = Found::Nothing;
        for (_, location) in same.filter(|(_, location)| location.kind() == kind) {
            match self.read(*id, *location).and_then(&open) {
                Some(whole) => return Found::Whole(whole),
                None => found = Found::Damaged,
            }
        }
        found
    }

    fn read(&self, id: Digest, location: Location) -> Option<CheckedRecord> {
        let at = self.prefaces.binary_search_by_key(&location.segment, |(number, _)| *number).ok()?;
        let offset = location.offset();
        let mut bytes = vec![0; location.header(id).length()];
        self.files.read_at(location.segment, self.prefaces[at].1 + offset, &mut bytes).ok()?;
        let record = CheckedRecord::new(&self.key, location.segment, offset, bytes.into())?;
        (record.record.id == id).then_some(record)
    }
}

/// A segment for the scan, which only reads it.
struct Segment<F> {
    files: Arc<F>,
    number: u32,
    preface: u64,
}

impl<F: Files> Blob for Segment<F> {
    async fn read_at_buf(
        &self,
        offset: u64,
        length: usize,
        _: impl Into<IoBufsMut> + Send,
        options: ReadOptions,
    ) -> Result<IoBufsMut, Error> {
        self.read_at(offset, length, options).await
    }

    async fn read_at(&self, offset: u64, length: usize, _: ReadOptions) -> Result<IoBufsMut, Error> {
        let mut bytes = vec![0; length];
        let read = self.files.read_at(self.number, self.preface + offset, &mut bytes);
        read.map_err(|_| Error::ReadFailed)?;
        Ok(bytes.into())
    }

    async fn write_at(&self, _: u64, _: impl Into<IoBufs> + Send, _: WriteOptions) -> Result<(), Error> {
        Err(Error::WriteFailed)
    }

    async fn resize(&self, _: u64) -> Result<(), Error> {
        Err(Error::WriteFailed)
    }

    async fn sync(&self) -> Result<(), Error> {
        Err(Error::WriteFailed)
    }

    async fn start_sync(&self) -> Handle<()> {
        Handle::ready(Err(Error::WriteFailed))
    }
}
