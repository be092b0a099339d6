//! Bounds: what is too much is refused at once, and who stalls is dropped.

use crate::client::{Server, exchange};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
};

#[tokio::test]
async fn a_request_too_many_is_told_to_slow_down() {
    let server = Server::with(|config| config.requests_max = 1).await;
    server.put("/bucket/k").body(vec![1; 3 << 20]).send().await;
    let gate = Arc::new(Semaphore::new(0));
    server.memory.gate(Some(gate.clone()));
    let reading = tokio::spawn(server.get("/bucket/k").send());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let refused = server.get("/bucket").send().await;
    assert_eq!(refused.verdict(), (503, "SlowDown"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    gate.add_permits(100);
    assert_eq!(reading.await.expect("reads").body.len(), 3 << 20);
    assert_eq!(server.get("/bucket").send().await.status, 200);
}

#[tokio::test]
async fn a_connection_too_many_is_told_to_slow_down() {
    let server = Server::with(|config| config.connections_max = 2).await;
    let idle = [connect(&server).await, connect(&server).await];
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut refused = connect(&server).await;
    let mut text = String::new();
    refused.read_to_string(&mut text).await.expect("an answer");
    assert!(text.starts_with("HTTP/1.1 503") && text.ends_with("</Error>"), "{text}");
    drop(idle);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.get("/bucket").send().await.status, 200);
}

#[tokio::test]
async fn what_the_vault_refuses_reaches_the_client() {
    let server = Server::start().await;
    for (error, status, code) in [
        (vault::Error::Overloaded, 503, "SlowDown"),
        (vault::Error::Full, 507, "InsufficientStorage"),
        (vault::Error::Unavailable("2 of 4 nodes answer".to_owned()), 503, "ServiceUnavailable"),
        (vault::Error::Unknown("timed out".to_owned()), 500, "InternalError"),
        (vault::Error::Damaged("chunk 3".to_owned()), 500, "InternalError"),
        (vault::Error::Conflict, 409, "ConditionalRequestConflict"),
        (vault::Error::NotAllowed("quota".to_owned()), 403, "AccessDenied"),
    ] {
        server.memory.fail(Some(error));
        assert_eq!(server.put("/bucket/k").body("x").send().await.verdict(), (status, code));
        assert_eq!(server.get("/bucket/k").send().await.verdict(), (status, code));
        assert_eq!(server.head("/bucket/k").send().await.status, status);
    }
    server.memory.fail(None);
    assert_eq!(server.put("/bucket/k").body("x").send().await.status, 200);
}

#[tokio::test]
async fn who_stalls_is_dropped() {
    let server = Server::with(|config| {
        config.header_timeout = Duration::from_millis(300);
        config.stall_timeout = Duration::from_millis(300);
    })
    .await;
    // In the headers.
    let mut stream = connect(&server).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.expect("sent");
    assert_eq!(closed_after(&mut stream).await, b"", "headers");
    // In the body, drop by drop.
    let wire = server.put("/bucket/k").payload("UNSIGNED-PAYLOAD").body(vec![0; 1000]).signed();
    let mut stream = connect(&server).await;
    stream.write_all(&wire[..wire.len() - 900]).await.expect("sent");
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _ = stream.write_all(b"0").await;
    }
    let answer = String::from_utf8(closed_after(&mut stream).await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("RequestTimeout"), "{answer}");
    assert_eq!(server.memory.version_count(), 0);
}

#[tokio::test]
async fn who_does_not_read_is_dropped() {
    let server = Server::with(|config| {
        config.requests_max = 1;
        config.stall_timeout = Duration::from_millis(300);
    })
    .await;
    server.put("/bucket/k").body(vec![1; 64 << 20]).send().await;
    let mut stream = connect(&server).await;
    stream.write_all(&server.get("/bucket/k").signed()).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.get("/bucket").send().await.status, 503);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(server.get("/bucket").send().await.status, 200);
}

#[tokio::test]
async fn headers_have_limits() {
    let server = Server::start().await;
    let long = "x".repeat(40 * 1024);
    let mut stream = connect(&server).await;
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nhost: h\r\nx-long: {long}\r\n\r\n").as_bytes()).await;
    let answer = String::from_utf8(closed_after(&mut stream).await).expect("text");
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many: String = (0..200).map(|i| format!("x-{i}: 1\r\n")).collect();
    let wire = format!("GET / HTTP/1.1\r\nhost: h\r\n{many}\r\n");
    assert_eq!(exchange(server.address, "GET", wire.as_bytes()).await.status, 431);
}

#[tokio::test]
async fn shutdown_lets_requests_end() {
    let server = Server::start().await;
    server.put("/bucket/k").body(vec![1; 3 << 20]).send().await;
    let gate = Arc::new(Semaphore::new(1));
    server.memory.gate(Some(gate.clone()));
    let reading = tokio::spawn(server.get("/bucket/k").send());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let address = server.address;
    let stopping = tokio::spawn(server.stop());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(TcpStream::connect(address).await.is_err());
    gate.add_permits(100);
    assert_eq!(reading.await.expect("reads").body.len(), 3 << 20);
    stopping.await.expect("stops");
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.expect("listening")
}

/// What comes until the server closes, which it must within seconds.
async fn closed_after(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes));
    let _ = reading.await.expect("the server closes");
    bytes
}
