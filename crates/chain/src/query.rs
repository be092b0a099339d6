//! The node's half of the [protocol](crate::protocol): answers from the state, the blocks and the index.
//!
//! The index may be a little ahead of the state that proofs are made from, or behind it. Neither matters: entries never
//! change and are fetched by the version that a *proved* record names, and pages are read as of the height asked for.

use crate::{
    block::Block,
    index::{Index, Store, StoreError},
    protocol::{
        Answer, Decision, Failure, ListRequest, Named, PageAnswer, Position, ProvenExpiry, ReadRequest,
        ReceiptAnswer, Request, StateAnswer, StatusAnswer, Subject, Submitted, text,
    },
    state::StateProof,
};
use bytes::Bytes;
use commonware_macros::select;
use commonware_runtime::{Clock, Spawner};
use ledger::{Record, StateKey, key, record::Kind};
use proof::{Digest, PublicKey, SignedTransaction, finality::FinalizedHeader, merkle, wire::List};
use std::{future::Future, sync::Arc, time::Duration};
use tracing::error;

/// How long an answer waits for the index to reach a height.
const INDEX_WAIT: Duration = Duration::from_secs(2);

/// Blocks that the tip of a listing may be behind this node's. A client has learnt it from a quorum, within its timeout.
const TIP_LAG_MAX: u64 = 1000;

/// A node's state and blocks, as the engine keeps them.
pub trait StateReader: Clone + Send + Sync + 'static {
    /// The newest applied block of at least `min_height`, proved final. May wait for it for a few seconds.
    fn tip(&self, min_height: u64) -> impl Future<Output = Result<FinalizedHeader, Unready>> + Send;

    /// A proof for each of `keys`, all under the state root of one applied block of at least `min_height`. May wait for
    /// it for a few seconds.
    fn prove(
        &self,
        keys: &[StateKey],
        min_height: u64,
    ) -> impl Future<Output = Result<(FinalizedHeader, Vec<StateProof>), Unready>> + Send;

    /// Has the transaction ordered, and waits, for a few seconds, until it is decided. The same transaction may be
    /// submitted again and again.
    fn submit(&self, transaction: SignedTransaction) -> impl Future<Output = Submission> + Send;

    /// The block of this height with the proof that it is final, if this node has both.
    fn block(&self, height: u64) -> impl Future<Output = Option<(FinalizedHeader, Arc<Block>)>> + Send;

    /// This node about itself. Of `index_height` nothing needs to be known.
    fn status(&self) -> impl Future<Output = StatusAnswer> + Send;
}

/// Why there is no answer from the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unready {
    /// The newest applied block has only this height.
    Behind(u64),
    /// Too much to do.
    Overloaded,
}

/// What the engine made of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submission {
    /// It is in a final block, which this node has applied.
    Decided(Box<Decision>),
    /// As before, and the proof is to be made from the block.
    DecidedAt(Position),
    /// It can never be in a block, and why.
    Inadmissible(String),
    /// The mempool has no room.
    Overloaded,
    /// Block time has passed its expiry.
    Expired,
    /// It is waiting to be ordered.
    Pending,
}

/// Answers requests. Clones share everything.
pub struct Query<E, R, S> {
    context: Arc<E>,
    state: R,
    index: Index<S>,
}

impl<E, R: Clone, S: Clone> Clone for Query<E, R, S> {
    fn clone(&self) -> Self {
        Self { context: self.context.clone(), state: self.state.clone(), index: self.index.clone() }
    }
}

impl From<Unready> for Failure {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::Behind(height) => Self::Behind(height),
            Unready::Overloaded => Self::Overloaded,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(failed: StoreError) -> Self {
        error!(%failed, "the index cannot be read");
        Self::NotHeld
    }
}

impl<E: Clock + Spawner, R: StateReader, S: Store> Query<E, R, S> {
    /// Answers from `state` and `index`.
    pub fn new(context: E, state: R, index: Index<S>) -> Self {
        Self { context: Arc::new(context), state, index }
    }

    /// Whether the key may sign for any tenant. Not if the index cannot be read.
    pub fn is_signer(&self, key: &PublicKey) -> bool {
        self.index.is_signer(key).unwrap_or_else(|failed| {
            error!(%failed, "the index cannot be read");
            false
        })
    }

    /// Answers one message with one message.
    pub async fn handle(&self, message: Bytes) -> Bytes {
        let answer = match Request::from_message(message) {
            Ok(request) => self.answer(request).await,
            Err(_) => Answer::Failed(Failure::Malformed),
        };
        answer.to_message()
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request) -> Answer {
        let answered = match request {
            Request::Submit(transaction) => self.submit(transaction).await,
            Request::Tip(min_height) => {
                self.state.tip(min_height).await.map(Answer::Tip).map_err(Failure::from)
            }
            Request::Read(read) => self.read(read).await,
            Request::List(list) => self.list(list).await,
            Request::Receipt(at) => self.receipt(at).await,
            Request::Status => {
                let status = self.state.status().await;
                Ok(Answer::Status(StatusAnswer { index_height: self.index.height(), ..status }))
            }
        };
        answered.unwrap_or_else(Answer::Failed)
    }

    async fn submit(&self, transaction: SignedTransaction) -> Result<Answer, Failure> {
        let id = transaction.transaction.id();
        let submitted = match self.state.submit(transaction).await {
            Submission::Decided(decision) => Submitted::Decided(*decision),
            Submission::DecidedAt(at) => Submitted::Decided(self.decision(at).await?.1),
            Submission::Inadmissible(why) => Submitted::Inadmissible(text(&why)),
            Submission::Overloaded => Submitted::Overloaded,
            Submission::Expired => self.expired(id).await?,
            Submission::Pending => Submitted::Pending,
        };
        Ok(Answer::Submitted(submitted))
    }

    /// Proves that the transaction has no outcome; or what it is, should it have been decided just before its expiry.
    async fn expired(&self, id: Digest) -> Result<Submitted, Failure> {
        let (block, mut proofs) = self.state.prove(&[key::outcome(&id)], 0).await?;
        let proof = proofs.pop().expect("a proof for each key");
        match verified(&proof, &key::outcome(&id), &block) {
            Some(Record::Outcome(outcome)) => {
                let at = Position { height: outcome.height, index: outcome.index };
                Ok(Submitted::Decided(self.decision(at).await?.1))
            }
            _ => Ok(Submitted::Expired(ProvenExpiry { block, absence: proof })),
        }
    }

    async fn receipt(&self, at: Position) -> Result<Answer, Failure> {
        let (block, decision) = self.decision(at.clone()).await?;
        let transaction = block.transactions[at.index as usize].transaction.clone();
        Ok(Answer::Receipt(ReceiptAnswer { transaction, decision }))
    }

    async fn decision(&self, at: Position) -> Result<(Arc<Block>, Decision), Failure> {
        let (proved, block) = self.state.block(at.height).await.ok_or(Failure::NotHeld)?;
        let decision = decision(proved, &block, at.index).ok_or(Failure::NotHeld)?;
        Ok((block, decision))
    }

    async fn read(&self, read: ReadRequest) -> Result<Answer, Failure> {
        let keys = read.subject.keys();
        if keys.is_empty() {
            return Err(Failure::Malformed);
        }
        let (block, proofs) = self.state.prove(&keys, read.min_height).await?;
        let last = keys.last().zip(proofs.last()).expect("there are keys, and a proof for each");
        let record = verified(last.1, last.0, &block);
        let named = self.named(&read.subject, record).await?;
        let proofs = List::new(proofs).expect("a proof for each key");
        Ok(Answer::State(StateAnswer { block, proofs, named }))
    }

    /// What the record names by hash.
    async fn named(&self, subject: &Subject, record: Option<Record>) -> Result<Named, Failure> {
        let version = match (subject, record) {
            (Subject::Head(at), Some(Record::Head(head))) if head.kind != Kind::Nothing => {
                Some((at.tenant, &at.place, head.version))
            }
            (Subject::Version(at) | Subject::Shown(at), Some(Record::Version(_))) => {
                Some((at.tenant, &at.place, at.version))
            }
            (Subject::Upload(of), Some(Record::Upload(upload))) => {
                self.indexed(upload.version.height).await?;
                let upload = self.index.upload(&of.tenant, &of.upload)?;
                return Ok(upload.map_or(Named::Nothing, Named::Upload));
            }
            _ => None,
        };
        let Some((tenant, place, version)) = version else { return Ok(Named::Nothing) };
        self.indexed(version.height).await?;
        let version = self.index.version(&tenant, place, &version)?;
        Ok(version.map_or(Named::Nothing, Named::Version))
    }

    async fn list(&self, list: ListRequest) -> Result<Answer, Failure> {
        let ListRequest { listing, height, tip, digest_only } = list;
        if tip < height {
            return Err(Failure::Malformed);
        }
        self.indexed(tip).await?;
        // What is newer than the tip counts as no work, so it must not be much.
        if listing.is_walk() && self.index.height() - tip > TIP_LAG_MAX {
            return Err(Failure::NotHeld);
        }
        // It may take some ten thousand steps, on disk.
        let index = self.index.clone();
        let page = self.context.child("page").shared(true);
        let page = page.spawn(move |_| async move { index.page(&listing, height, tip) }).await;
        let page = PageAnswer { height, page: page.map_err(|_| Failure::Overloaded)?? };
        Ok(if digest_only { Answer::PageDigest(page.digest()) } else { Answer::Page(page) })
    }

    /// Waits until the index has got to `height`.
    async fn indexed(&self, height: u64) -> Result<(), Failure> {
        select! {
            _ = self.index.reached(height) => Ok(()),
            _ = self.context.sleep(INDEX_WAIT) => Err(Failure::Behind(self.index.height())),
        }
    }
}

/// What the proof says. A proof of our own that does not hold is answered as it is, for the gateway to refuse.
fn verified(proof: &StateProof, key: &StateKey, block: &FinalizedHeader) -> Option<Record> {
    let verified = proof.verify(key, &block.header.state_root);
    if verified.is_err() {
        error!(height = block.header.height, %key, "a proof of our own state does not hold");
    }
    verified.ok().flatten()
}

/// Proof of the outcome of the transaction number `index` of a block that is proved final.
pub fn decision(proved: FinalizedHeader, block: &Block, index: u32) -> Option<Decision> {
    let leaves = block.leaves();
    ((index as usize) < leaves.len()).then(|| decision_of(&leaves, index as usize, proved))
}

/// As [`decision`], of the leaves of the block.
///
/// # Panics
///
/// If there is no such leaf.
pub(crate) fn decision_of(leaves: &[merkle::Leaf], index: usize, block: FinalizedHeader) -> Decision {
    let merkle::Leaf { signature, outcome, .. } = leaves[index];
    Decision { block, index: index as u32, outcome, signature, path: merkle::path(leaves, index) }
}
