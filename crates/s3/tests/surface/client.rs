//! A client that says exactly what a test wants it to say: Signature Version 4 and HTTP/1.1 by hand.

use crate::memory::Memory;
use s3::{Config, SecretKey};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

pub(crate) const KEY: &str = "AKIAEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG";

/// A server on a free port of the loopback, over an empty store with the bucket `bucket`.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) memory: Memory,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let memory = Memory::default();
        let keys = [(KEY, SECRET), ("AKIAOTHER", "other-secret")];
        let mut config = Config {
            keys: keys.map(|(key, secret)| (key.to_owned(), SecretKey::from(secret))).into(),
            owner: "me".to_owned(),
            ..Config::default()
        };
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(s3::serve(listener, memory.clone(), config, async {
            let _ = stopped.await;
        }));
        let server = Self { address, memory, stop: Some(stop), task };
        assert_eq!(server.put("/bucket").send().await.status, 200);
        server
    }

    pub(crate) fn get(&self, path: &str) -> Request {
        Request::new(self.address, "GET", path)
    }

    pub(crate) fn head(&self, path: &str) -> Request {
        Request::new(self.address, "HEAD", path)
    }

    pub(crate) fn put(&self, path: &str) -> Request {
        Request::new(self.address, "PUT", path)
    }

    pub(crate) fn post(&self, path: &str) -> Request {
        Request::new(self.address, "POST", path)
    }

    pub(crate) fn delete(&self, path: &str) -> Request {
        Request::new(self.address, "DELETE", path)
    }

    /// Asks the server to stop and waits until it has.
    pub(crate) async fn stop(mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        self.task.await.expect("serves to the end");
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// The text of the first element of this name.
    pub(crate) fn element(&self, name: &str) -> Option<&str> {
        self.elements(name).into_iter().next()
    }

    /// The texts of all elements of this name.
    pub(crate) fn elements(&self, name: &str) -> Vec<&str> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let after = self.text().split(&open).skip(1);
        after.filter_map(|rest| rest.split_once(&close).map(|(text, _)| text)).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Status and error code.
    pub(crate) fn verdict(&self) -> (u16, &str) {
        (self.status, self.element("Code").unwrap_or(""))
    }
}

/// A request in the making. Paths and query are given as they go over the wire.
#[derive(Clone)]
pub(crate) struct Request {
    address: SocketAddr,
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    unsigned: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    payload: Option<String>,
    pub(crate) host: String,
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) age_s: i64,
    sign_host: bool,
}

impl Request {
    pub(crate) fn new(address: SocketAddr, method: &'static str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        };
        Self {
            address,
            method,
            path: path.to_owned(),
            query: query.split('&').filter(|text| !text.is_empty()).map(pair).collect(),
            headers: Vec::new(),
            unsigned: Vec::new(),
            body: Vec::new(),
            payload: None,
            host: address.to_string(),
            key: KEY.to_owned(),
            secret: SECRET.to_owned(),
            region: "us-east-1".to_owned(),
            service: "s3".to_owned(),
            age_s: 0,
            sign_host: true,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A header that the signature does not cover.
    pub(crate) fn unsigned(mut self, name: &str, value: &str) -> Self {
        self.unsigned.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// What `x-amz-content-sha256` says, when not the body's hash.
    pub(crate) fn payload(mut self, payload: &str) -> Self {
        self.payload = Some(payload.to_owned());
        self
    }

    pub(crate) fn region(mut self, region: &str) -> Self {
        self.region = region.to_owned();
        self
    }

    pub(crate) fn aged(mut self, age_s: i64) -> Self {
        self.age_s = age_s;
        self
    }

    pub(crate) fn without_host(mut self) -> Self {
        self.sign_host = false;
        self
    }

    pub(crate) fn hosted(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    /// Signs with headers and sends.
    pub(crate) async fn send(self) -> Answer {
        let wire = self.signed();
        exchange(self.address, self.method, &wire).await
    }

    /// The signed request as bytes.
    pub(crate) fn signed(&self) -> Vec<u8> {
        let (head, _) = self.sign();
        self.wire(&self.target(&self.query), head)
    }

    /// The headers of a signed request, and the signature.
    fn sign(&self) -> (Vec<(String, String)>, String) {
        let date = amz_date(self.age_s);
        let payload = self.payload.clone().unwrap_or_else(|| hex(&Sha256::digest(&self.body)));
        let mut headers = self.headers.clone();
        headers.push(("x-amz-content-sha256".to_owned(), payload.clone()));
        headers.push(("x-amz-date".to_owned(), date.clone()));
        let (signed, signature) = self.signature(&headers, &self.query, &payload, &date);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={signed}, Signature={signature}",
            self.key,
            self.scope(&date)
        );
        headers.push(("authorization".to_owned(), authorization));
        (headers, signature)
    }

    /// The signed request with a body of signed chunks of `chunk` bytes; `tamper` changes it afterwards.
    pub(crate) async fn send_signed_chunks(
        mut self,
        chunk: usize,
        tamper: impl FnOnce(&mut Vec<u8>),
    ) -> Answer {
        let contents = std::mem::take(&mut self.body);
        self = self
            .header("x-amz-decoded-content-length", &contents.len().to_string())
            .header("content-encoding", "aws-chunked")
            .payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        let (headers, mut previous) = self.sign();
        let date = amz_date(self.age_s);
        let scope = self.scope(&date);
        let key = self.signing_key(&date);
        let empty = hex(&Sha256::digest(b""));
        for piece in contents.chunks(chunk).chain([&[][..]]) {
            let text = format!(
                "AWS4-HMAC-SHA256-PAYLOAD\n{date}\n{scope}\n{previous}\n{empty}\n{}",
                hex(&Sha256::digest(piece))
            );
            previous = hex(&hmac(&key, text.as_bytes()));
            self.body.extend(format!("{:x};chunk-signature={previous}\r\n", piece.len()).into_bytes());
            self.body.extend_from_slice(piece);
            self.body.extend_from_slice(b"\r\n");
        }
        tamper(&mut self.body);
        let wire = self.wire(&self.target(&self.query), headers);
        exchange(self.address, self.method, &wire).await
    }

    /// The request with the signature in the query.
    pub(crate) fn presign(&self, expires: &str) -> (String, Vec<(String, String)>) {
        let date = amz_date(self.age_s);
        let mut query = self.query.clone();
        let names: Vec<&str> = ["host"].into_iter().filter(|_| self.sign_host).collect();
        let signed = self.headers.iter().map(|(name, _)| name.as_str()).chain(names);
        let mut signed: Vec<&str> = signed.collect();
        signed.sort_unstable();
        for (name, value) in [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", encode(&format!("{}/{}", self.key, self.scope(&date)))),
            ("X-Amz-Date", date.clone()),
            ("X-Amz-Expires", expires.to_owned()),
            ("X-Amz-SignedHeaders", encode(&signed.join(";"))),
        ] {
            query.push((name.to_owned(), value));
        }
        let (_, signature) = self.signature(&self.headers, &query, "UNSIGNED-PAYLOAD", &date);
        query.push(("X-Amz-Signature".to_owned(), signature));
        (self.target(&query), self.headers.clone())
    }

    pub(crate) async fn send_presigned(self, expires: &str) -> Answer {
        let (target, headers) = self.presign(expires);
        let wire = self.wire(&target, headers);
        exchange(self.address, self.method, &wire).await
    }

    /// Sends without a signature.
    pub(crate) async fn send_anonymous(self) -> Answer {
        let wire = self.wire(&self.target(&self.query), self.headers.clone());
        exchange(self.address, self.method, &wire).await
    }

    fn target(&self, query: &[(String, String)]) -> String {
        let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, pairs.join("&")) }
    }

    fn wire(&self, target: &str, headers: Vec<(String, String)>) -> Vec<u8> {
        let mut text = format!("{} {target} HTTP/1.1\r\nhost: {}\r\n", self.method, self.host);
        let all: Vec<(String, String)> = headers.into_iter().chain(self.unsigned.clone()).collect();
        let framed = |name: &str| all.iter().any(|(given, _)| given == name);
        if !framed("content-length") && !framed("transfer-encoding") {
            text.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        for (name, value) in &all {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut wire = text.into_bytes();
        wire.extend_from_slice(&self.body);
        wire
    }

    fn scope(&self, date: &str) -> String {
        format!("{}/{}/{}/aws4_request", &date[..8], self.region, self.service)
    }

    fn signing_key(&self, date: &str) -> Vec<u8> {
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for step in [&date[..8], &self.region, &self.service, "aws4_request"] {
            key = hmac(&key, step.as_bytes());
        }
        key
    }

    fn signature(
        &self,
        headers: &[(String, String)],
        query: &[(String, String)],
        payload: &str,
        date: &str,
    ) -> (String, String) {
        let mut covered: Vec<(String, String)> = headers.to_vec();
        if self.sign_host {
            covered.push(("host".to_owned(), self.host.clone()));
        }
        covered.sort();
        let signed: Vec<&str> = covered.iter().map(|(name, _)| name.as_str()).collect();
        let signed = signed.join(";");
        let lines: String =
            covered.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let mut pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.sort();
        let canonical =
            format!("{}\n{}\n{}\n{lines}\n{signed}\n{payload}", self.method, self.path, pairs.join("&"));
        let text = format!(
            "AWS4-HMAC-SHA256\n{date}\n{}\n{}",
            self.scope(date),
            hex(&Sha256::digest(canonical.as_bytes()))
        );
        (signed, hex(&hmac(&self.signing_key(date), text.as_bytes())))
    }
}

/// Sends bytes and reads one answer. A server may answer before it has read everything.
pub(crate) async fn exchange(address: SocketAddr, method: &str, wire: &[u8]) -> Answer {
    let stream = TcpStream::connect(address).await.expect("listening");
    let (mut reader, mut writer) = stream.into_split();
    let wire = wire.to_vec();
    let sending = tokio::spawn(async move {
        let _ = writer.write_all(&wire).await;
        writer
    });
    let answer = read_answer(&mut reader, method).await;
    sending.abort();
    answer
}

/// Reads one answer.
pub(crate) async fn read_answer(reader: &mut (impl AsyncReadExt + Unpin), method: &str) -> Answer {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let (status, headers) = parse_head(std::str::from_utf8(&bytes[..end]).expect("text"));
            if status == 100 {
                bytes.drain(..end + 4);
                continue;
            }
            let body = bytes.split_off(end + 4);
            let empty = method == "HEAD" || status == 204 || status == 304;
            let body = if empty { Vec::new() } else { read_body(reader, &headers, body).await };
            return Answer { status, headers, body };
        }
        let read = reader.read_buf(&mut bytes).await.expect("an answer");
        assert!(read > 0, "closed before the answer: {:?}", String::from_utf8_lossy(&bytes));
    }
}

fn parse_head(head: &str) -> (u16, BTreeMap<String, String>) {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    (status, lines.map(header).collect())
}

async fn read_body(
    reader: &mut (impl AsyncReadExt + Unpin),
    headers: &BTreeMap<String, String>,
    mut body: Vec<u8>,
) -> Vec<u8> {
    assert!(!headers.contains_key("transfer-encoding"), "no answer here is of unknown length");
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().expect("a length"));
    while body.len() < length {
        let read = reader.read_buf(&mut body).await.expect("the body");
        assert!(read > 0, "the body ended early");
    }
    body
}

fn amz_date(age_s: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64 - age_s;
    let (days, second) = (now.div_euclid(86_400), now.rem_euclid(86_400));
    // Civil date from days since 1970: years begin in March, 400 of them have 146,097 days.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (second / 3600, second % 3600 / 60);
    format!("{year:04}{month:02}{day_of_month:02}T{hour:02}{minute:02}{:02}Z", second % 60)
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
