//! Authenticated, encrypted, multiplexed request and response between a gateway (or a node) and a node.
//!
//! # Protocol, version 1
//!
//! 1. The client opens a TCP connection and runs the SAKE handshake (V1) of commonware-stream with its
//!    ed25519 key, expecting the server's. The namespace is `_OUTLAST_LINK_V1` followed by the network's own
//!    namespace, so ends of different networks or link versions do not connect. The server asks its
//!    [`Handler`] whether it admits the client's key before it does any cryptography.
//! 2. Messages then travel as CUPS (V1) records sealed with AES-256-GCM ([`Aes256Gcm`]), each direction under
//!    a key of its own: lengths are encrypted, and nothing is delivered before it is authenticated.
//! 3. The server greets with a keepalive once it has accepted the connection; the client sends nothing before.
//! 4. The client sends requests, each with an id of its choosing that is not in flight, a lane (which tells
//!    the server what the body means), the time after which it stops waiting, and the longest response it
//!    takes. The server handles them concurrently and answers each in any order with that id. It may drop a
//!    request when its time is over, or when the client cancels it.
//! 5. Either end that had nothing to write for [`Limits::keepalive`] writes a keepalive; either end that
//!    received nothing for [`Limits::silence`] closes the connection. So does whoever receives a message that
//!    is not one of the frames below. A closed connection drops its requests.
//!
//! A frame is one message of the encrypted stream; integers are big-endian; the body is the rest of the
//! message, at most [`BODY_MAX`] bytes.
//!
//! | kind `u8` | direction | then |
//! |-----------|-----------|------|
//! | 0 keepalive | both | nothing |
//! | 1 request | to the server | id `u64`, lane `u8`, timeout in ms `u32`, longest response in bytes `u32`, body |
//! | 2 response | to the client | id `u64`, status `u8` ([`Status`]), body |
//! | 3 cancel | to the server | id `u64` |
//!
//! # Bounds
//!
//! A call reserves its request's length plus the longest response it takes, at both ends, until it is
//! answered. A client waits when [`Limits::requests`] or [`Limits::bytes`] are reserved; a server then stops
//! reading, which one client with the same limits never brings about. A server also bounds what all
//! connections of one peer reserve ([`Limits::peer_bytes`]), and all together; small requests have a share of
//! their own of both. So a parked request costs a place and its reservation, and delays nobody but, when a
//! peer has very many, that peer. A client keeps two connections to its peer, so that control messages never
//! queue behind bulk data: see [`Lane`].
//!
//! # Failures
//!
//! When a connection breaks, its calls fail at once with [`Error::Unreachable`]; whether the server acted on
//! them is unknown. The first call without a connection dials, and waits for it. After a failed dial calls
//! fail at once until a later dial succeeds; dials back off up to [`Limits::backoff_max`] and happen only
//! while there are calls.
//!
//! # Copies and records
//!
//! A request is one record. Sealing copies it once, into the buffer that is written (CUPS offers no way to
//! seal the caller's memory, which may be shared); opening is in place, and the body handed to the handler or
//! the caller is a slice of the received record. The runtime must be configured with `TCP_NODELAY`
//! (commonware's tokio network does so by default).

mod cipher;
mod client;
mod connection;
mod dialer;
mod error;
mod frame;
mod limits;
mod room;
mod server;
mod session;

pub use cipher::Aes256Gcm;
pub use client::{Client, ClientConfig, Lane};
pub use error::{Error, Reason};
pub use frame::{Malformed, Status};
pub use limits::{BODY_MAX, BULK_FROM, CONTROL_REPLY_MAX, Limits};
pub use server::{Handler, Response, ServerConfig, serve};

use bytes::Bytes;
use commonware_runtime::{Clock, IoBuf, IoBufs, Metrics, Network, Spawner};
use rand_core::CryptoRng;

/// What a link needs of its runtime. Every commonware runtime context has it.
pub trait Context: Spawner + Clock + Network + Metrics + CryptoRng {}

impl<E: Spawner + Clock + Network + Metrics + CryptoRng> Context for E {}

/// Joins pieces into one body without copying them.
pub fn pieces(pieces: impl IntoIterator<Item = Bytes>) -> IoBufs {
    pieces.into_iter().map(IoBuf::from).collect()
}
