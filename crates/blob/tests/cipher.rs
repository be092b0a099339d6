//! What was sealed opens, under exactly the key, number and context it was sealed with.

use blob::{
    Code, DataKey, OpenError, SEALING_OVERHEAD, SegmentKey, TenantKey, encode_chunk, open_chunk, seal,
    seal_chunk, unseal, unwrap_segment_key, wrap_segment_key,
};
use bytes::Bytes;
use proptest::prelude::*;

const CHUNK: usize = 1 << 20;

fn code() -> Code {
    Code::new(2, 4).unwrap()
}

#[test]
fn encoding_is_sealing_then_coding() {
    let key = SegmentKey::new([1; 32]);
    for (k, n) in [(1, 1), (2, 4), (3, 7)] {
        let code = Code::new(k, n).unwrap();
        for length in [1, 15, 16, 17, 100_000, CHUNK - 1, CHUNK] {
            let plaintext: Vec<u8> = (0..length).map(|i| (i * 7 + i / 256) as u8).collect();
            let sealed = seal_chunk(&key, 9, &[&plaintext]);
            assert_eq!(sealed.len(), length + 16);
            assert!(encode_chunk(&code, &key, 9, &[&plaintext]) == code.encode(&sealed));
            assert!(open_chunk(&code, &key, 9, &sealed).unwrap() == plaintext);
        }
    }
}

#[test]
fn a_chunk_is_one_to_a_mebibyte() {
    let key = SegmentKey::new([1; 32]);
    for length in [0, CHUNK + 1] {
        let plaintext = vec![0; length];
        let caught = std::panic::catch_unwind(|| encode_chunk(&code(), &key, 0, &[&plaintext]));
        assert!(caught.is_err(), "{length} bytes");
    }
    for length in [0, 1, 15, 16, CHUNK + 17] {
        assert_eq!(open_chunk(&code(), &key, 0, &vec![0; length]), Err(OpenError), "{length} bytes");
    }
}

proptest! {
    #[test]
    fn however_the_plaintext_is_cut(plaintext in prop::collection::vec(any::<u8>(), 1..2000), cuts: [u16; 4]) {
        let mut cuts = cuts.map(|cut| cut as usize % (plaintext.len() + 1));
        cuts.sort_unstable();
        let whole = Bytes::from(plaintext.clone());
        let edges = [&[0], &cuts[..], &[plaintext.len()]].concat();
        let pieces: Vec<Bytes> = edges.windows(2).map(|edge| whole.slice(edge[0]..edge[1])).collect();
        let key = SegmentKey::new([2; 32]);
        let sealed = seal_chunk(&key, 3, &pieces);
        prop_assert_eq!(&sealed, &seal_chunk(&key, 3, &[&whole]));
        prop_assert!(encode_chunk(&code(), &key, 3, &pieces) == code().encode(&sealed));
    }

    #[test]
    fn a_chunk_opens_only_unaltered_and_in_its_place(
        plaintext in prop::collection::vec(any::<u8>(), 1..2000), key: [u8; 32], number: u32,
        at: prop::sample::Index, bit in 0..8,
    ) {
        let sealed = seal_chunk(&SegmentKey::new(key), number, &[&plaintext]);
        let open = |key, number, sealed: &[u8]| open_chunk(&code(), &SegmentKey::new(key), number, sealed);
        prop_assert_eq!(open(key, number, &sealed).unwrap(), plaintext);

        let mut altered = sealed.to_vec();
        altered[at.index(sealed.len())] ^= 1u8 << bit;
        prop_assert_eq!(open(key, number, &altered), Err(OpenError));
        prop_assert_eq!(open(key, number ^ (1u32 << bit), &sealed), Err(OpenError));
        prop_assert_eq!(open(key, number, &sealed[..at.index(sealed.len())]), Err(OpenError));
        let mut other = key;
        other[at.index(32)] ^= 1u8 << bit;
        prop_assert_eq!(open(other, number, &sealed), Err(OpenError));
    }

    #[test]
    fn metadata_opens_only_unaltered_and_in_its_context(
        plaintext in prop::collection::vec(any::<u8>(), 0..500), context in prop::collection::vec(any::<u8>(), 0..50),
        key: [u8; 32], random: [u8; 32], at: prop::sample::Index, bit in 0..8,
    ) {
        let tenant = TenantKey::new(key);
        let sealed = seal(&tenant, &context, &plaintext, random);
        prop_assert_eq!(sealed.len(), plaintext.len() + SEALING_OVERHEAD);
        prop_assert_eq!(&*unseal(&tenant, &context, &sealed).unwrap(), &plaintext);

        let mut altered = sealed.to_vec();
        altered[at.index(sealed.len())] ^= 1u8 << bit;
        prop_assert_eq!(unseal(&tenant, &context, &altered), Err(OpenError));
        prop_assert_eq!(unseal(&tenant, &context, &sealed[..at.index(sealed.len())]), Err(OpenError));
        prop_assert_eq!(unseal(&tenant, &[&context[..], b"x"].concat(), &sealed), Err(OpenError));
        let mut other = key;
        other[at.index(32)] ^= 1u8 << bit;
        prop_assert_eq!(unseal(&TenantKey::new(other), &context, &sealed), Err(OpenError));
    }

    #[test]
    fn a_segment_key_unwraps_only_under_its_number(
        data_key: [u8; 32], key: [u8; 32], number: u32, at in 0..48usize, bit in 0..8,
    ) {
        let data = DataKey::new(data_key);
        let sealed = wrap_segment_key(&data, number, &SegmentKey::new(key));
        let unwrapped = unwrap_segment_key(&data, number, &sealed).unwrap();
        prop_assert_eq!(unwrapped.as_bytes(), &key);

        let mut altered = sealed;
        altered.0[at] ^= 1u8 << bit;
        prop_assert!(unwrap_segment_key(&data, number, &altered).is_err());
        prop_assert!(unwrap_segment_key(&data, number ^ (1u32 << bit), &sealed).is_err());
        let mut other = data_key;
        other[at % 32] ^= 1u8 << bit;
        prop_assert!(unwrap_segment_key(&DataKey::new(other), number, &sealed).is_err());
    }
}

#[test]
fn a_number_wrapped_again_does_not_give_the_keys_difference_away() {
    let data = DataKey::new([3; 32]);
    let [a, b] = [1, 2].map(|byte| wrap_segment_key(&data, 5, &SegmentKey::new([byte; 32])));
    let difference: Vec<u8> = a.0.iter().zip(&b.0).map(|(a, b)| a ^ b).collect();
    assert_ne!(difference[..32], [1 ^ 2; 32], "as it would be with plain GCM");
}
