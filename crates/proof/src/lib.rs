//! All that is hashed or signed in Outlast, and `verify()`.
//!
//! This crate is what an auditor reads. It has no I/O, no clock, no randomness and few dependencies. Everything here
//! is a plain value with one canonical encoding ([`wire`]), and everything that decides whether a claim is true is a
//! function of its inputs. `FORMATS.md` at the root of the repository describes the same bytes in prose.
//!
//! Read in this order:
//!
//! 1. [`digest`], [`keys`]: the hash and signature primitives with their domains.
//! 2. [`committee`]: who the nodes are and the arithmetic of trust (n, f, quorum, k).
//! 3. [`genesis`]: what a network agrees on before its first block; its hash is the network's id.
//! 4. [`manifest`], [`availability`]: what an object is made of and the proof that enough nodes hold it.
//! 5. [`transaction`]: preconditions and operations, signed by a tenant's key.
//! 6. [`entry`]: what an applied operation leaves behind (versions, markers, uploads), named by hash in the state.
//! 7. [`merkle`], [`header`], [`finality`]: from a transaction to a block header to the signatures that finalize it.
//! 8. [`lineage`]: how a network goes on with another committee when too many nodes are lost.
//! 9. [`receipt`]: all of it together, verifiable offline against a genesis file.

pub mod availability;
pub mod committee;
pub mod digest;
pub mod entry;
pub mod finality;
pub mod genesis;
pub mod header;
pub mod keys;
pub mod limits;
pub mod lineage;
pub mod manifest;
pub mod merkle;
pub mod names;
pub mod receipt;
mod settings;
pub mod transaction;
pub mod wire;

pub use availability::{AvailabilityCertificate, StorageReceipt};
pub use committee::Committee;
pub use digest::Digest;
pub use genesis::Genesis;
pub use header::Header;
pub use keys::{PublicKey, SecretKey, Signature};
pub use lineage::Lineage;
pub use manifest::Manifest;
pub use names::{BucketName, ObjectKey, TenantId, UploadId, VersionId};
pub use receipt::Receipt;
pub use transaction::{SignedTransaction, Transaction};
