//! Multipart uploads from opening to completion.

use crate::client::{Answer, Server};

const PART: usize = 5 << 20;

async fn open(server: &Server, headers: &[(&str, &str)]) -> String {
    let mut request = server.post("/bucket/k?uploads=");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.element("UploadId").expect("an id").to_owned()
}

async fn part(server: &Server, upload: &str, number: u16, contents: Vec<u8>) -> Answer {
    server.put(&format!("/bucket/k?partNumber={number}&uploadId={upload}")).body(contents).send().await
}

async fn complete(server: &Server, upload: &str, parts: &[(u16, &str)], headers: &[(&str, &str)]) -> Answer {
    let part = |(number, etag): &(u16, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let listed: String = parts.iter().map(part).collect();
    let body = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
    let mut request = server.post(&format!("/bucket/k?uploadId={upload}")).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send().await
}

fn etag(answer: &Answer) -> &str {
    answer.header("etag").expect("an etag")
}

#[tokio::test]
async fn parts_become_an_object() {
    let server = Server::start().await;
    let upload = open(&server, &[("x-amz-meta-color", "red"), ("content-type", "text/x")]).await;
    let second = part(&server, &upload, 7, b"tail".to_vec()).await;
    let first = part(&server, &upload, 2, vec![b'x'; PART]).await;
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(server.get("/bucket/k").send().await.status, 404);
    let done = complete(&server, &upload, &[(2, etag(&first)), (7, etag(&second))], &[]).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert!(done.header("x-amz-version-id").is_some());
    let whole = done.element("ETag").expect("an etag").replace("&quot;", "\"");
    // MD5 of the two MD5s, computed with md5sum.
    assert_eq!(whole, "\"a45f1422f2dbe3d2890829dd76adba1b-2\"");
    let get = server.get("/bucket/k").send().await;
    assert_eq!((get.body.len(), &get.body[PART..]), (PART + 4, &b"tail"[..]));
    assert_eq!((get.header("etag"), get.header("x-amz-meta-color")), (Some(whole.as_str()), Some("red")));
    assert_eq!(get.header("content-type"), Some("text/x"));

    let last = server.get("/bucket/k?partNumber=2").send().await;
    assert_eq!((last.status, last.text()), (206, "tail"));
    assert_eq!(last.header("content-range"), Some("bytes 5242880-5242883/5242884"));
    assert_eq!(last.header("x-amz-mp-parts-count"), Some("2"));
    assert_eq!(server.get("/bucket/k?partNumber=3").send().await.verdict(), (400, "InvalidPart"));
    assert_eq!(part(&server, &upload, 1, vec![]).await.verdict(), (404, "NoSuchUpload"));
    assert_eq!(server.get("/bucket?uploads").send().await.elements("Upload").len(), 0);
}

#[tokio::test]
async fn completion_is_exact() {
    let server = Server::start().await;
    let upload = open(&server, &[]).await;
    let small = part(&server, &upload, 1, b"small".to_vec()).await;
    let tail = part(&server, &upload, 2, b"tail".to_vec()).await;
    let wrong = "0".repeat(32);
    for (parts, verdict) in [
        (&[(1, etag(&small)), (2, etag(&tail))][..], (400, "EntityTooSmall")),
        (&[(2, etag(&tail)), (1, etag(&small))][..], (400, "InvalidPartOrder")),
        (&[(1, etag(&small)), (1, etag(&small))][..], (400, "InvalidPartOrder")),
        (&[(1, wrong.as_str())][..], (400, "InvalidPart")),
        (&[(3, etag(&small))][..], (400, "InvalidPart")),
        (&[][..], (400, "MalformedXML")),
    ] {
        let answer = complete(&server, &upload, parts, &[]).await;
        assert_eq!(answer.verdict(), verdict, "{parts:?} {}", answer.text());
    }
    let size = complete(&server, &upload, &[(1, etag(&small))], &[("x-amz-mp-object-size", "6")]).await;
    assert_eq!(size.verdict(), (400, "InvalidRequest"));
    let condition = complete(&server, &upload, &[(1, etag(&small))], &[("if-match", "\"x\"")]).await;
    assert_eq!(condition.verdict(), (404, "NoSuchKey"));
    let done = complete(&server, &upload, &[(1, etag(&small))], &[("if-none-match", "*")]).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let again = open(&server, &[]).await;
    let only = part(&server, &again, 1, b"other".to_vec()).await;
    let taken = complete(&server, &again, &[(1, etag(&only))], &[("if-none-match", "*")]).await;
    assert_eq!(taken.verdict(), (412, "PreconditionFailed"));
    for number in ["0", "10001", "-1", "x"] {
        let answer = server.put(&format!("/bucket/k?partNumber={number}&uploadId={again}")).send().await;
        assert_eq!(answer.verdict(), (400, "InvalidArgument"), "{number}");
    }
    for id in ["x", &"0".repeat(32)] {
        assert_eq!(part(&server, id, 1, vec![]).await.verdict(), (404, "NoSuchUpload"));
    }
}

/// As clients do that heard no answer.
#[tokio::test]
async fn what_was_completed_can_be_completed_again() {
    let server = Server::start().await;
    let upload = open(&server, &[("x-amz-checksum-algorithm", "CRC32")]).await;
    let (one, two) = (
        part(&server, &upload, 1, vec![b'x'; PART]).await,
        part(&server, &upload, 2, b"tail".to_vec()).await,
    );
    let parts = [(1, etag(&one)), (2, etag(&two))];
    let first = complete(&server, &upload, &parts, &[]).await;
    assert_eq!(first.status, 200, "{}", first.text());
    for headers in [&[][..], &[("if-none-match", "*")], &[("if-match", "\"before\"")]] {
        let again = complete(&server, &upload, &parts, headers).await;
        assert_eq!((again.status, again.text()), (200, first.text()), "{headers:?}");
        assert_eq!(again.header("x-amz-version-id"), first.header("x-amz-version-id"));
    }
    let no_upload = (404, "NoSuchUpload");
    assert_eq!(complete(&server, &upload, &parts[..1], &[]).await.verdict(), no_upload, "other parts");
    server.put("/bucket/k").body("newer").send().await;
    assert_eq!(complete(&server, &upload, &parts, &[]).await.verdict(), no_upload, "no longer current");
    server.memory.fail(Some(vault::Error::Unavailable("for now".to_owned())));
    assert_eq!(complete(&server, &upload, &parts, &[]).await.status, 503, "not said to be gone");
    server.memory.fail(None);

    let aborted = open(&server, &[]).await;
    let only = part(&server, &aborted, 1, b"only".to_vec()).await;
    server.delete(&format!("/bucket/k?uploadId={aborted}")).send().await;
    assert_eq!(complete(&server, &aborted, &[(1, etag(&only))], &[]).await.verdict(), no_upload);
}

#[tokio::test]
async fn checksums_of_the_whole() {
    let server = Server::start().await;
    for (algorithm, kind, header) in [
        ("CRC32", "COMPOSITE", "x-amz-checksum-crc32"),
        ("CRC32", "FULL_OBJECT", "x-amz-checksum-crc32"),
        ("CRC32C", "FULL_OBJECT", "x-amz-checksum-crc32c"),
        ("CRC64NVME", "FULL_OBJECT", "x-amz-checksum-crc64nvme"),
        ("SHA1", "COMPOSITE", "x-amz-checksum-sha1"),
        ("SHA256", "COMPOSITE", "x-amz-checksum-sha256"),
    ] {
        let asked = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)];
        let upload = open(&server, &asked).await;
        let first = part(&server, &upload, 1, vec![b'x'; PART]).await;
        let second = part(&server, &upload, 2, b"tail".to_vec()).await;
        assert!(first.header(header).is_some(), "{algorithm}");
        let wrong = [(header, "AAAAAA==")];
        let parts = [(1, etag(&first)), (2, etag(&second))];
        assert_eq!(
            complete(&server, &upload, &parts, &wrong).await.verdict(),
            (400, "BadDigest"),
            "{algorithm}"
        );
        assert_eq!(complete(&server, &upload, &parts, &[]).await.status, 200);
        let get = server.head("/bucket/k").header("x-amz-checksum-mode", "ENABLED").send().await;
        assert_eq!(get.header("x-amz-checksum-type"), Some(kind));
        let known = get.header(header).expect("a checksum").to_owned();
        assert_eq!(known.ends_with("-2"), kind == "COMPOSITE", "{known}");
        if kind == "FULL_OBJECT" {
            let mut contents = vec![b'x'; PART];
            contents.extend_from_slice(b"tail");
            let put = server.put("/bucket/one").header(header, &known).body(contents).send().await;
            assert_eq!(put.status, 200, "{algorithm} of the whole: {}", put.text());
        }
    }
    let upload = open(&server, &[("x-amz-checksum-algorithm", "CRC32")]).await;
    let path = format!("/bucket/k?partNumber=1&uploadId={upload}");
    let other = server.put(&path).header("x-amz-checksum-crc32c", "4waSgw==").body("123456789").send().await;
    assert_eq!(other.verdict(), (400, "InvalidRequest"));
    let unfit = server.post("/bucket/k?uploads=").header("x-amz-checksum-algorithm", "SHA1");
    assert_eq!(
        unfit.header("x-amz-checksum-type", "FULL_OBJECT").send().await.verdict(),
        (400, "InvalidRequest")
    );
}

#[tokio::test]
async fn parts_and_uploads_are_listed() {
    let server = Server::start().await;
    let upload = open(&server, &[("x-amz-checksum-algorithm", "CRC32")]).await;
    for number in [1, 3, 5] {
        part(&server, &upload, number, vec![b'x'; usize::from(number)]).await;
    }
    let list = server.get(&format!("/bucket/k?max-parts=2&uploadId={upload}")).send().await;
    assert_eq!((list.elements("PartNumber"), list.elements("Size")), (vec!["1", "3"], vec!["1", "3"]));
    assert_eq!(
        (list.element("NextPartNumberMarker"), list.element("IsTruncated")),
        (Some("3"), Some("true"))
    );
    assert_eq!(list.elements("ChecksumCRC32").len(), 2);
    let rest = server.get(&format!("/bucket/k?part-number-marker=3&uploadId={upload}")).send().await;
    assert_eq!((rest.elements("PartNumber"), rest.element("IsTruncated")), (vec!["5"], Some("false")));

    let other =
        server.post("/bucket/a%20b?uploads=").send().await.element("UploadId").expect("an id").to_owned();
    let list = server.get("/bucket?encoding-type=url&uploads=").send().await;
    assert_eq!(list.elements("UploadId"), [other.as_str(), upload.as_str()]);
    assert_eq!(list.elements("Key"), ["a%20b", "k"]);
    let page = server.get("/bucket?max-uploads=1&uploads=").send().await;
    assert_eq!((page.element("IsTruncated"), page.element("NextKeyMarker")), (Some("true"), Some("a b")));
    assert_eq!(page.element("NextUploadIdMarker"), Some(other.as_str()));
    let path = format!("/bucket?key-marker=a%20b&upload-id-marker={other}&uploads=");
    assert_eq!(server.get(&path).send().await.elements("Key"), ["k"]);
    assert_eq!(server.get("/bucket?prefix=a&uploads=").send().await.elements("Key"), ["a b"]);

    assert_eq!(server.delete(&format!("/bucket/k?uploadId={upload}")).send().await.status, 204);
    let gone = server.get(&format!("/bucket/k?uploadId={upload}")).send().await;
    assert_eq!(gone.verdict(), (404, "NoSuchUpload"));
}

#[tokio::test]
async fn parts_are_copied() {
    let server = Server::start().await;
    let contents: Vec<u8> = (0..PART + 10).map(|i| (i % 253) as u8).collect();
    server.put("/bucket/source").body(contents.clone()).send().await;
    let upload = open(&server, &[]).await;
    let copy = |number: u16, range: Option<&str>| {
        let request = server.put(&format!("/bucket/k?partNumber={number}&uploadId={upload}"));
        let request = request.header("x-amz-copy-source", "/bucket/source");
        match range {
            Some(range) => request.header("x-amz-copy-source-range", range).send(),
            None => request.send(),
        }
    };
    let first = copy(1, None).await;
    let second = copy(2, Some("bytes=3-7")).await;
    assert_eq!((first.status, second.status), (200, 200), "{} {}", first.text(), second.text());
    assert_eq!(copy(3, Some("bytes=0-9999999999")).await.verdict(), (416, "InvalidRange"));
    assert_eq!(copy(3, Some("bytes=7")).await.verdict(), (400, "InvalidArgument"));
    let etags =
        [&first, &second].map(|answer| answer.element("ETag").expect("an etag").replace("&quot;", ""));
    let done = complete(&server, &upload, &[(1, &etags[0]), (2, &etags[1])], &[]).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let expected = [&contents[..], &contents[3..8]].concat();
    assert_eq!(server.get("/bucket/k").send().await.body, expected);
}
