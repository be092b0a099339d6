//! Hashes of contents: the MD5 that is an ETag, and S3's five checksums.

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use std::fmt::Write as _;
use tokio::{sync::mpsc, task::JoinHandle};

/// A checksum algorithm of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name under which metadata keep it.
    pub(crate) fn name(self) -> &'static str {
        self.header().strip_prefix("x-amz-checksum-").expect("every header has the prefix")
    }

    /// The name in headers and documents.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    pub(crate) fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.label().eq_ignore_ascii_case(label))
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The header that carries it.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Bytes of a sum.
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The algorithm, if it is a CRC: the sums of parts then give the sum of the whole.
    pub(crate) fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

enum Hasher {
    Crc32(Crc32),
    Crc32c(Crc32c),
    Crc64Nvme(Crc64Nvme),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32(Crc32::new()),
            Algorithm::Crc32c => Self::Crc32c(Crc32c::default()),
            Algorithm::Crc64Nvme => Self::Crc64Nvme(Crc64Nvme::default()),
            Algorithm::Sha1 => Self::Sha1(Sha1::default()),
            Algorithm::Sha256 => Self::Sha256(Sha256::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(hasher) => hasher.update(bytes),
            Self::Crc32c(hasher) => hasher.update(bytes),
            Self::Crc64Nvme(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc32(hasher) => hasher.finalize().to_vec(),
            Self::Crc32c(hasher) => hasher.finalize().to_vec(),
            Self::Crc64Nvme(hasher) => hasher.finalize().to_vec(),
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
        }
    }
}

/// The checksum of `bytes`.
pub(crate) fn sum(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// The MD5 of `bytes`.
pub(crate) fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::checksum(bytes)
}

/// `bytes` in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `bytes` in base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

/// An MD5 and checksums in the making.
pub(crate) struct Digests {
    md5: Md5,
    hashers: Vec<(Algorithm, Hasher)>,
    length: u64,
}

/// What contents hash to.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    pub(crate) md5: [u8; 16],
    pub(crate) checksums: Vec<(Algorithm, Vec<u8>)>,
    /// Bytes of the contents.
    pub(crate) length: u64,
}

impl Sums {
    pub(crate) fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
        self.checksums.iter().find(|(given, _)| *given == algorithm).map(|(_, sum)| &sum[..])
    }
}

impl Digests {
    /// The MD5 and each of `algorithms` once.
    pub(crate) fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let mut hashers: Vec<(Algorithm, Hasher)> = Vec::new();
        for algorithm in algorithms {
            if hashers.iter().all(|(other, _)| *other != algorithm) {
                hashers.push((algorithm, Hasher::new(algorithm)));
            }
        }
        Self { md5: Md5::default(), hashers, length: 0 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        for (_, hasher) in &mut self.hashers {
            hasher.update(bytes);
        }
        self.length += bytes.len() as u64;
    }

    pub(crate) fn finish(self) -> Sums {
        let sum = |(algorithm, hasher): (Algorithm, Hasher)| (algorithm, hasher.finish());
        Sums {
            md5: self.md5.finalize(),
            checksums: self.hashers.into_iter().map(sum).collect(),
            length: self.length,
        }
    }
}

/// Bytes hashed where they arrive; what follows is hashed on a thread of its own.
const INLINE_MAX: u64 = 128 * 1024;
/// Pieces waiting for that thread. With the pieces that a connection gives (up to 256 KiB), 4 MiB.
const QUEUE: usize = 16;

/// Hashes a stream of pieces: MD5 takes longer per byte than encryption and coding together, so beyond the first
/// [`INLINE_MAX`] bytes it runs beside them.
pub(crate) enum Pipeline {
    Inline(Digests),
    Thread(mpsc::Sender<Bytes>, JoinHandle<Digests>),
}

impl Pipeline {
    pub(crate) fn new(digests: Digests) -> Self {
        Self::Inline(digests)
    }

    /// Takes the next piece. Waits while the thread is behind.
    pub(crate) async fn update(&mut self, bytes: &Bytes) {
        match self {
            Self::Inline(digests) if digests.length + bytes.len() as u64 <= INLINE_MAX => {
                digests.update(bytes)
            }
            Self::Inline(digests) => {
                let digests = std::mem::replace(digests, Digests::new([]));
                let (sender, mut receiver) = mpsc::channel::<Bytes>(QUEUE);
                let thread = tokio::task::spawn_blocking(move || {
                    let mut digests = digests;
                    while let Some(piece) = receiver.blocking_recv() {
                        digests.update(&piece);
                    }
                    digests
                });
                sender.send(bytes.clone()).await.expect("the thread ends after its sender");
                *self = Self::Thread(sender, thread);
            }
            Self::Thread(sender, _) => {
                sender.send(bytes.clone()).await.expect("the thread ends after its sender");
            }
        }
    }

    pub(crate) async fn finish(self) -> Sums {
        match self {
            Self::Inline(digests) => digests.finish(),
            Self::Thread(sender, thread) => {
                drop(sender);
                thread.await.expect("hashing does not panic").finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_thread_gives_what_one_pass_gives() {
        let piece = Bytes::from((0..60_000u32).map(|i| (i % 251) as u8).collect::<Vec<_>>());
        for pieces in [0, 1, 2, 3, 40] {
            let mut whole = Digests::new(Algorithm::ALL);
            let mut pipeline = Pipeline::new(Digests::new(Algorithm::ALL));
            for _ in 0..pieces {
                whole.update(&piece);
                pipeline.update(&piece).await;
            }
            let (whole, piped) = (whole.finish(), pipeline.finish().await);
            assert_eq!(whole.md5, piped.md5);
            assert_eq!(whole.checksums, piped.checksums);
            assert_eq!(piped.length, pieces * 60_000);
        }
    }

    #[test]
    fn names_and_labels_round_trip() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
            assert_eq!(Algorithm::from_label(algorithm.label()), Some(algorithm));
            assert_eq!(sum(algorithm, b"").len(), algorithm.length());
        }
        assert_eq!(hex(&md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
    }
}
