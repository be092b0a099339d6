//! The three kinds of secret keys. All are 32 bytes, wiped when dropped and never printed.

use aws_lc_rs::aead::{AES_256_GCM, Algorithm, LessSafeKey, UnboundKey};
use std::fmt;
use zeroize::Zeroizing;

/// A cipher under this key.
pub(crate) fn cipher(algorithm: &'static Algorithm, key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(algorithm, key).expect("both AES-256 ciphers take 32-byte keys"))
}

macro_rules! secret_key {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name(Zeroizing<[u8; 32]>);

        impl $name {
            /// The key with these bytes.
            pub fn new(bytes: [u8; 32]) -> Self {
                Self(Zeroizing::new(bytes))
            }

            /// The key itself: handle with care.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret_key! {
    /// A tenant's master key. It seals the metadata of every version, data keys among it.
    TenantKey
}

secret_key! {
    /// A version's key, random. It wraps the keys of the version's segments.
    DataKey
}

/// A segment's key: random, and used for the chunks of one segment only, each with its own number. Encrypting two
/// different plaintexts under one key and number gives both away.
pub struct SegmentKey {
    bytes: Zeroizing<[u8; 32]>,
    cipher: LessSafeKey,
}

impl SegmentKey {
    /// The key with these bytes. It expands them once for all chunks, so keep it while working on the segment.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self { cipher: cipher(&AES_256_GCM, &bytes), bytes: Zeroizing::new(bytes) }
    }

    /// The key itself: handle with care.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    pub(crate) fn cipher(&self) -> &LessSafeKey {
        &self.cipher
    }
}

impl Clone for SegmentKey {
    fn clone(&self) -> Self {
        Self::new(*self.bytes)
    }
}

impl fmt::Debug for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SegmentKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_print() {
        let text = format!(
            "{:?} {:?} {:?}",
            TenantKey::new([7; 32]),
            DataKey::new([7; 32]),
            SegmentKey::new([7; 32])
        );
        assert_eq!(text, "TenantKey(..) DataKey(..) SegmentKey(..)");
    }
}
