//! What a node can prove to others: reads of its state, submissions, blocks.

use crate::{
    application::{Databases, Network},
    applied::{Applied, Fate},
    block::{Block, digest},
    engine::{Blocks, Context, Engine, to_proof},
    intake::{self, Said},
    mempool::{Mempool, Rejected},
    protocol::{Position, StatusAnswer, text},
    query::{StateReader, Submission, Unready},
    state::StateProof,
    voting::Standing,
};
use commonware_consensus::types::Height;
use commonware_macros::select;
use commonware_utils::SystemTimeExt;
use ledger::{Inadmissible, StateKey, record::Outcome};
use proof::{Header, SignedTransaction, finality::FinalizedHeader, limits::HEADER_CHAIN_MAX, wire::List};
use std::{sync::Arc, time::Duration};

/// How long a reader waits for a block that is not there yet.
const PATIENCE: Duration = Duration::from_secs(4);

/// Why a submission was not taken.
enum Rejection {
    Inadmissible(Inadmissible),
    Full,
}

impl From<Inadmissible> for Rejection {
    fn from(why: Inadmissible) -> Self {
        Self::Inadmissible(why)
    }
}

impl From<Rejected> for Rejection {
    fn from(Rejected::Full: Rejected) -> Self {
        Self::Full
    }
}

/// Reads what an engine has applied. Clones share everything.
pub struct Reader<E: Context> {
    context: Arc<E>,
    network: Arc<Network>,
    mempool: Mempool,
    applied: Applied,
    state: Databases<E>,
    blocks: Blocks,
    standing: Standing,
}

impl<E: Context> Clone for Reader<E> {
    fn clone(&self) -> Self {
        Self {
            context: self.context.clone(),
            network: self.network.clone(),
            mempool: self.mempool.clone(),
            applied: self.applied.clone(),
            state: self.state.clone(),
            blocks: self.blocks.clone(),
            standing: self.standing.clone(),
        }
    }
}

impl<E: Context> Reader<E> {
    /// A reader of this engine.
    pub fn new(context: E, network: Arc<Network>, engine: &Engine<E>) -> Self {
        Self {
            context: Arc::new(context),
            network,
            mempool: engine.mempool.clone(),
            applied: engine.applied.clone(),
            state: engine.state.clone(),
            blocks: engine.blocks.clone(),
            standing: engine.standing.clone(),
        }
    }

    async fn reach(&self, min_height: u64) -> Result<(), Unready> {
        select! {
            _ = self.applied.height().reached(min_height) => Ok(()),
            _ = self.context.sleep(PATIENCE) => Err(Unready::Behind(self.applied.newest_height())),
        }
    }

    async fn submitted(&self, signed: SignedTransaction) -> Result<Submission, Rejection> {
        let id = signed.transaction.id();
        if !self.mempool.has_admitted(&id, &signed) {
            ledger::admit(&signed, self.network.lineage.committee(), self.network.id)?;
        }
        // The waiter comes first, so that a block which is applied in between is not missed.
        let fate = self.applied.wait(id);
        let signatory = match intake::ask(&self.state, self.network.lineage.genesis(), &signed).await {
            Said::Decided(outcome) => return Ok(self.decided(outcome).await),
            Said::Undecided(signatory) => signatory,
        };
        if let Some(newest) = self.applied.newest()
            && signed.transaction.expires_ms <= newest.header.time_ms
        {
            return Ok(Submission::Expired);
        }
        self.mempool.insert(Arc::new(signed), signatory, self.context.current().epoch_millis())?;
        Ok(select! {
            fate = fate => match fate {
                Ok(Fate::Included(decision)) => Submission::Decided(decision),
                Ok(Fate::Expired) => Submission::Expired,
                // The engine is shutting down: what becomes of the transaction is not known here.
                Err(_) => Submission::Pending,
            },
            _ = self.context.sleep(PATIENCE) => Submission::Pending,
        })
    }

    /// Where the state has a transaction, once that may be told.
    async fn decided(&self, outcome: Outcome) -> Submission {
        match self.reach(outcome.height).await {
            Ok(()) => Submission::DecidedAt(Position { height: outcome.height, index: outcome.index }),
            Err(_) => Submission::Pending,
        }
    }
}

impl<E: Context> StateReader for Reader<E> {
    async fn tip(&self, min_height: u64) -> Result<FinalizedHeader, Unready> {
        self.reach(min_height.max(1)).await?;
        self.applied.newest().ok_or(Unready::Behind(0))
    }

    async fn prove(
        &self,
        keys: &[StateKey],
        min_height: u64,
    ) -> Result<(FinalizedHeader, Vec<StateProof>), Unready> {
        let deadline = self.context.current() + PATIENCE;
        loop {
            self.reach(min_height.max(1)).await?;
            let height = self.applied.height().get();
            {
                let state = self.state.read().await;
                if let Some(header) = self.applied.header(&digest(&state.root())) {
                    let mut proofs = Vec::with_capacity(keys.len());
                    for key in keys {
                        proofs.push(StateProof::make(&state, key).await);
                    }
                    return Ok((header, proofs));
                }
            }
            // The state is of a block that is not proved yet: that takes a moment.
            select! {
                _ = self.applied.height().reached(height + 1) => {},
                _ = self.context.sleep_until(deadline) => return Err(Unready::Behind(height)),
            }
        }
    }

    async fn submit(&self, transaction: SignedTransaction) -> Submission {
        self.submitted(transaction).await.unwrap_or_else(|rejected| match rejected {
            Rejection::Inadmissible(why) => Submission::Inadmissible(why.to_string()),
            Rejection::Full => Submission::Overloaded,
        })
    }

    async fn block(&self, height: u64) -> Option<(FinalizedHeader, Arc<Block>)> {
        let block = self.blocks.get_block(Height::new(height)).await?.inner_shared();
        let mut descendants: Vec<Header> = Vec::new();
        loop {
            let at = height + descendants.len() as u64;
            if let Some(finalization) = self.blocks.get_finalization(Height::new(at)).await {
                let descendants = List::new(descendants).expect("bounded below");
                let (header, finalization) = (block.header.clone(), to_proof(&finalization));
                return Some((FinalizedHeader { header, descendants, finalization }, block));
            }
            if descendants.len() == HEADER_CHAIN_MAX {
                return None;
            }
            let next = self.blocks.get_block(Height::new(at + 1)).await?;
            descendants.push(next.inner().header.clone());
        }
    }

    async fn status(&self) -> StatusAnswer {
        let (pending, pending_bytes) = self.mempool.size();
        let newest = self.applied.reached();
        StatusAnswer {
            software: text(env!("CARGO_PKG_VERSION")),
            height: newest.as_ref().map_or(0, |header| header.height),
            time_ms: newest.as_ref().map_or(0, |header| header.time_ms),
            index_height: 0,
            stance: self.standing.now(),
            pending: pending as u32,
            pending_bytes: pending_bytes as u64,
        }
    }
}
