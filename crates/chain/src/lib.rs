//! Order it: consensus, authenticated state, the derived index, and both halves of their protocol.

pub mod application;
pub mod applied;
pub mod bare;
pub mod block;
pub mod client;
mod consensus;
pub mod engine;
mod epochs;
pub mod index;
pub mod inquiry;
mod intake;
mod journal;
pub mod memory;
pub mod mempool;
pub mod network;
pub mod pacing;
pub mod protocol;
pub mod query;
pub mod reader;
pub mod rising;
pub mod state;
pub mod voting;
