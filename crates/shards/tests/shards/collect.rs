//! What is dropped, what is kept, and how space comes back.

use crate::{Store, append, chunk, config, manifest, open, page, paged, read};
use blob::EncodedChunk;
use commonware_runtime::{
    Clock as _, Runner as _, Spawner as _, Supervisor as _,
    deterministic::{self, FaultConfig},
};
use commonware_utils::probability;
use proof::{Digest, wire::Encode as _};
use shards::{ShardStore, StoreConfig, StoreError};
use std::time::{Duration, SystemTime};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn only_what_is_old_and_unused_is_dropped() {
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        let [used, old, asked, young] = [1, 2, 3, 4].map(|number| chunk(number, 10_000));
        for chunk in [&used, &old, &asked] {
            append(&store, chunk).await.unwrap();
        }
        store.reference(1, &[manifest(&[used.id])]).await.unwrap();
        context.sleep(20 * HOUR).await;
        append(&store, &young).await.unwrap();
        assert!(store.missing(&manifest(&[asked.id])).await.unwrap().is_empty());
        assert_eq!(store.collect(context.current()).await.unwrap().expired, 0);
        context.sleep(5 * HOUR).await;
        assert_eq!(store.collect(context.current()).await.unwrap().expired, 1);
        assert!(read(&store, &old).await.is_none());
        for chunk in [&used, &asked, &young] {
            assert!(read(&store, chunk).await.is_some());
        }
        context.sleep(25 * HOUR).await;
        assert_eq!(store.collect(context.current()).await.unwrap().expired, 2);
        assert!(read(&store, &used).await.is_some());
        // What was dropped can be stored again.
        append(&store, &old).await.unwrap();
        assert!(read(&store, &old).await.is_some());
    });
}

#[test]
fn dead_segments_go_and_sparse_ones_are_rewritten() {
    let (used, checkpoint) = deterministic::Runner::default().start_and_recover(|context| async move {
        let store = open(&context).await.unwrap();
        let chunks: Vec<_> = (0..40).map(|number| chunk(number, 1 << 20)).collect();
        for chunk in &chunks {
            append(&store, chunk).await.unwrap();
        }
        let used: Vec<_> = chunks.iter().step_by(13).cloned().collect();
        let ids: Vec<_> = used.iter().map(|chunk| chunk.id).collect();
        store.reference(1, &[manifest(&ids)]).await.unwrap();
        context.sleep(25 * HOUR).await;
        let before = store.status();
        let mut collected = store.collect(context.current()).await.unwrap();
        assert_eq!(collected.expired, 36);
        while collected.copied > 0 || collected.removed_segments > 0 {
            collected = store.collect(context.current()).await.unwrap();
        }
        let after = store.status();
        assert!(
            after.bytes * 3 < before.bytes && after.segments * 3 < before.segments,
            "{before:?} {after:?}"
        );
        for chunk in &used {
            assert!(read(&store, chunk).await.is_some());
        }
        used
    });
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let store = open(&context).await.unwrap();
        assert_eq!((store.referenced_height(), store.status().pending), (1, 0), "references are kept too");
        for chunk in &used {
            assert!(read(&store, chunk).await.is_some());
        }
    });
}

/// Disks that fail in the middle of a collection: what is referenced is there afterwards.
#[test]
fn a_collection_may_fail_anywhere() {
    for seed in 0..40 {
        let config = deterministic::Config::default().with_seed(seed);
        let (used, checkpoint) = deterministic::Runner::new(config).start_and_recover(|context| async move {
            let store = open(&context).await.unwrap();
            let chunks: Vec<_> = (0..16).map(|number| chunk(number, 1 << 20)).collect();
            for chunk in &chunks {
                append(&store, chunk).await.unwrap();
            }
            let used: Vec<_> = chunks.iter().step_by(5).cloned().collect();
            let ids: Vec<_> = used.iter().map(|chunk| chunk.id).collect();
            store.reference(1, &[manifest(&ids)]).await.unwrap();
            store.sync().await.unwrap();
            context.sleep(25 * HOUR).await;
            let rate = probability!(1, 8);
            *context.storage_fault_config().write() =
                FaultConfig::default().sync(rate).open(rate).remove(rate).read(rate);
            for _ in 0..4 {
                let _ = store.collect(context.current()).await;
            }
            used
        });
        deterministic::Runner::from(checkpoint).start(|context| async move {
            *context.storage_fault_config().write() = FaultConfig::default();
            let store = open(&context).await.unwrap();
            for chunk in &used {
                assert!(read(&store, chunk).await.is_some(), "seed {seed}");
            }
        });
    }
}

#[test]
fn nothing_is_dropped_while_a_page_is_unknown() {
    let (kept, checkpoint) = deterministic::Runner::default().start_and_recover(|context| async move {
        let store = open(&context).await.unwrap();
        let (one, two) = (chunk(1, 1000), chunk(2, 1000));
        let listing = page(&[one.id]);
        for chunk in [&one, &two] {
            append(&store, chunk).await.unwrap();
        }
        store.reference(1, &[paged(std::slice::from_ref(&listing))]).await.unwrap();
        context.sleep(25 * HOUR).await;
        let collected = store.collect(context.current()).await.unwrap();
        assert_eq!((collected.suspended, collected.expired), (true, 0));
        assert_eq!((store.status().unresolved, store.status().missing), (1, 1));
        (one, two, listing)
    });
    // The restart knows it too.
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let (one, two, listing) = kept;
        let store = open(&context).await.unwrap();
        assert_eq!((store.referenced_height(), store.status().unresolved), (1, 1));
        context.sleep(25 * HOUR).await;
        assert!(store.collect(context.current()).await.unwrap().suspended);
        store.put_page(listing.encode()).await.unwrap();
        assert_eq!((store.status().unresolved, store.status().missing), (0, 0));
        let collected = store.collect(context.current()).await.unwrap();
        assert_eq!((collected.suspended, collected.expired), (false, 1));
        assert!(read(&store, &one).await.is_some() && read(&store, &two).await.is_none());
    });
}

/// A store that may take so many bytes.
async fn limited(context: &deterministic::Context, bytes_max: u64) -> Store {
    let config = StoreConfig { bytes_max: Some(bytes_max), ..config() };
    ShardStore::open(context.child("store"), config).await.unwrap()
}

/// Ids of a manifest whose chunks are not here.
fn elsewhere(height: u64, count: u64) -> Vec<Digest> {
    (0..count)
        .map(|number| Digest(*blake3::hash(&(height << 16 | number).to_be_bytes()).as_bytes()))
        .collect()
}

#[test]
fn a_full_store_goes_on_with_the_chain_and_frees_space() {
    let (used, checkpoint) = deterministic::Runner::default().start_and_recover(|context| async move {
        let store = limited(&context, 5 << 20).await;
        let mut held: Vec<EncodedChunk> = Vec::new();
        let refused = loop {
            let chunk = chunk(held.len() as u64, 1000);
            match append(&store, &chunk).await {
                Ok(()) => held.push(chunk),
                Err(error) => break error,
            }
        };
        assert_eq!(refused, StoreError::Full);
        let mut used = Vec::new();
        for height in 1..=2000 {
            let mut ids = elsewhere(height, 1);
            if let Some(chunk) = held.get(height as usize * 3) {
                ids.push(chunk.id);
                used.push(chunk.clone());
            }
            store.reference(height, &[manifest(&ids)]).await.unwrap();
        }
        // A page for which only the other nodes had room: its chunks are unknown here, until it is healed.
        let listing = page(&[held[1].id, held[2].id]);
        used.extend_from_slice(&held[1..3]);
        assert_eq!(store.put_page(listing.encode()).await, Err(StoreError::Full));
        store.reference(2001, &[paged(std::slice::from_ref(&listing))]).await.unwrap();
        assert_eq!(store.put_page(listing.encode()).await, Ok(listing.id()));

        context.sleep(25 * HOUR).await;
        let before = store.status().bytes;
        let mut collected = store.collect(context.current()).await.unwrap();
        assert_eq!((collected.suspended, collected.expired), (false, (held.len() - used.len()) as u64));
        assert!(collected.copied > 0, "{collected:?}");
        while collected.copied > 0 || collected.removed_segments > 0 {
            collected = store.collect(context.current()).await.unwrap();
        }
        assert!(store.status().bytes * 2 < before, "{before} {:?}", store.status());
        append(&store, &chunk(1 << 32, 1 << 20)).await.expect("there is room again");
        used
    });
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let store = limited(&context, 5 << 20).await;
        assert_eq!((store.referenced_height(), store.status().unresolved), (2001, 0));
        for chunk in &used {
            assert!(read(&store, chunk).await.is_some());
        }
    });
}

/// What is kept for references ends some time too. They wait in memory then, and nothing else stops.
#[test]
fn without_room_for_references_the_store_goes_on() {
    deterministic::Runner::default().start(|context| async move {
        let store = limited(&context, 3 << 20).await;
        let old = chunk(1, 1000);
        append(&store, &old).await.unwrap();
        let mut height = 0;
        let refused = loop {
            height += 1;
            let manifests: Vec<_> = elsewhere(height, 3000).chunks(1000).map(manifest).collect();
            if let Err(error) = store.reference(height, &manifests).await {
                break error;
            }
        };
        assert_eq!(refused, StoreError::Full);
        assert_eq!((store.referenced_height(), store.status().failed), (height, 0), "known all the same");
        context.sleep(25 * HOUR).await;
        assert_eq!(store.collect(context.current()).await.unwrap().expired, 1);
        assert!(read(&store, &old).await.is_none());
        store.reference(height + 1, &[]).await.unwrap_err();
    });
}

/// After the loss of a reference the chain is passed again, and that may take long.
#[test]
fn nothing_is_dropped_before_the_chain_is_known() {
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        let (used, old) = (chunk(1, 1000), chunk(2, 1000));
        append(&store, &used).await.unwrap();
        append(&store, &old).await.unwrap();
        store.reference(2, &[]).await.unwrap();
        let collecting = store.clone();
        context.child("collect").spawn(move |_| async move {
            collecting
                .collect_every(
                    Duration::from_secs(600),
                    || async { 3 },
                    || SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 32),
                )
                .await;
        });
        context.sleep(25 * HOUR).await;
        assert!(read(&store, &used).await.is_some() && read(&store, &old).await.is_some());
        store.reference(3, &[manifest(&[used.id])]).await.unwrap();
        context.sleep(HOUR).await;
        assert!(read(&store, &used).await.is_some() && read(&store, &old).await.is_none());
    });
}
