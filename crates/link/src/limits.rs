//! Every bound of a link, with what it costs. Both ends use one [`Limits`]; a client never sends what a
//! server with the same limits would make it wait for.

use crate::room::Budget;
use std::time::Duration;

/// Bytes of a request's or response's body. A chunk's shard is at most 1 MiB; pages and blocks fit too.
pub const BODY_MAX: usize = 4 << 20;

/// A request at least this long goes over the bulk connection, whatever its lane says.
pub const BULK_FROM: usize = 64 << 10;

/// Bytes of response reserved for a call on a control lane, unless the lane says otherwise.
pub const CONTROL_REPLY_MAX: usize = 16 << 10;

/// A request shorter than [`BULK_FROM`] that reserves no longer a response is small: it has room of its own.
pub(crate) const SMALL_REPLY_MAX: usize = 64 << 10;

/// Bytes sealed into one write. Bounds the sealing buffer; a longer message is a write of its own.
pub(crate) const BATCH_BYTES: usize = 256 << 10;

/// Messages taken from a queue for one write.
pub(crate) const BATCH_MESSAGES: usize = 64;

/// What one end of a link spends at most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests in flight per connection. Parked requests count.
    pub requests: usize,
    /// Bytes in flight per connection: of each request its body and the response it reserves.
    pub bytes: usize,
    /// Bytes in flight over all connections of a peer. Of these and of the next an eighth is for small requests.
    pub peer_bytes: usize,
    /// Bytes in flight over all connections of a server.
    pub server_bytes: usize,
    /// Calls of a client waiting for the two bounds above; more are answered `Overloaded`.
    pub waiting: usize,
    /// Established connections of a server; more are refused.
    pub connections: usize,
    /// Established connections of one peer, two for each process that has its key. A further one closes the one that
    /// has been idle for longest, and is refused while none is.
    pub peer_connections: usize,
    /// Handshakes of a server in progress; more are refused.
    pub handshakes: usize,
    /// Time for connecting, handshake, admission and the server's greeting together.
    pub handshake_timeout: Duration,
    /// Allowed age and lead of a handshake's timestamps: the clocks' disagreement that is tolerated.
    pub clock_skew: Duration,
    /// A request is dropped by the server after this time, or earlier if the caller waits less.
    pub request_timeout: Duration,
    /// One write must finish within this time.
    pub write_timeout: Duration,
    /// An end that had nothing to write for this time writes a keepalive. Must be well below `silence`,
    /// and below the runtime's read timeout (60 s by default on tokio).
    pub keepalive: Duration,
    /// A connection that brought nothing for this time is dead.
    pub silence: Duration,
    /// First wait after a failed dial; doubles up to `backoff_max`.
    pub backoff_min: Duration,
    /// Longest wait after a failed dial.
    pub backoff_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 1024,
            bytes: 64 << 20,
            peer_bytes: 128 << 20,
            server_bytes: 1 << 30,
            waiting: 4096,
            connections: 256,
            peer_connections: 32,
            handshakes: 64,
            handshake_timeout: Duration::from_secs(5),
            clock_skew: Duration::from_secs(10),
            request_timeout: Duration::from_secs(120),
            write_timeout: Duration::from_secs(30),
            keepalive: Duration::from_secs(10),
            silence: Duration::from_secs(35),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Panics when the numbers contradict each other: they are the program's own, not input.
    pub(crate) fn check(&self) {
        assert!(self.requests > 0 && self.connections > 0 && self.handshakes > 0);
        assert!(self.peer_connections >= 2, "a client keeps two connections");
        // The largest call must fit alone, or it would wait forever.
        assert!(self.bytes >= 2 * BODY_MAX && self.server_bytes >= self.peer_bytes);
        assert!(Budget::largest(self.peer_bytes) >= 2 * BODY_MAX);
        assert!(self.server_bytes <= u32::MAX as usize, "reservations are counted in u32");
        assert!(self.keepalive * 2 < self.silence);
        assert!(self.backoff_min > Duration::ZERO && self.backoff_min <= self.backoff_max);
    }
}

const _: () = assert!(CONTROL_REPLY_MAX <= SMALL_REPLY_MAX && BULK_FROM <= BODY_MAX);
