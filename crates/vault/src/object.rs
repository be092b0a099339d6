//! An object as it is stored: opened, and checked against itself.

use crate::{
    Error, Object,
    layout::ciphertext_length,
    sealed::{SealedVersion, Subject, unseal},
};
use blob::TenantKey;
use chain::client::{PayloadView, VersionView};
use proof::{Manifest, TenantId, entry::VersionEntry, limits::CHUNK_TAG_LENGTH, transaction::Body};

/// Nothing encrypts to nothing; this keeps the place of a tag. That an object is empty, its sealed body says.
pub(crate) const EMPTY_CIPHERTEXT: [u8; CHUNK_TAG_LENGTH as usize] = [0; CHUNK_TAG_LENGTH as usize];

/// Keys and payload of an object.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub sealed: SealedVersion,
    pub body: Body,
    pub ciphertext: PayloadView,
}

/// Opens a version that is proven to be what its place names. Errors: `Damaged`.
pub(crate) fn open(key: &TenantKey, tenant: TenantId, view: VersionView) -> Result<Object, Error> {
    let VersionView { entry, sealed, payload, lockable, annotated } = view;
    let sealed: SealedVersion = unseal(key, tenant, Subject::Version(&entry.place), &sealed)?;
    let VersionEntry { place, version, time_ms, kind, .. } = entry;
    let proof::entry::VersionKind::Object(body) = kind else {
        return Err(Error::Damaged("a delete marker with contents".into()));
    };
    let length = match &payload {
        PayloadView::Inline(ciphertext) => (ciphertext.len() as u64).checked_sub(CHUNK_TAG_LENGTH),
        PayloadView::Manifest(manifest) => stored_length(manifest, &body),
    };
    if length != Some(sealed.length) {
        return Err(Error::Damaged("an object is not as long as its sealed body says".into()));
    }
    let metadata = sealed.metadata.clone().open()?;
    let length = sealed.length;
    let contents = Contents { sealed, body, ciphertext: payload };
    Ok(Object { place, version, time_ms, length, metadata, lockable, annotated, contents })
}

fn stored_length(manifest: &Manifest, body: &Body) -> Option<u64> {
    manifest.length().filter(|_| ciphertext_length(manifest) == Some(body.ciphertext_length))
}
