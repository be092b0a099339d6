//! Storage receipts and availability certificates.
//!
//! A node signs a storage receipt over a manifest's id when every page and its own shard of every chunk of that
//! manifest are on its disk and synced. 2f + 1 receipts make the certificate: at least f + 1 honest nodes hold their
//! shards, and any f + 1 shards give a chunk back.
//!
//! A node keeps for its grace period what it signed for, and for good once the chain refers to it. So that the chain
//! never refers to what honest nodes were free to drop, receipts name a time. Whoever asks for them chooses it, the
//! same for a whole certificate; a node signs only if its clock is within [`CERTIFICATE_CLOCK_MS_MAX`] of it; and a
//! transaction with the certificate expires within [`CERTIFICATE_AGE_MS_MAX`] after it.
//!
//! [`CERTIFICATE_CLOCK_MS_MAX`]: crate::limits::CERTIFICATE_CLOCK_MS_MAX
//! [`CERTIFICATE_AGE_MS_MAX`]: crate::limits::CERTIFICATE_AGE_MS_MAX

use crate::{
    Committee, Digest, PublicKey, SecretKey, Signature,
    limits::NODES_MAX,
    wire::{Encode, List},
};

const NAMESPACE: &[u8] = b"outlast/storage-receipt/1";

crate::wire_struct! {
    /// What a node signs.
    struct Statement {
        network: Digest,
        epoch: u64,
        manifest: Digest,
        time_ms: u64,
    }
}

crate::wire_struct! {
    /// One node's signature that what the manifest names is on its disk, synced.
    pub struct StorageReceipt {
        /// The node's index in the committee.
        pub node: u8,
        /// Its signature.
        pub signature: Signature,
    }
}

impl StorageReceipt {
    /// Signs for the node at index `node`. Only after the sync, and only when its clock is about `time_ms`.
    pub fn sign(
        network: Digest,
        epoch: u64,
        manifest: Digest,
        time_ms: u64,
        node: u8,
        key: &SecretKey,
    ) -> Self {
        let message = Statement { network, epoch, manifest, time_ms }.encode();
        Self { node, signature: key.sign(NAMESPACE, &message) }
    }

    /// Whether this is the signature of `key` over the manifest at that time.
    pub fn verify(
        &self,
        network: Digest,
        epoch: u64,
        manifest: Digest,
        time_ms: u64,
        key: &PublicKey,
    ) -> bool {
        let message = Statement { network, epoch, manifest, time_ms }.encode();
        key.verify(NAMESPACE, &message, &self.signature)
    }
}

crate::wire_struct! {
    /// Storage receipts of a quorum over one manifest.
    pub struct AvailabilityCertificate {
        /// The epoch whose committee signed.
        pub epoch: u64,
        /// The time that all receipts are of, in milliseconds since the Unix epoch.
        pub time_ms: u64,
        /// Receipts, by ascending node index.
        pub receipts: List<StorageReceipt, NODES_MAX>,
    }
}

/// Why a certificate does not prove availability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is of another epoch's committee.
    #[error("the certificate is of epoch {0}")]
    Epoch(u64),
    /// Fewer receipts than a quorum.
    #[error("{got} storage receipts where {needed} are needed")]
    TooFew {
        /// Receipts present.
        got: usize,
        /// A quorum.
        needed: usize,
    },
    /// Receipts out of order, repeated, or of no member.
    #[error("the receipts are not of distinct members in order")]
    Signers,
    /// A signature does not verify.
    #[error("the receipt of node {0} does not verify")]
    Signature(u8),
}

impl AvailabilityCertificate {
    /// Gathers receipts of one time, in any order, into a certificate. It may still fail [`Self::verify`].
    pub fn new(epoch: u64, time_ms: u64, mut receipts: Vec<StorageReceipt>) -> Self {
        receipts.sort_by_key(|receipt| receipt.node);
        receipts.dedup_by_key(|receipt| receipt.node);
        Self {
            epoch,
            time_ms,
            receipts: List::new(receipts).expect("at most one receipt a node index that fits a committee"),
        }
    }

    /// Checks that a quorum of `committee` signed for `manifest`.
    pub fn verify(
        &self,
        network: Digest,
        committee: &Committee,
        manifest: Digest,
    ) -> Result<(), CertificateError> {
        if self.epoch != committee.epoch() {
            return Err(CertificateError::Epoch(self.epoch));
        }
        if self.receipts.len() < committee.quorum() {
            return Err(CertificateError::TooFew { got: self.receipts.len(), needed: committee.quorum() });
        }
        if self.receipts.windows(2).any(|pair| pair[0].node >= pair[1].node) {
            return Err(CertificateError::Signers);
        }
        for receipt in self.receipts.iter() {
            let key = committee.nodes().get(receipt.node as usize).ok_or(CertificateError::Signers)?;
            if !receipt.verify(network, self.epoch, manifest, self.time_ms, key) {
                return Err(CertificateError::Signature(receipt.node));
            }
        }
        Ok(())
    }
}
