//! Bytes to n shards and back: cipher, erasure code, commitment. Pure.
