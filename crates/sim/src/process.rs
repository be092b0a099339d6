//! A node's process: started on its machine, watched, started again when it dies.
//!
//! What lies beside the key (the permit to vote for the first time) outlives the storage; all else is on the machine's
//! disk. A panic is how the engine says that it cannot go on: a supervisor starts the process again, as the real one
//! does. A panic that no injected fault of the machine explains is a finding.

use crate::fork::{Copies, Ear};
use chain::{
    application::Network as Facts,
    applied::Applied,
    block::engine_key,
    engine::{Blocks, Timeouts},
    index::{Index, Memory},
    mempool::Mempool,
    network::{Channels, QUOTAS},
    voting::{Claim, Register, Standing},
};
use commonware_cryptography::ed25519;
use commonware_p2p::{
    Receiver as _,
    simulated::{Oracle, Receiver, Sender},
};
use commonware_runtime::{
    Blob as _, Clock as _, Error as RuntimeError, Network as _, Quota, Spawner as _, Storage as _,
    Supervisor as _, deterministic,
};
use commonware_utils::sync::Mutex;
use futures::future::select_all;
use node::{
    Parts, Upkeep,
    voting::{self, Found},
};
use proof::{Header, SecretKey};
use shards::{ScrubPace, ShardStore, StoreConfig};
use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use trial::{
    adversary::{self, Acts, Adversary, Door, Place, Rogue},
    check::BlockSeen,
    world::{
        Context, Loss, Machine,
        echo::{self, Echo, Repeating},
    },
};

/// How a process hears on a channel.
type Heard = Ear<Receiver<ed25519::PublicKey>>;

/// How a process speaks on a channel.
type Voice = Sender<ed25519::PublicKey, deterministic::Context>;

/// The engine's simulated network.
pub(crate) type Peers = Oracle<ed25519::PublicKey, deterministic::Context>;

/// Where nodes serve gateways.
pub(crate) const PORT: u16 = 4000;
/// Partition of the second disk, with the marker beside the journal: a file, which has the journal's number for a name.
const MARKER: &str = "voter";
/// How long a supervisor waits before it starts a process that died.
const RESTART_AFTER: Duration = Duration::from_millis(500);
/// Bytes of shards that a node heals in a second at most, as in a node's configuration if nothing else is written there.
const HEAL_BYTES_PER_SECOND: u64 = 32 << 20;
/// How nodes scrub: so fast that what rots is found while a run lasts.
const SCRUB: ScrubPace = ScrubPace { period: Duration::from_secs(15), bytes_per_second: 8 << 20 };
/// How often a running node's newest block is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Bytes of a segment of a shard log.
const SEGMENT_BYTES: u64 = 4 << 20;

/// What can be observed of a running node.
#[derive(Clone)]
pub struct Alive {
    /// What it has applied and proved.
    pub applied: Applied,
    /// Its blocks.
    pub blocks: Blocks,
    /// Transactions that wait.
    pub mempool: Mempool,
    /// Its shards.
    pub shards: ShardStore<Context>,
    /// Whether it votes.
    pub standing: Standing,
}

/// A node: its machine, and what outlives its processes. Clones share everything.
#[derive(Clone)]
pub struct Seat {
    /// Its machine.
    pub machine: Machine,
    /// Another machine, on which a second process may run with its key.
    pub twin: Machine,
    key: SecretKey,
    adversary: Option<Adversary>,
    seed: u64,
    shared: Arc<Shared>,
}

struct Shared {
    /// The permit that lies beside the key.
    permit: AtomicBool,
    /// How often it found out that its journal of votes was not complete.
    disowned: AtomicU32,
    /// How often its process was started.
    starts: AtomicU32,
    /// Which of its lives this is: a new one begins when it is started and when it is killed. A supervisor cares for one.
    life: AtomicU64,
    /// Whether its disk is made to fail, so that a panic is the right answer.
    excused: AtomicBool,
    /// Who hears what it hears.
    copies: Copies,
    /// How it speaks to others, channel by channel, for whoever speaks in its name.
    voices: Mutex<Vec<(Voice, NonZeroUsize)>>,
    alive: Mutex<Option<Alive>>,
    seen: Mutex<Vec<BlockSeen>>,
    panics: Mutex<Vec<String>>,
}

impl Seat {
    /// A node that has never run.
    pub(crate) fn new(
        [machine, twin]: [Machine; 2],
        key: SecretKey,
        adversary: Option<Adversary>,
        seed: u64,
    ) -> Self {
        let shared = Shared {
            permit: AtomicBool::new(true),
            disowned: AtomicU32::new(0),
            starts: AtomicU32::new(0),
            life: AtomicU64::new(0),
            excused: AtomicBool::new(false),
            copies: Copies::default(),
            voices: Mutex::default(),
            alive: Mutex::default(),
            seen: Mutex::default(),
            panics: Mutex::default(),
        };
        Self { machine, twin, key, adversary, seed, shared: Arc::new(shared) }
    }

    /// What can be observed of it, if it runs.
    pub fn alive(&self) -> Option<Alive> {
        self.shared.alive.lock().clone()
    }

    /// Stops its process, for good until it is started.
    pub fn kill(&self, loss: Loss) {
        self.shared.life.fetch_add(1, Ordering::Relaxed);
        self.machine.kill(loss);
        *self.shared.alive.lock() = None;
    }

    /// Whether its panics are to be expected.
    pub fn excuse(&self, excused: bool) {
        self.shared.excused.store(excused, Ordering::Relaxed);
    }

    /// How often it found out that its journal of votes was not complete.
    pub(crate) fn disowned(&self) -> u32 {
        self.shared.disowned.load(Ordering::Relaxed)
    }

    pub(crate) fn starts(&self) -> u32 {
        self.shared.starts.load(Ordering::Relaxed)
    }

    pub(crate) fn take_seen(&self) -> Vec<BlockSeen> {
        std::mem::take(&mut self.shared.seen.lock())
    }

    /// It is lost, and another node takes its place: with this key, an empty disk, and nothing bad in mind.
    pub(crate) fn replace(&mut self, key: SecretKey) {
        self.machine.disk().wipe();
        self.machine.second_disk().wipe();
        (self.key, self.adversary) = (key, None);
        self.excuse(false);
    }

    /// Gets the permit to vote in a new epoch. What was said of blocks above the one that it begins after is left behind;
    /// gives how much that was.
    pub(crate) fn begin_epoch(&self, last: u64) -> usize {
        self.shared.permit.store(true, Ordering::Relaxed);
        let mut seen = self.shared.seen.lock();
        let before = seen.len();
        seen.retain(|block| block.height <= last);
        before - seen.len()
    }

    pub(crate) fn key(&self) -> &SecretKey {
        &self.key
    }

    pub(crate) fn take_panics(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.panics.lock())
    }

    /// What vouches for the journal of votes on a machine, as the node's own rule says from what it finds.
    async fn claim(machine: &Machine, votes: &Context, permit: bool, epoch: u64) -> Claim {
        let partitions = machine.second_disk().partitions();
        let has = |name: &str| partitions.iter().any(|partition| partition == name);
        // Not there, or not readable: it vouches for nothing.
        let names = votes.scan(&marker(epoch)).await.unwrap_or_default();
        let marker =
            names.first().and_then(|name| Some(u64::from_be_bytes(name.as_slice().try_into().ok()?)));
        let journal = marker.is_some_and(|number| has(&voting::journal(epoch, number)));
        voting::decide(Found { permit, marker, journal })
    }
}

/// Keeps what vouches for a process's journal of votes.
#[derive(Clone)]
struct Papers {
    votes: Arc<Context>,
    seat: Seat,
    /// Of a second process: the permit beside the node's own key is another.
    is_twin: bool,
    epoch: u64,
}

/// The partition of an epoch's marker.
fn marker(epoch: u64) -> String {
    if epoch == 0 { MARKER.to_owned() } else { format!("{MARKER}-{epoch}") }
}

impl Papers {
    async fn remove_marker(&self) {
        match self.votes.remove(&marker(self.epoch), None).await {
            Ok(()) | Err(RuntimeError::PartitionMissing(_)) => {}
            Err(error) => panic!("the marker cannot be removed: {error}"),
        }
    }

    fn spend_permit(&self) {
        if !self.is_twin {
            self.seat.shared.permit.store(false, Ordering::Relaxed);
        }
    }
}

impl Register for Papers {
    async fn vouch(&self, journal: u64) {
        let names = self.votes.scan(&marker(self.epoch)).await.unwrap_or_default();
        if names != [journal.to_be_bytes().to_vec()] {
            self.remove_marker().await;
            let name = journal.to_be_bytes();
            let opened = self.votes.open(&marker(self.epoch), &name).await;
            let (marker, _) = opened.expect("a disk takes a marker");
            marker.sync().await.expect("a marker is synced");
        }
        self.spend_permit();
    }

    /// An adversary's votes are not only his node's.
    async fn disown(&self) -> bool {
        if self.seat.adversary.is_some() {
            return false;
        }
        self.seat.shared.disowned.fetch_add(1, Ordering::Relaxed);
        self.remove_marker().await;
        self.spend_permit();
        true
    }
}

/// Starts a node's processes.
#[derive(Clone)]
pub(crate) struct Launcher {
    pub(crate) seat: Seat,
    pub(crate) facts: Arc<Facts>,
    pub(crate) links: Peers,
    pub(crate) acts: Acts,
    pub(crate) echo: Echo,
    /// Where all nodes serve gateways and one another, in the order of the committee.
    pub(crate) nodes: Vec<SocketAddr>,
}

impl Launcher {
    /// Starts the process, and again whenever it dies by itself, until it is killed.
    pub(crate) fn start(self, context: deterministic::Context) {
        let life = self.seat.shared.life.fetch_add(1, Ordering::Relaxed) + 1;
        self.launch();
        context.spawn(move |context| self.supervise(context, life));
    }

    fn launch(&self) {
        let launcher = self.clone();
        self.seat.machine.start(move |context| launcher.run(context));
    }

    async fn supervise(self, context: deterministic::Context, life: u64) {
        let shared = &self.seat.shared;
        let is_over = || shared.life.load(Ordering::Relaxed) != life;
        loop {
            self.seat.machine.ended().await;
            if is_over() {
                return;
            }
            *shared.alive.lock() = None;
            let excused = self.seat.adversary.is_some() || shared.excused.load(Ordering::Relaxed);
            if !excused {
                let panic = self.seat.machine.panicked();
                shared.panics.lock().push(panic.unwrap_or_else(|| "its process ended".into()));
            }
            context.sleep(RESTART_AFTER).await;
            if is_over() {
                return;
            }
            self.launch();
        }
    }

    /// Starts a second process with the node's key, on another machine: of a copy of its disks, or of nothing but the key
    /// and a copy of the permit that once lay beside it. Nobody starts it again when it dies.
    pub(crate) fn start_twin(self, copied: bool) {
        let seat = self.seat.clone();
        if copied {
            seat.twin.disk().restore(&seat.machine.disk().snapshot());
            seat.twin.second_disk().restore(&seat.machine.second_disk().snapshot());
        }
        seat.excuse(true);
        seat.twin.start(move |context| async move {
            let votes = context.child("papers").on_second_disk();
            let epoch = self.facts.lineage.committee().epoch();
            let claim = Seat::claim(&self.seat.twin, &votes, !copied, epoch).await;
            let register = Papers { votes: Arc::new(votes), seat: self.seat.clone(), is_twin: true, epoch };
            let voices = self.seat.shared.voices.lock().clone();
            let Some((_, capacity)) = voices.first() else { return };
            let ears = self.seat.shared.copies.listen(voices.len(), *capacity);
            let pairs = voices.into_iter().map(|(voice, _)| voice).zip(ears).collect();
            let machine = self.seat.twin.clone();
            let node = self.assemble(&context, &machine, (claim, register), pairs, None).await;
            let _ = select_all([node.consensus, node.keeper, node.upkeep, node.server]).await;
        });
    }

    /// The process.
    async fn run(self, context: Context) {
        let seat = self.seat.clone();
        let votes = context.child("papers").on_second_disk();
        let permit = seat.shared.permit.load(Ordering::Relaxed);
        let epoch = self.facts.lineage.committee().epoch();
        let claim = Seat::claim(&seat.machine, &votes, permit, epoch).await;
        let register = Papers { votes: Arc::new(votes), seat: seat.clone(), is_twin: false, epoch };
        let starts = seat.shared.starts.fetch_add(1, Ordering::Relaxed);
        let rogue = seat.adversary.map(|adversary| {
            let place =
                Place { genesis: self.facts.lineage.genesis(), key: &seat.key, votes: claim != Claim::Lost };
            let seed = seat.seed.wrapping_add(u64::from(starts));
            Rogue::new(context.child("rogue"), adversary, &place, seed, &self.acts)
        });
        let control = self.links.control(engine_key(&seat.key.public_key()));
        let (mut pairs, mut voices) = (Vec::new(), Vec::new());
        for (index, (channel, per_second)) in QUOTAS.into_iter().enumerate() {
            let pair = control.register(channel, Quota::per_second(per_second)).await;
            let (voice, receiver) = pair.expect("the simulated network runs as long as anybody");
            voices.push((voice.clone(), receiver.capacity()));
            pairs.push((voice, Ear::Own { receiver, channel: index, copies: seat.shared.copies.clone() }));
        }
        *seat.shared.voices.lock() = voices;
        let node = self.assemble(&context, &seat.machine, (claim, register), pairs, rogue).await;
        let alive = Alive {
            applied: node.applied,
            blocks: node.blocks,
            mempool: node.mempool,
            shards: node.shards,
            standing: node.standing,
        };
        *seat.shared.alive.lock() = Some(alive.clone());
        context.child("look").spawn({
            let seat = seat.clone();
            move |context| look(context, seat, alive.applied, starts)
        });
        // None of them ends unless something is badly wrong; then so does this process, and how makes no difference.
        let _ = select_all([node.consensus, node.keeper, node.upkeep, node.server]).await;
    }

    /// The production node, with these channels to the others.
    async fn assemble(
        &self,
        context: &Context,
        machine: &Machine,
        (claim, register): (Claim, Papers),
        pairs: Vec<(Voice, Heard)>,
        rogue: Option<Rogue<Context>>,
    ) -> node::Node<Context> {
        let seat = &self.seat;
        let mut pairs = pairs.into_iter();
        let channels = Channels::register(|_, _| pairs.next().expect("one for each"));
        let channels = echo::channels(context, channels, &self.echo, seat.seed);
        let channels = adversary::channels(channels, rogue.as_ref());
        let listener = context.bind(machine.address(PORT)).await.expect("the port is free");
        let parts = Parts {
            network: self.facts.clone(),
            key: seat.key.clone(),
            claim,
            register,
            voting: context.child("voting").on_second_disk(),
            partition: "node".into(),
            shards: StoreConfig { segment_bytes: SEGMENT_BYTES, ..StoreConfig::new("shards") },
            index: Index::open(Memory::default()).expect("memory opens"),
            timeouts: Timeouts::default(),
            upkeep: Upkeep {
                nodes: self.nodes.clone(),
                heal_bytes_per_second: HEAL_BYTES_PER_SECOND,
                scrub: SCRUB,
            },
        };
        let again = context.child("again");
        let (echo, seed) = (self.echo.clone(), !seat.seed);
        let node = node::assemble(
            context.child("node"),
            parts,
            channels,
            self.links.manager(),
            self.links.control(engine_key(&seat.key.public_key())),
            listener,
            |front| Repeating::new(Door::new(front, rogue), again, echo, seed),
        );
        node.await.expect("the shard log opens")
    }
}

/// Writes down what the node says it has applied.
async fn look(context: Context, seat: Seat, applied: Applied, starts: u32) {
    let mut height = 0;
    loop {
        if let Some(newest) = applied.newest().filter(|newest| newest.header.height > height) {
            height = newest.header.height;
            seat.shared.seen.lock().push(block_seen(&newest.header, starts));
        }
        context.sleep(LOOK_EVERY).await;
    }
}

/// What the agreement checker wants to know of a block.
pub(crate) fn block_seen(header: &Header, restarts: u32) -> BlockSeen {
    BlockSeen {
        restarts,
        height: header.height,
        block: header.digest(),
        state_root: header.state_root,
        time_ms: header.time_ms,
    }
}
