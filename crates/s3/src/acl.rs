//! Access lists. There is one: the owner has full control, and nobody else has anything.
//!
//! It is told of every bucket and object, and may be set to what it is, as some clients do. Any other is refused.

use crate::{
    error::{custom, error, stored},
    objects::find_at,
    store::Store,
    surface::{Surface, bucket, place, version},
};
use hyper::StatusCode;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, dto::*};

pub(crate) async fn get_bucket_acl<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    surface.existing(&request.input.bucket).await?;
    let owner = surface.owner();
    Ok(S3Response::new(GetBucketAclOutput { grants: Some(vec![full_control(&owner)]), owner: Some(owner) }))
}

pub(crate) async fn put_bucket_acl<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutBucketAclInput>,
) -> S3Result<S3Response<PutBucketAclOutput>> {
    let input = request.input;
    surface.store.head_bucket(&bucket(&input.bucket)?).await.map_err(stored)?;
    check(input.acl.is_some(), input.access_control_policy, &surface.owner())?;
    Ok(S3Response::new(PutBucketAclOutput {}))
}

pub(crate) async fn get_object_acl<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let input = request.input;
    find_at(surface, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let owner = surface.owner();
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(vec![full_control(&owner)]),
        owner: Some(owner),
        ..GetObjectAclOutput::default()
    }))
}

pub(crate) async fn put_object_acl<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    let input = request.input;
    let version = input.version_id.as_deref().map(version).transpose()?;
    let place = place(&input.bucket, &input.key)?;
    surface.store.head(&place, version).await.map_err(stored)?;
    check(input.acl.is_some(), input.access_control_policy, &surface.owner())?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

fn full_control(owner: &Owner) -> Grant {
    Grant {
        grantee: Some(Grantee {
            display_name: owner.display_name.clone(),
            email_address: None,
            id: owner.id.clone(),
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }
}

/// Whether what is to be set is what is. Of a canned list the guard has let pass only those that are.
fn check(canned: bool, policy: Option<AccessControlPolicy>, owner: &Owner) -> S3Result<()> {
    match policy {
        None if canned => Ok(()),
        None => {
            let message = "Your request was missing a required header: x-amz-acl.";
            Err(error(S3ErrorCode::MissingSecurityHeader, message))
        }
        Some(policy) if is_private(&policy, owner) => Ok(()),
        Some(_) => Err(custom(
            "AccessControlListNotSupported",
            StatusCode::BAD_REQUEST,
            "The bucket does not allow ACLs: say who may do what in a bucket policy.",
        )),
    }
}

fn is_private(policy: &AccessControlPolicy, owner: &Owner) -> bool {
    let is_owner = |grant: &Grant| {
        let permission = grant.permission.as_ref().map(Permission::as_str);
        permission == Some(Permission::FULL_CONTROL)
            && grant.grantee.as_ref().is_some_and(|grantee| grantee.id == owner.id)
    };
    let grants = policy.grants.as_deref().unwrap_or_default();
    !grants.is_empty() && grants.iter().all(is_owner)
}
