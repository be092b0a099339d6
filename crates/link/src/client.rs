//! The calling half.

use crate::{
    Context, Error,
    dialer::{Call, Dialer, Outgoing},
    limits::{BODY_MAX, BULK_FROM, CONTROL_REPLY_MAX, Limits},
};
use bytes::Bytes;
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_macros::select;
use commonware_runtime::IoBufs;
use commonware_utils::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Whom to call, and as whom.
#[derive(Clone)]
pub struct ClientConfig {
    /// Our identity.
    pub key: PrivateKey,
    /// Binds the connection to one network; both ends must use the same.
    pub namespace: Vec<u8>,
    /// The identity expected at `address`.
    pub peer: PublicKey,
    /// Where the peer listens.
    pub address: SocketAddr,
    /// What to spend. The server's should be the same or larger.
    pub limits: Limits,
}

/// A kind of request: how the server knows what the body means, which connection carries it and how long a
/// response it may have. Declare each as a constant next to the request's encoding:
///
/// ```
/// use link::Lane;
/// const PUT_SHARD: Lane = Lane::bulk(0x10).reply_max(1024);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lane {
    number: u8,
    bulk: bool,
    reply_max: usize,
}

impl Lane {
    /// For small messages whose latency matters: they never wait behind bulk data. Responses may have
    /// [`CONTROL_REPLY_MAX`] bytes. A request of [`BULK_FROM`] bytes or more goes over the bulk connection
    /// nevertheless.
    pub const fn control(number: u8) -> Self {
        Self { number, bulk: false, reply_max: CONTROL_REPLY_MAX }
    }

    /// For data. Responses may have [`BODY_MAX`] bytes; say less where that is known, because every call
    /// reserves as much of [`Limits::bytes`].
    pub const fn bulk(number: u8) -> Self {
        Self { number, bulk: true, reply_max: BODY_MAX }
    }

    /// The same lane with responses of at most `bytes`.
    ///
    /// # Panics
    ///
    /// If `bytes` exceeds [`BODY_MAX`].
    pub const fn reply_max(self, bytes: usize) -> Self {
        assert!(bytes <= BODY_MAX, "no response can be longer than a body");
        Self { reply_max: bytes, ..self }
    }

    /// The number that the server's handler is given.
    pub const fn number(self) -> u8 {
        self.number
    }
}

/// Calls one peer. Clones share the connections; dropping the last closes them.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    peer: PublicKey,
    control: Connection,
    bulk: Connection,
    sleep: Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
}

/// The caller's end of one connection's task. Its bounds span reconnections.
struct Connection {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    next_id: AtomicU64,
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Client {
    /// Starts the client's tasks. They end with the last clone of the client, or with the task that `context`
    /// belongs to. Connects on the first call.
    pub fn start<E: Context>(context: E, config: ClientConfig) -> Self {
        config.limits.check();
        let control = Connection::start(context.child("control"), &config, "control");
        let bulk = Connection::start(context.child("bulk"), &config, "bulk");
        let sleep = Box::new(move |duration| Box::pin(context.sleep(duration)) as BoxFuture<'static, ()>);
        Self { shared: Arc::new(Shared { peer: config.peer, control, bulk, sleep }) }
    }

    /// The peer called.
    pub fn peer(&self) -> &PublicKey {
        &self.shared.peer
    }

    /// Sends `request` and waits at most `timeout` for the response, including any wait for room and for a
    /// connection. Dropping the future cancels the request at both ends.
    pub async fn call(
        &self,
        lane: Lane,
        request: impl Into<IoBufs> + Send,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        let request = request.into();
        if request.len() > BODY_MAX {
            return Err(Error::TooLarge { bytes: request.len(), bytes_max: BODY_MAX });
        }
        let bulk = lane.bulk || request.len() >= BULK_FROM;
        let connection = if bulk { &self.shared.bulk } else { &self.shared.control };
        select! {
            response = connection.call(lane, request, timeout) => response,
            _ = (self.shared.sleep)(timeout) => Err(Error::Timeout),
        }
    }
}

impl Connection {
    fn start<E: Context>(context: E, config: &ClientConfig, class: &'static str) -> Self {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let limits = &config.limits;
        let connection = Self {
            outgoing,
            next_id: AtomicU64::new(0),
            requests: Arc::new(Semaphore::new(limits.requests)),
            bytes: Arc::new(Semaphore::new(limits.bytes)),
            waiting: AtomicUsize::new(0),
            waiting_max: limits.waiting,
        };
        let config = config.clone();
        context.spawn(move |context| Dialer::new(context, config, class).run(queue));
        connection
    }

    async fn call(&self, lane: Lane, request: IoBufs, timeout: Duration) -> Result<Bytes, Error> {
        let reserved = self.reserve(request.len() + lane.reply_max).await?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (reply, response) = oneshot::channel();
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let call =
            Call { id, lane: lane.number, reply_max: lane.reply_max, timeout_ms, request, reply, reserved };
        self.outgoing.send(Outgoing::Call(call)).map_err(|_| Error::Closed)?;

        let mut cancel = CancelOnDrop { outgoing: &self.outgoing, id: Some(id) };
        let response = response.await.unwrap_or(Err(Error::Closed));
        cancel.id = None;
        response
    }

    /// Waits for room. The queue to the connection's task needs no bound of its own: each call in it holds
    /// a reservation, and each cancellation in it follows such a call.
    async fn reserve(&self, bytes: usize) -> Result<Reserved, Error> {
        let _waiting = Waiting::enter(&self.waiting, self.waiting_max)?;
        let bytes = u32::try_from(bytes).expect("two bodies at most");
        let request = self.requests.clone().acquire_owned().await.expect("never closed");
        let bytes = self.bytes.clone().acquire_many_owned(bytes).await.expect("never closed");
        Ok(Reserved { _request: request, _bytes: bytes })
    }
}

/// Room for one call, held until it is answered, failed, or known to be cancelled.
pub(crate) struct Reserved {
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// Counts the calls that wait for room.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize, max: usize) -> Result<Self, Error> {
        let entered = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= max { Err(Error::Overloaded) } else { Ok(entered) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells the connection's task when a call is given up.
struct CancelOnDrop<'a> {
    outgoing: &'a mpsc::UnboundedSender<Outgoing>,
    id: Option<u64>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // When the task has ended there is nothing left to cancel.
            let _ = self.outgoing.send(Outgoing::Cancel(id));
        }
    }
}
