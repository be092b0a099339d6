//! Copies inside the gateway.
//!
//! CopyObject moves no contents: the new version refers to the same chunks. UploadPartCopy reads and writes, because a
//! part may begin anywhere.

use crate::{
    attributes::{attributes, checksum, etag, set_checksums, set_sums, timestamp},
    conditions::{ReadConditions, WriteConditions},
    customer::{self, Covering, CustomerKey, Uncovering, customer_key, describe_encryption},
    digest::{Algorithm, Digests, Pipeline, Sums},
    error::{error, invalid_argument, invalid_request, not_implemented, stored},
    locking::asked,
    multipart::{part_number, upload_id},
    objects::{describe_sums, find_at},
    store::{ObjectWriter, PartWriter, Sink, Store, StoredObject},
    surface::{Surface, place},
    tagging,
    whole::Announced,
};
use futures::StreamExt;
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use std::ops::Range;
use vault::{Condition, Error, Metadata};

/// As [`customer_key!`], of a copy's source.
macro_rules! source_customer_key {
    ($input:expr) => {
        CustomerKey::of(
            $input.copy_source_sse_customer_algorithm.take(),
            $input.copy_source_sse_customer_key.take(),
            $input.copy_source_sse_customer_key_md5.take(),
        )
    };
}

/// Bytes of an object that CopyObject takes: S3's limit.
const COPY_MAX: u64 = 5 << 30;

pub(crate) async fn copy_object<S: Store>(
    surface: &Surface<S>,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let S3Request { mut input, headers, .. } = request;
    let target = place(&input.bucket, &input.key)?;
    let (key, source_key_given) = (customer_key!(input)?, source_customer_key!(input)?);
    customer::check_one_kind(key.as_ref(), input.server_side_encryption.is_some())?;
    let (source_bucket, source_key, source_version) = source(&input.copy_source)?;
    let replace = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => false,
        Some(MetadataDirective::REPLACE) => true,
        Some(_) => return Err(invalid_argument("Unknown metadata directive.")),
    };
    let retag = input.tagging_directive.as_ref().map(|directive| directive.as_str().to_owned());
    let given_tags = input.tagging.take();
    let mut settings = asked!(input).into_settings()?;
    let replaces_tags = retag.as_deref() == Some(TaggingDirective::REPLACE);
    let itself = *source_bucket == *input.bucket && *source_key == *input.key;
    let encrypts = key.is_some() || source_key_given.is_some();
    if itself && source_version.is_none() && !replace && !replaces_tags && !encrypts {
        return Err(invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing the \
             object's metadata.",
        ));
    }
    let (found, at) = find_at(surface, source_bucket, source_key, source_version).await?;
    customer::check(found.metadata(), source_key_given.as_ref())?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match.take(),
        if_none_match: input.copy_source_if_none_match.take(),
        if_modified_since: input.copy_source_if_modified_since.take(),
        if_unmodified_since: input.copy_source_if_unmodified_since.take(),
    };
    conditions.check_source(&found)?;
    if found.length() > COPY_MAX {
        let message =
            "The specified copy source is larger than the maximum allowable size for a copy source: 5 GiB.";
        return Err(invalid_request(message));
    }
    let mut metadata = found.metadata().clone();
    if replace {
        let given = attributes!(input).into_metadata()?;
        metadata = Metadata {
            content_type: given.content_type,
            headers: given.headers,
            user: given.user,
            ..metadata
        };
    }
    let algorithm = input.checksum_algorithm.as_ref().map(|algorithm| {
        Algorithm::from_label(algorithm.as_str())
            .ok_or_else(|| invalid_request("Checksum algorithm provided is unsupported."))
    });
    let algorithm = algorithm.transpose()?;
    if let Some(algorithm) = algorithm.filter(|_| !encrypts) {
        rehash(surface, &found, &mut metadata, algorithm).await?;
    }
    settings.tags = tagging::of_copy(surface, (&found, at), retag.as_deref(), given_tags.as_deref()).await?;
    let condition = target_condition(surface, &target, &headers).await?;
    let written = if encrypts {
        let keys = (source_key_given.as_ref(), key.as_ref());
        let (writer, stored_metadata, told) =
            recrypt(surface, &found, target, metadata, algorithm, keys).await?;
        metadata = told;
        writer.finish(stored_metadata, condition, settings).await.map_err(stored)?
    } else {
        let copied = surface.store.copy(&found, target, metadata.clone(), condition, settings);
        copied.await.map_err(stored)?
    };
    let mut result = CopyObjectResult {
        e_tag: Some(etag(&metadata)),
        last_modified: Some(timestamp(written.time_ms)),
        checksum_type: metadata.checksum_type.clone().map(Into::into),
        ..CopyObjectResult::default()
    };
    set_checksums!(result, &metadata);
    let mut output = CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id: Some(found.version().to_string()),
        version_id: Some(written.version.to_string()),
        ..CopyObjectOutput::default()
    };
    describe_encryption!(output, key.as_ref());
    Ok(S3Response::new(output))
}

/// Copies what a customer's key is on, or comes on: the contents are read with the one, and written with the other. Gives
/// what is to be finished, with its metadata, and what its owner is told of it.
async fn recrypt<S: Store>(
    surface: &Surface<S>,
    found: &S::Object,
    target: vault::Place,
    mut metadata: Metadata,
    algorithm: Option<Algorithm>,
    (source_key, key): (Option<&CustomerKey>, Option<&CustomerKey>),
) -> S3Result<(S::Writer, Metadata, Metadata)> {
    customer::uncover(&mut metadata);
    let kept = || metadata.checksums.keys().find_map(|name| Algorithm::from_name(name));
    let algorithm = algorithm.or_else(kept).unwrap_or(Algorithm::Crc64Nvme);
    metadata.checksums.clear();
    metadata.checksum_type = None;
    metadata.parts = 0;
    let layer = key.map(|key| key.cover(&mut metadata));
    let mut writer = Covering::new(surface.store.put(target).await.map_err(stored)?, layer);
    let sums = read(surface, found, 0..found.length(), source_key, Some(&mut writer), algorithm).await?;
    let (writer, covered) = writer.finish().await;
    let told = describe_sums(&mut metadata, &sums, covered);
    Ok((writer, metadata, told))
}

/// The dispatcher knows no conditions on a copy's target; S3 does.
async fn target_condition<S: Store>(
    surface: &Surface<S>,
    target: &vault::Place,
    headers: &hyper::HeaderMap,
) -> S3Result<Condition> {
    let read = |name: &str| -> S3Result<Option<ETagCondition>> {
        let Some(value) = headers.get(name) else { return Ok(None) };
        let condition = ETagCondition::parse_http_header(value.as_bytes());
        condition.map(Some).map_err(|_| invalid_argument(format!("The {name} header is invalid.")))
    };
    let conditions = WriteConditions { if_match: read("if-match")?, if_none_match: read("if-none-match")? };
    conditions.resolve(&surface.store, target, true).await
}

/// Gives the copy a checksum of another algorithm than its source has, which takes reading it.
async fn rehash<S: Store>(
    surface: &Surface<S>,
    found: &S::Object,
    metadata: &mut Metadata,
    algorithm: Algorithm,
) -> S3Result<()> {
    let has_it = checksum(metadata, algorithm).is_some()
        && metadata.checksums.len() == 1
        && metadata.checksum_type.as_deref() == Some("FULL_OBJECT");
    if !has_it {
        let whole = 0..found.length();
        let sums = read(surface, found, whole, None, None::<&mut S::PartWriter>, algorithm).await?;
        set_sums(metadata, &sums);
    }
    Ok(())
}

pub(crate) async fn upload_part_copy<S: Store>(
    surface: &Surface<S>,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let mut input = request.input;
    let target = place(&input.bucket, &input.key)?;
    let (key, source_key_given) = (customer_key!(input)?, source_customer_key!(input)?);
    let upload = upload_id(&input.upload_id)?;
    let number = part_number(input.part_number)?;
    let (source_bucket, source_key, source_version) = source(&input.copy_source)?;
    let (found, _) = find_at(surface, source_bucket, source_key, source_version).await?;
    customer::check(found.metadata(), source_key_given.as_ref())?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    conditions.check_source(&found)?;
    let range = copy_range(input.copy_source_range.as_deref(), found.length())?;
    if range.end - range.start > COPY_MAX {
        return Err(error(S3ErrorCode::EntityTooLarge, "A part may have up to 5 GiB."));
    }
    let opened = surface.store.head_upload(&target, upload).await.map_err(stored)?;
    let algorithm = Announced::of(&opened.metadata).algorithm;
    let mut metadata = Metadata::default();
    let layer = customer::cover_part(&opened.metadata, key.as_ref(), &mut metadata)?;
    let writer = surface.store.put_part(&target, upload, number).await.map_err(stored)?;
    let mut writer = Covering::new(writer, layer);
    let sums = read(surface, &found, range, source_key_given.as_ref(), Some(&mut writer), algorithm).await?;
    let (writer, covered) = writer.finish().await;
    let told = describe_sums(&mut metadata, &sums, covered);
    let part = writer.finish(metadata).await.map_err(stored)?;
    let metadata = told;
    let mut result = CopyPartResult {
        e_tag: Some(etag(&metadata)),
        last_modified: Some(timestamp(part.time_ms)),
        ..CopyPartResult::default()
    };
    set_checksums!(result, &metadata);
    let mut output = UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: Some(found.version().to_string()),
        ..UploadPartCopyOutput::default()
    };
    describe_encryption!(output, key.as_ref());
    Ok(S3Response::new(output))
}

/// Reads a range, with its customer's key if it has one, hashes it and, if there is a sink, writes it.
async fn read<S: Store>(
    surface: &Surface<S>,
    found: &S::Object,
    range: Range<u64>,
    key: Option<&CustomerKey>,
    mut sink: Option<&mut impl Sink>,
    algorithm: Algorithm,
) -> S3Result<Sums> {
    let length = range.end - range.start;
    let mut pipeline = Pipeline::new(Digests::new([algorithm]));
    if length > 0 {
        let layers = customer::layers(surface, found, key).await?;
        let start = range.start;
        let mut reader = Uncovering::new(surface.store.read(found, range), layers, start);
        while let Some(piece) = reader.next().await {
            let piece = piece.map_err(stored)?;
            pipeline.update(&piece).await;
            if let Some(sink) = sink.as_deref_mut() {
                sink.write(piece).await.map_err(stored)?;
            }
        }
    }
    let sums = pipeline.finish().await;
    if sums.length != length {
        return Err(stored(Error::Damaged("the contents ended early".to_owned())));
    }
    Ok(sums)
}

fn source(source: &CopySource) -> S3Result<(&str, &str, Option<&str>)> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => Ok((bucket, key, version_id.as_deref())),
        _ => Err(not_implemented("Copy sources are buckets only.")),
    }
}

/// `bytes=first-last`, both given, inside the source.
fn copy_range(given: Option<&str>, length: u64) -> S3Result<Range<u64>> {
    let Some(given) = given else { return Ok(0..length) };
    let invalid =
        || invalid_argument("The x-amz-copy-source-range value must be of the form bytes=first-last.");
    let (first, last) =
        given.strip_prefix("bytes=").and_then(|range| range.split_once('-')).ok_or_else(invalid)?;
    let number = |text: &str| -> S3Result<u64> {
        let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().ok_or_else(invalid)
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(invalid());
    }
    if last >= length {
        let message = format!("Range specified is not valid for source object of size: {length}");
        return Err(error(S3ErrorCode::InvalidRange, message));
    }
    Ok(first..last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_ranges_lie_inside_the_source() {
        for (given, range) in [
            (None, Some(0..10)),
            (Some("bytes=0-9"), Some(0..10)),
            (Some("bytes=3-3"), Some(3..4)),
            (Some("bytes=0-10"), None),
            (Some("bytes=5-4"), None),
            (Some("bytes=-4"), None),
            (Some("bytes=4-"), None),
            (Some("0-4"), None),
            (Some("bytes=+1-4"), None),
            (Some("bytes=99999999999999999999-4"), None),
        ] {
            assert_eq!(copy_range(given, 10).ok(), range, "{given:?}");
        }
    }
}
