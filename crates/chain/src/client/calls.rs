//! Calls in flight, and the timers beside them.

use super::{
    Context,
    peers::{CallError, Message, Peers},
};
use crate::protocol::Answer;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use std::time::{Duration, SystemTime};

/// What happened to one of the calls, each of which has a tag of the caller's.
#[allow(clippy::large_enum_variant, reason = "an event is taken apart at once")]
pub(super) enum Event<T> {
    /// A node answered, or the call failed.
    Answered(usize, T, Result<Answer, CallError>),
    /// A call takes longer than that node's calls usually do.
    Slow(usize, T),
    /// A pause is over.
    Again(usize, T),
    /// The time for all of it is over. Never given out.
    Over,
}

/// Calls in flight. Dropping them cancels them.
pub(super) struct Calls<'a, E: Context, T> {
    peers: &'a Peers<E>,
    deadline: SystemTime,
    events: FuturesUnordered<BoxFuture<'a, Event<T>>>,
    /// Calls and pauses under way. Timers for slow calls do not count.
    pending: usize,
}

impl<'a, E: Context, T: Copy + Send + 'a> Calls<'a, E, T> {
    pub(super) fn new(peers: &'a Peers<E>, deadline: SystemTime) -> Self {
        let over = peers.context().sleep_until(deadline);
        let events = FuturesUnordered::from_iter([over.map(|()| Event::Over).boxed()]);
        Self { peers, deadline, events, pending: 0 }
    }

    fn left(&self) -> Duration {
        self.deadline.duration_since(self.peers.context().current()).unwrap_or_default()
    }

    /// Asks a node. When that takes longer than `hedge` there is an [`Event::Slow`] too.
    pub(super) fn ask(&mut self, node: usize, tag: T, message: Message, hedge: Option<Duration>) {
        let call = self.peers.call(node, message, self.left());
        self.pending += 1;
        self.events.push(async move { Event::Answered(node, tag, call.await) }.boxed());
        if let Some(hedge) = hedge {
            let slow = self.peers.context().sleep(hedge);
            self.events.push(slow.map(move |()| Event::Slow(node, tag)).boxed());
        }
    }

    /// Pauses.
    pub(super) fn pause(&mut self, node: usize, tag: T, pause: Duration) {
        self.pending += 1;
        let pause = self.peers.context().sleep(pause);
        self.events.push(pause.map(move |()| Event::Again(node, tag)).boxed());
    }

    /// The next event; `None` when nothing is under way or the time is over.
    pub(super) async fn next(&mut self) -> Option<Event<T>> {
        if self.pending == 0 {
            return None;
        }
        let event = self.events.next().await?;
        match event {
            Event::Over => self.pending = 0,
            Event::Answered(..) | Event::Again(..) => self.pending -= 1,
            Event::Slow(..) => {}
        }
        Some(event).filter(|event| !matches!(event, Event::Over))
    }
}
