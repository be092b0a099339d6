//! The server halves of shards and chain, wired from a configuration: assembly only.

pub mod config;
pub mod voting;
