//! How rows are named and what they hold.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | [`HEIGHT`] | | height of the newest block applied, `u64` |
//! | [`VERSIONS`] | tenant, bucket, object key, place in the chain newest first | [`Turn`] |
//! | [`BUCKETS`] | tenant, bucket, place in the chain newest first | [`BucketRow`] |
//! | [`UPLOADS`] | tenant, upload | [`NamedUpload`](crate::protocol::NamedUpload) |
//! | [`UPLOADS_BY_KEY`] | tenant, bucket, object key, upload | place in the chain at which it was opened |
//! | [`UPLOADS_CLOSED`] | tenant, upload | place in the chain |
//! | [`PARTS`] | tenant, upload, number, version newest first | [`PartRow`] |
//! | [`ATTACHMENTS`] | [digest](proof::transaction::Attachment::digest) | inline ciphertext or encoded manifest |
//! | [`TRANSACTIONS`] | id | [`TransactionRow`] |
//! | [`SIGNERS`] | public key, tenant, place in the chain newest first | whether it may sign, `u8` |
//! | [`HIDDEN`] | tenant, bucket, object key, version newest first, place in the chain newest first | [`HiddenRow`] |
//! | [`ANNOTATIONS`] | tenant, bucket, kind `u8`, of a version object key and version, place in the chain newest first | [`AnnotationRow`] |
//! | [`MOMENTS`] | block time latest first, height highest first; blocks with transactions only | |
//!
//! Rows must sort as their components do. A bucket's name ends with a zero byte, which it cannot contain. An object key
//! may contain any byte: its zero bytes are written `00 ff` and it ends with `00 01`, so a key sorts before every key
//! that it is a prefix of, and the escaped form of a prefix is a prefix of the escaped form. A version is written with
//! all bits inverted, so that the newest comes first.

use crate::protocol::Sealed;
use bytes::Bytes;
use proof::{
    BucketName, Digest, PublicKey, TenantId, UploadId, VersionId,
    entry::{PartEntry, VersionEntry},
    wire::{DecodeExt as _, Encode as _, FixedSize as _, List, Read},
    wire_enum, wire_struct,
};

use super::store::StoreError;

pub(super) const HEIGHT: u8 = 0;
pub(super) const VERSIONS: u8 = 1;
pub(super) const BUCKETS: u8 = 2;
pub(super) const UPLOADS: u8 = 3;
pub(super) const UPLOADS_BY_KEY: u8 = 4;
pub(super) const UPLOADS_CLOSED: u8 = 5;
pub(super) const PARTS: u8 = 6;
pub(super) const ATTACHMENTS: u8 = 7;
pub(super) const TRANSACTIONS: u8 = 8;
pub(super) const SIGNERS: u8 = 9;
pub(super) const HIDDEN: u8 = 10;
pub(super) const MOMENTS: u8 = 11;
pub(super) const ANNOTATIONS: u8 = 12;

const ESCAPED_ZERO: [u8; 2] = [0, 0xff];
const KEY_END: [u8; 2] = [0, 1];
/// Follows every row of a key and precedes every row of the next.
const KEY_PAST: [u8; 2] = [0, 2];

wire_enum! {
    /// A turn in a key's life. The newest one says which version is current.
    pub(super) enum Turn {
        /// This version was put there.
        0 => Version(row: VersionRow),
        /// This version became current, or none: another was hidden or shown again.
        1 => Current(version: List<VersionId, 1>),
    }
}

wire_struct! {
    /// That a version was hidden, or shown again.
    pub(super) struct HiddenRow {
        pub(super) hidden: bool,
        /// Block time, milliseconds since the Unix epoch.
        pub(super) time_ms: u64,
    }
}

wire_struct! {
    /// What an annotation says from a place in the chain on; nothing when it was removed.
    pub(super) struct AnnotationRow {
        pub(super) sealed: List<Sealed, 1>,
    }
}

wire_struct! {
    /// A version with its sealed body; a marker has none.
    pub(super) struct VersionRow {
        pub(super) entry: VersionEntry,
        pub(super) sealed: List<Sealed, 1>,
    }
}

wire_enum! {
    /// A turn in a bucket's life.
    pub(super) enum BucketRow {
        /// It began, at this block time in milliseconds.
        0 => Created(time_ms: u64),
        /// It ended.
        1 => Deleted,
        /// It goes on.
        2 => Undeleted,
    }
}

wire_struct! {
    /// A part with its sealed body.
    pub(super) struct PartRow {
        pub(super) entry: PartEntry,
        pub(super) sealed: Sealed,
    }
}

wire_struct! {
    /// Where a transaction was decided, and how.
    pub struct TransactionRow {
        /// The block's height.
        pub height: u64,
        /// Its place in the block.
        pub index: u32,
        /// [`ledger::APPLIED`], or the code of its refusal.
        pub outcome: u16,
    }
}

/// Builds a row's key from the left.
#[derive(Clone)]
pub(super) struct Key(Vec<u8>);

impl Key {
    pub(super) fn new(table: u8) -> Self {
        Self(vec![table])
    }

    pub(super) fn tenant(self, tenant: &TenantId) -> Self {
        self.raw(&tenant.0)
    }

    pub(super) fn bucket(self, bucket: &BucketName) -> Self {
        self.raw(bucket.as_str().as_bytes()).raw(&[0])
    }

    /// The beginning of an object key: any text.
    pub(super) fn key_prefix(mut self, text: &[u8]) -> Self {
        for byte in text {
            match byte {
                0 => self.0.extend(ESCAPED_ZERO),
                byte => self.0.push(*byte),
            }
        }
        self
    }

    pub(super) fn key(self, key: &[u8]) -> Self {
        self.key_prefix(key).raw(&KEY_END)
    }

    /// Past all rows of an object key.
    pub(super) fn past_key(self, key: &[u8]) -> Self {
        self.key_prefix(key).raw(&KEY_PAST)
    }

    pub(super) fn upload(self, upload: &UploadId) -> Self {
        self.raw(&upload.0)
    }

    pub(super) fn number(self, number: u16) -> Self {
        self.raw(&number.to_be_bytes())
    }

    pub(super) fn digest(self, digest: &Digest) -> Self {
        self.raw(&digest.0)
    }

    pub(super) fn signer(self, key: &PublicKey) -> Self {
        self.raw(&key.0)
    }

    pub(super) fn newest_first(self, version: &VersionId) -> Self {
        let inverted: Vec<u8> = version.encode().iter().map(|byte| !byte).collect();
        self.raw(&inverted)
    }

    /// A number, the greatest first.
    pub(super) fn greatest_first(self, number: u64) -> Self {
        self.raw(&(!number).to_be_bytes())
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The row's key.
    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }

    /// Past all rows that begin so.
    pub(super) fn past(mut self) -> Vec<u8> {
        while let Some(last) = self.0.pop() {
            if last < u8::MAX {
                self.0.push(last + 1);
                return self.0;
            }
        }
        unreachable!("a row begins with its table's number, which is small")
    }
}

impl From<&[u8]> for Key {
    fn from(row: &[u8]) -> Self {
        Self(row.to_vec())
    }
}

/// The newest position that a state of height `height` can hold.
pub(super) fn newest(height: u64) -> VersionId {
    VersionId { height, index: u32::MAX, operation: u16::MAX }
}

/// Splits a row's key before the version with which it ends.
pub(super) fn split_version(row: &[u8]) -> Result<(&[u8], VersionId), StoreError> {
    let (rest, inverted) =
        row.split_last_chunk::<{ VersionId::SIZE }>().ok_or(StoreError::Damaged("short key"))?;
    let version: Vec<u8> = inverted.iter().map(|byte| !byte).collect();
    Ok((rest, decode(&version)?))
}

/// The object key in `escaped`, which ends with its terminator.
pub(super) fn unescape(escaped: &[u8]) -> Result<Vec<u8>, StoreError> {
    let escaped = escaped.strip_suffix(&KEY_END).ok_or(StoreError::Damaged("object key"))?;
    let mut key = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(byte) = bytes.next() {
        key.push(*byte);
        if *byte == 0 && bytes.next() != Some(&ESCAPED_ZERO[1]) {
            return Err(StoreError::Damaged("object key"));
        }
    }
    Ok(key)
}

/// The value of a row.
pub(super) fn decode<T: Read<Cfg = ()>>(value: &[u8]) -> Result<T, StoreError> {
    T::decode(Bytes::copy_from_slice(value)).map_err(|_| StoreError::Damaged("row"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::{
        digest::sha256,
        entry::VersionKind,
        transaction::{Attachment, Body, Payload, Place},
    };
    use proptest::prelude::*;

    fn keys() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(
            prop_oneof![Just(0u8), Just(1), Just(2), Just(0xfe), Just(0xff), any::<u8>()],
            0..6,
        )
    }

    fn version() -> VersionId {
        VersionId { height: 1, index: 2, operation: 3 }
    }

    /// A key of every table.
    fn row_keys() -> [Vec<u8>; 10] {
        let (tenant, upload, version) = (TenantId([7; 16]), UploadId([8; 16]), version());
        let bucket: BucketName = "bucket".parse().unwrap();
        let key = |table| Key::new(table).tenant(&tenant).bucket(&bucket).key(b"a\0key");
        [
            Key::new(HEIGHT),
            key(VERSIONS).newest_first(&version),
            Key::new(BUCKETS).tenant(&tenant).bucket(&bucket).newest_first(&version),
            Key::new(UPLOADS).tenant(&tenant).upload(&upload),
            key(UPLOADS_BY_KEY).upload(&upload),
            Key::new(UPLOADS_CLOSED).tenant(&tenant).upload(&upload),
            Key::new(PARTS).tenant(&tenant).upload(&upload).number(9).newest_first(&version),
            Key::new(ATTACHMENTS).digest(&Digest([1; 32])),
            Key::new(TRANSACTIONS).digest(&Digest([2; 32])),
            Key::new(SIGNERS).signer(&PublicKey([3; 32])).tenant(&tenant).newest_first(&version),
        ]
        .map(Key::done)
    }

    /// A value of every kind that is not encoded elsewhere too.
    fn row_values() -> [Bytes; 5] {
        let sealed = Sealed::new(&b"sealed"[..]).unwrap();
        let attachment = Attachment::of(b"sealed");
        let place = Place { bucket: "bucket".parse().unwrap(), key: "key".parse().unwrap() };
        let entry = VersionEntry {
            tenant: TenantId([7; 16]),
            place,
            version: version(),
            time_ms: 1,
            kind: VersionKind::Marker,
        };
        let (payload, content) = (Payload::Inline(attachment.clone()), Digest([4; 32]));
        let body = Body { ciphertext_length: 5, content, sealed: attachment, payload };
        let part = PartEntry { upload: UploadId([8; 16]), number: 9, version: version(), time_ms: 1, body };
        [
            VersionRow { entry, sealed: List::new(vec![sealed.clone()]).unwrap() }.encode(),
            BucketRow::Created(6).encode(),
            BucketRow::Deleted.encode(),
            PartRow { entry: part, sealed }.encode(),
            TransactionRow { height: 1, index: 2, outcome: 3 }.encode(),
        ]
    }

    /// Rows are derived, but a node of the next release finds those of this one: whoever changes them must have the
    /// index made anew.
    #[test]
    fn formats_are_frozen() {
        let hash = |rows: &[Bytes]| {
            let parts: Vec<&[u8]> = rows.iter().map(|row| &row[..]).collect();
            sha256("outlast/test/format", &parts).to_string()[..32].to_owned()
        };
        let about = proof::transaction::About::VersionTags(proof::transaction::TargetAt {
            place: Place { bucket: "bucket".parse().unwrap(), key: "a\0key".parse().unwrap() },
            version: proof::transaction::Target::Version(version()),
        });
        let annotation = super::super::annotations::rows(&TenantId([7; 16]), &about).expect("by its id");
        let document =
            AnnotationRow { sealed: List::new(vec![Sealed::new(&b"sealed"[..]).unwrap()]).unwrap() };
        assert_eq!(
            hash(&[Bytes::from(annotation.newest_first(&version()).done()), document.encode()]),
            "8fab2eda3e534644764e4358a336be89",
            "a row of an annotation"
        );
        assert_eq!(hash(&row_keys().map(Bytes::from)), "d9d875245ea8a23786765e552cb0487f", "keys of rows");
        assert_eq!(
            hash(&row_values()),
            "358ac8105b85706748ed9672bd280319",
            "VersionRow, BucketRow, PartRow, TransactionRow"
        );
    }

    proptest! {
        #[test]
        fn rows_sort_as_their_parts_do(a in keys(), b in keys(), x in any::<u64>(), y in any::<u64>()) {
            let row = |key: &[u8], height| Key::new(VERSIONS).key(key).newest_first(&newest(height)).done();
            let expected = a.cmp(&b).then(y.cmp(&x));
            prop_assert_eq!(row(&a, x).cmp(&row(&b, y)), expected);

            let past = Key::new(VERSIONS).past_key(&a).done();
            prop_assert_eq!(past > row(&b, y), a >= b);

            let prefix = Key::new(VERSIONS).key_prefix(&a);
            let starts = b.starts_with(&a);
            prop_assert_eq!(row(&b, y).starts_with(&prefix.clone().done()), starts);
            prop_assert_eq!(row(&b, y) < prefix.past(), starts || b < a);
        }

        #[test]
        fn rows_give_their_parts_back(key in keys(), height in any::<u64>()) {
            let row = Key::new(VERSIONS).key(&key).newest_first(&newest(height)).done();
            let (rest, version) = split_version(&row).unwrap();
            prop_assert_eq!(version, newest(height));
            prop_assert_eq!(unescape(&rest[1..]).unwrap(), key);
        }
    }
}
