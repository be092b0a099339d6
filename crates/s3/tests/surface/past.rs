//! Buckets in the past: every read of any client, and no write.

use crate::client::{Server, encode};

const START_MS: u64 = 1_790_000_000_000;

/// A server whose key `k` held `one`, then `two`, then was deleted, then had all its versions hidden; and the heights
/// of the first three.
async fn lived() -> (Server, [u64; 3], [String; 2]) {
    let server = Server::start().await;
    let mut versions = Vec::new();
    for body in ["one", "two"] {
        let put = server.put("/bucket/k").body(body).send().await;
        versions.push(put.header("x-amz-version-id").expect("a version").to_owned());
    }
    let marker = server.delete("/bucket/k").send().await;
    versions.push(marker.header("x-amz-version-id").expect("a marker").to_owned());
    for version in &versions {
        assert_eq!(server.delete(&format!("/bucket/k?versionId={version}")).send().await.status, 204);
    }
    assert_eq!(server.delete("/bucket").send().await.status, 204);
    let heights = [0, 1, 2].map(|at: usize| u64::from_str_radix(&versions[at][..16], 16).expect("a height"));
    let [one, two, _] = <[String; 3]>::try_from(versions).expect("three");
    (server, heights, [one, two])
}

#[tokio::test]
async fn objects_are_read_as_they_were() {
    let (server, [first, second, third], [one, two]) = lived().await;
    assert_eq!(server.get("/bucket/k").send().await.verdict(), (404, "NoSuchBucket"));
    for (height, body) in [(first, "one"), (second, "two")] {
        for bucket in [format!("bucket@{height}"), format!("bucket--at-{height}")] {
            let got = server.get(&format!("/{}/k", encode(&bucket))).send().await;
            assert_eq!((got.status, got.text()), (200, body), "{bucket}");
            let head = server.head(&format!("/{}/k", encode(&bucket))).send().await;
            assert_eq!(head.header("etag"), got.header("etag"));
        }
    }
    let range = server.get(&format!("/bucket--at-{second}/k")).header("range", "bytes=1-1").send().await;
    assert_eq!((range.status, range.text()), (206, "w"));
    let gone = server.get(&format!("/bucket--at-{third}/k")).send().await;
    assert_eq!((gone.verdict(), gone.header("x-amz-delete-marker")), ((404, "NoSuchKey"), Some("true")));
    let by_id =
        |height, version: &str| server.get(&format!("/bucket--at-{height}/k?versionId={version}")).send();
    assert_eq!(by_id(second, &one).await.text(), "one");
    assert_eq!(by_id(first, &two).await.verdict(), (404, "NoSuchVersion"));
}

#[tokio::test]
async fn times_name_the_state_that_was_then() {
    let (server, [first, second, _], _) = lived().await;
    let at = |height: u64, more_ms: u64| {
        let time_s = (START_MS + height * 1000 + more_ms) / 1000;
        // Within the hour that begins at 2026-09-21T13:00:00Z.
        let (minute, second) = ((time_s - 1_789_995_600) / 60, time_s % 60);
        assert!(minute < 120, "{minute}");
        let (hour, minute) = (13 + minute / 60, minute % 60);
        (
            format!("2026-09-21T{hour:02}:{minute:02}:{second:02}Z"),
            format!("20260921t{hour:02}{minute:02}{second:02}z"),
        )
    };
    for (height, body) in [(first, "one"), (second, "two")] {
        let (long, short) = at(height, 0);
        for bucket in [format!("bucket@{long}"), format!("bucket@{short}"), format!("bucket--at-{short}")] {
            let got = server.get(&format!("/{}/k", encode(&bucket))).send().await;
            assert_eq!((got.status, got.text()), (200, body), "{bucket}");
        }
    }
    let before = server.get("/bucket--at-20200101t000000z/k").send().await;
    assert_eq!(before.verdict(), (404, "NoSuchBucket"));
    for later in ["bucket--at-20990101t000000z", "bucket--at-999999"] {
        assert_eq!(server.get(&format!("/{later}/k")).send().await.verdict(), (400, "InvalidArgument"));
    }
}

#[tokio::test]
async fn listings_are_as_they_were() {
    let (server, [first, second, third], [one, two]) = lived().await;
    for query in ["", "list-type=2"] {
        let listed = server.get(&format!("/bucket--at-{second}?{query}")).send().await;
        assert_eq!((listed.elements("Key"), listed.element("Size")), (vec!["k"], Some("3")), "{query}");
        let none = server.get(&format!("/bucket--at-{third}?{query}")).send().await;
        assert_eq!((none.status, none.elements("Key").len()), (200, 0));
    }
    let versions = server.get(&format!("/bucket--at-{second}?versions")).send().await;
    assert_eq!(versions.elements("VersionId"), [two.as_str(), one.as_str()]);
    let versions = server.get(&format!("/bucket--at-{first}?versions")).send().await;
    assert_eq!(versions.elements("VersionId"), [one.as_str()]);
    assert_eq!(server.head(&format!("/bucket--at-{first}")).send().await.status, 200);
    assert_eq!(server.head("/bucket--at-0").send().await.status, 404);
    let hosted = server.get("/k").hosted(&format!("bucket--at-{second}.localhost:{}", server.address.port()));
    assert_eq!(hosted.send().await.text(), "two");
}

#[tokio::test]
async fn the_past_is_not_written() {
    let (server, [first, ..], [one, _]) = lived().await;
    let denied = (403, "AccessDenied");
    assert_eq!(server.put(&format!("/bucket--at-{first}")).send().await.verdict(), denied);
    assert_eq!(server.delete(&format!("/bucket--at-{first}")).send().await.verdict(), denied);
    for bucket in [format!("bucket--at-{first}"), encode(&format!("bucket@{first}"))] {
        assert_eq!(server.put(&format!("/{bucket}/k")).body("x").send().await.verdict(), denied);
        assert_eq!(server.delete(&format!("/{bucket}/k")).send().await.verdict(), denied);
        let version = server.delete(&format!("/{bucket}/k?versionId={one}")).send().await;
        assert_eq!(version.verdict(), denied);
        assert_eq!(server.post(&format!("/{bucket}/k?uploads")).send().await.verdict(), denied);
    }
    // What was is copied into what is.
    assert_eq!(server.put("/bucket").send().await.status, 200);
    let copy = server.put("/bucket/k").header("x-amz-copy-source", &format!("bucket--at-{first}/k"));
    assert_eq!(copy.send().await.status, 200);
    assert_eq!(server.get("/bucket/k").send().await.text(), "one");
}
