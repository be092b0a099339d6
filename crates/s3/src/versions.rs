//! ListObjectVersions: versions and delete markers by key, newest first.
//!
//! A page goes on after a key and a version id, which the client reads off the last page. What was hidden is left out.

use crate::{
    attributes::{etag, timestamp},
    error::{invalid_argument, stored},
    listing::{Encoding, checksum_algorithms, common_prefixes, is_common_prefix},
    store::Store,
    surface::{Surface, View, limit, version},
};
use s3s::{S3Request, S3Response, S3Result, dto::*};
use vault::{ListedVersion, VersionsAfter, VersionsPage, VersionsRequest};

pub(crate) async fn list_object_versions<S: Store>(
    surface: &Surface<S>,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = request.input;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
    let prefix = input.prefix.unwrap_or_default();
    let key_marker = input.key_marker.unwrap_or_default();
    let id_marker = input.version_id_marker.filter(|marker| !marker.is_empty());
    let max_keys = limit("max-keys", input.max_keys)?;
    let after = after(&key_marker, id_marker.as_deref(), &prefix, delimiter.as_deref())?;
    let View { bucket, at } = surface.view(&input.bucket).await?;
    let request = VersionsRequest {
        bucket,
        after,
        prefix: prefix.clone(),
        exact: false,
        delimiter: delimiter.clone(),
        limit: max_keys.max(1),
        hidden: false,
        at,
    };
    let page = surface.store.list_versions(request).await.map_err(stored)?;
    let VersionsPage { versions, prefixes, next } =
        if max_keys == 0 { VersionsPage::default() } else { page };
    let (next_key, next_id) = match &next {
        None => (None, None),
        Some(VersionsAfter::Key(text) | VersionsAfter::Prefix(text)) => (Some(encoding.apply(text)), None),
        Some(VersionsAfter::Version(key, version)) => (Some(encoding.apply(key)), Some(version.to_string())),
    };
    let (markers, objects): (Vec<_>, Vec<_>) =
        versions.into_iter().partition(|listed| listed.contents.is_none());
    let marker = |listed| marker(listed, encoding, surface.owner());
    let object = |listed| object(listed, encoding, surface.owner());
    Ok(S3Response::new(ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.apply(&prefix)),
        key_marker: Some(encoding.apply(&key_marker)),
        version_id_marker: Some(id_marker.unwrap_or_default()),
        max_keys: Some(max_keys as i32),
        is_truncated: Some(next.is_some()),
        next_key_marker: next_key,
        next_version_id_marker: next_id,
        versions: Some(objects.into_iter().map(object).collect()),
        delete_markers: Some(markers.into_iter().map(marker).collect()),
        common_prefixes: Some(common_prefixes(prefixes, encoding)),
        delimiter: delimiter.map(|delimiter| encoding.apply(&delimiter)),
        encoding_type: input.encoding_type,
        ..ListObjectVersionsOutput::default()
    }))
}

fn after(
    key_marker: &str,
    id_marker: Option<&str>,
    prefix: &str,
    delimiter: Option<&str>,
) -> S3Result<Option<VersionsAfter>> {
    Ok(match (key_marker, id_marker) {
        ("", None) => None,
        ("", Some(_)) => {
            let message = "A version-id marker cannot be specified without a key marker.";
            return Err(invalid_argument(message));
        }
        (key, Some(id)) => Some(VersionsAfter::Version(key.to_owned(), version(id)?)),
        (key, None) if is_common_prefix(key, prefix, delimiter) => {
            Some(VersionsAfter::Prefix(key.to_owned()))
        }
        (key, None) => Some(VersionsAfter::Key(key.to_owned())),
    })
}

fn object(listed: ListedVersion, encoding: Encoding, owner: Owner) -> ObjectVersion {
    let (length, metadata) = listed.contents.unwrap_or_default();
    ObjectVersion {
        checksum_algorithm: checksum_algorithms(&metadata),
        checksum_type: metadata.checksum_type.clone().map(Into::into),
        e_tag: Some(etag(&metadata)),
        is_latest: Some(listed.current),
        key: Some(encoding.apply(listed.key.as_str())),
        last_modified: Some(timestamp(listed.time_ms)),
        owner: Some(owner),
        restore_status: None,
        size: Some(length as i64),
        storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
        version_id: Some(listed.version.to_string()),
    }
}

fn marker(listed: ListedVersion, encoding: Encoding, owner: Owner) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(listed.current),
        key: Some(encoding.apply(listed.key.as_str())),
        last_modified: Some(timestamp(listed.time_ms)),
        owner: Some(owner),
        version_id: Some(listed.version.to_string()),
    }
}
