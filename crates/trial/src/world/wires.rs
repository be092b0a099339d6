//! The network between machines: one wire for each direction between two of them.
//!
//! Bytes cross a wire in order, at its rate, and arrive after its latency. A closed wire delivers nothing; what was sent
//! stays with the sender and goes on when the wire is opened, as a transport that retransmits would do. Answers to a
//! dial, and the acknowledgements that make room for more bytes, go over the wire of the other direction.
//!
//! A process that ends has its connections reset, which its peers notice when the news reaches them. A machine that
//! loses power says nothing; its peers learn of it when they send something after it is back, or from their timeouts,
//! which are the production runtime's.

use super::{
    machine::{Life, Loss},
    stream::{Backlog, Connection, Listener, Sink, Stream},
};
use commonware_macros::select;
use commonware_runtime::{Clock as _, Error, deterministic};
use commonware_utils::{channel::oneshot, sync::Mutex};
use memchr::memmem::Finder;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    ops::Range,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

/// Dials fail after this time, as with the production runtime.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Ports of the dialing side.
const EPHEMERAL: Range<u16> = 32_768..61_000;
/// Connections that wait for a listener to accept them.
const BACKLOG: usize = 4_096;

/// What a wire is like, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// How long bytes travel, milliseconds.
    pub latency_ms: u64,
    /// How much longer they may travel, milliseconds. They stay in order.
    pub jitter_ms: u64,
    /// Bytes that fit through in a second, of all connections together; no limit if absent.
    pub bytes_per_second: Option<u64>,
    /// Whether anything arrives.
    pub open: bool,
}

impl Default for Wire {
    /// Open, without latency or limit.
    fn default() -> Self {
        Self { latency_ms: 0, jitter_ms: 0, bytes_per_second: None, open: true }
    }
}

/// The network between machines. Clones share it.
#[derive(Clone)]
pub struct Wires(Arc<Core>);

struct Core {
    context: deterministic::Context,
    state: Mutex<State>,
}

struct State {
    default: Wire,
    /// By the sending and the receiving machine.
    wires: BTreeMap<(IpAddr, IpAddr), Wire>,
    /// When a wire has sent all that was put on it so far.
    busy: BTreeMap<(IpAddr, IpAddr), SystemTime>,
    listeners: BTreeMap<SocketAddr, (Life, Weak<Backlog>)>,
    connections: Vec<Weak<Connection>>,
    /// Machines without power.
    dark: BTreeSet<IpAddr>,
    names: BTreeMap<String, IpAddr>,
    ports: BTreeMap<IpAddr, u16>,
    /// Dials that wait for wires to change.
    waiting: Vec<oneshot::Sender<()>>,
    tap: Tap,
    bytes_total: u64,
    rng: StdRng,
}

/// Byte strings that should not pass.
#[derive(Default)]
struct Tap {
    finders: Vec<Finder<'static>>,
    /// Length of the longest, less one.
    edge: usize,
    seen: BTreeSet<String>,
}

impl Wires {
    pub(super) fn new(context: deterministic::Context, seed: u64) -> Self {
        let state = State {
            default: Wire::default(),
            wires: BTreeMap::new(),
            busy: BTreeMap::new(),
            listeners: BTreeMap::new(),
            connections: Vec::new(),
            dark: BTreeSet::new(),
            names: BTreeMap::new(),
            ports: BTreeMap::new(),
            waiting: Vec::new(),
            tap: Tap::default(),
            bytes_total: 0,
            rng: StdRng::seed_from_u64(seed),
        };
        Self(Arc::new(Core { context, state: Mutex::new(state) }))
    }

    /// Sets what wires are like that were not set one by one.
    pub fn set_default(&self, wire: Wire) {
        self.0.state.lock().default = wire;
        self.changed();
    }

    /// Sets the wire from one machine to another. The way back is another wire.
    pub fn set(&self, from: IpAddr, to: IpAddr, wire: Wire) {
        self.0.state.lock().wires.insert((from, to), wire);
        self.changed();
    }

    /// The wire from one machine to another. Within a machine it is perfect.
    pub fn get(&self, from: IpAddr, to: IpAddr) -> Wire {
        self.0.state.lock().wire(from, to)
    }

    /// Resets all connections between two machines; both sides notice at once.
    pub fn break_all(&self, a: IpAddr, b: IpAddr) {
        for connection in self.connections() {
            let hosts = connection.hosts();
            if hosts == [a, b] || hosts == [b, a] {
                connection.reset();
            }
        }
    }

    /// Looks from now on for these byte strings in all that is sent, in addition to those before.
    pub fn tap(&self, needles: Vec<Vec<u8>>) {
        let tap = &mut self.0.state.lock().tap;
        for needle in needles {
            tap.edge = tap.edge.max(needle.len().saturating_sub(1));
            tap.finders.push(Finder::new(&needle).into_owned());
        }
    }

    /// Which of them were seen, by their order, and where.
    pub fn tapped(&self) -> Vec<String> {
        self.0.state.lock().tap.seen.iter().cloned().collect()
    }

    /// Bytes that were sent so far, those within machines included.
    pub fn bytes_total(&self) -> u64 {
        self.0.state.lock().bytes_total
    }

    /// Connections of which at least one side is still there.
    pub(super) fn connections(&self) -> Vec<Arc<Connection>> {
        let mut state = self.0.state.lock();
        let alive: Vec<_> = state.connections.iter().filter_map(Weak::upgrade).collect();
        state.connections = alive.iter().map(Arc::downgrade).collect();
        alive
    }

    /// True time.
    pub(super) fn now(&self) -> SystemTime {
        self.0.context.current()
    }

    pub(super) fn sleep_until(
        &self,
        deadline: SystemTime,
    ) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.0.context.sleep_until(deadline)
    }

    pub(super) fn name(&self, name: &str, host: IpAddr) {
        self.0.state.lock().names.insert(name.to_owned(), host);
    }

    pub(super) fn resolve(&self, name: &str) -> Option<IpAddr> {
        self.0.state.lock().names.get(name).copied()
    }

    /// Wakes all who wait for something that depends on the wires.
    fn changed(&self) {
        self.0.state.lock().waiting.clear();
        self.connections().iter().for_each(|connection| connection.wake());
    }

    /// How long something small takes now.
    pub(super) fn travel(&self, from: IpAddr, to: IpAddr) -> Duration {
        self.0.state.lock().travel(from, to)
    }

    /// Puts bytes on a wire; when they arrive, if it is open then. `tail` is what the connection sent just before, as
    /// far as taps need it.
    pub(super) fn send(&self, from: IpAddr, to: IpAddr, tail: &mut Vec<u8>, bytes: &[u8]) -> SystemTime {
        let now = self.now();
        let mut state = self.0.state.lock();
        state.bytes_total += bytes.len() as u64;
        state.tap.listen(from, to, tail, bytes);
        let mut sent = now;
        if let Some(rate) = state.wire(from, to).bytes_per_second {
            let busy = state.busy.get(&(from, to)).copied().unwrap_or(now).max(now);
            sent = busy + Duration::from_nanos(bytes.len() as u64 * 1_000_000_000 / rate.max(1));
            state.busy.insert((from, to), sent);
        }
        sent + state.travel(from, to)
    }

    /// The machine starts a process: whoever still holds a connection to an earlier one will be told so.
    pub(super) fn begin(&self, host: IpAddr) {
        self.0.state.lock().dark.remove(&host);
        self.connections().iter().for_each(|connection| connection.forget(self, host));
        self.changed();
    }

    /// A process has ended.
    pub(super) fn end(&self, host: IpAddr, life: &Life, loss: Loss) {
        let mut state = self.0.state.lock();
        state.listeners.retain(|_, (listening, _)| !listening.same(life));
        if loss == Loss::Power {
            state.dark.insert(host);
        }
        drop(state);
        for connection in self.connections() {
            connection.end(self, life, loss);
        }
    }

    pub(super) fn bind(&self, life: &Life, host: IpAddr, socket: SocketAddr) -> Result<Listener, Error> {
        life.check()?;
        let local = socket.ip().is_unspecified() || socket.ip().is_loopback() || socket.ip() == host;
        let mut state = self.0.state.lock();
        let port = if socket.port() == 0 { state.ephemeral(host) } else { socket.port() };
        let address = SocketAddr::new(host, port);
        if !local || state.listeners.contains_key(&address) {
            return Err(Error::BindFailed);
        }
        let backlog = Arc::new(Backlog::default());
        state.listeners.insert(address, (life.clone(), Arc::downgrade(&backlog)));
        Ok(Listener::new(self.clone(), life.clone(), address, backlog))
    }

    pub(super) fn unbind(&self, life: &Life, address: SocketAddr) {
        let mut state = self.0.state.lock();
        if state.listeners.get(&address).is_some_and(|(listening, _)| listening.same(life)) {
            state.listeners.remove(&address);
        }
    }

    pub(super) async fn dial(
        &self,
        life: &Life,
        host: IpAddr,
        socket: SocketAddr,
    ) -> Result<(Sink, Stream), Error> {
        let own = socket.ip().is_unspecified() || socket.ip().is_loopback();
        let to = if own { host } else { socket.ip() };
        select! {
            reached = self.reach(life, host, to) => reached?,
            _ = self.0.context.sleep(CONNECT_TIMEOUT) => return Err(Error::Timeout),
        }
        let mut state = self.0.state.lock();
        let address = SocketAddr::new(to, socket.port());
        let (accepting, backlog) = state.listeners.get(&address).cloned().ok_or(Error::ConnectionFailed)?;
        let backlog =
            backlog.upgrade().filter(|backlog| backlog.len() < BACKLOG).ok_or(Error::ConnectionFailed)?;
        let dialer = SocketAddr::new(host, state.ephemeral(host));
        let connection = Arc::new(Connection::new([dialer, address], [life.clone(), accepting], self.now()));
        if state.connections.len() == state.connections.capacity() {
            state.connections.retain(|connection| connection.strong_count() > 0);
        }
        state.connections.push(Arc::downgrade(&connection));
        drop(state);
        let [dialed, accepted] = Connection::open(self, connection);
        backlog.push(dialer, accepted);
        Ok(dialed)
    }

    /// Lasts until a request has gone over the wire and an answer has come back.
    async fn reach(&self, life: &Life, from: IpAddr, to: IpAddr) -> Result<(), Error> {
        let mut asked = false;
        loop {
            life.check()?;
            let waiting = {
                let mut state = self.0.state.lock();
                let open =
                    state.wire(from, to).open && state.wire(to, from).open && !state.dark.contains(&to);
                if open && asked {
                    return Ok(());
                }
                if open {
                    asked = true;
                    Ok(state.travel(from, to) + state.travel(to, from))
                } else {
                    asked = false;
                    let (changed, waiting) = oneshot::channel();
                    state.waiting.retain(|waiting| !waiting.is_closed());
                    state.waiting.push(changed);
                    Err(waiting)
                }
            };
            match waiting {
                Ok(Duration::ZERO) => {}
                Ok(travel) => self.0.context.sleep(travel).await,
                // The sender is dropped, never used.
                Err(waiting) => drop(waiting.await),
            }
        }
    }
}

impl State {
    fn wire(&self, from: IpAddr, to: IpAddr) -> Wire {
        if from == to {
            return Wire::default();
        }
        self.wires.get(&(from, to)).copied().unwrap_or(self.default)
    }

    fn travel(&mut self, from: IpAddr, to: IpAddr) -> Duration {
        let wire = self.wire(from, to);
        let jitter_ms = if wire.jitter_ms == 0 { 0 } else { self.rng.random_range(0..=wire.jitter_ms) };
        Duration::from_millis(wire.latency_ms + jitter_ms)
    }

    /// The machine's next port for something that has no port of its own.
    fn ephemeral(&mut self, host: IpAddr) -> u16 {
        let next = self.ports.entry(host).or_insert(EPHEMERAL.start);
        let port = *next;
        *next = if port + 1 == EPHEMERAL.end { EPHEMERAL.start } else { port + 1 };
        port
    }
}

impl Tap {
    /// Searches bytes, and where they join those before.
    fn listen(&mut self, from: IpAddr, to: IpAddr, tail: &mut Vec<u8>, bytes: &[u8]) {
        if self.finders.is_empty() {
            return;
        }
        let joint = tail.len();
        tail.extend_from_slice(&bytes[..self.edge.min(bytes.len())]);
        for (index, finder) in self.finders.iter().enumerate() {
            if finder.find(bytes).or_else(|| finder.find(tail)).is_some() {
                self.seen.insert(format!("needle {index} from {from} to {to}"));
            }
        }
        tail.truncate(joint);
        tail.extend_from_slice(&bytes[bytes.len().saturating_sub(self.edge)..]);
        let surplus = tail.len().saturating_sub(self.edge);
        tail.drain(..surplus);
    }
}
