//! Tests of what an auditor relies on: receipts that prove, and everything else that must not.

mod canonical;
mod contents;
mod dependencies;
mod founding;
mod network;
mod program;
mod receipts;
mod recovery;
#[path = "../samples/mod.rs"]
mod samples;
