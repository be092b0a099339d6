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
mod printer;
mod recovery;
mod supervisor;
mod tls;

use clap::Parser as _;
use std::process::ExitCode;

/// Files that a process may have open at a time, if the system lets it. A node keeps one open for each segment of its
/// shards, of 256 MiB by default: the usual 1024 would be all used up by a quarter of a terabyte.
const OPEN_FILES: u64 = 1 << 20;

fn main() -> ExitCode {
    raise_open_files();
    let cli = cli::Cli::parse();
    let json = cli.global.json;
    cli.run().unwrap_or_else(|failure| failure.report(json))
}

/// Raises the limit of open files as far as it may be. Children inherit it.
fn raise_open_files() {
    // Where it is not possible, the node says so when it runs out: its store is full.
    let _ = rlimit::increase_nofile_limit(OPEN_FILES);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rlimit::Resource;

    #[test]
    fn as_many_files_may_be_open_as_the_system_lets_us() {
        let (before, hard) = Resource::NOFILE.get().unwrap();
        Resource::NOFILE.set(before.min(256), hard).unwrap();
        raise_open_files();
        let (soft, unchanged) = Resource::NOFILE.get().unwrap();
        assert_eq!((soft, unchanged), (hard.min(OPEN_FILES), hard));
    }
}
