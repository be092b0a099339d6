//! What is checked of a request's authentication before the dispatcher sees it.
//!
//! The dispatcher verifies signatures: that the secret key's holder signed what the canonical request covers. It
//! leaves open what must be covered, and for whom. Without this check a holder of a presigned PUT URL could add an
//! unsigned `x-amz-copy-source` and read what its signer can read. In order:
//!
//! 1. One way of authentication, and only Signature Version 4 with HMAC-SHA256: Version 2 and doubled credentials are
//!    refused. Requests without any pass as anonymous ones; what those may do is decided later (`access`).
//! 2. The scope names this region and the service `s3`.
//! 3. A presigned URL lives for a week at most.
//! 4. `host` is signed, and so is every `x-amz-` header, each present once. Exempt are those that the signature covers
//!    by itself (`x-amz-content-sha256`, and `x-amz-date` of signed headers) or that ask for nothing.
//! 5. Headers that a presigned URL carries as signed query parameters (as the JavaScript SDK does) become headers. Not so
//!    a checksum of empty contents: that SDK puts one into every presigned URL of an upload, whose contents it does not
//!    know, and Amazon's S3 takes no checksums from parameters at all. Any other is somebody's demand, and is held to.
//!    A signed `date` stands in for `x-amz-date`.
//! 6. Every `x-amz-` header is one that this surface honours ([`features`]).
//! 7. A `range` that is not one range of bytes is dropped: the whole is the answer to it (RFC 9110 section 14.2). Not so
//!    where the signature covers it, which would not hold without: the dispatcher refuses it.
//!
//! Names are compared exactly as the dispatcher compares them: what is signed for one is signed for the other.

use crate::{
    digest::{Algorithm, base64, sum},
    encryption,
    features::{self, PREFIX},
    form,
    refusal::Refusal,
};
use hyper::{
    HeaderMap, Method, StatusCode,
    header::{self, HeaderName, HeaderValue},
    http::request::Parts,
};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc2822};

/// The longest life of a presigned URL: a week, in seconds.
const EXPIRES_MAX_S: u32 = 7 * 24 * 60 * 60;
/// The only algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Query parameters of a presigned URL that are no headers.
const PRESIGN: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// What requests are measured by.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) region: String,
    pub(crate) owner: String,
}

/// What a request says of its signature.
struct Claim<'a> {
    credential: &'a str,
    signed: Vec<&'a str>,
    presigned: bool,
}

impl Guard {
    /// Refuses the request, or leaves it with all that is signed among its headers.
    pub(crate) fn check(&self, parts: &mut Parts) -> Result<(), Refusal> {
        let query = query(parts)?;
        let Some(claim) = claim(parts, &query)? else {
            check_anonymous(&parts.headers, &query)?;
            if !has_one_range(&parts.headers) {
                parts.headers.remove(header::RANGE);
            }
            encryption::check(&parts.method, &parts.headers)?;
            return features::check(&parts.headers, &self.owner);
        };
        self.check_form(&claim)?;
        check_signed(&parts.headers, &claim)?;
        let date = signed_date(&parts.headers, &claim);
        let hoisted = if claim.presigned { hoisted(&parts.headers, &query)? } else { Vec::new() };
        let drops_range = !claim.signed.contains(&header::RANGE.as_str()) && !has_one_range(&parts.headers);
        if let Some(date) = date {
            parts.headers.insert("x-amz-date", date);
        }
        parts.headers.extend(hoisted.into_iter().map(|(name, value)| (Some(name), value)));
        if drops_range {
            parts.headers.remove(header::RANGE);
        }
        encryption::check(&parts.method, &parts.headers)?;
        features::check(&parts.headers, &self.owner)
    }

    fn check_form(&self, claim: &Claim<'_>) -> Result<(), Refusal> {
        let malformed = |message: String| {
            let code = if claim.presigned {
                "AuthorizationQueryParametersError"
            } else {
                "AuthorizationHeaderMalformed"
            };
            Refusal::bad_request(code, message)
        };
        let scope: Vec<&str> = claim.credential.split('/').collect();
        let [_, _, region, service, "aws4_request"] = scope[..] else {
            return Err(malformed("The credential must be KEY/YYYYMMDD/REGION/s3/aws4_request.".to_owned()));
        };
        let is_name = |name: &&str| {
            let is_lower =
                |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_' | b'.');
            !name.is_empty() && name.bytes().all(is_lower)
        };
        if !claim.signed.iter().all(is_name) {
            return Err(malformed("SignedHeaders must be names in lower case, separated by ';'.".to_owned()));
        }
        if service != "s3" {
            return Err(malformed(format!("The service of the credential is '{service}'; expecting 's3'.")));
        }
        if region != self.region {
            let message = format!("The region '{region}' is wrong; expecting '{}'.", self.region);
            return Err(malformed(message).with("Region", &self.region));
        }
        Ok(())
    }
}

fn query(parts: &Parts) -> Result<Vec<(String, String)>, Refusal> {
    serde_urlencoded::from_str(parts.uri.query().unwrap_or_default())
        .map_err(|_| Refusal::bad_request("InvalidURI", "The query cannot be decoded."))
}

/// `None` of an anonymous request.
fn claim<'a>(parts: &'a Parts, query: &'a [(String, String)]) -> Result<Option<Claim<'a>>, Refusal> {
    let mut authorizations = parts.headers.get_all(header::AUTHORIZATION).iter();
    let authorization = authorizations.next();
    let presigned = query.iter().any(|(name, _)| name == "X-Amz-Signature");
    let version_2 = query.iter().any(|(name, _)| name == "Signature" || name == "AWSAccessKeyId")
        || authorization.is_some_and(|value| value.as_bytes().starts_with(b"AWS "));
    if version_2 {
        return Err(Refusal::bad_request(
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        ));
    }
    if parts.method == Method::POST && form::is_form(&parts.headers) {
        // The dispatcher would gather it in memory. Those that are posted to a bucket do not come here.
        return Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "Forms are posted to a bucket, without a key in the address.",
        ));
    }
    match (authorization, presigned) {
        _ if authorizations.next().is_some() => Err(one_mechanism()),
        (Some(_), true) => Err(one_mechanism()),
        (Some(value), false) => header_claim(value).map(Some),
        (None, true) => query_claim(query).map(Some),
        (None, false) => Ok(None),
    }
}

fn one_mechanism() -> Refusal {
    Refusal::bad_request("InvalidArgument", "Only one auth mechanism allowed.")
}

/// Reads `AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...`, in this order.
fn header_claim(value: &HeaderValue) -> Result<Claim<'_>, Refusal> {
    let malformed = || {
        Refusal::bad_request(
            "AuthorizationHeaderMalformed",
            "The authorization header must be AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...",
        )
    };
    let text = value.to_str().map_err(|_| malformed())?;
    let (algorithm, fields) = text.split_once(' ').ok_or_else(malformed)?;
    // Not trimmed at the end: to the dispatcher `x-amz-date ` is another name than `x-amz-date`.
    let fields: Vec<&str> = fields.split(',').map(str::trim_start).collect();
    let [credential, signed, signature] = fields[..] else { return Err(malformed()) };
    let credential = credential.strip_prefix("Credential=").ok_or_else(malformed)?;
    let signed = signed.strip_prefix("SignedHeaders=").ok_or_else(malformed)?;
    signature.strip_prefix("Signature=").ok_or_else(malformed)?;
    if algorithm != ALGORITHM {
        return Err(Refusal::not_implemented("Only AWS4-HMAC-SHA256 signatures are implemented."));
    }
    Ok(Claim { credential, signed: signed.split(';').collect(), presigned: false })
}

fn query_claim(query: &[(String, String)]) -> Result<Claim<'_>, Refusal> {
    let malformed =
        |message: &'static str| Refusal::bad_request("AuthorizationQueryParametersError", message);
    let parameter = |name: &str| {
        let mut values = query.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    };
    let (Some(algorithm), Some(credential), Some(signed), Some(expires), Some(_), Some(_)) = (
        parameter("X-Amz-Algorithm"),
        parameter("X-Amz-Credential"),
        parameter("X-Amz-SignedHeaders"),
        parameter("X-Amz-Expires"),
        parameter("X-Amz-Date"),
        parameter("X-Amz-Signature"),
    ) else {
        return Err(malformed(
            "Query-string authentication needs X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, \
             X-Amz-SignedHeaders and X-Amz-Expires, each once.",
        ));
    };
    if algorithm != ALGORITHM {
        return Err(malformed("X-Amz-Algorithm only supports AWS4-HMAC-SHA256."));
    }
    match expires.parse::<u32>() {
        Ok(1..=EXPIRES_MAX_S) => {}
        Ok(0) => return Err(expired()),
        Ok(_) => return Err(malformed("X-Amz-Expires must be less than a week (in seconds).")),
        Err(_) if is_negative(expires) => return Err(expired()),
        Err(_) => return Err(malformed("X-Amz-Expires should be a number.")),
    }
    Ok(Claim { credential, signed: signed.split(';').collect(), presigned: true })
}

/// Nothing of an anonymous request is signed, so it must not look as if: a presigned URL that lost its signature, or a body
/// in a form that only signatures tell how to read.
fn check_anonymous(headers: &HeaderMap, query: &[(String, String)]) -> Result<(), Refusal> {
    if query.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with(PREFIX)) {
        return Err(Refusal::forbidden("AccessDenied", "The signature of a presigned request is missing."));
    }
    let payload = headers.get("x-amz-content-sha256");
    if payload.is_some_and(|payload| payload != "UNSIGNED-PAYLOAD") {
        let message = "The x-amz-content-sha256 of an anonymous request must be UNSIGNED-PAYLOAD.";
        return Err(Refusal::bad_request("InvalidRequest", message));
    }
    check_values(headers)
}

/// What a URL is answered that never was in time.
fn expired() -> Refusal {
    Refusal::forbidden("AccessDenied", "Request has expired")
}

fn is_negative(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn check_signed(headers: &HeaderMap, claim: &Claim<'_>) -> Result<(), Refusal> {
    let exempt = |name: &str| match name {
        "x-amz-content-sha256" | "x-amz-user-agent" => true,
        "x-amz-date" => !claim.presigned,
        _ => false,
    };
    let mut unsigned: Vec<&str> = headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| name.starts_with(PREFIX) && !exempt(name) && !claim.signed.contains(name))
        .collect();
    if !claim.signed.contains(&"host") {
        unsigned.push("host");
    }
    if !unsigned.is_empty() {
        unsigned.sort_unstable();
        let message = "There were headers present in the request which were not signed.";
        return Err(Refusal::forbidden("AccessDenied", message).with("HeadersNotSigned", unsigned.join(",")));
    }
    check_values(headers)
}

/// The dispatcher leaves values that are not UTF-8 out of what it verifies, and S3 knows no repeated `x-amz-` header.
fn check_values(headers: &HeaderMap) -> Result<(), Refusal> {
    for name in headers.keys() {
        if !name.as_str().starts_with(PREFIX) && *name != header::HOST {
            continue;
        }
        let mut values = headers.get_all(name).iter();
        let text = values.next().is_some_and(|value| std::str::from_utf8(value.as_bytes()).is_ok());
        if !text || values.next().is_some() {
            let message = format!("Header {name} must be given once, in UTF-8.");
            return Err(Refusal::bad_request("InvalidArgument", message));
        }
    }
    Ok(())
}

/// The moment of a signature whose client signs the header `date` instead of `x-amz-date`, in the form of the latter, which
/// is what the signature covers besides.
fn signed_date(headers: &HeaderMap, claim: &Claim<'_>) -> Option<HeaderValue> {
    if claim.presigned || headers.contains_key("x-amz-date") || !claim.signed.contains(&"date") {
        return None;
    }
    let text = headers.get(header::DATE)?.to_str().ok()?;
    // botocore writes the zone as `-0000`, which RFC 2822 has and HTTP has not.
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?.to_offset(UtcOffset::UTC);
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second) = (date.hour(), date.minute(), date.second());
    let text = format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z");
    HeaderValue::try_from(text).ok()
}

fn has_one_range(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::RANGE).iter();
    let range = values.next().and_then(|value| s3s::dto::Range::parse(value.to_str().ok()?).ok());
    range.is_some() && values.next().is_none()
}

/// Whether a parameter is a checksum of empty contents.
fn is_sum_of_nothing(name: &str, value: &str) -> bool {
    let algorithm =
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name));
    algorithm.is_some_and(|algorithm| value == base64(&sum(algorithm, &[])))
}

/// The headers that travel as parameters of a presigned URL. All its parameters are signed.
fn hoisted(
    headers: &HeaderMap,
    query: &[(String, String)],
) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
    let mut hoisted: Vec<(HeaderName, HeaderValue)> = Vec::new();
    let announces_nothing = query.iter().any(|(name, value)| is_sum_of_nothing(name, value));
    for (name, value) in query {
        if is_sum_of_nothing(name, value) {
            continue;
        }
        let name = name.to_ascii_lowercase();
        if !name.starts_with(PREFIX)
            || PRESIGN.contains(&name.as_str())
            || (announces_nothing && name == "x-amz-sdk-checksum-algorithm")
        {
            continue;
        }
        let header = HeaderName::try_from(&name).ok().zip(HeaderValue::try_from(value).ok());
        let Some((header, value)) = header else {
            return Err(Refusal::bad_request("InvalidArgument", format!("Parameter {name} is no header.")));
        };
        if headers.contains_key(&header) || hoisted.iter().any(|(other, _)| *other == header) {
            return Err(Refusal::bad_request("InvalidArgument", format!("{name} is given more than once.")));
        }
        hoisted.push((header, value));
    }
    Ok(hoisted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    const SCOPE: &str = "AK/20261122/us-east-1/s3/aws4_request";

    fn check(uri: &str, headers: &[(&str, &str)]) -> Result<Parts, Refusal> {
        let mut request = Request::put(uri).header("host", "h");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).expect("valid request").into_parts();
        let guard = Guard { region: "us-east-1".to_owned(), owner: "me".to_owned() };
        guard.check(&mut parts).map(|()| parts)
    }

    fn authorization(scope: &str, signed: &str) -> String {
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature=00")
    }

    fn signed(signed: &str, extra: &[(&str, &str)]) -> Result<Parts, Refusal> {
        let authorization = authorization(SCOPE, signed);
        let mut headers = vec![("authorization", authorization.as_str()), ("x-amz-date", "20261122T000000Z")];
        headers.extend(extra);
        check("/b/k", &headers)
    }

    fn presigned(expires: &str, more: &str) -> String {
        format!(
            "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date=20261122T000000Z\
             &X-Amz-Expires={expires}&X-Amz-SignedHeaders=host&X-Amz-Signature=00{more}",
            SCOPE.replace('/', "%2F")
        )
    }

    fn code(result: Result<Parts, Refusal>) -> (StatusCode, &'static str) {
        let refusal = result.expect_err("must be refused");
        (refusal.status, refusal.code)
    }

    #[test]
    fn what_clients_sign_passes() {
        signed("host;x-amz-content-sha256;x-amz-date", &[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")])
            .expect("header signature");
        signed("host;x-amz-meta-a", &[("x-amz-meta-a", "1"), ("x-amz-user-agent", "x")]).expect("metadata");
        check(&presigned("604800", ""), &[]).expect("presigned");
        check(&presigned("1", ""), &[("x-amz-content-sha256", "00")]).expect("stricter than signed");
    }

    #[test]
    fn unsigned_headers_are_refused() {
        let denied = (StatusCode::FORBIDDEN, "AccessDenied");
        assert_eq!(code(signed("x-amz-date", &[])), denied);
        for header in ["x-amz-copy-source", "x-amz-meta-a", "x-amz-acl", "x-amz-object-lock-mode"] {
            assert_eq!(code(signed("host;x-amz-date", &[(header, "x")])), denied, "{header}");
            assert_eq!(code(check(&presigned("60", ""), &[(header, "x")])), denied, "{header}");
            // Names that the dispatcher would not find are not names.
            for listed in [header.to_ascii_uppercase(), format!("{header} "), format!(" {header}")] {
                let refused = (StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed");
                assert_eq!(code(signed(&format!("host;{listed}"), &[(header, "x")])), refused, "{listed}");
            }
        }
        assert_eq!(code(check(&presigned("60", ""), &[("x-amz-date", "x")])), denied);
    }

    #[test]
    fn other_ways_and_scopes_are_refused() {
        let bad = StatusCode::BAD_REQUEST;
        check("/b/k", &[]).expect("anonymous: access decides");
        check("/b/k", &[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]).expect("anonymous");
        assert_eq!(code(check("/b/k", &[("x-amz-content-sha256", "00")])), (bad, "InvalidRequest"));
        let streaming = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        assert_eq!(code(check("/b/k", &[streaming])), (bad, "InvalidRequest"));
        let unfinished = check("/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261122T000000Z", &[]);
        assert_eq!(code(unfinished), (StatusCode::FORBIDDEN, "AccessDenied"));
        assert_eq!(code(check("/b/k", &[("authorization", "AWS AK:sig")])), (bad, "InvalidRequest"));
        assert_eq!(code(check("/b/k?%53ignature=x&Expires=1", &[])), (bad, "InvalidRequest"));
        let both = authorization(SCOPE, "host");
        assert_eq!(code(check(&presigned("60", ""), &[("authorization", &both)])), (bad, "InvalidArgument"));
        for scope in [
            "AK/20261122/eu-west-1/s3/aws4_request",
            "AK/20261122/us-east-1/sts/aws4_request",
            "AK/us-east-1/s3",
        ] {
            let header = authorization(scope, "host");
            assert_eq!(
                code(check("/b/k", &[("authorization", &header)])),
                (bad, "AuthorizationHeaderMalformed")
            );
        }
        let ecdsa = authorization(SCOPE, "host").replace("HMAC", "ECDSA-P256");
        assert_eq!(code(check("/b/k", &[("authorization", &ecdsa)])).0, StatusCode::NOT_IMPLEMENTED);
        for garbage in ["", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 SignedHeaders=host", "Bearer x"] {
            assert_eq!(
                code(check("/b/k", &[("authorization", garbage)])),
                (bad, "AuthorizationHeaderMalformed")
            );
        }
    }

    #[test]
    fn presigned_urls_live_a_week_at_most() {
        for expires in ["0", "-1", "-1000"] {
            let refused = (StatusCode::FORBIDDEN, "AccessDenied");
            assert_eq!(code(check(&presigned(expires, ""), &[])), refused, "{expires}");
        }
        for expires in ["604801", "2592000", "-", "-x", "", "x", "99999999999"] {
            let refused = (StatusCode::BAD_REQUEST, "AuthorizationQueryParametersError");
            assert_eq!(code(check(&presigned(expires, ""), &[])), refused, "{expires}");
        }
        assert_eq!(
            code(check(&presigned("60", "&X-Amz-Expires=60"), &[])).1,
            "AuthorizationQueryParametersError"
        );
    }

    #[test]
    fn signed_parameters_become_headers() {
        let parts = check(&presigned("60", "&x-amz-meta-A=1&x-id=PutObject"), &[]).expect("presigned");
        assert_eq!(parts.headers["x-amz-meta-a"], "1");
        assert_eq!(parts.headers.len(), 2);
        let refused = (StatusCode::BAD_REQUEST, "InvalidArgument");
        assert_eq!(code(check(&presigned("60", "&x-amz-meta-a=1&X-Amz-Meta-A=2"), &[])), refused);
        assert_eq!(
            code(check(&presigned("60", "&X-Amz-Security-Token=t"), &[])),
            (StatusCode::BAD_REQUEST, "InvalidToken")
        );
        assert_eq!(
            code(check(&presigned("60", "&x-amz-acl=public-read"), &[])),
            (StatusCode::BAD_REQUEST, "AccessControlListNotSupported")
        );
    }

    #[test]
    fn a_parameter_with_the_checksum_of_nothing_is_none() {
        for (name, of_nothing, other) in [
            ("x-amz-checksum-crc32", "AAAAAA%3D%3D", "AAAAAQ%3D%3D"),
            ("X-Amz-Checksum-Crc64nvme", "AAAAAAAAAAA%3D", "AAAAAAAAAAE%3D"),
            (
                "x-amz-checksum-sha256",
                "47DEQpj8HBSa%2B%2FTImW%2B5JCeuQeRkm5NMpJWZG3hSuFU%3D",
                "57DEQpj8HBSa%2B%2FTImW%2B5JCeuQeRkm5NMpJWZG3hSuFU%3D",
            ),
        ] {
            let with = |value| {
                let extra = format!("&{name}={value}&x-amz-sdk-checksum-algorithm=A");
                let headers = check(&presigned("60", &extra), &[]).expect("presigned").headers;
                [name, "x-amz-sdk-checksum-algorithm"].map(|name| headers.contains_key(name))
            };
            assert_eq!(with(of_nothing), [false; 2], "{name}");
            assert_eq!(with(other), [true; 2], "{name}");
        }
        let header = signed("host;x-amz-checksum-crc32", &[("x-amz-checksum-crc32", "AAAAAA==")]);
        assert!(header.expect("signed").headers.contains_key("x-amz-checksum-crc32"), "a header is meant");
    }

    #[test]
    fn ranges_that_are_not_one_are_dropped() {
        for (range, kept) in [
            ("bytes=0-1", true),
            ("bytes=9-", true),
            ("bytes=-5", true),
            ("bytes=5-4", false),
            ("bytes=0-1,4-5", false),
            ("bytes", false),
            ("lines=1-2", false),
        ] {
            let parts = check(&presigned("60", ""), &[("range", range)]).expect("presigned");
            assert_eq!(parts.headers.contains_key("range"), kept, "{range}");
            let parts = signed("host;range", &[("range", range)]).expect("signed");
            assert!(parts.headers.contains_key("range"), "the signature covers it");
        }
        let twice = check(&presigned("60", ""), &[("range", "bytes=0-1"), ("range", "bytes=4-5")]);
        assert!(!twice.expect("presigned").headers.contains_key("range"));
    }

    #[test]
    fn headers_come_once() {
        let twice = signed("host;x-amz-meta-a", &[("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")]);
        assert_eq!(code(twice), (StatusCode::BAD_REQUEST, "InvalidArgument"));
    }
}
