//! What a rogue's node says to other nodes, and hears from them.

use super::{
    Adversary, Rogue, flood, perjury,
    plot::{self, Told},
    rogue::Context,
};
use bytes::Bytes;
use chain::{block::Block, network::Channels};
use commonware_actor::{Feedback, Unreliable};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{CheckedSender, LimitedSender, Message, Receiver, Recipients, Sender};
use commonware_runtime::IoBufs;
use proof::SignedTransaction;
use std::{
    fmt,
    num::NonZeroUsize,
    time::{Duration, SystemTime},
};

/// What a channel is for, numbered as in [`QUOTAS`](chain::network::QUOTAS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Votes.
    Votes,
    /// Certificates.
    Certificates,
    /// Missing certificates.
    Resolver,
    /// Missing blocks.
    Backfill,
    /// New blocks.
    Broadcast,
    /// State sync.
    StateSync,
    /// Transactions.
    Gossip,
    /// What nodes remember of one another's votes.
    Inquiry,
}

impl Purpose {
    /// All, in the order of the channels.
    pub const ALL: [Self; 8] = [
        Self::Votes,
        Self::Certificates,
        Self::Resolver,
        Self::Backfill,
        Self::Broadcast,
        Self::StateSync,
        Self::Gossip,
        Self::Inquiry,
    ];
}

/// Something to say, to whom, on which channel, after how long.
pub(super) struct Said {
    pub(super) to: Vec<PublicKey>,
    pub(super) on: Purpose,
    pub(super) message: Bytes,
    pub(super) after: Duration,
}

impl Said {
    pub(super) fn now(to: Vec<PublicKey>, on: Purpose, message: Bytes) -> Self {
        Self { to, on, message, after: Duration::ZERO }
    }
}

/// Puts the rogue's voice and ears on a node's channels. Without a rogue they change nothing. A flooder begins to flood.
pub fn channels<E, S, R>(
    channels: Channels<S, R>,
    rogue: Option<&Rogue<E>>,
) -> Channels<Voice<E, S>, Ear<E, R>>
where
    E: Context,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let Channels { votes, certificates, resolver, backfill, broadcast, state_sync, gossip, inquiry } =
        channels;
    let votes_sender = votes.0.clone();
    let pairs = [votes, certificates, resolver, backfill, broadcast, state_sync, gossip, inquiry];
    if let Some(rogue) = rogue.filter(|rogue| rogue.adversary() == Adversary::Flooder) {
        flood::start(rogue, pairs.each_ref().map(|(sender, _)| sender.clone()));
    }
    let mut purposes = Purpose::ALL.into_iter();
    let [votes, certificates, resolver, backfill, broadcast, state_sync, gossip, inquiry] =
        pairs.map(|(sender, receiver)| {
            let purpose = purposes.next().expect("one purpose a channel");
            let (rogue, votes) = (rogue.cloned(), votes_sender.clone());
            let voice = Voice { sender, votes, purpose, rogue: rogue.clone() };
            (voice, Ear { receiver, purpose, rogue })
        });
    Channels { votes, certificates, resolver, backfill, broadcast, state_sync, gossip, inquiry }
}

/// A channel's sender, with a rogue before it if there is one.
pub struct Voice<E, S> {
    sender: S,
    /// For votes that a rogue casts beside something else.
    votes: S,
    purpose: Purpose,
    rogue: Option<Rogue<E>>,
}

impl<E, S: Clone> Clone for Voice<E, S> {
    fn clone(&self) -> Self {
        let Self { sender, votes, purpose, rogue } = self;
        Self { sender: sender.clone(), votes: votes.clone(), purpose: *purpose, rogue: rogue.clone() }
    }
}

impl<E: Context, S: Sender<PublicKey = PublicKey>> LimitedSender for Voice<E, S> {
    type PublicKey = PublicKey;
    type Checked<'a>
        = Hushed<'a, E, S>
    where
        Self: 'a;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<Hushed<'_, E, S>, SystemTime> {
        let Some(rogue) = &self.rogue else { return Ok(Hushed::Honest(self.sender.check(recipients)?)) };
        let to = match recipients {
            Recipients::All => rogue.others().to_vec(),
            Recipients::Some(to) => to,
            Recipients::One(to) => vec![to],
        };
        Ok(Hushed::Rogue { rogue: rogue.clone(), voice: self, to })
    }
}

/// A message's way out.
pub enum Hushed<'a, E, S: Sender<PublicKey = PublicKey> + 'a> {
    /// Straight.
    Honest(S::Checked<'a>),
    /// Past a rogue.
    Rogue {
        /// Who.
        rogue: Rogue<E>,
        /// Whose voice he uses.
        voice: &'a mut Voice<E, S>,
        /// To whom the node speaks.
        to: Vec<PublicKey>,
    },
}

impl<'a, E: Context, S: Sender<PublicKey = PublicKey> + 'a> CheckedSender for Hushed<'a, E, S> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        match self {
            Self::Honest(checked) => checked.recipients(),
            Self::Rogue { to, .. } => to.clone(),
        }
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        let (rogue, voice, to) = match self {
            Self::Honest(checked) => return checked.send(message, priority),
            Self::Rogue { rogue, voice, to } => (rogue, voice, to),
        };
        let message = Bytes::from(message.into().coalesce());
        let (said, act) = rogue.instead(voice.purpose, to, message);
        if let Some(act) = act {
            rogue.count(act);
        }
        for said in said {
            voice.say(&rogue, said, priority);
        }
        Unreliable::new(Feedback::Ok)
    }
}

impl<E: Context, S: Sender<PublicKey = PublicKey>> Voice<E, S> {
    fn say(&mut self, rogue: &Rogue<E>, said: Said, priority: bool) {
        let Said { to, on, message, after } = said;
        let is_ours = on == self.purpose;
        assert!(is_ours || on == Purpose::Votes, "only votes are cast beside something else");
        let sender = if is_ours { &mut self.sender } else { &mut self.votes };
        if after.is_zero() {
            sender.send(Recipients::Some(to), message, priority);
            return;
        }
        let mut sender = sender.clone();
        rogue.context().child("late").spawn(move |context| async move {
            context.sleep(after).await;
            sender.send(Recipients::Some(to), message, priority);
        });
    }
}

impl<E: Context> Rogue<E> {
    /// What is said instead of a message.
    fn instead(&self, on: Purpose, to: Vec<PublicKey>, message: Bytes) -> Told {
        let said = |to, message| vec![Said::now(to, on, message)];
        let chance = self.chance();
        match (self.adversary(), on) {
            (Adversary::Equivocator, Purpose::Votes) => {
                self.plot().lock().vote(self.scheme(), chance, self.others(), to, message)
            }
            (Adversary::Equivocator, Purpose::Certificates) => {
                self.plot().lock().certificate(chance, to, message)
            }
            (Adversary::Equivocator, Purpose::Broadcast) => {
                let me = self.public_key();
                self.plot().lock().block(self.scheme(), chance, &me, self.others(), to, message)
            }
            (Adversary::Equivocator, Purpose::Backfill | Purpose::Resolver) if chance.percent(25) => {
                (Vec::new(), Some("withheld what was missing"))
            }
            (Adversary::Hoarder, Purpose::Backfill | Purpose::Resolver | Purpose::StateSync)
                if chance.percent(60) =>
            {
                (Vec::new(), Some("withheld blocks, certificates or state"))
            }
            (Adversary::Forger, Purpose::Backfill) if chance.once_in(200) && !message.is_empty() => {
                let mut forged = message.to_vec();
                let at = chance.below(forged.len());
                forged[at] ^= 1 << chance.below(8);
                (said(to, forged.into()), Some("altered a message of backfill"))
            }
            (Adversary::Censor, Purpose::Gossip) if self.censors(on, &message) => {
                (Vec::new(), Some("did not pass on a transaction"))
            }
            (Adversary::Perjurer, Purpose::Inquiry) => {
                perjury::instead(self.scheme(), chance, &mut self.memory().lock(), to, message)
            }
            (Adversary::Laggard, _) => match chance.below(100) {
                0..5 => (Vec::new(), Some("left out a message")),
                below => {
                    let after = if below < 75 { chance.ms(20..400) } else { chance.ms(500..3000) };
                    (vec![Said { to, on, message, after }], Some("spoke late"))
                }
            },
            (Adversary::Flooder, _) => {
                let mut memory = self.memory().lock();
                if on == Purpose::Votes {
                    memory.view = memory.view.max(plot::view_of(&message).unwrap_or_default());
                }
                memory.note_said(on as u64, message.clone());
                (said(to, message), None)
            }
            _ => (said(to, message), None),
        }
    }

    /// Whether a message is, or brings, a transaction of a censor's victim.
    fn censors(&self, on: Purpose, message: &[u8]) -> bool {
        match on {
            Purpose::Gossip => {
                SignedTransaction::decode(Copying(message)).is_ok_and(|signed| self.dislikes(&signed))
            }
            Purpose::Broadcast => Block::decode(Copying(message))
                .is_ok_and(|block| block.transactions.iter().any(|signed| self.dislikes(signed))),
            _ => false,
        }
    }

    /// Whether the node is to hear a message, or why not.
    fn hears(&self, on: Purpose, message: &[u8]) -> Result<(), &'static str> {
        match self.adversary() {
            Adversary::Censor if on == Purpose::Gossip && self.censors(on, message) => {
                Err("did not hear of a transaction")
            }
            Adversary::Censor
                if on == Purpose::Broadcast && self.chance().percent(50) && self.censors(on, message) =>
            {
                Err("did not hear of a block")
            }
            Adversary::Laggard if self.chance().percent(3) => Err("did not listen"),
            _ => Ok(()),
        }
    }
}

/// A channel's receiver, with a rogue before it if there is one.
pub struct Ear<E, R> {
    receiver: R,
    purpose: Purpose,
    rogue: Option<Rogue<E>>,
}

impl<E, R: fmt::Debug> fmt::Debug for Ear<E, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

impl<E: Context, R: Receiver<PublicKey = PublicKey>> Receiver for Ear<E, R> {
    type Error = R::Error;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, R::Error> {
        loop {
            let (peer, message) = self.receiver.recv().await?;
            let Some(rogue) = &self.rogue else { return Ok((peer, message)) };
            match rogue.hears(self.purpose, message.as_ref()) {
                Ok(()) => return Ok((peer, message)),
                Err(act) => rogue.count(act),
            }
        }
    }

    fn capacity(&self) -> NonZeroUsize {
        self.receiver.capacity()
    }
}
