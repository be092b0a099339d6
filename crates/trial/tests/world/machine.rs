//! Processes, their ends, and clocks.

use crate::{in_world, run, run_up_to};
use commonware_runtime::{Blob as _, Resolver as _};
use commonware_runtime::{
    Clock as _, Error, Metrics as _, Spawner as _, Storage as _, Supervisor as _, WriteOptions,
    telemetry::metrics::raw::Counter,
};
use commonware_utils::SystemTimeExt as _;
use rand::Rng as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use trial::world::{Ending, Loss, World};

/// A process whose tasks count up every millisecond, three levels deep.
async fn counting(world: &World) -> (trial::world::Machine, Arc<AtomicU64>) {
    let machine = world.machine("m");
    let counter = Arc::new(AtomicU64::new(0));
    let count = counter.clone();
    machine.start(move |context| async move {
        let child = context.child("a").spawn(move |context| async move {
            let grandchild = context.child("b").spawn(move |context| async move {
                loop {
                    context.sleep(Duration::from_millis(1)).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
            grandchild.await.expect("never ends")
        });
        child.await.expect("never ends")
    });
    world.context().sleep(Duration::from_millis(100)).await;
    assert!(counter.load(Ordering::Relaxed) > 10);
    (machine, counter)
}

#[test]
fn a_kill_ends_every_task_at_once() {
    in_world(1, |world| async move {
        let (machine, counter) = counting(&world).await;
        machine.kill(Loss::Process);
        let counted = counter.load(Ordering::Relaxed);
        assert!(!machine.running());
        assert_eq!(machine.ended().await, Ending::Killed(Loss::Process));
        world.context().sleep(Duration::from_secs(1)).await;
        assert_eq!(counter.load(Ordering::Relaxed), counted);
        assert_eq!(Arc::strong_count(&counter), 1, "the tasks are dropped");
    });
}

#[test]
fn a_process_is_killed_after_so_many_steps_and_between_two_of_them() {
    in_world(1, |world| async move {
        for steps in [0, 1, 7] {
            let (machine, counter) = counting(&world).await;
            let counted = counter.load(Ordering::Relaxed);
            machine.kill_after(steps);
            world.context().sleep(Duration::from_secs(1)).await;
            assert_eq!(machine.ended().await, Ending::Killed(Loss::Process));
            // Each step of the one task that goes on counts once.
            assert_eq!(counter.load(Ordering::Relaxed), counted + u64::from(steps));
            machine.start(|_| std::future::pending());
            world.context().sleep(Duration::from_secs(1)).await;
            assert!(machine.running(), "the next process knows nothing of it");
        }
    });
}

#[test]
fn a_process_that_returns_takes_its_tasks_along() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        let counter = Arc::new(());
        let held = counter.clone();
        run(&machine, |context| async move {
            context.child("stays").spawn(move |_| async move {
                let _held = held;
                std::future::pending::<()>().await
            });
        })
        .await;
        assert!(!machine.running());
        world.context().sleep(Duration::from_millis(10)).await;
        assert_eq!(Arc::strong_count(&counter), 1);
    });
}

#[test]
fn a_panic_in_any_task_ends_the_process_and_no_other() {
    in_world(1, |world| async move {
        let (other, counter) = counting(&world).await;
        let machine = world.machine("panics");
        machine.start(|context| async move {
            let (blob, _) = context.open("p", b"b").await.expect("opens");
            blob.write_at(0, b"written", WriteOptions::default()).await.expect("writes");
            context.child("a").spawn(|context| async move {
                let child = context.child("b").spawn(|context| async move {
                    context.sleep(Duration::from_millis(5)).await;
                    panic!("invariant {} is broken", 7);
                });
                let _: Result<(), _> = child.await;
                panic!("no task goes on after the first panic");
            });
            std::future::pending().await
        });
        assert_eq!(machine.panicked(), None);
        assert_eq!(machine.ended().await, Ending::Panicked("invariant 7 is broken".into()));
        world.context().sleep(Duration::from_millis(50)).await;
        assert_eq!(machine.panicked().as_deref(), Some("invariant 7 is broken"));
        let counted = counter.load(Ordering::Relaxed);
        world.context().sleep(Duration::from_millis(50)).await;
        assert!(counter.load(Ordering::Relaxed) > counted && other.running());
        assert_eq!(machine.disk().blobs("p"), [(b"b".to_vec(), 7)], "the system keeps what was written");
        run(&machine, |_| async {}).await;
        assert_eq!(machine.panicked(), None);
    });
}

#[test]
fn stopping_concerns_one_process() {
    in_world(1, |world| async move {
        let (machine, other) = (world.machine("m"), world.machine("other"));
        let unstopped = run_up_to(&other, |context| std::future::ready(context.stopped())).await;
        run(&machine, |context| async move {
            let signal = context.stopped();
            let waits =
                context.child("waits").spawn(move |_| async move { signal.await.expect("is signalled") });
            context.child("stops").stop(9, Some(Duration::from_secs(1))).await.expect("stops");
            assert_eq!(waits.await.expect("ends"), 9);
            let _held = context.stopped();
        })
        .await;
        assert!(futures::FutureExt::now_or_never(unstopped).is_none());
        let free = world.machine("free");
        let late = run(&free, |context| async move {
            let _signal = context.stopped();
            context.child("stops").stop(0, Some(Duration::from_secs(1))).await
        });
        assert!(matches!(late.await, Err(Error::Timeout)));
    });
}

#[test]
fn metrics_of_machines_stand_apart_and_can_be_registered_again() {
    in_world(1, |world| async move {
        for name in ["one", "two", "one"] {
            let machine = world.machine(name);
            let encoded = run(&machine, |context| async move {
                let counter = context.child("engine").register("seen", "seen", Counter::<u64>::default());
                counter.inc();
                context.encode()
            });
            assert!(encoded.await.contains(&format!("engine_seen_total{{machine=\"{name}\"}} 1")));
        }
        let three = world.machine("three");
        let found = run(&three, |context| async move { context.resolve("two").await });
        assert_eq!(found.await.expect("is known"), [std::net::IpAddr::from([10, 0, 0, 2])]);
    });
}

/// What a machine's clock is ahead of true time, milliseconds.
fn ahead_ms(world: &World, machine: &trial::world::Machine) -> i64 {
    machine.clock().now().epoch_millis() as i64 - world.context().current().epoch_millis() as i64
}

#[test]
fn a_clock_may_be_wrong_and_drift() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        world.context().sleep(Duration::from_secs(1_000)).await;
        machine.clock().set_offset_ms(5_000);
        assert_eq!(ahead_ms(&world, &machine), 5_000);
        machine.clock().set_offset_ms(-5_000);
        assert_eq!(ahead_ms(&world, &machine), -5_000);

        machine.clock().set_drift_ppm(100_000);
        let start = world.context().current();
        let slept = run(&machine, |context| async move {
            let start = context.current();
            context.sleep(Duration::from_secs(11)).await;
            context.sleep_until(context.current() + Duration::from_secs(11)).await;
            context.sleep_until(start).await;
            context.current().duration_since(start).expect("no jump back")
        })
        .await;
        let truly = world.context().current().duration_since(start).expect("time goes on");
        assert!((22_000..22_030).contains(&slept.as_millis()), "{slept:?}");
        assert!((20_000..20_030).contains(&truly.as_millis()), "{truly:?}");

        let mut last = machine.clock().now();
        for drift_ppm in [-500_000, 333_333, -1, 500_000, 0] {
            machine.clock().set_drift_ppm(drift_ppm);
            for _ in 0..10 {
                assert!(machine.clock().now() >= last);
                last = machine.clock().now();
                world.context().sleep(Duration::from_millis(1)).await;
            }
        }
        machine.clock().set_offset_ms(i64::MIN / 2_000_000);
        assert_eq!(machine.clock().now(), SystemTime::UNIX_EPOCH, "there is nothing before");
        run(&machine, |context| async move {
            let far = context.sleep_until(SystemTime::limit());
            assert!(matches!(context.timeout(Duration::from_millis(5), far).await, Err(Error::Timeout)));
        })
        .await;
    });
}

/// A world with disks, wires and deaths, down to the auditor's digest and what was drawn last.
fn history(seed: u64) -> (String, u64, Vec<(Vec<u8>, u64)>) {
    in_world(seed, |world| async move {
        let (a, b) = (world.machine("a"), world.machine("b"));
        world.wires().set_default(trial::world::Wire { latency_ms: 3, jitter_ms: 9, ..Default::default() });
        for machine in [&a, &b] {
            let faults = trial::world::DiskFaults { latency_ms: 7, write_error: 0.1, ..Default::default() };
            machine.disk().set_faults(faults);
            let peer = if machine.name() == "a" { &b } else { &a }.address(80);
            crate::wires::echo(machine, peer);
        }
        world.context().sleep(Duration::from_millis(500)).await;
        a.kill(Loss::Power);
        world.context().sleep(Duration::from_millis(500)).await;
        crate::wires::echo(&a, b.address(80));
        world.context().sleep(Duration::from_millis(500)).await;
        let digest = world.context().auditor().state();
        (digest, world.context().child("last").next_u64(), a.disk().blobs("p"))
    })
}

#[test]
fn everything_follows_from_the_seed() {
    for seed in 0..5 {
        assert_eq!(history(seed), history(seed));
    }
    assert_ne!(history(1).0, history(2).0);
}
