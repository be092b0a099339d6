//! Which pages of other origins may use a bucket (CORS).
//!
//! A browser asks before (OPTIONS, without a signature), and looks at the headers of answers. Both are made here from the
//! bucket's rules, around the dispatcher, which knows nothing of them. They are as they were lately (`remembered`).
//!
//! Rules are kept as pairs, `application/x-www-form-urlencoded`: `rule` with its id begins one; `origin`, `method`,
//! `header`, `expose` and `age` follow, each as often as needed.

use crate::{
    error::{error, stored},
    refusal::Refusal,
    remembered::Remembered,
    store::Store,
    surface::{Surface, View, bucket},
};
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use s3s::{Body, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use std::sync::Arc;
use vault::{About, Past};

/// Rules of a bucket: S3's limit.
const RULES_MAX: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    id: String,
    origins: Vec<String>,
    methods: Vec<String>,
    headers: Vec<String>,
    expose: Vec<String>,
    age: Option<String>,
}

impl Rule {
    /// The pattern that the origin matches, if the rule is for it and the method.
    fn origin(&self, origin: &str, method: &str) -> Option<&str> {
        let pattern = self.origins.iter().find(|pattern| matches(pattern, origin))?;
        self.methods.iter().any(|allowed| allowed == method).then_some(pattern.as_str())
    }

    fn allows_headers(&self, names: &[&str]) -> bool {
        let allowed = |name: &&str| {
            let name = name.to_ascii_lowercase();
            self.headers.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), &name))
        };
        names.iter().all(allowed)
    }

    /// The headers that tell a browser so.
    fn answer(&self, pattern: &str, origin: &str, headers: &mut HeaderMap) {
        let any = pattern == "*";
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, if any { "*" } else { origin });
        set(header::ACCESS_CONTROL_ALLOW_METHODS, &self.methods.join(", "));
        if !any {
            set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        if !self.expose.is_empty() {
            set(header::ACCESS_CONTROL_EXPOSE_HEADERS, &self.expose.join(", "));
        }
        if let Some(age) = &self.age {
            set(header::ACCESS_CONTROL_MAX_AGE, age);
        }
        set(header::VARY, "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
    }
}

/// A pattern has one `*` at the most, which stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
    }
}

fn write(rules: &[Rule]) -> Vec<u8> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for rule in rules {
        pairs.push(("rule", &rule.id));
        let lists = [
            ("origin", &rule.origins),
            ("method", &rule.methods),
            ("header", &rule.headers),
            ("expose", &rule.expose),
        ];
        pairs.extend(
            lists
                .into_iter()
                .flat_map(|(name, values)| values.iter().map(move |value| (name, value.as_str()))),
        );
        pairs.extend(rule.age.as_deref().map(|age| ("age", age)));
    }
    serde_urlencoded::to_string(pairs).expect("pairs of text are encoded").into_bytes()
}

fn read(kept: &[u8]) -> Option<Vec<Rule>> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(kept).ok()?;
    let mut rules: Vec<Rule> = Vec::new();
    for (name, value) in pairs {
        if name == "rule" {
            rules.push(Rule { id: value, ..Rule::default() });
            continue;
        }
        let rule = rules.last_mut()?;
        match name.as_str() {
            "origin" => rule.origins.push(value),
            "method" => rule.methods.push(value),
            "header" => rule.headers.push(value),
            "expose" => rule.expose.push(value),
            "age" => rule.age = Some(value),
            _ => return None,
        }
    }
    Some(rules)
}

/// Errors: MalformedXML, InvalidRequest.
fn of_document(given: CORSConfiguration) -> S3Result<Vec<Rule>> {
    let malformed =
        || error(S3ErrorCode::MalformedXML, "The XML you provided was not well-formed or did not validate.");
    let invalid = |message: String| error(S3ErrorCode::InvalidRequest, message);
    if given.cors_rules.is_empty() || given.cors_rules.len() > RULES_MAX {
        return Err(malformed());
    }
    let rule = |given: CORSRule| {
        if given.allowed_origins.is_empty() || given.allowed_methods.is_empty() {
            return Err(malformed());
        }
        if let Some(method) = given.allowed_methods.iter().find(|method| !METHODS.contains(&method.as_str()))
        {
            let message =
                format!("Found unsupported HTTP method in CORS config. Unsupported method is {method}");
            return Err(invalid(message));
        }
        let headers = given.allowed_headers.unwrap_or_default();
        for pattern in given.allowed_origins.iter().chain(&headers) {
            if pattern.matches('*').count() > 1 {
                return Err(invalid(format!("\"{pattern}\" can not have more than one wildcard.")));
            }
        }
        let expose = given.expose_headers.unwrap_or_default();
        if expose.iter().any(|name| HeaderName::try_from(name.as_str()).is_err()) {
            return Err(invalid(
                "An ExposeHeader is no name of a header; wildcards are not supported.".to_owned(),
            ));
        }
        Ok(Rule {
            id: given.id.unwrap_or_default(),
            origins: given.allowed_origins,
            methods: given.allowed_methods,
            headers,
            expose,
            age: given.max_age_seconds.map(|age| age.max(0).to_string()),
        })
    };
    given.cors_rules.into_iter().map(rule).collect()
}

pub(crate) async fn put_bucket_cors<S: Store>(
    surface: &Surface<S>,
    request: S3Request<PutBucketCorsInput>,
) -> S3Result<S3Response<PutBucketCorsOutput>> {
    let about = About::BucketCors(bucket(&request.input.bucket)?);
    let document = write(&of_document(request.input.cors_configuration)?);
    if document.len() > vault::DOCUMENT_MAX {
        let message = "The rules of a bucket take up to 12,000 bytes here.";
        return Err(error(S3ErrorCode::InvalidRequest, message));
    }
    surface.store.annotate(about, Some(&document)).await.map_err(stored)?;
    Ok(S3Response::new(PutBucketCorsOutput {}))
}

pub(crate) async fn get_bucket_cors<S: Store>(
    surface: &Surface<S>,
    request: S3Request<GetBucketCorsInput>,
) -> S3Result<S3Response<GetBucketCorsOutput>> {
    let View { bucket, at } = surface.view(&request.input.bucket).await?;
    let kept = surface.store.annotation(&About::BucketCors(bucket), at).await.map_err(stored)?;
    let Some(kept) = kept else {
        return Err(error(S3ErrorCode::NoSuchCORSConfiguration, "The CORS configuration does not exist"));
    };
    let damaged = || stored(vault::Error::Damaged("CORS rules do not decode".to_owned()));
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let rule = |rule: Rule| CORSRule {
        id: (!rule.id.is_empty()).then_some(rule.id),
        allowed_origins: rule.origins,
        allowed_methods: rule.methods,
        allowed_headers: some(rule.headers),
        expose_headers: some(rule.expose),
        max_age_seconds: rule.age.and_then(|age| age.parse().ok()),
    };
    let rules = read(&kept).ok_or_else(damaged)?.into_iter().map(rule).collect();
    Ok(S3Response::new(GetBucketCorsOutput { cors_rules: Some(rules) }))
}

pub(crate) async fn delete_bucket_cors<S: Store>(
    surface: &Surface<S>,
    request: S3Request<DeleteBucketCorsInput>,
) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
    let about = About::BucketCors(bucket(&request.input.bucket)?);
    surface.store.annotate(about, None).await.map_err(stored)?;
    Ok(S3Response::new(DeleteBucketCorsOutput {}))
}

/// Where rules are read from.
#[async_trait::async_trait]
trait Source: Send + Sync {
    async fn rules(&self, bucket: &proof::BucketName) -> Result<Vec<Rule>, vault::Error>;
}

struct Of<S>(S);

#[async_trait::async_trait]
impl<S: Store> Source for Of<S> {
    async fn rules(&self, bucket: &proof::BucketName) -> Result<Vec<Rule>, vault::Error> {
        match self.0.annotation(&About::BucketCors(bucket.clone()), None).await {
            Ok(kept) => Ok(kept.and_then(|kept| read(&kept)).unwrap_or_default()),
            Err(vault::Error::NoSuchBucket) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// The rules of buckets, as they were lately.
pub(crate) struct Cors {
    source: Arc<dyn Source>,
    remembered: Remembered<Vec<Rule>>,
}

impl Cors {
    pub(crate) fn new<S: Store>(store: S) -> Self {
        Self { source: Arc::new(Of(store)), remembered: Remembered::default() }
    }

    /// The rules of the bucket of this name, which may be one in the past. Errors: 503 SlowDown.
    async fn rules(&self, name: &str) -> Result<Arc<Vec<Rule>>, Refusal> {
        let past = Past::of(name);
        let bucket = past.map(|past| past.bucket).or_else(|| name.parse().ok());
        let Some(bucket) = bucket else { return Ok(Arc::default()) };
        let rules = self.remembered.get(&bucket, self.source.rules(&bucket)).await;
        rules.map_err(|_| Refusal::slow_down())
    }

    /// Answers what a browser asks before a request. Errors: BadRequest, AccessForbidden.
    pub(crate) async fn preflight(
        &self,
        bucket: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(origin), Some(method)) =
            (text(header::ORIGIN), text(header::ACCESS_CONTROL_REQUEST_METHOD))
        else {
            let message =
                "Insufficient information. Origin and Access-Control-Request-Method headers are needed.";
            return Err(Refusal::bad_request("BadRequest", message));
        };
        let asked = text(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let names: Vec<&str> = asked
            .into_iter()
            .flat_map(|names| names.split(','))
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        let rules = self.rules(bucket).await?;
        if rules.is_empty() {
            let message = "CORSResponse: CORS is not enabled for this bucket.";
            return Err(Refusal::forbidden("AccessForbidden", message));
        }
        let found = rules.iter().find_map(|rule| {
            let pattern = rule.origin(origin, method)?;
            rule.allows_headers(&names).then_some((rule, pattern))
        });
        let Some((rule, pattern)) = found else {
            let message = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, \
                           request method / Access-Control-Request-Method or Access-Control-Request-Headers are not \
                           whitelisted by the resource's CORS spec.";
            return Err(Refusal::forbidden("AccessForbidden", message));
        };
        let mut response = Response::new(Body::empty());
        rule.answer(pattern, origin, response.headers_mut());
        if let Some(asked) = asked.and_then(|asked| HeaderValue::try_from(asked).ok()) {
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
        *response.status_mut() = StatusCode::OK;
        Ok(response)
    }

    /// The headers that let a page read the answer to a request of this origin.
    pub(crate) async fn headers(&self, bucket: &str, origin: &str, method: &Method) -> HeaderMap {
        let mut headers = HeaderMap::new();
        // Without rules the browser keeps the answer to itself; the answer is right all the same.
        let rules = self.rules(bucket).await.unwrap_or_default();
        if let Some((rule, pattern)) =
            rules.iter().find_map(|rule| Some((rule, rule.origin(origin, method.as_str())?)))
        {
            rule.answer(pattern, origin, &mut headers);
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_one_wildcard() {
        for (pattern, text, expected) in [
            ("*", "http://a", true),
            ("http://*.example.com", "http://www.example.com", true),
            ("http://*.example.com", "http://example.com", false),
            ("http://a", "http://a", true),
            ("http://a", "http://A", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("x-amz-*", "x-amz-meta-a", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn rules_come_back() {
        let text = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let rule = Rule {
            id: "one & two".to_owned(),
            origins: text(&["http://*", "*"]),
            methods: text(&["GET"]),
            headers: text(&["x-*"]),
            expose: text(&["etag"]),
            age: Some("10".to_owned()),
        };
        let rules = vec![rule.clone(), Rule { id: String::new(), age: None, ..rule }];
        assert_eq!(read(&write(&rules)), Some(rules));
        assert_eq!(read(b"origin=x"), None);
        assert_eq!(read(b"rule=&colour=x"), None);
    }
}
