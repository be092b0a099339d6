//! The store without faults: idempotence, group sync, lack of room, restarts.

use crate::{PARTITION, append, chunk, code, config, manifest, open, page, paged, read};
use bytes::Bytes;
use commonware_runtime::{Runner as _, Supervisor as _, deterministic};
use futures::{FutureExt as _, future::join_all};
use proof::{Digest, limits::CHUNK_LENGTH, wire::Encode as _};
use shards::{ShardStore, StoreConfig, StoreError};

#[test]
fn shards_and_pages_of_every_size_come_back() {
    let runner = deterministic::Runner::default();
    let (chunks, checkpoint) = runner.start_and_recover(|context| async move {
        let store = open(&context).await.unwrap();
        let chunks: Vec<_> = [1, 17, 4095, 8000, 65_536, CHUNK_LENGTH as usize + 16]
            .into_iter()
            .enumerate()
            .map(|(number, length)| chunk(number as u64, length))
            .collect();
        let listing = page(&chunks.iter().map(|chunk| chunk.id).collect::<Vec<_>>());
        for chunk in &chunks {
            append(&store, chunk).await.unwrap();
            assert!(read(&store, chunk).await.is_some());
        }
        assert_eq!(store.put_page(listing.encode()).await, Ok(listing.id()));
        assert!(store.missing(&paged(std::slice::from_ref(&listing))).await.unwrap().is_empty());
        store.sync().await.unwrap();
        assert_eq!(store.status().held, 7);
        assert_eq!(store.read(&listing.id()).await, Ok(None), "a page is no shard");
        assert_eq!(store.read(&Digest([9; 32])).await, Ok(None));
        (chunks, listing)
    });
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let (chunks, listing) = chunks;
        let store = open(&context).await.unwrap();
        for chunk in &chunks {
            assert!(read(&store, chunk).await.is_some());
        }
        assert_eq!(store.read_page(&listing.id()).await, Ok(Some(listing.encode())));
        assert_eq!(store.status().held, 7);
    });
}

#[test]
fn what_is_not_what_it_says_is_refused() {
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        let (one, other) = (chunk(1, 1000), chunk(2, 1000));
        let put = |index: u8, bytes: Bytes| store.append(&one.opening, index, bytes);
        assert_eq!(put(1, other.shards[1].clone()).await, Err(StoreError::Mismatch));
        assert_eq!(put(1, one.shards[0].clone()).await, Err(StoreError::Mismatch));
        assert_eq!(put(4, one.shards[0].clone()).await, Err(StoreError::Mismatch));
        // Readers would take a shard of another length for a lie of this node.
        let mut stretched = one.opening.clone();
        stretched.ciphertext_length += 2;
        let appended = store.append(&stretched, 1, one.shards[1].clone()).await;
        assert_eq!(appended, Err(StoreError::Mismatch));
        assert_eq!(store.put_page(Bytes::from_static(b"no page")).await, Err(StoreError::NotAPage));
        put(1, one.shards[1].clone()).await.unwrap();
        assert_eq!(put(2, one.shards[2].clone()).await, Err(StoreError::Mismatch), "one shard of a chunk");

        let listing = page(&[one.id, other.id]);
        store.put_page(listing.encode()).await.unwrap();
        let mut wrong = paged(std::slice::from_ref(&listing));
        let proof::Manifest::Paged(pages) = &mut wrong else { unreachable!() };
        let mut refs = std::mem::take(pages).into_inner();
        refs[0].chunks = 1;
        *pages = proof::wire::List::new(refs).unwrap();
        assert_eq!(store.missing(&wrong).await, Err(StoreError::NotAPage), "the manifest miscounts");
    });
}

#[test]
fn appending_again_changes_nothing() {
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        let chunk = chunk(1, 100_000);
        let appends = (0..16).map(|_| append(&store, &chunk));
        assert!(join_all(appends).await.into_iter().all(|appended| appended.is_ok()));
        let bytes = store.status().bytes;
        append(&store, &chunk).await.unwrap();
        assert_eq!((store.status().bytes, store.status().held), (bytes, 1));
    });
}

#[test]
fn an_append_goes_on_when_its_caller_is_gone() {
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        let chunk = chunk(1, 100_000);
        assert!(append(&store, &chunk).now_or_never().is_none());
        while read(&store, &chunk).await.is_none() {
            commonware_runtime::Clock::sleep(&context, std::time::Duration::from_millis(1)).await;
        }
    });
}

/// Its chunks are known then, whether or not somebody waits for the answer.
#[test]
fn a_page_whose_caller_is_gone_is_resolved() {
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        let chunks = [1, 2].map(|number| chunk(number, 1000));
        append(&store, &chunks[0]).await.unwrap();
        let listing = page(&chunks.each_ref().map(|chunk| chunk.id));
        store.reference(1, &[paged(std::slice::from_ref(&listing))]).await.unwrap();
        assert_eq!((store.status().unresolved, store.status().missing), (1, 1));
        assert!(store.put_page(listing.encode()).now_or_never().is_none());
        store.sync().await.unwrap();
        while store.read_page(&listing.id()).await.unwrap().is_none() {
            commonware_runtime::Clock::sleep(&context, std::time::Duration::from_millis(1)).await;
        }
        assert_eq!((store.status().unresolved, store.status().pending), (0, 0));
        assert_eq!(store.lacking(None, 10), [chunks[1].id]);
    });
}

#[test]
fn concurrent_syncs_share_the_disks() {
    fn syncs(context: &deterministic::Context) -> u64 {
        let metrics = commonware_runtime::Metrics::encode(context);
        let line = metrics.lines().find(|line| line.starts_with("runtime_storage_syncs_total")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        append(&store, &chunk(0, 1000)).await.unwrap();
        let before = syncs(&context);
        let writers = (1..100).map(|number| {
            let store = store.clone();
            async move {
                append(&store, &chunk(number, 1000)).await.unwrap();
                store.sync().await.unwrap();
            }
        });
        join_all(writers).await;
        let shared = syncs(&context) - before;
        assert!((1..=20).contains(&shared), "{shared} syncs for 99 writers");
        let before = syncs(&context);
        store.sync().await.unwrap();
        assert_eq!(syncs(&context), before, "nothing was written since");
    });
}

#[test]
fn lack_of_room_is_an_ordinary_answer() {
    deterministic::Runner::default().start(|context| async move {
        let config = StoreConfig { bytes_max: Some(5 << 20), ..config() };
        let store = ShardStore::open(context.child("store"), config).await.unwrap();
        let mut held = Vec::new();
        for number in 0.. {
            let chunk = chunk(number, 1 << 20);
            match append(&store, &chunk).await {
                Ok(()) => held.push(chunk),
                Err(error) => {
                    assert_eq!(error, StoreError::Full);
                    break;
                }
            }
        }
        assert!((7..10).contains(&held.len()), "{} shards of 512 KiB in 5 MiB", held.len());
        for chunk in &held {
            assert!(read(&store, chunk).await.is_some());
            append(&store, chunk).await.unwrap();
        }
        store.sync().await.unwrap();
        assert!(store.status().bytes <= 5 << 20);
    });
}

#[test]
fn missing_lists_what_is_not_here() {
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        let chunks: Vec<_> = (0..4).map(|number| chunk(number, 500)).collect();
        let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
        append(&store, &chunks[0]).await.unwrap();
        append(&store, &chunks[2]).await.unwrap();
        let missing = store.missing(&manifest(&ids)).await.unwrap();
        assert_eq!(missing.chunks[..], [ids[1], ids[3]]);

        let (here, absent) = (page(&ids[..2]), page(&ids[2..]));
        store.put_page(here.encode()).await.unwrap();
        let missing = store.missing(&paged(&[here, absent.clone()])).await.unwrap();
        assert_eq!((&missing.chunks[..], &missing.pages[..]), (&ids[1..2], &[absent.id()][..]));
    });
}

/// Restarts leave no litter: a segment that got no record is gone.
#[test]
fn empty_segments_are_removed() {
    let (_, mut checkpoint) = deterministic::Runner::default().start_and_recover(|context| async move {
        append(&open(&context).await.unwrap(), &chunk(1, 1000)).await.unwrap();
    });
    for _ in 0..3 {
        ((), checkpoint) = deterministic::Runner::from(checkpoint).start_and_recover(|context| async move {
            open(&context).await.unwrap();
        });
    }
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let names = commonware_runtime::Storage::scan(&context, PARTITION).await.unwrap();
        assert!(names.is_empty(), "nothing was synced, so nothing was kept: {names:?}");
        assert_eq!(code().k(), 2);
    });
}
