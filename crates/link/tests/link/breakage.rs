//! Connections that break, and come back.

use crate::network::*;
use commonware_runtime::{
    Clock as _, Network as _, Runner as _, Spawner as _, Supervisor as _, deterministic,
};
use link::{Client, Error, Limits, serve};
use std::time::Duration;

#[test]
fn in_flight_calls_fail_at_once() {
    deterministic::Runner::default().start(|context| async move {
        let (gate, server) = start_server(&context, Limits::default()).await;
        let client = Client::start(context.child("client"), client_config(Limits::default()));
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let client = client.clone();
                context.child("caller").spawn(|_| async move { client.call(PARK, b"", 60 * SECOND).await })
            })
            .collect();
        context.sleep(SECOND).await;
        assert_eq!(gate.parked(), 100);
        let start = context.current();
        server.abort();
        for call in calls {
            assert!(matches!(call.await.unwrap(), Err(Error::Unreachable { .. })));
        }
        assert!(context.current().duration_since(start).unwrap() < Duration::from_millis(100));
        assert_eq!(gate.parked(), 0, "the requests ended with the connection");
    });
}

#[test]
fn clients_reconnect() {
    deterministic::Runner::default().start(|context| async move {
        let listener = Lent::new(context.bind(ADDRESS).await.unwrap());
        let gate = Gate::default();
        let client = Client::start(context.child("client"), client_config(Limits::default()));
        for _ in 0..5 {
            let config = server_config(Limits::default());
            let server = serve(context.child("server"), listener.lend(), config, gate.clone());
            for lane in [ECHO, ECHO_BULK] {
                assert!(client.call(lane, b"", SECOND).await.is_ok());
            }
            context.sleep(2 * SECOND).await;
            server.abort();
            context.sleep(SECOND).await;
        }
    });
}

#[test]
fn calls_fail_fast_while_the_peer_is_away_and_work_when_it_is_back() {
    deterministic::Runner::default().start(|context| async move {
        let client = Client::start(context.child("client"), client_config(Limits::default()));
        for _ in 0..200 {
            let start = context.current();
            assert!(matches!(client.call(ECHO, b"", 60 * SECOND).await, Err(Error::Unreachable { .. })));
            assert!(context.current().duration_since(start).unwrap() < Duration::from_millis(50));
            context.sleep(Duration::from_millis(100)).await;
        }
        let (_, _) = start_server(&context, Limits::default()).await;
        // Within one longest backoff, even if nobody calls meanwhile.
        context.sleep(5 * SECOND).await;
        assert!(client.call(ECHO, b"", SECOND).await.is_ok());
    });
}

/// Without calls a client neither dials nor keeps its task busy.
#[test]
fn idle_clients_do_not_dial() {
    deterministic::Runner::default().start(|context| async move {
        let client = Client::start(context.child("client"), client_config(Limits::default()));
        assert!(client.call(ECHO, b"", SECOND).await.is_err());
        // At one dial each 5 s the deterministic network's ports would run out and panic.
        context.sleep(Duration::from_secs(5 * 60_000)).await;
        assert!(client.call(ECHO, b"", SECOND).await.is_err());
    });
}

#[test]
fn a_silent_peer_is_given_up() {
    deterministic::Runner::default().start(|context| async move {
        // Such a server's keepalives come later than its client expects.
        let server = Limits { keepalive: 100 * SECOND, silence: 300 * SECOND, ..Limits::default() };
        let (_, _) = start_server(&context, server).await;
        let client = Client::start(context.child("client"), client_config(Limits::default()));
        let start = context.current();
        let call = client.call(PARK, b"", 200 * SECOND).await;
        assert!(matches!(call, Err(Error::Unreachable { reason: link::Reason::Silent, .. })), "{call:?}");
        assert!(context.current().duration_since(start).unwrap() < 36 * SECOND);
    });
}

#[test]
fn connections_outlive_quiet_times() {
    deterministic::Runner::default().start(|context| async move {
        let (gate, client) = start(&context, Limits::default()).await;
        assert!(client.call(ECHO, b"", SECOND).await.is_ok());
        let parked = context.child("parked").spawn({
            let client = client.clone();
            move |_| async move { client.call(PARK, b"", 100 * SECOND).await }
        });
        context.sleep(90 * SECOND).await;
        gate.open.add_permits(1);
        assert!(parked.await.unwrap().is_ok());
    });
}

/// Dropping the client closes its connections; the server forgets them.
#[test]
fn dropped_clients_disconnect() {
    deterministic::Runner::default().start(|context| async move {
        let limits = Limits { connections: 2, ..Limits::default() };
        let (_, mut client) = start(&context, limits.clone()).await;
        for _ in 0..20 {
            assert!(client.call(ECHO, b"", SECOND).await.is_ok());
            assert!(client.call(ECHO_BULK, b"", SECOND).await.is_ok());
            drop(client);
            context.sleep(Duration::from_millis(100)).await;
            client = Client::start(context.child("client"), client_config(limits.clone()));
        }
    });
}
