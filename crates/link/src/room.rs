//! Room for requests in flight: of a connection, of its peer, of the server.
//!
//! A request takes room at all three, until its response is written. No peer has more than [`Limits::peer_bytes`] over
//! all its connections, so a few cannot take all of the server's. Small requests have room of their own, so that they
//! do not wait behind bulk data, neither at the server nor at their peer.

use crate::{
    Limits,
    limits::{BULK_FROM, SMALL_REPLY_MAX},
};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The part of a budget that is for small requests: one of so many.
const SMALL_SHARE: usize = 8;

/// Bytes that may be in flight, over several connections.
#[derive(Clone)]
pub(crate) struct Budget {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        let small = bytes / SMALL_SHARE;
        Self { small: Arc::new(Semaphore::new(small)), large: Arc::new(Semaphore::new(bytes - small)) }
    }

    /// Bytes that the longest request may reserve.
    pub(crate) fn largest(bytes: usize) -> usize {
        bytes - bytes / SMALL_SHARE
    }

    async fn reserve(&self, request: usize, reply_max: u32) -> OwnedSemaphorePermit {
        let is_small = request < BULK_FROM && reply_max as usize <= SMALL_REPLY_MAX;
        let room = if is_small { &self.small } else { &self.large };
        acquire(room, bytes(request, reply_max)).await
    }
}

/// The room of one connection, within that of its peer and of the server.
pub(crate) struct Room {
    pub(crate) requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    peer: Budget,
    server: Budget,
}

/// Room for one request, held until its response is written.
pub(crate) struct Reserved {
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
    _peer: OwnedSemaphorePermit,
    _server: OwnedSemaphorePermit,
}

impl Room {
    pub(crate) fn new(limits: &Limits, requests: Arc<Semaphore>, peer: Budget, server: Budget) -> Self {
        Self { requests, bytes: Arc::new(Semaphore::new(limits.bytes)), peer, server }
    }

    /// Waits until a request and its response fit, first into the connection's room, then into its peer's and the
    /// server's, so that one connection waits at most once for those.
    pub(crate) async fn reserve(&self, request: usize, reply_max: u32) -> Reserved {
        Reserved {
            _request: acquire(&self.requests, 1).await,
            _bytes: acquire(&self.bytes, bytes(request, reply_max)).await,
            _peer: self.peer.reserve(request, reply_max).await,
            _server: self.server.reserve(request, reply_max).await,
        }
    }
}

fn bytes(request: usize, reply_max: u32) -> u32 {
    u32::try_from(request).expect("one body at most") + reply_max
}

async fn acquire(room: &Arc<Semaphore>, count: u32) -> OwnedSemaphorePermit {
    room.clone().acquire_many_owned(count).await.expect("never closed")
}
