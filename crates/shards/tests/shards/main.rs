//! The crate from outside, on the deterministic runtime.

mod bare;
mod client;
mod cluster;
mod collect;
mod crash;
mod damage;
mod heal;
mod scrub;
mod server;
mod store;

use blob::{Code, EncodedChunk};
use bytes::Bytes;
use commonware_runtime::{Supervisor as _, deterministic};
use proof::{
    Digest, Manifest,
    manifest::{Page, SealedKey, Segment},
    wire::List,
};
use shards::{ShardStore, StoreConfig, StoreError};

const PARTITION: &str = "shards";

type Store = ShardStore<deterministic::Context>;

fn config() -> StoreConfig {
    StoreConfig { segment_bytes: 2 << 20, ..StoreConfig::new(PARTITION) }
}

async fn open(context: &deterministic::Context) -> Result<Store, StoreError> {
    ShardStore::open(context.child("store"), config()).await
}

fn code() -> Code {
    Code::new(2, 4).unwrap()
}

/// A chunk of `length` bytes of ciphertext, another for every `number`.
fn chunk(number: u64, length: usize) -> EncodedChunk {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&number.to_be_bytes()).finalize_xof().fill(&mut bytes);
    code().encode(&bytes)
}

/// A page of one segment with these chunks. Full chunks, as far as a page can tell.
fn page(chunks: &[Digest]) -> Page {
    Page::new(vec![Segment {
        sealed_key: SealedKey([7; 48]),
        first_chunk: 0,
        length: chunks.len() as u64 * proof::limits::CHUNK_LENGTH,
        chunks: List::new(chunks.to_vec()).unwrap(),
    }])
    .unwrap()
}

fn manifest(chunks: &[Digest]) -> Manifest {
    Manifest::Direct(page(chunks))
}

fn paged(pages: &[Page]) -> Manifest {
    let reference = |page: &Page| proof::manifest::PageRef {
        id: page.id(),
        length: page.length(),
        chunks: page.chunks().count() as u32,
    };
    Manifest::Paged(List::new(pages.iter().map(reference).collect()).unwrap())
}

/// Stores shard 1 of a chunk.
async fn append(store: &Store, chunk: &EncodedChunk) -> Result<(), StoreError> {
    store.append(&chunk.opening, 1, chunk.shards[1].clone()).await
}

/// Shard 1 of a chunk, as the store has it.
async fn read(store: &Store, chunk: &EncodedChunk) -> Option<Bytes> {
    let shard = store.read(&chunk.id).await.unwrap()?;
    assert_eq!((shard.index, &shard.opening), (1, &chunk.opening));
    assert_eq!(shard.bytes, chunk.shards[1], "what is served is what was stored");
    Some(shard.bytes)
}
