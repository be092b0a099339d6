//! What a node asks of the others for itself. It has a link of its own like everybody, which is never used.

use crate::{
    client::{Client, ClientContext, Error, Shared, error::Failure},
    wire::{CONTROL, HOLDS_MAX, Request, Response},
};
use bytes::Bytes;
use futures::future::join_all;
use proof::{
    Digest,
    manifest::Opening,
    wire::{Encode, List},
};
use std::time::{Duration, SystemTime};

/// How long a node may take to say what it holds.
const HOLDS_TIMEOUT: Duration = Duration::from_secs(2);

impl<E: ClientContext> Client<E> {
    /// Shards that give a chunk back.
    pub(crate) fn k(&self) -> usize {
        self.shared.committee.k()
    }

    /// For each of up to [`HOLDS_MAX`] ids, how many nodes besides `own` say that they hold it.
    pub(crate) async fn holders(&self, ids: &[Digest], own: usize) -> Vec<usize> {
        let asked: Vec<Digest> = ids.iter().copied().take(HOLDS_MAX).collect();
        let request = Request::Holds(List::new(asked).expect("cut to its limit")).encode();
        let deadline = self.shared.after(HOLDS_TIMEOUT);
        let others = (0..self.shared.nodes.len()).filter(|node| *node != own);
        let answers =
            join_all(others.map(|node| self.shared.holds(node, request.clone(), ids.len(), deadline))).await;
        let mut holders = vec![0; ids.len()];
        for flags in answers.into_iter().flatten() {
            for (count, flag) in holders.iter_mut().zip(flags) {
                *count += usize::from(flag);
            }
        }
        holders
    }

    /// The shard of node `own` of a chunk, rebuilt from others' shards, and the chunk's opening.
    pub(crate) async fn rebuild_shard(&self, id: &Digest, own: usize) -> Result<(Opening, Bytes), Error> {
        let shared = &self.shared;
        let k = shared.committee.k();
        let order = shared.others(own, |node| node >= k);
        let (opening, shards) = shared.gather_shards(id, order).await?;
        let inconsistent = |_| Error::Inconsistent(*id);
        let ciphertext = shared.code.decode(&opening, &shards).map_err(inconsistent)?;
        let mut chunk = shared.code.encode(&ciphertext);
        if chunk.opening.shards[own] != opening.shards[own] {
            return Err(Error::Inconsistent(*id));
        }
        Ok((opening, chunk.shards.swap_remove(own)))
    }

    /// The encoding of a page, from any node but `own`.
    pub(crate) async fn fetch_page(&self, id: &Digest, own: usize) -> Result<Bytes, Error> {
        let order = self.shared.others(own, |_| false);
        self.shared.gather_page(id, order).await.map(|(_, encoded)| encoded)
    }
}

impl<E: ClientContext> Shared<E> {
    /// All nodes but `own`, best first.
    fn others(&self, own: usize, handicap: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut order = self.by_preference(handicap);
        order.retain(|node| *node != own);
        order
    }

    /// What a node says that it holds, of as many ids as the request names; none if it does not answer.
    async fn holds(
        &self,
        node: usize,
        request: Bytes,
        ids: usize,
        deadline: SystemTime,
    ) -> Option<Vec<bool>> {
        let failure = match self.call(node, CONTROL, request.into(), deadline).await {
            Ok(Response::Held(flags)) if flags.len() == ids => {
                return Some(flags.iter().map(|flag| *flag == 1).collect());
            }
            Ok(_) => Failure::Lied("an answer that does not fit the question".into()),
            Err(failure) => failure,
        };
        self.blame(node, &failure);
        None
    }
}
