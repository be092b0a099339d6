//! Whole networks from a seed: production nodes and gateways on the deterministic runtime, in a simulated world.
//!
//! A seed decides everything before and during a [`run`]: its [`plan`] (how many nodes, which faults when, which
//! adversaries), what clients ask for ([`workload`]), and the order in which tasks are polled. The [`world`] gives each
//! process a machine with a disk and a clock of its own, and wires; [`network`] founds nodes and gateways in it, and
//! [`process`] keeps a node's process running; [`faults`] lets the plan happen; [`adversary`] is what faulty nodes and
//! malicious writers do. What clients did and saw is a [`history`], which the checkers in [`check`] judge. [`mutants`]
//! proves that the proof works.
//!
//! Nothing depends on this crate.

pub mod adversary;
pub mod check;
pub mod faults;
pub mod founding;
pub mod history;
pub mod mutants;
pub mod network;
pub mod plan;
pub mod process;
pub mod run;
pub mod workload;
pub mod world;
