//! What is left on a disk after a kill and after a power failure.

use crate::{in_world, run, run_up_to};
use commonware_runtime::{Blob as _, ReadOptions, Spawner as _, Storage as _, Supervisor as _, WriteOptions};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::collections::BTreeSet;
use trial::world::{Blob, Context, DiskFaults, Loss, Machine, World};

const SECTOR: usize = 512;
/// Sectors of the blob that the tests write.
const SECTORS: usize = 64;

async fn all(context: &Context, name: &[u8]) -> Vec<u8> {
    let (blob, len) = context.open("p", name).await.expect("opens");
    let read = blob.read_at(0, len as usize, ReadOptions::default()).await.expect("reads");
    read.coalesce().as_ref().to_vec()
}

async fn contents(machine: &Machine) -> Vec<u8> {
    run(machine, |context| async move { all(&context, b"b").await }).await
}

/// A machine with a blob of ones that is durable, twos over it that are not, and the process in its midst.
async fn torn(world: &World) -> Machine {
    let machine = world.machine("m");
    run_up_to(&machine, |context| async move {
        let (blob, _) = context.open("p", b"b").await.expect("opens");
        blob.write_at(0, vec![1; SECTORS * SECTOR], WriteOptions::default()).await.expect("writes");
        blob.sync().await.expect("syncs");
        blob.write_at(0, vec![2; SECTORS * SECTOR], WriteOptions::default()).await.expect("writes");
        // Handles that are dropped sync nothing.
    })
    .await;
    machine
}

#[test]
fn a_kill_loses_nothing_that_was_written() {
    in_world(1, |world| async move {
        let machine = torn(&world).await;
        machine.kill(Loss::Process);
        assert!(contents(&machine).await.iter().all(|byte| *byte == 2));
        // The next process was promised that what it reads is durable.
        machine.kill(Loss::Power);
        assert!(contents(&machine).await.iter().all(|byte| *byte == 2));
    });
}

#[test]
fn a_power_failure_keeps_loses_or_tears_what_was_not_synced() {
    let (mut kept, mut lost, mut prefixes, mut subsets) = (0, 0, 0, 0);
    for seed in 0..60 {
        let left = in_world(seed, |world| async move {
            let machine = torn(&world).await;
            machine.kill(Loss::Power);
            contents(&machine).await
        });
        assert_eq!(left.len(), SECTORS * SECTOR, "seed {seed}");
        let sectors: Vec<u8> = left.chunks(SECTOR).map(|sector| sector[0]).collect();
        for (sector, first) in left.chunks(SECTOR).zip(&sectors) {
            assert!(sector.iter().all(|byte| byte == first), "seed {seed}: a sector is torn");
        }
        let new = sectors.iter().filter(|first| **first == 2).count();
        assert!(sectors.iter().all(|first| [1, 2].contains(first)), "seed {seed}");
        match new {
            SECTORS => kept += 1,
            0 => lost += 1,
            new if sectors[..new].iter().all(|first| *first == 2) => prefixes += 1,
            _ => subsets += 1,
        }
    }
    assert!(kept > 5 && lost > 5 && prefixes > 2 && subsets > 2, "{kept} {lost} {prefixes} {subsets}");
}

#[test]
fn unsynced_writes_meet_their_fates_one_by_one() {
    let mut fates = BTreeSet::new();
    for seed in 0..40 {
        let left = in_world(seed, |world| async move {
            let machine = world.machine("m");
            run_up_to(&machine, |context| async move {
                let (blob, _) = context.open("p", b"b").await.expect("opens");
                blob.resize(3 * SECTOR as u64).await.expect("resizes");
                blob.sync().await.expect("syncs");
                for sector in 0..3 {
                    let (at, bytes) = (sector * SECTOR as u64, vec![9; SECTOR]);
                    blob.write_at(at, bytes, WriteOptions::default()).await.expect("writes");
                }
            })
            .await;
            machine.kill(Loss::Power);
            contents(&machine).await
        });
        fates.insert([left[0], left[SECTOR], left[2 * SECTOR]].map(|byte| byte == 9));
    }
    assert_eq!(fates.len(), 8, "{fates:?}");
}

#[test]
fn a_write_that_syncs_itself_survives_and_takes_no_other_along() {
    let mut others = BTreeSet::new();
    for seed in 0..40 {
        let left = in_world(seed, |world| async move {
            let machine = world.machine("m");
            run_up_to(&machine, |context| async move {
                let (blob, _) = context.open("p", b"b").await.expect("opens");
                blob.write_at(0, vec![1; 2 * SECTOR], WriteOptions::default()).await.expect("writes");
                blob.write_at(0, vec![2; SECTOR], WriteOptions::SYNC).await.expect("writes");
            })
            .await;
            machine.kill(Loss::Power);
            contents(&machine).await
        });
        assert!(left[..SECTOR].iter().all(|byte| *byte == 2), "seed {seed}");
        others.insert(left.get(SECTOR).copied());
    }
    assert_eq!(others, BTreeSet::from([None, Some(1)]));
}

#[test]
fn a_resize_is_durable_once_synced() {
    let mut lengths = BTreeSet::new();
    for seed in 0..20 {
        let left = in_world(seed, |world| async move {
            let machine = world.machine("m");
            run_up_to(&machine, |context| async move {
                let (blob, _) = context.open("p", b"b").await.expect("opens");
                blob.write_at(0, vec![7; 5_000], WriteOptions::default()).await.expect("writes");
                blob.resize(4_500).await.expect("resizes");
                blob.resize(9_000).await.expect("resizes");
                blob.sync().await.expect("syncs");
                blob.resize(100).await.expect("resizes");
            })
            .await;
            machine.kill(Loss::Power);
            contents(&machine).await
        });
        lengths.insert(left.len());
        assert!(
            left.iter().take(4_500).all(|byte| *byte == 7) && left.iter().skip(4_500).all(|byte| *byte == 0)
        );
    }
    assert_eq!(lengths, BTreeSet::from([100, 9_000]));
}

#[test]
fn names_are_durable_at_once_and_opening_again_syncs() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        run_up_to(&machine, |context| async move {
            let (blob, _) = context.open("p", b"b").await.expect("opens");
            blob.write_at(0, vec![3; 10], WriteOptions::default()).await.expect("writes");
            drop(blob);
            assert_eq!(context.open("p", b"b").await.expect("opens again").1, 10);
            context.open("p", b"removed").await.expect("opens");
            context.remove("p", Some(b"removed")).await.expect("removes");
            context.open("q", b"gone").await.expect("opens");
            context.remove("q", None).await.expect("removes");
        })
        .await;
        machine.kill(Loss::Power);
        assert_eq!(machine.disk().partitions(), ["p"]);
        assert_eq!(machine.disk().blobs("p"), [(b"b".to_vec(), 10)]);
        assert_eq!(contents(&machine).await, [3; 10]);
    });
}

#[test]
fn a_sync_that_was_started_covers_what_came_before_it() {
    let mut later = BTreeSet::new();
    for seed in 0..20 {
        let left = in_world(seed, |world| async move {
            let machine = world.machine("m");
            machine.disk().set_faults(DiskFaults { latency_ms: 5, ..DiskFaults::default() });
            run_up_to(&machine, |context| async move {
                let (blob, _) = context.open("p", b"b").await.expect("opens");
                blob.write_at(0, vec![1; SECTOR], WriteOptions::default()).await.expect("writes");
                let synced = blob.start_sync().await;
                let (after, bytes) = (SECTOR as u64, vec![2; SECTOR]);
                blob.write_at(after, bytes, WriteOptions::default()).await.expect("writes");
                // The sync goes on without its blob, and the blob can be opened anew meanwhile.
                drop(blob);
                synced.await.expect("syncs");
            })
            .await;
            machine.kill(Loss::Power);
            contents(&machine).await
        });
        assert!(left[..SECTOR].iter().all(|byte| *byte == 1), "seed {seed}");
        later.insert(left.len() > SECTOR);
    }
    assert_eq!(later.len(), 2, "what came after was not covered");
}

#[test]
fn handles_of_a_process_that_ended_are_dead() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        let old: Blob = run_up_to(&machine, |context| async move {
            let (blob, _) = context.open("p", b"b").await.expect("opens");
            blob.write_at(0, vec![1; 4], WriteOptions::SYNC).await.expect("writes");
            blob
        })
        .await;
        machine.kill(Loss::Process);
        run_up_to(&machine, |context| async move {
            let (blob, _) = context.open("p", b"b").await.expect("the old handle holds nothing");
            blob.write_at(0, vec![2; 4], WriteOptions::SYNC).await.expect("writes");
            // Until it is killed itself.
            context.spawn(move |_| async move {
                let _blob = blob;
                std::future::pending::<()>().await
            });
        })
        .await;
        assert!(old.write_at(0, vec![9; 4], WriteOptions::SYNC).await.is_err());
        assert!(
            old.resize(0).await.is_err()
                && old.sync().await.is_err()
                && old.start_sync().await.await.is_err()
        );
        assert!(old.read_at(0, 1, ReadOptions::default()).await.is_err());
        drop(old);
        machine.kill(Loss::Power);
        assert_eq!(contents(&machine).await, [2; 4]);
    });
}

#[test]
fn a_blob_is_what_was_written_to_it() {
    for seed in 0..20 {
        in_world(seed, |world| async move {
            let machine = world.machine("m");
            let model = run_up_to(&machine, move |context| async move {
                let mut rng = StdRng::seed_from_u64(seed);
                let mut model: Vec<u8> = Vec::new();
                let (blob, _) = context.open("p", b"b").await.expect("opens");
                for _ in 0..300 {
                    let (offset, len) = (rng.random_range(0..30_000), rng.random_range(1..9_000));
                    match rng.random_range(0..8) {
                        0 => {
                            blob.resize(offset as u64).await.expect("resizes");
                            model.resize(offset, 0);
                        }
                        1 => blob.sync().await.expect("syncs"),
                        kind => {
                            let bytes = vec![if kind == 2 { 0 } else { rng.random() }; len];
                            model.resize(model.len().max(offset + len), 0);
                            model[offset..offset + len].copy_from_slice(&bytes);
                            let options =
                                if kind == 3 { WriteOptions::SYNC } else { WriteOptions::default() };
                            blob.write_at(offset as u64, bytes, options).await.expect("writes");
                        }
                    }
                    let at = rng.random_range(0..=model.len());
                    let read = blob.read_at(at as u64, model.len() - at, ReadOptions::default()).await;
                    assert_eq!(read.expect("reads").coalesce().as_ref(), &model[at..]);
                }
                blob.sync().await.expect("syncs");
                model
            })
            .await;
            machine.kill(Loss::Power);
            assert!(contents(&machine).await == model, "seed {seed}");
        });
    }
}

#[test]
fn context_of_a_child_reads_the_same_disk() {
    in_world(1, |world| async move {
        let machine = torn(&world).await;
        machine.kill(Loss::Process);
        let read = run(&machine, |context| async move {
            let child = context.child("reader");
            child.spawn(|context| async move { all(&context, b"b").await.len() }).await.expect("ends")
        });
        assert_eq!(read.await, SECTORS * SECTOR);
    });
}

/// Linux marks pages as clean that it could not write.
#[test]
fn what_a_failed_sync_forgets_is_read_until_the_power_fails() {
    let mut left = BTreeSet::new();
    for seed in 0..20 {
        left.insert(in_world(seed, |world| async move {
            let machine = torn(&world).await;
            machine.kill(Loss::Process);
            let disk = machine.disk().clone();
            run(&machine, |context| async move {
                let (blob, _) = context.open("p", b"b").await.expect("opens");
                blob.write_at(0, vec![3; SECTOR], WriteOptions::default()).await.expect("writes");
                let sync_error_forgets = true;
                disk.set_faults(DiskFaults { sync_error: 1.0, sync_error_forgets, ..DiskFaults::default() });
                assert!(blob.sync().await.is_err());
                disk.set_faults(DiskFaults::default());
            })
            .await;
            let on_disk = run(&machine, |context| async move {
                let (blob, _) = context.open("p", b"b").await.expect("opens");
                blob.write_at(9 * SECTOR as u64, vec![4; SECTOR], WriteOptions::default())
                    .await
                    .expect("writes");
                blob.sync().await.expect("syncs");
                let read = async |options| blob.read_at(0, SECTOR, options).await.expect("reads").coalesce();
                assert_eq!(read(ReadOptions::default()).await.as_ref(), [3; SECTOR]);
                read(ReadOptions::DONT_CACHE).await.as_ref().to_vec()
            })
            .await;
            machine.kill(Loss::Power);
            let left = contents(&machine).await;
            assert_eq!(left[..SECTOR], on_disk, "seed {seed}");
            assert_eq!(left[9 * SECTOR..10 * SECTOR], [4; SECTOR], "what was synced since is there");
            left[0]
        }));
    }
    assert_eq!(left, BTreeSet::from([2, 3]));
}
