//! Objects: what is put is what is got, headers, ranges, conditions, deletes and copies.

use crate::client::{Server, encode};

/// MD5 of "contents".
const ETAG: &str = "\"98bf7d8c15784f0a3d63204441e1e2aa\"";
const NOT_ETAG: &str = "\"00000000000000000000000000000000\"";

#[tokio::test]
async fn headers_and_metadata_come_back() {
    let server = Server::start().await;
    let put = server
        .put("/bucket/k")
        .header("cache-control", "no-cache")
        .header("content-disposition", "attachment")
        .header("content-encoding", "gzip")
        .header("content-language", "de")
        .header("content-type", "text/plain")
        .header("expires", "Wed, 21 Oct 2026 07:28:00 GMT")
        .header("x-amz-meta-color", "red")
        .body("contents")
        .send()
        .await;
    assert_eq!((put.status, put.header("etag")), (200, Some(ETAG)));
    let version = put.header("x-amz-version-id").expect("a version").to_owned();
    for answer in [server.get("/bucket/k").send().await, server.head("/bucket/k").send().await] {
        assert_eq!(answer.status, 200);
        for (name, value) in [
            ("cache-control", "no-cache"),
            ("content-disposition", "attachment"),
            ("content-encoding", "gzip"),
            ("content-language", "de"),
            ("content-type", "text/plain"),
            ("expires", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ("x-amz-meta-color", "red"),
            ("etag", ETAG),
            ("content-length", "8"),
            ("accept-ranges", "bytes"),
            ("x-amz-version-id", version.as_str()),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        assert!(answer.header("last-modified").is_some());
        assert_eq!(answer.header("x-amz-checksum-crc64nvme"), None);
    }
    let checked = server.head("/bucket/k").header("x-amz-checksum-mode", "ENABLED").send().await;
    assert!(checked.header("x-amz-checksum-crc64nvme").is_some());
    assert_eq!(checked.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    let bare = server.put("/bucket/bare").send().await;
    assert_eq!(bare.header("etag"), Some("\"d41d8cd98f00b204e9800998ecf8427e\""));
    let bare = server.get("/bucket/bare").send().await;
    assert_eq!((bare.body.len(), bare.header("content-type")), (0, Some("binary/octet-stream")));
    let large = server.put("/bucket/k").header("x-amz-meta-a", &"x".repeat(2048)).send().await;
    assert_eq!(large.verdict(), (400, "MetadataTooLarge"));
}

#[tokio::test]
async fn contents_of_any_size_come_back() {
    let server = Server::start().await;
    for size in [0, 1, 16 * 1024, 131_072, 131_073, (1 << 20) - 1, 1 << 20, (5 << 20) + 17] {
        let contents: Vec<u8> = (0..size).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let put = server.put("/bucket/k").body(contents.clone()).send().await;
        assert_eq!(put.status, 200, "{size}");
        let get = server.get("/bucket/k").send().await;
        assert_eq!(get.body, contents, "{size}");
        assert_eq!(get.header("etag"), put.header("etag"));
    }
}

#[tokio::test]
async fn keys_of_all_shapes() {
    let server = Server::start().await;
    let keys = [
        "plain",
        "/leading",
        "a//b",
        "trailing/",
        ".",
        "..",
        "../../etc/passwd",
        "a/./b",
        "sp ace",
        "plus+plus",
        "per%cent",
        "per%2Fcent",
        "q?x=1&y=2#z",
        "quote'\"<>&",
        "unicode-äöü-日本語-🦀",
        "tilde~star*(paren)!",
        "a=b;c:d@e,f$",
        "back\\slash",
        "\u{1}control",
        "new\nline",
    ];
    for key in keys {
        let path: Vec<String> = key.split('/').map(encode).collect();
        let path = format!("/bucket/{}", path.join("/"));
        let put = server.put(&path).body(key).send().await;
        assert_eq!(put.status, 200, "{key:?} {}", put.text());
        assert_eq!(server.get(&path).send().await.text(), key);
    }
    let list = server.get("/bucket?encoding-type=url&list-type=2").send().await;
    let mut sorted = keys;
    sorted.sort_unstable();
    let listed: Vec<String> = sorted.iter().map(|key| encode(key).replace("%2F", "/")).collect();
    assert_eq!(list.elements("Key"), listed);
    let long = format!("/bucket/{}", "k".repeat(1024));
    assert_eq!(server.put(&long).send().await.status, 200);
    let long = format!("/bucket/{}", "k".repeat(1025));
    assert_eq!(server.put(&long).send().await.verdict(), (400, "KeyTooLongError"));
    assert_eq!(server.put("/bucket/%ff").send().await.status, 400);
}

#[tokio::test]
async fn ranges() {
    let server = Server::start().await;
    server.put("/bucket/k").body("0123456789").send().await;
    server.put("/bucket/empty").send().await;
    let range = |key: &str, range: &str| server.get(&format!("/bucket/{key}")).header("range", range).send();
    for (asked, contents, header) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-5", "2345", "bytes 2-5/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=7-100", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-30", "0123456789", "bytes 0-9/10"),
    ] {
        let answer = range("k", asked).await;
        assert_eq!((answer.status, answer.text()), (206, contents), "{asked}");
        assert_eq!(answer.header("content-range"), Some(header));
        let head = server.head("/bucket/k").header("range", asked).send().await;
        assert_eq!((head.status, head.header("content-range")), (206, Some(header)), "HEAD {asked}");
        assert_eq!(head.header("content-length"), Some(contents.len().to_string().as_str()));
    }
    for (key, asked) in [("k", "bytes=10-"), ("k", "bytes=-0"), ("empty", "bytes=0-"), ("empty", "bytes=-1")]
    {
        let answer = range(key, asked).await;
        assert_eq!(answer.verdict(), (416, "InvalidRange"), "{key} {asked}");
    }
    assert_eq!(range("k", "bytes=10-").await.header("content-range"), Some("bytes */10"));
    for ignored in ["bytes=5-4", "bytes=0-1,4-5", "lines=1-2"] {
        let request = server.get("/bucket/k").unsigned("range", ignored);
        for answer in [request.clone().send().await, request.send_presigned("60").await] {
            assert_eq!((answer.status, answer.text()), (200, "0123456789"), "{ignored}");
        }
        assert_eq!(range("k", ignored).await.verdict(), (400, "InvalidArgument"), "signed, {ignored}");
    }
    let etag = server.head("/bucket/k").send().await.header("etag").expect("an etag").to_owned();
    let conditional = |validator: &str| {
        server.get("/bucket/k").header("range", "bytes=0-0").header("if-range", validator).send()
    };
    assert_eq!(conditional(&etag).await.status, 206);
    assert_eq!(conditional(NOT_ETAG).await.status, 200);
    let checked =
        server.get("/bucket/k").header("range", "bytes=0-0").header("x-amz-checksum-mode", "ENABLED");
    assert_eq!(checked.send().await.header("x-amz-checksum-crc64nvme"), None);
    assert_eq!(server.get("/bucket/k?partNumber=1").send().await.text(), "0123456789");
    assert_eq!(server.get("/bucket/k?partNumber=2").send().await.verdict(), (400, "InvalidPart"));
}

#[tokio::test]
async fn conditional_reads() {
    let server = Server::start().await;
    server.put("/bucket/k").body("contents").send().await;
    let modified = server.head("/bucket/k").send().await.header("last-modified").expect("a date").to_owned();
    let before = "Wed, 01 Jan 2020 00:00:00 GMT";
    for (name, value, status) in [
        ("if-match", ETAG, 200),
        ("if-match", "*", 200),
        ("if-match", NOT_ETAG, 412),
        ("if-none-match", ETAG, 304),
        ("if-none-match", "*", 304),
        ("if-none-match", NOT_ETAG, 200),
        ("if-modified-since", before, 200),
        ("if-modified-since", modified.as_str(), 304),
        ("if-unmodified-since", before, 412),
        ("if-unmodified-since", modified.as_str(), 200),
    ] {
        let get = server.get("/bucket/k").header(name, value).send().await;
        assert_eq!(get.status, status, "GET {name}: {value}");
        let head = server.head("/bucket/k").header(name, value).send().await;
        assert_eq!(head.status, status, "HEAD {name}: {value}");
        if status == 304 {
            assert_eq!((get.header("etag"), get.body.len()), (Some(ETAG), 0));
        }
    }
}

#[tokio::test]
async fn conditional_writes() {
    let server = Server::start().await;
    let put = |name: &str, value: &str| server.put("/bucket/k").header(name, value).body("contents").send();
    assert_eq!(put("if-match", ETAG).await.verdict(), (404, "NoSuchKey"));
    assert_eq!(put("if-none-match", "*").await.status, 200);
    assert_eq!(put("if-none-match", "*").await.verdict(), (412, "PreconditionFailed"));
    assert_eq!(put("if-none-match", ETAG).await.verdict(), (412, "PreconditionFailed"));
    assert_eq!(put("if-none-match", NOT_ETAG).await.status, 200);
    assert_eq!(put("if-match", NOT_ETAG).await.verdict(), (412, "PreconditionFailed"));
    assert_eq!(put("if-match", ETAG).await.status, 200);
    let large = server.put("/bucket/k").header("if-none-match", "*").body(vec![0; 3 << 20]).send().await;
    assert_eq!(large.verdict(), (412, "PreconditionFailed"));
    let delete = |value: &str| server.delete("/bucket/k").header("if-match", value).send();
    assert_eq!(delete(NOT_ETAG).await.verdict(), (412, "PreconditionFailed"));
    assert_eq!(delete(ETAG).await.status, 204);
    assert_eq!(delete(ETAG).await.verdict(), (404, "NoSuchKey"));
    assert_eq!(put("if-none-match", "*").await.status, 200);
}

#[tokio::test]
async fn only_one_of_many_creators_wins() {
    let server = Server::start().await;
    let attempts =
        (0..16).map(|i| server.put("/bucket/lock").header("if-none-match", "*").body(format!("{i}")).send());
    let statuses: Vec<u16> =
        futures::future::join_all(attempts).await.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 15, "{statuses:?}");
}

#[tokio::test]
async fn deletes_hide_and_versions_stay() {
    let server = Server::start().await;
    let first = server.put("/bucket/k").body("first").send().await;
    let first = first.header("x-amz-version-id").expect("a version").to_owned();
    server.put("/bucket/k").body("second").send().await;
    let deleted = server.delete("/bucket/k").send().await;
    assert_eq!((deleted.status, deleted.header("x-amz-delete-marker")), (204, Some("true")));
    let marker = deleted.header("x-amz-version-id").expect("a marker").to_owned();
    let gone = server.get("/bucket/k").send().await;
    assert_eq!(gone.verdict(), (404, "NoSuchKey"));
    assert_eq!(gone.header("x-amz-delete-marker"), Some("true"));
    assert_eq!(gone.header("x-amz-version-id"), Some(marker.as_str()));
    let old = server.get(&format!("/bucket/k?versionId={first}")).send().await;
    assert_eq!((old.status, old.text()), (200, "first"));
    let at_marker = server.get(&format!("/bucket/k?versionId={marker}")).send().await;
    assert_eq!(at_marker.verdict(), (405, "MethodNotAllowed"));
    assert_eq!(at_marker.header("x-amz-delete-marker"), Some("true"));
    assert_eq!(server.get("/bucket/k?versionId=null").send().await.verdict(), (400, "InvalidArgument"));
    let none = "f".repeat(28);
    assert_eq!(
        server.get(&format!("/bucket/k?versionId={none}")).send().await.verdict(),
        (404, "NoSuchVersion")
    );
    assert_eq!(server.memory.version_count(), 3);
    assert_eq!(server.delete("/missing/k").send().await.verdict(), (404, "NoSuchBucket"));
}

#[tokio::test]
async fn many_deletes_at_once() {
    let server = Server::start().await;
    for key in ["a", "b", "c"] {
        server.put(&format!("/bucket/{key}")).body(key).send().await;
    }
    let delete = |body: String| server.post("/bucket?delete").body(body).send();
    let object = |key: &str| format!("<Object><Key>{key}</Key></Object>");
    let versioned = "<Object><Key>c</Key><VersionId>null</VersionId></Object>";
    let answer = delete(format!("<Delete>{}{versioned}{}</Delete>", object("a"), object("missing"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.elements("Key"), ["a", "missing", "c"]);
    assert_eq!(answer.elements("Code"), ["InvalidArgument"]);
    assert_eq!(answer.elements("DeleteMarker").len(), 2);
    let quiet = delete(format!("<Delete><Quiet>true</Quiet>{}</Delete>", object("b"))).await;
    assert_eq!((quiet.status, quiet.elements("Key").len()), (200, 0));
    assert_eq!(server.get("/bucket?list-type=2").send().await.elements("Key"), ["c"]);
    let all: String = (0..1001).map(|i| object(&i.to_string())).collect();
    assert_eq!(delete(format!("<Delete>{all}</Delete>")).await.verdict(), (400, "MalformedXML"));
    assert_eq!(delete("<Delete></Delete>".to_owned()).await.verdict(), (400, "MalformedXML"));
    assert_eq!(delete("<Delete".to_owned()).await.verdict(), (400, "MalformedXML"));
}

#[tokio::test]
async fn copies() {
    let server = Server::start().await;
    let put = server.put("/bucket/a%20b").header("x-amz-meta-color", "red").header("content-type", "text/x");
    let version = put.body("contents").send().await.header("x-amz-version-id").expect("a version").to_owned();
    let copy = |to: &str, from: &str| server.put(to).header("x-amz-copy-source", from);

    let copied = copy("/bucket/copy", "/bucket/a%20b").send().await;
    assert_eq!(copied.status, 200, "{}", copied.text());
    assert_eq!(copied.element("ETag").map(|etag| etag.replace("&quot;", "\"")), Some(ETAG.to_owned()));
    assert_eq!(copied.header("x-amz-copy-source-version-id"), Some(version.as_str()));
    let got = server.get("/bucket/copy").send().await;
    assert_eq!((got.text(), got.header("x-amz-meta-color")), ("contents", Some("red")));
    assert_eq!(got.header("content-type"), Some("text/x"));

    let replaced = copy("/bucket/copy", "bucket/a%20b")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("x-amz-meta-size", "big")
        .header("content-type", "text/y");
    assert_eq!(replaced.send().await.status, 200);
    let got = server.get("/bucket/copy").send().await;
    assert_eq!((got.header("x-amz-meta-color"), got.header("x-amz-meta-size")), (None, Some("big")));
    assert_eq!((got.header("content-type"), got.text()), (Some("text/y"), "contents"));

    let itself = copy("/bucket/copy", "/bucket/copy");
    assert_eq!(itself.clone().send().await.verdict(), (400, "InvalidRequest"));
    assert_eq!(itself.header("x-amz-metadata-directive", "REPLACE").send().await.status, 200);
    server.put("/bucket/a%20b").body("changed").send().await;
    let restored = copy("/bucket/a%20b", &format!("/bucket/a%20b?versionId={version}")).send().await;
    assert_eq!(restored.status, 200, "{}", restored.text());
    assert_eq!(server.get("/bucket/a%20b").send().await.text(), "contents");

    assert_eq!(copy("/bucket/x", "/bucket/missing").send().await.verdict(), (404, "NoSuchKey"));
    assert_eq!(copy("/bucket/x", "/missing/k").send().await.verdict(), (404, "NoSuchBucket"));
    for (name, value, status) in [
        ("x-amz-copy-source-if-match", ETAG, 200),
        ("x-amz-copy-source-if-match", NOT_ETAG, 412),
        ("x-amz-copy-source-if-none-match", ETAG, 412),
        ("x-amz-copy-source-if-none-match", NOT_ETAG, 200),
        ("if-none-match", "*", 412),
        ("if-match", NOT_ETAG, 412),
    ] {
        let answer = copy("/bucket/copy", "/bucket/a%20b").header(name, value).send().await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
    let hashed =
        copy("/bucket/copy", "/bucket/a%20b").header("x-amz-checksum-algorithm", "SHA256").send().await;
    assert_eq!(
        hashed.element("ChecksumSHA256"),
        Some("0bKln76n4gB3r5+Rsn6V6GUGGycL4D/1Oas7c1h4gug="),
        "{}",
        hashed.text()
    );
}

#[tokio::test]
async fn attributes_are_told_without_contents() {
    let server = Server::start().await;
    let put = server
        .put("/bucket/k")
        .header("x-amz-checksum-sha256", "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=");
    let put = put.body("x").send().await;
    assert_eq!(put.status, 200, "{}", put.text());
    let ask = |names: &str| server.get("/bucket/k?attributes").header("x-amz-object-attributes", names);
    let all = ask("ETag,Checksum,ObjectParts, StorageClass,ObjectSize").send().await;
    let etag = put.header("etag").expect("an ETag").trim_matches('"');
    assert_eq!((all.status, all.element("ETag")), (200, Some(etag)), "{}", all.text());
    assert_eq!(all.element("ChecksumSHA256"), Some("LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="));
    assert_eq!(all.element("ChecksumType"), Some("FULL_OBJECT"));
    assert_eq!((all.element("ObjectSize"), all.element("StorageClass")), (Some("1"), Some("STANDARD")));
    assert_eq!(all.element("ObjectParts"), None);
    assert_eq!(all.header("x-amz-version-id"), put.header("x-amz-version-id"));
    let one = ask("ObjectSize").send().await;
    assert_eq!((one.element("ObjectSize"), one.element("ETag")), (Some("1"), None));
    assert_eq!(ask("Owner").send().await.verdict(), (400, "InvalidArgument"));
    assert_eq!(server.get("/bucket/k?attributes").send().await.status, 400);
}

#[tokio::test]
async fn attributes_tell_of_parts() {
    let server = Server::start().await;
    let created = server.post("/bucket/m?uploads").header("x-amz-checksum-algorithm", "CRC32").send().await;
    let id = created.element("UploadId").expect("an id").to_owned();
    let mut list = String::new();
    for (number, length) in [(1, 5 << 20), (3, 5 << 20), (7, 3)] {
        let path = format!("/bucket/m?partNumber={number}&uploadId={id}");
        let part = server.put(&path).body(vec![number; length]).send().await;
        let etag = part.header("etag").expect("an ETag");
        list += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    }
    let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
    assert_eq!(server.post(&format!("/bucket/m?uploadId={id}")).body(list).send().await.status, 200);
    let ask = || server.get("/bucket/m?attributes").header("x-amz-object-attributes", "ObjectParts");
    let all = ask().send().await;
    assert_eq!(all.elements("PartNumber"), ["1", "3", "7"], "{}", all.text());
    assert_eq!((all.element("PartsCount"), all.elements("ChecksumCRC32").len()), (Some("3"), 3));
    let page = ask().header("x-amz-max-parts", "1").header("x-amz-part-number-marker", "1").send().await;
    assert_eq!((page.elements("PartNumber"), page.element("IsTruncated")), (vec!["3"], Some("true")));
    assert_eq!(page.element("NextPartNumberMarker"), Some("3"));
}

#[tokio::test]
async fn if_match_any_is_met_by_whatever_is_there() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = Server::start().await;
    let put = |body: &str| server.put("/bucket/k").header("if-match", "*").body(body);
    assert_eq!(put("none").send().await.verdict(), (404, "NoSuchKey"));
    server.put("/bucket/k").body("first").send().await;
    let wire = put("contents").header("expect", "100-continue").signed();
    let (head, body) = wire.split_at(wire.len() - "contents".len());
    let mut stream = tokio::net::TcpStream::connect(server.address).await.expect("listening");
    stream.write_all(head).await.expect("sent");
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.expect("the condition was looked at, and the body is awaited");
    server.put("/bucket/k").body("second").send().await;
    stream.write_all(body).await.expect("sent");
    let answer = crate::client::read_answer(&mut stream, "PUT").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.get("/bucket/k").send().await.text(), "contents");
}
