//! Contents that can be read with the customer's key only (SSE-C).
//!
//! The vault encrypts all that it is given under the tenant's key. What comes with a customer's key is encrypted before,
//! under a key that follows from the customer's and a salt:
//!
//! 1. `salt` is 32 random bytes for each object that is put whole, and for each part.
//! 2. `HKDF-SHA-256(salt, customer's key)` is expanded to a stream key ("outlast sse-c stream v1") and to a check ("outlast
//!    sse-c check v1"), 32 bytes each.
//! 3. Contents are encrypted with AES-256 in counter mode under the stream key, from counter zero on, so any range can be
//!    read. Since no two contents share a salt, no two share a stream. That they are not altered, the vault proves.
//! 4. The metadata keep the version of this scheme, the salt and the check, as the header [`NOTE`]. A request must bring a
//!    key with the same check. The customer's key itself is kept nowhere.
//!
//! An upload's own note is of no contents: it is what the keys of parts are checked with, and becomes the object's. The
//! notes of the parts stay theirs.
//!
//! Nothing else may tell of the contents: the ETag is the MD5 of what is stored, as S3's is no MD5 of the contents either,
//! and checksums are verified but not kept.

use crate::{
    digest::{Digests, Pipeline, base64, md5},
    error::{custom, error, invalid_argument, invalid_request, stored},
    store::{Sink, Store, StoredObject},
    surface::Surface,
};
use aws_lc_rs::{
    cipher::{AES_256, EncryptionContext, StreamingEncryptingKey, UnboundCipherKey},
    constant_time, hkdf,
    iv::FixedLength,
    rand,
};
use bytes::Bytes;
use futures::Stream;
use hyper::StatusCode;
use s3s::{S3ErrorCode, S3Result};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use vault::{Error, Metadata};

/// The only algorithm, in S3's words.
pub(crate) const ALGORITHM: &str = "AES256";
/// The name among an object's, part's or upload's headers under which the note is kept.
const NOTE: &str = "sse-c";
const VERSION: u8 = 1;
const SALT: usize = 32;
const KEY: usize = 32;
const BLOCK: u64 = 16;

/// A key that came with a request. Not shown, and forgotten with the request.
pub(crate) struct CustomerKey {
    key: [u8; KEY],
    /// Its MD5 in base64, as answers repeat it.
    pub(crate) md5: String,
}

/// Takes the [`CustomerKey`] out of an operation's input.
macro_rules! customer_key {
    ($input:expr) => {
        $crate::customer::CustomerKey::of(
            $input.sse_customer_algorithm.take(),
            $input.sse_customer_key.take(),
            $input.sse_customer_key_md5.take(),
        )
    };
}
pub(crate) use customer_key;

/// Fills the encryption fields of an answer: the customer's key, or S3's name for what is always done.
macro_rules! describe_encryption {
    ($output:expr, $key:expr) => {{
        let key: Option<&$crate::customer::CustomerKey> = $key;
        match key {
            Some(key) => {
                $output.sse_customer_algorithm = Some($crate::customer::ALGORITHM.to_owned());
                $output.sse_customer_key_md5 = Some(key.md5.clone());
            }
            None => {
                let always = ServerSideEncryption::from_static(ServerSideEncryption::AES256);
                $output.server_side_encryption = Some(always);
            }
        }
    }};
}
pub(crate) use describe_encryption;

impl CustomerKey {
    /// Reads what a request gives. Errors: InvalidArgument, InvalidEncryptionAlgorithmError.
    pub(crate) fn of(
        algorithm: Option<String>,
        key: Option<String>,
        md5_given: Option<String>,
    ) -> S3Result<Option<Self>> {
        let secure = "Requests specifying Server Side Encryption with Customer provided keys must provide";
        let (algorithm, key, md5_given) = match (algorithm, key, md5_given) {
            (None, None, None) => return Ok(None),
            (None, ..) => return Err(invalid_argument(format!("{secure} a valid encryption algorithm."))),
            (_, None, _) => return Err(invalid_argument(format!("{secure} an appropriate secret key."))),
            (.., None) => {
                return Err(invalid_argument(format!(
                    "{secure} the client calculated MD5 of the secret key."
                )));
            }
            (Some(algorithm), Some(key), Some(md5)) => (algorithm, key, md5),
        };
        if algorithm != ALGORITHM {
            let message = "The Encryption request you specified is not valid. Supported value: AES256.";
            return Err(custom("InvalidEncryptionAlgorithmError", StatusCode::BAD_REQUEST, message));
        }
        let decoded = base64_simd::STANDARD.decode_to_vec(key.as_bytes()).ok();
        let key: Option<[u8; KEY]> = decoded.and_then(|bytes| bytes.try_into().ok());
        let key = key.ok_or_else(|| {
            invalid_argument("The secret key was invalid for the specified algorithm: it must have 256 bits.")
        })?;
        if base64(&md5(&key)) != md5_given {
            return Err(invalid_argument(
                "The calculated MD5 hash of the key did not match the hash that was provided.",
            ));
        }
        Ok(Some(Self { key, md5: md5_given }))
    }

    /// A layer of its own for new contents (or an upload), noted in their metadata.
    pub(crate) fn cover(&self, metadata: &mut Metadata) -> Layer {
        let mut salt = [0; SALT];
        rand::fill(&mut salt).expect("the system has random numbers");
        let (layer, check) = self.derive(&salt);
        let mut note = vec![VERSION];
        note.extend_from_slice(&salt);
        note.extend_from_slice(&check);
        metadata.headers.insert(NOTE.to_owned(), base64(&note));
        layer
    }

    /// The stream's key, and the check.
    fn derive(&self, salt: &[u8]) -> (Layer, [u8; KEY]) {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&self.key);
        let expand = |label: &[u8]| {
            let mut output = [0; KEY];
            secret
                .expand(&[label], hkdf::HKDF_SHA256)
                .and_then(|expanded| expanded.fill(&mut output))
                .expect("32 bytes are one block of the hash");
            output
        };
        (Layer(expand(b"outlast sse-c stream v1")), expand(b"outlast sse-c check v1"))
    }

    /// The layer of what has this note. Errors: InvalidRequest if it was made with another key.
    fn open(&self, note: &Note) -> S3Result<Layer> {
        let (layer, check) = self.derive(&note.salt);
        constant_time::verify_slices_are_equal(&check, &note.check).map_err(|_| {
            invalid_request("The provided encryption parameters did not match the ones used originally.")
        })?;
        Ok(layer)
    }
}

/// What metadata keep.
struct Note {
    salt: [u8; SALT],
    check: [u8; KEY],
}

impl Note {
    /// Errors: InternalError for a note that this program did not write.
    fn of(metadata: &Metadata) -> S3Result<Option<Self>> {
        let Some(text) = metadata.headers.get(NOTE) else { return Ok(None) };
        let damaged = || stored(Error::Damaged("a note of a customer's key cannot be read".to_owned()));
        let bytes = base64_simd::STANDARD.decode_to_vec(text.as_bytes()).map_err(|_| damaged())?;
        let (version, rest) = bytes.split_first().ok_or_else(damaged)?;
        let (salt, check) = rest.split_at_checked(SALT).ok_or_else(damaged)?;
        match (*version, salt.try_into(), check.try_into()) {
            (VERSION, Ok(salt), Ok(check)) => Ok(Some(Self { salt, check })),
            _ => Err(damaged()),
        }
    }
}

/// Whether contents with these metadata were put with a customer's key, and cannot be read without.
pub fn is_covered(metadata: &Metadata) -> bool {
    metadata.headers.contains_key(NOTE)
}

/// Forgets the layer of contents that get another.
pub(crate) fn uncover(metadata: &mut Metadata) {
    metadata.headers.remove(NOTE);
}

/// Checks the key that came with a request for an object. Errors: InvalidRequest if there is none and must be one, if
/// there is one and must not, and if it is another.
pub(crate) fn check(metadata: &Metadata, key: Option<&CustomerKey>) -> S3Result<()> {
    match (Note::of(metadata)?, key) {
        (None, None) => Ok(()),
        (Some(note), Some(key)) => key.open(&note).map(drop),
        (Some(_), None) => Err(invalid_request(
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided \
             to retrieve the object.",
        )),
        (None, Some(_)) => {
            Err(invalid_request("The encryption parameters are not applicable to this object."))
        }
    }
}

/// The layer for a part of an upload. Errors: InvalidRequest if its key is not the upload's.
pub(crate) fn cover_part(
    upload: &Metadata,
    key: Option<&CustomerKey>,
    metadata: &mut Metadata,
) -> S3Result<Option<Layer>> {
    match (Note::of(upload)?, key) {
        (None, None) => Ok(None),
        (Some(note), Some(key)) => {
            key.open(&note)?;
            Ok(Some(key.cover(metadata)))
        }
        (Some(_), None) => Err(invalid_request(
            "The multipart upload initiate requested encryption. Subsequent part requests must include the \
             appropriate encryption parameters.",
        )),
        (None, Some(_)) => Err(invalid_request(
            "The multipart upload initiate did not request encryption: its parts cannot have encryption parameters.",
        )),
    }
}

/// Refuses encryption of both kinds at once.
pub(crate) fn check_one_kind(key: Option<&CustomerKey>, other: bool) -> S3Result<()> {
    if key.is_some() && other {
        return Err(error(
            S3ErrorCode::InvalidArgument,
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
        ));
    }
    Ok(())
}

/// A stream's key.
#[derive(Clone)]
pub(crate) struct Layer([u8; KEY]);

impl Layer {
    /// Encrypts or decrypts what begins at `offset` of the stream.
    fn apply(&self, offset: u64, bytes: &[u8]) -> Bytes {
        let counter = u128::from(offset / BLOCK).to_be_bytes();
        let skip = (offset % BLOCK) as usize;
        let key = UnboundCipherKey::new(&AES_256, &self.0).expect("32 bytes are a key");
        let context = EncryptionContext::Iv128(FixedLength::from(counter));
        let mut cipher = StreamingEncryptingKey::less_safe_ctr(key, context).expect("a key and a counter");
        // What comes before in the first block takes its share of the stream.
        let mut input = vec![0; skip];
        input.extend_from_slice(bytes);
        let mut output = vec![0; input.len() + BLOCK as usize];
        let written = cipher.update(&input, &mut output).expect("room for a block more").written().len();
        assert_eq!(written, input.len(), "counter mode gives a byte for a byte");
        output.truncate(written);
        Bytes::from(output).slice(skip..)
    }
}

/// Contents on their way into the vault, under a layer if there is one.
pub(crate) struct Covering<W> {
    inner: W,
    layer: Option<(Layer, u64, Pipeline)>,
}

impl<W: Sink> Covering<W> {
    pub(crate) fn new(inner: W, layer: Option<Layer>) -> Self {
        Self { inner, layer: layer.map(|layer| (layer, 0, Pipeline::new(Digests::new([])))) }
    }

    /// What was written to; and the MD5 of what was written, if that is not the contents.
    pub(crate) async fn finish(self) -> (W, Option<[u8; 16]>) {
        match self.layer {
            None => (self.inner, None),
            Some((.., pipeline)) => (self.inner, Some(pipeline.finish().await.md5)),
        }
    }
}

impl<W: Sink> Sink for Covering<W> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let Some((layer, offset, pipeline)) = &mut self.layer else { return self.inner.write(bytes).await };
        let covered = layer.apply(*offset, &bytes);
        *offset += bytes.len() as u64;
        pipeline.update(&covered).await;
        self.inner.write(covered).await
    }
}

/// Which layer is on which bytes of an object.
pub(crate) struct Layers(Vec<(u64, u64, Layer)>);

impl Layers {
    /// Of contents that are nobody's.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }
}

/// The layers of an object, to read it with `key`. Errors: as [`check`].
pub(crate) async fn layers<S: Store>(
    surface: &Surface<S>,
    found: &S::Object,
    key: Option<&CustomerKey>,
) -> S3Result<Layers> {
    check(found.metadata(), key)?;
    let (Some(note), Some(key)) = (Note::of(found.metadata())?, key) else { return Ok(Layers(Vec::new())) };
    if found.metadata().parts == 0 {
        return Ok(Layers(vec![(0, found.length(), key.open(&note)?)]));
    }
    let parts = surface.store.object_parts(found).await.map_err(stored)?;
    let (mut layers, mut at) = (Vec::with_capacity(parts.len()), 0);
    for part in &parts {
        let note = Note::of(&part.metadata)?;
        let note = note.ok_or_else(|| stored(Error::Damaged("a part without its note".to_owned())))?;
        layers.push((at, at + part.length, key.open(&note)?));
        at += part.length;
    }
    if at != found.length() {
        return Err(stored(Error::Damaged("the parts are not as long as the object".to_owned())));
    }
    Ok(Layers(layers))
}

/// Contents on their way out of the vault, from a byte on.
pub(crate) struct Uncovering<R> {
    inner: R,
    layers: Layers,
    at: u64,
}

impl<R> Uncovering<R> {
    pub(crate) fn new(inner: R, layers: Layers, at: u64) -> Self {
        Self { inner, layers, at }
    }

    fn uncover(&mut self, piece: Bytes) -> Bytes {
        if self.layers.0.is_empty() {
            return piece;
        }
        let mut output = Vec::with_capacity(piece.len());
        let end = self.at + piece.len() as u64;
        let first = self.layers.0.partition_point(|(_, layer_end, _)| *layer_end <= self.at);
        for (start, layer_end, layer) in &self.layers.0[first..] {
            if *start >= end {
                break;
            }
            let (from, to) = (self.at.max(*start), end.min(*layer_end));
            let bytes = &piece[(from - self.at) as usize..(to - self.at) as usize];
            output.extend_from_slice(&layer.apply(from - start, bytes));
        }
        assert_eq!(output.len(), piece.len(), "layers cover an object without gaps");
        self.at = end;
        Bytes::from(output)
    }
}

impl<R: Stream<Item = Result<Bytes, Error>> + Unpin> Stream for Uncovering<R> {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let next = ready!(Pin::new(&mut this.inner).poll_next(context));
        Poll::Ready(next.map(|piece| piece.map(|piece| this.uncover(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> CustomerKey {
        let key = [byte; KEY];
        let given = CustomerKey::of(Some("AES256".into()), Some(base64(&key)), Some(base64(&md5(&key))));
        given.expect("valid").expect("given")
    }

    #[test]
    fn the_stream_is_aes_256_in_counter_mode() {
        // The block of zeros under the key of zeros.
        let layer = Layer([0; KEY]);
        assert_eq!(crate::digest::hex(&layer.apply(0, &[0; 16])), "dc95c078a2408989ad48a21492842087");
    }

    /// Computed with another implementation (HMAC by hand, OpenSSL's cipher).
    #[test]
    fn formats_are_frozen() {
        const NOTED: &str =
            "AVpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaRaGkV6pXD3Up7qLaS9Hsjk8YT5UFFeX/KZzWrqvPGAI=";
        const STORED: &str = "04be32e70fcef310084801953fd573a7c7dece32e877395b50679efc0c24e5a7\
                              6a83efc604104f9da1e32e6f6335c9bc";
        let key = CustomerKey { key: std::array::from_fn(|at| at as u8), md5: String::new() };
        let metadata =
            Metadata { headers: [(NOTE.to_owned(), NOTED.to_owned())].into(), ..Metadata::default() };
        let note = Note::of(&metadata).expect("a note").expect("there");
        assert_eq!(note.salt, [0x5a; SALT]);
        let layer = key.open(&note).expect("the key of the note");
        let stored = layer.apply(0, b"contents under a customer's key, of 48 bytes....");
        assert_eq!(crate::digest::hex(&stored), STORED);
        let mut covered = Metadata::default();
        key.cover(&mut covered);
        assert_eq!(covered.headers[NOTE].len(), NOTED.len());
    }

    #[test]
    fn any_piece_of_a_stream_is_the_same_stream() {
        let layer = Layer([7; KEY]);
        let plain: Vec<u8> = (0..1000u32).map(|i| (i % 251) as u8).collect();
        let whole = layer.apply(0, &plain);
        for (from, to) in [(0, 0), (0, 1), (1, 16), (15, 17), (16, 32), (31, 999), (999, 1000)] {
            assert_eq!(layer.apply(from as u64, &plain[from..to])[..], whole[from..to]);
            assert_eq!(layer.apply(from as u64, &whole[from..to])[..], plain[from..to]);
        }
        // Far inside, the counter goes on.
        let far = (5 << 30) - 8;
        let two = layer.apply(far, &[0; 24]);
        assert_eq!(two[8..], layer.apply(far + 8, &[0; 16])[..]);
    }

    #[test]
    fn only_the_same_key_opens() {
        let mut metadata = Metadata::default();
        check(&metadata, None).expect("nobody's");
        check(&metadata, Some(&key(1))).expect_err("nobody's");
        let layer = key(1).cover(&mut metadata);
        check(&metadata, Some(&key(1))).expect("the same");
        check(&metadata, Some(&key(2))).expect_err("another");
        check(&metadata, None).expect_err("none");
        let mut again = Metadata::default();
        let other = key(1).cover(&mut again);
        assert_ne!(layer.0, other.0, "no two contents share a stream");
        let kept = metadata.headers[NOTE].clone();
        let kept = base64_simd::STANDARD.decode_to_vec(kept.as_bytes()).expect("base64");
        for secret in [&[1u8; KEY][..], &md5(&[1; KEY]), &layer.0] {
            assert!(!kept.windows(secret.len()).any(|window| window == secret), "the note tells no key");
        }
        metadata.headers.insert(NOTE.to_owned(), "AAAA".to_owned());
        check(&metadata, Some(&key(1))).expect_err("damaged");
    }

    #[test]
    fn keys_are_given_whole_or_not_at_all() {
        let (good, sum) = (base64(&[1; KEY]), base64(&md5(&[1; KEY])));
        let of = |algorithm: Option<&str>, key: Option<&str>, md5: Option<&str>| {
            CustomerKey::of(algorithm.map(Into::into), key.map(Into::into), md5.map(Into::into))
        };
        assert!(of(None, None, None).expect("none").is_none());
        for (algorithm, key, md5) in [
            (None, Some(&*good), Some(&*sum)),
            (Some("AES256"), None, Some(&*sum)),
            (Some("AES256"), None, None),
            (Some("AES256"), Some(&*good), None),
            (Some("AES128"), Some(&*good), Some(&*sum)),
            (Some("AES256"), Some("c2hvcnQ="), Some(&*sum)),
            (Some("AES256"), Some("no base64"), Some(&*sum)),
            (Some("AES256"), Some(&*good), Some("AAAAAAAAAAAAAAAAAAAAAA==")),
        ] {
            assert!(of(algorithm, key, md5).is_err(), "{algorithm:?} {key:?} {md5:?}");
        }
    }
}
