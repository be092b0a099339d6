//! `outlast status`: the network as this gateway sees it, what is wrong, and why.

use crate::{
    cli::{Access, Global},
    failure::Failure,
    files::Lock,
    gateway::with_vault,
    output,
};
use clap::Args;
use serde::Serialize;
use std::process::ExitCode;
use vault::{ChainStatus, NodeStatus, ShardsStatus, Stance, Status};

/// A node this many blocks behind the highest is behind; fewer are on their way.
const BEHIND: u64 = 20;

/// Show the nodes, and what is wrong and why
///
/// Exit code 0: healthy. 1: degraded, it works and something is to be done. 2: down, writes wait.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast status
  outlast status --json | jq '.nodes[] | select(.problems != [])'
  watch outlast status --dir /srv/outlast")]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
}

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Healthy = 0,
    Degraded = 1,
    Down = 2,
}

#[derive(Debug, Serialize)]
struct Report {
    health: Health,
    network: String,
    name: String,
    height: u64,
    time: Option<String>,
    faults: usize,
    quorum: usize,
    /// Nodes that answer and vote.
    voting: usize,
    /// Nodes that may be lost in addition, and writes go on.
    spare: usize,
    nodes: Vec<NodeReport>,
}

#[derive(Debug, Serialize)]
struct NodeReport {
    index: usize,
    key: String,
    address: String,
    height: Option<u64>,
    votes: Option<bool>,
    /// `asking`, `voter`, `votes lost`, `quarantined until view N`, or `contradicted`.
    stance: Option<String>,
    shards: Option<u64>,
    missing: Option<u64>,
    healing: Option<Healing>,
    scrub: Option<Scrub>,
    bytes: Option<u64>,
    latency_us: u64,
    software: Option<String>,
    problems: Vec<String>,
}

/// How far a node is with what it lacks. Counts are since it started.
#[derive(Debug, Serialize)]
struct Healing {
    /// Of the missing: one more loss would lose them.
    endangered: u64,
    /// Of the missing: too few nodes hold them for now.
    unhealable: u64,
    healed: u64,
    healed_bytes: u64,
    failures: u64,
    bytes_per_second: u64,
    /// Until nothing is missing; none when that is not known.
    seconds_left: Option<u64>,
}

/// How far a node is with reading everything again. Counts are since it started.
#[derive(Debug, Serialize)]
struct Scrub {
    passes: u64,
    /// Of the present pass.
    bytes: u64,
    damaged: u64,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let status = with_vault(arguments.access.open(global)?, async |vault| Ok(vault.status().await))?;
    let report = examine(&status);
    global.output().show(&report, text)?;
    let up = arguments.access.gateway.is_some() || Lock::is_held(global.layout().root());
    if report.health == Health::Down && !up {
        eprintln!("hint: `outlast up` does not run in {}; start it", global.dir.display());
    }
    Ok(ExitCode::from(report.health as u8))
}

fn examine(status: &Status) -> Report {
    let chains = || status.nodes.iter().filter_map(|node| node.chain.as_ref().ok());
    let newest = chains().max_by_key(|chain| chain.height);
    let height = newest.map_or(0, |chain| chain.height);
    let voting = chains().filter(|chain| chain.stance == Stance::Voter).count();
    let nodes: Vec<NodeReport> = status.nodes.iter().map(|node| examine_node(node, height)).collect();
    let health = match () {
        () if voting < status.quorum => Health::Down,
        () if nodes.iter().any(|node| !node.problems.is_empty()) => Health::Degraded,
        () => Health::Healthy,
    };
    Report {
        health,
        network: status.network.to_string(),
        name: status.name.clone(),
        height,
        time: newest.filter(|chain| chain.height > 0).map(|chain| output::time(chain.time_ms)),
        faults: status.faults,
        quorum: status.quorum,
        voting,
        spare: voting.saturating_sub(status.quorum),
        nodes,
    }
}

fn examine_node(node: &NodeStatus, height: u64) -> NodeReport {
    let (chain, shards) = (node.chain.as_ref().ok(), node.shards.as_ref().ok());
    let mut problems = Vec::new();
    if let Err(why) = &node.chain {
        problems.push(format!("does not answer: {why}"));
    } else if let Err(why) = &node.shards {
        problems.push(format!("gives no account of its shards: {why}"));
    }
    problems.extend(chain.iter().flat_map(|chain| chain_problems(chain, height)));
    problems.extend(shards.iter().flat_map(|shards| shards_problems(shards)));
    if node.faults > 0 || node.avoided {
        problems
            .push(format!("gave {} false answers: it lies, or its disk or memory is broken", node.faults));
    }
    NodeReport {
        index: node.index,
        key: node.key.to_string(),
        address: node.address.to_string(),
        height: chain.map(|chain| chain.height),
        votes: chain.map(|chain| chain.stance == Stance::Voter),
        stance: chain.map(|chain| stance(&chain.stance)),
        shards: shards.map(|shards| shards.held),
        missing: shards.map(|shards| shards.missing),
        healing: shards.map(|shards| Healing {
            endangered: shards.endangered,
            unhealable: shards.unhealable,
            healed: shards.healed,
            healed_bytes: shards.healed_bytes,
            failures: shards.heal_failures,
            bytes_per_second: shards.heal_bytes_per_second,
            seconds_left: shards.heal_seconds,
        }),
        scrub: shards.map(|shards| Scrub {
            passes: shards.scrubbed_passes,
            bytes: shards.scrubbed_bytes,
            damaged: shards.damaged,
        }),
        bytes: shards.map(|shards| shards.bytes),
        latency_us: node.latency_us,
        software: chain.map(|chain| chain.software.clone()),
        problems,
    }
}

fn chain_problems(chain: &ChainStatus, height: u64) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(match chain.stance {
        Stance::Voter => None,
        Stance::Asking => Some(
            "observes: it was just started, or too few nodes answer what they remember of its votes".to_owned(),
        ),
        Stance::Lost => Some(
            "observes: it came back without its votes, and waits for the answers of a quorum of other nodes that \
             have theirs. It stores and serves"
                .to_owned(),
        ),
        Stance::Quarantined(until) => Some(format!(
            "observes: it came back without its votes, and votes again when a block of view {until} is final. It \
             stores and serves"
        )),
        Stance::Contradicted => Some(
            "votes no more: its key is used by another process. Stop that one, then start this one again".to_owned(),
        ),
    });
    let behind = height - chain.height;
    if behind > BEHIND {
        problems.push(format!("is {behind} blocks behind"));
    }
    let unindexed = chain.height.saturating_sub(chain.index_height);
    if unindexed > BEHIND {
        problems.push(format!("its index is {unindexed} blocks behind"));
    }
    problems
}

/// Whether a node votes, in a word or two.
fn stance(stance: &Stance) -> String {
    match stance {
        Stance::Asking => "asking".into(),
        Stance::Voter => "voter".into(),
        Stance::Lost => "votes lost".into(),
        Stance::Quarantined(until) => format!("quarantined until view {until}"),
        Stance::Contradicted => "contradicted".into(),
    }
}

fn shards_problems(shards: &ShardsStatus) -> Vec<String> {
    let mut problems = Vec::new();
    if shards.failed {
        problems.push(
            "its disk has failed, and it does not use it any more: check it, and start the node again".into(),
        );
    }
    if shards.missing > 0 {
        problems.push(format!(
            "lacks {} shards and pages that it should hold{}",
            shards.missing,
            healing(shards)
        ));
    }
    if shards.damaged > 0 {
        problems.push(format!("found {} damaged records on its disk", shards.damaged));
    }
    if shards.bytes_max != u64::MAX && shards.bytes >= shards.bytes_max / 20 * 19 {
        problems.push(format!(
            "has used {} of {}",
            output::bytes(shards.bytes),
            output::bytes(shards.bytes_max)
        ));
    }
    problems
}

/// What is being done about what a node lacks.
fn healing(shards: &ShardsStatus) -> String {
    let mut told = String::new();
    if shards.endangered > 0 {
        told += &format!(", {} of them one loss from being lost", shards.endangered);
    }
    if shards.unhealable > 0 {
        told += &format!(", {} of them held by too few nodes for now", shards.unhealable);
    }
    if shards.heal_bytes_per_second > 0 {
        told += &format!("; it heals {}/s", output::bytes(shards.heal_bytes_per_second));
        if let Some(seconds) = shards.heal_seconds {
            told += &format!(", about {seconds} s are left");
        }
    }
    told
}

fn text(report: &Report) -> String {
    let mut lines = vec![format!(
        "{}: {} of {} nodes vote ({} needed), {} more may be lost; block {}{}",
        match report.health {
            Health::Healthy => "healthy",
            Health::Degraded => "DEGRADED",
            Health::Down => "DOWN: writes wait",
        },
        report.voting,
        report.nodes.len(),
        report.quorum,
        report.spare,
        report.height,
        report.time.as_ref().map(|time| format!(", {time}")).unwrap_or_default(),
    )];
    lines.push(format!(
        "{:<8} {:>9} {:>9} {:>10} {:>9}  {}",
        "node", "height", "shards", "disk", "answers", "state"
    ));
    for node in &report.nodes {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let state = if node.problems.is_empty() { "votes".to_owned() } else { node.problems.join("; ") };
        lines.push(format!(
            "{:<8} {:>9} {:>9} {:>10} {:>9}  {state}",
            crate::layout::node_name(node.index),
            or_dash(node.height.map(|height| height.to_string())),
            or_dash(node.shards.map(|shards| shards.to_string())),
            or_dash(node.bytes.map(output::bytes)),
            or_dash(node.height.map(|_| format!("{:.1} ms", node.latency_us as f64 / 1000.0))),
        ));
    }
    if report.nodes.len() == 1 {
        lines.push("one node is for development: whoever deletes it deletes everything".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(index: usize) -> NodeStatus {
        NodeStatus {
            index,
            key: proof::PublicKey([index as u8; 32]),
            address: "127.0.0.1:1".parse().unwrap(),
            latency_us: 1500,
            faults: 0,
            stalls: 0,
            avoided: false,
            chain: Ok(ChainStatus {
                software: "1".into(),
                height: 100,
                time_ms: 5,
                index_height: 100,
                stance: Stance::Voter,
                pending: 0,
                pending_bytes: 0,
            }),
            shards: Ok(ShardsStatus {
                bytes: 1,
                live_bytes: 1,
                bytes_max: u64::MAX,
                held: 7,
                pending: 0,
                missing: 0,
                endangered: 0,
                unhealable: 0,
                healed: 0,
                healed_bytes: 0,
                heal_failures: 0,
                heal_bytes_per_second: 0,
                heal_seconds: Some(0),
                damaged: 0,
                scrubbed_passes: 0,
                scrubbed_bytes: 0,
                failed: false,
                referenced_height: 100,
            }),
        }
    }

    fn network(change: impl FnOnce(&mut Vec<NodeStatus>)) -> Report {
        let mut nodes = (0..4).map(node).collect();
        change(&mut nodes);
        examine(&Status { network: proof::Digest::ZERO, name: "n".into(), faults: 1, quorum: 3, nodes })
    }

    #[test]
    fn health_says_what_is_wrong_and_why() {
        let healthy = network(|_| {});
        assert_eq!((healthy.health, healthy.spare), (Health::Healthy, 1));
        let observing = network(|nodes| nodes[2].chain.as_mut().unwrap().stance = Stance::Lost);
        assert_eq!((observing.health, observing.voting, observing.spare), (Health::Degraded, 3, 0));
        assert!(text(&observing).contains("observes"));
        let waiting = network(|nodes| nodes[2].chain.as_mut().unwrap().stance = Stance::Quarantined(77));
        assert!(text(&waiting).contains("view 77"));
        assert_eq!(waiting.nodes[2].stance.as_deref(), Some("quarantined until view 77"));
        let gone = network(|nodes| nodes[0].chain = Err("connection refused".into()));
        assert_eq!(gone.health, Health::Degraded);
        assert!(gone.nodes[0].problems[0].contains("connection refused"));
        let down = network(|nodes| nodes.iter_mut().take(2).for_each(|node| node.chain = Err("gone".into())));
        assert_eq!(down.health, Health::Down);
        let lacking = network(|nodes| {
            let shards = nodes[1].shards.as_mut().unwrap();
            (shards.missing, shards.endangered, shards.heal_bytes_per_second) = (3, 1, 2 << 20);
            shards.heal_seconds = Some(7);
        });
        assert_eq!(lacking.health, Health::Degraded);
        let told = text(&lacking);
        assert!(
            told.contains("lacks 3 shards and pages that it should hold, 1 of them one loss from being lost")
        );
        assert!(told.contains("2.00 MiB/s, about 7 s are left"), "{told}");
        let failed = network(|nodes| nodes[1].shards.as_mut().unwrap().failed = true);
        assert!(failed.nodes[1].problems[0].contains("disk has failed"));
        let behind = network(|nodes| nodes[1].chain.as_mut().unwrap().height = 10);
        assert!(behind.nodes[1].problems.iter().any(|problem| problem.contains("90 blocks behind")));
    }
}
