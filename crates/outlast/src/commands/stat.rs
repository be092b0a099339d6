//! `outlast stat`: what is known of an object.

use crate::{
    cli::{Access, Global},
    failure::Failure,
    gateway::with_vault,
    output, place,
};
use clap::Args;
use proof::{VersionId, transaction::Place};
use serde_json::json;

/// Show what is known of an object
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast stat photos/cat.jpg
  outlast stat photos/cat.jpg --json | jq -r .version")]
pub(crate) struct Arguments {
    /// The object
    #[arg(value_name = "BUCKET/KEY", value_parser = place::place)]
    object: Place,
    /// An earlier version
    #[arg(long)]
    version: Option<VersionId>,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let object = with_vault(arguments.access.open(global)?, async |vault| {
        Ok(vault.head(&arguments.object, arguments.version).await?)
    })?;
    let metadata = &object.metadata;
    let shown = json!({
        "object": place::name(&arguments.object),
        "bytes": object.length,
        "version": object.version.to_string(),
        "height": object.version.height,
        "time": output::time(object.time_ms),
        "etag": metadata.etag,
        "content_type": metadata.content_type,
        "headers": metadata.headers,
        "user": metadata.user,
        "checksums": metadata.checksums,
        "parts": metadata.parts,
    });
    global.output().show(&shown, |_| {
        let mut lines = vec![
            format!("object        {}", place::name(&arguments.object)),
            format!("bytes         {} ({})", object.length, output::bytes(object.length)),
            format!("version       {}", object.version),
            format!("final since   {} (block {})", output::time(object.time_ms), object.version.height),
            format!("etag          {}", metadata.etag),
        ];
        lines.extend(metadata.content_type.iter().map(|kind| format!("content type  {kind}")));
        let pairs = metadata.headers.iter().chain(&metadata.user).chain(&metadata.checksums);
        lines.extend(pairs.map(|(name, value)| format!("{name:<13} {value}")));
        lines.join("\n")
    })
}
