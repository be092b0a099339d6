//! Versions hidden and shown again, and reading as of earlier blocks.

use crate::{MASTER_KEY, get, network::run, place, put, read};
use bytes::Bytes;
use proof::VersionId;
use vault::{Condition, Error, HiddenVersion, ListRequest, ListedVersion, Moment, VersionsRequest};

fn all(hidden: bool, at: Option<u64>) -> VersionsRequest {
    VersionsRequest {
        bucket: "bucket".parse().unwrap(),
        prefix: String::new(),
        exact: false,
        delimiter: None,
        after: None,
        limit: 1000,
        hidden,
        at,
    }
}

fn list(at: u64) -> ListRequest {
    let bucket = "bucket".parse().unwrap();
    ListRequest { bucket, prefix: String::new(), delimiter: None, after: None, limit: 1000, at: Some(at) }
}

fn ids(versions: &[ListedVersion]) -> Vec<VersionId> {
    versions.iter().map(|listed| listed.version).collect()
}

#[test]
fn what_is_hidden_comes_back() {
    run(|outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        let bucket = "bucket".parse().unwrap();
        vault.create_bucket(&bucket).await.unwrap();
        let mut versions = Vec::new();
        for contents in ["one", "two", "three"] {
            let written = put(&vault, "k", Bytes::from(contents), Condition::None).await.unwrap();
            versions.push(written.version);
        }
        let [one, two, three] = versions[..] else { panic!("three versions") };
        let marker = vault.delete(&place("k"), Condition::None).await.unwrap().marker;
        let listed = vault.list_versions(all(false, None)).await.unwrap().versions;
        assert_eq!(ids(&listed), [marker, three, two, one]);
        assert_eq!(
            listed.iter().map(|listed| listed.current).collect::<Vec<_>>(),
            [true, false, false, false]
        );

        let hidden = vault.hide(&place("k"), &[three, marker, three]).await.unwrap();
        let expected = [(marker, true), (three, false)];
        assert_eq!(hidden, expected.map(|(version, marker)| HiddenVersion { version, marker }));
        assert_eq!(get(&vault, "k").await.unwrap(), "two");
        assert_eq!(vault.head(&place("k"), Some(three)).await.err(), Some(Error::NoSuchVersion));
        assert_eq!(vault.hide(&place("k"), &[three, marker]).await, Ok(vec![]), "they are gone");
        vault.hide(&place("k"), &[one, two]).await.unwrap();
        assert_eq!(get(&vault, "k").await.err(), Some(Error::NoSuchKey { marker: None }));
        assert_eq!(vault.list_versions(all(false, None)).await.unwrap().versions, []);
        assert_eq!(vault.list_versions(all(true, None)).await.unwrap().versions.len(), 4);

        vault.delete_bucket(&bucket).await.unwrap();
        assert_eq!(vault.hide(&place("k"), &[one]).await, Err(Error::NoSuchBucket));
        vault.undelete_bucket(&bucket).await.unwrap();
        assert_eq!(vault.undelete_bucket(&bucket).await, Err(Error::BucketExists));
        assert_eq!(vault.undelete(&place("k"), None).await, Ok(1));
        assert_eq!(get(&vault, "k").await.unwrap(), "three");
        assert_eq!(vault.undelete(&place("k"), None).await, Ok(0), "it is there");
        assert_eq!(vault.undelete(&place("k"), Some(0)).await, Ok(2), "the others too, not the marker");
        let listed = vault.list_versions(all(false, None)).await.unwrap().versions;
        assert_eq!(ids(&listed), [three, two, one]);
    });
}

#[test]
fn a_moment_is_the_same_whenever_it_is_asked_for() {
    run(|outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        vault.create_bucket(&"bucket".parse().unwrap()).await.unwrap();
        let one = put(&vault, "k", Bytes::from("one"), Condition::None).await.unwrap();
        // The block that has this time is the newest, and more may have it: it is over when it is answered.
        let then = Moment::TimeMs(one.time_ms);
        let height = vault.height_at(then).await.unwrap();
        let two = put(&vault, "k", Bytes::from("two"), Condition::None).await.unwrap();
        assert!(two.time_ms > one.time_ms, "a later block has a later time");
        assert_eq!(vault.height_at(then).await, Ok(height));
    });
}

#[test]
fn every_block_is_a_moment_to_read() {
    run(|outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        let bucket = "bucket".parse().unwrap();
        vault.create_bucket(&bucket).await.unwrap();
        let one = put(&vault, "k", Bytes::from("one"), Condition::None).await.unwrap();
        let two = put(&vault, "k", Bytes::from("two"), Condition::None).await.unwrap();
        let marker = vault.delete(&place("k"), Condition::None).await.unwrap();
        vault.hide(&place("k"), &[one.version, two.version, marker.marker]).await.unwrap();
        vault.delete_bucket(&bucket).await.unwrap();
        assert_eq!(get(&vault, "k").await.err(), Some(Error::NoSuchBucket));

        for (written, contents) in [(&one, "one"), (&two, "two")] {
            // Several blocks may have one time; it means the last of them.
            let height = written.version.height;
            assert!(vault.height_at(Moment::TimeMs(written.time_ms)).await.unwrap() >= height);
            let before = vault.height_at(Moment::TimeMs(written.time_ms - 1)).await.unwrap();
            assert!(before < height);
            let object = vault.head_at(&place("k"), None, height).await.unwrap();
            assert_eq!(object.version, written.version);
            assert_eq!(read(&vault, &object, 0..u64::MAX).await.unwrap(), contents);
            assert_eq!(vault.list(list(height)).await.unwrap().objects[0].version, written.version);
        }
        let (first, second) = (one.version.height, two.version.height);
        let earlier =
            vault.head_at(&place("k"), Some(one.version), second).await.map(|object| object.version);
        assert_eq!(earlier, Ok(one.version));
        let later = vault.head_at(&place("k"), Some(two.version), first).await.map(|object| object.version);
        assert_eq!(later, Err(Error::NoSuchVersion));
        let gone = vault.head_at(&place("k"), None, marker.marker.height).await.err();
        assert_eq!(gone, Some(Error::NoSuchKey { marker: Some(marker.marker) }));
        assert_eq!(vault.list(list(0)).await.err(), Some(Error::NoSuchBucket));
        assert_eq!(vault.list_versions(all(false, Some(second))).await.unwrap().versions.len(), 2);
        assert_eq!(vault.height_at(Moment::TimeMs(0)).await, Ok(0));
        assert_eq!(vault.height_at(Moment::Height(u64::MAX)).await, Err(Error::NotYet));
        assert_eq!(vault.height_at(Moment::TimeMs(u64::MAX)).await, Err(Error::NotYet));
    });
}
