//! Four engines on the deterministic runtime with simulated links: they agree, prove what they say, and go on when one
//! of them is silent. One that lost its votes observes, and votes again after a quarantine.

mod recovery;

use chain::{
    application::Network,
    applied::Fate,
    block::{Block, engine_key},
    engine::{self, Config, Derived, Engine, Timeouts},
    mempool::Signatory,
    network::{Channels, QUOTAS, message_bytes_max},
    protocol::Stance,
    state::StateProof,
    voting::Claim,
};
use commonware_codec::{Decode as _, DecodeExt as _, Encode as _};
use commonware_consensus::{
    simplex::{scheme::ed25519::Scheme, types::Finalization as EngineFinalization},
    types::Height,
};
use commonware_cryptography::{ed25519, sha256};
use commonware_p2p::{
    Recipients, Sender as _,
    simulated::{self, Config as LinksConfig, Link, Network as Links, Oracle},
};
use commonware_parallel::Sequential;
use commonware_runtime::{
    Clock as _, Handle, Quota, Runner as _, Spawner as _, Supervisor as _, deterministic,
};
use commonware_utils::{
    NZUsize, SystemTimeExt as _, TryCollect as _,
    channel::{mpsc, oneshot},
    ordered::Set,
    probability,
    sync::Mutex,
};
use ledger::{Record, key};
use proof::{
    BucketName, Committee, Genesis, Lineage, SecretKey, SignedTransaction, TenantId, Transaction,
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
    lineage: Lineage,
    /// In the order of the newest committee.
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
    Founders { lineage: genesis.clone().into(), genesis, nodes, tenant }
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
    links_of(context, founders.genesis.committee.nodes().iter().map(engine_key).collect()).await
}

async fn links_of(context: &deterministic::Context, keys: Vec<ed25519::PublicKey>) -> Peers {
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

type VotesSender = simulated::Sender<ed25519::PublicKey, deterministic::Context>;

async fn start(
    context: &deterministic::Context,
    founders: &Founders,
    oracle: &Peers,
    index: usize,
    claim: Claim,
) -> Engine<deterministic::Context> {
    start_beside(context, founders, oracle, index, claim).await.0
}

/// Starts an engine, and gives what somebody else may say to others in its name, on the channel of votes.
async fn start_beside(
    context: &deterministic::Context,
    founders: &Founders,
    oracle: &Peers,
    index: usize,
    claim: Claim,
) -> (Engine<deterministic::Context>, VotesSender) {
    // A node that lost its votes has lost everything else too.
    let life = context.current().epoch_millis();
    start_in(context, founders, oracle, index, claim, &format!("node-{index}-{life}")).await
}

/// The same, with its storage in this partition.
async fn start_in(
    context: &deterministic::Context,
    founders: &Founders,
    oracle: &Peers,
    index: usize,
    claim: Claim,
    partition: &str,
) -> (Engine<deterministic::Context>, VotesSender) {
    let key = &founders.nodes[index];
    let control = oracle.control(engine_key(&key.public_key()));
    let mut pairs = Vec::new();
    for (channel, per_second) in QUOTAS {
        pairs.push(control.register(channel, Quota::per_second(per_second)).await.unwrap());
    }
    let mut pairs = pairs.into_iter();
    let channels = Channels::register(|_, _| pairs.next().unwrap());
    let votes = channels.votes.0.clone();
    let (references, mut taken) = mpsc::channel(16);
    let context = context.child("node").with_attribute("index", index);
    context.child("references").spawn(move |_| async move { while taken.recv().await.is_some() {} });
    let config = Config {
        partition: partition.to_owned(),
        network: Arc::new(Network::new::<deterministic::Context>(founders.lineage.clone())),
        key: ed25519::PrivateKey::decode(key.seed().to_vec()).unwrap(),
        claim,
        register: (),
        timeouts: Timeouts::default(),
        index: Seen::default(),
        referenced_height: 0,
        references,
    };
    let engine = engine::start(
        context.child("engine"),
        context.child("voting"),
        config,
        channels,
        oracle.manager(),
        control,
    );
    (engine.await, votes)
}

/// Starts an engine as a process of its own, which can be killed.
async fn launch(
    context: &deterministic::Context,
    founders: &Arc<Founders>,
    oracle: &Peers,
    index: usize,
    claim: Claim,
) -> (Engine<deterministic::Context>, Handle<()>) {
    let life = context.current().epoch_millis();
    launch_in(context, founders, oracle, index, claim, format!("node-{index}-{life}")).await
}

/// The same, with its storage in this partition.
async fn launch_in(
    context: &deterministic::Context,
    founders: &Arc<Founders>,
    oracle: &Peers,
    index: usize,
    claim: Claim,
    partition: String,
) -> (Engine<deterministic::Context>, Handle<()>) {
    let (sender, started) = oneshot::channel();
    let (founders, oracle) = (founders.clone(), oracle.clone());
    let process = context.child("process").spawn(move |context| async move {
        let (engine, _) = start_in(&context, &founders, &oracle, index, claim, &partition).await;
        let _ = sender.send(engine);
        std::future::pending::<()>().await;
    });
    (started.await.unwrap(), process)
}

/// Waits until the node votes, or does not for this reason.
async fn stands(
    context: &deterministic::Context,
    engine: &Engine<deterministic::Context>,
    is_so: impl Fn(&Stance) -> bool,
) {
    while !is_so(&engine.standing.now()) {
        context.sleep(Duration::from_millis(10)).await;
    }
}

/// Whether the node has signed a finalization of a block above this height.
async fn signs_above(engine: &Engine<deterministic::Context>, node: u8, height: u64) -> bool {
    for height in height + 1..=engine.applied.newest_height() {
        if let Some(finalization) = engine.blocks.get_finalization(Height::new(height)).await
            && engine::to_proof(&finalization).signatures.iter().any(|(signer, _)| *signer == node)
        {
            return true;
        }
    }
    false
}

/// Kills node 2 when it has voted for a while, starts it again with nothing but this claim, and waits until it votes again.
/// Gives what it said about its votes meanwhile.
fn comes_back(claim: Claim) -> Vec<Stance> {
    deterministic::Runner::timed(Duration::from_secs(300)).start(|context| async move {
        let founders = Arc::new(founders(4));
        let oracle = links(&context, &founders).await;
        let mut engines = Vec::new();
        for index in 0..4 {
            engines.push(launch(&context, &founders, &oracle, index, Claim::First).await);
        }
        for (engine, _) in &engines {
            stands(&context, engine, |stance| *stance == Stance::Voter).await;
            proved(engine, 8).await;
        }
        assert!(signs_above(&engines[0].0, 2, 0).await, "it had voted");
        let (_, process) = engines.remove(2);
        process.abort();
        let _ = process.await;

        let (engine, _process) = launch(&context, &founders, &oracle, 2, claim).await;
        let stances = Arc::new(Mutex::new(vec![engine.standing.now()]));
        context.child("look").spawn({
            let (standing, stances) = (engine.standing.clone(), stances.clone());
            move |context| async move {
                loop {
                    let now = standing.now();
                    if stances.lock().last() != Some(&now) {
                        stances.lock().push(now);
                    }
                    context.sleep(Duration::from_millis(1)).await;
                }
            }
        });
        stands(&context, &engine, |stance| *stance == Stance::Voter).await;
        let height = proved(&engine, 1).await;
        proved(&engines[0].0, height + 12).await;
        assert!(signs_above(&engines[0].0, 2, height).await, "its votes count again");
        assert_eq!(oracle.blocked().await.unwrap(), [], "nobody contradicted itself");
        context.sleep(Duration::from_secs(20)).await;
        assert_eq!(engine.standing.now(), Stance::Voter, "nothing strange turned up");
        stances.lock().clone()
    })
}

#[test]
fn one_that_lost_its_votes_votes_again_after_a_quarantine() {
    let stances = comes_back(Claim::Lost);
    assert!(
        matches!(stances[..], [Stance::Lost, Stance::Quarantined(until), Stance::Voter] if until > 8),
        "{stances:?}"
    );
}

#[test]
fn one_whose_permit_came_back_without_its_votes_finds_out() {
    let stances = comes_back(Claim::First);
    assert_eq!(stances[0], Stance::Asking);
    assert!(matches!(stances[1..], [.., Stance::Quarantined(_), Stance::Voter]), "{stances:?}");
}

#[test]
fn two_that_lost_their_votes_at_once_never_vote_again_by_themselves() {
    deterministic::Runner::timed(Duration::from_secs(300)).start(|context| async move {
        let founders = Arc::new(founders(4));
        let oracle = links(&context, &founders).await;
        let mut engines = Vec::new();
        for index in 0..4 {
            engines.push(launch(&context, &founders, &oracle, index, Claim::First).await);
        }
        for (engine, _) in &engines {
            proved(engine, 4).await;
        }
        for (_, process) in engines.split_off(2) {
            process.abort();
            let _ = process.await;
        }
        let mut lost = Vec::new();
        for index in 2..4 {
            lost.push(launch(&context, &founders, &oracle, index, Claim::Lost).await);
        }
        context.sleep(Duration::from_secs(60)).await;
        for (engine, _) in &lost {
            assert_eq!(engine.standing.now(), Stance::Lost);
        }
        assert_eq!(engines[0].0.standing.now(), Stance::Voter);
    });
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
            engines.push(start(&context, &founders, &oracle, index, Claim::First).await);
        }
        // Into one pool only: it comes to the others by gossip.
        let now_ms = context.current().epoch_millis();
        let signed = founders.create_bucket("bucket", now_ms);
        let id = signed.transaction.id();
        let fate = engines[0].applied.wait(id);
        engines[0].mempool.insert(Arc::new(signed.clone()), Signatory::Entitled, now_ms).unwrap();
        let Fate::Included(inclusion) = fate.await.unwrap() else { panic!("expired") };
        assert_eq!(inclusion.outcome, 0);
        founders.lineage.verify(&inclusion.block).unwrap();

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
fn an_observer_follows_and_neither_leads_nor_signs() {
    deterministic::Runner::timed(Duration::from_secs(180)).start(|context| async move {
        let founders = founders(4);
        let oracle = links(&context, &founders).await;
        let mut engines = Vec::new();
        for index in [0, 1, 3] {
            engines.push(start(&context, &founders, &oracle, index, Claim::First).await);
        }
        proved(&engines[0], 8).await;
        engines.push(start(&context, &founders, &oracle, 2, Claim::Lost).await);
        stands(&context, &engines[3], |stance| matches!(stance, Stance::Quarantined(_))).await;
        let Stance::Quarantined(until) = engines[3].standing.now() else {
            panic!("it waits for some blocks")
        };
        for engine in &engines {
            proved(engine, until + 4).await;
        }
        let observer = founders.nodes[2].public_key();
        for height in 1..=until {
            let seen = block(&engines[3], height).await;
            assert_eq!(seen.header, block(&engines[0], height).await.header);
            if seen.header.view > until {
                break;
            }
            assert_ne!(seen.header.leader, observer);
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
            engines.push(start(&context, &founders, &oracle, index, Claim::First).await);
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
            engines.push(start(&context, &founders, &oracle, index, Claim::First).await);
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
    async fn network(context: &deterministic::Context, claim: Claim) -> Vec<Engine<deterministic::Context>> {
        let founders = founders(4);
        let oracle = links(context, &founders).await;
        let mut engines = Vec::new();
        for index in 0..4 {
            let claim = if index == 3 { Claim::Lost } else { claim };
            let partition = format!("node-{index}");
            engines.push(start_in(context, &founders, &oracle, index, claim, &partition).await.0);
        }
        engines
    }
    let runner = deterministic::Runner::timed(Duration::from_secs(300));
    let (told, crashed) = runner.start_and_recover(|context| async move {
        let engines = network(&context, Claim::First).await;
        proved(&engines[3], 12).await;
        engines.iter().map(|engine| engine.applied.newest_height()).collect::<Vec<_>>()
    });
    deterministic::Runner::from(crashed).start(|context| async move {
        let engines = network(&context, Claim::Journal(0)).await;
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
            engines.push(start(&context, &founders, &oracle, index, Claim::First).await);
        }
        for engine in &engines {
            proved(engine, 10).await;
        }
        let late = start(&context, &founders, &oracle, 3, Claim::First).await;
        let height = proved(&late, 12).await;
        assert_eq!(block(&late, height).await.header, block(&engines[0], height).await.header);
    });
}
