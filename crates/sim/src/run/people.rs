//! Who uses the network in a run: clients through gateways, a malicious writer, a witness.

use super::{Done, PATIENCE};
use crate::network::{Gateway, Network};
use commonware_macros::select;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{channel::oneshot, sync::Mutex};
use futures::StreamExt as _;
use proof::VersionId;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use trial::{
    adversary::writers::{Attempt, Malefactor, Victim},
    history::Recorder,
    plan::Plan,
    workload::{self, Gate, Trap, WorkloadPlan},
    world::Context,
};
use vault::{Error as VaultError, Place, Vault};

/// What a malicious writer tries in a run.
const TRICKS: usize = 8;

/// The gateways that clients use now. Clones share them.
#[derive(Clone)]
pub(super) struct Doors(pub(super) Arc<Mutex<Vec<Gate<Context>>>>);

impl Doors {
    /// Gives, call by call, one gateway after another.
    pub(super) fn in_turn(&self, first: u32) -> impl Fn() -> Gate<Context> + Send + Sync + 'static {
        let (doors, next) = (self.0.clone(), AtomicU32::new(first));
        move || {
            let doors = doors.lock();
            let index = next.fetch_add(1, Ordering::Relaxed) as usize % doors.len();
            doors[index].clone()
        }
    }
}

/// Starts a gateway's process.
pub(super) async fn open(network: &Network, index: usize) -> Gate<Context> {
    let config = network.gateway_config(&network.tenants[0]);
    let machine = network.gateways[index].clone();
    let (given, opened) = oneshot::channel();
    let trap = Trap::new(machine.clone());
    machine.start(move |context| async move {
        let vault = Vault::connect(context.child("vault"), config).expect("a configuration from the genesis");
        // Whoever asked may be gone at the end of a run.
        let _ = given.send(Gate::new(index as u32, vault, context.child("calls"), trap));
        std::future::pending::<()>().await;
    });
    opened.await.expect("a gateway starts")
}

/// Runs something as a process on a machine of its own.
pub(super) fn on<F, Fut>(network: &Network, machine: &str, work: F) -> Done
where
    F: FnOnce(Context) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (done, waiting) = oneshot::channel();
    network.world.machine(machine).start(|context| async move {
        work(context).await;
        // Whoever waited may have lost patience.
        let _ = done.send(());
    });
    waiting
}

/// Lets clients work, once there is a bucket.
pub(super) fn clients(network: &Network, work: &WorkloadPlan, doors: &Doors, recorder: &Recorder) -> Done {
    let (work, doors, recorder) = (work.clone(), doors.clone(), recorder.clone());
    on(network, "clients", move |context| async move {
        for turn in 0.. {
            if workload::create_bucket(&context, &doors.in_turn(turn)(), &work, &recorder).await {
                break;
            }
            context.sleep(Duration::from_millis(200)).await;
        }
        let client = |client: u32| {
            let (work, recorder, gateway) = (work.clone(), recorder.clone(), doors.in_turn(client));
            context
                .child("client")
                .with_attribute("number", client)
                .spawn(move |context| workload::run_client(context, work, client, recorder, gateway))
        };
        // A client that panics has told its process, which ends.
        let _ = futures::future::join_all((0..work.clients).map(client)).await;
    })
}

/// Lets a malicious writer work: the other tenant, in a bucket of its own, against the one who is judged.
pub(super) fn malefactor(network: &Network, plan: &Plan) -> oneshot::Receiver<Vec<Attempt>> {
    let [victim, malefactor] = &network.tenants;
    let config = network.gateway_config(malefactor);
    let place =
        Place { bucket: "bucket".parse().expect("a bucket's name"), key: "k0".parse().expect("a key") };
    let victim = Victim { tenant: victim.id, signer: victim.key.public_key(), place };
    let (done, attempts) = oneshot::channel();
    let (seed, acts) = (plan.seed, network.acts.clone());
    network.world.machine("malefactor").start(move |context| async move {
        let bucket = "lair".parse().expect("a bucket's name");
        let malefactor = Malefactor::connect(context, config, bucket, victim, seed, &acts);
        let malefactor = malefactor.expect("a configuration from the genesis");
        // A run may be over before he is.
        let _ = done.send(malefactor.run(TRICKS).await);
    });
    attempts
}

/// What a malicious writer achieved that he must not, and whether all who read what he spoiled see the same.
pub(super) async fn thwarted(
    context: &deterministic::Context,
    network: &Network,
    attempts: oneshot::Receiver<Vec<Attempt>>,
) -> Vec<String> {
    let attempts = select! {
        attempts = attempts => attempts.unwrap_or_default(),
        _ = context.sleep(PATIENCE) => Vec::new(),
    };
    if attempts.is_empty() {
        return vec!["the run itself: the malicious writer did nothing".into()];
    }
    let mut violations: Vec<String> = attempts
        .iter()
        .filter_map(|attempt| attempt.violation.clone())
        .map(|what| format!("malice: {what}"))
        .collect();
    let (given, read) = oneshot::channel();
    let config = network.gateway_config(&network.tenants[1]);
    let spoiled: Vec<_> = attempts.into_iter().filter_map(|attempt| attempt.spoiled).collect();
    network.world.machine("witness").start(|context| async move {
        let mut seen = Vec::new();
        for spoiled in spoiled.into_iter().filter(|spoiled| spoiled.version.is_some()) {
            // Readers who know nothing of each other. Which of them decodes is up to such a writer; none gets other bytes.
            let mut outcomes = Vec::new();
            for _ in 0..2 {
                let vault = Vault::connect(context.child("vault"), config.clone()).expect("as before");
                outcomes.push(whole(&vault, &spoiled.place, spoiled.version).await);
            }
            let are_fair = outcomes.iter().all(|outcome| match outcome {
                Ok(bytes) => *bytes == spoiled.bytes,
                Err(error) => matches!(error, VaultError::Damaged(_)),
            });
            if !are_fair {
                let outcomes: Vec<_> =
                    outcomes.iter().map(|outcome| outcome.as_ref().map(Vec::len)).collect();
                seen.push(format!("malice: readers of {:?} see {outcomes:?}", spoiled.place));
            }
        }
        let _ = given.send(seen);
    });
    select! {
        seen = read => violations.extend(seen.unwrap_or_else(|_| vec!["the run itself: no witness".into()])),
        _ = context.sleep(PATIENCE) => violations.push("progress: the witness is stuck".into()),
    }
    violations
}

/// A version's bytes.
async fn whole(vault: &Gateway, place: &Place, version: Option<VersionId>) -> Result<Vec<u8>, VaultError> {
    let object = vault.head(place, version).await?;
    let mut reader = vault.read(&object, 0..u64::MAX);
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}
