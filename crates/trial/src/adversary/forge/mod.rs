//! What a forger makes of honest answers. Most of it decodes: it is an answer of the protocol, and false.

mod chain;
mod shards;

pub(super) use self::{
    chain::{forge as chain, whole_page},
    shards::forge as shards,
};

use super::chance::Chance;
use bytes::Bytes;

/// An answer, and what was done to it, if anything.
#[derive(Debug)]
pub(super) struct Forged {
    pub(super) message: Bytes,
    pub(super) act: Option<&'static str>,
}

impl Forged {
    pub(super) fn honest(message: Bytes) -> Self {
        Self { message, act: None }
    }

    fn act(message: Bytes, act: &'static str) -> Self {
        Self { message, act: Some(act) }
    }
}

/// The bytes with one bit of them flipped.
fn flip(chance: &Chance, bytes: &[u8]) -> Bytes {
    let mut flipped = bytes.to_vec();
    if !flipped.is_empty() {
        let at = chance.below(flipped.len());
        flipped[at] ^= 1 << chance.below(8);
    }
    flipped.into()
}
