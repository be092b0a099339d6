//! Opening a store, after a crash too.
//!
//! Each segment is scanned from its first record. Where a slot has a record's header with the right checksum, the
//! record's length is known and the scan goes on behind it; otherwise at the next slot. So a hole (a place that was
//! given out but never written, or whose header was torn) hides no record behind it, and nothing inside a payload can
//! be taken for a record.
//!
//! Every segment header says below which number all segments were synced when it was begun. Records there are complete
//! as far as the disk keeps what it synced: their headers are checked now, their payloads when they are read. Of the
//! other segments, which are the last two or three, payloads are checked too, and torn records are erased: later scans
//! may then trust headers alone. Those segments are cut to their length and synced, because a crash of the program,
//! unlike one of the machine, leaves whole records in the page cache that no sync has covered. Only then is the store
//! open, so whatever it holds is durable. The next record goes to a new segment.
//!
//! A sync that failed before the restart may have left records in the page cache that are not on disk and that no later
//! sync writes. So those segments are synced before they are checked too, and payloads are read past the page cache.
//! Where the file system knows no direct I/O they are read from it, and such a record is found out later, as rot is.
//!
//! What cannot be read counts as lost. In a segment that is checked it is erased like what is torn, because it is not
//! known to be whole if it can be read again later; in others it is left as it is.
//!
//! Recovery may itself be cut short anywhere and start again.

use crate::store::{
    Context, StoreConfig, StoreError,
    index::{Index, Location},
    record::{CheckedRecord, Kind, RECORDS_START, RecordHeader, SLOT, SegmentHeader, erased},
};
use bytes::Bytes;
use commonware_runtime::{Blob, Error, ReadOptions, WriteOptions};
use commonware_utils::SystemTimeExt;
use futures::{StreamExt, stream};
use proof::Digest;
use std::{collections::BTreeMap, sync::Arc};

/// Segments scanned at the same time.
const CONCURRENT_SCANS: usize = 8;
/// Bytes read at once where no record is found.
const WINDOW: u64 = 1 << 20;
/// Reads that may fail in a segment whose payloads are checked: bad places cost what is there. More is a disk that
/// fails, and perhaps only for now.
const UNREADABLE_MAX: u64 = 64;

/// A store's contents.
pub(crate) struct Recovered<B> {
    pub(crate) key: [u8; 32],
    pub(crate) index: Index,
    pub(crate) segments: BTreeMap<u32, Arc<B>>,
    /// The reference records.
    pub(crate) references: Vec<(Digest, Location)>,
    pub(crate) next_segment: u32,
    /// Reads that failed.
    pub(crate) damaged: u64,
}

/// A segment as it was found.
struct Found<B> {
    number: u32,
    blob: Arc<B>,
    size: u64,
    header: Option<SegmentHeader>,
    /// Part of the header could not be read.
    unreadable: bool,
}

/// What a scan saw.
#[derive(Default)]
pub(crate) struct Scanned {
    pub(crate) records: Vec<(Digest, Location)>,
    /// Offsets of records whose payload is not whole, and of slots that cannot be read, where both are to be erased.
    torn: Vec<u64>,
    /// The end of the last record.
    end: u64,
    pub(crate) failed_reads: u64,
}

/// Reads the store's segments and makes what they hold durable.
pub(crate) async fn recover<E: Context>(
    context: &mut E,
    config: &StoreConfig,
) -> Result<Recovered<E::Blob>, StoreError> {
    let now_ms = context.current().epoch_millis();
    let found = find(context, config).await?;
    let next_segment = found.last().map_or(0, |segment| segment.number.saturating_add(1));
    let mut recovered = Recovered {
        key: key(context, &found).await?,
        index: Index::default(),
        segments: BTreeMap::new(),
        references: Vec::new(),
        next_segment,
        damaged: 0,
    };
    let key = recovered.key;
    let headers = found.iter().filter_map(|segment| segment.header.as_ref());
    let sealed_below = headers.map(|header| header.sealed_below).max().unwrap_or(0);

    let mut scans = stream::iter(found)
        .map(|segment| async move {
            let check = segment.number >= sealed_below;
            if check {
                // The runtime syncs only what it has changed.
                segment.blob.resize(segment.size).await?;
                segment.blob.sync().await?;
            }
            let scanned = scan(&*segment.blob, &key, segment.number, segment.size, check).await?;
            if check {
                settle(&*segment.blob, &scanned).await?;
            }
            Ok::<_, Error>((segment, scanned))
        })
        .buffered(CONCURRENT_SCANS);
    while let Some(scan) = scans.next().await {
        let (segment, scanned) = scan.map_err(unusable)?;
        let number = segment.number;
        let is_suspect = scanned.failed_reads > 0 && number < sealed_below;
        recovered.damaged += scanned.failed_reads;
        if scanned.records.is_empty() && !is_suspect {
            drop(segment);
            context.remove(&config.partition, Some(&number.to_be_bytes())).await.map_err(unusable)?;
            continue;
        }
        recovered.add(segment, scanned, now_ms);
        if is_suspect {
            recovered.index.suspect(number);
        }
    }
    drop(scans);
    Ok(recovered)
}

impl<B> Recovered<B> {
    fn add(&mut self, segment: Found<B>, scanned: Scanned, now_ms: u64) {
        self.segments.insert(segment.number, segment.blob);
        self.index.reserve(segment.number, scanned.end);
        self.index.seal(segment.number);
        for (id, location) in scanned.records {
            // Of two copies the later segment's counts: it was checked last.
            self.index.insert(id, location, now_ms);
            if location.kind() == Kind::Reference {
                self.references.retain(|(other, _)| *other != id);
                self.references.push((id, location));
            }
        }
    }
}

/// Opens all segments, in the order of their numbers.
async fn find<E: Context>(context: &E, config: &StoreConfig) -> Result<Vec<Found<E::Blob>>, StoreError> {
    let names = match context.scan(&config.partition).await {
        Ok(names) => names,
        Err(Error::PartitionMissing(_)) => Vec::new(),
        Err(error) => return Err(unusable(error)),
    };
    let mut found = Vec::new();
    for name in names {
        let Ok(number) = <[u8; 4]>::try_from(name.as_slice()).map(u32::from_be_bytes) else {
            return Err(StoreError::Unusable(
                format!("a file of {} has no segment's name", config.partition).into(),
            ));
        };
        let (blob, size) = context.open(&config.partition, &name).await.map_err(unusable)?;
        let (mut header, mut unreadable) = (None, false);
        for offset in [0, SLOT] {
            if size >= RECORDS_START && header.is_none() {
                match read(&blob, offset, SLOT).await {
                    Ok(slot) => header = SegmentHeader::decode(number, &slot),
                    Err(_) => unreadable = true,
                }
            }
        }
        found.push(Found { number, blob: Arc::new(blob), size, header, unreadable });
    }
    found.sort_by_key(|segment| segment.number);
    Ok(found)
}

/// The store key, drawn if there is none yet.
async fn key<E: Context>(context: &mut E, found: &[Found<E::Blob>]) -> Result<[u8; 32], StoreError> {
    let mut keys: Vec<_> =
        found.iter().filter_map(|segment| segment.header.as_ref().map(|header| header.key)).collect();
    keys.sort_unstable();
    keys.dedup();
    match keys[..] {
        [key] => Ok(key),
        [] => {
            // Headers are synced before any record is written, so without a header there must be no record.
            for segment in found {
                if segment.unreadable {
                    return Err(StoreError::Unusable("no segment header can be read".into()));
                }
                if segment.size > RECORDS_START {
                    let window = (segment.size - RECORDS_START).min(WINDOW);
                    let bytes = read(&*segment.blob, RECORDS_START, window).await.map_err(unusable)?;
                    if bytes.iter().any(|byte| *byte != 0) {
                        return Err(StoreError::Unusable("no segment header is whole".into()));
                    }
                }
            }
            let mut key = [0; 32];
            context.fill_bytes(&mut key);
            Ok(key)
        }
        _ => Err(StoreError::Unusable("the segments are of different stores".into())),
    }
}

/// Finds the records of a segment; with `check`, their payloads are checked.
pub(crate) async fn scan<B: Blob>(
    blob: &B,
    key: &[u8; 32],
    number: u32,
    size: u64,
    check: bool,
) -> Result<Scanned, Error> {
    let mut scanned = Scanned { end: RECORDS_START, ..Scanned::default() };
    let mut offset = RECORDS_START;
    // A window read where there was no record, and where it starts.
    let mut window = (0, Bytes::new());
    let mut next_read = SLOT;
    while offset + SLOT <= size {
        let at = offset.checked_sub(window.0).and_then(|at| usize::try_from(at).ok());
        let slot = at
            .filter(|at| at + SLOT as usize <= window.1.len())
            .map(|at| window.1.slice(at..at + SLOT as usize));
        let Some(slot) = slot else {
            let length = next_read.min((size - offset) / SLOT * SLOT);
            window = match read(blob, offset, length).await {
                Ok(bytes) => (offset, bytes),
                Err(_) if length > SLOT => {
                    next_read = SLOT;
                    continue;
                }
                Err(error) => {
                    scanned.note_unreadable(offset, check, error)?;
                    offset += SLOT;
                    continue;
                }
            };
            continue;
        };
        let header = RecordHeader::decode(key, number, offset, &slot);
        let Some(header) = header.filter(|header| offset + header.extent() <= size.next_multiple_of(SLOT))
        else {
            offset += SLOT;
            next_read = WINDOW;
            continue;
        };
        let length = header.length() as u64;
        let whole = if check && offset + length <= size {
            match read_with(blob, offset, length, ReadOptions::DONT_CACHE).await {
                Ok(bytes) => CheckedRecord::new(key, number, offset, bytes).is_some(),
                Err(error) => {
                    scanned.note_unreadable(offset, check, error)?;
                    // On to the slots that are the reason.
                    offset += SLOT;
                    next_read = SLOT;
                    continue;
                }
            }
        } else {
            !check
        };
        if whole {
            scanned.records.push((header.id, Location::new(number, offset, &header)));
            scanned.end = offset + header.extent();
        } else {
            scanned.torn.push(offset);
        }
        offset += header.extent();
        next_read = SLOT;
    }
    Ok(scanned)
}

impl Scanned {
    /// Notes what cannot be read.
    fn note_unreadable(&mut self, offset: u64, check: bool, error: Error) -> Result<(), Error> {
        self.failed_reads += 1;
        if check {
            self.torn.push(offset);
            if self.failed_reads > UNREADABLE_MAX {
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Erases torn records, cuts the segment to its length and syncs it.
async fn settle<B: Blob>(blob: &B, scanned: &Scanned) -> Result<(), Error> {
    for offset in scanned.torn.iter().filter(|offset| **offset < scanned.end) {
        blob.write_at(*offset, erased(), WriteOptions::default()).await?;
    }
    blob.resize(scanned.end).await?;
    blob.sync().await
}

async fn read<B: Blob>(blob: &B, offset: u64, length: u64) -> Result<Bytes, Error> {
    read_with(blob, offset, length, ReadOptions::default()).await
}

async fn read_with<B: Blob>(
    blob: &B,
    offset: u64,
    length: u64,
    options: ReadOptions,
) -> Result<Bytes, Error> {
    let length = usize::try_from(length).expect("at most a window or a record");
    let mut bytes = blob.read_at(offset, length, options).await;
    if bytes.is_err() {
        bytes = blob.read_at(offset, length, options).await;
    }
    Ok(bytes?.coalesce().freeze().into())
}

fn unusable(error: Error) -> StoreError {
    StoreError::Unusable(error.to_string().into())
}
