//! Write receipts: offline proof, trusting no node, that a transaction was accepted at a time.
//!
//! `receipt file = magic || version || receipt || sha256 of all before`. The checksum finds accidents; what finds
//! forgers is that every field is bound: the transaction by its signature and the Merkle path, the header by the
//! finalization, the committee by the genesis file, the opening by the content commitment in the transaction.
//!
//! A receipt may *open* the content commitment. Whoever holds it can then check that a file is what was stored. The
//! commitment hides the contents from nodes: its salt is random and sealed.

use crate::{
    Digest, Lineage, Signature, Transaction, VersionId,
    digest::sha256,
    finality::{FinalityError, FinalizedHeader},
    merkle,
    transaction::Operation,
    wire::{DecodeExt, Encode, EncodeSize, Error, List, Write},
};
use bytes::Bytes;

/// First bytes of a receipt file.
pub const MAGIC: [u8; 8] = *b"OUTLASTR";
const VERSION: u8 = 1;

crate::wire_struct! {
    /// A run of the contents: one for a simple put, one per part of a multipart upload.
    pub struct ContentRun {
        /// Bytes.
        pub length: u64,
        /// [`ContentHasher`]'s hash of them under the salt.
        pub hash: Digest,
    }
}

crate::wire_struct! {
    /// What opens a content commitment.
    pub struct ContentOpening {
        /// The salt that hid the contents.
        pub salt: [u8; 32],
        /// The runs in order.
        pub runs: List<ContentRun, { crate::limits::PART_NUMBER_MAX as usize }>,
    }
}

/// The hiding commitment of contents: BLAKE3 keyed with the salt over the encoded runs, each hashed with the same key.
pub fn content_commitment(opening: &ContentOpening) -> Digest {
    let mut hasher = blake3::Hasher::new_keyed(&opening.salt);
    hasher.update(b"outlast/content/1");
    hasher.update(&opening.runs.encode());
    Digest(*hasher.finalize().as_bytes())
}

/// Hashes one run of contents as it streams by.
pub struct ContentHasher {
    hasher: blake3::Hasher,
    length: u64,
}

impl ContentHasher {
    /// A hasher for a run under this salt.
    pub fn new(salt: &[u8; 32]) -> Self {
        Self { hasher: blake3::Hasher::new_keyed(salt), length: 0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.hasher.update(bytes);
    }

    /// The run.
    pub fn finish(self) -> ContentRun {
        ContentRun { length: self.length, hash: Digest(*self.hasher.finalize().as_bytes()) }
    }
}

/// Checks contents against an opening as they stream by.
pub struct ContentCheck<'a> {
    opening: &'a ContentOpening,
    run: usize,
    hasher: ContentHasher,
    /// Whether the bytes so far differ from the contents. Stays so.
    failed: bool,
}

impl<'a> ContentCheck<'a> {
    /// A check against this opening.
    pub fn new(opening: &'a ContentOpening) -> Self {
        Self { opening, run: 0, hasher: ContentHasher::new(&opening.salt), failed: false }
    }

    /// Takes the next bytes; `false` as soon as they cannot be the contents.
    pub fn update(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && !self.failed {
            let Some(run) = self.opening.runs.get(self.run) else {
                self.failed = true;
                break;
            };
            let room = run.length - self.hasher.length;
            let (now, later) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            self.hasher.update(now);
            bytes = later;
            if self.hasher.length == run.length {
                self.next_run();
            }
        }
        !self.failed
    }

    fn next_run(&mut self) {
        let done = std::mem::replace(&mut self.hasher, ContentHasher::new(&self.opening.salt)).finish();
        self.failed |= done != self.opening.runs[self.run];
        self.run += 1;
    }

    /// Whether all bytes given were exactly the contents.
    pub fn finish(mut self) -> bool {
        // What is left must be empty runs.
        while !self.failed && self.run < self.opening.runs.len() {
            self.next_run();
        }
        !self.failed
    }
}

crate::wire_struct! {
    /// A write receipt.
    pub struct Receipt {
        /// The network's id.
        pub network: Digest,
        /// The transaction without its attachments.
        pub transaction: Transaction,
        /// Its signature.
        pub signature: Signature,
        /// Its place in the block.
        pub index: u32,
        /// Siblings from its leaf to the header's root.
        pub path: merkle::Path,
        /// The block, final.
        pub block: FinalizedHeader,
        /// Zero or one opening of the content commitment of the one operation that has a body.
        pub opening: List<ContentOpening, 1>,
    }
}

/// What a verified receipt proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The transaction's id.
    pub transaction: Digest,
    /// Height of the block.
    pub height: u64,
    /// Block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The version that the first operation made, if it made one.
    pub version: VersionId,
}

/// Why a receipt proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// Wrong magic or version.
    #[error("this is not a receipt of version {VERSION}")]
    NotReceipt,
    /// Damaged or cut short.
    #[error("the receipt is damaged: {0}")]
    Damaged(Error),
    /// Of another network than the genesis file.
    #[error("the receipt is of network {receipt}, the genesis file of network {genesis}")]
    Network {
        /// The receipt's network.
        receipt: Digest,
        /// The genesis file's.
        genesis: Digest,
    },
    /// The transaction is not signed by the key that it names.
    #[error("the transaction's signature does not verify")]
    Signature,
    /// The transaction is not in the block, or was refused there.
    #[error("the transaction is not among those that the block applied")]
    Path,
    /// The block is not final.
    #[error("the block is not proved final: {0}")]
    Finality(#[from] FinalityError),
    /// The opening does not open the transaction's content commitment.
    #[error("the opening does not match the transaction's content commitment")]
    Opening,
}

impl Receipt {
    /// The bytes of a receipt file.
    pub fn to_file(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 1 + self.encode_size() + 32);
        bytes.extend_from_slice(&MAGIC);
        VERSION.write(&mut bytes);
        self.write(&mut bytes);
        let checksum = sha256("outlast/receipt-file/1", &[&bytes]);
        checksum.write(&mut bytes);
        bytes
    }

    /// Reads a receipt file. Proves nothing yet: see [`Self::verify`].
    pub fn from_file(bytes: &[u8]) -> Result<Self, ReceiptError> {
        let split = bytes.len().checked_sub(32).ok_or(ReceiptError::NotReceipt)?;
        let (signed, checksum) = bytes.split_at(split);
        let body = signed.strip_prefix(&MAGIC).and_then(|rest| rest.strip_prefix(&[VERSION]));
        let body = body.ok_or(ReceiptError::NotReceipt)?;
        if sha256("outlast/receipt-file/1", &[signed]).0 != checksum {
            return Err(ReceiptError::Damaged(Error::Invalid(
                "Receipt",
                "the hash at its end does not match",
            )));
        }
        Self::decode(Bytes::copy_from_slice(body)).map_err(ReceiptError::Damaged)
    }

    /// Checks everything, trusting the genesis file alone.
    pub fn verify(&self, lineage: &Lineage) -> Result<Proven, ReceiptError> {
        let network = lineage.network();
        if self.network != network || self.transaction.network != network {
            return Err(ReceiptError::Network { receipt: self.network, genesis: network });
        }
        if !self.transaction.verify(&self.signature) {
            return Err(ReceiptError::Signature);
        }
        let header = &self.block.header;
        let leaf = merkle::Leaf { transaction: self.transaction.id(), signature: self.signature, outcome: 0 };
        if !merkle::verify(&header.transactions_root, header.transactions, self.index, &leaf, &self.path) {
            return Err(ReceiptError::Path);
        }
        lineage.verify(&self.block)?;
        if let Some(opening) = self.opening.first() {
            let mut bodies = self.transaction.operations.iter().filter_map(Operation::body);
            let body = bodies.next().ok_or(ReceiptError::Opening)?;
            if bodies.next().is_some() || content_commitment(opening) != body.content {
                return Err(ReceiptError::Opening);
            }
        }
        Ok(Proven {
            transaction: leaf.transaction,
            height: header.height,
            time_ms: header.time_ms,
            version: VersionId { height: header.height, index: self.index, operation: 0 },
        })
    }
}
