//! Why a call failed, and why a connection ended.

use crate::frame::Malformed;
use commonware_cryptography::ed25519::PublicKey;

/// Why a call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection, or it broke while the call was in flight. In the second case the peer may
    /// have acted on the request.
    #[error("{peer} is unreachable: {reason}")]
    Unreachable {
        /// The peer called.
        peer: Box<PublicKey>,
        /// What happened to the connection.
        reason: Reason,
    },
    /// No answer came in time. The peer may have acted on the request.
    #[error("no answer in time")]
    Timeout,
    /// The request, or the response reserved, is longer than a body may be.
    #[error("{bytes} bytes are more than {bytes_max}")]
    TooLarge {
        /// The length asked for.
        bytes: usize,
        /// The longest that is allowed.
        bytes_max: usize,
    },
    /// The peer's answer is longer than the lane's [`Lane::reply_max`](crate::Lane::reply_max).
    #[error("the answer is longer than reserved")]
    ReplyTooLarge,
    /// Too many calls wait already, or the peer refused for lack of room.
    #[error("overloaded")]
    Overloaded,
    /// The client's task has ended: the runtime, or the context it was started from, is shutting down.
    #[error("closed")]
    Closed,
}

/// Why a connection could not be made, or ended.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Reason {
    /// The address did not answer.
    #[error("dial: {0}")]
    Dial(String),
    /// The peer is not the one expected, did not admit us, belongs to another network, or broke off.
    #[error("handshake: {0}")]
    Handshake(String),
    /// Connecting and greeting took longer than [`Limits::handshake_timeout`](crate::Limits).
    #[error("handshake timed out")]
    HandshakeTimeout,
    /// The connection broke.
    #[error("broken: {0}")]
    Broken(String),
    /// A write took longer than [`Limits::write_timeout`](crate::Limits).
    #[error("write timed out")]
    WriteTimeout,
    /// Nothing came for [`Limits::silence`](crate::Limits).
    #[error("silent")]
    Silent,
    /// The peer broke the protocol.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    /// A server closed the connection, which was idle, because its peer opened newer ones.
    #[error("replaced by a newer connection of this peer")]
    Replaced,
    /// A server has as many connections as it takes.
    #[error("too many connections")]
    Full,
    /// The client was dropped, or the runtime is shutting down.
    #[error("shut down")]
    ShutDown,
}
