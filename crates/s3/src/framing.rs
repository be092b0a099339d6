//! The `aws-chunked` framing of a request body, watched before the dispatcher decodes it.
//!
//! ```text
//! body  = *( size [";chunk-signature=" 64HEXDIG] CRLF data CRLF ) "0" [";chunk-signature=..."] CRLF [CRLF] trailers
//! ```
//!
//! The dispatcher holds a chunk in memory until it is whole, and takes a body that ends early for a complete one. So:
//!
//! - Unsigned chunks are cut into one chunk per piece received: memory then does not depend on the client's sizes.
//! - Signed chunks, which can only be checked whole, have at most [`SIGNED_CHUNK_MAX`] bytes.
//! - The data have exactly the length declared in `x-amz-decoded-content-length`, and the last chunk is there.

use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// Bytes of a signed chunk. Clients send 64 KiB to 8 MiB.
pub(crate) const SIGNED_CHUNK_MAX: u64 = 16 << 20;
/// Bytes of the line before a chunk.
const LINE_MAX: usize = 256;
/// Bytes after the last chunk.
const TRAILERS_MAX: usize = 16 * 1024;

/// The body is not framed as declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FramingError {
    /// Not `aws-chunked`.
    Malformed,
    /// A signed chunk above [`SIGNED_CHUNK_MAX`].
    ChunkTooLarge,
    /// More or less data than declared, or no last chunk.
    Length,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the line before a chunk.
    Line,
    /// In a chunk's data, with so many bytes to come.
    Data(u64),
    /// In the CRLF after a chunk's data, with so many bytes to come.
    End(usize),
    /// After the last chunk's line.
    Trailers(usize),
}

/// Follows the framing of one body.
pub(crate) struct Framing {
    signed: bool,
    /// Data bytes still to come.
    remaining: u64,
    state: State,
    line: Vec<u8>,
}

impl Framing {
    /// Of a body of `length` data bytes, its chunks signed or not.
    pub(crate) fn new(signed: bool, length: u64) -> Self {
        Self { signed, remaining: length, state: State::Line, line: Vec::new() }
    }

    /// Takes the next piece of the body and adds what the dispatcher is to see to `out`.
    pub(crate) fn feed(&mut self, mut piece: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), FramingError> {
        while piece.has_remaining() {
            match self.state {
                State::Line => self.feed_line(&mut piece, out)?,
                State::Data(left) => {
                    let take = left.min(piece.len() as u64);
                    self.pass_data(piece.split_to(take as usize), out);
                    self.state = if take == left { State::End(2) } else { State::Data(left - take) };
                }
                State::End(left) => {
                    let expected = if left == 2 { b'\r' } else { b'\n' };
                    if piece.get_u8() != expected {
                        return Err(FramingError::Malformed);
                    }
                    self.state = if left == 2 { State::End(1) } else { State::Line };
                    if self.signed && left == 1 {
                        out.push_back(Bytes::from_static(b"\r\n"));
                    }
                }
                State::Trailers(seen) => {
                    let seen = seen + piece.len();
                    if seen > TRAILERS_MAX {
                        return Err(FramingError::Malformed);
                    }
                    self.state = State::Trailers(seen);
                    out.push_back(std::mem::take(&mut piece));
                }
            }
        }
        Ok(())
    }

    /// The body ended.
    pub(crate) fn finish(&self) -> Result<(), FramingError> {
        if self.remaining == 0 && matches!(self.state, State::Trailers(_)) {
            Ok(())
        } else {
            Err(FramingError::Length)
        }
    }

    fn feed_line(&mut self, piece: &mut Bytes, out: &mut VecDeque<Bytes>) -> Result<(), FramingError> {
        let end = piece.iter().position(|byte| *byte == b'\n');
        let part = piece.split_to(end.map_or(piece.len(), |end| end + 1));
        if self.line.len() + part.len() > LINE_MAX {
            return Err(FramingError::Malformed);
        }
        self.line.extend_from_slice(&part);
        if end.is_none() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let size = parse_line(&line, self.signed).ok_or(FramingError::Malformed)?;
        if self.signed && size > SIGNED_CHUNK_MAX {
            return Err(FramingError::ChunkTooLarge);
        }
        self.remaining = self.remaining.checked_sub(size).ok_or(FramingError::Length)?;
        if self.signed || size == 0 {
            out.push_back(Bytes::from(line));
        }
        self.state = if size == 0 { State::Trailers(0) } else { State::Data(size) };
        Ok(())
    }

    fn pass_data(&self, data: Bytes, out: &mut VecDeque<Bytes>) {
        if self.signed {
            out.push_back(data);
        } else {
            out.push_back(Bytes::from(format!("{:x}\r\n", data.len())));
            out.push_back(data);
            out.push_back(Bytes::from_static(b"\r\n"));
        }
    }
}

fn parse_line(line: &[u8], signed: bool) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let size = match line.split_once(";chunk-signature=") {
        Some((size, signature)) if signed && signature.len() == 64 => size,
        None if !signed => line,
        _ => return None,
    };
    let is_hex = (1..=8).contains(&size.len()) && size.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_hex { u64::from_str_radix(size, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::Index};

    /// Feeds `body` in pieces of `step` bytes.
    fn run(signed: bool, length: u64, body: &str, step: usize) -> Result<String, FramingError> {
        let mut framing = Framing::new(signed, length);
        let mut out = VecDeque::new();
        for piece in body.as_bytes().chunks(step) {
            framing.feed(Bytes::copy_from_slice(piece), &mut out)?;
        }
        framing.finish()?;
        Ok(out.iter().map(|bytes| std::str::from_utf8(bytes).expect("test text")).collect())
    }

    #[test]
    fn unsigned_chunks_are_cut_to_the_pieces_received() {
        let body = "a\r\n0123456789\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        assert_eq!(run(false, 10, body, 1000).as_deref(), Ok(body));
        let cut = run(false, 10, body, 5).expect("well framed");
        assert_eq!(cut, "2\r\n01\r\n5\r\n23456\r\n3\r\n789\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n");
        for step in 1..body.len() {
            let text = run(false, 10, body, step).expect("well framed");
            assert!(text.ends_with("0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n"), "{step}: {text}");
        }
    }

    #[test]
    fn signed_chunks_pass_as_they_are() {
        let signature = "0".repeat(64);
        let body = format!("3;chunk-signature={signature}\r\nabc\r\n0;chunk-signature={signature}\r\n\r\n");
        for step in 1..body.len() {
            assert_eq!(run(true, 3, &body, step).as_deref(), Ok(body.as_str()), "{step}");
        }
        let large = format!("1000001;chunk-signature={signature}\r\n");
        assert_eq!(run(true, 1 << 30, &large, 64), Err(FramingError::ChunkTooLarge));
        assert_eq!(run(true, 3, "3\r\nabc\r\n0\r\n\r\n", 64), Err(FramingError::Malformed));
        assert_eq!(run(false, 3, &body, 64), Err(FramingError::Malformed));
    }

    #[test]
    fn length_must_be_the_declared_one() {
        for (length, body) in [
            (4, "3\r\nabc\r\n0\r\n\r\n"),
            (2, "3\r\nabc\r\n0\r\n\r\n"),
            (3, "3\r\nabc\r\n"),
            (3, "3\r\nabc"),
            (3, "3\r\nab"),
            (0, ""),
        ] {
            assert_eq!(run(false, length, body, 64), Err(FramingError::Length), "{length} {body:?}");
        }
        assert!(run(false, 0, "0\r\n\r\n", 64).is_ok());
    }

    #[test]
    fn garbage_is_malformed() {
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+3\r\nabc\r\n",
            "100000000\r\n",
            "3\nabc",
            "3\r\nabcd\r\n",
            &"1".repeat(300),
        ] {
            assert_eq!(run(false, u64::MAX, body, 7), Err(FramingError::Malformed), "{body:?}");
        }
        let trailers = format!("0\r\n{}", "x".repeat(TRAILERS_MAX + 1));
        assert_eq!(run(false, 0, &trailers, 1000), Err(FramingError::Malformed));
    }

    /// Feeds `body` in pieces that end at `cuts`.
    fn feed(signed: bool, length: u64, body: &[u8], cuts: &[usize]) -> Result<Vec<u8>, FramingError> {
        let mut framing = Framing::new(signed, length);
        let mut out = VecDeque::new();
        let mut from = 0;
        for to in cuts.iter().copied().chain([body.len()]) {
            framing.feed(Bytes::copy_from_slice(&body[from..to]), &mut out)?;
            from = to;
        }
        framing.finish()?;
        Ok(Vec::from(out).concat())
    }

    /// The data in a framed body, read as whoever comes next reads it.
    fn data(mut framed: &[u8]) -> Option<Vec<u8>> {
        let mut data = Vec::new();
        loop {
            let end = framed.windows(2).position(|pair| pair == b"\r\n")?;
            let line = std::str::from_utf8(&framed[..end]).ok()?;
            let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
            framed = &framed[end + 2..];
            if size == 0 {
                return Some(data);
            }
            data.extend_from_slice(framed.get(..size)?);
            framed = framed[size..].strip_prefix(b"\r\n")?;
        }
    }

    proptest! {
        /// However a body is damaged and however it comes in pieces: the outcome does not depend on the pieces, and
        /// what passes has the declared length, and the data that the body has.
        #[test]
        fn pieces_make_no_difference(
            signed: bool,
            damages in prop::collection::vec((any::<Index>(), any::<u8>(), 0..4u8), 0..4),
            length in 9..12u64,
            cuts in prop::collection::vec(any::<Index>(), 0..8),
        ) {
            let signature = if signed { format!(";chunk-signature={}", "0".repeat(64)) } else { String::new() };
            let whole = format!("a{signature}\r\n0123456789\r\n0{signature}\r\nx-amz-checksum-crc32:AAAA\r\n\r\n");
            let mut body = whole.into_bytes();
            for (at, byte, kind) in damages {
                let at = at.index(body.len() + 1);
                match kind {
                    0 => body.insert(at, byte),
                    1 => body.truncate(at),
                    2 => drop(body.drain(at..body.len().min(at + usize::from(byte % 8)))),
                    _ => body.splice(at..at, b"2\r\n".iter().copied()).for_each(drop),
                }
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.sort_unstable();
            let (at_once, in_pieces) = (feed(signed, length, &body, &[]), feed(signed, length, &body, &cuts));
            prop_assert_eq!(at_once.as_ref().err(), in_pieces.as_ref().err());
            for framed in [at_once, in_pieces].into_iter().flatten() {
                prop_assert!(framed.len() <= body.len() + 12 * (cuts.len() + 1));
                let passed = data(&framed);
                prop_assert_eq!(passed.as_ref().map(Vec::len), Some(length as usize));
                prop_assert_eq!(passed, data(&body));
            }
        }
    }
}
