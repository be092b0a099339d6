//! The targets, by the layer that the bytes reach.

mod client;
mod encodings;
mod frames;
mod ledger;
mod proofs;
mod segments;
mod server;
mod state;

#[allow(dead_code, reason = "samples are shared with the tests of their crate, which use more of them")]
#[path = "../../../crates/chain/tests/client/network.rs"]
mod chain_network;
#[allow(dead_code, reason = "samples are shared with the tests of their crate, which use more of them")]
#[path = "../../../crates/chain/tests/samples/mod.rs"]
mod chain_samples;
#[allow(dead_code, reason = "samples are shared with the tests of their crate, which use more of them")]
#[path = "../../../crates/proof/tests/proof/network.rs"]
mod proof_network;
#[allow(dead_code, reason = "samples are shared with the tests of their crate, which use more of them")]
#[path = "../../../crates/proof/tests/samples/mod.rs"]
mod proof_samples;
#[allow(dead_code, reason = "samples are shared with the tests of their crate, which use more of them")]
#[path = "../../../crates/shards/tests/samples/mod.rs"]
mod shards_samples;
