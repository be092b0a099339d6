//! The stages of a run: faults, calm, healing.

use super::{
    Done, PATIENCE, SETTLE,
    audit::lacks_judged,
    people::{Doors, open},
};
use crate::{
    faults::{Faults, GatewayEvent},
    network::Network,
    process::Seat,
};
use chain::protocol::Stance;
use commonware_macros::select;
use commonware_runtime::{Clock as _, deterministic};
use std::{collections::BTreeSet, time::Duration};
use trial::{
    plan::{Fault, Kind, Plan},
    workload::Gate,
    world::{Context, Loss},
};

/// Lets all faults of the plan happen, one after the other, until the last is over.
pub(super) async fn storm(
    context: &deterministic::Context,
    faults: &mut Faults,
    network: &mut Network,
    doors: &Doors,
    looking: &Gate<Context>,
    violations: &mut Vec<String>,
) {
    while let Some(at) = faults.next_at() {
        context.sleep_until(at).await;
        if let Some(healing) = faults.must_heal() {
            heal(context, network, looking, healing, violations).await;
        }
        match faults.step(network).await {
            Some(GatewayEvent::Kill(gateway)) => network.gateways[gateway].kill(Loss::Process),
            Some(GatewayEvent::Trap(gateway, steps)) => doors.0.lock()[gateway].trap().set(steps),
            Some(GatewayEvent::Start { gateway, trapped }) => {
                if let Some(panic) = network.gateways[gateway].panicked() {
                    violations.push(format!("panic: gateway {gateway}: {panic}"));
                }
                if trapped {
                    let in_a_write = !network.gateways[gateway].running();
                    faults.count(if in_a_write { "gateway crash in a write" } else { "gateway crash" });
                }
                network.gateways[gateway].kill(Loss::Process);
                let gate = open(network, gateway).await;
                doors.0.lock()[gateway] = gate;
            }
            None => {}
        }
    }
}

/// Waits until every node votes that can be expected to: also if it lost its votes, or was put back to an older state.
/// None of them may have contradicted itself, for which others would block it.
pub(super) async fn vote(
    context: &deterministic::Context,
    network: &Network,
    plan: &Plan,
    said: &mut Vec<String>,
    violations: &mut Vec<String>,
) {
    let is_excused = |node: usize| {
        let is = |fault: &Fault| match fault {
            Fault::Rotten { node: of, .. }
            | Fault::Twin { node: of, .. }
            | Fault::Forgetful { node: of, .. } => *of == node,
            _ => false,
        };
        plan.faults.iter().any(|(_, fault)| is(fault))
    };
    let is_honest = |node: usize| !plan.adversaries.contains_key(&node) && !is_excused(node);
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

/// Waits until these nodes lack nothing, but for what cannot be had by a malicious writer's own fault. Empties the set.
pub(super) async fn heal(
    context: &deterministic::Context,
    network: &Network,
    looking: &Gate<Context>,
    healing: &mut BTreeSet<usize>,
    violations: &mut Vec<String>,
) {
    let vault = looking.vault();
    let until = context.current() + SETTLE;
    loop {
        let status = vault.status().await;
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
            for node in std::mem::take(healing) {
                let shards = &status.nodes[node].shards;
                let unhealable = shards.as_ref().is_ok_and(|shards| shards.missing == shards.unhealable);
                if !unhealable || lacks_judged(network, node).await {
                    let seconds = SETTLE.as_secs();
                    violations.push(format!(
                        "healing: after {seconds} s node {node} still lacks shards: {shards:?}"
                    ));
                }
            }
            return;
        }
        context.sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until nodes whose shards rotted have read all of them again, from the first to the last. Gives the number of
/// records that they found damaged.
pub(super) async fn scrub(
    context: &deterministic::Context,
    network: &Network,
    plan: &Plan,
    violations: &mut Vec<String>,
) -> u64 {
    let mut damaged = 0;
    let until = context.current() + SETTLE;
    for node in (0..plan.n).filter(|node| plan.rots(*node) && plan.heals(*node)) {
        // The pass that is going on may have gone past what rotted.
        let (mut passes, mut last) = (0, None);
        while passes < 2 {
            if let Some(alive) = network.alive(node) {
                let status = alive.shards.status();
                if status.held == 0 {
                    break;
                }
                // A node that starts again counts from zero.
                passes += u64::from(last.is_some_and(|last| status.scrubbed_passes > last));
                last = Some(status.scrubbed_passes);
            }
            if context.current() >= until {
                violations.push(format!("healing: node {node} has not scrubbed all its shards in time"));
                break;
            }
            context.sleep(Duration::from_millis(200)).await;
        }
        damaged += network.alive(node).map_or(0, |alive| alive.shards.status().damaged);
    }
    damaged
}

/// What became of nodes whose disks forgot what they failed to sync: nothing is expected of them, but it is told.
pub(super) fn forgetful(network: &Network, plan: &Plan) -> Vec<String> {
    let nodes = plan.faults.iter().filter_map(|(_, fault)| match fault {
        Fault::Forgetful { node, .. } => Some(*node),
        _ => None,
    });
    nodes
        .map(|node| match network.alive(node) {
            None => format!("node {node}, whose disk forgot, does not run"),
            Some(alive) => format!(
                "node {node}, whose disk forgot: {:?}, at height {}, lacks {} shards",
                alive.standing.now(),
                alive.applied.newest_height(),
                alive.shards.status().missing
            ),
        })
        .collect()
}

/// Nodes that lost their votes together with more than f in all: as long as no more than 2f remember theirs, none of them
/// may take what it hears for enough.
pub(super) fn hasty(network: &Network, plan: &Plan) -> Vec<String> {
    let lost = plan.faults.iter().filter_map(|(_, fault)| match fault {
        Fault::Disks { nodes, .. } => Some(nodes),
        _ => None,
    });
    let stances = lost.flatten().filter_map(|node| Some((node, network.alive(*node)?.standing.now())));
    stances
        .filter(|(_, stance)| *stance != Stance::Lost)
        .map(|(node, stance)| {
            format!("votes: node {node} lost its votes, too few remember theirs, and yet it is {stance:?}")
        })
        .collect()
}

/// Waits for clients to finish what they were asked to do.
pub(super) async fn wait(context: &deterministic::Context, done: Done, violations: &mut Vec<String>) {
    select! {
        done = done => if done.is_err() {
            violations.push("the run itself: clients ended in a panic".into());
        },
        _ = context.sleep(PATIENCE) => violations.push("progress: clients are stuck".into()),
    }
}

/// Waits until every node that is not faulty for good is where the others are.
pub(super) async fn settle(
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
