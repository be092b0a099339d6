//! Four engines on the deterministic runtime with simulated links: they agree, prove what they say, and go on when one
//! of them observes only or is silent.

use chain::{
    application::Network,
    applied::Fate,
    block::{Block, engine_key},
    engine::{self, Config, Derived, Engine, Timeouts},
    mempool::Signatory,
    network::{Channels, QUOTAS, message_bytes_max},
    state::StateProof,
};
use commonware_codec::{Decode as _, DecodeExt as _, Encode as _};
use commonware_consensus::{
    simplex::{scheme::ed25519::Scheme, types::Finalization as EngineFinalization},
    types::Height,
};
use commonware_cryptography::{ed25519, sha256};
use commonware_p2p::{
    Recipients, Sender as _,
    simulated::{Config as LinksConfig, Link, Network as Links, Oracle},
};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock as _, Quota, Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{
    NZUsize, SystemTimeExt as _, TryCollect as _, channel::mpsc, ordered::Set, probability,
};
use ledger::{Record, key};
use proof::{
    BucketName, Committee, Genesis, SecretKey, SignedTransaction, TenantId, Transaction,
    finality::Finalization,
    genesis::GenesisTenant,
    transaction::{CreateBucket, Operation},
    wire::{List, Octets},
};
use std::{sync::Arc, time::Duration};

const TENANT: TenantId = TenantId([7; 16]);

#[derive(Default)]
struct Seen(u64);

impl Derived for Seen {
    fn height(&self) -> u64 {
        self.0
    }
    fn follow(&mut self, block: &Block) {
        assert_eq!(block.header.height, self.0 + 1);
        self.0 += 1;
    }
}

struct Founders {
    genesis: Genesis,
    nodes: Vec<SecretKey>,
    tenant: SecretKey,
}

fn founders(n: u8) -> Founders {
    let mut nodes: Vec<SecretKey> = (0..n).map(|i| SecretKey::from_seed([i + 1; 32])).collect();
    nodes.sort_by_key(SecretKey::public_key);
    let tenant = SecretKey::from_seed([99; 32]);
    let genesis = Genesis {
        name: Octets::new("test".as_bytes()).unwrap(),
        created_ms: 0,
        committee: Committee::new(0, nodes.iter().map(SecretKey::public_key).collect()).unwrap(),
        approvers: List::new(vec![tenant.public_key()]).unwrap(),
        approvals_needed: 1,
        tenants: List::new(vec![GenesisTenant {
            tenant: TENANT,
            name: Octets::new("tenant".as_bytes()).unwrap(),
            key: tenant.public_key(),
        }])
        .unwrap(),
    };
    Founders { genesis, nodes, tenant }
}

impl Founders {
    fn create_bucket(&self, name: &str, now_ms: u64) -> SignedTransaction {
        let bucket: BucketName = name.parse().unwrap();
        let transaction = Transaction {
            network: self.genesis.id(),
            tenant: TENANT,
            signer: self.tenant.public_key(),
            nonce: [3; 16],
            expires_ms: now_ms + 60_000,
            preconditions: List::default(),
            operations: List::new(vec![Operation::CreateBucket(CreateBucket { bucket })]).unwrap(),
        };
        transaction.sign(&self.tenant, Vec::new())
    }
}

type Peers = Oracle<ed25519::PublicKey, deterministic::Context>;

async fn links(context: &deterministic::Context, founders: &Founders) -> Peers {
    let keys: Vec<_> = founders.genesis.committee.nodes().iter().map(engine_key).collect();
    let config = LinksConfig {
        max_size: message_bytes_max::<deterministic::Context>(keys.len() as u32),
        max_peers_per_set: NZUsize!(16),
        disconnect_on_block: true,
        tracked_peer_sets: NZUsize!(1),
    };
    let (network, oracle) = Links::new_with_peers(context.child("links"), config, keys.clone()).await;
    network.start();
    let link = Link {
        latency: Duration::from_millis(10),
        jitter: Duration::from_millis(3),
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
    founders: &Founders,
    oracle: &Peers,
    index: usize,
    votes: bool,
) -> Engine<deterministic::Context> {
    let key = &founders.nodes[index];
    let control = oracle.control(engine_key(&key.public_key()));
    let mut pairs = Vec::new();
    for (channel, per_second) in QUOTAS {
        pairs.push(control.register(channel, Quota::per_second(per_second)).await.unwrap());
    }
    let mut pairs = pairs.into_iter();
    let channels = Channels::register(|_, _| pairs.next().unwrap());
    let (references, mut taken) = mpsc::channel(16);
    let context = context.child("node").with_attribute("index", index);
    context.child("references").spawn(move |_| async move { while taken.recv().await.is_some() {} });
    let config = Config {
        partition: format!("node-{index}"),
        network: Arc::new(Network::new::<deterministic::Context>(founders.genesis.clone())),
        key: ed25519::PrivateKey::decode(key.seed().to_vec()).unwrap(),
        votes,
        timeouts: Timeouts::default(),
        index: Seen::default(),
        referenced_height: 0,
        references,
    };
    engine::start(
        context.child("engine"),
        context.child("voting"),
        config,
        channels,
        oracle.manager(),
        control,
    )
    .await
}

/// Waits until the engine has proved a block of this height, and gives that height.
async fn proved(engine: &Engine<deterministic::Context>, height: u64) -> u64 {
    engine.applied.height().reached(height).await
}

async fn block(engine: &Engine<deterministic::Context>, height: u64) -> Arc<Block> {
    engine.blocks.get_block(Height::new(height)).await.expect("a proved block is kept").inner_shared()
}

#[test]
fn four_engines_agree_and_prove_what_they_say() {
    deterministic::Runner::timed(Duration::from_secs(120)).start(|context| async move {
        let founders = founders(4);
        let oracle = links(&context, &founders).await;
        let mut engines = Vec::new();
        for index in 0..4 {
            engines.push(start(&context, &founders, &oracle, index, true).await);
        }
        // Into one pool only: it comes to the others by gossip.
        let now_ms = context.current().epoch_millis();
        let signed = founders.create_bucket("bucket", now_ms);
        let id = signed.transaction.id();
        let fate = engines[0].applied.wait(id);
        engines[0].mempool.insert(Arc::new(signed.clone()), Signatory::Entitled, now_ms).unwrap();
        let Fate::Included(inclusion) = fate.await.unwrap() else { panic!("expired") };
        assert_eq!(inclusion.outcome, 0);
        inclusion.block.verify(founders.genesis.id(), &founders.genesis.committee).unwrap();

        let height = inclusion.block.header.height;
        for engine in &engines {
            proved(engine, height + 2).await;
            assert_eq!(block(engine, height).await.header, inclusion.block.header);
        }
        // A second time it is a duplicate: no later block has it.
        engines[1].mempool.insert(Arc::new(signed), Signatory::Entitled, now_ms).unwrap();
        let later = proved(&engines[1], height + 6).await;
        for height in height + 1..=later {
            assert!(block(&engines[1], height).await.transactions.is_empty());
        }
        check_proofs(&engines[2]).await;
        check_finalizations(&founders, &engines[3]).await;
    });
}

/// Present and absent keys are proved, and neither proof passes for another key, record or root.
async fn check_proofs(engine: &Engine<deterministic::Context>) {
    let bucket = key::bucket(&TENANT, &"bucket".parse().unwrap());
    let absent = key::bucket(&TENANT, &"other".parse().unwrap());
    let (root, present, missing) = {
        let state = engine.state.read().await;
        let root = chain::block::digest(&state.root());
        (root, StateProof::make(&state, &bucket).await, StateProof::make(&state, &absent).await)
    };
    assert!(matches!(present.verify(&bucket, &root), Ok(Some(Record::Bucket(_)))));
    assert_eq!(missing.verify(&absent, &root), Ok(None));
    assert!(present.verify(&absent, &root).is_err() && missing.verify(&bucket, &root).is_err());
    assert!(present.verify(&bucket, &proof::Digest::ZERO).is_err());
    let truth = present.verify(&bucket, &root);
    for proof in [present, missing] {
        let bytes = proof.encode();
        assert_eq!(StateProof::decode(bytes.clone()).unwrap(), proof);
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.to_vec();
            altered[bit / 8] ^= 1 << (bit % 8);
            let Ok(altered) = StateProof::decode(altered) else { continue };
            let (of_present, of_absent) = (altered.verify(&bucket, &root), altered.verify(&absent, &root));
            assert!(of_present.is_err() || of_present == truth, "bit {bit} proves something false");
            assert!(of_absent.is_err() || of_absent == Ok(None), "bit {bit} proves something false");
        }
    }
}

/// What `proof` decodes and verifies is what the engine encodes and verifies, bit for bit.
async fn check_finalizations(founders: &Founders, engine: &Engine<deterministic::Context>) {
    let committee = &founders.genesis.committee;
    let participants: Set<_> = committee.nodes().iter().map(engine_key).try_collect().unwrap();
    let verifier = Scheme::verifier(&founders.genesis.consensus_namespace(), participants);
    let engine_verifies = |bytes: &[u8]| {
        EngineFinalization::<Scheme, sha256::Digest>::decode_cfg(bytes.to_vec(), &committee.n()).is_ok_and(
            |finalization| finalization.verify(&mut commonware_utils::test_rng(), &verifier, &Sequential),
        )
    };
    let we_verify = |bytes: &[u8]| {
        Finalization::decode(bytes.to_vec())
            .is_ok_and(|finalization| finalization.verify(founders.genesis.id(), committee).is_ok())
    };
    let finalization =
        engine.blocks.get_finalization(Height::new(2)).await.expect("height 2 has a certificate");
    let bytes = finalization.encode();
    assert!(engine_verifies(&bytes) && we_verify(&bytes));
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(!we_verify(&altered), "bit {bit} flipped and still verified");
        assert!(!engine_verifies(&altered), "the engine takes bit {bit} flipped");
    }
    for length in 0..bytes.len() {
        assert!(!we_verify(&bytes[..length]));
    }
}

#[test]
fn an_observer_follows_and_never_leads() {
    deterministic::Runner::timed(Duration::from_secs(180)).start(|context| async move {
        let founders = founders(4);
        let oracle = links(&context, &founders).await;
        let mut engines = Vec::new();
        for index in 0..4 {
            engines.push(start(&context, &founders, &oracle, index, index != 2).await);
        }
        let observer = founders.nodes[2].public_key();
        for engine in &engines {
            proved(engine, 12).await;
        }
        for height in 1..=12 {
            let seen = block(&engines[2], height).await;
            assert_ne!(seen.header.leader, observer);
            assert_eq!(seen.header, block(&engines[0], height).await.header);
        }
        for height in 1..=12 {
            if let Some(finalization) = engines[0].blocks.get_finalization(Height::new(height)).await {
                let finalization = engine::to_proof(&finalization);
                assert!(finalization.signatures.iter().all(|(node, _)| *node != 2), "the observer signed");
            }
        }
    });
}

#[test]
fn what_a_malicious_node_makes_up_or_repeats_takes_no_room() {
    deterministic::Runner::timed(Duration::from_secs(120)).start(|context| async move {
        let founders = Arc::new(founders(4));
        let oracle = links(&context, &founders).await;
        let mut engines = Vec::new();
        for index in 0..3 {
            engines.push(start(&context, &founders, &oracle, index, true).await);
        }
        proved(&engines[0], 1).await;
        let now_ms = context.current().epoch_millis();
        let decided = founders.create_bucket("first", now_ms);
        let fate = engines[0].applied.wait(decided.transaction.id());
        engines[0].mempool.insert(Arc::new(decided.clone()), Signatory::Entitled, now_ms).unwrap();
        let Fate::Included(first) = fate.await.unwrap() else { panic!("expired") };
        for engine in &engines {
            proved(engine, first.block.header.height).await;
        }

        let control = oracle.control(engine_key(&founders.nodes[3].public_key()));
        let (gossip, per_second) = QUOTAS[6];
        let (mut sender, _receiver) = control.register(gossip, Quota::per_second(per_second)).await.unwrap();
        let flood = context.child("flood").spawn({
            let (network, bucket) = (founders.genesis.id(), "junk".parse::<BucketName>().unwrap());
            move |context| async move {
                for number in 0u64.. {
                    let key = SecretKey::from_seed([200; 32]);
                    let tenant = if number % 2 == 0 { TENANT } else { TenantId([8; 16]) };
                    let mut nonce = [0; 16];
                    nonce[..8].copy_from_slice(&number.to_be_bytes());
                    let create = CreateBucket { bucket: bucket.clone() };
                    let transaction = Transaction {
                        network,
                        tenant,
                        signer: key.public_key(),
                        nonce,
                        expires_ms: now_ms + 60_000,
                        preconditions: List::default(),
                        operations: List::new(vec![Operation::CreateBucket(create)]).unwrap(),
                    };
                    let made_up = transaction.sign(&key, Vec::new()).encode();
                    let message = if number % 8 == 0 { decided.encode() } else { made_up };
                    sender.send(Recipients::All, message, false);
                    context.sleep(Duration::from_millis(20)).await;
                }
            }
        });
        context.sleep(Duration::from_secs(5)).await;
        assert!(engines.iter().all(|engine| engine.mempool.size() == (0, 0)));
        let now_ms = context.current().epoch_millis();
        let second = founders.create_bucket("second", now_ms);
        let fate = engines[0].applied.wait(second.transaction.id());
        engines[0].mempool.insert(Arc::new(second), Signatory::Entitled, now_ms).unwrap();
        let Fate::Included(second) = fate.await.unwrap() else { panic!("expired") };
        assert_eq!(second.outcome, 0);
        flood.abort();
        let mut transactions = 0;
        for height in 1..=second.block.header.height {
            transactions += block(&engines[0], height).await.transactions.len();
        }
        assert_eq!(transactions, 2, "nothing but what the tenant signed, and that once");
    });
}

#[test]
fn after_a_long_stop_what_is_written_then_is_applied() {
    let stop = Duration::from_secs(2 * 3600);
    deterministic::Runner::timed(stop + Duration::from_secs(120)).start(|context| async move {
        // Block time begins with the genesis, as after a stop.
        context.sleep(stop).await;
        let founders = founders(4);
        let oracle = links(&context, &founders).await;
        let mut engines = Vec::new();
        for index in 0..4 {
            engines.push(start(&context, &founders, &oracle, index, true).await);
        }
        let now_ms = context.current().epoch_millis();
        let signed = Arc::new(founders.create_bucket("bucket", now_ms));
        let fate = engines[0].applied.wait(signed.transaction.id());
        for engine in &engines {
            engine.mempool.insert(signed.clone(), Signatory::Entitled, now_ms).unwrap();
        }
        let Fate::Included(inclusion) = fate.await.unwrap() else { panic!("expired") };
        assert_eq!(inclusion.outcome, 0, "applied, not refused");
        // With nothing to do, too, block time catches up faster than with a pause at each block.
        let behind_ms = |engine: &Engine<_>, now_ms: u64| {
            now_ms - engine.applied.newest().map_or(0, |newest| newest.header.time_ms)
        };
        context.sleep(Duration::from_secs(30)).await;
        assert!(behind_ms(&engines[1], context.current().epoch_millis()) < 5_000);
    });
}

/// All are started again at once; one of them never voted for what it had told of.
#[test]
fn started_again_no_node_tells_of_less_than_it_had_told_of() {
    async fn network(context: &deterministic::Context) -> Vec<Engine<deterministic::Context>> {
        let founders = founders(4);
        let oracle = links(context, &founders).await;
        let mut engines = Vec::new();
        for index in 0..4 {
            engines.push(start(context, &founders, &oracle, index, index != 3).await);
        }
        engines
    }
    let runner = deterministic::Runner::timed(Duration::from_secs(300));
    let (told, crashed) = runner.start_and_recover(|context| async move {
        let engines = network(&context).await;
        proved(&engines[3], 12).await;
        engines.iter().map(|engine| engine.applied.newest_height()).collect::<Vec<_>>()
    });
    deterministic::Runner::from(crashed).start(|context| async move {
        let engines = network(&context).await;
        for (engine, told) in engines.iter().zip(told) {
            let first = proved(engine, 1).await;
            assert!(first >= told, "{first} is the first that it tells of, after {told}");
        }
    });
}

#[test]
fn one_silent_node_stops_nothing_and_comes_back() {
    deterministic::Runner::timed(Duration::from_secs(300)).start(|context| async move {
        let founders = founders(4);
        let oracle = links(&context, &founders).await;
        let mut engines = Vec::new();
        for index in 0..3 {
            engines.push(start(&context, &founders, &oracle, index, true).await);
        }
        for engine in &engines {
            proved(engine, 10).await;
        }
        let late = start(&context, &founders, &oracle, 3, true).await;
        let height = proved(&late, 12).await;
        assert_eq!(block(&late, height).await.header, block(&engines[0], height).await.header);
    });
}
