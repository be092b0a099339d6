//! The perjurer's lies: what he says instead of what his node remembers of others' votes.
//!
//! Whoever lost its votes waits for such answers, and whoever starts again compares them with its journal. So the lies are
//! of the kinds that could make a node vote that must not, or keep one from voting that may: no answer; knowing nothing;
//! not remembering, or remembering what was long ago; certificates of views that nobody has reached; votes that the asker
//! never cast; and so much that others' answers could be late.

use super::{
    chance::Chance,
    memory::Memory,
    plot::{Told, Vote},
    voice::{Purpose, Said},
};
use bytes::Bytes;
use chain::inquiry::{CERTIFICATE_BYTES_MAX, Message, Reply, VOTE_BYTES_MAX, VOTES_MAX};
use commonware_codec::{Copying, Decode as _, DecodeExt as _, Encode as _};
use commonware_consensus::{
    Viewable as _,
    simplex::{
        scheme::ed25519::Scheme,
        types::{Certificate, Nullification, Nullify},
    },
    types::{Epoch, Round, View},
};
use commonware_cryptography::{certificate::Scheme as _, ed25519, sha256};
use commonware_utils::{Participant, ordered::Quorum as _};
use proof::wire::{List, Octets};

/// Messages of a flood, at most.
const FLOOD: usize = 24;

/// What to say instead of a message about votes.
pub(super) fn instead(
    scheme: &Scheme,
    chance: &Chance,
    memory: &mut Memory,
    to: Vec<ed25519::PublicKey>,
    message: Bytes,
) -> Told {
    let said = |message: Message| Said::now(to.clone(), Purpose::Inquiry, message.to_bytes());
    let Ok(Message::Reply(honest)) = Message::from_bytes(message.clone()) else {
        return (vec![Said::now(to, Purpose::Inquiry, message)], None);
    };
    let old = to.first().and_then(|asker| {
        let asker = Bytes::copy_from_slice(asker.as_ref());
        memory.stale(asker, &message, chance.once_in(20))
    });
    let asker = to.first().and_then(|asker| scheme.participants().index(asker));
    let (lie, act) = match chance.below(100) {
        0..20 => return (Vec::new(), Some("gave no answer about votes")),
        20..32 => (Reply { remembers: true, ..empty(honest.number) }, "said that it knows of no votes"),
        32..42 => (Reply { remembers: false, ..honest }, "said that it does not remember its votes"),
        42..55 => match raised(scheme, chance, &honest) {
            Some(certificate) => {
                (Reply { certificate, ..honest }, "showed a certificate of a view that nobody reached")
            }
            None => return (vec![said(Message::Reply(honest))], None),
        },
        55..70 => match asker.and_then(|asker| invented(scheme, chance, asker, &honest)) {
            Some(votes) => (Reply { votes, ..honest }, "claimed votes that were not cast"),
            None => return (vec![said(Message::Reply(honest))], None),
        },
        70..88 => match old.map(Message::from_bytes) {
            Some(Ok(Message::Reply(old))) if chance.percent(70) => {
                (Reply { number: honest.number, ..old }, "remembered what was long ago")
            }
            Some(Ok(old)) => return (vec![said(old)], Some("repeated an answer about votes")),
            _ => return (vec![said(Message::Reply(honest))], None),
        },
        88..96 => {
            let mut messages = vec![said(Message::Reply(honest.clone()))];
            messages.extend((0..1 + chance.below(FLOOD)).map(|_| match chance.below(3) {
                0 => said(Message::Question(u64::from_be_bytes(chance.bytes()))),
                1 => said(Message::Reply(empty(u64::from_be_bytes(chance.bytes())))),
                _ => Said::now(to.clone(), Purpose::Inquiry, chance.junk(1 + chance.below(4 << 10)).into()),
            }));
            return (messages, Some("flooded others with talk of votes"));
        }
        _ => return (vec![said(Message::Reply(honest))], None),
    };
    (vec![said(Message::Reply(lie))], Some(act))
}

fn empty(number: u64) -> Reply {
    Reply { number, remembers: true, certificate: List::default(), votes: List::default() }
}

/// The signatures of the honest certificate under a view that is ahead of it: a little, or far.
fn raised(
    scheme: &Scheme,
    chance: &Chance,
    honest: &Reply,
) -> Option<List<Octets<CERTIFICATE_BYTES_MAX>, 1>> {
    let bytes = honest.certificate.first()?.bytes();
    let nodes = scheme.participants().len();
    let certificate = Certificate::<Scheme, sha256::Digest>::decode_cfg(Copying(bytes), &nodes).ok()?;
    let ahead = if chance.percent(50) { 1 + chance.below(100) } else { chance.below(1 << 40) };
    let round = ahead_of(certificate.view(), ahead as u64);
    let lie: Certificate<Scheme, sha256::Digest> = match certificate {
        Certificate::Notarization(mut made) if chance.percent(50) => {
            made.proposal.round = round;
            Certificate::Notarization(made)
        }
        Certificate::Finalization(mut made) if chance.percent(50) => {
            made.proposal.round = round;
            Certificate::Finalization(made)
        }
        Certificate::Notarization(made) => {
            Certificate::Nullification(Nullification { round, certificate: made.certificate })
        }
        Certificate::Finalization(made) => {
            Certificate::Nullification(Nullification { round, certificate: made.certificate })
        }
        Certificate::Nullification(made) => Certificate::Nullification(Nullification { round, ..made }),
    };
    List::new(vec![Octets::new(lie.encode()).ok()?]).ok()
}

/// Votes in the asker's name that it never cast: some beside what it did vote for, some far ahead; with the liar's own
/// signature, or with that of another vote of the asker's.
fn invented(
    scheme: &Scheme,
    chance: &Chance,
    asker: Participant,
    honest: &Reply,
) -> Option<List<Octets<VOTE_BYTES_MAX>, VOTES_MAX>> {
    let known: Vec<Vote> =
        honest.votes.iter().filter_map(|vote| Vote::decode(Copying(vote.bytes())).ok()).collect();
    let highest = known.iter().map(|vote| vote.view().get()).max().unwrap_or(0);
    let mut votes = Vec::new();
    for _ in 0..1 + chance.below(4) {
        let round = ahead_of(View::new(highest), chance.below(6) as u64);
        let mut nullify = Nullify::sign::<sha256::Digest>(scheme, round)?;
        nullify.attestation.signer = asker;
        let stolen = chance.one_of(&known).filter(|_| chance.percent(50));
        let lie = match stolen.cloned() {
            Some(Vote::Notarize(mut vote)) => {
                vote.proposal.round = round;
                Vote::Notarize(vote)
            }
            Some(Vote::Finalize(mut vote)) => {
                vote.proposal.payload = sha256::Digest(chance.bytes());
                Vote::Finalize(vote)
            }
            Some(Vote::Nullify(vote)) => Vote::Nullify(Nullify { round, ..vote }),
            None => Vote::Nullify(nullify),
        };
        votes.push(Octets::new(lie.encode()).ok()?);
    }
    votes.extend(honest.votes.iter().take(VOTES_MAX - votes.len()).cloned());
    List::new(votes).ok()
}

fn ahead_of(view: View, ahead: u64) -> Round {
    Round::new(Epoch::zero(), View::new(view.get().saturating_add(ahead)))
}
