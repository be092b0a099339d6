//! Names and numbers of things: tenants, buckets, keys, versions, uploads.

use crate::{
    limits::OBJECT_KEY_MAX,
    wire::{Buf, EncodeSize, Error, FixedSize, Octets, Read, ReadExt, Write},
};
use bytes::BufMut;
use std::{fmt, str::FromStr};

crate::wire_array! {
    /// A tenant, drawn at random by whoever creates it.
    pub struct TenantId(16)
}

crate::wire_array! {
    /// A multipart upload, drawn at random by the gateway that starts it.
    pub struct UploadId(16)
}

/// A bucket's name: 3 to 63 of `a-z 0-9 . -`, as S3 has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(String);

/// The text is not a bucket name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a bucket name has 3 to 63 characters a-z, 0-9, '.' and '-', begins and ends with a letter or digit, has no '..' and is not an IP address"
)]
pub struct InvalidBucketName;

impl BucketName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BucketName {
    type Err = InvalidBucketName;
    fn from_str(text: &str) -> Result<Self, InvalidBucketName> {
        let edge = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'-');
        let bytes = text.as_bytes();
        let valid = (3..=63).contains(&bytes.len())
            && bytes.iter().all(inner)
            && edge(bytes.first())
            && edge(bytes.last())
            && !text.contains("..")
            && text.parse::<std::net::Ipv4Addr>().is_err();
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidBucketName) }
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Write for BucketName {
    fn write(&self, buf: &mut impl BufMut) {
        (self.0.len() as u8).write(buf);
        buf.put_slice(self.0.as_bytes());
    }
}

impl EncodeSize for BucketName {
    fn encode_size(&self) -> usize {
        1 + self.0.len()
    }
}

impl Read for BucketName {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let length = u8::read(buf)? as usize;
        if buf.remaining() < length {
            return Err(Error::EndOfBuffer);
        }
        let mut bytes = vec![0; length];
        buf.copy_to_slice(&mut bytes);
        std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(Error::Invalid("BucketName", "not a bucket name"))
    }
}

/// An object's key: 1 to 1,024 bytes of UTF-8, ordered by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Octets<OBJECT_KEY_MAX>);

/// The text is not an object key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object key has 1 to {OBJECT_KEY_MAX} bytes of UTF-8")]
pub struct InvalidObjectKey;

impl ObjectKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when made")
    }
}

impl FromStr for ObjectKey {
    type Err = InvalidObjectKey;
    fn from_str(text: &str) -> Result<Self, InvalidObjectKey> {
        if text.is_empty() {
            return Err(InvalidObjectKey);
        }
        Octets::new(text.as_bytes().to_vec()).map(Self).map_err(|_| InvalidObjectKey)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Write for ObjectKey {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl EncodeSize for ObjectKey {
    fn encode_size(&self) -> usize {
        self.0.encode_size()
    }
}

impl Read for ObjectKey {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        let bytes = Octets::read(buf)?;
        if bytes.is_empty() || std::str::from_utf8(&bytes).is_err() {
            return Err(Error::Invalid("ObjectKey", "empty or not UTF-8"));
        }
        Ok(Self(bytes))
    }
}

/// A version: the place in the chain at which it was accepted. Ordered by age, unique for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId {
    /// Height of the block.
    pub height: u64,
    /// Place of the transaction in the block.
    pub index: u32,
    /// Place of the operation in the transaction.
    pub operation: u16,
}

impl Write for VersionId {
    fn write(&self, buf: &mut impl BufMut) {
        self.height.write(buf);
        self.index.write(buf);
        self.operation.write(buf);
    }
}

impl FixedSize for VersionId {
    const SIZE: usize = 14;
}

impl Read for VersionId {
    type Cfg = ();
    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, Error> {
        Ok(Self { height: u64::read(buf)?, index: u32::read(buf)?, operation: u16::read(buf)? })
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:08x}{:04x}", self.height, self.index, self.operation)
    }
}

/// The text is not a version id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version id is 28 lower-case hexadecimal digits")]
pub struct InvalidVersionId;

impl FromStr for VersionId {
    type Err = InvalidVersionId;
    fn from_str(text: &str) -> Result<Self, InvalidVersionId> {
        if text.len() != 28 || !text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(InvalidVersionId);
        }
        let field =
            |range: std::ops::Range<usize>| u64::from_str_radix(&text[range], 16).expect("hexadecimal");
        Ok(Self { height: field(0..16), index: field(16..24) as u32, operation: field(24..28) as u16 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_s3() {
        for good in ["abc", "a.b-c", "0ab", &"x".repeat(63)] {
            assert!(good.parse::<BucketName>().is_ok(), "{good}");
        }
        for bad in
            ["", "ab", "Abc", "a_b", "-ab", "ab-", "a..b", "192.168.0.1", &"x".repeat(64), "a/b", "é123"]
        {
            assert!(bad.parse::<BucketName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn version_ids_order_by_age_and_round_trip() {
        let older = VersionId { height: 9, index: 70_000, operation: 3 };
        let newer = VersionId { height: 10, index: 0, operation: 0 };
        assert!(older < newer && older.to_string() < newer.to_string());
        assert_eq!(older.to_string().parse(), Ok(older));
        for bad in ["", "0", "null", &"G".repeat(28), &"A".repeat(28), &"0".repeat(27), &"é".repeat(14)] {
            assert!(bad.parse::<VersionId>().is_err(), "{bad}");
        }
    }
}
