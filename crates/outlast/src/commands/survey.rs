//! `outlast survey`: what the disks that are left have. The reading itself is in [`crate::bare`].

use crate::{
    bare,
    cli::{Access, Global},
    failure::Failure,
};
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// Tell what the disks that are left have: how far the chain is proven, and how many versions can be read
///
/// For when more than f nodes are gone. Reads the directories of those that are left, without any node running, and never
/// writes into them. Tells for each how far it goes, and for all together: the highest finalization that any of them holds,
/// which blocks are missing, and of how many shards each version still has. It needs no tenant's key. Every shard is read
/// and checked, so it takes as long as reading the disks does.
///
/// It changes nothing. Exit code 0: all that was final can be read; 1: not all.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast survey outlast-data                             all nodes' directories of `outlast up`
  outlast survey /mnt/disk-a/node-1 /mnt/disk-b/node-3 --genesis genesis
  outlast survey outlast-data --json | jq .unreadable")]
pub(crate) struct Arguments {
    /// Nodes' directories, or directories of them
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// The genesis file, where the gateway's configuration is gone
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tenant", "gateway"])]
    genesis: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let lineage = match &arguments.genesis {
        Some(path) => node::config::load_lineage(path)?,
        None => {
            arguments
                .access
                .open(global)
                .map_err(|failure| failure.hint("--genesis names the network's genesis file"))?
                .lineage
        }
    };
    let survey = bare::survey(global.output(), &lineage, &arguments.directories)?;
    let whole = survey.is_whole();
    global.output().show(&survey, bare::Survey::text)?;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
