//! Whole nodes and a gateway's vault on the deterministic runtime: production code on simulated links and disks.

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
use futures::StreamExt as _;
use node::{Node, Parts, assemble};
use proof::{
    BucketName, Committee, Genesis, SecretKey, TenantId,
    genesis::GenesisTenant,
    receipt::ContentCheck,
    transaction::Place,
    wire::{List, Octets},
};
use shards::StoreConfig;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use vault::{Condition, Error, ListRequest, Metadata, Vault, Written};

type Context = deterministic::Context;
type Peers = Oracle<ed25519::PublicKey, Context>;

const TENANT: TenantId = TenantId([7; 16]);
const MIB: usize = 1 << 20;

struct Founders {
    genesis: Genesis,
    nodes: Vec<SecretKey>,
    tenant: SecretKey,
}

fn founders(n: u8) -> Founders {
    let mut nodes: Vec<SecretKey> = (0..n).map(|i| SecretKey::from_seed([i + 1; 32])).collect();
    nodes.sort_by_key(SecretKey::public_key);
    let tenant = SecretKey::from_seed([99; 32]);
    let name = |text: &str| Octets::new(text.as_bytes().to_vec()).unwrap();
    let founder = GenesisTenant { tenant: TENANT, name: name("tenant"), key: tenant.public_key() };
    let genesis = Genesis {
        name: name("test"),
        created_ms: 0,
        committee: Committee::new(0, nodes.iter().map(SecretKey::public_key).collect()).unwrap(),
        approvers: List::new(vec![tenant.public_key()]).unwrap(),
        approvals_needed: 1,
        tenants: List::new(vec![founder]).unwrap(),
    };
    Founders { genesis, nodes, tenant }
}

async fn links(context: &Context, founders: &Founders) -> Peers {
    let keys: Vec<_> = founders.genesis.committee.nodes().iter().map(engine_key).collect();
    let config = LinksConfig {
        max_size: message_bytes_max::<Context>(keys.len() as u32),
        max_peers_per_set: NZUsize!(16),
        disconnect_on_block: true,
        tracked_peer_sets: NZUsize!(1),
    };
    let (network, oracle) = Links::new_with_peers(context.child("links"), config, keys.clone()).await;
    network.start();
    let ms = Duration::from_millis;
    let link = Link { latency: ms(5), jitter: ms(1), success_rate: probability!(1.0) };
    for from in &keys {
        for to in keys.iter().filter(|to| *to != from) {
            oracle.add_link(from.clone(), to.clone(), link.clone()).await.unwrap();
        }
    }
    oracle
}

fn address(index: usize) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 5000 + index as u16).into()
}

async fn start(context: &Context, founders: &Founders, oracle: &Peers, index: usize) -> Node {
    let key = founders.nodes[index].clone();
    let control = oracle.control(engine_key(&key.public_key()));
    let mut pairs = Vec::new();
    for (channel, per_second) in QUOTAS {
        pairs.push(control.register(channel, Quota::per_second(per_second)).await.unwrap());
    }
    let mut pairs = pairs.into_iter();
    let channels = Channels::register(|_, _| pairs.next().unwrap());
    let listener = context.bind(address(index)).await.unwrap();
    let parts = Parts {
        network: Arc::new(Network::new::<Context>(founders.genesis.clone())),
        key,
        votes: true,
        partition: format!("node-{index}"),
        shards: StoreConfig { segment_bytes: 16 << 20, ..StoreConfig::new("") },
        index: Index::open(Memory::default()).unwrap(),
        timeouts: Timeouts::default(),
    };
    let context = context.child("node").with_attribute("index", index);
    assemble(context, parts, channels, oracle.manager(), control, listener).await.unwrap()
}

fn connect(context: &Context, founders: &Founders) -> Vault<Context> {
    let nodes = founders.genesis.committee.nodes().iter().enumerate();
    let config = vault::Config {
        genesis: founders.genesis.clone(),
        tenant: TENANT,
        key: founders.tenant.clone(),
        master_key: [5; 32].into(),
        nodes: nodes.map(|(index, key)| (*key, address(index))).collect(),
        limits: vault::Limits::default(),
    };
    Vault::connect(context.child("vault"), config).unwrap()
}

/// Bytes that do not repeat, from a seed (xorshift).
fn contents(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

fn place(key: &str) -> Place {
    Place { bucket: "bucket".parse().unwrap(), key: key.parse().unwrap() }
}

async fn put(
    vault: &Vault<Context>,
    key: &str,
    bytes: &[u8],
    condition: Condition,
) -> Result<Written, Error> {
    let mut writer = vault.put(place(key)).await?;
    for piece in bytes.chunks(100_000) {
        writer.write(piece.to_vec().into()).await?;
    }
    writer.finish(Metadata { etag: "etag".into(), ..Metadata::default() }, condition).await
}

async fn get(vault: &Vault<Context>, key: &str) -> Result<Vec<u8>, Error> {
    let object = vault.head(&place(key), None).await?;
    let mut reader = vault.read(&object, 0..object.length);
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

#[test]
fn objects_go_in_and_come_back_with_f_nodes_gone() {
    deterministic::Runner::timed(Duration::from_secs(600)).start(|context| async move {
        let founders = founders(4);
        let oracle = links(&context, &founders).await;
        let mut nodes = Vec::new();
        for index in 0..4 {
            nodes.push(start(&context, &founders, &oracle, index).await);
        }
        let vault = connect(&context, &founders);
        let bucket: BucketName = "bucket".parse().unwrap();
        vault.create_bucket(&bucket).await.unwrap();
        assert!(matches!(vault.create_bucket(&bucket).await, Err(Error::BucketExists)));

        let sizes = [0, 1, 5_000, 16 * 1024, 16 * 1024 + 1, 200_000, MIB, MIB + 1, 5 * MIB + 77];
        for (seed, size) in sizes.into_iter().enumerate() {
            put(&vault, &format!("dir/{size}"), &contents(size, seed as u64), Condition::None).await.unwrap();
        }
        let refused = put(&vault, "dir/1", b"again", Condition::IfAbsent).await;
        assert!(matches!(refused, Err(Error::PreconditionFailed)), "{refused:?}");

        let gone = nodes.remove(2);
        for task in [gone.consensus, gone.server, gone.keeper] {
            task.abort();
        }
        for (seed, size) in sizes.into_iter().enumerate() {
            assert_eq!(
                get(&vault, &format!("dir/{size}")).await.unwrap(),
                contents(size, seed as u64),
                "{size}"
            );
        }
        put(&vault, "after", &contents(3 * MIB, 77), Condition::IfAbsent).await.unwrap();
        assert_eq!(get(&vault, "after").await.unwrap(), contents(3 * MIB, 77));

        let delimiter = Some("/".into());
        let prefix = String::new();
        let page =
            vault.list(ListRequest { bucket, prefix, delimiter, after: None, limit: 10 }).await.unwrap();
        assert_eq!(page.prefixes, ["dir/"]);
        assert_eq!(page.objects.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["after"]);

        vault.delete(&place("after"), Condition::None).await.unwrap();
        assert!(matches!(get(&vault, "after").await, Err(Error::NoSuchKey { .. })));

        let receipt = vault.receipt(&place(&format!("dir/{}", 5 * MIB + 77)), None).await.unwrap();
        let receipt = proof::Receipt::from_file(&receipt.to_file()).unwrap();
        receipt.verify(&founders.genesis).unwrap();
        let mut check = ContentCheck::new(receipt.opening.first().unwrap());
        assert!(check.update(&contents(5 * MIB + 77, 8)));
        assert!(check.finish());
    });
}
