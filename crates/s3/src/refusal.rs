//! Answers given before, or instead of, those of the S3 dispatcher.

use hyper::{HeaderMap, Method, Response, StatusCode, header};
use s3s::{Body, S3Error};
use std::{borrow::Cow, fmt::Write as _};

/// A request that is not executed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// S3's error code.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: Cow<'static, str>,
    /// One more element of the error document.
    pub(crate) detail: Option<(&'static str, String)>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), detail: None }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn forbidden(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(crate) fn not_implemented(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    pub(crate) fn incomplete_body() -> Self {
        Self::bad_request("IncompleteBody", "The body does not have the length that the headers declare.")
    }

    pub(crate) fn slow_down() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "SlowDown",
            "This gateway has as many requests in work as it may: slow down and try again.",
        )
    }

    pub(crate) fn with(mut self, element: &'static str, value: impl Into<String>) -> Self {
        self.detail = Some((element, value.into()));
        self
    }

    /// The answer, with an error document unless the method is HEAD.
    pub(crate) fn into_response(self, method: &Method, resource: &str, request: &str) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        if method != Method::HEAD {
            let content_type = header::HeaderValue::from_static("application/xml");
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            *response.body_mut() = Body::from(self.document(resource, request));
        }
        response
    }

    /// An error of the dispatcher's kind, as it would have answered it.
    pub(crate) fn of(cause: &S3Error) -> Self {
        let status = cause.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = cause.message().unwrap_or("The request was refused.").to_owned();
        let known = CODES.iter().copied().find(|known| *known == cause.code().as_str());
        let other = if status.is_client_error() { "InvalidRequest" } else { "InternalError" };
        Self::new(status, known.unwrap_or(other), message)
    }

    fn document(&self, resource: &str, request: &str) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
        element(&mut xml, "Code", self.code);
        element(&mut xml, "Message", &self.message);
        if let Some((name, value)) = &self.detail {
            element(&mut xml, name, value);
        }
        identify(&mut xml, resource, request);
        xml.push_str("</Error>");
        xml
    }
}

/// What a PUT may be refused with.
const CODES: &[&str] = &[
    "AccessDenied",
    "BadDigest",
    "ConditionalRequestConflict",
    "EntityTooLarge",
    "IncompleteBody",
    "InsufficientStorage",
    "InternalError",
    "InvalidArgument",
    "InvalidBucketName",
    "InvalidDigest",
    "InvalidEncryptionAlgorithmError",
    "InvalidRequest",
    "InvalidTag",
    "KeyTooLongError",
    "MetadataTooLarge",
    "NoSuchBucket",
    "NotImplemented",
    "PreconditionFailed",
    "ServiceUnavailable",
    "SlowDown",
];

/// A document of elements.
pub(crate) fn document(root: &str, elements: &[(&str, &str)]) -> String {
    let mut xml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root}>");
    for (name, text) in elements {
        element(&mut xml, name, text);
    }
    let _ = write!(xml, "</{root}>");
    xml
}

/// Completes the dispatcher's error documents, which carry neither the resource nor the request's id.
pub(crate) fn complete(response: &mut Response<Body>, resource: &str, request: &str) {
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if !failed || !is_xml(response.headers()) {
        return;
    }
    let Some(document) = response.body().bytes() else { return };
    let Ok(document) = std::str::from_utf8(&document) else { return };
    let Some(open) = document.strip_suffix("</Error>") else { return };
    let mut xml = open.to_owned();
    if !open.contains("<Message>") {
        element(&mut xml, "Message", message(open));
    }
    identify(&mut xml, resource, request);
    xml.push_str("</Error>");
    *response.body_mut() = Body::from(xml);
}

/// GetObjectAttributes is the one document whose ETag S3 gives without quotes; the dispatcher writes them everywhere.
pub(crate) fn unquote_etag(mut response: Response<Body>) -> Response<Body> {
    let document = response.body().bytes();
    let document = document.as_deref().and_then(|document| std::str::from_utf8(document).ok());
    let unquoted =
        document.map(|text| text.replacen("<ETag>\"", "<ETag>", 1).replacen("\"</ETag>", "</ETag>", 1));
    if let Some(unquoted) = unquoted {
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(unquoted);
    }
    response
}

/// What the dispatcher leaves unsaid in an error `document`.
fn message(document: &str) -> &'static str {
    const MESSAGES: &[(&str, &str)] = &[
        (
            "<Code>SignatureDoesNotMatch</Code>",
            "The request signature we calculated does not match the signature you provided. Check your key and \
             signing method.",
        ),
        (
            "<Code>InvalidBucketName</Code>",
            "A bucket name has 3 to 63 lower-case letters, digits, '.' and '-', begins and ends with a letter or \
             digit, has no '..' and is not an IP address.",
        ),
        ("<Code>KeyTooLongError</Code>", "A key has 1 to 1024 bytes of UTF-8."),
        ("<Code>InvalidURI</Code>", "The path or the query cannot be decoded."),
        (
            "<Code>MalformedXML</Code>",
            "The XML you provided was not well-formed or is not of this operation.",
        ),
    ];
    let known = MESSAGES.iter().find(|(code, _)| document.contains(code));
    known.map_or("The request was refused.", |(_, message)| message)
}

fn is_xml(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes() == b"application/xml")
}

fn identify(xml: &mut String, resource: &str, request: &str) {
    element(xml, "Resource", resource);
    element(xml, "RequestId", request);
}

fn element(xml: &mut String, name: &str, text: &str) {
    let _ = write!(xml, "<{name}>");
    for character in text.chars() {
        match character {
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '&' => xml.push_str("&amp;"),
            // XML 1.0 has no place for other control characters, not even escaped.
            control if control.is_control() => xml.push('\u{fffd}'),
            character => xml.push(character),
        }
    }
    let _ = write!(xml, "</{name}>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_name_the_request_and_escape_what_clients_sent() {
        let refusal = Refusal::bad_request("InvalidArgument", "a < b").with("Region", "x&y");
        let text = refusal.document("/b/k\u{1}", "00AA");
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidArgument</Code><Message>a &lt; b</Message>\
             <Region>x&amp;y</Region><Resource>/b/k\u{fffd}</Resource><RequestId>00AA</RequestId></Error>"
        );
    }

    #[test]
    fn head_has_no_document() {
        let response = Refusal::slow_down().into_response(&Method::HEAD, "/", "1");
        assert_eq!(response.body().bytes().expect("in memory").len(), 0);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
