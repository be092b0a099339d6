//! One node as a client sees it: how fast it answers, whether to avoid it, what is on its way to it.

use crate::{
    client::{ClientContext, Shared, error::Failure},
    wire::Response,
};
use bytes::Bytes;
use commonware_runtime::IoBufs;
use commonware_utils::sync::Mutex;
use link::Lane;
use proof::{Digest, wire::DecodeExt};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime},
};

/// What is assumed of a node that has not answered yet.
const LATENCY_FIRST: Duration = Duration::from_millis(2);

/// A node.
pub(super) struct Node {
    link: link::Client,
    health: Mutex<Health>,
    /// Chunks and pages on their way to it, with how often.
    in_flight: Mutex<BTreeMap<Digest, usize>>,
    /// Bytes on their way to it that no caller waits for.
    pub(super) lagging_bytes: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct Health {
    /// Of answers to gets, averaged with a weight of an eighth for the newest.
    latency: Duration,
    avoid_until: SystemTime,
}

impl Health {
    fn answered(&mut self, latency: Duration) {
        self.latency = (self.latency * 7 + latency) / 8;
    }

    /// A node that was slow once must not stay unasked for ever.
    fn passed_over(&mut self) {
        self.latency -= self.latency / 128;
    }
}

impl Node {
    pub(super) fn new(link: link::Client) -> Self {
        let health = Health { latency: LATENCY_FIRST, avoid_until: SystemTime::UNIX_EPOCH };
        Self {
            link,
            health: Mutex::new(health),
            in_flight: Mutex::new(BTreeMap::new()),
            lagging_bytes: AtomicUsize::new(0),
        }
    }

    pub(super) fn avoid_until(&self, until: SystemTime) {
        let mut health = self.health.lock();
        health.avoid_until = health.avoid_until.max(until);
    }

    pub(super) fn latency(&self) -> Duration {
        self.health.lock().latency
    }

    /// Notes how long an answer to a get took.
    pub(super) fn answered(&self, latency: Duration) {
        self.health.lock().answered(latency);
    }

    /// Notes that others were asked instead.
    pub(super) fn passed_over(&self) {
        self.health.lock().passed_over();
    }

    pub(super) fn is_in_flight(&self, id: &Digest) -> bool {
        self.in_flight.lock().contains_key(id)
    }

    /// Notes that `id` is on its way, until the guard is dropped.
    pub(super) fn put_in_flight(&self, id: Digest) -> InFlight<'_> {
        *self.in_flight.lock().entry(id).or_default() += 1;
        InFlight { node: self, id }
    }
}

pub(super) struct InFlight<'a> {
    node: &'a Node,
    id: Digest,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.node.in_flight.lock();
        if let Some(count) = in_flight.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                in_flight.remove(&self.id);
            }
        }
    }
}

/// Takes `bytes` of what may lag at a node, if there is so much left.
pub(super) fn take_lagging(counter: &AtomicUsize, bytes: usize, bytes_max: usize) -> bool {
    let within = |taken: usize| Some(taken + bytes).filter(|taken| *taken <= bytes_max);
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
}

impl<E: ClientContext> Shared<E> {
    /// Asks a node. Answers that say why not are failures.
    pub(super) async fn call(
        &self,
        node: usize,
        lane: Lane,
        request: IoBufs,
        deadline: SystemTime,
    ) -> Result<Response, Failure> {
        let timeout = self.left(deadline).min(self.limits.call_timeout);
        let answer: Bytes = self.nodes[node].link.call(lane, request, timeout).await?;
        match Response::decode(answer) {
            Ok(Response::Full) => Err(Failure::Full),
            Ok(Response::NotHeld) => Err(Failure::NotHeld),
            Ok(Response::Failed) => Err(Failure::Broken),
            Ok(Response::Refused(reason)) => {
                Err(Failure::Refused(String::from_utf8_lossy(&reason).escape_debug().to_string()))
            }
            Ok(response) => Ok(response),
            Err(error) => Err(Failure::Lied(format!("an answer that does not decode: {error}"))),
        }
    }

    /// The nodes, best first. `handicap` is added to a node's latency, in percent of it plus a millisecond.
    pub(super) fn by_preference(&self, handicap: impl Fn(usize) -> bool) -> Vec<usize> {
        let now = self.context.current();
        let mut ranked: Vec<_> = (0..self.nodes.len())
            .map(|node| {
                let health = *self.nodes[node].health.lock();
                let extra = if handicap(node) {
                    health.latency / 4 + Duration::from_millis(1)
                } else {
                    Duration::ZERO
                };
                (health.avoid_until > now, health.latency + extra, node)
            })
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, _, node)| node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_follows_the_answers() {
        let mut health = Health { latency: LATENCY_FIRST, avoid_until: SystemTime::UNIX_EPOCH };
        for _ in 0..64 {
            health.answered(Duration::from_millis(40));
        }
        assert!(health.latency > Duration::from_millis(39) && health.latency <= Duration::from_millis(40));
        for _ in 0..1000 {
            health.passed_over();
        }
        assert!(health.latency < LATENCY_FIRST, "it is tried again");
    }

    #[test]
    fn what_lags_is_bounded() {
        let counter = AtomicUsize::new(0);
        assert!(take_lagging(&counter, 60, 100));
        assert!(!take_lagging(&counter, 41, 100));
        assert!(take_lagging(&counter, 40, 100));
        assert_eq!(counter.load(Ordering::Relaxed), 100);
    }
}
