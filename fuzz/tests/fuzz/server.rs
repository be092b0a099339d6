//! A node's shard server, asked anything: it answers every request with a response of the protocol that the request's
//! lane has room for, and what it says it holds it gives back.
//!
//! An input is requests, each `length u16, bytes`.

use crate::proof_network::{genesis, nodes};
use blob::{Code, EncodedChunk};
use bytes::Bytes;
use commonware_runtime::{Runner as _, Supervisor as _, deterministic};
use fuzz::{bounded, fuzz};
use proof::{
    Digest, Genesis, Manifest, PublicKey,
    limits::CERTIFICATE_CLOCK_MS_MAX,
    manifest::{Page, PageRef, SealedKey, Segment},
    wire::{DecodeExt as _, Encode as _, List, Octets},
};
use shards::{
    Server, ServerConfig, ShardStore, StoreConfig,
    wire::{Certify, Request, Response, Shard},
};
use std::sync::LazyLock;

static GENESIS: LazyLock<Genesis> = LazyLock::new(|| genesis(1));
/// The node that is asked.
const NODE: u8 = 1;
/// Requests of an input; what follows is ignored.
const REQUESTS_MAX: usize = 20;

fn chunk() -> EncodedChunk {
    Code::new(2, 4).expect("a code").encode(&[5; 100])
}

fn page(chunks: &[Digest]) -> Page {
    let chunks = List::new(chunks.to_vec()).expect("few");
    let length = chunks.len() as u64 * (1 << 20);
    Page::new(vec![Segment { sealed_key: SealedKey([7; 48]), first_chunk: 0, length, chunks }])
        .expect("a page")
}

fn requests() -> Vec<Request> {
    let chunk = chunk();
    let bytes = Octets::new(chunk.shards[usize::from(NODE)].clone()).expect("a shard fits");
    let (held, unknown) = (page(&[chunk.id]), page(&[chunk.id, Digest([1; 32])]));
    let reference =
        |page: &Page| PageRef { id: page.id(), length: page.length(), chunks: page.chunks().count() as u32 };
    let pages = List::new(vec![reference(&held), reference(&unknown)]).expect("two");
    // The simulated clock starts at zero.
    let certify = |manifest| Request::Certify(Certify { time_ms: 1_000, manifest });
    vec![
        Request::PutShard(Shard { index: NODE, opening: chunk.opening, bytes }),
        Request::PutPage(Octets::new(held.encode()).expect("a page fits")),
        certify(Manifest::Direct(held.clone())),
        certify(Manifest::Direct(unknown)),
        certify(Manifest::Paged(pages)),
        Request::GetShard(chunk.id),
        Request::GetPage(held.id()),
        Request::Status,
    ]
}

fn to_input(requests: &[Request]) -> Vec<u8> {
    let framed = |request: &Request| {
        let bytes = request.encode();
        [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()
    };
    requests.iter().flat_map(framed).collect()
}

fn from_input(mut input: &[u8]) -> Vec<Bytes> {
    let mut requests = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        requests.push(Bytes::copy_from_slice(&rest[..length]));
        input = &rest[length..];
    }
    requests.truncate(REQUESTS_MAX);
    requests
}

#[test]
fn shard_server() {
    let mut seeds = vec![("all".to_owned(), to_input(&requests()))];
    seeds.extend(
        requests()
            .iter()
            .enumerate()
            .map(|(at, request)| (format!("request {at}"), to_input(std::slice::from_ref(request)))),
    );
    fuzz!("shard_server", seeds, |input: &[u8]| {
        let requests = from_input(input);
        deterministic::Runner::default().start(|context| async move {
            let config = StoreConfig { segment_bytes: 2 << 20, ..StoreConfig::new("shards") };
            let store = ShardStore::open(context.child("store"), config).await.expect("a new store opens");
            let key = nodes(1).remove(usize::from(NODE));
            let (network, committee) = (GENESIS.id(), GENESIS.committee.clone());
            let public = key.public_key();
            let server = Server::new(store.clone(), ServerConfig { network, committee, node: NODE, key });
            for bytes in requests {
                let request = bounded(bytes.len(), || Request::decode(bytes.clone()));
                let response = server.handle(bytes).await;
                check(&store, request.ok(), response, &public).await;
            }
        });
    });
}

async fn check(
    store: &ShardStore<deterministic::Context>,
    request: Option<Request>,
    response: link::Response,
    public: &PublicKey,
) {
    let response = Response::decode(body(response)).expect("an answer is of the protocol");
    match (request, response) {
        (None, response) => assert!(matches!(response, Response::Refused(_)), "{response:?}"),
        (Some(Request::PutShard(shard)), Response::Done) => {
            let held =
                store.read(&shard.opening.id()).await.expect("the disk is well").expect("it was taken");
            assert_eq!((held.index, held.opening.id()), (NODE, shard.opening.id()));
        }
        (Some(Request::PutPage(page)), Response::Done) => {
            let held = store.read_page(&proof::manifest::page_id(&page)).await.expect("the disk is well");
            assert_eq!(held.expect("it was taken"), &page[..]);
        }
        (Some(Request::Certify(Certify { time_ms, manifest })), Response::Receipt(receipt)) => {
            assert!(time_ms <= CERTIFICATE_CLOCK_MS_MAX + 60_000, "that is not now");
            assert!(receipt.verify(GENESIS.id(), 0, manifest.id(), time_ms, public));
            assert!(store.missing(&manifest).await.expect("it was certified").is_empty());
        }
        (Some(Request::GetShard(chunk)), Response::Shard(shard)) => assert_eq!(shard.opening.id(), chunk),
        (Some(Request::GetPage(page)), Response::Page(bytes)) => {
            assert_eq!(proof::manifest::page_id(&bytes), page);
        }
        (Some(Request::Certify(_)), Response::Missing(missing)) => assert!(!missing.is_empty()),
        (Some(Request::GetShard(_) | Request::GetPage(_)), Response::NotHeld) => {}
        (Some(Request::Status), Response::Status(_)) => {}
        (Some(Request::Holds(ids)), Response::Held(flags)) => assert_eq!(flags.len(), ids.len()),
        (Some(_), Response::Refused(_)) => {}
        (request, response) => panic!("{response:?} answers {request:?}"),
    }
}

fn body(response: link::Response) -> Bytes {
    response.into_body().expect("the server refuses nothing").coalesce().into()
}
