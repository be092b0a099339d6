//! Forms as browsers send them (`multipart/form-data`, RFC 7578): fields, and then a file that is passed on as it comes.
//!
//! Fields before the file are gathered within bounds. The file is not: it ends where the delimiter comes. What follows it
//! is read and ignored, as S3 does.

use crate::{body::Inbound, refusal::Refusal};
use bytes::{Buf, Bytes, BytesMut};
use hyper::{
    HeaderMap,
    body::Body as _,
    header::{self, HeaderValue},
};
use memchr::memmem::Finder;
use s3s::StdError;
use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Bytes of all that comes before the file, with its framing.
pub(crate) const FIELDS_BYTES_MAX: usize = 64 * 1024;
/// Fields before the file.
const FIELDS_MAX: usize = 100;
/// Bytes of a part's headers.
const HEADERS_BYTES_MAX: usize = 8 * 1024;
/// Characters of a boundary (RFC 2046).
const BOUNDARY_MAX: usize = 70;

/// The fields of a form, by name in lower case.
pub(crate) type Fields = BTreeMap<String, String>;

/// A form whose fields were read, with its file still to come.
pub(crate) struct Form {
    pub(crate) fields: Fields,
    pub(crate) file: File,
}

/// Whether a request sends a form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let form = |value: &HeaderValue| {
        value.as_bytes().to_ascii_lowercase().trim_ascii_start().starts_with(b"multipart/form-data")
    };
    headers.get_all(header::CONTENT_TYPE).iter().any(form)
}

fn malformed(message: &'static str) -> Refusal {
    Refusal::bad_request("MalformedPOSTRequest", message)
}

/// What separates the parts, from the media type.
fn boundary(headers: &HeaderMap) -> Result<String, Refusal> {
    let none = || {
        malformed("The body of your POST request is not well-formed multipart/form-data: it has no boundary.")
    };
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or_else(none)?;
    let boundary = parameters(text).find(|(name, _)| name == "boundary").map(|(_, value)| value);
    boundary.filter(|boundary| (1..=BOUNDARY_MAX).contains(&boundary.len())).ok_or_else(none)
}

/// `name=value` after the first `;`, values quoted or not. Browsers write quotes inside of names as `%22`.
fn parameters(text: &str) -> impl Iterator<Item = (String, String)> {
    let mut found = Vec::new();
    let mut rest = text.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim().to_ascii_lowercase();
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = quoted.split_once('"').unwrap_or((quoted, ""));
                (value.to_owned(), next.split_once(';').map_or("", |(_, next)| next))
            }
            None => {
                let (value, next) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), next)
            }
        };
        found.push((name, value));
        rest = next;
    }
    found.into_iter()
}

/// What is known of one part.
struct Part {
    name: String,
    file_name: Option<String>,
}

impl Part {
    fn of(headers: &[u8]) -> Result<Self, Refusal> {
        let text =
            std::str::from_utf8(headers).map_err(|_| malformed("The names of fields must be UTF-8."))?;
        let mut part = None;
        for line in text.split("\r\n") {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-disposition") {
                let (mut field, mut file_name) = (None, None);
                for (name, value) in parameters(value) {
                    match name.as_str() {
                        "name" => field = Some(value),
                        "filename" => file_name = Some(value),
                        _ => {}
                    }
                }
                part = field.map(|field| (field.to_ascii_lowercase(), file_name));
            }
        }
        let (name, file_name) = part.ok_or_else(|| malformed("A part of the form has no name."))?;
        Ok(Self { name, file_name })
    }
}

/// Reads the fields of a form, up to its file. Errors: MalformedPOSTRequest, MaxPostPreDataLengthExceeded, and what the
/// body is refused for.
pub(crate) async fn read(headers: &HeaderMap, inbound: Inbound) -> Result<Form, Refusal> {
    let delimiter = format!("\r\n--{}", boundary(headers)?).into_bytes();
    // The first delimiter begins the body, without the line's end before it.
    let mut reader = Reader { inbound, buffer: BytesMut::from(&b"\r\n"[..]), gathered: 0 };
    let mut fields = Fields::new();
    reader.until(&delimiter, FIELDS_BYTES_MAX).await?;
    loop {
        if reader.until(b"\r\n", 2).await.is_err() {
            return Err(malformed("The form has no file."));
        }
        let part = Part::of(&reader.until(b"\r\n\r\n", HEADERS_BYTES_MAX).await?)?;
        if part.name == "file" {
            let file_name = part.file_name.unwrap_or_default();
            // Some browsers send a path.
            let file_name = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
            for value in fields.values_mut() {
                *value = value.replace("${filename}", file_name);
            }
            let Reader { inbound, buffer, .. } = reader;
            return Ok(Form { fields, file: File::new(inbound, buffer, delimiter) });
        }
        let value = reader.until(&delimiter, FIELDS_BYTES_MAX).await?;
        let value = String::from_utf8(value.to_vec())
            .map_err(|_| malformed("The values of fields must be UTF-8."))?;
        if fields.len() >= FIELDS_MAX {
            return Err(malformed("The form has too many fields."));
        }
        if fields.insert(part.name.clone(), value).is_some() {
            let message = format!("The field {} is given more than once.", part.name);
            return Err(Refusal::bad_request("InvalidArgument", message));
        }
    }
}

/// What comes before the file.
struct Reader {
    inbound: Inbound,
    buffer: BytesMut,
    gathered: usize,
}

impl Reader {
    /// Takes everything up to `end`, and `end` itself. `max` bounds the former.
    async fn until(&mut self, end: &[u8], max: usize) -> Result<Bytes, Refusal> {
        let finder = Finder::new(end);
        loop {
            if let Some(at) = finder.find(&self.buffer).filter(|at| *at <= max) {
                let taken = self.buffer.split_to(at).freeze();
                self.buffer.advance(end.len());
                return Ok(taken);
            }
            if self.buffer.len() > max + end.len() {
                return Err(malformed(
                    "The body of your POST request is not well-formed multipart/form-data.",
                ));
            }
            let frame = std::future::poll_fn(|context| Pin::new(&mut self.inbound).poll_frame(context)).await;
            let bytes = match frame {
                None => return Err(malformed("The form ends before its file.")),
                Some(Err(_)) => return Err(self.inbound.verdict().unwrap_or_else(Refusal::incomplete_body)),
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            self.gathered += bytes.len();
            self.buffer.extend_from_slice(&bytes);
            // One piece may hold the beginning of the file too.
            if self.gathered > FIELDS_BYTES_MAX && self.gathered - bytes.len() > FIELDS_BYTES_MAX {
                return Err(Refusal::bad_request(
                    "MaxPostPreDataLengthExceeded",
                    "Your POST request fields preceding the upload file were too large.",
                ));
            }
        }
    }
}

/// How many bytes a file may have, and why not more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

/// The file of a form, as it comes.
pub(crate) struct File {
    inbound: Inbound,
    buffer: BytesMut,
    finder: Finder<'static>,
    /// Whether the delimiter came.
    ended: bool,
    passed: u64,
    bounds: Bounds,
}

impl File {
    fn new(inbound: Inbound, buffer: BytesMut, delimiter: Vec<u8>) -> Self {
        let finder = Finder::new(&delimiter).into_owned();
        let bounds = Bounds { min: 0, max: u64::MAX };
        Self { inbound, buffer, finder, ended: false, passed: 0, bounds }
    }

    pub(crate) fn bounded(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// What can be passed on: up to the delimiter, or to where one may begin.
    fn take(&mut self) -> Option<Bytes> {
        let found = self.finder.find(&self.buffer);
        let length = match found {
            Some(at) => at,
            None => self.buffer.len().saturating_sub(self.finder.needle().len() - 1),
        };
        let taken = self.buffer.split_to(length).freeze();
        if found.is_some() {
            self.ended = true;
            self.buffer.clear();
        }
        self.passed += taken.len() as u64;
        (!taken.is_empty()).then_some(taken)
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.passed > self.bounds.max {
            let message = "Your proposed upload exceeds the maximum allowed size.";
            return Err(Refusal::bad_request("EntityTooLarge", message));
        }
        if self.ended && self.passed < self.bounds.min {
            let message = "Your proposed upload is smaller than the minimum allowed size.";
            return Err(Refusal::bad_request("EntityTooSmall", message));
        }
        Ok(())
    }
}

impl futures::Stream for File {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if !this.ended {
                let taken = this.take();
                if let Err(refusal) = this.check() {
                    return Poll::Ready(Some(Err(this.inbound.refuse(refusal))));
                }
                if let Some(bytes) = taken {
                    return Poll::Ready(Some(Ok(bytes)));
                }
            }
            match ready!(Pin::new(&mut this.inbound).poll_frame(context)) {
                None if this.ended => return Poll::Ready(None),
                None => {
                    let refusal = malformed("The form ends inside of its file.");
                    return Poll::Ready(Some(Err(this.inbound.refuse(refusal))));
                }
                Some(Err(cause)) => return Poll::Ready(Some(Err(cause))),
                Some(Ok(frame)) if !this.ended => {
                    this.buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
                Some(Ok(_ignored)) => {}
            }
        }
    }
}

impl s3s::stream::ByteStream for File {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_quoted_or_not() {
        let read = |text: &str| parameters(text).collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read("multipart/form-data; boundary=x-1"), [pair("boundary", "x-1")]);
        assert_eq!(
            read(" form-data; NAME=\"a;b=c\"; filename=\"d e.txt\""),
            [pair("name", "a;b=c"), pair("filename", "d e.txt")]
        );
        assert_eq!(read("form-data"), []);
        assert_eq!(read("form-data; name=\"open"), [pair("name", "open")]);
    }

    #[test]
    fn parts_need_names() {
        let part =
            Part::of(b"Content-Disposition: form-data; name=\"Key\"\r\nContent-Type: text/x").expect("named");
        assert_eq!((part.name.as_str(), part.file_name), ("key", None));
        assert!(Part::of(b"Content-Type: text/x").is_err());
        assert!(Part::of(b"Content-Disposition: form-data").is_err());
        assert!(Part::of(b"Content-Disposition: form-data; name=\"\xff\"").is_err());
    }
}
