//! The equivocator's lies: what he says instead of a vote, a certificate or a block.
//!
//! For each view he decides once whom of the others to treat how. *Split*: some hear the node's votes, the others votes
//! for something else, and no single node can see that; if the node leads, the others also get another block. *Mute*: the
//! others hear nothing. *Brazen*: one of them hears both, which proves the lie and gets the node blocked there.
//!
//! A second block that no node can tell from an honest one exists only for blocks whose execution does not depend on
//! their time, empty ones above all. Of other blocks the second one is well-formed and does not verify.

use super::{
    chance::Chance,
    voice::{Purpose, Said},
};
use bytes::Bytes;
use chain::block::{Block, leaves};
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_consensus::{
    Viewable as _,
    simplex::{
        scheme::ed25519::Scheme,
        types::{self, Finalize, Notarize, Nullify},
    },
};
use commonware_cryptography::{Digestible as _, ed25519, sha256};
use proof::{PublicKey, merkle, wire::List};
use std::collections::{BTreeMap, VecDeque};

pub(super) type Vote = types::Vote<Scheme, sha256::Digest>;
type Proposal = types::Proposal<sha256::Digest>;

/// Views that are remembered.
const VIEWS: usize = 64;
/// Certificates that are remembered.
const CERTIFICATES: usize = 32;
/// Views between two acts that are found out: at least so many, and up to so many more.
const PATIENCE: (usize, usize) = (60, 1_200);

/// Whom to say a thing to, by what.
struct Hand<'a> {
    scheme: &'a Scheme,
    chance: &'a Chance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Design {
    Honest,
    Split,
    Mute,
    Brazen,
}

/// What is planned for a view.
struct Intrigue {
    design: Design,
    /// Those who are told the node's own votes.
    told: Vec<ed25519::PublicKey>,
    /// Those who are not.
    misled: Vec<ed25519::PublicKey>,
    /// What the node votes for.
    proposal: Option<Proposal>,
    /// What the misled are to vote for.
    twin: sha256::Digest,
    /// The block of that, if there is one.
    twin_block: Option<Bytes>,
}

/// All that is planned.
#[derive(Default)]
pub(super) struct Plot {
    views: BTreeMap<u64, Intrigue>,
    certificates: VecDeque<Bytes>,
    /// Views until he dares what is found out; `None` when he has just dared.
    patience: Option<usize>,
}

/// What is said instead, and what to call it. No name: nothing was done.
pub(super) type Told = (Vec<Said>, Option<&'static str>);

fn all(to: Vec<ed25519::PublicKey>, on: Purpose, message: Bytes) -> Told {
    (vec![Said::now(to, on, message)], None)
}

impl Plot {
    /// The plan for a view, made when it is first asked for. `leads`: the node proposes in it.
    fn view(
        &mut self,
        chance: &Chance,
        view: u64,
        leads: bool,
        others: &[ed25519::PublicKey],
    ) -> &mut Intrigue {
        if !self.views.contains_key(&view) {
            while self.views.len() >= VIEWS {
                self.views.pop_first();
            }
            let design = self.design(chance, leads);
            let (told, misled) = chance.parted(others);
            let twin = sha256::Digest(chance.bytes());
            let intrigue = Intrigue { design, told, misled, proposal: None, twin, twin_block: None };
            self.views.insert(view, intrigue);
        }
        self.views.get_mut(&view).expect("just inserted")
    }

    /// How to treat the others in the next view. Two proposals, and two votes before one node, are found out and cost
    /// connections, so he waits for many views before he dares again.
    fn design(&mut self, chance: &Chance, leads: bool) -> Design {
        let patience = self.patience.get_or_insert_with(|| PATIENCE.0 + chance.below(PATIENCE.1));
        *patience = patience.saturating_sub(1);
        if *patience == 0 && (leads || chance.percent(10)) {
            self.patience = None;
            return if leads { Design::Split } else { Design::Brazen };
        }
        match chance.below(100) {
            0..30 if !leads => Design::Split,
            30..50 => Design::Mute,
            _ => Design::Honest,
        }
    }

    /// What to say instead of a vote.
    pub(super) fn vote(
        &mut self,
        scheme: &Scheme,
        chance: &Chance,
        others: &[ed25519::PublicKey],
        to: Vec<ed25519::PublicKey>,
        message: Bytes,
    ) -> Told {
        let Ok(vote) = Vote::decode(message.clone()) else { return all(to, Purpose::Votes, message) };
        let view = self.view(chance, vote.view().get(), false, others);
        let hand = Hand { scheme, chance };
        let Some(lie) = view.instead(&hand, vote) else { return all(to, Purpose::Votes, message) };
        let said = |to, message| Said::now(to, Purpose::Votes, message);
        match view.design {
            Design::Honest => all(to, Purpose::Votes, message),
            Design::Mute => (vec![said(view.told.clone(), message)], Some("voted to some only")),
            Design::Split => {
                let lies = vec![said(view.told.clone(), message), said(view.misled.clone(), lie.encode())];
                (lies, Some(kind(&lie)))
            }
            Design::Brazen => {
                let dupe = view.misled[..1].to_vec();
                (vec![said(to, message), said(dupe, lie.encode())], Some("cast two votes before one node"))
            }
        }
    }

    /// What to say instead of a certificate: nothing to some of the others, and now and then an old one besides.
    pub(super) fn certificate(
        &mut self,
        chance: &Chance,
        to: Vec<ed25519::PublicKey>,
        message: Bytes,
    ) -> Told {
        if self.certificates.len() == CERTIFICATES {
            self.certificates.pop_front();
        }
        self.certificates.push_back(message.clone());
        let said = |to, message| Said::now(to, Purpose::Certificates, message);
        match chance.below(10) {
            0..3 => (vec![said(chance.parted(&to).0, message)], Some("withheld a certificate")),
            3 => {
                let old = self.certificates[chance.below(self.certificates.len())].clone();
                (vec![said(to.clone(), message), said(to, old)], Some("sent an old certificate again"))
            }
            _ => all(to, Purpose::Certificates, message),
        }
    }

    /// What to say instead of a block. `me` is the node.
    pub(super) fn block(
        &mut self,
        scheme: &Scheme,
        chance: &Chance,
        me: &PublicKey,
        others: &[ed25519::PublicKey],
        to: Vec<ed25519::PublicKey>,
        message: Bytes,
    ) -> Told {
        let said = |to, message| Said::now(to, Purpose::Broadcast, message);
        let block = Block::decode(message.clone()).ok().filter(|block| block.header.leader == *me);
        let Some(block) = block else { return all(to, Purpose::Broadcast, message) };
        let view = self.view(chance, block.header.view, true, others);
        match view.design {
            Design::Honest | Design::Brazen => all(to, Purpose::Broadcast, message),
            Design::Mute => (vec![said(view.told.clone(), message)], Some("sent a block to some only")),
            Design::Split => {
                let block = view.twin_block.clone().unwrap_or_else(|| {
                    let twin = twin(&block, chance);
                    view.twin = twin.digest();
                    twin.encode()
                });
                view.twin_block = Some(block.clone());
                let mut lies = vec![said(view.told.clone(), message), said(view.misled.clone(), block)];
                // The node's own vote may have passed before its block.
                if let Some(vote) = view.proposal.clone().and_then(|ours| view.twin_vote(scheme, ours)) {
                    lies.push(Said::now(view.misled.clone(), Purpose::Votes, vote.encode()));
                }
                (lies, Some("proposed two blocks"))
            }
        }
    }
}

impl Intrigue {
    /// What the misled hear instead of a vote. `None` if there is nothing to put in its place.
    fn instead(&mut self, hand: &Hand<'_>, vote: Vote) -> Option<Vote> {
        match vote {
            Vote::Notarize(notarize) => {
                self.proposal = Some(notarize.proposal.clone());
                self.twin_vote(hand.scheme, notarize.proposal)
            }
            Vote::Finalize(finalize) if hand.chance.percent(50) => {
                Some(Vote::Nullify(Nullify::sign::<sha256::Digest>(hand.scheme, finalize.proposal.round)?))
            }
            Vote::Finalize(finalize) => {
                let other = Proposal { payload: self.twin, ..finalize.proposal };
                Some(Vote::Finalize(Finalize::sign(hand.scheme, other)?))
            }
            Vote::Nullify(_) => {
                let proposal = self.proposal.clone()?;
                Some(Vote::Finalize(Finalize::sign(hand.scheme, proposal)?))
            }
        }
    }

    fn twin_vote(&self, scheme: &Scheme, ours: Proposal) -> Option<Vote> {
        let other = Proposal { payload: self.twin, ..ours };
        Some(Vote::Notarize(Notarize::sign(scheme, other)?))
    }
}

fn kind(lie: &Vote) -> &'static str {
    match lie {
        Vote::Notarize(_) => "notarized something else for some",
        Vote::Nullify(_) => "nullified for some what it finalized for others",
        Vote::Finalize(_) => "finalized something else for some",
    }
}

/// Another block for the same view: of another time, or without the transactions.
pub(super) fn twin(block: &Block, chance: &Chance) -> Block {
    let mut twin = block.clone();
    if twin.transactions.is_empty() || chance.percent(50) {
        twin.header.time_ms += 1;
        return twin;
    }
    (twin.transactions, twin.outcomes) = (List::default(), List::default());
    twin.header.transactions = 0;
    twin.header.transactions_root = merkle::root(&leaves(&[], &[]));
    twin
}

/// A vote to leave a view that is far ahead: signed, and of no use to anybody.
pub(super) fn distant_nullify(scheme: &Scheme, chance: &Chance, view: u64) -> Option<Bytes> {
    use commonware_consensus::types::{Epoch, Round, View};
    let distant = view + 10_000 + chance.below(1_000_000) as u64;
    let round = Round::new(Epoch::zero(), View::new(distant));
    Some(Vote::Nullify(Nullify::sign::<sha256::Digest>(scheme, round)?).encode())
}

/// The view of a vote, if it is one.
pub(super) fn view_of(message: &[u8]) -> Option<u64> {
    Some(Vote::decode(Copying(message)).ok()?.view().get())
}
