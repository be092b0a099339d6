//! Healing: nodes that lack shards get them back from the others, whatever one of those does.

use crate::{
    Store, chunk,
    cluster::{Behaviour, Cluster, NODES},
    code, manifest, page, paged,
};
use blob::EncodedChunk;
use bytes::Bytes;
use commonware_runtime::{
    Clock as _, Runner as _,
    deterministic::{self, Context, FaultConfig, PartialWriteMode, WriteConfig},
};
use commonware_utils::{probability, sync::Mutex};
use proof::{Digest, wire::Encode as _};
use shards::wire::{NodeStatus, Request};
use std::{sync::Arc, time::Duration};

const SECOND: Duration = Duration::from_secs(1);
const FAST: u64 = 1 << 40;

/// Stores the shards of these chunks on these nodes, synced, and tells all stores that the chain references them.
async fn hold(cluster: &Cluster, chunks: &[EncodedChunk], holders: &[usize]) {
    for holder in holders {
        let store = &cluster.nodes[*holder].store;
        for chunk in chunks {
            let shard = chunk.shards[*holder].clone();
            store.append(&chunk.opening, *holder as u8, shard).await.unwrap();
        }
        store.sync().await.unwrap();
    }
    let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
    for node in &cluster.nodes {
        let height = node.store.referenced_height() + 1;
        node.store.reference(height, &[manifest(&ids)]).await.unwrap();
    }
}

fn chunks(numbers: std::ops::Range<u64>) -> Vec<EncodedChunk> {
    numbers.map(|number| chunk(number, 60_000)).collect()
}

async fn has(store: &Store, chunk: &EncodedChunk, node: usize) -> bool {
    let Some(found) = store.read(&chunk.id).await.unwrap() else { return false };
    assert_eq!(
        (usize::from(found.index), &found.bytes),
        (node, &chunk.shards[node]),
        "this node's, unaltered"
    );
    true
}

/// Waits until `done` holds of a store's status, and says how long that took.
async fn wait_for(
    context: &Context,
    store: &Store,
    what: &str,
    done: impl Fn(&NodeStatus) -> bool,
) -> Duration {
    let started = context.current();
    loop {
        let took = context.current().duration_since(started).unwrap();
        let status = store.status();
        if done(&status) {
            return took;
        }
        assert!(took < Duration::from_secs(600), "not within ten minutes: {what}; {status:?}");
        context.sleep(Duration::from_millis(20)).await;
    }
}

fn gets(cluster: &Cluster) -> usize {
    let tag = Request::GetShard(Digest::ZERO).encode()[0];
    cluster.nodes.iter().map(|node| node.count(tag)).sum()
}

#[test]
fn a_node_gets_back_all_that_it_lacks_pages_too() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        let (direct, listed) = (chunks(0..20), chunks(20..150));
        hold(&cluster, &direct, &[0, 1, 2]).await;
        let listing = page(&listed.iter().map(|chunk| chunk.id).collect::<Vec<_>>());
        for holder in 0..3 {
            let store = &cluster.nodes[holder].store;
            store.put_page(listing.encode()).await.unwrap();
            for chunk in &listed {
                let shard = chunk.shards[holder].clone();
                store.append(&chunk.opening, holder as u8, shard).await.unwrap();
            }
        }
        for node in &cluster.nodes {
            node.store.reference(9, &[paged(std::slice::from_ref(&listing))]).await.unwrap();
        }
        let store = &cluster.nodes[3].store;
        assert_eq!((store.status().missing, store.status().unresolved), (21, 1));
        cluster.heal(&context, 3, FAST);
        context.sleep(SECOND).await;
        assert_eq!(gets(&cluster), 0, "first what is late may come by itself");
        let took = wait_for(&context, store, "healed", |status| status.missing == 0).await;
        assert!(took < 10 * SECOND, "{took:?}");
        for chunk in direct.iter().chain(&listed) {
            assert!(has(store, chunk, 3).await);
        }
        assert_eq!(store.read_page(&listing.id()).await.unwrap(), Some(listing.encode()));
        let status = store.status();
        assert_eq!((status.healed, status.unresolved, status.heal_failures), (151, 0, 0));
        assert_eq!(status.healed_bytes, 150 * 30_000 + listing.encode().len() as u64);
        assert_eq!(gets(&cluster), 2 * 150, "k shards of each");
        assert_eq!(cluster.nodes[3].count(Request::Status.encode()[0]), 0);
        assert!(cluster.nodes[3].seen.lock().is_empty(), "it never asks itself");
    });
}

#[test]
fn what_comes_by_itself_in_time_is_not_fetched() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        cluster.heal(&context, 3, FAST);
        let late = chunks(0..5);
        hold(&cluster, &late, &[0, 1, 2]).await;
        context.sleep(SECOND).await;
        for chunk in &late {
            cluster.nodes[3].store.append(&chunk.opening, 3, chunk.shards[3].clone()).await.unwrap();
        }
        context.sleep(30 * SECOND).await;
        assert_eq!((gets(&cluster), cluster.nodes[3].store.status().healed), (0, 0));
    });
}

/// Any one of the others may do what it likes.
#[test]
fn one_faulty_peer_of_every_kind() {
    let behaviours = [Behaviour::Dead, Behaviour::Slow(3 * SECOND), Behaviour::Liar, Behaviour::Denier];
    for behaviour in behaviours {
        for faulty in 0..NODES - 1 {
            deterministic::Runner::timed(600 * SECOND).start(|context| async move {
                let cluster = Cluster::start(&context).await;
                let lost = chunks(0..40);
                hold(&cluster, &lost, &[0, 1, 2]).await;
                let listing = page(&[lost[0].id]);
                for node in &cluster.nodes[..3] {
                    node.store.put_page(listing.encode()).await.unwrap();
                }
                let store = &cluster.nodes[3].store;
                store.reference(9, &[paged(std::slice::from_ref(&listing))]).await.unwrap();
                cluster.nodes[faulty].becomes(behaviour);
                cluster.heal(&context, 3, FAST);
                let took = wait_for(&context, store, "healed", |status| status.missing == 0).await;
                assert!(took < 60 * SECOND, "{behaviour:?} {faulty}: {took:?}");
                for chunk in &lost {
                    assert!(has(store, chunk, 3).await, "{behaviour:?} {faulty}");
                }
            });
        }
    }
}

#[test]
fn what_too_few_hold_waits_and_holds_nothing_up() {
    deterministic::Runner::timed(900 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        let (lost, healable) = (chunks(0..3), chunks(3..30));
        hold(&cluster, &lost, &[0]).await;
        hold(&cluster, &healable, &[0, 1, 2]).await;
        cluster.heal(&context, 3, FAST);
        let store = &cluster.nodes[3].store;
        wait_for(&context, store, "all but three", |status| status.missing == 3).await;
        wait_for(&context, store, "known", |status| status.unhealable == 3).await;
        let asked = gets(&cluster);
        context.sleep(120 * SECOND).await;
        assert!(gets(&cluster) - asked < 3 * 3 * 12, "it backs off: {}", gets(&cluster) - asked);
        assert_eq!(store.status().missing, 3);
        // One of the others turns up.
        for chunk in &lost {
            cluster.nodes[1].store.append(&chunk.opening, 1, chunk.shards[1].clone()).await.unwrap();
        }
        wait_for(&context, store, "all", |status| status.missing == 0).await;
        assert!(has(store, &lost[0], 3).await);
    });
}

#[test]
fn the_most_endangered_is_healed_first_and_slowly_if_so_told() {
    deterministic::Runner::timed(900 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        let (safe, endangered) = (chunks(0..300), chunks(300..310));
        hold(&cluster, &safe, &[0, 1, 2]).await;
        hold(&cluster, &endangered, &[1, 2]).await;
        let store = &cluster.nodes[3].store;
        // The shards have 30,000 bytes: ten in a second, and ten at once at the start.
        cluster.heal(&context, 3, 300_000);
        wait_for(&context, store, "known", |status| status.endangered == 10).await;
        wait_for(&context, store, "ten", |status| status.healed >= 10).await;
        assert_eq!(store.status().endangered, 0);
        for chunk in &endangered {
            assert!(has(store, chunk, 3).await);
        }
        let took = wait_for(&context, store, "all", |status| status.missing == 0).await;
        assert!((20 * SECOND..40 * SECOND).contains(&took), "{took:?}");
        let status = store.status();
        assert!((200_000..400_000).contains(&status.heal_bytes_per_second), "{status:?}");
        assert_eq!(status.heal_seconds, 0);
    });
}

#[test]
fn the_time_that_is_left_is_told() {
    deterministic::Runner::timed(900 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        hold(&cluster, &chunks(0..1000), &[0, 1, 2]).await;
        let store = &cluster.nodes[3].store;
        assert_eq!(store.status().heal_seconds, u64::MAX);
        cluster.heal(&context, 3, 300_000);
        wait_for(&context, store, "half", |status| status.missing <= 500).await;
        let told = store.status().heal_seconds;
        let took = wait_for(&context, store, "all", |status| status.missing == 0).await.as_secs();
        assert!(told > took / 2 && told < took * 2, "told {told}, took {took}");
    });
}

/// A writer who commits to parity of something else hurts himself only: nobody waits for such a shard for ever.
#[test]
fn an_inconsistent_chunk_is_given_up() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        let mut lie = chunk(1, 60_000);
        let mut hashes = lie.opening.shards.to_vec();
        lie.shards[3] = Bytes::from(vec![7; lie.shards[3].len()]);
        hashes[3] = Digest(*blake3::hash(&lie.shards[3]).as_bytes());
        lie.opening.shards = proof::wire::List::new(hashes).unwrap();
        lie.id = lie.opening.id();
        assert!(code().check_opening(&lie.opening).is_ok());
        hold(&cluster, &[lie.clone(), chunk(2, 60_000)], &[0, 1, 2]).await;
        cluster.heal(&context, 3, FAST);
        let store = &cluster.nodes[3].store;
        wait_for(&context, store, "healed", |status| status.missing == 0).await;
        let status = store.status();
        assert_eq!((status.healed, status.inconsistent), (1, 1));
        assert!(!has(store, &lie, 3).await);
        let asked = gets(&cluster);
        context.sleep(300 * SECOND).await;
        assert_eq!(gets(&cluster), asked);
    });
}

#[test]
fn a_disk_that_fails_while_healing_is_not_used_any_more() {
    deterministic::Runner::timed(900 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        hold(&cluster, &chunks(0..10), &[0, 1, 2]).await;
        let store = &cluster.nodes[3].store;
        let failing = FaultConfig::default().write(WriteConfig {
            failure_rate: probability!(1.0),
            retention_rate: probability!(0.0),
            mode: PartialWriteMode::Prefix,
        });
        *context.storage_fault_config().write() = failing;
        cluster.heal(&context, 3, FAST);
        context.sleep(10 * SECOND).await;
        assert_eq!((store.status().failed, store.status().healed), (1, 0));
    });
}

/// Crashes in the middle: what was counted as healed is there afterwards, and healing goes on to its end.
#[test]
fn a_crash_while_healing_loses_nothing_that_was_counted() {
    for seed in 0..12u64 {
        let lost = chunks(0..200);
        let counted = Arc::new(Mutex::new(0));
        let write = WriteConfig {
            failure_rate: probability!(0.0),
            retention_rate: probability!(0.5),
            mode: PartialWriteMode::Subset,
        };
        let faults = FaultConfig::default().write(write);
        let config = deterministic::Config::default().with_seed(seed).with_storage_fault_config(faults);
        let (healed, checkpoint) = deterministic::Runner::new(config).start_and_recover({
            let (lost, counted) = (lost.clone(), counted.clone());
            |context| async move {
                let cluster = Cluster::start(&context).await;
                hold(&cluster, &lost, &[0, 1, 2]).await;
                cluster.heal(&context, 3, 1_000_000);
                let store = &cluster.nodes[3].store;
                let enough = seed * 10;
                wait_for(&context, store, "some", |status| {
                    *counted.lock() = status.healed;
                    status.healed >= enough
                })
                .await;
                context.sleep(Duration::from_millis(seed * 37 % 300)).await;
                let status = store.status();
                assert!(status.missing >= 200 - status.held && status.missing <= 200);
                status.healed
            }
        });
        deterministic::Runner::from(checkpoint).start(|context| async move {
            let cluster = Cluster::start(&context).await;
            let store = &cluster.nodes[3].store;
            let held = store.status().held;
            assert!(held >= healed, "seed {seed}: {held} held, {healed} were counted as healed");
            let ids: Vec<_> = lost.iter().map(|chunk| chunk.id).collect();
            for node in &cluster.nodes {
                node.store.reference(1, &[manifest(&ids)]).await.unwrap();
            }
            cluster.heal(&context, 3, FAST);
            wait_for(&context, store, "all", |status| status.missing == 0).await;
            for chunk in &lost {
                assert!(has(store, chunk, 3).await);
            }
        });
    }
}
