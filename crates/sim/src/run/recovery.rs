//! More than f nodes are lost for good, and the network goes on with others: see [`Disaster`].
//!
//! All machines lose power. What the survivors' disks have is read as `outlast recover` reads it, without any node; the
//! approver signs; everybody is started in the new epoch, and some lose power again while they fetch and heal.

use super::{SETTLE, people::open, stages::heal};
use crate::network::{Network, spare_key};
use chain::{
    bare::{Archive, FINALIZATIONS, PARTITIONS, VALUES, read_block},
    protocol::Stance,
};
use commonware_runtime::{Clock as _, deterministic};
use proof::{SecretKey, finality::FinalizedHeader, lineage::Recovery, wire::List};
use std::{collections::BTreeSet, time::Duration};
use trial::{plan::Disaster, world::Loss};

/// How long a node that loses power again is down.
const AGAIN_FOR: Duration = Duration::from_millis(300);

pub(super) async fn recover(
    context: &deterministic::Context,
    network: &mut Network,
    disaster: &Disaster,
    looking: usize,
    said: &mut Vec<String>,
    violations: &mut Vec<String>,
) {
    let n = network.seats.len();
    let mut behind = disaster.behind.clone();
    behind.sort_unstable_by_key(|(_, for_ms)| std::cmp::Reverse(*for_ms));
    let mut left_ms = behind.first().map_or(0, |(_, for_ms)| *for_ms);
    for (node, for_ms) in behind {
        context.sleep(Duration::from_millis(left_ms - for_ms)).await;
        network.kill(node, Loss::Power);
        left_ms = for_ms;
    }
    context.sleep(Duration::from_millis(left_ms)).await;
    for node in 0..n {
        network.kill(node, Loss::Power);
    }
    for node in &disaster.lost {
        network.seats[*node].replace(spare_key(*node));
    }
    let survivors: Vec<usize> = (0..n).filter(|node| !disaster.lost.contains(node)).collect();
    let Some(last) = highest(network, &survivors) else {
        violations.push("recovery: the survivors' disks prove no block".into());
        return;
    };
    let height = last.header.height;
    let mut lineage = network.lineage().clone();
    let nodes = network.seats.iter().map(|seat| seat.key().public_key()).collect();
    let terms = lineage.terms(nodes, last).expect("distinct keys");
    let approvals = List::new(vec![terms.approve(&SecretKey::from_seed([100; 32]))]).expect("one");
    lineage.recover(Recovery { terms, approvals }).expect("what is proved on disks begins an epoch");
    network.begin_epoch(lineage).await;
    let mut abandoned = 0;
    for (node, seat) in network.seats.iter().enumerate() {
        let left_behind = seat.begin_epoch(height);
        if left_behind > 0 && !disaster.lost.contains(&node) {
            violations.push(format!("recovery: node {node} had told of more than its disk proves now"));
        }
        abandoned += left_behind;
    }
    said.push(format!(
        "epoch 1 begins after block {height}; {abandoned} blocks of lost nodes are left behind"
    ));
    (0..n).for_each(|node| network.start(node));
    let begun = context.current();
    let mut again = disaster.again.clone();
    again.sort_unstable_by_key(|(_, at_ms)| *at_ms);
    for (node, at_ms) in again {
        context.sleep_until(begun + Duration::from_millis(at_ms)).await;
        network.kill(node, Loss::Power);
        context.sleep(AGAIN_FOR).await;
        network.start(node);
    }
    let until = context.current() + SETTLE;
    let ready = |node: usize| {
        let votes = network.alive(node).is_some_and(|alive| alive.standing.now() == Stance::Voter);
        votes && network.height(node) > height + 1
    };
    while let Some(node) = (0..n).find(|node| !ready(*node)) {
        if context.current() >= until {
            let stance = network.alive(node).map(|alive| alive.standing.now());
            let seconds = SETTLE.as_secs();
            violations.push(format!(
                "recovery: {seconds} s after it node {node} is at {}, above {height} is expected, and is {stance:?}",
                network.height(node)
            ));
            return;
        }
        context.sleep(Duration::from_millis(100)).await;
    }
    let blocked = network.blocked().await;
    let fresh = |node: &usize| disaster.lost.contains(node);
    for (by, whom) in blocked.into_iter().filter(|(by, whom)| fresh(by) || fresh(whom)) {
        violations.push(format!("recovery: node {by} blocks node {whom}"));
    }
    network.gateways[looking].kill(Loss::Process);
    let gate = open(network, looking).await;
    heal(context, network, &gate, &mut (0..n).collect::<BTreeSet<_>>(), violations).await;
}

/// The highest block that these nodes' disks prove, with its certificate.
fn highest(network: &Network, nodes: &[usize]) -> Option<FinalizedHeader> {
    let mut archive = Archive::new(network.lineage().clone());
    let mut files: Vec<Vec<u8>> = Vec::new();
    for certificates in [false, true] {
        for node in nodes {
            let disk = network.seats[*node].machine.disk();
            let partitions = disk.partitions().into_iter();
            let partitions = partitions.filter(|name| name.starts_with(PARTITIONS) && name.ends_with(VALUES));
            for partition in partitions.filter(|name| name.ends_with(FINALIZATIONS) == certificates) {
                for contents in disk.contents(&partition) {
                    let number = files.len() as u32;
                    if certificates {
                        archive.add_finalizations(number, contents.as_slice()).expect("memory is readable");
                    } else {
                        archive.add_blocks(number, contents.as_slice()).expect("memory is readable");
                    }
                    files.push(contents);
                }
            }
        }
    }
    let read = |spot: chain::bare::Spot, length: usize| {
        let from = &files[spot.file as usize][spot.offset as usize..];
        Ok(bytes::Bytes::copy_from_slice(&from[..length.min(from.len())]))
    };
    let proven = archive.prove(read);
    let (block, finalization) = (proven.blocks.last()?, proven.newest?);
    let header = read_block(block, read).ok()?.header;
    Some(FinalizedHeader { header, descendants: List::default(), finalization })
}
