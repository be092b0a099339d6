//! Chunks on their way to the nodes: encrypted, encoded, sent and listed, a bounded number at a time.
//!
//! Each chunk is a task of its own, so that encoding uses every core and a slow node delays only the chunks behind
//! the window. They are listed in order.

use crate::{CHUNKS_IN_FLIGHT, Context, Error, Vault, layout::Pages};
use blob::{DataKey, SegmentKey};
use bytes::Bytes;
use commonware_runtime::AbortOnDrop;
use proof::{
    AvailabilityCertificate, Digest, Manifest,
    limits::{CERTIFICATE_AGE_MS_MAX, CHUNK_LENGTH},
    manifest::{Page, SealedKey},
    transaction::Stored,
};
use std::{collections::VecDeque, sync::Arc, time::UNIX_EPOCH};

/// One segment on its way to the nodes. Dropping it stops it.
pub(crate) struct Dispersal<E: Context> {
    vault: Vault<E>,
    key: Arc<SegmentKey>,
    sealed_key: SealedKey,
    /// Chunks sent.
    sent: u32,
    /// Chunks listed.
    listed: u32,
    /// Those between: length of plaintext, and the task that gives the id.
    in_flight: VecDeque<(u64, AbortOnDrop<Result<Digest, Error>>)>,
    pages: Pages,
}

/// What nodes hold, with the proof that enough do.
pub(crate) struct Dispersed {
    pub manifest: Manifest,
    pub certificate: AvailabilityCertificate,
}

impl<E: Context> Dispersal<E> {
    /// A segment under a fresh key, sealed under `data_key`.
    pub(crate) fn new(vault: Vault<E>, data_key: &DataKey) -> Self {
        let pages = Pages::default();
        let key = SegmentKey::new(vault.random());
        let sealed_key = blob::wrap_segment_key(data_key, pages.segment(), &key);
        Self { vault, key: Arc::new(key), sealed_key, sent: 0, listed: 0, in_flight: VecDeque::new(), pages }
    }

    /// Sends the next chunk: the plaintext is `pieces` in order, full but for the segment's last chunk. Waits while
    /// enough others are on the way.
    pub(crate) async fn push(&mut self, pieces: Vec<Bytes>) -> Result<(), Error> {
        while self.in_flight.len() >= CHUNKS_IN_FLIGHT {
            self.list_first().await?;
        }
        let room = self.vault.room(&self.vault.shared.chunks_written).await?;
        let (vault, key, number) = (self.vault.clone(), self.key.clone(), self.sent);
        let length: usize = pieces.iter().map(Bytes::len).sum();
        debug_assert!(length as u64 <= CHUNK_LENGTH);
        let task = self.vault.shared.context.child("chunk").spawn(move |_| async move {
            let chunk = blob::encode_chunk(&vault.shared.code, &key, number, &pieces);
            drop(pieces);
            let id = chunk.id;
            vault.patiently(|| async { Ok(vault.shared.shards.put_chunk(chunk.clone()).await?) }).await?;
            drop(room);
            Ok(id)
        });
        self.in_flight.push_back((length as u64, task.abort_on_drop()));
        self.sent += 1;
        Ok(())
    }

    /// Waits for the chunk that was sent first, and lists it.
    async fn list_first(&mut self) -> Result<(), Error> {
        let Some((length, task)) = self.in_flight.pop_front() else { return Ok(()) };
        let id = task.join().await.map_err(|_| stopped())??;
        let page = self.pages.push(self.sealed_key, self.listed, id, length);
        self.listed += 1;
        match page {
            Some(page) => self.vault.put_page(&page).await,
            None => Ok(()),
        }
    }

    /// Waits for all chunks and for the proof that they are held.
    pub(crate) async fn finish(mut self) -> Result<Dispersed, Error> {
        while !self.in_flight.is_empty() {
            self.list_first().await?;
        }
        self.vault.certify(self.pages).await
    }
}

impl<E: Context> Vault<E> {
    pub(crate) async fn put_page(&self, page: &Page) -> Result<(), Error> {
        self.patiently(|| async { Ok(self.shared.shards.put_page(page).await?) }).await.map(drop)
    }

    /// Closes a manifest whose chunks and full pages nodes hold, and has them certify it.
    pub(crate) async fn certify(&self, pages: Pages) -> Result<Dispersed, Error> {
        let listed = pages.finish()?;
        if let Some(page) = listed.last_page {
            self.put_page(&page).await?;
        }
        let manifest = listed.manifest;
        let certificate = self.certificate(&manifest).await?;
        Ok(Dispersed { manifest, certificate })
    }

    async fn certificate(&self, manifest: &Manifest) -> Result<AvailabilityCertificate, Error> {
        self.patiently(|| async { Ok(self.shared.shards.certify(manifest).await?) }).await
    }

    /// What is stored, as another transaction may bring it: certified anew, unless its certificate still counts.
    pub(crate) async fn renewed(&self, stored: &Stored, manifest: &Manifest) -> Result<Stored, Error> {
        let shared = &self.shared;
        let now = shared.context.current().duration_since(UNIX_EPOCH).unwrap_or_default();
        if counts(&stored.certificate, shared.lineage.committee().epoch(), now.as_millis() as u64) {
            return Ok(stored.clone());
        }
        Ok(Stored { manifest: stored.manifest.clone(), certificate: self.certificate(manifest).await? })
    }
}

/// Whether a transaction that is made now may bring a certificate: those who decide now gave it, and not long ago. Half of
/// the time that is allowed is left for the transaction.
fn counts(certificate: &AvailabilityCertificate, epoch: u64, now_ms: u64) -> bool {
    certificate.epoch == epoch && now_ms < certificate.time_ms.saturating_add(CERTIFICATE_AGE_MS_MAX / 2)
}

/// A task ended without a result: the runtime is shutting down.
pub(crate) fn stopped() -> Error {
    Error::Unavailable("this gateway is shutting down".into())
}

impl From<shards::Error> for Error {
    fn from(error: shards::Error) -> Self {
        match error {
            shards::Error::Full => Self::Full,
            shards::Error::Overloaded => Self::Overloaded,
            shards::Error::Unavailable { .. } => Self::Unavailable(error.to_string()),
            shards::Error::Lost { .. } | shards::Error::Inconsistent(_) => Self::Damaged(error.to_string()),
            shards::Error::Refused(_) => Self::NotAllowed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by the simulation of recoveries: a copy brought the certificate of what it copied, whoever had given it, whenever.
    #[test]
    fn certificates_of_other_epochs_and_old_ones_are_renewed() {
        let certificate = AvailabilityCertificate::new(3, 1_000_000_000, Vec::new());
        let half_an_hour = CERTIFICATE_AGE_MS_MAX / 2;
        assert!(counts(&certificate, 3, 1_000_000_000));
        assert!(counts(&certificate, 3, 1_000_000_000 + half_an_hour - 1));
        assert!(!counts(&certificate, 3, 1_000_000_000 + half_an_hour));
        assert!(!counts(&certificate, 4, 1_000_000_000));
        assert!(!counts(&certificate, 2, 1_000_000_000));
        assert!(counts(&certificate, 3, 0), "a clock that is behind");
    }
}
