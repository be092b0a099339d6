//! `outlast restore`: make a bucket what it was. New versions refer to the contents of old ones: no data moves, and what
//! was there meanwhile stays as earlier versions.

use crate::{
    changes::{Change, Changes, Walk},
    cli::{Access, Global},
    failure::Failure,
    gateway::with_vault,
    output::Output,
    place::{self, Target},
};
use clap::Args;
use commonware_runtime::tokio::Context;
use futures::{StreamExt as _, stream::FuturesUnordered};
use indicatif::ProgressBar;
use proof::{BucketName, transaction::Place};
use serde_json::json;
use vault::{Condition, Error, Moment, Settings, Vault};

/// Keys on the way at a time.
const AT_ONCE: usize = 128;

/// Make a bucket what it was at a moment
///
/// Objects that were there become current again, objects that were not are deleted. Both by new versions and delete
/// markers, without moving data: a restore can be undone as any other change. What others change meanwhile is left
/// alone. With --to, what was there is put into another bucket, and nothing is deleted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast restore photos --at 2026-11-01T10:00:00Z
  outlast restore photos/2026/ --at 2026-11-01T10:00:00Z
  outlast restore photos --at 2026-11-01T10:00:00Z --to photos-before

`outlast diff BUCKET --from MOMENT` shows beforehand what a restore would undo.")]
pub(crate) struct Arguments {
    /// A bucket, or a bucket and the beginning of keys
    #[arg(value_name = "BUCKET[/PREFIX]")]
    target: Target,
    /// The moment: a time like 2026-11-01T10:00:00Z, or the height of a block
    #[arg(long, value_name = "MOMENT")]
    at: Moment,
    /// Another bucket to restore into; made if there is none
    #[arg(long, value_name = "BUCKET")]
    to: Option<BucketName>,
    #[command(flatten)]
    access: Access,
}

/// What became of the keys that differed.
#[derive(Default)]
struct Tally {
    restored: u64,
    deleted: u64,
    /// Others changed them meanwhile.
    left_alone: u64,
}

/// What became of one key.
enum Done {
    Restored,
    Deleted,
    LeftAlone,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let output = global.output();
    with_vault(arguments.access.open(global)?, async |vault| {
        let Target { bucket, key } = &arguments.target;
        let height = vault.height_at(arguments.at).await?;
        let to = arguments.to.as_ref().unwrap_or(bucket);
        // That the bucket was there is known before anything is made.
        let mut then = Walk::new(&vault, bucket, key, Some(height));
        then.check().await?;
        make_ready(&vault, to, to == bucket).await?;
        let changes = Changes { first: then, second: Walk::new(&vault, to, key, None) };
        let bar = output.count_bar("restored");
        let tally = restore_all(&vault, bucket, to, changes, output, &bar).await;
        bar.finish_and_clear();
        let Tally { restored, deleted, left_alone } = tally?;
        let done = json!({
            "bucket": to.as_str(),
            "height": height,
            "restored": restored,
            "deleted": deleted,
            "left_alone": left_alone,
        });
        output.show(&done, |_| {
            let others = match left_alone {
                0 => String::new(),
                count => format!("; {count} that others changed meanwhile are left alone"),
            };
            format!("{to} is as of block {height}: {restored} objects restored, {deleted} deleted{others}")
        })
    })
}

/// Sees to it that the bucket is there.
async fn make_ready(vault: &Vault<Context>, bucket: &BucketName, same: bool) -> Result<(), Failure> {
    match vault.head_bucket(bucket).await {
        Err(Error::NoSuchBucket) if same => Ok(vault.undelete_bucket(bucket).await?),
        Err(Error::NoSuchBucket) => Ok(vault.create_bucket(bucket).await.map(drop)?),
        found => Ok(found.map(drop)?),
    }
}

async fn restore_all(
    vault: &Vault<Context>,
    from: &BucketName,
    to: &BucketName,
    mut changes: Changes<'_>,
    output: Output,
    bar: &ProgressBar,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let mut working = FuturesUnordered::new();
    let mut walking = true;
    while walking || !working.is_empty() {
        if walking && working.len() < AT_ONCE {
            match changes.next().await? {
                None => walking = false,
                // Restoring into another bucket deletes nothing there.
                Some(Change { first: None, .. }) if from != to => {}
                Some(change) => working.push(restore(vault, from, to, change)),
            }
            continue;
        }
        if let Some(done) = working.next().await {
            let (place, done) = done?;
            let what = match done {
                Done::Restored => "restored",
                Done::Deleted => "deleted",
                Done::LeftAlone => "left alone",
            };
            match done {
                Done::Restored => tally.restored += 1,
                Done::Deleted => tally.deleted += 1,
                Done::LeftAlone => tally.left_alone += 1,
            }
            bar.inc(1);
            if output.json {
                let line = json!({ "object": place::name(&place), "done": what });
                crate::output::line(&line.to_string())?;
            }
        }
    }
    Ok(tally)
}

async fn restore(
    vault: &Vault<Context>,
    from: &BucketName,
    to: &BucketName,
    change: Change,
) -> Result<(Place, Done), Failure> {
    let Change { key, first, second } = change;
    let place = |bucket: &BucketName| Place { bucket: bucket.clone(), key: key.clone() };
    let condition = second.map_or(Condition::IfAbsent, |now| Condition::IfVersion(now.version));
    let done = match first {
        None => vault.delete(&place(to), condition).await.map(|_| Done::Deleted),
        Some(then) => {
            let object = vault.kept(&place(from), then.version).await?;
            let metadata = object.metadata.clone();
            // A version's tags as they are now: they are not part of it.
            let settings = Settings { tags: vault.tags(&object, None).await?, ..Settings::default() };
            let copied = vault.copy_with(&object, place(to), metadata, condition, settings).await;
            copied.map(|_| Done::Restored)
        }
    };
    match done {
        Err(Error::PreconditionFailed) => Ok((place(to), Done::LeftAlone)),
        done => Ok((place(to), done?)),
    }
}
