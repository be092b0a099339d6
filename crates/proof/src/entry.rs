//! What an applied operation leaves behind. The state holds the hash of the entry; the bytes live in blocks and in the
//! index derived from them.

use crate::{
    Digest, TenantId, UploadId, VersionId,
    digest::sha256,
    transaction::{About, Attachment, Body, Place},
    wire::{Encode, List},
};

crate::wire_enum! {
    /// What a version is.
    pub enum VersionKind {
        /// An object's contents.
        0 => Object(body: Body),
        /// A delete marker.
        1 => Marker,
    }
}

crate::wire_struct! {
    /// One version of a key. It never changes.
    pub struct VersionEntry {
        /// Whose.
        pub tenant: TenantId,
        /// Where.
        pub place: Place,
        /// Which.
        pub version: VersionId,
        /// Block time, milliseconds since the Unix epoch.
        pub time_ms: u64,
        /// What.
        pub kind: VersionKind,
    }
}

impl VersionEntry {
    /// The hash in the state.
    pub fn digest(&self) -> Digest {
        sha256("outlast/entry/version/1", &[&self.encode()])
    }

    /// The contents, unless it is a marker.
    pub fn body(&self) -> Option<&Body> {
        match &self.kind {
            VersionKind::Object(body) => Some(body),
            VersionKind::Marker => None,
        }
    }
}

crate::wire_struct! {
    /// A multipart upload as it was opened.
    pub struct UploadEntry {
        /// Whose.
        pub tenant: TenantId,
        /// Which.
        pub upload: UploadId,
        /// Where the object will be.
        pub place: Place,
        /// The place in the chain at which it was opened.
        pub version: VersionId,
        /// Block time of its opening.
        pub time_ms: u64,
        /// Data key and metadata of the object to be, sealed.
        pub sealed: Attachment,
    }
}

impl UploadEntry {
    /// The hash in the state.
    pub fn digest(&self) -> Digest {
        sha256("outlast/entry/upload/1", &[&self.encode()])
    }
}

crate::wire_struct! {
    /// A part of a multipart upload.
    pub struct PartEntry {
        /// The upload.
        pub upload: UploadId,
        /// 1 to 10,000.
        pub number: u16,
        /// The place in the chain at which it was accepted.
        pub version: VersionId,
        /// Block time.
        pub time_ms: u64,
        /// What.
        pub body: Body,
    }
}

impl PartEntry {
    /// The hash in the state.
    pub fn digest(&self) -> Digest {
        sha256("outlast/entry/part/1", &[&self.encode()])
    }
}

crate::wire_struct! {
    /// An annotation as it was set.
    pub struct AnnotationEntry {
        /// Whose.
        pub tenant: TenantId,
        /// What it is, and of what. A version is named by its id.
        pub about: About,
        /// The place in the chain at which it was set.
        pub changed: VersionId,
        /// Block time.
        pub time_ms: u64,
        /// The document, sealed; none when it was removed.
        pub sealed: List<Attachment, 1>,
    }
}

impl AnnotationEntry {
    /// The hash in the state.
    pub fn digest(&self) -> Digest {
        sha256("outlast/entry/annotation/1", &[&self.encode()])
    }
}
