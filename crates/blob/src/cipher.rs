//! The chunk cipher, joined with the code on the way out.

use crate::{Code, EncodedChunk, SegmentKey};
use aws_lc_rs::aead::{Aad, Nonce};
use bytes::Bytes;
use proof::limits::{CHUNK_LENGTH, CHUNK_TAG_LENGTH};

const CHUNK_AAD: &[u8] = b"outlast/chunk/1";
const TAG_LENGTH: usize = CHUNK_TAG_LENGTH as usize;

/// The ciphertext was altered, cut, or made under another key, number or context. The cipher does not say which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext does not open under this key")]
pub struct OpenError;

/// Twelve bytes, big-endian.
pub(crate) fn nonce(counter: u32) -> Nonce {
    let mut bytes = [0; 12];
    bytes[8..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// Encrypts chunk `number` of a segment and encodes it. `pieces` are its plaintext in order, together 1 to
/// [`CHUNK_LENGTH`] bytes; other lengths panic. Never two different plaintexts under one key and number.
pub fn encode_chunk(code: &Code, key: &SegmentKey, number: u32, pieces: &[impl AsRef<[u8]>]) -> EncodedChunk {
    let ciphertext_length = plaintext_length(pieces) + TAG_LENGTH;
    let mut buffer = code.data_buffer(ciphertext_length);
    seal_into(key, number, pieces, &mut buffer[..ciphertext_length]);
    code.encode_buffer(buffer, ciphertext_length)
}

/// Encrypts chunk `number` of a segment without encoding it: for contents that travel inside their transaction.
/// As [`encode_chunk`] otherwise.
pub fn seal_chunk(key: &SegmentKey, number: u32, pieces: &[impl AsRef<[u8]>]) -> Bytes {
    let mut ciphertext = vec![0; plaintext_length(pieces) + TAG_LENGTH];
    seal_into(key, number, pieces, &mut ciphertext);
    ciphertext.into()
}

/// Decrypts chunk `number` of a segment into a buffer of `code`'s. Slices of the result share that buffer.
pub fn open_chunk(code: &Code, key: &SegmentKey, number: u32, ciphertext: &[u8]) -> Result<Bytes, OpenError> {
    let length = ciphertext.len().checked_sub(TAG_LENGTH).ok_or(OpenError)?;
    if length == 0 || length as u64 > CHUNK_LENGTH {
        return Err(OpenError);
    }
    let (encrypted, tag) = ciphertext.split_at(length);
    let mut plaintext = code.pool.take(length);
    key.cipher()
        .open_separate_gather(nonce(number), Aad::from(CHUNK_AAD), encrypted, tag, &mut plaintext)
        .map_err(|_| OpenError)?;
    Ok(plaintext.freeze())
}

fn plaintext_length(pieces: &[impl AsRef<[u8]>]) -> usize {
    let length = pieces.iter().map(|piece| piece.as_ref().len()).sum();
    assert!((1..=CHUNK_LENGTH as usize).contains(&length), "not a chunk: {length} bytes of plaintext");
    length
}

/// Encrypts `pieces` into `ciphertext`, tag included: straight from a single piece, in place after gathering several.
fn seal_into(key: &SegmentKey, number: u32, pieces: &[impl AsRef<[u8]>], ciphertext: &mut [u8]) {
    let (nonce, aad) = (nonce(number), Aad::from(CHUNK_AAD));
    let (body, tag) = ciphertext.split_at_mut(ciphertext.len() - TAG_LENGTH);
    let sealed = match pieces {
        [piece] => key.cipher().seal_out_of_place_scatter(nonce, aad, piece.as_ref(), body, &[], tag),
        pieces => {
            let mut rest = &mut *body;
            for piece in pieces {
                let (place, after) = rest.split_at_mut(piece.as_ref().len());
                place.copy_from_slice(piece.as_ref());
                rest = after;
            }
            key.cipher().seal_in_place_scatter(nonce, aad, body, &[], tag)
        }
    };
    sealed.expect("a chunk is far below what one nonce may encrypt");
}
