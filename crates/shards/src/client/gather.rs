//! Fetching: k good answers from n nodes, some of them slow, dead or lying.

use crate::{
    client::{
        Client, ClientContext, Error, Shared,
        error::{Failure, sum},
    },
    wire::{GET_PAGE, Request, Response, get_shard_lane},
};
use blob::{CheckedShard, DecodeError};
use bytes::Bytes;
use commonware_macros::select;
use commonware_runtime::IoBufs;
use futures::{FutureExt, StreamExt, future::Either, stream::FuturesUnordered};
use link::Lane;
use proof::{
    Digest,
    manifest::{Opening, Page, page_id},
    wire::{DecodeExt, Encode},
};
use std::{collections::VecDeque, time::Duration};

/// Waits before a slow node is hedged: between these, by the latency of the nodes asked.
const HEDGE_MIN: Duration = Duration::from_millis(10);
const HEDGE_MAX: Duration = Duration::from_secs(1);
/// First wait before nodes that all failed are asked again; doubles.
const RETRY_FIRST: Duration = Duration::from_millis(50);

impl<E: ClientContext> Client<E> {
    /// The ciphertext of a chunk.
    pub async fn get_chunk(&self, id: &Digest) -> Result<Bytes, Error> {
        let k = self.shared.committee.k();
        let order = self.shared.by_preference(|node| node >= k);
        let (opening, shards) = self.shared.gather_shards(id, order).await?;
        match self.shared.code.decode(&opening, &shards) {
            Ok(ciphertext) => Ok(ciphertext),
            // The chunk's truth is what its data shards say. Parity that fits nothing hides it from nobody.
            Err(DecodeError::Inconsistent) => {
                let data =
                    self.shared.by_preference(|_| false).into_iter().filter(|node| *node < k).collect();
                let gathered = self.shared.gather_shards(id, data).await;
                let (opening, shards) = gathered.map_err(|_| Error::Inconsistent(*id))?;
                self.shared.code.decode(&opening, &shards).map_err(|_| Error::Inconsistent(*id))
            }
            Err(_) => Err(Error::Inconsistent(*id)),
        }
    }

    /// A manifest page.
    pub async fn get_page(&self, id: &Digest) -> Result<Page, Error> {
        self.shared.gather_page(id, self.shared.by_preference(|_| false)).await.map(|(page, _)| page)
    }
}

impl<E: ClientContext> Shared<E> {
    /// k checked shards of a chunk, from nodes asked in this order.
    pub(super) async fn gather_shards(
        &self,
        id: &Digest,
        order: Vec<usize>,
    ) -> Result<(Opening, Vec<CheckedShard>), Error> {
        let k = self.committee.k();
        let request: IoBufs = Request::GetShard(*id).encode().into();
        let check = |node: usize, response: Response| {
            let Response::Shard(shard) = response else {
                return Err(Failure::Lied("an answer that does not fit the question".into()));
            };
            if shard.opening.id() != *id {
                return Err(Failure::Lied(format!("an opening of {} for chunk {id}", shard.opening.id())));
            }
            if usize::from(shard.index) != node {
                return Err(Failure::Lied(format!(
                    "shard {} of chunk {id}, which is not its own",
                    shard.index
                )));
            }
            let bytes = shard.bytes.bytes();
            match self.code.check_shard(&shard.opening, node, bytes.clone()) {
                Ok(checked) => Ok((shard.opening, checked)),
                Err(error) => {
                    let got = blake3::hash(bytes);
                    Err(Failure::Lied(format!("for chunk {id} bytes with hash {got}: {error}")))
                }
            }
        };
        let gathered = self.gather(id, order, k, get_shard_lane(k), request, check).await?;
        // All openings hash to the id, so they are the same.
        let opening = gathered[0].0.clone();
        Ok((opening, gathered.into_iter().map(|(_, shard)| shard).collect()))
    }

    /// A page and its encoding, from nodes asked in this order.
    pub(super) async fn gather_page(&self, id: &Digest, order: Vec<usize>) -> Result<(Page, Bytes), Error> {
        let request: IoBufs = Request::GetPage(*id).encode().into();
        let check = |_, response| {
            let Response::Page(page) = response else {
                return Err(Failure::Lied("an answer that does not fit the question".into()));
            };
            let got = page_id(&page);
            if got != *id {
                return Err(Failure::Lied(format!("page {got} for page {id}")));
            }
            // No correct node stores what is not a page, whatever its hash.
            let decoded = Page::decode(page.bytes().clone());
            let decoded =
                decoded.map_err(|error| Failure::Lied(format!("page {id} does not decode: {error}")))?;
            Ok((decoded, page.bytes().clone()))
        };
        let mut gathered = self.gather(id, order, 1, GET_PAGE, request, check).await?;
        Ok(gathered.remove(0))
    }

    /// Asks nodes in this order until `needed` answers have passed `check`.
    async fn gather<T>(
        &self,
        id: &Digest,
        order: Vec<usize>,
        needed: usize,
        lane: Lane,
        request: IoBufs,
        check: impl Fn(usize, Response) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Error> {
        let deadline = self.after(self.limits.get_timeout);
        let mut waiting = VecDeque::from(order);
        let mut asked = FuturesUnordered::new();
        let (mut good, mut failed) = (Vec::new(), Vec::new());
        let mut retry = RETRY_FIRST;
        let mut hedge = HEDGE_MIN;
        let ask = |node: usize| {
            let request = request.clone();
            async move {
                let started = self.context.current();
                let answer = self.call(node, lane, request, deadline).await;
                let latency = self.context.current().duration_since(started).unwrap_or_default();
                (node, latency, answer)
            }
        };
        while good.len() < needed {
            while asked.len() + good.len() < needed {
                let Some(node) = waiting.pop_front() else { break };
                hedge = hedge.max(self.nodes[node].latency() * 3).min(HEDGE_MAX);
                asked.push(ask(node));
            }
            if asked.is_empty() {
                // Every node has failed that was not good: ask again those that may have recovered.
                let (passing, lasting): (Vec<_>, Vec<_>) =
                    failed.into_iter().partition(|(_, failure): &(usize, Failure)| failure.may_pass());
                if passing.is_empty()
                    || passing.len() + good.len() < needed
                    || !self.pause(retry, deadline).await
                {
                    let failed: Vec<_> = passing.into_iter().chain(lasting).collect();
                    return Err(sum(good.len(), needed, &failed, Some(*id)));
                }
                waiting = passing.into_iter().map(|(node, _)| node).collect();
                failed = lasting;
                retry *= 2;
                continue;
            }
            let patience = if waiting.is_empty() {
                Either::Left(futures::future::pending())
            } else {
                Either::Right(self.context.sleep(hedge))
            };
            select! {
                answer = asked.select_next_some() => {
                    let (node, latency, answer) = answer;
                    match answer.and_then(|response| check(node, response)) {
                        Ok(checked) => {
                            self.nodes[node].answered(latency);
                            good.push(checked);
                        }
                        Err(failure) => {
                            self.blame(node, &failure);
                            failed.push((node, failure));
                        }
                    }
                },
                _ = patience.fuse() => {
                    let node = waiting.pop_front().expect("there is patience only while nodes wait");
                    asked.push(ask(node));
                },
            }
        }
        for node in waiting {
            self.nodes[node].passed_over();
        }
        Ok(good)
    }
}
