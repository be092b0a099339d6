//! Throughput of a chunk's way out and back, in bytes of plaintext per second on one core.

use blob::{CheckedShard, Code, EncodedChunk, SegmentKey, encode_chunk, open_chunk};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::{collections::VecDeque, hint::black_box};

const PIECE_BYTES: usize = 16 * 1024;
/// Chunks whose shards are still on their way when the next is encoded.
const IN_FLIGHT: usize = 12;

/// More chunks in turn than the caches hold, as an upload brings them.
struct Workload {
    code: Code,
    key: SegmentKey,
    plaintexts: Vec<Vec<Bytes>>,
    next: usize,
}

impl Workload {
    fn new(k: usize, n: usize, length: usize) -> Self {
        let chunk = |seed: usize| {
            let bytes: Bytes = (0..length).map(|i| (i * 31 + i / 255 + seed) as u8).collect();
            (0..length).step_by(PIECE_BYTES).map(|at| bytes.slice(at..length.min(at + PIECE_BYTES))).collect()
        };
        let plaintexts = (0..(64 << 20) / length).map(chunk).collect();
        Self { code: Code::new(k, n).unwrap(), key: SegmentKey::new([1; 32]), plaintexts, next: 0 }
    }

    fn encode(&mut self) -> EncodedChunk {
        self.next = (self.next + 1) % self.plaintexts.len();
        encode_chunk(&self.code, &self.key, self.next as u32, &self.plaintexts[self.next])
    }

    /// Checks, decodes and opens from these shards.
    fn read(&self, chunk: &EncodedChunk, indices: std::ops::Range<usize>) -> Bytes {
        let check = |i| self.code.check_shard(&chunk.opening, i, chunk.shards[i].clone()).unwrap();
        let shards: Vec<CheckedShard> = indices.map(check).collect();
        let ciphertext = self.code.decode(&chunk.opening, &shards).unwrap();
        open_chunk(&self.code, &self.key, self.next as u32, &ciphertext).unwrap()
    }
}

fn chunk(criterion: &mut Criterion) {
    for (k, n) in [(1, 1), (2, 4), (3, 7), (11, 31)] {
        for length in [64 << 10, 1 << 20] {
            let mut workload = Workload::new(k, n, length);
            let mut group = criterion.benchmark_group(format!("({k},{n})/{}KiB", length >> 10));
            group.throughput(Throughput::Bytes(length as u64));
            let mut in_flight = VecDeque::new();
            group.bench_function("encode", |b| {
                b.iter(|| {
                    in_flight.push_back(workload.encode());
                    if in_flight.len() > IN_FLIGHT { in_flight.pop_front() } else { None }
                });
            });
            drop(in_flight);
            let chunk = workload.encode();
            group.bench_function("read, all data shards", |b| {
                b.iter(|| black_box(workload.read(&chunk, 0..k)))
            });
            group.bench_function("read, most data shards lost", |b| {
                b.iter(|| black_box(workload.read(&chunk, n - k..n)));
            });
        }
    }
}

criterion_group!(benches, chunk);
criterion_main!(benches);
