//! Tags of objects and buckets.
//!
//! They are kept as S3 clients send them in a header: `name=value&name=value`, percent-encoded. A version's tags can
//! change; its history is in the chain.

use crate::{
    error::{custom, error, invalid_request, stored},
    objects::find_at,
    store::{Store, StoredObject},
    surface::{Surface, View, bucket, place},
};
use hyper::StatusCode;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use std::collections::BTreeSet;
use vault::About;

/// Tags of an object: S3's limit.
const OBJECT_TAGS_MAX: usize = 10;
/// Tags of a bucket: S3's limit.
const BUCKET_TAGS_MAX: usize = 50;
/// Characters of a tag's name.
const NAME_MAX: usize = 128;
/// Characters of a tag's value.
const VALUE_MAX: usize = 256;

pub(crate) type Pairs = Vec<(String, String)>;

fn invalid_tag(message: &'static str) -> S3Error {
    custom("InvalidTag", StatusCode::BAD_REQUEST, message)
}

/// As they are kept. Errors: InvalidTag.
fn kept(pairs: &Pairs, max: usize) -> S3Result<String> {
    let mut names = BTreeSet::new();
    for (name, value) in pairs {
        if name.is_empty() || name.chars().count() > NAME_MAX {
            return Err(invalid_tag("The TagKey you have provided is invalid"));
        }
        if value.chars().count() > VALUE_MAX {
            return Err(invalid_tag("The TagValue you have provided is invalid"));
        }
        if !names.insert(name) {
            return Err(invalid_tag("Cannot provide multiple Tags with the same key"));
        }
    }
    if pairs.len() > max {
        return Err(invalid_tag("The number of tags exceeds the limit: 10 for objects, 50 for buckets"));
    }
    serde_urlencoded::to_string(pairs).map_err(|_| invalid_tag("The tags cannot be encoded"))
}

/// Reads an `x-amz-tagging` header. Errors: InvalidTag, InvalidArgument.
pub(crate) fn of_header(header: &str) -> S3Result<String> {
    let mut pairs: Pairs = serde_urlencoded::from_str(header).map_err(|_| {
        let message =
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters.";
        error(S3ErrorCode::InvalidArgument, message)
    })?;
    pairs.sort();
    kept(&pairs, OBJECT_TAGS_MAX)
}

fn of_document(tagging: Tagging, max: usize) -> S3Result<String> {
    let pair = |tag: Tag| match (tag.key, tag.value) {
        (Some(name), Some(value)) => Ok((name, value)),
        _ => Err(error(S3ErrorCode::MalformedXML, "A tag needs its Key and Value.")),
    };
    let pairs = tagging.tag_set.into_iter().map(pair).collect::<S3Result<Pairs>>()?;
    kept(&pairs, max)
}

/// Tags as pairs. Errors: InternalError, if they are damaged.
pub(crate) fn pairs(kept: &[u8]) -> S3Result<Pairs> {
    let damaged = |_| stored(vault::Error::Damaged("tags do not decode".to_owned()));
    serde_urlencoded::from_bytes(kept).map_err(damaged)
}

fn tag_set(kept: Option<Vec<u8>>) -> S3Result<TagSet> {
    let tag = |(name, value)| Tag { key: Some(name), value: Some(value) };
    Ok(pairs(&kept.unwrap_or_default())?.into_iter().map(tag).collect())
}

/// The number of an object's tags, if it has any.
pub(crate) async fn count<S: Store>(
    surface: &Surface<S>,
    object: &S::Object,
    at: Option<u64>,
) -> S3Result<Option<i32>> {
    let tags = surface.store.tags(object, at).await.map_err(stored)?;
    let count = tags.map(|tags| pairs(&tags)).transpose()?.map_or(0, |pairs| pairs.len());
    Ok((count > 0).then_some(count as i32))
}

/// The version that a request names, or the current one.
async fn version_of<S: Store>(
    surface: &Surface<S>,
    bucket_name: &str,
    key: &str,
    version_id: Option<&str>,
) -> S3Result<(About, String)> {
    let place = place(bucket_name, key)?;
    let (found, _) = find_at(surface, bucket_name, key, version_id).await?;
    Ok((vault::tags_of(&place, found.version()), found.version().to_string()))
}

pub(crate) async fn put_object_tagging<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let input = request.input;
    let tags = of_document(input.tagging, OBJECT_TAGS_MAX)?;
    let named = version_of(surface, &input.bucket, &input.key, input.version_id.as_deref());
    let (about, version) = named.await?;
    surface.store.annotate(about, Some(tags.as_bytes())).await.map_err(stored)?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id: Some(version) }))
}

pub(crate) async fn get_object_tagging<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = request.input;
    let (found, at) = find_at(surface, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let tags = surface.store.tags(&found, at).await.map_err(stored)?;
    let version_id = Some(found.version().to_string());
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set: tag_set(tags)?, version_id }))
}

pub(crate) async fn delete_object_tagging<S: Store>(
    surface: &Surface<S>,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let input = request.input;
    let named = version_of(surface, &input.bucket, &input.key, input.version_id.as_deref());
    let (about, version) = named.await?;
    surface.store.annotate(about, None).await.map_err(stored)?;
    Ok(S3Response::new(DeleteObjectTaggingOutput { version_id: Some(version) }))
}

pub(crate) async fn put_bucket_tagging<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let tags = of_document(request.input.tagging, BUCKET_TAGS_MAX)?;
    let about = About::BucketTags(bucket(&request.input.bucket)?);
    surface.store.annotate(about, Some(tags.as_bytes())).await.map_err(stored)?;
    Ok(S3Response::new(PutBucketTaggingOutput {}))
}

pub(crate) async fn get_bucket_tagging<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let View { bucket, at } = surface.view(&request.input.bucket).await?;
    let tags = surface.store.annotation(&About::BucketTags(bucket), at).await.map_err(stored)?;
    if tags.is_none() {
        return Err(error(S3ErrorCode::NoSuchTagSet, "The TagSet does not exist"));
    }
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set: tag_set(tags)? }))
}

pub(crate) async fn delete_bucket_tagging<S: Store>(
    surface: &Surface<S>,
    request: S3Request<DeleteBucketTaggingInput>,
) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
    let about = About::BucketTags(bucket(&request.input.bucket)?);
    surface.store.annotate(about, None).await.map_err(stored)?;
    Ok(S3Response::new(DeleteBucketTaggingOutput {}))
}

/// Which tags a copy gets: its source's, or those given. Errors: InvalidRequest, InvalidTag.
pub(crate) async fn of_copy<S: Store>(
    surface: &Surface<S>,
    source: (&S::Object, Option<u64>),
    directive: Option<&str>,
    given: Option<&str>,
) -> S3Result<Option<Vec<u8>>> {
    match (directive, given) {
        (Some(TaggingDirective::REPLACE), given) => {
            let tags = given.map(of_header).transpose()?;
            Ok(tags.filter(|tags| !tags.is_empty()).map(String::into_bytes))
        }
        (None | Some(TaggingDirective::COPY), None) => {
            surface.store.tags(source.0, source.1).await.map_err(stored)
        }
        (None | Some(TaggingDirective::COPY), Some(_)) => {
            Err(invalid_request("x-amz-tagging needs x-amz-tagging-directive: REPLACE."))
        }
        _ => Err(invalid_request("Unknown tagging directive.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_limits() {
        let many = |count: usize| (0..count).map(|at| format!("k{at}=v")).collect::<Vec<_>>().join("&");
        assert_eq!(of_header("a=1&b=&c%20d=x%26y").ok().as_deref(), Some("a=1&b=&c+d=x%26y"));
        assert_eq!(of_header("").ok().as_deref(), Some(""));
        assert!(of_header(&many(10)).is_ok());
        let long = format!("{}=1", "é".repeat(128));
        assert!(of_header(&long).is_ok());
        for bad in [
            many(11),
            "a=1&a=2".to_owned(),
            "=1".to_owned(),
            format!("{}=1", "k".repeat(129)),
            format!("k={}", "v".repeat(257)),
        ] {
            let code = of_header(&bad).err().map(|error| error.code().as_str().to_owned());
            assert_eq!(code.as_deref(), Some("InvalidTag"), "{bad}");
        }
    }
}
