//! Ed25519 (RFC 8032, verified by the ZIP 215 rules) over namespaced messages.
//!
//! The signed bytes are `varint(len(namespace)) || namespace || message`, the convention of the consensus engine, so
//! one key and one convention serve votes, storage receipts and transactions without one being taken for another.

use commonware_codec::varint::UInt;
use ed25519_zebra::{SigningKey, VerificationKey, VerificationKeyBytes};

use crate::wire::Write;

crate::wire_array! {
    /// An Ed25519 verification key, compressed.
    pub struct PublicKey(32)
}

crate::wire_array! {
    /// An Ed25519 signature.
    pub struct Signature(64)
}

fn payload(namespace: &[u8], message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(5 + namespace.len() + message.len());
    UInt(namespace.len() as u32).write(&mut bytes);
    bytes.extend_from_slice(namespace);
    bytes.extend_from_slice(message);
    bytes
}

impl PublicKey {
    /// Whether `signature` is this key's over `message` in `namespace`.
    pub fn verify(&self, namespace: &[u8], message: &[u8], signature: &Signature) -> bool {
        VerificationKey::try_from(VerificationKeyBytes::from(self.0)).is_ok_and(|key| {
            key.verify(&ed25519_zebra::Signature::from(signature.0), &payload(namespace, message)).is_ok()
        })
    }
}

/// An Ed25519 signing key. Its `Debug` form shows the public key only.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key with this 32-byte seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from(seed))
    }

    /// The 32-byte seed. Handle with care: this is the key itself.
    pub fn seed(&self) -> [u8; 32] {
        self.0.into()
    }

    /// The matching public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(VerificationKey::from(&self.0).into())
    }

    /// Signs `message` in `namespace`.
    pub fn sign(&self, namespace: &[u8], message: &[u8]) -> Signature {
        Signature(self.0.sign(&payload(namespace, message)).to_bytes())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey(of {})", self.public_key())
    }
}
