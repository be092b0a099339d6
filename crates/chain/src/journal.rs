//! The journal of votes: the engine's, read before the engine does, and begun for it.
//!
//! Each epoch has journals of its own. A journal has a number: that of the view above which it is complete. The first one of a key has number zero. A node
//! that lost its votes, and may vote again, begins another (see [`crate::voting`]).
//!
//! A journal is *begun* with an entry that says nothing about votes, and this is synced before anything is signed. So
//! there is no moment at which a node has voted, and an empty journal, or one that nothing vouches for, could be its own.
//! The entry of journal zero is that view zero, that of the genesis, was certified, which the engine skips when it
//! reads the journal. Every other one begins with the finalization that it is complete above, which is what the engine
//! would write there itself.

use commonware_codec::Read;
use commonware_consensus::{
    Viewable as _,
    simplex::{
        scheme::ed25519::Scheme,
        types::{Artifact, Certificate, Finalization, Vote},
    },
    types::Round,
};
use commonware_cryptography::{certificate, sha256};
use commonware_runtime::{Metrics, ReadOptions, Storage, buffer::paged::CacheRef};
use commonware_storage::journal::segmented::variable::{Config, Journal};
use std::num::NonZeroUsize;

/// Where and how a journal is kept.
#[derive(Clone)]
pub(crate) struct Place {
    /// What the names of all partitions begin with.
    pub partition: String,
    /// The epoch whose votes these are.
    pub epoch: u64,
    /// Nodes of the committee.
    pub nodes: usize,
    pub page_cache: CacheRef,
    pub buffer: NonZeroUsize,
}

/// What a journal says.
#[derive(Default)]
pub(crate) struct Recalled {
    /// The node's own votes, as far as they are kept.
    pub votes: Vec<Vote<Scheme, sha256::Digest>>,
    /// Certificates that it had, as far as they are kept.
    pub certificates: Vec<Certificate<Scheme, sha256::Digest>>,
}

impl Recalled {
    /// The highest view with a finalization. The node votes only above.
    pub(crate) fn finalized(&self) -> u64 {
        let finalized = self.certificates.iter().filter_map(|certificate| match certificate {
            Certificate::Finalization(finalization) => Some(finalization.view().get()),
            _ => None,
        });
        finalized.max().unwrap_or(0)
    }

    /// The highest view in which the node may have voted to finalize: in the journal, or before it began.
    pub(crate) fn finalizing(&self) -> u64 {
        let finalizing = self.votes.iter().filter_map(|vote| match vote {
            Vote::Finalize(finalize) => Some(finalize.view().get()),
            _ => None,
        });
        finalizing.max().unwrap_or(0).max(self.finalized())
    }
}

type Entry = Artifact<Scheme, sha256::Digest>;

impl Place {
    /// The partition of a journal of votes.
    pub(crate) fn votes(&self, journal: u64) -> String {
        match self.epoch {
            0 => format!("{}-votes-{journal}", self.partition),
            epoch => format!("{}-votes-{epoch}-{journal}", self.partition),
        }
    }

    fn config(&self, journal: u64) -> Config<<<Scheme as certificate::Verifier>::Certificate as Read>::Cfg> {
        Config {
            partition: self.votes(journal),
            compression: None,
            codec_config: self.nodes,
            page_cache: self.page_cache.clone(),
            write_buffer: self.buffer,
        }
    }

    /// Reads a journal: none, if it was never begun. Journal zero is then begun, if it `may_begin`. It is not open any
    /// more when this returns.
    ///
    /// # Panics
    ///
    /// On storage failure.
    pub(crate) async fn recall<E: Storage + Metrics>(
        &self,
        context: E,
        journal: u64,
        may_begin: bool,
    ) -> Option<Recalled> {
        let opened = Journal::<_, Entry>::init(context, self.config(journal)).await;
        let mut replay = opened
            .expect("the journal of votes opens")
            .replay(0, 0, self.buffer, ReadOptions::DONT_CACHE)
            .await
            .expect("the journal of votes is readable");
        let mut recalled = Recalled::default();
        let mut is_empty = true;
        while let Some(entry) = replay.next().await {
            let (_, _, _, entry) = entry.expect("the journal of votes is readable");
            is_empty = false;
            match entry {
                Artifact::Notarize(vote) => recalled.votes.push(Vote::Notarize(vote)),
                Artifact::Nullify(vote) => recalled.votes.push(Vote::Nullify(vote)),
                Artifact::Finalize(vote) => recalled.votes.push(Vote::Finalize(vote)),
                Artifact::Notarization(made) => recalled.certificates.push(Certificate::Notarization(made)),
                Artifact::Nullification(made) => recalled.certificates.push(Certificate::Nullification(made)),
                Artifact::Finalization(made) => recalled.certificates.push(Certificate::Finalization(made)),
                Artifact::Certification(..) => {}
            }
        }
        let opened = replay.finish().expect("the journal of votes is readable");
        if is_empty && may_begin {
            append(opened, Artifact::Certification(Round::zero(), true)).await;
            is_empty = false;
        }
        (!is_empty).then_some(recalled)
    }

    /// Begins the journal that is complete above this finalization, and gives its number. What was there by that name is
    /// gone: nothing vouched for it.
    ///
    /// # Panics
    ///
    /// On storage failure.
    pub(crate) async fn begin<E: Storage + Metrics>(
        &self,
        context: E,
        above: Finalization<Scheme, sha256::Digest>,
    ) -> u64 {
        let journal = above.view().get();
        let opened = Journal::<_, Entry>::init(context, self.config(journal)).await;
        let empty = opened.expect("the journal of votes opens").clear().await;
        append(empty.expect("a journal can be emptied"), Artifact::Finalization(above)).await;
        journal
    }
}

/// Appends an entry and syncs it.
async fn append<E: Storage + Metrics>(journal: Journal<E, Entry>, entry: Entry) {
    let view = entry.view().get();
    let (journal, _, _) = journal.append(view, &entry).await.expect("the journal of votes can be written");
    let _ = journal.sync(view).await.expect("the journal of votes can be synced");
}
