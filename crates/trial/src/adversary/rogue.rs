//! A faulty node's operator: his keys, dice, memory and intentions.

use super::{Acts, Adversary, chance::Chance, memory::Memory, plot::Plot};
use chain::block::engine_key;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_cryptography::ed25519;
use commonware_runtime::{Clock, Spawner};
use commonware_utils::{TryCollect, ordered::Set, sync::Mutex};
use proof::{Digest, Genesis, SecretKey, StorageReceipt, TenantId};
use std::sync::Arc;

/// What a rogue needs of his runtime. Every commonware runtime context has it.
pub trait Context: Spawner + Clock {}
impl<E: Spawner + Clock> Context for E {}

/// Which node he runs.
#[derive(Clone)]
pub struct Place<'a> {
    /// The network's founding facts.
    pub genesis: &'a Genesis,
    /// The node's key.
    pub key: &'a SecretKey,
    /// Whether the node votes. The vote of one that does not would be worth nothing.
    pub votes: bool,
}

/// A faulty node's operator. Clones share everything.
pub struct Rogue<E> {
    shared: Arc<Shared<E>>,
}

struct Shared<E> {
    context: E,
    adversary: Adversary,
    node: u8,
    key: SecretKey,
    network: Digest,
    epoch: u64,
    victim: Option<TenantId>,
    others: Vec<ed25519::PublicKey>,
    scheme: Scheme,
    chance: Chance,
    acts: Acts,
    memory: Mutex<Memory>,
    plot: Mutex<Plot>,
}

impl<E> Clone for Rogue<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<E: Context> Rogue<E> {
    /// One who acts as `adversary` where `place` says, throws the dice of `seed`, and counts in `acts` what he does. His
    /// tasks end with the one that `context` belongs to.
    ///
    /// # Panics
    ///
    /// If the key is of no member.
    pub fn new(context: E, adversary: Adversary, place: &Place<'_>, seed: u64, acts: &Acts) -> Self {
        let Place { genesis, key, votes } = place;
        let committee = &genesis.committee;
        let node = committee.index(&key.public_key()).expect("a rogue runs a member");
        let me = engine_key(&key.public_key());
        let participants: Set<ed25519::PublicKey> =
            committee.nodes().iter().map(engine_key).try_collect().expect("a committee has distinct keys");
        let others = participants.iter().filter(|key| **key != me).cloned().collect();
        let namespace = genesis.consensus_namespace();
        let scheme = if *votes {
            Scheme::signer(&namespace, participants, signer(key))
        } else {
            Scheme::member(&namespace, participants, &me)
        };
        let chance = Chance::new(seed);
        let shared = Shared {
            context,
            adversary,
            node: u8::try_from(node).expect("a committee has at most 31 nodes"),
            key: (*key).clone(),
            network: genesis.id(),
            epoch: committee.epoch(),
            victim: chance.one_of(&genesis.tenants).map(|tenant| tenant.tenant),
            others,
            scheme: scheme.expect("a rogue runs a member"),
            chance,
            acts: acts.clone(),
            memory: Mutex::default(),
            plot: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What he is up to.
    pub fn adversary(&self) -> Adversary {
        self.shared.adversary
    }

    /// The tenant whom a censor does not like.
    pub fn victim(&self) -> Option<TenantId> {
        self.shared.victim
    }

    pub(super) fn context(&self) -> &E {
        &self.shared.context
    }

    pub(super) fn chance(&self) -> &Chance {
        &self.shared.chance
    }

    pub(super) fn memory(&self) -> &Mutex<Memory> {
        &self.shared.memory
    }

    pub(super) fn plot(&self) -> &Mutex<Plot> {
        &self.shared.plot
    }

    pub(super) fn scheme(&self) -> &Scheme {
        &self.shared.scheme
    }

    /// The other nodes.
    pub(super) fn others(&self) -> &[ed25519::PublicKey] {
        &self.shared.others
    }

    /// The node's key.
    pub(super) fn public_key(&self) -> proof::PublicKey {
        self.shared.key.public_key()
    }

    /// Counts an act of his.
    pub(super) fn count(&self, act: &'static str) {
        self.shared.acts.count(self.shared.adversary.name(), act);
    }

    /// The node's signature that it holds a manifest, whether it does or not.
    pub(super) fn storage_receipt(&self, manifest: Digest, time_ms: u64) -> StorageReceipt {
        let Shared { network, epoch, node, key, .. } = &*self.shared;
        StorageReceipt::sign(*network, *epoch, manifest, time_ms, *node, key)
    }

    /// Whether a transaction is the victim's.
    pub(super) fn dislikes(&self, signed: &proof::SignedTransaction) -> bool {
        self.shared.victim == Some(signed.transaction.tenant)
    }
}

/// The key in the engine's form.
pub(super) fn signer(key: &SecretKey) -> ed25519::PrivateKey {
    ed25519::PrivateKey::decode(Copying(&key.seed())).expect("any 32 bytes are a seed")
}
