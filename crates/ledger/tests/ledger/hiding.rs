//! Hiding versions and showing them again, one rule a test.

use crate::network::{Chain, TENANT, body, bucket, place};
use ledger::{
    Refusal, key,
    record::{Bucket, Head, Hidden, Kind, Version},
};
use proof::{
    VersionId,
    transaction::{
        CreateBucket, DeleteBucket, HideVersion, Operation, PutMarker, PutVersion, Succession,
        UndeleteBucket, UnhideVersion,
    },
    wire::List,
};

fn create() -> Operation {
    Operation::CreateBucket(CreateBucket { bucket: bucket("one") })
}

fn delete() -> Operation {
    Operation::DeleteBucket(DeleteBucket { bucket: bucket("one") })
}

fn undelete() -> Operation {
    Operation::UndeleteBucket(UndeleteBucket { bucket: bucket("one") })
}

fn put() -> Operation {
    Operation::PutVersion(PutVersion { place: place("one", "key"), body: body(1) })
}

fn mark() -> Operation {
    Operation::PutMarker(PutMarker { place: place("one", "key") })
}

fn hide(version: VersionId) -> Operation {
    let place = place("one", "key");
    Operation::HideVersion(HideVersion { place, version, succession: List::default() })
}

fn hide_current(version: VersionId, revision: u32, successor: Option<VersionId>) -> Operation {
    let successor = List::new(successor.into_iter().collect()).unwrap();
    let succession = List::new(vec![Succession { revision, successor }]).unwrap();
    Operation::HideVersion(HideVersion { place: place("one", "key"), version, succession })
}

fn show(version: VersionId, current: bool) -> Operation {
    Operation::UnhideVersion(UnhideVersion { place: place("one", "key"), version, current })
}

/// A chain with the bucket `one` and three versions of its key: two objects, then a marker.
fn filled() -> (Chain, [VersionId; 3]) {
    let mut chain = Chain::new();
    chain.run(vec![], vec![create()]).unwrap();
    let versions = [put(), put(), mark()].map(|operation| chain.run(vec![], vec![operation]).unwrap());
    (chain, versions)
}

fn head(chain: &Chain) -> Head {
    chain.get(key::head(&TENANT, &place("one", "key"))).expect("the key has a head")
}

fn live(chain: &Chain) -> u64 {
    chain.get::<Bucket>(key::bucket(&TENANT, &bucket("one"))).expect("the bucket exists").live
}

#[test]
fn hiding_the_marker_brings_the_object_back() {
    let (mut chain, [_, second, marker]) = filled();
    assert_eq!(live(&chain), 0);
    chain.run(vec![], vec![hide_current(marker, 0, Some(second))]).unwrap();
    assert_eq!((head(&chain).version, head(&chain).kind, live(&chain)), (second, Kind::Object, 1));
    let entry = chain.get::<Version>(key::version(&TENANT, &place("one", "key"), &second)).unwrap().entry;
    assert_eq!(head(&chain).entry, entry);
    chain.run(vec![], vec![show(marker, true)]).unwrap();
    assert_eq!((head(&chain).version, head(&chain).kind, live(&chain)), (marker, Kind::Marker, 0));
}

#[test]
fn when_all_are_hidden_the_key_is_absent_and_every_version_is_there() {
    let (mut chain, [first, second, marker]) = filled();
    let all = vec![hide_current(marker, 0, None), hide(second), hide(first)];
    assert_eq!(
        chain.run(vec![], vec![hide_current(marker, 0, Some(second)), hide(second), hide(first)]),
        Err(Refusal::VersionsChanged),
        "the second is current when it is to be hidden"
    );
    chain.run(vec![], all).unwrap();
    assert_eq!((head(&chain).kind, live(&chain)), (Kind::Nothing, 0));
    for version in [first, second, marker] {
        let place = place("one", "key");
        assert!(chain.get::<Hidden>(key::hidden(&TENANT, &place, &version)).unwrap().hidden);
        assert!(chain.get::<Version>(key::version(&TENANT, &place, &version)).is_some());
    }
    let next = chain.run(vec![], vec![put()]).unwrap();
    assert_eq!((head(&chain).version, live(&chain)), (next, 1));
    chain.run(vec![], vec![show(first, false)]).unwrap();
    chain.run(vec![], vec![hide_current(next, 4, Some(first))]).unwrap();
    assert_eq!(head(&chain).version, first);
}

#[test]
fn who_is_wrong_about_what_is_current_is_refused() {
    let (mut chain, [first, second, marker]) = filled();
    for operation in [
        hide(marker),
        hide_current(second, 0, Some(first)),
        hide_current(marker, 1, Some(second)),
        hide_current(marker, 0, Some(marker)),
        hide_current(marker, 0, Some(VersionId { operation: 1, ..second })),
    ] {
        assert_eq!(
            chain.run(vec![], vec![operation.clone()]),
            Err(Refusal::VersionsChanged),
            "{operation:?}"
        );
    }
    chain.run(vec![], vec![hide(second)]).unwrap();
    assert_eq!(
        chain.run(vec![], vec![hide_current(marker, 1, Some(second))]),
        Err(Refusal::VersionsChanged),
        "a hidden version is no successor"
    );
    assert_eq!(chain.run(vec![], vec![show(second, true)]), Err(Refusal::VersionsChanged));
    assert_eq!(chain.run(vec![], vec![show(first, false)]), Err(Refusal::VersionShown));
    assert_eq!(chain.run(vec![], vec![hide(second)]), Err(Refusal::VersionHidden));
    chain.run(vec![], vec![hide_current(marker, 1, Some(first))]).unwrap();
    assert_eq!(chain.run(vec![], vec![show(second, false)]), Err(Refusal::VersionsChanged));
    chain.run(vec![], vec![show(second, true)]).unwrap();
    assert_eq!(head(&chain).version, second);
}

#[test]
fn versions_of_an_earlier_life_are_out_of_reach() {
    let (mut chain, [first, second, _]) = filled();
    chain.run(vec![], vec![hide(first)]).unwrap();
    chain.run(vec![], vec![delete()]).unwrap();
    for operation in [hide(second), show(first, true)] {
        assert_eq!(chain.run(vec![], vec![operation]), Err(Refusal::NoSuchBucket));
    }
    chain.run(vec![], vec![create()]).unwrap();
    for operation in [hide(second), show(first, true)] {
        assert_eq!(chain.run(vec![], vec![operation]), Err(Refusal::NoSuchVersion));
    }
}

#[test]
fn an_undeleted_bucket_has_what_it_had() {
    let (mut chain, [_, second, marker]) = filled();
    assert_eq!(chain.run(vec![], vec![undelete()]), Err(Refusal::BucketExists));
    chain.run(vec![], vec![delete()]).unwrap();
    assert_eq!(chain.run(vec![], vec![put()]), Err(Refusal::NoSuchBucket));
    chain.run(vec![], vec![undelete()]).unwrap();
    chain.run(vec![], vec![hide_current(marker, 0, Some(second))]).unwrap();
    assert_eq!((head(&chain).version, live(&chain)), (second, 1));
    assert_eq!(chain.run(vec![], vec![delete()]), Err(Refusal::BucketNotEmpty));
    let mut empty = Chain::new();
    assert_eq!(empty.run(vec![], vec![undelete()]), Err(Refusal::NoSuchBucket));
}
