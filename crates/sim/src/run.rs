//! One seed, from its plan to its verdict.
//!
//! 1. The network of the plan is founded; its gateways start; a bucket is created.
//! 2. Clients work while faults happen. Then it is calm: all faults are over, and every node that is not faulty for good
//!    must be back within [`SETTLE`]. So must the vote of every node that lost its votes.
//! 3. In the calm, more work, through a gateway that knows nothing of the past: it must be answered, promptly.
//! 4. Everything that was ever acknowledged is read back, through that gateway.
//! 5. Checkers judge what was collected.
//!
//! Before the last two, some plans lose more than f nodes for good, and have the network go on with others.
//!
//! A plan that loses more than f disks lets the clients finish first, because what is promised then is about what had
//! reached all nodes, and asks for no more writes afterwards.

mod audit;
mod people;
mod recovery;
mod report;
mod stages;
mod totals;
mod watch;

pub use report::Report;
pub use totals::Totals;

use crate::{faults::Faults, network::Network};
use audit::{audit, drill};
use commonware_runtime::{Clock as _, Runner as _, Supervisor as _, deterministic};
use commonware_utils::{channel::oneshot, sync::Mutex};
use people::{Doors, clients, malefactor, on, open, thwarted};
use report::{ends, operations};
use stages::{forgetful, hasty, heal, scrub, settle, storm, vote, wait};
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use trial::{
    check::{self, Calm, Evidence},
    history::Recorder,
    plan::{Kind, Plan, Wishes},
    workload::{self, WorkloadPlan, content},
    world::Machine,
};
use watch::{digest, hits, watch_queues};

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
/// Contents whose plaintext is looked for on wires.
const TAPPED: u64 = 24;

type Done = oneshot::Receiver<()>;

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

async fn play(context: deterministic::Context, mut plan: Plan) -> Report {
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
    let mut gates = Vec::new();
    for index in 0..plan.gateways {
        gates.push(open(&network, index).await);
    }
    let doors = Doors(Arc::new(Mutex::new(gates)));
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
        faults.is_now(&context, plan.calm_ms);
        storm(&context, &mut faults, &mut network, &doors, &looking, &mut violations).await;
    } else {
        storm(&context, &mut faults, &mut network, &doors, &looking, &mut violations).await;
        wait(&context, clients, &mut violations).await;
    }

    // Calm.
    settle(&context, &network, &plan, &mut violations).await;
    vote(&context, &network, &plan, &mut faults.said, &mut violations).await;
    let (mut looked_up, damaged) = (0, scrub(&context, &network, &plan, &mut violations).await);
    let mut healing = (0..plan.n).filter(|node| plan.heals(*node)).collect();
    heal(&context, &network, &looking, &mut healing, &mut violations).await;
    violations.extend(audit(&network, &plan, &mut looked_up).await);
    if let Some(node) = plan.drill {
        faults.count("storage wipe, then power loss, when calm");
        drill(&context, &network, &looking, node, &mut violations).await;
        violations.extend(audit(&network, &plan, &mut looked_up).await);
    }
    let played = plan.clone();
    if let Some(disaster) = plan.disaster.take() {
        faults.count("more than f nodes lost for good, when calm");
        let looking = plan.gateways + 1;
        recovery::recover(&context, &mut network, &disaster, looking, &mut faults.said, &mut violations)
            .await;
        plan = plan.recovered();
        violations.extend(audit(&network, &plan, &mut looked_up).await);
    }
    let fresh = open(&network, plan.gateways).await;
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
        move |context| workload::read_back(context, fresh, work, recorder)
    });
    wait(&context, reading, &mut violations).await;

    if let Some(attempts) = attempts {
        violations.extend(thwarted(&context, &network, attempts).await);
    }

    // The verdict.
    violations.extend(hasty(&network, &plan));
    faults.said.extend(forgetful(&network, &plan));
    let history = recorder.history();
    let mut blocks = Vec::new();
    for index in 0..plan.n {
        blocks.push(network.blocks_seen(index).await);
    }
    let height = blocks.iter().flatten().map(|block| block.height).max().unwrap_or(0);
    let mut operations = operations(&history);
    operations.insert("(shard looked up on its node)", looked_up);
    operations.insert("(damaged record that a node found)", damaged);
    let evidence = Evidence {
        hits: hits(&network, &history),
        histories: vec![history.clone()],
        blocks,
        samples: std::mem::take(&mut samples.lock()),
        calm,
        ..Evidence::default()
    };
    let gateways = network.gateways.iter().filter_map(Machine::panicked);
    violations.extend(gateways.map(|panic| format!("panic: a gateway: {panic}")));
    violations.extend(network.panics().into_iter().map(|panic| format!("panic: {panic}")));
    violations.extend(check::judge(&evidence).violations.iter().map(ToString::to_string));
    Report {
        violations,
        faults: faults.injected,
        acts: network.acts.counts(),
        calls: ends(&history),
        operations,
        virtual_ms: context.current().duration_since(begun).unwrap_or_default().as_millis() as u64,
        height,
        events: faults.said,
        digest: digest(&context, &history),
        history: Some(history),
        ..Report::empty(&played)
    }
}

fn now_ms(context: &deterministic::Context) -> u64 {
    context.current().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
