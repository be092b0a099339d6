//! The shard log on such disks: what it does when they fail as real ones do.

use crate::{in_world, run};
use blob::{Code, EncodedChunk};
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _};
use proof::{
    Digest, Manifest,
    manifest::{Page, SealedKey, Segment},
    wire::List,
};
use shards::{ShardStore, StoreConfig, StoreError};
use std::time::{Duration, SystemTime};
use trial::world::{Context, DiskFaults, Loss, Machine};

const PARTITION: &str = "shards";
const SLOT: u64 = 4096;

type Store = ShardStore<Context>;

async fn open(context: &Context) -> Result<Store, StoreError> {
    let grace = Duration::from_secs(600);
    let config = StoreConfig { segment_bytes: 2 << 20, grace, ..StoreConfig::new(PARTITION) };
    ShardStore::open(context.child("store"), config).await
}

/// A chunk whose shards are half as long as it.
fn chunk(number: u64, length: usize) -> EncodedChunk {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&number.to_be_bytes()).finalize_xof().fill(&mut bytes);
    Code::new(2, 4).expect("is a code").encode(&bytes)
}

async fn append(store: &Store, chunk: &EncodedChunk) -> Result<(), StoreError> {
    store.append(&chunk.opening, 1, chunk.shards[1].clone()).await
}

/// Whether the store can serve its shard of a chunk.
async fn has(store: &Store, chunk: &EncodedChunk) -> bool {
    match store.read(&chunk.id).await {
        Ok(Some(shard)) => {
            assert_eq!(shard.bytes, chunk.shards[1], "what is served is what was stored");
            true
        }
        Ok(None) | Err(StoreError::Damaged(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

fn manifest(chunks: &[Digest]) -> Manifest {
    let length = chunks.len() as u64 * proof::limits::CHUNK_LENGTH;
    let chunks = List::new(chunks.to_vec()).expect("few");
    let segment = Segment { sealed_key: SealedKey([7; 48]), first_chunk: 0, length, chunks };
    Manifest::Direct(Page::new(vec![segment]).expect("is a page"))
}

/// Twelve synced chunks in four segments, of which the last is not sealed.
async fn filled(machine: &Machine) -> Vec<EncodedChunk> {
    run(machine, |context| async move {
        let store = open(&context).await.expect("opens");
        let chunks: Vec<_> = (0..12).map(|number| chunk(number, 1 << 20)).collect();
        for chunk in &chunks {
            append(&store, chunk).await.expect("appends");
            store.sync().await.expect("syncs");
        }
        chunks
    })
    .await
}

#[test]
fn a_place_that_cannot_be_read_costs_the_record_there_at_most() {
    const RECORDS: u64 = 2 * SLOT;
    // Segments and offsets, and what is lost.
    let cases: [(&'static [(u32, u64)], usize); 6] = [
        (&[(0, 0)], 0),
        (&[(3, SLOT)], 0),
        (&[(3, 0), (3, SLOT)], 0),
        (&[(1, RECORDS + 100 * SLOT)], 1),
        (&[(3, RECORDS)], 1),
        (&[(3, RECORDS + 100 * SLOT), (3, RECORDS + 101 * SLOT)], 1),
    ];
    for (places, lost) in cases {
        in_world(1, |world| async move {
            let machine = world.machine("m");
            let chunks = filled(&machine).await;
            assert_eq!(machine.disk().blobs(PARTITION).len(), 4);
            for (segment, offset) in places {
                machine.disk().spoil(PARTITION, &segment.to_be_bytes(), *offset);
            }
            let chunks = run(&machine, move |context| async move {
                let store = open(&context).await.expect("opens");
                let mut found = 0;
                for chunk in &chunks {
                    found += usize::from(has(&store, chunk).await);
                    append(&store, chunk).await.expect("appends");
                    assert!(has(&store, chunk).await, "healed");
                }
                assert_eq!(found, chunks.len() - lost, "{places:?}");
                assert_eq!(store.status().damaged > 0, lost > 0, "{places:?}");
                store.sync().await.expect("syncs");
                chunks
            })
            .await;
            run(&machine, move |context| async move {
                let store = open(&context).await.expect("opens");
                for chunk in &chunks {
                    assert!(has(&store, chunk).await, "{places:?}");
                }
            })
            .await;
        });
    }
}

/// Nothing is erased for a disk that reads nothing: perhaps it does again.
#[test]
fn a_disk_that_cannot_be_read_is_not_used() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        filled(&machine).await;
        for slot in 0..150 {
            machine.disk().spoil(PARTITION, &3u32.to_be_bytes(), (2 + slot) * SLOT);
        }
        for _ in 0..2 {
            let opened = run(&machine, |context| async move { open(&context).await.map(|_| ()) }).await;
            assert!(matches!(opened, Err(StoreError::Unusable(_))), "{opened:?}");
        }
    });
}

#[test]
fn a_full_disk_refuses_shards_and_serves_them() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        let disk = machine.disk().clone();
        let full = DiskFaults { full: true, ..DiskFaults::default() };
        let (old, new) = run(&machine, {
            let (disk, full) = (disk.clone(), full.clone());
            move |context| async move {
                let store = open(&context).await.expect("opens");
                let (old, new) = (chunk(1, 1 << 20), chunk(2, 1 << 20));
                append(&store, &old).await.expect("appends");
                store.sync().await.expect("syncs");
                disk.set_faults(full);
                // Some in the segment that there is, and then there would have to be another.
                for number in 3..9 {
                    assert_eq!(append(&store, &chunk(number, 1 << 20)).await, Err(StoreError::Full));
                    assert!(has(&store, &old).await);
                }
                store.sync().await.expect("syncs");
                (old, new)
            }
        })
        .await;
        run(&machine, move |context| async move {
            let store = open(&context).await.expect("opens");
            for _ in 0..3 {
                assert_eq!(append(&store, &new).await, Err(StoreError::Full));
                assert!(has(&store, &old).await);
            }
            assert_eq!(disk.blobs(PARTITION).len(), 1, "what could not be begun is not left");
            // Room for the beginning of a segment, and of a record, only.
            let bytes_max = Some(disk.bytes() + 20 * SLOT);
            disk.set_faults(DiskFaults { bytes_max, ..DiskFaults::default() });
            assert_eq!(append(&store, &new).await, Err(StoreError::Full));
            disk.set_faults(DiskFaults::default());
            append(&store, &new).await.expect("there is room again");
            store.sync().await.expect("syncs");
            assert!(has(&store, &old).await && has(&store, &new).await);
        })
        .await;
    });
}

/// The process after it reads from the system's cache what is not on disk, and no sync of its own writes that.
#[test]
fn what_a_failed_sync_forgot_is_not_claimed_after_a_restart() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..30 {
        let was_held = in_world(seed, |world| async move {
            let machine = world.machine("m");
            let disk = machine.disk().clone();
            let chunk = chunk(1, 1 << 20);
            run(&machine, {
                let chunk = chunk.clone();
                move |context| async move {
                    let store = open(&context).await.expect("opens");
                    append(&store, &chunk).await.expect("appends");
                    let sync_error_forgets = true;
                    disk.set_faults(DiskFaults {
                        sync_error: 1.0,
                        sync_error_forgets,
                        ..DiskFaults::default()
                    });
                    assert!(matches!(store.sync().await, Err(StoreError::Failed(_))));
                    disk.set_faults(DiskFaults::default());
                }
            })
            .await;
            let was_held = run(&machine, {
                let chunk = chunk.clone();
                move |context| async move {
                    let store = open(&context).await.expect("opens");
                    // So does who signs that it is held.
                    let missing = store.missing(&manifest(&[chunk.id])).await.expect("answers");
                    store.sync().await.expect("syncs");
                    missing.is_empty()
                }
            })
            .await;
            machine.kill(Loss::Power);
            run(&machine, move |context| async move {
                let store = open(&context).await.expect("opens");
                assert!(!was_held || has(&store, &chunk).await, "seed {seed}");
                // Later scans trust what the first has left.
                let missing = store.missing(&manifest(&[chunk.id])).await.expect("answers");
                assert_eq!(missing.is_empty(), was_held, "seed {seed}");
            })
            .await;
            was_held
        });
        if was_held {
            kept += 1;
        } else {
            lost += 1;
        }
    }
    assert!(kept > 3 && lost > 3, "{kept} {lost}");
}

/// What the chain refers to is taken in while a collection copies and syncs for seconds.
#[test]
fn a_collection_on_a_slow_disk_delays_nothing_for_long() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        let disk = machine.disk().clone();
        run(&machine, |context| async move {
            let store = open(&context).await.expect("opens");
            let chunks: Vec<_> = (0..2_000).map(|number| chunk(number, 1_000)).collect();
            for chunk in &chunks {
                append(&store, chunk).await.expect("appends");
            }
            let used: Vec<_> = chunks.iter().step_by(3).map(|chunk| chunk.id).collect();
            store.reference(1, &[manifest(&used)]).await.expect("references");
            context.sleep(Duration::from_secs(700)).await;
            disk.set_faults(DiskFaults { latency_ms: 20, ..DiskFaults::default() });
            let collecting = store.clone();
            context.child("collect").spawn(|_| async move {
                collecting
                    .collect_every(
                        Duration::from_secs(1),
                        || async { 0 },
                        || SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 32),
                    )
                    .await;
            });
            let (began, before) = (context.current(), store.status().bytes);
            let (mut height, mut longest) = (1, Duration::ZERO);
            while store.status().bytes > before / 2 {
                height += 1;
                let started = context.current();
                let manifest =
                    manifest(&[Digest(*blake3::hash(&height.to_string().into_bytes()).as_bytes())]);
                store.reference(height, &[manifest]).await.expect("references");
                longest = longest.max(context.current().duration_since(started).expect("time goes on"));
                context.sleep(Duration::from_millis(10)).await;
            }
            let took = context.current().duration_since(began).expect("time goes on");
            assert!(took > Duration::from_secs(5), "the disk is slow: {took:?}");
            assert!(longest < Duration::from_millis(500), "{longest:?}");
        })
        .await;
    });
}
