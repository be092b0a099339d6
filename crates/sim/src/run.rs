//! One seed, from its plan to its verdict.
//!
//! 1. The network of the plan is founded; its gateways start; a bucket is created.
//! 2. Clients work while faults happen. Then it is calm: all faults are over, and every node that is not faulty for good
//!    must be back within [`SETTLE`]. So must the vote of every node that lost its votes.
//! 3. In the calm, more work, through a gateway that knows nothing of the past: it must be answered, promptly.
//! 4. Everything that was ever acknowledged is read back, through that gateway.
//! 5. Checkers judge what was collected.
//!
//! A plan that loses more than f disks lets the clients finish first, because what is promised then is about what had
//! reached all nodes, and asks for no more writes afterwards.

use crate::{
    faults::{Faults, GatewayEvent},
    network::{Gateway, Network},
    process::Seat,
};
use chain::{mempool, protocol::Stance};
use commonware_macros::select;
use commonware_runtime::{Clock as _, Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{channel::oneshot, sync::Mutex};
use futures::StreamExt as _;
use proof::VersionId;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};
use trial::{
    adversary::writers::{Attempt, Malefactor, Victim},
    check::{self, Calm, Evidence, Hit, Queue, Sample},
    history::{History, Outcome, Recorder},
    plan::{Fault, Kind, Plan, Wishes},
    workload::{
        self, WorkloadPlan,
        content::{self, Needles},
    },
    world::{Context, Loss, Machine},
};
use vault::{Error as VaultError, Place, Vault};

/// How long nodes may take to be back after all faults.
const SETTLE: Duration = Duration::from_secs(60);
/// How long a call may take when it is calm, milliseconds.
const PROMPT_MS: u64 = 20_000;
/// Calls made when it is calm.
const CALM_CALLS: u32 = 12;
/// What has been sent may take so long to reach the slowest node.
const SPREAD: Duration = Duration::from_secs(5);
/// Virtual time after which a run is stuck.
const STUCK: Duration = Duration::from_secs(1_200);
/// How long clients may take until they are stuck.
const PATIENCE: Duration = Duration::from_secs(300);
/// What a malicious writer tries in a run.
const TRICKS: usize = 8;
/// How often queues are looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Contents whose plaintext is looked for on wires.
const TAPPED: u64 = 24;

/// What a run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was to happen.
    pub plan: String,
    /// Promises broken. None, if all is well.
    pub violations: Vec<String>,
    /// How often each kind of fault was injected.
    pub faults: BTreeMap<&'static str, u64>,
    /// What adversaries did.
    pub acts: BTreeMap<(&'static str, &'static str), u64>,
    /// Calls of clients, by how they ended.
    pub calls: BTreeMap<&'static str, u64>,
    /// Virtual time, milliseconds.
    pub virtual_ms: u64,
    /// The highest block.
    pub height: u64,
    /// What happened to the network, for people.
    pub events: Vec<String>,
    /// What clients did and saw.
    pub history: Option<History>,
    /// A hash of all that happened, down to the order of tasks.
    pub digest: String,
}

/// Plays a seed.
pub fn play_seed(seed: u64, wishes: &Wishes) -> Report {
    let plan = Plan::draw(seed, wishes);
    let config =
        deterministic::Config::new().with_seed(seed).with_timeout(Some(STUCK)).with_catch_panics(true);
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| {
        deterministic::Runner::new(config).start(|context| play(context, plan.clone()))
    }));
    played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let what = text.unwrap_or_else(|| "a panic without words".into());
        Report { violations: vec![format!("the run itself: {what}")], ..Report::empty(&plan) }
    })
}

impl Report {
    fn empty(plan: &Plan) -> Self {
        Self {
            seed: plan.seed,
            plan: plan.to_string(),
            violations: Vec::new(),
            faults: BTreeMap::new(),
            acts: BTreeMap::new(),
            calls: BTreeMap::new(),
            virtual_ms: 0,
            height: 0,
            events: Vec::new(),
            history: None,
            digest: String::new(),
        }
    }

    /// What happened, for people. With every call of every client, if `trace`.
    pub fn story(&self, trace: bool) -> String {
        let mut story = self.plan.clone();
        story.push_str("\nwhat happened\n");
        for event in &self.events {
            let _ = writeln!(story, "  {event}");
        }
        for ((who, act), count) in &self.acts {
            let _ = writeln!(story, "  {who}: {act}, {count} times");
        }
        if let Some(history) = self.history.as_ref().filter(|_| trace) {
            story.push_str("\nhistory\n");
            for call in &history.calls {
                let _ = writeln!(story, "  {call}");
            }
        }
        let ended: Vec<_> = self.calls.iter().map(|(how, count)| format!("{count} {how}")).collect();
        let _ = writeln!(
            story,
            "\n{} calls ({}), {} blocks in {:.1} virtual s, digest {}",
            self.calls.values().sum::<u64>(),
            ended.join(", "),
            self.height,
            self.virtual_ms as f64 / 1e3,
            self.digest
        );
        match self.violations.len() {
            0 => story.push_str("no promise was broken\n"),
            count => {
                let _ = writeln!(story, "{count} VIOLATIONS");
                for violation in &self.violations {
                    let _ = writeln!(story, "  {violation}");
                }
            }
        }
        story
    }
}

/// The vaults that clients use now. Clones share them.
#[derive(Clone)]
struct Doors(Arc<Mutex<Vec<Gateway>>>);

impl Doors {
    /// Gives, call by call, one gateway after another.
    fn in_turn(&self, first: u32) -> impl Fn() -> (u32, Gateway) + Send + Sync + 'static {
        let (doors, next) = (self.0.clone(), AtomicU32::new(first));
        move || {
            let doors = doors.lock();
            let index = next.fetch_add(1, Ordering::Relaxed) as usize % doors.len();
            (index as u32, doors[index].clone())
        }
    }
}

/// Starts a gateway's process and gives its vault.
async fn open(network: &Network, index: usize) -> Gateway {
    let config = network.gateway_config(&network.tenants[0]);
    let (given, vault) = oneshot::channel();
    network.gateways[index].start(|context| async move {
        let vault = Vault::connect(context.child("vault"), config).expect("a configuration from the genesis");
        // Whoever asked may be gone at the end of a run.
        let _ = given.send(vault);
        std::future::pending::<()>().await;
    });
    vault.await.expect("a gateway starts")
}

async fn play(context: deterministic::Context, plan: Plan) -> Report {
    let mut network = Network::found(context.child("network"), &plan).await;
    let needles = (0..TAPPED).map(|id| content::needle(plan.seed, id).to_vec()).collect();
    network.world.wires().tap(needles);
    let begun = context.current();
    let recorder = Recorder::new(plan.seed);
    let work = WorkloadPlan {
        clients: (plan.gateways * plan.clients) as u32,
        give_up: Duration::from_secs(20),
        ..WorkloadPlan::new(plan.seed)
    };
    let mut vaults = Vec::new();
    for index in 0..plan.gateways {
        vaults.push(open(&network, index).await);
    }
    let doors = Doors(Arc::new(Mutex::new(vaults)));
    let mut violations = Vec::new();
    let clients = clients(&network, &work, &doors, &recorder);
    let attempts = plan.malicious_writers.then(|| malefactor(&network, &plan));
    let samples = Arc::new(Mutex::new(Vec::new()));
    watch_queues(&context, &network, samples.clone());

    // Work, and faults.
    let mut faults = Faults::new(&context, &plan);
    let looking = open(&network, plan.gateways + 1).await;
    if plan.kind == Kind::Beyond {
        wait(&context, clients, &mut violations).await;
        context.sleep(SPREAD).await;
        storm(&context, &mut faults, &mut network, &doors, &looking, &mut violations).await;
    } else {
        storm(&context, &mut faults, &mut network, &doors, &looking, &mut violations).await;
        wait(&context, clients, &mut violations).await;
    }

    // Calm.
    settle(&context, &network, &plan, &mut violations).await;
    vote(&context, &network, &plan, &mut faults.said, &mut violations).await;
    let mut healing = (0..plan.n).filter(|node| plan.heals(*node)).collect();
    heal(&context, &looking, &mut healing, &mut violations).await;
    let observer = plan.gateways;
    let fresh = open(&network, observer).await;
    let mut calm = None;
    if plan.kind != Kind::Beyond {
        let from_ms = now_ms(&context);
        calm = Some(Calm { from_ms, bound_ms: PROMPT_MS, calls_min: CALM_CALLS as usize });
        let gentle = WorkloadPlan { clients: 1, operations: CALM_CALLS, ..work.clone() };
        let doors = Doors(Arc::new(Mutex::new(vec![fresh.clone()])));
        let last = on(&network, "calm", {
            let recorder = recorder.clone();
            let client = work.clients;
            let gateway = doors.in_turn(0);
            move |context| workload::run_client(context, gentle, client, recorder, gateway)
        });
        wait(&context, last, &mut violations).await;
    }
    let reading = on(&network, "reader", {
        let (recorder, work) = (recorder.clone(), work.clone());
        move |context| workload::read_back(context, fresh, observer as u32, work, recorder)
    });
    wait(&context, reading, &mut violations).await;

    if let Some(attempts) = attempts {
        violations.extend(thwarted(&context, &network, attempts).await);
    }

    // The verdict.
    let history = recorder.history();
    let mut blocks = Vec::new();
    for index in 0..plan.n {
        blocks.push(network.blocks_seen(index).await);
    }
    let height = blocks.iter().flatten().map(|block| block.height).max().unwrap_or(0);
    let evidence = Evidence {
        hits: hits(&network, &history),
        histories: vec![history.clone()],
        blocks,
        samples: std::mem::take(&mut samples.lock()),
        calm,
        ..Evidence::default()
    };
    violations.extend(network.panics().into_iter().map(|panic| format!("panic: {panic}")));
    violations.extend(check::judge(&evidence).violations.iter().map(ToString::to_string));
    Report {
        violations,
        faults: faults.injected,
        acts: network.acts.counts(),
        calls: ends(&history),
        virtual_ms: context.current().duration_since(begun).unwrap_or_default().as_millis() as u64,
        height,
        events: faults.said,
        digest: digest(&context, &history),
        history: Some(history),
        ..Report::empty(&plan)
    }
}

type Done = oneshot::Receiver<()>;

/// Runs something as a process on a machine of its own.
fn on<F, Fut>(network: &Network, machine: &str, work: F) -> Done
where
    F: FnOnce(Context) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (done, waiting) = oneshot::channel();
    network.world.machine(machine).start(|context| async move {
        work(context).await;
        // Whoever waited may have lost patience.
        let _ = done.send(());
    });
    waiting
}

/// Lets clients work, once there is a bucket.
fn clients(network: &Network, work: &WorkloadPlan, doors: &Doors, recorder: &Recorder) -> Done {
    let (work, doors, recorder) = (work.clone(), doors.clone(), recorder.clone());
    on(network, "clients", move |context| async move {
        loop {
            let (index, vault) = doors.in_turn(0)();
            if workload::create_bucket(&context, &vault, index, &work, &recorder).await {
                break;
            }
            context.sleep(Duration::from_millis(200)).await;
        }
        let client = |client: u32| {
            let (work, recorder, gateway) = (work.clone(), recorder.clone(), doors.in_turn(client));
            context
                .child("client")
                .with_attribute("number", client)
                .spawn(move |context| workload::run_client(context, work, client, recorder, gateway))
        };
        // A client that panics has told its process, which ends.
        let _ = futures::future::join_all((0..work.clients).map(client)).await;
    })
}

/// Lets a malicious writer work: the other tenant, in a bucket of its own, against the one who is judged.
fn malefactor(network: &Network, plan: &Plan) -> oneshot::Receiver<Vec<Attempt>> {
    let [victim, malefactor] = &network.tenants;
    let config = network.gateway_config(malefactor);
    let place =
        Place { bucket: "bucket".parse().expect("a bucket's name"), key: "k0".parse().expect("a key") };
    let victim = Victim { tenant: victim.id, signer: victim.key.public_key(), place };
    let (done, attempts) = oneshot::channel();
    let (seed, acts) = (plan.seed, network.acts.clone());
    network.world.machine("malefactor").start(move |context| async move {
        let bucket = "lair".parse().expect("a bucket's name");
        let malefactor = Malefactor::connect(context, config, bucket, victim, seed, &acts);
        let malefactor = malefactor.expect("a configuration from the genesis");
        // A run may be over before he is.
        let _ = done.send(malefactor.run(TRICKS).await);
    });
    attempts
}

/// What a malicious writer achieved that he must not, and whether all who read what he spoiled see the same.
async fn thwarted(
    context: &deterministic::Context,
    network: &Network,
    attempts: oneshot::Receiver<Vec<Attempt>>,
) -> Vec<String> {
    let attempts = select! {
        attempts = attempts => attempts.unwrap_or_default(),
        _ = context.sleep(PATIENCE) => Vec::new(),
    };
    if attempts.is_empty() {
        return vec!["the run itself: the malicious writer did nothing".into()];
    }
    let mut violations: Vec<String> = attempts
        .iter()
        .filter_map(|attempt| attempt.violation.clone())
        .map(|what| format!("malice: {what}"))
        .collect();
    let (given, read) = oneshot::channel();
    let config = network.gateway_config(&network.tenants[1]);
    let spoiled: Vec<_> = attempts.into_iter().filter_map(|attempt| attempt.spoiled).collect();
    network.world.machine("witness").start(|context| async move {
        let mut seen = Vec::new();
        for spoiled in spoiled.into_iter().filter(|spoiled| spoiled.version.is_some()) {
            // Readers who know nothing of each other. Which of them decodes is up to such a writer; none gets other bytes.
            let mut outcomes = Vec::new();
            for _ in 0..2 {
                let vault = Vault::connect(context.child("vault"), config.clone()).expect("as before");
                outcomes.push(whole(&vault, &spoiled.place, spoiled.version).await);
            }
            let are_fair = outcomes.iter().all(|outcome| match outcome {
                Ok(bytes) => *bytes == spoiled.bytes,
                Err(error) => matches!(error, VaultError::Damaged(_)),
            });
            if !are_fair {
                let outcomes: Vec<_> =
                    outcomes.iter().map(|outcome| outcome.as_ref().map(Vec::len)).collect();
                seen.push(format!("malice: readers of {:?} see {outcomes:?}", spoiled.place));
            }
        }
        let _ = given.send(seen);
    });
    select! {
        seen = read => violations.extend(seen.unwrap_or_else(|_| vec!["the run itself: no witness".into()])),
        _ = context.sleep(PATIENCE) => violations.push("progress: the witness is stuck".into()),
    }
    violations
}

/// A version's bytes.
async fn whole(vault: &Gateway, place: &Place, version: Option<VersionId>) -> Result<Vec<u8>, VaultError> {
    let object = vault.head(place, version).await?;
    let mut reader = vault.read(&object, 0..u64::MAX);
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// Lets all faults of the plan happen, one after the other, until the last is over.
async fn storm(
    context: &deterministic::Context,
    faults: &mut Faults,
    network: &mut Network,
    doors: &Doors,
    looking: &Gateway,
    violations: &mut Vec<String>,
) {
    while let Some(at) = faults.next_at() {
        context.sleep_until(at).await;
        if let Some(healing) = faults.must_heal() {
            heal(context, looking, healing, violations).await;
        }
        match faults.step(network).await {
            Some(GatewayEvent::Kill(gateway)) => network.gateways[gateway].kill(Loss::Process),
            Some(GatewayEvent::Start(gateway)) => {
                let vault = open(network, gateway).await;
                doors.0.lock()[gateway] = vault;
            }
            None => {}
        }
    }
}

/// Waits until these nodes lack nothing. Empties the set.
async fn heal(
    context: &deterministic::Context,
    looking: &Gateway,
    healing: &mut BTreeSet<usize>,
    violations: &mut Vec<String>,
) {
    let until = context.current() + SETTLE;
    loop {
        let status = looking.status().await;
        let height = status.height();
        let is_healed = |node: &usize| {
            let shards = status.nodes[*node].shards.as_ref();
            shards.is_ok_and(|shards| shards.missing == 0 && shards.referenced_height >= height)
        };
        healing.retain(|node| !is_healed(node));
        if healing.is_empty() {
            return;
        }
        if context.current() >= until {
            let lacks = |node: &usize| format!("{node}: {:?}", status.nodes[*node].shards);
            let lacks: Vec<_> = healing.iter().map(lacks).collect();
            violations.push(format!(
                "healing: after {} s nodes still lack shards: {}",
                SETTLE.as_secs(),
                lacks.join(", ")
            ));
            healing.clear();
            return;
        }
        context.sleep(Duration::from_millis(200)).await;
    }
}

/// Waits for clients to finish what they were asked to do.
async fn wait(context: &deterministic::Context, done: Done, violations: &mut Vec<String>) {
    select! {
        done = done => if done.is_err() {
            violations.push("the run itself: clients ended in a panic".into());
        },
        _ = context.sleep(PATIENCE) => violations.push("progress: clients are stuck".into()),
    }
}

/// Waits until every node that is not faulty for good is where the others are.
async fn settle(
    context: &deterministic::Context,
    network: &Network,
    plan: &Plan,
    violations: &mut Vec<String>,
) {
    let expected: Vec<usize> = (0..plan.n).filter(|node| !plan.lasting(*node)).collect();
    let goal = expected.iter().map(|node| network.height(*node)).max().unwrap_or(0);
    let until = context.current() + SETTLE;
    loop {
        let behind: Vec<_> = expected.iter().filter(|node| network.height(**node) < goal.max(1)).collect();
        if behind.is_empty() {
            return;
        }
        if context.current() >= until {
            let heights: Vec<_> =
                behind.iter().map(|node| format!("{node} at {}", network.height(**node))).collect();
            violations.push(format!(
                "progress: {} s after all faults some nodes have not reached height {goal}: {}",
                SETTLE.as_secs(),
                heights.join(", ")
            ));
            return;
        }
        context.sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until every node votes that can be expected to: also if it lost its votes, or was put back to an older state.
/// None of them may have contradicted itself, for which others would block it.
async fn vote(
    context: &deterministic::Context,
    network: &Network,
    plan: &Plan,
    said: &mut Vec<String>,
    violations: &mut Vec<String>,
) {
    let rots = |node: usize| {
        let rots = |fault: &Fault| matches!(fault, Fault::Rotten { node: rotten, .. } if *rotten == node);
        plan.faults.iter().any(|(_, fault)| rots(fault))
    };
    let is_honest = |node: usize| !plan.adversaries.contains_key(&node) && !rots(node);
    let blocked = network.blocked().await.into_iter();
    for (by, whom) in blocked.filter(|(by, whom)| is_honest(*by) && is_honest(*whom)) {
        violations.push(format!("votes: node {by} blocks node {whom}, which is not malicious"));
    }
    let disowned = network.seats.iter().map(Seat::disowned).enumerate().filter(|(_, count)| *count > 0);
    said.extend(disowned.map(|(node, count)| format!("node {node} found its votes lost {count} times")));
    if plan.kind == Kind::Beyond {
        return;
    }
    let (from, until) = (context.current(), context.current() + SETTLE);
    let stance = |node: &usize| network.alive(*node).map(|alive| alive.standing.now());
    let expected: Vec<usize> = (0..plan.n).filter(|node| is_honest(*node)).collect();
    loop {
        let silent: Vec<_> = expected.iter().filter(|node| stance(node) != Some(Stance::Voter)).collect();
        if silent.is_empty() {
            let took = context.current().duration_since(from).unwrap_or_default();
            said.push(format!(
                "all honest nodes vote, {:.1} s after the others were back",
                took.as_secs_f64()
            ));
            return;
        }
        if context.current() >= until {
            let stances: Vec<_> = silent.iter().map(|node| format!("{node}: {:?}", stance(node))).collect();
            violations.push(format!(
                "votes: {} s after all faults some nodes do not vote: {}",
                SETTLE.as_secs(),
                stances.join(", ")
            ));
            return;
        }
        context.sleep(Duration::from_millis(100)).await;
    }
}

/// Looks at every node's queues from time to time.
fn watch_queues(context: &deterministic::Context, network: &Network, samples: Arc<Mutex<Vec<Sample>>>) {
    let seats = network.seats.clone();
    context.child("watch").spawn(|context| async move {
        loop {
            context.sleep(SAMPLE_EVERY).await;
            for (index, seat) in seats.iter().enumerate() {
                let Some(alive) = seat.alive() else { continue };
                let (transactions, bytes) = alive.mempool.size();
                let queue = |name, value, limit| Queue { name, value, limit };
                samples.lock().push(Sample {
                    place: format!("node {index}"),
                    time_ms: now_ms(&context),
                    queues: vec![
                        queue("mempool transactions", transactions, mempool::TRANSACTIONS_MAX),
                        queue("mempool bytes", bytes, mempool::BYTES_MAX),
                    ],
                });
            }
        }
    });
}

/// Plaintext on disks and wires.
fn hits(network: &Network, history: &History) -> Vec<Hit> {
    let needles = Needles::of(history);
    let mut hits = Vec::new();
    let disks = |machine: &Machine| [machine.disk().clone(), machine.second_disk().clone()];
    let nodes = network.seats.iter().enumerate();
    for (index, disk) in nodes.flat_map(|(index, seat)| disks(&seat.machine).map(|disk| (index, disk))) {
        disk.each_run(|blob, start, bytes| {
            let found = needles.find(bytes).into_iter();
            hits.extend(found.map(|(content, offset)| Hit {
                place: format!("node {index}: {blob}"),
                offset: start as usize + offset,
                content,
            }));
        });
    }
    let tapped = network.world.wires().tapped().into_iter();
    hits.extend(tapped.map(|place| Hit { place, offset: 0, content: 0 }));
    hits
}

/// Calls by how they ended.
fn ends(history: &History) -> BTreeMap<&'static str, u64> {
    let mut ends = BTreeMap::new();
    for call in &history.calls {
        let how = match call.outcome() {
            Some(Outcome::Ok(_)) => "done",
            Some(Outcome::Refused(_)) => "refused",
            Some(Outcome::Failed(_)) => "failed",
            Some(Outcome::Unknown(_)) | None => "unknown",
            Some(Outcome::Damaged(_)) => "damaged",
        };
        *ends.entry(how).or_default() += 1;
    }
    ends
}

fn digest(context: &deterministic::Context, history: &History) -> String {
    let history: String = history.digest()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let auditor = context.auditor().state();
    format!("{history}-{}", &auditor[..auditor.len().min(16)])
}

fn now_ms(context: &deterministic::Context) -> u64 {
    context.current().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Many reports together.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Totals {
    /// Seeds played.
    pub seeds: u64,
    /// Seeds that failed.
    pub failed: u64,
    /// How often each kind of fault was injected.
    pub faults: BTreeMap<String, u64>,
    /// What adversaries did, by who and how.
    pub acts: BTreeMap<String, u64>,
    /// Calls of clients, by how they ended.
    pub calls: BTreeMap<String, u64>,
    /// Blocks.
    pub blocks: u64,
    /// Virtual time, milliseconds.
    pub virtual_ms: u64,
}

impl Totals {
    /// Adds a report.
    pub fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.failed += u64::from(!report.violations.is_empty());
        self.blocks += report.height;
        self.virtual_ms += report.virtual_ms;
        for (fault, count) in &report.faults {
            *self.faults.entry((*fault).into()).or_default() += count;
        }
        for ((who, act), count) in &report.acts {
            *self.acts.entry(format!("{who}: {act}")).or_default() += count;
        }
        for (how, count) in &report.calls {
            *self.calls.entry((*how).into()).or_default() += count;
        }
    }

    /// As one JSON object. `wall` is how long it took.
    pub fn json(&self, wall: Duration) -> String {
        let mut totals = serde_json::to_value(self).expect("counts are JSON");
        totals["wall_ms"] = (wall.as_millis() as u64).into();
        totals.to_string()
    }

    /// As a table, for people.
    pub fn table(&self, wall: Duration) -> String {
        let mut table = String::new();
        let hours = self.virtual_ms as f64 / 3.6e6;
        let speed = self.virtual_ms as f64 / 1e3 / wall.as_secs_f64().max(1e-3);
        let calls: u64 = self.calls.values().sum();
        let _ = writeln!(
            table,
            "{} seeds, {} failed; {hours:.2} virtual hours in {:.1} s, {speed:.0} virtual seconds a second",
            self.seeds,
            self.failed,
            wall.as_secs_f64()
        );
        let of = |counts: &BTreeMap<String, u64>| {
            counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        let _ = writeln!(table, "{calls} calls: {}; {} blocks", of(&self.calls), self.blocks);
        let _ = writeln!(table, "faults: {}", of(&self.faults));
        let _ = write!(table, "acts: {}", of(&self.acts));
        table
    }
}
