//! A block as consensus sees it.
//!
//! A block is its header, its transactions and their outcomes. Its digest is the header's, so receipts and read proofs
//! need headers alone; decoding refuses a body that the header's Merkle root does not bind, so equal digests mean
//! equal bytes.

use bytes::BufMut;
use commonware_codec::{Buf, Copying, DecodeExt, EncodeSize, Error, FixedSize, Read, ReadExt, Write};
use commonware_consensus::{
    Block as ConsensusBlock, BoundedBlock, CertifiableBlock, Heightable,
    simplex::types::Context,
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{Digestible, ed25519, sha256};
use proof::{
    Digest, Genesis, Header, PublicKey, SignedTransaction,
    limits::{BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX},
    merkle::{self, Leaf},
    wire::List,
};

/// The consensus context that a header embeds.
pub type BlockContext = Context<sha256::Digest, ed25519::PublicKey>;

/// The engine's form of a digest.
pub fn engine_digest(digest: &Digest) -> sha256::Digest {
    sha256::Digest(digest.0)
}

/// Our form of an engine's digest.
pub fn digest(digest: &sha256::Digest) -> Digest {
    Digest(digest.0)
}

/// The engine's form of a key.
///
/// # Panics
///
/// If the bytes are no curve point. Keys of a committee are checked when the genesis is read.
pub fn engine_key(key: &PublicKey) -> ed25519::PublicKey {
    ed25519::PublicKey::decode(Copying(&key.0)).expect("committee keys are curve points")
}

/// Our form of an engine's key.
pub fn public_key(key: &ed25519::PublicKey) -> PublicKey {
    PublicKey(key.as_ref().try_into().expect("an Ed25519 key has 32 bytes"))
}

/// A block: header, transactions, and what became of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// The transactions in order.
    pub transactions: List<SignedTransaction, BLOCK_TRANSACTIONS_MAX>,
    /// For each, zero when applied, otherwise the code of its refusal.
    pub outcomes: List<u16, BLOCK_TRANSACTIONS_MAX>,
}

impl Block {
    /// The block that every chain of this network starts with. It has no transactions and was never voted on.
    pub fn genesis(genesis: &Genesis, log_root: sha256::Digest, log_start: u64, log_end: u64) -> Self {
        let header = Header {
            network: genesis.id(),
            committee: genesis.committee.digest(),
            epoch: genesis.committee.epoch(),
            view: 0,
            leader: genesis.committee.nodes()[0],
            parent_view: 0,
            parent: Digest::ZERO,
            height: 0,
            time_ms: genesis.created_ms,
            transactions: 0,
            transactions_root: merkle::root(&[]),
            state_root: Digest::ZERO,
            log_root: digest(&log_root),
            log_start,
            log_end,
        };
        Self { header, transactions: List::default(), outcomes: List::default() }
    }

    /// The leaves of the transactions' tree.
    pub fn leaves(&self) -> Vec<Leaf> {
        leaves(&self.transactions, &self.outcomes)
    }

    /// Whether the header binds this body.
    fn is_bound(&self) -> bool {
        self.transactions.len() == self.outcomes.len()
            && self.header.transactions as usize == self.transactions.len()
            // The engine takes these as a non-empty range and would panic at anything else.
            && self.header.log_start < self.header.log_end
            && self.header.log_end <= LOG_MAX
            && self.header.transactions_root == merkle::root(&self.leaves())
            && self.transactions.iter().all(SignedTransaction::attachments_match)
    }
}

/// The leaves of the tree over these transactions and outcomes.
pub fn leaves(transactions: &[SignedTransaction], outcomes: &[u16]) -> Vec<Leaf> {
    let leaf = |(signed, outcome): (&SignedTransaction, &u16)| Leaf {
        transaction: signed.transaction.id(),
        signature: signed.signature,
        outcome: *outcome,
    };
    transactions.iter().zip(outcomes).map(leaf).collect()
}

impl Write for Block {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        self.transactions.write(buf);
        self.outcomes.write(buf);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        self.header.encode_size() + self.transactions.encode_size() + self.outcomes.encode_size()
    }
}

impl Read for Block {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let header = Header::read(buf)?;
        let transactions = List::<SignedTransaction, BLOCK_TRANSACTIONS_MAX>::read(buf)?;
        let outcomes = List::<u16, BLOCK_TRANSACTIONS_MAX>::read(buf)?;
        if transactions.encode_size() > 4 + BLOCK_BYTES_MAX {
            return Err(Error::Invalid("Block", "larger than a block may be"));
        }
        let block = Self { header, transactions, outcomes };
        if block.is_bound() {
            Ok(block)
        } else {
            Err(Error::Invalid("Block", "the header does not bind the body"))
        }
    }
}

impl Digestible for Block {
    type Digest = sha256::Digest;
    fn digest(&self) -> sha256::Digest {
        engine_digest(&self.header.digest())
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        Height::new(self.header.height)
    }
}

impl ConsensusBlock for Block {
    fn parent(&self) -> sha256::Digest {
        engine_digest(&self.header.parent)
    }
}

impl CertifiableBlock for Block {
    type Context = BlockContext;
    fn context(&self) -> BlockContext {
        // A header that names no curve point decodes, but never equals the context of a real round.
        let leader = ed25519::PublicKey::decode(Copying(&self.header.leader.0))
            .unwrap_or_else(|_| engine_key(&PublicKey(NO_LEADER)));
        Context {
            round: Round::new(Epoch::new(self.header.epoch), View::new(self.header.view)),
            leader,
            parent: (View::new(self.header.parent_view), engine_digest(&self.header.parent)),
        }
    }
}

/// The curve's neutral element: a well-formed key that no committee has.
const NO_LEADER: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

/// More operations than any log has, fewer than the engine's largest location.
const LOG_MAX: u64 = 1 << 60;

/// Bytes of an encoded header: all its fields are of fixed width.
const HEADER_BYTES: usize = 32 * 7 + 8 * 7 + 4;

impl BoundedBlock for Block {
    fn max_encode_size(_: &()) -> usize {
        HEADER_BYTES + 4 + BLOCK_BYTES_MAX + 4 + BLOCK_TRANSACTIONS_MAX * u16::SIZE
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use commonware_codec::{DecodeExt, Encode};
    use proof::{Committee, SecretKey};

    fn genesis() -> Genesis {
        let keys = (0..4).map(|i| SecretKey::from_seed([i; 32]).public_key()).collect::<Vec<_>>();
        Genesis {
            name: proof::wire::Octets::new("test".as_bytes()).unwrap(),
            created_ms: 1,
            committee: Committee::new(0, keys.clone()).unwrap(),
            approvers: List::new(keys).unwrap(),
            approvals_needed: 1,
            tenants: List::default(),
        }
    }

    pub(crate) fn empty() -> Block {
        Block::genesis(&genesis(), sha256::Digest([7; 32]), 0, 1)
    }

    #[test]
    fn header_width_is_as_stated_and_the_body_is_bound() {
        let block = Block::genesis(&genesis(), sha256::Digest([7; 32]), 0, 1);
        assert_eq!(block.header.encode_size(), HEADER_BYTES);
        let bytes = block.encode();
        assert_eq!(Block::decode(bytes.clone()).unwrap(), block);
        // The transactions' root, flipped: the empty body is no longer the one that the header binds.
        let mut altered = bytes.to_vec();
        altered[32 * 2 + 8 * 2 + 32 + 8 + 32 + 8 * 2 + 4] ^= 1;
        assert!(Block::decode(altered).is_err());
    }

    #[test]
    fn a_leader_that_is_no_curve_point_does_not_panic() {
        let mut block = Block::genesis(&genesis(), sha256::Digest([7; 32]), 0, 1);
        block.header.leader = PublicKey([2; 32]);
        block.context();
        block.header.leader = PublicKey([0xff; 32]);
        block.context();
    }
}
