//! What a request says its contents hash to, and whether they do.
//!
//! A client may give `Content-MD5` and one `x-amz-checksum-*`, the latter as a header or, when it is known only at the
//! end, as a trailer announced in `x-amz-trailer`. All that is given is verified before anything becomes visible.

use crate::digest::{Algorithm, Digests, Sums};
use hyper::{HeaderMap, header::HeaderValue};
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders};

/// The checksum that a client gives.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Given {
    Nothing,
    Header(Algorithm, Vec<u8>),
    Trailer(Algorithm),
}

/// What the contents of one request must hash to.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    md5: Option<Vec<u8>>,
    given: Given,
}

impl Expected {
    /// Reads a request's headers.
    pub(crate) fn of(headers: &HeaderMap) -> S3Result<Self> {
        let md5 = match headers.get("content-md5") {
            None => None,
            Some(value) => Some(decode(value, 16).ok_or_else(|| {
                S3Error::with_message(
                    S3ErrorCode::InvalidDigest,
                    "The Content-MD5 you specified is not valid.",
                )
            })?),
        };
        Ok(Self { md5, given: given(headers)? })
    }

    /// The algorithm of the checksum that the client gives.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        match self.given {
            Given::Nothing => None,
            Given::Header(algorithm, _) | Given::Trailer(algorithm) => Some(algorithm),
        }
    }

    /// Whether the client gives anything at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.md5.is_none() && self.given == Given::Nothing
    }

    /// Hashers for the MD5, the checksum given and `more`.
    pub(crate) fn digests(&self, more: Option<Algorithm>) -> Digests {
        Digests::new(self.algorithm().into_iter().chain(more))
    }

    /// Compares with what was received. `trailers` are those after the body.
    pub(crate) fn verify(&self, sums: &Sums, trailers: Option<&TrailingHeaders>) -> S3Result<()> {
        if self.md5.as_ref().is_some_and(|md5| md5[..] != sums.md5) {
            return Err(bad_digest("The Content-MD5 you specified did not match what we received."));
        }
        let (algorithm, expected) = match &self.given {
            Given::Nothing => return Ok(()),
            Given::Header(algorithm, expected) => (*algorithm, expected.clone()),
            Given::Trailer(algorithm) => (*algorithm, trailer(*algorithm, trailers)?),
        };
        if sums.get(algorithm) == Some(&expected[..]) {
            return Ok(());
        }
        let label = algorithm.label();
        Err(bad_digest(format!("The {label} you specified did not match the calculated checksum.")))
    }
}

fn bad_digest(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::BadDigest, message)
}

fn invalid(message: String) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

fn given(headers: &HeaderMap) -> S3Result<Given> {
    let mut given = Given::Nothing;
    for algorithm in Algorithm::ALL {
        let Some(value) = headers.get(algorithm.header()) else { continue };
        if given != Given::Nothing {
            return Err(invalid("Only one x-amz-checksum- header may be given.".to_owned()));
        }
        let value = decode(value, algorithm.length()).ok_or_else(|| {
            bad_digest(format!("The value for the {} header is invalid.", algorithm.header()))
        })?;
        given = Given::Header(algorithm, value);
    }
    if let Some(announced) = headers.get("x-amz-trailer") {
        let named = |algorithm: &Algorithm| announced.as_bytes() == algorithm.header().as_bytes();
        let Some(algorithm) = Algorithm::ALL.into_iter().find(named) else {
            return Err(invalid("The value for the x-amz-trailer header is invalid.".to_owned()));
        };
        if given != Given::Nothing {
            return Err(invalid("A checksum may be a header or a trailer, not both.".to_owned()));
        }
        given = Given::Trailer(algorithm);
    }
    check_announced(headers, &given)?;
    Ok(given)
}

/// `x-amz-sdk-checksum-algorithm` announces a checksum: it must be there.
fn check_announced(headers: &HeaderMap, given: &Given) -> S3Result<()> {
    let Some(announced) = headers.get("x-amz-sdk-checksum-algorithm") else { return Ok(()) };
    let Some(algorithm) = announced.to_str().ok().and_then(Algorithm::from_label) else {
        return Err(invalid("The value for the x-amz-sdk-checksum-algorithm header is invalid.".to_owned()));
    };
    match given {
        Given::Header(given, _) | Given::Trailer(given) if *given == algorithm => Ok(()),
        _ => Err(invalid(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer \
             headers were found."
                .to_owned(),
        )),
    }
}

fn trailer(algorithm: Algorithm, trailers: Option<&TrailingHeaders>) -> S3Result<Vec<u8>> {
    let value = trailers
        .and_then(|trailers| trailers.read(|map| map.get(algorithm.header()).cloned()).flatten())
        .ok_or_else(|| {
            S3Error::with_message(
                S3ErrorCode::Custom("MalformedTrailerError".into()),
                "The request announced a trailing checksum that did not come.",
            )
        })
        .map_err(|mut error| {
            error.set_status_code(hyper::StatusCode::BAD_REQUEST);
            error
        })?;
    decode(&value, algorithm.length())
        .ok_or_else(|| invalid(format!("The value for the {} trailer is invalid.", algorithm.header())))
}

fn decode(value: &HeaderValue, length: usize) -> Option<Vec<u8>> {
    let bytes = base64_simd::STANDARD.decode_to_vec(value.as_bytes()).ok()?;
    (bytes.len() == length).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(pairs: &[(&'static str, &'static str)]) -> S3Result<Expected> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        Expected::of(&headers)
    }

    fn code(pairs: &[(&'static str, &'static str)], contents: &[u8]) -> Option<String> {
        let verdict = expected(pairs).and_then(|expected| {
            let mut digests = expected.digests(None);
            digests.update(contents);
            expected.verify(&digests.finish(), None)
        });
        verdict.err().map(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn what_is_given_is_verified() {
        // Of "123456789", the check value of every CRC.
        for (name, value) in [
            ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
            ("x-amz-checksum-crc32", "y/Q5Jg=="),
            ("x-amz-checksum-crc32c", "4waSgw=="),
            ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
            ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
            ("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ] {
            assert_eq!(code(&[(name, value)], b"123456789"), None, "{name}");
            assert_eq!(code(&[(name, value)], b"123456780").as_deref(), Some("BadDigest"), "{name}");
        }
    }

    #[test]
    fn headers_must_be_consistent() {
        for (pairs, error) in [
            (&[("content-md5", "AAAA")][..], "InvalidDigest"),
            (&[("x-amz-checksum-crc32", "AAAA")][..], "BadDigest"),
            (
                &[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-crc32c", "4waSgw==")][..],
                "InvalidRequest",
            ),
            (
                &[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-trailer", "x-amz-checksum-crc32")][..],
                "InvalidRequest",
            ),
            (&[("x-amz-trailer", "x-amz-checksum-crc64")][..], "InvalidRequest"),
            (&[("x-amz-sdk-checksum-algorithm", "CRC32")][..], "InvalidRequest"),
            (
                &[("x-amz-sdk-checksum-algorithm", "CRC32C"), ("x-amz-checksum-crc32", "y/Q5Jg==")][..],
                "InvalidRequest",
            ),
            (&[("x-amz-sdk-checksum-algorithm", "CRC9")][..], "InvalidRequest"),
            (&[("x-amz-trailer", "x-amz-checksum-crc32")][..], "MalformedTrailerError"),
        ] {
            assert_eq!(code(pairs, b"123456789").as_deref(), Some(error), "{pairs:?}");
        }
    }
}
