//! Whether nodes hold what the chain says that they should: looked up record by record, not believed.

use super::{SETTLE, stages::heal};
use crate::{network::Network, process::Alive};
use blob::Code;
use commonware_consensus::types::Height;
use commonware_runtime::{Clock as _, deterministic};
use proof::{Digest, Manifest, transaction::Payload, wire::DecodeExt as _};
use std::{collections::BTreeSet, time::Duration};
use trial::{
    plan::Plan,
    workload::Gate,
    world::{Context, Loss},
};

/// Chunks of the tenant that is judged, by the blocks of a node.
async fn chunks(network: &Network, alive: &Alive) -> BTreeSet<Digest> {
    let tenant = network.tenants[0].id;
    let mut chunks = BTreeSet::new();
    for height in 1..=alive.applied.newest_height() {
        let Some(block) = alive.blocks.get_block(Height::new(height)).await else { continue };
        let block = block.inner_shared();
        let applied = block.transactions.iter().zip(block.outcomes.iter()).filter(|(_, code)| **code == 0);
        for (signed, _) in applied.filter(|(signed, _)| signed.transaction.tenant == tenant) {
            for body in signed.transaction.operations.iter().filter_map(|operation| operation.body()) {
                let Payload::Stored(stored) = &body.payload else { continue };
                let manifest = signed.attachment(&stored.manifest).expect("blocks have what they name");
                // Objects of this workload have few chunks.
                if let Ok(Manifest::Direct(page)) = Manifest::decode(manifest.clone()) {
                    chunks.extend(page.chunks().copied());
                }
            }
        }
    }
    chunks
}

/// Whether a node says that it lacks a shard of the tenant who is judged. Of a chunk that its own malicious writer did not
/// encode consistently, nodes cannot rebuild shards, and too few may be left: that is his loss alone.
pub(super) async fn lacks_judged(network: &Network, node: usize) -> bool {
    let Some(alive) = network.alive(node) else { return true };
    let judged = chunks(network, &alive).await;
    alive.shards.lacking(None, usize::MAX).iter().any(|id| judged.contains(id))
}

/// What nodes that should have healed do not hold, though nobody says that it is missing. Counts what was looked up.
pub(super) async fn audit(network: &Network, plan: &Plan, looked_up: &mut u64) -> Vec<String> {
    let code = Code::new(plan.f() + 1, plan.n).expect("plans have sizes that networks have");
    let mut violations = Vec::new();
    for node in (0..plan.n).filter(|node| plan.heals(*node)) {
        let Some(alive) = network.alive(node) else {
            violations.push(format!("healing: node {node} does not run"));
            continue;
        };
        for id in chunks(network, &alive).await {
            *looked_up += 1;
            let wrong = match alive.shards.read(&id).await {
                Ok(Some(shard)) if shard.opening.id() != id => "another chunk's shard".to_owned(),
                Ok(Some(shard)) if usize::from(shard.index) != node => "another node's shard".to_owned(),
                Ok(Some(shard)) => match code.check_shard(&shard.opening, node, shard.bytes) {
                    Ok(_) => continue,
                    Err(error) => error.to_string(),
                },
                Ok(None) => "nothing".to_owned(),
                Err(error) => error.to_string(),
            };
            violations.push(format!("healing: node {node} has healed, but has of chunk {id}: {wrong}"));
        }
    }
    violations
}

/// A node loses its storage, heals, and loses power the moment it says that nothing is missing: what was said to be healed
/// must be there still.
pub(super) async fn drill(
    context: &deterministic::Context,
    network: &Network,
    looking: &Gate<Context>,
    node: usize,
    violations: &mut Vec<String>,
) {
    let seat = &network.seats[node];
    network.kill(node, Loss::Process);
    seat.machine.disk().wipe();
    let Some(wiped) = started(context, network, node, violations).await else { return };
    let height = looking.vault().status().await.height();
    let until = context.current() + SETTLE;
    loop {
        let status = wiped.shards.status();
        if status.referenced_height >= height && status.missing == 0 {
            break;
        }
        if context.current() >= until {
            if status.missing == status.unhealable && !lacks_judged(network, node).await {
                break;
            }
            let seconds = SETTLE.as_secs();
            violations.push(format!("healing: node {node} has not healed in {seconds} s: {status:?}"));
            return;
        }
        context.sleep(Duration::from_millis(1)).await;
    }
    let chunks = chunks(network, &wiped).await;
    network.kill(node, Loss::Power);
    let Some(healed) = started(context, network, node, violations).await else { return };
    let mut lost = 0;
    for id in &chunks {
        lost += u64::from(!matches!(healed.shards.read(id).await, Ok(Some(_))));
    }
    if lost > 0 {
        let count = chunks.len();
        violations.push(format!(
            "healing: node {node} said that it had healed all of {count} chunks; after a loss of power it lacks {lost}"
        ));
    }
    heal(context, network, looking, &mut BTreeSet::from([node]), violations).await;
}

/// Starts a node and waits until it runs.
async fn started(
    context: &deterministic::Context,
    network: &Network,
    node: usize,
    violations: &mut Vec<String>,
) -> Option<Alive> {
    network.start(node);
    let until = context.current() + SETTLE;
    while context.current() < until {
        if let Some(alive) = network.alive(node) {
            return Some(alive);
        }
        context.sleep(Duration::from_millis(1)).await;
    }
    violations.push(format!("healing: node {node} does not start again"));
    None
}
