//! `outlast mb`: make a bucket.

use crate::{
    cli::{Access, Global},
    failure::Failure,
    gateway::with_vault,
    output,
};
use clap::Args;
use proof::BucketName;
use serde_json::json;

/// Make a bucket
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast mb photos
  outlast mb photos --tenant accounting")]
pub(crate) struct Arguments {
    /// Its name: 3 to 63 of a-z, 0-9, '.' and '-'
    bucket: BucketName,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let bucket = with_vault(arguments.access.open(global)?, async |vault| {
        Ok(vault.create_bucket(&arguments.bucket).await?)
    })?;
    let made = json!({ "bucket": bucket.name.as_str(), "created": output::time(bucket.created_ms) });
    global.output().show(&made, |_| format!("made bucket {}", bucket.name))
}
