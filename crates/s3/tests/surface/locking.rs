//! Object lock as clients see it. That nobody goes round it is the ledger's to show.

use crate::client::Server;

const FAR: &str = "2035-01-01T00:00:00Z";
const FARTHER: &str = "2035-06-01T00:00:00Z";

fn retention(mode: &str, until: &str) -> String {
    format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>")
}

fn hold(status: &str) -> String {
    format!("<LegalHold><Status>{status}</Status></LegalHold>")
}

fn configuration(rule: &str) -> String {
    let enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>";
    format!("<ObjectLockConfiguration>{enabled}{rule}</ObjectLockConfiguration>")
}

fn rule(inside: &str) -> String {
    format!("<Rule><DefaultRetention>{inside}</DefaultRetention></Rule>")
}

/// A server with the bucket `locked`, which has object lock.
async fn start() -> Server {
    let server = Server::start().await;
    let created = server.put("/locked").header("x-amz-bucket-object-lock-enabled", "true").send().await;
    assert_eq!(created.status, 200);
    server
}

#[tokio::test]
async fn buckets_are_configured() {
    let server = start().await;
    let empty = server.get("/locked?object-lock").send().await;
    assert_eq!((empty.status, empty.element("ObjectLockEnabled")), (200, Some("Enabled")));
    let none = server.get("/bucket?object-lock").send().await;
    assert_eq!(none.verdict(), (404, "ObjectLockConfigurationNotFoundError"));
    // An existing bucket can be given object lock, and never loses it.
    let days = configuration(&rule("<Mode>COMPLIANCE</Mode><Days>3</Days>"));
    assert_eq!(server.put("/bucket?object-lock").body(days).send().await.status, 200);
    let read = server.get("/bucket?object-lock").send().await;
    assert_eq!((read.element("Mode"), read.element("Days")), (Some("COMPLIANCE"), Some("3")));
    let put = server.put("/bucket/k").body("x").send().await;
    let id = put.header("x-amz-version-id").expect("an id").to_owned();
    let head = server.head("/bucket/k").send().await;
    assert_eq!(head.header("x-amz-object-lock-mode"), Some("COMPLIANCE"));
    let refused = server.delete(&format!("/bucket/k?versionId={id}")).send().await;
    assert_eq!(refused.verdict(), (403, "AccessDenied"));

    for (bad, code) in [
        (configuration(&rule("<Mode>GOVERNANCE</Mode><Days>0</Days>")), "InvalidRetentionPeriod"),
        (configuration(&rule("<Mode>GOVERNANCE</Mode><Years>-1</Years>")), "InvalidRetentionPeriod"),
        (configuration(&rule("<Mode>GOVERNANCE</Mode><Years>100</Years>")), "InvalidRetentionPeriod"),
        (configuration(&rule("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>")), "MalformedXML"),
        (configuration(&rule("<Mode>GOVERNANCE</Mode>")), "MalformedXML"),
        (configuration(&rule("<Mode>governance</Mode><Days>1</Days>")), "MalformedXML"),
        ("<ObjectLockConfiguration></ObjectLockConfiguration>".to_owned(), "MalformedXML"),
    ] {
        let answer = server.put("/locked?object-lock").body(bad.clone()).send().await;
        assert_eq!(answer.verdict(), (400, code), "{bad}");
    }
}

#[tokio::test]
async fn a_retained_version_stays() {
    let server = start().await;
    let put = server.put("/locked/k").body("x").send().await;
    let id = put.header("x-amz-version-id").expect("an id").to_owned();
    let path = format!("/locked/k?versionId={id}");
    let at = "/locked/k?retention";
    assert_eq!(server.get(at).send().await.verdict(), (404, "NoSuchObjectLockConfiguration"));
    assert_eq!(server.put(at).body(retention("GOVERNANCE", FAR)).send().await.status, 200);
    let read = server.get(at).send().await;
    assert_eq!(read.element("Mode"), Some("GOVERNANCE"));
    assert!(read.element("RetainUntilDate").is_some_and(|until| until.starts_with("2035-01-01T00:00:00")));
    let head = server.head("/locked/k").send().await;
    assert_eq!(head.header("x-amz-object-lock-mode"), Some("GOVERNANCE"));
    assert!(
        head.header("x-amz-object-lock-retain-until-date").is_some_and(|until| until.starts_with("2035"))
    );

    assert_eq!(server.delete(&path).send().await.verdict(), (403, "AccessDenied"));
    assert_eq!(server.delete("/locked/k").send().await.status, 204, "a delete marker hides nothing for good");
    let at = format!("/locked/k?retention&versionId={id}");
    let shorter = retention("GOVERNANCE", "2034-01-01T00:00:00Z");
    assert_eq!(server.put(&at).body(shorter.clone()).send().await.verdict(), (403, "AccessDenied"));
    assert_eq!(server.put(&at).body(retention("GOVERNANCE", FARTHER)).send().await.status, 200);
    let bypass =
        |request: crate::client::Request| request.header("x-amz-bypass-governance-retention", "true");
    assert_eq!(bypass(server.put(&at)).body(shorter).send().await.status, 200);
    assert_eq!(bypass(server.delete(&path)).send().await.status, 204);
    assert_eq!(server.get(&path).send().await.verdict(), (404, "NoSuchVersion"));
}

#[tokio::test]
async fn compliance_knows_no_bypass() {
    let server = start().await;
    let put = server
        .put("/locked/k")
        .header("x-amz-object-lock-mode", "COMPLIANCE")
        .header("x-amz-object-lock-retain-until-date", FAR)
        .body("x");
    let id = put.send().await.header("x-amz-version-id").expect("an id").to_owned();
    let bypass =
        |request: crate::client::Request| request.header("x-amz-bypass-governance-retention", "true");
    let path = format!("/locked/k?versionId={id}");
    assert_eq!(bypass(server.delete(&path)).send().await.verdict(), (403, "AccessDenied"));
    for change in [
        retention("GOVERNANCE", FARTHER),
        retention("COMPLIANCE", "2034-01-01T00:00:00Z"),
        "<Retention/>".into(),
    ] {
        let answer = bypass(server.put("/locked/k?retention")).body(change).send().await;
        assert_eq!(answer.verdict(), (403, "AccessDenied"));
    }
    let extended = server.put("/locked/k?retention").body(retention("COMPLIANCE", FARTHER)).send().await;
    assert_eq!(extended.status, 200);
}

#[tokio::test]
async fn a_held_version_stays_until_it_is_let_go() {
    let server = start().await;
    let put = server.put("/locked/k").header("x-amz-object-lock-legal-hold", "ON").body("x").send().await;
    let id = put.header("x-amz-version-id").expect("an id").to_owned();
    let free = server.put("/locked/k").body("y").send().await;
    let free = free.header("x-amz-version-id").expect("an id").to_owned();
    let at = format!("/locked/k?legal-hold&versionId={id}");
    assert_eq!(server.get(&at).send().await.element("Status"), Some("ON"));
    let read = format!("/locked/k?versionId={id}");
    assert_eq!(server.get(&read).send().await.header("x-amz-object-lock-legal-hold"), Some("ON"));
    // Of many at once, what is not locked goes.
    let object = |id: &str| format!("<Object><Key>k</Key><VersionId>{id}</VersionId></Object>");
    let body = format!("<Delete>{}{}</Delete>", object(&id), object(&free));
    let answer = server.post("/locked?delete").body(body).send().await;
    assert_eq!(answer.elements("Code"), ["AccessDenied"], "{}", answer.text());
    assert_eq!(server.get(&read).send().await.body, b"x");
    assert_eq!(server.get("/locked/k").send().await.body, b"x", "the other is gone");
    assert_eq!(server.put(&at).body(hold("OFF")).send().await.status, 200);
    assert_eq!(server.get(&at).send().await.element("Status"), Some("OFF"));
    assert_eq!(server.delete(&read).send().await.status, 204);
}

#[tokio::test]
async fn uploads_and_copies_are_locked() {
    let server = start().await;
    let created = server
        .post("/locked/m?uploads")
        .header("x-amz-object-lock-mode", "GOVERNANCE")
        .header("x-amz-object-lock-retain-until-date", FAR)
        .header("x-amz-object-lock-legal-hold", "ON");
    let id = created.send().await.element("UploadId").expect("an id").to_owned();
    let part = server.put(&format!("/locked/m?partNumber=1&uploadId={id}")).body("part").send().await;
    let etag = part.header("etag").expect("an ETag");
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    assert_eq!(server.post(&format!("/locked/m?uploadId={id}")).body(list).send().await.status, 200);
    let head = server.head("/locked/m").send().await;
    assert_eq!(head.header("x-amz-object-lock-mode"), Some("GOVERNANCE"));
    assert_eq!(head.header("x-amz-object-lock-legal-hold"), Some("ON"));

    // A copy is locked as it is asked for, not as its source is.
    let copy = server.put("/locked/c").header("x-amz-copy-source", "locked/m");
    assert_eq!(copy.clone().send().await.status, 200);
    assert_eq!(server.head("/locked/c").send().await.header("x-amz-object-lock-mode"), None);
    assert_eq!(copy.header("x-amz-object-lock-legal-hold", "ON").send().await.status, 200);
    assert_eq!(server.head("/locked/c").send().await.header("x-amz-object-lock-legal-hold"), Some("ON"));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let server = start().await;
    let held = |path: &str| server.put(path).header("x-amz-object-lock-legal-hold", "ON").body("x");
    assert_eq!(held("/bucket/k").send().await.verdict(), (400, "InvalidRequest"));
    assert_eq!(server.get("/bucket/k").send().await.verdict(), (404, "NoSuchKey"));
    let upload = server.post("/bucket/k?uploads").header("x-amz-object-lock-legal-hold", "ON");
    assert_eq!(upload.send().await.verdict(), (400, "InvalidRequest"));
    server.put("/bucket/k").body("x").send().await;
    for at in ["/bucket/k?retention", "/bucket/k?legal-hold"] {
        assert_eq!(server.get(at).send().await.verdict(), (400, "InvalidRequest"));
    }
    let put = || server.put("/locked/k").body("x");
    let alone = put().header("x-amz-object-lock-mode", "GOVERNANCE").send().await;
    assert_eq!(alone.verdict(), (400, "InvalidArgument"));
    let with = |mode: &str, until: &str| {
        put().header("x-amz-object-lock-mode", mode).header("x-amz-object-lock-retain-until-date", until)
    };
    assert_eq!(with("GOVERNANCE", "2020-01-01T00:00:00Z").send().await.verdict(), (400, "InvalidArgument"));
    assert_eq!(with("governance", FAR).send().await.verdict(), (400, "InvalidArgument"));
    put().send().await;
    for bad in [retention("governance", FAR), "<Retention><Mode>GOVERNANCE</Mode></Retention>".to_owned()] {
        let answer = server.put("/locked/k?retention").body(bad).send().await;
        assert_eq!(answer.verdict(), (400, "MalformedXML"));
    }
    assert_eq!(
        server.put("/locked/k?legal-hold").body(hold("on")).send().await.verdict(),
        (400, "MalformedXML")
    );
    let past = retention("GOVERNANCE", "2020-01-01T00:00:00Z");
    assert_eq!(server.put("/locked/k?retention").body(past).send().await.verdict(), (400, "InvalidArgument"));
}
