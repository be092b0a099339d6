//! Hold it: the shard log, storage receipts, and both halves of their protocol.
//!
//! A node keeps its shard of every chunk, and every manifest page, in a [`ShardStore`] and answers for it through a
//! [`Server`]. A gateway disperses, certifies and fetches through a [`Client`] over one link to each node. The
//! messages between them are in [`wire`]. A node gets back what it lost through a [`Healer`], which is a client of the
//! other nodes.
//! A directory whose node is gone is read through [`bare`].

pub mod bare;
mod client;
mod heal;
mod pace;
mod server;
pub mod store;
pub mod wire;
mod work;

pub use client::{Client, ClientContext, ClientLimits, Error};
pub use heal::{Healer, HealerConfig};
pub use server::{Server, ServerConfig};
pub use store::{Collected, ScrubPace, ShardStore, StoreConfig, StoreError, StoredShard};
