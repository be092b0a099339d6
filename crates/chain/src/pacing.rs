//! Paces empty blocks.
//!
//! Without load a leader waits before it proposes, so that an idle network makes about one block a second instead of
//! sixty. The wait ends at once when a transaction arrives, and there is none while block time has to catch up with the
//! clock. It happens *around* the engine's automaton and never inside `Application::propose`, because no block is
//! finalized while a proposal is being built.

use crate::mempool::Mempool;
use commonware_consensus::{Automaton, CertifiableAutomaton, types::Round};
use commonware_macros::select;
use commonware_runtime::{Clock, Handle, Spawner};
use commonware_utils::{
    SystemTimeExt,
    channel::{fallible::OneshotExt, oneshot},
};
use std::time::Duration;

/// How often a waiting leader looks again for transactions whose earlier proposal came to nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// An automaton that proposes when there is work, or after the idle interval.
pub struct Paced<E, A> {
    context: E,
    automaton: A,
    mempool: Mempool,
    idle: Duration,
}

impl<E: Spawner + Clock, A> Paced<E, A> {
    /// Wraps `automaton`; an empty block is proposed after `idle`.
    pub fn new(context: E, automaton: A, mempool: Mempool, idle: Duration) -> Self {
        Self { context, automaton, mempool, idle }
    }
}

impl<E: Spawner + Clock, A: Clone> Clone for Paced<E, A> {
    fn clone(&self) -> Self {
        Self {
            context: self.context.child("paced"),
            automaton: self.automaton.clone(),
            mempool: self.mempool.clone(),
            idle: self.idle,
        }
    }
}

/// Resolves when a block is wanted, or after `idle`.
async fn work_or_idle<E: Clock>(context: &E, mempool: &Mempool, idle: Duration) {
    let deadline = context.current() + idle;
    loop {
        let arrival = mempool.arrival();
        let now = context.current();
        if now >= deadline || mempool.is_waiting(now.epoch_millis()) {
            return;
        }
        let look_again = deadline.min(now + LOOK_AGAIN);
        select! {
            _ = arrival => {},
            _ = context.sleep_until(look_again) => {},
        }
    }
}

impl<E: Spawner + Clock, A: Automaton> Automaton for Paced<E, A>
where
    A::Context: Send + 'static,
{
    type Context = A::Context;
    type Digest = A::Digest;

    async fn propose(&mut self, consensus: Self::Context) -> oneshot::Receiver<Self::Digest> {
        let (mut sender, receiver) = oneshot::channel();
        let (mut automaton, mempool, idle) = (self.automaton.clone(), self.mempool.clone(), self.idle);
        let _task: Handle<()> = self.context.child("propose").spawn(move |context| async move {
            select! {
                _ = sender.closed() => return,
                _ = work_or_idle(&context, &mempool, idle) => {},
            }
            let built = automaton.propose(consensus).await;
            select! {
                _ = sender.closed() => {},
                built = built => {
                    if let Ok(digest) = built {
                        sender.send_lossy(digest);
                    }
                },
            }
        });
        receiver
    }

    async fn verify(&mut self, consensus: Self::Context, payload: Self::Digest) -> oneshot::Receiver<bool> {
        self.automaton.verify(consensus, payload).await
    }
}

impl<E: Spawner + Clock, A: CertifiableAutomaton> CertifiableAutomaton for Paced<E, A>
where
    A::Context: Send + 'static,
{
    async fn certify(&mut self, round: Round, payload: Self::Digest) -> oneshot::Receiver<bool> {
        self.automaton.certify(round, payload).await
    }
}
