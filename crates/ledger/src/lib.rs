//! What a transaction may do: a pure state machine.
//!
//! The chain's state maps 32-byte [`key`]s to 128-byte [`record`]s. It changes only by transactions, in the manner of
//! etcd: compare, then apply. Everything here is a function of its arguments: no I/O, no clock, no randomness, no
//! dependence on the order of a hash table. Every node that executes the same blocks reaches the same state.
//!
//! The life of a transaction:
//!
//! 1. [`admit`] checks all that needs no state: sizes, attachments, manifests, signatures, certificates. A block with
//!    a transaction that is not admissible is itself invalid.
//! 2. [`reads`] names every key that its execution may look at, so that a block's reads can be made ahead and at once.
//! 3. [`execute`] applies a block's transactions in order. Each is all or nothing: either all of its writes happen, or
//!    none but the record of its [`Refusal`]. Both outcomes are recorded under the transaction's id, which therefore
//!    is executed once at the most.
//! 4. [`effects`] tells what an applied transaction left behind (buckets, versions, uploads, parts), for the index
//!    that listings are served from. The state holds the hashes of the same entries.
//!
//! # Buckets, keys, versions
//!
//! A key's *head* names its current version, an object or a delete marker. Versions are never changed or removed. A
//! bucket counts its *live* keys, those whose current version is an object, and can be deleted when there are none.
//! Deleting keeps all versions; creating the bucket again starts a new life in which heads of the earlier one count as
//! absent: a head older than its bucket's creation is not current. Undeleting the bucket instead goes on with its last
//! life.
//!
//! # Hiding
//!
//! A version can be hidden and shown again, which changes nothing but what is current: a key's head is its newest
//! version that is not hidden. Records do not tell which version comes before another, so whoever hides the current
//! one names its successor, and proves to have known all of the key's hidden versions by naming how often any was
//! hidden or shown.

//!
//! # Locks and annotations
//!
//! A version can be locked, which keeps it from being hidden: see `locks`, where all the rules are. A bucket or version
//! can be annotated with sealed documents (tags, for one). What they say is nothing to the ledger, but their order is.
//! Both can be said of a version in the transaction that makes it, so that it never is without.

//! # Quotas
//!
//! What a bucket and a tenant keep is counted, and can be limited: see `quotas`.

mod admit;
mod effects;
mod entries;
mod execute;
pub mod key;
mod locks;
mod operations;
mod overlay;
mod quotas;
mod reads;
pub mod record;
mod refusal;
mod visibility;

pub use admit::{Inadmissible, admit};
pub use effects::{
    BucketCreated, BucketDeleted, BucketUndeleted, Effect, SignerChanged, UploadClosed, VisibilityChanged,
    effects,
};
pub use execute::{BlockContext, Execution, execute};
pub use key::StateKey;
pub use overlay::View;
pub use reads::reads;
pub use record::{RECORD_BYTES, Record};
pub use refusal::{APPLIED, Refusal};
