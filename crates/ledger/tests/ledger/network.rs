//! A network of four nodes with one tenant, and a chain on it that checks, at every block, what holds for all blocks.

use ledger::{APPLIED, BlockContext, Effect, Record, Refusal, StateKey, View, effects, execute, key, reads};
use proof::{
    AvailabilityCertificate, BucketName, Committee, Digest, Genesis, SecretKey, Signature, SignedTransaction,
    StorageReceipt, TenantId, Transaction, UploadId, VersionId,
    genesis::GenesisTenant,
    transaction::{Attachment, Body, Operation, Payload, Place, Precondition},
    wire::{List, Octets},
};
use std::collections::{BTreeMap, BTreeSet};

/// Block time of the first block.
pub(crate) const START_MS: u64 = 1_800_000_000_000;
/// The tenant of the genesis.
pub(crate) const TENANT: TenantId = TenantId([7; 16]);

pub(crate) fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// The tenant's first key.
pub(crate) fn owner() -> SecretKey {
    secret(100)
}

/// The approver's key.
pub(crate) fn approver() -> SecretKey {
    secret(200)
}

/// Nodes have the keys 1 to 4, in the order of the committee.
pub(crate) fn nodes() -> Vec<SecretKey> {
    let mut nodes: Vec<SecretKey> = (1..=4).map(secret).collect();
    nodes.sort_by_key(SecretKey::public_key);
    nodes
}

pub(crate) fn genesis() -> Genesis {
    let tenant = GenesisTenant { tenant: TENANT, name: Octets::default(), key: owner().public_key() };
    Genesis {
        name: Octets::new("test").unwrap(),
        created_ms: START_MS,
        committee: Committee::new(0, nodes().iter().map(SecretKey::public_key).collect()).unwrap(),
        approvers: List::new(vec![approver().public_key()]).unwrap(),
        approvals_needed: 1,
        tenants: List::new(vec![tenant]).unwrap(),
    }
}

pub(crate) fn bucket(name: &str) -> BucketName {
    name.parse().unwrap()
}

pub(crate) fn place(bucket: &str, key: &str) -> Place {
    Place { bucket: bucket.parse().unwrap(), key: key.parse().unwrap() }
}

pub(crate) fn upload(id: u8) -> UploadId {
    UploadId([id; 16])
}

/// A body told from others by `content`. What it names does not exist, which execution does not look at.
pub(crate) fn body(content: u8) -> Body {
    let attachment = Attachment { digest: Digest([content; 32]), length: 16 };
    Body {
        ciphertext_length: 16,
        content: Digest([content; 32]),
        sealed: attachment.clone(),
        payload: Payload::Inline(attachment),
    }
}

/// Storage receipts of the first `count` nodes, as of the chain's start.
pub(crate) fn certificate(network: Digest, manifest: Digest, count: usize) -> AvailabilityCertificate {
    certificate_at(START_MS, network, manifest, count)
}

/// Storage receipts of the first `count` nodes at this time.
pub(crate) fn certificate_at(
    time_ms: u64,
    network: Digest,
    manifest: Digest,
    count: usize,
) -> AvailabilityCertificate {
    let sign = |(index, key): (usize, &SecretKey)| {
        StorageReceipt::sign(network, 0, manifest, time_ms, index as u8, key)
    };
    AvailabilityCertificate::new(0, time_ms, nodes().iter().enumerate().take(count).map(sign).collect())
}

/// A transaction of the tenant's first key, unsigned.
pub(crate) fn transaction(
    nonce: u64,
    preconditions: Vec<Precondition>,
    operations: Vec<Operation>,
) -> Transaction {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&nonce.to_be_bytes());
    Transaction {
        network: genesis().id(),
        tenant: TENANT,
        signer: owner().public_key(),
        nonce: bytes,
        expires_ms: START_MS + 60_000,
        preconditions: List::new(preconditions).unwrap(),
        operations: List::new(operations).unwrap(),
    }
}

/// With a signature that is none, which execution does not look at.
pub(crate) fn unsigned(transaction: Transaction) -> SignedTransaction {
    SignedTransaction { transaction, signature: Signature([0; 64]), attachments: List::default() }
}

/// A chain whose every block is checked: its outcome is the same twice, it reads only what it said it would, a refused
/// transaction leaves its outcome alone, and the effects of the others are what the state has the hashes of.
pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    pub(crate) network: Digest,
    pub(crate) state: BTreeMap<StateKey, Record>,
    pub(crate) height: u64,
    pub(crate) time_ms: u64,
    nonce: u64,
}

/// A state of which only some keys may be looked at.
struct Announced<'a> {
    keys: BTreeSet<StateKey>,
    state: &'a BTreeMap<StateKey, Record>,
}

impl View for Announced<'_> {
    fn get(&self, key: &StateKey) -> Option<Record> {
        assert!(self.keys.contains(key), "execution looks at a key that `reads` does not name");
        self.state.get(key).cloned()
    }
}

impl Chain {
    /// With the first block executed, which founds the tenant.
    pub(crate) fn new() -> Self {
        let genesis = genesis();
        let network = genesis.id();
        let mut chain =
            Self { genesis, network, state: BTreeMap::new(), height: 0, time_ms: START_MS, nonce: 1 << 32 };
        chain.block(&[]);
        chain
    }

    /// Executes the next block and gives each transaction's outcome.
    pub(crate) fn block(&mut self, transactions: &[SignedTransaction]) -> Vec<Result<(), Refusal>> {
        self.height += 1;
        let context = BlockContext {
            genesis: &self.genesis,
            network: self.network,
            height: self.height,
            time_ms: self.time_ms,
        };
        let view = Announced { keys: transactions.iter().flat_map(reads).collect(), state: &self.state };
        let execution = execute(&context, &view, transactions);
        assert_eq!(execution, execute(&context, &self.state, transactions), "execution is deterministic");
        assert_eq!(execution.outcomes.len(), transactions.len());
        for (index, signed) in transactions.iter().enumerate() {
            if execution.outcomes[index] == APPLIED {
                check_effects(
                    &execution.writes,
                    &effects(&context, index as u32, signed),
                    signed.transaction.tenant,
                );
            }
        }
        if execution.outcomes.iter().all(|code| *code != APPLIED) && self.height > 1 {
            let is_outcome = |record: &&Record| matches!(record, Record::Outcome(_));
            let outcomes = execution.writes.values().filter(is_outcome).count();
            assert_eq!(
                execution.writes.len(),
                outcomes + 1,
                "only outcomes and the chain's record are written"
            );
        }
        let outcome = |code: &u16| match *code {
            APPLIED => Ok(()),
            code => Err(Refusal::from_code(code).expect("a refusal's code")),
        };
        let outcomes = execution.outcomes.iter().map(outcome).collect();
        self.state.extend(execution.writes);
        outcomes
    }

    /// Executes a transaction of the tenant's first key in a block of its own; gives the version of its first
    /// operation.
    pub(crate) fn run(
        &mut self,
        preconditions: Vec<Precondition>,
        operations: Vec<Operation>,
    ) -> Result<VersionId, Refusal> {
        self.nonce += 1;
        self.submit(transaction(self.nonce, preconditions, operations))
    }

    /// Executes this transaction in a block of its own.
    pub(crate) fn submit(&mut self, transaction: Transaction) -> Result<VersionId, Refusal> {
        let id = transaction.id();
        let outcome = self.block(&[unsigned(transaction)]).remove(0);
        let code = outcome.map_or_else(Refusal::code, |()| APPLIED);
        if code != Refusal::Duplicate.code() {
            let Some(Record::Outcome(record)) = self.state.get(&key::outcome(&id)) else {
                panic!("the outcome is recorded")
            };
            assert_eq!((record.height, record.index, record.code), (self.height, 0, code));
        }
        outcome.map(|()| VersionId { height: self.height, index: 0, operation: 0 })
    }

    /// The record of a kind at a key.
    pub(crate) fn get<R: TryFrom<Record>>(&self, key: StateKey) -> Option<R> {
        self.state.get(&key).map(|record| R::try_from(record.clone()).ok().expect("of the key's kind"))
    }
}

fn check_effects(writes: &BTreeMap<StateKey, Record>, effects: &[Effect], tenant: TenantId) {
    for effect in effects {
        let (key, digest) = match effect {
            Effect::VersionAdded(entry) => {
                let Record::Head(head) = &writes[&key::head(&tenant, &entry.place)] else {
                    panic!("a version becomes the head")
                };
                // A later version in the block may be the head meanwhile, or an earlier one if this one was hidden.
                let hidden = writes.contains_key(&key::hidden(&tenant, &entry.place, &entry.version));
                assert!(hidden || head.version > entry.version || head.entry == entry.digest());
                (key::version(&tenant, &entry.place, &entry.version), entry.digest())
            }
            Effect::UploadOpened(entry) => (key::upload(&tenant, &entry.upload), entry.digest()),
            // A later part with the same number in the block overwrites the record.
            Effect::PartPut(_, entry) => match &writes[&key::part(&tenant, &entry.upload, entry.number)] {
                Record::Part(part) if part.version != entry.version => continue,
                _ => (key::part(&tenant, &entry.upload, entry.number), entry.digest()),
            },
            Effect::SignerChanged(change) => {
                assert!(writes.contains_key(&key::signer(&tenant, &change.key)));
                continue;
            }
            Effect::VisibilityChanged(change) => {
                let record = &writes[&key::hidden(&tenant, &change.place, &change.version)];
                let Record::Hidden(hidden) = record else { panic!("a version becomes hidden or shown") };
                assert!(hidden.changed > change.changed || hidden.hidden == change.hidden);
                let head = writes.contains_key(&key::head(&tenant, &change.place));
                assert!(head || change.current.is_none(), "the state's head changes with the effect's");
                continue;
            }
            Effect::Annotated(entry) => match &writes[&key::annotation(&tenant, &entry.about)] {
                Record::Annotation(annotation) if annotation.changed != entry.changed => continue,
                _ => (key::annotation(&tenant, &entry.about), entry.digest()),
            },
            Effect::BucketCreated(_)
            | Effect::BucketDeleted(_)
            | Effect::BucketUndeleted(_)
            | Effect::UploadClosed(_) => continue,
        };
        let written = match &writes[&key] {
            Record::Version(version) => version.entry,
            Record::Upload(upload) => upload.entry,
            Record::Part(part) => part.entry,
            Record::Annotation(annotation) => annotation.entry,
            other => panic!("{other:?} has no entry"),
        };
        assert_eq!(written, digest, "the state has the hash of the effect's entry");
    }
}
