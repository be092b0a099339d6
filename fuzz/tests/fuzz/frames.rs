//! Links: bytes instead of a handshake, and frames that no correct peer sends, in both directions. Whatever one peer
//! does, a server goes on serving others, and a client's call ends.
//!
//! An input is messages, each `length u16, bytes`.

use bytes::Bytes;
use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_macros::select;
use commonware_runtime::{
    Clock as _, IoBufs, Listener as _, Network as _, Runner as _, Sink as _, Spawner as _, Stream as _,
    Supervisor as _, deterministic,
};
use commonware_stream::{
    Upgrader as _,
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::channel::mpsc;
use fuzz::fuzz;
use link::{Aes256Gcm, Client, ClientConfig, Handler, Lane, Limits, Response, ServerConfig, serve};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

const NAMESPACE: &[u8] = b"fuzz";
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1000);
const SECOND: Duration = Duration::from_secs(1);
/// The handler answers with the request.
const ECHO: Lane = Lane::control(1);
/// Messages of an input; what follows is ignored.
const MESSAGES_MAX: usize = 16;

fn server_key() -> PrivateKey {
    PrivateKey::from_seed(1)
}

fn client_key() -> PrivateKey {
    PrivateKey::from_seed(2)
}

/// Lane 1 echoes, lane 2 never answers, all others refuse.
#[derive(Clone)]
struct Echo;

impl Handler for Echo {
    async fn admit(&self, _: &PublicKey) -> bool {
        true
    }

    async fn handle(&self, _: &PublicKey, lane: u8, request: Bytes) -> Response {
        match lane {
            1 => request.into(),
            2 => std::future::pending().await,
            _ => Response::overloaded(),
        }
    }
}

async fn start_server(context: &deterministic::Context) {
    let listener = context.bind(ADDRESS).await.expect("the address is free");
    let config = ServerConfig { key: server_key(), namespace: NAMESPACE.to_vec(), limits: Limits::default() };
    serve(context.child("server"), listener, config, Echo);
}

fn client(context: &deterministic::Context) -> Client {
    let (namespace, limits) = (NAMESPACE.to_vec(), Limits::default());
    let peer = server_key().public_key();
    let config = ClientConfig { key: client_key(), namespace, peer, address: ADDRESS, limits };
    Client::start(context.child("client"), config)
}

/// The server still serves who behaves.
async fn serves(context: &deterministic::Context) {
    let answer =
        client(context).call(ECHO, b"still there", 10 * SECOND).await.expect("a correct client is served");
    assert_eq!(answer, &b"still there"[..]);
}

/// The stream below a link, as the documentation of `link` describes it.
fn raw(key: PrivateKey) -> (Cups<Sake<PrivateKey>, Aes256Gcm>, Vec<u8>) {
    let (synchrony_bound, max_handshake_age) = (10 * SECOND, 15 * SECOND);
    let sake = Sake { signer: key, synchrony_bound, max_handshake_age, version: sake::Version::V1 };
    (Cups::new(sake, cups::Version::V1), [b"_OUTLAST_LINK_V1", NAMESPACE].concat())
}

const RAW_MAX: u32 = 8 << 20;

fn to_input(messages: &[&[u8]]) -> Vec<u8> {
    messages.iter().flat_map(|bytes| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()).collect()
}

fn from_input(mut input: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        messages.push(rest[..length].to_vec());
        input = &rest[length..];
    }
    messages.truncate(MESSAGES_MAX);
    messages
}

const REQUEST: &[u8] = b"\x01\0\0\0\0\0\0\0\x09\x01\0\0\xff\xff\0\0\x40\0body";
const PARKED: &[u8] = b"\x01\0\0\0\0\0\0\0\x0a\x02\0\0\xff\xff\0\0\0\0";
const CANCEL: &[u8] = b"\x03\0\0\0\0\0\0\0\x0a";
const KEEPALIVE: &[u8] = b"\0";

/// An authenticated client that sends any frames.
#[test]
fn link_frames_to_server() {
    let seeds = [("frames".to_owned(), to_input(&[KEEPALIVE, REQUEST, PARKED, CANCEL]))];
    fuzz!("link_frames_to_server", seeds, |input: &[u8]| {
        let frames = from_input(input);
        deterministic::Runner::default().start(|context| async move {
            start_server(&context).await;
            let (sink, stream) = context.dial(ADDRESS).await.expect("the server listens");
            let (upgrade, namespace) = raw(client_key());
            let peer = server_key().public_key();
            let dialed = upgrade.dial(context.child("raw"), &namespace, RAW_MAX, peer, stream, sink).await;
            let (mut sender, mut receiver) = dialed.expect("the handshake is correct");
            assert_eq!(receiver.recv().await.expect("a greeting").coalesce(), KEEPALIVE);
            for frame in frames {
                // The server may have closed the connection already.
                let _ = sender.send(IoBufs::from(frame)).await;
            }
            serves(&context).await;
        });
    });
}

/// An authenticated server that sends any frames. The call that meets them ends.
#[test]
fn link_frames_to_client() {
    let response = b"\x02\0\0\0\0\0\0\0\0\0body";
    let seeds = [("frames".to_owned(), to_input(&[KEEPALIVE, response, KEEPALIVE]))];
    fuzz!("link_frames_to_client", seeds, |input: &[u8]| {
        let frames = from_input(input);
        deterministic::Runner::default().start(|context| async move {
            let mut listener = context.bind(ADDRESS).await.expect("the address is free");
            let _liar = context.child("liar").spawn(move |context| async move {
                let (_, sink, stream) = listener.accept().await.expect("somebody dials");
                let (upgrade, namespace) = raw(server_key());
                let listening = upgrade.listen(
                    context.child("raw"),
                    &namespace,
                    RAW_MAX,
                    |_| async { true },
                    stream,
                    sink,
                );
                let (_, mut sender, _receiver) = listening.await.expect("the handshake is correct");
                for frame in frames {
                    let _ = sender.send(IoBufs::from(frame)).await;
                }
                context.sleep(60 * SECOND).await;
            });
            let started = context.current();
            let _ = client(&context).call(ECHO, b"request", 10 * SECOND).await;
            let took = context.current().duration_since(started).expect("time goes on");
            assert!(took <= 11 * SECOND, "the call took {took:?}");
        });
    });
}

/// What a correct client sends of a handshake before it needs an answer.
fn first_message() -> Vec<u8> {
    deterministic::Runner::default().start(|context| async move {
        let (sent, mut received) = mpsc::unbounded_channel();
        let mut listener = context.bind(ADDRESS).await.expect("the address is free");
        let tap = context.child("tap").spawn(move |context| async move {
            let (_, _sink, mut stream) = listener.accept().await.expect("somebody dials");
            loop {
                select! {
                    byte = stream.recv(1) => match byte {
                        Ok(byte) => sent.send(byte.coalesce().as_ref()[0]).expect("somebody listens"),
                        Err(_) => return,
                    },
                    _ = context.sleep(SECOND) => return,
                }
            }
        });
        let _ = client(&context).call(ECHO, b"", 2 * SECOND).await;
        let _ = tap.await;
        let mut bytes = Vec::new();
        while let Ok(byte) = received.try_recv() {
            bytes.push(byte);
        }
        bytes
    })
}

/// Bytes instead of a handshake, to a server and, as an answer, to a client.
#[test]
fn link_handshake() {
    let seeds = [
        ("first message".to_owned(), to_input(&[&first_message(), b"and more"])),
        ("http".to_owned(), to_input(&[b"GET / HTTP/1.1\r\n\r\n"])),
    ];
    fuzz!("link_handshake", seeds, |input: &[u8]| {
        let messages = from_input(input);
        let answers = messages.clone();
        deterministic::Runner::default().start(|context| async move {
            start_server(&context).await;
            let (mut sink, _stream) = context.dial(ADDRESS).await.expect("the server listens");
            for message in messages {
                let _ = sink.send(message).await;
            }
            serves(&context).await;
        });
        deterministic::Runner::default().start(|context| async move {
            let mut listener = context.bind(ADDRESS).await.expect("the address is free");
            let _liar = context.child("liar").spawn(move |context| async move {
                let (_, mut sink, _stream) = listener.accept().await.expect("somebody dials");
                for message in answers {
                    let _ = sink.send(message).await;
                }
                context.sleep(60 * SECOND).await;
            });
            let called = client(&context).call(ECHO, b"request", 10 * SECOND).await;
            assert!(called.is_err(), "nobody with the server's key was there");
        });
    });
}
