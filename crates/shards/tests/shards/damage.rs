//! Disks that lie: failed syncs and writes, rotten bits.

use crate::{PARTITION, append, chunk, manifest, open, page, paged, read};
use blob::EncodedChunk;
use bytes::Bytes;
use commonware_runtime::{
    Blob as _, ReadOptions, Runner as _, Storage as _, WriteOptions,
    deterministic::{self, Checkpoint, FaultConfig, PartialWriteMode, WriteConfig},
};
use commonware_utils::probability;
use proof::wire::Encode as _;
use shards::StoreError;

fn set(context: &deterministic::Context, faults: FaultConfig) {
    *context.storage_fault_config().write() = faults;
}

#[test]
fn after_a_failed_sync_nothing_is_claimed_any_more() {
    let (first, checkpoint) = deterministic::Runner::default().start_and_recover(|context| async move {
        let store = open(&context).await.unwrap();
        let (first, second) = (chunk(1, 1000), chunk(2, 1000));
        append(&store, &first).await.unwrap();
        store.sync().await.unwrap();
        append(&store, &second).await.unwrap();
        set(&context, FaultConfig::default().sync(probability!(1.0)));
        let failed = store.sync().await.unwrap_err();
        assert!(matches!(failed, StoreError::Failed(_)));
        set(&context, FaultConfig::default());
        assert_eq!(store.sync().await, Err(failed.clone()));
        assert_eq!(append(&store, &chunk(3, 1000)).await, Err(failed.clone()));
        assert_eq!(append(&store, &second).await, Err(failed.clone()));
        assert_eq!(store.read(&first.id).await, Err(failed.clone()));
        assert_eq!(store.missing(&manifest(&[first.id])).await, Err(failed.clone()));
        assert_eq!(store.reference(1, &[manifest(&[first.id])]).await, Err(failed));
        first
    });
    deterministic::Runner::from(checkpoint).start(|context| async move {
        assert!(read(&open(&context).await.unwrap(), &first).await.is_some());
    });
}

#[test]
fn after_a_failed_write_the_store_stops() {
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        append(&store, &chunk(1, 1000)).await.unwrap();
        let (failure_rate, retention_rate) = (probability!(1.0), probability!(0.5));
        let mode = PartialWriteMode::Prefix;
        set(&context, FaultConfig::default().write(WriteConfig { failure_rate, retention_rate, mode }));
        let failed = append(&store, &chunk(2, 1000)).await.unwrap_err();
        assert!(matches!(failed, StoreError::Failed(_)));
        set(&context, FaultConfig::default());
        assert_eq!(store.sync().await, Err(failed));
    });
}

/// Random failures of writes and syncs: what a sync that succeeded covered is there.
#[test]
fn failing_disks_lose_nothing_that_was_synced() {
    for seed in 0..40 {
        let write = WriteConfig {
            failure_rate: probability!(1, 50),
            retention_rate: probability!(0.5),
            mode: PartialWriteMode::Subset,
        };
        let faults = FaultConfig::default().write(write).sync(probability!(1, 10));
        let config = deterministic::Config::default().with_seed(seed).with_storage_fault_config(faults);
        let (synced, checkpoint) =
            deterministic::Runner::new(config).start_and_recover(|context| async move {
                let (mut written, mut synced) = (Vec::new(), Vec::new());
                let Ok(store) = open(&context).await else { return synced };
                for number in 0..60 {
                    let chunk = chunk(number, 70_000);
                    if append(&store, &chunk).await.is_err() {
                        break;
                    }
                    written.push(chunk);
                    if number % 5 == 4 {
                        if store.sync().await.is_err() {
                            break;
                        }
                        synced = written.clone();
                    }
                }
                synced
            });
        deterministic::Runner::from(checkpoint).start(|context| async move {
            set(&context, FaultConfig::default());
            let store = open(&context).await.unwrap();
            for chunk in &synced {
                assert!(read(&store, chunk).await.is_some(), "seed {seed}");
            }
        });
    }
}

/// A segment's bytes on disk.
async fn contents(context: &deterministic::Context, name: &[u8]) -> Bytes {
    let (blob, size) = context.open(PARTITION, name).await.unwrap();
    blob.read_at(0, size as usize, ReadOptions::default()).await.unwrap().coalesce().freeze().into()
}

/// Where `needle` is in a segment on disk.
pub(crate) async fn find(context: &deterministic::Context, needle: &[u8]) -> (Vec<u8>, u64) {
    for name in context.scan(PARTITION).await.unwrap() {
        let bytes = contents(context, &name).await;
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            return (name, at as u64);
        }
    }
    panic!("not on disk");
}

pub(crate) async fn rot(context: &deterministic::Context, name: &[u8], offset: u64) {
    let (blob, _) = context.open(PARTITION, name).await.unwrap();
    let byte = blob.read_at(offset, 1, ReadOptions::default()).await.unwrap().coalesce().as_ref()[0];
    blob.write_at(offset, vec![byte ^ 4], WriteOptions::default()).await.unwrap();
    blob.sync().await.unwrap();
}

/// Twelve synced chunks over several sealed segments.
pub(crate) fn filled() -> (Vec<EncodedChunk>, Checkpoint) {
    let (chunks, checkpoint) = deterministic::Runner::default().start_and_recover(|context| async move {
        let store = open(&context).await.unwrap();
        let chunks: Vec<_> = (0..12).map(|number| chunk(number, 1 << 20)).collect();
        for chunk in &chunks {
            append(&store, chunk).await.unwrap();
        }
        store.sync().await.unwrap();
        chunks
    });
    // A restart and a new segment: from now on the older ones are trusted by their headers.
    let ((), checkpoint) = deterministic::Runner::from(checkpoint).start_and_recover(|context| async move {
        let store = open(&context).await.unwrap();
        append(&store, &chunk(99, 1 << 20)).await.unwrap();
        store.sync().await.unwrap();
    });
    (chunks, checkpoint)
}

#[test]
fn rotten_payloads_are_never_served() {
    let (chunks, checkpoint) = filled();
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let needle = &chunks[3].shards[1][1000..1064];
        let (name, at) = find(&context, needle).await;
        rot(&context, &name, at).await;
        let store = open(&context).await.unwrap();
        store.reference(1, &[manifest(&[chunks[3].id])]).await.unwrap();
        assert_eq!(store.status().missing, 0);
        assert_eq!(store.read(&chunks[3].id).await, Err(StoreError::Damaged(chunks[3].id)));
        let status = store.status();
        assert_eq!((status.damaged, status.missing), (1, 1));
        assert_eq!(store.lacking(None, 10), [chunks[3].id]);
        assert_eq!(store.read(&chunks[3].id).await, Ok(None));
        assert_eq!(store.missing(&manifest(&[chunks[3].id])).await.unwrap().chunks[..], [chunks[3].id]);
        append(&store, &chunks[3]).await.unwrap();
        for chunk in &chunks {
            assert!(read(&store, chunk).await.is_some(), "healed, and the others are as they were");
        }
        assert_eq!(store.status().missing, 0);
    });
}

#[test]
fn a_rotten_record_header_costs_that_record_only() {
    let (chunks, checkpoint) = filled();
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let (name, at) = find(&context, &chunks[5].id.0).await;
        rot(&context, &name, at).await;
        let store = open(&context).await.unwrap();
        for (number, chunk) in chunks.iter().enumerate() {
            assert_eq!(read(&store, chunk).await.is_some(), number != 5);
        }
    });
}

#[test]
fn segment_headers_may_rot() {
    let (chunks, checkpoint) = filled();
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let names = context.scan(PARTITION).await.unwrap();
        rot(&context, &names[0], 30).await;
        rot(&context, &names[1], 30).await;
        rot(&context, &names[1], 4096 + 30).await;
        let store = open(&context).await.unwrap();
        for chunk in &chunks {
            assert!(read(&store, chunk).await.is_some());
        }
    });
    let (_, checkpoint) = filled();
    deterministic::Runner::from(checkpoint).start(|context| async move {
        for name in context.scan(PARTITION).await.unwrap() {
            rot(&context, &name, 30).await;
            rot(&context, &name, 4096 + 30).await;
        }
        // Never an empty store where there was one.
        assert!(matches!(open(&context).await, Err(StoreError::Unusable(_))));
    });
}

/// A reference that is lost takes back the height, and with it the claim to know what is used.
#[test]
fn a_rotten_reference_is_passed_again() {
    let (chunks, checkpoint) = deterministic::Runner::default().start_and_recover(|context| async move {
        let store = open(&context).await.unwrap();
        let chunks: Vec<_> = (0..3).map(|number| chunk(number, 1000)).collect();
        for (height, chunk) in chunks.iter().enumerate() {
            append(&store, chunk).await.unwrap();
            store.reference(height as u64 + 1, &[manifest(&[chunk.id])]).await.unwrap();
            // Writes the reference.
            store.collect(std::time::SystemTime::UNIX_EPOCH).await.unwrap();
        }
        let listing = page(&[chunks[0].id]);
        store.put_page(listing.encode()).await.unwrap();
        store.reference(4, &[paged(&[listing])]).await.unwrap();
        store.collect(std::time::SystemTime::UNIX_EPOCH).await.unwrap();
        chunks
    });
    deterministic::Runner::from(checkpoint).start(|context| async move {
        // The second place of the id: the first is its shard's record.
        for name in context.scan(PARTITION).await.unwrap() {
            let bytes = contents(&context, &name).await;
            let places = bytes.windows(32).enumerate().filter(|(_, window)| *window == chunks[1].id.0);
            let at = places.map(|(at, _)| at as u64).nth(1).expect("the reference names it");
            rot(&context, &name, at).await;
        }
        let store = open(&context).await.unwrap();
        let status = store.status();
        assert_eq!((store.referenced_height(), status.pending), (1, 3), "chunks 1 and 2, and the page");
        for height in 2..=3 {
            let manifest = manifest(&[chunks[height as usize - 1].id]);
            store.reference(height, &[manifest]).await.unwrap();
        }
        assert_eq!(store.status().pending, 1);
    });
}
