//! What the tests' links are made of: keys, addresses, a handler, a listener that survives its server.

use bytes::{Buf as _, Bytes};
use commonware_cryptography::{
    Signer as _,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_runtime::{
    Error as RuntimeError, Handle, Listener, Network as _, Supervisor as _, deterministic,
};
use commonware_utils::sync::{AsyncMutex, Mutex};
use link::{Client, ClientConfig, Handler, Lane, Limits, Response, ServerConfig, serve};
use std::{
    future,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

pub(crate) const NAMESPACE: &[u8] = b"test network";
pub(crate) const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1000);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Answers with the request.
pub(crate) const ECHO: Lane = Lane::control(1);
/// Answers with the request, over the bulk connection.
pub(crate) const ECHO_BULK: Lane = Lane::bulk(1);
/// Answers with the request when the test opens the [`Gate`].
pub(crate) const PARK: Lane = Lane::control(2).reply_max(0);
/// Answers with as many bytes as the request says.
pub(crate) const FILL: Lane = Lane::bulk(3);
/// Refuses.
pub(crate) const REFUSE: Lane = Lane::control(4);

pub(crate) fn server_key() -> PrivateKey {
    PrivateKey::from_seed(1)
}

pub(crate) fn client_key() -> PrivateKey {
    PrivateKey::from_seed(2)
}

/// Parked requests pass one by one.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) open: Arc<Semaphore>,
    /// Requests parked now, and the most there were.
    pub(crate) parked: Arc<AtomicUsize>,
    pub(crate) parked_max: Arc<AtomicUsize>,
    pub(crate) admitted: Option<PublicKey>,
    pub(crate) seen: Arc<Mutex<Vec<PublicKey>>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            open: Arc::new(Semaphore::new(0)),
            parked: Arc::default(),
            parked_max: Arc::default(),
            admitted: Some(client_key().public_key()),
            seen: Arc::default(),
        }
    }
}

impl Gate {
    pub(crate) fn parked(&self) -> usize {
        self.parked.load(Ordering::SeqCst)
    }

    async fn pass(&self) {
        let parked = Parked::enter(&self.parked);
        self.parked_max.fetch_max(self.parked(), Ordering::SeqCst);
        self.open.acquire().await.expect("never closed").forget();
        drop(parked);
    }
}

struct Parked<'a>(&'a AtomicUsize);

impl<'a> Parked<'a> {
    fn enter(parked: &'a AtomicUsize) -> Self {
        parked.fetch_add(1, Ordering::SeqCst);
        Self(parked)
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Handler for Gate {
    fn admit(&self, peer: &PublicKey) -> impl Future<Output = bool> + Send {
        future::ready(self.admitted.as_ref().is_none_or(|admitted| admitted == peer))
    }

    async fn handle(&self, peer: &PublicKey, lane: u8, mut request: Bytes) -> Response {
        self.seen.lock().push(peer.clone());
        match lane {
            1 => request.into(),
            2 => {
                self.pass().await;
                Response::ok(Bytes::new())
            }
            3 => vec![7; request.get_u32() as usize].into(),
            4 => Response::overloaded(),
            other => panic!("lane {other}"),
        }
    }
}

/// A listener that can be given to one server after another, because the deterministic network does not let
/// an address be bound twice.
pub(crate) struct Lent<L>(Arc<AsyncMutex<L>>, SocketAddr);

impl<L: Listener> Lent<L> {
    pub(crate) fn new(listener: L) -> Self {
        let address = listener.local_addr().expect("bound");
        Self(Arc::new(AsyncMutex::new(listener)), address)
    }

    pub(crate) fn lend(&self) -> Self {
        Self(self.0.clone(), self.1)
    }
}

impl<L: Listener> Listener for Lent<L> {
    type Sink = L::Sink;
    type Stream = L::Stream;

    async fn accept(&mut self) -> Result<(SocketAddr, L::Sink, L::Stream), RuntimeError> {
        self.0.lock().await.accept().await
    }

    fn local_addr(&self) -> Result<SocketAddr, std::io::Error> {
        Ok(self.1)
    }
}

pub(crate) fn server_config(limits: Limits) -> ServerConfig {
    ServerConfig { key: server_key(), namespace: NAMESPACE.to_vec(), limits }
}

pub(crate) fn client_config(limits: Limits) -> ClientConfig {
    ClientConfig {
        key: client_key(),
        namespace: NAMESPACE.to_vec(),
        peer: server_key().public_key(),
        address: ADDRESS,
        limits,
    }
}

/// A server at [`ADDRESS`].
pub(crate) async fn start_server(context: &deterministic::Context, limits: Limits) -> (Gate, Handle<()>) {
    let listener = context.bind(ADDRESS).await.expect("free");
    let gate = Gate::default();
    let server = serve(context.child("server"), listener, server_config(limits), gate.clone());
    (gate, server)
}

/// A server and its client.
pub(crate) async fn start(context: &deterministic::Context, limits: Limits) -> (Gate, Client) {
    let (gate, _) = start_server(context, limits.clone()).await;
    (gate, Client::start(context.child("client"), client_config(limits)))
}
