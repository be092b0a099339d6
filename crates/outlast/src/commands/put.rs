//! `outlast put`: store a file.

use crate::{
    cli::{Access, Global},
    failure::{Exit, Failure},
    gateway::with_vault,
    output,
    place::{self, Target},
};
use bytes::BytesMut;
use clap::Args;
use commonware_runtime::tokio::Context;
use indicatif::ProgressBar;
use md5::{Digest as _, Md5};
use proof::transaction::Place;
use serde_json::json;
use std::path::{Path, PathBuf};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt as _},
};
use vault::{Condition, Metadata, Vault, Writer, Written};

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// Store a file, or standard input, as an object
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast put cat.jpg photos/2026/cat.jpg
  outlast put cat.jpg photos/                  under its own name
  pg_dump shop | outlast put - backups/shop.sql --content-type application/sql
  outlast put key.txt vault/key --if-absent    only if there is none yet")]
pub(crate) struct Arguments {
    /// The file; - is standard input
    file: PathBuf,
    /// Where: BUCKET/KEY, or BUCKET/PREFIX/ for the file's own name below it
    #[arg(value_name = "BUCKET/KEY")]
    target: Target,
    /// The media type
    #[arg(long, value_name = "TYPE", default_value = "application/octet-stream")]
    content_type: String,
    /// Only if there is no object with this key
    #[arg(long)]
    if_absent: bool,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let place = destination(arguments)?;
    let gateway = arguments.access.open(global)?;
    let (length, written) = with_vault(gateway, async |vault| {
        let total = total(&arguments.file).await?;
        let bar = global.output().bytes_bar(total, &place::name(&place));
        let outcome = store(&vault, arguments, place.clone(), &bar).await;
        bar.finish_and_clear();
        outcome
    })?;
    let name = place::name(&place);
    let stored = json!({
        "object": name,
        "bytes": length,
        "version": written.version.to_string(),
        "time": output::time(written.time_ms),
        "transaction": written.transaction.to_string(),
    });
    global.output().show(&stored, |_| {
        format!(
            "stored {name}, {}, version {}, final at {}",
            output::bytes(length),
            written.version,
            output::time(written.time_ms)
        )
    })
}

fn destination(arguments: &Arguments) -> Result<Place, Failure> {
    let Target { bucket, key } = &arguments.target;
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let key = if key.is_empty() || key.ends_with('/') {
        let name = arguments.file.file_name().filter(|_| arguments.file != Path::new("-"));
        let name = name.and_then(|name| name.to_str());
        format!("{key}{}", name.ok_or_else(|| usage("what is stored needs a name: BUCKET/KEY".into()))?)
    } else {
        key.clone()
    };
    Ok(Place {
        bucket: bucket.clone(),
        key: key.parse().map_err(|error: proof::names::InvalidObjectKey| usage(error.to_string()))?,
    })
}

/// Bytes of the file; unknown for standard input and pipes.
async fn total(path: &Path) -> Result<Option<u64>, Failure> {
    if path == Path::new("-") {
        return Ok(None);
    }
    let metadata = tokio::fs::metadata(path).await.map_err(|error| Failure::file("read", path, &error))?;
    if metadata.is_dir() {
        return Err(Failure::new(Exit::Usage, format!("{} is a directory", path.display()))
            .hint("an S3 client stores whole trees, e.g. `aws s3 cp --recursive` or `rclone copy`"));
    }
    Ok(metadata.is_file().then_some(metadata.len()))
}

async fn store(
    vault: &Vault<Context>,
    arguments: &Arguments,
    place: Place,
    bar: &ProgressBar,
) -> Result<(u64, Written), Failure> {
    let mut writer = vault.put(place).await?;
    let (length, etag) = if arguments.file == Path::new("-") {
        copy(&mut tokio::io::stdin(), &mut writer, &arguments.file, bar).await?
    } else {
        let file = File::open(&arguments.file).await;
        let mut file = file.map_err(|error| Failure::file("read", &arguments.file, &error))?;
        copy(&mut file, &mut writer, &arguments.file, bar).await?
    };
    let metadata =
        Metadata { etag, content_type: Some(arguments.content_type.clone()), ..Metadata::default() };
    let condition = if arguments.if_absent { Condition::IfAbsent } else { Condition::None };
    let written = writer.finish(metadata, condition).await.map_err(|error| match error {
        vault::Error::PreconditionFailed => {
            Failure::new(Exit::Conflict, "there is an object with this key already")
                .hint("without --if-absent a new version is stored, and the old one kept")
        }
        error => error.into(),
    })?;
    Ok((length, written))
}

/// Copies all bytes; gives their number and, for S3 clients, their ETag: the MD5 in hexadecimal.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut Writer<Context>,
    path: &Path,
    bar: &ProgressBar,
) -> Result<(u64, String), Failure> {
    let (mut length, mut hasher) = (0, Md5::new());
    loop {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        while buffer.len() < READ_BYTES {
            let read = from.read_buf(&mut buffer).await;
            if read.map_err(|error| Failure::file("read", path, &error))? == 0 {
                break;
            }
        }
        if buffer.is_empty() {
            let md5 = hasher.finalize();
            return Ok((length, md5.iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        hasher.update(&buffer);
        length += buffer.len() as u64;
        bar.inc(buffer.len() as u64);
        to.write(buffer.freeze()).await?;
    }
}
