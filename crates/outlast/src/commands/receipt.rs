//! `outlast receipt`: fetch the proof that a version was accepted.

use crate::{
    cli::{Access, Global},
    failure::Failure,
    files,
    gateway::with_vault,
    output, place,
};
use clap::Args;
use proof::{VersionId, transaction::Place};
use serde_json::json;
use std::path::PathBuf;

/// Fetch the receipt of an object: a proof, verifiable offline, that it was accepted
///
/// With its opening, which it contains, whoever holds the receipt can check that a file is what was stored. It tells
/// the length of the contents and shows nothing of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast receipt photos/cat.jpg                      into ./cat.jpg.receipt
  outlast receipt photos/cat.jpg -o cat.receipt
  outlast verify cat.receipt --genesis outlast-data/genesis --file cat.jpg")]
pub(crate) struct Arguments {
    /// The object
    #[arg(value_name = "BUCKET/KEY", value_parser = place::place)]
    object: Place,
    /// An earlier version
    #[arg(long)]
    version: Option<VersionId>,
    /// The file [default: the key's last part, with .receipt, here]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let object = &arguments.object;
    let receipt = with_vault(arguments.access.open(global)?, async |vault| {
        Ok(vault.receipt(object, arguments.version).await?)
    })?;
    let name = object.key.as_str().rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("object");
    let path = arguments.output.clone().unwrap_or_else(|| format!("{name}.receipt").into());
    let contents = receipt.to_file();
    files::replace(&path, &contents, false)?;
    let header = &receipt.block.header;
    let shown = json!({
        "object": place::name(object),
        "file": path,
        "bytes": contents.len(),
        "transaction": receipt.transaction.id().to_string(),
        "height": header.height,
        "time": output::time(header.time_ms),
    });
    global.output().show(&shown, |_| {
        format!(
            "{}: {} bytes, accepted in block {} at {}",
            path.display(),
            contents.len(),
            header.height,
            output::time(header.time_ms)
        )
    })
}
