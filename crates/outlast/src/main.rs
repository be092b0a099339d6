//! The program `outlast`: starts networks, runs nodes and gateways, and serves people without an S3 client.
//!
//! Read `layout` for where things are, `founding` for how a network comes to be, `supervisor` for how it is kept
//! running, `gateway` for how the vault is opened, `bare` for what is done where no node runs; then `commands`, one file
//! each.

mod bare;
mod changes;
mod cli;
mod commands;
mod drill;
mod failure;
mod files;
mod founding;
mod gateway;
mod keys;
mod layout;
mod logging;
mod network;
mod output;
mod place;
mod ports;
mod supervisor;
mod tls;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let json = cli.global.json;
    cli.run().unwrap_or_else(|failure| failure.report(json))
}
