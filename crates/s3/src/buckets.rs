//! Operations on buckets.

use crate::{
    attributes::timestamp,
    error::{error, invalid_argument, stored},
    store::Store,
    surface::{Surface, bucket},
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, dto::*};

/// The region where creating a bucket that exists is no error.
const LENIENT_REGION: &str = "us-east-1";

pub(crate) async fn list_buckets<S: Store>(
    surface: &Surface<S>,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let scope = surface.scope(&request).cloned();
    let input = request.input;
    let limit = match input.max_buckets {
        None => usize::MAX,
        Some(count @ 1..=10_000) => count as usize,
        Some(_) => return Err(invalid_argument("max-buckets must be between 1 and 10000.")),
    };
    let wanted = input.bucket_region.as_deref().is_none_or(|region| region == surface.region);
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let after = input.continuation_token.as_deref().unwrap_or_default();
    // Given by name: the continuation token is the last name of the page before.
    let mut found = surface.store.list_buckets().await.map_err(stored)?;
    found.retain(|found| scope.as_ref().is_none_or(|scope| scope.covers_bucket(found.name.as_str())));
    found.retain(|found| wanted && found.name.as_str().starts_with(prefix) && found.name.as_str() > after);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.name.to_string());
    let described = |found: vault::Bucket| Bucket {
        bucket_region: Some(surface.region.clone()),
        creation_date: Some(timestamp(found.created_ms)),
        name: Some(found.name.to_string()),
    };
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(found.into_iter().map(described).collect()),
        continuation_token: next,
        owner: Some(surface.owner()),
        prefix: input.prefix,
    }))
}

pub(crate) async fn create_bucket<S: Store>(
    surface: &Surface<S>,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let name = bucket(&request.input.bucket)?;
    let constraint = request
        .input
        .create_bucket_configuration
        .and_then(|configuration| configuration.location_constraint)
        .filter(|constraint| !constraint.as_str().is_empty());
    if let Some(constraint) = constraint
        && constraint.as_str() != surface.region
    {
        let message = format!("This gateway has one region, {}.", surface.region);
        return Err(error(S3ErrorCode::IllegalLocationConstraintException, message));
    }
    let lockable = request.input.object_lock_enabled_for_bucket == Some(true);
    let created = match lockable {
        true => surface.store.create_lockable_bucket(&name).await,
        false => surface.store.create_bucket(&name).await,
    };
    match created {
        // As in S3, this one region answers that what is there was made. Not if it was to be made otherwise.
        Err(vault::Error::BucketExists) if surface.region == LENIENT_REGION && !lockable => {}
        created => drop(created.map_err(stored)?),
    }
    Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{name}")) }))
}

pub(crate) async fn head_bucket<S: Store>(
    surface: &Surface<S>,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    surface.existing(&request.input.bucket).await?;
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(surface.region.clone()),
        ..HeadBucketOutput::default()
    }))
}

pub(crate) async fn delete_bucket<S: Store>(
    surface: &Surface<S>,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    surface.store.delete_bucket(&bucket(&request.input.bucket)?).await.map_err(stored)?;
    Ok(S3Response::new(DeleteBucketOutput {}))
}

pub(crate) async fn get_bucket_location<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    surface.existing(&request.input.bucket).await?;
    // S3 has no name for us-east-1 here.
    let region = (surface.region != "us-east-1").then(|| surface.region.clone().into());
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint: region }))
}

pub(crate) async fn get_bucket_versioning<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    surface.existing(&request.input.bucket).await?;
    let enabled = BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED);
    Ok(S3Response::new(GetBucketVersioningOutput {
        status: Some(enabled),
        ..GetBucketVersioningOutput::default()
    }))
}

/// Versioning is always enabled: enabling it is done already, suspending it cannot be.
pub(crate) async fn put_bucket_versioning<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    surface.store.head_bucket(&bucket(&request.input.bucket)?).await.map_err(stored)?;
    let asked = request.input.versioning_configuration;
    let enabled =
        asked.status.as_ref().is_some_and(|status| status.as_str() == BucketVersioningStatus::ENABLED);
    if !enabled || asked.mfa_delete.is_some_and(|mfa| mfa.as_str() != MFADelete::DISABLED) {
        let message = "Versioning is always enabled and needs no MFA: nothing destroys a version.";
        return Err(error(S3ErrorCode::InvalidBucketState, message));
    }
    Ok(S3Response::new(PutBucketVersioningOutput {}))
}
