//! `outlast key new`: another S3 access key.

use crate::{
    cli::{Access, Global},
    failure::Failure,
    gateway::GatewayConfig,
    keys::{AccessKey, AccessKeys, Scoped},
};
use clap::{Args, Subcommand};
use serde_json::json;

/// S3 access keys of a gateway
///
/// They are known to the gateway alone, and open all of its tenant's buckets, unless they are limited.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast key new                     one more for the first tenant
  outlast key new --tenant accounting
  outlast key new --allow read,list --bucket photos     one that only reads one bucket
  outlast key new --allow list,mark --prefix tmp/       one that tidies up, and reads nothing
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
        /// Limit it to these: read, write, list, mark (delete by marker), hide (delete a version), lock, bypass, configure
        #[arg(long, value_name = "VERBS", value_delimiter = ',', value_parser = parse_verb)]
        allow: Vec<String>,
        /// Limit it to these buckets
        #[arg(long, value_name = "BUCKET", requires = "allow")]
        bucket: Vec<String>,
        /// Limit it to keys that begin so
        #[arg(long, value_name = "PREFIX", requires = "allow")]
        prefix: Vec<String>,
    },
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let Command::New { access, allow, bucket, prefix } = &arguments.command;
    let path = access.config(global);
    let config = GatewayConfig::read(&path)?;
    let file = path.parent().unwrap_or(std::path::Path::new(".")).join(&config.access_keys);
    let key = AccessKey::draw();
    let scoped = (!allow.is_empty()).then(|| Scoped {
        secret: String::new(),
        allow: allow.clone(),
        buckets: bucket.clone(),
        prefixes: prefix.clone(),
    });
    AccessKeys::add(&file, &key, scoped)?;
    let endpoint = config.endpoint();
    let shown = json!({
        "s3_endpoint": endpoint,
        "access_key": key.id,
        "secret_key": *key.secret,
        "region": config.region,
        "allow": allow,
        "file": file,
    });
    global.output().show(&shown, |_| {
        format!(
            "S3 endpoint  {endpoint}\naccess key   {}\nsecret key   {}\n\nA running gateway takes it within a second. \
             It is kept in {}; to withdraw it, delete it there.",
            key.id,
            *key.secret,
            file.display()
        )
    })
}

fn parse_verb(text: &str) -> Result<String, String> {
    text.parse::<s3::Verb>().map(|_| text.to_owned())
}
