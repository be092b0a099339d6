//! GetObjectAttributes: what is known of a version, without its contents.

use crate::{
    attributes::{etag, set_checksums, timestamp},
    customer::{self, customer_key},
    error::{invalid_argument, stored},
    objects::find_at,
    store::{Store, StoredObject},
    surface::{Surface, limit},
};
use s3s::{S3Request, S3Response, S3Result, dto::*};
use std::collections::BTreeSet;

/// What may be asked for.
const NAMES: [&str; 5] = [
    ObjectAttributes::CHECKSUM,
    ObjectAttributes::ETAG,
    ObjectAttributes::OBJECT_PARTS,
    ObjectAttributes::OBJECT_SIZE,
    ObjectAttributes::STORAGE_CLASS,
];

pub(crate) async fn get_object_attributes<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let mut input = request.input;
    let key = customer_key!(input)?;
    let listed = input.object_attributes.iter().flat_map(|listed| listed.as_str().split(','));
    let wanted: BTreeSet<&str> = listed.map(str::trim).collect();
    if !wanted.iter().all(|name| NAMES.contains(name)) {
        return Err(invalid_argument("Invalid attribute name specified."));
    }
    let (found, _) = find_at(surface, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    let metadata = found.metadata();
    customer::check(metadata, key.as_ref())?;
    let wants = |name: &str| wanted.contains(name);
    let checksums = || {
        let mut of_all =
            Checksum { checksum_type: metadata.checksum_type.clone().map(Into::into), ..Checksum::default() };
        set_checksums!(of_all, metadata);
        of_all
    };
    let object_parts = match wants(ObjectAttributes::OBJECT_PARTS) {
        true => parts(surface, &found, input.max_parts, input.part_number_marker).await?,
        false => None,
    };
    Ok(S3Response::new(GetObjectAttributesOutput {
        checksum: (wants(ObjectAttributes::CHECKSUM) && !metadata.checksums.is_empty()).then(checksums),
        e_tag: wants(ObjectAttributes::ETAG).then(|| etag(metadata)),
        object_parts,
        object_size: wants(ObjectAttributes::OBJECT_SIZE).then_some(found.length() as i64),
        storage_class: wants(ObjectAttributes::STORAGE_CLASS)
            .then(|| StorageClass::from_static(StorageClass::STANDARD)),
        last_modified: Some(timestamp(found.time_ms())),
        version_id: Some(found.version().to_string()),
        ..GetObjectAttributesOutput::default()
    }))
}

/// Of what was a multipart upload.
async fn parts<S: Store>(
    surface: &Surface<S>,
    found: &S::Object,
    max_parts: Option<i32>,
    marker: Option<i32>,
) -> S3Result<Option<GetObjectAttributesParts>> {
    let all = surface.store.object_parts(found).await.map_err(stored)?;
    if all.is_empty() {
        return Ok(None);
    }
    let max_parts = limit("x-amz-max-parts", max_parts)?;
    let marker = marker.unwrap_or(0);
    let following: Vec<&vault::Part> = all.iter().filter(|part| i32::from(part.number) > marker).collect();
    let page = &following[..following.len().min(max_parts)];
    let part = |stored_part: &&vault::Part| {
        let mut part = ObjectPart {
            part_number: Some(i32::from(stored_part.number)),
            size: Some(stored_part.length as i64),
            ..ObjectPart::default()
        };
        set_checksums!(part, &stored_part.metadata);
        part
    };
    Ok(Some(GetObjectAttributesParts {
        is_truncated: Some(page.len() < following.len()),
        max_parts: Some(max_parts as i32),
        next_part_number_marker: Some(page.last().map_or(marker, |part| i32::from(part.number))),
        part_number_marker: Some(marker),
        parts: Some(page.iter().map(part).collect()),
        total_parts_count: Some(all.len() as i32),
    }))
}
