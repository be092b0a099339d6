//! What is encrypted under a tenant's keys beside the contents: metadata and the keys of segments.

use crate::{DataKey, OpenError, SegmentKey, TenantKey, cipher::nonce, key::cipher};
use aws_lc_rs::aead::{AES_256_GCM, AES_256_GCM_SIV, Aad, LessSafeKey};
use bytes::Bytes;
use proof::manifest::SealedKey;
use zeroize::Zeroizing;

const SALT_LENGTH: usize = 32;
const TAG_LENGTH: usize = 16;
const SEALING_KEY_CONTEXT: &str = "outlast 2026-11 sealing key v1";
const SEGMENT_KEY_AAD: &[u8] = b"outlast/segment-key/1";

/// Bytes that [`seal`] adds: the random ones before, the tag after.
pub const SEALING_OVERHEAD: usize = SALT_LENGTH + TAG_LENGTH;

/// Seals `plaintext` under the tenant's key, bound to `context`: it opens only with the same context.
///
/// The result is `random || AES-256-GCM(key, nonce 0, aad = context, plaintext)` with `key` = BLAKE3 in key-derivation
/// mode ("outlast 2026-11 sealing key v1") over `tenant key || random`. `random` must be fresh for every call; then
/// the key is, and the nonce can be zero.
pub fn seal(key: &TenantKey, context: &[u8], plaintext: &[u8], random: [u8; SALT_LENGTH]) -> Bytes {
    let mut sealed = Vec::with_capacity(plaintext.len() + SEALING_OVERHEAD);
    sealed.extend_from_slice(&random);
    sealed.extend_from_slice(plaintext);
    let tag = sealing_cipher(key, &random)
        .seal_in_place_separate_tag(nonce(0), Aad::from(context), &mut sealed[SALT_LENGTH..])
        .expect("metadata is far below what one nonce may encrypt");
    sealed.extend_from_slice(tag.as_ref());
    sealed.into()
}

/// Opens what [`seal`] made. The result holds keys, so it is wiped when dropped.
pub fn unseal(key: &TenantKey, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (random, ciphertext) = sealed.split_first_chunk::<SALT_LENGTH>().ok_or(OpenError)?;
    let length = ciphertext.len().checked_sub(TAG_LENGTH).ok_or(OpenError)?;
    let (encrypted, tag) = ciphertext.split_at(length);
    let mut plaintext = Zeroizing::new(vec![0; length]);
    sealing_cipher(key, random)
        .open_separate_gather(nonce(0), Aad::from(context), encrypted, tag, &mut plaintext)
        .map_err(|_| OpenError)?;
    Ok(plaintext)
}

fn sealing_cipher(key: &TenantKey, random: &[u8; SALT_LENGTH]) -> LessSafeKey {
    let mut hasher = blake3::Hasher::new_derive_key(SEALING_KEY_CONTEXT);
    hasher.update(key.as_bytes()).update(random);
    cipher(&AES_256_GCM, &Zeroizing::new(*hasher.finalize().as_bytes()))
}

/// Wraps a segment's key under its version's data key: AES-256-GCM-SIV, nonce = `number`, aad "outlast/segment-key/1".
///
/// `number` binds the key to its segment. It may repeat, with the same key or another.
pub fn wrap_segment_key(data_key: &DataKey, number: u32, key: &SegmentKey) -> SealedKey {
    let mut sealed = SealedKey([0; 48]);
    let (body, tag) = sealed.0.split_at_mut(32);
    body.copy_from_slice(key.as_bytes());
    let sealing = cipher(&AES_256_GCM_SIV, data_key.as_bytes())
        .seal_in_place_separate_tag(nonce(number), Aad::from(SEGMENT_KEY_AAD), body)
        .expect("32 bytes are within what one nonce may encrypt");
    tag.copy_from_slice(sealing.as_ref());
    sealed
}

/// Unwraps the key of segment `number`.
pub fn unwrap_segment_key(
    data_key: &DataKey,
    number: u32,
    sealed: &SealedKey,
) -> Result<SegmentKey, OpenError> {
    let mut in_out = Zeroizing::new(sealed.0);
    let key = cipher(&AES_256_GCM_SIV, data_key.as_bytes())
        .open_in_place(nonce(number), Aad::from(SEGMENT_KEY_AAD), &mut in_out[..])
        .map_err(|_| OpenError)?;
    Ok(SegmentKey::new(key.try_into().expect("48 bytes less the tag")))
}
