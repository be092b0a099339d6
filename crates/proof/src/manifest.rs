//! What an object's ciphertext is made of.
//!
//! The plaintext is one or more *segments* (one for a simple put, one per part of a multipart upload), each encrypted
//! under a random key of its own. A segment is cut into *chunks* of [`CHUNK_LENGTH`] bytes, the last one shorter;
//! chunk `i` of a segment is encrypted with nonce `i`, encoded into n shards and named by the hash of its *opening*.
//! A *page* lists segments, or consecutive runs of one. A small manifest travels in the transaction as one page; a
//! large one lists pages that every node stores whole.

use crate::{
    Digest,
    digest::blake3,
    limits::*,
    wire::{Buf, Encode, EncodeSize, Error, List, Read, Write},
};
use bytes::BufMut;

crate::wire_struct! {
    /// What a chunk's id commits to: the code and the BLAKE3 hash of every shard.
    pub struct Opening {
        /// Shards that give the chunk back.
        pub k: u8,
        /// Bytes of ciphertext, tag included, before padding to k equal shards.
        pub ciphertext_length: u32,
        /// BLAKE3 of each of the n shards, in the order of the committee.
        pub shards: List<Digest, NODES_MAX>,
    }
}

impl Opening {
    /// The chunk's id.
    pub fn id(&self) -> Digest {
        blake3("outlast 2026-11 chunk opening v1", &self.encode())
    }

    /// Bytes of each shard.
    pub fn shard_length(&self) -> usize {
        (self.ciphertext_length as usize).div_ceil((self.k as usize).max(1))
    }
}

crate::wire_array! {
    /// A segment's key, sealed under its version's data key (AES-256-GCM-SIV: 32 bytes and the tag).
    pub struct SealedKey(48)
}

crate::wire_struct! {
    /// A run of chunks under one key.
    pub struct Segment {
        /// The key, sealed.
        pub sealed_key: SealedKey,
        /// The number, within the segment, of the first chunk listed here; also its nonce.
        pub first_chunk: u32,
        /// Plaintext bytes of the chunks listed here.
        pub length: u64,
        /// Chunk ids. All chunks but the segment's last hold [`CHUNK_LENGTH`] bytes of plaintext.
        pub chunks: List<Digest, PAGE_CHUNKS_MAX>,
    }
}

/// A list of segments whose lengths agree with their chunk counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page(List<Segment, PAGE_SEGMENTS_MAX>);

/// Why a list of segments is not a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// More segments or chunks than a page may list.
    #[error("a page lists at most {PAGE_SEGMENTS_MAX} segments and {PAGE_CHUNKS_MAX} chunks")]
    TooLarge,
    /// A segment is empty, or its length does not fit its chunks.
    #[error("a segment's length does not fit its number of chunks")]
    Length,
}

impl Page {
    /// A page of these segments.
    pub fn new(segments: Vec<Segment>) -> Result<Self, PageError> {
        let fits = |segment: &Segment| {
            segment.length.div_ceil(CHUNK_LENGTH) == segment.chunks.len() as u64 && segment.length > 0
        };
        if !segments.iter().all(fits) {
            return Err(PageError::Length);
        }
        if segments.iter().map(|segment| segment.chunks.len()).sum::<usize>() > PAGE_CHUNKS_MAX {
            return Err(PageError::TooLarge);
        }
        Ok(Self(List::new(segments).map_err(|_| PageError::TooLarge)?))
    }

    /// The segments in order.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Every chunk id in order.
    pub fn chunks(&self) -> impl Iterator<Item = &Digest> {
        self.0.iter().flat_map(|segment| segment.chunks.iter())
    }

    /// Plaintext bytes.
    pub fn length(&self) -> u64 {
        self.0.iter().map(|segment| segment.length).sum()
    }

    /// The page's name, by which nodes store it.
    pub fn id(&self) -> Digest {
        page_id(&self.encode())
    }
}

/// The name of the page with this encoding.
pub fn page_id(encoded: &[u8]) -> Digest {
    blake3("outlast 2026-11 manifest page v1", encoded)
}

impl Write for Page {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl EncodeSize for Page {
    fn encode_size(&self) -> usize {
        self.0.encode_size()
    }
}

impl Read for Page {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        Self::new(List::<Segment, PAGE_SEGMENTS_MAX>::read_cfg(buf, &())?.into_inner())
            .map_err(|_| Error::Invalid("Page", "lengths and chunks disagree"))
    }
}

crate::wire_struct! {
    /// A page that every node stores whole.
    pub struct PageRef {
        /// The page's name.
        pub id: Digest,
        /// Plaintext bytes it covers.
        pub length: u64,
        /// Chunks it lists.
        pub chunks: u32,
    }
}

crate::wire_enum! {
    /// The list of an object's chunks.
    pub enum Manifest {
        /// The whole list.
        0 => Direct(page: Page),
        /// Names of pages, in order.
        1 => Paged(pages: List<PageRef, PAGES_MAX>),
    }
}

impl Manifest {
    /// The name that storage receipts sign.
    pub fn id(&self) -> Digest {
        manifest_id(&self.encode())
    }

    /// Plaintext bytes; `None` when the stated lengths overflow.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Direct(page) => Some(page.length()),
            Self::Paged(pages) => pages.iter().try_fold(0u64, |sum, page| sum.checked_add(page.length)),
        }
    }

    /// Number of chunks.
    pub fn chunks(&self) -> u64 {
        match self {
            Self::Direct(page) => page.chunks().count() as u64,
            Self::Paged(pages) => pages.iter().map(|page| u64::from(page.chunks)).sum(),
        }
    }
}

/// The name of the manifest with this encoding. A manifest is an attachment of its transaction, so this is
/// [`Attachment::digest`](crate::transaction::Attachment::digest) too.
pub fn manifest_id(encoded: &[u8]) -> Digest {
    crate::transaction::attachment_digest(encoded)
}
