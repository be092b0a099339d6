//! The vault: one tenant's view of the network.

use crate::*;
use proof::{
    BucketName, Genesis, PublicKey, Receipt, SecretKey, TenantId, UploadId, VersionId, transaction::Place,
};
use std::{net::SocketAddr, ops::Range, sync::Arc};
use zeroize::Zeroizing;

/// Whose vault, and where its network is.
#[derive(Clone)]
pub struct Config {
    /// The network's founding facts: all that this gateway trusts.
    pub genesis: Genesis,
    /// The tenant.
    pub tenant: TenantId,
    /// A key that may sign for the tenant; also this gateway's identity towards the nodes.
    pub key: SecretKey,
    /// The tenant's master key: all that is stored is unreadable without it.
    pub master_key: Zeroizing<[u8; 32]>,
    /// Where the nodes serve gateways, in any order.
    pub nodes: Vec<(PublicKey, SocketAddr)>,
    /// What to spend.
    pub limits: Limits,
}

/// One tenant's view of the network. Clones share everything.
pub struct Vault<E: Context> {
    shared: Arc<Shared<E>>,
}

pub(crate) struct Shared<E> {
    _context: E,
}

impl<E: Context> Clone for Vault<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<E: Context> Vault<E> {
    /// Opens the vault. Connects to each node when first needed. Its tasks end with the last clone, or with the task
    /// that `context` belongs to.
    pub fn connect(context: E, config: Config) -> Result<Self, ConnectError> {
        let _ = (context, config);
        todo!()
    }

    /// The network's founding facts.
    pub fn genesis(&self) -> &Genesis {
        todo!()
    }

    /// The tenant.
    pub fn tenant(&self) -> TenantId {
        todo!()
    }

    /// The tenant's buckets, by name.
    pub async fn list_buckets(&self) -> Result<Vec<Bucket>, Error> {
        todo!()
    }

    /// Creates a bucket. Errors: `BucketExists`.
    pub async fn create_bucket(&self, bucket: &BucketName) -> Result<Bucket, Error> {
        let _ = bucket;
        todo!()
    }

    /// The bucket. Errors: `NoSuchBucket`.
    pub async fn head_bucket(&self, bucket: &BucketName) -> Result<Bucket, Error> {
        let _ = bucket;
        todo!()
    }

    /// Hides a bucket that has no current objects; its versions stay. Errors: `NoSuchBucket`, `BucketNotEmpty`.
    pub async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        let _ = bucket;
        todo!()
    }

    /// Begins to write an object. Errors: `Overloaded`.
    pub async fn put(&self, place: Place) -> Result<Writer<E>, Error> {
        let _ = place;
        todo!()
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
        let _ = (source, place, metadata, condition);
        todo!()
    }

    /// The key's current version, or the one named. Errors: `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`, `Marker`.
    pub async fn head(&self, place: &Place, version: Option<VersionId>) -> Result<Object, Error> {
        let _ = (place, version);
        todo!()
    }

    /// The object's bytes in `range`, as far as the object goes.
    pub fn read(&self, object: &Object, range: Range<u64>) -> Reader {
        let _ = (object, range);
        todo!()
    }

    /// One page of a bucket's current objects. Errors: `NoSuchBucket`.
    pub async fn list(&self, request: ListRequest) -> Result<Page, Error> {
        let _ = request;
        todo!()
    }

    /// Puts a delete marker; every version stays. Errors: `NoSuchBucket`, `PreconditionFailed`.
    pub async fn delete(&self, place: &Place, condition: Condition) -> Result<Deleted, Error> {
        let _ = (place, condition);
        todo!()
    }

    /// Opens a multipart upload. `metadata` come back in [`Upload`]: the caller decides at completion what the
    /// object's are. Errors: `NoSuchBucket`, `MetadataTooLarge`.
    pub async fn create_upload(&self, place: Place, metadata: Metadata) -> Result<UploadId, Error> {
        let _ = (place, metadata);
        todo!()
    }

    /// The open upload. Errors: `NoSuchUpload`.
    pub async fn head_upload(&self, place: &Place, upload: UploadId) -> Result<Upload, Error> {
        let _ = (place, upload);
        todo!()
    }

    /// Begins to write a part; it replaces the part of this number, if any. Errors: `NoSuchUpload`,
    /// `InvalidPart` (the number is not 1 to 10,000), `Overloaded`.
    pub async fn put_part(
        &self,
        place: &Place,
        upload: UploadId,
        number: u16,
    ) -> Result<PartWriter<E>, Error> {
        let _ = (place, upload, number);
        todo!()
    }

    /// Joins parts, given by number and ETag, into the key's current version and closes the upload.
    /// Errors: `NoSuchUpload`, `InvalidPart`, `InvalidPartOrder`, `PartTooSmall`, `TooLarge`, `Conflict` (parts are
    /// being put at the same time), and as [`Writer::finish`].
    pub async fn complete_upload(
        &self,
        place: &Place,
        upload: UploadId,
        parts: Vec<(u16, String)>,
        metadata: Metadata,
        condition: Condition,
    ) -> Result<Written, Error> {
        let _ = (place, upload, parts, metadata, condition);
        todo!()
    }

    /// Closes the upload without an object. Errors: `NoSuchUpload`.
    pub async fn abort_upload(&self, place: &Place, upload: UploadId) -> Result<(), Error> {
        let _ = (place, upload);
        todo!()
    }

    /// One page of a bucket's open uploads. Errors: `NoSuchBucket`.
    pub async fn list_uploads(&self, request: UploadsRequest) -> Result<UploadsPage, Error> {
        let _ = request;
        todo!()
    }

    /// One page of an open upload's parts with numbers greater than `after`. Errors: `NoSuchUpload`.
    pub async fn list_parts(
        &self,
        place: &Place,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<PartsPage, Error> {
        let _ = (place, upload, after, limit);
        todo!()
    }

    /// The parts that an object was made of, in order; none when it was not a multipart upload.
    pub async fn object_parts(&self, object: &Object) -> Result<Vec<Part>, Error> {
        let _ = object;
        todo!()
    }

    /// The write receipt of a version (current when `None`), with the opening of its content commitment.
    /// Errors: as [`Self::head`]; a delete marker has a receipt too, without an opening.
    pub async fn receipt(&self, place: &Place, version: Option<VersionId>) -> Result<Receipt, Error> {
        let _ = (place, version);
        todo!()
    }

    /// The network as this gateway sees it now. Never fails: it says who does not answer.
    pub async fn status(&self) -> Status {
        todo!()
    }
}
