//! The chain's two halves against each other. A gateway that is told anything by one node believes only what is true;
//! a node that is asked anything answers in the protocol.
//!
//! An input is messages, each `length u16, bytes`.

use crate::{
    chain_network::{Crime, N, Network, TENANT},
    chain_samples,
};
use bytes::Bytes;
use chain::{
    client::{After, BucketsQuery, Client, Committed, ObjectsQuery, PartsQuery, Position, UploadsQuery},
    protocol::Answer,
};
use commonware_runtime::{Runner as _, Supervisor as _, deterministic};
use fuzz::{bounded, fuzz};
use proof::{
    Digest, SignedTransaction, UploadId, VersionId,
    transaction::{
        Attachment, Body, CreateBucket, CreateUpload, Operation, Payload, Place, PutMarker, PutVersion,
    },
    wire::{List, Octets},
};
use std::{collections::BTreeSet, sync::Arc};

type TestClient = Client<deterministic::Context>;

const UPLOAD: UploadId = UploadId([8; 16]);
const NEVER_MS: u64 = 500_000;
/// Messages of an input; what follows is ignored.
const MESSAGES_MAX: usize = 8;

fn place(key: &str) -> Place {
    Place { bucket: "bucket".parse().expect("a bucket's name"), key: key.parse().expect("a key") }
}

fn put(key: &str) -> (Operation, Vec<Bytes>) {
    let attached = vec![Bytes::from_static(b"sealed"), Bytes::from_static(b"ciphertext and tag")];
    let body = Body {
        ciphertext_length: attached[1].len() as u64,
        content: Digest([1; 32]),
        sealed: Attachment::of(&attached[0]),
        payload: Payload::Inline(Attachment::of(&attached[1])),
    };
    (Operation::PutVersion(PutVersion { place: place(key), body }), attached)
}

/// What is written before anybody lies. The last one is given back.
async fn write(network: &Network, client: &TestClient) -> (SignedTransaction, Committed) {
    let sealed = Attachment::of(b"sealed");
    let create = CreateBucket { bucket: place("a").bucket };
    let upload = CreateUpload { upload: UPLOAD, place: place("u"), sealed };
    let operations = [
        (Operation::CreateBucket(create), vec![]),
        put("a"),
        put("dir/b"),
        put("a\0b"),
        (Operation::PutMarker(PutMarker { place: place("dir/b") }), vec![]),
        (Operation::CreateUpload(upload), vec![Bytes::from_static(b"sealed")]),
        put("dir/c"),
    ];
    let mut last = None;
    for (operation, attached) in operations {
        let signed = network.founders.transaction(vec![operation], attached, NEVER_MS);
        let committed = client.submit(signed.clone()).await.expect("the nodes are honest yet");
        last = Some((signed, committed));
    }
    last.expect("something was written")
}

/// Everything that can be asked, as text. Who is to blame for an error, and how new the answer is, is left out.
async fn ask_everything(
    client: &TestClient,
    signed: &SignedTransaction,
    committed: &Committed,
) -> Vec<String> {
    let version = committed.version(0);
    let after = List::default();
    let prefix = Octets::default();
    let bucket = place("a").bucket;
    let objects = ObjectsQuery {
        tenant: TENANT,
        bucket: bucket.clone(),
        prefix: prefix.clone(),
        delimiter: Octets::new(&b"/"[..]).expect("short"),
        after: After::Start,
        limit: 2,
    };
    let at = Position { height: committed.block.header.height, index: committed.index };
    let submitted =
        client.submit(signed.clone()).await.map(|committed| (committed.transaction, committed.index));
    let buckets = BucketsQuery { tenant: TENANT, after: Octets::default(), limit: 0 };
    let uploads = UploadsQuery { tenant: TENANT, bucket: bucket.clone(), prefix, after, limit: 0 };
    let parts = PartsQuery { tenant: TENANT, upload: UPLOAD, after: 0, limit: 0, payloads: false };
    vec![
        format!("{:?}", client.head(TENANT, &place("a")).await.ok()),
        format!("{:?}", client.head(TENANT, &place("dir/b")).await.ok()),
        format!("{:?}", client.head(TENANT, &place("absent")).await.ok()),
        format!("{:?}", client.version(TENANT, &place("dir/c"), version).await.ok()),
        format!("{:?}", client.version(TENANT, &place("a"), VersionId { height: 1, ..version }).await.ok()),
        format!("{:?}", client.bucket(TENANT, &bucket).await.ok()),
        format!("{:?}", client.upload(TENANT, UPLOAD).await.ok()),
        format!("{:?}", client.list(objects, None).await.ok()),
        format!("{:?}", client.list_buckets(buckets).await.ok()),
        format!("{:?}", client.list_uploads(uploads).await.ok()),
        format!("{:?}", client.list_parts(parts).await.ok()),
        format!(
            "{:?}",
            client.receipt(at).await.ok().flatten().map(|found| (found.transaction, found.signature))
        ),
        format!("{:?}", submitted.ok()),
        format!("{:?}", client.tip().await.ok().map(|tip| tip.header)),
    ]
}

fn to_input(messages: &[Bytes]) -> Vec<u8> {
    messages.iter().flat_map(|bytes| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()).collect()
}

fn from_input(mut input: &[u8]) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        messages.push(Bytes::copy_from_slice(&rest[..length]));
        input = &rest[length..];
    }
    messages.truncate(MESSAGES_MAX);
    messages
}

async fn start(context: &deterministic::Context, crime: Crime) -> (Arc<Network>, TestClient) {
    Network::start(context.child("network"), [crime, Crime::None, Crime::None, Crime::None]).await
}

/// What honest nodes answer, each answer once.
fn answers() -> Vec<Bytes> {
    deterministic::Runner::default().start(|context| async move {
        let (network, client) = start(&context, Crime::None).await;
        let (signed, committed) = write(&network, &client).await;
        ask_everything(&client, &signed, &committed).await;
        let said: BTreeSet<Bytes> = network.said.lock().iter().cloned().collect();
        said.into_iter().collect()
    })
}

/// One of four nodes answers everything with messages of the input: nothing that the gateway says changes.
#[test]
fn chain_client() {
    let chosen = answers().into_iter().step_by(3).enumerate();
    let seeds = chosen.map(|(at, answer)| (format!("answer {at}"), to_input(&[answer])));
    fuzz!("chain_client", seeds, |input: &[u8]| {
        let messages = from_input(input);
        deterministic::Runner::default().start(|context| async move {
            let (network, client) = start(&context, Crime::Scripted).await;
            let (signed, committed) = write(&network, &client).await;
            let truth = ask_everything(&client, &signed, &committed).await;
            assert!(truth.iter().all(|answer| answer != "None"), "honest nodes answer: {truth:?}");
            for message in messages {
                bounded(message.len(), || Answer::from_message(message.clone()).is_ok());
                *network.script.lock() = Some(message);
                let told = ask_everything(&network.client(&context), &signed, &committed).await;
                assert_eq!(told, truth, "a lie was believed, or the truth was not");
            }
        });
    });
}

/// A node that is asked anything answers, in the protocol, and with no more than a message may have.
#[test]
fn chain_server() {
    let requests = chain_samples::requests().into_iter();
    let seeds = requests.map(|(name, request)| (name.to_owned(), to_input(&[request.to_message()])));
    fuzz!("chain_server", seeds, |input: &[u8]| {
        let messages = from_input(input);
        deterministic::Runner::default().start(|context| async move {
            let (network, client) = start(&context, Crime::None).await;
            write(&network, &client).await;
            let query = network.query(&context, N - 1);
            for message in messages {
                let answer = query.handle(message).await;
                assert!(answer.len() <= link::BODY_MAX);
                Answer::from_message(answer).expect("an answer is of the protocol");
            }
        });
    });
}
