//! What the objects hold: windows of one block of pseudo-random bytes, so that making and checking them costs next to
//! nothing.

use bytes::Bytes;
use object_store::PutPayload;

/// Bytes of the block; a power of two.
const BLOCK: usize = 16 << 20;
/// Windows begin at multiples of this, an odd number, so that no two of the first [`BLOCK`] objects begin alike.
const STRIDE: usize = 4097;

/// The contents of all objects.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    block: Bytes,
}

impl Contents {
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        let block: Vec<u8> = (0..BLOCK / 8).flat_map(|_| split_mix(&mut state).to_le_bytes()).collect();
        Self { block: block.into() }
    }

    /// `length` bytes of the object with this number, beginning at `offset` within it, without a copy.
    pub(crate) fn slices(&self, number: u64, offset: u64, length: u64) -> impl Iterator<Item = Bytes> {
        let mut at = (start(number) + (offset % BLOCK as u64) as usize) % BLOCK;
        let mut left = length;
        std::iter::from_fn(move || {
            let take = left.min((BLOCK - at) as u64) as usize;
            if take == 0 {
                return None;
            }
            let slice = self.block.slice(at..at + take);
            left -= take as u64;
            at = (at + take) % BLOCK;
            Some(slice)
        })
    }

    pub(crate) fn payload(&self, number: u64, offset: u64, length: u64) -> PutPayload {
        self.slices(number, offset, length).collect()
    }

    /// Whether `read` is what the object with this number has at `offset`.
    pub(crate) fn agrees(&self, number: u64, offset: u64, read: &[u8]) -> bool {
        let mut rest = read;
        for slice in self.slices(number, offset, read.len() as u64) {
            let (here, further) = rest.split_at(slice.len());
            if here != slice {
                return false;
            }
            rest = further;
        }
        true
    }
}

fn start(number: u64) -> usize {
    (number % BLOCK as u64) as usize * STRIDE % BLOCK
}

/// Steele, Lea, Flood: "Fast splittable pseudorandom number generators".
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_agrees_and_what_was_altered_does_not() {
        let contents = Contents::new(1);
        let bytes: Vec<u8> = contents.slices(7, 0, 40 << 20).flatten().collect();
        assert_eq!(bytes.len(), 40 << 20);
        assert!(contents.agrees(7, 0, &bytes));
        assert!(contents.agrees(7, 33 << 20, &bytes[33 << 20..]));
        assert!(!contents.agrees(8, 0, &bytes));
        let mut altered = bytes;
        *altered.last_mut().unwrap() ^= 1;
        assert!(!contents.agrees(7, 0, &altered));
    }
}
