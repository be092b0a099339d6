//! Listings of current objects, ListObjects and ListObjectsV2.
//!
//! Both are one walk in byte order of the keys: objects, and common prefixes for keys that share what follows the
//! prefix up to the delimiter. Version 1 goes on after a marker that the client reads off the last page; version 2
//! after an opaque token. A page is of one block height.

use crate::{
    attributes::{etag, timestamp},
    error::{invalid_argument, stored},
    store::Store,
    surface::{Surface, View, limit},
};
use s3s::{S3Request, S3Response, S3Result, dto::*};
use vault::{ListAfter, ListRequest, Listed, Metadata, Page};

pub(crate) async fn list_objects<S: Store>(
    surface: &Surface<S>,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = request.input;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
    let prefix = input.prefix.unwrap_or_default();
    let marker = input.marker.unwrap_or_default();
    let max_keys = limit("max-keys", input.max_keys)?;
    let after = (!marker.is_empty()).then(|| after_marker(&marker, &prefix, delimiter.as_deref()));
    let page = walk(surface, &input.bucket, &prefix, delimiter.as_deref(), after, max_keys).await?;
    // Without delimiter a client goes on after the last key, which it sees.
    let next = next_marker(&page).filter(|_| delimiter.is_some()).map(|next| encoding.apply(next));
    let object = |listed| object(listed, encoding, Some(surface.owner()));
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.apply(&prefix)),
        marker: Some(encoding.apply(&marker)),
        max_keys: Some(max_keys as i32),
        is_truncated: Some(page.next.is_some()),
        next_marker: next,
        contents: Some(page.objects.into_iter().map(object).collect()),
        common_prefixes: Some(common_prefixes(page.prefixes, encoding)),
        delimiter: delimiter.map(|delimiter| encoding.apply(&delimiter)),
        encoding_type: input.encoding_type,
        ..ListObjectsOutput::default()
    }))
}

pub(crate) async fn list_objects_v2<S: Store>(
    surface: &Surface<S>,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
    let prefix = input.prefix.unwrap_or_default();
    let max_keys = limit("max-keys", input.max_keys)?;
    let after = match (&input.continuation_token, &input.start_after) {
        // An empty one, as sent with the first request of a loop, is none.
        (Some(token), _) if !token.is_empty() => Some(token_after(token)?),
        (_, Some(start)) if !start.is_empty() => Some(after_marker(start, &prefix, delimiter.as_deref())),
        _ => None,
    };
    let page = walk(surface, &input.bucket, &prefix, delimiter.as_deref(), after, max_keys).await?;
    let owner = input.fetch_owner.unwrap_or(false).then(|| surface.owner());
    let object = |listed| object(listed, encoding, owner.clone());
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoding.apply(&prefix)),
        max_keys: Some(max_keys as i32),
        key_count: Some((page.objects.len() + page.prefixes.len()) as i32),
        continuation_token: input.continuation_token,
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_ref().map(token),
        contents: Some(page.objects.into_iter().map(object).collect()),
        common_prefixes: Some(common_prefixes(page.prefixes, encoding)),
        delimiter: delimiter.map(|delimiter| encoding.apply(&delimiter)),
        encoding_type: input.encoding_type,
        start_after: input.start_after.map(|start| encoding.apply(&start)),
        ..ListObjectsV2Output::default()
    }))
}

async fn walk<S: Store>(
    surface: &Surface<S>,
    name: &str,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<ListAfter>,
    max_keys: usize,
) -> S3Result<Page> {
    let View { bucket, at } = surface.view(name).await?;
    let request = ListRequest {
        bucket,
        prefix: prefix.to_owned(),
        delimiter: delimiter.map(str::to_owned),
        after,
        limit: max_keys.max(1),
        at,
    };
    let page = surface.store.list(request).await.map_err(stored)?;
    Ok(if max_keys == 0 { Page::default() } else { page })
}

/// The last line of a page that is not the last. Not what the page goes on after: that may be a deleted key that looks
/// like a common prefix, and as a marker would stand for all that begins with it.
fn next_marker(page: &Page) -> Option<&str> {
    let key = page.objects.last().map(|listed| listed.key.as_str());
    let prefix = page.prefixes.last().map(String::as_str);
    page.next.as_ref().and(key.max(prefix))
}

/// A marker that is itself a common prefix stands for all keys that begin with it.
fn after_marker(marker: &str, prefix: &str, delimiter: Option<&str>) -> ListAfter {
    match is_common_prefix(marker, prefix, delimiter) {
        true => ListAfter::Prefix(marker.to_owned()),
        false => ListAfter::Key(marker.to_owned()),
    }
}

/// Whether a marker is what keys are rolled up to.
pub(crate) fn is_common_prefix(marker: &str, prefix: &str, delimiter: Option<&str>) -> bool {
    delimiter
        .zip(marker.strip_prefix(prefix))
        .and_then(|(delimiter, rest)| Some((rest.find(delimiter)? + delimiter.len(), rest)))
        .is_some_and(|(end, rest)| end == rest.len())
}

/// A continuation token: where to go on, in base64, so that no client reads it.
fn token(next: &ListAfter) -> String {
    let text = match next {
        ListAfter::Key(key) => format!("k{key}"),
        ListAfter::Prefix(prefix) => format!("p{prefix}"),
    };
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(text.as_bytes())
}

fn token_after(token: &str) -> S3Result<ListAfter> {
    let text = base64_simd::URL_SAFE_NO_PAD
        .decode_to_vec(token.as_bytes())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default();
    if let Some(key) = text.strip_prefix('k') {
        Ok(ListAfter::Key(key.to_owned()))
    } else if let Some(prefix) = text.strip_prefix('p') {
        Ok(ListAfter::Prefix(prefix.to_owned()))
    } else {
        Err(invalid_argument("The continuation token provided is incorrect."))
    }
}

/// The algorithms of an object's checksums, as listings show them.
pub(crate) fn checksum_algorithms(metadata: &Metadata) -> Option<Vec<ChecksumAlgorithm>> {
    let algorithms = metadata.checksums.keys().filter_map(|name| crate::digest::Algorithm::from_name(name));
    let algorithms: Vec<ChecksumAlgorithm> =
        algorithms.map(|algorithm| ChecksumAlgorithm::from_static(algorithm.label())).collect();
    (!algorithms.is_empty()).then_some(algorithms)
}

fn object(listed: Listed, encoding: Encoding, owner: Option<Owner>) -> Object {
    Object {
        checksum_algorithm: checksum_algorithms(&listed.metadata),
        checksum_type: listed.metadata.checksum_type.clone().map(Into::into),
        e_tag: Some(etag(&listed.metadata)),
        key: Some(encoding.apply(listed.key.as_str())),
        last_modified: Some(timestamp(listed.time_ms)),
        owner,
        size: Some(listed.length as i64),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Object::default()
    }
}

/// Common prefixes of an answer.
pub(crate) fn common_prefixes(prefixes: Vec<String>, encoding: Encoding) -> Vec<CommonPrefix> {
    prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(encoding.apply(prefix)) }).collect()
}

/// How keys are written: XML cannot carry all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    /// `encoding-type`. Errors: InvalidArgument.
    pub(crate) fn of(given: Option<&EncodingType>) -> S3Result<Self> {
        match given.map(EncodingType::as_str) {
            None => Ok(Self::Plain),
            Some("url") => Ok(Self::Url),
            Some(_) => Err(invalid_argument("Invalid Encoding Method specified in Request.")),
        }
    }

    /// Percent-encodes all but unreserved characters and '/'.
    pub(crate) fn apply(self, text: &str) -> String {
        if self == Self::Plain {
            return text.to_owned();
        }
        text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
            encoded
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_round_trip_and_garbage_is_refused() {
        for next in [ListAfter::Key("ä b".to_owned()), ListAfter::Prefix("p/".to_owned())] {
            assert_eq!(token_after(&token(&next)).expect("own token"), next);
        }
        for garbage in ["", "x", "!!", "eA", "a2s="] {
            assert!(token_after(garbage).is_err(), "{garbage}");
        }
    }

    #[test]
    fn a_common_prefix_as_marker_covers_its_keys() {
        for (marker, prefix, delimiter, covers) in [
            ("a/", "", Some("/"), true),
            ("a/b", "", Some("/"), false),
            ("a/b/", "a/", Some("/"), true),
            ("a/b/", "", Some("/"), false),
            ("a/", "", None, false),
            ("a/", "b", Some("/"), false),
            ("a::", "", Some("::"), true),
        ] {
            let after = after_marker(marker, prefix, delimiter);
            assert_eq!(matches!(after, ListAfter::Prefix(_)), covers, "{marker} {prefix} {delimiter:?}");
        }
    }

    #[test]
    fn url_encoding_keeps_slashes() {
        assert_eq!(Encoding::Url.apply("a/b c+d%e\u{1}é~"), "a/b%20c%2Bd%25e%01%C3%A9~");
        assert_eq!(Encoding::Plain.apply("a b"), "a b");
    }
    proptest! {
        /// Clients may send any token: it is one that we wrote, or it is refused.
        #[test]
        fn no_token_has_two_forms(text in "[A-Za-z0-9_-]{0,20}|.{0,20}") {
            if let Ok(next) = token_after(&text) {
                prop_assert_eq!(token(&next), text);
            }
        }

        #[test]
        fn what_is_encoded_is_plain(text: String) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte);
            prop_assert!(Encoding::Url.apply(&text).bytes().all(plain));
        }
    }
}
