//! Any k shards give the ciphertext back, and nothing else ever comes out.

use blob::{
    CIPHERTEXT_MAX, CheckedShard, Code, CodeError, DecodeError, EncodedChunk, OpeningError, ShardError,
};
use bytes::Bytes;
use proof::{Digest, manifest::Opening, wire::List};
use proptest::{prelude::*, sample::subsequence};

/// Every code of a network: n = 3f + 1, k = f + 1; and a few more that exist.
const CODES: [(usize, usize); 15] = [
    (1, 1),
    (2, 4),
    (3, 7),
    (4, 10),
    (5, 13),
    (6, 16),
    (7, 19),
    (8, 22),
    (9, 25),
    (10, 28),
    (11, 31),
    (1, 4),
    (1, 31),
    (3, 3),
    (30, 31),
];

/// Bytes without visible pattern, different for each seed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn check(code: &Code, chunk: &EncodedChunk, indices: &[usize]) -> Vec<CheckedShard> {
    let check =
        |&i: &usize| code.check_shard(&chunk.opening, i, chunk.shards[i].clone()).expect("an honest shard");
    indices.iter().map(check).collect()
}

fn all_subsets(n: usize, k: usize) -> Vec<Vec<usize>> {
    (0u32..1 << n)
        .filter(|set| set.count_ones() as usize == k)
        .map(|set| (0..n).filter(|i| set >> i & 1 == 1).collect())
        .collect()
}

/// Multiplication in GF(2^8) modulo 0x11d, bit by bit.
fn gf_mul(mut a: u8, b: u8) -> u8 {
    let mut product = 0;
    for bit in 0..8 {
        if b >> bit & 1 == 1 {
            product ^= a;
        }
        a = (a << 1) ^ if a & 0x80 == 0 { 0 } else { 0x1d };
    }
    product
}

fn gf_inverse(a: u8) -> u8 {
    (1..=255).find(|b| gf_mul(a, *b) == 1).expect("every element but zero has an inverse")
}

/// The code as the documentation defines it, slowly.
fn reference_shards(k: usize, n: usize, ciphertext: &[u8]) -> Vec<Vec<u8>> {
    let length = ciphertext.len().div_ceil(k);
    let mut padded = ciphertext.to_vec();
    padded.resize(k * length, 0);
    let mut shards: Vec<Vec<u8>> = padded.chunks(length).map(<[u8]>::to_vec).collect();
    for i in k..n {
        let mut parity = vec![0; length];
        for (j, shard) in shards[..k].iter().enumerate() {
            let coefficient = if k == 1 { 1 } else { gf_inverse((i ^ j) as u8) };
            let products: Vec<u8> = (0..=255).map(|byte| gf_mul(coefficient, byte)).collect();
            parity.iter_mut().zip(shard).for_each(|(sum, byte)| *sum ^= products[*byte as usize]);
        }
        shards.push(parity);
    }
    shards
}

#[test]
fn codes_are_within_bounds() {
    for (k, n) in [(0, 0), (0, 4), (5, 4), (1, 32), (2, usize::MAX)] {
        assert_eq!(Code::new(k, n).err(), Some(CodeError { k, n }));
    }
}

#[test]
fn shards_are_those_of_the_definition() {
    for (k, n) in CODES {
        let code = Code::new(k, n).unwrap();
        for length in [1, 15, 16, 17, k, k + 1, 1000, 65_536 + 16] {
            let ciphertext = noise(length, length as u64);
            let chunk = code.encode(&ciphertext);
            assert_eq!(chunk.shards, reference_shards(k, n, &ciphertext), "({k}, {n}), {length} bytes");
            let hashes: Vec<Digest> =
                chunk.shards.iter().map(|s| Digest(*blake3::hash(s).as_bytes())).collect();
            let opening =
                Opening { k: k as u8, ciphertext_length: length as u32, shards: List::new(hashes).unwrap() };
            assert_eq!((chunk.id, &chunk.opening), (opening.id(), &opening));
        }
    }
}

#[test]
fn a_full_chunk_is_that_of_the_definition() {
    // Many columns, the last one short: what the small lengths above do not reach.
    for (k, n) in [(2, 4), (3, 7), (11, 31)] {
        let ciphertext = noise(CIPHERTEXT_MAX, 1);
        let chunk = Code::new(k, n).unwrap().encode(&ciphertext);
        assert!(chunk.shards == reference_shards(k, n, &ciphertext), "({k}, {n})");
    }
}

#[test]
fn every_subset_decodes() {
    for (k, n) in [(1, 1), (1, 4), (2, 4), (3, 7), (4, 10)] {
        let code = Code::new(k, n).unwrap();
        for length in [1, k.max(2) - 1, k, k + 1, 16, 17, 4099] {
            let ciphertext = noise(length, 2);
            let chunk = code.encode(&ciphertext);
            for subset in all_subsets(n, k) {
                let decoded = code.decode(&chunk.opening, &check(&code, &chunk, &subset)).unwrap();
                assert_eq!(decoded, ciphertext, "({k}, {n}), {length} bytes from {subset:?}");
            }
        }
    }
}

#[test]
fn full_chunks_decode_from_parity_alone_and_rebuild() {
    for (k, n) in CODES {
        let code = Code::new(k, n).unwrap();
        for length in [CIPHERTEXT_MAX, CIPHERTEXT_MAX - 1] {
            let ciphertext = noise(length, 3);
            let chunk = code.encode(&ciphertext);
            let last: Vec<usize> = (n - k..n).rev().collect();
            let shards = check(&code, &chunk, &last);
            assert!(code.decode(&chunk.opening, &shards).unwrap() == ciphertext, "({k}, {n})");
            assert!(code.rebuild(&chunk.opening, &shards).unwrap() == chunk, "({k}, {n})");
        }
    }
}

fn code_and_subset() -> impl Strategy<Value = (usize, usize, Vec<usize>)> {
    proptest::sample::select(CODES.to_vec()).prop_flat_map(|(k, n)| {
        let subset = subsequence((0..n).collect::<Vec<_>>(), k).prop_shuffle();
        subset.prop_map(move |subset| (k, n, subset))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_k_shards_give_the_bytes((k, n, subset) in code_and_subset(), length in 1..=300_000usize, seed: u64) {
        let code = Code::new(k, n).unwrap();
        let ciphertext = noise(length, seed);
        let chunk = code.encode(&ciphertext);
        let shards = check(&code, &chunk, &subset);
        prop_assert!(code.decode(&chunk.opening, &shards).unwrap() == ciphertext);
        prop_assert_eq!(
            code.decode(&chunk.opening, &shards[1..]),
            Err(DecodeError::TooFew { got: k - 1, needed: k })
        );
    }

    #[test]
    fn an_altered_shard_is_refused(
        (k, n, subset) in code_and_subset(), length in 1..=5000usize, at: prop::sample::Index, bit in 0..8u8,
    ) {
        let code = Code::new(k, n).unwrap();
        let chunk = code.encode(&noise(length, 4));
        let index = subset[0];
        let mut bytes = chunk.shards[index].to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        prop_assert_eq!(code.check_shard(&chunk.opening, index, bytes.into()), Err(ShardError::Hash));
    }

    /// The writer commits to parity of which some is another chunk's. Whatever k shards a reader holds, it gets the
    /// bytes of the data shards, or an error if one of the k is a lie.
    #[test]
    fn a_lying_writer_never_makes_two_readers_differ(
        (k, n, subset) in code_and_subset(), length in 1..=5000usize, wrong in 1..u32::MAX,
    ) {
        let code = Code::new(k, n).unwrap();
        let (truth, other) = (code.encode(&noise(length, 5)), code.encode(&noise(length, 6)));
        let lies = |i: usize| i >= k && wrong >> (i - k) & 1 == 1 && other.shards[i] != truth.shards[i];
        let shards = (0..n).map(|i| if lies(i) { other.shards[i].clone() } else { truth.shards[i].clone() });
        let lie = commit(&truth.opening, shards.collect());

        let shards = check(&code, &lie, &subset);
        // k rows of the code are invertible: a wrong one changes some data shard, and only computed ones can change.
        if subset.iter().any(|i| lies(*i)) {
            prop_assert_eq!(code.decode(&lie.opening, &shards), Err(DecodeError::Inconsistent));
        } else {
            prop_assert!(code.decode(&lie.opening, &shards).unwrap() == noise(length, 5));
        }
        if (0..n).any(lies) {
            prop_assert_eq!(code.rebuild(&lie.opening, &shards), Err(DecodeError::Inconsistent));
        }
    }
}

/// Commits to any shards at all, as a lying writer can.
fn commit(like: &Opening, shards: Vec<Bytes>) -> EncodedChunk {
    let hashes = shards.iter().map(|shard| Digest(*blake3::hash(shard).as_bytes())).collect();
    let opening = Opening { shards: List::new(hashes).unwrap(), ..like.clone() };
    EncodedChunk { id: opening.id(), opening, shards }
}

#[test]
fn padding_that_is_not_zero_is_inconsistent_for_everyone() {
    let code = Code::new(3, 7).unwrap();
    // Seven bytes in three shards of three: two bytes of padding. Encode nine and claim that they are seven.
    let nine = code.encode(&noise(9, 7));
    let opening = Opening { ciphertext_length: 7, ..nine.opening.clone() };
    for subset in all_subsets(7, 3) {
        let check = |i: usize| code.check_shard(&opening, i, nine.shards[i].clone()).unwrap();
        let shards: Vec<_> = subset.into_iter().map(check).collect();
        assert_eq!(code.decode(&opening, &shards), Err(DecodeError::Inconsistent));
    }
}

#[test]
fn repeated_and_foreign_shards_do_not_count() {
    let code = Code::new(2, 4).unwrap();
    let (chunk, other) = (code.encode(&noise(100, 8)), code.encode(&noise(100, 9)));
    let one = check(&code, &chunk, &[2, 2, 2]);
    assert_eq!(code.decode(&chunk.opening, &one), Err(DecodeError::TooFew { got: 1, needed: 2 }));
    let mixed = [check(&code, &chunk, &[0]), check(&code, &other, &[1])].concat();
    assert_eq!(code.decode(&chunk.opening, &mixed), Err(DecodeError::Foreign(1)));
    let all = check(&code, &chunk, &[3, 2, 1, 0]);
    assert_eq!(code.decode(&chunk.opening, &all).unwrap(), noise(100, 8));
}

#[test]
fn openings_and_shards_from_outside_are_checked() {
    let code = Code::new(2, 4).unwrap();
    let chunk = code.encode(&noise(100, 10));
    let shard = |index: usize| chunk.shards[index].clone();
    let refusal = |opening: &Opening, index, bytes| code.check_shard(opening, index, bytes).unwrap_err();

    assert_eq!(refusal(&chunk.opening, 4, shard(3)), ShardError::Index(4));
    assert_eq!(refusal(&chunk.opening, 1, shard(0)), ShardError::Hash);
    let short = ShardError::Length { got: 49, expected: 50 };
    assert_eq!(refusal(&chunk.opening, 0, shard(0).slice(1..)), short);
    for length in [0, CIPHERTEXT_MAX as u32 + 1, u32::MAX] {
        let opening = Opening { ciphertext_length: length, ..chunk.opening.clone() };
        assert_eq!(refusal(&opening, 0, shard(0)), OpeningError::Length(length).into());
        assert_eq!(code.decode(&opening, &[]), Err(OpeningError::Length(length).into()));
    }
    for k in [0, 1, 3, 255] {
        let opening = Opening { k, ..chunk.opening.clone() };
        assert_eq!(code.check_opening(&opening), Err(OpeningError::Code { k: k.into(), n: 4 }));
    }
    let opening = Code::new(2, 7).unwrap().encode(&noise(100, 10)).opening;
    assert_eq!(code.check_opening(&opening), Err(OpeningError::Code { k: 2, n: 7 }));
}

#[test]
#[should_panic(expected = "not a chunk: 0 bytes")]
fn an_empty_chunk_is_a_mistake_of_the_caller() {
    Code::new(2, 4).unwrap().encode(&[]);
}

#[test]
fn reused_buffers_leave_no_trace() {
    let code = Code::new(3, 7).unwrap();
    for round in 0..50u64 {
        // Near lengths share buffers; the padding must be zero again each time.
        let ciphertext = noise(200_000 - round as usize, round);
        let chunk = code.encode(&ciphertext);
        assert!(chunk == Code::new(3, 7).unwrap().encode(&ciphertext));
        let shards = check(&code, &chunk, &[1, 4, 6]);
        drop(chunk.shards);
        assert!(code.decode(&chunk.opening, &shards).unwrap() == ciphertext);
    }
}
