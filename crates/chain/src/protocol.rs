//! What gateways ask a node about the chain, and what it answers. Version 1.
//!
//! A message is the version as `u8`, then one [`Request`] or [`Answer`] in the canonical encoding of
//! [`proof::wire`]. All requests travel with lane number [`LANE_NUMBER`].
//!
//! | request | answer | what makes the answer credible |
//! | --- | --- | --- |
//! | [`Request::Submit`] | [`Answer::Submitted`], when the transaction is decided | the Merkle path of (transaction, outcome) to a finalized header; for an expiry, proof that a state past it has no outcome |
//! | [`Request::Tip`] | [`Answer::Tip`] | the header is finalized |
//! | [`Request::Read`] | [`Answer::State`] | a state proof for each key under one finalized header; entries and attached bytes hash to what the records name |
//! | [`Request::List`] | [`Answer::Page`] or [`Answer::PageDigest`] | nothing by itself: f + 1 equal answers at one height |
//! | [`Request::Receipt`] | [`Answer::Receipt`] | the Merkle path to a finalized header |
//! | [`Request::Status`] | [`Answer::Status`] | nothing: it is the node's own word |
//!
//! "At least height h" means that the node waits, for a few seconds at most, until it has applied a block of that
//! height. A finalized header that a node sends is of a block that it has applied.

use crate::state::StateProof;
use bytes::Bytes;
use ledger::{StateKey, key};
use link::Lane;
use proof::{
    BucketName, Digest, ObjectKey, Signature, TenantId, Transaction, UploadId, VersionId,
    digest::sha256,
    entry::{PartEntry, UploadEntry, VersionEntry},
    finality::FinalizedHeader,
    limits::{OBJECT_KEY_MAX, SEALED_MAX, TRANSACTION_BYTES_MAX},
    merkle,
    transaction::{About, Place, SignedTransaction},
    wire::{DecodeExt, Encode, EncodeSize, Error, List, Octets, Write},
    wire_enum, wire_struct,
};

/// The protocol's version, first byte of every message.
pub const VERSION: u8 = 1;
/// The lane's number on the link.
pub const LANE_NUMBER: u8 = 2;
/// State keys of one read.
pub const KEYS_MAX: usize = 8;
/// Entries of one page, common prefixes included: S3's limit.
pub const PAGE_ENTRIES_MAX: usize = 1000;
/// A page ends with the entry that brings it to this many bytes.
pub const PAGE_BYTES: usize = 1 << 20;
/// Bytes of a text in an answer.
pub const TEXT_MAX: usize = 256;

/// A finalized header with the longest chain of descendants and the largest committee takes less.
const FINALIZED_BYTES_MAX: usize = 24 << 10;
/// A state proof over a log of 2^64 operations takes less.
const STATE_PROOF_BYTES_MAX: usize = 12 << 10;
/// The longest answer to a read.
const STATE_BYTES_MAX: usize =
    FINALIZED_BYTES_MAX + KEYS_MAX * STATE_PROOF_BYTES_MAX + 2 * SEALED_MAX + TRANSACTION_BYTES_MAX;

const CONTROL: Lane = Lane::control(LANE_NUMBER).reply_max(64 << 10);
const READ: Lane = Lane::control(LANE_NUMBER).reply_max(STATE_BYTES_MAX);
const PAGE: Lane = Lane::bulk(LANE_NUMBER).reply_max(PAGE_BYTES + 2 * TRANSACTION_BYTES_MAX);
const RECEIPT: Lane = Lane::bulk(LANE_NUMBER).reply_max(FINALIZED_BYTES_MAX + TRANSACTION_BYTES_MAX);

/// A key, or any text that takes the place of one.
pub type KeyText = Octets<OBJECT_KEY_MAX>;
/// A sealed body.
pub type Sealed = Octets<SEALED_MAX>;
/// Inline ciphertext or an encoded manifest.
pub type Attached = Octets<TRANSACTION_BYTES_MAX>;
/// A sentence for people.
pub type Text = Octets<TEXT_MAX>;

wire_enum! {
    /// What a gateway asks.
    #[allow(clippy::large_enum_variant, reason = "a message lives for one call")]
    pub enum Request {
        /// Have this ordered; answer when it is decided, or when the node will wait no longer.
        0 => Submit(transaction: SignedTransaction),
        /// Your newest applied block of at least this height.
        1 => Tip(min_height: u64),
        /// What the state holds.
        2 => Read(read: ReadRequest),
        /// A page of a listing.
        3 => List(list: ListRequest),
        /// A transaction that was decided here.
        4 => Receipt(at: Position),
        /// How you are.
        5 => Status,
    }
}

wire_struct! {
    /// What to read, from a state of at least which height.
    pub struct ReadRequest {
        /// What.
        pub subject: Subject,
        /// The state after a block of at least this height.
        pub min_height: u64,
    }
}

wire_enum! {
    /// What a read is about.
    pub enum Subject {
        /// Records alone.
        0 => Keys(keys: List<Digest, KEYS_MAX>),
        /// A bucket's record, a key's head, and the entry and attached bytes of the version that it names.
        1 => Head(at: TenantPlace),
        /// A bucket's record, a version's, and its entry and attached bytes.
        2 => Version(at: TenantVersion),
        /// A multipart upload's record, entry and sealed bytes.
        3 => Upload(of: TenantUpload),
        /// A bucket's record, whether a version is hidden, its record, and its entry and attached bytes.
        4 => Shown(at: TenantVersion),
    }
}

wire_struct! {
    /// A key of a tenant.
    pub struct TenantPlace {
        /// Whose.
        pub tenant: TenantId,
        /// Where.
        pub place: Place,
    }
}

wire_struct! {
    /// A version of a tenant's key.
    pub struct TenantVersion {
        /// Whose.
        pub tenant: TenantId,
        /// Where.
        pub place: Place,
        /// Which.
        pub version: VersionId,
    }
}

wire_struct! {
    /// A tenant's multipart upload.
    pub struct TenantUpload {
        /// Whose.
        pub tenant: TenantId,
        /// Which.
        pub upload: UploadId,
    }
}

impl Subject {
    /// The state keys whose proofs answer it, in order.
    pub fn keys(&self) -> Vec<StateKey> {
        match self {
            Self::Keys(keys) => keys.to_vec(),
            Self::Head(TenantPlace { tenant, place }) => {
                vec![key::bucket(tenant, &place.bucket), key::head(tenant, place)]
            }
            Self::Version(TenantVersion { tenant, place, version }) => {
                vec![key::bucket(tenant, &place.bucket), key::version(tenant, place, version)]
            }
            Self::Shown(TenantVersion { tenant, place, version }) => {
                let hidden = key::hidden(tenant, place, version);
                vec![key::bucket(tenant, &place.bucket), hidden, key::version(tenant, place, version)]
            }
            Self::Upload(TenantUpload { tenant, upload }) => vec![key::upload(tenant, upload)],
        }
    }
}

wire_struct! {
    /// Which page of which listing, as of which height.
    pub struct ListRequest {
        /// What to list.
        pub listing: Listing,
        /// As of the state after the block of exactly this height.
        pub height: u64,
        /// A recent height, not below that one. What is newer than the page, but not than this, counts as work where work
        /// is bounded: see [`Listing::is_walk`].
        pub tip: u64,
        /// Answer with the page's digest only.
        pub digest_only: bool,
    }
}

wire_enum! {
    /// What can be listed.
    pub enum Listing {
        /// A tenant's buckets, by name.
        0 => Buckets(of: BucketsQuery),
        /// A bucket's current objects, by key.
        1 => Objects(of: ObjectsQuery),
        /// A bucket's open multipart uploads, by key, then id.
        2 => Uploads(of: UploadsQuery),
        /// The newest parts of an upload, by number; also of one that was closed, for what they became is made of them.
        3 => Parts(of: PartsQuery),
        /// A bucket's versions and delete markers, by key, newest first.
        4 => Versions(of: VersionsQuery),
        /// Which version of a key is current.
        5 => Current(of: TenantPlace),
        /// The newest block whose time is not after this one, milliseconds since the Unix epoch.
        6 => Moment(time_ms: u64),
        /// What an annotation says.
        7 => Annotation(of: AnnotationQuery),
    }
}

wire_struct! {
    /// Which annotation.
    pub struct AnnotationQuery {
        /// Whose.
        pub tenant: TenantId,
        /// What it is, and of what. A version is named by its id.
        pub about: About,
    }
}

impl Listing {
    /// Whether a page of it passes over what is newer than it, or hidden, key by key.
    pub fn is_walk(&self) -> bool {
        matches!(self, Self::Objects(_) | Self::Uploads(_) | Self::Versions(_))
    }
}

wire_struct! {
    /// Which buckets.
    pub struct BucketsQuery {
        /// Whose.
        pub tenant: TenantId,
        /// Go on after this name; empty: from the first.
        pub after: Octets<63>,
        /// Buckets at most; zero or more than [`PAGE_ENTRIES_MAX`] count as that.
        pub limit: u16,
    }
}

wire_enum! {
    /// Where a listing of objects goes on.
    pub enum After {
        /// At the beginning.
        0 => Start,
        /// With the first key greater than this text, which need not be a key.
        1 => Key(text: KeyText),
        /// With the first key greater than all that begin with this.
        2 => Prefix(text: KeyText),
    }
}

wire_struct! {
    /// Which objects.
    pub struct ObjectsQuery {
        /// Whose.
        pub tenant: TenantId,
        /// The bucket.
        pub bucket: BucketName,
        /// Keys begin with this.
        pub prefix: KeyText,
        /// Keys that share what follows the prefix up to and including this text are rolled up into one common
        /// prefix. Empty: no rolling up.
        pub delimiter: KeyText,
        /// Where to go on.
        pub after: After,
        /// Objects and common prefixes at most; zero or more than [`PAGE_ENTRIES_MAX`] count as that.
        pub limit: u16,
    }
}

wire_struct! {
    /// Which versions.
    pub struct VersionsQuery {
        /// Whose.
        pub tenant: TenantId,
        /// The bucket.
        pub bucket: BucketName,
        /// Keys begin with this.
        pub prefix: KeyText,
        /// As in [`ObjectsQuery::delimiter`].
        pub delimiter: KeyText,
        /// Where to go on.
        pub after: AfterVersion,
        /// Versions and common prefixes at most; zero or more than [`PAGE_ENTRIES_MAX`] count as that.
        pub limit: u16,
        /// Whether hidden versions are listed too.
        pub hidden: bool,
        /// Only the key that is the prefix itself.
        pub exact: bool,
    }
}

wire_enum! {
    /// Where a listing of versions goes on.
    pub enum AfterVersion {
        /// At the beginning.
        0 => Start,
        /// With the first key greater than this text, which need not be a key.
        1 => Key(text: KeyText),
        /// With the first key greater than all that begin with this.
        2 => Prefix(text: KeyText),
        /// With what is older at this very key.
        3 => Place(place: AfterPlace),
    }
}

wire_struct! {
    /// A key and a place in the chain.
    pub struct AfterPlace {
        /// The key.
        pub key: KeyText,
        /// The place.
        pub version: VersionId,
    }
}

wire_struct! {
    /// Which uploads.
    pub struct UploadsQuery {
        /// Whose.
        pub tenant: TenantId,
        /// The bucket.
        pub bucket: BucketName,
        /// Keys begin with this.
        pub prefix: KeyText,
        /// Go on after this key and upload.
        pub after: List<AfterUpload, 1>,
        /// Uploads at most; zero or more than [`PAGE_ENTRIES_MAX`] count as that.
        pub limit: u16,
    }
}

wire_struct! {
    /// Where a listing of uploads goes on.
    pub struct AfterUpload {
        /// The key, or any text.
        pub key: KeyText,
        /// Uploads of that very key with greater ids still follow.
        pub upload: UploadId,
    }
}

wire_struct! {
    /// Which parts.
    pub struct PartsQuery {
        /// Whose.
        pub tenant: TenantId,
        /// The upload.
        pub upload: UploadId,
        /// Go on after this number; zero: from the first.
        pub after: u16,
        /// Parts at most; zero or more than [`PAGE_ENTRIES_MAX`] count as that.
        pub limit: u16,
        /// Whether to send the parts' manifests too.
        pub payloads: bool,
    }
}

wire_struct! {
    /// The place of a transaction in the chain.
    pub struct Position {
        /// The block's height.
        pub height: u64,
        /// The transaction's place in the block.
        pub index: u32,
    }
}

wire_enum! {
    /// What a node answers.
    #[allow(clippy::large_enum_variant, reason = "a message lives for one call")]
    pub enum Answer {
        /// To [`Request::Submit`].
        0 => Submitted(submitted: Submitted),
        /// To [`Request::Tip`].
        1 => Tip(block: FinalizedHeader),
        /// To [`Request::Read`].
        2 => State(state: StateAnswer),
        /// To [`Request::List`].
        3 => Page(page: PageAnswer),
        /// To [`Request::List`] with `digest_only`: [`PageAnswer::digest`] of the page.
        4 => PageDigest(digest: Digest),
        /// To [`Request::Receipt`].
        5 => Receipt(receipt: ReceiptAnswer),
        /// To [`Request::Status`].
        6 => Status(status: StatusAnswer),
        /// To any.
        7 => Failed(failure: Failure),
    }
}

wire_enum! {
    /// Why a node does not answer what was asked.
    pub enum Failure {
        /// The request does not decode, or contradicts itself.
        0 => Malformed,
        /// This node has not applied the height asked for.
        1 => Behind(height: u64),
        /// This node never had, or no longer has, what was asked for.
        2 => NotHeld,
        /// No room now.
        3 => Overloaded,
    }
}

wire_enum! {
    /// What became of a submission.
    #[allow(clippy::large_enum_variant, reason = "a message lives for one call")]
    pub enum Submitted {
        /// It is in a final block, which this node has applied.
        0 => Decided(decision: Decision),
        /// It can never be in a block, and why.
        1 => Inadmissible(why: Text),
        /// The mempool has no room.
        2 => Overloaded,
        /// Its time is over and it is in no block.
        3 => Expired(expired: ProvenExpiry),
        /// It is neither decided nor expired; submit it again to go on waiting.
        4 => Pending,
    }
}

wire_struct! {
    /// Proof of a transaction's outcome.
    pub struct Decision {
        /// The block.
        pub block: FinalizedHeader,
        /// The transaction's place in it.
        pub index: u32,
        /// [`ledger::APPLIED`], or the code of its refusal.
        pub outcome: u16,
        /// The signature with which it was ordered.
        pub signature: Signature,
        /// From (transaction, signature, outcome) to the header's root.
        pub path: merkle::Path,
    }
}

wire_struct! {
    /// Proof that a transaction has no outcome in a state whose block time is not before its expiry.
    pub struct ProvenExpiry {
        /// The block.
        pub block: FinalizedHeader,
        /// That the transaction's [`key::outcome`] holds nothing.
        pub absence: StateProof,
    }
}

wire_struct! {
    /// Records under one finalized header, and what they name.
    pub struct StateAnswer {
        /// The block after which the state was so.
        pub block: FinalizedHeader,
        /// One for each of [`Subject::keys`].
        pub proofs: List<StateProof, KEYS_MAX>,
        /// What the last of the records names by hash.
        pub named: Named,
    }
}

wire_enum! {
    /// What a record names by hash.
    #[allow(clippy::large_enum_variant, reason = "a message lives for one call")]
    pub enum Named {
        /// Nothing, or the node does not have it.
        0 => Nothing,
        /// A version.
        1 => Version(version: NamedVersion),
        /// A multipart upload.
        2 => Upload(upload: NamedUpload),
    }
}

wire_struct! {
    /// A version's entry with the bytes that it names. A marker names none.
    pub struct NamedVersion {
        /// The entry.
        pub entry: VersionEntry,
        /// The sealed body.
        pub sealed: List<Sealed, 1>,
        /// Inline ciphertext or an encoded manifest.
        pub payload: List<Attached, 1>,
    }
}

wire_struct! {
    /// An upload's entry with the bytes that it names.
    pub struct NamedUpload {
        /// The entry.
        pub entry: UploadEntry,
        /// The sealed body.
        pub sealed: Sealed,
    }
}

wire_struct! {
    /// A page as of a height.
    pub struct PageAnswer {
        /// The height asked for.
        pub height: u64,
        /// The page.
        pub page: Page,
    }
}

impl PageAnswer {
    /// What nodes must agree on.
    pub fn digest(&self) -> Digest {
        sha256("outlast/page/1", &[&self.encode()])
    }
}

wire_enum! {
    /// A page of a listing.
    pub enum Page {
        /// There is no such bucket, or it was deleted; or there never was such an upload.
        0 => NoSuch,
        /// Of buckets.
        1 => Buckets(page: BucketsPage),
        /// Of objects.
        2 => Objects(page: ObjectsPage),
        /// Of uploads.
        3 => Uploads(page: UploadsPage),
        /// Of parts.
        4 => Parts(page: PartsPage),
        /// Of versions.
        5 => Versions(page: VersionsPage),
        /// The current version, if any.
        6 => Current(version: List<VersionId, 1>),
        /// The block, if there is one.
        7 => Moment(moment: List<Moment, 1>),
        /// The annotation's document, sealed, if there is one.
        8 => Annotation(sealed: List<Sealed, 1>),
    }
}

wire_struct! {
    /// A page of versions.
    pub struct VersionsPage {
        /// The versions, by key, newest first.
        pub versions: List<ListedVersion, PAGE_ENTRIES_MAX>,
        /// Common prefixes, in order.
        pub prefixes: List<KeyText, PAGE_ENTRIES_MAX>,
        /// Where the next page begins, if more may follow. A page may be empty and yet not the last.
        pub next: List<AfterVersion, 1>,
    }
}

wire_struct! {
    /// A version or delete marker.
    pub struct ListedVersion {
        /// Its entry.
        pub entry: VersionEntry,
        /// Its sealed body; a marker has none.
        pub sealed: List<Sealed, 1>,
        /// Whether it is the key's current version.
        pub current: bool,
        /// Since when it is hidden, if it is.
        pub hidden: List<HiddenSince, 1>,
    }
}

wire_struct! {
    /// When a version was hidden.
    pub struct HiddenSince {
        /// The place in the chain.
        pub changed: VersionId,
        /// Block time, milliseconds since the Unix epoch.
        pub time_ms: u64,
    }
}

wire_struct! {
    /// A block.
    pub struct Moment {
        /// Its height.
        pub height: u64,
        /// Its time, milliseconds since the Unix epoch.
        pub time_ms: u64,
    }
}

wire_struct! {
    /// A page of buckets.
    pub struct BucketsPage {
        /// The buckets, by name.
        pub buckets: List<ListedBucket, PAGE_ENTRIES_MAX>,
        /// Whether more follow.
        pub more: bool,
    }
}

wire_struct! {
    /// A bucket.
    pub struct ListedBucket {
        /// Its name.
        pub bucket: BucketName,
        /// The place in the chain at which its present life began.
        pub created: VersionId,
        /// Block time of that, milliseconds since the Unix epoch.
        pub created_ms: u64,
    }
}

wire_struct! {
    /// A page of objects.
    pub struct ObjectsPage {
        /// The objects, by key.
        pub objects: List<ListedObject, PAGE_ENTRIES_MAX>,
        /// Common prefixes, in order.
        pub prefixes: List<KeyText, PAGE_ENTRIES_MAX>,
        /// Where the next page begins, if more may follow. A page may be empty and yet not the last.
        pub next: List<After, 1>,
    }
}

wire_struct! {
    /// An object.
    pub struct ListedObject {
        /// Its current version's entry.
        pub entry: VersionEntry,
        /// Its sealed body.
        pub sealed: Sealed,
    }
}

wire_struct! {
    /// A page of uploads.
    pub struct UploadsPage {
        /// The uploads, by key, then id.
        pub uploads: List<NamedUpload, PAGE_ENTRIES_MAX>,
        /// Where the next page begins, if more may follow. A page may be empty and yet not the last.
        pub next: List<AfterUpload, 1>,
    }
}

wire_struct! {
    /// A page of parts.
    pub struct PartsPage {
        /// The parts, by number.
        pub parts: List<ListedPart, PAGE_ENTRIES_MAX>,
        /// Whether more follow.
        pub more: bool,
    }
}

wire_struct! {
    /// A part.
    pub struct ListedPart {
        /// Its entry.
        pub entry: PartEntry,
        /// Its sealed body.
        pub sealed: Sealed,
        /// Its encoded manifest, if asked for.
        pub payload: List<Attached, 1>,
    }
}

wire_struct! {
    /// A decided transaction with the proof.
    pub struct ReceiptAnswer {
        /// Its core.
        pub transaction: Transaction,
        /// Its outcome and where.
        pub decision: Decision,
    }
}

wire_enum! {
    /// Whether a node votes, and why if it does not. One that does not only follows.
    pub enum Stance {
        /// It does not know yet whether it remembers its votes, and asks the other nodes.
        0 => Asking,
        /// It votes.
        1 => Voter,
        /// Its votes are lost. It waits for the other nodes' answers.
        2 => Lost,
        /// Its votes are lost. It votes again when a block of this view is final.
        3 => Quarantined(until: u64),
        /// Votes with its signature turned up that it did not cast.
        4 => Contradicted,
    }
}

wire_struct! {
    /// A node about itself.
    pub struct StatusAnswer {
        /// The version of its program.
        pub software: Text,
        /// Height of the newest block that it has applied.
        pub height: u64,
        /// Block time of that, milliseconds since the Unix epoch.
        pub time_ms: u64,
        /// Height up to which its derived index goes.
        pub index_height: u64,
        /// Whether it votes, and why if it does not.
        pub stance: Stance,
        /// Transactions waiting to be ordered.
        pub pending: u32,
        /// Their bytes.
        pub pending_bytes: u64,
    }
}

/// Bytes that are no message of this protocol.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The other end speaks another version.
    #[error("version {0} of the chain protocol, where {VERSION} is spoken")]
    Version(u8),
    /// The message does not decode.
    #[error("malformed message: {0}")]
    Malformed(#[from] Error),
}

impl Request {
    /// The lane to send it over.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Submit(_) | Self::Tip(_) | Self::Status => CONTROL,
            Self::Read(_) => READ,
            Self::List(list) if list.digest_only => CONTROL,
            Self::List(_) => PAGE,
            Self::Receipt(_) => RECEIPT,
        }
    }

    /// The message.
    pub fn to_message(&self) -> Bytes {
        to_message(self)
    }

    /// Reads a message.
    pub fn from_message(message: Bytes) -> Result<Self, ProtocolError> {
        Ok(Self::decode(body(message)?)?)
    }
}

impl Answer {
    /// The message.
    pub fn to_message(&self) -> Bytes {
        to_message(self)
    }

    /// Reads a message.
    pub fn from_message(message: Bytes) -> Result<Self, ProtocolError> {
        Ok(Self::decode(body(message)?)?)
    }
}

/// As much of `text` as an answer carries.
pub fn text(text: &str) -> Text {
    let end = (0..=TEXT_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    Text::new(text.as_bytes()[..end].to_vec()).expect("cut to size")
}

/// The key as a text.
pub fn key_text(key: &ObjectKey) -> KeyText {
    KeyText::new(key.as_str().as_bytes().to_vec()).expect("a key's length is that of a key")
}

fn to_message(body: &(impl Write + EncodeSize)) -> Bytes {
    let mut message = Vec::with_capacity(1 + body.encode_size());
    VERSION.write(&mut message);
    body.write(&mut message);
    message.into()
}

fn body(mut message: Bytes) -> Result<Bytes, ProtocolError> {
    match message.first() {
        Some(&VERSION) => Ok(message.split_off(1)),
        Some(version) => Err(ProtocolError::Version(*version)),
        None => Err(ProtocolError::Malformed(Error::EndOfBuffer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_are_told_apart() {
        let mut message = Request::Status.to_message().to_vec();
        message[0] = 2;
        assert!(matches!(Request::from_message(message.into()), Err(ProtocolError::Version(2))));
        assert!(matches!(Request::from_message(Bytes::new()), Err(ProtocolError::Malformed(_))));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(&*text(&"é".repeat(TEXT_MAX)), "é".repeat(TEXT_MAX / 2).as_bytes());
        assert_eq!(&*text(&format!("x{}", "é".repeat(TEXT_MAX))), format!("x{}", "é".repeat(127)).as_bytes());
    }
}
