//! `outlast drill`: delete nodes while writing, and count what is lost. The drill itself is in [`crate::drill`].

use crate::{
    cli::Global,
    drill::{self, Drill},
    failure::Failure,
};
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// Delete nodes while writing, and count what is lost
///
/// Starts a network of its own, with real processes, in a scratch directory. Stores real files through S3; while it
/// does, kills f nodes and deletes their whole directories; goes on writing and reading; starts them again, empty; and
/// at last reads every byte back and compares it by SHA-256. Exit code 0: nothing was lost, nothing was false.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast drill                          with files of the Rust toolchain, or of /usr
  outlast drill --files ~/Pictures
  outlast drill --nodes 7                deletes two nodes
  outlast drill --json | jq .lost")]
pub(crate) struct Arguments {
    /// The files to store [default: up to 300 MB of a tree at hand]
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Nodes of the network: 4, 7 or 10
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = parse_nodes)]
    nodes: usize,
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
    let report = drill::run(Drill {
        output: global.output(),
        files: arguments.files.clone(),
        nodes: arguments.nodes,
        workers: arguments.workers.into(),
        scratch: arguments.scratch.clone(),
    })?;
    let passed = report.passed();
    global.output().show(&report, drill::Report::table)?;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
