//! A network of four nodes, and receipts as they give them.

use bytes::{BufMut, Bytes};
use commonware_codec::varint::UInt;
use proof::{
    Committee, Digest, Genesis, Header, Lineage, Receipt, SecretKey, Signature, TenantId, Transaction,
    finality::{Finalization, FinalizedHeader},
    genesis::GenesisTenant,
    lineage::Recovery,
    merkle::{self, Leaf},
    receipt::{ContentHasher, ContentOpening, content_commitment},
    transaction::{Attachment, Body, Operation, Payload, Place, PutVersion},
    wire::{List, Octets, Write},
};

/// The contents that receipts are about.
pub(crate) const CONTENTS: &[u8] = b"What is written here was accepted.";

pub(crate) fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// The keys of a committee of four, in its order.
pub(crate) fn nodes(first_seed: u8) -> Vec<SecretKey> {
    let mut nodes: Vec<SecretKey> = (first_seed..first_seed + 4).map(secret).collect();
    nodes.sort_by_key(SecretKey::public_key);
    nodes
}

/// A network whose nodes have keys from this seed on.
pub(crate) fn genesis(first_seed: u8) -> Genesis {
    let tenant =
        GenesisTenant { tenant: TenantId([7; 16]), name: Octets::default(), key: secret(100).public_key() };
    Genesis {
        name: Octets::new("test").unwrap(),
        created_ms: 1_800_000_000_000,
        committee: Committee::new(0, nodes(first_seed).iter().map(SecretKey::public_key).collect()).unwrap(),
        approvers: List::new(vec![secret(200).public_key()]).unwrap(),
        approvals_needed: 1,
        tenants: List::new(vec![tenant]).unwrap(),
    }
}

/// An opening of contents in runs of these bytes.
pub(crate) fn opening(runs: &[&[u8]]) -> ContentOpening {
    let salt = [0x5a; 32];
    let run = |bytes: &&[u8]| {
        let mut hasher = ContentHasher::new(&salt);
        hasher.update(bytes);
        hasher.finish()
    };
    ContentOpening { salt, runs: List::new(runs.iter().map(run).collect()).unwrap() }
}

/// The put of [`CONTENTS`] in two runs, signed by the tenant.
fn transaction(genesis: &Genesis) -> (Transaction, Signature) {
    let (sealed, ciphertext) = (Bytes::from_static(b"sealed"), Bytes::from_static(b"ciphertext and tag"));
    let body = Body {
        ciphertext_length: ciphertext.len() as u64,
        content: content_commitment(&contents_opening()),
        sealed: Attachment::of(&sealed),
        payload: Payload::Inline(Attachment::of(&ciphertext)),
    };
    let place = Place { bucket: "bucket".parse().unwrap(), key: "a/key".parse().unwrap() };
    let transaction = Transaction {
        network: genesis.id(),
        tenant: TenantId([7; 16]),
        signer: secret(100).public_key(),
        nonce: [3; 16],
        expires_ms: 1_800_000_060_000,
        preconditions: List::default(),
        operations: List::new(vec![Operation::PutVersion(PutVersion { place, body })]).unwrap(),
    };
    let signed = transaction.sign(&secret(100), vec![sealed, ciphertext]);
    (signed.transaction, signed.signature)
}

pub(crate) fn contents_opening() -> ContentOpening {
    let (first, second) = CONTENTS.split_at(10);
    opening(&[first, second])
}

/// What a receipt may differ in.
pub(crate) struct Case {
    pub(crate) genesis: Genesis,
    pub(crate) nodes: Vec<SecretKey>,
    /// The transaction's outcome.
    pub(crate) outcome: u16,
    /// Its place among five.
    pub(crate) index: u32,
    pub(crate) epoch: u64,
    pub(crate) height: u64,
    /// Headers between its block and the finalized one.
    pub(crate) descendants: u64,
    /// Who votes.
    pub(crate) voters: Vec<u8>,
    pub(crate) opened: bool,
}

impl Case {
    pub(crate) fn new() -> Self {
        Self {
            genesis: genesis(1),
            nodes: nodes(1),
            outcome: 0,
            index: 2,
            epoch: 0,
            height: 42,
            descendants: 0,
            voters: vec![0, 1, 3],
            opened: true,
        }
    }

    pub(crate) fn lineage(&self) -> Lineage {
        self.genesis.clone().into()
    }

    /// The receipt.
    pub(crate) fn receipt(&self) -> Receipt {
        self.receipt_by(&self.genesis.committee)
    }

    /// The receipt of a block that this committee decides, of which the nodes are the sorted keys.
    pub(crate) fn receipt_by(&self, committee: &Committee) -> Receipt {
        let (transaction, signature) = transaction(&self.genesis);
        let mut leaves: Vec<Leaf> = (0..5u8)
            .map(|at| Leaf {
                transaction: Digest([at; 32]),
                signature: Signature([at; 64]),
                outcome: u16::from(at),
            })
            .collect();
        leaves[self.index as usize] =
            Leaf { transaction: transaction.id(), signature, outcome: self.outcome };
        let header = Header {
            committee: committee.digest(),
            ..self.header(merkle::root(&leaves), leaves.len() as u32)
        };
        Receipt {
            network: self.genesis.id(),
            transaction,
            signature,
            index: self.index,
            path: merkle::path(&leaves, self.index as usize),
            block: self.finalized(header),
            opening: List::new(self.opened.then(contents_opening).into_iter().collect()).unwrap(),
        }
    }

    fn header(&self, transactions_root: Digest, transactions: u32) -> Header {
        Header {
            network: self.genesis.id(),
            committee: self.genesis.committee.digest(),
            epoch: self.epoch,
            view: 300,
            leader: self.nodes[0].public_key(),
            parent_view: 299,
            parent: Digest([0x11; 32]),
            height: self.height,
            time_ms: 1_800_000_012_345,
            transactions,
            transactions_root,
            state_root: Digest([0x22; 32]),
            log_root: Digest([0x33; 32]),
            log_start: 5,
            log_end: 500,
        }
    }

    fn finalized(&self, header: Header) -> FinalizedHeader {
        let mut newest = header.clone();
        let mut descendants = Vec::new();
        for _ in 0..self.descendants {
            newest = Header {
                parent: newest.digest(),
                height: newest.height + 1,
                parent_view: newest.view,
                view: newest.view + 1,
                ..newest
            };
            descendants.push(newest.clone());
        }
        let finalization = self.finalization(&newest);
        FinalizedHeader { header, descendants: List::new(descendants).unwrap(), finalization }
    }

    /// The voters' signatures, made here as the consensus engine makes them.
    pub(crate) fn finalization(&self, block: &Header) -> Finalization {
        let mut proposal = Vec::new();
        for number in [self.epoch, block.view, block.parent_view] {
            UInt(number).write(&mut proposal);
        }
        proposal.put_slice(&block.digest().0);
        let namespace = [b"outlast/consensus/1".as_slice(), &self.genesis.id().0, b"_FINALIZE"].concat();
        let vote = |node: &u8| (*node, self.nodes[usize::from(*node)].sign(&namespace, &proposal));
        Finalization {
            epoch: self.epoch,
            view: block.view,
            parent_view: block.parent_view,
            block: block.digest(),
            committee_size: 4,
            signatures: self.voters.iter().map(vote).collect(),
        }
    }
}

/// A network of which two of three approvers must agree, and a recovery of it that counts: after the block of [`Case`],
/// with other nodes in the places 1 and 3.
pub(crate) fn recovery() -> (Lineage, Recovery) {
    let approvers = [200, 201, 202].map(|seed| secret(seed).public_key());
    let genesis =
        Genesis { approvers: List::new(approvers.to_vec()).unwrap(), approvals_needed: 2, ..genesis(1) };
    let case = Case { genesis, ..Case::new() };
    let mut places: Vec<_> = nodes(1).iter().map(SecretKey::public_key).collect();
    (places[1], places[3]) = (secret(50).public_key(), secret(60).public_key());
    let terms = case.lineage().terms(places, case.receipt().block).unwrap();
    let approvals = List::new(vec![terms.approve(&secret(200)), terms.approve(&secret(202))]).unwrap();
    (case.lineage(), Recovery { terms, approvals })
}
