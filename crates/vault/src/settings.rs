//! What of a bucket or a version can change: object lock, and annotations.
//!
//! Locks are in the clear, because nodes enforce them. Annotations (tags, CORS rules) are documents sealed under the
//! tenant's key; the chain has their order. Both can be set in the transaction that makes a version.

use crate::{
    Bucket, Context, Error, Object, Vault,
    commit::Intent,
    sealed::{SealedDocument, Subject, unseal},
};
use bytes::Bytes;
use ledger::{Record, key};
use proof::{
    BucketName, VersionId,
    limits::SEALED_MAX,
    transaction::{
        About, Annotate, Attachment, CreateBucket, DefaultRetention, Mode, Operation, Place, Retention,
        SetBucketLock, SetHold, SetRetention, Target, TargetAt,
    },
    wire::{List, Octets},
};

/// Bytes of an annotation's document.
pub const DOCUMENT_MAX: usize = SEALED_MAX - 256;

/// What a version is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Its tags, if any.
    pub tags: Option<Vec<u8>>,
    /// Its retention, instead of the bucket's default.
    pub retention: Option<Retention>,
    /// Whether it is held.
    pub hold: bool,
}

/// What keeps a version from being hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionLock {
    /// Its retention, ended or not.
    pub retention: Option<Retention>,
    /// Whether it is held.
    pub hold: bool,
}

fn at_most_one<T: std::fmt::Debug>(value: Option<T>) -> List<T, 1> {
    List::new(value.into_iter().collect()).expect("one at the most")
}

/// The tags of a version.
pub fn tags_of(place: &Place, version: VersionId) -> About {
    About::VersionTags(TargetAt { place: place.clone(), version: Target::Version(version) })
}

impl<E: Context> Vault<E> {
    /// Adds to an intent, whose first operation makes a version at `place`, what it is made with.
    pub(crate) fn settle(
        &self,
        mut intent: Intent,
        place: &Place,
        settings: Settings,
    ) -> Result<Intent, Error> {
        let (place, version) = (place.clone(), Target::Made(0));
        if let Some(retention) = settings.retention {
            let (place, version) = (place.clone(), version.clone());
            let retention = at_most_one(Some(retention));
            let set = SetRetention { place, version, retention, bypass: false };
            intent.operations.push(Operation::SetRetention(set));
        }
        if settings.hold {
            let set = SetHold { place: place.clone(), version: version.clone(), hold: true };
            intent.operations.push(Operation::SetHold(set));
        }
        if let Some(tags) = settings.tags {
            let about = About::VersionTags(TargetAt { place, version });
            let sealed = self.seal_document(&about, &tags)?;
            let annotate = Annotate { about, sealed: at_most_one(Some(Attachment::of(&sealed))) };
            intent.operations.push(Operation::Annotate(annotate));
            intent = intent.with([sealed]);
        }
        Ok(intent)
    }

    fn seal_document(&self, about: &About, document: &[u8]) -> Result<Bytes, Error> {
        let document = Octets::new(document.to_vec()).map_err(|_| Error::MetadataTooLarge)?;
        self.seal(Subject::Annotation(about), &SealedDocument { document })
    }

    /// Sets an annotation, or removes it. Of a version it must be named by its id. Errors: `NoSuchBucket`,
    /// `NoSuchVersion`, `MetadataTooLarge`.
    pub async fn annotate(&self, about: About, document: Option<&[u8]>) -> Result<(), Error> {
        let sealed = document.map(|document| self.seal_document(&about, document)).transpose()?;
        let annotate = Annotate { about, sealed: at_most_one(sealed.as_deref().map(Attachment::of)) };
        let intent = Intent::of(Operation::Annotate(annotate)).with(sealed);
        named(self.commit(intent).await.map(drop))
    }

    /// What an annotation says, now or as of a height. Errors: `NoSuchBucket`, `Damaged`.
    pub async fn annotation(&self, about: &About, at: Option<u64>) -> Result<Option<Vec<u8>>, Error> {
        let (chain, tenant) = (&self.shared.chain, self.shared.tenant);
        let read = || async { Ok(chain.annotation(tenant, about.clone(), at).await?) };
        let Some(sealed) = self.patiently(read).await?.ok_or(Error::NoSuchBucket)? else { return Ok(None) };
        let subject = Subject::Annotation(about);
        let opened: SealedDocument = unseal(&self.shared.master_key, tenant, subject, &sealed)?;
        Ok(Some(opened.document.to_vec()))
    }

    /// The tags of an object's version, now or as of a height. Errors: `Damaged`.
    pub async fn tags(&self, object: &Object, at: Option<u64>) -> Result<Option<Vec<u8>>, Error> {
        // The chain knew no tags in this bucket when the object was read.
        if !object.annotated && at.is_none() {
            return Ok(None);
        }
        match self.annotation(&tags_of(&object.place, object.version), at).await {
            Err(Error::NoSuchBucket) => Ok(None),
            read => read,
        }
    }

    /// Creates a bucket whose versions can be locked. Errors: `BucketExists`.
    pub async fn create_lockable_bucket(&self, bucket: &BucketName) -> Result<Bucket, Error> {
        let create = Operation::CreateBucket(CreateBucket { bucket: bucket.clone() });
        let lock = SetBucketLock { bucket: bucket.clone(), default: List::default() };
        let operations = vec![create, Operation::SetBucketLock(lock)];
        let committed = self.commit(Intent { operations, ..Intent::default() }).await?;
        Ok(Bucket { name: bucket.clone(), created_ms: committed.time_ms() })
    }

    /// Lets versions of a bucket be locked from now on, and sets how new ones are retained. Errors: `NoSuchBucket`,
    /// `InvalidRetention`.
    pub async fn set_bucket_lock(
        &self,
        bucket: &BucketName,
        default: Option<DefaultRetention>,
    ) -> Result<(), Error> {
        let set = SetBucketLock { bucket: bucket.clone(), default: at_most_one(default) };
        self.commit(Intent::of(Operation::SetBucketLock(set))).await.map(drop)
    }

    /// If versions of the bucket can be locked: how new ones are retained, if they are. Errors: `NoSuchBucket`.
    pub async fn bucket_lock(&self, bucket: &BucketName) -> Result<Option<Option<DefaultRetention>>, Error> {
        let read = || async { Ok(self.shared.chain.bucket(self.shared.tenant, bucket).await?) };
        let record = self.patiently(read).await?.ok_or(Error::NoSuchBucket)?;
        Ok(record.lock.first().map(|lock| lock.default.first().cloned()))
    }

    /// What keeps an object's version from being hidden, as proven.
    pub async fn lock(&self, object: &Object) -> Result<VersionLock, Error> {
        if !object.lockable {
            return Ok(VersionLock::default());
        }
        self.lock_of(&object.place, object.version).await
    }

    async fn lock_of(&self, place: &Place, version: VersionId) -> Result<VersionLock, Error> {
        let keys = [key::lock(&self.shared.tenant, place, &version)];
        let (_, records) = self.patiently(|| async { Ok(self.shared.chain.records(&keys).await?) }).await?;
        Ok(match records.as_slice() {
            [Some(Record::Lock(lock))] => {
                VersionLock { retention: lock.retention.first().cloned(), hold: lock.hold }
            }
            _ => VersionLock::default(),
        })
    }

    /// Retains a version, or no longer. `bypass` lets retention in governance mode be shortened. Errors:
    /// `NoSuchBucket`, `NoSuchVersion`, `NotLockable`, `Locked`, `InvalidRetention`.
    pub async fn set_retention(
        &self,
        place: &Place,
        version: VersionId,
        retention: Option<Retention>,
        bypass: bool,
    ) -> Result<(), Error> {
        let (place, version) = (place.clone(), Target::Version(version));
        let set = SetRetention { place, version, retention: at_most_one(retention), bypass };
        named(self.commit(Intent::of(Operation::SetRetention(set))).await.map(drop))
    }

    /// Holds a version, or no longer. Errors: `NoSuchBucket`, `NoSuchVersion`, `NotLockable`.
    pub async fn set_hold(&self, place: &Place, version: VersionId, hold: bool) -> Result<(), Error> {
        let set = SetHold { place: place.clone(), version: Target::Version(version), hold };
        named(self.commit(Intent::of(Operation::SetHold(set))).await.map(drop))
    }

    /// Ends retention in governance mode, so that the versions can be hidden. What cannot be ended is left to the ledger
    /// to refuse.
    pub async fn bypass_governance(&self, place: &Place, versions: &[VersionId]) -> Result<(), Error> {
        if self.bucket_lock(&place.bucket).await?.is_none() {
            return Ok(());
        }
        for version in versions {
            let lock = self.lock_of(place, *version).await?;
            if !lock.hold && lock.retention.is_some_and(|retention| retention.mode == Mode::Governance) {
                match self.set_retention(place, *version, None, true).await {
                    Ok(()) | Err(Error::NoSuchVersion) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// A version that is hidden, or never was, is not there to these operations.
fn named(outcome: Result<(), Error>) -> Result<(), Error> {
    outcome.map_err(|error| if error == Error::Conflict { Error::NoSuchVersion } else { error })
}
