//! The gateway's half of the protocol: disperses chunks, gathers certificates, fetches chunks.
//!
//! Writing: shard i of a chunk goes to node i, all at once; [`Client::put_chunk`] returns when a quorum (2f + 1) have
//! written theirs. The others go on in the background, each within [`ClientLimits::lagging_bytes`]; beyond, a node's
//! shard is dropped here and nothing remembered. [`Client::certify`] then asks each node for its receipt. A node that
//! lacks shards says which; they are rebuilt from the other nodes' and pushed, so a client that no longer has the
//! chunks, or another client, can finish a write. Receipts of a quorum make the certificate.
//!
//! Reading: [`Client::get_chunk`] asks the k nodes that answer fastest, preferring data shards, which need no decoding.
//! A node that fails is replaced at once, one that is slow is hedged with one more. Every shard is checked against
//! the chunk's opening, and the opening against the chunk's id, so no node can pass off anything else. A node that
//! tries is avoided for a time and reported with the evidence.

mod certify;
mod disperse;
mod error;
mod gather;
mod nodes;
mod restore;

pub use error::Error;

use crate::wire::{CONTROL, NodeStatus, Request, Response};
use blob::Code;
use commonware_runtime::{Clock, Spawner};
use commonware_utils::{channel::mpsc, futures::Pool};
use error::Failure;
use futures::future::{BoxFuture, join_all};
use nodes::Node;
use proof::{Committee, Digest, Lineage, wire::Encode};
use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, SystemTime},
};

/// What a client needs of its runtime. Every commonware runtime context has it.
pub trait ClientContext: Spawner + Clock {}

impl<E: Spawner + Clock> ClientContext for E {}

/// What a client spends at most.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    /// Time for putting one chunk or page to a quorum, retries included.
    pub put_timeout: Duration,
    /// Time for gathering one certificate, repairs included.
    pub certify_timeout: Duration,
    /// Time for fetching one chunk or page, retries included.
    pub get_timeout: Duration,
    /// Time for one answer of one node.
    pub call_timeout: Duration,
    /// Bytes on their way to one node that lags behind the quorum; beyond, its shards are dropped.
    pub lagging_bytes: usize,
    /// Certifications that go on in the background for nodes that lag behind the quorum.
    pub lagging_certifications: usize,
    /// How long a node that sent something false is asked last.
    pub avoid: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            put_timeout: Duration::from_secs(30),
            certify_timeout: Duration::from_secs(60),
            get_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(15),
            lagging_bytes: 32 << 20,
            lagging_certifications: 16,
            avoid: Duration::from_secs(300),
        }
    }
}

/// Puts and gets chunks over one link to each node. Clones share everything.
pub struct Client<E: ClientContext> {
    shared: Arc<Shared<E>>,
}

impl<E: ClientContext> Clone for Client<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

struct Shared<E> {
    context: E,
    network: Digest,
    committee: Committee,
    code: Code,
    limits: ClientLimits,
    nodes: Vec<Node>,
    /// Takes what goes on when its caller has what he wants. Bounded by what may lag.
    background: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
    lagging_certifications: AtomicUsize,
}

impl<E: ClientContext> Client<E> {
    /// A client of the network with this genesis, over one link to each node in the order of the committee. Its
    /// background work ends with the task that `context` belongs to.
    pub fn new(context: E, lineage: &Lineage, links: Vec<link::Client>) -> Self {
        Self::with_limits(
            context,
            lineage.network(),
            lineage.committee().clone(),
            links,
            ClientLimits::default(),
        )
    }

    /// A client of the network with this id and committee. See [`Self::new`].
    pub fn with_limits(
        context: E,
        network: Digest,
        committee: Committee,
        links: Vec<link::Client>,
        limits: ClientLimits,
    ) -> Self {
        assert_eq!(links.len(), committee.n(), "one link to each node");
        let code = Code::new(committee.k(), committee.n()).expect("a committee's sizes make a code");
        let (background, mut tasks) = mpsc::unbounded_channel::<BoxFuture<'static, ()>>();
        context.child("background").spawn(move |_| async move {
            let mut pool = Pool::default();
            loop {
                commonware_macros::select! {
                    task = tasks.recv() => match task {
                        Some(task) => pool.push(task),
                        None => break,
                    },
                    _ = pool.next_completed() => {},
                }
            }
        });
        let nodes = links.into_iter().map(Node::new).collect();
        let lagging_certifications = AtomicUsize::new(0);
        let shared =
            Shared { context, network, committee, code, limits, nodes, background, lagging_certifications };
        Self { shared: Arc::new(shared) }
    }

    /// How each node's shard log is, in the order of the committee.
    pub async fn status(&self) -> Vec<Result<NodeStatus, String>> {
        let deadline = self.shared.after(self.shared.limits.call_timeout);
        join_all((0..self.shared.nodes.len()).map(|node| async move {
            let answer = self.shared.call(node, CONTROL, Request::Status.encode().into(), deadline).await;
            match answer {
                Ok(Response::Status(status)) => Ok(status),
                Ok(_) => Err("an answer that does not fit the question".into()),
                Err(failure) => Err(failure.to_string()),
            }
        }))
        .await
    }
}

impl<E: ClientContext> Shared<E> {
    fn after(&self, duration: Duration) -> SystemTime {
        self.context.current() + duration
    }

    /// Time left until `deadline`.
    fn left(&self, deadline: SystemTime) -> Duration {
        deadline.duration_since(self.context.current()).unwrap_or(Duration::ZERO)
    }

    /// Waits, but not beyond `deadline`. Whether there is time left.
    async fn pause(&self, duration: Duration, deadline: SystemTime) -> bool {
        if self.left(deadline) <= duration {
            return false;
        }
        self.context.sleep(duration).await;
        true
    }

    /// Sends `failure` of `node` to the log if it is a lie, and prefers other nodes for a time.
    fn blame(&self, node: usize, failure: &Failure) {
        let peer = self.committee.nodes()[node];
        let avoid = match failure {
            Failure::Lied(evidence) => {
                tracing::warn!(node, %peer, %evidence, "node sent something false");
                self.limits.avoid
            }
            Failure::NotHeld | Failure::Refused(_) | Failure::Full => return,
            Failure::Unreachable(_) | Failure::Overloaded | Failure::Broken => {
                tracing::debug!(node, %peer, %failure, "call failed");
                Duration::from_secs(1)
            }
        };
        self.nodes[node].avoid_until(self.after(avoid));
    }
}
