//! From what failed below to what S3 calls it.

use hyper::{HeaderMap, StatusCode, header};
use s3s::{S3Error, S3ErrorCode, StdError};
use std::borrow::Cow;

/// An error of S3's own code.
pub(crate) fn error(code: S3ErrorCode, message: impl Into<Cow<'static, str>>) -> S3Error {
    S3Error::with_message(code, message)
}

/// 501 NotImplemented, with the reason.
pub(crate) fn not_implemented(message: impl Into<Cow<'static, str>>) -> S3Error {
    error(S3ErrorCode::NotImplemented, message)
}

/// 400 InvalidArgument, with the reason.
pub(crate) fn invalid_argument(message: impl Into<Cow<'static, str>>) -> S3Error {
    error(S3ErrorCode::InvalidArgument, message)
}

/// 400 InvalidRequest, with the reason.
pub(crate) fn invalid_request(message: impl Into<Cow<'static, str>>) -> S3Error {
    error(S3ErrorCode::InvalidRequest, message)
}

/// 412 PreconditionFailed.
pub(crate) fn precondition_failed() -> S3Error {
    error(S3ErrorCode::PreconditionFailed, "At least one of the pre-conditions you specified did not hold.")
}

/// An error with a code that the dispatcher does not know.
pub(crate) fn custom(
    code: &'static str,
    status: StatusCode,
    message: impl Into<Cow<'static, str>>,
) -> S3Error {
    let mut error = error(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

/// Adds headers to an error. The dispatcher lets them replace its own, so the document's type is among them.
pub(crate) fn with_headers(mut error: S3Error, headers: &[(&'static str, String)]) -> S3Error {
    let mut map = HeaderMap::new();
    map.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/xml"));
    for (name, value) in headers {
        let value =
            header::HeaderValue::try_from(value).expect("dates, numbers and hexadecimal are header text");
        map.insert(*name, value);
    }
    error.set_headers(map);
    error
}

/// What the vault's error is to a client of S3.
pub(crate) fn stored(cause: vault::Error) -> S3Error {
    use vault::Error as E;
    let message = cause.to_string();
    let code = match cause {
        E::NoSuchBucket => S3ErrorCode::NoSuchBucket,
        E::BucketExists => S3ErrorCode::BucketAlreadyOwnedByYou,
        E::BucketNotEmpty => S3ErrorCode::BucketNotEmpty,
        E::NoSuchKey { marker: None } => S3ErrorCode::NoSuchKey,
        E::NoSuchKey { marker: Some(marker) } => {
            let headers =
                [("x-amz-delete-marker", "true".to_owned()), ("x-amz-version-id", marker.to_string())];
            return with_headers(error(S3ErrorCode::NoSuchKey, message), &headers);
        }
        E::NoSuchVersion => S3ErrorCode::NoSuchVersion,
        E::Marker { marker, .. } => {
            let headers = [
                ("allow", "DELETE".to_owned()),
                ("x-amz-delete-marker", "true".to_owned()),
                ("x-amz-version-id", marker.to_string()),
            ];
            return with_headers(error(S3ErrorCode::MethodNotAllowed, message), &headers);
        }
        E::NoSuchUpload => S3ErrorCode::NoSuchUpload,
        E::InvalidPart { .. } => S3ErrorCode::InvalidPart,
        E::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
        E::PartTooSmall { .. } => S3ErrorCode::EntityTooSmall,
        E::NotYet => S3ErrorCode::InvalidArgument,
        E::PreconditionFailed => return precondition_failed(),
        E::Conflict => S3ErrorCode::ConditionalRequestConflict,
        E::Overloaded => {
            return with_headers(error(S3ErrorCode::SlowDown, message), &[("retry-after", "1".to_owned())]);
        }
        E::QuotaExceeded => return custom("QuotaExceeded", StatusCode::FORBIDDEN, message),
        E::Full => return custom("InsufficientStorage", StatusCode::INSUFFICIENT_STORAGE, message),
        E::Unavailable(_) => S3ErrorCode::ServiceUnavailable,
        E::Unknown(_) => S3ErrorCode::InternalError,
        E::Damaged(_) => {
            tracing::error!(%message, "stored contents are damaged");
            S3ErrorCode::InternalError
        }
        E::TooLarge => S3ErrorCode::EntityTooLarge,
        E::MetadataTooLarge => S3ErrorCode::MetadataTooLarge,
        E::NotLockable => {
            return invalid_request("Bucket is missing Object Lock Configuration");
        }
        E::InvalidRetention => S3ErrorCode::InvalidArgument,
        E::Locked(_) => {
            let message = "Access Denied because object protected by object lock.";
            return error(S3ErrorCode::AccessDenied, message);
        }
        E::NotAllowed(_) => S3ErrorCode::AccessDenied,
    };
    error(code, message)
}

/// What a failed request body is. The dispatcher's own body errors have private types, so they are told by their text,
/// which the tests hold on to.
pub(crate) fn received(cause: &StdError) -> S3Error {
    let text = cause.to_string();
    if text.contains("Sha256Mismatch") {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        custom("XAmzContentSHA256Mismatch", StatusCode::BAD_REQUEST, message)
    } else if text.contains("SignatureMismatch") {
        error(S3ErrorCode::SignatureDoesNotMatch, "The signature of a chunk of the body does not match.")
    } else if text.contains("FormatError") || text.contains("TooLarge") || text.contains("TooManyTrailer") {
        invalid_request("The body is not in the aws-chunked format.")
    } else {
        error(S3ErrorCode::IncompleteBody, "The body ended before the length that the headers declare.")
    }
}
