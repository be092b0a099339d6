//! `outlast drill`: do harm to a network while writing, and count what is lost. The drill itself is in [`crate::drill`].

use crate::{
    cli::Global,
    drill::{self, Drill, Scenario},
    failure::Failure,
};
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// Do harm to a network while writing, and count what is lost
///
/// Starts a network of its own, with real processes, in a scratch directory. Stores real files through S3; while it
/// does, does to it what the scenario says; goes on writing and reading; and at last reads every byte back and compares it
/// by SHA-256. Exit code 0: nothing was lost, nothing was false, and what the scenario expects came about.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast drill                          deletes a node; with files of the Rust toolchain, or of /usr
  outlast drill --scenario rolling       every node in turn
  outlast drill --scenario disks         2f nodes gone for good; salvage, then recover
  outlast drill --files ~/Pictures
  outlast drill --nodes 7                deletes two nodes
  outlast drill --json | jq .lost")]
pub(crate) struct Arguments {
    /// What is done to the network
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    scenario: Scenario,
    /// The files to store [default: some of a tree at hand]
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Bytes of files to store, at most [default: 300 MB for `one`, 30 to 100 MB for others; all of --files]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    bytes: Option<u64>,
    /// Nodes of the network: 4, 7 or 10 [default: 4; 7 for `several`]
    #[arg(long, value_name = "N", value_parser = parse_nodes)]
    nodes: Option<usize>,
    /// Requests at a time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Where the network is kept while the drill runs [default: a new directory in the system's temporary one]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

fn parse_nodes(text: &str) -> Result<usize, String> {
    let n = text.parse().map_err(|_| "not a number".to_owned())?;
    if [4, 7, 10].contains(&n) {
        Ok(n)
    } else {
        Err("a drill has 4, 7 or 10 nodes: one node survives nothing".into())
    }
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let report = drill::run(&Drill {
        output: global.output(),
        scenario: arguments.scenario,
        files: arguments.files.clone(),
        bytes: arguments.bytes,
        nodes: arguments.nodes,
        workers: arguments.workers.into(),
        scratch: arguments.scratch.clone(),
    })?;
    let passed = report.passed();
    global.output().show(&report, drill::Report::table)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
