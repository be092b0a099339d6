//! Request and response bodies as they cross the wire.
//!
//! [`Inbound`] watches what a client sends: that it keeps sending, that `aws-chunked` framing is sound, that it is not
//! longer than allowed and, for the small documents that operations take (XML), that it hashes to what the headers say.
//! The dispatcher turns a body's error into 500; so the reason is left in a [`Verdict`], and the answer made from it.

use crate::{
    digest::Digests,
    framing::{Framing, FramingError},
    integrity::Expected,
    refusal::Refusal,
};
use bytes::Bytes;
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    header::HeaderMap,
};
use s3s::{StdError, crypto::Checksum as _, crypto::Sha256};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};

/// Bytes of a document. A thousand keys, or ten thousand parts, fit.
pub(crate) const DOCUMENT_MAX: u64 = 4 << 20;
/// Bytes that must pass within the stall timeout.
pub(crate) const PROGRESS_BYTES: usize = 16 * 1024;

/// Why a request body was refused, if it was.
pub(crate) type Verdict = Arc<OnceLock<Refusal>>;

/// Bounds how long the other side may be waited for: [`Pace::new`]'s timeout for every [`PROGRESS_BYTES`]. Time in
/// which this side is the slow one does not count.
pub(crate) struct Pace {
    timeout: Duration,
    left: Duration,
    bytes: usize,
    waiting_since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout, left: timeout, bytes: 0, waiting_since: None, sleep: None }
    }

    /// So many bytes passed: the wait is over.
    pub(crate) fn advance(&mut self, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        self.bytes += bytes;
        if self.bytes >= PROGRESS_BYTES {
            self.bytes = 0;
            self.left = self.timeout;
        }
    }

    /// Waits. Ready when the other side took too long.
    pub(crate) fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let deadline = *self.waiting_since.get_or_insert(now) + self.left;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context)
    }
}

/// What a document must hash to.
pub(crate) struct Document {
    sha256: Option<(String, Sha256)>,
    expected: Option<(Expected, Digests)>,
    length: u64,
}

impl Document {
    /// Reads the headers. `of_body` says whether `x-amz-checksum-*` are those of the document (for DeleteObjects) or of
    /// an object (for CompleteMultipartUpload).
    pub(crate) fn of(headers: &HeaderMap, of_body: bool) -> Result<Self, Refusal> {
        let sha256 = headers
            .get("x-amz-content-sha256")
            .and_then(|value| value.to_str().ok())
            .filter(|value| value.len() == 64)
            .map(|value| (value.to_ascii_lowercase(), Sha256::default()));
        let mut relevant = HeaderMap::new();
        for (name, value) in headers {
            if name == "content-md5" || of_body {
                relevant.append(name, value.clone());
            }
        }
        let expected = Expected::of(&relevant).map_err(|error| {
            let message = error.message().unwrap_or("A checksum header is invalid.").to_owned();
            let code =
                if error.code().as_str() == "InvalidDigest" { "InvalidDigest" } else { "InvalidRequest" };
            Refusal::bad_request(code, message)
        })?;
        let expected = (!expected.is_empty()).then(|| {
            let digests = expected.digests(None);
            (expected, digests)
        });
        Ok(Self { sha256, expected, length: 0 })
    }

    fn update(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.length += bytes.len() as u64;
        if self.length > DOCUMENT_MAX {
            return Err(too_long_document());
        }
        if let Some((_, hasher)) = &mut self.sha256 {
            hasher.update(bytes);
        }
        if let Some((_, digests)) = &mut self.expected {
            digests.update(bytes);
        }
        Ok(())
    }

    fn verify(self) -> Result<(), Refusal> {
        if let Some((expected, hasher)) = self.sha256
            && crate::digest::hex(&hasher.finalize()) != expected
        {
            let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(Refusal::bad_request("XAmzContentSHA256Mismatch", message));
        }
        match self.expected {
            Some((expected, digests)) => expected.verify(&digests.finish(), None).map_err(|error| {
                let message = error.message().unwrap_or("A checksum does not match.").to_owned();
                Refusal::bad_request("BadDigest", message)
            }),
            None => Ok(()),
        }
    }
}

/// The refusal of a document above [`DOCUMENT_MAX`].
pub(crate) fn too_long_document() -> Refusal {
    Refusal::bad_request("MaxMessageLengthExceeded", "Your request was too big.")
}

/// A request's body on its way to the dispatcher.
pub(crate) struct Inbound {
    body: Incoming,
    pace: Pace,
    framing: Option<Framing>,
    ready: VecDeque<Bytes>,
    document: Option<Document>,
    verdict: Verdict,
    ended: bool,
}

impl Inbound {
    pub(crate) fn new(
        body: Incoming,
        stall_timeout: Duration,
        framing: Option<Framing>,
        document: Option<Document>,
        verdict: Verdict,
    ) -> Self {
        let pace = Pace::new(stall_timeout);
        Self { body, pace, framing, ready: VecDeque::new(), document, verdict, ended: false }
    }

    fn take(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        self.pace.advance(bytes.len());
        if let Some(document) = &mut self.document {
            document.update(&bytes)?;
        }
        match &mut self.framing {
            Some(framing) => framing.feed(bytes, &mut self.ready).map_err(refused_framing)?,
            None => self.ready.push_back(bytes),
        }
        // Before the last piece is passed on: the dispatcher may not ask for more.
        if self.body.is_end_stream() { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), Refusal> {
        self.ended = true;
        if let Some(framing) = &self.framing {
            framing.finish().map_err(refused_framing)?;
        }
        self.document.take().map_or(Ok(()), Document::verify)
    }

    /// Why it was refused, if it was.
    pub(crate) fn verdict(&self) -> Option<Refusal> {
        self.verdict.get().cloned()
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal) -> StdError {
        let text = format!("request body refused: {}", refusal.code);
        let _ = self.verdict.set(refusal);
        self.ended = true;
        self.ready.clear();
        text.into()
    }
}

fn refused_framing(error: FramingError) -> Refusal {
    match error {
        FramingError::Length => Refusal::incomplete_body(),
        FramingError::Malformed => {
            Refusal::bad_request("InvalidRequest", "The body is not in the aws-chunked format.")
        }
        FramingError::ChunkTooLarge => {
            Refusal::bad_request("InvalidChunkSizeError", "Signed chunks may have up to 16 MiB.")
        }
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let step = match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Pending => {
                    ready!(this.pace.poll_stalled(context));
                    let message =
                        "Your socket connection to the server was not read from or written to in time.";
                    Err(Refusal::bad_request("RequestTimeout", message))
                }
                Poll::Ready(None) => this.end(),
                Poll::Ready(Some(Err(_))) => Err(Refusal::incomplete_body()),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => this.take(bytes),
                    Err(_trailers) => Ok(()),
                },
            };
            if let Err(refusal) = step {
                return Poll::Ready(Some(Err(this.refuse(refusal))));
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.framing.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

/// A response's body on its way to the client. The request counts as in work until it is gone.
pub(crate) struct Outbound {
    body: s3s::Body,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Outbound {
    pub(crate) fn new(body: s3s::Body, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { body, _permit: permit }
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.body)
    }
}
