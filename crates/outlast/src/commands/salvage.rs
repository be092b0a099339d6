//! `outlast salvage`: read objects off bare disks. The reading itself is in [`crate::bare`].

use crate::{
    bare::{self, Key, Task},
    cli::{Access, Global},
    failure::{Exit, Failure},
};
use clap::Args;
use proof::{BucketName, TenantId};
use std::{path::PathBuf, process::ExitCode};
use vault::Moment;
use zeroize::Zeroizing;

/// Read objects off the disks of nodes that are gone: no network, no running node
///
/// Reads the directories of any f + 1 nodes, or what is left of them, copies of them, more of them: what one lacks another
/// may have. Never writes into them. Every byte that is written is proven to be what was stored: by the nodes' signatures
/// that are in the directories, by the hashes that those bind, and by the tenant's key.
///
/// Each object becomes a file DEST/BUCKET/KEY, with sha-256, version and time in DEST/SALVAGED.jsonl. Keys that cannot be
/// paths are escaped; docs/operations.md says how. What cannot be read is listed there too. Exit code 0: all that there
/// was is written; 1: not all, and the reasons are printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast salvage outlast-data --out rescued              all nodes' directories of `outlast up`
  outlast salvage /mnt/disk-a/node-1 /mnt/disk-b/node-3 --out rescued
  outlast salvage outlast-data/nodes/node-* --out rescued --bucket photos --at 2026-11-01T10:00:00Z
  outlast salvage /mnt/a /mnt/b --out rescued --genesis genesis --master-key master.key")]
pub(crate) struct Arguments {
    /// Nodes' directories, or directories of them
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// Where to write: a new or empty directory
    #[arg(long, value_name = "DEST")]
    out: PathBuf,
    /// One bucket alone
    #[arg(long)]
    bucket: Option<BucketName>,
    /// As of a time, like 2026-11-01T10:00:00Z, or the height of a block
    #[arg(long, value_name = "MOMENT")]
    at: Option<Moment>,
    /// All versions, also of deleted objects, instead of the current ones
    #[arg(long)]
    versions: bool,
    /// The genesis file, where the gateway's configuration is gone
    #[arg(long, value_name = "FILE", requires = "master_key", conflicts_with_all = ["tenant", "gateway"])]
    genesis: Option<PathBuf>,
    /// The tenant's master key, where the gateway's configuration is gone
    #[arg(long, value_name = "FILE", requires = "genesis")]
    master_key: Option<PathBuf>,
    /// The tenant's id, with --genesis, for another tenant than the network's first
    #[arg(long, value_name = "ID", requires = "genesis", value_parser = tenant)]
    tenant_id: Option<TenantId>,
    #[command(flatten)]
    access: Access,
}

fn tenant(text: &str) -> Result<TenantId, String> {
    TenantId::from_hex(text).ok_or_else(|| "a tenant's id has 32 lower-case hexadecimal digits".into())
}

impl Arguments {
    fn key(&self, global: &Global) -> Result<Key, Failure> {
        let (Some(genesis), Some(master_key)) = (&self.genesis, &self.master_key) else {
            let gateway = self.access.open(global).map_err(|failure| {
                failure.hint(
                    "--gateway names a gateway's configuration; where there is none, --genesis and --master-key name \
                     the two files that are needed",
                )
            })?;
            let vault::Config { tenant, master_key, .. } = gateway.vault;
            return Ok(Key { lineage: gateway.lineage, tenant, master_key });
        };
        let lineage = node::config::load_lineage(genesis)?;
        let first = || lineage.genesis().tenants.first().map(|tenant| tenant.tenant);
        let tenant = self.tenant_id.or_else(first).ok_or_else(|| {
            Failure::new(Exit::Usage, "the genesis names no tenant").hint("name the tenant with --tenant-id")
        })?;
        let master_key = Zeroizing::new(node::config::load_secret(master_key)?);
        Ok(Key { lineage, tenant, master_key })
    }
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let report = bare::salvage(&Task {
        output: global.output(),
        directories: arguments.directories.clone(),
        key: arguments.key(global)?,
        to: arguments.out.clone(),
        bucket: arguments.bucket.clone(),
        at: arguments.at,
        all_versions: arguments.versions,
    })?;
    let complete = report.is_complete();
    global.output().show(&report, bare::Salvaged::text)?;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
