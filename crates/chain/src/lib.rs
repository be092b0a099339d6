//! Order it: consensus, authenticated state, the derived index, and both halves of their protocol.

pub mod application;
pub mod applied;
pub mod block;
pub mod client;
pub mod engine;
pub mod index;
mod intake;
pub mod mempool;
pub mod network;
pub mod pacing;
pub mod protocol;
pub mod query;
pub mod reader;
pub mod rising;
pub mod state;
