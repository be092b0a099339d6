//! What a network agrees on before its first block.

use crate::{
    Committee, Digest, PublicKey, TenantId,
    digest::sha256,
    wire::{DecodeExt, Encode, Error, List, Octets, Write},
};
use bytes::Bytes;

/// First bytes of a genesis file.
pub const MAGIC: [u8; 8] = *b"OUTLASTG";
const VERSION: u8 = 1;

crate::wire_struct! {
    /// A tenant that exists from the first block on.
    pub struct GenesisTenant {
        /// Its id.
        pub tenant: TenantId,
        /// Its name for people.
        pub name: Octets<64>,
        /// The first key that may sign for it.
        pub key: PublicKey,
    }
}

crate::wire_struct! {
    /// The founding facts. Their hash is the network's id.
    pub struct Genesis {
        /// The network's name for people.
        pub name: Octets<64>,
        /// When it was founded, milliseconds since the Unix epoch. Block time starts here.
        pub created_ms: u64,
        /// The nodes of epoch 0.
        pub committee: Committee,
        /// Keys of the approvers, who govern what is destructive and who is a member.
        pub approvers: List<PublicKey, 32>,
        /// How many approvers must agree.
        pub approvals_needed: u8,
        /// The first tenants.
        pub tenants: List<GenesisTenant, 1024>,
    }
}

/// Bytes that are not a genesis file.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// Wrong magic or version.
    #[error("this is not a genesis file of version {VERSION} or 2")]
    NotGenesis,
    /// Damaged or cut short.
    #[error("the genesis file is damaged: {0}")]
    Damaged(Error),
    /// The approvals needed cannot be had.
    #[error("{needed} of {approvers} approvers can never agree")]
    Approvers {
        /// Approvals needed.
        needed: u8,
        /// Approvers there are.
        approvers: usize,
    },
    /// A recovery does not count.
    #[error("a recovery in it does not count: {0}")]
    Recovery(crate::lineage::RecoveryError),
}

impl Genesis {
    /// The network's id: binds signatures, blocks and receipts to this network.
    pub fn id(&self) -> Digest {
        sha256("outlast/genesis/1", &[&self.encode()])
    }

    /// The namespace of consensus votes. The engine appends what is voted on.
    pub fn consensus_namespace(&self) -> Vec<u8> {
        consensus_namespace(self.id())
    }

    /// The bytes of a genesis file without recoveries: magic, version, encoding, hash.
    pub fn to_file(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        VERSION.write(&mut bytes);
        self.write(&mut bytes);
        self.id().write(&mut bytes);
        bytes
    }

    /// Reads a genesis file without recoveries. For those with, see [`crate::Lineage`].
    pub fn from_file(bytes: &[u8]) -> Result<Self, GenesisError> {
        let body = bytes.strip_prefix(&MAGIC).and_then(|rest| rest.strip_prefix(&[VERSION]));
        let body = body.ok_or(GenesisError::NotGenesis)?;
        let split = body.len().checked_sub(32).ok_or(GenesisError::Damaged(Error::EndOfBuffer))?;
        let genesis = Self::decode(Bytes::copy_from_slice(&body[..split])).map_err(GenesisError::Damaged)?;
        if genesis.id().0 != body[split..] {
            return Err(GenesisError::Damaged(Error::Invalid(
                "Genesis",
                "the hash at its end does not match",
            )));
        }
        genesis.check()?;
        Ok(genesis)
    }

    pub(crate) fn check(&self) -> Result<(), GenesisError> {
        if self.committee.epoch() != 0 {
            let why = "its committee is of another epoch than the first";
            return Err(GenesisError::Damaged(Error::Invalid("Genesis", why)));
        }
        let (needed, approvers) = (self.approvals_needed, self.approvers.len());
        if needed == 0 || usize::from(needed) > approvers {
            return Err(GenesisError::Approvers { needed, approvers });
        }
        Ok(())
    }
}

/// The namespace of consensus votes of the network with this id.
pub fn consensus_namespace(network: Digest) -> Vec<u8> {
    [b"outlast/consensus/1".as_slice(), &network.0].concat()
}

/// The namespace of handshakes between gateways and nodes of the network with this id.
pub fn link_namespace(network: Digest) -> Vec<u8> {
    [b"outlast/link/1".as_slice(), &network.0].concat()
}
