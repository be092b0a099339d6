//! An object's metadata, from request headers and back to response headers.

use crate::{
    digest::{Algorithm, Sums, base64},
    error::{error, invalid_argument},
};
use s3s::{
    S3ErrorCode, S3Result,
    dto::{ETag, Timestamp, TimestampFormat},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, UNIX_EPOCH},
};
use vault::Metadata;

/// Bytes of user metadata, names and values: S3's limit.
const USER_MAX: usize = 2048;
/// Bytes of the other stored headers, names and values.
const HEADERS_MAX: usize = 4096;
/// The media type of an object that was given none, as S3 has it.
pub(crate) const CONTENT_TYPE_DEFAULT: &str = "binary/octet-stream";

/// The request headers that are stored with an object.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) user: Option<HashMap<String, String>>,
}

/// Takes the [`Attributes`] out of an operation's input.
macro_rules! attributes {
    ($input:expr) => {
        $crate::attributes::Attributes {
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $input.content_encoding.take(),
            content_language: $input.content_language.take(),
            content_type: $input.content_type.take(),
            expires: $input.expires.take(),
            user: $input.metadata.take(),
        }
    };
}
pub(crate) use attributes;

impl Attributes {
    /// As the vault keeps them. Errors: MetadataTooLarge.
    pub(crate) fn into_metadata(self) -> S3Result<Metadata> {
        let expires = self.expires.as_ref().map(http_date).transpose()?;
        let headers: BTreeMap<String, String> = [
            ("cache-control", self.cache_control),
            ("content-disposition", self.content_disposition),
            ("content-encoding", self.content_encoding.as_deref().and_then(stored_encoding)),
            ("content-language", self.content_language),
            ("expires", expires),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
        let user: BTreeMap<String, String> = self.user.unwrap_or_default().into_iter().collect();
        let bytes = |map: &BTreeMap<String, String>| -> usize {
            map.iter().map(|(name, value)| name.len() + value.len()).sum()
        };
        let media_type = self.content_type.as_ref().map_or(0, String::len);
        if bytes(&user) > USER_MAX || bytes(&headers) + media_type > HEADERS_MAX {
            let message = "Your metadata headers exceed the maximum allowed metadata size.";
            return Err(error(S3ErrorCode::MetadataTooLarge, message));
        }
        Ok(Metadata { content_type: self.content_type, headers, user, ..Metadata::default() })
    }
}

/// `aws-chunked` is how a body travelled, not what it is.
fn stored_encoding(given: &str) -> Option<String> {
    let kept: Vec<&str> = given
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

/// A time in whole seconds, as HTTP has it.
pub(crate) fn timestamp(time_ms: u64) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + Duration::from_secs(time_ms / 1000))
}

/// A time as an HTTP header has it.
pub(crate) fn http_date(time: &Timestamp) -> S3Result<String> {
    let mut text = Vec::new();
    time.format(TimestampFormat::HttpDate, &mut text)
        .map_err(|_| invalid_argument("A date is out of range."))?;
    String::from_utf8(text).map_err(|_| invalid_argument("A date is out of range."))
}

/// An ETag as answers carry it.
pub(crate) fn etag(metadata: &Metadata) -> ETag {
    ETag::Strong(metadata.etag.clone())
}

/// Puts `sums` into `metadata` as the checksums of a whole object.
pub(crate) fn set_sums(metadata: &mut Metadata, sums: &Sums) {
    metadata.checksums =
        sums.checksums.iter().map(|(algorithm, sum)| (algorithm.name().to_owned(), base64(sum))).collect();
    metadata.checksum_type = (!metadata.checksums.is_empty()).then(|| "FULL_OBJECT".to_owned());
}

/// A stored checksum, if there is one.
pub(crate) fn checksum(metadata: &Metadata, algorithm: Algorithm) -> Option<String> {
    metadata.checksums.get(algorithm.name()).filter(|sum| !sum.is_empty()).cloned()
}

/// Fills the five checksum fields of an answer.
macro_rules! set_checksums {
    ($output:expr, $metadata:expr) => {{
        use $crate::{attributes::checksum, digest::Algorithm};
        let metadata: &vault::Metadata = $metadata;
        $output.checksum_crc32 = checksum(metadata, Algorithm::Crc32);
        $output.checksum_crc32c = checksum(metadata, Algorithm::Crc32c);
        $output.checksum_crc64nvme = checksum(metadata, Algorithm::Crc64Nvme);
        $output.checksum_sha1 = checksum(metadata, Algorithm::Sha1);
        $output.checksum_sha256 = checksum(metadata, Algorithm::Sha256);
    }};
}
pub(crate) use set_checksums;

/// Fills an answer to GET or HEAD with all that the object carries but its contents.
macro_rules! describe {
    ($output:expr, $object:expr, $checksums:expr) => {{
        let object = $object;
        let metadata = object.metadata();
        let header = |name: &str| metadata.headers.get(name).cloned();
        $output.accept_ranges = Some("bytes".to_owned());
        $output.cache_control = header("cache-control");
        $output.content_disposition = header("content-disposition");
        $output.content_encoding = header("content-encoding");
        $output.content_language = header("content-language");
        $output.expires = header("expires").and_then(|text| $crate::attributes::parse_http_date(&text));
        let media_type = metadata.content_type.as_deref().unwrap_or($crate::attributes::CONTENT_TYPE_DEFAULT);
        $output.content_type = Some(media_type.to_owned());
        $output.e_tag = Some($crate::attributes::etag(metadata));
        $output.last_modified = Some($crate::attributes::timestamp(object.time_ms()));
        $output.metadata = Some(metadata.user.clone().into_iter().collect());
        $output.version_id = Some(object.version().to_string());
        if $checksums {
            $crate::attributes::set_checksums!($output, metadata);
            $output.checksum_type = metadata.checksum_type.clone().map(Into::into);
        }
    }};
}
pub(crate) use describe;

/// Reads what [`http_date`] wrote.
pub(crate) fn parse_http_date(text: &str) -> Option<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_codings_are_not_stored() {
        for (given, stored) in [
            ("aws-chunked", None),
            ("AWS-chunked", None),
            ("gzip, aws-chunked", Some("gzip")),
            ("aws-chunked,gzip,br", Some("gzip, br")),
            ("gzip", Some("gzip")),
            ("", None),
        ] {
            assert_eq!(stored_encoding(given).as_deref(), stored, "{given:?}");
        }
    }

    #[test]
    fn metadata_have_a_limit() {
        let user = |bytes: usize| Attributes {
            user: Some(HashMap::from([("k".to_owned(), "x".repeat(bytes - 1))])),
            ..Attributes::default()
        };
        assert!(user(USER_MAX).into_metadata().is_ok());
        let refused = user(USER_MAX + 1).into_metadata().expect_err("too large");
        assert_eq!(refused.code(), &S3ErrorCode::MetadataTooLarge);
    }
}
