//! Openings and shards that came from outside, checked.

use crate::Code;
use bytes::Bytes;
use proof::{
    Digest,
    limits::{CHUNK_LENGTH, CHUNK_TAG_LENGTH},
    manifest::Opening,
};

/// Bytes of a full chunk's ciphertext.
pub const CIPHERTEXT_MAX: usize = (CHUNK_LENGTH + CHUNK_TAG_LENGTH) as usize;

/// Why an opening is none of this network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// It is of another code.
    #[error("the opening is of a ({k}, {n}) code")]
    Code {
        /// Its k.
        k: usize,
        /// Its n.
        n: usize,
    },
    /// It is of an empty or an oversized chunk.
    #[error("the opening is of {0} bytes of ciphertext, not of 1 to {CIPHERTEXT_MAX}")]
    Length(u32),
}

/// Why bytes are not the shard they are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// The opening itself is wrong.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// There is no shard of this index.
    #[error("no shard has index {0}")]
    Index(usize),
    /// The shard is too long or too short.
    #[error("the shard has {got} bytes where the opening says {expected}")]
    Length {
        /// Bytes present.
        got: usize,
        /// Bytes of each shard of the chunk.
        expected: usize,
    },
    /// The hash differs from the opening's.
    #[error("the shard is not the one that the opening names")]
    Hash,
}

/// A shard whose hash is the one that an opening gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedShard {
    pub(crate) index: usize,
    pub(crate) hash: Digest,
    pub(crate) bytes: Bytes,
}

impl CheckedShard {
    /// Its place among the n shards, which is also its node's in the committee.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its contents.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its contents, without the claim.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl Code {
    /// Checks that `opening` is of this code and of a chunk that can be.
    pub fn check_opening(&self, opening: &Opening) -> Result<(), OpeningError> {
        let (k, n) = (usize::from(opening.k), opening.shards.len());
        if (k, n) != (self.k(), self.n()) {
            return Err(OpeningError::Code { k, n });
        }
        if opening.ciphertext_length == 0 || opening.ciphertext_length as usize > CIPHERTEXT_MAX {
            return Err(OpeningError::Length(opening.ciphertext_length));
        }
        Ok(())
    }

    /// Checks that `bytes` are shard `index` of the chunk with this opening.
    pub fn check_shard(
        &self,
        opening: &Opening,
        index: usize,
        bytes: Bytes,
    ) -> Result<CheckedShard, ShardError> {
        self.check_opening(opening)?;
        let expected = opening.shards.get(index).ok_or(ShardError::Index(index))?;
        if bytes.len() != opening.shard_length() {
            return Err(ShardError::Length { got: bytes.len(), expected: opening.shard_length() });
        }
        let hash = shard_hash(&bytes);
        if hash != *expected {
            return Err(ShardError::Hash);
        }
        Ok(CheckedShard { index, hash, bytes })
    }
}

/// What an opening holds of a shard: its plain BLAKE3 hash.
pub(crate) fn shard_hash(shard: &[u8]) -> Digest {
    Digest(*blake3::hash(shard).as_bytes())
}
