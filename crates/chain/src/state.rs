//! The authenticated state: QMDB over 32-byte keys and 128-byte records, and the proofs that it gives.
//!
//! Keys are SHA-256 hashes, so the index's eight-byte prefixes are as good as random. A proof is checked against the
//! state root of a finalized header and needs no database.

use crate::block::engine_digest;
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error, Read, ReadExt, Write};
use commonware_cryptography::{Sha256, sha256};
use commonware_parallel::Sequential;
use commonware_runtime::buffer::paged::CacheRef;
use commonware_storage::{
    Context as StorageContext,
    journal::contiguous::fixed::Config as JournalConfig,
    mmr::{self, full::Config as MerkleConfig},
    qmdb::{
        any::value::FixedEncoding,
        current::{
            FixedConfig,
            ordered::{fixed, proof::constant},
        },
    },
    translator::EightCap,
};
use commonware_utils::{NZU64, NZUsize, sequence::FixedBytes};
use ledger::{Record, StateKey};
use proof::Digest;

/// Bytes of a record.
pub const RECORD_BYTES: usize = 128;
/// Bytes of the activity bitmap's chunks: one digest.
const CHUNK_BYTES: usize = 32;
/// More digests than a proof over 2^64 operations can have.
const PROOF_DIGESTS_MAX: usize = 256;

/// A record as the database keeps it.
pub type Value = FixedBytes<RECORD_BYTES>;
/// The database.
pub type Database<E> =
    fixed::Db<mmr::Family, E, sha256::Digest, Value, Sha256, EightCap, CHUNK_BYTES, Sequential>;

type Inclusion = constant::KeyValueProof<mmr::Family, sha256::Digest, sha256::Digest, CHUNK_BYTES>;
type Exclusion =
    constant::ExclusionProof<mmr::Family, sha256::Digest, FixedEncoding<Value>, sha256::Digest, CHUNK_BYTES>;

/// How the database lies on disk, below partitions that begin with `prefix`.
pub fn config(prefix: &str, page_cache: CacheRef) -> FixedConfig<EightCap, Sequential> {
    FixedConfig {
        merkle_config: MerkleConfig {
            journal_partition: format!("{prefix}-state-merkle"),
            metadata_partition: format!("{prefix}-state-pinned"),
            items_per_blob: NZU64!(1 << 20),
            write_buffer: NZUsize!(64 * 1024),
            replay_buffer: NZUsize!(64 * 1024),
            strategy: Sequential,
            page_cache: page_cache.clone(),
        },
        journal_config: JournalConfig {
            partition: format!("{prefix}-state-log"),
            items_per_blob: NZU64!(1 << 18),
            page_cache,
            write_buffer: NZUsize!(64 * 1024),
            replay_buffer: NZUsize!(64 * 1024),
        },
        grafted_metadata_partition: format!("{prefix}-state-grafted"),
        translator: EightCap,
        init_cache: Some(NZUsize!(1 << 16)),
        init_buffer: NZUsize!(1 << 21),
        init_concurrency: (),
    }
}

/// A record's bytes as the database keeps them.
pub fn to_value(record: &Record) -> Value {
    Value::new(record.to_bytes())
}

/// The record in these bytes.
///
/// # Panics
///
/// If they are no record: only records are ever written.
pub fn from_value(value: &Value) -> Record {
    let bytes: &[u8; RECORD_BYTES] = value.as_ref().try_into().expect("a value has a record's size");
    Record::from_bytes(bytes).expect("only records are written to the state")
}

/// Proof of what a key holds, or that it holds nothing.
#[derive(Clone, Debug)]
pub enum StateProof {
    /// The key holds a record.
    Present {
        /// The record's bytes.
        value: Box<Value>,
        /// The proof.
        proof: Box<Inclusion>,
    },
    /// The key holds nothing.
    Absent {
        /// The proof.
        proof: Box<Exclusion>,
    },
}

/// The proof does not lead to the state root, or what it proves is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state proof does not verify")]
pub struct InvalidProof;

impl StateProof {
    /// Makes the proof for `key` from the database as it is.
    ///
    /// # Panics
    ///
    /// If the database cannot be read: the store is then no longer to be used.
    pub async fn make<E: StorageContext + commonware_runtime::Spawner>(
        database: &Database<E>,
        key: &StateKey,
    ) -> Self {
        let key = engine_digest(key);
        let value = database.get(&key).await.expect("the state is readable");
        match value {
            Some(value) => Self::Present {
                value: Box::new(value),
                proof: Box::new(database.key_value_proof(key).await.expect("a present key has a proof")),
            },
            None => Self::Absent {
                proof: Box::new(database.exclusion_proof(&key).await.expect("an absent key has a proof")),
            },
        }
    }

    /// What `key` holds under the state root `root`, if the proof says so.
    pub fn verify(&self, key: &StateKey, root: &Digest) -> Result<Option<Record>, InvalidProof> {
        let (key, root) = (engine_digest(key), engine_digest(root));
        match self {
            Self::Present { value, proof } => {
                if !proof.verify::<Sha256, FixedEncoding<Value>>(key, (**value).clone(), &root) {
                    return Err(InvalidProof);
                }
                let bytes: &[u8; RECORD_BYTES] = (***value).try_into().map_err(|_| InvalidProof)?;
                Record::from_bytes(bytes).map(Some).map_err(|_| InvalidProof)
            }
            Self::Absent { proof } => {
                if proof.verify::<Sha256>(&key, &root) {
                    Ok(None)
                } else {
                    Err(InvalidProof)
                }
            }
        }
    }
}

impl PartialEq for StateProof {
    fn eq(&self, other: &Self) -> bool {
        use commonware_codec::Encode;
        self.encode() == other.encode()
    }
}

impl Eq for StateProof {}

impl Write for StateProof {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Present { value, proof } => {
                0u8.write(buf);
                value.write(buf);
                proof.write(buf);
            }
            Self::Absent { proof } => {
                1u8.write(buf);
                proof.write(buf);
            }
        }
    }
}

impl EncodeSize for StateProof {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Present { value, proof } => value.encode_size() + proof.encode_size(),
            Self::Absent { proof } => proof.encode_size(),
        }
    }
}

impl Read for StateProof {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        match u8::read(buf)? {
            0 => Ok(Self::Present {
                value: Box::new(Value::read(buf)?),
                proof: Box::new(Inclusion::read_cfg(buf, &(PROOF_DIGESTS_MAX, ()))?),
            }),
            1 => {
                Ok(Self::Absent { proof: Box::new(Exclusion::read_cfg(buf, &(PROOF_DIGESTS_MAX, (), ()))?) })
            }
            tag => Err(Error::InvalidEnum(tag)),
        }
    }
}
