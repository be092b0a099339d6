//! The listening side: connections, their bounds and their end.
//!
//! A connection above the limit is answered 503 and closed at once; a request above the limit is answered 503 SlowDown
//! at once; a client that stalls, in a TLS handshake, headers, body or reading, is dropped. Nothing waits in a queue.

use crate::{config::Config, edge::Edge, socket::Socket, store::Store, tls::Tls};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Bytes of a request's line and headers.
const HEADERS_BYTES_MAX: usize = 32 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 128;
/// Bytes read from, or waiting to be written to, a connection at a time.
const BUFFER_BYTES_MAX: usize = 256 * 1024;
/// Serves S3 on `listener` until `shutdown` is ready; then answers the requests in work, for as long as the
/// configuration allows, and returns.
pub async fn serve<S: Store>(
    listener: TcpListener,
    store: S,
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
) {
    let edge = Arc::new(Edge::new(store, &config));
    let connections = Arc::new(Semaphore::new(config.connections_max));
    let graceful = GracefulShutdown::new();
    let http = http(&config);
    let busy = busy();
    let acceptor = config.tls.as_ref().map(Tls::acceptor);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: others must end first.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            tracing::debug!("too many connections");
            if acceptor.is_none() {
                let _ = stream.try_write(&busy);
            }
            continue;
        };
        let Some(socket) = socket(stream, &config) else { continue };
        let (edge, http, watcher) = (edge.clone(), http.clone(), graceful.watcher());
        let (acceptor, patience) = (acceptor.clone(), config.header_timeout);
        tokio::spawn(async move {
            match acceptor {
                None => converse(socket, edge, &http, watcher).await,
                Some(acceptor) => match timeout(patience, acceptor.accept(socket)).await {
                    Ok(Ok(stream)) => converse(stream, edge, &http, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "no TLS handshake"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                },
            }
            drop(permit);
        });
    }
    drop(listener);
    if timeout(config.shutdown_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still in work at shutdown are given up");
    }
}

/// Answers the requests of one connection, until it ends.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    edge: Arc<Edge>,
    http: &http1::Builder,
    watcher: Watcher,
) {
    let service = service_fn(move |request| {
        let edge = edge.clone();
        async move { edge.answer(request).await }
    });
    let connection = watcher.watch(http.serve_connection(TokioIo::new(stream), service));
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection ended");
    }
}

/// What a connection too many is told, without reading what it asks.
fn busy() -> Vec<u8> {
    let body = "<Error><Code>SlowDown</Code><Message>This gateway has as many connections as it may: slow down and try \
                again.</Message></Error>";
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\
         Retry-After: 1\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn http(config: &Config) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADERS_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX);
    http
}

fn socket(stream: TcpStream, config: &Config) -> Option<Socket> {
    // Without this an answer of two packets waits 40 ms for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection ended");
        return None;
    }
    Some(Socket::new(stream, config.stall_timeout))
}
