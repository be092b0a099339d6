//! What browsers ask, and what they are told.

use crate::client::{Answer, Server, exchange};

const RULES: &str = "<CORSConfiguration>\
    <CORSRule><ID>one</ID><AllowedOrigin>https://*.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
    <AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><AllowedHeader>content-type</AllowedHeader>\
    <ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>600</MaxAgeSeconds></CORSRule>\
    <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod></CORSRule></CORSConfiguration>";

async fn preflight(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let wire = format!("OPTIONS {path} HTTP/1.1\r\nhost: {}\r\n{lines}\r\n", server.address);
    exchange(server.address, "OPTIONS", wire.as_bytes()).await
}

const WWW: (&str, &str) = ("origin", "https://www.example.com");
const GET: (&str, &str) = ("access-control-request-method", "GET");

#[tokio::test]
async fn browsers_are_told_what_the_rules_say() {
    let server = Server::start().await;
    assert!(server.put("/bucket?cors").body(RULES).send().await.status < 300);
    let read = server.get("/bucket?cors").send().await;
    assert_eq!(read.elements("AllowedMethod"), ["GET", "PUT", "HEAD"], "{}", read.text());
    assert_eq!((read.element("ID"), read.element("MaxAgeSeconds")), (Some("one"), Some("600")));

    let headers = ("access-control-request-headers", "X-Amz-Date, content-type");
    let answer = preflight(&server, "/bucket/k", &[WWW, GET, headers]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), Some(WWW.1));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, PUT"));
    assert_eq!(answer.header("access-control-allow-headers"), Some(headers.1));
    assert_eq!(answer.header("access-control-max-age"), Some("600"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    for refused in [
        vec![("origin", "https://example.org"), GET],
        vec![WWW, ("access-control-request-method", "DELETE")],
        vec![WWW, GET, ("access-control-request-headers", "authorization")],
    ] {
        let answer = preflight(&server, "/bucket/k", &refused).await;
        assert_eq!(answer.verdict(), (403, "AccessForbidden"), "{refused:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    for incomplete in [vec![WWW], vec![GET], vec![]] {
        assert_eq!(preflight(&server, "/bucket/k", &incomplete).await.verdict(), (400, "BadRequest"));
    }
    assert_eq!(preflight(&server, "/none/k", &[WWW, GET]).await.verdict(), (403, "AccessForbidden"));
}

#[tokio::test]
async fn answers_say_who_may_read_them() {
    let server = Server::start().await;
    server.put("/bucket?cors").body(RULES).send().await;
    server.put("/bucket/k").body("x").send().await;
    let answer = server.get("/bucket/k").header("origin", WWW.1).send().await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(WWW.1)));
    assert_eq!(answer.header("access-control-expose-headers"), Some("ETag"));
    assert!(answer.header("vary").is_some_and(|vary| vary.contains("Origin")));
    // Errors are told too.
    let missing = server.get("/bucket/none").header("origin", WWW.1).send().await;
    assert_eq!((missing.status, missing.header("access-control-allow-origin")), (404, Some(WWW.1)));
    let head = server.head("/bucket/k").header("origin", "https://example.org").send().await;
    assert_eq!(head.header("access-control-allow-origin"), Some("*"));
    assert_eq!(head.header("access-control-allow-credentials"), None);
    let other = server.get("/bucket/k").header("origin", "https://example.org").send().await;
    assert_eq!((other.status, other.header("access-control-allow-origin")), (200, None));
    assert_eq!(server.get("/bucket/k").send().await.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn rules_are_checked_and_removed() {
    let server = Server::start().await;
    assert_eq!(server.get("/bucket?cors").send().await.verdict(), (404, "NoSuchCORSConfiguration"));
    for (from, to, code) in [
        ("<AllowedMethod>GET", "<AllowedMethod>PATCH", "InvalidRequest"),
        ("https://*.example.com", "https://*.*.com", "InvalidRequest"),
        ("<ExposeHeader>ETag", "<ExposeHeader>x *", "InvalidRequest"),
    ] {
        let answer = server.put("/bucket?cors").body(RULES.replace(from, to)).send().await;
        assert_eq!(answer.verdict(), (400, code), "{to}");
    }
    server.put("/bucket?cors").body(RULES).send().await;
    assert_eq!(server.delete("/bucket?cors").send().await.status, 204);
    assert_eq!(server.get("/bucket?cors").send().await.verdict(), (404, "NoSuchCORSConfiguration"));
    assert_eq!(preflight(&server, "/bucket", &[WWW, GET]).await.verdict(), (403, "AccessForbidden"));
}
