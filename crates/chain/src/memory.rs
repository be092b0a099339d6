//! What has been signed, as far as this node remembers: its own votes, the newest votes of each other node, the newest
//! certificates.
//!
//! Others' votes and certificates are kept as evidence for those who cast them: a node that has lost votes finds out by
//! asking the others (see [`crate::voting`]). They are in memory only. After a restart certificates come back from the
//! journal, and with them the votes that they are made of; votes that came to nothing do not. A node whose votes nobody
//! has got, or whose peers have all been restarted since, is not found out. Its own votes come back from the journal.
//!
//! Everything is bounded: votes by views, certificates by number.

use crate::rising::Rising;
use bytes::Bytes;
use commonware_actor::{Feedback, Unreliable};
use commonware_codec::DecodeExt as _;
use commonware_consensus::{
    Reporter, Viewable as _,
    simplex::{
        scheme::ed25519::Scheme,
        types::{Activity, Certificate, Finalization, Finalize, Notarize, Nullify, Vote},
    },
};
use commonware_cryptography::{
    certificate::{Attestation, Scheme as _},
    ed25519, sha256,
};
use commonware_p2p::{CheckedSender, LimitedSender, Recipients};
use commonware_runtime::IoBufs;
use commonware_utils::{Participant, sync::Mutex};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

/// Views of which this node remembers its own votes.
const OWN_VIEWS: usize = 512;
/// Views of which it remembers votes of each other node.
const VIEWS: usize = 32;
/// Different votes of one node in one view, at most: an honest one casts at most three.
const VOTES: usize = 4;
/// Certificates that it remembers.
const CERTIFICATES: usize = 16;

/// A vote of this network's consensus.
pub(crate) type NodeVote = Vote<Scheme, sha256::Digest>;
/// A certificate of it.
pub(crate) type NodeCertificate = Certificate<Scheme, sha256::Digest>;

/// What has been signed. Clones share it.
#[derive(Clone)]
pub struct Memory {
    inner: Arc<Mutex<Inner>>,
    finalized: Rising,
}

struct Inner {
    me: Participant,
    /// Votes by signer and view.
    votes: BTreeMap<Participant, BTreeMap<u64, Vec<NodeVote>>>,
    /// All of this node's votes in views above this one are among them.
    complete_above: u64,
    /// By view and kind.
    certificates: BTreeMap<(u64, u8), NodeCertificate>,
    finalization: Option<Finalization<Scheme, sha256::Digest>>,
}

/// The two say the same, whether or not they are signed in the same way.
fn are_same(a: &NodeVote, b: &NodeVote) -> bool {
    match (a, b) {
        (Vote::Notarize(a), Vote::Notarize(b)) => a.proposal == b.proposal,
        (Vote::Nullify(a), Vote::Nullify(b)) => a.round == b.round,
        (Vote::Finalize(a), Vote::Finalize(b)) => a.proposal == b.proposal,
        _ => false,
    }
}

fn signer(vote: &NodeVote) -> Participant {
    match vote {
        Vote::Notarize(vote) => vote.attestation.signer,
        Vote::Nullify(vote) => vote.attestation.signer,
        Vote::Finalize(vote) => vote.attestation.signer,
    }
}

/// A node's vote out of a certificate, if it signed that.
fn vote_of(certificate: &NodeCertificate, node: Participant) -> Option<NodeVote> {
    let made_of = match certificate {
        Certificate::Notarization(made) => &made.certificate,
        Certificate::Nullification(made) => &made.certificate,
        Certificate::Finalization(made) => &made.certificate,
    };
    let mut signed = made_of.signers.iter().zip(&made_of.signatures);
    let (signer, signature) = signed.find(|(signer, _)| *signer == node)?;
    let attestation = Attestation { signer, signature: signature.clone() };
    Some(match certificate {
        Certificate::Notarization(made) => {
            Vote::Notarize(Notarize { proposal: made.proposal.clone(), attestation })
        }
        Certificate::Nullification(made) => Vote::Nullify(Nullify { round: made.round, attestation }),
        Certificate::Finalization(made) => {
            Vote::Finalize(Finalize { proposal: made.proposal.clone(), attestation })
        }
    })
}

impl Memory {
    /// Nothing remembered, by the node at this place of the committee, of whose votes above view `complete_above` none
    /// are missing once it was told those that it recalls.
    pub(crate) fn new(me: Participant, complete_above: u64) -> Self {
        let inner = Inner {
            me,
            votes: BTreeMap::new(),
            complete_above,
            certificates: BTreeMap::new(),
            finalization: None,
        };
        Self { inner: Arc::new(Mutex::new(inner)), finalized: Rising::default() }
    }

    /// Somebody, perhaps this node, has cast a vote. For another node nobody has checked the signature: it is that
    /// node's own affair what it sends.
    pub(crate) fn note(&self, vote: NodeVote) {
        let mut inner = self.inner.lock();
        let is_mine = signer(&vote) == inner.me;
        let kept = inner.votes.entry(signer(&vote)).or_default();
        let same = kept.entry(vote.view().get()).or_default();
        if (is_mine || same.len() < VOTES) && !same.iter().any(|known| are_same(known, &vote)) {
            same.push(vote);
        }
        if kept.len() > if is_mine { OWN_VIEWS } else { VIEWS } {
            let (oldest, _) = kept.pop_first().expect("not empty");
            if is_mine {
                inner.complete_above = oldest.max(inner.complete_above);
            }
        }
    }

    /// There is a certificate, and it is valid.
    pub(crate) fn note_certificate(&self, certificate: NodeCertificate) {
        let (view, kind) = match &certificate {
            Certificate::Notarization(made) => (made.view(), 0),
            Certificate::Nullification(made) => (made.view(), 1),
            Certificate::Finalization(made) => (made.view(), 2),
        };
        let mut inner = self.inner.lock();
        let mut finalized = None;
        if let Certificate::Finalization(made) = &certificate
            && inner.finalization.as_ref().is_none_or(|known| known.view() < made.view())
        {
            inner.finalization = Some(made.clone());
            finalized = Some(view.get());
        }
        inner.certificates.insert((view.get(), kind), certificate);
        if inner.certificates.len() > CERTIFICATES {
            inner.certificates.pop_first();
        }
        drop(inner);
        if let Some(view) = finalized {
            self.finalized.raise(view);
        }
    }

    /// The certificate of the highest view.
    pub(crate) fn highest(&self) -> Option<NodeCertificate> {
        self.inner.lock().certificates.last_key_value().map(|(_, certificate)| certificate.clone())
    }

    /// Votes of a node, newest first.
    pub(crate) fn votes_of(&self, node: Participant) -> Vec<NodeVote> {
        let inner = self.inner.lock();
        let certified = inner.certificates.values().filter_map(|certificate| vote_of(certificate, node));
        let mut votes: Vec<NodeVote> = certified.collect();
        for vote in inner.votes.get(&node).into_iter().flat_map(BTreeMap::values).flatten() {
            if !votes.iter().any(|known| are_same(known, vote)) {
                votes.push(vote.clone());
            }
        }
        votes.sort_by_key(|vote| std::cmp::Reverse(vote.view()));
        votes
    }

    /// Whether this node would remember a vote, were it its own, and does not.
    pub(crate) fn is_strange(&self, vote: &NodeVote) -> bool {
        let inner = self.inner.lock();
        let view = vote.view().get();
        let known = inner.votes.get(&inner.me).and_then(|votes| votes.get(&view));
        signer(vote) == inner.me
            && view > inner.complete_above
            && !known.is_some_and(|known| known.iter().any(|known| are_same(known, vote)))
    }

    /// The first of the certificates with a vote of this node that it would remember, and does not.
    pub(crate) fn strange_vote(&self) -> Option<NodeVote> {
        let inner = self.inner.lock();
        let mine: Vec<_> =
            inner.certificates.values().filter_map(|certificate| vote_of(certificate, inner.me)).collect();
        drop(inner);
        mine.into_iter().find(|vote| self.is_strange(vote))
    }

    /// Waits for a finalization of at least this view.
    pub(crate) async fn finalized(&self, view: u64) -> Finalization<Scheme, sha256::Digest> {
        self.finalized.reached(view).await;
        self.inner.lock().finalization.clone().expect("one has been reached")
    }

    /// How far finality has got, by what this node has seen.
    pub(crate) fn finalized_view(&self) -> u64 {
        self.finalized.get()
    }

    /// From here on the node remembers again what it votes for: all above this view.
    pub(crate) fn begin_above(&self, view: u64) {
        let mut inner = self.inner.lock();
        let me = inner.me;
        inner.votes.remove(&me);
        inner.complete_above = view;
    }
}

/// A reporter that notes who has voted for what.
#[derive(Clone)]
pub(crate) struct Noting<R> {
    pub reporter: R,
    pub memory: Memory,
}

impl<R: Reporter<Activity = Activity<Scheme, sha256::Digest>>> Reporter for Noting<R> {
    type Activity = R::Activity;

    fn report(&mut self, activity: Self::Activity) -> Feedback {
        match &activity {
            Activity::Notarize(vote) => self.memory.note(Vote::Notarize(vote.clone())),
            Activity::Nullify(vote) => self.memory.note(Vote::Nullify(vote.clone())),
            Activity::Finalize(vote) => self.memory.note(Vote::Finalize(vote.clone())),
            Activity::Notarization(made) => {
                self.memory.note_certificate(Certificate::Notarization(made.clone()));
            }
            Activity::Nullification(made) => {
                self.memory.note_certificate(Certificate::Nullification(made.clone()));
            }
            Activity::Finalization(made) => {
                self.memory.note_certificate(Certificate::Finalization(made.clone()));
            }
            _ => {}
        }
        self.reporter.report(activity)
    }
}

/// A channel's sender that notes the node's own votes before they leave, and through which an observer's engine may
/// speak without being heard.
///
/// A peer that sends anything of consensus counts as alive, so its turns to lead are waited for. An observer never
/// leads: silent, it is skipped.
#[derive(Clone)]
pub(crate) struct Voiced<S> {
    pub sender: S,
    /// Whether it is heard.
    pub heard: Arc<AtomicBool>,
    /// Where votes are noted, on the channel of votes.
    pub memory: Option<Memory>,
}

impl<S: LimitedSender<PublicKey = ed25519::PublicKey>> LimitedSender for Voiced<S> {
    type PublicKey = ed25519::PublicKey;
    type Checked<'a>
        = Noted<'a, S::Checked<'a>>
    where
        Self: 'a;

    fn check(&mut self, recipients: Recipients<ed25519::PublicKey>) -> Result<Self::Checked<'_>, SystemTime> {
        let heard = self.heard.load(Ordering::Acquire);
        let recipients = if heard { recipients } else { Recipients::Some(Vec::new()) };
        let memory = self.memory.as_ref().filter(|_| heard);
        Ok(Noted { checked: self.sender.check(recipients)?, memory })
    }
}

/// A message's way out.
pub(crate) struct Noted<'a, C> {
    checked: C,
    memory: Option<&'a Memory>,
}

impl<C: CheckedSender<PublicKey = ed25519::PublicKey>> CheckedSender for Noted<'_, C> {
    type PublicKey = ed25519::PublicKey;

    fn recipients(&self) -> Vec<ed25519::PublicKey> {
        self.checked.recipients()
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        let Some(memory) = self.memory else { return self.checked.send(message, priority) };
        let message = Bytes::from(message.into().coalesce());
        memory.note(NodeVote::decode(message.clone()).expect("the engine sends votes that decode"));
        self.checked.send(message, priority)
    }
}

/// This node's place in the committee, as the engine counts.
pub(crate) fn place(scheme: &Scheme, key: &ed25519::PublicKey) -> Option<Participant> {
    use commonware_utils::ordered::Quorum as _;
    scheme.participants().index(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_consensus::{
        simplex::types::{Nullification, Proposal},
        types::{Epoch, Round, View},
    };
    use commonware_cryptography::Signer as _;
    use commonware_parallel::Sequential;
    use commonware_utils::{TryCollect as _, iter::NonEmpty, ordered::Set};

    fn schemes() -> Vec<Scheme> {
        let keys: Vec<_> = (0..4).map(ed25519::PrivateKey::from_seed).collect();
        let participants: Set<_> = keys.iter().map(|key| key.public_key()).try_collect().unwrap();
        let mut schemes: Vec<_> =
            keys.into_iter().map(|key| Scheme::signer(b"test", participants.clone(), key).unwrap()).collect();
        schemes.sort_by_key(me);
        schemes
    }

    fn me(scheme: &Scheme) -> Participant {
        scheme.me().and_then(|me| me.signer()).expect("it signs")
    }

    fn round(view: u64) -> Round {
        Round::new(Epoch::zero(), View::new(view))
    }

    fn nullify(scheme: &Scheme, view: u64) -> Nullify<Scheme> {
        Nullify::sign::<sha256::Digest>(scheme, round(view)).unwrap()
    }

    fn notarize(scheme: &Scheme, view: u64, block: u8) -> NodeVote {
        let proposal = Proposal::new(round(view), View::new(view - 1), sha256::Digest([block; 32]));
        Vote::Notarize(Notarize::sign(scheme, proposal).unwrap())
    }

    #[test]
    fn what_a_node_signed_is_not_strange_to_it() {
        let schemes = schemes();
        let memory = Memory::new(me(&schemes[0]), 5);
        let mine = notarize(&schemes[0], 6, 1);
        assert!(memory.is_strange(&mine));
        memory.note(mine.clone());
        assert!(!memory.is_strange(&mine));
        assert!(memory.is_strange(&notarize(&schemes[0], 6, 2)), "another block");
        assert!(memory.is_strange(&Vote::Nullify(nullify(&schemes[0], 6))), "another vote");
        assert!(memory.is_strange(&notarize(&schemes[0], 7, 1)), "another view");
        assert!(!memory.is_strange(&notarize(&schemes[0], 5, 1)), "of which nothing is known");
        assert!(!memory.is_strange(&notarize(&schemes[1], 6, 2)), "another node's");
        // What was forgotten for lack of room is not strange either.
        (7..7 + OWN_VIEWS as u64).for_each(|view| memory.note(notarize(&schemes[0], view, 1)));
        assert!(!memory.is_strange(&notarize(&schemes[0], 6, 2)));
        assert!(memory.is_strange(&notarize(&schemes[0], 7, 2)));
        memory.begin_above(9);
        assert!(!memory.is_strange(&notarize(&schemes[0], 9, 2)));
        assert!(memory.is_strange(&notarize(&schemes[0], 10, 1)));
    }

    #[test]
    fn a_certificate_is_evidence_for_those_who_signed_it() {
        let schemes = schemes();
        let memory = Memory::new(me(&schemes[0]), 0);
        let votes = schemes[..3].iter().map(|scheme| nullify(scheme, 4)).collect::<Vec<_>>();
        let mut votes = votes.into_iter();
        let votes = NonEmpty::new(votes.next().unwrap(), votes);
        let made = Nullification::from_owned_nullifies(&schemes[3], votes, &Sequential).unwrap();
        memory.note_certificate(Certificate::Nullification(made));
        let of = |scheme: &Scheme| memory.votes_of(me(scheme));
        for scheme in &schemes[..3] {
            let [Vote::Nullify(vote)] = &of(scheme)[..] else { panic!("one vote") };
            assert!(vote.verify::<_, sha256::Digest>(&mut commonware_utils::test_rng(), scheme, &Sequential));
            assert_eq!(*vote, nullify(scheme, 4));
        }
        assert!(of(&schemes[3]).is_empty());
        let strange = memory.strange_vote().expect("it signed that, and does not know");
        assert!(
            are_same(&strange, &Vote::Nullify(nullify(&schemes[0], 4)))
                && signer(&strange) == me(&schemes[0])
        );
        memory.note(Vote::Nullify(nullify(&schemes[0], 4)));
        assert!(memory.strange_vote().is_none());
        assert_eq!(memory.highest().map(|certificate| certificate.view().get()), Some(4));
    }

    #[test]
    fn the_newest_votes_of_others_are_kept() {
        let schemes = schemes();
        let memory = Memory::new(me(&schemes[0]), 0);
        for view in 1..=100 {
            memory.note(notarize(&schemes[1], view, 1));
            memory.note(notarize(&schemes[1], view, 1));
            (0..20).for_each(|block| memory.note(notarize(&schemes[2], view, block)));
        }
        let views =
            |scheme| memory.votes_of(me(scheme)).iter().map(|vote| vote.view().get()).collect::<Vec<_>>();
        assert_eq!(views(&schemes[1]), (101 - VIEWS as u64..=100).rev().collect::<Vec<_>>());
        assert_eq!(views(&schemes[2]).len(), VIEWS * VOTES);
    }
}
