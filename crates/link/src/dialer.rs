//! The client's task for one connection: dials when there is something to send, runs the connection until it
//! breaks, backs off.
//!
//! ```text
//!   idle --a call--> dialing --greeted--> connected --broken--> idle (calls in flight fail)
//!                       |                     | broken within a second of connecting
//!                       +-------failed--------+--> resting (calls fail at once) --time over--> idle
//!                                                     and there were calls: dialing (calls fail at once)
//! ```

use crate::{
    ClientConfig, Context, Error, Reason,
    client::Reserved,
    frame::{self, Malformed, RequestHeader, Status, ToClient},
    limits::BATCH_MESSAGES,
    session::{MESSAGE_MAX, Reader, Upgrade, Writer, namespace, upgrade},
};
use bytes::Bytes;
use commonware_macros::select;
use commonware_runtime::{IoBufs, SinkOf, Stream, StreamOf};
use commonware_stream::Upgrader as _;
use commonware_utils::{
    channel::{mpsc, oneshot},
    sync::Mutex,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tracing::{debug, info};

/// A connection that breaks sooner than this counts as a failed dial.
const SHORT_LIVED: Duration = Duration::from_secs(1);

/// What callers tell the task.
pub(crate) enum Outgoing {
    Call(Call),
    Cancel(u64),
}

/// One call on its way to the peer.
pub(crate) struct Call {
    pub(crate) id: u64,
    pub(crate) lane: u8,
    pub(crate) reply_max: usize,
    pub(crate) timeout_ms: u32,
    pub(crate) request: IoBufs,
    pub(crate) reply: oneshot::Sender<Result<Bytes, Error>>,
    pub(crate) reserved: Reserved,
}

/// A call whose request was sent.
struct Pending {
    reply_max: usize,
    reply: oneshot::Sender<Result<Bytes, Error>>,
    _reserved: Reserved,
}

/// By id; ordered, so that failing them all wakes the callers in the same order in every run.
type PendingCalls = Arc<Mutex<BTreeMap<u64, Pending>>>;

type Connected<E> = (Reader<E, StreamOf<E>>, Writer<E, SinkOf<E>>);
type Queue = mpsc::UnboundedReceiver<Outgoing>;

pub(crate) struct Dialer<E: Context> {
    context: E,
    config: ClientConfig,
    class: &'static str,
    upgrade: Upgrade,
    namespace: Vec<u8>,
}

impl<E: Context> Dialer<E> {
    /// `class` names the connection in logs.
    pub(crate) fn new(context: E, config: ClientConfig, class: &'static str) -> Self {
        let upgrade = upgrade(config.key.clone(), &config.limits);
        let namespace = namespace(&config.namespace);
        Self { context, config, class, upgrade, namespace }
    }

    /// Serves the queue until the client is dropped.
    pub(crate) async fn run(self, mut queue: Queue) {
        let limits = &self.config.limits;
        let mut backoff = limits.backoff_min;
        while let Some(call) = next_call(&mut queue).await {
            let mut first = Some(call);
            let mut dialed = self.dial().await;
            loop {
                let reason = match dialed {
                    Ok(connected) => {
                        let start = self.context.current();
                        let Some(reason) = self.converse(connected, first.take(), &mut queue).await else {
                            return;
                        };
                        let lived = self.context.current().duration_since(start).unwrap_or_default();
                        if lived >= SHORT_LIVED {
                            backoff = limits.backoff_min;
                            break;
                        }
                        reason
                    }
                    Err(reason) => {
                        self.fail(first.take(), &reason);
                        reason
                    }
                };
                let Some(wanted) = self.rest(&mut queue, &reason, backoff).await else { return };
                backoff = limits.backoff_max.min(backoff * 2);
                if !wanted {
                    break;
                }
                let mut refused = false;
                dialed = select! {
                    dialed = self.dial() => dialed,
                    _ = self.refuse(&mut queue, &reason, &mut refused) => return,
                };
            }
        }
    }

    /// Connects, authenticates and waits for the greeting.
    async fn dial(&self) -> Result<Connected<E>, Reason> {
        let limits = &self.config.limits;
        let attempt = async {
            let (sink, stream) = self
                .context
                .dial(self.config.address)
                .await
                .map_err(|error| Reason::Dial(error.to_string()))?;
            let (sender, receiver) = self
                .upgrade
                .clone()
                .dial(
                    self.context.child("handshake"),
                    &self.namespace,
                    MESSAGE_MAX,
                    self.config.peer.clone(),
                    stream,
                    sink,
                )
                .await
                .map_err(|error| Reason::Handshake(error.to_string()))?;
            let context = self.context.child("reader");
            let mut reader = Reader { context, limits: limits.clone(), receiver };
            let greeting = reader.next().await?;
            if ToClient::decode(greeting)? != ToClient::Keepalive {
                return Err(Malformed::NoGreeting.into());
            }
            let writer = Writer { context: self.context.child("writer"), limits: limits.clone(), sender };
            Ok((reader, writer))
        };
        let dialed = select! {
            dialed = attempt => dialed,
            _ = self.context.sleep(limits.handshake_timeout) => Err(Reason::HandshakeTimeout),
        };
        let (peer, address, class) = (&self.config.peer, self.config.address, self.class);
        match &dialed {
            Ok(_) => info!(%peer, %address, class, "connected"),
            Err(reason) => debug!(%peer, %address, class, %reason, "not connected"),
        }
        dialed
    }

    /// Runs a connection until it breaks, then fails the calls in flight. `None` when the client is dropped.
    async fn converse(
        &self,
        (reader, writer): Connected<E>,
        first: Option<Call>,
        queue: &mut Queue,
    ) -> Option<Reason> {
        let pending = PendingCalls::default();
        let mut reading = self.context.child("reading").spawn({
            let pending = pending.clone();
            move |_| read(reader, pending)
        });
        let ended = select! {
            reason = &mut reading => Some(reason.unwrap_or(Reason::ShutDown)),
            ended = write(writer, first, queue, &pending) => ended,
        };
        reading.abort();

        let reason = ended.as_ref().unwrap_or(&Reason::ShutDown);
        info!(peer = %self.config.peer, class = self.class, %reason, "disconnected");
        let pending = std::mem::take(&mut *pending.lock());
        for call in pending.into_values() {
            // A caller that gave up meanwhile needs no answer.
            let _ = call.reply.send(Err(self.unreachable(reason)));
        }
        ended
    }

    /// Fails calls for the time of the backoff. Tells whether there were any; `None` when the client is dropped.
    async fn rest(&self, queue: &mut Queue, reason: &Reason, backoff: Duration) -> Option<bool> {
        let mut refused = false;
        select! {
            _ = self.refuse(queue, reason, &mut refused) => None,
            _ = self.context.sleep(backoff) => Some(()),
        }
        .map(|()| refused)
    }

    /// Fails calls until the client is dropped.
    async fn refuse(&self, queue: &mut Queue, reason: &Reason, refused: &mut bool) {
        while let Some(call) = next_call(queue).await {
            self.fail(Some(call), reason);
            *refused = true;
        }
    }

    fn fail(&self, call: Option<Call>, reason: &Reason) {
        if let Some(call) = call {
            // A caller that gave up meanwhile needs no answer.
            let _ = call.reply.send(Err(self.unreachable(reason)));
        }
    }

    fn unreachable(&self, reason: &Reason) -> Error {
        Error::Unreachable { peer: Box::new(self.config.peer.clone()), reason: reason.clone() }
    }
}

/// The next call that is still wanted; `None` when the client is dropped.
async fn next_call(queue: &mut Queue) -> Option<Call> {
    loop {
        match queue.recv().await? {
            Outgoing::Call(call) if !call.reply.is_closed() => return Some(call),
            Outgoing::Call(_) | Outgoing::Cancel(_) => {}
        }
    }
}

/// Sends what callers want until the connection breaks; `None` when the client is dropped.
async fn write<E: Context>(
    mut writer: Writer<E, SinkOf<E>>,
    first: Option<Call>,
    queue: &mut Queue,
    pending: &PendingCalls,
) -> Option<Reason> {
    let mut taken: Vec<Outgoing> = first.map(Outgoing::Call).into_iter().collect();
    loop {
        let frames = taken.drain(..).filter_map(|outgoing| frame_of(outgoing, pending)).collect();
        if let Err(reason) = writer.write(frames).await {
            return Some(reason);
        }
        let quiet = writer.context.sleep(writer.limits.keepalive);
        let written = select! {
            count = queue.recv_many(&mut taken, BATCH_MESSAGES) => if count == 0 { return None } else { Ok(()) },
            _ = quiet => writer.keepalive().await,
        };
        if let Err(reason) = written {
            return Some(reason);
        }
    }
}

/// The frame to send, if any: a call given up before it was sent needs none, and neither does its cancellation.
fn frame_of(outgoing: Outgoing, pending: &PendingCalls) -> Option<IoBufs> {
    match outgoing {
        Outgoing::Call(call) if call.reply.is_closed() => None,
        Outgoing::Call(Call { id, lane, reply_max, timeout_ms, request, reply, reserved }) => {
            let header = RequestHeader {
                id,
                lane,
                timeout_ms,
                reply_max: u32::try_from(reply_max).expect("a lane reserves at most one body"),
            };
            pending.lock().insert(id, Pending { reply_max, reply, _reserved: reserved });
            Some(frame::request(header, request))
        }
        Outgoing::Cancel(id) => pending.lock().remove(&id).map(|_| frame::cancel(id)),
    }
}

/// Delivers responses until the connection breaks.
async fn read<E: Context, I: Stream>(mut reader: Reader<E, I>, pending: PendingCalls) -> Reason {
    loop {
        let received = match reader.next().await {
            Ok(message) => ToClient::decode(message),
            Err(reason) => return reason,
        };
        let delivered = received.and_then(|received| match received {
            ToClient::Keepalive => Ok(()),
            ToClient::Response { id, status, body } => deliver(&pending, id, status, body),
        });
        if let Err(malformed) = delivered {
            return malformed.into();
        }
    }
}

/// Hands a response to its caller. A response to nobody answers a call that was cancelled meanwhile.
fn deliver(pending: &PendingCalls, id: u64, status: Status, body: Bytes) -> Result<(), Malformed> {
    let mut pending = pending.lock();
    if pending.get(&id).is_some_and(|call| body.len() > call.reply_max) {
        return Err(Malformed::LongReply(body.len()));
    }
    let Some(call) = pending.remove(&id) else { return Ok(()) };
    let response = match status {
        Status::Ok => Ok(body),
        Status::Overloaded => Err(Error::Overloaded),
        Status::ReplyTooLarge => Err(Error::ReplyTooLarge),
    };
    // A caller that gave up meanwhile needs no answer.
    let _ = call.reply.send(response);
    Ok(())
}
