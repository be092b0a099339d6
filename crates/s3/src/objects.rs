//! Operations on objects: put, get, head.

use crate::{
    attributes::{attributes, describe, etag, set_checksums, set_sums},
    conditions::{ReadConditions, WriteConditions, range_applies},
    customer::{self, Covering, Layers, Uncovering, customer_key, describe_encryption},
    digest::{Algorithm, Digests, Pipeline, Sums, hex},
    error::{error, invalid_argument, received, stored, with_headers},
    integrity::Expected,
    lifecycle::expiration,
    locking::{asked, describe_lock},
    store::{ObjectWriter, Sink, Store, StoredObject},
    surface::{Surface, View, object_key, place, version},
    tagging,
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use hyper::{
    HeaderMap,
    body::{Body, Frame, SizeHint},
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, StdError, dto::*};
use std::{
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};
use vault::{Error, Metadata, Place};

/// Objects above this many bytes have their condition looked at before their body is received.
const EARLY_BYTES: i64 = 1 << 20;

pub(crate) async fn put_object<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let S3Request { mut input, headers, trailing_headers, .. } = request;
    let place = place(&input.bucket, &input.key)?;
    let expected = Expected::of(&headers)?;
    let mut metadata = attributes!(input).into_metadata()?;
    let key = customer_key!(input)?;
    customer::check_one_kind(key.as_ref(), input.server_side_encryption.is_some())?;
    let layer = key.as_ref().map(|key| key.cover(&mut metadata));
    let settings = asked!(input).into_settings()?;
    let early = input.content_length.is_none_or(|length| length > EARLY_BYTES);
    let conditions = WriteConditions { if_match: input.if_match, if_none_match: input.if_none_match };
    let condition = conditions.resolve(&surface.store, &place, early).await?;

    let mut writer = Covering::new(surface.store.put(place).await.map_err(stored)?, layer);
    // As S3: what comes without a checksum gets CRC64NVME.
    let default = expected.algorithm().is_none().then_some(Algorithm::Crc64Nvme);
    let sums = receive(&mut writer, input.body, &headers, expected.digests(default)).await?;
    expected.verify(&sums, trailing_headers.as_ref())?;
    let (writer, covered) = writer.finish().await;
    let told = describe_sums(&mut metadata, &sums, covered);
    let written = writer.finish(metadata, condition, settings).await.map_err(stored)?;

    let mut output = PutObjectOutput {
        e_tag: Some(etag(&told)),
        version_id: Some(written.version.to_string()),
        checksum_type: told.checksum_type.clone().map(Into::into),
        ..PutObjectOutput::default()
    };
    set_checksums!(output, &told);
    describe_encryption!(output, key.as_ref());
    Ok(S3Response::new(output))
}

/// Notes in `metadata` what contents hash to, and gives what their sender is told: the checksums too of what is a
/// customer's (`covered` is the MD5 of its stored form), which are not kept.
pub(crate) fn describe_sums(metadata: &mut Metadata, sums: &Sums, covered: Option<[u8; 16]>) -> Metadata {
    metadata.etag = hex(&covered.unwrap_or(sums.md5));
    let mut told = metadata.clone();
    set_sums(&mut told, sums);
    if covered.is_none() {
        *metadata = told.clone();
    }
    told
}

/// Passes a request's body on to `sink` and hashes it. On any error nothing of it may become visible.
pub(crate) async fn receive(
    sink: &mut impl Sink,
    body: Option<StreamingBlob>,
    headers: &HeaderMap,
    digests: Digests,
) -> S3Result<Sums> {
    let mut pipeline = Pipeline::new(digests);
    if let Some(mut body) = body {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|cause| received(&cause))?;
            pipeline.update(&piece).await;
            sink.write(piece).await.map_err(stored)?;
        }
    }
    let sums = pipeline.finish().await;
    let declared = headers
        .get("x-amz-decoded-content-length")
        .or_else(|| headers.get("content-length"))
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared != sums.length) {
        return Err(error(
            S3ErrorCode::IncompleteBody,
            "The body does not have the length that the headers declare.",
        ));
    }
    Ok(sums)
}

pub(crate) async fn get_object<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let S3Request { mut input, headers, .. } = request;
    let key = customer_key!(input)?;
    let (found, at) = find_at(surface, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    customer::check(found.metadata(), key.as_ref())?;
    let conditions = ReadConditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    conditions.check(&found)?;
    let selection = select(surface, &found, input.range, input.part_number, &headers).await?;
    let layers = match selection.range.is_empty() {
        true => Layers::none(),
        false => customer::layers(surface, &found, key.as_ref()).await?,
    };
    let reader = surface.store.read(&found, selection.range.clone());
    let body = contents(Uncovering::new(reader, layers, selection.range.start), &selection.range).await?;
    let mut output = GetObjectOutput {
        body: Some(StreamingBlob::from(body)),
        content_length: Some(selection.length()),
        content_range: selection.content_range(found.length()),
        parts_count: selection.parts_count,
        ..GetObjectOutput::default()
    };
    let wanted = wants_checksums(input.checksum_mode.as_ref());
    describe!(output, &found, wanted && !selection.partial);
    if let Some(part) = selection.part.as_ref().filter(|_| wanted) {
        set_checksums!(output, part);
        output.checksum_type = found.metadata().checksum_type.clone().map(Into::into);
    }
    describe_encryption!(output, key.as_ref());
    describe_lock!(output, lock(surface, &found, at).await?);
    output.tag_count = tagging::count(surface, &found, at).await?;
    if input.version_id.is_none() && at.is_none() {
        output.expiration = expiration(surface, &input.bucket, &input.key, &found).await?;
    }
    Ok(S3Response::new(output))
}

pub(crate) async fn head_object<S: Store>(
    surface: &Surface<S>,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let S3Request { mut input, headers, .. } = request;
    let key = customer_key!(input)?;
    let (found, at) = find_at(surface, &input.bucket, &input.key, input.version_id.as_deref()).await?;
    customer::check(found.metadata(), key.as_ref())?;
    let conditions = ReadConditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    conditions.check(&found)?;
    let selection = select(surface, &found, input.range, input.part_number, &headers).await?;
    let mut output = HeadObjectOutput {
        content_length: Some(selection.length()),
        content_range: selection.content_range(found.length()),
        parts_count: selection.parts_count,
        ..HeadObjectOutput::default()
    };
    let wanted = wants_checksums(input.checksum_mode.as_ref());
    describe!(output, &found, wanted && !selection.partial);
    if let Some(part) = selection.part.as_ref().filter(|_| wanted) {
        set_checksums!(output, part);
        output.checksum_type = found.metadata().checksum_type.clone().map(Into::into);
    }
    describe_encryption!(output, key.as_ref());
    describe_lock!(output, lock(surface, &found, at).await?);
    if input.version_id.is_none() && at.is_none() {
        output.expiration = expiration(surface, &input.bucket, &input.key, &found).await?;
    }
    let mut response = S3Response::new(output);
    if let Some(count) = tagging::count(surface, &found, at).await? {
        response.headers.insert("x-amz-tagging-count", count.into());
    }
    Ok(response)
}

/// What locks an object now. Of the past that is not told.
async fn lock<S: Store>(
    surface: &Surface<S>,
    found: &S::Object,
    at: Option<u64>,
) -> S3Result<vault::VersionLock> {
    match at {
        None => surface.store.lock(found).await.map_err(stored),
        Some(_) => Ok(vault::VersionLock::default()),
    }
}

fn wants_checksums(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

/// The current version of a key, or the one named, now or in the past; and the height as of which that is.
pub(crate) async fn find_at<S: Store>(
    surface: &Surface<S>,
    bucket_name: &str,
    key: &str,
    version_id: Option<&str>,
) -> S3Result<(S::Object, Option<u64>)> {
    let version = version_id.map(version).transpose()?;
    let key = object_key(key)?;
    let View { bucket, at } = surface.view(bucket_name).await?;
    let place = Place { bucket, key };
    let found = match at {
        None => surface.store.head(&place, version).await,
        Some(height) => surface.store.head_at(&place, version, height).await,
    };
    Ok((found.map_err(stored)?, at))
}

/// What of an object is asked for.
struct Selection {
    range: Range<u64>,
    partial: bool,
    parts_count: Option<i32>,
    /// The part that it is, if it is one.
    part: Option<Metadata>,
}

impl Selection {
    fn of(range: Range<u64>, partial: bool) -> Self {
        Self { range, partial, parts_count: None, part: None }
    }

    fn length(&self) -> i64 {
        (self.range.end - self.range.start) as i64
    }

    fn content_range(&self, length: u64) -> Option<String> {
        let last = self.range.end.checked_sub(1)?;
        self.partial.then(|| format!("bytes {}-{last}/{length}", self.range.start))
    }
}

async fn select<S: Store>(
    surface: &Surface<S>,
    object: &S::Object,
    range: Option<s3s::dto::Range>,
    part_number: Option<i32>,
    headers: &HeaderMap,
) -> S3Result<Selection> {
    let whole = 0..object.length();
    match (range, part_number) {
        (Some(_), Some(_)) => {
            Err(invalid_argument("Cannot specify both Range header and partNumber query parameter."))
        }
        (None, Some(number)) => select_part(surface, object, number).await,
        (None, None) => Ok(Selection::of(whole, false)),
        (Some(range), None) => {
            let if_range = headers.get("if-range").and_then(|value| value.to_str().ok());
            if !range_applies(if_range, object) {
                return Ok(Selection::of(whole, false));
            }
            let range = range.check(object.length()).ok().filter(|range| !range.is_empty());
            let range = range.ok_or_else(|| unsatisfiable(object.length()))?;
            Ok(Selection::of(range, true))
        }
    }
}

async fn select_part<S: Store>(surface: &Surface<S>, object: &S::Object, number: i32) -> S3Result<Selection> {
    let mut parts = surface.store.object_parts(object).await.map_err(stored)?;
    let lengths: Vec<u64> = match parts.is_empty() {
        // What was not a multipart upload is its own first part.
        true => vec![object.length()],
        false => parts.iter().map(|part| part.length).collect(),
    };
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    let Some(index) = index.filter(|index| *index < lengths.len()) else {
        return Err(error(S3ErrorCode::InvalidPart, "The requested part number is not satisfiable."));
    };
    let start: u64 = lengths[..index].iter().sum();
    let range = start..start + lengths[index];
    let count = (!parts.is_empty()).then_some(parts.len() as i32);
    let part = (!parts.is_empty()).then(|| parts.swap_remove(index).metadata);
    Ok(Selection { partial: !range.is_empty(), range, parts_count: count, part })
}

fn unsatisfiable(length: u64) -> S3Error {
    let cause = error(S3ErrorCode::InvalidRange, "The requested range is not satisfiable.");
    with_headers(cause, &[("content-range", format!("bytes */{length}"))])
}

/// A response body of the bytes in `range`. Waits for the first of them: what is not available is then an error with a
/// status, and a small object leaves in one packet with its headers.
async fn contents<R>(mut reader: R, range: &Range<u64>) -> S3Result<s3s::Body>
where
    R: Stream<Item = Result<Bytes, Error>> + Send + Unpin + 'static,
{
    let length = range.end - range.start;
    if length == 0 {
        return Ok(s3s::Body::empty());
    }
    let first = match reader.next().await {
        Some(first) => first.map_err(stored)?,
        None => return Err(stored(Error::Damaged("the contents ended early".to_owned()))),
    };
    if first.len() as u64 == length {
        return Ok(s3s::Body::from(first));
    }
    Ok(s3s::Body::http_body_unsync(Contents { first: Some(first), reader, left: length }))
}

/// Contents on their way to the client. An error, or any other length than promised, breaks the connection off.
struct Contents<R> {
    first: Option<Bytes>,
    reader: R,
    left: u64,
}

impl<R: Stream<Item = Result<Bytes, Error>> + Unpin> Body for Contents<R> {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        let next = match this.first.take() {
            Some(first) => Some(Ok(first)),
            None if this.left == 0 => None,
            None => std::task::ready!(Pin::new(&mut this.reader).poll_next(context)),
        };
        Poll::Ready(match next {
            None if this.left == 0 => None,
            None => Some(Err("the contents ended early".into())),
            Some(Err(cause)) => {
                tracing::warn!(error = %cause, "a read failed after its answer had begun");
                Some(Err(Box::new(cause)))
            }
            Some(Ok(piece)) => match this.left.checked_sub(piece.len() as u64) {
                None => Some(Err("the contents are longer than asked for".into())),
                Some(left) => {
                    this.left = left;
                    Some(Ok(Frame::data(piece)))
                }
            },
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
