//! `outlast quota`: how much a bucket, or a tenant, keeps and may keep.

use crate::{
    cli::{Access, Global},
    failure::{Exit, Failure},
    gateway::with_vault,
};
use clap::Args;
use proof::BucketName;
use serde_json::{Value, json};
use std::path::PathBuf;
use vault::{Quota, Usage};

/// Show or set how much a bucket, or the tenant, may keep
///
/// Usage counts all that was ever put, since nothing is destroyed: deleting frees nothing. A bucket's quota is set with
/// the tenant's key, the tenant's own with an approver's; no S3 access key sets either.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast quota                                  what the tenant keeps, and may keep
  outlast quota photos --bytes 500G              that bucket takes no more than that
  outlast quota photos --objects 1000000         nor more versions of objects; sets both limits anew
  outlast quota photos --none                    without a limit again
  outlast quota --tenant accounting --bytes 2T --approver-key /media/stick/approver-1.key")]
pub(crate) struct Arguments {
    /// The bucket; without one it is about the whole tenant
    bucket: Option<BucketName>,
    /// Bytes that it may keep, as encrypted; K, M, G and T stand for powers of 1024
    #[arg(long, value_name = "N", value_parser = parse_bytes)]
    bytes: Option<u64>,
    /// Versions of objects that it may keep
    #[arg(long, value_name = "N")]
    objects: Option<u64>,
    /// Take the quota away
    #[arg(long, conflicts_with_all = ["bytes", "objects"])]
    none: bool,
    /// An approver's key, for a tenant's quota [default: that of approver 0 below --dir]
    #[arg(long, value_name = "FILE", conflicts_with = "bucket")]
    approver_key: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let shift = match text.bytes().last().map(|unit| unit.to_ascii_uppercase()) {
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        Some(b'T') => 40,
        _ => 0,
    };
    let digits = if shift == 0 { text } else { &text[..text.len() - 1] };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| "a number of bytes, such as 1000000, 500G or 2T".to_owned())
}

/// A limit; `u64::MAX` is none.
fn limited(limit: u64) -> Option<u64> {
    (limit != u64::MAX).then_some(limit)
}

impl Arguments {
    /// What is to be set, if anything is.
    fn wish(&self) -> Option<Option<Quota>> {
        let limit = |given: Option<u64>| given.unwrap_or(u64::MAX);
        match (self.bytes, self.objects) {
            (None, None) => self.none.then_some(None),
            (bytes, objects) => Some(Some(Quota { bytes: limit(bytes), objects: limit(objects) })),
        }
    }
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.approver_key.is_some() && arguments.wish().is_none() {
        return Err(Failure::new(Exit::Usage, "--approver-key is given, but no quota to set")
            .hint("add --bytes, --objects or --none"));
    }
    let gateway = arguments.access.open(global)?;
    let tenant = gateway.vault.tenant;
    let usage = match (&arguments.bucket, arguments.wish()) {
        (Some(bucket), wish) => with_vault(gateway, async |vault| {
            if let Some(quota) = wish {
                vault.set_quota(bucket, quota).await?;
            }
            Ok(vault.bucket_usage(bucket).await?)
        })?,
        (None, None) => with_vault(gateway, async |vault| Ok(vault.tenant_usage().await?))?,
        (None, Some(quota)) => {
            let path = arguments.approver_key.clone().unwrap_or_else(|| global.layout().approver_key(0));
            let approver = node::config::load_key(&path)?;
            with_vault(gateway, async |vault| {
                vault.set_tenant_quota(&approver, tenant, quota).await?;
                Ok(vault.tenant_usage().await?)
            })?
        }
    };
    let of = arguments.bucket.as_ref().map(ToString::to_string);
    global.output().show(&to_json(of.as_deref(), &usage), |_| to_text(of.as_deref(), &usage))
}

fn to_json(bucket: Option<&str>, usage: &Usage) -> Value {
    let quota = usage.quota.first();
    json!({
        "bucket": bucket,
        "bytes": usage.bytes,
        "objects": usage.objects,
        "bytes_max": quota.and_then(|quota| limited(quota.bytes)),
        "objects_max": quota.and_then(|quota| limited(quota.objects)),
    })
}

fn to_text(bucket: Option<&str>, usage: &Usage) -> String {
    let of = bucket.map_or("this tenant".to_owned(), |bucket| format!("bucket {bucket}"));
    let quota = usage.quota.first();
    let line = |used: u64, max: Option<u64>, what: &str| match max {
        Some(max) => format!("{used} of {max} {what}"),
        None => format!("{used} {what}, without a limit"),
    };
    let bytes = line(usage.bytes, quota.and_then(|quota| limited(quota.bytes)), "bytes");
    let objects = line(usage.objects, quota.and_then(|quota| limited(quota.objects)), "versions of objects");
    format!("{of} keeps {bytes};\n{objects}. All that was ever put counts: deleting frees nothing.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_may_have_a_unit() {
        for (text, bytes) in [("0", 0), ("1000", 1000), ("3k", 3 << 10), ("500G", 500 << 30), ("2T", 2 << 40)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "1.5G", "-1", "1GB", "99999999999T", "é"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn usage_is_told() {
        let quota = proof::wire::List::new(vec![Quota { bytes: 10, objects: u64::MAX }]).unwrap();
        let usage = Usage { bytes: 7, objects: 2, quota };
        assert!(
            to_text(Some("photos"), &usage).starts_with("bucket photos keeps 7 of 10 bytes;\n2 versions")
        );
        assert_eq!(to_json(None, &usage)["objects_max"], Value::Null);
        assert_eq!(to_json(None, &usage)["bytes_max"], 10);
    }
}
