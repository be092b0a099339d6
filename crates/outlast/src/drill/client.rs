//! The drill's S3 client: an ordinary one (crate `object_store`), with a clock on every request.

use super::report::Tally;
use crate::{
    failure::{Exit, Failure},
    gateway::GatewayConfig,
    keys::AccessKey,
};
use bytes::{Bytes, BytesMut};
use object_store::{
    Certificate, ClientOptions, MultipartUpload, ObjectStoreExt as _, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path as Key,
};
use sha2::{Digest as _, Sha256};
use std::{
    future::Future,
    path::Path,
    time::{Duration, Instant},
};
use tokio::{fs::File, io::AsyncReadExt as _};

/// The bucket that the drill writes to.
pub(super) const BUCKET: &str = "drill";
/// Bytes that one request carries at most; longer files go in parts of this size.
pub(super) const PIECE_BYTES: usize = 8 << 20;

/// The drill's bucket.
pub(super) struct Bucket {
    store: AmazonS3,
}

impl Bucket {
    pub(super) fn new(gateway: &GatewayConfig, access: &AccessKey) -> Result<Self, Failure> {
        let retry = RetryConfig { retry_timeout: Duration::from_secs(120), ..RetryConfig::default() };
        let mut options = ClientOptions::new().with_allow_http(true).with_timeout(Duration::from_secs(90));
        if let Some(authority) = gateway.tls.as_ref().and_then(|tls| tls.authority.as_ref()) {
            let pem = std::fs::read(authority).map_err(|error| Failure::file("read", authority, &error))?;
            let certificate = Certificate::from_pem(&pem);
            let certificate = certificate.map_err(|error| {
                Failure::new(Exit::Configuration, format!("{}: {error}", authority.display()))
            })?;
            options = options.with_root_certificate(certificate);
        }
        let store = AmazonS3Builder::new()
            .with_endpoint(gateway.endpoint())
            .with_region(&gateway.region)
            .with_bucket_name(BUCKET)
            .with_access_key_id(&access.id)
            .with_secret_access_key(access.secret.as_str())
            .with_retry(retry)
            .with_client_options(options)
            .build();
        let store = store.map_err(|error| Failure::new(Exit::Failed, format!("no S3 client: {error}")))?;
        Ok(Self { store })
    }

    /// Stores the file; gives its length and SHA-256, taken of the bytes that were sent.
    pub(super) async fn put(&self, tally: &Tally, key: &str, path: &Path) -> Result<(u64, [u8; 32]), String> {
        let key = Key::parse(key).unwrap_or_else(|_| Key::from(key));
        let mut file = File::open(path).await.map_err(|error| error.to_string())?;
        let (mut hasher, mut length) = (Sha256::new(), 0);
        let mut piece = next_piece(&mut file).await?;
        if piece.len() < PIECE_BYTES {
            hasher.update(&piece);
            length += piece.len() as u64;
            timed(tally, self.store.put(&key, piece.into())).await?;
            return Ok((length, hasher.finalize().into()));
        }
        let mut upload = timed(tally, self.store.put_multipart(&key)).await?;
        while !piece.is_empty() {
            hasher.update(&piece);
            length += piece.len() as u64;
            timed(tally, upload.put_part(piece.into())).await?;
            piece = next_piece(&mut file).await?;
        }
        timed(tally, upload.complete()).await?;
        Ok((length, hasher.finalize().into()))
    }

    /// Reads `length` bytes of an object, a piece a request.
    pub(super) async fn get(
        &self,
        tally: &Tally,
        key: &str,
        length: u64,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), String> {
        let key = Key::parse(key).unwrap_or_else(|_| Key::from(key));
        if length <= PIECE_BYTES as u64 {
            // Without a range, so that what was added at the end would show.
            let whole = async { self.store.get(&key).await?.bytes().await };
            take(&timed(tally, whole).await?);
            return Ok(());
        }
        let mut from = 0;
        while from < length {
            let to = (from + PIECE_BYTES as u64).min(length);
            let piece = timed(tally, self.store.get_range(&key, from..to)).await?;
            if piece.len() as u64 != to - from {
                return Err(format!("{} bytes of {} came", piece.len(), to - from));
            }
            take(&piece);
            from = to;
        }
        Ok(())
    }
}

async fn timed<T>(
    tally: &Tally,
    request: impl Future<Output = object_store::Result<T>>,
) -> Result<T, String> {
    let since = Instant::now();
    let answer = request.await;
    tally.answered(since);
    answer.map_err(|error| error.to_string())
}

/// The next [`PIECE_BYTES`] of the file; fewer at its end.
async fn next_piece(file: &mut File) -> Result<Bytes, String> {
    let mut piece = BytesMut::new();
    while piece.len() < PIECE_BYTES {
        piece.reserve(PIECE_BYTES.min(1 << 20));
        let room = PIECE_BYTES - piece.len();
        let read = (&mut *file).take(room as u64).read_buf(&mut piece).await;
        if read.map_err(|error| error.to_string())? == 0 {
            break;
        }
    }
    Ok(piece.freeze())
}
