//! Measures a shard log: `cargo run --release -p shards --example store DIR [MIB]`. Prints MB/s of appending shards of
//! 512 KiB with one sync for every 16 of a writer (as objects of 16 MiB are written), of reading them back, and the
//! time of a lone append and sync, which is that of the disk's sync.

use blob::{Code, EncodedChunk};
use commonware_runtime::{Runner as _, Spawner as _, Supervisor as _, tokio};
use shards::{ShardStore, StoreConfig};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const OBJECT_CHUNKS: usize = 16;

/// Chunks of 1 MiB; only shard 0 is stored.
fn chunks(count: usize) -> Vec<EncodedChunk> {
    let code = Code::new(2, 4).expect("a code");
    let mut bytes = vec![0; 1 << 20];
    (0..count as u64)
        .map(|number| {
            blake3::Hasher::new().update(&number.to_be_bytes()).finalize_xof().fill(&mut bytes);
            code.encode(&bytes)
        })
        .map(|chunk| EncodedChunk { shards: vec![chunk.shards[0].slice(..)], ..chunk })
        .collect()
}

async fn write<E: shards::store::Context>(
    store: ShardStore<E>,
    chunks: Arc<Vec<EncodedChunk>>,
    first: usize,
    step: usize,
) {
    let objects = chunks.chunks(OBJECT_CHUNKS).skip(first).step_by(step);
    for object in objects {
        let appends = object.iter().map(|chunk| store.append(&chunk.opening, 0, chunk.shards[0].clone()));
        for appended in futures::future::join_all(appends).await {
            appended.expect("the disk has room");
        }
        store.sync().await.expect("the disk works");
    }
}

fn rate(bytes: usize, elapsed: Duration) -> f64 {
    bytes as f64 / elapsed.as_secs_f64() / 1e6
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("a directory");
    let mib: usize = arguments.next().map_or(1024, |mib| mib.parse().expect("MiB"));
    let config = tokio::Config::default().with_storage_directory(directory);
    tokio::Runner::new(config).start(|context| async move {
        for writers in [1, 4] {
            let chunks = Arc::new(chunks(2 * mib));
            let partition = format!("example_{writers}");
            let store =
                ShardStore::open(context.child("store"), StoreConfig::new(&partition)).await.expect("opens");
            let start = Instant::now();
            let tasks: Vec<_> = (0..writers)
                .map(|first| {
                    let (store, chunks) = (store.clone(), chunks.clone());
                    context.child("writer").spawn(move |_| write(store, chunks, first, writers))
                })
                .collect();
            futures::future::join_all(tasks).await;
            println!("{writers} writers: {:6.0} MB/s appended and synced", rate(mib << 20, start.elapsed()));

            let start = Instant::now();
            for chunks in chunks.chunks(8) {
                let reads = chunks.iter().map(|chunk| store.read(&chunk.id));
                for read in futures::future::join_all(reads).await {
                    assert!(read.expect("the disk works").is_some());
                }
            }
            println!("           {:6.0} MB/s read, 8 at a time", rate(mib << 20, start.elapsed()));
        }
        let store =
            ShardStore::open(context.child("store"), StoreConfig::new("example_small")).await.expect("opens");
        let code = Code::new(2, 4).expect("a code");
        let mut times = Vec::new();
        for number in 0..500u32 {
            let chunk = code.encode(&number.to_be_bytes().repeat(500));
            let start = Instant::now();
            store.append(&chunk.opening, 0, chunk.shards[0].clone()).await.expect("the disk has room");
            store.sync().await.expect("the disk works");
            times.push(start.elapsed());
        }
        times.sort_unstable();
        println!("1 kB append and sync: p50 {:?}, p99 {:?}", times[250], times[495]);
    });
}
