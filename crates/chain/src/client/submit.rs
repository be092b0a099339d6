//! Submitting: see [`Tally`] for when the outcome is known.
//!
//! The transaction goes to all nodes, so that none can keep it from being ordered. A node that cannot be reached, breaks
//! off or has no room is asked again after a pause: the state remembers every transaction's id, so submitting again is
//! harmless. Once the decision is proved, nodes that have not confirmed it are asked only whether they have got so far.

use super::{
    Client, Committed, Context, SubmitError,
    calls::{Calls, Event},
    peers::{CallError, Message},
    tally::{Tally, Verdict},
    verify::{Rejected, unexpected},
};
use crate::protocol::{Answer, Decision, Failure, Request, Submitted};
use ledger::{APPLIED, Refusal};
use proof::{Digest, SignedTransaction};
use std::time::Duration;

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What a node is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// To have the transaction ordered.
    Submit,
    /// Whether it has applied the block in which it was.
    Confirm,
}

/// What an answer comes to.
enum Step {
    /// The node proved the decision.
    Decided(Box<Decision>),
    /// The node has applied a block of this height.
    Confirmed(u64),
    Inadmissible(String),
    Overloaded,
    Expired,
    Pending,
}

/// A submission to all nodes.
struct Submission<'a, E: Context> {
    client: &'a Client<E>,
    id: Digest,
    expires_ms: u64,
    message: Message,
    calls: Calls<'a, E, Ask>,
    tally: Tally,
    decision: Option<Decision>,
    pauses: Vec<Duration>,
    /// Whether a node may have got the transaction by a call that has ended.
    sent: bool,
    /// Calls with the transaction that have not ended: a node may have got it by any of them.
    sending: usize,
    /// Why the last node is of no help, for people.
    last: String,
}

impl<E: Context> Client<E> {
    pub(super) async fn submit_to_all(&self, signed: SignedTransaction) -> Result<Committed, SubmitError> {
        let (peers, committee) = (&self.shared.peers, &self.shared.committee);
        let (id, expires_ms) = (signed.transaction.id(), signed.transaction.expires_ms);
        let deadline = self.context().current() + self.shared.submit_timeout;
        let mut submission = Submission {
            client: self,
            id,
            expires_ms,
            message: Message::new(&Request::Submit(signed)),
            calls: Calls::new(peers, deadline),
            tally: Tally::new(peers.n(), committee.quorum(), committee.k()),
            decision: None,
            pauses: vec![PAUSE_MIN; peers.n()],
            sent: false,
            sending: 0,
            last: String::from("the time is over"),
        };
        for node in peers.order() {
            submission.ask(node);
        }
        submission.run().await
    }
}

impl<E: Context> Submission<'_, E> {
    async fn run(mut self) -> Result<Committed, SubmitError> {
        loop {
            match self.calls.next().await {
                Some(Event::Answered(node, ask, answer)) => self.answered(node, ask, answer)?,
                Some(Event::Again(node, _)) => self.ask(node),
                Some(Event::Slow(..) | Event::Over) => {}
                None if self.sent || self.sending > 0 => {
                    return Err(SubmitError::Unknown { last: self.last });
                }
                None => return Err(SubmitError::Unavailable { last: self.last }),
            }
            match self.tally.verdict() {
                Some(Verdict::Decided) => return self.outcome(),
                Some(Verdict::Inadmissible) => return Err(SubmitError::Inadmissible(self.last)),
                Some(Verdict::Overloaded) => return Err(SubmitError::Overloaded),
                None => {}
            }
        }
    }

    fn ask(&mut self, node: usize) {
        let (ask, message) = match &self.decision {
            None => (Ask::Submit, self.message.clone()),
            Some(decision) => (Ask::Confirm, Message::new(&Request::Tip(decision.block.header.height))),
        };
        self.sending += usize::from(ask == Ask::Submit);
        self.calls.ask(node, ask, message, None);
    }

    fn ask_later(&mut self, node: usize) {
        let pause = self.pauses[node];
        self.pauses[node] = (2 * pause).min(PAUSE_MAX);
        self.calls.pause(node, Ask::Submit, pause);
    }

    /// Takes one answer. The error ends the submission.
    fn answered(
        &mut self,
        node: usize,
        ask: Ask,
        answer: Result<Answer, CallError>,
    ) -> Result<(), SubmitError> {
        if ask == Ask::Submit {
            self.sending -= 1;
            self.sent |= !answer.as_ref().is_err_and(CallError::is_unsent);
        }
        let step = match answer {
            Ok(answer) => self.check(answer),
            Err(CallError::Link(link::Error::Overloaded)) => Ok(Step::Overloaded),
            Err(failed) => Err(Rejected::Unable(failed.to_string())),
        };
        match step {
            Ok(Step::Decided(decision)) => {
                self.tally.applied(node);
                self.decision.get_or_insert(*decision);
                return Ok(());
            }
            Ok(Step::Confirmed(height)) => {
                let decision = self.decision.as_ref().expect("confirmation is asked for of what was decided");
                if height >= decision.block.header.height {
                    self.tally.applied(node);
                    return Ok(());
                }
            }
            Ok(Step::Expired) => return Err(SubmitError::Expired),
            Ok(Step::Inadmissible(why)) => {
                // Its word stands: asking again is of no use, and a quorum can be had without it if it lies.
                self.last = why;
                self.tally.inadmissible(node);
                return Ok(());
            }
            Ok(Step::Overloaded) => self.tally.overloaded(node),
            Ok(Step::Pending) => self.tally.silent(node),
            Err(rejected) => {
                self.last = self.client.rejected(node, "a submission", rejected);
                self.tally.silent(node);
            }
        }
        self.ask_later(node);
        Ok(())
    }

    fn check(&self, answer: Answer) -> Result<Step, Rejected> {
        let verifier = &self.client.shared.verifier;
        match answer {
            Answer::Submitted(Submitted::Decided(decision)) => {
                Ok(Step::Decided(Box::new(verifier.decision(self.id, decision)?)))
            }
            Answer::Submitted(Submitted::Expired(expired)) => {
                verifier.expiry(self.id, self.expires_ms, expired)?;
                Ok(Step::Expired)
            }
            Answer::Submitted(Submitted::Inadmissible(why)) => {
                Ok(Step::Inadmissible(String::from_utf8_lossy(&why).into_owned()))
            }
            Answer::Submitted(Submitted::Overloaded) | Answer::Failed(Failure::Overloaded) => {
                Ok(Step::Overloaded)
            }
            Answer::Submitted(Submitted::Pending) => Ok(Step::Pending),
            Answer::Tip(block) if self.decision.is_some() => {
                Ok(Step::Confirmed(verifier.block(block, 0)?.header.height))
            }
            answer => Err(unexpected(answer)),
        }
    }

    /// What the decision says, now that a quorum has applied it.
    fn outcome(self) -> Result<Committed, SubmitError> {
        let decision = self.decision.expect("a verdict of `Decided` follows a decision");
        let height = decision.block.header.height;
        if decision.outcome != APPLIED {
            let code = decision.outcome;
            return Err(match Refusal::from_code(code) {
                Some(refusal) => SubmitError::Refused { refusal, height },
                None => SubmitError::RefusedUnknown { code, height },
            });
        }
        let Decision { block, index, signature, path, .. } = decision;
        Ok(Committed { transaction: self.id, signature, index, path, block })
    }
}
