//! What is looked at from outside while a run goes on, and at its end.

use super::now_ms;
use crate::network::Network;
use chain::mempool;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::sync::Mutex;
use std::{sync::Arc, time::Duration};
use trial::{
    check::{Hit, Queue, Sample},
    history::History,
    workload::content::Needles,
    world::Machine,
};

/// How often queues are looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Looks at every node's queues from time to time.
pub(super) fn watch_queues(
    context: &deterministic::Context,
    network: &Network,
    samples: Arc<Mutex<Vec<Sample>>>,
) {
    let seats = network.seats.clone();
    context.child("watch").spawn(|context| async move {
        loop {
            context.sleep(SAMPLE_EVERY).await;
            for (index, seat) in seats.iter().enumerate() {
                let Some(alive) = seat.alive() else { continue };
                let (transactions, bytes) = alive.mempool.size();
                let queue = |name, value, limit| Queue { name, value, limit };
                samples.lock().push(Sample {
                    place: format!("node {index}"),
                    time_ms: now_ms(&context),
                    queues: vec![
                        queue("mempool transactions", transactions, mempool::TRANSACTIONS_MAX),
                        queue("mempool bytes", bytes, mempool::BYTES_MAX),
                    ],
                });
            }
        }
    });
}

/// Plaintext on disks and wires.
pub(super) fn hits(network: &Network, history: &History) -> Vec<Hit> {
    let needles = Needles::of(history);
    let mut hits = Vec::new();
    let disks = |machine: &Machine| [machine.disk().clone(), machine.second_disk().clone()];
    let nodes = network.seats.iter().enumerate();
    let machines = nodes.flat_map(|(index, seat)| [(index, &seat.machine), (index, &seat.twin)]);
    for (index, disk) in machines.flat_map(|(index, machine)| disks(machine).map(|disk| (index, disk))) {
        disk.each_run(|blob, start, bytes| {
            let found = needles.find(bytes).into_iter();
            hits.extend(found.map(|(content, offset)| Hit {
                place: format!("node {index}: {blob}"),
                offset: start as usize + offset,
                content,
            }));
        });
    }
    let tapped = network.world.wires().tapped().into_iter();
    hits.extend(tapped.map(|place| Hit { place, offset: 0, content: 0 }));
    hits
}

pub(super) fn digest(context: &deterministic::Context, history: &History) -> String {
    let history: String = history.digest()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let auditor = context.auditor().state();
    format!("{history}-{}", &auditor[..auditor.len().min(16)])
}
