//! A node: the server halves of `shards` and `chain`, wired from a configuration. Assembly only.
//!
//! [`config`] reads what the node is told, [`voting`] decides whether it may vote, [`run()`] starts everything and
//! [`serve`] stands in front of it. Nothing here decides anything about objects, transactions or blocks.

pub mod config;
pub mod run;
pub mod serve;
pub mod voting;

pub use run::{Logs, RunError, link_namespace, run};
