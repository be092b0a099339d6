//! Transactions: preconditions and operations, all or nothing, in the order consensus gives.
//!
//! The *core* is what is hashed and signed; bulky bytes (sealed bodies, inline ciphertext, manifests) are
//! *attachments* that the core names by hash and length, so a receipt carries the core alone. The transaction's id is
//! the hash of its core; executing an id twice is impossible because the state remembers every id.

use crate::{
    AvailabilityCertificate, BucketName, Digest, ObjectKey, PublicKey, SecretKey, Signature, TenantId,
    UploadId, VersionId,
    digest::{blake3, sha256},
    limits::*,
    wire::{Encode, List, Octets},
};

pub use crate::settings::{
    About, Annotate, DefaultRetention, Mode, Period, Quota, Retention, SetBucketLock, SetHold, SetQuota,
    SetRetention, SetTenantQuota, Target, TargetAt,
};

const NAMESPACE: &[u8] = b"outlast/transaction/1";

crate::wire_struct! {
    /// Bytes that travel beside the core: named by hash, in the order in which the core names them.
    pub struct Attachment {
        /// [`attachment_digest`] of the bytes.
        pub digest: Digest,
        /// Number of bytes.
        pub length: u32,
    }
}

impl Attachment {
    /// Names these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: attachment_digest(bytes), length: bytes.len() as u32 }
    }
}

/// The name of attached bytes.
pub fn attachment_digest(bytes: &[u8]) -> Digest {
    blake3("outlast 2026-11 attachment v1", bytes)
}

crate::wire_struct! {
    /// Ciphertext that lives on the nodes' disks.
    pub struct Stored {
        /// The encoded [`Manifest`](crate::Manifest).
        pub manifest: Attachment,
        /// Proof that a quorum holds it.
        pub certificate: AvailabilityCertificate,
    }
}

crate::wire_enum! {
    /// Where a body's ciphertext is.
    pub enum Payload {
        /// In the transaction: at most [`INLINE_MAX`] bytes.
        0 => Inline(ciphertext: Attachment),
        /// On the nodes.
        1 => Stored(stored: Stored),
    }
}

crate::wire_struct! {
    /// A version's or part's contents. Everything that would tell a guesser something is in the sealed attachment.
    pub struct Body {
        /// Bytes of ciphertext: the plaintext's plus a tag per chunk.
        pub ciphertext_length: u64,
        /// Hiding commitment to the plaintext: see [`receipt::content_commitment`](crate::receipt::content_commitment).
        pub content: Digest,
        /// Data key, metadata and salt, encrypted under the tenant's key.
        pub sealed: Attachment,
        /// The ciphertext.
        pub payload: Payload,
    }
}

crate::wire_struct! {
    /// A bucket and a key in it.
    pub struct Place {
        /// The bucket.
        pub bucket: BucketName,
        /// The key.
        pub key: ObjectKey,
    }
}

crate::wire_struct! {
    /// The key's current version must be this one.
    pub struct KeyAt {
        /// Where.
        pub place: Place,
        /// The version, which is not a delete marker.
        pub version: VersionId,
    }
}

crate::wire_struct! {
    /// The upload must not have changed.
    pub struct UploadAt {
        /// The upload.
        pub upload: UploadId,
        /// The number of changes it has seen.
        pub revision: u32,
    }
}

crate::wire_enum! {
    /// What must hold, at the moment of execution, for any of the operations to happen.
    pub enum Precondition {
        /// The key has no current version, or a delete marker.
        0 => KeyAbsent(place: Place),
        /// The key's current version is this one.
        1 => KeyAt(key_at: KeyAt),
        /// The upload is open and unchanged.
        2 => UploadAt(upload_at: UploadAt),
    }
}

crate::wire_struct! {
    /// Create a bucket.
    pub struct CreateBucket {
        /// Its name, unique within the tenant.
        pub bucket: BucketName,
    }
}

crate::wire_struct! {
    /// Hide a bucket that has no current objects. Its versions stay.
    pub struct DeleteBucket {
        /// The bucket.
        pub bucket: BucketName,
    }
}

crate::wire_struct! {
    /// Add a version and make it current.
    pub struct PutVersion {
        /// Where.
        pub place: Place,
        /// What.
        pub body: Body,
    }
}

crate::wire_struct! {
    /// Add a delete marker and make it current.
    pub struct PutMarker {
        /// Where.
        pub place: Place,
    }
}

crate::wire_struct! {
    /// Open a multipart upload.
    pub struct CreateUpload {
        /// Its id, drawn by the gateway.
        pub upload: UploadId,
        /// Where the object will be.
        pub place: Place,
        /// Data key and metadata of the object to be, sealed.
        pub sealed: Attachment,
    }
}

crate::wire_struct! {
    /// Add or replace a part.
    pub struct PutPart {
        /// The upload.
        pub upload: UploadId,
        /// 1 to [`PART_NUMBER_MAX`].
        pub number: u16,
        /// What. Always stored, never inline.
        pub body: Body,
    }
}

crate::wire_struct! {
    /// Close an upload and make the object that its parts give the key's current version.
    pub struct CompleteUpload {
        /// The upload.
        pub upload: UploadId,
        /// Where: as in [`CreateUpload`].
        pub place: Place,
        /// The object: its manifest joins those of the parts.
        pub body: Body,
    }
}

crate::wire_struct! {
    /// Close an upload without an object.
    pub struct AbortUpload {
        /// The upload.
        pub upload: UploadId,
    }
}

crate::wire_struct! {
    /// Add a tenant. Signed by an approver.
    pub struct CreateTenant {
        /// Its id.
        pub tenant: TenantId,
        /// Its name for people.
        pub name: Octets<64>,
        /// The first key that may sign for it.
        pub key: PublicKey,
    }
}

crate::wire_struct! {
    /// Let another key sign for the tenant.
    pub struct AddKey {
        /// The key.
        pub key: PublicKey,
    }
}

crate::wire_struct! {
    /// Let a key sign no longer. A tenant's last key cannot be revoked.
    pub struct RevokeKey {
        /// The key.
        pub key: PublicKey,
    }
}

crate::wire_struct! {
    /// What becomes current when the current version is hidden.
    pub struct Succession {
        /// How often versions of the key were hidden or shown again before: whoever names the successor knew them all.
        pub revision: u32,
        /// The newest version that is older and not hidden; none when there is none.
        pub successor: List<VersionId, 1>,
    }
}

crate::wire_struct! {
    /// Hide a version from listings and reads. It stays, and can be shown again.
    pub struct HideVersion {
        /// Where.
        pub place: Place,
        /// Which, object or delete marker.
        pub version: VersionId,
        /// Given exactly when the version is the key's current one.
        pub succession: List<Succession, 1>,
    }
}

crate::wire_struct! {
    /// Show a hidden version again.
    pub struct UnhideVersion {
        /// Where.
        pub place: Place,
        /// Which.
        pub version: VersionId,
        /// Whether it becomes the key's current version, because none that is not hidden is newer.
        pub current: bool,
    }
}

crate::wire_struct! {
    /// Bring back a deleted bucket, with the keys and versions that its last life had.
    pub struct UndeleteBucket {
        /// The bucket.
        pub bucket: BucketName,
    }
}

crate::wire_enum! {
    /// What a transaction does.
    pub enum Operation {
        /// See [`CreateBucket`].
        0 => CreateBucket(operation: CreateBucket),
        /// See [`DeleteBucket`].
        1 => DeleteBucket(operation: DeleteBucket),
        /// See [`PutVersion`].
        2 => PutVersion(operation: PutVersion),
        /// See [`PutMarker`].
        3 => PutMarker(operation: PutMarker),
        /// See [`CreateUpload`].
        4 => CreateUpload(operation: CreateUpload),
        /// See [`PutPart`].
        5 => PutPart(operation: PutPart),
        /// See [`CompleteUpload`].
        6 => CompleteUpload(operation: CompleteUpload),
        /// See [`AbortUpload`].
        7 => AbortUpload(operation: AbortUpload),
        /// See [`CreateTenant`].
        8 => CreateTenant(operation: CreateTenant),
        /// See [`AddKey`].
        9 => AddKey(operation: AddKey),
        /// See [`RevokeKey`].
        10 => RevokeKey(operation: RevokeKey),
        /// See [`HideVersion`].
        11 => HideVersion(operation: HideVersion),
        /// See [`UnhideVersion`].
        12 => UnhideVersion(operation: UnhideVersion),
        /// See [`UndeleteBucket`].
        13 => UndeleteBucket(operation: UndeleteBucket),
        /// See [`SetBucketLock`].
        14 => SetBucketLock(operation: SetBucketLock),
        /// See [`SetRetention`].
        15 => SetRetention(operation: SetRetention),
        /// See [`SetHold`].
        16 => SetHold(operation: SetHold),
        /// See [`Annotate`].
        17 => Annotate(operation: Annotate),
        /// See [`SetQuota`].
        18 => SetQuota(operation: SetQuota),
        /// See [`SetTenantQuota`].
        19 => SetTenantQuota(operation: SetTenantQuota),
    }
}

impl Operation {
    /// The attachments it names, in order.
    pub fn attachments(&self) -> Vec<&Attachment> {
        fn of_body(body: &Body) -> Vec<&Attachment> {
            let payload = match &body.payload {
                Payload::Inline(ciphertext) => ciphertext,
                Payload::Stored(stored) => &stored.manifest,
            };
            vec![&body.sealed, payload]
        }
        match self {
            Self::PutVersion(put) => of_body(&put.body),
            Self::PutPart(put) => of_body(&put.body),
            Self::CompleteUpload(complete) => of_body(&complete.body),
            Self::CreateUpload(create) => vec![&create.sealed],
            Self::Annotate(annotate) => annotate.sealed.iter().collect(),
            Self::CreateBucket(_)
            | Self::DeleteBucket(_)
            | Self::PutMarker(_)
            | Self::AbortUpload(_)
            | Self::CreateTenant(_)
            | Self::AddKey(_)
            | Self::RevokeKey(_)
            | Self::HideVersion(_)
            | Self::UnhideVersion(_)
            | Self::UndeleteBucket(_)
            | Self::SetBucketLock(_)
            | Self::SetRetention(_)
            | Self::SetHold(_)
            | Self::SetQuota(_)
            | Self::SetTenantQuota(_) => Vec::new(),
        }
    }

    /// The tenant of which it decides what only an approver may decide.
    pub fn governs(&self) -> Option<TenantId> {
        match self {
            Self::CreateTenant(create) => Some(create.tenant),
            Self::SetTenantQuota(set) => Some(set.tenant),
            _ => None,
        }
    }

    /// Where it makes a version, if it makes one.
    pub fn makes(&self) -> Option<&Place> {
        match self {
            Self::PutVersion(put) => Some(&put.place),
            Self::CompleteUpload(complete) => Some(&complete.place),
            _ => None,
        }
    }

    /// The version whose settings it changes, if it does that.
    pub fn target(&self) -> Option<(&Place, &Target)> {
        match self {
            Self::SetRetention(set) => Some((&set.place, &set.version)),
            Self::SetHold(set) => Some((&set.place, &set.version)),
            Self::Annotate(annotate) => annotate.about.version(),
            _ => None,
        }
    }

    /// The body it brings, if any.
    pub fn body(&self) -> Option<&Body> {
        match self {
            Self::PutVersion(put) => Some(&put.body),
            Self::PutPart(put) => Some(&put.body),
            Self::CompleteUpload(complete) => Some(&complete.body),
            _ => None,
        }
    }
}

crate::wire_struct! {
    /// The core of a transaction: what is hashed and signed.
    pub struct Transaction {
        /// The network it is for.
        pub network: Digest,
        /// The tenant it is of.
        pub tenant: TenantId,
        /// The key that signs it.
        pub signer: PublicKey,
        /// Makes two otherwise equal transactions different.
        pub nonce: [u8; 16],
        /// Block time, in milliseconds, from which on it can no longer be executed.
        pub expires_ms: u64,
        /// What must hold.
        pub preconditions: List<Precondition, OPERATIONS_MAX>,
        /// What is done.
        pub operations: List<Operation, OPERATIONS_MAX>,
    }
}

impl Transaction {
    /// The transaction's id.
    pub fn id(&self) -> Digest {
        sha256("outlast/transaction/1", &[&self.encode()])
    }

    /// Signs it. The attachments must be those that the operations name, in order.
    pub fn sign(self, key: &SecretKey, attachments: Vec<bytes::Bytes>) -> SignedTransaction {
        let signature = key.sign(NAMESPACE, &self.id().0);
        let attachments = attachments
            .into_iter()
            .map(|bytes| Octets::new(bytes).expect("an attachment fits a transaction"))
            .collect();
        let attachments = List::new(attachments).expect("two attachments an operation at the most");
        SignedTransaction { transaction: self, signature, attachments }
    }

    /// Whether `signature` is its signer's.
    pub fn verify(&self, signature: &Signature) -> bool {
        self.signer.verify(NAMESPACE, &self.id().0, signature)
    }
}

crate::wire_struct! {
    /// A transaction as it travels and as blocks keep it.
    pub struct SignedTransaction {
        /// The core.
        pub transaction: Transaction,
        /// The signer's signature over the core's id.
        pub signature: Signature,
        /// The bytes that the core names.
        pub attachments: List<Octets<TRANSACTION_BYTES_MAX>, ATTACHMENTS_MAX>,
    }
}

impl SignedTransaction {
    /// Whether the attachments are exactly those that the core names, in order.
    pub fn attachments_match(&self) -> bool {
        let mut named = self.transaction.operations.iter().flat_map(Operation::attachments);
        let mut carried = self.attachments.iter();
        loop {
            match (named.next(), carried.next()) {
                (None, None) => return true,
                (Some(name), Some(bytes)) if *name == Attachment::of(bytes) => {}
                _ => return false,
            }
        }
    }

    /// The attached bytes with this name.
    pub fn attachment(&self, name: &Attachment) -> Option<&bytes::Bytes> {
        let mut named = self.transaction.operations.iter().flat_map(Operation::attachments);
        let at = named.position(|candidate| candidate == name)?;
        self.attachments.get(at).map(Octets::bytes)
    }
}
