//! Writing an object or a part.

use crate::{
    Condition, Context, Error, Metadata, OBJECT_LENGTH_MAX, PART_LENGTH_MAX, Part, Settings, Vault, Written,
    commit::{Intent, written},
    intake::{Intake, TakenIn},
    metadata::Fields,
    sealed::{Runs, SealedPart, SealedVersion, Secret, Subject, seal},
};
use bytes::Bytes;
use proof::{
    Digest, UploadId,
    receipt::{ContentOpening, ContentRun, content_commitment},
    transaction::{Operation, Place, PutPart, PutVersion},
    wire::List,
};

/// An object being written. Dropping it abandons the write: nothing was or will be visible.
pub struct Writer<E: Context> {
    vault: Vault<E>,
    place: Place,
    salt: Secret,
    intake: Intake<E>,
}

impl<E: Context> Writer<E> {
    pub(crate) async fn open(vault: &Vault<E>, place: Place) -> Result<Self, Error> {
        let salt = Secret::new(vault.random());
        let intake = Intake::open(vault, &salt, OBJECT_LENGTH_MAX).await?;
        Ok(Self { vault: vault.clone(), place, salt, intake })
    }

    /// Takes the next bytes, any number. Waits while enough are on the way to the nodes. Keeps `bytes` as they are
    /// until they are encrypted: slices of a larger buffer keep that buffer.
    ///
    /// # Errors
    ///
    /// `TooLarge`, `Overloaded`, `Full`, `Unavailable`. The writer is of no use after an error.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.intake.write(bytes).await
    }

    /// Makes what was written the key's current version, if the condition holds. Returns when that is final.
    ///
    /// # Errors
    ///
    /// Those of [`Self::write`], and `NoSuchBucket`, `PreconditionFailed`, `MetadataTooLarge`, `NotAllowed`,
    /// `Unknown`.
    pub async fn finish(self, metadata: Metadata, condition: Condition) -> Result<Written, Error> {
        self.finish_with(metadata, condition, Settings::default()).await
    }

    /// As [`Self::finish`], with settings.
    ///
    /// # Errors
    ///
    /// Those of [`Self::finish`], and `NotLockable`, `InvalidRetention`.
    pub async fn finish_with(
        self,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> Result<Written, Error> {
        let Self { vault, place, salt, intake } = self;
        let metadata = Fields::new(metadata)?;
        let TakenIn { data_key, run, packed } = intake.finish().await?;
        let content = commitment(&salt, vec![run.clone()]);
        let sealed =
            SealedVersion { data_key, salt, length: run.length, runs: Runs::Whole(run.hash), metadata };
        let sealed = vault.seal(Subject::Version(&place), &sealed)?;
        let (body, attachments) = packed.into_body(content, sealed);
        let required = condition.on(&place);
        let put = Operation::PutVersion(PutVersion { place: place.clone(), body });
        let intent = Intent::of(put).with(attachments).requiring(required);
        let intent = vault.settle(intent, &place, settings)?;
        Ok(written(&vault.commit(intent).await?))
    }
}

/// A part of a multipart upload being written. Dropping it abandons the part.
pub struct PartWriter<E: Context> {
    vault: Vault<E>,
    place: Place,
    upload: UploadId,
    number: u16,
    /// The upload's.
    salt: Secret,
    intake: Intake<E>,
}

impl<E: Context> PartWriter<E> {
    pub(crate) async fn open(
        vault: &Vault<E>,
        place: Place,
        upload: UploadId,
        number: u16,
        salt: Secret,
    ) -> Result<Self, Error> {
        let intake = Intake::open(vault, &salt, PART_LENGTH_MAX).await?;
        Ok(Self { vault: vault.clone(), place, upload, number, salt, intake })
    }

    /// As [`Writer::write`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.intake.write(bytes).await
    }

    /// Makes what was written the upload's part of this number. Returns when that is final.
    ///
    /// # Errors
    ///
    /// Those of [`Writer::finish`], and `NoSuchUpload`.
    pub async fn finish(self, metadata: Metadata) -> Result<Part, Error> {
        let Self { vault, place, upload, number, salt, intake } = self;
        let fields = Fields::new(metadata.clone())?;
        let TakenIn { data_key, run, packed } = intake.finish_stored().await?;
        let length = run.length;
        let content = commitment(&salt, vec![run.clone()]);
        let sealed = SealedPart { data_key, run, metadata: fields };
        let sealed = vault.seal(Subject::Part(&place, upload, number), &sealed)?;
        let (body, attachments) = packed.into_body(content, sealed);
        let put = Operation::PutPart(PutPart { upload, number, body });
        let committed = vault.commit(Intent::of(put).with(attachments)).await?;
        Ok(Part { number, length, time_ms: committed.time_ms(), metadata })
    }
}

/// The content commitment of these runs, of which there are at most as many as parts.
pub(crate) fn commitment(salt: &Secret, runs: Vec<ContentRun>) -> Digest {
    content_commitment(&opening(salt, runs))
}

/// What opens it.
pub(crate) fn opening(salt: &Secret, runs: Vec<ContentRun>) -> ContentOpening {
    ContentOpening { salt: *salt.bytes(), runs: List::new(runs).expect("a run per part at the most") }
}

impl<E: Context> Vault<E> {
    /// Seals under the tenant's key. Errors: `MetadataTooLarge`.
    pub(crate) fn seal<C: crate::sealed::Content>(
        &self,
        subject: Subject<'_>,
        content: &C,
    ) -> Result<Bytes, Error> {
        seal(&self.shared.master_key, self.shared.tenant, subject, content, self.random())
    }
}
