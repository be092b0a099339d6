//! Buckets, addressing and what every answer carries.

use crate::client::Server;

#[tokio::test]
async fn life_of_a_bucket() {
    let server = Server::start().await;
    // As in S3's us-east-1, it is made again; elsewhere, and to be made otherwise, it is there already.
    assert_eq!(server.put("/bucket").send().await.status, 200);
    let lockable = server.put("/bucket").header("x-amz-bucket-object-lock-enabled", "true").send().await;
    assert_eq!(lockable.verdict(), (409, "BucketAlreadyOwnedByYou"));
    assert_eq!(server.put("/Bad_Name").send().await.verdict(), (400, "InvalidBucketName"));
    let elsewhere = "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint>\
                     </CreateBucketConfiguration>";
    assert_eq!(
        server.put("/second").body(elsewhere).send().await.verdict(),
        (400, "IllegalLocationConstraintException")
    );
    assert_eq!(server.put("/second").send().await.status, 200);
    let list = server.get("/").send().await;
    assert_eq!(list.elements("Name"), ["bucket", "second"]);
    assert_eq!(list.element("ID"), Some("me"));
    let page = server.get("/?max-buckets=1").send().await;
    assert_eq!((page.elements("Name"), page.element("ContinuationToken")), (vec!["bucket"], Some("bucket")));

    let head = server.head("/second").send().await;
    assert_eq!((head.status, head.header("x-amz-bucket-region")), (200, Some("us-east-1")));
    assert_eq!(server.head("/missing").send().await.status, 404);
    let location = server.get("/second?location").send().await;
    assert_eq!((location.status, location.element("LocationConstraint").unwrap_or("")), (200, ""));
    assert_eq!(server.get("/second?versioning").send().await.element("Status"), Some("Enabled"));

    server.put("/second/k").body("x").send().await;
    assert_eq!(server.delete("/second").send().await.verdict(), (409, "BucketNotEmpty"));
    assert_eq!(server.delete("/second/k").send().await.status, 204);
    assert_eq!(server.delete("/second").send().await.status, 204);
    assert_eq!(server.delete("/second").send().await.verdict(), (404, "NoSuchBucket"));
}

#[tokio::test]
async fn versioning_stays_enabled() {
    let server = Server::start().await;
    let set = |status: &str| {
        let body = format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        server.put("/bucket?versioning").body(body).send()
    };
    assert_eq!(set("Enabled").await.status, 200);
    assert_eq!(set("Suspended").await.verdict(), (409, "InvalidBucketState"));
}

#[tokio::test]
async fn another_region() {
    let server = Server::with(|config| config.region = "us-east-1".to_owned()).await;
    assert_eq!(server.get("/?bucket-region=eu-west-1").send().await.elements("Name").len(), 0);
}

#[tokio::test]
async fn every_answer_has_an_id() {
    let server = Server::start().await;
    let mut ids = std::collections::BTreeSet::new();
    for request in
        [server.get("/"), server.get("/bucket/missing"), server.head("/bucket"), server.get("/bucket?acl")]
    {
        let answer = request.send().await;
        let id = answer.header("x-amz-request-id").expect("an id").to_owned();
        if answer.status >= 400 {
            assert_eq!(answer.element("RequestId"), Some(id.as_str()), "{}", answer.text());
            assert!(answer.element("Message").is_some());
        }
        ids.insert(id);
    }
    let refused = server.get("/bucket/a%20b").send_anonymous().await;
    assert_eq!(refused.element("RequestId"), refused.header("x-amz-request-id"));
    assert_eq!(refused.element("Resource"), Some("/bucket/a%20b"));
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn virtual_hosts() {
    let server = Server::with(|config| config.domains = vec!["s3.example.com".to_owned()]).await;
    for host in ["bucket.s3.example.com", "bucket.localhost", "bucket.localhost:9000"] {
        let put = server.put("/k").hosted(host).body(host).send().await;
        assert_eq!(put.status, 200, "{host} {}", put.text());
        assert_eq!(server.get("/bucket/k").send().await.text(), host);
        let list = server.get("/?list-type=2").hosted(host).send().await;
        assert_eq!(list.elements("Key"), ["k"]);
    }
    for host in ["s3.example.com", "localhost:9000", "gateway.internal", "a.b.c.d"] {
        assert_eq!(server.get("/bucket/k").hosted(host).send().await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn the_access_list_is_the_owners() {
    let server = Server::start().await;
    server.put("/bucket/k").body("x").send().await;
    for path in ["/bucket?acl=", "/bucket/k?acl="] {
        let acl = server.get(path).send().await;
        assert_eq!((acl.status, acl.elements("Grant").len()), (200, 1), "{}", acl.text());
        assert_eq!(acl.element("Permission"), Some("FULL_CONTROL"));
        assert_eq!(acl.elements("ID"), ["me", "me"]);
        assert_eq!(server.put(path).header("x-amz-acl", "private").send().await.status, 200);
        // As it was told.
        let again = server.put(path).body(acl.text()).send().await;
        assert_eq!(again.status, 200, "{}", again.text());
        let other = acl.text().replacen("<ID>me</ID>", "<ID>other</ID>", 1);
        let refused = (400, "AccessControlListNotSupported");
        assert_eq!(server.put(path).body(other).send().await.verdict(), refused);
        let public = server.put(path).header("x-amz-acl", "public-read").send().await;
        assert_eq!(public.verdict(), refused);
        assert_eq!(server.put(path).send().await.verdict(), (400, "MissingSecurityHeader"));
    }
    assert_eq!(server.get("/missing?acl=").send().await.verdict(), (404, "NoSuchBucket"));
    assert_eq!(server.get("/bucket/missing?acl=").send().await.verdict(), (404, "NoSuchKey"));
    assert_eq!(server.memory.version_count(), 1);
}
