//! The frames of protocol version 1, as the crate's documentation describes them. Decoding is total: whatever
//! a peer sends is either exactly what an encoder writes, or a [`Malformed`] that closes the connection.

use crate::limits::BODY_MAX;
use bytes::{Buf as _, BufMut as _, Bytes};
use commonware_runtime::{IoBuf, IoBufs};

const KEEPALIVE: u8 = 0;
const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
const CANCEL: u8 = 3;

const REQUEST_HEADER: usize = 1 + 8 + 1 + 4 + 4;
const RESPONSE_HEADER: usize = 1 + 8 + 1;

/// Bytes of the longest frame.
pub(crate) const FRAME_MAX: usize = REQUEST_HEADER + BODY_MAX;

/// How a server answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Status {
    /// The handler answered; the body is its answer.
    Ok = 0,
    /// The handler refused for lack of room; trying later may help. No body.
    Overloaded = 1,
    /// The handler's answer is longer than the caller reserved. No body.
    ReplyTooLarge = 2,
}

/// A message that no correct peer sends. It closes the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// The message ends before its header does.
    #[error("frame of {0} bytes is too short")]
    Short(usize),
    /// The kind is unknown, or does not go in this direction.
    #[error("frame kind {0} does not belong here")]
    Kind(u8),
    /// Bytes follow where none may.
    #[error("{0} bytes after the end of the frame")]
    Trailing(usize),
    /// The status is unknown.
    #[error("unknown status {0}")]
    Status(u8),
    /// The body, or the response reserved, is longer than [`BODY_MAX`].
    #[error("{0} bytes are more than a body may have")]
    TooLarge(usize),
    /// The id belongs to a request still in flight.
    #[error("request id {0} is in use")]
    IdInUse(u64),
    /// The response is longer than its call reserved.
    #[error("response of {0} bytes is longer than reserved")]
    LongReply(usize),
    /// The server did not greet.
    #[error("no greeting")]
    NoGreeting,
}

/// A request's header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RequestHeader {
    pub(crate) id: u64,
    pub(crate) lane: u8,
    pub(crate) timeout_ms: u32,
    pub(crate) reply_max: u32,
}

/// What a server receives.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum ToServer {
    Keepalive,
    Request(RequestHeader, Bytes),
    Cancel(u64),
}

/// What a client receives.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum ToClient {
    Keepalive,
    Response { id: u64, status: Status, body: Bytes },
}

pub(crate) fn keepalive() -> IoBufs {
    IoBuf::from(&[KEEPALIVE]).into()
}

pub(crate) fn cancel(id: u64) -> IoBufs {
    let mut frame = Vec::with_capacity(9);
    frame.put_u8(CANCEL);
    frame.put_u64(id);
    frame.into()
}

/// Frames `body` without copying it.
pub(crate) fn request(header: RequestHeader, mut body: IoBufs) -> IoBufs {
    let mut frame = Vec::with_capacity(REQUEST_HEADER);
    frame.put_u8(REQUEST);
    frame.put_u64(header.id);
    frame.put_u8(header.lane);
    frame.put_u32(header.timeout_ms);
    frame.put_u32(header.reply_max);
    body.prepend(frame.into());
    body
}

/// Frames `body` without copying it.
pub(crate) fn response(id: u64, status: Status, mut body: IoBufs) -> IoBufs {
    let mut frame = Vec::with_capacity(RESPONSE_HEADER);
    frame.put_u8(RESPONSE);
    frame.put_u64(id);
    frame.put_u8(status as u8);
    body.prepend(frame.into());
    body
}

impl ToServer {
    /// Reads one message from a client. The body shares the message's memory.
    pub(crate) fn decode(mut frame: Bytes) -> Result<Self, Malformed> {
        match kind(&mut frame)? {
            KEEPALIVE => end(&frame).map(|()| Self::Keepalive),
            CANCEL => {
                at_least(&frame, 8)?;
                let id = frame.get_u64();
                end(&frame).map(|()| Self::Cancel(id))
            }
            REQUEST => {
                at_least(&frame, REQUEST_HEADER - 1)?;
                let header = RequestHeader {
                    id: frame.get_u64(),
                    lane: frame.get_u8(),
                    timeout_ms: frame.get_u32(),
                    reply_max: frame.get_u32(),
                };
                at_most(header.reply_max as usize)?;
                at_most(frame.len())?;
                Ok(Self::Request(header, frame))
            }
            other => Err(Malformed::Kind(other)),
        }
    }
}

impl ToClient {
    /// Reads one message from a server. The body shares the message's memory.
    pub(crate) fn decode(mut frame: Bytes) -> Result<Self, Malformed> {
        match kind(&mut frame)? {
            KEEPALIVE => end(&frame).map(|()| Self::Keepalive),
            RESPONSE => {
                at_least(&frame, RESPONSE_HEADER - 1)?;
                let id = frame.get_u64();
                let status = match frame.get_u8() {
                    0 => Status::Ok,
                    1 => Status::Overloaded,
                    2 => Status::ReplyTooLarge,
                    other => return Err(Malformed::Status(other)),
                };
                if status != Status::Ok {
                    end(&frame)?;
                }
                at_most(frame.len())?;
                Ok(Self::Response { id, status, body: frame })
            }
            other => Err(Malformed::Kind(other)),
        }
    }
}

fn kind(frame: &mut Bytes) -> Result<u8, Malformed> {
    at_least(frame, 1)?;
    Ok(frame.get_u8())
}

fn at_least(frame: &Bytes, bytes: usize) -> Result<(), Malformed> {
    if frame.len() < bytes { Err(Malformed::Short(frame.len())) } else { Ok(()) }
}

fn at_most(bytes: usize) -> Result<(), Malformed> {
    if bytes > BODY_MAX { Err(Malformed::TooLarge(bytes)) } else { Ok(()) }
}

fn end(frame: &Bytes) -> Result<(), Malformed> {
    if frame.is_empty() { Ok(()) } else { Err(Malformed::Trailing(frame.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flat(frame: IoBufs) -> Bytes {
        frame.coalesce().into()
    }

    fn status() -> impl Strategy<Value = Status> {
        prop_oneof![Just(Status::Ok), Just(Status::Overloaded), Just(Status::ReplyTooLarge)]
    }

    /// Half of the messages begin with a valid kind, so that the parts behind it are reached.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let bytes = prop::collection::vec(any::<u8>(), 0..64);
        (any::<bool>(), 0..5u8, bytes).prop_map(|(valid, kind, mut bytes)| {
            if valid {
                bytes.insert(0, kind);
            }
            bytes
        })
    }

    /// The bytes of version 1, frozen: a change here is a new version.
    #[test]
    fn version_1_bytes() {
        let header = RequestHeader { id: 1, lane: 2, timeout_ms: 3, reply_max: 4 };
        assert_eq!(flat(keepalive()), &[0][..]);
        assert_eq!(
            flat(request(header, b"body".into())),
            &b"\x01\0\0\0\0\0\0\0\x01\x02\0\0\0\x03\0\0\0\x04body"[..]
        );
        assert_eq!(flat(response(1, Status::Ok, b"body".into())), &b"\x02\0\0\0\0\0\0\0\x01\0body"[..]);
        assert_eq!(flat(cancel(1)), &b"\x03\0\0\0\0\0\0\0\x01"[..]);
    }

    #[test]
    fn refuses_what_is_too_large() {
        let header = RequestHeader { id: 1, lane: 2, timeout_ms: 3, reply_max: BODY_MAX as u32 };
        let decoded = ToServer::decode(flat(request(header, vec![0; BODY_MAX].into())));
        assert!(matches!(decoded, Ok(ToServer::Request(..))));
        let decoded = ToServer::decode(flat(request(header, vec![0; BODY_MAX + 1].into())));
        assert_eq!(decoded, Err(Malformed::TooLarge(BODY_MAX + 1)));
        let header = RequestHeader { reply_max: BODY_MAX as u32 + 1, ..header };
        let decoded = ToServer::decode(flat(request(header, IoBufs::default())));
        assert_eq!(decoded, Err(Malformed::TooLarge(BODY_MAX + 1)));
    }

    proptest! {
        #[test]
        fn requests_round_trip(id: u64, lane: u8, timeout_ms: u32, reply_max in 0..=BODY_MAX as u32, body: Vec<u8>) {
            let header = RequestHeader { id, lane, timeout_ms, reply_max };
            let decoded = ToServer::decode(flat(request(header, body.clone().into())));
            prop_assert_eq!(decoded, Ok(ToServer::Request(header, body.into())));
        }

        #[test]
        fn responses_round_trip(id: u64, status in status(), body: Vec<u8>) {
            let body = if status == Status::Ok { body } else { vec![] };
            let decoded = ToClient::decode(flat(response(id, status, body.clone().into())));
            prop_assert_eq!(decoded, Ok(ToClient::Response { id, status, body: body.into() }));
        }

        /// No bytes make the decoders panic, and what they accept is exactly what the encoders write.
        #[test]
        fn decoding_is_total_and_canonical(bytes in hostile()) {
            let frame = Bytes::from(bytes);
            match ToServer::decode(frame.clone()) {
                Ok(ToServer::Keepalive) => prop_assert_eq!(flat(keepalive()), frame.clone()),
                Ok(ToServer::Cancel(id)) => prop_assert_eq!(flat(cancel(id)), frame.clone()),
                Ok(ToServer::Request(header, body)) => {
                    prop_assert_eq!(flat(request(header, body.into())), frame.clone());
                }
                Err(_) => {}
            }
            match ToClient::decode(frame.clone()) {
                Ok(ToClient::Keepalive) => prop_assert_eq!(flat(keepalive()), frame),
                Ok(ToClient::Response { id, status, body }) => {
                    prop_assert_eq!(flat(response(id, status, body.into())), frame);
                }
                Err(_) => {}
            }
        }

        #[test]
        fn every_prefix_is_refused_or_shorter(cut in 0..REQUEST_HEADER) {
            let header = RequestHeader { id: 1, lane: 2, timeout_ms: 3, reply_max: 4 };
            let frame = flat(request(header, IoBufs::default())).slice(..cut);
            prop_assert!(matches!(ToServer::decode(frame), Err(Malformed::Short(_))));
        }
    }
}
