//! Measures four nodes and a gateway in one process: `cargo run --release -p shards --example cluster DIR [MIB]`.
//! Prints MB/s of user data put (16 chunks of 1 MiB, then their certificate, which waits for the nodes' syncs) and got.
//! Encoding is not part of it, links and disks are.

use blob::{Code, EncodedChunk};
use bytes::Bytes;
use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_runtime::{Listener as _, Network as _, Runner as _, Spawner as _, Supervisor as _, tokio};
use futures::future::join_all;
use link::Limits;
use proof::{
    Committee, Digest, Manifest, SecretKey,
    manifest::{Page, SealedKey, Segment},
    wire::List,
};
use shards::{Client, ClientLimits, Server, ServerConfig, ShardStore, StoreConfig};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};

const NODES: u8 = 4;
const OBJECT_CHUNKS: usize = 16;
const READS: usize = 8;
const NETWORK: Digest = Digest([1; 32]);
const NAMESPACE: &[u8] = b"cluster example";

#[derive(Clone)]
struct Handler(Server<tokio::Context>);

impl link::Handler for Handler {
    async fn admit(&self, _: &PublicKey) -> bool {
        true
    }

    async fn handle(&self, _: &PublicKey, _: u8, request: Bytes) -> link::Response {
        self.0.handle(request).await
    }
}

async fn start(context: &tokio::Context) -> Client<tokio::Context> {
    let mut keys: Vec<_> = (1..=NODES).map(|node| SecretKey::from_seed([node; 32])).collect();
    keys.sort_by_key(SecretKey::public_key);
    let committee = Committee::new(0, keys.iter().map(SecretKey::public_key).collect()).expect("four nodes");
    let mut links = Vec::new();
    for (node, key) in (0..NODES).zip(keys) {
        let store_config = StoreConfig::new(format!("example_node_{node}"));
        let store = ShardStore::open(context.child("store"), store_config).await.expect("opens");
        let server =
            Server::new(store, ServerConfig { network: NETWORK, committee: committee.clone(), node, key });
        let listener = context.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let key = PrivateKey::from_seed(node.into());
        let (peer, limits, namespace) = (key.public_key(), Limits::default(), NAMESPACE.to_vec());
        let config = link::ServerConfig { key, namespace: namespace.clone(), limits: limits.clone() };
        link::serve(context.child("server"), listener, config, Handler(server));
        let key = PrivateKey::from_seed(100);
        let config = link::ClientConfig { key, namespace, peer, address, limits };
        links.push(link::Client::start(context.child("link"), config));
    }
    Client::with_limits(context.child("client"), NETWORK, committee, links, ClientLimits::default())
}

fn objects(count: usize) -> Vec<Vec<EncodedChunk>> {
    let code = Code::new(2, 4).expect("a code");
    let mut bytes = vec![0; 1 << 20];
    let mut chunk = |number: u64| {
        blake3::Hasher::new().update(&number.to_be_bytes()).finalize_xof().fill(&mut bytes);
        code.encode(&bytes)
    };
    (0..count as u64)
        .map(|object| (0..OBJECT_CHUNKS as u64).map(|i| chunk(object << 32 | i)).collect())
        .collect()
}

async fn put(
    client: Client<tokio::Context>,
    objects: Arc<Vec<Vec<EncodedChunk>>>,
    first: usize,
    step: usize,
) {
    for object in objects.iter().skip(first).step_by(step) {
        for put in join_all(object.iter().map(|chunk| client.put_chunk(chunk.clone()))).await {
            put.expect("four honest nodes");
        }
        let segment = Segment {
            sealed_key: SealedKey([0; 48]),
            first_chunk: 0,
            length: (OBJECT_CHUNKS as u64) << 20,
            chunks: List::new(object.iter().map(|chunk| chunk.id).collect()).expect("a few"),
        };
        let page = Page::new(vec![segment]).expect("lengths fit");
        client.certify(&Manifest::Direct(page)).await.expect("four honest nodes");
    }
}

async fn get(
    client: Client<tokio::Context>,
    objects: Arc<Vec<Vec<EncodedChunk>>>,
    first: usize,
    step: usize,
) {
    for object in objects.iter().skip(first).step_by(step) {
        for chunks in object.chunks(READS) {
            for got in join_all(chunks.iter().map(|chunk| client.get_chunk(&chunk.id))).await {
                assert_eq!(got.expect("four honest nodes").len(), 1 << 20);
            }
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("a directory");
    let mib: usize = arguments.next().map_or(512, |mib| mib.parse().expect("MiB"));
    let config = tokio::Config::default().with_storage_directory(directory);
    tokio::Runner::new(config).start(|context| async move {
        let client = start(&context).await;
        let objects = Arc::new(objects(mib / OBJECT_CHUNKS));
        let report = |name: &str, callers: usize, start: Instant, mib: usize| {
            let rate = (mib << 20) as f64 / start.elapsed().as_secs_f64() / 1e6;
            println!("{name} {callers} at a time: {rate:6.0} MB/s");
        };
        // Each half of the objects is put once, by one caller and by two.
        let (first, second) = objects.split_at(objects.len() / 2);
        for (callers, half) in [(1, first), (2, second)] {
            let half = Arc::new(half.to_vec());
            let start = Instant::now();
            let tasks = (0..callers).map(|caller| {
                let (client, half) = (client.clone(), half.clone());
                context.child("put").spawn(move |_| put(client, half, caller, callers))
            });
            join_all(tasks).await;
            report("put", callers, start, half.len() * OBJECT_CHUNKS);
        }
        for callers in [1, 2, 4] {
            let start = Instant::now();
            let tasks = (0..callers).map(|caller| {
                let (client, objects) = (client.clone(), objects.clone());
                context.child("get").spawn(move |_| get(client, objects, caller, callers))
            });
            join_all(tasks).await;
            report("get", callers, start, mib);
        }
    });
}
