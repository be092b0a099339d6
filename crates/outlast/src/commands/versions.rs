//! `outlast versions`: the versions and delete markers of a key.

use crate::{
    cli::{Access, Global},
    failure::Failure,
    gateway::with_vault,
    output::{self, Output},
    place,
};
use clap::Args;
use proof::transaction::Place;
use serde_json::json;
use vault::{ListedVersion, VersionsRequest};

/// Versions asked for at a time.
const PAGE: usize = 1000;

/// List the versions of an object, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast versions photos/cat.jpg
  outlast versions photos/cat.jpg --hidden     also those that were deleted by their ids
  outlast get photos/cat.jpg --version V       reads one")]
pub(crate) struct Arguments {
    /// The object
    #[arg(value_name = "BUCKET/KEY", value_parser = place::place)]
    object: Place,
    /// Hidden versions too: those that S3 clients deleted by their ids
    #[arg(long)]
    hidden: bool,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let output = global.output();
    with_vault(arguments.access.open(global)?, async |vault| {
        let mut request = VersionsRequest {
            bucket: arguments.object.bucket.clone(),
            prefix: arguments.object.key.as_str().to_owned(),
            exact: true,
            delimiter: None,
            after: None,
            limit: PAGE,
            hidden: arguments.hidden,
            at: None,
        };
        loop {
            let page = vault.list_versions(request.clone()).await?;
            page.versions.iter().try_for_each(|listed| show(output, listed))?;
            request.after = page.next;
            if request.after.is_none() {
                return Ok(());
            }
        }
    })
}

fn show(output: Output, listed: &ListedVersion) -> Result<(), Failure> {
    let time = output::time(listed.time_ms);
    let bytes = listed.contents.as_ref().map(|(length, _)| *length);
    let hidden = listed.hidden.map(|hiding| output::time(hiding.time_ms));
    let shown = json!({
        "version": listed.version.to_string(),
        "time": time,
        "bytes": bytes,
        "marker": bytes.is_none(),
        "current": listed.current,
        "hidden": hidden,
    });
    output.show(&shown, |_| {
        let what = bytes.map_or_else(|| "deleted".to_owned(), |bytes| bytes.to_string());
        let note = match (&hidden, listed.current) {
            (Some(since), _) => format!("  hidden since {since}"),
            (None, true) => "  current".to_owned(),
            (None, false) => String::new(),
        };
        format!("{time}  {what:>12}  {}{note}", listed.version)
    })
}
