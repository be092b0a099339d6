//! Whole networks from a seed: production nodes and gateways on the deterministic runtime, in a simulated world.

pub mod adversary;
pub mod check;
pub mod history;
pub mod workload;
pub mod world;
