//! Bucket policies, and what they may not give to everybody.
//!
//! `document` reads a policy and decides by it, `actions` are what it can name. Where requests are checked (`access`), the
//! bucket's policy is asked first, as it was lately; it is kept as it was given.

pub(crate) mod actions;
mod document;

pub(crate) use document::{Act, Policy, Verdict};

use crate::{
    error::{custom, error, stored},
    remembered::Remembered,
    store::Store,
    surface::{Surface, View, bucket},
};
use hyper::StatusCode;
use proof::BucketName;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use std::sync::Arc;
use vault::{About, Error, Past};

/// Settings of public access, as they are kept and as their names are.
const BLOCKS: [&str; 4] =
    ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];

/// What a bucket's policy may not give to everybody. Lists that could are refused anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    acls: bool,
    ignored_acls: bool,
    /// No policy that allows anything to everybody can be set.
    policy: bool,
    /// What a policy allows to everybody, it allows to the tenant's access keys only.
    restricted: bool,
}

impl Block {
    fn write(self) -> Vec<u8> {
        let values = [self.acls, self.ignored_acls, self.policy, self.restricted];
        let pairs: Vec<(&str, bool)> = BLOCKS.into_iter().zip(values).collect();
        serde_urlencoded::to_string(pairs).expect("pairs of text are encoded").into_bytes()
    }

    fn read(kept: &[u8]) -> Option<Self> {
        let pairs: Vec<(String, bool)> = serde_urlencoded::from_bytes(kept).ok()?;
        let [acls, ignored_acls, policy, restricted] = pairs.as_slice() else { return None };
        let names = pairs.iter().map(|(name, _)| name.as_str()).eq(BLOCKS);
        let (acls, ignored_acls, policy, restricted) = (acls.1, ignored_acls.1, policy.1, restricted.1);
        names.then_some(Self { acls, ignored_acls, policy, restricted })
    }
}

/// What of a bucket decides who may do what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    pub(crate) policy: Option<Policy>,
    pub(crate) block: Block,
}

impl Setting {
    /// What the policy says of several actions, of which all must be allowed. What it `denies` besides, is denied too.
    pub(crate) fn decide(&self, act: &Act<'_>, actions: &[&str], denies: &[&str]) -> Verdict {
        let Some(policy) = &self.policy else { return Verdict::Silent };
        let denied = |action: &&str| policy.decide(act, action) == Verdict::Denied;
        if actions.iter().chain(denies).any(denied) {
            return Verdict::Denied;
        }
        let restricted = self.block.restricted && act.who.is_none();
        let allowed = |action: &&str| policy.decide(act, action) == Verdict::Allowed;
        match !restricted && !actions.is_empty() && actions.iter().all(allowed) {
            true => Verdict::Allowed,
            false => Verdict::Silent,
        }
    }
}

/// The policies of buckets, as they were lately.
pub(crate) struct Policies<S> {
    store: S,
    owner: String,
    remembered: Remembered<Setting>,
    /// The same for those who have no key, who may ask for any name: they do not get in the way of others.
    by_strangers: Remembered<Setting>,
}

impl<S: Store> Policies<S> {
    pub(crate) fn new(store: S, owner: &str) -> Self {
        let (remembered, by_strangers) = (Remembered::default(), Remembered::default());
        Self { store, owner: owner.to_owned(), remembered, by_strangers }
    }

    /// What counts for the bucket of this name, which may be one in the past: what its policy is now. `stranger` says that
    /// whoever asks has no key. Errors: those of reading it, on which nothing may be done.
    pub(crate) async fn of(&self, name: &str, stranger: bool) -> S3Result<Arc<Setting>> {
        let past = Past::of(name);
        let bucket = past.map(|past| past.bucket).or_else(|| name.parse().ok());
        let Some(bucket) = bucket else { return Ok(Arc::default()) };
        let remembered = if stranger { &self.by_strangers } else { &self.remembered };
        remembered.get(&bucket, self.read(&bucket)).await.map_err(stored)
    }

    async fn read(&self, bucket: &BucketName) -> Result<Setting, Error> {
        let (policy, block) =
            (About::BucketPolicy(bucket.clone()), About::BucketPublicAccess(bucket.clone()));
        let read = async |about| match self.store.annotation(about, None).await {
            Err(Error::NoSuchBucket) => Ok(None),
            read => read,
        };
        let (policy, block) = futures::try_join!(read(&policy), read(&block))?;
        let understood = |kept: Vec<u8>| {
            let text = String::from_utf8(kept).map_err(|_| "it is no text".to_owned());
            let policy = text.and_then(|text| Policy::read(&text, bucket.as_str(), &self.owner));
            policy.map_err(|reason| Error::Damaged(format!("the policy of bucket {bucket}: {reason}")))
        };
        Ok(Setting {
            policy: policy.map(understood).transpose()?,
            block: block_of(block)?.unwrap_or_default(),
        })
    }

    async fn set(&self, about: About, document: Option<&[u8]>) -> S3Result<()> {
        let set = self.store.annotate(about.clone(), document).await;
        self.remembered.forget(about.bucket());
        self.by_strangers.forget(about.bucket());
        set.map_err(stored)
    }
}

fn block_of(kept: Option<Vec<u8>>) -> Result<Option<Block>, Error> {
    let damaged = || Error::Damaged("settings of public access do not decode".to_owned());
    kept.map(|kept| Block::read(&kept).ok_or_else(damaged)).transpose()
}

fn malformed(message: String) -> S3Error {
    error(S3ErrorCode::MalformedPolicy, message)
}

fn no_policy() -> S3Error {
    error(S3ErrorCode::NoSuchBucketPolicy, "The bucket policy does not exist")
}

pub(crate) async fn put_bucket_policy<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutBucketPolicyInput>,
) -> S3Result<S3Response<PutBucketPolicyOutput>> {
    let bucket = bucket(&request.input.bucket)?;
    let text = request.input.policy;
    if text.len() > vault::DOCUMENT_MAX {
        return Err(malformed("The policy of a bucket takes up to 12,000 bytes here.".to_owned()));
    }
    let policy = Policy::read(&text, bucket.as_str(), &surface.policies.owner).map_err(malformed)?;
    if let Some(unknown) = policy.keys().find(|key| !surface.knows(key)) {
        return Err(malformed(format!("Invalid principal in policy: no access key here is named {unknown}")));
    }
    let about = About::BucketPublicAccess(bucket.clone());
    let block = surface.store.annotation(&about, None).await.map_err(stored)?;
    let blocks = block_of(block).map_err(stored)?.is_some_and(|block| block.policy);
    if blocks && policy.is_public() {
        let message = "Public policies are blocked by the BlockPublicPolicy setting of the bucket.";
        return Err(error(S3ErrorCode::AccessDenied, message));
    }
    surface.policies.set(About::BucketPolicy(bucket), Some(text.as_bytes())).await?;
    Ok(S3Response::new(PutBucketPolicyOutput {}))
}

pub(crate) async fn get_bucket_policy<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetBucketPolicyInput>,
) -> S3Result<S3Response<GetBucketPolicyOutput>> {
    let View { bucket, at } = surface.view(&request.input.bucket).await?;
    let kept = surface.store.annotation(&About::BucketPolicy(bucket), at).await.map_err(stored)?;
    let damaged = |_| stored(Error::Damaged("a policy is no text".to_owned()));
    let policy = String::from_utf8(kept.ok_or_else(no_policy)?).map_err(damaged)?;
    let mut response = S3Response::new(GetBucketPolicyOutput { policy: Some(policy) });
    let media_type = hyper::header::HeaderValue::from_static("application/json");
    response.headers.insert(hyper::header::CONTENT_TYPE, media_type);
    Ok(response)
}

pub(crate) async fn delete_bucket_policy<S: Store>(
    surface: &Surface<S>,
    request: S3Request<DeleteBucketPolicyInput>,
) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
    surface.policies.set(About::BucketPolicy(bucket(&request.input.bucket)?), None).await?;
    Ok(S3Response::new(DeleteBucketPolicyOutput {}))
}

pub(crate) async fn get_bucket_policy_status<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetBucketPolicyStatusInput>,
) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
    let bucket = bucket(&request.input.bucket)?;
    surface.store.head_bucket(&bucket).await.map_err(stored)?;
    let setting = surface.policies.read(&bucket).await.map_err(stored)?;
    let public = setting.policy.ok_or_else(no_policy)?.is_public() && !setting.block.restricted;
    let status = PolicyStatus { is_public: Some(public) };
    Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status: Some(status) }))
}

pub(crate) async fn put_public_access_block<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutPublicAccessBlockInput>,
) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
    let about = About::BucketPublicAccess(bucket(&request.input.bucket)?);
    let given = request.input.public_access_block_configuration;
    let block = Block {
        acls: given.block_public_acls.unwrap_or(false),
        ignored_acls: given.ignore_public_acls.unwrap_or(false),
        policy: given.block_public_policy.unwrap_or(false),
        restricted: given.restrict_public_buckets.unwrap_or(false),
    };
    surface.policies.set(about, Some(&block.write())).await?;
    Ok(S3Response::new(PutPublicAccessBlockOutput {}))
}

pub(crate) async fn get_public_access_block<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetPublicAccessBlockInput>,
) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
    let View { bucket, at } = surface.view(&request.input.bucket).await?;
    let kept = surface.store.annotation(&About::BucketPublicAccess(bucket), at).await.map_err(stored)?;
    let block = block_of(kept).map_err(stored)?.ok_or_else(|| {
        let message = "The public access block configuration was not found";
        custom("NoSuchPublicAccessBlockConfiguration", StatusCode::NOT_FOUND, message)
    })?;
    let configuration = PublicAccessBlockConfiguration {
        block_public_acls: Some(block.acls),
        block_public_policy: Some(block.policy),
        ignore_public_acls: Some(block.ignored_acls),
        restrict_public_buckets: Some(block.restricted),
    };
    let public_access_block_configuration = Some(configuration);
    Ok(S3Response::new(GetPublicAccessBlockOutput { public_access_block_configuration }))
}

pub(crate) async fn delete_public_access_block<S: Store>(
    surface: &Surface<S>,
    request: S3Request<DeletePublicAccessBlockInput>,
) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
    surface.policies.set(About::BucketPublicAccess(bucket(&request.input.bucket)?), None).await?;
    Ok(S3Response::new(DeletePublicAccessBlockOutput {}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_public_access_come_back() {
        for bits in 0..16u8 {
            let bit = |at: u8| bits >> at & 1 == 1;
            let block = Block { acls: bit(0), ignored_acls: bit(1), policy: bit(2), restricted: bit(3) };
            assert_eq!(Block::read(&block.write()), Some(block));
        }
        assert_eq!(Block::read(b""), None);
        assert_eq!(Block::read(b"BlockPublicAcls=true"), None);
    }
}
