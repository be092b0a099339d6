//! Opened contents: the very bytes, however they stream by, and no others.

use crate::network::{CONTENTS, opening};
use proof::receipt::{ContentCheck, ContentOpening, content_commitment};
use proptest::prelude::*;

/// Whether the check takes these bytes in pieces of `piece` bytes. A caller who ignores what `update` says, and one
/// who does not, come to the same end.
fn takes(opening: &ContentOpening, bytes: &[u8], piece: usize) -> bool {
    let (mut careless, mut careful) = (ContentCheck::new(opening), ContentCheck::new(opening));
    let mut stopped = false;
    for piece in bytes.chunks(piece) {
        careless.update(piece);
        stopped = stopped || !careful.update(piece);
    }
    let result = careless.finish();
    assert_eq!(result, !stopped && careful.finish());
    result
}

/// The contents in runs that end at these places.
fn cut(bytes: &[u8], ends: &[usize]) -> ContentOpening {
    let mut ends = ends.to_vec();
    ends.sort_unstable();
    let mut runs = Vec::new();
    let mut start = 0;
    for end in ends.into_iter().chain([bytes.len()]) {
        runs.push(&bytes[start..end]);
        start = end;
    }
    opening(&runs)
}

#[test]
fn only_the_contents_are_taken() {
    let length = CONTENTS.len();
    for ends in [&[][..], &[10], &[0], &[length], &[10, 10], &[0, 0, 5, 20, length, length]] {
        let opening = cut(CONTENTS, ends);
        for piece in [1, 2, 7, 10, length, length + 1] {
            assert!(takes(&opening, CONTENTS, piece), "runs end at {ends:?}, pieces of {piece}");
            for bit in 0..length * 8 {
                let mut flipped = CONTENTS.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    !takes(&opening, &flipped, piece),
                    "bit {bit}, runs end at {ends:?}, pieces of {piece}"
                );
            }
            for shorter in 0..length {
                assert!(!takes(&opening, &CONTENTS[..shorter], piece));
            }
            for more in 1..4 {
                assert!(!takes(&opening, &[CONTENTS, &[0; 3][..more]].concat(), piece));
            }
        }
    }
}

#[test]
fn empty_contents_are_nothing_but_empty() {
    for runs in [&[][..], &[b"".as_slice()], &[b"", b""]] {
        let opening = opening(runs);
        assert!(takes(&opening, b"", 1));
        assert!(!takes(&opening, b"\0", 1));
    }
}

#[test]
fn runs_in_another_order_are_other_contents() {
    let opening = opening(&[b"first", b"other"]);
    assert!(takes(&opening, b"firstother", 3));
    assert!(!takes(&opening, b"otherfirst", 3));
}

#[test]
fn a_run_of_impossible_length_takes_nothing() {
    let mut runs = opening(&[CONTENTS]).runs.into_inner();
    runs[0].length = u64::MAX;
    let opening = ContentOpening { salt: [0x5a; 32], runs: proof::wire::List::new(runs).unwrap() };
    assert!(!takes(&opening, CONTENTS, 5));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn contents_are_taken_in_any_pieces_and_commitments_differ(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        ends in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        other_ends in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        piece in 1..400usize,
    ) {
        let at = |ends: &[prop::sample::Index]| {
            ends.iter().map(|end| end.index(bytes.len() + 1)).collect::<Vec<_>>()
        };
        let (one, two) = (cut(&bytes, &at(&ends)), cut(&bytes, &at(&other_ends)));
        prop_assert!(takes(&one, &bytes, piece));
        prop_assert_eq!(content_commitment(&one) == content_commitment(&two), one == two);
    }
}
