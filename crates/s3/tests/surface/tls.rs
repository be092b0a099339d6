//! The same surface over TLS.

use crate::{
    client::{KEY, Request, SECRET, read_answer},
    memory::Memory,
};
use rcgen::{CertificateParams, KeyPair};
use s3::{Config, SecretKey, Tls, TlsError};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs},
};

struct Secured {
    address: SocketAddr,
    connector: TlsConnector,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start() -> Secured {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let tls = Tls::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).expect("usable");
    let config = Config {
        keys: [(KEY.to_owned(), SecretKey::from(SECRET))].into(),
        header_timeout: Duration::from_millis(500),
        tls: Some(tls),
        ..Config::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(s3::serve(listener, Memory::default(), config, async {
        let _ = stopped.await;
    }));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a root");
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Secured { address, connector: TlsConnector::from(Arc::new(client)), stop, task }
}

impl Secured {
    async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.expect("listening");
        self.connector.connect("localhost".try_into().expect("a name"), stream).await.expect("a handshake")
    }
}

#[tokio::test]
async fn requests_are_answered_on_one_connection() {
    let server = start().await;
    let mut stream = server.connect().await;
    let contents: Vec<u8> = (0..3 << 20).map(|at| at as u8).collect();
    for (method, path, body) in [("PUT", "/bucket", vec![]), ("PUT", "/bucket/k", contents.clone())] {
        let request = Request::new(server.address, method, path).body(body);
        stream.write_all(&request.signed()).await.expect("sent");
        assert_eq!(read_answer(&mut stream, method).await.status, 200);
    }
    stream.write_all(&Request::new(server.address, "GET", "/bucket/k").signed()).await.expect("sent");
    assert!(read_answer(&mut stream, "GET").await.body == contents);
    server.stop.send(()).expect("serving");
    tokio::time::timeout(Duration::from_secs(5), server.task).await.expect("stops").expect("to the end");
}

#[tokio::test]
async fn who_does_not_speak_tls_learns_nothing() {
    let server = start().await;
    let mut plain = TcpStream::connect(server.address).await.expect("listening");
    plain.write_all(&Request::new(server.address, "GET", "/").signed()).await.expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert_eq!(answer.first(), Some(&21), "an alert, and no HTTP: {answer:?}");
    assert!(answer.len() < 16);

    let mut silent = TcpStream::connect(server.address).await.expect("listening");
    let dropped = tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut answer)).await;
    dropped.expect("dropped after the header timeout").expect("closed");
    // Neither was in the way of others.
    let mut stream = server.connect().await;
    stream.write_all(&Request::new(server.address, "GET", "/").signed()).await.expect("sent");
    assert_eq!(read_answer(&mut stream, "GET").await.status, 200);
}

#[test]
fn what_is_no_certificate_is_refused() {
    let key = || KeyPair::generate().expect("a key");
    let certificate = |key: &KeyPair| {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.self_signed(key).expect("a certificate").pem().into_bytes()
    };
    let (one, other) = (key(), key());
    let pem = |key: &KeyPair| key.serialize_pem().into_bytes();
    assert!(matches!(Tls::from_pem(b"", &pem(&one)), Err(TlsError::Certificate)));
    assert!(matches!(Tls::from_pem(&certificate(&one), b"nothing"), Err(TlsError::Key)));
    assert!(matches!(Tls::from_pem(&certificate(&one), &pem(&other)), Err(TlsError::Unusable(_))));
}
