//! A node: the server halves of `shards` and `chain`, wired from a configuration. Assembly only.
//!
//! [`config`] reads what the node is told, [`voting`] keeps what vouches for its votes, [`assemble()`] starts everything over
//! any runtime, [`serve`] stands in front of it, and [`run()`] makes a process of it. Nothing here decides anything about
//! objects, transactions or blocks.

pub mod assemble;
pub mod config;
mod metrics;
pub mod run;
pub mod serve;
mod voter;
pub mod voting;

pub use assemble::{Node, Parts, Upkeep, assemble};
pub use run::{RunError, run};
