//! Vaults against a whole network, in the simulated world.

mod multipart;
mod network;
mod objects;

use bytes::Bytes;
use futures::StreamExt as _;
use network::Gateway;
use std::ops::Range;
use vault::{Condition, Error, Metadata, Object, Place, Written};

const MASTER_KEY: [u8; 32] = [42; 32];

fn place(key: &str) -> Place {
    Place { bucket: "bucket".parse().unwrap(), key: key.parse().unwrap() }
}

/// Bytes that differ with `seed`.
fn contents(seed: u64, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut bytes);
    bytes.into()
}

fn metadata(etag: &str) -> Metadata {
    Metadata { etag: etag.into(), content_type: Some("text/plain".into()), ..Metadata::default() }
}

async fn put(vault: &Gateway, key: &str, bytes: Bytes, condition: Condition) -> Result<Written, Error> {
    let mut writer = vault.put(place(key)).await?;
    for piece in bytes.chunks(100_000) {
        writer.write(bytes.slice_ref(piece)).await?;
    }
    writer.finish(metadata(&format!("{}", bytes.len())), condition).await
}

async fn read(vault: &Gateway, object: &Object, range: Range<u64>) -> Result<Bytes, Error> {
    let mut reader = vault.read(object, range);
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes.into())
}

async fn get(vault: &Gateway, key: &str) -> Result<Bytes, Error> {
    let object = vault.head(&place(key), None).await?;
    read(vault, &object, 0..object.length).await
}
