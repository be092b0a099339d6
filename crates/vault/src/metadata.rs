//! What an object carries besides its contents. Nodes never see it: it travels in the sealed body.

use std::collections::BTreeMap;

/// An object's or part's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The ETag, without quotes.
    pub etag: String,
    /// The media type.
    pub content_type: Option<String>,
    /// Headers given back as they were: `content-encoding`, `cache-control`, `content-disposition`,
    /// `content-language`, `expires`.
    pub headers: BTreeMap<String, String>,
    /// User metadata, names without `x-amz-meta-`.
    pub user: BTreeMap<String, String>,
    /// Checksums by algorithm (`crc32`, `sha256`, ...), in base64.
    pub checksums: BTreeMap<String, String>,
    /// `FULL_OBJECT` or `COMPOSITE`.
    pub checksum_type: Option<String>,
    /// Number of parts; zero for what was not a multipart upload.
    pub parts: u32,
}
