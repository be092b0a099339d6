//! What a rogue remembers of what passed: bounded, oldest first.

use bytes::Bytes;
use proof::SignedTransaction;
use std::collections::{BTreeMap, VecDeque};

/// Kept of each kind.
const KEPT: usize = 64;
/// Questions whose answers are kept.
const QUESTIONS: usize = 256;

/// What passed.
#[derive(Default)]
pub(super) struct Memory {
    /// An honest answer to each question, by the question without its height.
    answers: BTreeMap<Bytes, Bytes>,
    /// Honest answers to any question, of both lanes.
    shards: VecDeque<Bytes>,
    chain: VecDeque<Bytes>,
    /// Transactions that were submitted here.
    transactions: VecDeque<SignedTransaction>,
    /// What the node said, by channel.
    said: BTreeMap<u64, VecDeque<Bytes>>,
    /// The greatest view that the node voted in.
    pub(super) view: u64,
}

fn keep<T>(kept: &mut VecDeque<T>, thing: T) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(thing);
}

impl Memory {
    /// The answer first given to this question, if it is not the first time; now and then the kept one is replaced.
    pub(super) fn stale(&mut self, question: Bytes, honest: &Bytes, replace: bool) -> Option<Bytes> {
        let kept = self.answers.get(&question).cloned();
        if (kept.is_none() && self.answers.len() < QUESTIONS) || (kept.is_some() && replace) {
            self.answers.insert(question, honest.clone());
        }
        kept
    }

    /// Notes an honest answer of the shards' lane.
    pub(super) fn note_shards(&mut self, answer: Bytes) {
        keep(&mut self.shards, answer);
    }

    /// Notes an honest answer of the chain's lane.
    pub(super) fn note_chain(&mut self, answer: Bytes) {
        keep(&mut self.chain, answer);
    }

    /// Honest answers of the shards' lane.
    pub(super) fn shards(&self) -> Vec<Bytes> {
        self.shards.iter().cloned().collect()
    }

    /// Honest answers of the chain's lane.
    pub(super) fn chain(&self) -> Vec<Bytes> {
        self.chain.iter().cloned().collect()
    }

    /// Notes a transaction.
    pub(super) fn note_transaction(&mut self, signed: SignedTransaction) {
        keep(&mut self.transactions, signed);
    }

    /// Transactions that were submitted here.
    pub(super) fn transactions(&self) -> Vec<SignedTransaction> {
        self.transactions.iter().cloned().collect()
    }

    /// Notes what the node said on a channel.
    pub(super) fn note_said(&mut self, channel: u64, message: Bytes) {
        keep(self.said.entry(channel).or_default(), message);
    }

    /// What the node said on a channel.
    pub(super) fn said(&self, channel: u64) -> Vec<Bytes> {
        self.said.get(&channel).into_iter().flatten().cloned().collect()
    }
}
