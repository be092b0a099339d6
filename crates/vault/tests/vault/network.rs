//! A network of real nodes on the deterministic runtime: simulated links between them, gateways over its network.

use chain::{
    application::Network,
    block::engine_key,
    engine::Timeouts,
    index::{Index, Memory},
    network::{Channels, QUOTAS, message_bytes_max},
};
use commonware_cryptography::ed25519;
use commonware_p2p::simulated::{Config as LinksConfig, Link, Network as Links, Oracle};
use commonware_runtime::{Network as _, Quota, Runner as _, Supervisor as _, deterministic};
use commonware_utils::{NZUsize, probability};
use node::{Node, Parts, Upkeep};
use proof::{
    Committee, Genesis, SecretKey, TenantId,
    genesis::GenesisTenant,
    wire::{List, Octets},
};
use shards::{ScrubPace, StoreConfig};
use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use vault::{Config, Limits, Vault};
use zeroize::Zeroizing;

pub(crate) type Gateway = Vault<deterministic::Context>;

const TENANT: TenantId = TenantId([7; 16]);
const PORT: u16 = 4000;

/// A running network.
pub(crate) struct Outlast {
    pub context: deterministic::Context,
    pub genesis: Genesis,
    tenant: SecretKey,
    nodes: Vec<Node<deterministic::Context>>,
}

impl Outlast {
    /// A gateway of the tenant with this master key.
    pub(crate) fn gateway(&self, master_key: [u8; 32]) -> Gateway {
        let nodes = self.genesis.committee.nodes().iter().enumerate();
        let config = Config {
            genesis: self.genesis.clone(),
            tenant: TENANT,
            key: self.tenant.clone(),
            master_key: Zeroizing::new(master_key),
            nodes: nodes.map(|(index, key)| (*key, address(index))).collect(),
            limits: Limits::default(),
        };
        Vault::connect(self.context.child("gateway"), config).unwrap()
    }

    /// Ends a node without a word.
    pub(crate) fn kill(&mut self, index: usize) {
        let Node { consensus, keeper, upkeep, server, .. } = &self.nodes[index];
        consensus.abort();
        keeper.abort();
        upkeep.abort();
        server.abort();
    }
}

/// Runs `test` in a network of four nodes.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(Outlast) -> F + Send + 'static) {
    deterministic::Runner::timed(Duration::from_secs(600)).start(|context| async move {
        let (genesis, keys, tenant) = founders(4);
        let oracle = links(&context, &genesis).await;
        let mut nodes = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            nodes.push(start(&context, &genesis, key, &oracle, index).await);
        }
        test(Outlast { context, genesis, tenant, nodes }).await;
    });
}

fn address(index: usize) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, PORT + index as u16).into()
}

fn founders(n: u8) -> (Genesis, Vec<SecretKey>, SecretKey) {
    let mut nodes: Vec<SecretKey> = (0..n).map(|i| SecretKey::from_seed([i + 1; 32])).collect();
    nodes.sort_by_key(SecretKey::public_key);
    let tenant = SecretKey::from_seed([99; 32]);
    let name = || Octets::new("test".as_bytes()).unwrap();
    let first = GenesisTenant { tenant: TENANT, name: name(), key: tenant.public_key() };
    let genesis = Genesis {
        name: name(),
        created_ms: 0,
        committee: Committee::new(0, nodes.iter().map(SecretKey::public_key).collect()).unwrap(),
        approvers: List::new(vec![SecretKey::from_seed([98; 32]).public_key()]).unwrap(),
        approvals_needed: 1,
        tenants: List::new(vec![first]).unwrap(),
    };
    (genesis, nodes, tenant)
}

type Peers = Oracle<ed25519::PublicKey, deterministic::Context>;

async fn links(context: &deterministic::Context, genesis: &Genesis) -> Peers {
    let keys: Vec<_> = genesis.committee.nodes().iter().map(engine_key).collect();
    let config = LinksConfig {
        max_size: message_bytes_max::<deterministic::Context>(keys.len() as u32),
        max_peers_per_set: NZUsize!(16),
        disconnect_on_block: true,
        tracked_peer_sets: NZUsize!(1),
    };
    let (network, oracle) = Links::new_with_peers(context.child("links"), config, keys.clone()).await;
    network.start();
    let link = Link {
        latency: Duration::from_millis(5),
        jitter: Duration::from_millis(2),
        success_rate: probability!(1.0),
    };
    for from in &keys {
        for to in keys.iter().filter(|to| *to != from) {
            oracle.add_link(from.clone(), to.clone(), link.clone()).await.unwrap();
        }
    }
    oracle
}

async fn start(
    context: &deterministic::Context,
    genesis: &Genesis,
    key: &SecretKey,
    oracle: &Peers,
    index: usize,
) -> Node<deterministic::Context> {
    let control = oracle.control(engine_key(&key.public_key()));
    let mut pairs = Vec::new();
    for (channel, per_second) in QUOTAS {
        pairs.push(control.register(channel, Quota::per_second(per_second)).await.unwrap());
    }
    let mut pairs = pairs.into_iter();
    let channels = Channels::register(|_, _| pairs.next().unwrap());
    let context = context.child("node").with_attribute("index", index);
    let listener = context.bind(address(index)).await.unwrap();
    let parts = Parts {
        network: Arc::new(Network::new::<deterministic::Context>(genesis.clone())),
        key: key.clone(),
        votes: true,
        voting: context.child("voting"),
        partition: format!("node-{index}"),
        shards: StoreConfig { segment_bytes: 8 << 20, ..StoreConfig::new("shards") },
        index: Index::open(Memory::default()).unwrap(),
        timeouts: Timeouts::default(),
        upkeep: Upkeep {
            nodes: (0..genesis.committee.n()).map(address).collect(),
            heal_bytes_per_second: 1 << 30,
            scrub: ScrubPace::default(),
        },
    };
    node::assemble(context, parts, channels, oracle.manager(), control, listener, |front| front)
        .await
        .unwrap()
}
