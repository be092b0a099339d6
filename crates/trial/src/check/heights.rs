//! Sets of block heights.

/// A set of heights: ranges, both ends within, ascending and apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::check) struct Heights(Vec<(u64, u64)>);

impl Heights {
    /// From one height to another, both within; none if that is below.
    pub(in crate::check) fn between(from: u64, to: u64) -> Self {
        Self(if from <= to { vec![(from, to)] } else { Vec::new() })
    }

    pub(in crate::check) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves what is in both.
    pub(in crate::check) fn and(&mut self, other: &Self) {
        let ranges = self.0.iter().flat_map(|(from, to)| {
            let cut = move |(other_from, other_to): &(u64, u64)| (*from.max(other_from), *to.min(other_to));
            other.0.iter().map(cut).filter(|(from, to)| from <= to)
        });
        self.0 = ranges.collect();
    }

    /// Takes away what is in the other.
    pub(in crate::check) fn without(&mut self, other: &Self) {
        let (mut outside, mut from) = (Self::default(), Some(0));
        for (start, end) in &other.0 {
            if let Some(from) = from.filter(|from| from < start) {
                outside.0.push((from, start - 1));
            }
            from = end.checked_add(1);
        }
        outside.0.extend(from.map(|from| (from, u64::MAX)));
        self.and(&outside);
    }

    /// Whether it has this height.
    pub(in crate::check) fn has(&self, height: u64) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&height))
    }

    /// Adds the other's.
    pub(in crate::check) fn or(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (from, to) in self.0.drain(..) {
            match merged.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => merged.push((from, to)),
            }
        }
        self.0 = merged;
    }
}

impl FromIterator<Self> for Heights {
    fn from_iter<I: IntoIterator<Item = Self>>(all: I) -> Self {
        let mut union = Self::default();
        all.into_iter().for_each(|heights| union.or(heights));
        union
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn sets_of_ranges_are_sets() {
        let ranges = [(0, 3), (2, 5), (4, 4), (6, 9), (9, 7), (1, 8), (8, 8)];
        let set = |(from, to): &(u64, u64)| (*from..=*to).collect::<BTreeSet<_>>();
        let all = |heights: &Heights| heights.0.iter().flat_map(set).collect::<BTreeSet<_>>();
        for a in &ranges {
            for b in &ranges {
                for c in &ranges {
                    let mut heights = Heights::between(a.0, a.1);
                    heights.or(Heights::between(b.0, b.1));
                    let mut expected = &set(a) | &set(b);
                    assert_eq!(all(&heights), expected);
                    heights.and(&Heights::between(c.0, c.1));
                    expected = &expected & &set(c);
                    assert_eq!(all(&heights), expected);
                    assert_eq!(heights.is_empty(), expected.is_empty());
                    let mut without = Heights::between(a.0, a.1);
                    let mut taken = Heights::between(b.0, b.1);
                    taken.or(Heights::between(c.0, c.1));
                    without.without(&taken);
                    assert_eq!(all(&without), &set(a) - &all(&taken));
                    assert!((0..12).all(|height| without.has(height) == all(&without).contains(&height)));
                }
            }
        }
        let mut none = Heights::between(3, u64::MAX);
        none.without(&Heights::between(0, u64::MAX));
        assert!(none.is_empty());
        let mut all = Heights::between(0, u64::MAX);
        all.or(Heights::between(5, u64::MAX));
        assert_eq!(all, Heights::between(0, u64::MAX));
    }
}
