//! Putting: to all nodes at once, until a quorum has it.

use crate::{
    client::{
        Client, ClientContext, Error, Shared,
        error::{Failure, sum},
        nodes::take_lagging,
    },
    wire::{self, PUT, Response},
};
use blob::EncodedChunk;
use commonware_runtime::IoBufs;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use proof::{
    Digest,
    manifest::{Page, page_id},
    wire::Encode,
};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

/// Waits before a node that failed is tried again: the first, which doubles up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// One node's part of a put.
struct Put {
    node: usize,
    bytes: usize,
    outcome: BoxFuture<'static, Result<(), Failure>>,
}

impl Future for Put {
    type Output = (usize, Result<(), Failure>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let node = self.node;
        self.outcome.poll_unpin(context).map(|outcome| (node, outcome))
    }
}

impl<E: ClientContext> Client<E> {
    /// Puts each shard to its node. Returns when a quorum have written theirs; not yet synced.
    pub async fn put_chunk(&self, chunk: EncodedChunk) -> Result<(), Error> {
        assert_eq!(chunk.shards.len(), self.shared.nodes.len(), "one shard for each node");
        let requests = chunk
            .shards
            .into_iter()
            .enumerate()
            .map(|(index, shard)| wire::put_shard_request(index as u8, &chunk.opening, shard));
        self.disperse(chunk.id, requests.collect()).await
    }

    /// Puts a manifest page to every node, and returns its id. Otherwise like [`Self::put_chunk`].
    pub async fn put_page(&self, page: &Page) -> Result<Digest, Error> {
        let encoded = page.encode();
        let id = page_id(&encoded);
        let request = wire::put_page_request(encoded);
        self.disperse(id, vec![request; self.shared.nodes.len()]).await?;
        Ok(id)
    }

    async fn disperse(&self, id: Digest, requests: Vec<IoBufs>) -> Result<(), Error> {
        let shared = &self.shared;
        let deadline = shared.after(shared.limits.put_timeout);
        let has_quorum = Arc::new(AtomicBool::new(false));
        let mut puts: FuturesUnordered<Put> = requests
            .into_iter()
            .enumerate()
            .map(|(node, request)| {
                let (bytes, shared, has_quorum) = (request.len(), shared.clone(), has_quorum.clone());
                let put = async move { shared.put(node, id, request, deadline, &has_quorum).await };
                Put { node, bytes, outcome: put.boxed() }
            })
            .collect();

        let needed = shared.committee.quorum();
        let (mut good, mut failed) = (0, Vec::new());
        while let Some((node, outcome)) = puts.next().await {
            match outcome {
                Ok(()) => good += 1,
                Err(failure) => failed.push((node, failure)),
            }
            if good == needed {
                has_quorum.store(true, Ordering::Relaxed);
                for put in puts {
                    shared.let_lag(put);
                }
                return Ok(());
            }
            if failed.len() > shared.nodes.len() - needed {
                break;
            }
        }
        Err(sum(good, needed, &failed, None))
    }
}

impl<E: ClientContext> Shared<E> {
    /// Puts to one node. A failure that may pass is tried again until there is a quorum without it.
    pub(super) async fn put(
        &self,
        node: usize,
        id: Digest,
        request: IoBufs,
        deadline: SystemTime,
        has_quorum: &AtomicBool,
    ) -> Result<(), Failure> {
        let _in_flight = self.nodes[node].put_in_flight(id);
        let mut retry = RETRY_FIRST;
        loop {
            let failure = match self.call(node, PUT, request.clone(), deadline).await {
                Ok(Response::Done) => return Ok(()),
                Ok(_) => Failure::Lied("an answer that does not fit the question".into()),
                Err(failure) => failure,
            };
            self.blame(node, &failure);
            if !failure.may_pass() || has_quorum.load(Ordering::Relaxed) || !self.pause(retry, deadline).await
            {
                return Err(failure);
            }
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    /// Lets a put go on in the background, unless too much is on its way to the node already.
    fn let_lag(self: &Arc<Self>, put: Put) {
        let node = &self.nodes[put.node];
        if !take_lagging(&node.lagging_bytes, put.bytes, self.limits.lagging_bytes) {
            tracing::debug!(node = put.node, "dropped a put: the node lags too far behind");
            return;
        }
        let lagging = Lagging { shared: self.clone(), node: put.node, bytes: put.bytes };
        let task = async move {
            // Its failure is repaired when the manifest is certified.
            let _ = put.await;
            drop(lagging);
        };
        // The task that takes it ends only with the runtime.
        let _ = self.background.send(task.boxed());
    }
}

/// Bytes on their way to a node that no caller waits for.
struct Lagging<E> {
    shared: Arc<Shared<E>>,
    node: usize,
    bytes: usize,
}

impl<E> Drop for Lagging<E> {
    fn drop(&mut self) {
        self.shared.nodes[self.node].lagging_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
