//! `outlast get`: read an object into a file, whole or not at all, or to standard output.

use crate::{
    cli::{Access, Global},
    failure::{Exit, Failure},
    files,
    gateway::with_vault,
    output, place,
};
use clap::Args;
use commonware_runtime::tokio::Context;
use futures::StreamExt as _;
use indicatif::ProgressBar;
use proof::{VersionId, transaction::Place};
use serde_json::json;
use std::path::{Path, PathBuf};
use tokio::{
    fs::File,
    io::{AsyncWrite, AsyncWriteExt as _},
};
use vault::{Moment, Object, Vault};

/// Read an object into a file, or to standard output
///
/// A file appears only when all of it has come and is verified; one that is there is replaced then.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast get photos/2026/cat.jpg                     into ./cat.jpg
  outlast get photos/2026/cat.jpg pictures/cat.jpg
  outlast get backups/shop.sql - | psql shop
  outlast get photos/cat.jpg --version 0000000000000a3f000000000000
  outlast get photos/cat.jpg --at 2026-11-01T10:00:00Z")]
pub(crate) struct Arguments {
    /// The object
    #[arg(value_name = "BUCKET/KEY", value_parser = place::place)]
    object: Place,
    /// The file; - is standard output [default: the key's last part, here]
    file: Option<PathBuf>,
    /// An earlier version
    #[arg(long)]
    version: Option<VersionId>,
    /// As of a time, like 2026-11-01T10:00:00Z, or the height of a block
    #[arg(long, value_name = "MOMENT")]
    at: Option<Moment>,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let path = arguments.file.clone().map_or_else(|| own_name(&arguments.object), Ok)?;
    let object = with_vault(arguments.access.open(global)?, async |vault| {
        let object = match arguments.at {
            None => vault.head(&arguments.object, arguments.version).await?,
            Some(moment) => {
                let height = vault.height_at(moment).await?;
                vault.head_at(&arguments.object, arguments.version, height).await?
            }
        };
        if s3::has_customer_key(&object.metadata) {
            let message = "the object was put with a key of its own (SSE-C), which is kept nowhere: read it through S3, \
                           with that key";
            return Err(Failure::new(Exit::Failed, message.to_owned()));
        }
        let bar = global.output().bytes_bar(Some(object.length), &place::name(&arguments.object));
        let outcome = if path == Path::new("-") {
            copy(&vault, &object, &mut tokio::io::stdout(), &path, &bar).await
        } else {
            into_file(&vault, &object, &path, &bar).await
        };
        bar.finish_and_clear();
        outcome.map(|()| object)
    })?;
    if path == Path::new("-") {
        return Ok(());
    }
    let read = json!({
        "object": place::name(&arguments.object),
        "file": path,
        "bytes": object.length,
        "version": object.version.to_string(),
        "time": output::time(object.time_ms),
    });
    global.output().show(&read, |_| {
        format!("{}: {}, version {}", path.display(), output::bytes(object.length), object.version)
    })
}

fn own_name(object: &Place) -> Result<PathBuf, Failure> {
    let name = object.key.as_str().rsplit('/').next().filter(|name| !matches!(*name, "" | "." | ".."));
    name.map(PathBuf::from).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("the key {} gives no file name", object.key))
            .hint("name the file: outlast get BUCKET/KEY FILE")
    })
}

/// A file that goes away unless it is kept.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn into_file(
    vault: &Vault<Context>,
    object: &Object,
    path: &Path,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(
            Failure::new(Exit::Usage, format!("{} is a directory", path.display())).hint("name the file")
        );
    }
    let unfinished = Unfinished(files::beside(path, "part"));
    let file = File::create(&unfinished.0).await;
    let mut file = file.map_err(|error| Failure::file("write", &unfinished.0, &error))?;
    copy(vault, object, &mut file, path, bar).await?;
    file.sync_all().await.map_err(|error| Failure::file("write", path, &error))?;
    // Removing what was moved away finds nothing.
    std::fs::rename(&unfinished.0, path).map_err(|error| Failure::file("write", path, &error))
}

async fn copy(
    vault: &Vault<Context>,
    object: &Object,
    to: &mut (impl AsyncWrite + Unpin),
    path: &Path,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let unwritable = |error: std::io::Error| Failure::file("write", path, &error);
    let mut contents = vault.read(object, 0..object.length);
    while let Some(bytes) = contents.next().await {
        let bytes = bytes?;
        to.write_all(&bytes).await.map_err(unwritable)?;
        bar.inc(bytes.len() as u64);
    }
    to.flush().await.map_err(unwritable)
}
