//! Simplex, started as an observer or as a voter, one after the other in one process.
//!
//! An observer's journal is in the storage of everything else: it records nothing that the node has signed. It is
//! another partition than any journal of votes, which only their signer can replay.

use crate::{
    engine::{BUFFER, Context, Timeouts},
    journal,
    memory::{Memory, Noting, Voiced},
    voting::Role,
};
use commonware_consensus::{
    CertifiableAutomaton, Relay, Reporter,
    simplex::{
        self, Plan, SkipBudget,
        config::{Floor, ForwardPolicy, SkipPolicy},
        elector::RoundRobin,
        scheme::ed25519::Scheme,
        types::{Activity, Context as Round},
    },
    types::{Epoch, ViewDelta},
};
use commonware_cryptography::{Sha256, ed25519, sha256};
use commonware_p2p::{Blocker, Message, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle, buffer::paged::CacheRef};
use commonware_utils::{NZDuration, NZUsize};
use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::sync::Mutex;

/// A channel that is used by one after the other. Clones share it.
#[derive(Clone)]
pub(crate) struct Lent<S, R> {
    sender: S,
    receiver: Arc<Mutex<R>>,
    capacity: NonZeroUsize,
}

impl<S, R: Receiver> Lent<S, R> {
    pub(crate) fn new((sender, receiver): (S, R)) -> Self {
        let capacity = receiver.capacity();
        Self { sender, receiver: Arc::new(Mutex::new(receiver)), capacity }
    }
}

/// The receiver of one of them. Whoever had it before must have ended.
struct Borrowed<R>(Arc<Mutex<R>>, NonZeroUsize);

impl<R> fmt::Debug for Borrowed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Borrowed").field(&self.1).finish()
    }
}

impl<R: Receiver> Receiver for Borrowed<R> {
    type Error = R::Error;
    type PublicKey = R::PublicKey;

    async fn recv(&mut self) -> Result<Message<R::PublicKey>, R::Error> {
        self.0.lock().await.recv().await
    }

    fn capacity(&self) -> NonZeroUsize {
        self.1
    }
}

/// All that simplex needs.
pub(crate) struct Simplex<E, A, D, S, R, B> {
    pub observing: E,
    pub voting: E,
    pub partition: String,
    /// One that cannot sign, and one that can.
    pub schemes: (Scheme, Scheme),
    /// The epoch, and the block that it begins after.
    pub epoch: Epoch,
    pub floor: sha256::Digest,
    pub automaton: A,
    pub deferred: D,
    pub memory: Memory,
    pub heard: Arc<AtomicBool>,
    pub blocker: B,
    pub page_cache: CacheRef,
    pub timeouts: Timeouts,
    pub votes: Lent<S, R>,
    pub certificates: Lent<S, R>,
    pub resolver: Lent<S, R>,
    pub journal: journal::Place,
}

impl<E, A, D, S, R, B> Simplex<E, A, D, S, R, B>
where
    E: Context,
    A: CertifiableAutomaton<Digest = sha256::Digest, Context = Round<sha256::Digest, ed25519::PublicKey>>,
    D: Reporter<Activity = Activity<Scheme, sha256::Digest>>
        + Relay<Digest = sha256::Digest, PublicKey = ed25519::PublicKey, Plan = Plan<ed25519::PublicKey>>,
    S: Sender<PublicKey = ed25519::PublicKey>,
    R: Receiver<PublicKey = ed25519::PublicKey>,
    B: Blocker<PublicKey = ed25519::PublicKey>,
{
    /// Starts it. The one that was started before must have ended.
    pub(crate) fn start(&self, role: Role) -> Handle<()> {
        let (context, scheme, partition) = match role {
            Role::Observer => {
                (&self.observing, &self.schemes.0, format!("{}-observed-{}", self.partition, self.epoch))
            }
            Role::Voter(journal) => (&self.voting, &self.schemes.1, self.journal.votes(journal)),
        };
        let timeouts = &self.timeouts;
        let engine = simplex::Engine::new(
            context.child("simplex"),
            simplex::Config {
                scheme: scheme.clone(),
                elector: RoundRobin::<Sha256>::default(),
                blocker: self.blocker.clone(),
                automaton: self.automaton.clone(),
                relay: self.deferred.clone(),
                reporter: Noting { reporter: self.deferred.clone(), memory: self.memory.clone() },
                strategy: Sequential,
                partition,
                mailbox_size: NZUsize!(256),
                epoch: self.epoch,
                // A journal that begins with a finalization begins there.
                floor: Floor::Genesis(self.floor),
                replay_buffer: BUFFER,
                write_buffer: BUFFER,
                page_cache: self.page_cache.clone(),
                leader_timeout: timeouts.leader,
                certification_timeout: timeouts.certification,
                timeout_retry: timeouts.retry,
                view_retention: ViewDelta::new(64),
                skip: SkipPolicy::Enabled { timeout: timeouts.skip, budget: SkipBudget::Participants },
                fetch_timeout: NZDuration!(Duration::from_secs(2)),
                fetch_retry_delay: Duration::from_millis(500),
                forward: ForwardPolicy::Disabled,
                track_historical_votes: false,
            },
        );
        let voiced = |channel: &Lent<S, R>, memory: Option<&Memory>| {
            let sender =
                Voiced { sender: channel.sender.clone(), heard: self.heard.clone(), memory: memory.cloned() };
            (sender, Borrowed(channel.receiver.clone(), channel.capacity))
        };
        let resolver =
            (self.resolver.sender.clone(), Borrowed(self.resolver.receiver.clone(), self.resolver.capacity));
        engine.start(voiced(&self.votes, Some(&self.memory)), voiced(&self.certificates, None), resolver)
    }
}
