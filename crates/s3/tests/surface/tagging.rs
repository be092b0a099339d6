//! Tags of objects and buckets.

use crate::client::{Answer, Server};

fn document(pairs: &[(&str, &str)]) -> String {
    let tag = |(name, value): &(&str, &str)| format!("<Tag><Key>{name}</Key><Value>{value}</Value></Tag>");
    format!("<Tagging><TagSet>{}</TagSet></Tagging>", pairs.iter().map(tag).collect::<String>())
}

fn tags(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    answer.elements("Key").into_iter().zip(answer.elements("Value")).map(pair).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn objects_have_tags_by_version() {
    let server = Server::start().await;
    let put = server.put("/bucket/k").header("x-amz-tagging", "a=1&b=x%20y").body("x").send().await;
    let first = put.header("x-amz-version-id").expect("an id").to_owned();
    server.put("/bucket/k").body("y").send().await;
    assert_eq!(tags(&server.get("/bucket/k?tagging").send().await), pairs(&[]));
    let earlier = format!("/bucket/k?tagging&versionId={first}");
    assert_eq!(tags(&server.get(&earlier).send().await), pairs(&[("a", "1"), ("b", "x y")]));

    let set = server.put("/bucket/k?tagging").body(document(&[("c", "3")])).send().await;
    assert_eq!(set.status, 200);
    assert_eq!(tags(&server.get("/bucket/k?tagging").send().await), pairs(&[("c", "3")]));
    assert_eq!(server.get("/bucket/k").send().await.header("x-amz-tagging-count"), Some("1"));
    let read = format!("/bucket/k?versionId={first}");
    assert_eq!(server.head(&read).send().await.header("x-amz-tagging-count"), Some("2"));

    assert_eq!(server.delete(&earlier).send().await.status, 204);
    assert_eq!(tags(&server.get(&earlier).send().await), pairs(&[]));
    assert_eq!(server.head(&read).send().await.header("x-amz-tagging-count"), None);
    assert_eq!(server.get("/bucket/none?tagging").send().await.verdict(), (404, "NoSuchKey"));
}

#[tokio::test]
async fn copies_and_uploads_have_tags() {
    let server = Server::start().await;
    server.put("/bucket/k").header("x-amz-tagging", "a=1").body("x").send().await;
    let copy = |key: &str| server.put(&format!("/bucket/{key}")).header("x-amz-copy-source", "bucket/k");
    assert_eq!(copy("same").send().await.status, 200);
    let other = copy("other").header("x-amz-tagging-directive", "REPLACE").header("x-amz-tagging", "b=2");
    assert_eq!(other.send().await.status, 200);
    let itself = copy("k").header("x-amz-tagging-directive", "REPLACE").header("x-amz-tagging", "c=3");
    assert_eq!(itself.send().await.status, 200);
    for (key, expected) in [("same", ("a", "1")), ("other", ("b", "2")), ("k", ("c", "3"))] {
        let answer = server.get(&format!("/bucket/{key}?tagging")).send().await;
        assert_eq!(tags(&answer), pairs(&[expected]), "{key}");
    }
    let ignored = copy("x").header("x-amz-tagging", "b=2").send().await;
    assert_eq!(ignored.verdict(), (400, "InvalidRequest"));

    let created = server.post("/bucket/m?uploads").header("x-amz-tagging", "m=1").send().await;
    let id = created.element("UploadId").expect("an id").to_owned();
    let part = server.put(&format!("/bucket/m?partNumber=1&uploadId={id}")).body("part").send().await;
    let etag = part.header("etag").expect("an ETag");
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let done = server.post(&format!("/bucket/m?uploadId={id}")).body(list).send().await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(tags(&server.get("/bucket/m?tagging").send().await), pairs(&[("m", "1")]));
    assert!(server.get("/bucket/m").send().await.header("x-amz-tagging").is_none());
}

#[tokio::test]
async fn the_past_has_the_tags_it_had() {
    let server = Server::start().await;
    server.put("/bucket/k").header("x-amz-tagging", "a=1").body("x").send().await;
    let height = 2;
    server.put("/bucket/k?tagging").body(document(&[("b", "2")])).send().await;
    let past = server.get(&format!("/bucket@{height}/k?tagging")).send().await;
    assert_eq!(tags(&past), pairs(&[("a", "1")]));
    assert_eq!(tags(&server.get("/bucket/k?tagging").send().await), pairs(&[("b", "2")]));
    let refused = server.put(&format!("/bucket@{height}/k?tagging")).body(document(&[])).send().await;
    assert_eq!(refused.verdict(), (403, "AccessDenied"));
}

#[tokio::test]
async fn buckets_have_tags() {
    let server = Server::start().await;
    assert_eq!(server.get("/bucket?tagging").send().await.verdict(), (404, "NoSuchTagSet"));
    assert!(server.put("/bucket?tagging").body(document(&[("team", "a")])).send().await.status < 300);
    assert_eq!(tags(&server.get("/bucket?tagging").send().await), pairs(&[("team", "a")]));
    assert_eq!(server.delete("/bucket?tagging").send().await.status, 204);
    assert_eq!(server.get("/bucket?tagging").send().await.verdict(), (404, "NoSuchTagSet"));
    assert_eq!(server.get("/none?tagging").send().await.verdict(), (404, "NoSuchBucket"));
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let server = Server::start().await;
    server.put("/bucket/k").body("x").send().await;
    let many: Vec<String> = (0..11).map(|at| format!("k{at}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
    for bad in [document(&many), document(&[("a", "1"), ("a", "2")]), document(&[(&"k".repeat(129), "v")])] {
        let answer = server.put("/bucket/k?tagging").body(bad).send().await;
        assert_eq!(answer.verdict(), (400, "InvalidTag"));
    }
    let twice = server.put("/bucket/x").header("x-amz-tagging", "a=1&a=2").body("x").send().await;
    assert_eq!(twice.verdict(), (400, "InvalidTag"));
    assert_eq!(server.get("/bucket/x").send().await.verdict(), (404, "NoSuchKey"));
    // The document is held to its checksum, as contents are.
    let wrong = server.put("/bucket/k?tagging").header("x-amz-checksum-crc32", "AAAAAA==");
    assert_eq!(wrong.body(document(&[("a", "1")])).send().await.verdict(), (400, "BadDigest"));
    assert_eq!(tags(&server.get("/bucket/k?tagging").send().await), pairs(&[]));
}
