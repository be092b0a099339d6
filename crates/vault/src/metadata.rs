//! What an object carries besides its contents. Nodes never see it: it travels in the sealed body.

use crate::Error;
use proof::{
    limits::SEALED_MAX,
    wire::{Buf, EncodeSize, Error as WireError, List, Octets, Read, Write},
};
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

/// UTF-8 text. What does not fit a sealed body fits no part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text(String);

impl Write for Text {
    fn write(&self, buf: &mut impl bytes::BufMut) {
        (self.0.len() as u32).write(buf);
        buf.put_slice(self.0.as_bytes());
    }
}

impl EncodeSize for Text {
    fn encode_size(&self) -> usize {
        4 + self.0.len()
    }
}

impl Read for Text {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, WireError> {
        let bytes = Octets::<SEALED_MAX>::read_cfg(buf, &())?;
        let text = std::str::from_utf8(&bytes).map_err(|_| WireError::Invalid("Text", "not UTF-8"))?;
        Ok(Self(text.to_owned()))
    }
}

proof::wire_struct! {
    struct Pair {
        name: Text,
        value: Text,
    }
}

const PAIRS_MAX: usize = 1024;
type Pairs = List<Pair, PAIRS_MAX>;

proof::wire_struct! {
    /// Metadata as they are encoded: options as lists of none or one, maps as lists of pairs by ascending name.
    pub(crate) struct Fields {
        etag: Text,
        content_type: List<Text, 1>,
        headers: Pairs,
        user: Pairs,
        checksums: Pairs,
        checksum_type: List<Text, 1>,
        parts: u32,
    }
}

fn option(text: Option<String>) -> List<Text, 1> {
    List::new(text.into_iter().map(Text).collect()).expect("one at the most")
}

fn pairs(map: BTreeMap<String, String>) -> Result<Pairs, Error> {
    let pairs = map.into_iter().map(|(name, value)| Pair { name: Text(name), value: Text(value) }).collect();
    List::new(pairs).map_err(|_| Error::MetadataTooLarge)
}

fn map(pairs: Pairs) -> Result<BTreeMap<String, String>, Error> {
    if !pairs.is_sorted_by(|a, b| a.name.0 < b.name.0) {
        return Err(Error::Damaged("the names of metadata are not in order".into()));
    }
    Ok(pairs.into_inner().into_iter().map(|pair| (pair.name.0, pair.value.0)).collect())
}

impl Fields {
    /// Errors: `MetadataTooLarge`.
    pub(crate) fn new(metadata: Metadata) -> Result<Self, Error> {
        Ok(Self {
            etag: Text(metadata.etag),
            content_type: option(metadata.content_type),
            headers: pairs(metadata.headers)?,
            user: pairs(metadata.user)?,
            checksums: pairs(metadata.checksums)?,
            checksum_type: option(metadata.checksum_type),
            parts: metadata.parts,
        })
    }

    /// Errors: `Damaged` when they are not in their one canonical form.
    pub(crate) fn open(self) -> Result<Metadata, Error> {
        let one = |list: List<Text, 1>| list.into_inner().pop().map(|text| text.0);
        Ok(Metadata {
            etag: self.etag.0,
            content_type: one(self.content_type),
            headers: map(self.headers)?,
            user: map(self.user)?,
            checksums: map(self.checksums)?,
            checksum_type: one(self.checksum_type),
            parts: self.parts,
        })
    }
}
