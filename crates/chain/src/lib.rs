//! Order it: consensus, authenticated state, the derived index, and both halves of their protocol.

pub mod block;
pub mod client;
pub mod protocol;
pub mod state;
pub mod application;
pub mod applied;
pub mod engine;
pub mod mempool;
pub mod network;
pub mod pacing;
pub mod reader;
pub mod query;
pub mod index;
