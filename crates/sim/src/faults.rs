//! Lets the faults of a plan happen.

use crate::network::Network;
use commonware_runtime::{Clock as _, deterministic};
use rand::{SeedableRng as _, rngs::StdRng};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::{Duration, SystemTime},
};
use trial::{
    plan::{Fault, Plan, Rot},
    world::{DiskFaults, Loss, Snapshot, echo::Rate},
};

/// Partitions of the shard log and of the archive of blocks contain this in their names.
const SHARDS: &str = "node-shards";
const BLOCKS: &str = "node-chain-blocks";

/// How long a node that loses power while it heals is down, milliseconds.
const AGAIN_FOR_MS: u64 = 300;

/// What happens next: a fault begins, or one that began is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Begin(usize),
    End(usize),
    /// Nodes that heal lose power again.
    Again(usize),
    /// And are started.
    AgainEnds(usize),
}

/// Injects a plan's faults.
pub struct Faults {
    begun_at: SystemTime,
    steps: BinaryHeap<Reverse<(u64, Step)>>,
    plan: Plan,
    snapshots: BTreeMap<usize, [Snapshot; 2]>,
    /// Nodes whose storage was wiped and who may not have healed yet.
    healing: BTreeSet<usize>,
    rng: StdRng,
    /// How often each kind of fault was injected.
    pub injected: BTreeMap<&'static str, u64>,
    /// What happened, for people.
    pub said: Vec<String>,
}

/// A gateway that dies or comes back: the clients live in its process, so whoever runs them is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayEvent {
    /// Its process is to be killed.
    Kill(usize),
    /// Its process is to be killed so many steps of its tasks after the next write through it begins.
    Trap(usize, u32),
    /// It is to be killed, if it still runs, and started again.
    Start {
        /// Which.
        gateway: usize,
        /// Whether a trap was set for it.
        trapped: bool,
    },
}

impl Faults {
    /// All of a plan's faults, from now on.
    pub fn new(context: &deterministic::Context, plan: &Plan) -> Self {
        let begin = |(index, (at_ms, _)): (usize, &(u64, Fault))| Reverse((*at_ms, Step::Begin(index)));
        Self {
            begun_at: context.current(),
            steps: plan.faults.iter().enumerate().map(begin).collect(),
            plan: plan.clone(),
            snapshots: BTreeMap::new(),
            healing: BTreeSet::new(),
            rng: StdRng::seed_from_u64(plan.seed ^ 0xfa01),
            injected: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    /// What the plan says of this time, milliseconds, and later is from now on.
    pub fn is_now(&mut self, context: &deterministic::Context, at_ms: u64) {
        self.begun_at = context.current() - Duration::from_millis(at_ms);
    }

    /// Counts a fault that is known to have happened only now.
    pub fn count(&mut self, name: &'static str) {
        *self.injected.entry(name).or_default() += 1;
    }

    /// When the next thing happens, if anything does.
    pub fn next_at(&self) -> Option<SystemTime> {
        self.steps.peek().map(|Reverse((at_ms, _))| self.begun_at + Duration::from_millis(*at_ms))
    }

    /// Who has to heal before the next thing happens, if that makes a node faulty. Faults of one slot follow one another, so
    /// whoever has to heal for that has been started again.
    pub fn must_heal(&mut self) -> Option<&mut BTreeSet<usize>> {
        let Some(Reverse((_, Step::Begin(index)))) = self.steps.peek() else { return None };
        let waits = match &self.plan.faults[*index].1 {
            Fault::Storm { .. }
            | Fault::Ahead { .. }
            | Fault::Echo { .. }
            | Fault::Gateway { .. }
            | Fault::Snapshot { .. } => false,
            _ => !self.healing.is_empty(),
        };
        waits.then_some(&mut self.healing)
    }

    /// Lets the next thing happen.
    pub async fn step(&mut self, network: &mut Network) -> Option<GatewayEvent> {
        let Reverse((at_ms, step)) = self.steps.pop()?;
        let (index, begins) = match step {
            Step::Begin(index) => (index, true),
            Step::End(index) => (index, false),
            Step::Again(index) | Step::AgainEnds(index) => {
                let again = self.plan.faults[index].1.again();
                let (nodes, _) = again.expect("only what wipes a disk happens again");
                let verb = if matches!(step, Step::Again(_)) { "loses power" } else { "starts" };
                for node in nodes {
                    self.said
                        .push(format!("{:9.3} s  node {node} {verb} while it heals", at_ms as f64 / 1e3));
                    if matches!(step, Step::Again(_)) {
                        self.count("power loss while healing");
                        network.kill(node, Loss::Power);
                    } else {
                        network.start(node);
                    }
                }
                if matches!(step, Step::Again(_)) {
                    self.steps.push(Reverse((at_ms + AGAIN_FOR_MS, Step::AgainEnds(index))));
                }
                return None;
            }
        };
        let fault = self.plan.faults[index].1.clone();
        let verb = if begins { "begins" } else { "ends" };
        self.said.push(format!("{:9.3} s  {} {verb}: {fault:?}", at_ms as f64 / 1e3, fault.name()));
        if begins {
            // Whether a trap springs is known when it is over.
            if !matches!(fault, Fault::Gateway { steps: Some(_), .. }) {
                self.count(fault.name());
            }
            let ends = duration_ms(&fault);
            if let Some(for_ms) = ends {
                self.steps.push(Reverse((at_ms + for_ms, Step::End(index))));
            }
            if let Some((_, again_ms)) = fault.again() {
                let started_ms = at_ms + ends.unwrap_or(0);
                self.steps.push(Reverse((started_ms + again_ms, Step::Again(index))));
            }
            self.begin(network, fault).await
        } else {
            self.end(network, fault).await
        }
    }

    async fn begin(&mut self, network: &mut Network, fault: Fault) -> Option<GatewayEvent> {
        match fault {
            Fault::Crash { node, loss, .. } => network.kill(node, loss),
            Fault::Storage { node, .. } => {
                network.kill(node, Loss::Process);
                network.seats[node].machine.disk().wipe();
            }
            Fault::Wipe { node, .. } => {
                network.kill(node, Loss::Process);
                network.wipe(node);
            }
            Fault::Snapshot { node } => {
                let machine = &network.seats[node].machine;
                self.snapshots.insert(node, [machine.disk().snapshot(), machine.second_disk().snapshot()]);
            }
            Fault::Rollback { node, .. } => {
                network.kill(node, Loss::Process);
                if let Some([storage, votes]) = self.snapshots.get(&node) {
                    network.seats[node].machine.disk().restore(storage);
                    network.seats[node].machine.second_disk().restore(votes);
                }
            }
            Fault::Rotten { node, rot, bits } => {
                let partitions = match rot {
                    Rot::Shards => SHARDS,
                    Rot::Blocks => BLOCKS,
                };
                network.seats[node].excuse(true);
                let rotten = network.seats[node].machine.disk().rot(&mut self.rng, partitions, bits);
                self.said.extend(rotten.into_iter().map(|place| format!("             {place}")));
            }
            Fault::DiskErrors { node, per_mille, .. } => {
                let rate = f64::from(per_mille) / 1e3;
                let faults = DiskFaults {
                    read_error: rate,
                    write_error: rate,
                    sync_error: rate,
                    ..DiskFaults::default()
                };
                network.seats[node].excuse(true);
                network.set_disk_faults(node, &faults);
            }
            Fault::Forgetful { node, per_mille, .. } => {
                let rate = f64::from(per_mille) / 1e3;
                let faults =
                    DiskFaults { sync_error: rate, sync_error_forgets: true, ..DiskFaults::default() };
                network.seats[node].excuse(true);
                network.set_disk_faults(node, &faults);
            }
            Fault::DiskFull { node, .. } => {
                network.seats[node].excuse(true);
                let faults = DiskFaults { full: true, ..DiskFaults::default() };
                network.set_disk_faults(node, &faults);
            }
            Fault::DiskSlow { node, latency_ms, .. } => {
                let faults = DiskFaults { latency_ms, ..DiskFaults::default() };
                network.set_disk_faults(node, &faults);
            }
            Fault::Cut { node, inward, outward, .. } => {
                (network.weather.deaf[node], network.weather.mute[node]) = (inward, outward);
                network.apply_weather().await;
            }
            Fault::Slow { node, latency_ms, .. } => {
                network.weather.slow_ms[node] = latency_ms;
                network.apply_weather().await;
            }
            Fault::Clock { node, offset_ms, drift_ppm, .. } => {
                let clock = network.seats[node].machine.clock();
                clock.set_offset_ms(offset_ms);
                clock.set_drift_ppm(drift_ppm);
            }
            Fault::Storm { per_mille, latency_ms, .. } => {
                network.weather.loss_per_mille = per_mille;
                network.weather.latency_ms = self.plan.latency_ms + latency_ms;
                network.apply_weather().await;
            }
            Fault::Ahead { node, latency_ms, .. } => {
                network.weather.ahead = Some((node, latency_ms));
                network.apply_weather().await;
            }
            Fault::Echo { per_mille, late_ms, .. } => network.echo.set(Rate { per_mille, late_ms }),
            Fault::Twin { node, copied } => network.start_twin(node, copied),
            Fault::Gateway { gateway, steps: None, .. } => return Some(GatewayEvent::Kill(gateway)),
            Fault::Gateway { gateway, steps: Some(steps), .. } => {
                return Some(GatewayEvent::Trap(gateway, steps));
            }
            Fault::Blackout { .. } => {
                (0..network.seats.len()).for_each(|node| network.kill(node, Loss::Power))
            }
            Fault::Disks { nodes, .. } => {
                for node in nodes {
                    network.kill(node, Loss::Process);
                    network.wipe(node);
                    network.start(node);
                }
            }
        }
        None
    }

    async fn end(&mut self, network: &mut Network, fault: Fault) -> Option<GatewayEvent> {
        match fault {
            Fault::Storage { node, .. } => {
                network.start(node);
                self.healing.insert(node);
            }
            Fault::Crash { node, .. } | Fault::Wipe { node, .. } | Fault::Rollback { node, .. } => {
                network.start(node);
            }
            Fault::Forgetful { node, .. } => {
                network.set_disk_faults(node, &DiskFaults::default());
                network.kill(node, Loss::Power);
                network.start(node);
            }
            Fault::DiskErrors { node, .. } | Fault::DiskFull { node, .. } | Fault::DiskSlow { node, .. } => {
                network.set_disk_faults(node, &DiskFaults::default());
            }
            Fault::Cut { node, .. } => {
                (network.weather.deaf[node], network.weather.mute[node]) = (false, false);
                network.apply_weather().await;
            }
            Fault::Slow { node, .. } => {
                network.weather.slow_ms[node] = 0;
                network.apply_weather().await;
            }
            Fault::Clock { node, .. } => {
                let clock = network.seats[node].machine.clock();
                clock.set_offset_ms(self.plan.clocks_ms[node]);
                clock.set_drift_ppm(0);
            }
            Fault::Storm { .. } => {
                network.weather.loss_per_mille = 0;
                network.weather.latency_ms = self.plan.latency_ms;
                network.apply_weather().await;
            }
            Fault::Ahead { .. } => {
                network.weather.ahead = None;
                network.apply_weather().await;
            }
            Fault::Echo { .. } => network.echo.set(Rate::default()),
            Fault::Gateway { gateway, steps, .. } => {
                return Some(GatewayEvent::Start { gateway, trapped: steps.is_some() });
            }
            Fault::Blackout { .. } => (0..network.seats.len()).for_each(|node| network.start(node)),
            Fault::Snapshot { .. } | Fault::Rotten { .. } | Fault::Twin { .. } | Fault::Disks { .. } => {}
        }
        None
    }
}

/// How long a fault lasts, if it ends.
fn duration_ms(fault: &Fault) -> Option<u64> {
    match fault {
        Fault::Crash { for_ms, .. }
        | Fault::Storage { for_ms, .. }
        | Fault::Wipe { for_ms, .. }
        | Fault::Rollback { for_ms, .. }
        | Fault::DiskErrors { for_ms, .. }
        | Fault::Forgetful { for_ms, .. }
        | Fault::DiskFull { for_ms, .. }
        | Fault::DiskSlow { for_ms, .. }
        | Fault::Cut { for_ms, .. }
        | Fault::Slow { for_ms, .. }
        | Fault::Clock { for_ms, .. }
        | Fault::Storm { for_ms, .. }
        | Fault::Ahead { for_ms, .. }
        | Fault::Echo { for_ms, .. }
        | Fault::Gateway { for_ms, .. }
        | Fault::Blackout { for_ms } => Some(*for_ms),
        Fault::Snapshot { .. } | Fault::Rotten { .. } | Fault::Twin { .. } | Fault::Disks { .. } => None,
    }
}
