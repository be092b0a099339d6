//! What a gateway spends at most, with the arithmetic.
//!
//! One chunk on its way to the nodes costs, at its worst moment, its plaintext (1 MiB, until it is encoded) and n shards
//! of `1/k` MiB: less than 3 MiB, because n = 3f + 1 and k = f + 1. So [`CHUNK_COST`] = 4 MiB covers it, and no request
//! has more than [`CHUNKS_IN_FLIGHT`] of them on the way. A chunk on its way back costs its k shards, its ciphertext and
//! its plaintext: 3 MiB.
//!
//! A put: `8 * 4 MiB` on the way + 1 MiB being collected + two pages of at most 0.3 MiB, one being listed and one on its
//! way to the nodes: less than [`PUT_COST_MAX`], whatever the object's length. A get: `5 * 4 MiB`, one of them with its
//! caller, and a page. All together, by default: 64 chunks written and 64 read at 4 MiB, 256 writers at 1.6 MiB:
//! 0.9 GiB. Beside that the links and the client of crate `shards` have bounds of their own, for each node.

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
    // The largest committee has the most parity.
    let shard = ((CHUNK_LENGTH + CHUNK_TAG_LENGTH) as usize).div_ceil(proof::committee::threshold(NODES_MAX));
    assert!(CHUNK_LENGTH as usize + NODES_MAX * shard <= CHUNK_COST);
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
            writers: 256,
            patience: Duration::from_secs(10),
            expiry: Duration::from_secs(30),
            read_timeout: Duration::from_secs(10),
            submit_timeout: Duration::from_secs(45),
            link: link::Limits::default(),
        }
    }
}
