//! Buckets and objects.

use crate::{MASTER_KEY, contents, get, metadata, network::run, place, put, read};
use bytes::Bytes;
use proof::{VersionId, receipt::ContentCheck};
use vault::{Condition, Error, ListAfter, ListRequest, Metadata};

const MIB: usize = 1 << 20;

#[test]
fn objects_of_every_size_come_back() {
    run(|outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        let bucket = "bucket".parse().unwrap();
        assert_eq!(put(&vault, "a", Bytes::new(), Condition::None).await, Err(Error::NoSuchBucket));
        vault.create_bucket(&bucket).await.unwrap();
        let lengths = [0, 1, 16 << 10, (16 << 10) + 1, MIB, MIB + 1, 5 * MIB + 77];
        for (seed, length) in lengths.into_iter().enumerate() {
            let key = format!("of/{length}");
            let bytes = contents(seed as u64, length);
            let written = put(&vault, &key, bytes.clone(), Condition::IfAbsent).await.unwrap();
            let object = vault.head(&place(&key), None).await.unwrap();
            assert_eq!((object.version, object.time_ms), (written.version, written.time_ms));
            assert_eq!((object.length, &object.metadata), (length as u64, &metadata(&length.to_string())));
            assert!(read(&vault, &object, 0..u64::MAX).await.unwrap() == bytes, "{length} bytes");
            for (from, to) in
                [(0, 1), (length / 2, length / 2 + 10), (MIB - 1, MIB + 1), (length, length + 1)]
            {
                let expected = &bytes[from.min(length)..to.min(length)];
                let got = read(&vault, &object, from as u64..to as u64).await.unwrap();
                assert!(got == expected, "{from}..{to} of {length} bytes");
            }
            let receipt = vault.receipt(&place(&key), None).await.unwrap();
            let proven = receipt.verify(&outlast.genesis.clone().into()).unwrap();
            assert_eq!((proven.version, proven.transaction), (written.version, written.transaction));
            let mut check = ContentCheck::new(&receipt.opening[0]);
            assert!(check.update(&bytes) && check.finish());
        }
        let page = vault.list(list("of/", None, 1000)).await.unwrap();
        let mut listed: Vec<_> = page.objects.iter().map(|object| object.length as usize).collect();
        listed.sort_unstable();
        assert_eq!((listed.as_slice(), page.next), (lengths.as_slice(), None));
    });
}

fn list(prefix: &str, after: Option<ListAfter>, limit: usize) -> ListRequest {
    let (bucket, delimiter) = ("bucket".parse().unwrap(), Some("/".to_owned()));
    ListRequest { bucket, prefix: prefix.into(), delimiter, after, limit, at: None }
}

#[test]
fn conditions_versions_and_markers() {
    run(|outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        let bucket = "bucket".parse().unwrap();
        let created = vault.create_bucket(&bucket).await.unwrap();
        assert_eq!(vault.create_bucket(&bucket).await, Err(Error::BucketExists));
        assert_eq!(vault.head_bucket(&bucket).await, Ok(created.clone()));
        assert_eq!(vault.list_buckets().await, Ok(vec![created]));

        let (one, two) = (Bytes::from("one"), contents(1, 20_000));
        assert_eq!(get(&vault, "key").await, Err(Error::NoSuchKey { marker: None }));
        let absent = put(&vault, "key", one.clone(), Condition::IfPresent).await;
        assert_eq!(absent, Err(Error::PreconditionFailed));
        put(&vault, "key", one.clone(), Condition::IfAbsent).await.unwrap();
        assert_eq!(
            put(&vault, "key", two.clone(), Condition::IfAbsent).await,
            Err(Error::PreconditionFailed)
        );
        let first = put(&vault, "key", one.clone(), Condition::IfPresent).await.unwrap().version;
        let second = put(&vault, "key", two.clone(), Condition::IfVersion(first)).await.unwrap().version;
        assert_eq!(
            put(&vault, "key", one.clone(), Condition::IfVersion(first)).await,
            Err(Error::PreconditionFailed)
        );
        assert_eq!(vault.delete_bucket(&bucket).await, Err(Error::BucketNotEmpty));

        let deleted = vault.delete(&place("key"), Condition::IfVersion(second)).await.unwrap();
        assert_eq!(get(&vault, "key").await, Err(Error::NoSuchKey { marker: Some(deleted.marker) }));
        let marker = vault.head(&place("key"), Some(deleted.marker)).await;
        assert!(matches!(marker, Err(Error::Marker { marker, .. }) if marker == deleted.marker));
        for (version, bytes) in [(first, one), (second, two)] {
            let object = vault.head(&place("key"), Some(version)).await.unwrap();
            assert_eq!(read(&vault, &object, 0..u64::MAX).await.unwrap(), bytes);
        }
        let other = VersionId { operation: 1, ..first };
        assert_eq!(vault.head(&place("key"), Some(other)).await.unwrap_err(), Error::NoSuchVersion);
        assert!(vault.receipt(&place("key"), None).await.unwrap().opening.is_empty());

        vault.delete_bucket(&bucket).await.unwrap();
        assert_eq!(get(&vault, "key").await, Err(Error::NoSuchBucket));
        assert_eq!(vault.list(list("", None, 10)).await, Err(Error::NoSuchBucket));
    });
}

#[test]
fn copies_share_their_chunks_and_open_under_their_own_key() {
    run(|outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        vault.create_bucket(&"bucket".parse().unwrap()).await.unwrap();
        for (seed, length) in [0, 100, 3 * MIB].into_iter().enumerate() {
            let bytes = contents(seed as u64, length);
            put(&vault, "source", bytes.clone(), Condition::None).await.unwrap();
            let source = vault.head(&place("source"), None).await.unwrap();
            vault.copy(&source, place("copy"), metadata("new"), Condition::None).await.unwrap();
            let copy = vault.head(&place("copy"), None).await.unwrap();
            assert_eq!((copy.length, copy.metadata.etag.as_str()), (length as u64, "new"));
            assert!(read(&vault, &copy, 0..u64::MAX).await.unwrap() == bytes);
            let receipt = vault.receipt(&place("copy"), None).await.unwrap();
            let mut check = ContentCheck::new(&receipt.opening[0]);
            assert!(check.update(&bytes) && check.finish());
        }
        let user = [("name".to_owned(), "x".repeat(20_000))].into();
        let large = Metadata { user, ..metadata("") };
        let source = vault.head(&place("source"), None).await.unwrap();
        let refused = vault.copy(&source, place("copy"), large, Condition::None).await;
        assert_eq!(refused, Err(Error::MetadataTooLarge));
    });
}

#[test]
fn another_master_key_opens_nothing() {
    run(|outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        vault.create_bucket(&"bucket".parse().unwrap()).await.unwrap();
        put(&vault, "key", Bytes::from("secret"), Condition::None).await.unwrap();
        let thief = outlast.gateway([0; 32]);
        assert!(matches!(get(&thief, "key").await, Err(Error::Damaged(_))));
        let page = thief.list(list("", None, 10)).await.unwrap();
        assert_eq!((page.objects[0].length, &page.objects[0].metadata), (6, &Metadata::default()));
    });
}

#[test]
fn listings_go_on_where_they_stopped() {
    run(|outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        vault.create_bucket(&"bucket".parse().unwrap()).await.unwrap();
        let keys = ["a", "b/1", "b/2", "b/3", "c", "d/1", "e"];
        for key in keys {
            put(&vault, key, Bytes::from(key), Condition::None).await.unwrap();
        }
        for limit in [1, 2, 1000] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = vault.list(list("", after, limit)).await.unwrap();
                assert!(page.objects.len() + page.prefixes.len() <= limit);
                found.extend(page.objects.iter().map(|object| object.key.to_string()));
                found.extend(page.prefixes);
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            found.sort();
            assert_eq!(found, ["a", "b/", "c", "d/", "e"], "{limit} at a time");
        }
        let page = vault.list(list("b/", Some(ListAfter::Key("b/1zz".into())), 1000)).await.unwrap();
        let found: Vec<_> = page.objects.iter().map(|object| object.key.to_string()).collect();
        assert_eq!(found, ["b/2", "b/3"]);
    });
}

#[test]
fn one_node_down_is_not_noticed() {
    run(|mut outlast| async move {
        let vault = outlast.gateway(MASTER_KEY);
        vault.create_bucket(&"bucket".parse().unwrap()).await.unwrap();
        let (before, after) = (contents(1, 3 * MIB), contents(2, 2 * MIB));
        put(&vault, "before", before.clone(), Condition::None).await.unwrap();
        outlast.kill(1);
        assert!(get(&vault, "before").await.unwrap() == before);
        put(&vault, "after", after.clone(), Condition::None).await.unwrap();
        assert!(get(&vault, "after").await.unwrap() == after);
        let status = vault.status().await;
        let down: Vec<_> =
            status.nodes.iter().filter(|node| node.chain.is_err()).map(|node| node.index).collect();
        assert_eq!(down, [1]);
        assert!(status.nodes[0].shards.as_ref().unwrap().held >= 5 && status.height() > 0);
    });
}
