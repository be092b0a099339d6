//! From an HTTP request to its answer: bounds, the guard, the dispatcher, and what every answer carries.

use crate::{
    access::{Gate, Scopes},
    body::{DOCUMENT_MAX, Document, Inbound, Outbound, Verdict, too_long_document},
    config::Config,
    cors::Cors,
    form,
    framing::Framing,
    guard::Guard,
    host::Domains,
    policy::Policies,
    posting::Forms,
    rates::{Counted, Rates},
    refusal::{self, Refusal},
    store::Store,
    surface::{Names, Surface},
};
use hyper::{
    Method, Request, Response, StatusCode, Version,
    body::{Body as _, Incoming},
    header::{self, HeaderMap, HeaderValue},
    http::request::Parts,
};
use s3s::{
    Body, S3Error, S3ErrorCode, S3Result,
    auth::{S3Auth, SecretKey},
    config::{S3Config, StaticConfigProvider},
    service::{S3Service, S3ServiceBuilder},
};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Semaphore;

/// Bytes of contents in one request: S3's limit.
pub(crate) const BODY_MAX: u64 = 5 << 30;
/// Bytes that `aws-chunked` framing may add to them.
const FRAMING_MAX: u64 = BODY_MAX / 32;
/// Bytes that the other parts of a form may add to them.
const FORM_MAX: u64 = 2 * form::FIELDS_BYTES_MAX as u64;

/// Parameters of requests whose bodies are documents, of which checksums in headers are.
const DOCUMENTS: &[&str] = &[
    "cors",
    "delete",
    "encryption",
    "legal-hold",
    "lifecycle",
    "object-lock",
    "ownershipControls",
    "policy",
    "publicAccessBlock",
    "retention",
    "tagging",
];

/// Answers requests. One for all connections.
pub(crate) struct Edge {
    service: S3Service,
    forms: Forms,
    guard: Guard,
    cors: Cors,
    domains: Domains,
    requests: Arc<Semaphore>,
    stall_timeout: Duration,
    ids: RequestIds,
}

impl Edge {
    pub(crate) fn new<S: Store>(store: S, config: &Config) -> Self {
        let domains = Domains::new(&config.domains);
        let scopes = Scopes(Arc::new(config.scopes.clone()));
        let cors = Cors::new(store.clone());
        let policies = Arc::new(Policies::new(store.clone(), &config.owner));
        let surface = Surface::new(store, config, scopes.clone(), policies.clone());
        let keys = Arc::new(config.keys.clone());
        let rates = Arc::new(Rates::new(config.key_requests_per_second, config.keys.keys()));
        let gate = || Gate { scopes: scopes.clone(), policies: policies.clone() };
        let forms = Forms {
            surface: Box::new(surface.clone()),
            keys: keys.clone(),
            gate: Box::new(gate()),
            rates: rates.clone(),
            region: config.region.clone(),
            owner: config.owner.clone(),
        };
        let access = Counted { rates, access: gate() };
        let mut builder = S3ServiceBuilder::new(surface);
        builder.set_auth(Keys(keys));
        builder.set_access(access);
        builder.set_host(domains.clone());
        builder.set_validation(Names);
        let mut limits = S3Config::default();
        limits.xml_max_body_size = DOCUMENT_MAX as usize;
        // Forms do not come here; should one, it is not gathered in memory.
        limits.post_object_max_file_size = 0;
        limits.form_max_fields_size = 64 * 1024;
        limits.form_max_parts = 32;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(limits))));
        Self {
            service: builder.build(),
            forms,
            guard: Guard { region: config.region.clone(), owner: config.owner.clone() },
            cors,
            domains,
            requests: Arc::new(Semaphore::new(config.requests_max)),
            stall_timeout: config.stall_timeout,
            ids: RequestIds::new(),
        }
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Outbound>, Infallible> {
        let started = Instant::now();
        let id = self.ids.next();
        let (method, resource) = (request.method().clone(), request.uri().path().to_owned());
        let may_leave_body = request.version() <= Version::HTTP_11 && !request.body().is_end_stream();
        let lacks_continue = request.headers().contains_key(header::EXPECT) && request.body().is_end_stream();
        let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let origin = origin.map(|origin| (origin.to_owned(), self.bucket(request.headers(), &resource)));
        let permit = self.requests.clone().try_acquire_owned().ok();
        let mut response = match &permit {
            None => Refusal::slow_down().into_response(&method, &resource, &id),
            Some(_) => match self.dispatch(request).await {
                Ok(mut response) => {
                    if response.headers().contains_key(header::CONTENT_RANGE)
                        && response.status() == StatusCode::OK
                    {
                        // The dispatcher says 200 to a HEAD with a range.
                        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                    }
                    refusal::complete(&mut response, &resource, &id);
                    response
                }
                Err(refusal) => refusal.into_response(&method, &resource, &id),
            },
        };
        if let (Some((origin, bucket)), Some(_)) = (origin, &permit)
            && method != Method::OPTIONS
        {
            response.headers_mut().extend(self.cors.headers(&bucket, &origin, &method).await);
        }
        let value = HeaderValue::try_from(&id).expect("hexadecimal is header text");
        response.headers_mut().insert("x-amz-id-2", value.clone());
        response.headers_mut().insert("x-amz-request-id", value);
        let (status, elapsed) = (response.status().as_u16(), started.elapsed());
        // botocore (boto3, the AWS CLI) misreads the next answer of a connection on which an empty body's `Expect:
        // 100-continue` was answered at once, as hyper does, and then waits for a minute.
        if lacks_continue {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if may_leave_body && status >= 400 {
            // What was not read of the request makes the connection useless, so it is closed. Unless the client is told, it
            // may have sent its next request by then.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        tracing::debug!(%method, %resource, status, ?elapsed, request = id, "answered");
        Ok(response.map(|body| Outbound::new(body, permit)))
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::OPTIONS && !parts.headers.contains_key(header::AUTHORIZATION) {
            let bucket = self.bucket(&parts.headers, parts.uri.path());
            return self.cors.preflight(&bucket, &parts.headers).await;
        }
        if parts.method == Method::POST && form::is_form(&parts.headers) && !self.names_object(&parts) {
            return self.form(&parts, body).await;
        }
        self.guard.check(&mut parts)?;
        let of_attributes = asks(&parts, "attributes");
        let framing = framing(&parts.headers)?;
        let document = self.document(&parts, framing.is_some())?;
        if document.is_none() && framing.is_none() {
            check_declared(&parts.headers)?;
        }
        let verdict = Verdict::default();
        let inbound = Inbound::new(body, self.stall_timeout, framing, document, verdict.clone());
        let request = Request::from_parts(parts, Body::http_body(inbound));
        let answer = self.service.call(request).await;
        let failed = answer.as_ref().map_or(true, |response| response.status().as_u16() >= 400);
        match (verdict.get(), answer) {
            (Some(refusal), _) if failed => Err(refusal.clone()),
            (_, Ok(response)) if of_attributes => Ok(refusal::unquote_etag(response)),
            (_, Ok(response)) => Ok(response),
            (_, Err(_)) => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "The answer could not be written.",
            )),
        }
    }

    /// A form that is posted to a bucket. It is not signed as other requests are.
    async fn form(&self, parts: &Parts, body: Incoming) -> Result<Response<Body>, Refusal> {
        if content_length(&parts.headers).is_some_and(|length| length > BODY_MAX + FORM_MAX) {
            return Err(too_large());
        }
        let bucket = self.bucket(&parts.headers, parts.uri.path());
        let verdict = Verdict::default();
        let inbound = Inbound::new(body, self.stall_timeout, None, None, verdict.clone());
        self.forms.answer(&bucket, parts, inbound, &verdict).await
    }

    /// What the body must hash to, if it is a document. Only PUTs to a key carry contents.
    fn document(&self, parts: &Parts, framed: bool) -> Result<Option<Document>, Refusal> {
        let is_document = DOCUMENTS.iter().any(|name| asks(parts, name));
        if parts.method == Method::PUT && self.names_object(parts) && !is_document {
            return Ok(None);
        }
        if framed {
            return Err(Refusal::not_implemented("Only the contents of objects may be sent aws-chunked."));
        }
        if content_length(&parts.headers).is_some_and(|length| length > DOCUMENT_MAX) {
            return Err(too_long_document());
        }
        Document::of(&parts.headers, is_document).map(Some)
    }

    /// The bucket that a request is about, by its host or the beginning of its path. Names of buckets need no escapes, but
    /// for the `@` of one in the past.
    fn bucket(&self, headers: &HeaderMap, path: &str) -> String {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.and_then(|host| self.domains.bucket(host)).unwrap_or_else(|| {
            let path = path.strip_prefix('/').unwrap_or_default();
            let bucket = path.split_once('/').map_or(path, |(bucket, _)| bucket);
            bucket.replace("%40", "@").replace("%3A", ":")
        })
    }

    fn names_object(&self, parts: &Parts) -> bool {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let path = parts.uri.path().strip_prefix('/').unwrap_or_default();
        let key = match host.and_then(|host| self.domains.bucket(host)) {
            Some(_) => path,
            None => path.split_once('/').map_or("", |(_, key)| key),
        };
        !key.is_empty()
    }
}

/// Whether the query has a parameter of this name.
fn asks(parts: &Parts, name: &str) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    query.split('&').any(|pair| pair.split_once('=').map_or(pair, |(name, _)| name) == name)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Contents of unknown length cannot be refused before they are too long.
fn check_declared(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::TRANSFER_ENCODING) && content_length(headers).is_none() {
        let message = "You must provide the Content-Length HTTP header.";
        return Err(Refusal::new(StatusCode::LENGTH_REQUIRED, "MissingContentLength", message));
    }
    Ok(())
}

fn too_large() -> Refusal {
    let message = "Your proposed upload exceeds the maximum allowed size of 5 GiB in one request.";
    Refusal::bad_request("EntityTooLarge", message)
}

/// The framing of the body, and whether it is too long.
fn framing(headers: &HeaderMap) -> Result<Option<Framing>, Refusal> {
    let hash = headers.get("x-amz-content-sha256").map(HeaderValue::as_bytes).unwrap_or_default();
    if !hash.starts_with(b"STREAMING-") {
        return match content_length(headers) {
            Some(length) if length > BODY_MAX => Err(too_large()),
            _ => Ok(None),
        };
    }
    let declared = headers.get("x-amz-decoded-content-length").ok_or_else(|| {
        Refusal::new(
            StatusCode::LENGTH_REQUIRED,
            "MissingContentLength",
            "aws-chunked contents need x-amz-decoded-content-length.",
        )
    })?;
    let length: u64 = declared.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        Refusal::bad_request("InvalidArgument", "x-amz-decoded-content-length is not a number.")
    })?;
    if length > BODY_MAX || content_length(headers).is_some_and(|raw| raw > BODY_MAX + FRAMING_MAX) {
        return Err(too_large());
    }
    Ok(Some(Framing::new(hash != b"STREAMING-UNSIGNED-PAYLOAD-TRAILER", length)))
}

/// The secrets of the access keys.
struct Keys(Arc<BTreeMap<String, SecretKey>>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        self.0.get(access_key).cloned().ok_or_else(|| {
            let message = "The access key you provided does not exist in our records.";
            S3Error::with_message(S3ErrorCode::InvalidAccessKeyId, message)
        })
    }
}

/// Ids of requests: unique within a gateway, and most likely among its restarts.
struct RequestIds(AtomicU64);

impl RequestIds {
    fn new() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(AtomicU64::new(started.as_nanos() as u64))
    }

    fn next(&self) -> String {
        // An odd multiplier permutes: ids do not repeat, and do not look alike.
        let number = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{number:016X}")
    }
}
