//! Multipart uploads.
//!
//! The upload's sealed body holds the salt of the object to be; every part is hashed with it, so the runs of the
//! object's content commitment are the parts' and nothing is hashed twice. A part is one segment under a data key of
//! its own. Completing an upload draws the object's data key, seals the parts' segment keys under it and joins their
//! lists of chunks: no chunk moves. It holds only if no part was put meanwhile.

use crate::{
    Condition, Context, Error, Metadata, Object, Part, PartWriter, PartsPage, Settings, Upload, UploadsPage,
    UploadsRequest, Vault, Written,
    commit::Intent,
    join::{Join, Joined},
    limits::PARTS_MAX,
    listing::cut,
    metadata::Fields,
    sealed::{Origin, Runs, SealedPart, SealedUpload, SealedVersion, Secret, Subject, unseal},
    writer::commitment,
};
use bytes::Bytes;
use chain::client::{AfterUpload, PartView, PartsQuery, PartsView, UploadView, UploadsQuery};
use proof::{
    UploadId,
    entry::UploadEntry,
    limits::{OBJECT_KEY_MAX, PART_NUMBER_MAX},
    receipt::ContentRun,
    transaction::{
        AbortUpload, Attachment, CompleteUpload, CreateUpload, Operation, Place, Precondition, UploadAt,
    },
    wire::List,
};
use std::time::Duration;

/// Attempts at completing an upload whose parts change.
const ATTEMPTS: u32 = 4;
/// Wait between them.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);

/// An open upload and its salt.
pub(crate) struct OpenUpload {
    pub upload: Upload,
    pub salt: Secret,
    pub revision: u32,
}

/// A part of an object.
pub(crate) struct OpenPart {
    pub number: u16,
    pub time_ms: u64,
    pub data_key: Secret,
    pub run: ContentRun,
    pub metadata: Metadata,
}

impl From<OpenPart> for Part {
    fn from(part: OpenPart) -> Self {
        let OpenPart { number, time_ms, run, metadata, .. } = part;
        Self { number, length: run.length, time_ms, metadata }
    }
}

impl<E: Context> Vault<E> {
    /// Opens a multipart upload. `metadata` come back in [`Upload`]: the caller decides at completion what the
    /// object's are. Errors: `NoSuchBucket`, `MetadataTooLarge`.
    pub async fn create_upload(&self, place: Place, metadata: Metadata) -> Result<UploadId, Error> {
        let upload = UploadId(self.random());
        let content = SealedUpload { salt: Secret::new(self.random()), metadata: Fields::new(metadata)? };
        let sealed = self.seal(Subject::Upload(&place, upload), &content)?;
        let create = CreateUpload { upload, place, sealed: Attachment::of(&sealed) };
        self.commit(Intent::of(Operation::CreateUpload(create)).with([sealed])).await?;
        Ok(upload)
    }

    /// The open upload. Errors: `NoSuchUpload`.
    pub async fn head_upload(&self, place: &Place, upload: UploadId) -> Result<Upload, Error> {
        Ok(self.open_upload(place, upload).await?.upload)
    }

    /// Begins to write a part; it replaces the part of this number, if any. Errors: `NoSuchUpload`,
    /// `InvalidPart` (the number is not 1 to 10,000), `Overloaded`.
    pub async fn put_part(
        &self,
        place: &Place,
        upload: UploadId,
        number: u16,
    ) -> Result<PartWriter<E>, Error> {
        if !(1..=PART_NUMBER_MAX).contains(&number) {
            return Err(Error::InvalidPart { number });
        }
        let open = self.open_upload(place, upload).await?;
        PartWriter::open(self, place.clone(), upload, number, open.salt).await
    }

    /// Joins parts, given by number and ETag, into the key's current version and closes the upload.
    /// Errors: `NoSuchUpload`, `InvalidPart`, `InvalidPartOrder`, `PartTooSmall`, `TooLarge`, `Conflict` (parts are
    /// being put at the same time), and as [`Writer::finish`](crate::Writer::finish).
    pub async fn complete_upload(
        &self,
        place: &Place,
        upload: UploadId,
        parts: Vec<(u16, String)>,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<Written, Error> {
        self.complete_upload_with(place, upload, parts, metadata, condition, Settings::default()).await
    }

    /// As [`Self::complete_upload`], with settings. Errors besides: `NotLockable`, `InvalidRetention`.
    pub async fn complete_upload_with(
        &self,
        place: &Place,
        upload: UploadId,
        parts: Vec<(u16, String)>,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> Result<Written, Error> {
        let ascending = parts.is_sorted_by(|(a, _), (b, _)| a < b);
        if parts.is_empty() || parts.len() > PARTS_MAX || !ascending {
            return Err(Error::InvalidPartOrder);
        }
        let fields = Fields::new(metadata)?;
        for attempt in 1.. {
            let completed =
                self.complete_once(place, upload, &parts, fields.clone(), condition, settings.clone()).await;
            match completed {
                Err(Error::Conflict) if attempt < ATTEMPTS => self.pause(ATTEMPT_PAUSE).await,
                outcome => return outcome,
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn complete_once(
        &self,
        place: &Place,
        upload: UploadId,
        wanted: &[(u16, String)],
        metadata: Fields,
        condition: Condition,
        settings: Settings,
    ) -> Result<Written, Error> {
        let open = self.open_upload(place, upload).await?;
        let mut join = Join::new(self, wanted);
        let mut after = 0;
        while join.next_wanted().is_some() {
            let view = self.parts_view(upload, after, 0, true).await?.ok_or(Error::NoSuchUpload)?;
            let Some(last) = view.parts.last() else { break };
            after = last.entry.number;
            for part in view.parts {
                let (part, manifest) = self.open_part(place, part)?;
                join.add(part, manifest).await?;
            }
            if !view.more {
                break;
            }
        }
        let Joined { data_key, runs, length, packed } = join.finish().await?;
        let content = commitment(&open.salt, runs);
        let origin = Origin::new(upload, place.clone(), wanted.iter().map(|(number, _)| *number));
        let sealed = SealedVersion { data_key, salt: open.salt, length, runs: Runs::Parts(origin), metadata };
        let sealed = self.seal(Subject::Version(place), &sealed)?;
        let (body, attachments) = packed.into_body(content, sealed);
        let complete = CompleteUpload { upload, place: place.clone(), body };
        let unchanged = Precondition::UploadAt(UploadAt { upload, revision: open.revision });
        let intent = Intent::of(Operation::CompleteUpload(complete))
            .with(attachments)
            .requiring([unchanged])
            .requiring(condition.on(place));
        let intent = self.settle(intent, place, settings)?;
        Ok(crate::commit::written(&self.commit(intent).await?))
    }

    /// What completing the upload made, while that is the key's current version: for who completes it again, not having
    /// heard that it was. Errors: `NoSuchUpload`.
    pub async fn completed_upload(&self, place: &Place, upload: UploadId) -> Result<Object, Error> {
        let current = match self.head(place, None).await {
            Err(Error::NoSuchKey { .. } | Error::NoSuchBucket) => return Err(Error::NoSuchUpload),
            current => current?,
        };
        match &current.contents.sealed.runs {
            // A copy elsewhere is not what the upload became.
            Runs::Parts(origin) if origin.upload == upload && origin.place == *place => Ok(current),
            Runs::Parts(_) | Runs::Whole(_) => Err(Error::NoSuchUpload),
        }
    }

    /// Closes the upload without an object. Errors: `NoSuchUpload`.
    pub async fn abort_upload(&self, place: &Place, upload: UploadId) -> Result<(), Error> {
        self.open_upload(place, upload).await?;
        let abort = Operation::AbortUpload(AbortUpload { upload });
        self.commit(Intent::of(abort)).await.map(drop)
    }

    /// One page of a bucket's open uploads. Errors: `NoSuchBucket`.
    pub async fn list_uploads(&self, request: UploadsRequest) -> Result<UploadsPage, Error> {
        if request.limit == 0 || request.prefix.len() > OBJECT_KEY_MAX {
            self.head_bucket(&request.bucket).await?;
            return Ok(UploadsPage::default());
        }
        let after = request.after.map(|(key, upload)| AfterUpload { key: cut(&key), upload });
        let mut query = UploadsQuery {
            tenant: self.shared.tenant,
            bucket: request.bucket,
            prefix: cut(&request.prefix),
            after: List::new(after.into_iter().collect()).expect("one at the most"),
            limit: request.limit.min(crate::LIST_LIMIT_MAX) as u16,
        };
        // A page of the chain's may be empty though more follow: uploads that were closed cost as much as others.
        let view = loop {
            let view = self
                .patiently(|| async { Ok(self.shared.chain.list_uploads(query.clone()).await?) })
                .await?
                .ok_or(Error::NoSuchBucket)?;
            match &view.next {
                Some(next) if view.uploads.is_empty() => {
                    query.after = List::new(vec![next.clone()]).expect("one");
                }
                _ => break view,
            }
        };
        let uploads =
            view.uploads.into_iter().map(|(entry, sealed)| Ok(self.unseal_upload(entry, &sealed)?.0));
        Ok(UploadsPage { uploads: uploads.collect::<Result<_, Error>>()?, more: view.next.is_some() })
    }

    /// One page of an open upload's parts with numbers greater than `after`. Errors: `NoSuchUpload`.
    pub async fn list_parts(
        &self,
        place: &Place,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<PartsPage, Error> {
        self.open_upload(place, upload).await?;
        if limit == 0 {
            return Ok(PartsPage::default());
        }
        let limit = limit.min(crate::LIST_LIMIT_MAX) as u16;
        let view = self.parts_view(upload, after, limit, false).await?.ok_or(Error::NoSuchUpload)?;
        let parts = view.parts.into_iter().map(|part| Ok(self.open_part(place, part)?.0.into()));
        Ok(PartsPage { parts: parts.collect::<Result<_, Error>>()?, more: view.more })
    }

    /// The parts that an object was made of, in order; none when it was not a multipart upload.
    pub async fn object_parts(&self, object: &crate::Object) -> Result<Vec<Part>, Error> {
        match &object.contents.sealed.runs {
            Runs::Whole(_) => Ok(Vec::new()),
            Runs::Parts(origin) => {
                let parts = self.parts_of(origin).await?;
                Ok(parts.into_iter().map(Part::from).collect())
            }
        }
    }

    /// The parts that an object was made of.
    pub(crate) async fn parts_of(&self, origin: &Origin) -> Result<Vec<OpenPart>, Error> {
        let (mut parts, mut after) = (Vec::new(), 0);
        while parts.len() < origin.count() {
            let view = self.parts_view(origin.upload, after, 0, false).await?;
            let view = view.filter(|view| !view.parts.is_empty());
            let view = view.ok_or_else(|| Error::Unavailable("the parts are no longer listed".into()))?;
            for part in view.parts {
                after = part.entry.number;
                if origin.contains(after) {
                    parts.push(self.open_part(&origin.place, part)?.0);
                }
            }
        }
        Ok(parts)
    }

    pub(crate) async fn open_upload(&self, place: &Place, upload: UploadId) -> Result<OpenUpload, Error> {
        let view = self
            .patiently(|| async { Ok(self.shared.chain.upload(self.shared.tenant, upload).await?) })
            .await?;
        let Some(UploadView { entry, sealed, revision, open: true }) = view else {
            return Err(Error::NoSuchUpload);
        };
        if entry.place != *place {
            return Err(Error::NoSuchUpload);
        }
        let (upload, salt) = self.unseal_upload(entry, &sealed)?;
        Ok(OpenUpload { upload, salt, revision })
    }

    fn unseal_upload(&self, entry: UploadEntry, sealed: &Bytes) -> Result<(Upload, Secret), Error> {
        let UploadEntry { upload, place, time_ms, .. } = entry;
        let subject = Subject::Upload(&place, upload);
        let sealed: SealedUpload = unseal(&self.shared.master_key, self.shared.tenant, subject, sealed)?;
        Ok((Upload { upload, time_ms, metadata: sealed.metadata.open()?, place }, sealed.salt))
    }

    fn open_part(&self, place: &Place, view: PartView) -> Result<(OpenPart, Option<proof::Manifest>), Error> {
        let PartView { entry, sealed, manifest } = view;
        let subject = Subject::Part(place, entry.upload, entry.number);
        let sealed: SealedPart = unseal(&self.shared.master_key, self.shared.tenant, subject, &sealed)?;
        let SealedPart { data_key, run, metadata } = sealed;
        let metadata = metadata.open()?;
        let part = OpenPart { number: entry.number, time_ms: entry.time_ms, data_key, run, metadata };
        Ok((part, manifest))
    }

    async fn parts_view(
        &self,
        upload: UploadId,
        after: u16,
        limit: u16,
        payloads: bool,
    ) -> Result<Option<PartsView>, Error> {
        let query = PartsQuery { tenant: self.shared.tenant, upload, after, limit, payloads };
        self.patiently(|| async { Ok(self.shared.chain.list_parts(query.clone()).await?) }).await
    }
}
