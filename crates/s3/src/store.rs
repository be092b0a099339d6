//! What the S3 surface needs of the vault.
//!
//! [`Store`] is the vault's own interface, word for word; [`vault::Vault`] is the implementation that matters. The
//! trait exists so that the protocol can be tested over real HTTP against a store that lives in memory.

use bytes::Bytes;
use futures::Stream;
use proof::{BucketName, UploadId, VersionId};
use std::{future::Future, ops::Range};
use vault::{
    About, Bucket, Condition, DefaultRetention, Deleted, Error, HiddenVersion, ListRequest, Metadata, Moment,
    Page, Part, PartsPage, Place, Retention, Settings, Upload, UploadsPage, UploadsRequest, VersionLock,
    VersionsPage, VersionsRequest, Written,
};

/// A version of an object, found and verified.
pub trait StoredObject: Send + Sync + 'static {
    /// Which version.
    fn version(&self) -> VersionId;
    /// Block time, milliseconds since the Unix epoch.
    fn time_ms(&self) -> u64;
    /// Bytes of plaintext.
    fn length(&self) -> u64;
    /// Its metadata.
    fn metadata(&self) -> &Metadata;
}

/// Contents being written.
pub trait Sink: Send + 'static {
    /// Takes the next bytes, any number.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Error>> + Send;
}

/// An object being written. Dropping it abandons the write: nothing becomes visible.
pub trait ObjectWriter: Sink {
    /// Makes what was written the key's current version. Returns when that is final.
    fn finish(
        self,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> impl Future<Output = Result<Written, Error>> + Send;
}

/// A part being written. Dropping it abandons the part.
pub trait PartWriter: Sink {
    /// Makes what was written the upload's part. Returns when that is final.
    fn finish(self, metadata: Metadata) -> impl Future<Output = Result<Part, Error>> + Send;
}

/// One tenant's buckets and objects. Clones share everything. The operations, their arguments and errors are those of
/// [`vault::Vault`].
#[expect(missing_docs, reason = "each operation is documented where vault::Vault defines it")]
pub trait Store: Clone + Send + Sync + 'static {
    type Object: StoredObject;
    type Writer: ObjectWriter;
    type PartWriter: PartWriter;
    type Reader: Stream<Item = Result<Bytes, Error>> + Send + Unpin + 'static;

    fn list_buckets(&self) -> impl Future<Output = Result<Vec<Bucket>, Error>> + Send;
    fn create_bucket(&self, bucket: &BucketName) -> impl Future<Output = Result<Bucket, Error>> + Send;
    fn create_lockable_bucket(
        &self,
        bucket: &BucketName,
    ) -> impl Future<Output = Result<Bucket, Error>> + Send;
    fn set_bucket_lock(
        &self,
        bucket: &BucketName,
        default: Option<DefaultRetention>,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    fn bucket_lock(
        &self,
        bucket: &BucketName,
    ) -> impl Future<Output = Result<Option<Option<DefaultRetention>>, Error>> + Send;
    fn lock(&self, object: &Self::Object) -> impl Future<Output = Result<VersionLock, Error>> + Send;
    fn set_retention(
        &self,
        place: &Place,
        version: VersionId,
        retention: Option<Retention>,
        bypass: bool,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    fn set_hold(
        &self,
        place: &Place,
        version: VersionId,
        hold: bool,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    fn annotate(
        &self,
        about: About,
        document: Option<&[u8]>,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    fn annotation(
        &self,
        about: &About,
        at: Option<u64>,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, Error>> + Send;
    fn tags(
        &self,
        object: &Self::Object,
        at: Option<u64>,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, Error>> + Send;
    fn head_bucket(&self, bucket: &BucketName) -> impl Future<Output = Result<Bucket, Error>> + Send;
    fn delete_bucket(&self, bucket: &BucketName) -> impl Future<Output = Result<(), Error>> + Send;

    fn put(&self, place: Place) -> impl Future<Output = Result<Self::Writer, Error>> + Send;
    fn copy(
        &self,
        source: &Self::Object,
        place: Place,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> impl Future<Output = Result<Written, Error>> + Send;
    fn head(
        &self,
        place: &Place,
        version: Option<VersionId>,
    ) -> impl Future<Output = Result<Self::Object, Error>> + Send;
    fn height_at(&self, moment: Moment) -> impl Future<Output = Result<u64, Error>> + Send;
    fn time_ms(&self) -> impl Future<Output = Result<u64, Error>> + Send;
    fn head_at(
        &self,
        place: &Place,
        version: Option<VersionId>,
        height: u64,
    ) -> impl Future<Output = Result<Self::Object, Error>> + Send;
    fn read(&self, object: &Self::Object, range: Range<u64>) -> Self::Reader;
    fn list(&self, request: ListRequest) -> impl Future<Output = Result<Page, Error>> + Send;
    fn list_versions(
        &self,
        request: VersionsRequest,
    ) -> impl Future<Output = Result<VersionsPage, Error>> + Send;
    fn delete(
        &self,
        place: &Place,
        condition: Condition,
    ) -> impl Future<Output = Result<Deleted, Error>> + Send;
    fn hide(
        &self,
        place: &Place,
        versions: &[VersionId],
        bypass: bool,
    ) -> impl Future<Output = Result<Vec<HiddenVersion>, Error>> + Send;
    fn object_parts(&self, object: &Self::Object) -> impl Future<Output = Result<Vec<Part>, Error>> + Send;

    fn create_upload(
        &self,
        place: Place,
        metadata: Metadata,
    ) -> impl Future<Output = Result<UploadId, Error>> + Send;
    fn head_upload(
        &self,
        place: &Place,
        upload: UploadId,
    ) -> impl Future<Output = Result<Upload, Error>> + Send;
    fn put_part(
        &self,
        place: &Place,
        upload: UploadId,
        number: u16,
    ) -> impl Future<Output = Result<Self::PartWriter, Error>> + Send;
    fn complete_upload(
        &self,
        place: &Place,
        upload: UploadId,
        parts: Vec<(u16, String)>,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> impl Future<Output = Result<Written, Error>> + Send;
    fn completed_upload(
        &self,
        place: &Place,
        upload: UploadId,
    ) -> impl Future<Output = Result<Self::Object, Error>> + Send;
    fn abort_upload(&self, place: &Place, upload: UploadId)
    -> impl Future<Output = Result<(), Error>> + Send;
    fn list_uploads(
        &self,
        request: UploadsRequest,
    ) -> impl Future<Output = Result<UploadsPage, Error>> + Send;
    fn list_parts(
        &self,
        place: &Place,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> impl Future<Output = Result<PartsPage, Error>> + Send;
}

impl StoredObject for vault::Object {
    fn version(&self) -> VersionId {
        self.version
    }

    fn time_ms(&self) -> u64 {
        self.time_ms
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl<E: vault::Context> Sink for vault::Writer<E> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.write(bytes).await
    }
}

impl<E: vault::Context> ObjectWriter for vault::Writer<E> {
    async fn finish(
        self,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> Result<Written, Error> {
        self.finish_with(metadata, condition, settings).await
    }
}

impl<E: vault::Context> Sink for vault::PartWriter<E> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.write(bytes).await
    }
}

impl<E: vault::Context> PartWriter for vault::PartWriter<E> {
    async fn finish(self, metadata: Metadata) -> Result<Part, Error> {
        self.finish(metadata).await
    }
}

impl<E: vault::Context> Store for vault::Vault<E> {
    type Object = vault::Object;
    type Writer = vault::Writer<E>;
    type PartWriter = vault::PartWriter<E>;
    type Reader = vault::Reader;

    async fn list_buckets(&self) -> Result<Vec<Bucket>, Error> {
        self.list_buckets().await
    }

    async fn create_bucket(&self, bucket: &BucketName) -> Result<Bucket, Error> {
        self.create_bucket(bucket).await
    }

    async fn create_lockable_bucket(&self, bucket: &BucketName) -> Result<Bucket, Error> {
        self.create_lockable_bucket(bucket).await
    }

    async fn set_bucket_lock(
        &self,
        bucket: &BucketName,
        default: Option<DefaultRetention>,
    ) -> Result<(), Error> {
        self.set_bucket_lock(bucket, default).await
    }

    async fn bucket_lock(&self, bucket: &BucketName) -> Result<Option<Option<DefaultRetention>>, Error> {
        self.bucket_lock(bucket).await
    }

    async fn lock(&self, object: &Self::Object) -> Result<VersionLock, Error> {
        self.lock(object).await
    }

    async fn set_retention(
        &self,
        place: &Place,
        version: VersionId,
        retention: Option<Retention>,
        bypass: bool,
    ) -> Result<(), Error> {
        self.set_retention(place, version, retention, bypass).await
    }

    async fn set_hold(&self, place: &Place, version: VersionId, hold: bool) -> Result<(), Error> {
        self.set_hold(place, version, hold).await
    }

    async fn annotate(&self, about: About, document: Option<&[u8]>) -> Result<(), Error> {
        self.annotate(about, document).await
    }

    async fn annotation(&self, about: &About, at: Option<u64>) -> Result<Option<Vec<u8>>, Error> {
        self.annotation(about, at).await
    }

    async fn tags(&self, object: &Self::Object, at: Option<u64>) -> Result<Option<Vec<u8>>, Error> {
        self.tags(object, at).await
    }

    async fn head_bucket(&self, bucket: &BucketName) -> Result<Bucket, Error> {
        self.head_bucket(bucket).await
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        self.delete_bucket(bucket).await
    }

    async fn put(&self, place: Place) -> Result<Self::Writer, Error> {
        self.put(place).await
    }

    async fn copy(
        &self,
        source: &Self::Object,
        place: Place,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> Result<Written, Error> {
        self.copy_with(source, place, metadata, condition, settings).await
    }

    async fn head(&self, place: &Place, version: Option<VersionId>) -> Result<Self::Object, Error> {
        self.head(place, version).await
    }

    async fn height_at(&self, moment: Moment) -> Result<u64, Error> {
        self.height_at(moment).await
    }

    async fn time_ms(&self) -> Result<u64, Error> {
        self.time_ms().await
    }

    async fn head_at(
        &self,
        place: &Place,
        version: Option<VersionId>,
        height: u64,
    ) -> Result<Self::Object, Error> {
        self.head_at(place, version, height).await
    }

    fn read(&self, object: &Self::Object, range: Range<u64>) -> Self::Reader {
        self.read(object, range)
    }

    async fn list(&self, request: ListRequest) -> Result<Page, Error> {
        self.list(request).await
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionsPage, Error> {
        self.list_versions(request).await
    }

    async fn delete(&self, place: &Place, condition: Condition) -> Result<Deleted, Error> {
        self.delete(place, condition).await
    }

    async fn hide(
        &self,
        place: &Place,
        versions: &[VersionId],
        bypass: bool,
    ) -> Result<Vec<HiddenVersion>, Error> {
        if bypass {
            self.bypass_governance(place, versions).await?;
        }
        self.hide(place, versions).await
    }

    async fn object_parts(&self, object: &Self::Object) -> Result<Vec<Part>, Error> {
        self.object_parts(object).await
    }

    async fn create_upload(&self, place: Place, metadata: Metadata) -> Result<UploadId, Error> {
        self.create_upload(place, metadata).await
    }

    async fn head_upload(&self, place: &Place, upload: UploadId) -> Result<Upload, Error> {
        self.head_upload(place, upload).await
    }

    async fn put_part(
        &self,
        place: &Place,
        upload: UploadId,
        number: u16,
    ) -> Result<Self::PartWriter, Error> {
        self.put_part(place, upload, number).await
    }

    async fn complete_upload(
        &self,
        place: &Place,
        upload: UploadId,
        parts: Vec<(u16, String)>,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> Result<Written, Error> {
        self.complete_upload_with(place, upload, parts, metadata, condition, settings).await
    }

    async fn completed_upload(&self, place: &Place, upload: UploadId) -> Result<Self::Object, Error> {
        self.completed_upload(place, upload).await
    }

    async fn abort_upload(&self, place: &Place, upload: UploadId) -> Result<(), Error> {
        self.abort_upload(place, upload).await
    }

    async fn list_uploads(&self, request: UploadsRequest) -> Result<UploadsPage, Error> {
        self.list_uploads(request).await
    }

    async fn list_parts(
        &self,
        place: &Place,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<PartsPage, Error> {
        self.list_parts(place, upload, after, limit).await
    }
}
