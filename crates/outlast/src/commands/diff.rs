//! `outlast diff`: what changed in a bucket between two moments.

use crate::{
    changes::{Change, Changes, Walk},
    cli::{Access, Global},
    failure::Failure,
    gateway::with_vault,
    output::Output,
    place::Target,
};
use clap::Args;
use serde_json::json;
use vault::{Listed, Moment};

/// Show what changed in a bucket between two moments
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast diff photos --from 2026-11-01T10:00:00Z
  outlast diff photos/2026/ --from 2026-11-01T10:00:00Z --to 2026-11-02T10:00:00Z
  outlast diff photos --from 81234 --to 81300        between two blocks

+ is there since, - is gone, ~ is another.")]
pub(crate) struct Arguments {
    /// A bucket, or a bucket and the beginning of keys
    #[arg(value_name = "BUCKET[/PREFIX]")]
    target: Target,
    /// The first moment: a time, or the height of a block
    #[arg(long, value_name = "MOMENT")]
    from: Moment,
    /// The second moment [default: now]
    #[arg(long, value_name = "MOMENT")]
    to: Option<Moment>,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let output = global.output();
    with_vault(arguments.access.open(global)?, async |vault| {
        let Target { bucket, key } = &arguments.target;
        let from = vault.height_at(arguments.from).await?;
        let to = match arguments.to {
            Some(moment) => Some(vault.height_at(moment).await?),
            None => None,
        };
        let walk = |at| Walk::new(&vault, bucket, key, at);
        let mut changes = Changes { first: walk(Some(from)), second: walk(to) };
        while let Some(change) = changes.next().await? {
            show(output, &change)?;
        }
        Ok(())
    })
}

fn show(output: Output, change: &Change) -> Result<(), Failure> {
    let version = |listed: &Option<Listed>| listed.as_ref().map(|listed| listed.version.to_string());
    let bytes = |listed: &Option<Listed>| listed.as_ref().map(|listed| listed.length);
    let (sign, what) = match (&change.first, &change.second) {
        (None, _) => ('+', "added"),
        (Some(_), None) => ('-', "removed"),
        (Some(_), Some(_)) => ('~', "changed"),
    };
    let shown = json!({
        "key": change.key.as_str(),
        "change": what,
        "from": { "version": version(&change.first), "bytes": bytes(&change.first) },
        "to": { "version": version(&change.second), "bytes": bytes(&change.second) },
    });
    output.show(&shown, |_| format!("{sign} {}", change.key))
}
