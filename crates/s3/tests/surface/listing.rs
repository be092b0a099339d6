//! Listings, to the letter.

use crate::client::{Answer, Server};

const KEYS: [&str; 9] = ["a", "b/1", "b/2", "b/c/3", "c", "d e", "d+f", "ä/1", "日"];

async fn filled() -> Server {
    let server = Server::start().await;
    for key in KEYS {
        let path: Vec<String> = key.split('/').map(crate::client::encode).collect();
        assert_eq!(server.put(&format!("/bucket/{}", path.join("/"))).body(key).send().await.status, 200);
    }
    server.put("/bucket/deleted").send().await;
    server.delete("/bucket/deleted").send().await;
    server
}

fn prefixes(answer: &Answer) -> Vec<&str> {
    let parts = answer.elements("CommonPrefixes");
    parts.iter().map(|part| part.trim_start_matches("<Prefix>").trim_end_matches("</Prefix>")).collect()
}

#[tokio::test]
async fn version_2_in_full() {
    let server = filled().await;
    let list = server.get("/bucket?list-type=2").send().await;
    assert_eq!(list.elements("Key"), KEYS);
    for (element, text) in [
        ("Name", "bucket"),
        ("Prefix", ""),
        ("MaxKeys", "1000"),
        ("KeyCount", "9"),
        ("IsTruncated", "false"),
        ("Size", "1"),
        ("StorageClass", "STANDARD"),
    ] {
        assert_eq!(list.element(element).unwrap_or(""), text, "{element}");
    }
    for absent in
        ["ContinuationToken", "NextContinuationToken", "StartAfter", "Delimiter", "Owner", "EncodingType"]
    {
        assert_eq!(list.element(absent), None, "{absent}");
    }
    let owned = server.get("/bucket?fetch-owner=true&list-type=2").send().await;
    assert_eq!(owned.elements("Owner").len(), 9);
    assert!(owned.element("ETag").expect("an etag").contains("0cc175b9c0f1b6a831c399e269772661"));
    assert_eq!(server.get("/missing?list-type=2").send().await.verdict(), (404, "NoSuchBucket"));
}

#[tokio::test]
async fn version_2_pages() {
    let server = filled().await;
    for size in 1..=5 {
        let (mut keys, mut found_prefixes, mut token) = (Vec::new(), Vec::new(), String::new());
        loop {
            let more = match token.as_str() {
                "" => String::new(),
                token => format!("continuation-token={}&", crate::client::encode(token)),
            };
            let path = format!("/bucket?{more}delimiter=%2F&encoding-type=url&list-type=2&max-keys={size}");
            let page = server.get(&path).send().await;
            assert_eq!(page.status, 200, "{}", page.text());
            if !token.is_empty() {
                assert_eq!(page.element("ContinuationToken"), Some(token.as_str()));
            }
            let (listed, rolled) = (page.elements("Key"), prefixes(&page));
            assert_eq!(page.element("KeyCount"), Some((listed.len() + rolled.len()).to_string().as_str()));
            assert!(listed.len() + rolled.len() <= size);
            keys.extend(listed.iter().map(|key| (*key).to_owned()));
            found_prefixes.extend(rolled.iter().map(|prefix| (*prefix).to_owned()));
            match page.element("NextContinuationToken") {
                Some(next) => token = next.to_owned(),
                None => break assert_eq!(page.element("IsTruncated"), Some("false")),
            }
        }
        assert_eq!(keys, ["a", "c", "d%20e", "d%2Bf", "%E6%97%A5"], "pages of {size}");
        assert_eq!(found_prefixes, ["b/", "%C3%A4/"]);
    }
}

#[tokio::test]
async fn version_1_pages_by_marker() {
    let server = filled().await;
    let plain = server.get("/bucket?max-keys=2").send().await;
    assert_eq!(plain.elements("Key"), ["a", "b/1"]);
    assert_eq!((plain.element("Marker").unwrap_or(""), plain.element("IsTruncated")), ("", Some("true")));
    assert!(plain.text().contains("<Marker"), "the marker is echoed even if empty: {}", plain.text());
    assert_eq!(plain.element("NextMarker"), None, "only with a delimiter");
    assert_eq!(plain.elements("Owner").len(), 2);
    let next = server.get("/bucket?marker=b%2F1&max-keys=2").send().await;
    assert_eq!((next.elements("Key"), next.element("Marker")), (vec!["b/2", "b/c/3"], Some("b/1")));

    let rolled = server.get("/bucket?delimiter=%2F&max-keys=2").send().await;
    assert_eq!((rolled.elements("Key"), prefixes(&rolled)), (vec!["a"], vec!["b/"]));
    assert_eq!((rolled.element("NextMarker"), rolled.element("Delimiter")), (Some("b/"), Some("/")));
    let next = server.get("/bucket?delimiter=%2F&marker=b%2F&max-keys=2").send().await;
    assert_eq!((next.elements("Key"), prefixes(&next)), (vec!["c", "d e"], vec![]));
    let inside = server.get("/bucket?delimiter=%2F&prefix=b%2F").send().await;
    assert_eq!((inside.elements("Key"), prefixes(&inside)), (vec!["b/1", "b/2"], vec!["b/c/"]));
    assert_eq!(inside.element("Prefix"), Some("b/"));
}

/// A deleted `dir/` is looked at before `dir/x` is, but is no marker: it would stand for all of `dir/`.
#[tokio::test]
async fn deleted_directory_markers_hide_nothing() {
    let server = Server::start().await;
    for key in ["a", "dir/", "dir/x", "z"] {
        server.put(&format!("/bucket/{key}")).body("x").send().await;
    }
    server.delete("/bucket/dir/").send().await;
    let (mut listed, mut marker) = (Vec::new(), String::new());
    loop {
        let path = format!("/bucket?delimiter=%2F&marker={}&max-keys=1", crate::client::encode(&marker));
        let page = server.get(&path).send().await;
        let lines = page.elements("Key").into_iter().chain(prefixes(&page));
        listed.extend(lines.map(str::to_owned));
        match page.element("NextMarker") {
            Some(next) => marker = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(listed, ["a", "dir/", "z"]);
}

#[tokio::test]
async fn start_after_need_not_be_a_key() {
    let server = filled().await;
    let list = server.get("/bucket?encoding-type=url&list-type=2&start-after=b%2Fb%20").send().await;
    assert_eq!(list.elements("Key").first(), Some(&"b/c/3"));
    assert_eq!((list.element("StartAfter"), list.element("EncodingType")), (Some("b/b%20"), Some("url")));
    let none = server.get("/bucket?list-type=2&start-after=%F4%8F%BF%BF").send().await;
    assert_eq!((none.elements("Key").len(), none.element("KeyCount")), (0, Some("0")));
}

#[tokio::test]
async fn encoded_fields() {
    let server = filled().await;
    let list = server.get("/bucket?delimiter=%20&encoding-type=url&marker=c%20&prefix=d").send().await;
    assert_eq!((list.elements("Key"), prefixes(&list)), (vec!["d%2Bf"], vec!["d%20"]));
    assert_eq!((list.element("Delimiter"), list.element("Marker")), (Some("%20"), Some("c%20")));
    assert_eq!(server.get("/bucket?encoding-type=xml").send().await.verdict(), (400, "InvalidArgument"));
}

#[tokio::test]
async fn sizes_of_pages() {
    let server = filled().await;
    for version in ["", "&list-type=2"] {
        let none = server.get(&format!("/bucket?max-keys=0{version}")).send().await;
        assert_eq!((none.status, none.elements("Key").len()), (200, 0));
        assert_eq!((none.element("IsTruncated"), none.element("MaxKeys")), (Some("false"), Some("0")));
        let large = server.get(&format!("/bucket?max-keys=100000{version}")).send().await;
        assert_eq!((large.elements("Key").len(), large.element("MaxKeys")), (9, Some("1000")));
        for bad in ["-1", "x", "99999999999"] {
            let refused = server.get(&format!("/bucket?max-keys={bad}{version}")).send().await;
            assert_eq!(refused.verdict(), (400, "InvalidArgument"), "{bad}");
        }
    }
    let empty = server.get("/bucket?continuation-token=&list-type=2").send().await;
    assert_eq!((empty.status, empty.elements("Key").len()), (200, 9));
    assert_eq!(empty.element("ContinuationToken").unwrap_or(""), "");
    assert!(empty.text().contains("<ContinuationToken"), "it is echoed: {}", empty.text());
    let garbage = server.get("/bucket?continuation-token=garbage&list-type=2").send().await;
    assert_eq!(garbage.verdict(), (400, "InvalidArgument"));
    assert_eq!(server.get("/missing?max-keys=0").send().await.verdict(), (404, "NoSuchBucket"));
}
