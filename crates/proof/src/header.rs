//! The block header. Its hash is what consensus votes on; the transactions are bound by their Merkle root.

use crate::{Digest, PublicKey, digest::sha256, wire::Encode};

crate::wire_struct! {
    /// A block's header.
    pub struct Header {
        /// The network's id.
        pub network: Digest,
        /// Hash of the committee that decides this block's epoch.
        pub committee: Digest,
        /// Epoch of the consensus round in which it was proposed.
        pub epoch: u64,
        /// View of that round.
        pub view: u64,
        /// Who proposed it.
        pub leader: PublicKey,
        /// View in which the parent was proposed.
        pub parent_view: u64,
        /// The parent's hash.
        pub parent: Digest,
        /// Number of ancestors.
        pub height: u64,
        /// Block time, milliseconds since the Unix epoch; never before the parent's.
        pub time_ms: u64,
        /// Number of transactions.
        pub transactions: u32,
        /// Root of the Merkle tree over (transaction, signature, outcome).
        pub transactions_root: Digest,
        /// Canonical root of the authenticated state after this block.
        pub state_root: Digest,
        /// Root of the state's operation log, for state sync.
        pub log_root: Digest,
        /// First operation of the log that is still active.
        pub log_start: u64,
        /// Number of operations in the log.
        pub log_end: u64,
    }
}

impl Header {
    /// The block's hash.
    pub fn digest(&self) -> Digest {
        sha256("outlast/header/1", &[&self.encode()])
    }
}
