//! `outlast-verify RECEIPT --genesis FILE [--file FILE]`: checks a write receipt offline, trusting the genesis file alone.
//!
//! It needs this crate and the standard library only. It ends with 0 when everything that was asked is proved, and
//! with 1 otherwise.

use proof::{
    Lineage, Receipt,
    receipt::{ContentCheck, Proven},
    transaction::{Operation, Place},
};
use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

const USAGE: &str = "usage: outlast-verify RECEIPT --genesis FILE [--file FILE]";
const READ_BYTES: usize = 1 << 20;

struct Arguments {
    receipt: PathBuf,
    genesis: PathBuf,
    file: Option<PathBuf>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = OsString>) -> Option<Self> {
        let (mut receipt, mut genesis, mut file) = (None, None, None);
        while let Some(word) = words.next() {
            let (place, value) = match word.to_str() {
                Some("--genesis") => (&mut genesis, words.next()?),
                Some("--file") => (&mut file, words.next()?),
                Some(option) if option.starts_with('-') => return None,
                _ => (&mut receipt, word),
            };
            if place.replace(PathBuf::from(value)).is_some() {
                return None;
            }
        }
        Some(Self { receipt: receipt?, genesis: genesis?, file })
    }
}

fn main() -> ExitCode {
    let result =
        Arguments::parse(env::args_os().skip(1)).ok_or_else(|| USAGE.to_owned()).and_then(|arguments| {
            let report = verify(&arguments)?;
            print!("{report}");
            Ok(())
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// What the receipt proves, in words; or why it does not.
fn verify(arguments: &Arguments) -> Result<String, String> {
    let lineage = Lineage::from_file(&read(&arguments.genesis)?)
        .map_err(|error| format!("{}: {error}", arguments.genesis.display()))?;
    let refused = |error| format!("NOT PROVED: {}: {error}", arguments.receipt.display());
    let receipt = Receipt::from_file(&read(&arguments.receipt)?).map_err(refused)?;
    let proven = receipt.verify(&lineage).map_err(refused)?;
    let mut report = describe(&lineage, &receipt, &proven);
    if let Some(file) = &arguments.file {
        check_contents(&receipt, file)?;
        report.push_str(&format!("contents     {} is exactly what was accepted\n", file.display()));
    }
    Ok(report)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn check_contents(receipt: &Receipt, path: &Path) -> Result<(), String> {
    let Some(opening) = receipt.opening.first() else {
        return Err("NOT PROVED: the receipt does not open the contents; have one made that does".into());
    };
    let failed = |error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let mut check = ContentCheck::new(opening);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        if count == 0 || !check.update(&buffer[..count]) {
            break;
        }
    }
    if check.finish() {
        Ok(())
    } else {
        Err(format!("NOT PROVED: {} is not what the receipt is about", path.display()))
    }
}

fn describe(lineage: &Lineage, receipt: &Receipt, proven: &Proven) -> String {
    let transaction = &receipt.transaction;
    let mut text = format!(
        "PROVED: a quorum of the network finalized this transaction\n\
         network      {} ({})\n\
         transaction  {}\n\
         block        {} at {} UTC\n\
         tenant       {}\n\
         signed by    {}\n",
        String::from_utf8_lossy(&lineage.genesis().name).escape_debug(),
        receipt.network,
        proven.transaction,
        proven.height,
        utc(proven.time_ms),
        transaction.tenant,
        transaction.signer,
    );
    for (number, operation) in (0..).zip(transaction.operations.iter()) {
        let version = proof::VersionId { operation: number, ..proven.version };
        text.push_str(&format!("operation    {}\n", describe_operation(operation, version)));
    }
    text
}

fn describe_operation(operation: &Operation, version: proof::VersionId) -> String {
    let at = |place: &Place| format!("{}/{}", place.bucket, place.key.as_str().escape_debug());
    match operation {
        Operation::CreateBucket(create) => format!("create bucket {}", create.bucket),
        Operation::DeleteBucket(delete) => format!("delete bucket {}", delete.bucket),
        Operation::PutVersion(put) => {
            let bytes = put.body.ciphertext_length;
            format!("put {} version {version}, {bytes} bytes of ciphertext", at(&put.place))
        }
        Operation::PutMarker(put) => format!("delete {} by marker {version}", at(&put.place)),
        Operation::CreateUpload(create) => format!("open upload {} to {}", create.upload, at(&create.place)),
        Operation::PutPart(put) => {
            let bytes = put.body.ciphertext_length;
            format!("put part {} of upload {}, {bytes} bytes of ciphertext", put.number, put.upload)
        }
        Operation::CompleteUpload(complete) => {
            let (bytes, place) = (complete.body.ciphertext_length, at(&complete.place));
            format!(
                "complete upload {} to {place} version {version}, {bytes} bytes of ciphertext",
                complete.upload
            )
        }
        Operation::AbortUpload(abort) => format!("abort upload {}", abort.upload),
        Operation::CreateTenant(create) => format!("create tenant {} with key {}", create.tenant, create.key),
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

/// Date and time of the proleptic Gregorian calendar: days are counted from 1 March of the year 0, so that the leap
/// day is the last of its year.
fn utc(time_ms: u64) -> String {
    let (days, milliseconds) = (time_ms / 86_400_000 + 719_468, time_ms % 86_400_000);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (seconds, thousandths) = (milliseconds / 1000, milliseconds % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{thousandths:03}")
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn dates() {
        for (time_ms, expected) in [
            (0, "1970-01-01T00:00:00.000"),
            (951_782_399_999, "2000-02-28T23:59:59.999"),
            (951_782_400_000, "2000-02-29T00:00:00.000"),
            (951_868_800_000, "2000-03-01T00:00:00.000"),
            (1_795_349_045_678, "2026-11-22T12:04:05.678"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000"),
        ] {
            assert_eq!(utc(time_ms), expected);
        }
    }
}
