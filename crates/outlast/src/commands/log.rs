//! `outlast log`: who changed what, and when.

use crate::{
    cli::{Access, Global},
    failure::Failure,
    gateway::with_vault,
    output::{self, Output},
    place::Target,
};
use clap::Args;
use commonware_runtime::tokio::Context;
use futures::{StreamExt as _, stream};
use proof::{ObjectKey, PublicKey, VersionId};
use serde_json::json;
use vault::{ListedVersion, Vault, VersionsRequest};

/// Versions asked for at a time.
const PAGE: usize = 1000;
/// Transactions looked up at a time.
const AT_ONCE: usize = 16;

/// Show who changed what in a bucket, newest first
///
/// Each line is a put, a delete, or the delete of a version by its id, with the key that signed it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast log photos
  outlast log photos/cat.jpg
  outlast log photos/2026/ --limit 1000 --json")]
pub(crate) struct Arguments {
    /// A bucket, or a bucket and the beginning of keys
    #[arg(value_name = "BUCKET[/KEY]")]
    target: Target,
    /// Show the newest so many
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    access: Access,
}

/// Something that happened to a key.
struct Event {
    /// Where in the chain.
    place: VersionId,
    time_ms: u64,
    key: ObjectKey,
    what: &'static str,
    /// The version that was put or hidden.
    version: VersionId,
    bytes: Option<u64>,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let output = global.output();
    with_vault(arguments.access.open(global)?, async |vault| {
        let events = newest(&vault, &arguments.target, arguments.limit).await?;
        let vault = &vault;
        let signed = stream::iter(events).map(|event| async move {
            let signer = vault.signer(event.place).await;
            signer.map(|signer| (event, signer))
        });
        let mut signed = std::pin::pin!(signed.buffered(AT_ONCE));
        while let Some(signed) = signed.next().await {
            let (event, signer) = signed?;
            show(output, &event, &signer)?;
        }
        Ok(())
    })
}

/// The newest events, newest first. Holds no more than twice as many while it looks for them.
async fn newest(vault: &Vault<Context>, target: &Target, limit: usize) -> Result<Vec<Event>, Failure> {
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
    let mut events = Vec::new();
    loop {
        let page = vault.list_versions(request.clone()).await?;
        events.extend(page.versions.iter().flat_map(of_version));
        request.after = page.next;
        let last = request.after.is_none();
        if last || events.len() >= limit.saturating_mul(2) {
            events.sort_by_key(|event: &Event| std::cmp::Reverse(event.place));
            events.truncate(limit);
        }
        if last {
            return Ok(events);
        }
    }
}

/// That a version was put, and that it was hidden, if it is.
fn of_version(listed: &ListedVersion) -> impl Iterator<Item = Event> {
    let (key, version) = (&listed.key, listed.version);
    let bytes = listed.contents.as_ref().map(|(length, _)| *length);
    let event = |place, time_ms, what| Event { place, time_ms, key: key.clone(), what, version, bytes };
    let put = event(version, listed.time_ms, if bytes.is_some() { "put" } else { "delete" });
    let hidden = listed.hidden.map(|hiding| event(hiding.place, hiding.time_ms, "delete version"));
    std::iter::once(put).chain(hidden)
}

fn show(output: Output, event: &Event, signer: &PublicKey) -> Result<(), Failure> {
    let time = output::time(event.time_ms);
    let shown = json!({
        "time": time,
        "height": event.place.height,
        "what": event.what,
        "key": event.key.as_str(),
        "version": event.version.to_string(),
        "bytes": event.bytes,
        "signer": signer.to_string(),
    });
    output.show(&shown, |_| {
        let signer = signer.to_string();
        format!("{time}  {:<14}  by {}  {}", event.what, &signer[..12], event.key)
    })
}
