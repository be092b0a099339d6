//! The operations that the dispatcher calls, one line each; all others answer 501 NotImplemented.

use crate::{
    buckets, copying,
    error::{error, invalid_argument},
    listing, multipart, objects,
    store::Store,
};
use s3s::{S3, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use vault::Place;

/// The S3 operations on one tenant's store.
pub(crate) struct Surface<S> {
    pub(crate) store: S,
    pub(crate) region: String,
    owner: String,
}

impl<S: Store> Surface<S> {
    pub(crate) fn new(store: S, region: &str, owner: &str) -> Self {
        Self { store, region: region.to_owned(), owner: owner.to_owned() }
    }

    /// The owner of everything.
    pub(crate) fn owner(&self) -> Owner {
        Owner { display_name: Some(self.owner.clone()), id: Some(self.owner.clone()) }
    }
}

/// A bucket's name. Errors: InvalidBucketName.
pub(crate) fn bucket(name: &str) -> S3Result<proof::BucketName> {
    name.parse().map_err(|invalid: proof::names::InvalidBucketName| {
        error(S3ErrorCode::InvalidBucketName, invalid.to_string())
    })
}

/// A place. Errors: InvalidBucketName, KeyTooLongError.
pub(crate) fn place(bucket_name: &str, key: &str) -> S3Result<Place> {
    let bucket = bucket(bucket_name)?;
    let key = key.parse().map_err(|invalid: proof::names::InvalidObjectKey| {
        error(S3ErrorCode::KeyTooLongError, invalid.to_string())
    })?;
    Ok(Place { bucket, key })
}

/// A version's id. Errors: InvalidArgument.
pub(crate) fn version(text: &str) -> S3Result<proof::VersionId> {
    text.parse().map_err(|_| invalid_argument("Invalid version id specified."))
}

/// A page's size: `given`, up to S3's thousand. Errors: InvalidArgument.
pub(crate) fn limit(name: &'static str, given: Option<i32>) -> S3Result<usize> {
    match given {
        None => Ok(1000),
        Some(count @ 0..) => Ok((count as usize).min(1000)),
        Some(_) => Err(invalid_argument(format!("{name} must not be negative."))),
    }
}

type Answer<T> = S3Result<S3Response<T>>;

/// `async fn name(request) -> answer` for each operation, done by a function of the same name.
macro_rules! operations {
    ($($name:ident($input:ident) -> $output:ident: $module:ident;)*) => {
        #[async_trait::async_trait]
        impl<S: Store> S3 for Surface<S> {
            $(async fn $name(&self, request: S3Request<$input>) -> Answer<$output> {
                $module::$name(self, request).await
            })*
        }
    };
}

operations! {
    list_buckets(ListBucketsInput) -> ListBucketsOutput: buckets;
    create_bucket(CreateBucketInput) -> CreateBucketOutput: buckets;
    head_bucket(HeadBucketInput) -> HeadBucketOutput: buckets;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput: buckets;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput: buckets;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput: buckets;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput: buckets;
    put_object(PutObjectInput) -> PutObjectOutput: objects;
    get_object(GetObjectInput) -> GetObjectOutput: objects;
    head_object(HeadObjectInput) -> HeadObjectOutput: objects;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput: objects;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput: objects;
    copy_object(CopyObjectInput) -> CopyObjectOutput: copying;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput: copying;
    list_objects(ListObjectsInput) -> ListObjectsOutput: listing;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output: listing;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput: multipart;
    upload_part(UploadPartInput) -> UploadPartOutput: multipart;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput: multipart;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput: multipart;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput: multipart;
    list_parts(ListPartsInput) -> ListPartsOutput: multipart;
}
