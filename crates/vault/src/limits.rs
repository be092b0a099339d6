//! What a gateway spends at most, with the arithmetic.
//!
//! One chunk on its way to the nodes costs, at its worst moment, its plaintext (1 MiB, freed when encrypted), its
//! ciphertext padded to k shards (1 MiB) and `n - k` parity shards: `(n - k) / k` MiB, at most 2 (n = 3f + 1,
//! k = f + 1). So [`CHUNK_COST`] = 4 MiB covers it, and no request has more than [`CHUNKS_IN_FLIGHT`] of them on the
//! way. A chunk on its way back costs its k shards and its plaintext, below that.
//!
//! A put: `8 * 4 MiB` on the way + 1 MiB being collected + less than 1 MiB of the page being listed (4,096 chunk ids of
//! 32 bytes) + one page on its way to the nodes = 35 MiB, whatever the object's length. A get: `4 * 4 MiB`.

use proof::limits::{CHUNK_LENGTH, CHUNK_TAG_LENGTH, INLINE_MAX, NODES_MAX};
use std::time::Duration;

/// Bytes of memory that a chunk in flight costs.
pub const CHUNK_COST: usize = 4 << 20;
/// Chunks that one put has on the way to the nodes.
pub const CHUNKS_IN_FLIGHT: usize = 8;
/// Chunks that one get has on the way from the nodes, or waiting for its caller.
pub const CHUNKS_AHEAD: usize = 4;
/// Bytes of plaintext that travel inside the transaction.
pub const INLINE_PLAINTEXT_MAX: usize = INLINE_MAX - CHUNK_TAG_LENGTH as usize;
/// Parts of an upload.
pub(crate) const PARTS_MAX: usize = proof::limits::PART_NUMBER_MAX as usize;
/// Bytes of an object: S3's limit.
pub const OBJECT_LENGTH_MAX: u64 = 5 << 40;
/// Bytes of a part: S3's limit.
pub const PART_LENGTH_MAX: u64 = 5 << 30;
/// Bytes of a part that is not the last: S3's limit.
pub const PART_LENGTH_MIN: u64 = 5 << 20;
/// Bytes of memory that one put takes, at most.
pub const PUT_COST_MAX: usize = (CHUNKS_IN_FLIGHT + 1) * CHUNK_COST;

const _: () = {
    let (n, k) = (NODES_MAX, proof::committee::threshold(NODES_MAX));
    let chunk = (CHUNK_LENGTH + CHUNK_TAG_LENGTH) as usize + 2 * k;
    // Plaintext or parity may be resident beside the ciphertext; plaintext is freed before parity is made.
    assert!(chunk + chunk * (n - k).div_ceil(k) <= CHUNK_COST);
    assert!(PUT_COST_MAX <= 48 << 20);
};

/// What one gateway spends.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Chunks in flight over all puts: times [`CHUNK_COST`] of memory.
    pub chunks_written: usize,
    /// Chunks in flight, or waiting for a slow caller, over all gets: times [`CHUNK_COST`] of memory.
    pub chunks_read: usize,
    /// Puts and parts open at a time: each collects up to 1 MiB and a page.
    pub writers: usize,
    /// How long a request waits for room under these limits before it is refused.
    pub patience: Duration,
    /// How long after its making a transaction may still be executed.
    pub expiry: Duration,
    /// A read of the chain ends after this time at the latest.
    pub read_timeout: Duration,
    /// A write to the chain ends after this time at the latest. Longer than `expiry`, so that its outcome is known.
    pub submit_timeout: Duration,
    /// Bounds of the links to the nodes.
    pub link: link::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunks_written: 64,
            chunks_read: 64,
            writers: 512,
            patience: Duration::from_secs(10),
            expiry: Duration::from_secs(30),
            read_timeout: Duration::from_secs(10),
            submit_timeout: Duration::from_secs(45),
            link: link::Limits::default(),
        }
    }
}
