//! Plaintext on its way in: cut into chunks, hashed, and either kept for the transaction or dispersed.

use crate::{
    Context, Error, Vault,
    dispersal::{Dispersal, Dispersed},
    limits::INLINE_PLAINTEXT_MAX,
    object::EMPTY_CIPHERTEXT,
    sealed::Secret,
};
use blob::SegmentKey;
use bytes::{Bytes, BytesMut};
use proof::{
    Digest,
    limits::CHUNK_LENGTH,
    receipt::{ContentHasher, ContentRun},
    transaction::{Attachment, Body, Payload, Stored},
    wire::Encode,
};
use tokio::sync::OwnedSemaphorePermit;

/// Pieces shorter than this are copied together, so that many tiny writes do not cost much each.
const PIECE_MIN: usize = 4 << 10;

/// The plaintext of one chunk, as it comes.
#[derive(Default)]
struct Gathering {
    pieces: Vec<Bytes>,
    /// Short pieces that come after `pieces`.
    tail: BytesMut,
    length: usize,
}

impl Gathering {
    /// Takes what fits from the front of `bytes`.
    fn take(&mut self, bytes: &mut Bytes) {
        let piece = bytes.split_to(bytes.len().min(CHUNK_LENGTH as usize - self.length));
        self.length += piece.len();
        if piece.len() < PIECE_MIN {
            self.tail.extend_from_slice(&piece);
        } else {
            self.close_tail();
            self.pieces.push(piece);
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push(self.tail.split().freeze());
        }
    }

    fn is_full(&self) -> bool {
        self.length == CHUNK_LENGTH as usize
    }

    fn drain(&mut self) -> Vec<Bytes> {
        self.close_tail();
        self.length = 0;
        std::mem::take(&mut self.pieces)
    }
}

/// One run of contents on its way in.
pub(crate) struct Intake<E: Context> {
    vault: Vault<E>,
    data_key: Secret,
    hasher: ContentHasher,
    gathering: Gathering,
    /// From the first full chunk on.
    dispersal: Option<Dispersal<E>>,
    length: u64,
    length_max: u64,
    _room: OwnedSemaphorePermit,
}

/// A run of contents that has come in.
pub(crate) struct TakenIn {
    pub data_key: Secret,
    pub run: ContentRun,
    pub packed: Packed,
}

/// Ciphertext as a transaction brings it.
pub(crate) enum Packed {
    /// All of it.
    Inline(Bytes),
    /// Proof that nodes hold it.
    Stored(Dispersed),
}

impl Packed {
    /// The body around this ciphertext, and the bytes that it names, in order.
    pub(crate) fn into_body(self, content: Digest, sealed: Bytes) -> (Body, [Bytes; 2]) {
        let (ciphertext_length, named, payload): (_, Bytes, _) = match self {
            Self::Inline(ciphertext) => {
                let payload = Payload::Inline(Attachment::of(&ciphertext));
                (ciphertext.len() as u64, ciphertext, payload)
            }
            Self::Stored(Dispersed { manifest, certificate }) => {
                let length = crate::layout::ciphertext_length(&manifest).expect("listed by this gateway");
                let manifest = manifest.encode();
                let payload = Payload::Stored(Stored { manifest: Attachment::of(&manifest), certificate });
                (length, manifest, payload)
            }
        };
        let body = Body { ciphertext_length, content, sealed: Attachment::of(&sealed), payload };
        (body, [sealed, named])
    }
}

impl<E: Context> Intake<E> {
    /// Hashes with `salt`. Errors: `Overloaded`.
    pub(crate) async fn open(vault: &Vault<E>, salt: &Secret, length_max: u64) -> Result<Self, Error> {
        Ok(Self {
            vault: vault.clone(),
            data_key: Secret::new(vault.random()),
            hasher: ContentHasher::new(salt.bytes()),
            gathering: Gathering::default(),
            dispersal: None,
            length: 0,
            length_max,
            _room: vault.room(&vault.shared.writers).await?,
        })
    }

    pub(crate) async fn write(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        self.length += bytes.len() as u64;
        if self.length > self.length_max {
            return Err(Error::TooLarge);
        }
        while !bytes.is_empty() {
            self.gathering.take(&mut bytes);
            if self.gathering.is_full() {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Hashes and disperses what is gathered.
    async fn send(&mut self) -> Result<(), Error> {
        let pieces = self.gathering.drain();
        pieces.iter().for_each(|piece| self.hasher.update(piece));
        self.disperse(pieces).await
    }

    async fn disperse(&mut self, pieces: Vec<Bytes>) -> Result<(), Error> {
        let dispersal = self
            .dispersal
            .get_or_insert_with(|| Dispersal::new(self.vault.clone(), &self.data_key.data_key()));
        dispersal.push(pieces).await
    }

    /// Everything has come in: little of it is kept for the transaction.
    pub(crate) async fn finish(mut self) -> Result<TakenIn, Error> {
        if self.dispersal.is_none() && self.gathering.length <= INLINE_PLAINTEXT_MAX {
            let pieces = self.gathering.drain();
            pieces.iter().for_each(|piece| self.hasher.update(piece));
            let packed = Packed::Inline(encrypt_inline(&self.data_key, &pieces));
            return Ok(TakenIn { data_key: self.data_key, run: self.hasher.finish(), packed });
        }
        self.finish_stored().await
    }

    /// Everything has come in: however little, it is dispersed. Nodes hold no empty manifest, so for no contents they
    /// get a byte that is no part of them.
    pub(crate) async fn finish_stored(mut self) -> Result<TakenIn, Error> {
        if self.gathering.length > 0 {
            self.send().await?;
        }
        if self.dispersal.is_none() {
            self.disperse(vec![Bytes::from_static(&[0])]).await?;
        }
        let dispersal = self.dispersal.take().expect("a chunk was sent");
        let packed = Packed::Stored(dispersal.finish().await?);
        Ok(TakenIn { data_key: self.data_key, run: self.hasher.finish(), packed })
    }
}

/// An object that has no segments has no segment key: its data key encrypts it, as chunk 0.
pub(crate) fn encrypt_inline(data_key: &Secret, pieces: &[Bytes]) -> Bytes {
    if pieces.is_empty() {
        return Bytes::from_static(&EMPTY_CIPHERTEXT);
    }
    blob::seal_chunk(&SegmentKey::new(*data_key.bytes()), 0, pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn gathering_keeps_every_byte_in_order(lengths in proptest::collection::vec(
            prop_oneof![0..10usize, 0..3 * PIECE_MIN, 0..3usize << 20], 0..20,
        )) {
            let total: usize = lengths.iter().sum();
            let all: Bytes = (0..total).map(|at| (at % 251) as u8).collect();
            let (mut rest, mut gathering, mut chunks) = (all.clone(), Gathering::default(), Vec::new());
            for length in lengths {
                let mut piece = rest.split_to(length);
                while !piece.is_empty() {
                    gathering.take(&mut piece);
                    if gathering.is_full() {
                        chunks.push(gathering.drain().concat());
                    }
                }
            }
            prop_assert!(chunks.iter().all(|chunk| chunk.len() == CHUNK_LENGTH as usize));
            chunks.push(gathering.drain().concat());
            prop_assert_eq!(chunks.concat(), all);
        }
    }
}
