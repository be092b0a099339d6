//! Decoding is strict: bytes either do not decode, or are the very encoding of what they decode to. It never panics,
//! and takes no more memory than the type allows, whatever the bytes say.

use crate::samples::{Sample, derived, samples};
use bytes::Bytes;
use proptest::{prelude::*, sample::Index};
use std::sync::LazyLock;

static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(samples);

/// Bytes that decode must be those that encoding gives back.
fn check(sample: &Sample, bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(again) = (sample.recode)(Bytes::copy_from_slice(bytes)) {
        prop_assert_eq!(&again[..], bytes, "{} has two encodings", sample.name);
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Remove(Index, Index),
    Insert(Index, Vec<u8>),
    /// Overwrites four bytes, as of a count or a length.
    Count(Index, u32),
    /// Copies bytes from one place to another.
    Splice(Index, Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let count = prop_oneof![0..4u32, Just(u32::MAX), Just(1 << 31), any::<u32>(), 1..20_000u32];
    prop_oneof![
        (any::<Index>(), 1..=255u8).prop_map(|(at, with)| Damage::Flip(at, with)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Remove(from, to)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..40))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<Index>(), count).prop_map(|(at, count)| Damage::Count(at, count)),
        (any::<Index>(), any::<Index>(), 1..64usize)
            .prop_map(|(from, to, length)| Damage::Splice(from, to, length)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    match damage {
        Damage::Flip(at, with) => {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
        Damage::Remove(from, to) => {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            bytes.drain(from.min(to)..from.max(to));
        }
        Damage::Insert(at, inserted) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, inserted.iter().copied());
        }
        Damage::Count(at, count) => {
            let at = at.index(bytes.len());
            let end = bytes.len().min(at + 4);
            bytes[at..end].copy_from_slice(&count.to_be_bytes()[..end - at]);
        }
        Damage::Splice(from, to, length) => {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let copied = bytes[from..bytes.len().min(from + length)].to_vec();
            let end = bytes.len().min(to + copied.len());
            bytes.splice(to..end, copied);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_have_one_encoding(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for sample in SAMPLES.iter() {
            check(sample, &bytes)?;
        }
    }

    #[test]
    fn damaged_encodings_have_one_encoding(damages in prop::collection::vec(damage(), 1..4)) {
        for sample in SAMPLES.iter() {
            let mut bytes = sample.bytes.to_vec();
            damages.iter().for_each(|damage| apply(&mut bytes, damage));
            check(sample, &bytes)?;
        }
    }
}

#[test]
fn samples_come_back() {
    for sample in SAMPLES.iter() {
        assert_eq!((sample.recode)(sample.bytes.clone()).unwrap(), sample.bytes, "{}", sample.name);
    }
}

#[test]
fn hashes_of_different_things_differ() {
    let hashes = derived();
    for (at, (name, hash)) in hashes.iter().enumerate() {
        assert!(hashes[..at].iter().all(|(_, other)| other != hash), "{name}");
    }
}

#[test]
fn every_flipped_bit_has_one_encoding_and_every_other_length_none() {
    for sample in SAMPLES.iter() {
        for bit in 0..sample.bytes.len() * 8 {
            let mut bytes = sample.bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            check(sample, &bytes).unwrap();
        }
        for length in 0..sample.bytes.len() {
            assert!(
                (sample.recode)(sample.bytes.slice(..length)).is_err(),
                "{} of {length} bytes",
                sample.name
            );
        }
        let longer = Bytes::from([sample.bytes.as_ref(), &[0]].concat());
        assert!((sample.recode)(longer).is_err(), "{} with a byte more", sample.name);
    }
}

/// Varints are the one part of the encoding whose length is not fixed by the value's type: longer forms are refused.
#[test]
fn varints_are_shortest() {
    let finalization = SAMPLES.iter().find(|sample| sample.name == "Finalization").unwrap();
    assert_eq!(finalization.bytes[..5], [3, 0xe8, 0x07, 0xe6, 0x07], "epoch 3, views 1000 and 998");
    for at in 0..5 {
        if finalization.bytes[at] < 0x80 {
            let (before, after) = finalization.bytes.split_at(at);
            let longer = [before, &[after[0] | 0x80, 0], &after[1..]].concat();
            assert!((finalization.recode)(Bytes::from(longer)).is_err(), "byte {at}");
        }
    }
}

/// The most address space that the process has had, in kilobytes.
#[cfg(target_os = "linux")]
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Counts and lengths of every size at every place, with too few bytes after them.
#[cfg(target_os = "linux")]
#[test]
fn false_counts_take_no_memory() {
    let before = peak_kib();
    for sample in SAMPLES.iter() {
        for at in 0..sample.bytes.len().saturating_sub(4) {
            for count in [u32::MAX, 1 << 31, 1 << 24, 10_000, 4096, 2048] {
                let mut bytes = sample.bytes.to_vec();
                bytes[at..at + 4].copy_from_slice(&count.to_be_bytes());
                check(sample, &bytes).unwrap();
            }
        }
    }
    // Other tests of this process run meanwhile; a believed count would take gigabytes.
    assert!(peak_kib() - before < 512 * 1024, "from {before} to {} KiB", peak_kib());
}
