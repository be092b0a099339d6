//! The S3 surface: speaks the protocol, owns no truth.
//!
//! A request passes, in this order:
//!
//! 1. [`server`](serve): accepts connections, bounds them and, where configured, speaks TLS with them.
//! 2. `edge`: bounds requests in work, and gives every answer its id.
//!    `cors` answers browsers around it.
//! 3. `guard`, `features`: what must be signed, and which headers are honoured. All else is refused.
//!    Forms that browsers post go to `form` and `posting` instead, and from there to 7.
//! 4. `body`, `framing`: watch the body as it comes.
//! 5. The crate `s3s`: verifies the signature, parses the operation, writes the answer.
//! 6. `rates`, `access`: how much, and what, the access key, or anybody, may do; `policy`: what the bucket says to that.
//! 7. `surface`: the operations, in `buckets`, `objects`, `deleting`, `copying`, `multipart`, `listing`, `versions`,
//!    `tagging`, `locking`, `lifecycle`, `encryption`, `ownership` and `object_attributes`,
//!    with `remembered`, `conditions`, `customer`, `integrity`, `digest`, `whole` and `attributes` beside them.
//! 8. [`Store`]: the vault, where all truth is.
//!
//! Nothing becomes visible before the whole body was received, verified against every hash that the request carries,
//! and made final by the vault. What is supported, and what is refused with which error, is listed in `docs/s3.md`.

mod access;
mod acl;
mod attributes;
mod body;
mod buckets;
mod conditions;
mod config;
mod copying;
mod cors;
mod customer;
mod deleting;
mod digest;
mod edge;
mod encryption;
mod error;
mod features;
mod form;
mod framing;
mod guard;
mod host;
mod integrity;
mod lifecycle;
mod listing;
mod locking;
mod multipart;
mod object_attributes;
mod objects;
mod ownership;
mod policy;
mod posting;
mod rates;
mod refusal;
mod remembered;
mod server;
mod socket;
mod store;
mod surface;
mod tagging;
mod tls;
mod versions;
mod whole;

pub use access::{Scope, Verb};
pub use config::{Config, SecretKey};
pub use customer::is_covered as has_customer_key;
pub use lifecycle::{Sweeping, sweep};
pub use server::serve;
pub use store::{ObjectWriter, PartWriter, Sink, Store, StoredObject};
pub use tls::{Tls, TlsError};
