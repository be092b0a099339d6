//! Ciphertext to n shards, and any k of them back. The crate's documentation defines the code.

use crate::{
    CIPHERTEXT_MAX, CheckedShard, OpeningError,
    buffer::{Buffer, Pool},
    shard::shard_hash,
};
use bytes::Bytes;
use proof::{Digest, limits::NODES_MAX, manifest::Opening, wire::List};
use rusty_erasure::{Coder, Matrix};
use std::sync::Arc;

/// A code of n shards, any k of which are enough, with the buffers it works in. Clones share both.
#[derive(Clone)]
pub struct Code {
    k: usize,
    n: usize,
    /// None where parity needs no arithmetic: k = 1 (all shards equal) and k = n (no parity).
    coder: Option<Arc<Coder>>,
    pub(crate) pool: Pool,
}

/// Why there is no such code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code has 1 <= k <= n <= {NODES_MAX}, not k = {k}, n = {n}")]
pub struct CodeError {
    /// Shards that would be enough.
    pub k: usize,
    /// All shards.
    pub n: usize,
}

/// A chunk ready for its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedChunk {
    /// The code and the hash of every shard.
    pub opening: Opening,
    /// The chunk's id: the hash of the opening.
    pub id: Digest,
    /// The n shards, for the nodes in the order of the committee. Data shards share one buffer, parity another.
    pub shards: Vec<Bytes>,
}

/// Why shards did not give their chunk back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The opening is none of this network's.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// A shard was checked against another opening.
    #[error("shard {0} is of another chunk")]
    Foreign(usize),
    /// Not enough different shards.
    #[error("{got} different shards where {needed} are needed")]
    TooFew {
        /// Different shards given.
        got: usize,
        /// The code's k.
        needed: usize,
    },
    /// The writer lied: its shards are not one encoding of anything. Other shards may still decode.
    #[error("the chunk's writer did not encode it consistently")]
    Inconsistent,
}

impl Code {
    /// The code with these parameters.
    pub fn new(k: usize, n: usize) -> Result<Self, CodeError> {
        if k == 0 || k > n || n > NODES_MAX {
            return Err(CodeError { k, n });
        }
        let coder = (1 < k && k < n).then(|| {
            let matrix = Matrix::cauchy(k, n - k).expect("n is far below 255");
            Arc::new(rusty_erasure::coder(matrix).expect("the matrix has parity rows"))
        });
        Ok(Self { k, n, coder, pool: Pool::default() })
    }

    /// Shards that give a chunk back.
    pub fn k(&self) -> usize {
        self.k
    }

    /// All shards.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Encodes 1 to [`CIPHERTEXT_MAX`] bytes; other lengths panic.
    pub fn encode(&self, ciphertext: &[u8]) -> EncodedChunk {
        let mut buffer = self.data_buffer(ciphertext.len());
        buffer[..ciphertext.len()].copy_from_slice(ciphertext);
        self.encode_buffer(buffer, ciphertext.len())
    }

    /// A buffer for the k data shards of this much ciphertext. Its padding is zero; the rest is for the caller to fill.
    pub(crate) fn data_buffer(&self, ciphertext_length: usize) -> Buffer {
        assert!((1..=CIPHERTEXT_MAX).contains(&ciphertext_length), "not a chunk: {ciphertext_length} bytes");
        let mut buffer = self.pool.take(self.k * ciphertext_length.div_ceil(self.k));
        buffer[ciphertext_length..].fill(0);
        buffer
    }

    /// Encodes a filled [`Self::data_buffer`].
    pub(crate) fn encode_buffer(&self, data: Buffer, ciphertext_length: usize) -> EncodedChunk {
        let length = data.len() / self.k;
        let parity = self.parity(&data, length).freeze();
        let data = data.freeze();
        let slices = |rows: &Bytes| {
            (0..rows.len() / length).map(|i| rows.slice(i * length..(i + 1) * length)).collect()
        };
        let mut shards: Vec<Bytes> = slices(&data);
        shards.append(&mut slices(&parity));
        let mut hashes: Vec<Digest> = shards.iter().map(|shard| shard_hash(shard)).collect();
        if self.k == 1 {
            shards.resize(self.n, data);
            hashes.resize(self.n, hashes[0]);
        }
        let opening = Opening {
            k: self.k as u8,
            ciphertext_length: ciphertext_length as u32,
            shards: List::new(hashes).expect("n hashes, and n is at most NODES_MAX"),
        };
        EncodedChunk { id: opening.id(), opening, shards }
    }

    /// The parity shards of these data shards, one after the other; empty where parity needs no arithmetic.
    fn parity(&self, data: &[u8], length: usize) -> Buffer {
        let Some(coder) = &self.coder else { return self.pool.take(0) };
        let mut parity = self.pool.take((self.n - self.k) * length);
        let sources: Vec<&[u8]> = data.chunks_exact(length).collect();
        let mut targets: Vec<&mut [u8]> = parity.chunks_exact_mut(length).collect();
        coder.encode(&sources, &mut targets).expect("k sources and n - k targets of one length");
        parity
    }

    /// Gives the ciphertext back from any k shards. Of more, the k with the lowest indices count: data shards first.
    ///
    /// The result is what the data shards say, whichever shards were given: a data shard that had to be computed must
    /// have the opening's hash, otherwise the writer lied and this is [`DecodeError::Inconsistent`].
    pub fn decode(&self, opening: &Opening, shards: &[CheckedShard]) -> Result<Bytes, DecodeError> {
        self.check_opening(opening)?;
        let present = self.choose(opening, shards)?;
        let ciphertext_length = opening.ciphertext_length as usize;
        let length = opening.shard_length();

        let mut buffer = self.data_buffer(ciphertext_length);
        let (mut missing, mut computed) = (Vec::new(), Vec::new());
        for (index, row) in buffer.chunks_exact_mut(length).enumerate() {
            match present[index] {
                Some(shard) => row.copy_from_slice(shard),
                None => {
                    missing.push(index);
                    computed.push(row);
                }
            }
        }
        self.recover(&present, &missing, &mut computed);
        let honest =
            missing.iter().zip(&computed).all(|(index, row)| opening.shards[*index] == shard_hash(row));
        if !honest || buffer[ciphertext_length..].iter().any(|byte| *byte != 0) {
            return Err(DecodeError::Inconsistent);
        }
        buffer.truncate(ciphertext_length);
        Ok(buffer.freeze())
    }

    /// The first k of the shards given, each in its place.
    fn choose<'a>(
        &self,
        opening: &Opening,
        shards: &'a [CheckedShard],
    ) -> Result<Vec<Option<&'a [u8]>>, DecodeError> {
        let mut places: Vec<Option<&[u8]>> = vec![None; self.n];
        for shard in shards {
            let belongs = opening.shards.get(shard.index) == Some(&shard.hash)
                && shard.bytes.len() == opening.shard_length();
            if !belongs {
                return Err(DecodeError::Foreign(shard.index));
            }
            places[shard.index] = Some(&shard.bytes);
        }
        let mut got = 0;
        for place in &mut places {
            got += usize::from(place.is_some());
            if got > self.k {
                *place = None;
            }
        }
        if got < self.k {
            return Err(DecodeError::TooFew { got, needed: self.k });
        }
        Ok(places)
    }

    /// Computes the `missing` data shards from the k that are `present`.
    fn recover(&self, present: &[Option<&[u8]>], missing: &[usize], computed: &mut [&mut [u8]]) {
        if missing.is_empty() {
            return;
        }
        let Some(coder) = &self.coder else {
            let any = present.iter().flatten().next().expect("k = 1 shard is present");
            return computed[0].copy_from_slice(any);
        };
        let places: Vec<bool> = present.iter().map(Option::is_some).collect();
        let plan = coder.decode_plan(&places, missing).expect("any k rows of a Cauchy code are invertible");
        coder
            .recover_with(&plan, present, computed)
            .expect("the plan is for these shards, all of one length");
    }

    /// All n shards again from any k, for healing. Accepts only what is one consistent encoding throughout.
    pub fn rebuild(&self, opening: &Opening, shards: &[CheckedShard]) -> Result<EncodedChunk, DecodeError> {
        let ciphertext = self.decode(opening, shards)?;
        let chunk = self.encode(&ciphertext);
        if chunk.opening == *opening { Ok(chunk) } else { Err(DecodeError::Inconsistent) }
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({}, {})", self.k, self.n)
    }
}
