//! The epochs of a network ([`proof::lineage`]), as the engine asks for them.
//!
//! A node runs consensus of the newest epoch only. What former epochs decided is final up to where the newest begins; the
//! committees that decided it are needed to check certificates of their blocks, when a node fetches them again.

use crate::{block::engine_key, engine::Blocks};
use commonware_consensus::{
    simplex::scheme::ed25519::Scheme,
    types::{Epoch, EpochInfo, Epocher, Height},
};
use commonware_cryptography::{
    certificate::{Provider, Scoped},
    ed25519,
};
use commonware_runtime::Clock;
use commonware_utils::{TryCollect as _, ordered::Set, vec::NonEmptyVec};
use proof::{Committee, Lineage};
use std::{sync::Arc, time::Duration};
use tracing::info;

/// How often others are asked for the block that an epoch begins after.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// No chain has so many blocks: the newest epoch goes on until then.
const LAST: u64 = 1 << 40;

/// Which epoch decides which heights.
#[derive(Clone, Debug)]
pub(crate) struct Epochs(Arc<Lineage>);

impl Epochs {
    pub(crate) fn new(lineage: &Lineage) -> Self {
        Self(Arc::new(lineage.clone()))
    }

    /// Heights of its first and last block, if it has any. The genesis block counts as of the first epoch.
    fn span(&self, epoch: u64) -> Option<(u64, u64)> {
        let (first, last) = self.0.span(epoch)?;
        let (first, last) = (if epoch == 0 { 0 } else { first }, last.unwrap_or(LAST));
        (first <= last).then_some((first, last))
    }
}

impl Epocher for Epochs {
    fn containing(&self, height: Height) -> Option<EpochInfo> {
        let epoch = self.0.epoch_at(height.get());
        let (first, last) = self.span(epoch)?;
        let inside = (first..=last).contains(&height.get());
        inside.then(|| EpochInfo::new(Epoch::new(epoch), height, Height::new(first), Height::new(last)))
    }

    fn first(&self, epoch: Epoch) -> Option<Height> {
        self.span(epoch.get()).map(|(first, _)| Height::new(first))
    }

    fn last(&self, epoch: Epoch) -> Option<Height> {
        self.span(epoch.get()).map(|(_, last)| Height::new(last))
    }
}

/// What checks certificates, by epoch. None of them signs.
#[derive(Clone)]
pub(crate) struct Schemes(Arc<Vec<Arc<Scheme>>>);

impl Schemes {
    /// Those of all epochs but the newest, and for that one this.
    pub(crate) fn new(lineage: &Lineage, newest: Scheme) -> Self {
        let namespace = lineage.genesis().consensus_namespace();
        let former = (0..lineage.committee().epoch()).map(|epoch| {
            let committee = lineage.committee_of(epoch).expect("epochs are numbered from zero");
            Arc::new(Scheme::verifier(&namespace, participants(committee)))
        });
        Self(Arc::new(former.chain([Arc::new(newest)]).collect()))
    }
}

impl Provider for Schemes {
    type Scope = Epoch;
    type Scheme = Scheme;

    fn scoped(&self, epoch: Epoch) -> Option<Scoped<Scheme>> {
        let number = usize::try_from(epoch.get()).ok()?;
        self.0.get(number).cloned().map(Scoped::scheme)
    }
}

/// A committee's keys as the engine wants them.
pub(crate) fn participants(committee: &Committee) -> Set<ed25519::PublicKey> {
    committee.nodes().iter().map(engine_key).try_collect().expect("a committee has distinct keys")
}

/// Has the block fetched that the newest epoch begins after, and waits until this node has applied it. Consensus of the
/// epoch starts from there: it would not find it itself, for without a quorum that has it nothing newer becomes final.
pub(crate) async fn arrive<E: Clock>(
    context: &E,
    blocks: &Blocks,
    lineage: &Lineage,
    own: &ed25519::PublicKey,
) {
    let Some(height) = lineage.last().map(|last| last.header.height) else { return };
    let others: Vec<_> = participants(lineage.committee()).into_iter().filter(|key| key != own).collect();
    let mut waits = false;
    while blocks.get_processed().await.map_or(0, |processed| processed.height().get()) < height {
        if !std::mem::replace(&mut waits, true) {
            info!(
                epoch = lineage.committee().epoch(),
                height, "fetching the chain up to where the epoch begins"
            );
        }
        if let Ok(others) = NonEmptyVec::try_from(others.clone()) {
            blocks.hint_finalized(Height::new(height), others);
        }
        context.sleep(ASK_EVERY).await;
    }
}
