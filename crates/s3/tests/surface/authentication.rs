//! Who may ask, and what must be signed. What AWS answers is in the comments where ours differs.

use crate::client::Server;

#[tokio::test]
async fn signatures_of_both_keys_pass_and_others_do_not() {
    let server = Server::start().await;
    assert_eq!(server.get("/").send().await.status, 200);
    let mut other = server.get("/");
    (other.key, other.secret) = ("AKIAOTHER".to_owned(), "other-secret".to_owned());
    assert_eq!(other.clone().send().await.status, 200);
    other.secret = "wrong".to_owned();
    let refused = other.clone().send().await;
    assert_eq!(refused.verdict(), (403, "SignatureDoesNotMatch"));
    assert!(refused.element("Message").expect("a message").contains("Check your key"));
    other.key = "AKIAUNKNOWN".to_owned();
    assert_eq!(other.send().await.verdict(), (403, "InvalidAccessKeyId"));
}

#[tokio::test]
async fn anonymous_requests_are_denied() {
    let server = Server::start().await;
    for request in [server.get("/"), server.get("/bucket/k"), server.put("/bucket/k").body("x")] {
        assert_eq!(request.send_anonymous().await.verdict(), (403, "AccessDenied"));
    }
    let head = server.head("/bucket").send_anonymous().await;
    assert_eq!((head.status, head.body.len()), (403, 0));
    assert_eq!(server.memory.version_count(), 0);
}

#[tokio::test]
async fn old_and_early_signatures_are_refused() {
    let server = Server::start().await;
    for age_s in [16 * 60, 120 * 60, -16 * 60] {
        let answer = server.get("/bucket").aged(age_s).send().await;
        // The credential's day may differ near midnight, which is refused too.
        assert_eq!(answer.status, 403, "{age_s}");
        assert!(
            matches!(answer.verdict().1, "RequestTimeTooSkewed" | "SignatureDoesNotMatch"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(server.get("/bucket").aged(10).send().await.status, 200);
}

#[tokio::test]
async fn what_is_not_signed_is_refused() {
    let server = Server::start().await;
    server.put("/bucket/secret").body("secret").send().await;
    for (name, value) in [
        ("x-amz-meta-a", "1"),
        ("x-amz-copy-source", "/bucket/secret"),
        ("x-amz-acl", "private"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
    ] {
        let answer = server.put("/bucket/k").unsigned(name, value).body("x").send().await;
        assert_eq!(answer.verdict(), (403, "AccessDenied"), "{name}");
        assert_eq!(answer.element("HeadersNotSigned"), Some(name));
        let answer = server.put("/bucket/k").unsigned(name, value).send_presigned("60").await;
        assert_eq!(answer.verdict(), (403, "AccessDenied"), "presigned, {name}");
    }
    assert_eq!(server.get("/bucket").without_host().send().await.verdict(), (403, "AccessDenied"));
    assert_eq!(
        server.get("/bucket/k").header("range", "bytes=0-0").without_host().send_presigned("60").await.status,
        403
    );
    assert_eq!(server.memory.version_count(), 1);
}

#[tokio::test]
async fn names_in_signed_headers_are_exact() {
    // A captured request, changed: the header is added, and its name listed as the dispatcher would not find it.
    let server = Server::start().await;
    server.put("/bucket/secret").body("secret").send().await;
    let wire = String::from_utf8(server.put("/bucket/k").signed()).expect("text");
    for listed in ["x-amz-copy-source ", " x-amz-copy-source", "X-Amz-Copy-Source"] {
        let changed = wire
            .replace("SignedHeaders=host;", &format!("SignedHeaders={listed};host;"))
            .replace("authorization:", "x-amz-copy-source: /bucket/secret\r\nauthorization:");
        let answer = crate::client::exchange(server.address, "PUT", changed.as_bytes()).await;
        assert_eq!(answer.verdict(), (400, "AuthorizationHeaderMalformed"), "{listed:?}");
    }
    assert_eq!(server.memory.version_count(), 1);
}

#[tokio::test]
async fn other_regions_services_and_versions_are_refused() {
    let server = Server::start().await;
    let answer = server.get("/bucket").region("eu-west-1").send().await;
    assert_eq!(answer.verdict(), (400, "AuthorizationHeaderMalformed"));
    assert_eq!(answer.element("Region"), Some("us-east-1"));
    let mut request = server.get("/bucket");
    request.service = "sts".to_owned();
    assert_eq!(request.send().await.verdict(), (400, "AuthorizationHeaderMalformed"));

    let version_2 = server.get("/bucket").header("authorization", "AWS AKIAEXAMPLE:c2lnbmF0dXJl");
    assert_eq!(version_2.send_anonymous().await.verdict(), (400, "InvalidRequest"));
    let version_2 = server.get("/bucket/k?AWSAccessKeyId=AKIAEXAMPLE&Expires=1999999999&Signature=x");
    assert_eq!(version_2.send_anonymous().await.verdict(), (400, "InvalidRequest"));
    let form = server.post("/bucket").header("content-type", "multipart/form-data; boundary=x");
    assert_eq!(form.body("--x--").send_anonymous().await.verdict(), (400, "MalformedPOSTRequest"));
    let preflight = crate::client::exchange(
        server.address,
        "OPTIONS",
        b"OPTIONS /bucket/k HTTP/1.1\r\nhost: h\r\norigin: http://a\r\naccess-control-request-method: GET\r\n\r\n",
    );
    assert_eq!(preflight.await.verdict(), (403, "AccessForbidden"));
}

#[tokio::test]
async fn presigned_urls() {
    let server = Server::start().await;
    let put = server.put("/bucket/dir/a%20b").body("contents").send_presigned("60").await;
    assert_eq!(put.status, 200, "{}", put.text());
    let get = server.get("/bucket/dir/a%20b").send_presigned("60").await;
    assert_eq!((get.status, get.text()), (200, "contents"));
    let get = server.get("/bucket/dir/a%20b?response-content-type=text%2Fx").send_presigned("604800").await;
    assert_eq!((get.status, get.header("content-type")), (200, Some("text/x")));

    let expired = server.get("/bucket/dir/a%20b").aged(120).send_presigned("60").await;
    assert_eq!(expired.verdict(), (403, "AccessDenied"));
    assert_eq!(
        server.get("/bucket/dir/a%20b").send_presigned("-1000").await.verdict(),
        (403, "AccessDenied")
    );
    for expires in ["604801", "2592000"] {
        let refused = server.get("/bucket/dir/a%20b").send_presigned(expires).await;
        assert_eq!(refused.verdict(), (400, "AuthorizationQueryParametersError"), "{expires}");
    }
    let mut forged = server.get("/bucket/dir/a%20b");
    forged.secret = "guess".to_owned();
    assert_eq!(forged.send_presigned("60").await.verdict(), (403, "SignatureDoesNotMatch"));
    let region = server.get("/bucket/dir/a%20b").region("eu-west-1").send_presigned("60").await;
    assert_eq!(region.verdict(), (400, "AuthorizationQueryParametersError"));
    // Another method than signed.
    let (target, _) = server.get("/bucket/dir/a%20b").presign("60");
    let wire = format!("DELETE {target} HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
    let other = crate::client::exchange(server.address, "DELETE", wire.as_bytes()).await;
    assert_eq!(other.verdict(), (403, "SignatureDoesNotMatch"));
}

#[tokio::test]
async fn metadata_signed_as_parameters_are_stored() {
    let server = Server::start().await;
    let put =
        server.put("/bucket/k?x-amz-meta-color=red&x-id=PutObject").body("x").send_presigned("60").await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(server.head("/bucket/k").send().await.header("x-amz-meta-color"), Some("red"));
}

#[tokio::test]
async fn what_is_not_honoured_is_not_ignored() {
    let server = Server::start().await;
    for (name, value) in [
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-context", "e30="),
        ("x-amz-bucket-object-lock-token", "t"),
        ("x-amz-website-redirect-location", "/x"),
        ("x-amz-storage-class", "GLACIER"),
        ("x-amz-invented", "1"),
    ] {
        let answer = server.put("/bucket/k").header(name, value).body("x").send().await;
        assert_eq!(answer.verdict(), (501, "NotImplemented"), "{name}");
    }
    for (name, value) in [("x-amz-acl", "public-read"), ("x-amz-grant-read", "id=1")] {
        let answer = server.put("/bucket/k").header(name, value).body("x").send().await;
        assert_eq!(answer.verdict(), (400, "AccessControlListNotSupported"), "{name}");
    }
    let stranger = server.get("/bucket").header("x-amz-expected-bucket-owner", "stranger").send().await;
    assert_eq!(stranger.verdict(), (403, "AccessDenied"));
    let token = server.get("/bucket").header("x-amz-security-token", "t").send().await;
    assert_eq!(token.verdict(), (400, "InvalidToken"));
    let fine =
        server.put("/bucket/k").header("x-amz-acl", "private").header("x-amz-storage-class", "STANDARD");
    assert_eq!(fine.header("x-amz-expected-bucket-owner", "me").body("x").send().await.status, 200);
    for path in ["/bucket?replication", "/bucket?website"] {
        assert_eq!(server.get(path).send().await.verdict(), (501, "NotImplemented"), "{path}");
    }
}
