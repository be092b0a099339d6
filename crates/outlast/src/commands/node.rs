//! `outlast node`: one node, from its configuration.

use crate::{
    failure::{Exit, Failure},
    supervisor::shutdown,
};
use clap::Args;
use node::{RunError, config::Config};
use std::path::PathBuf;

/// Run one node
///
/// `outlast init` writes the configuration; docs/deploy.md has a systemd unit. SIGTERM stops it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast node --config /etc/outlast/node.toml
  outlast node --config node.toml --log-format json")]
pub(crate) struct Arguments {
    /// The node's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Stop when standard input ends
    #[arg(long, hide = true)]
    supervised: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = Config::load(&arguments.config)?;
    node::run(loaded, shutdown(arguments.supervised)).map_err(|error| {
        let exit = match &error {
            RunError::Locked(_) | RunError::Port { .. } => Exit::InUse,
            _ => Exit::Failed,
        };
        Failure::new(exit, error.to_string())
    })
}
