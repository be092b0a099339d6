//! Bytes from outside against everything that decodes them.
//!
//! A *target* (`tests/fuzz/`) is a function of bytes that fails when a property does not hold. Its *corpus*
//! (`corpora/<target>/`) is a directory of small valid inputs, and of inputs that once found something. A run takes
//! every input of the corpus as it is, then damaged ones ([`Damaged`]) until its time is over. How to run targets, and
//! for how long they ran, is in `docs/testing.md`.
//!
//! Inputs are drawn by `bolero`: under plain `cargo test` at random, under `cargo bolero` by coverage.

mod corpus;
mod damage;

pub use corpus::Corpus;
pub use damage::{Damaged, Input};

#[doc(hidden)]
pub use bolero;

use std::time::Duration;

/// Fuzzes one target.
///
/// `fuzz!("name", seeds, check)`: `seeds` gives (file name, bytes) of valid inputs, `check: fn(&[u8])` is the target.
#[macro_export]
macro_rules! fuzz {
    ($name:literal, $seeds:expr, $check:expr) => {{
        let corpus = $crate::Corpus::open($name, $seeds);
        let check = $check;
        for (name, input) in corpus.inputs() {
            println!("{name}");
            check(input);
        }
        $crate::bolero::check!()
            .with_iterations(usize::MAX)
            .with_test_time($crate::time())
            .with_generator($crate::Damaged::new(corpus))
            .for_each(|input: &$crate::Input| check(&input.0));
    }};
}

/// How long each target runs: `FUZZ_SECONDS`, one second if that is not set.
pub fn time() -> Duration {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    Duration::from_secs(seconds.map_or(1, |text| text.parse().expect("FUZZ_SECONDS is a number of seconds")))
}

/// Bytes of memory that decoding may take at once for each byte of input, and for none. Decoders reserve no more than
/// the input can fill; what they make of it is larger, because a structure is larger than its encoding.
const MEMORY_PER_BYTE: u64 = 64;
const MEMORY_BASE: u64 = 16 << 10;

/// Runs `decode`, which is given `bytes` bytes, and fails if it takes more memory than those bytes justify.
pub fn bounded<T>(bytes: usize, decode: impl FnOnce() -> T) -> T {
    let mut decoded = None;
    let taken = allocation_counter::measure(|| decoded = Some(decode())).bytes_max;
    let limit = MEMORY_BASE + MEMORY_PER_BYTE * bytes as u64;
    assert!(taken <= limit, "{bytes} bytes of input made a decoder take {taken} bytes of memory");
    decoded.expect("it was called")
}
