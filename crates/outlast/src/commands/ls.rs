//! `outlast ls`: list buckets, or the objects of one.

use crate::{
    cli::{Access, Global},
    failure::Failure,
    gateway::with_vault,
    output::{self, Output},
    place::Target,
};
use clap::Args;
use commonware_runtime::tokio::Context;
use serde_json::json;
use vault::{ListRequest, Moment, Vault};

/// Objects asked for at a time.
const PAGE: usize = 1000;

/// List buckets, or objects
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast ls                           the buckets
  outlast ls photos                    objects and folders at the top
  outlast ls photos/2026/
  outlast ls photos --recursive --json
  outlast ls photos --at 2026-11-01T10:00:00Z")]
pub(crate) struct Arguments {
    /// A bucket, or a bucket and the beginning of keys
    #[arg(value_name = "BUCKET[/PREFIX]")]
    target: Option<Target>,
    /// All objects, instead of one level with folders
    #[arg(long, short)]
    recursive: bool,
    /// As of a time, like 2026-11-01T10:00:00Z, or the height of a block
    #[arg(long, value_name = "MOMENT", requires = "target")]
    at: Option<Moment>,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let output = global.output();
    with_vault(arguments.access.open(global)?, async |vault| match &arguments.target {
        None => buckets(output, &vault).await,
        Some(target) => objects(output, &vault, target, arguments).await,
    })
}

async fn buckets(output: Output, vault: &Vault<Context>) -> Result<(), Failure> {
    for bucket in vault.list_buckets().await? {
        let created = output::time(bucket.created_ms);
        let shown = json!({ "bucket": bucket.name.as_str(), "created": created });
        output.show(&shown, |_| format!("{created}  {}", bucket.name))?;
    }
    Ok(())
}

async fn objects(
    output: Output,
    vault: &Vault<Context>,
    target: &Target,
    arguments: &Arguments,
) -> Result<(), Failure> {
    let at = match arguments.at {
        Some(moment) => Some(vault.height_at(moment).await?),
        None => None,
    };
    let mut request = ListRequest {
        bucket: target.bucket.clone(),
        prefix: target.key.clone(),
        delimiter: (!arguments.recursive).then(|| "/".to_owned()),
        after: None,
        limit: PAGE,
        at,
    };
    loop {
        let page = vault.list(request.clone()).await?;
        for prefix in &page.prefixes {
            output
                .show(&json!({ "prefix": prefix }), |_| format!("{:>20}  {:>12}  {prefix}", "", "folder"))?;
        }
        for object in &page.objects {
            let time = output::time(object.time_ms);
            let shown = json!({
                "key": object.key.as_str(),
                "bytes": object.length,
                "version": object.version.to_string(),
                "time": time,
                "etag": object.metadata.etag,
            });
            output.show(&shown, |_| format!("{time}  {:>12}  {}", object.length, object.key))?;
        }
        request.after = page.next;
        if request.after.is_none() {
            return Ok(());
        }
    }
}
