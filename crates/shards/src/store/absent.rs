//! What the chain references and is not here, in the order in which it is to be healed. Pure: no I/O, no clock.
//!
//! Each id has a *rank*. Pages come first, because their chunks are unknown without them. Then chunks, by how many nodes
//! more than the k that are needed say that they hold their shards; none more is *endangered*: one more loss, and it is
//! lost. What fewer than k hold comes last. What is unranked has not been asked
//! for yet; what its writer did not encode consistently is asked for no more. Ranks come from what peers say, so they
//! are an order and nothing else: a liar changes what is tried first. An id is *due* from a time on: a little after the
//! chain first referenced it, so that its writer's gateway can bring it, and later again after each failed attempt.

use proof::Digest;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: u8 = 0;
const ENDANGERED: u8 = 1;
const UNHEALABLE: u8 = 201;
const UNRANKED: u8 = 254;
const INCONSISTENT: u8 = 255;

/// First wait after an attempt that failed; doubles up to the longest.
const RETRY_FIRST_MS: u64 = 1_000;
const RETRY_MAX_MS: u64 = 60_000;
/// Longest wait of all: what is late is not waited for longer either.
pub(crate) const WAIT_MAX_MS: u64 = RETRY_MAX_MS;

#[derive(Clone, Copy, Debug)]
struct Wanted {
    due_ms: u64,
    rank: u8,
    /// Attempts that failed.
    attempts: u8,
}

/// Ids that are missing.
#[derive(Debug, Default)]
pub(crate) struct Absent {
    wanted: BTreeMap<Digest, Wanted>,
    ranked: BTreeSet<(u8, Digest)>,
}

impl Absent {
    /// Adds an id that is due from `due_ms` on.
    pub(crate) fn insert(&mut self, id: Digest, due_ms: u64) {
        self.set(id, Wanted { due_ms, rank: UNRANKED, attempts: 0 });
    }

    /// Takes an id out: it is here now.
    pub(crate) fn remove(&mut self, id: &Digest) {
        if let Some(wanted) = self.wanted.remove(id) {
            self.ranked.remove(&(wanted.rank, *id));
        }
    }

    /// Up to `limit` ids that are due and that nobody has looked at.
    pub(crate) fn unranked(&self, now_ms: u64, limit: usize) -> Vec<Digest> {
        self.due(UNRANKED..=UNRANKED, now_ms, limit)
    }

    /// Up to `limit` ids that are due, the most endangered first and what too few nodes hold last.
    pub(crate) fn ranked(&self, now_ms: u64, limit: usize) -> Vec<Digest> {
        self.due(PAGE..=UNHEALABLE, now_ms, limit)
    }

    /// Notes that `holders` nodes hold shards of a chunk that `k` give back.
    pub(crate) fn rank_chunk(&mut self, id: &Digest, holders: usize, k: usize) {
        let spare = holders.checked_sub(k).map(|spare| spare.min(proof::limits::NODES_MAX) as u8);
        self.set_rank(id, spare.map_or(UNHEALABLE, |spare| ENDANGERED + spare));
    }

    /// Notes that `holders` nodes hold a page.
    pub(crate) fn rank_page(&mut self, id: &Digest, holders: usize) {
        self.set_rank(id, if holders == 0 { UNHEALABLE } else { PAGE });
    }

    /// Notes an attempt that failed: it is tried again later.
    pub(crate) fn postpone(&mut self, id: &Digest, now_ms: u64) {
        if let Some(wanted) = self.wanted.get(id).copied() {
            let wait_ms = (RETRY_FIRST_MS << wanted.attempts.min(10)).min(RETRY_MAX_MS);
            let attempts = wanted.attempts.saturating_add(1);
            self.set(*id, Wanted { due_ms: now_ms + wait_ms, attempts, ..wanted });
        }
    }

    /// Gives up an id: its writer did not encode it consistently, so it has no shard of this node's.
    pub(crate) fn give_up(&mut self, id: &Digest) {
        self.set_rank(id, INCONSISTENT);
    }

    /// Number of ids, without those given up.
    pub(crate) fn len(&self) -> u64 {
        self.wanted.len() as u64 - self.inconsistent()
    }

    /// Number of chunks that one more loss would lose.
    pub(crate) fn endangered(&self) -> u64 {
        self.count(ENDANGERED)
    }

    /// Number of ids that too few nodes hold for now.
    pub(crate) fn unhealable(&self) -> u64 {
        self.count(UNHEALABLE)
    }

    /// Number of ids given up.
    pub(crate) fn inconsistent(&self) -> u64 {
        self.count(INCONSISTENT)
    }

    /// Some of the ids, above `after`, in their order.
    pub(crate) fn after(&self, after: Option<Digest>, limit: usize) -> Vec<Digest> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let above = self.wanted.range((from, std::ops::Bound::Unbounded));
        above.map(|(id, _)| *id).take(limit).collect()
    }

    fn set_rank(&mut self, id: &Digest, rank: u8) {
        // What was given up stays so.
        if let Some(wanted) = self.wanted.get(id).copied().filter(|wanted| wanted.rank != INCONSISTENT) {
            self.set(*id, Wanted { rank, ..wanted });
        }
    }

    fn set(&mut self, id: Digest, wanted: Wanted) {
        self.remove(&id);
        self.wanted.insert(id, wanted);
        self.ranked.insert((wanted.rank, id));
    }

    fn due(&self, ranks: std::ops::RangeInclusive<u8>, now_ms: u64, limit: usize) -> Vec<Digest> {
        let range = (*ranks.start(), Digest([0; 32]))..=(*ranks.end(), Digest([0xff; 32]));
        let within = self.ranked.range(range).map(|(_, id)| *id);
        // What would wait longer than anything does was set before the clock was set back.
        let is_due = |due_ms: u64| due_ms <= now_ms || due_ms - now_ms > WAIT_MAX_MS;
        within.filter(|id| is_due(self.wanted[id].due_ms)).take(limit).collect()
    }

    fn count(&self, rank: u8) -> u64 {
        self.ranked.range((rank, Digest([0; 32]))..=(rank, Digest([0xff; 32]))).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> Digest {
        Digest([byte; 32])
    }

    #[test]
    fn the_most_endangered_come_first_and_what_too_few_hold_last() {
        let mut absent = Absent::default();
        for byte in 1..=4 {
            absent.insert(id(byte), u64::from(byte) * 10);
        }
        absent.insert(id(9), 0);
        absent.rank_page(&id(9), 1);
        assert_eq!(absent.unranked(30, 9), [id(1), id(2), id(3)], "the fourth is not due");
        absent.rank_chunk(&id(1), 1, 2);
        absent.rank_chunk(&id(2), 3, 2);
        absent.rank_chunk(&id(3), 2, 2);
        assert_eq!(absent.ranked(30, 9), [id(9), id(3), id(2), id(1)]);
        absent.remove(&id(9));
        assert_eq!(absent.unranked(40, 9), [id(4)]);
        assert_eq!((absent.len(), absent.endangered(), absent.unhealable()), (4, 1, 1));
        absent.postpone(&id(3), 40);
        assert_eq!(absent.ranked(40, 9), [id(2), id(1)]);
        absent.remove(&id(3));
        assert_eq!((absent.len(), absent.endangered()), (3, 0));
    }

    #[test]
    fn a_clock_that_is_set_back_postpones_nothing() {
        let mut absent = Absent::default();
        absent.insert(id(1), 1_000_000_000);
        absent.insert(id(2), 5_000);
        assert_eq!(absent.unranked(4_000, 9), [id(1)]);
        assert_eq!(absent.unranked(5_000, 9), [id(1), id(2)]);
    }

    #[test]
    fn waits_grow_to_their_bound_and_what_is_given_up_does_not_count() {
        let mut absent = Absent::default();
        absent.insert(id(1), 0);
        absent.rank_chunk(&id(1), 4, 2);
        for wait_ms in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            absent.postpone(&id(1), 0);
            assert!(absent.ranked(wait_ms - 1, 1).is_empty());
            assert_eq!(absent.ranked(wait_ms, 1), [id(1)]);
        }
        for _ in 0..300 {
            absent.postpone(&id(1), 0);
        }
        absent.give_up(&id(1));
        absent.rank_chunk(&id(1), 4, 2);
        assert_eq!((absent.len(), absent.inconsistent()), (0, 1));
        assert!(absent.ranked(u64::MAX, 9).is_empty() && absent.unranked(u64::MAX, 9).is_empty());
    }
}
