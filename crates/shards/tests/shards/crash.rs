//! Crashes at any point against a model: what was synced is there, what is there is whole, referenced stays.

use crate::{append, chunk, manifest, open, page, paged, read};
use blob::EncodedChunk;
use commonware_runtime::{
    Clock as _, Runner as _, Spawner as _, Supervisor as _,
    deterministic::{self, Checkpoint, FaultConfig, PartialWriteMode, WriteConfig},
};
use commonware_utils::{probability, sync::Mutex};
use proof::{Digest, Manifest, manifest::Page, wire::Encode as _};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use shards::ShardStore;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// What must be true after the next crash.
#[derive(Default)]
struct Model {
    /// Every chunk that was ever appended, with the sync it waits for.
    chunks: BTreeMap<Digest, EncodedChunk>,
    pages: BTreeMap<Digest, Page>,
    written: BTreeSet<Digest>,
    synced: BTreeSet<Digest>,
    /// By height, what the chain references. The chain itself forgets nothing.
    chain: Vec<Vec<Manifest>>,
    next: u64,
}

/// How unsynced writes come through a crash.
fn faults(rng: &mut StdRng) -> FaultConfig {
    let (mode, retention_rate) = match rng.random_range(0..4u8) {
        0 => (PartialWriteMode::Subset, probability!(0.5)),
        1 => (PartialWriteMode::Subset, probability!(1.0)),
        2 => (PartialWriteMode::Prefix, probability!(0.0)),
        _ => (PartialWriteMode::Prefix, probability!(99_997, 100_000)),
    };
    FaultConfig::default().write(WriteConfig { failure_rate: probability!(0.0), retention_rate, mode })
}

type Store = ShardStore<deterministic::Context>;

async fn check(store: &Store, model: &Model) {
    for id in &model.synced {
        match model.chunks.get(id) {
            Some(chunk) => assert!(read(store, chunk).await.is_some(), "a synced shard is there"),
            None => {
                let encoded = store.read_page(id).await.unwrap();
                assert_eq!(encoded, Some(model.pages[id].encode()), "a synced page is there");
            }
        }
    }
    for chunk in model.chunks.values() {
        // Panics when other bytes are served.
        read(store, chunk).await;
        let is_held = store.missing(&manifest(&[chunk.id])).await.unwrap().is_empty();
        assert!(!is_held || read(store, chunk).await.is_some(), "what is held can be read");
    }
}

async fn replay(store: &Store, model: &Model) {
    let from = store.referenced_height() as usize;
    assert!(from <= model.chain.len(), "no height is made up");
    for (height, manifests) in model.chain.iter().enumerate().skip(from) {
        store.reference(height as u64 + 1, manifests).await.unwrap();
    }
}

async fn act(context: &deterministic::Context, store: &Store, model: &Arc<Mutex<Model>>, rng: &mut StdRng) {
    match rng.random_range(0..100u8) {
        0..55 => {
            let number = {
                let mut model = model.lock();
                model.next += 1;
                model.next
            };
            let length = rng.random_range(1..300_000);
            let chunk = chunk(number, length);
            model.lock().chunks.insert(chunk.id, chunk.clone());
            let (store, model) = (store.clone(), model.clone());
            let task = context.child("append").spawn(move |_| async move {
                append(&store, &chunk).await.unwrap();
                model.lock().written.insert(chunk.id);
            });
            if rng.random() {
                task.await.unwrap();
            }
        }
        55..65 => {
            let chunks: Vec<_> = model.lock().chunks.keys().copied().take(3).collect();
            if !chunks.is_empty() {
                let page = page(&chunks);
                model.lock().pages.insert(page.id(), page.clone());
                store.put_page(page.encode()).await.unwrap();
                model.lock().written.insert(page.id());
            }
        }
        65..85 => {
            let covered = model.lock().written.clone();
            let (store, model) = (store.clone(), model.clone());
            let task = context.child("sync").spawn(move |_| async move {
                store.sync().await.unwrap();
                model.lock().synced.extend(covered);
            });
            if rng.random() {
                task.await.unwrap();
            }
        }
        85..95 => {
            let (height, manifests) = {
                let mut model = model.lock();
                let some: Vec<_> = model.synced.iter().copied().filter(|_| rng.random()).take(40).collect();
                let (pages, chunks): (Vec<_>, Vec<_>) =
                    some.iter().partition(|id| model.pages.contains_key(*id));
                let mut manifests = Vec::new();
                if !chunks.is_empty() {
                    manifests.push(manifest(&chunks));
                }
                if !pages.is_empty() {
                    manifests
                        .push(paged(&pages.iter().map(|id| model.pages[id].clone()).collect::<Vec<_>>()));
                }
                model.chain.push(manifests.clone());
                (model.chain.len() as u64, manifests)
            };
            store.reference(height, &manifests).await.unwrap();
        }
        // Nothing is old enough to be dropped, but space is freed and references are written.
        95..98 => drop(store.collect(context.current()).await.unwrap()),
        _ => context.sleep(Duration::from_millis(rng.random_range(0..5))).await,
    }
}

fn run(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let model = Arc::new(Mutex::new(Model::default()));
    let mut checkpoint: Option<Checkpoint> = None;
    for _ in 0..rng.random_range(2..6) {
        let runner = match checkpoint.take() {
            Some(checkpoint) => deterministic::Runner::from(checkpoint),
            None => deterministic::Runner::seeded(seed),
        };
        let (shared, actions, next) = (model.clone(), rng.random_range(5..40), rng.random());
        let ((), crashed) = runner.start_and_recover(|context| async move {
            let mut rng = StdRng::seed_from_u64(next);
            *context.storage_fault_config().write() = faults(&mut rng);
            let store = open(&context).await.unwrap();
            {
                let mut model = std::mem::take(&mut *shared.lock());
                check(&store, &model).await;
                replay(&store, &model).await;
                // What survived is durable: the next crash may not take it.
                let mut held = BTreeSet::new();
                for chunk in model.chunks.values() {
                    if store.read(&chunk.id).await.unwrap().is_some() {
                        held.insert(chunk.id);
                    }
                }
                model.synced.extend(&held);
                model.written = model.synced.clone();
                *shared.lock() = model;
            }
            for _ in 0..actions {
                act(&context, &store, &shared, &mut rng).await;
            }
        });
        checkpoint = Some(crashed);
    }
    // In the end nothing but what the chain references is kept.
    deterministic::Runner::from(checkpoint.unwrap()).start(|context| async move {
        *context.storage_fault_config().write() = FaultConfig::default();
        let store = open(&context).await.unwrap();
        let mut model = std::mem::take(&mut *model.lock());
        check(&store, &model).await;
        replay(&store, &model).await;
        let later = context.current() + Duration::from_secs(25 * 3600);
        let mut used = BTreeSet::new();
        for manifest in model.chain.iter().flatten() {
            match manifest {
                Manifest::Direct(page) => used.extend(page.chunks().copied()),
                Manifest::Paged(pages) => {
                    for page in pages.iter() {
                        used.insert(page.id);
                        used.extend(model.pages[&page.id].chunks().copied());
                    }
                }
            }
        }
        while store.collect(later).await.unwrap().removed_segments > 0 {}
        assert_eq!(store.status().pending, 0);
        model.synced.retain(|id| used.contains(id));
        check(&store, &model).await;
    });
}

#[test]
fn what_was_synced_survives_every_crash() {
    for seed in 0..60 {
        let run = std::panic::catch_unwind(|| run(seed));
        assert!(run.is_ok(), "seed {seed}");
    }
}
