//! What nodes ask one another about votes, on a channel of their own. Version 1.
//!
//! A message is the version as `u8`, then one [`Message`] in the canonical encoding of [`proof::wire`]. A node puts its
//! question to all others, again and again; each answers with what it remembers of the asker's votes, and with the
//! highest certificate that it has. Questions and answers may be lost.
//!
//! The answers are to be believed as far as they are signed: votes are the asker's own, and the certificate is a quorum's.
//! Whether the answerer remembers its votes is its own word (see [`crate::voting`] for why that is enough).

use crate::{
    memory::{Memory, NodeCertificate, NodeVote},
    rising::Rising,
    voting::Standing,
};
use bytes::Bytes;
use commonware_codec::{Decode as _, DecodeExt as _};
use commonware_consensus::{
    Viewable as _,
    simplex::{scheme::ed25519::Scheme, types::Vote},
};
use commonware_cryptography::{certificate::Scheme as _, ed25519};
use commonware_macros::select;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock, Spawner};
use commonware_utils::{Participant, ordered::Quorum as _, sync::Mutex};
use proof::{
    wire::{Encode, EncodeSize, Error, List, Octets, Write},
    wire_enum, wire_struct,
};
use rand_core::CryptoRng;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tracing::{debug, warn};

/// The protocol's version, first byte of every message.
pub const VERSION: u8 = 1;
/// Votes in an answer.
pub const VOTES_MAX: usize = 32;
/// Bytes of a vote: a proposal of four numbers and a hash, and a signature.
pub const VOTE_BYTES_MAX: usize = 192;
/// Bytes of a certificate: a proposal, and the signatures of the largest committee.
pub const CERTIFICATE_BYTES_MAX: usize = 4 << 10;

/// How often a node asks that waits for answers.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How often a node asks that votes.
const WATCH_EVERY: Duration = Duration::from_secs(5);

wire_enum! {
    /// What nodes say to one another about votes.
    pub enum Message {
        /// What do you remember of my votes? The number comes back in the answer.
        0 => Question(number: u64),
        /// What I remember.
        1 => Reply(reply: Reply),
    }
}

wire_struct! {
    /// What a node remembers.
    pub struct Reply {
        /// That of the question.
        pub number: u64,
        /// Whether the node that answers remembers all its own votes.
        pub remembers: bool,
        /// Its certificate of the highest view, as the engine encodes it.
        pub certificate: List<Octets<CERTIFICATE_BYTES_MAX>, 1>,
        /// Votes of the node that asks, as the engine encodes them, newest first.
        pub votes: List<Octets<VOTE_BYTES_MAX>, VOTES_MAX>,
    }
}

impl Message {
    /// The message as it is sent.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(1 + self.encode_size());
        VERSION.write(&mut bytes);
        self.write(&mut bytes);
        bytes.into()
    }

    /// Reads a message.
    pub fn from_bytes(mut bytes: Bytes) -> Result<Self, Error> {
        if bytes.first() != Some(&VERSION) {
            return Err(Error::Invalid("Message", "another version"));
        }
        <Self as proof::wire::DecodeExt<_>>::decode(bytes.split_off(1))
    }
}

/// What another node has answered, of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Whether it remembers all its own votes.
    pub remembers: bool,
    /// The highest view of which it has a certificate.
    pub certified: u64,
}

/// What has been heard. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<Mutex<Inner>>, Rising);

#[derive(Default)]
struct Inner {
    heard: BTreeMap<Participant, Heard>,
    strange: Option<NodeVote>,
    is_watching: bool,
}

impl Answers {
    /// What each of the others has answered.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.0.lock().heard.values().copied().collect()
    }

    /// A vote with this node's valid signature that it does not remember, if there is one.
    pub(crate) fn strange(&self) -> Option<NodeVote> {
        self.0.lock().strange.clone()
    }

    /// From now on it is enough to ask now and then.
    pub(crate) fn watch(&self) {
        self.0.lock().is_watching = true;
    }

    /// How many answers have come. Waiting for more of them is waiting for this to rise.
    pub(crate) fn count(&self) -> &Rising {
        &self.1
    }
}

/// Asks, and answers.
pub(crate) struct Inquiry<E> {
    pub context: E,
    /// Verifies votes and certificates.
    pub scheme: Scheme,
    pub me: Participant,
    pub memory: Memory,
    pub standing: Standing,
    pub answers: Answers,
}

impl<E: Spawner + Clock + CryptoRng> Inquiry<E> {
    /// Never ends while the network runs.
    pub(crate) async fn run<S, R>(mut self, (mut sender, mut receiver): (S, R))
    where
        S: Sender<PublicKey = ed25519::PublicKey>,
        R: Receiver<PublicKey = ed25519::PublicKey>,
    {
        // Answers to questions that this node asked before it was last started are not to be taken for new ones.
        let number = self.context.next_u64();
        let mut next = self.context.current();
        loop {
            let is_watching = self.answers.0.lock().is_watching;
            let every = if is_watching { WATCH_EVERY } else { ASK_EVERY };
            // The clock may have been set back.
            next = next.min(self.context.current() + every);
            select! {
                message = receiver.recv() => {
                    let Ok((peer, bytes)) = message else { return };
                    let Some(place) = self.scheme.participants().index(&peer) else { continue };
                    match Message::from_bytes(Bytes::from(bytes)) {
                        Ok(Message::Question(number)) => {
                            let reply = Message::Reply(self.reply(place, number)).to_bytes();
                            sender.send(Recipients::One(peer), reply, true);
                        }
                        Ok(Message::Reply(reply)) if reply.number == number => self.take(place, &reply),
                        Ok(Message::Reply(_)) => debug!(?peer, "an answer to nothing that was asked"),
                        Err(error) => warn!(?peer, %error, "a node says something malformed about votes"),
                    }
                },
                _ = self.context.sleep_until(next) => {
                    next = self.context.current() + every;
                    sender.send(Recipients::All, Message::Question(number).to_bytes(), true);
                },
            }
        }
    }

    fn reply(&self, asker: Participant, number: u64) -> Reply {
        let votes = self.memory.votes_of(asker).into_iter().take(VOTES_MAX);
        let votes = votes.map(|vote| Octets::new(vote.encode()).expect("a vote is short"));
        let certificate = self.memory.highest().map(|certificate| {
            Octets::new(certificate.encode()).expect("a certificate has a signature a node at most")
        });
        Reply {
            number,
            remembers: self.standing.remembers(),
            certificate: List::new(certificate.into_iter().collect()).expect("one at most"),
            votes: List::new(votes.collect()).expect("as many as were taken"),
        }
    }

    fn take(&mut self, place: Participant, reply: &Reply) {
        if place == self.me {
            return;
        }
        let certified = match reply.certificate.first().map(|bytes| self.certified(bytes)) {
            None => 0,
            Some(Some(view)) => view,
            Some(None) => {
                warn!(node = place.get(), "a node shows a certificate that is none");
                return;
            }
        };
        for bytes in reply.votes.iter() {
            let Ok(vote) = NodeVote::decode(bytes.bytes().clone()) else { continue };
            if self.memory.is_strange(&vote) && self.is_signed(&vote) {
                self.answers.0.lock().strange.get_or_insert(vote);
            }
        }
        self.answers.0.lock().heard.insert(place, Heard { remembers: reply.remembers, certified });
        self.answers.1.raise(self.answers.1.get() + 1);
    }

    /// The view of a certificate, if it is valid.
    fn certified(&mut self, bytes: &Octets<CERTIFICATE_BYTES_MAX>) -> Option<u64> {
        let nodes = self.scheme.participants().len();
        let certificate = NodeCertificate::decode_cfg(bytes.bytes().clone(), &nodes).ok()?;
        // What this node has verified itself it need not verify again.
        let is_known = self.memory.highest().is_some_and(|highest| highest.encode() == *bytes.bytes());
        let is_valid = is_known || certificate.verify(&mut self.context, &self.scheme, &Sequential);
        is_valid.then(|| certificate.view().get())
    }

    fn is_signed(&mut self, vote: &NodeVote) -> bool {
        match vote {
            Vote::Notarize(vote) => vote.verify(&mut self.context, &self.scheme, &Sequential),
            Vote::Nullify(vote) => vote.verify::<_, commonware_cryptography::sha256::Digest>(
                &mut self.context,
                &self.scheme,
                &Sequential,
            ),
            Vote::Finalize(vote) => vote.verify(&mut self.context, &self.scheme, &Sequential),
        }
    }
}
