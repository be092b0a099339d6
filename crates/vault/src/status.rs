//! The network as this gateway sees it.

use crate::{ChainStatus, Context, NodeStatus, ShardsStatus, Status, Vault};

impl<E: Context> Vault<E> {
    /// The network as this gateway sees it now. Never fails: it says who does not answer.
    pub async fn status(&self) -> Status {
        let shared = &self.shared;
        let (chain, shards) = futures::join!(shared.chain.status(), shared.shards.status());
        let committee = shared.lineage.committee();
        let nodes: Vec<_> = chain
            .into_iter()
            .zip(shards)
            .zip(&shared.addresses)
            .map(|((chain, shards), address)| NodeStatus {
                index: chain.node,
                key: chain.key,
                address: *address,
                latency_us: chain.latency_us,
                faults: chain.faults,
                stalls: chain.stalls,
                avoided: chain.avoided,
                chain: chain.report.map(chain_status),
                shards: shards.map(shards_status),
            })
            .collect();
        Status {
            network: shared.network,
            name: String::from_utf8_lossy(&shared.lineage.genesis().name).into_owned(),
            faults: committee.f(),
            quorum: committee.quorum(),
            nodes,
        }
    }
}

fn chain_status(report: chain::protocol::StatusAnswer) -> ChainStatus {
    ChainStatus {
        software: String::from_utf8_lossy(&report.software).into_owned(),
        height: report.height,
        time_ms: report.time_ms,
        index_height: report.index_height,
        stance: report.stance,
        pending: report.pending,
        pending_bytes: report.pending_bytes,
    }
}

fn shards_status(report: shards::wire::NodeStatus) -> ShardsStatus {
    ShardsStatus {
        bytes: report.bytes,
        live_bytes: report.live_bytes,
        bytes_max: report.bytes_max,
        held: report.held,
        pending: report.pending,
        missing: report.missing,
        endangered: report.endangered,
        unhealable: report.unhealable,
        healed: report.healed,
        healed_bytes: report.healed_bytes,
        heal_failures: report.heal_failures,
        heal_bytes_per_second: report.heal_bytes_per_second,
        heal_seconds: Some(report.heal_seconds).filter(|seconds| *seconds != u64::MAX),
        damaged: report.damaged,
        scrubbed_passes: report.scrubbed_passes,
        scrubbed_bytes: report.scrubbed_bytes,
        failed: report.failed != 0,
        referenced_height: report.referenced_height,
    }
}
