//! What goes wrong with disks while processes run, and what is done to disks from outside.

use crate::{in_world, run, run_up_to};
use commonware_runtime::{
    Blob as _, BlobVersion, Clock as _, Error, IoBufMut, IoBufsMut, ReadOptions, Storage as _, WriteOptions,
};
use rand::{SeedableRng as _, rngs::StdRng};
use std::time::Duration;
use trial::world::{DiskFaults, Loss};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// The system's number of an error that carries one.
fn number(error: &Error) -> Option<i32> {
    match error {
        Error::Io(error) | Error::BlobSyncFailed(_, _, error) | Error::BlobResizeFailed(_, _, error) => {
            error.raw_os_error()
        }
        _ => None,
    }
}

#[test]
fn the_contract_of_storage_holds() {
    in_world(1, |world| async move {
        run(&world.machine("m"), |context| async move {
            assert!(matches!(context.open("no/slash", b"b").await, Err(Error::PartitionNameInvalid(_))));
            assert!(matches!(context.scan("p").await, Err(Error::PartitionMissing(_))));
            assert!(matches!(context.remove("p", None).await, Err(Error::PartitionMissing(_))));
            assert!(matches!(context.remove("p", Some(b"b")).await, Err(Error::BlobMissing(_, _))));
            let versions = BlobVersion::new(3)..=BlobVersion::new(4);
            let (blob, len, version) = context.open_versioned("p", b"b", versions).await.expect("opens");
            assert_eq!((len, version.get()), (0, 4));
            let other = context.open("p", b"b").await.map(|_| ());
            assert!(matches!(other, Err(Error::BlobVersionMismatch { .. })), "{other:?}");
            let versions = BlobVersion::new(4)..=BlobVersion::new(4);
            let second = context.open_versioned("p", b"b", versions).await.map(|_| ());
            assert!(matches!(second, Err(Error::BlobAlreadyOpen(_, _))), "{second:?}");
            blob.write_at(0, b"still there", WriteOptions::default()).await.expect("writes");
            let beyond = blob.read_at(1, 11, ReadOptions::default()).await.map(|_| ());
            assert!(matches!(beyond, Err(Error::Io(_))), "{beyond:?}");
            assert!(matches!(blob.resize(u64::MAX).await, Err(Error::OffsetOverflow)));
            context.open("p", b"a").await.expect("opens");
            assert_eq!(context.scan("p").await.expect("lists"), [b"a", b"b"]);
            // What is removed stays readable, and its name is free.
            context.remove("p", Some(b"b")).await.expect("removes");
            let (_new, len) = context.open("p", b"b").await.expect("opens");
            assert_eq!(len, 0);
            let read = blob.read_at(0, 11, ReadOptions::default()).await.expect("reads");
            assert_eq!(read.coalesce(), b"still there");
        })
        .await;
    });
}

#[test]
fn buffers_given_to_a_read_come_back_filled() {
    in_world(1, |world| async move {
        run(&world.machine("m"), |context| async move {
            let (blob, _) = context.open("p", b"b").await.expect("opens");
            let bytes: Vec<u8> = (0..100).collect();
            blob.write_at(0, bytes.clone(), WriteOptions::default()).await.expect("writes");
            let single = IoBufMut::with_capacity(64);
            let read = blob.read_at_buf(7, 50, single, ReadOptions::default()).await.expect("reads");
            assert_eq!(read.coalesce().as_ref(), &bytes[7..57]);
            let pair = || IoBufsMut::from(vec![IoBufMut::zeroed(20), IoBufMut::zeroed(30)]);
            let read = blob.read_at_buf(7, 50, pair(), ReadOptions::default()).await.expect("reads");
            assert!(!read.is_single());
            assert_eq!(read.coalesce().as_ref(), &bytes[7..57]);
            let read = blob.read_at_buf(7, 40, pair(), ReadOptions::default()).await.expect("reads");
            assert_eq!(read.coalesce().as_ref(), &bytes[7..47]);
        })
        .await;
    });
}

#[test]
fn a_wipe_leaves_a_process_what_it_has_open_until_it_ends() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        let disk = machine.disk().clone();
        run_up_to(&machine, move |context| async move {
            let (blob, _) = context.open("p", b"b").await.expect("opens");
            blob.write_at(0, vec![1; 9_000], WriteOptions::SYNC).await.expect("writes");
            disk.wipe();
            assert!(disk.partitions().is_empty());
            blob.write_at(0, vec![2; 100], WriteOptions::SYNC).await.expect("writes");
            let read = blob.read_at(99, 2, ReadOptions::default()).await.expect("reads");
            assert_eq!(read.coalesce(), [2, 1]);
            assert!(matches!(context.scan("p").await, Err(Error::PartitionMissing(_))));
            assert_eq!(context.open("p", b"b").await.expect("opens").1, 0);
        })
        .await;
        machine.kill(Loss::Process);
        assert_eq!(machine.disk().blobs("p"), [(b"b".to_vec(), 0)]);
        assert_eq!(machine.disk().bytes(), 4_096, "the old blob's room is free");
    });
}

#[test]
fn a_snapshot_brings_back_what_was_there() {
    in_world(1, |world| async move {
        let (machine, spare) = (world.machine("m"), world.machine("spare"));
        let disk = machine.disk().clone();
        let snapshot = run_up_to(&machine, move |context| async move {
            let (blob, _) = context.open("p", b"b").await.expect("opens");
            blob.write_at(0, vec![1; 10_000], WriteOptions::default()).await.expect("writes");
            let snapshot = disk.snapshot();
            blob.write_at(5_000, vec![2; 10_000], WriteOptions::SYNC).await.expect("writes");
            context.open("q", b"later").await.expect("opens");
            snapshot
        })
        .await;
        for machine in [machine, spare] {
            machine.kill(Loss::Power);
            machine.disk().restore(&snapshot);
            assert_eq!(machine.disk().partitions(), ["p"]);
            run(&machine, |context| async move {
                let (blob, len) = context.open("p", b"b").await.expect("opens");
                assert_eq!(len, 10_000);
                let read = blob.read_at(0, 10_000, ReadOptions::default()).await.expect("reads");
                assert!(read.coalesce().as_ref().iter().all(|byte| *byte == 1));
                blob.write_at(0, vec![3; 10_000], WriteOptions::SYNC).await.expect("writes");
            })
            .await;
        }
    });
}

#[test]
fn rot_flips_as_many_bits_as_it_says_where_it_says() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        run(&machine, |context| async move {
            for partition in ["node-shards", "node-blocks"] {
                let (blob, _) = context.open(partition, b"b").await.expect("opens");
                blob.resize(8 << 20).await.expect("resizes");
                blob.write_at(4_000, vec![0xff; 20_000], WriteOptions::SYNC).await.expect("writes");
            }
        })
        .await;
        assert!(machine.disk().bytes() < 100_000, "holes take no room");
        let mut rng = StdRng::seed_from_u64(1);
        assert!(machine.disk().rot(&mut rng, "nowhere", 3).is_empty());
        let places = machine.disk().rot(&mut rng, "shards", 3);
        assert_eq!(places.len(), 3);
        assert!(places.iter().all(|place| place.starts_with("node-shards/62 at byte ")), "{places:?}");
        machine.kill(Loss::Power);
        let zeros = run(&machine, |context| async move {
            let mut zeros = Vec::new();
            for partition in ["node-shards", "node-blocks"] {
                let (blob, _) = context.open(partition, b"b").await.expect("opens");
                let read = blob.read_at(4_000, 20_000, ReadOptions::default()).await.expect("reads");
                zeros.push(read.coalesce().as_ref().iter().map(|byte| byte.count_zeros()).sum::<u32>());
            }
            zeros
        });
        assert_eq!(zeros.await, [3, 0]);
    });
}

#[test]
fn injected_failures_look_like_the_systems() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        let disk = machine.disk().clone();
        run(&machine, move |context| async move {
            let (blob, _) = context.open("p", b"b").await.expect("opens");
            blob.write_at(0, vec![1; 5_000], WriteOptions::SYNC).await.expect("writes");
            disk.set_faults(DiskFaults { read_error: 1.0, ..DiskFaults::default() });
            let read = blob.read_at(0, 1, ReadOptions::default()).await.map(|_| ());
            assert_eq!(number(&read.expect_err("fails")), Some(EIO));
            disk.set_faults(DiskFaults { write_error: 1.0, ..DiskFaults::default() });
            let written = blob.write_at(0, vec![2; 5_000], WriteOptions::default()).await;
            assert_eq!(number(&written.expect_err("fails")), Some(EIO));
            assert!(matches!(blob.resize(1).await, Err(Error::BlobResizeFailed(_, _, _))));
            disk.set_faults(DiskFaults::default());
            let read = blob.read_at(0, 5_000, ReadOptions::default()).await.expect("reads").coalesce();
            let new = read.as_ref().iter().take_while(|byte| **byte == 2).count();
            assert!(new % 512 == 0 && read.as_ref()[new..].iter().all(|byte| *byte == 1), "{new}");

            blob.write_at(0, vec![3; 10], WriteOptions::default()).await.expect("writes");
            disk.set_faults(DiskFaults { sync_error: 1.0, ..DiskFaults::default() });
            let synced = blob.sync().await.expect_err("fails");
            assert!(matches!(synced, Error::BlobSyncFailed(_, _, _)) && number(&synced) == Some(EIO));
            // The system has forgotten what it could not write: nothing is promised any more.
            disk.set_faults(DiskFaults::default());
            assert!(blob.sync().await.is_err() && blob.start_sync().await.await.is_err());
            assert!(blob.write_at(0, vec![4; 10], WriteOptions::SYNC).await.is_err());
            drop(blob);
            assert!(context.open("p", b"b").await.is_err());
        })
        .await;
        run(&machine, |context| async move {
            let (blob, _) = context.open("p", b"b").await.expect("a new process starts anew");
            blob.sync().await.expect("syncs");
        })
        .await;
    });
}

#[test]
fn a_full_disk_takes_what_needs_no_room() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        let disk = machine.disk().clone();
        run(&machine, move |context| async move {
            let (blob, _) = context.open("p", b"b").await.expect("opens");
            blob.write_at(0, vec![1; 8_192], WriteOptions::SYNC).await.expect("writes");
            assert_eq!(disk.bytes(), 3 * 4_096);
            disk.set_faults(DiskFaults { bytes_max: Some(4 * 4_096), ..DiskFaults::default() });
            let written = blob.write_at(4_096, vec![2; 3 * 4_096], WriteOptions::default()).await;
            assert_eq!(number(&written.expect_err("is full")), Some(ENOSPC));
            let read = blob.read_at(0, 3 * 4_096, ReadOptions::default()).await.expect("what fit is there");
            assert_eq!(read.coalesce().as_ref()[4_095..4_097], [1, 2]);
            blob.write_at(0, vec![3; 3 * 4_096], WriteOptions::default())
                .await
                .expect("there is room for that");
            assert!(matches!(context.open("p", b"new").await, Err(Error::WriteFailed)));
            context.remove("p", Some(b"new")).await.expect("its name was left");
            disk.set_faults(DiskFaults { full: true, ..DiskFaults::default() });
            let written = blob.write_at(1 << 20, vec![1], WriteOptions::SYNC).await;
            assert_eq!(number(&written.expect_err("is full")), Some(ENOSPC));
            assert!(blob.sync().await.is_err(), "a write that syncs itself and fails poisons");
            disk.set_faults(DiskFaults::default());
            context.open("p", b"new").await.expect("there is room again");
        })
        .await;
    });
}

#[test]
fn slow_and_stalled_disks_take_their_time() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        machine.disk().set_faults(DiskFaults { latency_ms: 100, ..DiskFaults::default() });
        let elapsed = run(&machine, |context| async move {
            let start = context.current();
            let (blob, _) = context.open("p", b"b").await.expect("opens");
            for _ in 0..20 {
                blob.write_at(0, vec![1], WriteOptions::SYNC).await.expect("writes");
            }
            context.current().duration_since(start).expect("time goes on")
        });
        let elapsed = elapsed.await;
        assert!((Duration::from_millis(400)..Duration::from_millis(2_200)).contains(&elapsed), "{elapsed:?}");

        machine.disk().set_faults(DiskFaults { stall: true, ..DiskFaults::default() });
        machine.start(|context| async move { drop(context.open("p", b"c").await.expect("opens")) });
        world.context().sleep(Duration::from_secs(100)).await;
        assert!(machine.running());
        machine.disk().set_faults(DiskFaults::default());
        machine.ended().await;
        assert_eq!(machine.disk().blobs("p").len(), 2);
    });
}

#[test]
fn a_secret_on_disk_is_found_wherever_it_is() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        let disk = machine.disk().clone();
        run_up_to(&machine, move |context| async move {
            let (blob, _) = context.open("p", b"b").await.expect("opens");
            blob.write_at(8 << 20, b"the durable one", WriteOptions::SYNC).await.expect("writes");
            blob.write_at(8 << 20, b"XXXXXXXXXXXXXXX", WriteOptions::default()).await.expect("writes");
            blob.write_at(4_090, b"across two pages", WriteOptions::default()).await.expect("writes");
            let (_named, _) = context.open("p", b"a telling name").await.expect("opens");
            assert_eq!(disk.find(b"across two pages").as_deref(), Some("p/62 at byte 4090"));
            assert_eq!(disk.find(b"durable one").as_deref(), Some("p/62 at byte 8388612"));
            assert!(disk.find(b"XXXXXXXXXXXXXXX").is_some());
            assert!(disk.find(b"telling").expect("is in a name").ends_with("in its name"));
            assert_eq!(disk.find(b"nowhere"), None);
            blob.sync().await.expect("syncs");
            assert_eq!(disk.find(b"durable one"), None, "overwritten");
            context.remove("p", Some(b"b")).await.expect("removes");
            assert!(disk.find(b"across two").expect("is open still").contains("removed"));
        })
        .await;
        machine.kill(Loss::Process);
        assert_eq!(machine.disk().find(b"across two pages"), None);
    });
}
