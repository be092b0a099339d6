//! AES-256-GCM as a [`Cipher`]: an implicit counter nonce, as in the ChaCha20-Poly1305 shipped with
//! commonware-cryptography, which it replaces because it is about six times faster on CPUs with AES
//! instructions.
//!
//! One key serves one direction of one connection. The 96-bit nonce starts at zero, is encoded
//! little-endian, advances by one for each message and is never transmitted; therefore a message opens only
//! in the order in which it was sealed, and no nonce is ever used twice under a key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use commonware_cryptography::{Cipher, Secret};
use commonware_math::algebra::Random;
use commonware_utils::sequence::FixedBytes;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Messages sealed under one key at most. The nonce would allow 2^96; no connection lives to see 2^40.
const NONCES_MAX: u64 = 1 << 40;

/// AES-256-GCM with an implicit counter nonce, keyed from a handshake's secret transcript.
pub struct Aes256Gcm {
    nonce: u64,
    key: Secret<LessSafeKey>,
}

impl Aes256Gcm {
    /// The nonce of the next message, or `None` when the key is exhausted.
    fn next_nonce(&mut self) -> Option<Nonce> {
        if self.nonce >= NONCES_MAX {
            return None;
        }
        let mut nonce = [0; NONCE_BYTES];
        nonce[..8].copy_from_slice(&self.nonce.to_le_bytes());
        self.nonce += 1;
        Some(Nonce::assume_unique_for_key(nonce))
    }
}

impl Random for Aes256Gcm {
    fn random(mut rng: impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rng.fill_bytes(key.as_mut());
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a key of 32 bytes fits AES-256");
        Self { nonce: 0, key: Secret::new(LessSafeKey::new(key)) }
    }
}

impl Cipher for Aes256Gcm {
    type Tag = FixedBytes<TAG_BYTES>;

    fn seal(mut self, aad: &[u8], data: &mut [u8]) -> Option<(Self, Self::Tag)> {
        let nonce = self.next_nonce()?;
        let tag = self.key.expose(|key| {
            let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), data).ok()?;
            <[u8; TAG_BYTES]>::try_from(tag.as_ref()).ok()
        })?;
        Some((self, FixedBytes::new(tag)))
    }

    fn open(mut self, aad: &[u8], data: &mut [u8], tag: &Self::Tag) -> Option<Self> {
        let nonce = self.next_nonce()?;
        self.key.expose(|key| {
            key.open_in_place_separate_tag(nonce, Aad::from(aad), tag.as_ref(), data).ok().map(|_| ())
        })?;
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_utils::TestRng;

    fn sealed(cipher: Aes256Gcm, aad: &[u8], message: &[u8]) -> (Aes256Gcm, Vec<u8>, FixedBytes<TAG_BYTES>) {
        let mut data = message.to_vec();
        let (cipher, tag) = cipher.seal(aad, &mut data).expect("a fresh key seals");
        (cipher, data, tag)
    }

    #[test]
    fn opens_in_the_order_of_sealing() {
        let mut sender = Aes256Gcm::random(TestRng::new(1));
        let mut receiver = Aes256Gcm::random(TestRng::new(1));
        for message in [&b""[..], b"first", b"first"] {
            let (next, mut data, tag) = sealed(sender, b"aad", message);
            sender = next;
            receiver = receiver.open(b"aad", &mut data, &tag).expect("sealed by the same key");
            assert_eq!(data, message);
        }
    }

    #[test]
    fn equal_messages_seal_differently() {
        let (sender, first, _) = sealed(Aes256Gcm::random(TestRng::new(1)), b"", b"same");
        let (_, second, _) = sealed(sender, b"", b"same");
        assert_ne!(first, second);
    }

    #[test]
    fn refuses_what_was_changed() {
        let receiver = || Aes256Gcm::random(TestRng::new(1));
        let (sender, data, tag) = sealed(receiver(), b"aad", b"message");
        for bit in 0..data.len() * 8 {
            let mut data = data.clone();
            data[bit / 8] ^= 1 << (bit % 8);
            assert!(receiver().open(b"aad", &mut data, &tag).is_none());
        }
        let mut wrong = <[u8; TAG_BYTES]>::try_from(tag.as_ref()).unwrap();
        wrong[0] ^= 1;
        assert!(receiver().open(b"aad", &mut data.clone(), &FixedBytes::new(wrong)).is_none());
        assert!(receiver().open(b"other", &mut data.clone(), &tag).is_none());
        assert!(Aes256Gcm::random(TestRng::new(2)).open(b"aad", &mut data.clone(), &tag).is_none());

        let (_, mut second, tag) = sealed(sender, b"aad", b"second");
        assert!(receiver().open(b"aad", &mut second, &tag).is_none(), "out of order");
    }

    #[test]
    fn an_exhausted_key_refuses() {
        let exhausted = || Aes256Gcm { nonce: NONCES_MAX, ..Aes256Gcm::random(TestRng::new(1)) };
        assert!(exhausted().seal(b"", &mut []).is_none());
        assert!(exhausted().open(b"", &mut [], &FixedBytes::new([0; TAG_BYTES])).is_none());
    }

    /// The first message under a known key equals plain AES-256-GCM with an all-zero nonce, so another
    /// implementation can be written from the module's description.
    #[test]
    fn is_plain_gcm_with_a_counter() {
        let mut key = [0; KEY_BYTES];
        rand_core::Rng::fill_bytes(&mut TestRng::new(1), &mut key);
        let plain = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
        let mut cipher = Aes256Gcm::random(TestRng::new(1));
        for counter in 0..3u8 {
            let (next, data, tag) = sealed(cipher, b"", b"message");
            cipher = next;
            let mut nonce = [0; NONCE_BYTES];
            nonce[0] = counter;
            let mut expected = b"message".to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            let expected_tag = plain.seal_in_place_separate_tag(nonce, Aad::empty(), &mut expected).unwrap();
            assert_eq!((data.as_slice(), tag.as_ref()), (expected.as_slice(), expected_tag.as_ref()));
        }
    }
}
