//! Reading a log's files without a store.

use crate::{PARTITION, append, chunk, code, open, page};
use blob::EncodedChunk;
use bytes::Bytes;
use commonware_runtime::{Blob as _, ReadOptions, Runner as _, Storage as _, deterministic};
use proof::wire::Encode as _;
use shards::bare::{Files, Found, Log, NoHeader};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

/// Segments by their numbers, behind as many bytes as a runtime may put there.
#[derive(Clone)]
struct Disk {
    files: Arc<Mutex<BTreeMap<u32, Vec<u8>>>>,
}

impl Files for Disk {
    fn read_at(&self, segment: u32, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let files = self.files.lock().unwrap();
        let file = files.get(&segment).ok_or(io::ErrorKind::NotFound)?;
        let from = usize::try_from(offset).unwrap();
        let bytes = file.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

impl Disk {
    fn open(&self) -> Result<Log<Self>, NoHeader> {
        let files = self.files.lock().unwrap();
        let segments: Vec<_> = files.iter().map(|(number, bytes)| (*number, bytes.len() as u64)).collect();
        drop(files);
        Log::open(self.clone(), &segments)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u32, Vec<u8>>)) {
        change(&mut self.files.lock().unwrap());
    }
}

/// The files of a store with these chunks' shards of node 1, and a page of them all.
fn stored(chunks: &[EncodedChunk], preface: usize) -> Disk {
    let chunks = chunks.to_vec();
    let ((), checkpoint) = deterministic::Runner::default().start_and_recover(|context| async move {
        let store = open(&context).await.unwrap();
        for chunk in &chunks {
            append(&store, chunk).await.unwrap();
        }
        let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
        store.put_page(page(&ids).encode()).await.unwrap();
        store.sync().await.unwrap();
    });
    // The files are the store's alone while it is open.
    let files = deterministic::Runner::from(checkpoint).start(|context| async move {
        let mut files = BTreeMap::new();
        for name in context.scan(PARTITION).await.unwrap() {
            let number = u32::from_be_bytes(name.as_slice().try_into().unwrap());
            let (blob, size) = context.open(PARTITION, &name).await.unwrap();
            let bytes = blob.read_at(0, size as usize, ReadOptions::default()).await.unwrap();
            let bytes: Bytes = bytes.coalesce().freeze().into();
            files.insert(number, [vec![0xaa; preface], bytes.to_vec()].concat());
        }
        files
    });
    Disk { files: Arc::new(Mutex::new(files)) }
}

fn chunks() -> Vec<EncodedChunk> {
    (0..12).map(|number| chunk(number, 500_000)).collect()
}

/// How many of the chunks' shards are whole, damaged, and not there. What is whole is right.
fn found(log: &Log<Disk>, chunks: &[EncodedChunk]) -> (usize, usize, usize) {
    let mut counts = (0, 0, 0);
    for chunk in chunks {
        match log.shard(&chunk.id) {
            Found::Whole(shard) => {
                assert_eq!((&shard.opening, &shard.bytes), (&chunk.opening, &chunk.shards[shard.index]));
                code().check_shard(&shard.opening, shard.index, shard.bytes).unwrap();
                counts.0 += 1;
            }
            Found::Damaged => counts.1 += 1,
            Found::Nothing => counts.2 += 1,
        }
    }
    counts
}

#[test]
fn all_that_was_stored_is_found_behind_any_preface() {
    let chunks = chunks();
    for preface in [4096, 8, 0] {
        let disk = stored(&chunks, preface);
        assert!(disk.files.lock().unwrap().len() > 1, "several segments");
        let log = disk.open().unwrap();
        assert!(log.unreadable.is_empty(), "{:?}", log.unreadable);
        assert_eq!(found(&log, &chunks), (12, 0, 0));
        let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
        let Found::Whole(listed) = log.page(&page(&ids).id()) else { panic!("the page is there") };
        assert_eq!(listed, page(&ids));
        assert!(matches!(log.shard(&chunk(99, 10).id), Found::Nothing));
        assert!(matches!(log.page(&chunks[0].id), Found::Nothing), "a shard is no page");
    }
}

#[test]
fn a_damaged_file_gives_what_it_still_has_and_nothing_false() {
    let chunks = chunks();
    let clean = stored(&chunks, 4096);
    let first = |disk: &Disk, change: &dyn Fn(&mut Vec<u8>)| {
        disk.change(|files| change(files.values_mut().next().unwrap()));
    };
    // A byte of the first record's payload: header, opening and all other records are as they were.
    let disk = copy(&clean);
    first(&disk, &|bytes| bytes[4096 + 2 * 4096 + 3000] ^= 1);
    assert_eq!(found(&disk.open().unwrap(), &chunks), (11, 1, 0));
    // A byte of its header: nobody can tell that there was one.
    let disk = copy(&clean);
    first(&disk, &|bytes| bytes[4096 + 2 * 4096 + 40] ^= 1);
    assert_eq!(found(&disk.open().unwrap(), &chunks), (11, 0, 1));
    // Both headers of the segment: another segment knows the key.
    let disk = copy(&clean);
    first(&disk, &|bytes| bytes[4096..4096 + 2 * 4096].fill(0));
    let log = disk.open().unwrap();
    assert_eq!(found(&log, &chunks), (12, 0, 0));
    assert_eq!(log.unreadable.len(), 1);
    // Cut in the middle of a record, and lost as a whole.
    let disk = copy(&clean);
    first(&disk, &|bytes| bytes.truncate(4096 + 2 * 4096 + 100_000));
    let (whole, damaged, nothing) = found(&disk.open().unwrap(), &chunks);
    assert!(whole >= 4 && damaged + nothing >= 1 && whole + damaged + nothing == 12);
    let disk = copy(&clean);
    disk.change(|files| drop(files.pop_first()));
    let (whole, damaged, nothing) = found(&disk.open().unwrap(), &chunks);
    assert!(whole >= 4 && damaged == 0 && nothing >= 1);
    // Without any header there is nothing to begin with.
    let disk = copy(&clean);
    disk.change(|files| files.values_mut().for_each(|bytes| bytes[4096..4096 + 2 * 4096].fill(0)));
    assert_eq!(disk.open().err(), Some(NoHeader));
}

/// A segment of another node among them: its key is another, so it counts for nothing, and does no harm.
#[test]
fn a_segment_of_another_store_is_left_out() {
    let chunks = chunks();
    let disk = stored(&chunks[..4], 4096);
    let other = stored(&chunks[4..], 4096);
    let strange = other.files.lock().unwrap().values().next().unwrap().clone();
    disk.change(|files| drop(files.insert(77, strange)));
    let log = disk.open().unwrap();
    assert_eq!(found(&log, &chunks[..4]), (4, 0, 0));
    assert_eq!(log.unreadable.len(), 1, "{:?}", log.unreadable);
}

fn copy(disk: &Disk) -> Disk {
    Disk { files: Arc::new(Mutex::new(disk.files.lock().unwrap().clone())) }
}
