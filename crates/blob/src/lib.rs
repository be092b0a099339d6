//! Bytes to n shards and back: cipher, erasure code, commitment. Pure: no I/O, no clock, no randomness.
//!
//! # A chunk's way out and back
//!
//! ```text
//! plaintext, 1 to 2^20 bytes
//!   | AES-256-GCM: segment key, nonce = chunk number, aad "outlast/chunk/1"      (cipher)
//! ciphertext = encrypted plaintext || 16-byte tag
//!   | zeros up to k * L, where L = ceil(length / k)                              (code)
//! k data shards of L bytes each, in order
//!   | Cauchy matrix over GF(2^8): n - k parity shards
//! n shards
//!   | BLAKE3 of each shard (the plain hash, no domain)
//! opening = k, ciphertext length, n hashes;  chunk id = hash of the opening      (proof::manifest)
//! ```
//!
//! Back: a shard is checked against the opening ([`Code::check_shard`]), any k checked shards give the ciphertext
//! ([`Code::decode`]), the segment key gives the plaintext ([`open_chunk`]).
//!
//! # The code
//!
//! Reed and Solomon, "Polynomial Codes over Certain Finite Fields", 1960, in the systematic Cauchy form of Blömer et
//! al., "An XOR-Based Erasure-Resilient Coding Scheme", 1995. The field is GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1.
//! Shard i < k is data shard i; shard i >= k is the sum over j < k of inverse(i XOR j) times data shard j. These are
//! the bytes of Intel ISA-L's `gf_gen_cauchy1_matrix`. Every square submatrix of a Cauchy matrix is invertible, so any
//! k shards decode; ISA-L's other matrix, the Vandermonde one, does not promise that at every size. With k = 1 all
//! shards are equal: replication, whatever n.
//!
//! # What a lying writer can do
//!
//! An opening is only hashes: its writer may commit to parity of something else, or to padding that is not zero. The
//! truth of a chunk is what its data shards say. Whenever decoding had to compute a data shard, it compares that
//! shard's hash with the opening; then the result is the data shards' bytes or [`DecodeError::Inconsistent`], never
//! other bytes. So no two readers see different contents. Which subsets of shards decode is up to such a writer; a
//! reader that holds more than k shards may try another k. [`Code::rebuild`] accepts only a chunk that is consistent
//! throughout.
//!
//! # The ciphers
//!
//! * Chunks: AES-256-GCM (NIST SP 800-38D). A segment key is random, used for one segment only, and its nonces count:
//!   the deterministic construction, no collision possible within 2^32 chunks. GCM is not key-committing (two keys can
//!   open one ciphertext), which matters nowhere here: the chunk id covers the ciphertext, the signed manifest covers
//!   the chunk id and the wrapped key.
//! * Segment keys, wrapped under the data key: AES-256-GCM-SIV (RFC 8452), nonce = segment number, aad
//!   "outlast/segment-key/1". SIV, so that a number wrapped again with another key (a part uploaded again, a retry)
//!   tells at most whether the two keys are equal; plain GCM would give away their difference and its own
//!   authentication key. See [`wrap_segment_key`].
//! * Metadata, sealed under the tenant key: AES-256-GCM under a key derived for this one sealing from 32 random bytes
//!   that the caller provides. See [`seal`].
//!
//! # Speed
//!
//! The cipher writes the ciphertext where the data shards lie; the data shards are slices of that buffer, the parity
//! shards of another. Each step (cipher, code, hashes) passes over the whole chunk: cutting it into stripes of 256 to
//! 1024 KiB made no difference that could be measured. Buffers come from a small pool inside [`Code`] and return to it
//! when the last slice is dropped, so a long upload touches no fresh memory. A slice kept for long keeps its whole
//! buffer, so copy what is to stay. `benches/chunk.rs` measures all of it.

mod buffer;
mod cipher;
mod code;
mod key;
mod sealing;
mod shard;

pub use cipher::{OpenError, encode_chunk, open_chunk, seal_chunk};
pub use code::{Code, CodeError, DecodeError, EncodedChunk};
pub use key::{DataKey, SegmentKey, TenantKey};
pub use sealing::{SEALING_OVERHEAD, seal, unseal, unwrap_segment_key, wrap_segment_key};
pub use shard::{CIPHERTEXT_MAX, CheckedShard, OpeningError, ShardError};
