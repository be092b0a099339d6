//! What this node has applied, as far as it can prove it.
//!
//! A block is *proved* here when its state is in the database, its entries are in the index, and a finalization
//! certificate covers it: its own, or that of a descendant (consensus does not certify every height by itself). Only
//! then do submitters hear of their transactions and readers get proofs at its height.
//!
//! # After a start
//!
//! What was applied before a crash is applied again, from wherever the disk was left, while newer blocks may be final
//! already. Were a node to tell of these old blocks, a quorum of such nodes could tell a reader that an old block is the
//! newest.
//!
//! A write is acknowledged when a quorum have told that they applied its block, and a read is answered by a quorum. The two
//! share a node that is not faulty. So no read misses what was acknowledged before if every node, whether it votes or not,
//! *never tells of less than it has told of*. While it runs, heights only rise. It remains to keep this over a restart:
//!
//! 1. A node applies only blocks that are synced in its archive of final blocks: the engine hands on no others. So what it
//!    has told of is in that archive after any crash, of the process or of the machine.
//! 2. After a start it tells of nothing until it has proved a block not below the highest that the archive holds then.
//!
//! Nothing in this depends on what the node voted for, or on when others were started: it may have got the block by its
//! certificate alone. And to get there again it needs nothing new from others but what consensus gives it in any case:
//! the blocks are final, and there; if the last certificate was not synced, that of a later block proves them, which
//! comes as soon as a quorum runs again, f nodes silent or not.
//!
//! A node that lost its archive counts as faulty until it has caught up. It does what it can: if it still has its journal
//! of votes, it tells of nothing until it has applied a block of the highest view in which, by the journal, it voted to
//! finalize, or of a later one. Whatever was acknowledged, a quorum voted to finalize it or a descendant; so even if all
//! nodes lose their archives, and none its journal, what an honest node of a reader's quorum voted for is waited for. A
//! node whose votes are lost has no such journal, and waits for its archive alone. When it votes again, it tells of nothing
//! until it has applied a block of the view above which it remembers its votes again: whatever it had voted to finalize is
//! not above that.

use crate::{block::Block, protocol::Decision, query::decision_of, rising::Rising};
use commonware_utils::sync::{Mutex, MutexGuard};
use proof::{
    Digest, Header,
    finality::{Finalization, FinalizedHeader},
    limits::HEADER_CHAIN_MAX,
    wire::List,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::oneshot;

/// Proved headers kept for readers. A reader whose state is older than that tries again.
const HEADERS_KEPT: usize = 256;

/// What became of a submitted transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in a final block.
    Included(Box<Decision>),
    /// Block time passed its expiry: it will never be in a block.
    Expired,
}

#[derive(Default)]
struct Inner {
    /// Applied blocks that no certificate covers yet, ascending.
    unproved: VecDeque<Arc<Block>>,
    /// The newest proved headers, by the state root after them.
    proved: BTreeMap<Digest, FinalizedHeader>,
    proved_order: VecDeque<Digest>,
    waiters: BTreeMap<Digest, Vec<oneshot::Sender<Fate>>>,
    telling: Telling,
    /// The epoch whose views are meant.
    epoch: u64,
    /// Height of the highest block that the archive held at the start.
    kept: u64,
}

/// Whether readers may be told of what is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Telling {
    /// When a block of this view, or a later one, is applied.
    From(u64),
    #[default]
    Always,
}

/// Shared between the task that applies blocks and those that answer requests.
#[derive(Clone)]
pub struct Applied {
    inner: Arc<Mutex<Inner>>,
    height: Rising,
}

impl Applied {
    /// Nothing applied yet, by a node that voted in this epoch to finalize up to this view; zero if it never did, or has
    /// lost its votes.
    pub fn new(epoch: u64, finalizing: u64) -> Self {
        let telling = if finalizing > 0 { Telling::From(finalizing) } else { Telling::Always };
        let inner = Inner { telling, epoch, ..Inner::default() };
        Self { inner: Arc::new(Mutex::new(inner)), height: Rising::default() }
    }

    /// From now on this node counts again, as one that voted to finalize up to this view.
    pub fn tell_from(&self, finalizing: u64) {
        let mut inner = self.inner.lock();
        inner.telling = Telling::From(finalizing);
        self.tell(inner);
    }

    /// At the start the archive of final blocks held none above this height. To be said before any block is applied.
    pub fn kept(&self, height: u64) {
        self.inner.lock().kept = height;
    }

    /// Tells of the newest proved block, if that may be.
    fn tell(&self, mut inner: MutexGuard<'_, Inner>) {
        let Some(reached) = inner.newest().map(|newest| (newest.header.epoch, newest.header.view)) else {
            return;
        };
        if matches!(inner.telling, Telling::From(first) if reached >= (inner.epoch, first)) {
            inner.telling = Telling::Always;
        }
        let told = inner.told().map(|newest| newest.header.height);
        drop(inner);
        if let Some(height) = told {
            self.height.raise(height);
        }
    }

    /// The height of the newest proved block that readers may be told of.
    pub fn height(&self) -> &Rising {
        &self.height
    }

    /// Waits for the fate of a transaction. Register before handing it to the pool.
    pub fn wait(&self, transaction: Digest) -> oneshot::Receiver<Fate> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner.lock();
        let waiters = inner.waiters.entry(transaction).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(sender);
        receiver
    }

    /// Forgets waiters that no longer listen.
    pub fn forget_closed(&self) {
        self.inner.lock().waiters.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
    }

    /// The proved header after which the state has this root, if readers may be told.
    pub fn header(&self, state_root: &Digest) -> Option<FinalizedHeader> {
        let inner = self.inner.lock();
        let tells = inner.told().is_some();
        inner.proved.get(state_root).filter(|proved| tells && proved.header.height >= inner.kept).cloned()
    }

    /// The newest proved header, if readers may be told.
    pub fn newest(&self) -> Option<FinalizedHeader> {
        self.inner.lock().told().cloned()
    }

    /// The newest proved header, also if readers may not be told yet: how far this node has got.
    pub fn reached(&self) -> Option<Header> {
        self.inner.lock().newest().map(|newest| newest.header.clone())
    }

    /// The height of the newest proved header that readers may be told of; zero before the first.
    pub fn newest_height(&self) -> u64 {
        self.height.get()
    }

    /// Takes the next applied block and, if it has one, its own certificate.
    pub fn push(&self, block: Arc<Block>, finalization: Option<Finalization>) {
        let mut inner = self.inner.lock();
        inner.unproved.push_back(block);
        // A block so far below the next certificate cannot be proved in the space that a proof has; its transactions
        // are proved by nodes that saw a nearer certificate.
        while inner.unproved.len() > HEADER_CHAIN_MAX + 1 {
            inner.unproved.pop_front();
        }
        let Some(finalization) = finalization else { return };
        let blocks: Vec<Arc<Block>> = inner.unproved.drain(..).collect();
        let headers: Vec<Header> = blocks.iter().map(|block| block.header.clone()).collect();
        for (at, block) in blocks.iter().enumerate() {
            let descendants = List::new(headers[at + 1..].to_vec()).expect("bounded above");
            let header = headers[at].clone();
            inner.prove(block, FinalizedHeader { header, descendants, finalization: finalization.clone() });
        }
        self.tell(inner);
    }

    /// Tells those who wait for these transactions that they expired.
    pub fn expire<'a>(&self, transactions: impl IntoIterator<Item = &'a Digest>) {
        let mut inner = self.inner.lock();
        for id in transactions {
            for waiter in inner.waiters.remove(id).into_iter().flatten() {
                let _ = waiter.send(Fate::Expired);
            }
        }
    }
}

impl Inner {
    /// The newest proved header.
    fn newest(&self) -> Option<&FinalizedHeader> {
        self.proved_order.back().map(|root| &self.proved[root])
    }

    /// The same, if readers may be told.
    fn told(&self) -> Option<&FinalizedHeader> {
        let newest = self.newest().filter(|newest| newest.header.height >= self.kept);
        newest.filter(|_| self.telling == Telling::Always)
    }

    fn prove(&mut self, block: &Block, proved: FinalizedHeader) {
        let leaves = block.leaves();
        for (index, leaf) in leaves.iter().enumerate() {
            let Some(waiters) = self.waiters.remove(&leaf.transaction) else { continue };
            let decision = decision_of(&leaves, index, proved.clone());
            for waiter in waiters {
                // A waiter that is gone needs no answer.
                let _ = waiter.send(Fate::Included(Box::new(decision.clone())));
            }
        }
        let root = proved.header.state_root;
        if self.proved.insert(root, proved).is_none() {
            self.proved_order.push_back(root);
        }
        while self.proved_order.len() > HEADERS_KEPT {
            let oldest = self.proved_order.pop_front().expect("not empty");
            self.proved.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(view: u64) -> Arc<Block> {
        let mut block = crate::block::tests::empty();
        block.header.view = view;
        block.header.height = view;
        block.header.state_root = Digest([view as u8; 32]);
        Arc::new(block)
    }

    /// Nobody here looks at signatures.
    fn finalization() -> Finalization {
        Finalization {
            epoch: 0,
            view: 1,
            parent_view: 0,
            block: Digest([0; 32]),
            committee_size: 4,
            signatures: Vec::new(),
        }
    }

    fn told(applied: &Applied) -> (u64, bool) {
        assert_eq!(applied.newest().map_or(0, |newest| newest.header.height), applied.newest_height());
        (applied.newest_height(), applied.header(&Digest([1; 32])).is_some())
    }

    #[test]
    fn a_restarted_voter_tells_of_nothing_older_than_its_votes() {
        let applied = Applied::new(0, 3);
        applied.push(block(1), Some(finalization()));
        assert_eq!(told(&applied), (0, false));
        applied.push(block(2), Some(finalization()));
        assert_eq!(told(&applied), (0, false));
        assert_eq!(applied.reached().map(|header| header.height), Some(2));
        applied.push(block(3), Some(finalization()));
        assert_eq!(told(&applied), (3, true));
    }

    #[test]
    fn one_that_had_applied_all_tells_at_once() {
        let applied = Applied::new(0, 1);
        applied.push(block(1), Some(finalization()));
        assert_eq!(told(&applied), (1, true));
    }

    #[test]
    fn one_that_votes_again_tells_of_nothing_older_than_what_it_may_have_voted_for() {
        let applied = Applied::new(0, 0);
        applied.push(block(1), Some(finalization()));
        applied.tell_from(2);
        assert_eq!(applied.newest(), None);
        assert_eq!(applied.header(&Digest([1; 32])), None);
        applied.push(block(2), Some(finalization()));
        assert_eq!(told(&applied), (2, true));
    }

    /// It had applied, and told of, a block that it did not vote for: it came with its certificate.
    #[test]
    fn a_restarted_node_tells_of_nothing_older_than_it_told_of() {
        for finalizing in [0, 1] {
            let applied = Applied::new(0, finalizing);
            applied.kept(3);
            applied.push(block(1), Some(finalization()));
            applied.push(block(2), Some(finalization()));
            assert_eq!(told(&applied), (0, false), "it may have told of block 3");
            assert_eq!(applied.reached().map(|header| header.height), Some(2));
            applied.push(block(3), None);
            assert_eq!(told(&applied), (0, false), "its certificate was not synced");
            applied.push(block(4), Some(finalization()));
            assert_eq!(told(&applied), (4, false), "and never of the state before");
            assert!(applied.header(&Digest([3; 32])).is_some());
        }
    }

    #[test]
    fn an_observer_does_not_wait_for_votes() {
        let applied = Applied::new(0, 0);
        applied.push(block(1), Some(finalization()));
        assert_eq!(told(&applied), (1, true));
    }
}
