//! A network's facts, a rogue in it, and a sender that writes down what it is given: for tests.

use super::{Acts, Adversary, Place, Rogue};
use bytes::Bytes;
use commonware_actor::{Feedback, Unreliable};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{CheckedSender, LimitedSender, Recipients};
use commonware_runtime::{IoBufs, Supervisor as _, deterministic};
use commonware_utils::sync::Mutex;
use proof::{
    Committee, Genesis, Header, SecretKey, SignedTransaction, TenantId, Transaction,
    genesis::GenesisTenant,
    transaction::{CreateBucket, Operation},
    wire::{List, Octets},
};
use std::{sync::Arc, time::SystemTime};

pub(super) fn keys() -> Vec<SecretKey> {
    let mut keys: Vec<SecretKey> = (0..4).map(|i| SecretKey::from_seed([i + 1; 32])).collect();
    keys.sort_by_key(SecretKey::public_key);
    keys
}

pub(super) fn genesis() -> Genesis {
    let name = || Octets::new("test".as_bytes()).unwrap();
    let key = SecretKey::from_seed([99; 32]).public_key();
    let tenant = GenesisTenant { tenant: TenantId([7; 16]), name: name(), key };
    Genesis {
        name: name(),
        created_ms: 0,
        committee: Committee::new(0, keys().iter().map(SecretKey::public_key).collect()).unwrap(),
        approvers: List::new(vec![key]).unwrap(),
        approvals_needed: 1,
        tenants: List::new(vec![tenant]).unwrap(),
    }
}

pub(super) fn rogue(
    context: &deterministic::Context,
    adversary: Adversary,
    acts: &Acts,
) -> Rogue<deterministic::Context> {
    let (genesis, key) = (genesis(), &keys()[0]);
    let place = Place { genesis: &genesis, key, votes: true };
    Rogue::new(context.child("rogue"), adversary, &place, 5, acts)
}

/// A tenant's transaction.
pub(super) fn signed(tenant: u8, nonce: u8) -> SignedTransaction {
    let key = SecretKey::from_seed([99; 32]);
    let create = CreateBucket { bucket: "bucket".parse().unwrap() };
    let transaction = Transaction {
        network: genesis().id(),
        tenant: TenantId([tenant; 16]),
        signer: key.public_key(),
        nonce: [nonce; 16],
        expires_ms: 1,
        preconditions: List::default(),
        operations: List::new(vec![Operation::CreateBucket(create)]).unwrap(),
    };
    transaction.sign(&key, Vec::new())
}

/// A block's header.
pub(super) fn header(leader: proof::PublicKey, view: u64) -> Header {
    let genesis = genesis();
    Header {
        network: genesis.id(),
        committee: genesis.committee.digest(),
        epoch: 0,
        view,
        leader,
        parent_view: view - 1,
        parent: proof::Digest([4; 32]),
        height: view,
        time_ms: 1,
        transactions: 0,
        transactions_root: proof::merkle::root(&[]),
        state_root: proof::Digest([6; 32]),
        log_root: proof::Digest([7; 32]),
        log_start: 0,
        log_end: 2,
    }
}

/// What was sent, to whom.
pub(super) type Sent = Arc<Mutex<Vec<(PublicKey, Bytes)>>>;

/// A sender that writes down what it is given.
#[derive(Clone, Default)]
pub(super) struct Scribe {
    pub(super) sent: Sent,
}

pub(super) struct Checked<'a>(&'a mut Scribe, Vec<PublicKey>);

impl LimitedSender for Scribe {
    type PublicKey = PublicKey;
    type Checked<'a> = Checked<'a>;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<Checked<'_>, SystemTime> {
        let to = match recipients {
            Recipients::All => {
                genesis().committee.nodes()[1..].iter().map(chain::block::engine_key).collect()
            }
            Recipients::Some(to) => to,
            Recipients::One(to) => vec![to],
        };
        Ok(Checked(self, to))
    }
}

impl CheckedSender for Checked<'_> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        self.1.clone()
    }

    fn send(self, message: impl Into<IoBufs> + Send, _: bool) -> Unreliable<Feedback> {
        let message = Bytes::from(message.into().coalesce());
        self.0.sent.lock().extend(self.1.into_iter().map(|to| (to, message.clone())));
        Unreliable::new(Feedback::Ok)
    }
}
