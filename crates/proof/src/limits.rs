//! Every limit of the formats, named and related in one place. None may shrink while stored blocks exist.

/// Nodes in a committee: 3f + 1 with f up to 10.
pub const NODES_MAX: usize = 31;
/// Plaintext bytes of a full chunk.
pub const CHUNK_LENGTH: u64 = 1 << 20;
/// Bytes that AES-256-GCM adds to each chunk.
pub const CHUNK_TAG_LENGTH: u64 = 16;
/// Ciphertext up to this many bytes travels inside the transaction.
pub const INLINE_MAX: usize = 16 * 1024 + 16;
/// Bytes of a sealed body: wrapped data key, metadata, content salt.
pub const SEALED_MAX: usize = 12 * 1024;
/// Chunks listed in one manifest page (4 GiB of plaintext).
pub const PAGE_CHUNKS_MAX: usize = 4096;
/// Segments in one manifest page. A page of this many one-chunk segments stays below [`PAGE_BYTES_MAX`].
pub const PAGE_SEGMENTS_MAX: usize = 2048;
/// Bytes of an encoded manifest page.
pub const PAGE_BYTES_MAX: usize = 4 + PAGE_SEGMENTS_MAX * (48 + 4 + 8 + 4) + PAGE_CHUNKS_MAX * 32;
/// A manifest with more chunks than this is paged; below, its one page travels in the transaction.
pub const DIRECT_CHUNKS_MAX: usize = 128;
/// Pages of a manifest. 1,280 full pages are 5 TiB, S3's largest object; parts of odd sizes need more.
pub const PAGES_MAX: usize = 2048;
/// Preconditions and operations of one transaction.
pub const OPERATIONS_MAX: usize = 64;
/// Attachments of one transaction.
pub const ATTACHMENTS_MAX: usize = 128;
/// Bytes of one encoded signed transaction, attachments included.
pub const TRANSACTION_BYTES_MAX: usize = 256 * 1024;
/// Bytes of all transactions of one block.
pub const BLOCK_BYTES_MAX: usize = 1024 * 1024;
/// Transactions of one block.
pub const BLOCK_TRANSACTIONS_MAX: usize = 4096;
/// Bytes of an object key (S3's limit).
pub const OBJECT_KEY_MAX: usize = 1024;
/// The highest part number of a multipart upload (S3's limit).
pub const PART_NUMBER_MAX: u16 = 10_000;
/// How far ahead of the newest block a transaction's expiry may lie, in milliseconds.
pub const EXPIRY_AHEAD_MS_MAX: u64 = 10 * 60 * 1000;
/// Milliseconds of a day.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// How far ahead a version's retention may end, in milliseconds: ten years. Whoever wants more extends it in time.
pub const RETENTION_MS_MAX: u64 = 3660 * DAY_MS;
/// How far a certificate's time may be from the clock of a node that signs for it, in milliseconds.
pub const CERTIFICATE_CLOCK_MS_MAX: u64 = 10 * 60 * 1000;
/// How long after a certificate's time a transaction that brings it may expire, in milliseconds.
pub const CERTIFICATE_AGE_MS_MAX: u64 = 60 * 60 * 1000;
/// The shortest grace period of a node, in milliseconds. What a node signed for is referred to by a block whose time is
/// at most [`CERTIFICATE_CLOCK_MS_MAX`] and [`CERTIFICATE_AGE_MS_MAX`] later, or never.
pub const GRACE_MS_MIN: u64 = 2 * 60 * 60 * 1000;
/// Headers between a block and the descendant whose certificate finalizes it.
pub const HEADER_CHAIN_MAX: usize = 64;

const _: () = {
    assert!(TRANSACTION_BYTES_MAX <= BLOCK_BYTES_MAX);
    assert!(INLINE_MAX + SEALED_MAX < TRANSACTION_BYTES_MAX);
    assert!(PAGES_MAX * (32 + 8 + 4) + SEALED_MAX + 64 * 1024 < TRANSACTION_BYTES_MAX);
    assert!(PAGE_BYTES_MAX < 512 * 1024);
    assert!(CERTIFICATE_CLOCK_MS_MAX + CERTIFICATE_AGE_MS_MAX < GRACE_MS_MIN);
    assert!(EXPIRY_AHEAD_MS_MAX < CERTIFICATE_AGE_MS_MAX);
};
