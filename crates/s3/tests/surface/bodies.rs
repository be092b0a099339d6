//! Bodies that are not what their headers say: nothing of them may be stored.

use crate::client::{Answer, Request, Server};

/// Of "123456789".
const CRC32: &str = "y/Q5Jg==";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

async fn refused(server: &Server, request: Request, verdict: (u16, &str)) {
    let answer = request.send().await;
    assert_eq!(answer.verdict(), verdict, "{}", answer.text());
    assert_eq!(server.memory.version_count(), 0);
}

fn trailing(server: &Server, declared: usize, body: &str) -> Request {
    server
        .put("/bucket/k")
        .payload(UNSIGNED_TRAILER)
        .header("content-encoding", "gzip, aws-chunked")
        .header("x-amz-decoded-content-length", &declared.to_string())
        .header("x-amz-trailer", "x-amz-checksum-crc32")
        .body(body)
}

#[tokio::test]
async fn hash_of_the_payload() {
    let server = Server::start().await;
    let other = "0".repeat(64);
    let mismatch = (400, "XAmzContentSHA256Mismatch");
    refused(&server, server.put("/bucket/k").payload(&other).body("x"), mismatch).await;
    refused(&server, server.put("/bucket/k").payload(&other).body(vec![7; 3 << 20]), mismatch).await;
    let delete = "<Delete><Object><Key>k</Key></Object></Delete>";
    refused(&server, server.post("/bucket?delete").payload(&other).body(delete), mismatch).await;
    // A presigned URL does not sign the payload, but a hash sent along is held to.
    let answer = server.put("/bucket/k").unsigned("x-amz-content-sha256", &other).body("x");
    assert_eq!(answer.send_presigned("60").await.verdict(), mismatch);
    let unsigned = server.put("/bucket/k").payload("UNSIGNED-PAYLOAD").body("x").send().await;
    assert_eq!(unsigned.status, 200);
}

#[tokio::test]
async fn checksums_and_md5() {
    let server = Server::start().await;
    let put = || server.put("/bucket/k").body("123456780");
    for (name, value) in [
        ("x-amz-checksum-crc32", CRC32),
        ("x-amz-checksum-crc32c", "4waSgw=="),
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
        ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
    ] {
        refused(&server, put().header(name, value), (400, "BadDigest")).await;
    }
    refused(&server, put().header("content-md5", "x"), (400, "InvalidDigest")).await;
    refused(&server, put().header("x-amz-checksum-crc32", "x"), (400, "BadDigest")).await;
    let announced = put().header("x-amz-sdk-checksum-algorithm", "CRC32");
    refused(&server, announced, (400, "InvalidRequest")).await;
    let delete = "<Delete><Object><Key>k</Key></Object></Delete>";
    for name in ["content-md5", "x-amz-checksum-crc32"] {
        let value = if name == "content-md5" { "JfnnlDI7RTiF9RgfG2JNCw==" } else { CRC32 };
        let request = server.post("/bucket?delete").header(name, value).body(delete);
        refused(&server, request, (400, "BadDigest")).await;
    }
    let right = server.put("/bucket/k").header("x-amz-checksum-crc32", CRC32).body("123456789").send().await;
    assert_eq!((right.status, right.header("x-amz-checksum-crc32")), (200, Some(CRC32)));
    assert_eq!(right.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
}

#[tokio::test]
async fn trailers() {
    let server = Server::start().await;
    let right = "4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
    for (declared, body, verdict) in [
        (9, right.replace("y/Q5", "y/Q6"), (400, "BadDigest")),
        (9, right.replace("x-amz-checksum-crc32:y/Q5Jg==\r\n", ""), (400, "MalformedTrailerError")),
        (10, right.to_owned(), (400, "IncompleteBody")),
        (8, right.to_owned(), (400, "IncompleteBody")),
        (9, right.split("0\r\n").next().expect("a part").to_owned(), (400, "IncompleteBody")),
        (9, right.replace("4\r\n", "4;chunk-signature=00\r\n"), (400, "InvalidRequest")),
        (9, right.replace("4\r\n", "z\r\n"), (400, "InvalidRequest")),
    ] {
        refused(&server, trailing(&server, declared, &body), verdict).await;
    }
    let answer = trailing(&server, 9, right).send().await;
    assert_eq!(
        (answer.status, answer.header("x-amz-checksum-crc32")),
        (200, Some(CRC32)),
        "{}",
        answer.text()
    );
    let get = server.get("/bucket/k").header("x-amz-checksum-mode", "ENABLED").send().await;
    assert_eq!((get.text(), get.header("content-encoding")), ("123456789", Some("gzip")));
    assert_eq!(get.header("x-amz-checksum-crc32"), Some(CRC32));
}

#[tokio::test]
async fn trailers_without_content_length() {
    // As the JavaScript SDK sends a stream: HTTP chunks around aws-chunks.
    let server = Server::start().await;
    let inner = "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n";
    let outer = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let request = trailing(&server, 9, &outer).header("transfer-encoding", "chunked");
    assert_eq!(request.send().await.status, 200);
    assert_eq!(server.get("/bucket/k").send().await.text(), "123456789");
}

#[tokio::test]
async fn signed_chunks() {
    let server = Server::start().await;
    let contents: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    let put = || server.put("/bucket/k").body(contents.clone());
    let changed = put().send_signed_chunks(65_536, |body| body[100_000] ^= 1).await;
    assert_eq!(changed.verdict(), (403, "SignatureDoesNotMatch"), "{}", changed.text());
    let cut = put().send_signed_chunks(65_536, |body| body.truncate(body.len() - 90)).await;
    assert_eq!(cut.verdict(), (400, "IncompleteBody"), "{}", cut.text());
    assert_eq!(server.memory.version_count(), 0);
    let right = put().send_signed_chunks(65_536, |_| {}).await;
    assert_eq!(right.status, 200, "{}", right.text());
    assert_eq!(server.get("/bucket/k").send().await.body, contents);
    let large = server.put("/bucket/l").body(vec![0; 17 << 20]).send_signed_chunks(17 << 20, |_| {}).await;
    assert_eq!(large.verdict(), (400, "InvalidChunkSizeError"));
}

#[tokio::test]
async fn lengths() {
    let server = Server::start().await;
    // The connection ends before the body does.
    let mut wire = server.put("/bucket/k").payload("UNSIGNED-PAYLOAD").body("0123456789").signed();
    wire.truncate(wire.len() - 3);
    let mut stream = tokio::net::TcpStream::connect(server.address).await.expect("listening");
    tokio::io::AsyncWriteExt::write_all(&mut stream, &wire).await.expect("sent");
    drop(stream);
    let too_large = server.put("/bucket/k").payload("UNSIGNED-PAYLOAD");
    let too_large = too_large.header("content-length", "5368709121");
    refused(&server, too_large, (400, "EntityTooLarge")).await;
    let no_length =
        server.put("/bucket/k").payload("UNSIGNED-PAYLOAD").header("transfer-encoding", "chunked");
    refused(&server, no_length.body("1\r\nx\r\n0\r\n\r\n"), (411, "MissingContentLength")).await;
    let presigned =
        server.put("/bucket/k").unsigned("transfer-encoding", "chunked").body("1\r\nx\r\n0\r\n\r\n");
    assert_eq!(presigned.send_presigned("60").await.verdict(), (411, "MissingContentLength"));
    assert_eq!(server.memory.version_count(), 0);
    let undeclared =
        server.put("/bucket/k").payload(UNSIGNED_TRAILER).header("x-amz-trailer", "x-amz-checksum-crc32");
    refused(&server, undeclared, (411, "MissingContentLength")).await;
    let document = server.post("/bucket?delete").body(vec![b' '; (4 << 20) + 1]);
    refused(&server, document, (400, "MaxMessageLengthExceeded")).await;
}

#[tokio::test]
async fn continue_is_sent_only_for_what_is_accepted() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = Server::start().await;
    let mut request = server.put("/bucket/k").header("expect", "100-continue").body("contents");
    let accepted = request.clone();
    let wire = accepted.signed();
    let (head, body) = wire.split_at(wire.len() - 8);
    let mut stream = tokio::net::TcpStream::connect(server.address).await.expect("listening");
    stream.write_all(head).await.expect("sent");
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.expect("an interim answer");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body).await.expect("sent");
    let answer: Answer = crate::client::read_answer(&mut stream, "PUT").await;
    assert_eq!(answer.status, 200);

    request.secret = "wrong".to_owned();
    let wire = request.signed();
    let mut stream = tokio::net::TcpStream::connect(server.address).await.expect("listening");
    stream.write_all(&wire[..wire.len() - 8]).await.expect("sent");
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 403");
}

#[tokio::test]
async fn where_no_continue_was_sent_for_an_empty_body_the_connection_ends() {
    let server = Server::start().await;
    let empty = server.put("/bucket/k").header("expect", "100-continue").body("").send().await;
    assert_eq!((empty.status, empty.header("connection")), (200, Some("close")));
    let plain = server.put("/bucket/k").body("").send().await;
    assert_eq!((plain.status, plain.header("connection")), (200, None));
}
