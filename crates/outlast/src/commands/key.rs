//! `outlast key new`: another S3 access key.

use crate::{
    cli::{Access, Global},
    failure::Failure,
    gateway::GatewayConfig,
    keys::{AccessKey, AccessKeys},
};
use clap::{Args, Subcommand};
use serde_json::json;

/// S3 access keys of a gateway
///
/// They are known to the gateway alone, and open all of its tenant's buckets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast key new                     one more for the first tenant
  outlast key new --tenant accounting
  outlast key new --json")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an access key; a running gateway takes it within a second
    New {
        #[command(flatten)]
        access: Access,
    },
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let Command::New { access } = &arguments.command;
    let path = access.config(global);
    let config = GatewayConfig::read(&path)?;
    let file = path.parent().unwrap_or(std::path::Path::new(".")).join(&config.access_keys);
    let key = AccessKey::draw();
    AccessKeys::add(&file, &key)?;
    let endpoint = config.endpoint();
    let shown = json!({
        "s3_endpoint": endpoint,
        "access_key": key.id,
        "secret_key": *key.secret,
        "region": config.region,
        "file": file,
    });
    global.output().show(&shown, |_| {
        format!(
            "S3 endpoint  {endpoint}\naccess key   {}\nsecret key   {}\n\nA running gateway takes it within a second. \
             It is kept in {}; to withdraw it, delete its line there.",
            key.id,
            *key.secret,
            file.display()
        )
    })
}
