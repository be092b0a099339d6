//! Four nodes, honest and otherwise, and a client, over the deterministic network.

use crate::{Store, config};
use bytes::Bytes;
use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_runtime::{Clock as _, Network as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::sync::Mutex;
use link::{Handler, Limits};
use proof::{
    Committee, Digest, SecretKey,
    wire::{DecodeExt as _, Encode as _, List, Octets},
};
use shards::{
    Client, ClientLimits, Healer, HealerConfig, Server, ServerConfig, ShardStore, StoreConfig,
    wire::{LANE_NUMBER, Missing, Request, Response},
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

pub(crate) const NODES: usize = 4;
pub(crate) const NETWORK: Digest = Digest([3; 32]);
const NAMESPACE: &[u8] = b"shards tests";

/// How a node behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Honest,
    /// Answers nothing.
    Dead,
    /// Answers late.
    Slow(Duration),
    /// Flips a bit in every shard and page it gives, and says that it holds everything.
    Liar,
    /// Says that it holds nothing.
    Denier,
    /// Signs other manifests than the one asked for.
    Forger,
    /// Acknowledges shards, and stores none.
    Forgetful,
    /// Forgets the first two shards that it was sent, as if it had crashed before the sync.
    Crashed,
    /// Says that it lacks chunks which the manifest does not name: these, a few at a time.
    Greedy(&'static [Digest]),
    /// Refuses puts for lack of time.
    Overloaded,
    /// Its disk is full.
    Full,
}

/// One node as the others see it.
#[derive(Clone)]
pub(crate) struct Node {
    context: Arc<deterministic::Context>,
    server: Server<deterministic::Context>,
    pub(crate) store: Store,
    pub(crate) behaviour: Arc<Mutex<Behaviour>>,
    /// The requests that came, by their tag.
    pub(crate) seen: Arc<Mutex<Vec<u8>>>,
    key: SecretKey,
}

impl Node {
    pub(crate) fn becomes(&self, behaviour: Behaviour) {
        *self.behaviour.lock() = behaviour;
    }

    pub(crate) fn count(&self, tag: u8) -> usize {
        self.seen.lock().iter().filter(|seen| **seen == tag).count()
    }

    async fn answer(&self, request: Bytes) -> link::Response {
        let behaviour = *self.behaviour.lock();
        let decoded = Request::decode(request.clone()).unwrap();
        let is_put = matches!(decoded, Request::PutShard(_) | Request::PutPage(_));
        match (behaviour, decoded) {
            (Behaviour::Dead, _) => futures::future::pending().await,
            (Behaviour::Overloaded, _) if is_put => return link::Response::overloaded(),
            (Behaviour::Full, _) if is_put => return Response::Full.encode().into(),
            (Behaviour::Forgetful, _) if is_put => return Response::Done.encode().into(),
            (Behaviour::Crashed, Request::PutShard(_)) if self.count(request[0]) <= 2 => {
                return Response::Done.encode().into();
            }
            (Behaviour::Greedy(chunks), Request::Certify(_)) => {
                let asked = self.count(request[0]) - 1;
                let chunks = chunks.iter().copied().cycle().skip(asked * 4).take(4).collect();
                let missing = Missing { chunks: List::new(chunks).unwrap(), pages: List::default() };
                return Response::Missing(missing).encode().into();
            }
            (Behaviour::Slow(delay), _) => self.context.sleep(delay).await,
            (Behaviour::Liar, Request::GetShard(chunk)) => {
                if let Some(shard) = self.store.read(&chunk).await.unwrap() {
                    let mut bytes = shard.bytes.to_vec();
                    bytes[0] ^= 1;
                    let bytes = Octets::new(bytes).unwrap();
                    let shard = shards::wire::Shard { index: shard.index, opening: shard.opening, bytes };
                    return Response::Shard(shard).encode().into();
                }
            }
            (Behaviour::Liar, Request::GetPage(_)) => {
                return Response::Page(Octets::new(&b"no page"[..]).unwrap()).encode().into();
            }
            (Behaviour::Liar, Request::Holds(ids)) => {
                return Response::Held(Octets::new(vec![1; ids.len()]).unwrap()).encode().into();
            }
            (Behaviour::Denier, Request::Holds(ids)) => {
                return Response::Held(Octets::new(vec![0; ids.len()]).unwrap()).encode().into();
            }
            (Behaviour::Denier, Request::GetShard(_) | Request::GetPage(_)) => {
                return Response::NotHeld.encode().into();
            }
            (Behaviour::Forger, Request::Certify(certify)) => {
                let (other, node) = (Digest([9; 32]), 0);
                let receipt =
                    proof::StorageReceipt::sign(NETWORK, 0, other, certify.time_ms, node, &self.key);
                return Response::Receipt(receipt).encode().into();
            }
            _ => {}
        }
        self.server.handle(request).await
    }
}

impl Handler for Node {
    async fn admit(&self, _: &PublicKey) -> bool {
        true
    }

    async fn handle(&self, _: &PublicKey, lane: u8, request: Bytes) -> link::Response {
        assert_eq!(lane, LANE_NUMBER);
        self.seen.lock().push(request[0]);
        self.answer(request).await
    }
}

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) client: Client<deterministic::Context>,
    pub(crate) committee: Committee,
}

impl Cluster {
    pub(crate) async fn start(context: &deterministic::Context) -> Self {
        Self::with_limits(context, ClientLimits::default()).await
    }

    pub(crate) async fn with_limits(context: &deterministic::Context, limits: ClientLimits) -> Self {
        let mut keys: Vec<_> = (0..NODES as u8).map(|node| SecretKey::from_seed([node + 1; 32])).collect();
        keys.sort_by_key(|key| key.public_key());
        let committee = Committee::new(0, keys.iter().map(|key| key.public_key()).collect()).unwrap();
        let (mut nodes, mut links) = (Vec::new(), Vec::new());
        for (index, key) in keys.into_iter().enumerate() {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1000 + index as u16));
            let listener = context.bind(address).await.unwrap();
            let link_key = PrivateKey::from_seed(index as u64);
            let store_config = StoreConfig { partition: format!("node_{index}"), ..config() };
            let store = ShardStore::open(context.child("store"), store_config).await.unwrap();
            let committee = committee.clone();
            let server_config =
                ServerConfig { network: NETWORK, committee, node: index as u8, key: key.clone() };
            let node = Node {
                context: Arc::new(context.child("node")),
                server: Server::new(store.clone(), server_config),
                store,
                behaviour: Arc::new(Mutex::new(Behaviour::Honest)),
                seen: Arc::default(),
                key,
            };
            let (limits, namespace) = (Limits::default(), NAMESPACE.to_vec());
            let config = link::ServerConfig { key: link_key, namespace, limits };
            link::serve(context.child("server"), listener, config, node.clone());
            links.push(connect(context, index, 100));
            nodes.push(node);
        }
        let client = Client::with_limits(context.child("client"), NETWORK, committee.clone(), links, limits);
        Self { nodes, client, committee }
    }

    /// Starts the healer of a node, at so many bytes in a second.
    pub(crate) fn heal(&self, context: &deterministic::Context, node: usize, bytes_per_second: u64) {
        let links = (0..NODES).map(|peer| connect(context, peer, 200 + node as u64)).collect();
        let limits = ClientLimits {
            get_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(5),
            ..ClientLimits::default()
        };
        let committee = self.committee.clone();
        let client = Client::with_limits(context.child("heal_client"), NETWORK, committee, links, limits);
        let config = HealerConfig { node, bytes_per_second };
        let healer = Healer::new(context.child("healer"), self.nodes[node].store.clone(), client, config);
        context.child("heal").spawn(|_| healer.run());
    }
}

/// A link to a node, of whoever has this key.
fn connect(context: &deterministic::Context, node: usize, key: u64) -> link::Client {
    let config = link::ClientConfig {
        key: PrivateKey::from_seed(key),
        namespace: NAMESPACE.to_vec(),
        peer: PrivateKey::from_seed(node as u64).public_key(),
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1000 + node as u16)),
        limits: Limits::default(),
    };
    link::Client::start(context.child("link"), config)
}
