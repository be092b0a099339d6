//! Lifecycle rules: what is taken, what they do, and what answers say of them.

use crate::{
    client::{Answer, Server},
    memory::Memory,
};
use s3::{Store, Sweeping, sweep};
use std::time::Duration;
use vault::{Metadata, UploadsRequest, VersionsRequest};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn configuration(rules: &str) -> String {
    format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>")
}

fn rule(inner: &str) -> String {
    configuration(&format!("<Rule><Status>Enabled</Status>{inner}</Rule>"))
}

async fn set(server: &Server, document: String) -> Answer {
    server.put("/bucket?lifecycle").body(document).send().await
}

/// One round of each of two gateways, at the same time.
async fn round(memory: &Memory) {
    let settings = Sweeping { every: Duration::from_secs(3600), actions_per_second: 100_000 };
    let enough = || tokio::time::sleep(Duration::from_millis(200));
    tokio::join!(
        sweep(memory.clone(), settings.clone(), enough()),
        sweep(memory.clone(), settings.clone(), enough())
    );
}

#[tokio::test]
async fn rules_come_back_as_they_were_given() {
    let server = Server::start().await;
    assert_eq!(server.get("/bucket?lifecycle").send().await.verdict(), (404, "NoSuchLifecycleConfiguration"));
    let rules = "<Rule><ID>one</ID><Status>Enabled</Status><Prefix>a/</Prefix><Expiration><Days>3</Days></Expiration>\
                 </Rule><Rule><Status>Disabled</Status><Filter><And><Prefix>b/</Prefix><Tag><Key>k</Key><Value>v\
                 </Value></Tag><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter><Expiration>\
                 <Date>2026-11-01T00:00:00.000Z</Date></Expiration></Rule><Rule><ID>rule-1</ID><Status>Enabled</Status>\
                 <Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>\
                 <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload></Rule>";
    let put = set(&server, configuration(rules)).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let read = server.get("/bucket?lifecycle").send().await;
    assert_eq!(read.elements("ID"), ["one", "rule-2", "rule-1"], "{}", read.text());
    assert_eq!(read.elements("Status"), ["Enabled", "Disabled", "Enabled"]);
    assert_eq!(read.elements("Days"), ["3"]);
    assert_eq!(read.elements("Date"), ["2026-11-01T00:00:00.000Z"]);
    assert_eq!(read.elements("ExpiredObjectDeleteMarker"), ["true"]);
    assert_eq!(read.elements("DaysAfterInitiation"), ["7"]);
    assert!(read.text().contains("<And>") && read.text().contains("<Key>k</Key>"), "{}", read.text());
    assert_eq!(server.delete("/bucket?lifecycle").send().await.status, 204);
    assert_eq!(server.get("/bucket?lifecycle").send().await.verdict(), (404, "NoSuchLifecycleConfiguration"));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused() {
    let server = Server::start().await;
    let days = "<Expiration><Days>1</Days></Expiration>";
    let abort = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>\
                 </AbortIncompleteMultipartUpload>";
    let tag = "<Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter>";
    let noncurrent =
        "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>";
    for (document, verdict) in [
        (rule(noncurrent), (501, "NotImplemented")),
        (
            rule("<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"),
            (501, "NotImplemented"),
        ),
        (rule("<Prefix>a</Prefix>"), (400, "InvalidRequest")),
        (rule("<Expiration><Days>0</Days></Expiration>"), (400, "InvalidArgument")),
        (rule("<Expiration><Date>2026-11-01T01:00:00Z</Date></Expiration>"), (400, "InvalidArgument")),
        (
            rule("<Expiration><Days>1</Days><Date>2026-11-01T00:00:00Z</Date></Expiration>"),
            (400, "MalformedXML"),
        ),
        (rule(&format!("<Prefix>a</Prefix><Filter/>{days}")), (400, "MalformedXML")),
        (rule(&format!("{tag}{abort}")), (400, "InvalidRequest")),
        (
            rule(&format!(
                "{tag}<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
            )),
            (400, "InvalidRequest"),
        ),
        (rule(&format!("<ID>{}</ID>{days}", "x".repeat(256))), (400, "InvalidArgument")),
        (configuration(&format!("<Rule><Status>enabled</Status>{days}</Rule>")), (400, "MalformedXML")),
        (
            configuration(&format!("<Rule><ID>a</ID><Status>Enabled</Status>{days}</Rule>").repeat(2)),
            (400, "InvalidArgument"),
        ),
        (configuration(""), (400, "MalformedXML")),
    ] {
        let answer = set(&server, document.clone()).await;
        assert_eq!(answer.verdict(), verdict, "{document}");
    }
    assert_eq!(server.get("/bucket?lifecycle").send().await.status, 404);
    let past = server.put("/bucket@1?lifecycle").body(rule(days)).send().await;
    assert_eq!(past.verdict(), (403, "AccessDenied"));
}

#[tokio::test]
async fn what_is_due_ends_and_nothing_else() {
    let server = Server::start().await;
    let tags = |request: crate::client::Request, tags| request.header("x-amz-tagging", tags);
    for (key, size) in [("logs/a", 1), ("logs/big", 100), ("kept/a", 1), ("tmp/a", 1), ("tmp/b", 1)] {
        let put = server.put(&format!("/bucket/{key}")).body("x".repeat(size));
        let put = if key == "tmp/a" { tags(put, "end=soon") } else { put };
        assert_eq!(put.send().await.status, 200);
    }
    let rules = "<Rule><ID>small</ID><Status>Enabled</Status><Filter><And><Prefix>logs/</Prefix>\
                 <ObjectSizeLessThan>50</ObjectSizeLessThan></And></Filter><Expiration><Days>3</Days></Expiration></Rule>\
                 <Rule><ID>tagged</ID><Status>Enabled</Status><Filter><Tag><Key>end</Key><Value>soon</Value></Tag></Filter>\
                 <Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration></Rule>\
                 <Rule><ID>off</ID><Status>Disabled</Status><Filter/><Expiration><Days>1</Days></Expiration></Rule>";
    assert_eq!(set(&server, configuration(rules)).await.status, 200);

    let head = server.head("/bucket/logs/a").send().await;
    let expiration = head.header("x-amz-expiration").expect("a rule is about it");
    assert!(expiration.ends_with("00:00:00 GMT\", rule-id=\"small\""), "{expiration}");
    let tagged = server.get("/bucket/tmp/a").send().await;
    assert!(tagged.header("x-amz-expiration").is_some_and(|text| text.contains("rule-id=\"tagged\"")));
    for key in ["logs/big", "kept/a", "tmp/b"] {
        assert_eq!(server.get(&format!("/bucket/{key}")).send().await.header("x-amz-expiration"), None);
    }

    let keys = async || {
        let listed = server.get("/bucket?list-type=2").send().await;
        listed.elements("Key").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    round(&server.memory).await;
    assert_eq!(keys().await, ["kept/a", "logs/a", "logs/big", "tmp/b"]);
    server.memory.pass(4 * DAY_MS);
    let id = head.header("x-amz-version-id").expect("an id");
    round(&server.memory).await;
    assert_eq!(keys().await, ["kept/a", "logs/big", "tmp/b"]);
    // One marker, though there were two gateways; and what it hides is there.
    let versions = server.get("/bucket?versions&prefix=logs%2Fa").send().await;
    assert_eq!(versions.text().matches("<DeleteMarker>").count(), 1);
    assert_eq!(server.get(&format!("/bucket/logs/a?versionId={id}")).send().await.body, b"x");
    let before = server.memory.version_count();
    round(&server.memory).await;
    assert_eq!(server.memory.version_count(), before);
}

#[tokio::test]
async fn a_lock_does_not_keep_an_object_from_ending() {
    let server = Server::start().await;
    server.put("/locked").header("x-amz-bucket-object-lock-enabled", "true").send().await;
    let put = server.put("/locked/k").header("x-amz-object-lock-legal-hold", "ON").body("x").send().await;
    let id = put.header("x-amz-version-id").expect("an id").to_owned();
    let past = rule("<Filter/><Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration>");
    assert_eq!(server.put("/locked?lifecycle").body(past).send().await.status, 200);
    round(&server.memory).await;
    assert_eq!(server.get("/locked/k").send().await.verdict(), (404, "NoSuchKey"));
    assert_eq!(server.get(&format!("/locked/k?versionId={id}")).send().await.body, b"x");
}

#[tokio::test]
async fn uploads_are_aborted_and_lone_markers_removed() {
    let server = Server::start().await;
    let memory = &server.memory;
    let bucket: proof::BucketName = "bucket".parse().unwrap();
    let place = |key: &str| vault::Place { bucket: bucket.clone(), key: key.parse().unwrap() };
    memory.create_upload(place("a/1"), Metadata::default()).await.unwrap();
    memory.create_upload(place("b/1"), Metadata::default()).await.unwrap();
    memory.pass(3 * DAY_MS);
    for key in ["alone", "covered", "shown"] {
        server.put(&format!("/bucket/{key}")).body("x").send().await;
    }
    let version = server.head("/bucket/alone").send().await.header("x-amz-version-id").unwrap().to_owned();
    for key in ["alone", "covered"] {
        server.delete(&format!("/bucket/{key}")).send().await;
    }
    server.delete(&format!("/bucket/alone?versionId={version}")).send().await;
    let rules = "<Rule><Status>Enabled</Status><Prefix>a/</Prefix><AbortIncompleteMultipartUpload>\
                 <DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>\
                 <Rule><Status>Enabled</Status><Filter/><Expiration><ExpiredObjectDeleteMarker>true\
                 </ExpiredObjectDeleteMarker></Expiration></Rule>";
    assert_eq!(set(&server, configuration(rules)).await.status, 200);
    round(memory).await;
    let (bucket, prefix) = (bucket.clone(), String::new());
    let uploads = UploadsRequest { bucket: bucket.clone(), prefix: prefix.clone(), after: None, limit: 10 };
    let left = memory.list_uploads(uploads).await.unwrap().uploads;
    assert_eq!(left.iter().map(|upload| upload.place.key.as_str()).collect::<Vec<_>>(), ["b/1"]);
    let (delimiter, after, at) = (None, None, None);
    let versions =
        VersionsRequest { bucket, prefix, exact: false, delimiter, after, limit: 10, hidden: false, at };
    let shown = memory.list_versions(versions).await.unwrap().versions;
    let shown: Vec<&str> = shown.iter().map(|version| version.key.as_str()).collect();
    assert_eq!(shown, ["covered", "covered", "shown"]);
}

#[tokio::test]
async fn what_was_put_meanwhile_is_not_marked() {
    let server = Server::start().await;
    let past = rule("<Filter/><Expiration><Days>1</Days></Expiration>");
    assert_eq!(set(&server, past).await.status, 200);
    for number in 0..50 {
        server.put(&format!("/bucket/{number}")).body("old").send().await;
    }
    server.memory.pass(3 * DAY_MS);
    let settings = Sweeping { every: Duration::from_secs(3600), actions_per_second: 100 };
    let memory = server.memory.clone();
    let sweeping = sweep(memory, settings, tokio::time::sleep(Duration::from_millis(900)));
    let putting = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        for number in (0..50).rev() {
            server.put(&format!("/bucket/{number}")).body("new").send().await;
        }
    };
    tokio::join!(sweeping, putting);
    for number in 0..50 {
        assert_eq!(server.get(&format!("/bucket/{number}")).send().await.body, b"new", "{number}");
    }
    let versions = server.get("/bucket?versions").send().await;
    assert!(versions.text().contains("<DeleteMarker>"), "the sweep was at work");
}
