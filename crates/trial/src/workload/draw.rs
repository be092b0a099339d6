//! What a client asks for next: drawn, and nothing but drawn.

use super::{Sizes, Weights, WorkloadPlan};
use rand::{RngExt as _, rngs::StdRng};
use std::{ops::Range, time::Duration};

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Put,
    Copy,
    Delete,
    Get,
    GetRange,
    GetVersion,
    Head,
    List,
    ListAt,
    GetAt,
    Hide,
    Undelete,
    ListVersions,
    Upload,
    UploadLarge,
}

/// A condition to ask for, before it is known whether the client knows a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    None,
    IfAbsent,
    IfVersion,
}

/// One of these, as often as its weight says. Not all weights are zero.
fn weighted<T: Copy>(random: &mut StdRng, choices: &[(u32, T)]) -> T {
    let total = choices.iter().map(|(weight, _)| weight).sum();
    let mut at = random.random_range(0..total);
    for (weight, choice) in choices {
        match at.checked_sub(*weight) {
            None => return *choice,
            Some(rest) => at = rest,
        }
    }
    unreachable!("drawn below the sum of all weights")
}

pub(super) fn wish(random: &mut StdRng, weights: &Weights) -> Wish {
    let Weights { put, copy, delete, get, get_range, get_version, head, list, upload, upload_large, .. } =
        *weights;
    let Weights { list_at, get_at, hide, undelete, list_versions, .. } = *weights;
    let choices = [
        (put, Wish::Put),
        (copy, Wish::Copy),
        (delete, Wish::Delete),
        (get, Wish::Get),
        (get_range, Wish::GetRange),
        (get_version, Wish::GetVersion),
        (head, Wish::Head),
        (list, Wish::List),
        (list_at, Wish::ListAt),
        (get_at, Wish::GetAt),
        (hide, Wish::Hide),
        (undelete, Wish::Undelete),
        (list_versions, Wish::ListVersions),
        (upload, Wish::Upload),
        (upload_large, Wish::UploadLarge),
    ];
    weighted(random, &choices)
}

pub(super) fn guard(random: &mut StdRng, plan: &WorkloadPlan) -> Guard {
    let conditional = random.random_range(0..100) < plan.conditional_percent;
    match (conditional, random.random::<bool>()) {
        (false, _) => Guard::None,
        (true, false) => Guard::IfAbsent,
        (true, true) => Guard::IfVersion,
    }
}

pub(super) fn key(random: &mut StdRng, plan: &WorkloadPlan) -> String {
    plan.key(random.random_range(0..plan.keys))
}

/// Bytes of an object.
pub(super) fn length(random: &mut StdRng, sizes: &Sizes) -> u64 {
    const INLINE: u64 = vault::INLINE_PLAINTEXT_MAX as u64;
    let Sizes { empty, inline, medium, large } = *sizes;
    let choices =
        [(empty, 0..1), (inline, 1..INLINE + 1), (medium, INLINE + 1..200 << 10), (large, 1 << 20..3 << 20)];
    let index = weighted(random, &[0, 1, 2, 3].map(|at: usize| (choices[at].0, at)));
    let Range { start, end } = choices[index].1.clone();
    // Both ends of each range are edges, and edges are where things go wrong.
    match random.random_range(0..8) {
        0 => start,
        1 => end - 1,
        _ => random.random_range(start..end),
    }
}

/// A range of an object that may have about this many bytes, or fewer.
pub(super) fn range(random: &mut StdRng, about: u64) -> Range<u64> {
    let start = random.random_range(0..=about);
    start..start + random.random_range(0..=about)
}

/// How far before a time another is that is asked for, milliseconds: mostly not at all.
pub(super) fn shift_ms(random: &mut StdRng) -> u64 {
    match random.random_range(0..4) {
        0 | 1 => 0,
        2 => 1,
        _ => random.random_range(0..3_000),
    }
}

pub(super) fn think(random: &mut StdRng, plan: &WorkloadPlan) -> Duration {
    let Range { start, end } = plan.think_ms;
    Duration::from_millis(random.random_range(start..end.max(start + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use std::collections::BTreeMap;

    #[test]
    fn weights_are_kept_and_zero_is_never() {
        let mut random = StdRng::seed_from_u64(1);
        let mut counts = BTreeMap::new();
        for _ in 0..1000 {
            *counts.entry(weighted(&mut random, &[(1, 'a'), (0, 'b'), (3, 'c')])).or_insert(0) += 1;
        }
        assert!(!counts.contains_key(&'b'));
        assert!(counts[&'a'] > 150 && counts[&'c'] > 600, "{counts:?}");
    }

    #[test]
    fn a_plan_moves_little_but_some_of_every_length() {
        let mut random = StdRng::seed_from_u64(1);
        let plan = WorkloadPlan::new(1);
        let lengths: Vec<_> = (0..1000).map(|_| length(&mut random, &plan.sizes)).collect();
        let mean = lengths.iter().sum::<u64>() / 1000;
        assert!((20 << 10..120 << 10).contains(&mean), "{mean}");
        assert!(
            lengths.contains(&0)
                && lengths.contains(&(16 << 10)) == (vault::INLINE_PLAINTEXT_MAX == 16 << 10)
        );
        assert!(lengths.iter().any(|length| *length > 2 << 20));
        let wishes: Vec<_> = (0..1000).map(|_| wish(&mut random, &plan.weights)).collect();
        assert!(wishes.contains(&Wish::UploadLarge) && wishes.contains(&Wish::List));
    }
}
