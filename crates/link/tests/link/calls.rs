//! Calls that work.

use crate::network::*;
use bytes::Bytes;
use commonware_runtime::{Clock as _, Runner as _, Spawner as _, Supervisor as _, deterministic};
use futures::future::join_all;
use link::{BODY_MAX, Error, Lane, Limits, pieces};
use std::time::Duration;

#[test]
fn round_trip() {
    deterministic::Runner::default().start(|context| async move {
        let (gate, client) = start(&context, Limits::default()).await;
        for lane in [ECHO, ECHO_BULK] {
            assert_eq!(client.call(lane, b"hello", SECOND).await.unwrap(), &b"hello"[..]);
            assert_eq!(client.call(lane, b"", SECOND).await.unwrap(), &b""[..]);
        }
        assert!(gate.seen.lock().iter().all(|peer| gate.admitted.as_ref() == Some(peer)));
    });
}

#[test]
fn pieces_arrive_as_one_body() {
    deterministic::Runner::default().start(|context| async move {
        let (_, client) = start(&context, Limits::default()).await;
        let request = pieces((0..10u8).map(|piece| Bytes::from(vec![piece; 3])));
        let response = client.call(ECHO, request, SECOND).await.unwrap();
        assert_eq!(response.len(), 30);
        assert_eq!(response[27..], [9; 3]);
    });
}

#[test]
fn thousand_parked_requests_block_nobody() {
    deterministic::Runner::default().start(|context| async move {
        let (gate, client) = start(&context, Limits::default()).await;
        let parked: Vec<_> = (0..1000)
            .map(|_| {
                let client = client.clone();
                context.child("caller").spawn(|_| async move { client.call(PARK, b"x", 60 * SECOND).await })
            })
            .collect();
        while gate.parked() < 1000 {
            context.sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(client.call(ECHO, b"small", SECOND).await.unwrap(), &b"small"[..]);
        assert_eq!(client.call(ECHO_BULK, vec![1; 512 << 10], SECOND).await.unwrap().len(), 512 << 10);
        // Longer than any read timeout or silence: keepalives hold the connection.
        context.sleep(50 * SECOND).await;
        assert_eq!(gate.parked(), 1000);
        gate.open.add_permits(1000);
        assert!(join_all(parked).await.into_iter().all(|call| call.unwrap().is_ok()));
    });
}

#[test]
fn large_messages() {
    deterministic::Runner::default().start(|context| async move {
        let (_, client) = start(&context, Limits::default()).await;
        let request = Bytes::from((0..BODY_MAX).map(|i| (i / 7) as u8).collect::<Vec<_>>());
        let calls = (0..40).map(|_| client.call(ECHO_BULK, request.clone(), 60 * SECOND));
        for response in join_all(calls).await {
            assert_eq!(response.unwrap(), request);
        }
        let filled = client.call(FILL, (BODY_MAX as u32).to_be_bytes().to_vec(), SECOND).await.unwrap();
        assert_eq!(filled.len(), BODY_MAX);
    });
}

#[test]
fn too_large() {
    deterministic::Runner::default().start(|context| async move {
        let (_, client) = start(&context, Limits::default()).await;
        let call = client.call(ECHO_BULK, vec![0; BODY_MAX + 1], SECOND).await;
        assert!(matches!(call, Err(Error::TooLarge { bytes, .. }) if bytes == BODY_MAX + 1));

        // What the lane did not reserve is not sent; the connection stays.
        let lane = FILL.reply_max(100);
        let fill = |bytes: u32| client.call(lane, bytes.to_be_bytes().to_vec(), SECOND);
        assert!(matches!(fill(101).await, Err(Error::ReplyTooLarge)));
        assert_eq!(fill(100).await.unwrap().len(), 100);
        // Nor is a handler able to answer at length that it is overloaded.
        assert!(matches!(client.call(REFUSE, b"", SECOND).await, Err(Error::Overloaded)));
    });
}

/// A big request on a control lane does not delay what is small.
#[test]
fn big_requests_take_the_bulk_connection() {
    deterministic::Runner::default().start(|context| async move {
        let (gate, client) = start(&context, Limits { peer_connections: 2, ..Limits::default() }).await;
        let lane = Lane::control(1).reply_max(BODY_MAX);
        assert_eq!(client.call(lane, vec![0; 64 << 10], SECOND).await.unwrap().len(), 64 << 10);
        assert_eq!(client.call(ECHO, b"", SECOND).await.unwrap().len(), 0);
        assert_eq!(gate.seen.lock().len(), 2);
    });
}

#[test]
fn timeouts_are_kept_at_both_ends() {
    deterministic::Runner::default().start(|context| async move {
        let (gate, client) = start(&context, Limits::default()).await;
        let start = context.current();
        assert!(matches!(client.call(PARK, b"", 3 * SECOND).await, Err(Error::Timeout)));
        let waited = context.current().duration_since(start).unwrap();
        assert!(waited >= 3 * SECOND && waited < 3 * SECOND + Duration::from_millis(100));
        context.sleep(Duration::from_millis(100)).await;
        assert_eq!(gate.parked(), 0);
        assert!(client.call(ECHO, b"", SECOND).await.is_ok());
    });
}

/// Two runs with one seed do exactly the same.
#[test]
fn runs_are_reproducible() {
    let run = || {
        deterministic::Runner::seeded(7).start(|context| async move {
            let (gate, client) = start(&context, Limits::default()).await;
            let calls = (0..50).map(|i| client.call(if i % 3 == 0 { PARK } else { ECHO }, vec![i], SECOND));
            gate.open.add_permits(10);
            join_all(calls).await;
            context.auditor().state()
        })
    };
    assert_eq!(run(), run());
}
