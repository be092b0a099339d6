//! Multipart uploads: opening, parts, completion, listings.

use crate::{
    attributes::{attributes, checksum, etag, set_checksums, timestamp},
    conditions::WriteConditions,
    customer::{self, Covering, CustomerKey, customer_key, describe_encryption},
    digest::Algorithm,
    error::{error, invalid_argument, invalid_request, not_implemented, stored},
    integrity::Expected,
    listing::Encoding,
    locking::{self, asked},
    objects::{describe_sums, receive},
    store::{PartWriter, Store, StoredObject},
    surface::{Surface, bucket, limit, place},
    whole::{self, Announced, given_checksums},
};
use proof::{UploadId, VersionId, limits::PART_NUMBER_MAX};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use vault::{Metadata, Place, UploadsRequest};

/// An upload's id. Errors: NoSuchUpload.
pub(crate) fn upload_id(text: &str) -> S3Result<UploadId> {
    UploadId::from_hex(text).ok_or_else(|| stored(vault::Error::NoSuchUpload))
}

/// A part's number. Errors: InvalidArgument.
pub(crate) fn part_number(number: i32) -> S3Result<u16> {
    let invalid = || invalid_argument("Part number must be an integer between 1 and 10000, inclusive.");
    u16::try_from(number).ok().filter(|number| (1..=PART_NUMBER_MAX).contains(number)).ok_or_else(invalid)
}

pub(crate) async fn create_multipart_upload<S: Store>(
    surface: &Surface<S>,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let mut input = request.input;
    let place = place(&input.bucket, &input.key)?;
    let announced = Announced::asked(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
    let mut metadata = attributes!(input).into_metadata()?;
    announced.note(&mut metadata);
    let key = customer_key!(input)?;
    customer::check_one_kind(key.as_ref(), input.server_side_encryption.is_some())?;
    if let Some(key) = &key {
        key.cover(&mut metadata);
    }
    let settings = asked!(input).into_settings()?;
    // What cannot be at completion is refused now.
    if (settings.retention.is_some() || settings.hold)
        && surface.store.bucket_lock(&place.bucket).await.map_err(stored)?.is_none()
    {
        return Err(stored(vault::Error::NotLockable));
    }
    locking::note(settings, &mut metadata);
    let upload = surface.store.create_upload(place, metadata).await.map_err(stored)?;
    let mut output = CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.to_string()),
        checksum_algorithm: announced.shown_algorithm(),
        checksum_type: announced.shown_type(),
        ..CreateMultipartUploadOutput::default()
    };
    describe_encryption!(output, key.as_ref());
    Ok(S3Response::new(output))
}

pub(crate) async fn upload_part<S: Store>(
    surface: &Surface<S>,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let S3Request { mut input, headers, trailing_headers, .. } = request;
    let place = place(&input.bucket, &input.key)?;
    let key = customer_key!(input)?;
    let upload = upload_id(&input.upload_id)?;
    let number = part_number(input.part_number)?;
    let expected = Expected::of(&headers)?;
    let opened = surface.store.head_upload(&place, upload).await.map_err(stored)?;
    let announced = Announced::of(&opened.metadata);
    if let Some(given) = expected.algorithm()
        && announced.explicit
        && given != announced.algorithm
    {
        return Err(invalid_request(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            announced.algorithm.name(),
            given.name()
        )));
    }
    let mut metadata = Metadata::default();
    let layer = customer::cover_part(&opened.metadata, key.as_ref(), &mut metadata)?;
    let writer = surface.store.put_part(&place, upload, number).await.map_err(stored)?;
    let mut writer = Covering::new(writer, layer);
    let digests = expected.digests(Some(announced.algorithm));
    let sums = receive(&mut writer, input.body, &headers, digests).await?;
    expected.verify(&sums, trailing_headers.as_ref())?;
    let (writer, covered) = writer.finish().await;
    let told = describe_sums(&mut metadata, &sums, covered);
    writer.finish(metadata).await.map_err(stored)?;
    let mut output = UploadPartOutput { e_tag: Some(etag(&told)), ..UploadPartOutput::default() };
    set_checksums!(output, &told);
    describe_encryption!(output, key.as_ref());
    if !announced.explicit && expected.algorithm() != Some(announced.algorithm) {
        output.checksum_crc64nvme = None;
    }
    Ok(S3Response::new(output))
}

pub(crate) async fn complete_multipart_upload<S: Store>(
    surface: &Surface<S>,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let mut input = request.input;
    let place = place(&input.bucket, &input.key)?;
    let key_given = customer_key!(input)?;
    let upload = upload_id(&input.upload_id)?;
    let listed = listed(input.multipart_upload.take().and_then(|listed| listed.parts).unwrap_or_default())?;
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let completing = complete(surface, &place, upload, &listed, key_given.as_ref(), input);
    let (metadata, version) = match completing.await {
        Err(cause) if is_of_completed(&cause) => {
            completed(surface, &place, upload, &listed).await?.ok_or(cause)?
        }
        done => done?,
    };
    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{bucket}/{}", Encoding::Url.apply(&key))),
        bucket: Some(bucket),
        key: Some(key),
        e_tag: Some(etag(&metadata)),
        version_id: Some(version.to_string()),
        checksum_type: metadata.checksum_type.clone().map(Into::into),
        ..CompleteMultipartUploadOutput::default()
    };
    set_checksums!(output, &metadata);
    if !customer::is_covered(&metadata) {
        output.server_side_encryption = Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256));
    }
    Ok(S3Response::new(output))
}

/// What completing an upload fails with that was completed before.
fn is_of_completed(cause: &S3Error) -> bool {
    matches!(cause.code(), S3ErrorCode::NoSuchUpload | S3ErrorCode::PreconditionFailed)
}

/// What these parts of the upload became before, if it was completed. Clients complete again what they heard no answer to.
async fn completed<S: Store>(
    surface: &Surface<S>,
    place: &Place,
    upload: UploadId,
    listed: &[ListedPart],
) -> S3Result<Option<(Metadata, VersionId)>> {
    let object = match surface.store.completed_upload(place, upload).await {
        Err(vault::Error::NoSuchUpload) => return Ok(None),
        object => object.map_err(stored)?,
    };
    let parts = surface.store.object_parts(&object).await.map_err(stored)?;
    let same = parts.len() == listed.len() && chosen(listed, &parts).is_ok();
    Ok(same.then(|| (object.metadata().clone(), object.version())))
}

async fn complete<S: Store>(
    surface: &Surface<S>,
    place: &Place,
    upload: UploadId,
    listed: &[ListedPart],
    key: Option<&CustomerKey>,
    input: CompleteMultipartUploadInput,
) -> S3Result<(Metadata, VersionId)> {
    let conditions = WriteConditions { if_match: input.if_match, if_none_match: input.if_none_match };
    let condition = conditions.resolve(&surface.store, place, true).await?;
    let opened = surface.store.head_upload(place, upload).await.map_err(stored)?;
    // S3 wants the key here for some uploads only: the parts were checked with it.
    if key.is_some() {
        customer::check(&opened.metadata, key)?;
    }
    let announced = Announced::of(&opened.metadata);
    let stored_parts = all_parts(surface, place, upload).await?;
    let parts = chosen(listed, &stored_parts)?;

    let length: u64 = parts.iter().map(|part| part.length).sum();
    if input.mpu_object_size.is_some_and(|declared| declared != length as i64) {
        return Err(invalid_request("The x-amz-mp-object-size header does not match the size of the parts."));
    }
    let mut metadata = opened.metadata;
    let settings = locking::noted(&mut metadata);
    metadata.etag = whole::etag(&parts)?;
    metadata.parts = parts.len() as u32;
    whole::set_checksum(&mut metadata, announced, &parts);
    whole::check_checksum(&metadata, given_checksums!(input), input.checksum_type.as_ref())?;

    let chosen = listed.iter().map(|part| (part.number, part.etag.clone())).collect();
    let written = surface
        .store
        .complete_upload(place, upload, chosen, metadata.clone(), condition, settings)
        .await
        .map_err(stored)?;
    Ok((metadata, written.version))
}

/// A part as CompleteMultipartUpload lists it.
struct ListedPart {
    number: u16,
    etag: String,
    checksums: Vec<(Algorithm, String)>,
}

fn listed(parts: Vec<CompletedPart>) -> S3Result<Vec<ListedPart>> {
    let malformed = |message: &'static str| error(S3ErrorCode::MalformedXML, message);
    if parts.is_empty() || parts.len() > usize::from(PART_NUMBER_MAX) {
        return Err(malformed("The XML you provided must list 1 to 10000 parts."));
    }
    let mut listed: Vec<ListedPart> = Vec::with_capacity(parts.len());
    for part in parts {
        let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else {
            return Err(malformed("Every part needs its PartNumber and ETag."));
        };
        let number = part_number(number)?;
        if listed.last().is_some_and(|last| last.number >= number) {
            return Err(stored(vault::Error::InvalidPartOrder));
        }
        let checksums = given_checksums!(part)
            .into_iter()
            .filter_map(|(algorithm, sum)| Some((algorithm, sum?)))
            .collect();
        listed.push(ListedPart { number, etag: etag.into_value(), checksums });
    }
    Ok(listed)
}

/// The stored part of each one listed. Errors: InvalidPart.
fn chosen<'a>(listed: &[ListedPart], stored_parts: &'a [vault::Part]) -> S3Result<Vec<&'a vault::Part>> {
    let chosen = listed.iter().map(|wanted| {
        let found = stored_parts.binary_search_by_key(&wanted.number, |part| part.number).ok();
        let part = found.map(|index| &stored_parts[index]).filter(|part| {
            let same = |(algorithm, sum): &(Algorithm, String)| {
                checksum(&part.metadata, *algorithm).is_none_or(|known| known == *sum)
            };
            part.metadata.etag == wanted.etag && wanted.checksums.iter().all(same)
        });
        part.ok_or_else(|| stored(vault::Error::InvalidPart { number: wanted.number }))
    });
    chosen.collect()
}

async fn all_parts<S: Store>(
    surface: &Surface<S>,
    place: &Place,
    upload: UploadId,
) -> S3Result<Vec<vault::Part>> {
    let mut parts: Vec<vault::Part> = Vec::new();
    loop {
        let after = parts.last().map_or(0, |part| part.number);
        let page = surface.store.list_parts(place, upload, after, 1000).await.map_err(stored)?;
        let done = !page.more || page.parts.is_empty();
        parts.extend(page.parts);
        if done || parts.len() >= usize::from(PART_NUMBER_MAX) {
            return Ok(parts);
        }
    }
}

pub(crate) async fn abort_multipart_upload<S: Store>(
    surface: &Surface<S>,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    if input.if_match_initiated_time.is_some() {
        return Err(not_implemented("Conditional aborts are not implemented."));
    }
    let place = place(&input.bucket, &input.key)?;
    surface.store.abort_upload(&place, upload_id(&input.upload_id)?).await.map_err(stored)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(crate) async fn list_parts<S: Store>(
    surface: &Surface<S>,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let place = place(&input.bucket, &input.key)?;
    let upload = upload_id(&input.upload_id)?;
    let max_parts = limit("max-parts", input.max_parts)?;
    let marker = input.part_number_marker.unwrap_or(0);
    let after = match u16::try_from(marker) {
        Ok(after) => after,
        Err(_) if marker < 0 => return Err(invalid_argument("part-number-marker must not be negative.")),
        Err(_) => u16::MAX,
    };
    let opened = surface.store.head_upload(&place, upload).await.map_err(stored)?;
    let announced = Announced::of(&opened.metadata);
    let page = match max_parts {
        0 => vault::PartsPage::default(),
        limit => surface.store.list_parts(&place, upload, after, limit).await.map_err(stored)?,
    };
    let last = page.parts.last().map(|part| i32::from(part.number));
    let part = |stored_part: vault::Part| {
        let mut part = Part {
            e_tag: Some(etag(&stored_part.metadata)),
            last_modified: Some(timestamp(stored_part.time_ms)),
            part_number: Some(i32::from(stored_part.number)),
            size: Some(stored_part.length as i64),
            ..Part::default()
        };
        if announced.explicit {
            set_checksums!(part, &stored_part.metadata);
        }
        part
    };
    let owner = surface.owner();
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        part_number_marker: Some(marker),
        next_part_number_marker: last.or(Some(marker)),
        max_parts: Some(max_parts as i32),
        is_truncated: Some(page.more),
        parts: Some(page.parts.into_iter().map(part).collect()),
        initiator: Some(Initiator { display_name: owner.display_name.clone(), id: owner.id.clone() }),
        owner: Some(owner),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        checksum_algorithm: announced.shown_algorithm(),
        checksum_type: announced.shown_type(),
        ..ListPartsOutput::default()
    }))
}

pub(crate) async fn list_multipart_uploads<S: Store>(
    surface: &Surface<S>,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    if input.delimiter.as_deref().is_some_and(|delimiter| !delimiter.is_empty()) {
        return Err(not_implemented("Uploads are listed without delimiter only."));
    }
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let max_uploads = limit("max-uploads", input.max_uploads)?;
    let prefix = input.prefix.unwrap_or_default();
    let key_marker = input.key_marker.unwrap_or_default();
    let id_marker = input.upload_id_marker.filter(|_| !key_marker.is_empty());
    let after = match (key_marker.is_empty(), id_marker.as_deref()) {
        (true, _) => None,
        // After all uploads of the key.
        (false, None | Some("")) => Some((key_marker.clone(), UploadId([0xff; 16]))),
        (false, Some(id)) => {
            let id = UploadId::from_hex(id).ok_or_else(|| invalid_argument("Invalid uploadId marker"))?;
            Some((key_marker.clone(), id))
        }
    };
    let bucket_name = bucket(&input.bucket)?;
    let page = if max_uploads == 0 {
        surface.store.head_bucket(&bucket_name).await.map_err(stored)?;
        vault::UploadsPage::default()
    } else {
        let request =
            UploadsRequest { bucket: bucket_name, prefix: prefix.clone(), after, limit: max_uploads };
        surface.store.list_uploads(request).await.map_err(stored)?
    };
    let last = page.uploads.last().filter(|_| page.more);
    let next_key = last.map(|last| encoding.apply(last.place.key.as_str()));
    let next_id = last.map(|last| last.upload.to_string());
    let owner = surface.owner();
    let upload = |opened: &vault::Upload| {
        let announced = Announced::of(&opened.metadata);
        MultipartUpload {
            checksum_algorithm: announced.shown_algorithm(),
            checksum_type: announced.shown_type(),
            initiated: Some(timestamp(opened.time_ms)),
            initiator: Some(Initiator { display_name: owner.display_name.clone(), id: owner.id.clone() }),
            key: Some(encoding.apply(opened.place.key.as_str())),
            owner: Some(owner.clone()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            upload_id: Some(opened.upload.to_string()),
        }
    };
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        encoding_type: input.encoding_type,
        is_truncated: Some(page.more),
        key_marker: Some(encoding.apply(&key_marker)),
        max_uploads: Some(max_uploads as i32),
        next_key_marker: next_key,
        next_upload_id_marker: next_id,
        prefix: Some(encoding.apply(&prefix)),
        upload_id_marker: id_marker,
        uploads: Some(page.uploads.iter().map(upload).collect()),
        ..ListMultipartUploadsOutput::default()
    }))
}
