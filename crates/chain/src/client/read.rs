//! Reading: see [`Quorum`] for when an answer is good.

use super::{
    Client, Context, ReadError,
    calls::{Calls, Event},
    peers::{CallError, Message},
    quorum::{Ask, Quorum},
    verify::{Proven, Rejected, unexpected},
};
use crate::protocol::{Answer, ReadRequest, Request, Subject};
use proof::finality::FinalizedHeader;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Wait before everything is asked anew, when too few nodes answered.
const RETRY_AFTER: Duration = Duration::from_millis(250);

impl<E: Context> Client<E> {
    /// When a read that begins now must end.
    pub(super) fn read_deadline(&self) -> SystemTime {
        self.context().current() + self.shared.read_timeout
    }

    /// Reads `subject` as of now. `interpret` makes of proven records what is wanted, or says why they are of no use.
    pub(super) async fn read<T>(
        &self,
        subject: Subject,
        interpret: impl Fn(Proven) -> Result<T, Rejected> + Send + Sync,
    ) -> Result<T, ReadError> {
        let deadline = self.read_deadline();
        loop {
            let failed = match self.read_once(&subject, &interpret, deadline).await {
                Ok(read) => return Ok(read),
                Err(failed) => failed,
            };
            self.retry_pause(deadline, failed).await?;
        }
    }

    /// Pauses, or gives `failed` back when the time is over.
    pub(super) async fn retry_pause(&self, deadline: SystemTime, failed: ReadError) -> Result<(), ReadError> {
        if self.context().current() + RETRY_AFTER >= deadline {
            return Err(failed);
        }
        self.context().sleep(RETRY_AFTER).await;
        Ok(())
    }

    async fn read_once<T>(
        &self,
        subject: &Subject,
        interpret: impl Fn(Proven) -> Result<T, Rejected>,
        deadline: SystemTime,
    ) -> Result<T, ReadError> {
        let message =
            |min_height| Message::new(&Request::Read(ReadRequest { subject: subject.clone(), min_height }));
        let mut answers: BTreeMap<u64, T> = BTreeMap::new();
        let full = |min_height, answer| {
            let Answer::State(answer) = answer else { return Err(unexpected(answer)) };
            let proven = self.shared.verifier.state(subject, min_height, answer)?;
            let height = proven.block.header.height;
            answers.insert(height, interpret(proven)?);
            Ok(height)
        };
        let height = self.collect(Some(message), full, |_| {}, deadline).await?;
        Ok(answers.remove(&height).expect("the quorum is done with an answer that there is"))
    }

    /// The newest block of those that a quorum first proves, once a quorum has applied it.
    pub(super) async fn read_tip(&self, deadline: SystemTime) -> Result<Arc<FinalizedHeader>, ReadError> {
        loop {
            let mut tips: BTreeMap<u64, Arc<FinalizedHeader>> = BTreeMap::new();
            let tip = |block: Arc<FinalizedHeader>| {
                tips.insert(block.header.height, block);
            };
            let nothing = |_, answer| Err(unexpected(answer));
            match self.collect(None::<fn(u64) -> Message>, nothing, tip, deadline).await {
                Ok(height) => return Ok(tips.remove(&height).expect("a node proved the height")),
                Err(failed) => self.retry_pause(deadline, failed).await?,
            }
        }
    }

    /// Asks until the quorum is done, and gives the height that it is done with. `message` makes the request for a whole
    /// answer, `full` checks one and gives its height, `tip` takes each proved block that is not a whole answer's.
    async fn collect(
        &self,
        message: Option<impl Fn(u64) -> Message>,
        mut full: impl FnMut(u64, Answer) -> Result<u64, Rejected>,
        mut tip: impl FnMut(Arc<FinalizedHeader>),
        deadline: SystemTime,
    ) -> Result<u64, ReadError> {
        let peers = &self.shared.peers;
        let needed = self.shared.committee.quorum();
        let mut quorum = Quorum::new(&peers.order(), needed, message.is_some());
        let mut calls = Calls::new(peers, deadline);
        let mut last = String::from("none was asked");
        let mut overloaded = 0;
        loop {
            if let Some(height) = quorum.done() {
                return Ok(height);
            }
            for (node, ask) in quorum.asks() {
                let message = match (ask, &message) {
                    (Ask::Full(min_height), Some(message)) => message(min_height),
                    (Ask::Full(min_height) | Ask::Tip(min_height), _) => {
                        Message::new(&Request::Tip(min_height))
                    }
                };
                calls.ask(node, ask, message, Some(peers.hedge_after(node)));
            }
            let (node, ask, answer) = match calls.next().await {
                Some(Event::Answered(node, ask, answer)) => (node, ask, answer),
                Some(Event::Slow(node, ask)) => {
                    if quorum.slow(node, ask) {
                        peers.stalled(node);
                    }
                    continue;
                }
                Some(Event::Again(..) | Event::Over) => continue,
                None if overloaded >= self.shared.committee.k() => return Err(ReadError::Overloaded),
                None => return Err(ReadError::Unavailable { answered: quorum.proved(), needed, last }),
            };
            overloaded += usize::from(is_overloaded(&answer));
            let checked = answer.map_err(|failed| Rejected::Unable(failed.to_string())).and_then(|answer| {
                match (ask, answer) {
                    (Ask::Full(min_height), answer) => full(min_height, answer),
                    (Ask::Tip(min_height), Answer::Tip(block)) => {
                        let block = self.shared.verifier.block(block, min_height)?;
                        let height = block.header.height;
                        tip(block);
                        Ok(height)
                    }
                    (Ask::Tip(_), answer) => Err(unexpected(answer)),
                }
            });
            match checked {
                Ok(height) => quorum.answered(node, ask, height),
                Err(rejected) => {
                    last = self.rejected(node, "a read", rejected);
                    quorum.failed(node, ask);
                }
            }
        }
    }

    /// Notes that a node's answer is of no use; a false one is held against it. Gives the reason for people.
    pub(super) fn rejected(&self, node: usize, about: &str, rejected: Rejected) -> String {
        if let Rejected::False(fault) = &rejected {
            self.shared.peers.caught(node, about, fault);
        }
        format!("node {node} ({}): {rejected}", self.shared.peers.key(node))
    }
}

/// Whether a node says that it has no room.
pub(super) fn is_overloaded(answer: &Result<Answer, CallError>) -> bool {
    use crate::protocol::Failure;
    matches!(answer, Ok(Answer::Failed(Failure::Overloaded)) | Err(CallError::Link(link::Error::Overloaded)))
}
