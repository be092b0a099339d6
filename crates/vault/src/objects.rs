//! Objects: put, read, copy, delete.

use crate::{
    Condition, Context, Deleted, Error, Metadata, Object, Reader, Settings, Vault, Writer, Written,
    commit::{Intent, written},
    metadata::Fields,
    object,
    sealed::{SealedVersion, Subject},
};
use chain::client::{HeadView, NamedView, PayloadView};
use proof::{
    VersionId,
    transaction::{Attachment, Body, Operation, Payload, Place, PutMarker, PutVersion},
    wire::Encode,
};
use std::ops::Range;

impl<E: Context> Vault<E> {
    /// Begins to write an object. Errors: `Overloaded`.
    pub async fn put(&self, place: Place) -> Result<Writer<E>, Error> {
        Writer::open(self, place).await
    }

    /// The key's current version, or the one named. Errors: `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`, `Marker`.
    pub async fn head(&self, place: &Place, version: Option<VersionId>) -> Result<Object, Error> {
        let view = match version {
            Some(version) => self.version_view(place, version).await?,
            None => self.view(place).await?,
        };
        match (view, version) {
            (HeadView::Object(view), _) => object::open(&self.shared.master_key, self.shared.tenant, view),
            (HeadView::Marker(entry), None) => Err(Error::NoSuchKey { marker: Some(entry.version) }),
            (HeadView::Marker(entry), Some(marker)) => Err(Error::Marker { marker, time_ms: entry.time_ms }),
            (HeadView::Absent, None) => Err(Error::NoSuchKey { marker: None }),
            (HeadView::Absent, Some(_)) => Err(Error::NoSuchVersion),
            (HeadView::NoBucket, _) => Err(Error::NoSuchBucket),
        }
    }

    /// What the key holds: proven.
    pub(crate) async fn view(&self, place: &Place) -> Result<HeadView, Error> {
        let (chain, tenant) = (&self.shared.chain, self.shared.tenant);
        self.patiently(|| async { Ok(chain.head(tenant, place).await?) }).await
    }

    /// What the version holds, hidden or not: proven.
    pub(crate) async fn named_view(&self, place: &Place, version: VersionId) -> Result<NamedView, Error> {
        let (chain, tenant) = (&self.shared.chain, self.shared.tenant);
        self.patiently(|| async { Ok(chain.version(tenant, place, version).await?) }).await
    }

    /// What the version holds, to ordinary eyes.
    pub(crate) async fn version_view(&self, place: &Place, version: VersionId) -> Result<HeadView, Error> {
        Ok(shown(version, self.named_view(place, version).await?))
    }

    /// The object's bytes in `range`, as far as the object goes. Errors of the stream: `Damaged`, `Overloaded`,
    /// `Unavailable`.
    pub fn read(&self, object: &Object, range: Range<u64>) -> Reader {
        Reader::open(self, object, range.start..range.end.min(object.length))
    }

    /// Makes `source`'s contents, without moving them, the current version of `place`.
    /// Errors: as [`Writer::finish`].
    pub async fn copy(
        &self,
        source: &Object,
        place: Place,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<Written, Error> {
        self.copy_with(source, place, metadata, condition, Settings::default()).await
    }

    /// As [`Self::copy`], with settings. Errors besides: `NotLockable`, `InvalidRetention`.
    pub async fn copy_with(
        &self,
        source: &Object,
        place: Place,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> Result<Written, Error> {
        let contents = &source.contents;
        let sealed = SealedVersion { metadata: Fields::new(metadata)?, ..contents.sealed.clone() };
        let sealed = self.seal(Subject::Version(&place), &sealed)?;
        let (named, payload) = match (&contents.ciphertext, &contents.body.payload) {
            (PayloadView::Manifest(manifest), Payload::Stored(stored)) => {
                (manifest.encode(), Payload::Stored(self.renewed(stored, manifest).await?))
            }
            (PayloadView::Inline(ciphertext), payload) => (ciphertext.clone(), payload.clone()),
            (PayloadView::Manifest(_), Payload::Inline(_)) => unreachable!("a manifest is of what is stored"),
        };
        let body = Body { sealed: Attachment::of(&sealed), payload, ..contents.body.clone() };
        let required = condition.on(&place);
        let put = Operation::PutVersion(PutVersion { place: place.clone(), body });
        let intent = Intent::of(put).with([sealed, named]).requiring(required);
        let intent = self.settle(intent, &place, settings)?;
        Ok(written(&self.commit(intent).await?))
    }

    /// Puts a delete marker; every version stays. Errors: `NoSuchBucket`, `PreconditionFailed`.
    pub async fn delete(&self, place: &Place, condition: Condition) -> Result<Deleted, Error> {
        let put = Operation::PutMarker(PutMarker { place: place.clone() });
        let intent = Intent::of(put).requiring(condition.on(place));
        let Written { version, time_ms, transaction } = written(&self.commit(intent).await?);
        Ok(Deleted { marker: version, time_ms, transaction })
    }
}

/// The version to ordinary eyes: not when it is hidden, nor when it is of an earlier life of its bucket, where no listing
/// shows it and nobody could hide it.
fn shown(version: VersionId, named: NamedView) -> HeadView {
    let NamedView { life, hidden, view } = named;
    match life {
        None => HeadView::NoBucket,
        Some(created) if hidden || version <= created => HeadView::Absent,
        Some(_) => view,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::{TenantId, entry::VersionEntry, entry::VersionKind};

    #[test]
    fn versions_are_shown_in_the_life_they_are_of() {
        let at = |height| VersionId { height, index: 0, operation: 0 };
        let entry = VersionEntry {
            tenant: TenantId([7; 16]),
            place: Place { bucket: "bucket".parse().unwrap(), key: "key".parse().unwrap() },
            version: at(5),
            time_ms: 5,
            kind: VersionKind::Marker,
        };
        let view = HeadView::Marker(entry);
        for (life, hidden, expected) in [
            (Some(at(4)), false, view.clone()),
            (Some(at(4)), true, HeadView::Absent),
            (Some(at(6)), false, HeadView::Absent),
            (None, false, HeadView::NoBucket),
            (None, true, HeadView::NoBucket),
        ] {
            let named = NamedView { life, hidden, view: view.clone() };
            assert_eq!(shown(at(5), named), expected, "{life:?} {hidden}");
        }
    }
}
