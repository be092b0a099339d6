//! A network in the simulated world: each node and each gateway a process on a machine of its own.
//!
//! Nodes run the production assembly. Their consensus messages travel over the engine's simulated p2p network, everything
//! between gateways and nodes over the world's wires. One [`Weather`] rules both.

use crate::process::{Alive, Launcher, PORT, Peers, Seat, block_seen};
use chain::{application::Network as Facts, block::engine_key, network::message_bytes_max};
use commonware_consensus::types::Height;
use commonware_cryptography::ed25519;
use commonware_p2p::simulated::{Config as LinksConfig, Link, Network as Links};
use commonware_runtime::{Supervisor as _, deterministic};
use commonware_utils::{NZUsize, Probability};
use proof::{Genesis, Lineage, PublicKey, SecretKey};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use trial::{
    adversary::Acts,
    check::BlockSeen,
    founding::{Founders, Tenant, founders},
    plan::Plan,
    world::{Context, DiskFaults, Loss, Machine, Wire, World, echo::Echo},
};
use vault::{Config, Limits, Vault};
use zeroize::Zeroizing;

/// A gateway's core, in the simulated world.
pub type Gateway = Vault<Context>;

/// How links are now.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Latency of all links, milliseconds.
    pub latency_ms: u64,
    /// A node, and how much longer consensus messages take that are not for it, milliseconds.
    pub ahead: Option<(usize, u64)>,
    /// Of a thousand consensus messages, how many are lost.
    pub loss_per_mille: u32,
    /// Per node: nothing reaches it.
    pub deaf: Vec<bool>,
    /// Per node: nothing leaves it.
    pub mute: Vec<bool>,
    /// Per node: what it sends takes so much longer, milliseconds.
    pub slow_ms: Vec<u64>,
}

/// A running network.
pub struct Network {
    /// The runtime beneath.
    pub context: deterministic::Context,
    /// The world.
    pub world: World,
    /// What the network began with.
    pub genesis: Genesis,
    /// The tenant that is judged, and another.
    pub tenants: [Tenant; 2],
    /// The nodes, in the order of the committee.
    pub seats: Vec<Seat>,
    /// The gateways' machines.
    pub gateways: Vec<Machine>,
    /// What adversaries did.
    pub acts: Acts,
    /// What arrives twice.
    pub echo: Echo,
    /// How links are now.
    pub weather: Weather,
    facts: Arc<Facts>,
    links: Peers,
}

impl Network {
    /// Founds the network of a plan and starts its nodes. Two more gateways than the plan has are there to
    /// look: one when all is calm, one all the time.
    pub async fn found(context: deterministic::Context, plan: &Plan) -> Self {
        let Founders { genesis, nodes, tenants } = founders(plan.n);
        let world = World::new(context.child("world"));
        let spare = plan.disaster.as_ref().map_or(0, |_| plan.n);
        let keys =
            genesis.committee.nodes().iter().copied().chain((0..spare).map(|at| spare_key(at).public_key()));
        let links = links(&context, keys.collect()).await;
        let seat = |(index, key): (usize, SecretKey)| {
            let machines = ["node", "twin"].map(|name| world.machine(&format!("{name}-{index}")));
            Seat::new(machines, key, plan.adversaries.get(&index).copied(), plan.seed ^ (index as u64) << 32)
        };
        let seats: Vec<Seat> = nodes.into_iter().enumerate().map(seat).collect();
        let gateways: Vec<Machine> =
            (0..plan.gateways + 2).map(|index| world.machine(&format!("gateway-{index}"))).collect();
        let machines = seats.iter().map(|seat| &seat.machine).chain(&gateways);
        for (machine, offset_ms) in machines.zip(&plan.clocks_ms) {
            machine.clock().set_offset_ms(*offset_ms);
        }
        let weather = Weather {
            latency_ms: plan.latency_ms,
            ahead: None,
            loss_per_mille: 0,
            deaf: vec![false; plan.n],
            mute: vec![false; plan.n],
            slow_ms: vec![0; plan.n],
        };
        let acts = Acts::default();
        let facts = Arc::new(Facts::new::<Context>(genesis.clone()));
        let network = Self {
            context,
            world,
            genesis,
            tenants,
            seats,
            gateways,
            echo: Echo::new(acts.clone()),
            acts,
            weather,
            facts,
            links,
        };
        network.apply_weather().await;
        for index in 0..plan.n {
            network.start(index);
        }
        network
    }

    /// Where node `index` serves gateways.
    pub fn address(&self, index: usize) -> SocketAddr {
        self.seats[index].machine.address(PORT)
    }

    /// What a gateway of the tenant is told.
    pub fn gateway_config(&self, tenant: &Tenant) -> Config {
        let keys = self.facts.lineage.committee().nodes().iter();
        Config {
            lineage: self.facts.lineage.clone(),
            tenant: tenant.id,
            key: tenant.key.clone(),
            master_key: Zeroizing::new(tenant.master_key),
            nodes: keys.enumerate().map(|(index, key)| (*key, self.address(index))).collect(),
            limits: Limits::default(),
        }
    }

    /// Makes the links what the weather says.
    pub async fn apply_weather(&self) {
        let keys = self.keys();
        let weather = &self.weather;
        for (from, sender) in keys.iter().enumerate() {
            for (to, receiver) in keys.iter().enumerate().filter(|(to, _)| *to != from) {
                // A link that is not there cannot be removed; all that counts is that it is gone.
                let _ = self.links.remove_link(sender.clone(), receiver.clone()).await;
                if weather.mute[from] || weather.deaf[to] {
                    continue;
                }
                let behind_ms = weather.ahead.filter(|(ahead, _)| *ahead != to).map_or(0, |(_, ms)| ms);
                let latency = Duration::from_millis(weather.latency_ms + weather.slow_ms[from] + behind_ms);
                let delivered = 1_000 - u64::from(weather.loss_per_mille);
                let link = Link {
                    latency,
                    jitter: latency / 4,
                    success_rate: Probability::new(delivered, 1_000).expect("at most one"),
                };
                let added = self.links.add_link(sender.clone(), receiver.clone(), link).await;
                added.expect("the link was removed before");
            }
        }
        let machines: Vec<&Machine> =
            self.seats.iter().map(|seat| &seat.machine).chain(&self.gateways).collect();
        let of = |settings: &[bool], index: usize| settings.get(index).copied().unwrap_or(false);
        for (from, sender) in machines.iter().enumerate() {
            for (to, receiver) in machines.iter().enumerate().filter(|(to, _)| *to != from) {
                let wire = Wire {
                    latency_ms: weather.latency_ms + weather.slow_ms.get(from).copied().unwrap_or(0),
                    jitter_ms: weather.latency_ms / 4,
                    open: !of(&weather.mute, from) && !of(&weather.deaf, to),
                    ..Wire::default()
                };
                self.world.wires().set(sender.host(), receiver.host(), wire);
            }
        }
    }

    /// Starts a node's process, and again whenever it dies by itself.
    pub fn start(&self, index: usize) {
        self.launcher(index).start(self.context.child("supervisor").with_attribute("node", index));
    }

    /// Starts a second process with a node's key: of a copy of its disks, or of nothing.
    pub fn start_twin(&self, index: usize, copied: bool) {
        self.launcher(index).start_twin(copied);
    }

    /// Stops a node's process, as a kill or a power failure does.
    pub fn kill(&self, index: usize, loss: Loss) {
        self.seats[index].kill(loss);
    }

    /// The nodes' keys, by place.
    fn keys(&self) -> Vec<ed25519::PublicKey> {
        self.seats.iter().map(|seat| engine_key(&seat.key().public_key())).collect()
    }

    /// Who decides now, and who did before.
    pub fn lineage(&self) -> &Lineage {
        &self.facts.lineage
    }

    /// From now on processes are started in this epoch.
    pub async fn begin_epoch(&mut self, lineage: Lineage) {
        self.facts = Arc::new(Facts::new::<Context>(lineage));
        self.apply_weather().await;
    }

    /// All that a node had stored is gone, its votes too.
    pub fn wipe(&self, index: usize) {
        self.seats[index].machine.disk().wipe();
        self.seats[index].machine.second_disk().wipe();
    }

    /// What goes wrong with a node's disks from now on.
    pub fn set_disk_faults(&self, index: usize, faults: &DiskFaults) {
        self.seats[index].machine.disk().set_faults(faults.clone());
        self.seats[index].machine.second_disk().set_faults(faults.clone());
    }

    /// What can be observed of a node, if it runs.
    pub fn alive(&self, index: usize) -> Option<Alive> {
        self.seats[index].alive()
    }

    /// The newest block that a node can prove, zero if it does not run.
    pub fn height(&self, index: usize) -> u64 {
        self.alive(index).map_or(0, |alive| alive.applied.newest_height())
    }

    /// Blocks that a node said it had applied: while it ran, and in its archive now.
    pub async fn blocks_seen(&self, index: usize) -> Vec<BlockSeen> {
        let mut seen = self.seats[index].take_seen();
        // Looking at the archive is like another start: it begins at the first block again.
        let again = self.seats[index].starts();
        if let Some(alive) = self.alive(index) {
            for height in 1..=alive.applied.newest_height() {
                if let Some(block) = alive.blocks.get_block(Height::new(height)).await {
                    seen.push(block_seen(&block.inner_shared().header, again));
                }
            }
        }
        seen
    }

    /// Who blocks whom for what it said in consensus, by index.
    pub async fn blocked(&self) -> Vec<(usize, usize)> {
        let keys = self.keys();
        let place = |wanted| keys.iter().position(|key| *key == wanted);
        let blocked = self.links.blocked().await.expect("the simulated network runs as long as anybody");
        // Nodes that were replaced may have blocked, and been.
        blocked.into_iter().filter_map(|(by, whom)| Some((place(by)?, place(whom)?))).collect()
    }

    /// Panics that no fault of a node's own explains.
    pub fn panics(&self) -> Vec<String> {
        let of = |(index, seat): (usize, &Seat)| {
            seat.take_panics().into_iter().map(move |panic| format!("node {index}: {panic}"))
        };
        self.seats.iter().enumerate().flat_map(of).collect()
    }

    fn launcher(&self, index: usize) -> Launcher {
        Launcher {
            seat: self.seats[index].clone(),
            facts: self.facts.clone(),
            links: self.links.clone(),
            acts: self.acts.clone(),
            echo: self.echo.clone(),
            nodes: (0..self.seats.len()).map(|index| self.address(index)).collect(),
        }
    }
}

/// The key of the node that takes a lost one's place. Sorted, these keys would not be where they are.
pub(crate) fn spare_key(place: usize) -> SecretKey {
    SecretKey::from_seed([u8::try_from(150 + place).expect("committees are small"); 32])
}

async fn links(context: &deterministic::Context, keys: Vec<PublicKey>) -> Peers {
    let keys: Vec<_> = keys.iter().map(engine_key).collect();
    let config = LinksConfig {
        max_size: message_bytes_max::<Context>(keys.len() as u32),
        max_peers_per_set: NZUsize!(proof::limits::NODES_MAX),
        // The real network drops whom it blocks, for hours.
        disconnect_on_block: true,
        tracked_peer_sets: NZUsize!(1),
    };
    let (network, oracle) = Links::new_with_peers(context.child("links"), config, keys).await;
    network.start();
    oracle
}
