//! Deletes, alone and many at once. None destroys anything: without a version id a delete marker is put, with one the
//! version is hidden.

use crate::{
    conditions::WriteConditions,
    error::{error, not_implemented, stored},
    store::Store,
    surface::{Surface, bucket, place, version},
};
use futures::StreamExt;
use proof::VersionId;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use std::collections::BTreeMap;
use vault::{Condition, Deleted, Place};

/// Keys of one DeleteObjects: S3's limit.
const DELETES_MAX: usize = 1000;
/// Keys of one DeleteObjects on the way at a time.
const DELETES_AT_ONCE: usize = 64;

pub(crate) async fn delete_object<S: Store>(
    surface: &Surface<S>,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let input = request.input;
    let place = place(&input.bucket, &input.key)?;
    let bypass = input.bypass_governance_retention.unwrap_or(false);
    let (marker, version_id) = match input.version_id {
        None => {
            let deleted = mark(surface, &place, input.if_match).await?;
            (true, deleted.marker.to_string())
        }
        Some(_) if input.if_match.is_some() => return Err(conditional_hide()),
        Some(id) => {
            // A version that is not there is deleted already.
            let hidden = surface.store.hide(&place, &[version(&id)?], bypass).await.map_err(stored)?;
            (hidden.iter().any(|hidden| hidden.marker), id)
        }
    };
    Ok(S3Response::new(DeleteObjectOutput {
        delete_marker: marker.then_some(true),
        version_id: Some(version_id),
        ..DeleteObjectOutput::default()
    }))
}

async fn mark<S: Store>(
    surface: &Surface<S>,
    place: &Place,
    if_match: Option<ETagCondition>,
) -> S3Result<Deleted> {
    let conditions = WriteConditions { if_match, if_none_match: None };
    let condition: Condition = conditions.resolve(&surface.store, place, false).await?;
    surface.store.delete(place, condition).await.map_err(stored)
}

fn conditional_hide() -> S3Error {
    not_implemented("Conditions on the delete of a version are not implemented: a version never changes.")
}

pub(crate) async fn delete_objects<S: Store>(
    surface: &Surface<S>,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let permission = surface.permission(&request, &request.input.bucket).await?;
    let DeleteObjectsInput { bucket: bucket_name, delete: wanted, bypass_governance_retention, .. } =
        request.input;
    let bypass = bypass_governance_retention.unwrap_or(false);
    if wanted.objects.is_empty() || wanted.objects.len() > DELETES_MAX {
        let message = "The XML you provided must name 1 to 1000 keys.";
        return Err(error(S3ErrorCode::MalformedXML, message));
    }
    surface.store.head_bucket(&bucket(&bucket_name)?).await.map_err(stored)?;
    let quiet = wanted.quiet.unwrap_or(false);
    let allowed = |key: &str, hides: bool| permission.to_delete(key, hides, bypass);
    let (groups, refused) = sort_out(wanted.objects, allowed);
    let answers = futures::stream::iter(groups)
        .map(|group| delete_group(surface, &bucket_name, group, bypass))
        .buffer_unordered(DELETES_AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let mut answers: Vec<(usize, Answer)> = answers.into_iter().flatten().chain(refused).collect();
    answers.sort_unstable_by_key(|(at, _)| *at);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for (_, answer) in answers {
        match answer {
            Ok(done) if !quiet => deleted.push(done),
            Ok(_) => {}
            Err(failed) => errors.push(failed),
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        ..DeleteObjectsOutput::default()
    }))
}

/// What became of one entry.
type Answer = Result<DeletedObject, s3s::dto::Error>;

/// Entries that are done together, each with its place in the request.
enum Group {
    /// A delete marker is put.
    Mark(usize, String, Option<ETag>),
    /// Versions of one key are hidden.
    Hide(String, Vec<(usize, VersionId)>),
}

/// Groups entries by what is to be done, and answers those that nothing can be done about.
fn sort_out(
    objects: Vec<ObjectIdentifier>,
    allowed: impl Fn(&str, bool) -> S3Result<()>,
) -> (Vec<Group>, Vec<(usize, Answer)>) {
    let (mut groups, mut refused) = (Vec::new(), Vec::new());
    let mut hides = BTreeMap::<String, Vec<(usize, VersionId)>>::new();
    for (at, object) in objects.into_iter().enumerate() {
        let ObjectIdentifier { key, version_id, e_tag, last_modified_time, size } = object;
        let verdict = if let Err(denied) = allowed(&key, version_id.is_some()) {
            Err(denied)
        } else if last_modified_time.is_some() || size.is_some() {
            Err(not_implemented("Deletes conditional on time or size are not implemented."))
        } else if version_id.is_some() && e_tag.is_some() {
            Err(conditional_hide())
        } else {
            version_id.as_deref().map(version).transpose()
        };
        match verdict {
            Ok(None) => groups.push(Group::Mark(at, key, e_tag)),
            Ok(Some(version)) => hides.entry(key).or_default().push((at, version)),
            Err(cause) => refused.push((at, Err(failed(&cause, key, version_id)))),
        }
    }
    groups.extend(hides.into_iter().map(|(key, versions)| Group::Hide(key, versions)));
    (groups, refused)
}

async fn delete_group<S: Store>(
    surface: &Surface<S>,
    bucket_name: &str,
    group: Group,
    bypass: bool,
) -> Vec<(usize, Answer)> {
    match group {
        Group::Mark(at, key, e_tag) => {
            let marked = async {
                let place = place(bucket_name, &key)?;
                mark(surface, &place, e_tag.map(ETagCondition::ETag)).await
            };
            vec![(
                at,
                marked.await.map_or_else(
                    |cause| Err(failed(&cause, key.clone(), None)),
                    |deleted| {
                        Ok(DeletedObject {
                            delete_marker: Some(true),
                            delete_marker_version_id: Some(deleted.marker.to_string()),
                            key: Some(key.clone()),
                            version_id: None,
                        })
                    },
                ),
            )]
        }
        Group::Hide(key, versions) => hide_group(surface, bucket_name, key, versions, bypass).await,
    }
}

async fn hide_group<S: Store>(
    surface: &Surface<S>,
    bucket_name: &str,
    key: String,
    versions: Vec<(usize, VersionId)>,
    bypass: bool,
) -> Vec<(usize, Answer)> {
    let place = match place(bucket_name, &key) {
        Ok(place) => place,
        Err(cause) => {
            let refused = |(at, version): (usize, VersionId)| {
                (at, Err(failed(&cause, key.clone(), Some(version.to_string()))))
            };
            return versions.into_iter().map(refused).collect();
        }
    };
    let ids: Vec<VersionId> = versions.iter().map(|(_, version)| *version).collect();
    match surface.store.hide(&place, &ids, bypass).await {
        // One that is locked does not keep the others.
        Err(vault::Error::Locked(_)) if versions.len() > 1 => {
            let mut answers = Vec::with_capacity(versions.len());
            for entry in versions {
                let hidden = surface.store.hide(&place, &[entry.1], bypass).await.map_err(stored);
                answers.extend(answers_of(&key, vec![entry], &hidden));
            }
            answers
        }
        hidden => answers_of(&key, versions, &hidden.map_err(stored)),
    }
}

fn answers_of(
    key: &str,
    versions: Vec<(usize, VersionId)>,
    hidden: &S3Result<Vec<vault::HiddenVersion>>,
) -> Vec<(usize, Answer)> {
    let answer = |version: VersionId| match hidden {
        Err(cause) => Err(failed(cause, key.to_owned(), Some(version.to_string()))),
        Ok(hidden) => {
            let marker = hidden.iter().any(|hidden| hidden.version == version && hidden.marker);
            Ok(DeletedObject {
                delete_marker: marker.then_some(true),
                delete_marker_version_id: marker.then(|| version.to_string()),
                key: Some(key.to_owned()),
                version_id: Some(version.to_string()),
            })
        }
    };
    versions.into_iter().map(|(at, version)| (at, answer(version))).collect()
}

fn failed(cause: &S3Error, key: String, version_id: Option<String>) -> s3s::dto::Error {
    s3s::dto::Error {
        code: Some(cause.code().as_str().to_owned()),
        key: Some(key),
        message: cause.message().map(str::to_owned),
        version_id,
    }
}
