//! Whose objects are: the bucket's owner's, whoever wrote them. S3 calls that BucketOwnerEnforced, and so every bucket is set.

use crate::{
    error::{not_implemented, stored},
    store::Store,
    surface::{Surface, bucket},
};
use s3s::{S3Request, S3Response, S3Result, dto::*};

pub(crate) async fn put_bucket_ownership_controls<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
    let input = request.input;
    surface.store.head_bucket(&bucket(&input.bucket)?).await.map_err(stored)?;
    let enforced = |rule: &OwnershipControlsRule| {
        rule.object_ownership.as_str() == ObjectOwnership::BUCKET_OWNER_ENFORCED
    };
    if !input.ownership_controls.rules.iter().all(enforced) {
        return Err(not_implemented("Object ownership other than BucketOwnerEnforced is not implemented."));
    }
    Ok(S3Response::new(PutBucketOwnershipControlsOutput {}))
}

pub(crate) async fn get_bucket_ownership_controls<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetBucketOwnershipControlsInput>,
) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
    surface.existing(&request.input.bucket).await?;
    let object_ownership = ObjectOwnership::from_static(ObjectOwnership::BUCKET_OWNER_ENFORCED);
    Ok(S3Response::new(GetBucketOwnershipControlsOutput {
        ownership_controls: Some(OwnershipControls {
            rules: vec![OwnershipControlsRule { object_ownership }],
        }),
    }))
}
