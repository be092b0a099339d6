//! What a node answers and what it refuses, asked without a link.

use crate::{Store, append, chunk, manifest, open, page, paged};
use commonware_runtime::{Clock as _, Runner as _, deterministic};
use futures::FutureExt as _;
use proof::{
    Committee, Digest, Manifest, PublicKey, SecretKey,
    limits::CERTIFICATE_CLOCK_MS_MAX,
    wire::{DecodeExt as _, Encode as _, Octets},
};
use shards::{
    Server, ServerConfig,
    wire::{Certify, Request, Response, Shard},
};
use std::time::{Duration, SystemTime};

const NETWORK: Digest = Digest([3; 32]);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A server of node 1 and its key.
fn server(store: &Store) -> (Server<deterministic::Context>, PublicKey) {
    let mut keys: Vec<_> = (1..=4).map(|seed| SecretKey::from_seed([seed; 32])).collect();
    keys.sort_by_key(|key| key.public_key());
    let committee = Committee::new(0, keys.iter().map(|key| key.public_key()).collect()).unwrap();
    let (key, public_key) = (keys[1].clone(), keys[1].public_key());
    (Server::new(store.clone(), ServerConfig { network: NETWORK, committee, node: 1, key }), public_key)
}

async fn ask(server: &Server<deterministic::Context>, request: Request) -> Response {
    let answer = server.handle(request.encode()).await;
    Response::decode(answer.into_body().expect("not overloaded").coalesce()).unwrap()
}

/// Who puts and cancels, again and again, has a bounded amount of bytes on their way to the disk. What is on its way
/// gets there.
#[test]
fn what_cancelled_puts_leave_to_the_disk_is_bounded() {
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        let (server, _) = server(&store);
        for number in 0..5_000 {
            let chunk = chunk(number, 100);
            let bytes = Octets::new(chunk.shards[1].clone()).unwrap();
            let put = Request::PutShard(Shard { index: 1, opening: chunk.opening, bytes });
            assert!(Box::pin(server.handle(put.encode())).now_or_never().is_none());
        }
        context.sleep(SECOND).await;
        assert_eq!(store.status().held, 4096, "as many as have room as 64 KiB each in 256 MiB");
        let (listing, unused) = (page(&[Digest([1; 32])]), page(&[Digest([2; 32])]));
        store.reference(1, &[paged(std::slice::from_ref(&listing))]).await.unwrap();
        for page in [&listing, &unused] {
            let put = Request::PutPage(Octets::new(page.encode()).unwrap());
            assert!(Box::pin(server.handle(put.encode())).now_or_never().is_none());
        }
        context.sleep(SECOND).await;
        assert_eq!((store.status().held, store.status().unresolved), (4098, 0), "the room is there again");
        for number in [0, 4095] {
            let get = Request::GetShard(chunk(number, 100).id);
            for _ in 0..5_000 {
                assert!(Box::pin(server.handle(get.encode())).now_or_never().is_none());
            }
            context.sleep(SECOND).await;
            assert!(matches!(ask(&server, get).await, Response::Shard(_)));
        }
    });
}

/// A page has to be read to be signed for. Who names it again and again is refused.
#[test]
fn pages_are_named_once() {
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        let (server, _) = server(&store);
        let chunk = chunk(1, 1000);
        append(&store, &chunk).await.unwrap();
        let listing = page(&[chunk.id]);
        store.put_page(listing.encode()).await.unwrap();
        let certify = async |times: usize| {
            let manifest = paged(&vec![listing.clone(); times]);
            ask(&server, Request::Certify(Certify { time_ms: 0, manifest })).await
        };
        assert!(matches!(certify(1).await, Response::Receipt(_)));
        for times in [2, 2048] {
            let answer = certify(times).await;
            assert!(matches!(answer, Response::Refused(_)), "{answer:?}");
        }
    });
}

/// A node signs for its own time alone, more or less: what it signs for it keeps from then on.
#[test]
fn receipts_are_of_the_present() {
    deterministic::Runner::default().start(|context| async move {
        let store = open(&context).await.unwrap();
        let (server, key) = server(&store);
        let chunk = chunk(1, 1000);
        append(&store, &chunk).await.unwrap();
        let manifest = manifest(&[chunk.id]);
        context.sleep(10 * HOUR).await;
        let now_ms = context.current().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
        let certify = async |time_ms: u64, manifest: &Manifest| {
            ask(&server, Request::Certify(Certify { time_ms, manifest: manifest.clone() })).await
        };
        for time_ms in
            [0, now_ms - CERTIFICATE_CLOCK_MS_MAX - 1_000, now_ms + CERTIFICATE_CLOCK_MS_MAX + 1_000]
        {
            let answer = certify(time_ms, &manifest).await;
            assert!(matches!(answer, Response::Refused(_)), "{time_ms}: {answer:?}");
        }
        for time_ms in [now_ms - CERTIFICATE_CLOCK_MS_MAX + 1_000, now_ms, now_ms + CERTIFICATE_CLOCK_MS_MAX]
        {
            let Response::Receipt(receipt) = certify(time_ms, &manifest).await else { panic!("{time_ms}") };
            assert!(receipt.verify(NETWORK, 0, manifest.id(), time_ms, &key));
            assert!(!receipt.verify(NETWORK, 0, manifest.id(), time_ms + 1, &key));
        }
        // It was put 33 hours before, and signed for 23 hours before.
        context.sleep(23 * HOUR).await;
        assert_eq!(store.collect(context.current()).await.unwrap().expired, 0);
    });
}
