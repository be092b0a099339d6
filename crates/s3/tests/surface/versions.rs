//! Versions: listed to the letter, hidden and never destroyed.

use crate::client::{Answer, Server};

/// Puts, and gives the version.
async fn put(server: &Server, key: &str, body: &str) -> String {
    let answer = server.put(&format!("/bucket/{key}")).body(body).send().await;
    answer.header("x-amz-version-id").expect("a version").to_owned()
}

/// Puts a delete marker, and gives it.
async fn mark(server: &Server, key: &str) -> String {
    let answer = server.delete(&format!("/bucket/{key}")).send().await;
    answer.header("x-amz-version-id").expect("a marker").to_owned()
}

async fn list(server: &Server, query: &str) -> Answer {
    let answer = server.get(&format!("/bucket?{query}versions=")).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// (key, version, whether it is the latest) of each element of this name.
fn entries<'a>(answer: &'a Answer, element: &str) -> Vec<(&'a str, &'a str, bool)> {
    let field = |text: &'a str, name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>")).expect("a field");
        rest.split_once(&format!("</{name}>")).expect("its end").0
    };
    let entry = |text| (field(text, "Key"), field(text, "VersionId"), field(text, "IsLatest") == "true");
    answer.elements(element).into_iter().map(entry).collect()
}

#[tokio::test]
async fn all_versions_are_listed_newest_first() {
    let server = Server::start().await;
    let (one, two) = (put(&server, "a", "1").await, put(&server, "a", "22").await);
    let (b, marker) = (put(&server, "b", "b").await, mark(&server, "b").await);
    let all = list(&server, "").await;
    let objects = [("a", two.as_str(), true), ("a", &one, false), ("b", &b, false)];
    assert_eq!(entries(&all, "Version"), objects);
    assert_eq!(entries(&all, "DeleteMarker"), [("b", marker.as_str(), true)]);
    for (element, text) in [("Name", "bucket"), ("MaxKeys", "1000"), ("IsTruncated", "false"), ("Size", "2")]
    {
        assert_eq!(all.element(element), Some(text), "{element}");
    }
    assert!(all.text().contains("<KeyMarker") && all.text().contains("<VersionIdMarker"), "{}", all.text());
    for absent in ["NextKeyMarker", "NextVersionIdMarker", "Delimiter", "EncodingType"] {
        assert_eq!(all.element(absent), None, "{absent}");
    }
    assert_eq!(server.get("/missing?versions").send().await.verdict(), (404, "NoSuchBucket"));
}

#[tokio::test]
async fn pages_go_on_after_a_key_and_a_version() {
    let server = Server::start().await;
    let mut put_all = Vec::new();
    for key in ["a", "b/1", "b/2", "c%2Bc"] {
        for body in ["1", "2", "3"] {
            put_all.push((key, put(&server, key, body).await));
        }
    }
    put_all.sort_by(|x, y| x.0.cmp(y.0).then(y.1.cmp(&x.1)));
    for size in 1..=5 {
        let (mut found, mut markers) = (Vec::new(), [String::new(), String::new()]);
        loop {
            let [key, version] = &markers;
            let query = format!("encoding-type=url&{key}max-keys={size}&{version}");
            let page = list(&server, &query).await;
            let of_page = entries(&page, "Version");
            assert!(of_page.len() <= size);
            found.extend(of_page.iter().map(|(key, version, _)| (key.to_string(), version.to_string())));
            let Some(key) = page.element("NextKeyMarker") else { break };
            let version = page.element("NextVersionIdMarker").expect("with a key marker");
            let key = key.replace('/', "%2F");
            markers = [format!("key-marker={key}&"), format!("version-id-marker={version}&")];
            assert_eq!(page.element("IsTruncated"), Some("true"));
        }
        let all: Vec<_> = put_all.iter().map(|(key, version)| (key.to_string(), version.clone())).collect();
        assert_eq!(found, all, "pages of {size}");
    }
    let rolled = list(&server, "delimiter=%2F&encoding-type=url&max-keys=4&").await;
    assert_eq!((rolled.element("NextKeyMarker"), rolled.element("NextVersionIdMarker")), (Some("b/"), None));
    let rest = list(&server, "delimiter=%2F&encoding-type=url&key-marker=b%2F&").await;
    assert_eq!(entries(&rest, "Version").len(), 3);
    let none = list(&server, "max-keys=0&").await;
    assert_eq!((none.element("IsTruncated"), entries(&none, "Version").len()), (Some("false"), 0));
    for bad in ["version-id-marker=x&", "key-marker=a&version-id-marker=null&", "encoding-type=x&"] {
        let refused = server.get(&format!("/bucket?{bad}versions=")).send().await;
        assert_eq!(refused.verdict(), (400, "InvalidArgument"), "{bad}");
    }
}

#[tokio::test]
async fn deleting_a_version_hides_it_and_shows_the_one_before() {
    let server = Server::start().await;
    let (one, two) = (put(&server, "k", "one").await, put(&server, "k", "two").await);
    let marker = mark(&server, "k").await;
    let delete = |version: &str| server.delete(&format!("/bucket/k?versionId={version}")).send();

    let undeleted = delete(&marker).await;
    assert_eq!((undeleted.status, undeleted.header("x-amz-delete-marker")), (204, Some("true")));
    assert_eq!(undeleted.header("x-amz-version-id"), Some(marker.as_str()));
    assert_eq!(server.get("/bucket/k").send().await.text(), "two");

    let gone = delete(&two).await;
    assert_eq!((gone.status, gone.header("x-amz-delete-marker")), (204, None));
    assert_eq!(gone.header("x-amz-version-id"), Some(two.as_str()));
    assert_eq!(server.get("/bucket/k").send().await.text(), "one");
    let by_id = server.get(&format!("/bucket/k?versionId={two}")).send().await;
    assert_eq!(by_id.verdict(), (404, "NoSuchVersion"));
    assert_eq!(delete(&two).await.status, 204, "as often as one likes");
    assert_eq!(delete(&"f".repeat(28)).await.status, 204, "also what never was");
    assert_eq!(delete("null").await.verdict(), (400, "InvalidArgument"));
    let conditional = server.delete(&format!("/bucket/k?versionId={one}")).header("if-match", "*");
    assert_eq!(conditional.send().await.verdict(), (501, "NotImplemented"));

    delete(&one).await;
    let absent = server.get("/bucket/k").send().await;
    assert_eq!((absent.verdict(), absent.header("x-amz-delete-marker")), ((404, "NoSuchKey"), None));
    let none = list(&server, "").await;
    assert_eq!((entries(&none, "Version").len(), entries(&none, "DeleteMarker").len()), (0, 0));
    assert_eq!(server.delete("/bucket").send().await.status, 204);
    assert_eq!(server.memory.version_count(), 3, "nothing is destroyed");
}

#[tokio::test]
async fn many_versions_are_deleted_at_once() {
    let server = Server::start().await;
    let mut versions = Vec::new();
    for body in ["1", "2", "3"] {
        versions.push(put(&server, "k", body).await);
    }
    let (other, marker) = (put(&server, "l", "l").await, mark(&server, "l").await);
    let delete = |body: String| server.post("/bucket?delete").body(body).send();
    let object = |key: &str, version: &str| {
        format!("<Object><Key>{key}</Key><VersionId>{version}</VersionId></Object>")
    };
    let wanted =
        [object("l", &marker), object("k", &versions[2]), object("k", "zero"), object("k", &versions[0])];
    let answer = delete(format!("<Delete>{}</Delete>", wanted.concat())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let deleted = answer.elements("Deleted");
    assert_eq!(deleted.len(), 3);
    assert!(deleted[0].contains(&format!("<DeleteMarkerVersionId>{marker}</DeleteMarkerVersionId>")));
    assert!(deleted[0].contains(&marker) && deleted[0].contains("<DeleteMarker>true</DeleteMarker>"));
    assert!(deleted[1].contains(&versions[2]) && !deleted[1].contains("DeleteMarker"));
    assert_eq!(answer.elements("Code"), ["InvalidArgument"]);
    let left = list(&server, "").await;
    assert_eq!(entries(&left, "Version"), [("k", versions[1].as_str(), true), ("l", &other, true)]);
    assert_eq!(server.get("/bucket/k").send().await.text(), "2");
    let quiet = delete(format!("<Delete><Quiet>true</Quiet>{}</Delete>", object("l", &other))).await;
    assert_eq!((quiet.status, quiet.elements("Deleted").len(), quiet.elements("Code").len()), (200, 0, 0));
    let conditional = format!(
        "<Delete><Object><ETag>x</ETag><Key>k</Key><VersionId>{}</VersionId></Object></Delete>",
        versions[1]
    );
    assert_eq!(delete(conditional).await.elements("Code"), ["NotImplemented"]);
    assert_eq!(server.memory.version_count(), 5);
}
