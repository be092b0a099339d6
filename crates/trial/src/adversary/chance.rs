//! Dice from a seed.

use commonware_utils::sync::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::time::Duration;

/// Dice from a seed: one seed, one sequence. All decisions of an adversary or a malicious writer are thrown with them.
#[derive(Debug)]
pub struct Chance(Mutex<StdRng>);

impl Chance {
    /// The dice of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A number below `end`, which is not zero.
    pub fn below(&self, end: usize) -> usize {
        self.0.lock().random_range(0..end)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&self, share: u32) -> bool {
        self.0.lock().random_range(0..100) < share
    }

    /// True once in so many cases.
    pub fn once_in(&self, cases: usize) -> bool {
        self.below(cases) == 0
    }

    /// A duration of this many milliseconds at least and fewer than that.
    pub fn ms(&self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.0.lock().random_range(range))
    }

    /// Bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        self.0.lock().random()
    }

    /// This many bytes. Only the first 64 are random: nobody looks at the rest.
    pub fn junk(&self, length: usize) -> Vec<u8> {
        let pattern: [u8; 64] = self.bytes();
        pattern.iter().copied().cycle().take(length).collect()
    }

    /// One of them, unless there are none.
    pub fn one_of<'a, T>(&self, things: &'a [T]) -> Option<&'a T> {
        (!things.is_empty()).then(|| &things[self.below(things.len())])
    }

    /// Two groups, neither empty if there are two things or more.
    pub fn parted<T: Clone>(&self, things: &[T]) -> (Vec<T>, Vec<T>) {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for thing in things {
            let group = if self.percent(50) { &mut first } else { &mut second };
            group.push(thing.clone());
        }
        if first.is_empty() {
            first.extend(second.pop());
        } else if second.is_empty() && first.len() > 1 {
            second.extend(first.pop());
        }
        (first, second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_another_does_not() {
        let throw = |seed| Chance::new(seed).bytes::<32>();
        assert_eq!(throw(1), throw(1));
        assert_ne!(throw(1), throw(2));
    }

    #[test]
    fn parts_are_two_and_hold_everything() {
        let chance = Chance::new(3);
        for _ in 0..100 {
            let (first, second) = chance.parted(&[1, 2, 3]);
            assert!(!first.is_empty() && !second.is_empty());
            let mut all = [first, second].concat();
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3]);
        }
    }
}
