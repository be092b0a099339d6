//! Connections: two directions, each a queue of bytes that arrive at known times.
//!
//! Nobody carries the bytes. The receiver looks at what has arrived by now and sleeps until the next arrival; the sender
//! waits while the queue is full. So a connection needs no task of its own.

use super::{
    machine::{Life, Loss},
    wires::Wires,
};
use bytes::{Buf as _, Bytes, BytesMut};
use commonware_runtime::{Error, IoBufs};
use commonware_utils::sync::Mutex;
use std::{
    collections::VecDeque,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

/// Bytes on their way, or arrived and unread, beyond which a sender waits.
const WINDOW: usize = 256 * 1024;
/// Bytes that are put on a wire as one.
const CHUNK: usize = 64 * 1024;
/// Sends and receives fail after this time, as with the production runtime.
const IO_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection. Side 0 dialed, side 1 accepted; direction `n` is what side `n` sends.
pub(super) struct Connection {
    addresses: [SocketAddr; 2],
    lives: [Life; 2],
    state: Mutex<State>,
}

struct State {
    directions: [Direction; 2],
    sides: [Side; 2],
    reset: bool,
}

struct Direction {
    /// Bytes and when they arrive.
    queue: VecDeque<(SystemTime, Bytes)>,
    /// Bytes in the queue.
    queued: usize,
    /// Bytes of which the sender does not know that they were read.
    unacknowledged: usize,
    /// When the last of all bytes so far arrives.
    last: SystemTime,
    /// When the news arrives that no more bytes follow.
    finished: Option<SystemTime>,
    receiver: Option<Waker>,
    sender: Option<Waker>,
    /// What was sent last, for taps.
    tail: Vec<u8>,
}

struct Side {
    sink: bool,
    stream: bool,
    /// When the other side learns that this one is gone.
    gone: Option<SystemTime>,
    /// Its machine lost power, and told nobody.
    silent: bool,
    /// Its machine is back and does not know the connection: it resets it as soon as something arrives.
    forgotten: bool,
}

impl Connection {
    pub(super) fn new(addresses: [SocketAddr; 2], lives: [Life; 2], now: SystemTime) -> Self {
        let direction = || Direction {
            queue: VecDeque::new(),
            queued: 0,
            unacknowledged: 0,
            last: now,
            finished: None,
            receiver: None,
            sender: None,
            tail: Vec::new(),
        };
        let side = || Side { sink: true, stream: true, gone: None, silent: false, forgotten: false };
        let state = State { directions: [direction(), direction()], sides: [side(), side()], reset: false };
        Self { addresses, lives, state: Mutex::new(state) }
    }

    /// The handles of the two sides.
    pub(super) fn open(wires: &Wires, connection: Arc<Self>) -> [(Sink, Stream); 2] {
        [0, 1].map(|side| {
            let end = || End { wires: wires.clone(), connection: connection.clone(), side, timer: None };
            let stream = Stream { end: end(), buffer: BytesMut::new(), poisoned: false };
            (Sink { end: end(), poisoned: false }, stream)
        })
    }

    pub(super) fn hosts(&self) -> [IpAddr; 2] {
        self.addresses.map(|address| address.ip())
    }

    /// Both sides fail at once.
    pub(super) fn reset(&self) {
        self.state.lock().reset = true;
        self.wake();
    }

    /// Something has changed: all who wait look again.
    pub(super) fn wake(&self) {
        let mut state = self.state.lock();
        let wakers =
            state.directions.each_mut().map(|direction| [direction.receiver.take(), direction.sender.take()]);
        drop(state);
        wakers.into_iter().flatten().flatten().for_each(Waker::wake);
    }

    /// A process has ended. Its side, if it has one, is gone or falls silent.
    pub(super) fn end(&self, wires: &Wires, life: &Life, loss: Loss) {
        for side in [0, 1] {
            if !self.lives[side].same(life) {
                continue;
            }
            if loss == Loss::Power {
                let (now, open) = (wires.now(), self.wire_open(wires, side));
                let mut state = self.state.lock();
                state.sides[side].silent = state.sides[side].gone.is_none();
                state.directions[side].lose(now, open);
            } else {
                self.leave(wires, side);
            }
        }
        self.wake();
    }

    /// A machine starts: it knows nothing of connections from before a power failure.
    pub(super) fn forget(&self, wires: &Wires, host: IpAddr) {
        for side in [0, 1] {
            let mut state = self.state.lock();
            if self.addresses[side].ip() != host || !state.sides[side].silent {
                continue;
            }
            state.sides[side].forgotten = true;
            let waiting = !state.directions[1 - side].queue.is_empty();
            drop(state);
            if waiting {
                self.leave(wires, side);
            }
        }
    }

    /// One side closes altogether; the other will notice.
    fn leave(&self, wires: &Wires, side: usize) {
        let hosts = self.hosts();
        let news = wires.now() + wires.travel(hosts[side], hosts[1 - side]);
        let mut state = self.state.lock();
        let news = news.max(state.directions[side].last);
        state.sides[side].gone.get_or_insert(news);
        state.directions[side].finished.get_or_insert(news);
    }

    /// Whether what a side sends arrives.
    fn wire_open(&self, wires: &Wires, side: usize) -> bool {
        let hosts = self.hosts();
        wires.get(hosts[side], hosts[1 - side]).open
    }
}

impl Direction {
    /// The sender lost power: what has not arrived never will.
    fn lose(&mut self, now: SystemTime, open: bool) {
        let arrived = if open { self.queue.partition_point(|(arrival, _)| *arrival <= now) } else { 0 };
        for (_, bytes) in self.queue.drain(arrived..) {
            self.queued -= bytes.len();
        }
    }
}

/// What both halves of a side have.
struct End {
    wires: Wires,
    connection: Arc<Connection>,
    side: usize,
    /// Wakes when an operation may have lasted too long. It outlasts operations, as each would leave an alarm behind.
    timer: Option<(SystemTime, Timer)>,
}

type Timer = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

impl End {
    /// Whether an operation has lasted until `deadline`; wakes the task then at the latest.
    fn timed_out(&mut self, deadline: SystemTime, context: &mut Context<'_>) -> bool {
        if self.wires.now() >= deadline {
            return true;
        }
        loop {
            let timer =
                self.timer.get_or_insert_with(|| (deadline, Box::pin(self.wires.sleep_until(deadline))));
            if timer.0 > deadline || timer.1.as_mut().poll(context).is_ready() {
                self.timer = None;
            } else {
                return false;
            }
        }
    }

    /// Whether the side is there, and the connection is.
    fn check(&self, failed: Error) -> Result<(), Error> {
        self.connection.lives[self.side].check()?;
        if self.connection.state.lock().reset { Err(failed) } else { Ok(()) }
    }

    /// Closes one half.
    fn close(&self, sink: bool) {
        let (connection, side) = (&self.connection, self.side);
        // A process that was ended says no more than its end did.
        if connection.lives[side].is_over() {
            return;
        }
        let hosts = connection.hosts();
        let news = self.wires.now() + self.wires.travel(hosts[side], hosts[1 - side]);
        let mut state = connection.state.lock();
        let State { directions, sides, .. } = &mut *state;
        let own = &mut sides[side];
        if sink {
            own.sink = false;
            let direction = &mut directions[side];
            direction.finished.get_or_insert(news.max(direction.last));
        } else {
            own.stream = false;
        }
        if !own.sink && !own.stream {
            own.gone.get_or_insert(news.max(directions[side].last));
        }
        drop(state);
        connection.wake();
    }
}

/// The sending half of a connection.
pub struct Sink {
    end: End,
    poisoned: bool,
}

impl Sink {
    /// Sends as much as there is room for.
    fn poll_send(&mut self, bufs: &mut IoBufs, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let End { wires, connection, side, .. } = &self.end;
        let (side, peer) = (*side, 1 - *side);
        let hosts = connection.hosts();
        let (now, back) = (wires.now(), connection.wire_open(wires, peer));
        let mut arrived = false;
        while bufs.has_remaining() {
            self.end.check(Error::SendFailed)?;
            let mut state = connection.state.lock();
            let news = state.sides[peer].gone;
            if back && news.is_some_and(|news| news <= now) {
                return Poll::Ready(Err(Error::SendFailed));
            }
            let forgotten = state.sides[peer].forgotten;
            let direction = &mut state.directions[side];
            if back {
                direction.unacknowledged = direction.queued;
            }
            if direction.unacknowledged >= WINDOW {
                direction.sender = Some(context.waker().clone());
                break;
            }
            let bytes = bufs.copy_to_bytes(bufs.chunk().len().min(CHUNK));
            let arrival =
                wires.send(hosts[side], hosts[peer], &mut direction.tail, &bytes).max(direction.last);
            direction.last = arrival;
            direction.queued += bytes.len();
            direction.unacknowledged += bytes.len();
            direction.queue.push_back((arrival, bytes));
            let receiver = direction.receiver.take();
            drop(state);
            if let Some(receiver) = receiver {
                receiver.wake();
            }
            arrived |= forgotten;
        }
        if arrived {
            connection.leave(wires, peer);
            connection.wake();
        }
        if bufs.has_remaining() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl commonware_runtime::Sink for Sink {
    async fn send(&mut self, bufs: impl Into<IoBufs> + Send) -> Result<(), Error> {
        if std::mem::replace(&mut self.poisoned, true) {
            return Err(Error::Closed);
        }
        let mut bufs = bufs.into();
        let deadline = self.end.wires.now() + IO_TIMEOUT;
        let mut alarm = Alarm::default();
        let sent = poll_fn(|context| {
            loop {
                if let Poll::Ready(sent) = self.poll_send(&mut bufs, context) {
                    return Poll::Ready(sent);
                }
                if self.end.timed_out(deadline, context) {
                    return Poll::Ready(Err(Error::Timeout));
                }
                let gone = self.end.connection.state.lock().sides[1 - self.end.side].gone;
                if !alarm.rings(&self.end, gone, context) {
                    return Poll::Pending;
                }
            }
        });
        sent.await?;
        self.poisoned = false;
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.end.close(true);
    }
}

/// The receiving half of a connection.
pub struct Stream {
    end: End,
    /// Bytes that have arrived and are not consumed.
    buffer: BytesMut,
    poisoned: bool,
}

impl Stream {
    /// Takes what has arrived. Tells when to look again, unless that is when somebody wakes.
    fn poll_receive(&mut self, len: usize, context: &mut Context<'_>) -> Result<Option<SystemTime>, Error> {
        self.end.check(Error::RecvFailed)?;
        let End { wires, connection, side, .. } = &self.end;
        let (side, peer) = (*side, 1 - *side);
        let (now, open, back) =
            (wires.now(), connection.wire_open(wires, peer), connection.wire_open(wires, side));
        let mut state = connection.state.lock();
        let gone = state.sides[peer].gone;
        let direction = &mut state.directions[peer];
        let wanted = len.max(CHUNK);
        let mut taken = false;
        while open
            && self.buffer.len() < wanted
            && direction.queue.front().is_some_and(|(arrival, _)| *arrival <= now)
        {
            let (_, bytes) = direction.queue.pop_front().expect("just seen");
            direction.queued -= bytes.len();
            self.buffer.extend_from_slice(&bytes);
            taken = true;
        }
        let sender = if taken && back { direction.sender.take() } else { None };
        let next = direction.queue.front().map(|(arrival, _)| *arrival);
        let end = direction.finished.into_iter().chain(gone).min();
        direction.receiver = Some(context.waker().clone());
        drop(state);
        if let Some(sender) = sender {
            sender.wake();
        }
        if self.buffer.len() < len && open && next.is_none() && end.is_some_and(|end| end <= now) {
            return Err(Error::RecvFailed);
        }
        Ok(next.or(end).filter(|_| open))
    }
}

impl commonware_runtime::Stream for Stream {
    async fn recv(&mut self, len: usize) -> Result<IoBufs, Error> {
        if std::mem::replace(&mut self.poisoned, true) {
            return Err(Error::Closed);
        }
        let deadline = self.end.wires.now() + IO_TIMEOUT;
        let mut alarm = Alarm::default();
        if self.buffer.len() < len {
            self.buffer.reserve(len - self.buffer.len());
        }
        let received = poll_fn(|context| {
            loop {
                if self.buffer.len() >= len {
                    return Poll::Ready(Ok(()));
                }
                let next = self.poll_receive(len, context)?;
                if self.buffer.len() >= len {
                    continue;
                }
                if self.end.timed_out(deadline, context) {
                    return Poll::Ready(Err(Error::Timeout));
                }
                if !alarm.rings(&self.end, next, context) {
                    return Poll::Pending;
                }
            }
        });
        received.await?;
        self.poisoned = false;
        Ok(self.buffer.split_to(len).freeze().into())
    }

    fn peek(&self, max_len: usize) -> &[u8] {
        &self.buffer[..self.buffer.len().min(max_len)]
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end.close(false);
    }
}

/// Wakes an operation when something is due.
#[derive(Default)]
struct Alarm(Option<(SystemTime, Timer)>);

impl Alarm {
    /// Whether something new is due now; otherwise wakes the task at `time`, if there is one ahead.
    fn rings(&mut self, end: &End, time: Option<SystemTime>, context: &mut Context<'_>) -> bool {
        let Some(time) = time.filter(|time| *time > end.wires.now()) else { return false };
        if self.0.as_ref().is_none_or(|(set, _)| *set != time) {
            self.0 = Some((time, Box::pin(end.wires.sleep_until(time))));
        }
        let rings = self.0.as_mut().is_some_and(|(_, timer)| timer.as_mut().poll(context).is_ready());
        if rings {
            self.0 = None;
        }
        rings
    }
}

/// Connections that wait for being accepted.
#[derive(Default)]
pub(super) struct Backlog(Mutex<(VecDeque<Dialed>, Option<Waker>)>);

/// Who dialed, and the accepting side of the connection.
type Dialed = (SocketAddr, Sink, Stream);

impl Backlog {
    pub(super) fn len(&self) -> usize {
        self.0.lock().0.len()
    }

    pub(super) fn push(&self, dialer: SocketAddr, (sink, stream): (Sink, Stream)) {
        let mut backlog = self.0.lock();
        backlog.0.push_back((dialer, sink, stream));
        if let Some(waker) = backlog.1.take() {
            waker.wake();
        }
    }
}

/// Accepts connections at an address.
pub struct Listener {
    wires: Wires,
    life: Life,
    address: SocketAddr,
    backlog: Arc<Backlog>,
}

impl Listener {
    pub(super) fn new(wires: Wires, life: Life, address: SocketAddr, backlog: Arc<Backlog>) -> Self {
        Self { wires, life, address, backlog }
    }
}

impl commonware_runtime::Listener for Listener {
    type Sink = Sink;
    type Stream = Stream;

    async fn accept(&mut self) -> Result<(SocketAddr, Sink, Stream), Error> {
        poll_fn(|context| {
            self.life.check()?;
            let mut backlog = self.backlog.0.lock();
            if let Some(accepted) = backlog.0.pop_front() {
                return Poll::Ready(Ok(accepted));
            }
            backlog.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn local_addr(&self) -> Result<SocketAddr, std::io::Error> {
        Ok(self.address)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.wires.unbind(&self.life, self.address);
    }
}
