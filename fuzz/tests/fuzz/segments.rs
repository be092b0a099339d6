//! A shard log opened on segments of any bytes: it opens or says why not, gives out only what its id names, and goes on
//! working.
//!
//! An input is a flag and then slots, each `segment u8, length u16, bytes`: the bytes, filled up with zeros, become the
//! segment's next slot of 4 KiB. With an odd flag checksums are made right again after the damage, so that what lies
//! behind them is reached. The layout is written down here once more, from FORMATS.md.

use blob::{Code, EncodedChunk};
use bytes::Bytes;
use commonware_runtime::{
    Blob as _, ReadOptions, Runner as _, Storage as _, Supervisor as _, WriteOptions, deterministic,
};
use fuzz::fuzz;
use proof::{
    Digest, Manifest,
    manifest::{Page, SealedKey, Segment, page_id},
    wire::{Encode as _, List},
};
use shards::{ShardStore, StoreConfig, StoreError};
use std::collections::BTreeMap;

const PARTITION: &str = "shards";
const SLOT: usize = 4096;
/// Segments and slots that an input may have; what follows is ignored.
const SEGMENTS_MAX: u8 = 8;
const SLOTS_MAX: usize = 64;

type Segments = BTreeMap<u32, Vec<u8>>;
type Store = ShardStore<deterministic::Context>;

fn chunk(number: u8) -> EncodedChunk {
    Code::new(2, 4).expect("a code").encode(&[number; 100])
}

fn page() -> Page {
    let chunks = List::new(vec![chunk(1).id]).expect("one");
    let segment = Segment { sealed_key: SealedKey([7; 48]), first_chunk: 0, length: 84, chunks };
    Page::new(vec![segment]).expect("a page")
}

async fn open(context: &deterministic::Context) -> Result<Store, StoreError> {
    let config = StoreConfig { segment_bytes: 2 << 20, ..StoreConfig::new(PARTITION) };
    ShardStore::open(context.child("store"), config).await
}

async fn append(store: &Store, number: u8) -> Result<(), StoreError> {
    let chunk = chunk(number);
    store.append(&chunk.opening, 1, chunk.shards[1].clone()).await
}

/// The segments of a store that was opened twice: settled ones, and one with room at its end.
fn valid() -> Segments {
    let ((), checkpoint) = deterministic::Runner::default().start_and_recover(|context| async move {
        let store = open(&context).await.expect("a new store opens");
        append(&store, 1).await.expect("there is room");
        store.put_page(page().encode()).await.expect("there is room");
        store.sync().await.expect("the disk is well");
        store.reference(7, &[Manifest::Direct(page())]).await.expect("there is room");
        append(&store, 2).await.expect("there is room");
        store.sync().await.expect("the disk is well");
    });
    let ((), checkpoint) = deterministic::Runner::from(checkpoint).start_and_recover(|context| async move {
        let store = open(&context).await.expect("a store opens again");
        append(&store, 3).await.expect("there is room");
        store.sync().await.expect("the disk is well");
    });
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let mut segments = Segments::new();
        for name in context.scan(PARTITION).await.expect("there are segments") {
            let number = u32::from_be_bytes(name.as_slice().try_into().expect("a number"));
            let (blob, size) = context.open(PARTITION, &name).await.expect("it opens");
            let bytes = blob.read_at(0, size as usize, ReadOptions::default()).await.expect("it reads");
            segments.insert(number, bytes.coalesce().as_ref().to_vec());
        }
        segments
    })
}

fn to_input(flag: u8, segments: &Segments) -> Vec<u8> {
    let mut input = vec![flag];
    for (number, bytes) in segments {
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for slot in bytes[..end].chunks(SLOT) {
            let length = slot.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            input.push(*number as u8);
            input.extend_from_slice(&(length as u16).to_be_bytes());
            input.extend_from_slice(&slot[..length]);
        }
    }
    input
}

fn from_input(input: &[u8]) -> Segments {
    let mut segments = Segments::new();
    let Some((flag, mut rest)) = input.split_first() else { return segments };
    for _ in 0..SLOTS_MAX {
        let Some(([segment, high, low], behind)) = rest.split_first_chunk() else { break };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(SLOT).min(behind.len());
        let (bytes, behind) = behind.split_at(length);
        let slots = segments.entry(u32::from(segment % SEGMENTS_MAX)).or_default();
        slots.extend_from_slice(bytes);
        slots.resize(slots.len().next_multiple_of(SLOT), 0);
        rest = behind;
    }
    if flag % 2 == 1 {
        let key = segments
            .values()
            .find_map(|bytes| bytes.get(24..56))
            .map(|key| key.try_into().expect("32 bytes"));
        if let Some(key) = key {
            segments.iter_mut().for_each(|(number, bytes)| make_right(*number, bytes, &key));
        }
    }
    segments
}

/// Gives headers their place, the store key and the right checksum.
fn make_right(number: u32, bytes: &mut [u8], key: &[u8; 32]) {
    for (at, slot) in bytes.chunks_exact_mut(SLOT).enumerate() {
        let place = [u64::from(number).to_be_bytes(), ((at * SLOT) as u64).to_be_bytes()].concat();
        if slot.starts_with(b"OUTSEG01") {
            slot[8..16].copy_from_slice(&place[..8]);
            slot[24..56].copy_from_slice(key);
            let checksum = blake3::derive_key("outlast 2026-11 shard log segment v1", &slot[..56]);
            slot[56..88].copy_from_slice(&checksum);
        } else if slot.starts_with(b"OUTREC01") {
            slot[8..24].copy_from_slice(&place);
            let opening = usize::from(u16::from_be_bytes([slot[26], slot[27]]));
            let Some(opening) = slot.get(96..96 + opening) else { continue };
            let checksum =
                *blake3::Hasher::new_keyed(key).update(&slot[..64]).update(opening).finalize().as_bytes();
            slot[64..96].copy_from_slice(&checksum);
        }
    }
}

/// Ids that records name, as far as their place can be told.
fn ids(segments: &Segments) -> Vec<Digest> {
    let slots = segments.values().flat_map(|bytes| bytes.chunks_exact(SLOT));
    slots
        .filter(|slot| slot.starts_with(b"OUTREC01"))
        .map(|slot| Digest(slot[32..64].try_into().expect("32 bytes")))
        .collect()
}

#[test]
fn segments() {
    let seeds =
        [("settled".to_owned(), to_input(0, &valid())), ("made right".to_owned(), to_input(1, &valid()))];
    fuzz!("segments", seeds, |input: &[u8]| {
        let segments = from_input(input);
        let (opened, checkpoint) = deterministic::Runner::default().start_and_recover(|context| async move {
            write(&context, &segments).await;
            match open(&context).await {
                Ok(store) => {
                    check_contents(&store, &ids(&segments)).await;
                    check_goes_on(&store).await
                }
                Err(StoreError::Unusable(_)) => false,
                Err(error) => panic!("opening failed: {error}"),
            }
        });
        if opened {
            deterministic::Runner::from(checkpoint).start(|context| async move {
                let store = open(&context).await.expect("what it wrote itself it reads");
                let shard = store.read(&chunk(9).id).await.expect("the disk is well").expect("it was synced");
                assert_eq!(shard.bytes, chunk(9).shards[1]);
            });
        }
    });
}

async fn write(context: &deterministic::Context, segments: &Segments) {
    for (number, bytes) in segments {
        let (blob, _) = context.open(PARTITION, &number.to_be_bytes()).await.expect("it opens");
        blob.write_at(0, bytes.clone(), WriteOptions::default()).await.expect("the disk is well");
        blob.sync().await.expect("the disk is well");
    }
}

/// What is given out is what its id names; what is damaged is not held from then on.
async fn check_contents(store: &Store, ids: &[Digest]) {
    for id in ids {
        match store.read(id).await {
            Ok(Some(shard)) => {
                assert_eq!(shard.opening.id(), *id);
                let hash = shard.opening.shards[usize::from(shard.index)];
                assert_eq!(*blake3::hash(&shard.bytes).as_bytes(), hash.0);
            }
            Ok(None) => {}
            Err(StoreError::Damaged(_)) => {
                assert!(!matches!(store.read(id).await, Ok(Some(_))), "damaged and yet held");
            }
            Err(error) => panic!("reading failed: {error}"),
        }
        match store.read_page(id).await {
            Ok(page) => assert!(page.is_none_or(|page| page_id(&page) == *id)),
            Err(StoreError::Damaged(_)) => {}
            Err(error) => panic!("reading failed: {error}"),
        }
    }
    store.lacking(None, 100);
    store.status();
}

/// The store takes new records. Whether it had a chance: numbers of segments can be used up.
async fn check_goes_on(store: &Store) -> bool {
    append(store, 9).await.expect("there is room");
    store.sync().await.expect("the disk is well");
    let shard = store.read(&chunk(9).id).await.expect("the disk is well").expect("it was appended");
    let bytes: Bytes = shard.bytes;
    assert_eq!(bytes, chunk(9).shards[1]);
    true
}
