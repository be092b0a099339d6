//! What a multipart upload amounts to: ETag and checksum of the whole.
//!
//! The ETag is the MD5 of the parts' MD5s, and their number. The checksum is of one of two types: COMPOSITE is the
//! checksum of the parts' checksums, and their number; FULL_OBJECT is that of the contents, which for a CRC follows
//! from those of the parts. An upload that announces no algorithm gets CRC64NVME, as S3 has it; but answers about parts
//! say so only where the client asked for checksums.

use crate::{
    attributes::checksum,
    digest::{Algorithm, base64, hex, md5, sum},
    error::{error, invalid_request, stored},
};
use proof::UploadId;
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    dto::{ChecksumAlgorithm, ChecksumType},
};
use vault::Metadata;

const COMPOSITE: &str = ChecksumType::COMPOSITE;
const FULL_OBJECT: &str = ChecksumType::FULL_OBJECT;

/// The checksums that a document or request gives, by algorithm.
macro_rules! given_checksums {
    ($given:expr) => {
        [
            ($crate::digest::Algorithm::Crc32, $given.checksum_crc32),
            ($crate::digest::Algorithm::Crc32c, $given.checksum_crc32c),
            ($crate::digest::Algorithm::Crc64Nvme, $given.checksum_crc64nvme),
            ($crate::digest::Algorithm::Sha1, $given.checksum_sha1),
            ($crate::digest::Algorithm::Sha256, $given.checksum_sha256),
        ]
    };
}
pub(crate) use given_checksums;

/// Which checksum an upload has. Kept in its metadata as a checksum without value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) algorithm: Algorithm,
    composite: bool,
    /// Whether the client asked for it.
    pub(crate) explicit: bool,
}

impl Announced {
    /// Reads what CreateMultipartUpload asks for. Errors: InvalidRequest.
    pub(crate) fn asked(
        algorithm: Option<&ChecksumAlgorithm>,
        kind: Option<&ChecksumType>,
    ) -> S3Result<Self> {
        let explicit = algorithm.is_some();
        let algorithm = match algorithm {
            None => Algorithm::Crc64Nvme,
            Some(label) => Algorithm::from_label(label.as_str())
                .ok_or_else(|| invalid_request("Checksum algorithm provided is unsupported."))?,
        };
        let composite = match kind.map(ChecksumType::as_str) {
            None => explicit && algorithm != Algorithm::Crc64Nvme,
            Some(COMPOSITE) => true,
            Some(FULL_OBJECT) => false,
            Some(_) => return Err(invalid_request("Value for x-amz-checksum-type header is invalid.")),
        };
        let possible = if composite { algorithm != Algorithm::Crc64Nvme } else { algorithm.crc().is_some() };
        if !possible {
            let kind = if composite { COMPOSITE } else { FULL_OBJECT };
            return Err(invalid_request(format!(
                "The {kind} checksum type cannot be used with the {} checksum algorithm.",
                algorithm.label()
            )));
        }
        Ok(Self { algorithm, composite, explicit })
    }

    /// Reads an upload's metadata.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let named = metadata.checksums.keys().find_map(|name| Algorithm::from_name(name));
        Self {
            algorithm: named.unwrap_or(Algorithm::Crc64Nvme),
            composite: metadata.checksum_type.as_deref() == Some(COMPOSITE),
            explicit: named.is_some(),
        }
    }

    /// Keeps it in an upload's metadata.
    pub(crate) fn note(self, metadata: &mut Metadata) {
        if self.explicit {
            metadata.checksums.insert(self.algorithm.name().to_owned(), String::new());
            metadata.checksum_type = Some(self.kind().to_owned());
        }
    }

    fn kind(self) -> &'static str {
        if self.composite { COMPOSITE } else { FULL_OBJECT }
    }

    /// As answers show it: not what the client did not ask for.
    pub(crate) fn shown_algorithm(self) -> Option<ChecksumAlgorithm> {
        self.explicit.then(|| ChecksumAlgorithm::from_static(self.algorithm.label()))
    }

    /// As answers show it.
    pub(crate) fn shown_type(self) -> Option<ChecksumType> {
        self.explicit.then(|| ChecksumType::from_static(self.kind()))
    }
}

/// The ETag of the whole: the MD5 of the parts' MD5s, and their number.
pub(crate) fn etag(parts: &[&vault::Part]) -> S3Result<String> {
    let mut md5s = Vec::with_capacity(16 * parts.len());
    for part in parts {
        let decoded = UploadId::from_hex(&part.metadata.etag).map(|digest| digest.0);
        let digest = decoded.ok_or_else(|| {
            stored(vault::Error::Damaged(format!("the ETag of part {} is no MD5", part.number)))
        })?;
        md5s.extend_from_slice(&digest);
    }
    Ok(format!("{}-{}", hex(&md5(&md5s)), parts.len()))
}

/// Computes the checksum of the whole. A part stored without (which cannot be, but for a change of this program) leaves
/// the object without one.
pub(crate) fn set_checksum(metadata: &mut Metadata, announced: Announced, parts: &[&vault::Part]) {
    let Announced { algorithm, composite, .. } = announced;
    metadata.checksums.clear();
    metadata.checksum_type = None;
    let sums: Option<Vec<(Vec<u8>, u64)>> = parts
        .iter()
        .map(|part| {
            let text = checksum(&part.metadata, algorithm)?;
            Some((base64_simd::STANDARD.decode_to_vec(text.as_bytes()).ok()?, part.length))
        })
        .collect();
    let Some(sums) = sums else { return };
    let value = if composite {
        let joined: Vec<u8> = sums.iter().flat_map(|(sum, _)| sum.iter().copied()).collect();
        format!("{}-{}", base64(&sum(algorithm, &joined)), sums.len())
    } else {
        match combined(algorithm, &sums) {
            Some(sum) => base64(&sum),
            None => return,
        }
    };
    metadata.checksums.insert(algorithm.name().to_owned(), value);
    metadata.checksum_type = Some(announced.kind().to_owned());
}

/// The CRC of the whole from those of its parts, each with its length.
fn combined(algorithm: Algorithm, sums: &[(Vec<u8>, u64)]) -> Option<Vec<u8>> {
    let crc = algorithm.crc()?;
    let number = |sum: &[u8]| sum.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let mut sums = sums.iter().map(|(sum, length)| (number(sum), *length));
    let (first, _) = sums.next()?;
    let whole = sums.fold(first, |whole, (sum, length)| crc_fast::checksum_combine(crc, whole, sum, length));
    Some(whole.to_be_bytes()[8 - algorithm.length()..].to_vec())
}

/// Compares what the client says the whole hashes to. Errors: BadDigest, InvalidRequest.
pub(crate) fn check_checksum(
    metadata: &Metadata,
    given: [(Algorithm, Option<String>); 5],
    kind: Option<&ChecksumType>,
) -> S3Result<()> {
    if let (Some(kind), Some(known)) = (kind, &metadata.checksum_type)
        && kind.as_str() != known
    {
        return Err(invalid_request(format!("The upload was created with the {known} checksum type.")));
    }
    let given = given.into_iter().filter_map(|(algorithm, sum)| Some((algorithm, sum?)));
    for (algorithm, sum) in given {
        match checksum(metadata, algorithm) {
            // Clients give a composite checksum with or without the number of parts.
            Some(known) if known == sum || known.split_once('-').is_some_and(|(bare, _)| bare == sum) => {}
            Some(_) => return Err(bad_digest(algorithm)),
            None => {
                return Err(invalid_request(format!(
                    "The upload was not created with the {} checksum algorithm.",
                    algorithm.label()
                )));
            }
        }
    }
    Ok(())
}

fn bad_digest(algorithm: Algorithm) -> S3Error {
    let label = algorithm.label();
    error(S3ErrorCode::BadDigest, format!("The {label} you specified did not match the calculated checksum."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::set_sums;

    fn part(number: u16, contents: &[u8]) -> vault::Part {
        let mut digests = crate::digest::Digests::new(Algorithm::ALL);
        digests.update(contents);
        let sums = digests.finish();
        let mut metadata = Metadata { etag: hex(&sums.md5), ..Metadata::default() };
        set_sums(&mut metadata, &sums);
        vault::Part { number, length: contents.len() as u64, time_ms: 0, metadata }
    }

    #[test]
    fn checksums_of_the_whole_follow_from_those_of_the_parts() {
        let parts = [part(1, b"12345"), part(2, b""), part(3, b"6789")];
        let parts: Vec<&vault::Part> = parts.iter().collect();
        for algorithm in Algorithm::ALL {
            let mut metadata = Metadata::default();
            let composite = algorithm.crc().is_none();
            set_checksum(&mut metadata, Announced { algorithm, composite, explicit: true }, &parts);
            let known = checksum(&metadata, algorithm).expect("every part has every checksum");
            if composite {
                assert!(known.ends_with("=-3"), "{known}");
            } else {
                assert_eq!(known, base64(&sum(algorithm, b"123456789")), "{algorithm:?}");
            }
        }
        let etag = etag(&parts).expect("MD5s");
        let md5s = [md5(b"12345"), md5(b""), md5(b"6789")].concat();
        assert_eq!(etag, format!("{}-3", hex(&md5(&md5s))));
    }

    #[test]
    fn algorithms_and_types_that_do_not_fit_are_refused() {
        let asked = |label: Option<&'static str>, kind: Option<&'static str>| {
            let algorithm = label.map(ChecksumAlgorithm::from_static);
            Announced::asked(algorithm.as_ref(), kind.map(ChecksumType::from_static).as_ref()).ok()
        };
        assert_eq!(
            asked(None, None).map(|it| (it.algorithm, it.explicit)),
            Some((Algorithm::Crc64Nvme, false))
        );
        assert_eq!(asked(Some("CRC32"), None).map(Announced::kind), Some(COMPOSITE));
        assert_eq!(asked(Some("CRC32"), Some(FULL_OBJECT)).map(Announced::kind), Some(FULL_OBJECT));
        assert_eq!(asked(Some("CRC64NVME"), None).map(Announced::kind), Some(FULL_OBJECT));
        assert_eq!(asked(Some("CRC64NVME"), Some(COMPOSITE)), None);
        assert_eq!(asked(Some("SHA256"), Some(FULL_OBJECT)), None);
        assert_eq!(asked(Some("MD5"), None), None);
    }
}
