//! Lifecycle rules of buckets: when objects and uploads end by themselves.
//!
//! To end is to be deleted as a client would: an object gets a delete marker, so that every version of it stays; an
//! upload is aborted. What rules apply to what is in `rules`; `document` is how S3 writes them; `sweep` executes them.

mod document;
mod rules;
mod sweep;

pub use sweep::{Sweeping, sweep};

use crate::{
    attributes::http_date,
    error::{error, invalid_request, stored},
    remembered::Remembered,
    store::{Store, StoredObject},
    surface::{Surface, View, bucket},
    tagging,
};
use proof::BucketName;
use rules::Rule;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use vault::About;

/// The rules of buckets, as they were lately.
pub(crate) type Rules = Remembered<Vec<Rule>>;

fn rules_of(kept: Option<Vec<u8>>) -> Result<Vec<Rule>, vault::Error> {
    let damaged = || vault::Error::Damaged("lifecycle rules do not decode".to_owned());
    kept.map_or(Ok(Vec::new()), |kept| rules::read(&kept).ok_or_else(damaged))
}

pub(crate) async fn put_bucket_lifecycle_configuration<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    let bucket = bucket(&request.input.bucket)?;
    let given = request.input.lifecycle_configuration;
    let given =
        given.ok_or_else(|| error(S3ErrorCode::MalformedXML, "There is no lifecycle configuration."))?;
    let document = rules::write(&document::of_document(given)?);
    if document.len() > vault::DOCUMENT_MAX {
        return Err(invalid_request("The lifecycle rules of a bucket take up to 12,000 bytes here."));
    }
    set(surface, bucket, Some(&document)).await?;
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
}

pub(crate) async fn get_bucket_lifecycle_configuration<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let View { bucket, at } = surface.view(&request.input.bucket).await?;
    let kept = surface.store.annotation(&About::BucketLifecycle(bucket), at).await.map_err(stored)?;
    let rules = rules_of(kept).map_err(stored)?;
    if rules.is_empty() {
        let message = "The lifecycle configuration does not exist";
        return Err(error(S3ErrorCode::NoSuchLifecycleConfiguration, message));
    }
    let rules = Some(rules.into_iter().map(document::to_document).collect());
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules,
        ..GetBucketLifecycleConfigurationOutput::default()
    }))
}

pub(crate) async fn delete_bucket_lifecycle<S: Store>(
    surface: &Surface<S>,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
    set(surface, bucket(&request.input.bucket)?, None).await?;
    Ok(S3Response::new(DeleteBucketLifecycleOutput {}))
}

async fn set<S: Store>(surface: &Surface<S>, bucket: BucketName, document: Option<&[u8]>) -> S3Result<()> {
    let set = surface.store.annotate(About::BucketLifecycle(bucket.clone()), document).await;
    surface.lifecycles.forget(&bucket);
    set.map_err(stored)
}

/// What `x-amz-expiration` says of a key's current version, if a rule is about it.
pub(crate) async fn expiration<S: Store>(
    surface: &Surface<S>,
    bucket_name: &str,
    key: &str,
    object: &S::Object,
) -> S3Result<Option<String>> {
    let Ok(bucket) = bucket(bucket_name) else { return Ok(None) };
    let about = About::BucketLifecycle(bucket.clone());
    let read = async { rules_of(surface.store.annotation(&about, None).await?) };
    let rules = surface.lifecycles.get(&bucket, read).await.map_err(stored)?;
    let ends = |rule: &Rule| rule.ends(key, object.length(), object.time_ms());
    let mut ending: Vec<(u64, &Rule)> = rules.iter().filter_map(|rule| Some((ends(rule)?, rule))).collect();
    if ending.iter().any(|(_, rule)| !rule.tags.is_empty()) {
        let tags = surface.store.tags(object, None).await.map_err(stored)?;
        let tags = tagging::pairs(&tags.unwrap_or_default())?;
        ending.retain(|(_, rule)| rule.takes(&tags));
    }
    let first = ending.into_iter().min_by_key(|(end_ms, _)| *end_ms);
    Ok(first.and_then(|(end_ms, rule)| describe(end_ms, &rule.id)))
}

/// `None` of a time that no date names.
fn describe(end_ms: u64, id: &str) -> Option<String> {
    let seconds = i64::try_from(end_ms / 1000).ok()?;
    let date = time::OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    let date = http_date(&date.into()).ok()?;
    let id = serde_urlencoded::to_string([("rule-id", id)]).ok()?;
    Some(format!("expiry-date=\"{date}\", rule-id=\"{}\"", id.strip_prefix("rule-id=")?))
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn an_end_has_a_date_and_a_rule() {
        let text = describe(1_793_491_200_000, "one & two").unwrap();
        assert_eq!(text, "expiry-date=\"Sun, 01 Nov 2026 00:00:00 GMT\", rule-id=\"one+%26+two\"");
        assert_eq!(describe(u64::MAX, "far"), None);
    }
}
