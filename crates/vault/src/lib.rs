//! A gateway's core: the one write path and the one read path, for one tenant.
//!
//! # Writing
//!
//! 1. *Encrypted.* A write draws a data key, a segment key and a salt. Plaintext is hashed with the salt as it comes
//!    and cut into chunks of 1 MiB, each encrypted under the segment key and encoded into n shards.
//! 2. *Dispersed.* Shard i of every chunk goes to node i, a bounded number of chunks at a time; when a page of chunk
//!    ids is full it goes to all nodes. Memory does not grow with the object.
//! 3. *Certified.* 2f + 1 nodes sign that they hold, synced, all that the manifest lists.
//! 4. *Ordered, finalized.* One signed transaction brings the manifest with its certificate, the content commitment
//!    and the sealed body: data key, salt, length and metadata, encrypted under the tenant's master key. The write is
//!    acknowledged when its block is final and a quorum has applied it.
//!
//! Up to 16 KiB travel inside the transaction instead of steps 2 and 3. A crash before step 4 leaves nothing but
//! shards that nodes collect later; after it the write is complete whether acknowledged or not.
//!
//! # Reading
//!
//! The chain proves what a key or version holds. Its sealed body opens only under the tenant's key and only for that
//! key, and gives the data key; the manifest tells which chunks hold a range; each is fetched from any k nodes,
//! checked against its id, decrypted, given out in order. Whatever was altered ends in [`Error::Damaged`].
//!
//! # The past
//!
//! Blocks are instants: a time names the newest block whose time is not after it ([`Moment`]). What was current then,
//! and listings as of then, are what f + 1 nodes agree on; a version that is read is proven as any other.
//!
//! # Keys
//!
//! ```text
//! master key   the tenant's; seals sealed bodies, each under a key derived with 32 random bytes
//!   data key   random per version and per part, in the sealed body; seals segment keys (number = the count of chunks
//!              before the segment), or encrypts contents that travel inside the transaction
//!     segment key   random per segment; encrypts its chunks (nonce = the chunk's number in the segment)
//! ```
//!
//! A part of a multipart upload is a segment under a data key of its own; completion seals its segment key again under
//! the object's new data key. So no key ever encrypts two things under one nonce.

mod buckets;
mod commit;
mod dispersal;
mod error;
mod intake;
mod join;
mod layout;
mod limits;
mod listing;
mod metadata;
mod moment;
mod multipart;
mod object;
mod objects;
mod past;
mod quotas;
mod reader;
mod receipts;
pub mod salvage;
mod sealed;
mod settings;
mod status;
mod tenants;
mod types;
mod vault;
mod visibility;
mod writer;

pub use chain::protocol::Stance;
pub use error::{ConnectError, Error};
pub use ledger::record::Usage;
pub use limits::{
    CHUNK_COST, CHUNKS_AHEAD, CHUNKS_IN_FLIGHT, INLINE_PLAINTEXT_MAX, Limits, OBJECT_LENGTH_MAX,
    PART_LENGTH_MAX, PART_LENGTH_MIN, PUT_COST_MAX,
};
pub use listing::LIST_LIMIT_MAX;
pub use metadata::Metadata;
pub use moment::{InvalidMoment, Moment, Past};
pub use proof::transaction::{About, DefaultRetention, Mode, Period, Place, Quota, Retention};
pub use reader::Reader;
pub use settings::{DOCUMENT_MAX, Settings, VersionLock, tags_of};
pub use types::*;
pub use vault::{Config, Vault};
pub use writer::{PartWriter, Writer};

/// What a vault needs of its runtime. Every commonware runtime context has it.
pub trait Context: link::Context {}

impl<E: link::Context> Context for E {}
