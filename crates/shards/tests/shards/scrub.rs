//! Scrubbing: what rots is found, what is gone is noticed, and a restart goes on where it was.

use crate::{
    PARTITION, append,
    damage::{filled, find, rot},
    manifest, open, read,
};
use blob::EncodedChunk;
use commonware_runtime::{
    Clock as _, Runner as _, Spawner as _, Storage as _, Supervisor as _, deterministic,
};
use shards::{ScrubPace, StoreError};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn ids(chunks: &[EncodedChunk]) -> Vec<proof::Digest> {
    chunks.iter().map(|chunk| chunk.id).collect()
}

async fn rot_payload(context: &deterministic::Context, chunk: &EncodedChunk) {
    let (name, at) = find(context, &chunk.shards[1][1000..1064]).await;
    rot(context, &name, at).await;
}

#[test]
fn rot_is_found_and_counted_wherever_it_is() {
    for rotten in 0..12 {
        let (chunks, checkpoint) = filled();
        deterministic::Runner::from(checkpoint).start(|context| async move {
            rot_payload(&context, &chunks[rotten]).await;
            let store = open(&context).await.unwrap();
            store.reference(1, &[manifest(&ids(&chunks))]).await.unwrap();
            assert_eq!((store.status().missing, store.status().damaged), (0, 0));
            let scrubbed = store.clone();
            let pace = ScrubPace { period: HOUR, bytes_per_second: 1 << 30 };
            context.child("scrub").spawn(move |_| async move { scrubbed.scrub(pace).await });
            context.sleep(5 * SECOND).await;
            let status = store.status();
            assert_eq!((status.missing, status.damaged, status.scrubbed_passes), (1, 1, 1));
            assert_eq!(store.lacking(None, 10), [chunks[rotten].id]);
            append(&store, &chunks[rotten]).await.unwrap();
            assert!(read(&store, &chunks[rotten]).await.is_some());
            // The next pass finds nothing more.
            context.sleep(HOUR + 10 * SECOND).await;
            let status = store.status();
            assert_eq!((status.missing, status.damaged, status.scrubbed_passes), (0, 1, 2));
        });
    }
}

/// Bytes that are scrubbed in half a minute at a pace, of about seven megabytes, and passes.
fn scrubbed(pace: ScrubPace) -> (u64, u64) {
    let (chunks, checkpoint) = filled();
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let store = open(&context).await.unwrap();
        store.reference(1, &[manifest(&ids(&chunks))]).await.unwrap();
        let scrubbed = store.clone();
        context.child("scrub").spawn(move |_| async move { scrubbed.scrub(pace).await });
        context.sleep(30 * SECOND).await;
        (store.status().scrubbed_bytes, store.status().scrubbed_passes)
    })
}

#[test]
fn it_keeps_its_pace_and_its_period() {
    let (bytes, passes) = scrubbed(ScrubPace { period: 1000 * HOUR, bytes_per_second: 100_000 });
    assert!((2_000_000..4_500_000).contains(&bytes) && passes == 0, "{bytes} {passes}");
    // A short period asks for more than the least pace.
    let (_, passes) = scrubbed(ScrubPace { period: 25 * SECOND, bytes_per_second: 1 });
    assert_eq!(passes, 1);
}

#[test]
fn a_restart_goes_on_and_the_next_pass_skips_nothing() {
    let (chunks, checkpoint) = filled();
    let (chunks, checkpoint) =
        deterministic::Runner::from(checkpoint).start_and_recover(|context| async move {
            let store = open(&context).await.unwrap();
            let scrubbed = store.clone();
            let pace = ScrubPace { period: 1000 * HOUR, bytes_per_second: 500_000 };
            context.child("scrub").spawn(move |_| async move { scrubbed.scrub(pace).await });
            while store.status().scrubbed_bytes < 3 << 20 {
                context.sleep(SECOND / 10).await;
            }
            chunks
        });
    deterministic::Runner::from(checkpoint).start(|context| async move {
        // One that the pass has read already, and one that it has not.
        rot_payload(&context, &chunks[0]).await;
        rot_payload(&context, &chunks[11]).await;
        let store = open(&context).await.unwrap();
        store.reference(1, &[manifest(&ids(&chunks))]).await.unwrap();
        let scrubbed = store.clone();
        let pace = ScrubPace { period: HOUR, bytes_per_second: 1 << 30 };
        context.child("scrub").spawn(move |_| async move { scrubbed.scrub(pace).await });
        context.sleep(5 * SECOND).await;
        assert_eq!(store.lacking(None, 10), [chunks[11].id]);
        context.sleep(HOUR + 10 * SECOND).await;
        assert_eq!(store.status().damaged, 2);
        assert_eq!(store.status().missing, 2);
    });
}

/// A process does not see that its files have no name any more. Its store must not go on writing what ends with it.
#[test]
fn a_segment_that_is_gone_fails_the_store() {
    let (_, checkpoint) = filled();
    deterministic::Runner::from(checkpoint).start(|context| async move {
        let store = open(&context).await.unwrap();
        let scrubbed = store.clone();
        let scrub =
            context.child("scrub").spawn(move |_| async move { scrubbed.scrub(ScrubPace::default()).await });
        context.sleep(30 * SECOND).await;
        assert_eq!(store.status().failed, 0);
        let names = context.scan(PARTITION).await.unwrap();
        context.remove(PARTITION, Some(&names[1])).await.unwrap();
        assert!(matches!(scrub.await.unwrap(), StoreError::Failed(_)));
        assert_eq!(store.status().failed, 1);
        assert!(store.sync().await.is_err());
    });
}
