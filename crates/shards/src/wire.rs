//! The messages of lane [`LANE_NUMBER`], protocol version 1. A request is one [`Request`], its answer one [`Response`].
//!
//! | request | answers, besides `Refused` and `Failed` |
//! |---|---|
//! | put a shard or a page: written, not yet synced | `Done`, `Full` |
//! | certify a manifest: all of it synced | `Receipt`, `Missing` |
//! | get a shard or a page | `Shard`, `Page`, `NotHeld` |
//! | status | `Status` |
//! | which of these do you hold | `Held` |
//!
//! Bulk bytes come last in their message, so that both ends can pass them on without copying.

use bytes::{Bytes, BytesMut};
use commonware_runtime::{IoBuf, IoBufs};
use link::Lane;
use proof::{
    Digest,
    limits::{CHUNK_LENGTH, CHUNK_TAG_LENGTH, PAGE_BYTES_MAX},
    manifest::{Manifest, Opening},
    wire::{EncodeSize, List, Octets, Write},
};

/// The lane's number.
pub const LANE_NUMBER: u8 = 1;

/// Bytes of the longest shard: the one of a full chunk on a network of one node.
pub const SHARD_MAX: usize = (CHUNK_LENGTH + CHUNK_TAG_LENGTH) as usize;
/// Chunks named in one [`Missing`].
pub const MISSING_CHUNKS_MAX: usize = 256;
/// Pages named in one [`Missing`].
pub const MISSING_PAGES_MAX: usize = 64;
/// Ids in one question which of them a node holds.
pub const HOLDS_MAX: usize = 1024;
/// Bytes of a refusal's reason.
pub const REASON_MAX: usize = 256;

/// Bytes of a response around a shard: tag, index, opening, length.
const SHARD_FRAME_MAX: usize = 2 + 9 + 32 * proof::limits::NODES_MAX + 4;

/// Puts; the answer is short.
pub(crate) const PUT: Lane = Lane::bulk(LANE_NUMBER).reply_max(1024);
/// Certification and status: never behind bulk data.
pub(crate) const CONTROL: Lane = Lane::control(LANE_NUMBER);
/// Gets of pages.
pub(crate) const GET_PAGE: Lane = Lane::bulk(LANE_NUMBER).reply_max(PAGE_BYTES_MAX + 16);

/// Gets of shards of full chunks of which `k` give a chunk back.
pub(crate) fn get_shard_lane(k: usize) -> Lane {
    Lane::bulk(LANE_NUMBER).reply_max(SHARD_MAX.div_ceil(k) + SHARD_FRAME_MAX)
}

proof::wire_struct! {
    /// One shard with what proves it.
    pub struct Shard {
        /// Its index in the chunk.
        pub index: u8,
        /// The chunk's opening, which hashes to the chunk's id.
        pub opening: Opening,
        /// The shard.
        pub bytes: Octets<SHARD_MAX>,
    }
}

proof::wire_struct! {
    /// What a node is to sign for.
    pub struct Certify {
        /// The certificate's time. The node refuses if its clock is further from it than
        /// [`CERTIFICATE_CLOCK_MS_MAX`](proof::limits::CERTIFICATE_CLOCK_MS_MAX).
        pub time_ms: u64,
        /// The manifest.
        pub manifest: Manifest,
    }
}

proof::wire_enum! {
    /// What a gateway, or another node, asks of a node.
    pub enum Request {
        /// Store this shard.
        0 => PutShard(shard: Shard),
        /// Store this page.
        1 => PutPage(page: Octets<PAGE_BYTES_MAX>),
        /// Sign for this manifest, once all of it is synced.
        2 => Certify(certify: Certify),
        /// Give your shard of this chunk.
        3 => GetShard(chunk: Digest),
        /// Give this page.
        4 => GetPage(page: Digest),
        /// Say how you are.
        5 => Status,
        /// Say which of these chunks and pages you hold, or your shards of them.
        6 => Holds(ids: List<Digest, HOLDS_MAX>),
    }
}

proof::wire_struct! {
    /// What a node lacks of a manifest, or the first of it.
    pub struct Missing {
        /// Ids of chunks.
        pub chunks: List<Digest, MISSING_CHUNKS_MAX>,
        /// Ids of pages. While a page is missing, so may be its chunks.
        pub pages: List<Digest, MISSING_PAGES_MAX>,
    }
}

impl Missing {
    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.pages.is_empty()
    }
}

proof::wire_struct! {
    /// How a node's shard log is.
    pub struct NodeStatus {
        /// Bytes taken in segments.
        pub bytes: u64,
        /// Bytes of them in records that are in use.
        pub live_bytes: u64,
        /// Bytes the log may take; `u64::MAX` without a limit.
        pub bytes_max: u64,
        /// Segments.
        pub segments: u64,
        /// Shards and pages held.
        pub held: u64,
        /// Of those, the ones the chain does not reference yet.
        pub pending: u64,
        /// Shards and pages the chain references that are not held.
        pub missing: u64,
        /// Referenced pages not held, whose chunks are therefore unknown.
        pub unresolved: u64,
        /// Records found damaged since the log was opened.
        pub damaged: u64,
        /// Height up to which references are known.
        pub referenced_height: u64,
        /// Of the missing, those that only as many nodes hold as are needed to give them back.
        pub endangered: u64,
        /// Of the missing, those that fewer nodes hold than are needed, as far as they answer.
        pub unhealable: u64,
        /// Referenced shards that nobody can have, because their writers did not encode their chunks consistently. They
        /// do not count as missing.
        pub inconsistent: u64,
        /// Shards and pages healed, synced, since the log was opened.
        pub healed: u64,
        /// Bytes of them.
        pub healed_bytes: u64,
        /// Attempts to heal that failed, and are made again.
        pub heal_failures: u64,
        /// Bytes healed in a second, of late.
        pub heal_bytes_per_second: u64,
        /// Seconds until everything is healed, at that speed; `u64::MAX` when nothing is being healed.
        pub heal_seconds: u64,
        /// Times that the whole log was scrubbed since it was opened.
        pub scrubbed_passes: u64,
        /// Bytes scrubbed of the present pass since the log was opened.
        pub scrubbed_bytes: u64,
        /// 1 when the disk has failed and the log is not used any more, otherwise 0.
        pub failed: u64,
    }
}

proof::wire_enum! {
    /// What a node answers.
    pub enum Response {
        /// It is written, not yet synced.
        0 => Done,
        /// It is all synced.
        1 => Receipt(receipt: proof::StorageReceipt),
        /// Not all of it is here.
        2 => Missing(missing: Missing),
        /// The shard.
        3 => Shard(shard: Shard),
        /// The page.
        4 => Page(page: Octets<PAGE_BYTES_MAX>),
        /// This node does not hold it.
        5 => NotHeld,
        /// How the log is.
        6 => Status(status: NodeStatus),
        /// There is no room.
        7 => Full,
        /// The request is not one a correct gateway sends; the reason is text.
        8 => Refused(reason: Octets<REASON_MAX>),
        /// The node's log has failed.
        9 => Failed,
        /// For each id of the question, 1 if the node holds it and 0 if not.
        10 => Held(flags: Octets<HOLDS_MAX>),
    }
}

/// The encoding of [`Request::PutShard`] around `bytes`, which are not copied.
pub(crate) fn put_shard_request(index: u8, opening: &Opening, bytes: Bytes) -> IoBufs {
    shard_message(0, index, opening, bytes)
}

/// The encoding of [`Response::Shard`] around `bytes`, which are not copied.
pub(crate) fn shard_response(index: u8, opening: &Opening, bytes: Bytes) -> IoBufs {
    shard_message(3, index, opening, bytes)
}

/// The encoding of [`Request::PutPage`] around `page`, which is not copied.
pub(crate) fn put_page_request(page: Bytes) -> IoBufs {
    octets_message(1, page)
}

/// The encoding of [`Response::Page`] around `page`, which is not copied.
pub(crate) fn page_response(page: Bytes) -> IoBufs {
    octets_message(4, page)
}

fn shard_message(tag: u8, index: u8, opening: &Opening, bytes: Bytes) -> IoBufs {
    let mut front = BytesMut::with_capacity(2 + opening.encode_size() + 4);
    tag.write(&mut front);
    index.write(&mut front);
    opening.write(&mut front);
    (bytes.len() as u32).write(&mut front);
    [IoBuf::from(front.freeze()), IoBuf::from(bytes)].into()
}

fn octets_message(tag: u8, bytes: Bytes) -> IoBufs {
    let mut front = BytesMut::with_capacity(5);
    tag.write(&mut front);
    (bytes.len() as u32).write(&mut front);
    [IoBuf::from(front.freeze()), IoBuf::from(bytes)].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::wire::Encode;

    fn flat(message: IoBufs) -> Bytes {
        message.coalesce().into()
    }

    #[test]
    fn messages_put_together_equal_their_encodings() {
        let bytes = Bytes::from_static(b"a shard or a page");
        let hashes = vec![Digest([7; 32]); 4];
        let opening = Opening { k: 2, ciphertext_length: 34, shards: List::new(hashes).unwrap() };
        let shard = Shard { index: 3, opening: opening.clone(), bytes: Octets::new(bytes.clone()).unwrap() };
        assert_eq!(
            flat(put_shard_request(3, &opening, bytes.clone())),
            Request::PutShard(shard.clone()).encode()
        );
        assert_eq!(flat(shard_response(3, &opening, bytes.clone())), Response::Shard(shard).encode());
        let page = Octets::new(bytes.clone()).unwrap();
        assert_eq!(flat(put_page_request(bytes.clone())), Request::PutPage(page.clone()).encode());
        assert_eq!(flat(page_response(bytes)), Response::Page(page).encode());
    }

    #[test]
    fn the_largest_answers_fit_their_lanes() {
        let chunks = List::new(vec![Digest::ZERO; MISSING_CHUNKS_MAX]).unwrap();
        let pages = List::new(vec![Digest::ZERO; MISSING_PAGES_MAX]).unwrap();
        let missing = Response::Missing(Missing { chunks, pages });
        assert!(missing.encode_size() <= link::CONTROL_REPLY_MAX);
        let held = Response::Held(Octets::new(vec![1; HOLDS_MAX]).unwrap());
        assert!(held.encode_size() <= link::CONTROL_REPLY_MAX);
        let holds = Request::Holds(List::new(vec![Digest::ZERO; HOLDS_MAX]).unwrap());
        assert!(holds.encode_size() < link::BULK_FROM);
        let reason = Response::Refused(Octets::new(vec![b'x'; REASON_MAX]).unwrap());
        assert!(reason.encode_size() <= 1024);
    }
}
