//! Contents: every byte is derived from the run's seed and the content's id, so that whatever is read can be matched to
//! what was written, and nothing else can be taken for it.
//!
//! Contents begin with their needle, [`NEEDLE_LENGTH`] bytes that nobody could produce by chance: found on a disk or a
//! wire, they are plaintext that leaked.

use crate::history::{Content, History};
use std::{collections::BTreeMap, ops::Range};

/// Bytes of a needle.
pub const NEEDLE_LENGTH: usize = 16;

fn stream(seed: u64, id: u64) -> blake3::OutputReader {
    let mut hasher = blake3::Hasher::new_derive_key("outlast simulation content v1");
    hasher.update(&seed.to_be_bytes()).update(&id.to_be_bytes());
    hasher.finalize_xof()
}

/// These bytes of a content.
pub fn bytes(seed: u64, id: u64, range: Range<u64>) -> Vec<u8> {
    let length = range.end.saturating_sub(range.start);
    let mut bytes = vec![0; usize::try_from(length).expect("contents fit in memory")];
    let mut stream = stream(seed, id);
    stream.set_position(range.start);
    stream.fill(&mut bytes);
    bytes
}

/// What a content of [`NEEDLE_LENGTH`] bytes or more begins with.
pub fn needle(seed: u64, id: u64) -> [u8; NEEDLE_LENGTH] {
    let mut needle = [0; NEEDLE_LENGTH];
    stream(seed, id).fill(&mut needle);
    needle
}

/// The hash by which bytes that were read are recorded.
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// Needles, to be looked for wherever no plaintext may be.
pub struct Needles {
    /// By their first eight bytes.
    by_head: BTreeMap<[u8; 8], (u64, [u8; NEEDLE_LENGTH])>,
    /// The first two bytes of any needle: one bit each.
    filter: Vec<u64>,
}

impl Needles {
    /// Those of all contents that the history's clients sent.
    pub fn of(history: &History) -> Self {
        let sent = history.calls.iter().filter_map(|call| call.operation.sends());
        let long = sent.filter(|content| content.length >= NEEDLE_LENGTH as u64);
        Self::new(long.map(|Content { id, .. }| (id, needle(history.seed, id))))
    }

    /// These, by the id of their contents.
    pub fn new(needles: impl IntoIterator<Item = (u64, [u8; NEEDLE_LENGTH])>) -> Self {
        let (mut by_head, mut filter) = (BTreeMap::new(), vec![0; 1 << 10]);
        for (id, needle) in needles {
            let bit = usize::from(u16::from_be_bytes([needle[0], needle[1]]));
            filter[bit / 64] |= 1u64 << (bit % 64);
            by_head.insert(head(&needle), (id, needle));
        }
        Self { by_head, filter }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.by_head.len()
    }

    /// The contents whose needles are in these bytes, and where, as an offset.
    pub fn find(&self, haystack: &[u8]) -> Vec<(u64, usize)> {
        let windows = haystack.windows(NEEDLE_LENGTH).enumerate();
        windows
            .filter(|(_, window)| {
                let bit = usize::from(u16::from_be_bytes([window[0], window[1]]));
                self.filter[bit / 64] & (1 << (bit % 64)) != 0
            })
            .filter_map(|(offset, window)| {
                let (id, needle) = self.by_head.get(&head(window))?;
                (needle == window).then_some((*id, offset))
            })
            .collect()
    }
}

fn head(bytes: &[u8]) -> [u8; 8] {
    bytes[..8].try_into().expect("a needle is longer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_slices_of_the_whole_and_contents_differ() {
        let whole = bytes(1, 2, 0..1000);
        assert_eq!(bytes(1, 2, 100..300), whole[100..300]);
        assert_eq!(whole[..NEEDLE_LENGTH], needle(1, 2));
        assert_ne!(bytes(1, 3, 0..1000), whole);
        assert_ne!(bytes(2, 2, 0..1000), whole);
        assert!(bytes(1, 2, 7..7).is_empty());
    }

    #[test]
    fn needles_are_found_anywhere_and_only_whole() {
        let needles = Needles::new((0..50).map(|id| (id, needle(1, id))));
        assert_eq!(needles.count(), 50);
        let mut haystack = bytes(9, 9, 0..10_000);
        assert_eq!(needles.find(&haystack), []);
        haystack[77..77 + NEEDLE_LENGTH].copy_from_slice(&needle(1, 7));
        haystack[10_000 - NEEDLE_LENGTH..].copy_from_slice(&needle(1, 49));
        assert_eq!(needles.find(&haystack), [(7, 77), (49, 10_000 - NEEDLE_LENGTH)]);
        haystack[77 + NEEDLE_LENGTH - 1] ^= 1;
        assert_eq!(needles.find(&haystack), [(49, 10_000 - NEEDLE_LENGTH)]);
        assert_eq!(needles.find(&[0; 3]), []);
    }
}
