//! Hashes with domains.
//!
//! SHA-256 (FIPS 180-4) names what consensus orders: transactions, headers, state keys, entries. BLAKE3 names bulk
//! bytes: shards, chunks, attachments, contents. Each use has its own domain, so a value of one kind can never be
//! taken for another.

use sha2::{Digest as _, Sha256};

crate::wire_array! {
    /// A 32-byte hash.
    pub struct Digest(32)
}

impl Digest {
    /// All zeros: "nothing", never a hash of anything known.
    pub const ZERO: Self = Self([0; 32]);
}

/// SHA-256 over `domain` and the parts, each preceded by its length as `u64`.
pub fn sha256(domain: &str, parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

/// BLAKE3 in its key-derivation mode over `bytes`, with `domain` as the context string.
pub fn blake3(domain: &str, bytes: &[u8]) -> Digest {
    Digest(*blake3::Hasher::new_derive_key(domain).update(bytes).finalize().as_bytes())
}
