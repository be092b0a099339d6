//! Receipts, which one node suffices to give since they prove themselves, and nodes' reports about themselves.

use super::{
    Client, Context, NodeStatus, ReadError, ReceiptView,
    calls::{Calls, Event},
    peers::Message,
    read::is_overloaded,
    verify::{Rejected, unexpected},
};
use crate::protocol::{Answer, Decision, Failure, Position, ReceiptAnswer, Request};
use futures::future::join_all;
use std::time::Duration;

const STATUS_TIMEOUT: Duration = Duration::from_secs(3);

impl<E: Context> Client<E> {
    pub(super) async fn find_receipt(&self, at: Position) -> Result<Option<ReceiptView>, ReadError> {
        let peers = &self.shared.peers;
        let message = Message::new(&Request::Receipt(at.clone()));
        let mut calls = Calls::new(peers, self.read_deadline());
        let mut nodes = peers.order().into_iter();
        let (mut absent, mut overloaded, mut last) = (0, 0, String::from("none was asked"));
        let needed = self.shared.committee.k();
        // Each failure and each slow node brings in the next; late answers still count.
        let mut next = true;
        loop {
            if let Some(node) = nodes.next().filter(|_| next) {
                calls.ask(node, (), message.clone(), Some(peers.hedge_after(node)));
            }
            let (node, answer) = match calls.next().await {
                Some(Event::Answered(node, (), answer)) => (node, answer),
                Some(Event::Slow(node, ())) => {
                    peers.stalled(node);
                    next = true;
                    continue;
                }
                Some(Event::Again(..) | Event::Over) => continue,
                None if absent >= needed => return Ok(None),
                None if overloaded >= needed => return Err(ReadError::Overloaded),
                None => return Err(ReadError::Unavailable { answered: absent, needed, last }),
            };
            next = true;
            overloaded += usize::from(is_overloaded(&answer));
            absent += usize::from(matches!(answer, Ok(Answer::Failed(Failure::NotHeld))));
            let checked = answer.map_err(|failed| Rejected::Unable(failed.to_string()));
            match checked.and_then(|answer| self.check_receipt(&at, answer)) {
                Ok(receipt) => return Ok(Some(receipt)),
                Err(rejected) => last = self.rejected(node, "a receipt", rejected),
            }
        }
    }

    fn check_receipt(&self, at: &Position, answer: Answer) -> Result<ReceiptView, Rejected> {
        let Answer::Receipt(receipt) = answer else { return Err(unexpected(answer)) };
        let ReceiptAnswer { transaction, decision } =
            self.shared.verifier.receipt(at.height, at.index, receipt)?;
        let Decision { block, index, outcome, signature, path } = decision;
        Ok(ReceiptView { transaction, signature, outcome, index, path, block })
    }

    pub(super) async fn ask_status(&self) -> Vec<NodeStatus> {
        join_all((0..self.shared.peers.n()).map(|node| self.ask_status_of(node))).await
    }

    async fn ask_status_of(&self, node: usize) -> NodeStatus {
        let peers = &self.shared.peers;
        let report = match peers.call(node, Message::new(&Request::Status), STATUS_TIMEOUT).await {
            Ok(Answer::Status(report)) => Ok(report),
            Ok(answer) => Err(unexpected(answer).to_string()),
            Err(failed) => Err(failed.to_string()),
        };
        let (standing, avoided) = peers.standing(node);
        NodeStatus {
            node,
            key: peers.key(node),
            report,
            latency_us: standing.latency_us,
            faults: standing.faults,
            stalls: standing.stalls,
            avoided,
        }
    }
}
