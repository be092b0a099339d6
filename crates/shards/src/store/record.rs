//! The shard log's bytes, format version 1. Pure.
//!
//! A store is a set of *segments*, files named by their number (`u32`, big-endian). A segment is an array of *slots* of
//! 4,096 bytes. Integers are big-endian; checksums are BLAKE3.
//!
//! Slots 0 and 1 hold the same segment header, twice, because rot in one block must not cost the segment:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `OUTSEG01` |
//! | 8 | 8 | segment number |
//! | 16 | 8 | sealed below: every segment with a lower number was complete and synced when this one was begun |
//! | 24 | 32 | store key: random, drawn once per store, the same in all its segments |
//! | 56 | 32 | checksum of the above, derived with the context `outlast 2026-11 shard log segment v1` |
//!
//! A record starts at a slot and takes as many whole slots as it needs; the rest of the last one is zero:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `OUTREC01` |
//! | 8 | 8 | segment number |
//! | 16 | 8 | offset of this record in the segment |
//! | 24 | 1 | kind: 1 shard, 2 page, 3 reference |
//! | 25 | 1 | the shard's index in its chunk, 0 for other kinds |
//! | 26 | 2 | bytes of opening, 0 for other kinds than shards |
//! | 28 | 4 | bytes of payload |
//! | 32 | 32 | id |
//! | 64 | 32 | checksum of the above and of the opening, keyed with the store key |
//! | 96 | | opening (the encoding of [`Opening`]), then the payload |
//!
//! The checksum proves that a record was written here, by this store: bytes left over from another place never pass,
//! and no writer can place a record inside a payload, because the key is secret from writers. The payload needs no
//! checksum of its own, its id is one: a shard hashes to the hash its opening states and the opening to the chunk id,
//! a page to its page id, a reference to its id.
//!
//! A reference says what the chain uses: the id of the reference before it (zeros in the first), a height (`u64`), then
//! ids of chunks and ids of pages, each a list with a `u32` count. All references from the first to this one together
//! name all that the manifests of the blocks up to this height name.

use bytes::{BufMut, Bytes, BytesMut};
use proof::{
    Digest,
    digest::blake3,
    limits::{NODES_MAX, PAGE_BYTES_MAX},
    manifest::{Opening, page_id},
    wire::{DecodeExt, Encode, List},
};

/// Bytes of a slot.
pub(crate) const SLOT: u64 = 4096;
/// Where a segment's records begin.
pub(crate) const RECORDS_START: u64 = 2 * SLOT;
/// Bytes of a record before its opening.
pub(crate) const RECORD_HEADER: usize = 96;
/// Bytes of the longest opening.
const OPENING_MAX: usize = 1 + 4 + 4 + 32 * NODES_MAX;
/// Bytes of the longest payload: the one shard of a full chunk on a network of one node.
pub(crate) const PAYLOAD_MAX: usize =
    (proof::limits::CHUNK_LENGTH + proof::limits::CHUNK_TAG_LENGTH) as usize;
/// Ids in one list of a reference.
pub(crate) const REFERENCE_IDS_MAX: usize = 4096;

const SEGMENT_MAGIC: &[u8; 8] = b"OUTSEG01";
const RECORD_MAGIC: &[u8; 8] = b"OUTREC01";
const SEGMENT_DOMAIN: &str = "outlast 2026-11 shard log segment v1";
const REFERENCE_DOMAIN: &str = "outlast 2026-11 shard log reference v1";
const SEGMENT_HEADER: usize = 8 + 8 + 8 + 32 + 32;
/// Where a record's checksum is.
const CHECKSUM: usize = 64;

const _: () = {
    assert!(RECORD_HEADER + OPENING_MAX <= SLOT as usize, "a header and its opening fit one slot");
    assert!(PAGE_BYTES_MAX <= PAYLOAD_MAX);
    assert!(32 + 8 + 2 * (4 + 32 * REFERENCE_IDS_MAX) <= PAYLOAD_MAX);
};

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u32,
    pub(crate) sealed_below: u32,
    pub(crate) key: [u8; 32],
}

impl SegmentHeader {
    /// Slots 0 and 1.
    pub(crate) fn encode(&self) -> Bytes {
        let mut slot = BytesMut::with_capacity(RECORDS_START as usize);
        slot.put_slice(SEGMENT_MAGIC);
        slot.put_u64(self.number.into());
        slot.put_u64(self.sealed_below.into());
        slot.put_slice(&self.key);
        let checksum = blake3(SEGMENT_DOMAIN, &slot);
        slot.put_slice(&checksum.0);
        slot.resize(SLOT as usize, 0);
        let copy = slot.clone();
        slot.extend_from_slice(&copy);
        slot.freeze()
    }

    /// Reads the first good copy of segment `number`'s header.
    pub(crate) fn decode(number: u32, slots: &[u8]) -> Option<Self> {
        slots.chunks_exact(SLOT as usize).take(2).find_map(|slot| {
            let (stated, checksum) = slot[..SEGMENT_HEADER].split_at(SEGMENT_HEADER - 32);
            let is_ours = stated[..8] == *SEGMENT_MAGIC
                && u64_at(stated, 8) == u64::from(number)
                && blake3(SEGMENT_DOMAIN, stated).0 == checksum;
            let sealed_below = u32::try_from(u64_at(stated, 16)).ok()?;
            is_ours.then(|| Self { number, sealed_below, key: array_at(stated, 24) })
        })
    }
}

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Shard = 1,
    Page = 2,
    Reference = 3,
}

/// A record before it has a place.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    /// The shard's index in its chunk, 0 for other kinds.
    pub(crate) index: u8,
    pub(crate) id: Digest,
    /// The encoded opening, empty for other kinds than shards.
    pub(crate) opening: Bytes,
    pub(crate) payload: Bytes,
}

impl Record {
    /// Shard `index` of the chunk with this opening.
    pub(crate) fn shard(opening: &Opening, index: u8, payload: Bytes) -> Self {
        Self { kind: Kind::Shard, index, id: opening.id(), opening: opening.encode(), payload }
    }

    /// A manifest page.
    pub(crate) fn page(payload: Bytes) -> Self {
        Self { kind: Kind::Page, index: 0, id: page_id(&payload), opening: Bytes::new(), payload }
    }

    /// What the chain uses.
    pub(crate) fn reference(reference: &Reference) -> Self {
        let payload = reference.encode();
        let id = blake3(REFERENCE_DOMAIN, &payload);
        Self { kind: Kind::Reference, index: 0, id, opening: Bytes::new(), payload }
    }

    /// Its header at a place, which is known only when it is appended.
    pub(crate) fn header(&self) -> RecordHeader {
        RecordHeader {
            kind: self.kind,
            index: self.index,
            opening: self.opening.len() as u16,
            payload: self.payload.len() as u32,
            id: self.id,
        }
    }

    /// The bytes for this place: header and opening, payload, zeros.
    pub(crate) fn encode(&self, key: &[u8; 32], segment: u32, offset: u64) -> [Bytes; 3] {
        let header = self.header();
        let mut front = BytesMut::with_capacity(RECORD_HEADER + self.opening.len());
        header.write(segment, offset, &mut front);
        let checksum = keyed(key, &front, &self.opening);
        front.put_slice(&checksum);
        front.put_slice(&self.opening);
        let padding = header.extent() - header.length() as u64;
        [front.freeze(), self.payload.clone(), Bytes::from_static(&ZEROS).slice(..padding as usize)]
    }
}

static ZEROS: [u8; SLOT as usize] = [0; SLOT as usize];

/// A slot that no record starts at.
pub(crate) fn erased() -> Bytes {
    Bytes::from_static(&ZEROS)
}

/// A record's header, without its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: Kind,
    pub(crate) index: u8,
    /// Bytes of the opening.
    pub(crate) opening: u16,
    /// Bytes of the payload.
    pub(crate) payload: u32,
    pub(crate) id: Digest,
}

impl RecordHeader {
    /// Bytes of the record.
    pub(crate) fn length(&self) -> usize {
        RECORD_HEADER + usize::from(self.opening) + self.payload as usize
    }

    /// Bytes of its slots.
    pub(crate) fn extent(&self) -> u64 {
        (self.length() as u64).next_multiple_of(SLOT)
    }

    fn write(&self, segment: u32, offset: u64, out: &mut BytesMut) {
        out.put_slice(RECORD_MAGIC);
        out.put_u64(segment.into());
        out.put_u64(offset);
        out.put_u8(self.kind as u8);
        out.put_u8(self.index);
        out.put_u16(self.opening);
        out.put_u32(self.payload);
        out.put_slice(&self.id.0);
    }

    /// Reads the header of the record that starts at this place of this segment, given its first slot at least.
    pub(crate) fn decode(key: &[u8; 32], segment: u32, offset: u64, bytes: &[u8]) -> Option<Self> {
        let stated = bytes.get(..CHECKSUM)?;
        if stated[..8] != *RECORD_MAGIC
            || u64_at(stated, 8) != u64::from(segment)
            || u64_at(stated, 16) != offset
        {
            return None;
        }
        let kind = match stated[24] {
            1 => Kind::Shard,
            2 => Kind::Page,
            3 => Kind::Reference,
            _ => return None,
        };
        let header = Self {
            kind,
            index: stated[25],
            opening: u16::from_be_bytes(array_at(stated, 26)),
            payload: u32::from_be_bytes(array_at(stated, 28)),
            id: Digest(array_at(stated, 32)),
        };
        let opening = bytes.get(RECORD_HEADER..RECORD_HEADER + usize::from(header.opening))?;
        (keyed(key, stated, opening) == bytes[CHECKSUM..RECORD_HEADER]).then_some(header)
    }
}

/// A record read back whole and found to be what its id names.
#[derive(Clone, Debug)]
pub(crate) struct CheckedRecord {
    pub(crate) record: Record,
    /// The opening of a shard.
    pub(crate) opening: Option<Opening>,
}

impl CheckedRecord {
    /// Checks the bytes of the record with this header, from its start to its end.
    pub(crate) fn new(key: &[u8; 32], segment: u32, offset: u64, bytes: Bytes) -> Option<Self> {
        let header = RecordHeader::decode(key, segment, offset, &bytes)?;
        let split = RECORD_HEADER + usize::from(header.opening);
        let payload = bytes.slice(split..header.length().min(bytes.len()));
        if payload.len() != header.payload as usize {
            return None;
        }
        let opening_bytes = bytes.slice(RECORD_HEADER..split);
        let opening = match header.kind {
            Kind::Shard => {
                let opening = Opening::decode(opening_bytes.clone()).ok()?;
                let hash = opening.shards.get(usize::from(header.index))?;
                if opening.id() != header.id || blake3::hash(&payload) != hash.0 {
                    return None;
                }
                Some(opening)
            }
            Kind::Page if page_id(&payload) == header.id => None,
            Kind::Reference if blake3(REFERENCE_DOMAIN, &payload) == header.id => None,
            Kind::Page | Kind::Reference => return None,
        };
        let RecordHeader { kind, index, id, .. } = header;
        Some(Self { record: Record { kind, index, id, opening: opening_bytes, payload }, opening })
    }
}

proof::wire_struct! {
    /// What the chain uses, as far as earlier references do not say it.
    pub(crate) struct Reference {
        /// The reference before this one.
        pub(crate) previous: Digest,
        /// The height up to which the references so far say it.
        pub(crate) height: u64,
        /// Chunks of direct manifests.
        pub(crate) chunks: List<Digest, REFERENCE_IDS_MAX>,
        /// Pages, which stand for their chunks too.
        pub(crate) pages: List<Digest, REFERENCE_IDS_MAX>,
    }
}

fn keyed(key: &[u8; 32], header: &[u8], opening: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new_keyed(key).update(header).update(opening).finalize().as_bytes()
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range has N bytes")
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [9; 32];

    fn records() -> [Record; 3] {
        let shard = Bytes::from_static(b"a shard");
        let hash = Digest(*blake3::hash(&shard).as_bytes());
        let shards = List::new(vec![hash; 4]).unwrap();
        let opening = Opening { k: 2, ciphertext_length: 14, shards };
        let ids = |bytes: [u8; 2]| List::new(bytes.map(|byte| Digest([byte; 32])).to_vec()).unwrap();
        let reference =
            Reference { previous: Digest([1; 32]), height: 2, chunks: ids([3, 4]), pages: ids([5, 6]) };
        [
            Record::shard(&opening, 3, shard),
            Record::page(Bytes::from_static(b"a page")),
            Record::reference(&reference),
        ]
    }

    fn at_place(record: &Record) -> Bytes {
        record.encode(&KEY, 5, 2 * SLOT).concat().into()
    }

    /// The bytes of version 1, frozen: whoever changes them reads the old ones for ever. First half of the hash.
    #[test]
    fn formats_are_frozen() {
        let [shard, page, reference] = records();
        let encodings = [
            SegmentHeader { number: 5, sealed_below: 3, key: KEY }.encode(),
            at_place(&shard),
            at_place(&page),
            at_place(&reference),
            reference.payload.clone(),
            Bytes::copy_from_slice(&reference.id.0),
        ];
        let hash = |bytes: Bytes| blake3("outlast 2026-11 test format", &bytes).to_string()[..32].to_owned();
        let frozen = [
            ("Segment header", "2d692c7b56e830fd5d08218d4f803200"),
            ("Record, shard", "0b2495c75d2d1ee0c4574a927559e877"),
            ("Record, page", "95508efcebeda8819099ce8231519d96"),
            ("Record, reference", "4e0d4e66b1cb9f02e443ee81fc766350"),
            ("Reference", "52adc677e89177d21d618b1dadc4c1f4"),
            ("id of a reference", "9f8d9c4288e7fef9bd19039a155fcb2a"),
        ];
        assert_eq!(encodings.map(hash), frozen.map(|(_, hash)| hash.to_owned()));
    }

    #[test]
    fn what_is_written_is_read_at_its_place_alone() {
        for record in records() {
            let bytes = at_place(&record);
            let header = RecordHeader::decode(&KEY, 5, 2 * SLOT, &bytes).unwrap();
            let checked = CheckedRecord::new(&KEY, 5, 2 * SLOT, bytes.clone()).unwrap();
            assert_eq!((header, header), (record.header(), checked.record.header()));
            assert_eq!(checked.record.payload, record.payload);
            assert_eq!(RecordHeader::decode(&KEY, 6, 2 * SLOT, &bytes), None, "another segment");
            assert_eq!(RecordHeader::decode(&KEY, 5, 3 * SLOT, &bytes), None, "another offset");
            assert_eq!(RecordHeader::decode(&[0; 32], 5, 2 * SLOT, &bytes), None, "another store");
            for at in 0..header.length() {
                let mut rotten = bytes.to_vec();
                rotten[at] ^= 1;
                assert!(CheckedRecord::new(&KEY, 5, 2 * SLOT, rotten.into()).is_none(), "byte {at}");
            }
        }
    }

    #[test]
    fn a_segment_header_outlives_rot_in_one_copy() {
        let header = SegmentHeader { number: 5, sealed_below: 3, key: KEY };
        let mut slots = header.encode().to_vec();
        assert_eq!(SegmentHeader::decode(6, &slots), None, "another segment");
        slots[30] ^= 1;
        assert_eq!(SegmentHeader::decode(5, &slots), Some(header));
        slots[SLOT as usize + 60] ^= 1;
        assert_eq!(SegmentHeader::decode(5, &slots), None);
    }
}
