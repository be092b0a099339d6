//! The nodes as this client finds them: how fast, and whether one of them was caught in a lie.

use super::Context;
use crate::protocol::{Answer, ProtocolError, Request};
use bytes::Bytes;
use commonware_utils::sync::Mutex;
use link::{Lane, Reason};
use proof::PublicKey;
use std::time::{Duration, SystemTime};
use tracing::warn;

/// How long a node that gave a false answer is asked last.
const AVOIDED: Duration = Duration::from_secs(300);
/// Another node is asked after twice a node's usual time, and not before this.
const HEDGE_MIN: Duration = Duration::from_millis(20);
/// What a node's usual time is thought to be at the most, so that a slow one does not make hedging slow.
const LATENCY_MAX_US: u64 = 500_000;
/// A call that failed counts as having taken so long, so that others are preferred.
const FAILED_US: u64 = 200_000;

/// The nodes in the order of the committee.
pub(super) struct Peers<E> {
    context: E,
    nodes: Vec<Peer>,
}

struct Peer {
    link: link::Client,
    key: PublicKey,
    standing: Mutex<Standing>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// Moving average of what answers take.
    pub(super) latency_us: u64,
    pub(super) avoided_until: Option<SystemTime>,
    pub(super) faults: u64,
    pub(super) stalls: u64,
}

impl Standing {
    fn timed(&mut self, took_us: u64) {
        let took_us = took_us.min(LATENCY_MAX_US);
        self.latency_us = if self.latency_us == 0 { took_us } else { (7 * self.latency_us + took_us) / 8 };
    }

    fn is_avoided(&self, now: SystemTime) -> bool {
        self.avoided_until.is_some_and(|until| until > now)
    }
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The link failed.
    #[error(transparent)]
    Link(#[from] link::Error),
    /// What came is no answer.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl CallError {
    /// Whether the request certainly did not reach the node.
    pub(super) fn is_unsent(&self) -> bool {
        use Reason::{Dial, Handshake, HandshakeTimeout};
        match self {
            Self::Link(link::Error::Unreachable { reason, .. }) => {
                matches!(reason, Dial(_) | Handshake(_) | HandshakeTimeout)
            }
            Self::Link(link::Error::Overloaded | link::Error::TooLarge { .. }) => true,
            Self::Link(_) | Self::Protocol(_) => false,
        }
    }
}

/// A request made ready to be sent to several nodes.
#[derive(Clone)]
pub(super) struct Message {
    lane: Lane,
    bytes: Bytes,
    /// Whether the node answers at once, so that the time it takes is its own.
    prompt: bool,
}

impl Message {
    pub(super) fn new(request: &Request) -> Self {
        let prompt = match request {
            Request::Tip(min_height) => *min_height == 0,
            Request::Read(read) => read.min_height == 0,
            Request::List(_) | Request::Receipt(_) | Request::Status => true,
            Request::Submit(_) => false,
        };
        Self { lane: request.lane(), bytes: request.to_message(), prompt }
    }
}

impl<E: Context> Peers<E> {
    pub(super) fn new(context: E, nodes: Vec<(link::Client, PublicKey)>) -> Self {
        let peer = |(link, key)| Peer { link, key, standing: Mutex::new(Standing::default()) };
        Self { context, nodes: nodes.into_iter().map(peer).collect() }
    }

    pub(super) fn context(&self) -> &E {
        &self.context
    }

    pub(super) fn n(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn key(&self, node: usize) -> PublicKey {
        self.nodes[node].key
    }

    pub(super) fn standing(&self, node: usize) -> (Standing, bool) {
        let standing = self.nodes[node].standing.lock().clone();
        let avoided = standing.is_avoided(self.context.current());
        (standing, avoided)
    }

    /// The nodes, those to ask first at the front: not avoided, then fastest.
    pub(super) fn order(&self) -> Vec<usize> {
        let now = self.context.current();
        let mut order: Vec<_> = (0..self.n()).collect();
        order.sort_by_cached_key(|node| {
            let standing = self.nodes[*node].standing.lock();
            (standing.is_avoided(now), standing.latency_us)
        });
        order
    }

    /// How long to wait for a node before another is asked.
    pub(super) fn hedge_after(&self, node: usize) -> Duration {
        let latency_us = self.nodes[node].standing.lock().latency_us;
        HEDGE_MIN.max(Duration::from_micros(2 * latency_us))
    }

    /// Asks one node.
    pub(super) async fn call(
        &self,
        node: usize,
        message: Message,
        timeout: Duration,
    ) -> Result<Answer, CallError> {
        let peer = &self.nodes[node];
        let started = self.context.current();
        let called = peer.link.call(message.lane, message.bytes, timeout).await;
        let took = self.context.current().duration_since(started).unwrap_or_default();
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        match &called {
            Ok(_) if message.prompt => peer.standing.lock().timed(took_us),
            Ok(_) => {}
            Err(_) => peer.standing.lock().timed(took_us.max(FAILED_US)),
        }
        Ok(Answer::from_message(called?)?)
    }

    /// Another node had to be asked in this one's place.
    pub(super) fn stalled(&self, node: usize) {
        self.nodes[node].standing.lock().stalls += 1;
    }

    /// The node answered what cannot be true. It is asked last for a while.
    pub(super) fn caught(&self, node: usize, about: &str, evidence: &dyn std::fmt::Display) {
        let peer = &self.nodes[node];
        let mut standing = peer.standing.lock();
        standing.faults += 1;
        standing.avoided_until = Some(self.context.current() + AVOIDED);
        warn!(node, key = %peer.key, about, %evidence, "a node gave a false answer and is avoided");
    }
}
