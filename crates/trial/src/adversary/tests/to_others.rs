//! Voices and ears, with a scribe in the place of the network.

use crate::adversary::{
    Acts, Adversary, channels,
    plot::Vote,
    sample::{self, Scribe, Sent},
    voice::{Ear, Voice},
};
use bytes::Bytes;
use chain::{block::Block, network::Channels};
use commonware_codec::{Decode as _, DecodeExt as _, Encode as _};
use commonware_consensus::{
    Viewable as _,
    simplex::{
        scheme::ed25519::Scheme,
        types::{Finalize, Notarize, Nullify, Proposal},
    },
    types::{Epoch, Round, View},
};
use commonware_cryptography::{ed25519::PublicKey, sha256};
use commonware_p2p::{Message, Receiver, Recipients, Sender as _};
use commonware_parallel::Sequential;
use commonware_runtime::{Clock as _, IoBuf, Runner as _, Supervisor as _, deterministic};
use commonware_utils::{TryCollect, ordered::Set};
use proof::wire::List;
use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    num::NonZeroUsize,
    time::Duration,
};

type Context = deterministic::Context;

/// Hears what it is given.
#[derive(Debug, Default)]
struct Heard(VecDeque<Bytes>);

impl Receiver for Heard {
    type Error = Infallible;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, Infallible> {
        match self.0.pop_front() {
            Some(message) => Ok((others()[0].clone(), IoBuf::from(message))),
            None => std::future::pending().await,
        }
    }

    fn capacity(&self) -> NonZeroUsize {
        NonZeroUsize::MIN
    }
}

fn others() -> Vec<PublicKey> {
    sample::genesis().committee.nodes()[1..].iter().map(chain::block::engine_key).collect()
}

fn scheme() -> Scheme {
    let genesis = sample::genesis();
    let nodes: Set<PublicKey> =
        genesis.committee.nodes().iter().map(chain::block::engine_key).try_collect().unwrap();
    let key = crate::adversary::rogue::signer(&sample::keys()[0]);
    Scheme::signer(&genesis.consensus_namespace(), nodes, key).unwrap()
}

fn proposal(view: u64) -> Proposal<sha256::Digest> {
    let round = Round::new(Epoch::zero(), View::new(view));
    Proposal::new(round, View::new(view - 1), sha256::Digest([view as u8; 32]))
}

fn notarize(view: u64) -> Bytes {
    Vote::Notarize(Notarize::sign(&scheme(), proposal(view)).unwrap()).encode()
}

fn finalize(view: u64) -> Bytes {
    Vote::Finalize(Finalize::sign(&scheme(), proposal(view)).unwrap()).encode()
}

fn nullify(view: u64) -> Bytes {
    let round = Round::new(Epoch::zero(), View::new(view));
    Vote::Nullify(Nullify::sign::<sha256::Digest>(&scheme(), round).unwrap()).encode()
}

type Node = Channels<Voice<Context, Scribe>, Ear<Context, Heard>>;

/// A node's channels with this adversary on them, what is sent on votes and on every other channel, and his acts.
fn node(
    context: &Context,
    adversary: Option<Adversary>,
    hears: impl Fn(u64) -> Vec<Bytes>,
) -> (Node, Sent, Sent, Acts) {
    let (acts, votes, rest) = (Acts::default(), Scribe::default(), Scribe::default());
    let rogue = adversary.map(|adversary| sample::rogue(context, adversary, &acts));
    let plain = Channels::register(|channel, _| {
        let scribe = if channel == 0 { votes.clone() } else { rest.clone() };
        (scribe, Heard(hears(channel).into()))
    });
    (channels(plain, rogue.as_ref()), votes.sent, rest.sent, acts)
}

fn silent(_: u64) -> Vec<Bytes> {
    Vec::new()
}

#[test]
fn an_honest_node_is_heard_and_hears_as_without_a_voice() {
    deterministic::Runner::default().start(|context| async move {
        let message = Bytes::from_static(b"message");
        let (mut node, votes, rest, acts) = node(&context, None, |_| vec![Bytes::from_static(b"heard")]);
        let sent_to = node.votes.0.send(Recipients::All, message.clone(), true);
        assert_eq!(sent_to, others());
        let expected: Vec<_> = others().into_iter().map(|to| (to, message.clone())).collect();
        assert_eq!(*votes.lock(), expected);
        assert!(rest.lock().is_empty());
        let (_, heard) = node.gossip.1.recv().await.unwrap();
        assert_eq!(heard.as_ref(), b"heard");
        assert_eq!(acts.total(), 0);
    });
}

#[test]
fn an_equivocator_contradicts_itself_where_no_one_sees_it() {
    deterministic::Runner::default().start(|mut context| async move {
        let (mut node, votes, _, acts) = node(&context, Some(Adversary::Equivocator), silent);
        for view in 1..400 {
            node.votes.0.send(Recipients::All, notarize(view), true);
            let second = if view % 5 == 0 { nullify(view) } else { finalize(view) };
            node.votes.0.send(Recipients::All, second, true);
        }
        // What each heard in each view: payloads notarized, payloads finalized, and whether it was nullified.
        let mut heard: BTreeMap<(PublicKey, u64), (Vec<_>, Vec<_>, bool)> = BTreeMap::new();
        let mut payloads: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        for (to, message) in votes.lock().iter() {
            let vote = Vote::decode(message.clone()).expect("a lie is a vote");
            let view = vote.view().get();
            let (notarized, finalized, nullified) = heard.entry((to.clone(), view)).or_default();
            match vote {
                Vote::Notarize(vote) => {
                    assert!(vote.verify(&mut context, &scheme(), &Sequential), "a lie is signed");
                    notarized.push(vote.proposal.payload);
                    payloads.entry(view).or_default().push(vote.proposal.payload);
                }
                Vote::Finalize(vote) => {
                    assert!(vote.verify(&mut context, &scheme(), &Sequential), "a lie is signed");
                    finalized.push(vote.proposal.payload);
                }
                Vote::Nullify(_) => *nullified = true,
            }
        }
        for payloads in heard.values_mut().flat_map(|(notarized, finalized, _)| [notarized, finalized]) {
            payloads.sort_unstable();
            payloads.dedup();
        }
        let caught = heard.values().filter(|(notarized, finalized, nullified)| {
            notarized.len() > 1 || finalized.len() > 1 || (*nullified && !finalized.is_empty())
        });
        assert!(caught.count() < 10, "he is seldom caught");
        let split = payloads.values().filter(|of| of.iter().any(|payload| payload != &of[0])).count();
        assert!((50..200).contains(&split), "{split} views with two votes");
        assert!(acts.counts().len() >= 4, "{acts}");
    });
}

#[test]
fn an_equivocator_proposes_two_blocks_and_votes_for_each_where_it_went() {
    deterministic::Runner::default().start(|context| async move {
        let (mut node, votes, blocks, acts) = node(&context, Some(Adversary::Equivocator), silent);
        let me = sample::keys()[0].public_key();
        let mut split = 0;
        for view in 1..8_000 {
            let header = sample::header(me, view);
            let block = Block { header, transactions: List::default(), outcomes: List::default() };
            let ours = sha256::Digest(block.header.digest().0);
            node.broadcast.0.send(Recipients::All, block.encode(), true);
            let proposal = Proposal { payload: ours, ..proposal(view) };
            let vote = Vote::Notarize(Notarize::sign(&scheme(), proposal).unwrap());
            node.votes.0.send(Recipients::All, vote.encode(), true);
            let got: BTreeMap<_, _> = blocks.lock().drain(..).collect();
            let votes: Vec<_> = votes.lock().drain(..).collect();
            let digest =
                |bytes: &Bytes| sha256::Digest(Block::decode(bytes.clone()).unwrap().header.digest().0);
            if got.values().all(|bytes| digest(bytes) == ours) {
                continue;
            }
            split += 1;
            for (to, vote) in votes {
                let Ok(Vote::Notarize(vote)) = Vote::decode(vote) else { panic!("a notarize vote") };
                assert_eq!(vote.proposal.payload, digest(&got[&to]), "the vote is for the block");
            }
        }
        assert!((4..100).contains(&split), "{split} views with two blocks: {acts}");
    });
}

#[test]
fn a_laggard_speaks_late() {
    deterministic::Runner::default().start(|context| async move {
        let (mut node, votes, _, acts) = node(&context, Some(Adversary::Laggard), silent);
        for view in 1..20 {
            node.votes.0.send(Recipients::All, notarize(view), true);
        }
        context.sleep(Duration::from_millis(15)).await;
        assert!(votes.lock().is_empty(), "nothing is there at once");
        context.sleep(Duration::from_secs(4)).await;
        assert!(votes.lock().len() > 3 * 10, "most comes in the end: {acts}");
    });
}

#[test]
fn a_censor_neither_passes_on_nor_hears_of_the_victim() {
    deterministic::Runner::default().start(|context| async move {
        let (victims, anothers) = (sample::signed(7, 1).encode(), sample::signed(8, 2).encode());
        let heard = vec![victims.clone(), anothers.clone(), victims.clone()];
        let (mut node, _, rest, acts) = node(&context, Some(Adversary::Censor), |_| heard.clone());
        node.gossip.0.send(Recipients::All, victims.clone(), false);
        assert!(rest.lock().is_empty());
        node.gossip.0.send(Recipients::All, anothers.clone(), false);
        assert_eq!(rest.lock().len(), 3);
        let (_, message) = node.gossip.1.recv().await.unwrap();
        assert_eq!(message.as_ref(), &anothers[..]);
        assert_eq!(acts.of("censor"), 2, "{acts}");
    });
}

#[test]
fn a_flooder_repeats_itself_on_every_channel() {
    deterministic::Runner::default().start(|context| async move {
        let (mut node, votes, rest, acts) = node(&context, Some(Adversary::Flooder), silent);
        node.votes.0.send(Recipients::All, notarize(1), true);
        node.certificates.0.send(Recipients::All, Bytes::from_static(b"certificate"), true);
        let said = votes.lock().len() + rest.lock().len();
        assert_eq!(said, 6, "what the node says is said");
        context.sleep(Duration::from_secs(10)).await;
        let flooded = votes.lock().len() + rest.lock().len() - said;
        assert!(flooded > 300, "{flooded} messages");
        assert_eq!(acts.of("flooder") * 3, flooded as u64);
        for (_, vote) in votes.lock().iter() {
            Vote::decode(vote.clone()).expect("junk for a vote would get it blocked");
        }
    });
}

#[test]
fn a_hoarder_withholds_blocks_and_a_liar_nothing() {
    deterministic::Runner::default().start(|context| async move {
        let backfill = |context: &Context, adversary| {
            let (mut node, _, rest, _) = node(context, Some(adversary), silent);
            for _ in 0..100 {
                node.backfill.0.send(
                    Recipients::One(others()[0].clone()),
                    Bytes::from_static(b"block"),
                    true,
                );
            }
            let sent = rest.lock();
            sent.len()
        };
        assert!((20..60).contains(&backfill(&context.child("a"), Adversary::Hoarder)));
        assert_eq!(backfill(&context.child("b"), Adversary::Liar), 100);
    });
}

#[test]
fn a_perjurer_lies_about_votes_and_proves_nothing() {
    use chain::inquiry::{Message as Talk, Reply};
    use commonware_consensus::simplex::types::{Certificate, Nullification};
    use commonware_cryptography::certificate::Scheme as _;
    use commonware_utils::iter::NonEmpty;
    use proof::wire::Octets;

    deterministic::Runner::default().start(|mut context| async move {
        let (mut node, _, sent, acts) = node(&context, Some(Adversary::Perjurer), silent);
        let (nodes, asker) = (sample::genesis().committee.nodes().len(), others()[0].clone());
        // The asker is the second of the committee.
        let signed = |index: usize, view: u64| {
            let key = crate::adversary::rogue::signer(&sample::keys()[index]);
            let participants = scheme().participants().clone();
            let scheme = Scheme::signer(&sample::genesis().consensus_namespace(), participants, key).unwrap();
            let round = Round::new(Epoch::zero(), View::new(view));
            Nullify::sign::<sha256::Digest>(&scheme, round).unwrap()
        };
        let reply = |number: u64| {
            let votes = NonEmpty::new(signed(0, number), (1..3).map(|index| signed(index, number)));
            let made = Nullification::from_owned_nullifies(&scheme(), votes, &Sequential).unwrap();
            let certificate: Certificate<Scheme, sha256::Digest> = Certificate::Nullification(made);
            let vote: Vote = Vote::Nullify(signed(1, number));
            Reply {
                number,
                remembers: true,
                certificate: List::new(vec![Octets::new(certificate.encode()).unwrap()]).unwrap(),
                votes: List::new(vec![Octets::new(vote.encode()).unwrap()]).unwrap(),
            }
        };
        let (mut raised, mut invented, mut low) = (0, 0, 0);
        for number in 1..600 {
            let message = Talk::Reply(reply(number)).to_bytes();
            node.inquiry.0.send(Recipients::One(asker.clone()), message, true);
            for (to, message) in sent.lock().drain(..) {
                assert_eq!(to, asker);
                let Ok(Talk::Reply(told)) = Talk::from_bytes(message) else { continue };
                low += u64::from(told.certificate.is_empty());
                for bytes in told.certificate.iter() {
                    let certificate =
                        Certificate::<Scheme, sha256::Digest>::decode_cfg(bytes.bytes().clone(), &nodes)
                            .expect("a lie is well-formed");
                    let is_valid = certificate.verify(&mut context, &scheme(), &Sequential);
                    assert!(!is_valid || certificate.view().get() <= number, "he cannot sign for a quorum");
                    raised += u64::from(certificate.view().get() > number);
                }
                for bytes in told.votes.iter() {
                    let vote = Vote::decode(bytes.bytes().clone()).expect("a lie is well-formed");
                    let Vote::Nullify(vote) = vote else { panic!("nothing else was voted for") };
                    assert_eq!(vote.attestation.signer.get(), 1, "it is said to be the asker's");
                    let is_signed = vote.verify::<_, sha256::Digest>(&mut context, &scheme(), &Sequential);
                    assert!(!is_signed || vote.round.view().get() <= number, "he cannot sign for the asker");
                    invented += u64::from(!is_signed);
                }
            }
        }
        assert!(raised > 20 && invented > 20 && low > 20, "{raised} {invented} {low}");
        assert!(acts.counts().len() >= 8, "{acts}");
    });
}
