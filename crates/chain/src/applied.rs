//! What this node has applied, as far as it can prove it.
//!
//! A block is *proved* here when its state is in the database, its entries are in the index, and a finalization
//! certificate covers it: its own, or that of a descendant (consensus does not certify every height by itself). Only
//! then do submitters hear of their transactions and readers get proofs at its height.

use crate::{block::Block, protocol::Decision, query::decision_of};
use commonware_utils::sync::Mutex;
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
use tokio::sync::{oneshot, watch};

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
}

/// Shared between the task that applies blocks and those that answer requests.
#[derive(Clone)]
pub struct Applied {
    inner: Arc<Mutex<Inner>>,
    height: Arc<watch::Sender<u64>>,
}

impl Default for Applied {
    fn default() -> Self {
        Self { inner: Arc::default(), height: Arc::new(watch::channel(0).0) }
    }
}

impl Applied {
    /// The height of the newest proved block, and its changes.
    pub fn height(&self) -> watch::Receiver<u64> {
        self.height.subscribe()
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

    /// The proved header after which the state has this root.
    pub fn header(&self, state_root: &Digest) -> Option<FinalizedHeader> {
        self.inner.lock().proved.get(state_root).cloned()
    }

    /// The newest proved header.
    pub fn newest(&self) -> Option<FinalizedHeader> {
        let inner = self.inner.lock();
        inner.proved_order.back().map(|root| inner.proved[root].clone())
    }

    /// The height of the newest proved header; zero before the first.
    pub fn newest_height(&self) -> u64 {
        *self.height.borrow()
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
        let newest = headers.last().expect("just pushed").height;
        for (at, block) in blocks.iter().enumerate() {
            let descendants = List::new(headers[at + 1..].to_vec()).expect("bounded above");
            let header = headers[at].clone();
            inner.prove(block, FinalizedHeader { header, descendants, finalization: finalization.clone() });
        }
        drop(inner);
        self.height.send_replace(newest);
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
