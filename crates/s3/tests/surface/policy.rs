//! Bucket policies over the wire: for everybody, and for access keys with and without scopes.

use crate::client::{Answer, KEY, Request, Server};
use s3::{Scope, SecretKey, Verb};

const SECRET: &str = "scoped-secret";

fn statement(effect: &str, principal: &str, actions: &str, resource: &str) -> String {
    format!(
        r#"{{"Effect": "{effect}", "Principal": {principal}, "Action": {actions}, "Resource": "arn:aws:s3:::{resource}"}}"#
    )
}

fn policy(statements: &[String]) -> String {
    format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.join(","))
}

fn public_read(resource: &str) -> String {
    statement("Allow", r#""*""#, r#""s3:GetObject""#, resource)
}

async fn set(server: &Server, statements: &[String]) -> Answer {
    server.put("/bucket?policy").body(policy(statements)).send().await
}

/// A server with `AKIASCOPED`, which may list only, and the keys `a/1`, `b/1` in `bucket` and `other`.
async fn start() -> Server {
    let server = Server::with(|config| {
        config.keys.insert("AKIASCOPED".to_owned(), SecretKey::from(SECRET));
        let scope = Scope { verbs: [Verb::List].into(), ..Scope::default() };
        config.scopes.insert("AKIASCOPED".to_owned(), scope);
    })
    .await;
    server.put("/other").send().await;
    for path in ["/bucket/a/1", "/bucket/b/1", "/other/a/1"] {
        assert_eq!(server.put(path).body("x").send().await.status, 200);
    }
    server
}

fn scoped(mut request: Request) -> Request {
    request.key = "AKIASCOPED".to_owned();
    request.secret = SECRET.to_owned();
    request
}

fn is_denied(answer: &Answer) {
    assert_eq!(answer.status, 403, "{}", answer.text());
    if !answer.body.is_empty() {
        assert_eq!(answer.element("Code"), Some("AccessDenied"));
    }
}

#[tokio::test]
async fn without_a_policy_nobody_may_do_anything() {
    let server = start().await;
    for request in [
        server.get("/"),
        server.get("/bucket"),
        server.get("/bucket/a/1"),
        server.head("/bucket/a/1"),
        server.get("/none/a/1"),
        server.put("/bucket/a/2").body("y"),
        server.delete("/bucket/a/1"),
        server.put("/mine"),
        server.get("/bucket?policy"),
        server.put("/bucket?policy").body(policy(&[public_read("bucket/*")])),
        server.post("/bucket?delete").body("<Delete><Object><Key>a/1</Key></Object></Delete>"),
    ] {
        is_denied(&request.send_anonymous().await);
    }
}

#[tokio::test]
async fn a_prefix_is_public_and_nothing_else() {
    let server = start().await;
    let put = set(&server, &[public_read("bucket/a/*")]).await;
    assert_eq!(put.status, 204, "{}", put.text());
    let read = server.get("/bucket?policy").send().await;
    assert_eq!(read.text(), policy(&[public_read("bucket/a/*")]));
    let status = server.get("/bucket?policyStatus").send().await;
    assert_eq!(status.element("IsPublic").map(str::to_ascii_lowercase).as_deref(), Some("true"));

    assert_eq!(server.get("/bucket/a/1").send_anonymous().await.body, b"x");
    assert_eq!(server.head("/bucket/a/1").send_anonymous().await.status, 200);
    let part = server.get("/bucket/a/1").header("range", "bytes=0-0").send_anonymous().await;
    assert_eq!(part.status, 206);
    let version = server.head("/bucket/a/1").send().await.header("x-amz-version-id").unwrap().to_owned();
    let height = u64::from_str_radix(&version[..16], 16).unwrap();
    for request in [
        server.get("/bucket/b/1"),
        server.get("/other/a/1"),
        server.get("/bucket?list-type=2"),
        server.get("/bucket?list-type=2&prefix=a%2F"),
        server.get(&format!("/bucket/a/1?versionId={version}")),
        server.get(&format!("/bucket@{height}/a/1")),
        server.get("/bucket/a/1?tagging"),
        server.put("/bucket/a/1").body("y"),
        server.delete("/bucket/a/1"),
        server.put("/bucket/a/2").header("x-amz-copy-source", "/bucket/a/1"),
    ] {
        is_denied(&request.send_anonymous().await);
    }
    let renamed = server.get("/bucket/a/1?response-content-type=text%2Fhtml").send_anonymous().await;
    assert_eq!(renamed.verdict(), (400, "InvalidRequest"));
    // What was public is not when it is deleted, though its past is there.
    server.delete("/bucket/a/1").send().await;
    assert_eq!(server.get("/bucket/a/1").send_anonymous().await.status, 404);
    is_denied(&server.get(&format!("/bucket@{height}/a/1")).send_anonymous().await);

    assert_eq!(server.delete("/bucket?policy").send().await.status, 204);
    is_denied(&server.get("/bucket/a/1").send_anonymous().await);
    assert_eq!(server.get("/bucket?policy").send().await.verdict(), (404, "NoSuchBucketPolicy"));
    assert_eq!(server.get("/bucket?policyStatus").send().await.verdict(), (404, "NoSuchBucketPolicy"));
}

#[tokio::test]
async fn everybody_may_list_what_is_public() {
    let server = start().await;
    let mut lists = statement("Allow", r#"{"AWS": "*"}"#, r#"["s3:ListBucket"]"#, "bucket");
    lists.insert_str(lists.len() - 1, r#", "Condition": {"StringLike": {"s3:prefix": "a/*"}}"#);
    assert_eq!(set(&server, &[lists]).await.status, 204);
    let listed = server.get("/bucket?list-type=2&prefix=a%2F").send_anonymous().await;
    assert_eq!(listed.elements("Key"), ["a/1"], "{}", listed.text());
    is_denied(&server.get("/bucket?list-type=2").send_anonymous().await);
    is_denied(&server.get("/bucket?list-type=2&prefix=").send_anonymous().await);
    is_denied(&server.get("/bucket?prefix=a%2F&prefix=").send_anonymous().await);
    is_denied(&server.get("/bucket?prefix=&prefix=a%2F").send().await);
    is_denied(&server.get("/bucket?versions&prefix=a%2F").send_anonymous().await);
    is_denied(&server.get("/bucket/a/1").send_anonymous().await);
}

#[tokio::test]
async fn what_a_policy_allows_goes_beyond_a_scope() {
    let server = start().await;
    is_denied(&scoped(server.get("/bucket/a/1")).send().await);
    let named = statement(
        "Allow",
        r#"{"AWS": "AKIASCOPED"}"#,
        r#"["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]"#,
        "bucket/a/*",
    );
    assert_eq!(set(&server, &[named]).await.status, 204);
    assert_eq!(scoped(server.get("/bucket/a/1")).send().await.body, b"x");
    assert_eq!(scoped(server.put("/bucket/a/2").body("y")).send().await.status, 200);
    let copy = |to: &str, from| scoped(server.put(to).header("x-amz-copy-source", from));
    assert_eq!(copy("/bucket/a/3", "/bucket/a/1").send().await.status, 200);
    is_denied(&copy("/bucket/a/3", "/bucket/b/1").send().await);
    is_denied(&copy("/bucket/a/3", "/other/a/1").send().await);
    is_denied(&copy("/bucket/b/3", "/bucket/a/1").send().await);
    is_denied(&scoped(server.put("/bucket/a/2").header("x-amz-tagging", "a=b").body("y")).send().await);
    is_denied(&scoped(server.get("/bucket/b/1")).send().await);
    is_denied(&server.get("/bucket/a/1").send_anonymous().await);
    assert_eq!(scoped(server.get("/bucket?list-type=2")).send().await.status, 200);
    let object = |key: &str| format!("<Object><Key>{key}</Key></Object>");
    let body = format!("<Delete>{}{}</Delete>", object("a/2"), object("b/1"));
    let answer = scoped(server.post("/bucket?delete").body(body)).send().await;
    assert_eq!(answer.elements("Code"), ["AccessDenied"], "{}", answer.text());
    assert_eq!(server.get("/bucket/a/2").send().await.status, 404);
    assert_eq!(server.get("/bucket/b/1").send().await.status, 200);
}

#[tokio::test]
async fn a_denial_wins_over_everything_but_can_be_taken_back() {
    let server = start().await;
    let version = server.head("/bucket/a/1").send().await.header("x-amz-version-id").unwrap().to_owned();
    let everything = statement("Allow", r#""*""#, r#""s3:*""#, "bucket/*");
    let deny = |principal: &str, action: &str, resource: &str| {
        statement("Deny", principal, &format!(r#""{action}""#), resource)
    };
    let statements = [
        everything,
        deny(r#""*""#, "s3:GetObject", "bucket/a/*"),
        deny(&format!(r#"{{"AWS": "{KEY}"}}"#), "s3:Delete*", "*"),
    ];
    assert_eq!(set(&server, &statements).await.status, 204);
    is_denied(&server.get("/bucket/a/1").send().await);
    is_denied(&scoped(server.get("/bucket/a/1")).send().await);
    is_denied(&server.get(&format!("/bucket/a/1?versionId={version}")).send().await);
    is_denied(&server.get("/bucket/a/1?attributes").header("x-amz-object-attributes", "ETag").send().await);
    is_denied(&server.put("/other/a/2").header("x-amz-copy-source", "/bucket/a/1").send().await);
    assert_eq!(server.get("/bucket/b/1").send_anonymous().await.body, b"x");
    is_denied(&server.delete("/bucket/b/1").send().await);
    is_denied(&server.delete("/bucket").send().await);
    let body = "<Delete><Object><Key>b/1</Key></Object></Delete>";
    let answer = server.post("/bucket?delete").body(body).send().await;
    assert_eq!(answer.elements("Code"), ["AccessDenied"], "{}", answer.text());
    // Others may; and anybody may write, as the policy says.
    assert_eq!(server.put("/bucket/b/2").body("y").send_anonymous().await.status, 200);
    assert_eq!(scoped(server.delete("/bucket/b/1")).send().await.status, 204);
    let answer = server.post("/bucket?delete").body(body.replace("b/1", "b/2")).send_anonymous().await;
    assert_eq!((answer.status, answer.elements("Code").len()), (200, 0), "{}", answer.text());

    let all = deny(r#""*""#, "s3:*", "*");
    assert_eq!(set(&server, &[all]).await.status, 204);
    is_denied(&server.get("/bucket/b/2").send().await);
    is_denied(&server.get("/bucket?list-type=2").send().await);
    is_denied(&scoped(server.delete("/bucket?policy")).send().await);
    assert_eq!(server.delete("/bucket?policy").send().await.status, 204);
    assert_eq!(server.get("/bucket/a/1").send().await.body, b"x");
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let server = start().await;
    let good = public_read("bucket/*");
    let condition = |text: &str| good.replace("}", &format!(r#", "Condition": {text}}}"#));
    for bad in [
        good.replace("Action", "NotAction"),
        good.replace("Principal", "NotPrincipal"),
        good.replace("Resource", "NotResource"),
        condition(r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#),
        good.replace("s3:GetObject", "s3:Fly"),
        good.replace("bucket/*", "other/*"),
        good.replace(r#""*""#, r#"{"AWS": "AKIANOBODY"}"#),
    ] {
        let answer = set(&server, std::slice::from_ref(&bad)).await;
        assert_eq!(answer.verdict(), (400, "MalformedPolicy"), "{bad}");
    }
    let long = good.replace("bucket/*", &format!("bucket/{}", "x".repeat(12_000)));
    assert_eq!(set(&server, &[long]).await.verdict(), (400, "MalformedPolicy"));
    assert_eq!(server.get("/bucket?policy").send().await.verdict(), (404, "NoSuchBucketPolicy"));
    let none = server.put("/none?policy").body(policy(&[public_read("none/*")])).send().await;
    assert_eq!(none.verdict(), (404, "NoSuchBucket"));
}

#[tokio::test]
async fn public_access_can_be_blocked() {
    let server = start().await;
    let missing = server.get("/bucket?publicAccessBlock").send().await;
    assert_eq!(missing.verdict(), (404, "NoSuchPublicAccessBlockConfiguration"));
    let block = |policy: bool, restrict: bool| {
        format!(
            "<PublicAccessBlockConfiguration><BlockPublicPolicy>{policy}</BlockPublicPolicy><RestrictPublicBuckets>\
             {restrict}</RestrictPublicBuckets></PublicAccessBlockConfiguration>"
        )
    };
    let put = server.put("/bucket?publicAccessBlock").body(block(true, false)).send().await;
    assert_eq!(put.status, 200, "{}", put.text());
    is_denied(&set(&server, &[public_read("bucket/*")]).await);
    let named = statement("Allow", r#"{"AWS": "AKIASCOPED"}"#, r#""s3:GetObject""#, "bucket/*");
    assert_eq!(set(&server, std::slice::from_ref(&named)).await.status, 204);

    server.put("/bucket?publicAccessBlock").body(block(false, true)).send().await;
    let read = server.get("/bucket?publicAccessBlock").send().await;
    assert_eq!(read.element("RestrictPublicBuckets"), Some("true"), "{}", read.text());
    assert_eq!(read.element("BlockPublicPolicy"), Some("false"));
    assert_eq!(set(&server, &[public_read("bucket/*")]).await.status, 204);
    is_denied(&server.get("/bucket/a/1").send_anonymous().await);
    assert_eq!(scoped(server.get("/bucket/a/1")).send().await.body, b"x");
    let status = server.get("/bucket?policyStatus").send().await;
    assert_eq!(status.element("IsPublic").map(str::to_ascii_lowercase).as_deref(), Some("false"));

    assert_eq!(server.delete("/bucket?publicAccessBlock").send().await.status, 204);
    assert_eq!(server.get("/bucket/a/1").send_anonymous().await.body, b"x");
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_lets_nobody_in() {
    let server = start().await;
    assert_eq!(set(&server, &[public_read("bucket/*")]).await.status, 204);
    server.memory.fail(Some(vault::Error::Unavailable("away".to_owned())));
    assert_eq!(server.get("/bucket/a/1").send_anonymous().await.status, 503);
    assert_eq!(server.get("/bucket/a/1").send().await.status, 503);
}
