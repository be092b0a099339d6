//! `outlast rm`: delete objects, which destroys nothing: a delete marker becomes current, and every version stays.

use crate::{
    cli::{Access, Global},
    failure::Failure,
    gateway::with_vault,
    output, place,
};
use clap::Args;
use proof::transaction::Place;
use serde_json::json;
use vault::Condition;

/// Delete objects; their versions stay
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast rm photos/cat.jpg
  outlast rm photos/cat.jpg photos/dog.jpg

It writes a delete marker and destroys nothing: `outlast get BUCKET/KEY --version V` still reads what was there.")]
pub(crate) struct Arguments {
    /// The objects
    #[arg(value_name = "BUCKET/KEY", value_parser = place::place, required = true)]
    objects: Vec<Place>,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let output = global.output();
    with_vault(arguments.access.open(global)?, async |vault| {
        for object in &arguments.objects {
            let before = vault.head(object, None).await?.version;
            let deleted = vault.delete(object, Condition::None).await?;
            let shown = json!({
                "object": place::name(object),
                "marker": deleted.marker.to_string(),
                "time": output::time(deleted.time_ms),
                "version_before": before.to_string(),
            });
            output.show(&shown, |_| format!("deleted {}; version {before} stays", place::name(object)))?;
        }
        Ok(())
    })
}
