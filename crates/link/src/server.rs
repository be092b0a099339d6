//! The answering half: accepts connections and keeps their number bounded.

use crate::{
    Context, Reason,
    connection::Connection,
    frame::Status,
    limits::Limits,
    pieces,
    room::{Budget, Room},
    session::{MESSAGE_MAX, Upgrade, namespace, upgrade},
};
use bytes::Bytes;
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_macros::select;
use commonware_runtime::{Handle, IoBufs, Listener};
use commonware_stream::Upgrader as _;
use commonware_utils::{channel::oneshot, sync::Mutex};
use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, info, warn};

/// Wait after a failed accept, which usually means that the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// As whom to serve, and what to spend.
#[derive(Clone)]
pub struct ServerConfig {
    /// Our identity.
    pub key: PrivateKey,
    /// Binds connections to one network; both ends must use the same.
    pub namespace: Vec<u8>,
    /// What to spend.
    pub limits: Limits,
}

/// Answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Whether to let `peer` connect. The claim is not yet authenticated: decide by the key alone, have no
    /// effects.
    fn admit(&self, peer: &PublicKey) -> impl Future<Output = bool> + Send;

    /// Answers one request of the authenticated `peer`, which has at most [`BODY_MAX`](crate::BODY_MAX)
    /// bytes. May take as long as it needs; the future is dropped, at any await, when the caller stops
    /// waiting or the connection ends. Work that must not stop half way belongs in a task of its own.
    /// `request` is a slice of the received message: keeping a part of it keeps all of it.
    fn handle(&self, peer: &PublicKey, lane: u8, request: Bytes) -> impl Future<Output = Response> + Send;
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    pub(crate) status: Status,
    pub(crate) body: IoBufs,
}

impl Response {
    /// An answer with this body, which may consist of several pieces.
    pub fn ok(body: impl Into<IoBufs>) -> Self {
        Self { status: Status::Ok, body: body.into() }
    }

    /// Refuses for lack of room: the caller gets [`Error::Overloaded`](crate::Error::Overloaded).
    pub fn overloaded() -> Self {
        Self { status: Status::Overloaded, body: IoBufs::default() }
    }

    /// The body, unless it is a refusal: for a handler that stands in front of another.
    pub fn into_body(self) -> Option<IoBufs> {
        matches!(self.status, Status::Ok).then_some(self.body)
    }
}

impl From<Bytes> for Response {
    fn from(body: Bytes) -> Self {
        Self::ok(body)
    }
}

impl From<IoBufs> for Response {
    fn from(body: IoBufs) -> Self {
        Self::ok(body)
    }
}

impl From<Vec<u8>> for Response {
    fn from(body: Vec<u8>) -> Self {
        Self::ok(body)
    }
}

impl From<Vec<Bytes>> for Response {
    fn from(body: Vec<Bytes>) -> Self {
        Self::ok(pieces(body))
    }
}

/// Serves `listener` until the returned handle is aborted or the task of `context` ends; all connections end
/// with it.
pub fn serve<E: Context, L: Listener, H: Handler>(
    context: E,
    listener: L,
    config: ServerConfig,
    handler: H,
) -> Handle<()> {
    config.limits.check();
    let server = Server {
        upgrade: upgrade(config.key, &config.limits),
        namespace: namespace(&config.namespace),
        handshakes: Arc::new(Semaphore::new(config.limits.handshakes)),
        bytes: Budget::new(config.limits.server_bytes),
        established: Arc::new(Mutex::new(Established::default())),
        limits: config.limits,
        handler,
    };
    context.spawn(move |context| accept(context, listener, server))
}

/// What the connections of a server share.
#[derive(Clone)]
struct Server<H> {
    upgrade: Upgrade,
    namespace: Vec<u8>,
    handshakes: Arc<Semaphore>,
    bytes: Budget,
    established: Arc<Mutex<Established>>,
    limits: Limits,
    handler: H,
}

async fn accept<E: Context, L: Listener, H: Handler>(context: E, mut listener: L, server: Server<H>) {
    loop {
        let (address, sink, stream) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "accept failed");
                context.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(handshake) = server.handshakes.clone().try_acquire_owned() else {
            debug!(%address, "refused: too many handshakes");
            continue;
        };
        let server = server.clone();
        context
            .child("connection")
            .spawn(move |context| server.connection::<_, L>(context, address, sink, stream, handshake));
    }
}

impl<H: Handler> Server<H> {
    /// One connection's life.
    async fn connection<E: Context, L: Listener>(
        self,
        context: E,
        address: SocketAddr,
        sink: L::Sink,
        stream: L::Stream,
        handshake: OwnedSemaphorePermit,
    ) {
        let handler = self.handler.clone();
        let listening = self.upgrade.clone().listen(
            context.child("handshake"),
            &self.namespace,
            MESSAGE_MAX,
            |peer| async move { handler.admit(&peer).await },
            stream,
            sink,
        );
        let listened = select! {
            listened = listening => listened.map_err(|error| Reason::Handshake(error.to_string())),
            _ = context.sleep(self.limits.handshake_timeout) => Err(Reason::HandshakeTimeout),
        };
        drop(handshake);
        let (peer, sender, receiver) = match listened {
            Ok(listened) => listened,
            Err(reason) => {
                debug!(%address, %reason, "refused");
                return;
            }
        };
        let activity = Arc::new(Activity::new(&self.limits, context.current()));
        let taken = Place::take(&self.established, &peer, &self.limits, activity.clone());
        let Some((place, replaced)) = taken else {
            warn!(%peer, %address, reason = %Reason::Full, "refused");
            return;
        };
        info!(%peer, %address, "connected");
        let connection = Connection {
            context,
            peer: peer.clone(),
            limits: self.limits.clone(),
            room: Room::new(&self.limits, activity.requests.clone(), place.budget.clone(), self.bytes),
            activity,
            handler: self.handler,
        };
        let reason = select! {
            reason = connection.run(sender, receiver) => reason,
            _ = replaced => Reason::Replaced,
        };
        match reason {
            Reason::Malformed(_) => warn!(%peer, %address, %reason, "disconnected"),
            _ => info!(%peer, %address, %reason, "disconnected"),
        }
    }
}

/// What a connection is doing.
pub(crate) struct Activity {
    /// Room for requests: all of it is there while there are none.
    pub(crate) requests: Arc<Semaphore>,
    requests_max: usize,
    /// When the last request came, or the connection.
    last: Mutex<SystemTime>,
}

impl Activity {
    fn new(limits: &Limits, now: SystemTime) -> Self {
        let requests = Arc::new(Semaphore::new(limits.requests));
        Self { requests, requests_max: limits.requests, last: Mutex::new(now) }
    }

    /// Notes that a request has come.
    pub(crate) fn note(&self, now: SystemTime) {
        *self.last.lock() = now;
    }

    /// Since when there is nothing to do. `None` while there is.
    fn idle_since(&self) -> Option<SystemTime> {
        (self.requests.available_permits() == self.requests_max).then(|| *self.last.lock())
    }
}

/// An established connection. Dropping it ends the connection.
struct Kept {
    number: u64,
    activity: Arc<Activity>,
    _keep: oneshot::Sender<()>,
}

/// The established connections of each peer.
#[derive(Default)]
struct Established {
    next: u64,
    connections: usize,
    peers: BTreeMap<PublicKey, Peer>,
}

/// A peer that has connections.
struct Peer {
    connections: Vec<Kept>,
    budget: Budget,
}

/// A connection's place among the established.
struct Place {
    established: Arc<Mutex<Established>>,
    peer: PublicKey,
    number: u64,
    /// What its peer may have in flight.
    budget: Budget,
}

impl Place {
    /// Takes a place. A peer that has too many connections loses the one that has had nothing to do for longest. `None`
    /// when all of them have, or when the server is full: processes that share a key must not end each other's
    /// calls. The receiver resolves when the place is lost to a newer connection.
    fn take(
        established: &Arc<Mutex<Established>>,
        peer: &PublicKey,
        limits: &Limits,
        activity: Arc<Activity>,
    ) -> Option<(Self, oneshot::Receiver<()>)> {
        let mut places = established.lock();
        let of_peer = places.peers.get(peer).map_or(0, |peer| peer.connections.len());
        if of_peer >= limits.peer_connections {
            let of_peer = &mut places.peers.get_mut(peer)?.connections;
            let idle = of_peer.iter().enumerate();
            let idle = idle.filter_map(|(at, kept)| Some((kept.activity.idle_since()?, at)));
            of_peer.remove(idle.min()?.1);
            places.connections -= 1;
        } else if places.connections >= limits.connections {
            return None;
        }
        let (keep, replaced) = oneshot::channel();
        let number = places.next;
        places.next += 1;
        places.connections += 1;
        let new = || Peer { connections: Vec::new(), budget: Budget::new(limits.peer_bytes) };
        let of_peer = places.peers.entry(peer.clone()).or_insert_with(new);
        of_peer.connections.push(Kept { number, activity, _keep: keep });
        let (established, peer, budget) = (established.clone(), peer.clone(), of_peer.budget.clone());
        Some((Self { established, peer, number, budget }, replaced))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.established.lock();
        let Some(peer) = places.peers.get_mut(&self.peer) else { return };
        let of_peer = &mut peer.connections;
        let before = of_peer.len();
        of_peer.retain(|kept| kept.number != self.number);
        let left = before - of_peer.len();
        if of_peer.is_empty() {
            places.peers.remove(&self.peer);
        }
        places.connections -= left;
    }
}
