//! The operations that the dispatcher calls, one line each; all others answer 501 NotImplemented.

use crate::{
    access::{Gate, Permission, Scope, Scopes},
    acl, buckets,
    config::Config,
    copying, cors, deleting, encryption,
    error::{error, invalid_argument, stored},
    lifecycle::{self, Rules},
    listing, locking, multipart, object_attributes, objects, ownership,
    policy::{self, Policies},
    store::Store,
    tagging, versions,
};
use s3s::{
    S3, S3ErrorCode, S3Request, S3Response, S3Result,
    dto::*,
    validation::{AwsNameValidation, NameValidation},
};
use std::{collections::BTreeSet, sync::Arc};
use vault::{ListRequest, Past, Place};

/// The S3 operations on one tenant's store. Clones share it.
#[derive(Clone)]
pub(crate) struct Surface<S> {
    pub(crate) store: S,
    pub(crate) region: String,
    pub(crate) lifecycles: Arc<Rules>,
    pub(crate) policies: Arc<Policies<S>>,
    owner: String,
    gate: Gate<S>,
    keys: BTreeSet<String>,
}

impl<S: Store> Surface<S> {
    pub(crate) fn new(store: S, config: &Config, scopes: Scopes, policies: Arc<Policies<S>>) -> Self {
        let (region, owner) = (config.region.clone(), config.owner.clone());
        let gate = Gate { scopes, policies: policies.clone() };
        let keys = config.keys.keys().cloned().collect();
        Self { store, region, lifecycles: Arc::default(), policies, owner, gate, keys }
    }

    /// Whether there is an access key of this id.
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.keys.contains(key)
    }

    /// What a request may do to keys of a bucket that its body names.
    pub(crate) async fn permission<T>(&self, request: &S3Request<T>, bucket: &str) -> S3Result<Permission> {
        self.gate.permission(request.credentials.as_ref(), bucket).await
    }

    /// What the key of a request is limited to, if it is.
    pub(crate) fn scope<T>(&self, request: &S3Request<T>) -> Option<&Scope> {
        self.gate.scopes.of(request.credentials.as_ref())
    }

    /// The owner of everything.
    pub(crate) fn owner(&self) -> Owner {
        Owner { display_name: Some(self.owner.clone()), id: Some(self.owner.clone()) }
    }
}

/// A bucket, as it is or as it was.
pub(crate) struct View {
    pub(crate) bucket: proof::BucketName,
    /// The height as of which it is read, instead of now.
    pub(crate) at: Option<u64>,
}

impl<S: Store> Surface<S> {
    /// A bucket to be read, which may be named with a moment. Errors: InvalidBucketName, InvalidArgument for a moment
    /// that has not come.
    pub(crate) async fn view(&self, name: &str) -> S3Result<View> {
        match Past::of(name) {
            None => Ok(View { bucket: bucket(name)?, at: None }),
            Some(Past { bucket, moment }) => {
                let height = self.store.height_at(moment).await.map_err(stored)?;
                Ok(View { bucket, at: Some(height) })
            }
        }
    }

    /// A bucket to be read that must be there. Errors: as [`Self::view`], and NoSuchBucket.
    pub(crate) async fn existing(&self, name: &str) -> S3Result<()> {
        let View { bucket, at } = self.view(name).await?;
        let Some(_) = at else {
            return self.store.head_bucket(&bucket).await.map(drop).map_err(stored);
        };
        let request =
            ListRequest { bucket, prefix: String::new(), delimiter: None, after: None, limit: 1, at };
        self.store.list(request).await.map(drop).map_err(stored)
    }
}

/// Which names of buckets the dispatcher lets pass.
pub(crate) struct Names;

impl NameValidation for Names {
    fn validate_bucket_name(&self, name: &str) -> bool {
        AwsNameValidation::new().validate_bucket_name(name) || Past::of(name).is_some()
    }
}

/// The name of a bucket as it is. Errors: InvalidBucketName; AccessDenied for a bucket in the past, which can only be
/// read.
pub(crate) fn bucket(name: &str) -> S3Result<proof::BucketName> {
    if Past::of(name).is_some() {
        return Err(error(S3ErrorCode::AccessDenied, "A bucket in the past can only be read."));
    }
    name.parse().map_err(|invalid: proof::names::InvalidBucketName| {
        error(S3ErrorCode::InvalidBucketName, invalid.to_string())
    })
}

/// A place. Errors: InvalidBucketName, KeyTooLongError.
pub(crate) fn place(bucket_name: &str, key: &str) -> S3Result<Place> {
    Ok(Place { bucket: bucket(bucket_name)?, key: object_key(key)? })
}

/// An object's key. Errors: KeyTooLongError.
pub(crate) fn object_key(key: &str) -> S3Result<proof::ObjectKey> {
    key.parse().map_err(|invalid: proof::names::InvalidObjectKey| {
        error(S3ErrorCode::KeyTooLongError, invalid.to_string())
    })
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

        /// The types of their inputs.
        #[cfg(test)]
        pub(crate) const OPERATIONS: &[&str] = &[$(stringify!($input)),*];
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
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput: acl;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput: acl;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput: acl;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput: acl;
    put_object(PutObjectInput) -> PutObjectOutput: objects;
    get_object(GetObjectInput) -> GetObjectOutput: objects;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput: object_attributes;
    head_object(HeadObjectInput) -> HeadObjectOutput: objects;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput: tagging;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput: tagging;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput: tagging;
    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput: tagging;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput: tagging;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput: tagging;
    put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput: cors;
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput: cors;
    delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput: cors;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput: ownership;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput: ownership;
    put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput: encryption;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput: encryption;
    delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput: encryption;
    put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput: policy;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput: policy;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput: policy;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput: policy;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput: policy;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput: policy;
    delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput: policy;
    put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput: lifecycle;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput: lifecycle;
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput: lifecycle;
    put_object_lock_configuration(PutObjectLockConfigurationInput) -> PutObjectLockConfigurationOutput: locking;
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput: locking;
    put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput: locking;
    get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput: locking;
    put_object_legal_hold(PutObjectLegalHoldInput) -> PutObjectLegalHoldOutput: locking;
    get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput: locking;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput: deleting;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput: deleting;
    copy_object(CopyObjectInput) -> CopyObjectOutput: copying;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput: copying;
    list_objects(ListObjectsInput) -> ListObjectsOutput: listing;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output: listing;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput: versions;
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput: multipart;
    upload_part(UploadPartInput) -> UploadPartOutput: multipart;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput: multipart;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput: multipart;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput: multipart;
    list_parts(ListPartsInput) -> ListPartsOutput: multipart;
}
