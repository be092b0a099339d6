//! Metrics for Prometheus, on a port of their own: `GET /metrics`.
//!
//! Those of the runtimes are as their libraries name them; those of the shard log are [`shards_text`].

use axum::{Router, http::header, routing::get};
use chain::{protocol::Stance, voting::Standing};
use commonware_runtime::{Metrics as _, Spawner as _, tokio::Context};
use shards::{ShardStore, wire::NodeStatus};
use std::{
    fmt::Write as _,
    net::TcpListener,
    sync::{Arc, OnceLock},
};
use tracing::error;

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const END: &str = "# EOF\n";

/// The shard log, once it is open, and whether the node votes.
pub(crate) type Told = Arc<OnceLock<(ShardStore<Context>, Standing)>>;

/// Serves what is registered in the runtime of `context` and in that of `voting`, what the shard log says, and whether the
/// node votes, for as long as `context` lives.
pub(crate) fn serve(
    context: Context,
    voting: Context,
    listener: TcpListener,
    told: Told,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    context.spawn(move |context| async move {
        let contexts = Arc::new((context, voting));
        let metrics = move || {
            let own = told
                .get()
                .map(|(shards, standing)| shards_text(&shards.status()) + &standing_text(&standing.now()));
            let text = joined(&contexts.0.encode(), &contexts.1.encode(), &own.unwrap_or_default());
            async move { ([(header::CONTENT_TYPE, TEXT)], text) }
        };
        let router = Router::new().route("/metrics", get(metrics));
        let served = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => axum::serve(listener, router).await,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            error!(%error, "metrics are no longer served");
        }
    });
    Ok(())
}

/// One text of all. Of the runtime of consensus, what it counts about itself is left out: both count the same things.
fn joined(node: &str, voting: &str, own: &str) -> String {
    let mut text = node.strip_suffix(END).unwrap_or(node).to_owned();
    if node != voting {
        let is_own = |line: &str| {
            let name = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")).unwrap_or(line);
            name.starts_with("runtime_")
        };
        for line in voting.lines().filter(|line| !is_own(line) && *line != END.trim_end()) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text + own + END
}

/// Whether the node votes, in Prometheus' words.
fn standing_text(stance: &Stance) -> String {
    let mut text = String::new();
    let mut write = |name: &str, help: &str, value: u64| {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    };
    write("outlast_node_votes", "1 when the node votes", (*stance == Stance::Voter).into());
    let lost = matches!(stance, Stance::Lost | Stance::Quarantined(_));
    write("outlast_node_votes_lost", "1 when the node's votes are lost, until it votes again", lost.into());
    let contradicted = *stance == Stance::Contradicted;
    let help = "1 when votes with the node's signature turned up that it did not cast";
    write("outlast_node_votes_contradicted", help, contradicted.into());
    if let Stance::Quarantined(until) = stance {
        write(
            "outlast_node_quarantine_view",
            "The node votes again when a block of this view is final",
            *until,
        );
    }
    text
}

/// What the shard log says, in Prometheus' words.
fn shards_text(status: &NodeStatus) -> String {
    let mut text = String::new();
    let mut write = |name: &str, kind: &str, help: &str, value: u64| {
        let total = if kind == "counter" { "_total" } else { "" };
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{total} {value}\n");
    };
    let gauges = [
        ("outlast_shards_bytes", "Bytes taken in segments", status.bytes),
        ("outlast_shards_live_bytes", "Bytes in records that are in use", status.live_bytes),
        ("outlast_shards_held", "Shards and pages held", status.held),
        (
            "outlast_shards_pending",
            "Shards and pages held that the chain does not reference yet",
            status.pending,
        ),
        ("outlast_shards_failed", "1 when the disk has failed and is not used any more", status.failed),
        ("outlast_heal_missing", "Shards and pages that should be held and are not", status.missing),
        ("outlast_heal_unresolved", "Pages missing, whose chunks are therefore unknown", status.unresolved),
        ("outlast_heal_endangered", "Missing, and one more loss would lose the chunk", status.endangered),
        ("outlast_heal_unhealable", "Missing, and too few nodes hold the chunk for now", status.unhealable),
        (
            "outlast_heal_inconsistent",
            "Shards that nobody can have, by their writers' fault",
            status.inconsistent,
        ),
        ("outlast_heal_bytes_per_second", "Bytes healed in a second, of late", status.heal_bytes_per_second),
        ("outlast_scrub_position_bytes", "Bytes scrubbed of the present pass", status.scrubbed_bytes),
    ];
    for (name, help, value) in gauges {
        write(name, "gauge", help, value);
    }
    let counters = [
        ("outlast_heal_shards", "Shards and pages healed", status.healed),
        ("outlast_heal_bytes", "Bytes of shards and pages healed", status.healed_bytes),
        ("outlast_heal_failures", "Attempts to heal that failed", status.heal_failures),
        ("outlast_scrub_passes", "Times that the whole shard log was scrubbed", status.scrubbed_passes),
        ("outlast_scrub_damaged", "Records found damaged", status.damaged),
    ];
    for (name, help, value) in counters {
        write(name, "counter", help, value);
    }
    // Nothing is said of a time that is not known.
    if status.heal_seconds != u64::MAX {
        let help = "Seconds until nothing is missing, at the present speed";
        write("outlast_heal_seconds_left", "gauge", help, status.heal_seconds);
    }
    text
}
