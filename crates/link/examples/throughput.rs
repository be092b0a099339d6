//! Measures a link over loopback: `cargo run --release -p link --example throughput [SECONDS]`.
//! Prints MB/s of 512 KiB requests (as shards are written) and responses (as they are read), both ends in one
//! process, and the round trip time of a small call, alone and beside the bulk.

use bytes::Bytes;
use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_runtime::{Listener as _, Network as _, Runner as _, Spawner as _, Supervisor as _, tokio};
use link::{Client, ClientConfig, Handler, Lane, Limits, Response, ServerConfig, serve};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

const BODY: usize = 512 << 10;
const IN_FLIGHT: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(10);

const PING: Lane = Lane::control(0);
const WRITE: Lane = Lane::bulk(1).reply_max(16);
const READ: Lane = Lane::bulk(2).reply_max(BODY);

#[derive(Clone)]
struct Store(Bytes);

impl Handler for Store {
    async fn admit(&self, _: &PublicKey) -> bool {
        true
    }

    async fn handle(&self, _: &PublicKey, lane: u8, _: Bytes) -> Response {
        if lane == READ.number() { self.0.clone().into() } else { Bytes::new().into() }
    }
}

/// Calls one after another until `end`; returns each call's time.
async fn repeat(client: Client, lane: Lane, request: Bytes, end: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < end {
        let start = Instant::now();
        client.call(lane, request.clone(), TIMEOUT).await.expect("loopback");
        times.push(start.elapsed());
    }
    times
}

fn report(name: &str, mut times: Vec<Duration>, body: usize, seconds: u64) {
    times.sort_unstable();
    let rate = times.len() as f64 / seconds as f64;
    let quantile = |q: f64| times[(times.len() as f64 * q) as usize].as_micros();
    println!(
        "{name:<22} {rate:>7.0}/s {:>6.0} MB/s   p50 {:>5} us   p99 {:>5} us",
        rate * body as f64 / 1e6,
        quantile(0.5),
        quantile(0.99)
    );
}

fn main() {
    let seconds = std::env::args().nth(1).map_or(3, |seconds| seconds.parse().expect("seconds"));
    tokio::Runner::default().start(|context| async move {
        let listener = context.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (server, key) = (PrivateKey::from_seed(1), PrivateKey::from_seed(2));
        let (namespace, limits) = (b"throughput".to_vec(), Limits::default());
        let peer = server.public_key();
        let data = Bytes::from(vec![7; BODY]);
        let config = ServerConfig { key: server, namespace: namespace.clone(), limits: limits.clone() };
        serve(context.child("server"), listener, config, Store(data.clone()));
        let config = ClientConfig { key, namespace, peer, address, limits };
        let client = Client::start(context.child("client"), config);

        let end = Instant::now() + Duration::from_secs(seconds);
        report("small calls, alone", repeat(client.clone(), PING, Bytes::new(), end).await, 0, seconds);
        for (name, lane, request) in [("writes", WRITE, data), ("reads", READ, Bytes::new())] {
            let end = Instant::now() + Duration::from_secs(seconds);
            let callers: Vec<_> = (0..IN_FLIGHT)
                .map(|_| {
                    let (client, request) = (client.clone(), request.clone());
                    context.child("caller").spawn(move |_| repeat(client, lane, request, end))
                })
                .collect();
            let small = repeat(client.clone(), PING, Bytes::new(), end).await;
            let mut times = Vec::new();
            for caller in callers {
                times.extend(caller.await.expect("callers do not fail"));
            }
            report(name, times, BODY, seconds);
            report("  small calls beside", small, 0, seconds);
        }
    });
}
