//! The client against nodes of which one, or too many, misbehave.

mod network;

use bytes::Bytes;
use chain::client::{
    After, AfterVersion, BucketsQuery, Client, Committed, CurrentView, HeadView, NamedView, ObjectsQuery,
    PayloadView, Position, ReadError, SubmitError, VersionsQuery,
};
use commonware_runtime::{Clock as _, Runner as _, Supervisor as _, deterministic};
use ledger::Refusal;
use network::{Crime, N, Network, SUBMIT_TIMEOUT, TENANT, key_of};
use proof::{
    Digest, Receipt,
    transaction::{
        Attachment, Body, CreateBucket, DeleteBucket, HideVersion, Operation, Payload, Place, PutMarker,
        PutVersion,
    },
    wire::{List, Octets},
};
use std::{future::Future, sync::Arc, time::Duration};

type TestClient = Client<deterministic::Context>;

fn run<F: Future<Output = ()>>(crimes: [Crime; N], test: impl FnOnce(Arc<Network>, TestClient) -> F) {
    deterministic::Runner::default().start(|context| async move {
        let (network, client) = Network::start(context, crimes).await;
        test(network, client).await;
    });
}

fn one(crime: Crime, node: usize) -> [Crime; N] {
    let mut crimes = [Crime::None; N];
    crimes[node] = crime;
    crimes
}

fn place(key: &str) -> Place {
    Place { bucket: "bucket".parse().unwrap(), key: key.parse().unwrap() }
}

fn create(bucket: &str) -> Operation {
    Operation::CreateBucket(CreateBucket { bucket: bucket.parse().unwrap() })
}

fn put(key: &str, contents: &[u8]) -> (Operation, Vec<Bytes>) {
    let attachments = vec![Bytes::from_static(b"sealed"), Bytes::copy_from_slice(contents)];
    let body = Body {
        ciphertext_length: contents.len() as u64,
        content: Digest([1; 32]),
        sealed: Attachment::of(&attachments[0]),
        payload: Payload::Inline(Attachment::of(&attachments[1])),
    };
    (Operation::PutVersion(PutVersion { place: place(key), body }), attachments)
}

const NEVER_MS: u64 = 500_000;

async fn submit(
    network: &Network,
    client: &TestClient,
    (operation, attachments): (Operation, Vec<Bytes>),
) -> Result<Committed, SubmitError> {
    client.submit(network.founders.transaction(vec![operation], attachments, NEVER_MS)).await
}

fn objects(delimiter: &str) -> ObjectsQuery {
    ObjectsQuery {
        tenant: TENANT,
        bucket: "bucket".parse().unwrap(),
        prefix: Octets::default(),
        delimiter: Octets::new(delimiter.as_bytes().to_vec()).unwrap(),
        after: After::Start,
        limit: 0,
    }
}

fn versions(hidden: bool) -> VersionsQuery {
    VersionsQuery {
        tenant: TENANT,
        bucket: "bucket".parse().unwrap(),
        prefix: Octets::default(),
        delimiter: Octets::default(),
        after: AfterVersion::Start,
        limit: 0,
        hidden,
        exact: false,
    }
}

/// Writes and reads of every kind, each of which must give the truth.
async fn everything(network: &Network, client: &TestClient) {
    assert_eq!(client.head(TENANT, &place("a")).await.unwrap(), HeadView::NoBucket);
    assert_eq!(client.list(objects(""), None).await.unwrap(), None);
    let created = submit(network, client, (create("bucket"), vec![])).await.unwrap().version(0);
    assert_eq!(client.bucket(TENANT, &"bucket".parse().unwrap()).await.unwrap().unwrap().live, 0);
    assert_eq!(client.head(TENANT, &place("a")).await.unwrap(), HeadView::Absent);

    let contents = b"sixteen bytes and more".as_slice();
    let written = submit(network, client, put("a", contents)).await.unwrap();
    let HeadView::Object(view) = client.head(TENANT, &place("a")).await.unwrap() else { panic!("an object") };
    assert_eq!(view.entry.version, written.version(0));
    assert_eq!(view.payload, PayloadView::Inline(Bytes::from_static(contents)));
    submit(network, client, put("dir/b", contents)).await.unwrap();
    let marker = Operation::PutMarker(PutMarker { place: place("a") });
    submit(network, client, (marker, vec![])).await.unwrap();
    assert!(matches!(client.head(TENANT, &place("a")).await.unwrap(), HeadView::Marker(_)));
    let view = HeadView::Object(view);
    let found = client.version(TENANT, &place("a"), written.version(0)).await.unwrap();
    assert_eq!(found, NamedView { life: Some(created), hidden: false, view: view.clone() });

    let listed = client.list(objects(""), None).await.unwrap().unwrap();
    let keys: Vec<_> = listed.objects.iter().map(|object| object.entry.place.key.to_string()).collect();
    assert_eq!((keys, listed.prefixes, listed.next), (vec!["dir/b".to_owned()], vec![], None));
    assert_eq!(client.list(objects("/"), None).await.unwrap().unwrap().prefixes, ["dir/"]);
    let query = BucketsQuery { tenant: TENANT, after: Octets::default(), limit: 0 };
    assert_eq!(client.list_buckets(query).await.unwrap().buckets[0].bucket.as_str(), "bucket");

    let hide = HideVersion { place: place("a"), version: written.version(0), succession: List::default() };
    let hidden = submit(network, client, (Operation::HideVersion(hide), vec![])).await.unwrap();
    let found = client.version(TENANT, &place("a"), written.version(0)).await.unwrap();
    assert_eq!(found, NamedView { life: Some(created), hidden: true, view });
    let listed = |hidden, at| client.list_versions(versions(hidden), at);
    let shown = listed(false, None).await.unwrap().unwrap();
    let kinds: Vec<_> =
        shown.versions.iter().map(|version| (version.entry.place.key.as_str(), version.current)).collect();
    assert_eq!(kinds, [("a", true), ("dir/b", true)], "the marker, and another key");
    let all = listed(true, None).await.unwrap().unwrap();
    let change = (hidden.version(0), hidden.time_ms());
    assert_eq!((all.versions.len(), all.versions[1].hidden), (3, Some(change)));
    let height = written.block.header.height;
    let before = listed(false, Some(height)).await.unwrap().unwrap();
    assert_eq!((before.versions.len(), before.versions[0].entry.version), (1, written.version(0)));
    let current = client.current_at(TENANT, &place("a"), height).await.unwrap();
    assert_eq!(current, CurrentView::Version(written.version(0)));
    let then = client.moment(written.time_ms()).await.unwrap().unwrap();
    assert_eq!((then.height, then.time_ms), (height, written.time_ms()));

    let at = Position { height: written.block.header.height, index: written.index };
    let found = client.receipt(at).await.unwrap().unwrap();
    let receipt = Receipt {
        network: network.founders.genesis.id(),
        transaction: found.transaction,
        signature: found.signature,
        index: found.index,
        path: found.path,
        block: found.block,
        opening: List::default(),
    };
    assert_eq!(
        receipt.verify(&network.founders.genesis.clone().into()).unwrap().transaction,
        written.transaction
    );
}

#[test]
fn honest_nodes_give_the_truth_and_are_not_accused() {
    run([Crime::None; N], |network, client| async move {
        everything(&network, &client).await;
        for status in client.status().await {
            assert_eq!((status.faults, status.avoided), (0, false));
            assert_eq!(status.report.unwrap().height, 6);
            assert_eq!(status.key, key_of(&network, status.node));
        }
    });
}

#[test]
fn any_one_misbehaving_node_changes_nothing() {
    let crimes = [
        Crime::Silent,
        Crime::Slow,
        Crime::Laggard,
        Crime::Forger,
        Crime::Withholder,
        Crime::Refuser,
        Crime::Full,
    ];
    for crime in crimes {
        for node in 0..N {
            run(one(crime, node), |network, client| async move {
                everything(&network, &client).await;
                for status in client.status().await {
                    let accused = status.faults > 0;
                    assert_eq!(accused, crime == Crime::Forger && status.node == node, "{crime:?}");
                    assert_eq!(status.avoided, accused);
                }
            });
        }
    }
}

/// Whatever it is asked, it says what was once true of something else.
#[test]
fn answers_to_other_questions_are_not_believed() {
    run(one(Crime::Scripted, 1), |network, client| async move {
        everything(&network, &client).await;
        let said = network.said.lock().clone();
        let truth =
            (client.head(TENANT, &place("a")).await.unwrap(), client.list(objects("/"), None).await.unwrap());
        for answer in said {
            *network.script.lock() = Some(answer);
            assert_eq!(client.head(TENANT, &place("a")).await.unwrap(), truth.0);
            assert_eq!(client.list(objects("/"), None).await.unwrap(), truth.1);
        }
    });
}

#[test]
fn a_refusal_is_proved() {
    run(one(Crime::Forger, 0), |network, client| async move {
        submit(&network, &client, (create("bucket"), vec![])).await.unwrap();
        let again = submit(&network, &client, (create("bucket"), vec![])).await;
        assert!(matches!(again, Err(SubmitError::Refused { refusal: Refusal::BucketExists, height: 3 })));
        let bucket = "other".parse().unwrap();
        let delete = Operation::DeleteBucket(DeleteBucket { bucket });
        let delete = submit(&network, &client, (delete, vec![])).await;
        assert!(matches!(delete, Err(SubmitError::Refused { refusal: Refusal::NoSuchBucket, .. })));
    });
}

#[test]
fn submitting_twice_gives_the_same_outcome() {
    run(one(Crime::Silent, 1), |network, client| async move {
        let signed = network.founders.transaction(vec![create("bucket")], vec![], NEVER_MS);
        let first = client.submit(signed.clone()).await.unwrap();
        assert_eq!(client.submit(signed).await.unwrap(), first);
    });
}

#[test]
fn an_expiry_is_proved() {
    run(one(Crime::Refuser, 2), |network, client| async move {
        let signed = network.founders.transaction(vec![create("bucket")], vec![], 500);
        assert!(matches!(client.submit(signed).await, Err(SubmitError::Expired)));
    });
}

#[test]
fn what_all_call_inadmissible_is() {
    run([Crime::None; N], |network, client| async move {
        let mut signed = network.founders.transaction(vec![create("bucket")], vec![], NEVER_MS);
        signed.transaction.nonce = [0xff; 16];
        assert!(matches!(client.submit(signed).await, Err(SubmitError::Inadmissible(_))));
    });
}

#[test]
fn too_many_silent_nodes_stop_everything_in_time() {
    deterministic::Runner::default().start(|context| async move {
        let crimes = [Crime::None, Crime::Silent, Crime::Silent, Crime::None];
        let (network, client) = Network::start(context.child("test"), crimes).await;
        let started = context.current();
        let submitted = submit(&network, &client, (create("bucket"), vec![])).await;
        assert!(
            matches!(submitted, Err(SubmitError::Unknown { .. })),
            "it may have been ordered: {submitted:?}"
        );
        let read = client.head(TENANT, &place("a")).await;
        assert!(matches!(read, Err(ReadError::Unavailable { answered: 2, needed: 3, .. })), "{read:?}");
        let took = context.current().duration_since(started).unwrap();
        assert!(took < SUBMIT_TIMEOUT + Duration::from_secs(6));
    });
}

/// The difference between "nothing was changed" and "it may still happen".
#[test]
fn what_nodes_may_have_got_is_not_called_unsent() {
    run([Crime::Closed; N], |network, client| async move {
        let submitted = submit(&network, &client, (create("bucket"), vec![])).await;
        assert!(matches!(submitted, Err(SubmitError::Unavailable { .. })), "{submitted:?}");
    });
    run([Crime::Late; N], |network, client| async move {
        let submitted = submit(&network, &client, (create("bucket"), vec![])).await;
        assert!(matches!(submitted, Err(SubmitError::Unknown { .. })), "they hold it: {submitted:?}");
    });
}

#[test]
fn too_many_full_nodes_say_so() {
    let crimes = [Crime::Full, Crime::Full, Crime::None, Crime::Laggard];
    run(crimes, |network, client| async move {
        let submitted = submit(&network, &client, (create("bucket"), vec![])).await;
        // Should a node with room prove the decision first, what stays unknown is whether a quorum has applied it.
        assert!(
            matches!(submitted, Err(SubmitError::Overloaded | SubmitError::Unknown { .. })),
            "{submitted:?}"
        );
        let read = client.head(TENANT, &place("a")).await;
        assert!(matches!(read, Err(ReadError::Overloaded)), "{read:?}");
    });
}
