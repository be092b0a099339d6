//! Access keys with scopes, over the wire. Each operation's verbs are tested where the table is.

use crate::client::{Request, Server};
use s3::{Scope, SecretKey, Verb};

const SECRET: &str = "scoped-secret";

fn scope(verbs: &[Verb], buckets: &[&str], prefixes: &[&str]) -> Scope {
    Scope {
        verbs: verbs.iter().copied().collect(),
        buckets: buckets.iter().map(|bucket| (*bucket).to_owned()).collect(),
        prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
    }
}

/// A server on which `AKIASCOPED` has this scope, with the keys `a/1`, `a/2` and `b/1` in `bucket` and in `other`.
async fn start(scope: Scope) -> Server {
    let server = Server::with(|config| {
        config.keys.insert("AKIASCOPED".to_owned(), SecretKey::from(SECRET));
        config.scopes.insert("AKIASCOPED".to_owned(), scope);
    })
    .await;
    server.put("/other").send().await;
    for bucket in ["bucket", "other"] {
        for key in ["a/1", "a/2", "b/1"] {
            assert_eq!(server.put(&format!("/{bucket}/{key}")).body("x").send().await.status, 200);
        }
    }
    server
}

fn scoped(mut request: Request) -> Request {
    request.key = "AKIASCOPED".to_owned();
    request.secret = SECRET.to_owned();
    request
}

async fn denied(request: Request) {
    let answer = scoped(request).send().await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    if !answer.body.is_empty() {
        assert_eq!(answer.element("Code"), Some("AccessDenied"));
    }
}

#[tokio::test]
async fn a_housekeeper_lists_and_marks_and_reads_nothing() {
    let server = start(scope(&[Verb::List, Verb::Mark], &["bucket"], &[])).await;
    let listed = scoped(server.get("/bucket?list-type=2")).send().await;
    assert_eq!(listed.elements("Key"), ["a/1", "a/2", "b/1"]);
    assert_eq!(scoped(server.get("/")).send().await.elements("Name"), ["bucket"]);
    denied(server.get("/bucket/a/1")).await;
    denied(server.head("/bucket/a/1")).await;
    denied(server.put("/bucket/a/1").body("y")).await;
    denied(server.get("/other?list-type=2")).await;
    denied(server.delete("/other/a/1")).await;
    denied(server.delete("/bucket")).await;
    denied(server.put("/mine")).await;
    let version = server.head("/bucket/a/1").send().await;
    let version = version.header("x-amz-version-id").expect("an id").to_owned();
    denied(server.delete(&format!("/bucket/a/1?versionId={version}"))).await;
    assert_eq!(scoped(server.delete("/bucket/a/1")).send().await.status, 204);
    assert_eq!(server.get(&format!("/bucket/a/1?versionId={version}")).send().await.body, b"x");
}

#[tokio::test]
async fn prefixes_hold_for_every_way_to_a_key() {
    let all = [Verb::Read, Verb::Write, Verb::List, Verb::Mark, Verb::Hide];
    let server = start(scope(&all, &["bucket"], &["a/"])).await;
    assert_eq!(scoped(server.get("/bucket/a/1")).send().await.body, b"x");
    assert_eq!(scoped(server.get("/bucket?prefix=a%2F")).send().await.elements("Key"), ["a/1", "a/2"]);
    denied(server.get("/bucket/b/1")).await;
    denied(server.get("/bucket")).await;
    denied(server.get("/bucket?prefix=b%2F")).await;
    denied(server.get("/bucket?prefix=")).await;
    denied(server.get("/bucket?prefix=&prefix=a%2F")).await;
    denied(server.get("/bucket?prefix=a%2F&prefix=a%2F")).await;
    denied(server.get("/bucket?versions")).await;
    denied(server.get("/bucket?uploads")).await;
    denied(server.get("/bucket@3/b/1")).await;
    denied(server.put("/bucket/b/2").body("y")).await;
    denied(server.post("/bucket/b/2?uploads")).await;
    denied(server.put("/bucket/a/3").header("x-amz-copy-source", "/bucket/b/1")).await;
    denied(server.put("/bucket/a/3").header("x-amz-copy-source", "bucket/b%2F1")).await;
    denied(server.put("/bucket/a/3").header("x-amz-copy-source", "other/a/1")).await;
    let copied = scoped(server.put("/bucket/a/3").header("x-amz-copy-source", "/bucket/a/1")).send().await;
    assert_eq!(copied.status, 200);

    let object = |key: &str| format!("<Object><Key>{key}</Key></Object>");
    let body = format!("<Delete>{}{}</Delete>", object("a/2"), object("b/1"));
    let answer = scoped(server.post("/bucket?delete").body(body)).send().await;
    assert_eq!(answer.elements("Code"), ["AccessDenied"]);
    assert_eq!(server.get("/bucket/a/2").send().await.verdict(), (404, "NoSuchKey"));
    assert_eq!(server.get("/bucket/b/1").send().await.body, b"x");
}

#[tokio::test]
async fn bypassing_governance_takes_permission() {
    let server = start(scope(&[Verb::Hide, Verb::Lock], &[], &[])).await;
    server.put("/locked").header("x-amz-bucket-object-lock-enabled", "true").send().await;
    let put = server
        .put("/locked/k")
        .header("x-amz-object-lock-mode", "GOVERNANCE")
        .header("x-amz-object-lock-retain-until-date", "2035-01-01T00:00:00Z");
    let id = put.body("x").send().await.header("x-amz-version-id").expect("an id").to_owned();
    let path = format!("/locked/k?versionId={id}");
    denied(server.delete(&path)).await;
    denied(server.delete(&path).header("x-amz-bypass-governance-retention", "true")).await;
    assert_eq!(server.get(&path).send().await.body, b"x");
}
