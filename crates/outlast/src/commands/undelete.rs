//! `outlast undelete`: undo deletes. Nothing was destroyed by them, so all of it comes back.

use crate::{
    cli::{Access, Global},
    failure::{Exit, Failure},
    gateway::with_vault,
    output::{self, Output},
    place::Target,
};
use clap::Args;
use commonware_runtime::tokio::Context;
use futures::{StreamExt as _, stream::FuturesUnordered};
use indicatif::ProgressBar;
use proof::{ObjectKey, transaction::Place};
use serde_json::json;
use vault::{Error, ListedVersion, Moment, Vault, VersionsRequest};

/// Versions asked for at a time.
const PAGE: usize = 1000;
/// Keys on the way at a time.
const AT_ONCE: usize = 32;

/// Undo deletes: of an object, of all below a prefix, or of a whole bucket
///
/// Of every key without an object, the newest object becomes current again, also if an S3 client deleted all its
/// versions by their ids. A bucket that was deleted is brought back first. With --since, what was deleted from then on
/// is undone instead, and only that.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast undelete photos/cat.jpg
  outlast undelete photos/2026/
  outlast undelete photos
  outlast undelete photos --since 2026-11-01T10:00:00Z

To undo overwriting too: outlast restore BUCKET --at MOMENT")]
pub(crate) struct Arguments {
    /// A bucket, or a bucket and the beginning of keys
    #[arg(value_name = "BUCKET[/KEY]")]
    target: Target,
    /// Undo what was deleted at this time, like 2026-11-01T10:00:00Z, or later
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let output = global.output();
    let since_ms = match arguments.since {
        None => None,
        Some(Moment::TimeMs(time_ms)) => Some(time_ms),
        Some(Moment::Height(_)) => {
            return Err(Failure::new(Exit::Usage, "--since takes a time, not a height"));
        }
    };
    with_vault(arguments.access.open(global)?, async |vault| {
        let bucket = &arguments.target.bucket;
        let revived = match vault.head_bucket(bucket).await {
            Err(Error::NoSuchBucket) => vault.undelete_bucket(bucket).await.map(|()| true)?,
            found => found.map(|_| false)?,
        };
        let bar = output.count_bar("undeleted");
        let undeleted = undelete_all(&vault, &arguments.target, since_ms, output, &bar).await;
        bar.finish_and_clear();
        let keys = undeleted?;
        let done = json!({ "bucket": bucket.as_str(), "bucket_undeleted": revived, "keys": keys });
        output.show(&done, |_| {
            let revived = if revived { "the bucket and " } else { "" };
            format!("undeleted {revived}{keys} keys")
        })
    })
}

/// What a listing shows of one key.
struct Found {
    key: ObjectKey,
    /// Whether its current version is an object.
    live: bool,
    /// Whether it has an object at all.
    object: bool,
    /// Whether something of it was deleted since.
    since: bool,
}

impl Found {
    fn new(key: ObjectKey) -> Self {
        Self { key, live: false, object: false, since: false }
    }

    fn note(&mut self, listed: &ListedVersion, since_ms: Option<u64>) {
        let is_object = listed.contents.is_some();
        self.object |= is_object;
        self.live |= is_object && listed.current;
        if let Some(since_ms) = since_ms {
            let marked = !is_object && listed.time_ms >= since_ms;
            self.since |= marked || listed.hidden.is_some_and(|hiding| hiding.time_ms >= since_ms);
        }
    }

    fn is_wanted(&self, since_ms: Option<u64>) -> bool {
        match since_ms {
            Some(_) => self.since,
            None => self.object && !self.live,
        }
    }
}

/// Walks over all versions, and undeletes each key that needs it while the walk goes on. Gives the number of keys.
async fn undelete_all(
    vault: &Vault<Context>,
    target: &Target,
    since_ms: Option<u64>,
    output: Output,
    bar: &ProgressBar,
) -> Result<u64, Failure> {
    let mut request = VersionsRequest {
        bucket: target.bucket.clone(),
        prefix: target.key.clone(),
        exact: false,
        delimiter: None,
        after: None,
        limit: PAGE,
        hidden: true,
        at: None,
    };
    let (mut keys, mut found) = (0, None::<Found>);
    let mut working = FuturesUnordered::new();
    loop {
        let page = vault.list_versions(request.clone()).await?;
        let last = page.next.is_none();
        let mut wanted = Vec::new();
        for listed in &page.versions {
            if found.as_ref().is_none_or(|found| found.key != listed.key) {
                wanted.extend(found.replace(Found::new(listed.key.clone())));
            }
            found.iter_mut().for_each(|found| found.note(listed, since_ms));
        }
        wanted.extend(found.take_if(|_| last));
        for found in wanted.into_iter().filter(|found| found.is_wanted(since_ms)) {
            working.push(undelete(vault, Place { bucket: target.bucket.clone(), key: found.key }, since_ms));
            if working.len() >= AT_ONCE
                && let Some(done) = working.next().await
            {
                keys += report(output, bar, done?)?;
            }
        }
        request.after = page.next;
        if last {
            break;
        }
    }
    while let Some(done) = working.next().await {
        keys += report(output, bar, done?)?;
    }
    Ok(keys)
}

async fn undelete(
    vault: &Vault<Context>,
    place: Place,
    since_ms: Option<u64>,
) -> Result<(Place, usize), Failure> {
    let versions = vault.undelete(&place, since_ms).await?;
    Ok((place, versions))
}

/// Reports a key, and gives one if something of it changed.
fn report(output: Output, bar: &ProgressBar, (place, versions): (Place, usize)) -> Result<u64, Failure> {
    if versions == 0 {
        return Ok(0);
    }
    bar.inc(1);
    let name = crate::place::name(&place);
    let shown = json!({ "object": name, "versions": versions });
    if output.json {
        output::line(&shown.to_string())?;
    }
    Ok(1)
}
