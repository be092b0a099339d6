//! What will happen in a run, drawn from its seed before it begins: the fault atlas.
//!
//! # What is promised, and so what may be injected
//!
//! With n = 3f + 1 nodes, at most f are faulty at a time. The atlas has f *slots*. A slot holds one fault of one node at a
//! time, and no node is in two slots, so every plan stays within the promise and every violation is a bug.
//!
//! * A *passing* fault leaves the node as it was: a crash with its disk intact, a lost link, a slow disk, a wrong clock. So
//!   does a wipe of the storage alone, when the node has healed: nobody becomes faulty before that. When it is over, the
//!   slot is free for another node.
//! * A *lasting* fault leaves the node with less than it signed for: votes that are gone or of an older state, rotten
//!   bytes, a disk that forgets what it failed to sync, a second process with its key, an adversary. It keeps its slot to
//!   the end of the run.
//!
//! Some things may happen to everybody at once: delay, loss and duplication on all links, clocks within the bound on their drift, a
//! gateway that dies at any moment. They need no slot.
//!
//! When all faults are over and every node has healed, one that was never faulty for good may lose its storage once more
//! ([`Plan::drill`]). With f nodes that are faulty for good that is one more than f, but of disks whose contents had
//! reached all nodes, of which 2f may be lost.
//!
//! At the very end, more than f nodes may be lost for good, votes and keys too, and up to 2f: those that were faulty for good
//! first. The approvers then let the network go on with others ([`Disaster`]), and all that was acknowledged must be there.
//!
//! Two kinds of plans go beyond f, and are judged by what is promised then:
//!
//! * [`Kind::Blackout`]: all machines lose power at once. Writes wait; nothing acknowledged is lost. Up to f nodes may be
//!   adversaries: all others vote again.
//! * [`Kind::Beyond`]: up to 2f disks are wiped at once, when writes have reached all nodes. Writes wait from then on, for
//!   none of those nodes may vote again; all that was acknowledged can be read. Up to f of the others may be adversaries,
//!   of those who keep what they stored.

mod fault;
#[cfg(test)]
mod tests;

pub use fault::{Fault, Rot};

use crate::{adversary::Adversary, world::Loss};
use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng, seq::IteratorRandom as _};
use std::{collections::BTreeMap, fmt};

/// What a plan stays within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// At most f nodes are faulty at a time.
    Within,
    /// All machines lose power at once, and come back.
    Blackout,
    /// Up to 2f disks are gone at once.
    Beyond,
}

/// Everything that a seed decides before its run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// What it stays within.
    pub kind: Kind,
    /// Nodes.
    pub n: usize,
    /// Gateways of the tenant.
    pub gateways: usize,
    /// Clients at each gateway.
    pub clients: usize,
    /// Nodes that are adversaries from the beginning.
    pub adversaries: BTreeMap<usize, Adversary>,
    /// Whether malicious writers are at work.
    pub malicious_writers: bool,
    /// Latency of all links, milliseconds.
    pub latency_ms: u64,
    /// How far from true time the machines' clocks are, milliseconds: nodes first, then gateways.
    pub clocks_ms: Vec<i64>,
    /// What happens and when, milliseconds after the clients begin, ascending.
    pub faults: Vec<(u64, Fault)>,
    /// When faults end, milliseconds after the clients begin.
    pub calm_ms: u64,
    /// When all is calm and healed, this node loses its storage once more, and heals with nothing else to do; it loses
    /// power at the moment when it says that nothing is missing. What adversaries there are, still are.
    pub drill: Option<usize>,
    /// What happens after that.
    pub disaster: Option<Disaster>,
}

/// More than f nodes are lost for good when all is calm and healed: all machines lose power, and the approvers begin an epoch
/// from what the survivors' disks have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disaster {
    /// Who loses everything, and whose places others take.
    pub lost: Vec<usize>,
    /// Survivors that were down already for so long, milliseconds, and so are behind: at most f.
    pub behind: Vec<(usize, u64)>,
    /// Who loses power once more so long, milliseconds, after the epoch began.
    pub again: Vec<(usize, u64)>,
}

/// How much a run is to contain. Each can be narrowed to look at one thing.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// This many nodes.
    pub n: Option<usize>,
    /// This kind.
    pub kind: Option<Kind>,
    /// No faults, no adversaries.
    pub calm: bool,
    /// This adversary, if any.
    pub adversary: Option<Adversary>,
    /// Only faults with this name.
    pub fault: Option<String>,
    /// A disaster in the end, whatever else there is.
    pub disaster: bool,
}

/// How far clocks of honest machines are from true time, at most: their mutual distance stays within the drift that
/// voters tolerate.
const CLOCK_MS: i64 = 200;

/// Adversaries who store and give back what honest nodes would.
const KEEPERS: [Adversary; 3] = [Adversary::Equivocator, Adversary::Censor, Adversary::Perjurer];

/// How often a fault is drawn again until it is one that is wished for.
const REDRAWS: usize = 200;

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64, wishes: &Wishes) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x6f75_746c_6173_7400);
        let n = wishes.n.unwrap_or_else(|| match rng.random_range(0..10) {
            0..7 => 4,
            7..9 => 7,
            _ => 10,
        });
        let kind = wishes.kind.unwrap_or_else(|| match rng.random_range(0..10) {
            0..8 => Kind::Within,
            8 => Kind::Blackout,
            _ => Kind::Beyond,
        });
        let gateways = rng.random_range(1..=2);
        let clients = rng.random_range(2..=3);
        let calm_ms = rng.random_range(12_000..30_000);
        let mut plan = Self {
            seed,
            kind,
            n,
            gateways,
            clients,
            adversaries: BTreeMap::new(),
            malicious_writers: false,
            latency_ms: rng.random_range(1..20),
            clocks_ms: (0..n + gateways).map(|_| rng.random_range(-CLOCK_MS..=CLOCK_MS)).collect(),
            faults: Vec::new(),
            calm_ms,
            drill: None,
            disaster: None,
        };
        if wishes.calm {
            if wishes.disaster {
                plan.disaster = Some(plan.draw_disaster(&mut rng));
            }
            return plan;
        }
        plan.malicious_writers = rng.random_bool(0.3);
        match kind {
            Kind::Within => plan.draw_slots(&mut rng, wishes),
            Kind::Blackout => {
                plan.draw_adversaries(&mut rng, wishes, (0..n).collect(), &Adversary::ALL);
                plan.draw_blackouts(&mut rng);
            }
            Kind::Beyond => plan.draw_lost_disks(&mut rng, wishes),
        }
        plan.draw_weather(&mut rng);
        if let Some(name) = &wishes.fault {
            plan.faults.retain(|(_, fault)| fault.name() == name || fault.name() == "snapshot");
        }
        if kind == Kind::Within && rng.random_bool(0.4) {
            let whole = |node: &usize| !plan.lasting(*node);
            plan.drill = (0..n).filter(whole).choose(&mut rng);
        }
        plan.faults.sort_by_key(|(at_ms, _)| *at_ms);
        if kind != Kind::Beyond && (rng.random_bool(0.2) || wishes.disaster) {
            plan.disaster = Some(plan.draw_disaster(&mut rng));
        }
        plan
    }

    /// The plan of a network after its disaster: nobody in it is faulty.
    pub fn recovered(&self) -> Self {
        Self { adversaries: BTreeMap::new(), faults: Vec::new(), drill: None, disaster: None, ..self.clone() }
    }

    /// Nodes that must heal whatever they lack: all but adversaries, those whose blocks rot or were never synced, and those
    /// that peers may block for hours because they contradict what they said before.
    pub fn heals(&self, node: usize) -> bool {
        let hinders = |fault: &Fault| match fault {
            Fault::Rotten { node: faulty, rot: Rot::Blocks, .. }
            | Fault::Forgetful { node: faulty, .. }
            | Fault::Rollback { node: faulty, .. }
            | Fault::Twin { node: faulty, .. } => *faulty == node,
            _ => false,
        };
        !self.adversaries.contains_key(&node) && !self.faults.iter().any(|(_, fault)| hinders(fault))
    }

    /// Nodes whose shards rot: only scrubbing finds what they lack.
    pub fn rots(&self, node: usize) -> bool {
        let rots = |fault: &Fault| matches!(fault, Fault::Rotten { node: faulty, rot: Rot::Shards, .. } if *faulty == node);
        self.faults.iter().any(|(_, fault)| rots(fault))
    }

    /// Faulty nodes tolerated.
    pub fn f(&self) -> usize {
        (self.n - 1) / 3
    }

    /// Whether a node is faulty to the end of the run, so that nothing is expected of it.
    pub fn lasting(&self, node: usize) -> bool {
        let wiped = |fault: &Fault| match fault {
            Fault::Wipe { node: faulty, .. }
            | Fault::Rollback { node: faulty, .. }
            | Fault::Twin { node: faulty, .. }
            | Fault::Forgetful { node: faulty, .. }
            | Fault::Rotten { node: faulty, .. } => *faulty == node,
            Fault::Disks { nodes, .. } => nodes.contains(&node),
            _ => false,
        };
        self.adversaries.contains_key(&node) || self.faults.iter().any(|(_, fault)| wiped(fault))
    }

    fn draw_disaster(&self, rng: &mut StdRng) -> Disaster {
        let (mut whole, mut lost): (Vec<usize>, Vec<usize>) =
            (0..self.n).partition(|node| self.heals(*node) && !self.lasting(*node));
        shuffle(rng, &mut whole);
        while lost.len() > 2 * self.f() {
            whole.push(lost.pop().expect("it is longer than that"));
        }
        let count = rng.random_range(self.f() + 1..=2 * self.f()).max(lost.len());
        while lost.len() < count {
            lost.push(whole.pop().expect("n is more than 2f"));
        }
        lost.sort_unstable();
        let late = rng.random_range(0..=self.f());
        let behind = whole.into_iter().take(late).map(|node| (node, rng.random_range(100..6_000))).collect();
        let mut again = Vec::new();
        for node in 0..self.n {
            if rng.random_bool(0.3) {
                again.push((node, rng.random_range(1..4_000)));
            }
        }
        Disaster { lost, behind, again }
    }

    fn draw_slots(&mut self, rng: &mut StdRng, wishes: &Wishes) {
        // Nodes are dealt out to the slots first, so that no node is in two.
        let mut nodes: Vec<usize> = (0..self.n).collect();
        shuffle(rng, &mut nodes);
        let slots = self.f();
        for slot in 0..slots {
            let mine: Vec<usize> = nodes.iter().copied().skip(slot).step_by(slots).collect();
            let wanted = wishes.adversary.filter(|_| slot == 0);
            if wanted.is_some() || (wishes.fault.is_none() && rng.random_bool(0.35)) {
                let any = || *Adversary::ALL.iter().choose(&mut *rng).expect("there are some");
                let adversary = wanted.unwrap_or_else(any);
                self.adversaries.insert(mine[0], adversary);
            } else {
                self.draw_slot(rng, &mine, wishes);
            }
        }
    }

    /// One fault after another, until a lasting one or the end.
    fn draw_slot(&mut self, rng: &mut StdRng, nodes: &[usize], wishes: &Wishes) {
        let mut at_ms = rng.random_range(200..4_000);
        while at_ms < self.calm_ms {
            let node = *nodes.iter().choose(rng).expect("a slot has nodes");
            let for_ms = rng.random_range(200..6_000).min(self.calm_ms - at_ms);
            let wanted = |fault: &Fault| wishes.fault.as_ref().is_none_or(|name| name == fault.name());
            let mut fault = draw_fault(rng, node, for_ms);
            for _ in 0..REDRAWS {
                if wanted(&fault) {
                    break;
                }
                fault = draw_fault(rng, node, for_ms);
            }
            if let Fault::Rollback { node, .. } = fault {
                self.faults.push((at_ms, Fault::Snapshot { node }));
                at_ms += rng.random_range(500..5_000);
            }
            let lasts = fault.lasts();
            if at_ms < self.calm_ms {
                self.faults.push((at_ms, fault));
            }
            if lasts {
                return;
            }
            at_ms += for_ms + rng.random_range(1_000..6_000);
        }
    }

    fn draw_blackouts(&mut self, rng: &mut StdRng) {
        let mut at_ms = rng.random_range(500..8_000);
        while at_ms < self.calm_ms {
            let for_ms = rng.random_range(500..4_000);
            self.faults.push((at_ms, Fault::Blackout { for_ms }));
            at_ms += for_ms + rng.random_range(4_000..12_000);
        }
    }

    fn draw_lost_disks(&mut self, rng: &mut StdRng, wishes: &Wishes) {
        let mut nodes: Vec<usize> = (0..self.n).collect();
        shuffle(rng, &mut nodes);
        let survivors = nodes.split_off(rng.random_range(self.f() + 1..=2 * self.f()));
        nodes.sort_unstable();
        self.draw_adversaries(rng, wishes, survivors, &KEEPERS);
        // Then those nodes lose power while they heal, or all nodes do.
        let then = rng.random_range(0..3);
        let again_ms = (then == 0).then(|| rng.random_range(20..3_000));
        self.faults.push((self.calm_ms, Fault::Disks { nodes, again_ms }));
        if then == 1 {
            let at_ms = self.calm_ms + rng.random_range(20..6_000);
            self.faults.push((at_ms, Fault::Blackout { for_ms: rng.random_range(500..4_000) }));
        }
    }

    /// Up to f of these nodes are adversaries, of these.
    fn draw_adversaries(
        &mut self,
        rng: &mut StdRng,
        wishes: &Wishes,
        mut nodes: Vec<usize>,
        adversaries: &[Adversary],
    ) {
        shuffle(rng, &mut nodes);
        let wanted = wishes.adversary.filter(|wanted| adversaries.contains(wanted));
        if wanted.is_none() && (wishes.fault.is_some() || wishes.adversary.is_some() || rng.random_bool(0.5))
        {
            return;
        }
        nodes.truncate(rng.random_range(1..=self.f()));
        for (place, node) in nodes.into_iter().enumerate() {
            let any = || *adversaries.iter().choose(&mut *rng).expect("there are some");
            let adversary = wanted.filter(|_| place == 0).unwrap_or_else(any);
            self.adversaries.insert(node, adversary);
        }
    }

    fn draw_weather(&mut self, rng: &mut StdRng) {
        if self.kind != Kind::Beyond {
            if rng.random_bool(0.5) {
                let at_ms = rng.random_range(0..self.calm_ms);
                let for_ms = rng.random_range(1_000..8_000).min(self.calm_ms - at_ms);
                let (per_mille, latency_ms) = (rng.random_range(0..60), rng.random_range(0..150));
                self.faults.push((at_ms, Fault::Storm { per_mille, latency_ms, for_ms }));
            }
            if rng.random_bool(0.3) {
                let at_ms = rng.random_range(0..self.calm_ms);
                let for_ms = rng.random_range(1_000..12_000).min(self.calm_ms - at_ms);
                let (node, latency_ms) = (rng.random_range(0..self.n), rng.random_range(50..600));
                self.faults.push((at_ms, Fault::Ahead { node, latency_ms, for_ms }));
            }
            if rng.random_bool(0.4) {
                let at_ms = rng.random_range(0..self.calm_ms);
                let for_ms = rng.random_range(1_000..15_000).min(self.calm_ms - at_ms);
                let (per_mille, late_ms) = (rng.random_range(10..400), rng.random_range(0..4_000));
                self.faults.push((at_ms, Fault::Echo { per_mille, late_ms, for_ms }));
            }
            for gateway in 0..self.gateways {
                // One at a time.
                let mut at_ms = rng.random_range(500..6_000);
                while rng.random_bool(0.6) && at_ms < self.calm_ms {
                    let for_ms = rng.random_range(100..3_000).min(self.calm_ms - at_ms);
                    // A write takes tens to hundreds of steps.
                    let steps = rng.random_bool(0.7).then(|| {
                        let doublings = rng.random_range(1..11);
                        rng.random_range(0..1 << doublings)
                    });
                    self.faults.push((at_ms, Fault::Gateway { gateway, steps, for_ms }));
                    at_ms += for_ms + rng.random_range(500..8_000);
                }
            }
        }
    }
}

/// A fault of a node, of any kind.
fn draw_fault(rng: &mut StdRng, node: usize, for_ms: u64) -> Fault {
    let loss = if rng.random_bool(0.6) { Loss::Power } else { Loss::Process };
    let (inward, outward) = [(true, true), (true, false), (false, true)][rng.random_range(0..3)];
    match rng.random_range(0..25) {
        0..5 => Fault::Crash { node, loss, for_ms },
        5..7 => {
            let again_ms = rng.random_bool(0.5).then(|| rng.random_range(20..500));
            Fault::Storage { node, for_ms, again_ms }
        }
        7..9 => {
            let again_ms = rng.random_bool(0.5).then(|| rng.random_range(20..5_000));
            Fault::Wipe { node, for_ms, again_ms }
        }
        9..11 => Fault::Rollback { node, for_ms },
        11 => Fault::Rotten { node, rot: Rot::Shards, bits: rng.random_range(1..40) },
        12 => Fault::Rotten { node, rot: Rot::Blocks, bits: rng.random_range(1..10) },
        13 if rng.random_bool(0.5) => Fault::Forgetful { node, per_mille: rng.random_range(1..100), for_ms },
        13 => Fault::DiskErrors { node, per_mille: rng.random_range(1..100), for_ms },
        14 => Fault::DiskFull { node, for_ms },
        15 => Fault::DiskSlow { node, latency_ms: rng.random_range(5..500), for_ms },
        16..19 => Fault::Cut { node, inward, outward, for_ms },
        19..21 => Fault::Twin { node, copied: rng.random_bool(0.6) },
        21 => Fault::Rotten { node, rot: Rot::Shards, bits: rng.random_range(100..2_000) },
        22 => Fault::Slow { node, latency_ms: rng.random_range(50..3_000), for_ms },
        _ => {
            let far = if rng.random_bool(0.5) { 2_000 } else { 120_000 };
            let offset_ms = rng.random_range(-far..far);
            Fault::Clock { node, offset_ms, drift_ppm: rng.random_range(-50_000..50_000), for_ms }
        }
    }
}

fn shuffle(rng: &mut impl Rng, nodes: &mut [usize]) {
    for last in (1..nodes.len()).rev() {
        nodes.swap(last, rng.random_range(0..=last));
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {:?}, {} nodes, {} gateways of {} clients, links of {} ms, calm after {:.1} s",
            self.seed,
            self.kind,
            self.n,
            self.gateways,
            self.clients,
            self.latency_ms,
            self.calm_ms as f64 / 1e3
        )?;
        for (node, adversary) in &self.adversaries {
            writeln!(f, "  node {node} is a {}", adversary.name())?;
        }
        if self.malicious_writers {
            writeln!(f, "  malicious writers are at work")?;
        }
        if let Some(node) = self.drill {
            writeln!(f, "  node {node} loses its storage when it is calm")?;
        }
        if let Some(Disaster { lost, behind, again }) = &self.disaster {
            writeln!(
                f,
                "  nodes {lost:?} are lost for good when it is calm, {behind:?} were down; later {again:?}"
            )?;
        }
        self.faults.iter().try_for_each(|(at_ms, fault)| {
            writeln!(f, "  {:7.3} s  {:17} {fault:?}", *at_ms as f64 / 1e3, fault.name())
        })
    }
}
