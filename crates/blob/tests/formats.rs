//! The formats, frozen. A value here changes only with a new version of the format that it belongs to.
//!
//! The values were computed by an independent implementation: BLAKE3, the field and the matrix written from their
//! specifications, AES-256-GCM and AES-256-GCM-SIV from OpenSSL.

use blob::{Code, DataKey, SegmentKey, TenantKey, encode_chunk, seal, seal_chunk, wrap_segment_key};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 0, 1, 2, ... 31.
fn key() -> [u8; 32] {
    std::array::from_fn(|i| i as u8)
}

#[test]
fn sealed_chunk() {
    let sealed = seal_chunk(&SegmentKey::new(key()), 0x0102_0304, &[b"Outlast"]);
    assert_eq!(hex(&sealed), "b024be623f35007e9b1877a7671e835a2ee7b6aa272b88");
}

#[test]
fn chunk_ids() {
    let plaintext: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    let id = |k, n| {
        encode_chunk(&Code::new(k, n).unwrap(), &SegmentKey::new(key()), 7, &[&plaintext]).id.to_string()
    };
    assert_eq!(id(1, 1), "62c4a86d8f76b9a60324e5e38f64381efad793e40af00f72341fa643c443ecd8");
    assert_eq!(id(2, 4), "e964045b708a900a58bdf2188d6d53151335eee8d582a42082072dd44375a464");
    assert_eq!(id(3, 7), "7c84a2c819d5cb6a93d094215f38c1f4c9f48b5bfe38bc0a29f492af8bc1a338");
    assert_eq!(id(11, 31), "a8e016979f4b544607ff97cab6f79a8886fc3c71da45f17cee3b06af45b91737");
}

#[test]
fn sealed_metadata() {
    let sealed = seal(&TenantKey::new(key()), b"context", b"metadata", [0xab; 32]);
    assert_eq!(
        hex(&sealed),
        "abababababababababababababababababababababababababababababababab9af84544fe6b0dd37cd328df36b9c1ff4cd5de26ebef3283"
    );
}

#[test]
fn wrapped_segment_key() {
    let sealed = wrap_segment_key(&DataKey::new(key()), 3, &SegmentKey::new([0xcd; 32]));
    assert_eq!(
        sealed.to_string(),
        "c0909c921587eb06976841e6c8620e5bb9723dfd25c7fbc5485ad39f99253935c06a892d136fb534322caeda62209279"
    );
}
