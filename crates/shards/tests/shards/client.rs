//! Client and server over the deterministic network, with one faulty node of every kind.

use crate::{
    chunk,
    cluster::{Behaviour, Cluster, NETWORK, NODES},
    code, manifest, page, paged,
};
use blob::EncodedChunk;
use bytes::Bytes;
use commonware_runtime::{Clock as _, Runner as _, deterministic};
use proof::{Digest, wire::Encode as _};
use shards::{ClientLimits, Error, wire::Request};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A client that gives up early, for what must fail.
fn hasty() -> ClientLimits {
    let limit = 2 * SECOND;
    ClientLimits {
        put_timeout: limit,
        certify_timeout: limit,
        get_timeout: limit,
        call_timeout: SECOND,
        ..ClientLimits::default()
    }
}

fn ciphertext(chunk: &EncodedChunk) -> Bytes {
    let mut bytes = chunk.shards[..2].concat();
    bytes.truncate(chunk.opening.ciphertext_length as usize);
    bytes.into()
}

fn tag(request: Request) -> u8 {
    request.encode()[0]
}

/// Puts eight chunks, certifies them and gets them back, and says how long each third took.
async fn round_trip(context: &deterministic::Context, cluster: &Cluster) -> [Duration; 3] {
    let started = context.current();
    let chunks: Vec<_> = (0..8).map(|number| chunk(number, 100_000 + number as usize)).collect();
    for chunk in &chunks {
        cluster.client.put_chunk(chunk.clone()).await.unwrap();
    }
    let put = context.current();
    let manifest = manifest(&chunks.iter().map(|chunk| chunk.id).collect::<Vec<_>>());
    let certificate = cluster.client.certify(&manifest).await.unwrap();
    assert_eq!(certificate.verify(NETWORK, &cluster.committee, manifest.id()), Ok(()));
    let certified = context.current();
    for chunk in &chunks {
        assert_eq!(cluster.client.get_chunk(&chunk.id).await.unwrap(), ciphertext(chunk));
    }
    let took = |from: std::time::SystemTime, to: std::time::SystemTime| to.duration_since(from).unwrap();
    [took(started, put), took(put, certified), took(certified, context.current())]
}

#[test]
fn four_honest_nodes() {
    deterministic::Runner::timed(60 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        round_trip(&context, &cluster).await;
        let gets: usize =
            cluster.nodes.iter().map(|node| node.count(tag(Request::GetShard(Digest::ZERO)))).sum();
        assert_eq!(gets, 2 * 8, "k requests for each chunk");
        let stati = cluster.client.status().await;
        assert!(stati.iter().all(|status| status.as_ref().unwrap().held == 8));
    });
}

/// Any one node may be faulty in any way: everything still works, and nobody waits for it long.
#[test]
fn one_faulty_node_of_every_kind() {
    let behaviours = [
        Behaviour::Dead,
        Behaviour::Slow(3 * SECOND),
        Behaviour::Liar,
        Behaviour::Forger,
        Behaviour::Forgetful,
        Behaviour::Overloaded,
        Behaviour::Full,
    ];
    for behaviour in behaviours {
        for faulty in 0..NODES {
            deterministic::Runner::timed(600 * SECOND).start(|context| async move {
                let cluster = Cluster::start(&context).await;
                cluster.nodes[faulty].becomes(behaviour);
                let took = round_trip(&context, &cluster).await;
                assert!(took.iter().sum::<Duration>() < SECOND, "{behaviour:?} {faulty}: {took:?}");
            });
        }
    }
}

#[test]
fn two_dead_nodes_are_too_many_to_write_and_not_to_read() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let cluster = Cluster::with_limits(&context, hasty()).await;
        let one = chunk(1, 50_000);
        cluster.client.put_chunk(one.clone()).await.unwrap();
        let listing = page(&[one.id]);
        assert_eq!(cluster.client.put_page(&listing).await, Ok(listing.id()));
        context.sleep(SECOND).await;
        cluster.nodes[0].becomes(Behaviour::Dead);
        cluster.nodes[1].becomes(Behaviour::Dead);
        assert_eq!(cluster.client.get_chunk(&one.id).await, Ok(ciphertext(&one)), "from parity alone");
        assert_eq!(cluster.client.get_page(&listing.id()).await, Ok(listing));
        let failed = cluster.client.put_chunk(chunk(2, 1000)).await.unwrap_err();
        assert!(matches!(failed, Error::Unavailable { good: 2, needed: 3, .. }), "{failed}");
        let failed = cluster.client.certify(&manifest(&[one.id])).await.unwrap_err();
        assert!(matches!(failed, Error::Unavailable { good: 2, needed: 3, .. }), "{failed}");
        cluster.nodes[2].becomes(Behaviour::Dead);
        let failed = cluster.client.get_chunk(&one.id).await.unwrap_err();
        assert!(matches!(failed, Error::Unavailable { good: 1, needed: 2, .. }), "{failed}");
    });
}

#[test]
fn errors_say_what_is_the_matter() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let cluster = Cluster::with_limits(&context, hasty()).await;
        let absent = chunk(1, 1000);
        let failed = cluster.client.get_chunk(&absent.id).await.unwrap_err();
        assert!(matches!(failed, Error::Lost { good: 0, needed: 2, .. }), "{failed}");
        assert!(matches!(cluster.client.get_page(&Digest([1; 32])).await, Err(Error::Lost { .. })));
        for node in &cluster.nodes[..2] {
            node.becomes(Behaviour::Full);
        }
        assert_eq!(cluster.client.put_chunk(absent.clone()).await, Err(Error::Full));
        for node in &cluster.nodes[..2] {
            node.becomes(Behaviour::Overloaded);
        }
        assert_eq!(cluster.client.put_chunk(absent).await, Err(Error::Overloaded));
        // A chunk of another code is nobody's.
        let mut foreign = chunk(2, 1000);
        foreign.opening.k = 1;
        foreign.id = foreign.opening.id();
        for node in &cluster.nodes {
            node.becomes(Behaviour::Honest);
        }
        assert!(matches!(cluster.client.put_chunk(foreign).await, Err(Error::Refused(_))));
    });
}

/// A node that was away for the puts is repaired when it is needed, and in the background when it is not.
#[test]
fn certification_repairs_what_a_node_missed() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        cluster.nodes[1].becomes(Behaviour::Forgetful);
        let chunks: Vec<_> = (0..20).map(|number| chunk(number, 30_000)).collect();
        for chunk in &chunks {
            cluster.client.put_chunk(chunk.clone()).await.unwrap();
        }
        let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
        let pages = [page(&ids[..12]), page(&ids[12..])];
        for page in &pages {
            cluster.client.put_page(page).await.unwrap();
        }
        context.sleep(SECOND).await;
        assert_eq!(cluster.nodes[1].store.status().held, 0);
        cluster.nodes[1].becomes(Behaviour::Honest);
        cluster.nodes[3].becomes(Behaviour::Dead);
        let paged = paged(&pages);
        let certificate = cluster.client.certify(&paged).await.unwrap();
        assert_eq!(certificate.verify(NETWORK, &cluster.committee, paged.id()), Ok(()));
        assert!(certificate.receipts.iter().any(|receipt| receipt.node == 1), "node 3 signs nothing");
        for chunk in &chunks {
            let shard = cluster.nodes[1].store.read(&chunk.id).await.unwrap().unwrap();
            assert_eq!((shard.index, &shard.bytes), (1, &chunk.shards[1]));
        }

        // Now the one that lags is not needed.
        cluster.nodes[3].becomes(Behaviour::Honest);
        cluster.nodes[2].becomes(Behaviour::Forgetful);
        let last = chunk(99, 30_000);
        cluster.client.put_chunk(last.clone()).await.unwrap();
        context.sleep(SECOND).await;
        cluster.nodes[2].becomes(Behaviour::Honest);
        cluster.client.certify(&manifest(&[last.id])).await.unwrap();
        context.sleep(SECOND).await;
        assert!(cluster.nodes[2].store.read(&last.id).await.unwrap().is_some());
    });
}

/// A node that crashed before the sync lacks again what it has acknowledged. It is no liar, and is repaired again.
#[test]
fn certification_repairs_again_what_a_crash_took() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        cluster.nodes[1].becomes(Behaviour::Crashed);
        cluster.nodes[3].becomes(Behaviour::Dead);
        let chunk = chunk(1, 30_000);
        cluster.client.put_chunk(chunk.clone()).await.unwrap();
        let certificate = cluster.client.certify(&manifest(&[chunk.id])).await.unwrap();
        assert!(certificate.receipts.iter().any(|receipt| receipt.node == 1));
        assert_eq!(cluster.nodes[1].count(0), 3, "the first time, and two repairs");
    });
}

/// A node that says it lacks more than there is gets nothing more: it cannot have gateways push it whatever it likes.
#[test]
fn certification_repairs_no_more_than_the_manifest_names() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        let chunks: Vec<_> = (0..40).map(|number| chunk(number, 30_000)).collect();
        for chunk in &chunks {
            cluster.client.put_chunk(chunk.clone()).await.unwrap();
        }
        let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
        let listing = page(&ids[..7]);
        cluster.client.put_page(&listing).await.unwrap();
        context.sleep(SECOND).await;
        cluster.nodes[2].becomes(Behaviour::Greedy(ids[7..].to_vec().leak()));
        let before = cluster.nodes[2].count(0);
        cluster.client.certify(&paged(&[listing])).await.unwrap();
        context.sleep(60 * SECOND).await;
        assert_eq!(cluster.nodes[2].count(0) - before, 8, "seven chunks and a page are named");
    });
}

/// Another client, without the chunks, can finish a write.
#[test]
fn a_lagging_node_costs_bounded_memory_and_is_repaired() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let limits = ClientLimits { lagging_bytes: 200_000, ..ClientLimits::default() };
        let cluster = Cluster::with_limits(&context, limits).await;
        cluster.nodes[0].becomes(Behaviour::Slow(SECOND));
        let chunks: Vec<_> = (0..20).map(|number| chunk(number, 100_000)).collect();
        for chunk in &chunks {
            cluster.client.put_chunk(chunk.clone()).await.unwrap();
        }
        cluster.nodes[0].becomes(Behaviour::Honest);
        context.sleep(5 * SECOND).await;
        let held = cluster.nodes[0].store.status().held;
        assert!((3..=4).contains(&held), "{held} shards of 50 kB were let lag in 200 kB");
        let ids: Vec<_> = chunks.iter().map(|chunk| chunk.id).collect();
        cluster.client.certify(&manifest(&ids)).await.unwrap();
        context.sleep(5 * SECOND).await;
        assert_eq!(cluster.nodes[0].store.status().held, 20);
    });
}

/// Shards that are on their way are waited for, not rebuilt.
#[test]
fn certification_waits_for_what_is_on_its_way() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        cluster.nodes[3].becomes(Behaviour::Dead);
        cluster.nodes[0].becomes(Behaviour::Slow(SECOND / 10));
        let chunk = chunk(1, 50_000);
        let (client, sent) = (cluster.client.clone(), chunk.clone());
        let put = commonware_runtime::Spawner::spawn(
            commonware_runtime::Supervisor::child(&context, "put"),
            move |_| async move { client.put_chunk(sent).await },
        );
        cluster.client.certify(&manifest(&[chunk.id])).await.unwrap();
        put.await.unwrap().unwrap();
        let gets: usize =
            cluster.nodes.iter().map(|node| node.count(tag(Request::GetShard(Digest::ZERO)))).sum();
        assert_eq!(gets, 0);
    });
}

#[test]
fn a_liar_is_asked_last_from_then_on() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let cluster = Cluster::start(&context).await;
        let chunks: Vec<_> = (0..10).map(|number| chunk(number, 30_000)).collect();
        for chunk in &chunks {
            cluster.client.put_chunk(chunk.clone()).await.unwrap();
        }
        context.sleep(SECOND).await;
        cluster.nodes[0].becomes(Behaviour::Liar);
        for chunk in &chunks {
            assert_eq!(cluster.client.get_chunk(&chunk.id).await, Ok(ciphertext(chunk)));
        }
        assert!(cluster.nodes[0].count(tag(Request::GetShard(Digest::ZERO))) <= 1);
    });
}

/// A writer that lies about its parity: the data shards say what the chunk is, to everyone who can reach them.
#[test]
fn inconsistent_chunks_have_one_content_or_none() {
    deterministic::Runner::timed(600 * SECOND).start(|context| async move {
        let cluster = Cluster::with_limits(&context, hasty()).await;
        let (mut bad, other) = (chunk(1, 40_000), chunk(2, 40_000));
        let mut hashes = bad.opening.shards.to_vec();
        hashes[2..].copy_from_slice(&other.opening.shards[2..]);
        bad.shards[2..].clone_from_slice(&other.shards[2..]);
        bad.opening.shards = proof::wire::List::new(hashes).unwrap();
        bad.id = bad.opening.id();
        cluster.client.put_chunk(bad.clone()).await.unwrap();
        context.sleep(SECOND).await;
        assert_eq!(cluster.client.get_chunk(&bad.id).await, Ok(ciphertext(&bad)));
        cluster.nodes[0].becomes(Behaviour::Slow(SECOND / 2));
        assert_eq!(
            cluster.client.get_chunk(&bad.id).await,
            Ok(ciphertext(&bad)),
            "the data shards after all"
        );
        cluster.nodes[0].becomes(Behaviour::Dead);
        assert_eq!(cluster.client.get_chunk(&bad.id).await, Err(Error::Inconsistent(bad.id)));
        assert_eq!(code().n(), NODES);
    });
}
