//! Sealed bodies: what travels beside the payload, encrypted under the tenant's master key.
//!
//! ```text
//! sealed body = 32 random bytes || AES-256-GCM(content)      blob::seal, under the master key
//! content     = format (1) || kind || fields of the kind     this file; integers and lists as in proof::wire
//! aad         = format (1) || kind || tenant || bucket, key || upload || part number
//! ```
//!
//! The associated data bind a sealed body to what it is of: one moved to another key, upload or part does not open.
//! `upload` and `part number` are zeros where there is none. Of an annotation the associated data are
//!
//! ```text
//! aad         = format (1) || kind || tenant || what it is (u8) || bucket || key, empty if there is none
//! ```
//!
//! and not its version, which has no id yet when both are made at once.

use crate::{DOCUMENT_MAX, Error, limits::PARTS_MAX, metadata::Fields};
use blob::{DataKey, TenantKey};
use bytes::{BufMut, Bytes};
use proof::{
    Digest, TenantId, UploadId,
    limits::SEALED_MAX,
    receipt::ContentRun,
    transaction::{About, Place},
    wire::{Buf, DecodeExt, EncodeSize, Error as WireError, FixedSize, Octets, Read, ReadExt, Write},
};
use std::fmt;
use zeroize::Zeroizing;

const FORMAT: u8 = 1;

/// 32 secret bytes: wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn data_key(&self) -> DataKey {
        DataKey::new(*self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Write for Secret {
    fn write(&self, buf: &mut impl BufMut) {
        buf.put_slice(&*self.0);
    }
}

impl FixedSize for Secret {
    const SIZE: usize = 32;
}

impl Read for Secret {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, WireError> {
        Ok(Self::new(<[u8; 32]>::read(buf)?))
    }
}

proof::wire_struct! {
    /// Whose contents they are.
    pub(crate) struct Origin {
        /// The multipart upload they come from.
        pub upload: UploadId,
        /// What it was for. A copy of the object is elsewhere.
        pub place: Place,
        /// Bit `i` (of byte `i / 8`, lowest bit first) is set when part `i + 1` is in the object.
        pub parts: Octets<{ PARTS_MAX.div_ceil(8) }>,
    }
}

proof::wire_enum! {
    /// What opens the content commitment, beside the salt.
    pub(crate) enum Runs {
        /// One run, with this hash and the object's length.
        0 => Whole(hash: Digest),
        /// A run per part; their hashes are in the parts' sealed bodies.
        1 => Parts(origin: Origin),
    }
}

proof::wire_struct! {
    /// Of a version.
    pub(crate) struct SealedVersion {
        /// Seals the segment keys; encrypts an inline payload.
        pub data_key: Secret,
        /// Hides the contents in the content commitment.
        pub salt: Secret,
        /// Bytes of plaintext.
        pub length: u64,
        /// What opens the content commitment.
        pub runs: Runs,
        /// The metadata.
        pub metadata: Fields,
    }
}

proof::wire_struct! {
    /// Of an open upload.
    pub(crate) struct SealedUpload {
        /// The salt of the object to be, which all parts are hashed with.
        pub salt: Secret,
        /// The metadata.
        pub metadata: Fields,
    }
}

proof::wire_struct! {
    /// Of a part.
    pub(crate) struct SealedPart {
        /// Seals the part's segment key.
        pub data_key: Secret,
        /// The part's length, and its hash under the upload's salt.
        pub run: ContentRun,
        /// The metadata.
        pub metadata: Fields,
    }
}

proof::wire_struct! {
    /// Of an annotation.
    pub(crate) struct SealedDocument {
        /// What it says.
        pub document: Octets<DOCUMENT_MAX>,
    }
}

/// What a sealed body is of.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// A version of this key.
    Version(&'a Place),
    /// An upload for this key.
    Upload(&'a Place, UploadId),
    /// A part of an upload for this key.
    Part(&'a Place, UploadId, u16),
    /// An annotation.
    Annotation(&'a About),
}

/// The content of a sealed body of one kind.
pub(crate) trait Content: Write + EncodeSize + Read<Cfg = ()> {
    /// Tells the kinds apart.
    const KIND: u8;
}

impl Content for SealedVersion {
    const KIND: u8 = 1;
}

impl Content for SealedUpload {
    const KIND: u8 = 2;
}

impl Content for SealedPart {
    const KIND: u8 = 3;
}

impl Content for SealedDocument {
    const KIND: u8 = 4;
}

/// The associated data of an annotation.
fn of_annotation(kind: u8, tenant: TenantId, about: &About) -> Bytes {
    let what: u8 = match about {
        About::BucketTags(_) => 0,
        About::BucketCors(_) => 1,
        About::VersionTags(_) => 2,
        About::BucketLifecycle(_) => 3,
        About::BucketPolicy(_) => 4,
        About::BucketPublicAccess(_) => 5,
    };
    let mut bytes = Vec::new();
    FORMAT.write(&mut bytes);
    kind.write(&mut bytes);
    tenant.write(&mut bytes);
    what.write(&mut bytes);
    about.bucket().write(&mut bytes);
    bytes.put_slice(about.version().map_or("", |(place, _)| place.key.as_str()).as_bytes());
    bytes.into()
}

fn associated(kind: u8, tenant: TenantId, subject: Subject<'_>) -> Bytes {
    let none = UploadId([0; 16]);
    let (place, upload, number) = match subject {
        Subject::Version(place) => (place, none, 0u16),
        Subject::Upload(place, upload) => (place, upload, 0),
        Subject::Part(place, upload, number) => (place, upload, number),
        Subject::Annotation(about) => return of_annotation(kind, tenant, about),
    };
    let mut bytes = Vec::with_capacity(2 + 16 + place.encode_size() + 16 + 2);
    FORMAT.write(&mut bytes);
    kind.write(&mut bytes);
    tenant.write(&mut bytes);
    place.write(&mut bytes);
    upload.write(&mut bytes);
    number.write(&mut bytes);
    bytes.into()
}

fn encode<C: Content>(content: &C) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 + content.encode_size()));
    FORMAT.write(&mut *bytes);
    C::KIND.write(&mut *bytes);
    content.write(&mut *bytes);
    bytes
}

fn decode<C: Content>(plaintext: &[u8]) -> Result<C, Error> {
    let content = match plaintext.strip_prefix(&[FORMAT, C::KIND]) {
        Some(content) => content,
        None => return Err(Error::Damaged("a sealed body of an unknown format".into())),
    };
    C::decode(Bytes::copy_from_slice(content))
        .map_err(|error| Error::Damaged(format!("the content of a sealed body: {error}")))
}

/// Seals `content` with 32 bytes that were never used before. Errors: `MetadataTooLarge`.
pub(crate) fn seal<C: Content>(
    key: &TenantKey,
    tenant: TenantId,
    subject: Subject<'_>,
    content: &C,
    random: [u8; 32],
) -> Result<Bytes, Error> {
    let sealed = blob::seal(key, &associated(C::KIND, tenant, subject), &encode(content), random);
    if sealed.len() > SEALED_MAX { Err(Error::MetadataTooLarge) } else { Ok(sealed) }
}

/// Opens a sealed body. Errors: `Damaged`.
pub(crate) fn unseal<C: Content>(
    key: &TenantKey,
    tenant: TenantId,
    subject: Subject<'_>,
    sealed: &[u8],
) -> Result<C, Error> {
    let plaintext = blob::unseal(key, &associated(C::KIND, tenant, subject), sealed).map_err(|_| {
        Error::Damaged("a sealed body does not open: altered, moved, or under another master key".into())
    })?;
    decode(&plaintext)
}

impl Origin {
    /// Names parts by their numbers, from 1 on.
    pub(crate) fn new(upload: UploadId, place: Place, numbers: impl IntoIterator<Item = u16>) -> Self {
        let mut bits = Vec::new();
        for number in numbers {
            let bit = usize::from(number) - 1;
            bits.resize(bits.len().max(bit / 8 + 1), 0u8);
            bits[bit / 8] |= 1 << (bit % 8);
        }
        Self { upload, place, parts: Octets::new(bits).expect("part numbers are at most PART_NUMBER_MAX") }
    }

    /// Whether part `number` is in the object.
    pub(crate) fn contains(&self, number: u16) -> bool {
        let Some(bit) = usize::from(number).checked_sub(1) else { return false };
        self.parts.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    }

    /// How many parts are in the object.
    pub(crate) fn count(&self) -> usize {
        self.parts.iter().map(|byte| byte.count_ones() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metadata;
    use proptest::{prelude::*, sample::Index};

    fn place(key: &str) -> Place {
        Place { bucket: "bucket".parse().unwrap(), key: key.parse().unwrap() }
    }

    fn metadata() -> Metadata {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Metadata {
            etag: "d41d8cd98f00b204e9800998ecf8427e".into(),
            content_type: Some("text/plain".into()),
            headers: [pair("cache-control", "no-store"), pair("expires", "0")].into(),
            user: [pair("a", "1"), pair("b", "zwölf")].into(),
            checksums: [pair("crc32", "AAAAAA==")].into(),
            checksum_type: None,
            parts: 3,
        }
    }

    fn version(metadata: Metadata) -> SealedVersion {
        SealedVersion {
            data_key: Secret::new([1; 32]),
            salt: Secret::new([2; 32]),
            length: 1 << 33,
            runs: Runs::Parts(Origin::new(UploadId([3; 16]), place("here"), [1, 2, 9])),
            metadata: Fields::new(metadata).unwrap(),
        }
    }

    #[test]
    fn what_is_sealed_opens_only_where_it_belongs() {
        let (key, tenant) = (TenantKey::new([9; 32]), TenantId([8; 16]));
        let (here, there) = (place("here"), place("there"));
        let content = version(metadata());
        let sealed = seal(&key, tenant, Subject::Version(&here), &content, [7; 32]).unwrap();
        let open = |key: &TenantKey, tenant, subject: Subject<'_>, sealed: &[u8]| {
            unseal::<SealedVersion>(key, tenant, subject, sealed)
        };
        let opened = open(&key, tenant, Subject::Version(&here), &sealed).unwrap();
        assert_eq!(opened, content);
        assert_eq!(opened.metadata.open().unwrap(), metadata());

        let elsewhere = [
            open(&TenantKey::new([1; 32]), tenant, Subject::Version(&here), &sealed),
            open(&key, TenantId([1; 16]), Subject::Version(&here), &sealed),
            open(&key, tenant, Subject::Version(&there), &sealed),
            open(&key, tenant, Subject::Upload(&here, UploadId([3; 16])), &sealed),
            unseal::<SealedUpload>(&key, tenant, Subject::Version(&here), &sealed).map(|_| content.clone()),
        ];
        assert!(elsewhere.iter().all(|result| matches!(result, Err(Error::Damaged(_)))));
        for at in 0..sealed.len() {
            let mut altered = sealed.to_vec();
            altered[at] ^= 1;
            assert!(open(&key, tenant, Subject::Version(&here), &altered).is_err(), "byte {at}");
            assert!(open(&key, tenant, Subject::Version(&here), &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    /// The bytes of format 1, frozen: whoever changes them gives them a new `FORMAT` and reads the old ones for ever.
    #[test]
    fn formats_are_frozen() {
        let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
        let fields = || Fields::new(metadata()).unwrap();
        let whole = SealedVersion { runs: Runs::Whole(Digest([5; 32])), ..version(metadata()) };
        let upload = SealedUpload { salt: Secret::new([2; 32]), metadata: fields() };
        let run = ContentRun { length: 5 << 20, hash: Digest([6; 32]) };
        let part = SealedPart { data_key: Secret::new([1; 32]), run, metadata: fields() };
        let aad = associated(3, TenantId([8; 16]), Subject::Part(&place("here"), UploadId([3; 16]), 9));
        let now = [
            hash(&encode(&version(metadata()))),
            hash(&encode(&whole)),
            hash(&encode(&upload)),
            hash(&encode(&part)),
            hash(&aad),
        ];
        let frozen = [
            ("SealedVersion with Runs::Parts, Fields and Pairs", "ac3437fc8890324d"),
            ("SealedVersion with Runs::Whole", "8c2b4ee9aa76f3a4"),
            ("SealedUpload", "a888414515f6f7fe"),
            ("SealedPart", "15e8d340dd3b79b2"),
            ("associated data", "7b66d5fc130c78bb"),
        ];
        assert_eq!(now, frozen.map(|(_, hash)| hash.to_owned()));
    }

    #[test]
    fn metadata_that_do_not_fit_are_refused() {
        let (key, tenant, here) = (TenantKey::new([9; 32]), TenantId([8; 16]), place("here"));
        let sealed = |bytes: usize| {
            let user = [("name".to_owned(), "x".repeat(bytes))].into();
            let content = version(Metadata { user, ..metadata() });
            seal(&key, tenant, Subject::Version(&here), &content, [7; 32])
        };
        assert!(sealed(8 << 10).is_ok());
        assert_eq!(sealed(12 << 10), Err(Error::MetadataTooLarge));
        let user = (0..1025).map(|name| (format!("{name}"), String::new())).collect();
        assert_eq!(Fields::new(Metadata { user, ..metadata() }), Err(Error::MetadataTooLarge));
    }

    #[test]
    fn origins_name_their_parts() {
        let all: Vec<u16> = (1..=10_000).collect();
        for numbers in [&[][..], &[1], &[8, 9], &[10_000], &all] {
            let origin = Origin::new(UploadId([0; 16]), place("here"), numbers.iter().copied());
            assert_eq!(origin.count(), numbers.len());
            assert!((0..=u16::MAX).filter(|number| origin.contains(*number)).eq(numbers.iter().copied()));
        }
    }

    /// Content that decodes is the very content that encoding gives.
    fn is_canonical<C: Content>(content: &[u8]) -> Result<(), TestCaseError> {
        if let Ok(decoded) = decode::<C>(content) {
            prop_assert_eq!(encode(&decoded).to_vec(), content, "one value, one encoding");
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_content_makes_the_decoder_panic(
            noise in prop::collection::vec(any::<u8>(), 0..200),
            damages in prop::collection::vec((any::<Index>(), any::<u8>(), 0..4u8), 1..4),
        ) {
            let fields = || Fields::new(metadata()).unwrap();
            let run = ContentRun { length: 5 << 20, hash: Digest([6; 32]) };
            let contents = [
                noise,
                encode(&version(metadata())).to_vec(),
                encode(&SealedUpload { salt: Secret::new([2; 32]), metadata: fields() }).to_vec(),
                encode(&SealedPart { data_key: Secret::new([1; 32]), run, metadata: fields() }).to_vec(),
            ];
            for mut content in contents {
                for (at, byte, kind) in &damages {
                    let at = at.index(content.len() + 1);
                    match kind {
                        0 => content.insert(at, *byte),
                        1 => content.truncate(at),
                        2 => drop(content.drain(at..content.len().min(at + usize::from(byte % 8)))),
                        _ => if at < content.len() { content[at] = *byte },
                    }
                }
                is_canonical::<SealedVersion>(&content)?;
                is_canonical::<SealedUpload>(&content)?;
                is_canonical::<SealedPart>(&content)?;
            }
        }
    }
}
