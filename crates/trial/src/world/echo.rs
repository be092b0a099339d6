//! Messages and requests that arrive twice.
//!
//! A transport that gives up on a connection and sends again on the next does not know what arrived. So whatever a node
//! hears from another may come once more, at once or late, and so may a gateway's request, whose second answer nobody
//! waits for. [`Echo`] says how often; [`channels`] puts it before a node's ears and [`Repeating`] before its door.

use super::context::Context;
use crate::adversary::Acts;
use bytes::Bytes;
use chain::network::Channels;
use commonware_cryptography::ed25519;
use commonware_macros::select;
use commonware_p2p::{Message, Receiver};
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _};
use commonware_utils::sync::Mutex;
use link::{Handler, Response};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::BTreeMap,
    fmt,
    future::pending,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Second deliveries that are waited for at a time, at most: a network keeps no more.
const WAITING_MAX: usize = 1_000;

/// How often things arrive twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Of a thousand messages or requests, how many.
    pub per_mille: u32,
    /// How much later, milliseconds, at most. A quarter comes at once.
    pub late_ms: u64,
}

/// A network in which things arrive twice. Clones share it.
#[derive(Clone)]
pub struct Echo {
    rate: Arc<Mutex<Rate>>,
    acts: Acts,
}

impl Echo {
    /// One in which nothing does, yet. What it does is counted among `acts`.
    pub fn new(acts: Acts) -> Self {
        Self { rate: Arc::default(), acts }
    }

    /// How often from now on.
    pub fn set(&self, rate: Rate) {
        *self.rate.lock() = rate;
    }

    /// How much later something comes again, if it does.
    fn draw(&self, rng: &mut StdRng) -> Option<Duration> {
        let Rate { per_mille, late_ms } = *self.rate.lock();
        if per_mille == 0 || rng.random_range(0..1_000) >= per_mille {
            return None;
        }
        let at_once = late_ms == 0 || rng.random_range(0..4) == 0;
        Some(Duration::from_millis(if at_once { 0 } else { rng.random_range(0..=late_ms) }))
    }
}

/// Puts the echo before all ears of a node.
pub fn channels<S, R>(
    context: &Context,
    channels: Channels<S, R>,
    echo: &Echo,
    seed: u64,
) -> Channels<S, Echoing<R>>
where
    R: Receiver<PublicKey = ed25519::PublicKey>,
{
    let mut number = 0;
    let mut ear = |receiver| {
        number += 1;
        let (context, echo) = (context.child("echo"), echo.clone());
        let rng = StdRng::seed_from_u64(seed ^ number << 56);
        Echoing { receiver, context, echo, rng, waiting: BTreeMap::new(), count: 0 }
    };
    let Channels { votes, certificates, resolver, backfill, broadcast, state_sync, gossip, inquiry } =
        channels;
    Channels {
        votes: (votes.0, ear(votes.1)),
        certificates: (certificates.0, ear(certificates.1)),
        resolver: (resolver.0, ear(resolver.1)),
        backfill: (backfill.0, ear(backfill.1)),
        broadcast: (broadcast.0, ear(broadcast.1)),
        state_sync: (state_sync.0, ear(state_sync.1)),
        gossip: (gossip.0, ear(gossip.1)),
        inquiry: (inquiry.0, ear(inquiry.1)),
    }
}

/// A channel's receiver, to which some messages come twice.
pub struct Echoing<R> {
    receiver: R,
    context: Context,
    echo: Echo,
    rng: StdRng,
    /// What comes again, by when, and in which order if that is the same.
    waiting: BTreeMap<(SystemTime, u64), Message<ed25519::PublicKey>>,
    count: u64,
}

impl<R: fmt::Debug> fmt::Debug for Echoing<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Echoing").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

impl<R: Receiver<PublicKey = ed25519::PublicKey>> Receiver for Echoing<R> {
    type Error = R::Error;
    type PublicKey = ed25519::PublicKey;

    async fn recv(&mut self) -> Result<Message<ed25519::PublicKey>, R::Error> {
        loop {
            let now = self.context.current();
            let due = self.waiting.first_key_value().map(|((due, _), _)| *due);
            if due.is_some_and(|due| due <= now) {
                let (_, message) = self.waiting.pop_first().expect("there is a first one");
                self.echo.acts.count("network", "delivered a message twice");
                return Ok(message);
            }
            let context = &self.context;
            let until_due = async {
                match due {
                    Some(due) => context.sleep_until(due).await,
                    None => pending().await,
                }
            };
            select! {
                heard = self.receiver.recv() => {
                    let message = heard?;
                    let again = self.echo.draw(&mut self.rng).filter(|_| self.waiting.len() < WAITING_MAX);
                    if let Some(late) = again {
                        self.count += 1;
                        self.waiting.insert((now + late, self.count), message.clone());
                    }
                    return Ok(message);
                },
                _ = until_due => {},
            }
        }
    }

    fn capacity(&self) -> NonZeroUsize {
        self.receiver.capacity()
    }
}

/// What answers requests, some of which come twice. Clones share everything.
pub struct Repeating<H> {
    inner: H,
    context: Arc<Context>,
    echo: Echo,
    rng: Arc<Mutex<StdRng>>,
}

impl<H> Repeating<H> {
    /// Puts the echo before `inner`.
    pub fn new(inner: H, context: Context, echo: Echo, seed: u64) -> Self {
        let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Self { inner, context: Arc::new(context), echo, rng }
    }
}

impl<H: Clone> Clone for Repeating<H> {
    fn clone(&self) -> Self {
        let Self { inner, context, echo, rng } = self;
        Self { inner: inner.clone(), context: context.clone(), echo: echo.clone(), rng: rng.clone() }
    }
}

impl<H: Handler> Handler for Repeating<H> {
    async fn admit(&self, peer: &ed25519::PublicKey) -> bool {
        self.inner.admit(peer).await
    }

    async fn handle(&self, peer: &ed25519::PublicKey, lane: u8, request: Bytes) -> Response {
        let again = self.echo.draw(&mut self.rng.lock());
        if let Some(late) = again {
            let (inner, acts) = (self.inner.clone(), self.echo.acts.clone());
            let (peer, request) = (peer.clone(), request.clone());
            self.context.child("again").spawn(move |context| async move {
                context.sleep(late).await;
                acts.count("network", "delivered a request twice");
                // Whoever asked has the first answer.
                drop(inner.handle(&peer, lane, request).await);
            });
        }
        self.inner.handle(peer, lane, request).await
    }
}
