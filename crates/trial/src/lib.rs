//! What a simulated network is put through, and who judges it.
//!
//! [`world`] is machines with disks, clocks and wires, in which production code runs unchanged. [`plan`] is what will
//! happen, drawn from a seed within exactly what is promised. [`founding`] says who is there. [`workload`] is what clients
//! ask for, [`adversary`] what faulty nodes and malicious writers do. What clients did and saw is a [`history`], which
//! the checkers in [`check`] judge; they share nothing with the code they judge.
//!
//! Nothing here starts a node: the crate `sim` does, and puts all of this together.

pub mod adversary;
pub mod check;
pub mod founding;
pub mod history;
pub mod plan;
pub mod workload;
pub mod world;
