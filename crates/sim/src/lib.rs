//! Whole networks from a seed: production nodes and gateways on the deterministic runtime, in a simulated world.
//!
//! A seed decides everything before and during a [`run`]: its plan (how many nodes, which faults when, which
//! adversaries), what clients ask for, and the order in which tasks are polled. [`network`] founds nodes and gateways in
//! the world of the crate `trial`, and [`process`] keeps a node's process running; [`faults`] lets the plan happen. When
//! it is over, the checkers of `trial` judge. [`mutants`] proves that the proof works.
//!
//! Nothing depends on this crate.

pub mod faults;
mod fork;
pub mod mutants;
pub mod network;
pub mod process;
pub mod run;
