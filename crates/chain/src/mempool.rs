//! Admitted transactions that wait for a block.
//!
//! The pool holds what passed the stateless checks, once per id, bounded in number and bytes and, so that one tenant
//! cannot shut out the others, per tenant. What is of a tenant only by its own word, because the state knows no such
//! signer, is a *stranger's*: it will most likely be refused, and is taken so that the refusal can be proved. All
//! strangers have one small share, of which a block takes one transaction when all others have found room; blocks are not
//! hurried for it, and it is not passed on to other nodes. So nobody without a tenant's key can fill pools, or blocks, or
//! the share of a tenant. A transaction that was put into a block is *in flight* for a while: it is
//! neither proposed again nor counted as work that waits. It leaves the pool when a block that contains it is
//! finalized, or when block time reaches its expiry.
//!
//! After a stop of the whole network block time lags behind the clock, and catches up by a bounded step a block. A
//! transaction made now then expires too far ahead for the blocks of then. It waits, instead of being ordered and refused,
//! until block time is near enough; and as long as any waits, or the newest final block lags by more than a step, there
//! is work, so that blocks follow one another without a pause. Only what expires too far ahead by the clock as well is
//! ordered, to be refused with proof. What expired by the clock while it waited is not ordered any more.
//!
//! Gateways submit to every node themselves. Only what a node still holds after [`GOSSIP_AFTER_MS`] it passes on to
//! its peers, once: then some node has not got it.

use crate::application::STEP_MS_MAX;
use commonware_utils::sync::Mutex;
use proof::{
    Digest, SignedTransaction, TenantId,
    limits::{BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX, EXPIRY_AHEAD_MS_MAX},
    wire::EncodeSize,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::Notify;

/// Transactions held at the most.
pub const TRANSACTIONS_MAX: usize = 16_384;
/// Bytes held at the most.
pub const BYTES_MAX: usize = 64 * BLOCK_BYTES_MAX;
/// Bytes held for one tenant at the most.
pub const TENANT_BYTES_MAX: usize = BYTES_MAX / 2;
/// Transactions held for one tenant at the most.
pub const TENANT_TRANSACTIONS_MAX: usize = TRANSACTIONS_MAX / 2;
/// Bytes held for all strangers together at the most.
pub const STRANGERS_BYTES_MAX: usize = BLOCK_BYTES_MAX;
/// Transactions held for all strangers together at the most.
pub const STRANGERS_TRANSACTIONS_MAX: usize = 64;
/// How long a transaction stays in flight after a proposal that is not finalized.
pub const IN_FLIGHT_MS: u64 = 3_000;
/// How long a transaction may wait before it is passed on to the other nodes.
pub const GOSSIP_AFTER_MS: u64 = 500;

/// Why a transaction was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The pool, or the signer's share of it, is full. Try again later.
    #[error("too many transactions wait for a block; try again")]
    Full,
}

/// Who signed a transaction, as far as the state says by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatory {
    /// Whoever may sign it.
    Entitled,
    /// Somebody else; or it has been entitled by a block that is not applied yet.
    Stranger,
}

/// Whose share of the pool a transaction takes: that of a tenant, or all strangers'.
type Owner = Option<TenantId>;

#[derive(Default)]
struct Share {
    transactions: usize,
    bytes: usize,
}

impl Share {
    fn has_room(&self, owner: &Owner, bytes: usize) -> bool {
        let (transactions_max, bytes_max) = match owner {
            Some(_) => (TENANT_TRANSACTIONS_MAX, TENANT_BYTES_MAX),
            None => (STRANGERS_TRANSACTIONS_MAX, STRANGERS_BYTES_MAX),
        };
        self.transactions < transactions_max && self.bytes + bytes <= bytes_max
    }
}

struct Pooled {
    signed: Arc<SignedTransaction>,
    owner: Owner,
    sequence: u64,
    bytes: usize,
    arrived_ms: u64,
    in_flight_until_ms: u64,
    gossiped: bool,
}

#[derive(Default)]
struct Pool {
    by_id: BTreeMap<Digest, Pooled>,
    order: BTreeMap<u64, Digest>,
    bytes: usize,
    shares: BTreeMap<Owner, Share>,
    sequence: u64,
    /// Time of the newest final block that was seen.
    block_time_ms: Option<u64>,
}

impl Pooled {
    /// Whether a block of this time, made at `now_ms`, may have it.
    fn is_due(&self, time_ms: u64, now_ms: u64) -> bool {
        let expires_ms = self.signed.transaction.expires_ms;
        let is_too_far = |from_ms: u64| expires_ms > from_ms.saturating_add(EXPIRY_AHEAD_MS_MAX);
        expires_ms > time_ms.max(now_ms) && (!is_too_far(time_ms) || is_too_far(now_ms))
    }
}

impl Pool {
    fn remove(&mut self, id: &Digest) {
        let Some(pooled) = self.by_id.remove(id) else { return };
        self.order.remove(&pooled.sequence);
        self.bytes -= pooled.bytes;
        let share = self.shares.get_mut(&pooled.owner).expect("a pooled transaction is of somebody's share");
        share.transactions -= 1;
        share.bytes -= pooled.bytes;
        if share.transactions == 0 {
            self.shares.remove(&pooled.owner);
        }
    }

    /// Those that are not in flight, oldest first.
    fn waiting(&self, now_ms: u64) -> impl Iterator<Item = (&Digest, &Pooled)> {
        let pooled = |id| self.by_id.get_key_value(id).expect("the order lists pooled transactions");
        self.order.values().map(pooled).filter(move |(_, pooled)| pooled.in_flight_until_ms <= now_ms)
    }
}

/// A shared pool.
#[derive(Clone, Default)]
pub struct Mempool {
    pool: Arc<Mutex<Pool>>,
    arrived: Arc<Notify>,
}

impl Mempool {
    /// Takes an admitted transaction. Known ones are taken again without effect.
    pub fn insert(
        &self,
        signed: Arc<SignedTransaction>,
        signatory: Signatory,
        now_ms: u64,
    ) -> Result<(), Rejected> {
        let (id, bytes) = (signed.transaction.id(), signed.encode_size());
        let owner = (signatory == Signatory::Entitled).then_some(signed.transaction.tenant);
        {
            let pool = &mut *self.pool.lock();
            if pool.by_id.contains_key(&id) {
                return Ok(());
            }
            let has_share = pool.shares.get(&owner).is_none_or(|share| share.has_room(&owner, bytes));
            let fits = pool.by_id.len() < TRANSACTIONS_MAX && pool.bytes + bytes <= BYTES_MAX && has_share;
            if !fits {
                return Err(Rejected::Full);
            }
            let share = pool.shares.entry(owner).or_default();
            share.transactions += 1;
            share.bytes += bytes;
            let sequence = pool.sequence;
            pool.sequence += 1;
            pool.bytes += bytes;
            pool.order.insert(sequence, id);
            let pooled = Pooled {
                signed,
                owner,
                sequence,
                bytes,
                arrived_ms: now_ms,
                in_flight_until_ms: 0,
                gossiped: false,
            };
            pool.by_id.insert(id, pooled);
        }
        self.arrived.notify_waiters();
        Ok(())
    }

    /// Whether this very transaction, signature included, is in the pool: it needs no second admission.
    pub fn has_admitted(&self, id: &Digest, signed: &SignedTransaction) -> bool {
        self.pool.lock().by_id.get(id).is_some_and(|pooled| pooled.signed.signature == signed.signature)
    }

    /// The oldest waiting transactions that fit one block of this time, and with them a stranger's.
    pub fn select(&self, time_ms: u64, now_ms: u64) -> Vec<Arc<SignedTransaction>> {
        let pool = self.pool.lock();
        let due = |is_entitled| {
            let waiting = pool.waiting(now_ms).map(|(_, pooled)| pooled);
            waiting
                .filter(move |pooled| pooled.owner.is_some() == is_entitled && pooled.is_due(time_ms, now_ms))
        };
        let mut bytes = 0;
        due(true)
            .chain(due(false).take(1))
            .take(BLOCK_TRANSACTIONS_MAX)
            .take_while(|pooled| {
                bytes += pooled.bytes;
                bytes <= BLOCK_BYTES_MAX
            })
            .map(|pooled| pooled.signed.clone())
            .collect()
    }

    /// Marks these as part of a block that may yet be finalized.
    pub fn mark_in_flight<'a>(&self, ids: impl IntoIterator<Item = &'a Digest>, now_ms: u64) {
        let mut pool = self.pool.lock();
        for id in ids {
            if let Some(pooled) = pool.by_id.get_mut(id) {
                pooled.in_flight_until_ms = now_ms + IN_FLIGHT_MS;
            }
        }
    }

    /// Forgets these: a finalized block has them.
    pub fn remove<'a>(&self, ids: impl IntoIterator<Item = &'a Digest>) {
        let mut pool = self.pool.lock();
        ids.into_iter().for_each(|id| pool.remove(id));
    }

    /// Takes the time of the next final block. Forgets and returns the ids of those that can no longer be executed then.
    pub fn expire(&self, block_time_ms: u64) -> BTreeSet<Digest> {
        let mut pool = self.pool.lock();
        pool.block_time_ms = Some(block_time_ms);
        let expired: BTreeSet<Digest> = pool
            .by_id
            .iter()
            .filter(|(_, pooled)| pooled.signed.transaction.expires_ms <= block_time_ms)
            .map(|(id, _)| *id)
            .collect();
        expired.iter().for_each(|id| pool.remove(id));
        expired
    }

    /// Whether a block is wanted now: a transaction waits for one, or block time lags behind by more than a step.
    pub fn is_waiting(&self, now_ms: u64) -> bool {
        let pool = self.pool.lock();
        pool.block_time_ms.is_some_and(|time_ms| time_ms + STEP_MS_MAX < now_ms)
            || pool.waiting(now_ms).any(|(_, pooled)| pooled.owner.is_some())
    }

    /// Resolves at the next arrival after the call.
    pub fn arrival(&self) -> impl Future<Output = ()> + Send + 'static {
        self.arrived.clone().notified_owned()
    }

    /// Those that have waited long enough to be passed on, each once, oldest first, at most `limit`.
    pub fn take_gossip(&self, now_ms: u64, limit: usize) -> Vec<Arc<SignedTransaction>> {
        let mut pool = self.pool.lock();
        let due: Vec<Digest> = pool
            .waiting(now_ms)
            .filter(|(_, pooled)| pooled.owner.is_some() && !pooled.gossiped)
            .filter(|(_, pooled)| pooled.arrived_ms + GOSSIP_AFTER_MS <= now_ms)
            .map(|(id, _)| *id)
            .take(limit)
            .collect();
        let mut take = |id: &Digest| {
            let pooled = pool.by_id.get_mut(id).expect("just listed");
            pooled.gossiped = true;
            pooled.signed.clone()
        };
        due.iter().map(&mut take).collect()
    }

    /// Number and bytes of the transactions held.
    pub fn size(&self) -> (usize, usize) {
        let pool = self.pool.lock();
        (pool.by_id.len(), pool.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Signatory::*, *};
    use proof::{SecretKey, Transaction, transaction::Operation, wire::List};

    fn signed(nonce: u8, tenant: u8, expires_ms: u64) -> Arc<SignedTransaction> {
        let key = SecretKey::from_seed([1; 32]);
        let create = proof::transaction::CreateBucket { bucket: "bucket".parse().unwrap() };
        let transaction = Transaction {
            network: Digest::ZERO,
            tenant: TenantId([tenant; 16]),
            signer: key.public_key(),
            nonce: [nonce; 16],
            expires_ms,
            preconditions: List::default(),
            operations: List::new(vec![Operation::CreateBucket(create)]).unwrap(),
        };
        Arc::new(transaction.sign(&key, Vec::new()))
    }

    fn id(signed: &SignedTransaction) -> Digest {
        signed.transaction.id()
    }

    #[test]
    fn oldest_first_once_and_not_while_in_flight() {
        let pool = Mempool::default();
        let (a, b) = (signed(1, 1, 9_000), signed(2, 1, 9_000));
        for transaction in [&a, &b, &a] {
            pool.insert(transaction.clone(), Entitled, 0).unwrap();
        }
        assert_eq!(pool.select(0, 0), [a.clone(), b.clone()]);
        pool.mark_in_flight([&id(&a), &id(&b)], 0);
        assert!(!pool.is_waiting(IN_FLIGHT_MS - 1) && pool.select(0, 0).is_empty());
        assert!(pool.is_waiting(IN_FLIGHT_MS), "a proposal that came to nothing is tried again");
        pool.remove([&id(&a)]);
        assert_eq!(pool.select(0, IN_FLIGHT_MS), [b]);
    }

    #[test]
    fn bounded_in_all_and_per_tenant() {
        let pool = Mempool::default();
        let one = signed(0, 0, 100).encode_size();
        let mut taken = 0usize;
        while pool.insert(Arc::new(unique(taken, 1)), Entitled, 0).is_ok() {
            taken += 1;
        }
        assert_eq!(taken, TENANT_TRANSACTIONS_MAX.min(TENANT_BYTES_MAX / one));
        assert_eq!(pool.size().0, taken);
        assert!(pool.size().1 <= BYTES_MAX);
    }

    #[test]
    fn strangers_shut_out_nobody() {
        let pool = Mempool::default();
        let taken =
            (0..200).filter(|nonce| pool.insert(signed(*nonce, 1, 9_000), Stranger, 0).is_ok()).count();
        assert_eq!(taken, STRANGERS_TRANSACTIONS_MAX);
        assert!(!pool.is_waiting(0) && pool.take_gossip(GOSSIP_AFTER_MS, 10).is_empty());
        let own = signed(201, 1, 9_000);
        pool.insert(own.clone(), Entitled, 0).unwrap();
        assert_eq!(pool.select(0, 0), [own.clone(), signed(0, 1, 9_000)], "one of theirs, and last");
        assert!(pool.is_waiting(0));
        assert_eq!(pool.take_gossip(GOSSIP_AFTER_MS, 10), std::slice::from_ref(&own));
        pool.remove([&id(&own), &id(&signed(0, 1, 9_000))]);
        pool.insert(signed(200, 2, 9_000), Stranger, 0).unwrap();
        assert_eq!(pool.size().0, STRANGERS_TRANSACTIONS_MAX);
    }

    #[test]
    fn strangers_bytes_are_bounded() {
        let pool = Mempool::default();
        let large = |nonce: u8| {
            let attachment = bytes::Bytes::from(vec![0; STRANGERS_BYTES_MAX / 4]);
            let small = SignedTransaction::clone(&signed(nonce, 1, 9_000));
            Arc::new(small.transaction.sign(&SecretKey::from_seed([1; 32]), vec![attachment]))
        };
        let taken = (0..9).filter(|nonce| pool.insert(large(*nonce), Stranger, 0).is_ok()).count();
        assert_eq!(taken, 3, "a quarter and a little each");
    }

    fn unique(number: usize, tenant: u8) -> SignedTransaction {
        let mut other = (*signed(0, tenant, 100)).clone();
        other.transaction.nonce[..8].copy_from_slice(&(number as u64).to_be_bytes());
        other
    }

    #[test]
    fn expired_ones_leave_and_gossip_is_once_and_late() {
        let pool = Mempool::default();
        let (a, b) = (signed(1, 1, 50), signed(2, 2, 5_000));
        pool.insert(a.clone(), Entitled, 0).unwrap();
        pool.insert(b.clone(), Entitled, 0).unwrap();
        assert!(pool.take_gossip(GOSSIP_AFTER_MS - 1, 10).is_empty());
        assert_eq!(pool.expire(50), BTreeSet::from([id(&a)]));
        assert_eq!(pool.take_gossip(GOSSIP_AFTER_MS, 10), [b]);
        assert!(pool.take_gossip(GOSSIP_AFTER_MS, 10).is_empty());
        assert_eq!(pool.size().0, 1);
    }

    #[test]
    fn what_expires_too_far_ahead_waits_until_block_time_has_caught_up() {
        let (pool, day_ms) = (Mempool::default(), 86_400_000);
        let soon = signed(1, 1, day_ms + 30_000);
        let never = signed(2, 1, day_ms + EXPIRY_AHEAD_MS_MAX + 1);
        pool.insert(soon.clone(), Entitled, day_ms).unwrap();
        assert!(pool.select(0, day_ms).is_empty(), "it would be refused");
        assert!(pool.is_waiting(day_ms), "blocks are made until it is not");
        let near_ms = day_ms + 30_000 - EXPIRY_AHEAD_MS_MAX;
        assert!(pool.select(near_ms - 1, day_ms).is_empty());
        assert_eq!(pool.select(near_ms, day_ms), std::slice::from_ref(&soon));
        pool.insert(never.clone(), Entitled, day_ms).unwrap();
        assert_eq!(
            pool.select(0, day_ms),
            std::slice::from_ref(&never),
            "it is refused, with proof, as by any clock"
        );
        assert_eq!(pool.select(near_ms, day_ms + 29_999), [soon]);
        assert!(!pool.select(near_ms, day_ms + 30_000).contains(&signed(1, 1, day_ms + 30_000)), "too late");
    }

    #[test]
    fn while_block_time_lags_there_is_work() {
        let pool = Mempool::default();
        assert!(!pool.is_waiting(86_400_000), "nothing is known of block time");
        pool.expire(1_000);
        assert!(!pool.is_waiting(1_000 + STEP_MS_MAX));
        assert!(pool.is_waiting(1_001 + STEP_MS_MAX));
        pool.expire(1_000 + STEP_MS_MAX);
        assert!(!pool.is_waiting(1_001 + STEP_MS_MAX));
    }

    #[test]
    fn a_known_id_with_another_signature_is_not_admitted() {
        let pool = Mempool::default();
        let a = signed(1, 1, 50);
        pool.insert(a.clone(), Entitled, 0).unwrap();
        assert!(pool.has_admitted(&id(&a), &a));
        let mut forged = (*a).clone();
        forged.signature.0[0] ^= 1;
        assert!(!pool.has_admitted(&id(&a), &forged));
    }
}
