//! Uploads by forms: POST to a bucket, allowed by a policy that an access key's holder signed.
//!
//! 1. The fields are read (`form`). Signature Version 2 is refused; a form without any is anybody's, and goes on at 5.
//! 2. The credential's scope names this region and `s3`, and its day is that of `x-amz-date`, which is at most a week ago.
//! 3. The signature is the key's over the policy. Only then the policy is parsed.
//! 4. The policy has not expired, all its conditions hold, and every field but those of the signature itself is in one
//!    (or begins with `x-ignore-`). Conditions are held against what is used: `${filename}` is replaced before.
//! 5. The fields become the headers of a PUT, which must be honoured or refused like any, and must be allowed to
//!    the key as any.
//! 6. The file is put as it comes, within the policy's `content-length-range`; the answer is what the form asks for.

use crate::{
    access::Admission,
    body::{Inbound, Verdict},
    encryption, features,
    form::{self, Bounds, Fields, Form},
    rates::Rates,
    refusal::Refusal,
};
use aws_lc_rs::{constant_time, hmac};
use hyper::{
    HeaderMap, Response, StatusCode, Uri,
    header::{self, HeaderName, HeaderValue},
    http::request::Parts,
};
use s3s::{
    Body, S3, S3Request,
    auth::{Credentials, SecretKey},
    dto::*,
    path::S3Path,
    post_policy::{PostPolicy, PostPolicyCondition},
    xml::{Deserialize as _, Deserializer},
};
use std::{collections::BTreeMap, sync::Arc};
use time::{Duration, OffsetDateTime};

/// How long ago a policy may have been signed: as long as a presigned URL may live.
const AGE_MAX: Duration = Duration::days(7);
/// How far clocks may be apart.
const SKEW_MAX: Duration = Duration::minutes(15);
/// Bytes of a file: S3's limit of one request.
const FILE_MAX: u64 = crate::edge::BODY_MAX;

/// Fields that need no condition: the signature and what it covers, and the file.
const EXEMPT: &[&str] = &["policy", "x-amz-signature", "file"];
/// Fields that are no headers of the object.
const SIGNATURE: &[&str] =
    &["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature"];
/// Fields that are headers by their own names.
const HEADERS: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
];

/// Answers forms.
pub(crate) struct Forms {
    pub(crate) surface: Box<dyn S3>,
    pub(crate) keys: Arc<BTreeMap<String, SecretKey>>,
    pub(crate) gate: Box<dyn Admission>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) region: String,
    pub(crate) owner: String,
}

fn denied(message: impl Into<String>) -> Refusal {
    Refusal::forbidden("AccessDenied", message.into())
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::bad_request("InvalidArgument", message.into())
}

impl Forms {
    /// Answers a form that was posted to a bucket. What is wrong with its body is left in `verdict`.
    pub(crate) async fn answer(
        &self,
        bucket: &str,
        parts: &Parts,
        inbound: Inbound,
        verdict: &Verdict,
    ) -> Result<Response<Body>, Refusal> {
        if parts.headers.contains_key(header::AUTHORIZATION)
            || parts.uri.query().is_some_and(|query| !query.is_empty())
        {
            return Err(invalid("A form has its authentication and settings in its fields."));
        }
        let Form { fields, file } = form::read(&parts.headers, inbound).await?;
        let credentials = self.authenticate(&fields)?;
        let bounds = match &credentials {
            None => Bounds { min: 0, max: FILE_MAX },
            Some(credentials) => {
                self.rates.check(&credentials.access_key).map_err(|cause| Refusal::of(&cause))?;
                let policy = PostPolicy::from_base64(&fields["policy"]).map_err(|cause| {
                    Refusal::bad_request("InvalidPolicyDocument", format!("Invalid Policy: {cause}."))
                })?;
                check(&policy, bucket, &fields, OffsetDateTime::now_utc())?
            }
        };
        let key = fields.get("key").filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| invalid("Bucket POST must contain a field named 'key'."))?;
        let headers = self.headers(&fields)?;
        let path = S3Path::Object { bucket: bucket.into(), key: key.as_str().into() };
        let admitted = self.gate.to_put(credentials.as_ref(), &path, &headers).await;
        admitted.map_err(|cause| Refusal::of(&cause))?;
        let input = input(bucket, key, &headers, StreamingBlob::new(file.bounded(bounds)))?;
        let request = S3Request {
            input,
            method: hyper::Method::PUT,
            uri: parts.uri.clone(),
            headers,
            extensions: hyper::http::Extensions::new(),
            credentials,
            region: None,
            service: None,
            trailing_headers: None,
        };
        let put = self.surface.put_object(request).await;
        match (put, verdict.get()) {
            (Ok(done), _) => Ok(success(bucket, key, &fields, &done.output)),
            (Err(_), Some(refusal)) => Err(refusal.clone()),
            (Err(cause), None) => Err(Refusal::of(&cause)),
        }
    }

    /// Whose form it is; `None`: anybody's. Errors: AccessDenied, InvalidRequest, InvalidArgument, InvalidToken, InvalidAccessKeyId,
    /// SignatureDoesNotMatch.
    fn authenticate(&self, fields: &Fields) -> Result<Option<Credentials>, Refusal> {
        if fields.contains_key("awsaccesskeyid") || fields.contains_key("signature") {
            return Err(Refusal::bad_request(
                "InvalidRequest",
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
            ));
        }
        if fields.contains_key("x-amz-security-token") {
            return Err(Refusal::bad_request("InvalidToken", "This gateway issues no session tokens."));
        }
        let names = ["policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];
        if names.iter().all(|name| !fields.contains_key(*name)) {
            return Ok(None);
        }
        let field = |name: &str| {
            let missing = || invalid(format!("Bucket POST must contain a field named '{name}'."));
            fields.get(name).map(String::as_str).ok_or_else(missing)
        };
        let [policy, algorithm, credential, date, signature] = names;
        let (policy, signature) = (field(policy)?, field(signature)?);
        if field(algorithm)? != "AWS4-HMAC-SHA256" {
            return Err(invalid("X-Amz-Algorithm only supports AWS4-HMAC-SHA256."));
        }
        let credential: Vec<&str> = field(credential)?.split('/').collect();
        let [access_key, day, region, "s3", "aws4_request"] = credential[..] else {
            return Err(invalid("The credential must be KEY/YYYYMMDD/REGION/s3/aws4_request."));
        };
        if region != self.region {
            let message = format!("The region '{region}' is wrong; expecting '{}'.", self.region);
            return Err(invalid(message).with("Region", &self.region));
        }
        let date = field(date)?;
        let signed_at =
            amz_date(date).ok_or_else(|| invalid("X-Amz-Date must be in the form YYYYMMDDTHHMMSSZ."))?;
        let now = OffsetDateTime::now_utc();
        if &date[..8] != day || signed_at > now + SKEW_MAX || signed_at < now - AGE_MAX {
            return Err(denied("Request has expired, or its date is not the credential's."));
        }
        let secret = self.keys.get(access_key).ok_or_else(|| {
            let message = "The access key you provided does not exist in our records.";
            Refusal::forbidden("InvalidAccessKeyId", message)
        })?;
        let expected = crate::digest::hex(sign(secret, day, region, policy).as_ref());
        constant_time::verify_slices_are_equal(expected.as_bytes(), signature.as_bytes()).map_err(|_| {
            Refusal::forbidden(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and \
                 signing method.",
            )
        })?;
        Ok(Some(Credentials { access_key: access_key.to_owned(), secret_key: secret.clone() }))
    }

    /// The headers of the PUT that the form stands for.
    fn headers(&self, fields: &Fields) -> Result<HeaderMap, Refusal> {
        let mut headers = HeaderMap::new();
        let mut set = |name: &str, value: &str| {
            let header = HeaderName::try_from(name).ok().zip(HeaderValue::from_bytes(value.as_bytes()).ok());
            let (name, value) = header.ok_or_else(|| invalid(format!("The field {name} is no header.")))?;
            headers.insert(name, value);
            Ok::<(), Refusal>(())
        };
        for (name, value) in fields {
            match name.as_str() {
                "acl" => set("x-amz-acl", value)?,
                "tagging" => set("x-amz-tagging", &tags(value)?)?,
                name if SIGNATURE.contains(&name) => {}
                name if HEADERS.contains(&name) || name.starts_with(features::PREFIX) => set(name, value)?,
                _ => {}
            }
        }
        encryption::check(&hyper::Method::PUT, &headers)?;
        features::check(&headers, &self.owner)?;
        Ok(headers)
    }
}

/// The signature of a policy.
fn sign(secret: &SecretKey, day: &str, region: &str, policy: &str) -> hmac::Tag {
    let step = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let mut key = step(format!("AWS4{}", secret.expose()).as_bytes(), day);
    for text in [region, "s3", "aws4_request"] {
        key = step(key.as_ref(), text);
    }
    step(key.as_ref(), policy)
}

/// Reads `YYYYMMDDTHHMMSSZ`.
fn amz_date(text: &str) -> Option<OffsetDateTime> {
    let digits = |range: std::ops::Range<usize>| -> Option<&str> {
        text.get(range).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if text.len() != 16 || text.get(8..9) != Some("T") || text.get(15..) != Some("Z") {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(4..6)?, digits(6..8)?);
    let (hour, minute, second) = (digits(9..11)?, digits(11..13)?, digits(13..15)?);
    let iso = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    Timestamp::parse(TimestampFormat::DateTime, &iso).ok().map(OffsetDateTime::from)
}

/// Holds the form against its policy. Errors: AccessDenied.
fn check(policy: &PostPolicy, bucket: &str, fields: &Fields, now: OffsetDateTime) -> Result<Bounds, Refusal> {
    if now >= OffsetDateTime::from(policy.expiration.clone()) {
        return Err(denied("Invalid according to Policy: Policy expired."));
    }
    let value = |name: &str| match name {
        "bucket" => Some(bucket),
        name => fields.get(name).map(String::as_str),
    };
    if fields.get("bucket").is_some_and(|given| given != bucket) {
        return Err(denied("Invalid according to Policy: the form names another bucket than its address."));
    }
    let mut bounds = Bounds { min: 0, max: FILE_MAX };
    let mut named = vec!["bucket"];
    for condition in &policy.conditions {
        let (name, holds) = match condition {
            PostPolicyCondition::Eq { field, value: wanted } => {
                (field, value(field) == Some(wanted.as_str()))
            }
            PostPolicyCondition::StartsWith { field, prefix } => {
                (field, value(field).is_some_and(|value| value.starts_with(prefix.as_str())))
            }
            PostPolicyCondition::ContentLengthRange { min, max } => {
                bounds = Bounds { min: bounds.min.max(*min), max: bounds.max.min(*max) };
                continue;
            }
        };
        if !holds {
            return Err(denied(format!("Invalid according to Policy: Policy Condition failed: ${name}")));
        }
        named.push(name);
    }
    // `acl` is a field of its own, and the header that it stands for is none.
    let covered =
        |name: &str| EXEMPT.contains(&name) || name.starts_with("x-ignore-") || named.contains(&name);
    match fields.keys().find(|name| !covered(name)) {
        Some(extra) => Err(denied(format!("Invalid according to Policy: Extra input fields: {extra}"))),
        None => Ok(bounds),
    }
}

/// Tags as forms carry them (XML), as the header carries them.
fn tags(document: &str) -> Result<String, Refusal> {
    let malformed = || Refusal::bad_request("MalformedXML", "The field tagging is not a Tagging document.");
    let mut deserializer = Deserializer::new(document.as_bytes());
    let tagging = Tagging::deserialize(&mut deserializer).map_err(|_| malformed())?;
    let pair = |tag: Tag| tag.key.zip(tag.value).ok_or_else(malformed);
    let pairs = tagging.tag_set.into_iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    serde_urlencoded::to_string(pairs).map_err(|_| malformed())
}

/// The PUT that the form stands for.
fn input(
    bucket: &str,
    key: &str,
    headers: &HeaderMap,
    body: StreamingBlob,
) -> Result<PutObjectInput, Refusal> {
    let header = |name: &str| {
        let value = headers.get(name)?;
        std::str::from_utf8(value.as_bytes()).ok().map(str::to_owned)
    };
    let date = |name: &str, format: TimestampFormat| match header(name) {
        None => Ok(None),
        Some(text) => {
            let parsed = Timestamp::parse(format, &text);
            parsed.map(Some).map_err(|_| invalid(format!("The field {name} is no date.")))
        }
    };
    let user = headers.keys().filter_map(|name| {
        let user = name.as_str().strip_prefix("x-amz-meta-")?;
        Some((user.to_owned(), header(name.as_str())?))
    });
    let input = PutObjectInput::builder()
        .bucket(bucket.to_owned())
        .key(key.to_owned())
        .body(Some(body))
        .cache_control(header("cache-control"))
        .content_disposition(header("content-disposition"))
        .content_encoding(header("content-encoding"))
        .content_language(header("content-language"))
        .content_type(header("content-type"))
        .expires(date("expires", TimestampFormat::HttpDate)?)
        .metadata(Some(user.collect()))
        .tagging(header("x-amz-tagging"))
        .object_lock_mode(header("x-amz-object-lock-mode").map(Into::into))
        .object_lock_retain_until_date(date(
            "x-amz-object-lock-retain-until-date",
            TimestampFormat::DateTime,
        )?)
        .object_lock_legal_hold_status(header("x-amz-object-lock-legal-hold").map(Into::into))
        .server_side_encryption(header("x-amz-server-side-encryption").map(Into::into))
        .sse_customer_algorithm(header("x-amz-server-side-encryption-customer-algorithm"))
        .sse_customer_key(header("x-amz-server-side-encryption-customer-key"))
        .sse_customer_key_md5(header("x-amz-server-side-encryption-customer-key-md5"))
        .build();
    input.map_err(|_| invalid("The form lacks a bucket or a key."))
}

/// What the form asks to be answered: a redirect, 200, 201 with a document, or 204.
fn success(bucket: &str, key: &str, fields: &Fields, done: &PutObjectOutput) -> Response<Body> {
    let etag = done.e_tag.as_ref().map(|etag| format!("\"{}\"", etag.value())).unwrap_or_default();
    let path = format!("/{bucket}/{}", crate::listing::Encoding::Url.apply(key));
    let mut response = Response::new(Body::empty());
    let set = |response: &mut Response<Body>, name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(&mut response, "etag", &etag);
    if let Some(version) = &done.version_id {
        set(&mut response, "x-amz-version-id", version);
    }
    set(&mut response, "x-amz-server-side-encryption", "AES256");
    if let Some(algorithm) = &done.sse_customer_algorithm {
        response.headers_mut().remove("x-amz-server-side-encryption");
        set(&mut response, "x-amz-server-side-encryption-customer-algorithm", algorithm);
        let md5 = done.sse_customer_key_md5.as_deref().unwrap_or_default();
        set(&mut response, "x-amz-server-side-encryption-customer-key-md5", md5);
    }
    let asked = fields.get("success_action_redirect").or_else(|| fields.get("redirect"));
    if let Some(location) = asked.and_then(|url| redirect(url, bucket, key, &etag)) {
        *response.status_mut() = StatusCode::SEE_OTHER;
        set(&mut response, "location", &location);
        return response;
    }
    set(&mut response, "location", &path);
    match fields.get("success_action_status").map(String::as_str) {
        Some("200") => {}
        Some("201") => {
            *response.status_mut() = StatusCode::CREATED;
            set(&mut response, "content-type", "application/xml");
            *response.body_mut() = Body::from(crate::refusal::document(
                "PostResponse",
                &[("Location", &path), ("Bucket", bucket), ("Key", key), ("ETag", &etag)],
            ));
        }
        _ => *response.status_mut() = StatusCode::NO_CONTENT,
    }
    response
}

/// Where a browser is sent, with what was made. None for what is no address of the web: S3 ignores that.
fn redirect(url: &str, bucket: &str, key: &str, etag: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return None;
    }
    let made = serde_urlencoded::to_string([("bucket", bucket), ("key", key), ("etag", etag)]).ok()?;
    let separator = if uri.query().is_some() { '&' } else { '?' };
    Some(format!("{url}{separator}{made}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(conditions: &str) -> PostPolicy {
        let text = format!(r#"{{"expiration":"2100-01-01T00:00:00Z","conditions":[{conditions}]}}"#);
        PostPolicy::from_json(&text).expect("a policy")
    }

    fn verdict(conditions: &str, fields: &[(&str, &str)]) -> Result<(u64, u64), &'static str> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let checked = check(&policy(conditions), "b", &fields, OffsetDateTime::now_utc());
        checked.map(|bounds| (bounds.min, bounds.max)).map_err(|refusal| refusal.code)
    }

    #[test]
    fn conditions_hold_or_the_form_is_denied() {
        let denied = Err("AccessDenied");
        assert_eq!(verdict(r#"{"key":"k"}"#, &[("key", "k")]), Ok((0, FILE_MAX)));
        assert_eq!(verdict(r#"{"key":"k"}"#, &[("key", "K")]), denied);
        assert_eq!(verdict(r#"["eq","$key","k"]"#, &[]), denied);
        assert_eq!(verdict(r#"["starts-with","$key","a/"]"#, &[("key", "a/b")]), Ok((0, FILE_MAX)));
        assert_eq!(verdict(r#"["starts-with","$key","a/"]"#, &[("key", "b")]), denied);
        assert_eq!(verdict(r#"["starts-with","$key",""]"#, &[]), denied, "a field that is not there");
        assert_eq!(verdict(r#"{"bucket":"b"}"#, &[]), Ok((0, FILE_MAX)));
        assert_eq!(verdict(r#"{"bucket":"c"}"#, &[]), denied);
        assert_eq!(verdict(r#"{"bucket":"b"}"#, &[("bucket", "c")]), denied);
        assert_eq!(verdict("", &[("key", "k")]), denied, "every field needs a condition");
        assert_eq!(verdict("", &[("x-ignore-me", "k"), ("policy", "p")]), Ok((0, FILE_MAX)));
        let range = r#"["content-length-range",1,10],["content-length-range",5,20]"#;
        assert_eq!(verdict(range, &[]), Ok((5, 10)));
    }

    #[test]
    fn policies_expire() {
        let policy = PostPolicy::from_json(r#"{"expiration":"2020-01-01T00:00:00Z","conditions":[]}"#);
        assert!(check(&policy.expect("a policy"), "b", &Fields::new(), OffsetDateTime::now_utc()).is_err());
    }

    #[test]
    fn redirects_go_to_the_web_only() {
        assert_eq!(
            redirect("https://x/y?z=1", "b", "k/ü", "\"e\"").as_deref(),
            Some("https://x/y?z=1&bucket=b&key=k%2F%C3%BC&etag=%22e%22")
        );
        assert_eq!(redirect("javascript:alert(1)", "b", "k", "e"), None);
        assert_eq!(redirect("/relative", "b", "k", "e"), None);
    }

    #[test]
    fn dates_are_whole() {
        assert!(amz_date("20261122T101112Z").is_some());
        for text in
            ["", "20261122", "20261122T101112", "2026112ZT101112Z", "20261322T101112Z", "2026112üT10111Z"]
        {
            assert!(amz_date(text).is_none(), "{text}");
        }
    }
}
