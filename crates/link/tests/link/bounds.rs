//! What is in flight stays within the limits.

use crate::network::*;
use commonware_cryptography::{Signer as _, ed25519::PrivateKey};
use commonware_runtime::{Clock as _, Runner as _, Spawner as _, Supervisor as _, deterministic};
use futures::{FutureExt as _, future::join_all};
use link::{BODY_MAX, Client, ClientConfig, Error, Limits};
use std::{sync::atomic::Ordering, time::Duration};

const SOON: Duration = Duration::from_millis(100);

/// Parks `count` calls and returns how many of them got to the handler.
async fn park(
    context: &deterministic::Context,
    client: &Client,
    gate: &Gate,
    count: usize,
    bytes: usize,
) -> usize {
    for _ in 0..count {
        let client = client.clone();
        context
            .child("caller")
            .spawn(move |_| async move { client.call(PARK, vec![0; bytes], 60 * SECOND).await });
    }
    context.sleep(SOON).await;
    gate.parked()
}

#[test]
fn requests_in_flight_are_bounded() {
    deterministic::Runner::default().start(|context| async move {
        let limits = Limits { requests: 10, ..Limits::default() };
        let (gate, client) = start(&context, limits).await;
        assert_eq!(park(&context, &client, &gate, 25, 0).await, 10);
        // The calls for which there is no room wait, and go when others are answered.
        gate.open.add_permits(12);
        context.sleep(SOON).await;
        assert_eq!(gate.parked(), 10);
        gate.open.add_permits(13);
        context.sleep(SOON).await;
        assert_eq!((gate.parked(), gate.parked_max.load(Ordering::SeqCst)), (0, 10));
    });
}

#[test]
fn bytes_in_flight_are_bounded() {
    deterministic::Runner::default().start(|context| async move {
        let limits = Limits { bytes: 2 * BODY_MAX, ..Limits::default() };
        let (gate, client) = start(&context, limits).await;
        assert_eq!(park(&context, &client, &gate, 12, 1 << 20).await, 8);
        gate.open.add_permits(12);
        context.sleep(SOON).await;
        assert_eq!((gate.parked(), gate.parked_max.load(Ordering::SeqCst)), (0, 8));
    });
}

/// A client that reserves nothing itself is held by the server: it stops reading.
#[test]
fn servers_do_not_rely_on_clients() {
    deterministic::Runner::default().start(|context| async move {
        let server = Limits { requests: 10, ..Limits::default() };
        let (gate, _) = start_server(&context, server).await;
        let client = Client::start(context.child("client"), client_config(Limits::default()));
        assert_eq!(park(&context, &client, &gate, 200, 0).await, 10);
        // Although the server does not read, its keepalives hold the connection.
        context.sleep(45 * SECOND).await;
        gate.open.add_permits(200);
        context.sleep(SOON).await;
        assert_eq!((gate.parked(), gate.parked_max.load(Ordering::SeqCst)), (0, 10));
        assert_eq!(gate.seen.lock().len(), 200);
    });
}

#[test]
fn bytes_of_all_connections_are_bounded() {
    deterministic::Runner::default().start(|context| async move {
        // Room for nine requests of a megabyte, and for small ones.
        let bytes = 2 * BODY_MAX + (3 << 20);
        let limits = Limits { bytes, peer_bytes: bytes, server_bytes: bytes, ..Limits::default() };
        let (gate, first) = start(&context, limits.clone()).await;
        let second = Client::start(context.child("client"), client_config(limits));
        assert_eq!(park(&context, &first, &gate, 6, 1 << 20).await, 6);
        assert_eq!(park(&context, &second, &gate, 6, 1 << 20).await, 9);
        gate.open.add_permits(12);
        context.sleep(SOON).await;
        assert_eq!((gate.parked(), gate.parked_max.load(Ordering::SeqCst)), (0, 9));
    });
}

/// Who has many connections, and keys, full of what takes long, takes his own share: others are served at once, and
/// their small requests even when all shares are taken.
#[test]
fn no_peer_takes_the_room_of_others() {
    deterministic::Runner::default().start(|context| async move {
        let limits =
            Limits { bytes: 2 * BODY_MAX, peer_bytes: 10 << 20, server_bytes: 40 << 20, ..Limits::default() };
        let listener = commonware_runtime::Network::bind(&context, ADDRESS).await.unwrap();
        let gate = Gate { admitted: None, ..Gate::default() };
        link::serve(context.child("server"), listener, server_config(limits.clone()), gate.clone());
        let connect = |key: u64| {
            let key = PrivateKey::from_seed(key);
            // He does not keep to any limit.
            let config = ClientConfig { key, ..client_config(Limits::default()) };
            Client::start(context.child("client"), config)
        };
        let mut parked = 0;
        for key in [10, 11, 12] {
            for _ in 0..6 {
                let client = connect(key);
                parked = park(&context, &client, &gate, 4, 1 << 20).await;
            }
            assert_eq!(parked, 8 * (key as usize - 9), "each has its share");
        }
        let other = connect(20);
        assert!(other.call(ECHO, b"", SECOND).await.is_ok());
        assert!(other.call(ECHO_BULK, vec![0; 1 << 20], SECOND).await.is_ok());
        // Another takes what is left: bulk data waits now, small requests do not.
        assert_eq!(park(&context, &connect(13), &gate, 8, 1 << 20).await, 32);
        assert_eq!(park(&context, &connect(14), &gate, 8, 1 << 20).await, 35);
        assert!(other.call(ECHO_BULK, vec![0; 1 << 20], SECOND).await.is_err());
        assert!(connect(21).call(ECHO, b"", SECOND).await.is_ok());
    });
}

#[test]
fn too_many_waiting_calls_are_refused() {
    deterministic::Runner::default().start(|context| async move {
        let limits = Limits { requests: 2, waiting: 3, ..Limits::default() };
        let (gate, client) = start(&context, limits).await;
        assert_eq!(park(&context, &client, &gate, 5, 0).await, 2);
        assert!(matches!(client.call(ECHO, b"", SECOND).await, Err(Error::Overloaded)));
        gate.open.add_permits(5);
        context.sleep(SOON).await;
        assert!(client.call(ECHO, b"", SECOND).await.is_ok());
    });
}

/// Cancelling gives the place back at both ends, whether the request was sent or not.
#[test]
fn cancelled_calls_release_their_places() {
    deterministic::Runner::default().start(|context| async move {
        let limits = Limits { requests: 10, ..Limits::default() };
        let (gate, client) = start(&context, limits).await;
        for _ in 0..20 {
            let mut calls: Vec<_> = (0..10).map(|_| Box::pin(client.call(PARK, b"", 60 * SECOND))).collect();
            let never_sent = client.call(PARK, b"", 60 * SECOND);
            assert!(join_all(calls.iter_mut()).now_or_never().is_none());
            assert!(Box::pin(never_sent).as_mut().now_or_never().is_none());
            context.sleep(SOON).await;
            assert_eq!(gate.parked(), 10);
            drop(calls);
            context.sleep(SOON).await;
            assert_eq!(gate.parked(), 0);
        }
        // Nothing was left behind: ten still fit, and were never more.
        assert_eq!(park(&context, &client, &gate, 11, 0).await, 10);
        assert_eq!(gate.parked_max.load(Ordering::SeqCst), 10);
    });
}

#[test]
fn calls_cancelled_before_the_connection_stands_are_not_sent() {
    deterministic::Runner::default().start(|context| async move {
        let (gate, client) = start(&context, Limits { requests: 10, ..Limits::default() }).await;
        for _ in 0..100 {
            assert!(Box::pin(client.call(PARK, b"", SECOND)).as_mut().now_or_never().is_none());
        }
        assert!(client.call(ECHO, b"", SECOND).await.is_ok());
        assert_eq!(gate.seen.lock().len(), 1);
    });
}
