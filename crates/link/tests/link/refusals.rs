//! Who does not get a connection, and what hostile peers achieve.

use crate::network::*;
use commonware_cryptography::{Signer as _, ed25519::PrivateKey};
use commonware_runtime::{
    Clock as _, IoBufs, Listener as _, Network as _, Runner as _, Sink as _, Spawner as _, Supervisor as _,
    deterministic,
};
use commonware_stream::{
    Upgrader as _,
    cups::{self, Cups},
    sake::{self, Sake},
};
use link::{Aes256Gcm, Client, ClientConfig, Error, Limits, Malformed, Reason};
use std::time::Duration;

async fn refused(context: &deterministic::Context, config: ClientConfig) -> Reason {
    let client = Client::start(context.child("client"), config);
    match client.call(ECHO, b"", 30 * SECOND).await {
        Err(Error::Unreachable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn wrong_server_key() {
    deterministic::Runner::default().start(|context| async move {
        let (gate, _) = start_server(&context, Limits::default()).await;
        let peer = PrivateKey::from_seed(9).public_key();
        let config = ClientConfig { peer, ..client_config(Limits::default()) };
        assert!(matches!(refused(&context, config).await, Reason::Handshake(_)));
        assert!(gate.seen.lock().is_empty());
    });
}

#[test]
fn client_not_admitted() {
    deterministic::Runner::default().start(|context| async move {
        let (gate, _) = start_server(&context, Limits::default()).await;
        let config = ClientConfig { key: PrivateKey::from_seed(9), ..client_config(Limits::default()) };
        assert!(matches!(refused(&context, config).await, Reason::Handshake(_)));
        assert!(gate.seen.lock().is_empty());
    });
}

#[test]
fn wrong_namespace() {
    deterministic::Runner::default().start(|context| async move {
        let (gate, _) = start_server(&context, Limits::default()).await;
        let config = ClientConfig { namespace: b"other".to_vec(), ..client_config(Limits::default()) };
        assert!(matches!(refused(&context, config).await, Reason::Handshake(_)));
        assert!(gate.seen.lock().is_empty());
    });
}

#[test]
fn nobody_there() {
    deterministic::Runner::default().start(|context| async move {
        assert!(matches!(refused(&context, client_config(Limits::default())).await, Reason::Dial(_)));
    });
}

/// Whoever accepts and says nothing costs the deadline, not forever.
#[test]
fn mute_server() {
    deterministic::Runner::default().start(|context| async move {
        let mut listener = context.bind(ADDRESS).await.unwrap();
        let _mute = context.child("mute").spawn(|_| async move {
            let mut held = Vec::new();
            while let Ok(connection) = listener.accept().await {
                held.push(connection);
            }
        });
        let start = context.current();
        assert_eq!(refused(&context, client_config(Limits::default())).await, Reason::HandshakeTimeout);
        assert!(context.current().duration_since(start).unwrap() < 6 * SECOND);
    });
}

/// Connections that never shake hands take the places for handshakes only until the deadline.
#[test]
fn mute_clients_are_bounded() {
    deterministic::Runner::default().start(|context| async move {
        let limits = Limits { handshakes: 4, ..Limits::default() };
        let (_, _) = start_server(&context, limits.clone()).await;
        let mut mute = Vec::new();
        for _ in 0..4 {
            mute.push(context.dial(ADDRESS).await.unwrap());
        }
        context.sleep(Duration::from_millis(10)).await;
        assert!(matches!(refused(&context, client_config(limits.clone())).await, Reason::Handshake(_)));
        context.sleep(limits.handshake_timeout).await;
        let client = Client::start(context.child("client"), client_config(limits));
        assert!(client.call(ECHO, b"", SECOND).await.is_ok());
    });
}

#[test]
fn a_full_server_refuses() {
    deterministic::Runner::default().start(|context| async move {
        let limits = Limits { connections: 1, ..Limits::default() };
        let (_, client) = start(&context, limits).await;
        assert!(client.call(ECHO, b"", SECOND).await.is_ok());
        assert!(matches!(client.call(ECHO_BULK, b"", SECOND).await, Err(Error::Unreachable { .. })));
        assert!(client.call(ECHO, b"", SECOND).await.is_ok());
    });
}

/// A peer with too many connections loses those that it does not use, and gets no more while it uses all.
#[test]
fn newer_connections_replace_idle_ones() {
    deterministic::Runner::default().start(|context| async move {
        let limits = Limits { peer_connections: 2, ..Limits::default() };
        let (gate, first) = start(&context, limits.clone()).await;
        assert!(first.call(ECHO, b"", SECOND).await.is_ok());
        assert!(first.call(ECHO_BULK, b"", SECOND).await.is_ok());
        let second = Client::start(context.child("client"), client_config(limits));
        let park = |client: &Client| {
            let client = client.clone();
            context.child("parked").spawn(|_| async move { client.call(PARK, b"", 30 * SECOND).await })
        };
        let parked = park(&first);
        context.sleep(Duration::from_millis(100)).await;
        assert!(second.call(ECHO, b"", SECOND).await.is_ok(), "instead of the idle one");
        let also_parked = park(&second);
        context.sleep(Duration::from_millis(100)).await;
        assert!(matches!(first.call(ECHO_BULK, b"", SECOND).await, Err(Error::Unreachable { .. })));
        gate.open.add_permits(2);
        assert!(parked.await.unwrap().is_ok());
        assert!(also_parked.await.unwrap().is_ok());
        context.sleep(SECOND).await;
        assert!(first.call(ECHO_BULK, b"", SECOND).await.is_ok(), "instead of an idle one");
    });
}

/// Gateways and commands of a tenant all have its key: none of them ends another's calls.
#[test]
fn processes_with_one_key_do_not_disturb_each_other() {
    deterministic::Runner::default().start(|context| async move {
        let (gate, _) = start_server(&context, Limits::default()).await;
        let calls = (0..12).map(|number| {
            let client = Client::start(context.child("client"), client_config(Limits::default()));
            context.child("process").spawn(move |context| async move {
                // One after the other, so that whoever comes later could push out those before.
                context.sleep(number * SECOND / 10).await;
                let echoes = async {
                    for _ in 0..200 {
                        assert!(client.call(ECHO, b"", SECOND).await.is_ok());
                        assert!(client.call(ECHO_BULK, b"", SECOND).await.is_ok());
                        context.sleep(SECOND / 50).await;
                    }
                };
                let (parked, ()) = futures::join!(client.call(PARK, b"", 30 * SECOND), echoes);
                assert!(parked.is_ok(), "{parked:?}");
            })
        });
        let calls: Vec<_> = calls.collect();
        context.sleep(10 * SECOND).await;
        assert_eq!(gate.parked(), 12);
        gate.open.add_permits(12);
        for call in calls {
            call.await.unwrap();
        }
    });
}

type RawUpgrade = Cups<Sake<PrivateKey>, Aes256Gcm>;

/// The stream below a link, as the crate's documentation describes it.
fn raw(key: PrivateKey) -> (RawUpgrade, Vec<u8>) {
    let sake = Sake {
        signer: key,
        synchrony_bound: SECOND,
        max_handshake_age: 10 * SECOND,
        version: sake::Version::V1,
    };
    (Cups::new(sake, cups::Version::V1), [b"_OUTLAST_LINK_V1", NAMESPACE].concat())
}

const RAW_MAX: u32 = 8 << 20;

/// Says `frames` to a server and tells whether it closed the connection.
async fn closes(context: &deterministic::Context, frames: &[&[u8]]) -> bool {
    let (sink, stream) = context.dial(ADDRESS).await.unwrap();
    let (upgrade, namespace) = raw(client_key());
    let peer = server_key().public_key();
    let (mut sender, mut receiver) =
        upgrade.dial(context.child("raw"), &namespace, RAW_MAX, peer, stream, sink).await.unwrap();
    assert_eq!(receiver.recv().await.unwrap().coalesce(), &[0][..], "the greeting");
    for frame in frames {
        // The server may have closed the connection already.
        let _ = sender.send(IoBufs::from(frame.to_vec())).await;
    }
    let start = context.current();
    // Answers and keepalives may come first; a connection kept lives until it is silent.
    while receiver.recv().await.is_ok() {}
    context.current().duration_since(start).unwrap() < SECOND
}

#[test]
fn servers_close_on_hostile_frames() {
    deterministic::Runner::default().start(|context| async move {
        let (_, _) = start_server(&context, Limits::default()).await;
        let park = b"\x01\0\0\0\0\0\0\0\x09\x02\0\0\xff\xff\0\0\0\0".as_slice();
        let greedy = b"\x01\0\0\0\0\0\0\0\x09\x02\0\0\xff\xff\xff\xff\xff\xff".as_slice();
        let long = vec![1; 5 << 20];
        for hostile in [
            &[b"".as_slice()][..],
            &[b"\x09"],
            &[b"\x00trailing"],
            &[b"\x01short"],
            &[b"\x02\0\0\0\0\0\0\0\x01\0response"],
            &[b"\x03\0\0"],
            &[park, park],
            &[greedy],
            &[&long],
        ] {
            assert!(closes(&context, hostile).await, "{:?}", hostile[0].get(..20));
        }
        assert!(!closes(&context, &[b"\x00", b"\x03\0\0\0\0\0\0\0\x05", park]).await);
    });
}

/// Bytes that are not even a handshake do no harm.
#[test]
fn noise_instead_of_a_handshake() {
    deterministic::Runner::default().start(|context| async move {
        let (_, client) = start(&context, Limits::default()).await;
        for noise in [&[0xff; 100][..], &[0; 100], b"GET / HTTP/1.1\r\n\r\n"] {
            let (mut sink, _stream) = context.dial(ADDRESS).await.unwrap();
            let _ = sink.send(noise.to_vec()).await;
        }
        assert!(client.call(ECHO, b"", SECOND).await.is_ok());
    });
}

/// A server that answers a call with `frame`.
async fn answer_with(
    context: &deterministic::Context,
    greeting: &'static [u8],
    frame: &'static [u8],
) -> Reason {
    let mut listener = context.bind(ADDRESS).await.unwrap();
    let _server = context.child("liar").spawn(move |context| async move {
        let (_, sink, stream) = listener.accept().await.unwrap();
        let (upgrade, namespace) = raw(server_key());
        let (_, mut sender, mut receiver) = upgrade
            .listen(context.child("raw"), &namespace, RAW_MAX, |_| async { true }, stream, sink)
            .await
            .unwrap();
        sender.send(greeting).await.unwrap();
        let _ = receiver.recv().await;
        let _ = sender.send(frame).await;
        context.sleep(60 * SECOND).await;
    });
    refused(context, client_config(Limits::default())).await
}

#[test]
fn clients_close_on_hostile_frames() {
    static LONG: [u8; 17 << 10] = {
        let mut frame = [0; 17 << 10];
        frame[0] = 2;
        frame
    };
    let cases: [(&[u8], &[u8], Malformed); 6] = [
        (b"\x00", b"", Malformed::Short(0)),
        (b"\x00", b"\x01", Malformed::Kind(1)),
        (b"\x00", b"\x02\0\0\0\0\0\0\0\0\x07", Malformed::Status(7)),
        (b"\x00", b"\x02\0\0\0\0\0\0\0\0\x01body", Malformed::Trailing(4)),
        (b"\x00", &LONG, Malformed::LongReply((17 << 10) - 10)),
        (b"\x02\0\0\0\0\0\0\0\0\0", b"", Malformed::NoGreeting),
    ];
    for (greeting, frame, malformed) in cases {
        deterministic::Runner::default().start(|context| async move {
            assert_eq!(answer_with(&context, greeting, frame).await, Reason::Malformed(malformed));
        });
    }
}
