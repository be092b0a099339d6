//! `outlast verify`: check a receipt offline. What decides is crate `proof` alone; this file reads and prints.

use crate::{
    cli::Global,
    failure::{Exit, Failure},
    output,
};
use clap::Args;
use proof::{
    Lineage, Receipt,
    receipt::ContentCheck,
    transaction::{Operation, Place},
};
use serde_json::json;
use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

/// A receipt is a few kilobytes; this bounds what is read of something else.
const RECEIPT_BYTES_MAX: u64 = 16 << 20;

/// Verify a receipt, offline and trusting no node
///
/// The genesis file is all that is trusted: get it from someone you trust. Exit code 7: not proven.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast verify cat.jpg.receipt --genesis outlast-data/genesis
  outlast verify cat.jpg.receipt --genesis genesis --file cat.jpg    and that the file is what was stored")]
pub(crate) struct Arguments {
    /// The receipt
    receipt: PathBuf,
    /// The network's genesis file
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// Check that this file is what was stored
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let not_proven = |message: String| Failure::new(Exit::NotProven, message);
    let lineage = Lineage::from_file(&read(&arguments.genesis)?).map_err(|error| {
        let message = format!("{}: {error}", arguments.genesis.display());
        Failure::new(Exit::Configuration, message).hint("get the genesis file again from someone you trust")
    })?;
    let receipt = Receipt::from_file(&read(&arguments.receipt)?)
        .map_err(|error| not_proven(format!("{}: {error}", arguments.receipt.display())))?;
    let proven = receipt
        .verify(&lineage)
        .map_err(|error| not_proven(format!("{}: {error}", arguments.receipt.display())))?;
    if let Some(path) = &arguments.file {
        check_contents(&receipt, path)?;
    }
    let acts: Vec<String> = receipt.transaction.operations.iter().map(describe).collect();
    let shown = json!({
        "proven": true,
        "network": lineage.network().to_string(),
        "transaction": proven.transaction.to_string(),
        "tenant": receipt.transaction.tenant.to_string(),
        "signer": receipt.transaction.signer.to_string(),
        "operations": acts,
        "version": proven.version.to_string(),
        "height": proven.height,
        "time": output::time(proven.time_ms),
        "file_matches": arguments.file.is_some(),
    });
    global.output().show(&shown, |_| {
        let file = arguments.file.as_ref().map(|path| format!("\ncontents     {} is what was stored", path.display()));
        format!(
            "proven       accepted by network {}\noperation    {}\nversion      {}\ntime         {} (block {})\n\
             signed by    {}{}",
            lineage.network(),
            acts.join(", "),
            proven.version,
            output::time(proven.time_ms),
            proven.height,
            receipt.transaction.signer,
            file.unwrap_or_default(),
        )
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(RECEIPT_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| Failure::file("read", path, &error))?;
    Ok(bytes)
}

fn check_contents(receipt: &Receipt, path: &Path) -> Result<(), Failure> {
    let opening = receipt.opening.first().ok_or_else(|| {
        Failure::new(
            Exit::NotProven,
            "the receipt says nothing about contents: it is of a deletion, or of several writes",
        )
    })?;
    let unreadable = |error: std::io::Error| Failure::file("read", path, &error);
    let mut file = File::open(path).map_err(unreadable)?;
    let (mut check, mut buffer) = (ContentCheck::new(opening), vec![0; 1 << 20]);
    let same = loop {
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => break check.finish(),
            read if check.update(&buffer[..read]) => {}
            _ => break false,
        }
    };
    let differs = || Failure::new(Exit::NotProven, format!("{} is not what was stored", path.display()));
    if same { Ok(()) } else { Err(differs()) }
}

fn describe(operation: &Operation) -> String {
    let at = |place: &Place| crate::place::name(place);
    match operation {
        Operation::PutVersion(put) => format!("put {}", at(&put.place)),
        Operation::PutMarker(put) => format!("delete {}", at(&put.place)),
        Operation::CompleteUpload(complete) => format!("put {} in parts", at(&complete.place)),
        Operation::CreateUpload(create) => format!("begin {} in parts", at(&create.place)),
        Operation::PutPart(put) => format!("part {} of an upload", put.number),
        Operation::AbortUpload(_) => "give up an upload".to_owned(),
        Operation::CreateBucket(create) => format!("make bucket {}", create.bucket),
        Operation::DeleteBucket(delete) => format!("delete bucket {}", delete.bucket),
        Operation::CreateTenant(create) => format!("make tenant {}", create.tenant),
        Operation::AddKey(add) => format!("add key {}", add.key),
        Operation::RevokeKey(revoke) => format!("revoke key {}", revoke.key),
        Operation::HideVersion(hide) => format!("hide version {} of {}", hide.version, at(&hide.place)),
        Operation::UnhideVersion(show) => {
            format!("show version {} of {} again", show.version, at(&show.place))
        }
        Operation::UndeleteBucket(undelete) => format!("undelete bucket {}", undelete.bucket),
        Operation::SetBucketLock(set) => format!("set the object lock of bucket {}", set.bucket),
        Operation::SetRetention(set) => match set.retention.first() {
            Some(retention) => format!("retain {} until {} ms", at(&set.place), retention.until_ms),
            None => format!("end the retention of {}", at(&set.place)),
        },
        Operation::SetHold(set) if set.hold => format!("hold {}", at(&set.place)),
        Operation::SetHold(set) => format!("release {}", at(&set.place)),
        Operation::Annotate(annotate) => match annotate.about.version() {
            Some((place, _)) => format!("annotate {}", at(place)),
            None => format!("annotate bucket {}", annotate.about.bucket()),
        },
        Operation::SetQuota(set) => format!("set the quota of bucket {}", set.bucket),
        Operation::SetTenantQuota(set) => format!("set the quota of tenant {}", set.tenant),
    }
}
