//! Wires, and what processes see of their peers' ends.

use crate::{in_world, run, run_up_to};
use commonware_macros::select;
use commonware_runtime::{
    Blob as _, Clock as _, Error, IoBuf, IoBufs, Listener as _, Network as _, Sink as _, Spawner as _,
    Storage as _, Stream as _, Supervisor as _, WriteOptions,
};
use commonware_utils::channel::oneshot;
use rand::RngExt as _;
use std::{net::SocketAddr, time::Duration};
use trial::world::{Context, Listener, Loss, Machine, Sink, Stream, Wire, World};

const PORT: u16 = 80;

/// Sends random bytes to a peer at random times, answers what comes, and writes all of it to disk.
pub(crate) fn echo(machine: &Machine, peer: SocketAddr) {
    machine.start(move |context| async move {
        let mut listener = context.bind(SocketAddr::new(context.host(), PORT)).await.expect("binds");
        let mut rng = context.child("rng");
        context.child("asks").spawn(move |context| async move {
            loop {
                context.sleep(Duration::from_millis(rng.random_range(1..50))).await;
                let Ok((mut sink, mut stream)) = context.dial(peer).await else { continue };
                while sink.send(vec![rng.random::<u8>(); 4]).await.is_ok() && stream.recv(4).await.is_ok() {
                    context.sleep(Duration::from_millis(rng.random_range(1..20))).await;
                }
            }
        });
        let (blob, mut at) = context.open("p", b"b").await.expect("opens");
        while let Ok((_, mut sink, mut stream)) = listener.accept().await {
            while let Ok(bytes) = stream.recv(4).await {
                // A disk may fail here.
                let _ = blob.write_at(at, bytes.clone(), WriteOptions::default()).await;
                at += 4;
                if sink.send(bytes).await.is_err() {
                    break;
                }
            }
        }
    });
}

/// A connection between two machines whose processes stay: what each side has.
struct Pair {
    from: Machine,
    to: Machine,
    dialed: (Sink, Stream),
    accepted: (Sink, Stream),
}

async fn listen(machine: &Machine) -> Listener {
    run_up_to(machine, |context| async move {
        context.bind(SocketAddr::from(([0, 0, 0, 0], PORT))).await.expect("binds")
    })
    .await
}

async fn pair(world: &World) -> Pair {
    let (from, to) = (world.machine("from"), world.machine("to"));
    let mut listener = listen(&to).await;
    let address = to.address(PORT);
    let dialed =
        run_up_to(&from, move |context| async move { context.dial(address).await.expect("is there") });
    let dialed = dialed.await;
    let (dialer, sink, stream) = listener.accept().await.expect("was dialed");
    assert_eq!(dialer.ip(), from.host());
    Pair { from, to, dialed, accepted: (sink, stream) }
}

/// Milliseconds that something takes.
async fn took_ms(world: &World, future: impl Future) -> u128 {
    let start = world.context().current();
    future.await;
    world.context().current().duration_since(start).expect("time goes on").as_millis()
}

/// Whether something does not end within a while.
async fn hangs(world: &World, future: impl Future) -> bool {
    select! {
        _ = future => false,
        _ = world.context().sleep(Duration::from_secs(30)) => true,
    }
}

fn wire(latency_ms: u64) -> Wire {
    Wire { latency_ms, ..Wire::default() }
}

const CLOSED: Wire = Wire { latency_ms: 0, jitter_ms: 0, bytes_per_second: None, open: false };

#[test]
fn bytes_arrive_whole_in_order_and_after_their_latency() {
    in_world(1, |world| async move {
        world.wires().set_default(Wire { jitter_ms: 50, ..wire(100) });
        let Pair { mut dialed, mut accepted, .. } = pair(&world).await;
        let sent: Vec<u8> = (0..200_000u32).map(|index| (index / 7) as u8).collect();
        for (index, piece) in sent.chunks(977).enumerate() {
            dialed.0.send(piece.to_vec()).await.expect("is open");
            if index % 50 == 0 {
                world.context().sleep(Duration::from_millis(20)).await;
            }
        }
        let mut received = Vec::new();
        for len in [1, 2, 70_000, 0, 3, 129_000, 994] {
            received.extend_from_slice(accepted.1.recv(len).await.expect("arrives").coalesce().as_ref());
        }
        assert!(received == sent);
        let elapsed = took_ms(&world, async {
            accepted.0.send(vec![1; 10]).await.expect("is open");
            dialed.1.recv(4).await.expect("arrives");
        });
        let elapsed = elapsed.await;
        assert!((100..155).contains(&elapsed), "{elapsed}");
        assert_eq!(dialed.1.peek(2), [1, 1]);
        assert_eq!(dialed.1.peek(100).len(), 6);
        assert_eq!(world.wires().bytes_total(), 200_010);
    });
}

#[test]
fn a_wire_has_one_rate_for_all_its_connections() {
    in_world(1, |world| async move {
        let Pair { from, to, mut dialed, mut accepted } = pair(&world).await;
        let slow = Wire { bytes_per_second: Some(1_000_000), ..wire(10) };
        world.wires().set(from.host(), to.host(), slow);
        let there = took_ms(&world, async {
            let sends = dialed.0.send(vec![1; 2_000_000]);
            let (sent, received) = futures::join!(sends, accepted.1.recv(2_000_000));
            sent.and(received.map(drop)).expect("arrives");
        });
        let there = there.await;
        assert!((2_000..2_100).contains(&there), "{there}");
        let back = took_ms(&world, async {
            accepted.0.send(vec![1; 200_000]).await.expect("is open");
            dialed.1.recv(200_000).await.expect("arrives");
        });
        assert!(back.await < 20);
    });
}

#[test]
fn a_sender_waits_for_its_receiver() {
    in_world(1, |world| async move {
        let Pair { mut dialed, mut accepted, .. } = pair(&world).await;
        let mut sent = 0;
        while !hangs(&world, dialed.0.send(vec![7; 10_000])).await {
            sent += 10_000;
        }
        assert!((200_000..400_000).contains(&sent), "{sent}");
        assert!(
            matches!(dialed.0.send(vec![7; 1]).await, Err(Error::Closed)),
            "an unfinished send spoils the sink"
        );
        accepted.1.recv(sent).await.expect("what was sent is there");
    });
}

#[test]
fn a_closed_wire_holds_back_one_direction() {
    in_world(1, |world| async move {
        let Pair { from, to, mut dialed, mut accepted } = pair(&world).await;
        world.wires().set(from.host(), to.host(), CLOSED);
        dialed.0.send(b"there").await.expect("the system takes it");
        accepted.0.send(b"back").await.expect("the system takes it");
        assert_eq!(dialed.1.recv(4).await.expect("this way is open").coalesce(), b"back");
        let (received, mut arrived) = oneshot::channel();
        let waits = world.context().child("waits").spawn(move |_| async move {
            let bytes = accepted.1.recv(5).await.expect("arrives in the end");
            let _ = received.send(bytes.coalesce());
            accepted
        });
        world.context().sleep(Duration::from_secs(30)).await;
        assert!(arrived.try_recv().is_err(), "nothing arrives over a closed wire");
        world.wires().set(from.host(), to.host(), wire(0));
        assert_eq!(arrived.await.expect("arrives"), b"there");
        let mut accepted = waits.await.expect("ends");

        // Without acknowledgements, a sender goes on until its window is full, though all of it arrives.
        world.wires().set(to.host(), from.host(), CLOSED);
        let reader = world.context().child("reads").spawn(move |_| async move {
            let mut read = 0;
            while accepted.1.recv(10_000).await.is_ok() {
                read += 10_000;
            }
            read
        });
        while !hangs(&world, dialed.0.send(vec![1; 10_000])).await {}
        world.context().sleep(Duration::from_secs(61)).await;
        assert!((200_000..400_000).contains(&reader.await.expect("ends")));
    });
}

#[test]
fn a_dial_over_a_closed_wire_waits_for_it() {
    in_world(1, |world| async move {
        let (from, to) = (world.machine("from"), world.machine("to"));
        let mut listener = listen(&to).await;
        let (address, back) = (to.address(PORT), (to.host(), from.host()));
        world.wires().set(back.0, back.1, CLOSED);
        let elapsed = took_ms(
            &world,
            run(&from, move |context| async move {
                assert!(matches!(context.dial(address).await, Err(Error::Timeout)));
            }),
        );
        assert_eq!(elapsed.await / 1_000, 10);
        let wires = world.wires().clone();
        run(&from, move |context| async move {
            let opens = context.child("opens").spawn(move |context| async move {
                context.sleep(Duration::from_secs(5)).await;
                wires.set(back.0, back.1, wire(40));
            });
            context.dial(address).await.expect("the wire was opened");
            opens.await.expect("ends");
        })
        .await;
        listener.accept().await.expect("was dialed");
    });
}

#[test]
fn connections_break_for_both_sides() {
    in_world(1, |world| async move {
        let Pair { from, to, mut dialed, mut accepted } = pair(&world).await;
        let wires = world.wires().clone();
        let breaks = world.context().child("breaks").spawn(move |context| async move {
            context.sleep(Duration::from_secs(1)).await;
            wires.break_all(to.host(), from.host());
            (from, to)
        });
        assert!(matches!(dialed.1.recv(1).await, Err(Error::RecvFailed)));
        assert!(matches!(dialed.1.recv(1).await, Err(Error::Closed)));
        assert!(matches!(accepted.0.send(b"x").await, Err(Error::SendFailed)));
        assert!(matches!(accepted.0.send(b"x").await, Err(Error::Closed)));
        breaks.await.expect("ends");
    });
}

#[test]
fn a_closed_connection_delivers_what_was_sent_before() {
    in_world(1, |world| async move {
        world.wires().set_default(wire(20));
        let Pair { mut dialed, accepted, .. } = pair(&world).await;
        let (mut sink, stream) = accepted;
        sink.send(b"last words").await.expect("is open");
        drop(sink);
        assert_eq!(dialed.1.recv(10).await.expect("arrives").coalesce(), b"last words");
        assert!(matches!(dialed.1.recv(1).await, Err(Error::RecvFailed)));
        dialed.0.send(b"half open").await.expect("the other half is there");
        drop(stream);
        world.context().sleep(Duration::from_millis(30)).await;
        assert!(matches!(dialed.0.send(b"nobody").await, Err(Error::SendFailed)));
    });
}

#[test]
fn a_killed_process_resets_its_connections_and_frees_its_ports() {
    in_world(1, |world| async move {
        world.wires().set_default(wire(20));
        let Pair { from, to, mut dialed, accepted } = pair(&world).await;
        to.kill(Loss::Process);
        let noticed = took_ms(&world, dialed.1.recv(1)).await;
        assert!((20..25).contains(&noticed), "{noticed}");
        assert!(matches!(dialed.0.send(b"x").await, Err(Error::SendFailed)));
        let address = to.address(PORT);
        from.kill(Loss::Process);
        let refused = run(&from, move |context| async move { context.dial(address).await.map(drop) });
        assert!(matches!(refused.await, Err(Error::ConnectionFailed)));

        let (mut sink, mut stream) = accepted;
        assert!(matches!(sink.send(b"from beyond").await, Err(Error::Closed)));
        assert!(matches!(stream.recv(1).await, Err(Error::Closed)));
        let mut listener = listen(&to).await;
        drop((sink, stream));
        run_up_to(&from, move |context| async move { context.dial(address).await.expect("is back") }).await;
        listener.accept().await.expect("was dialed");
        to.kill(Loss::Process);
        assert!(matches!(listener.accept().await, Err(Error::Closed)));
        let _listener = listen(&to).await;
        drop(listener);
        let other = world.machine("other");
        let bound = run_up_to(&other, move |context| async move {
            let mine = context.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("binds");
            let again = context.bind(mine.local_addr().expect("is bound")).await.map(drop);
            (again, context.bind(address).await.map(drop))
        });
        assert!(matches!(bound.await, (Err(Error::BindFailed), Err(Error::BindFailed))));
    });
}

#[test]
fn a_machine_without_power_says_nothing() {
    in_world(1, |world| async move {
        let Pair { from, to, mut dialed, accepted } = pair(&world).await;
        to.kill(Loss::Power);
        drop(accepted);
        dialed.0.send(b"hello?").await.expect("the system takes it");
        let mut stream = dialed.1;
        assert!(hangs(&world, stream.recv(1)).await);
        from.kill(Loss::Process);
        let address = to.address(PORT);
        let dial = move |context: Context| async move { context.dial(address).await.map(drop) };
        assert!(matches!(run(&from, dial).await, Err(Error::Timeout)));
        let _listener = listen(&to).await;
        run(&from, dial).await.expect("is back");
    });
}

#[test]
fn peers_of_a_machine_that_lost_power_learn_of_it_when_they_speak() {
    in_world(1, |world| async move {
        let Pair { from: _from, to, mut dialed, accepted: _accepted } = pair(&world).await;
        to.kill(Loss::Power);
        let listener = listen(&to).await;
        let silence = took_ms(&world, dialed.1.recv(1)).await;
        assert_eq!(silence / 1_000, 60, "nobody tells who only listens");
        dialed.0.send(b"there?").await.expect("the system takes it");
        world.context().sleep(Duration::from_millis(10)).await;
        assert!(matches!(dialed.0.send(b"there?").await, Err(Error::SendFailed)));
        drop(listener);
    });
}

#[test]
fn taps_see_what_passes_across_pieces_too() {
    in_world(1, |world| async move {
        let Pair { mut dialed, mut accepted, .. } = pair(&world).await;
        world.wires().tap(vec![b"secret".to_vec(), b"never sent".to_vec()]);
        dialed.0.send(b"a secr").await.expect("is open");
        assert!(world.wires().tapped().is_empty());
        accepted.0.send(b"et").await.expect("is open");
        assert!(world.wires().tapped().is_empty(), "directions are apart");
        dialed.0.send(IoBufs::from([IoBuf::from(b"e"), IoBuf::from(b"t")])).await.expect("is open");
        assert_eq!(world.wires().tapped(), ["needle 0 from 10.0.0.1 to 10.0.0.2"]);
    });
}
