//! Doors, with a fixed answer behind them.

use crate::adversary::{Acts, Adversary, Door, sample};
use bytes::Bytes;
use chain::protocol::{
    Answer, ListRequest, Listing, Page, PageAnswer, ReadRequest, StateAnswer, Submitted, text,
};
use commonware_cryptography::{Signer as _, ed25519};
use commonware_macros::select;
use commonware_runtime::{Clock as _, Runner as _, deterministic};
use link::{Handler, Response};
use proof::{
    Digest, Manifest, StorageReceipt, TenantId,
    finality::{Finalization, FinalizedHeader},
    manifest::{Opening, PageRef},
    wire::{DecodeExt as _, Encode as _, List, Octets},
};
use shards::wire;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Answers everything alike, and counts.
#[derive(Clone)]
struct Fixed {
    answer: Bytes,
    asked: Arc<AtomicUsize>,
}

impl Handler for Fixed {
    async fn admit(&self, _: &ed25519::PublicKey) -> bool {
        true
    }

    async fn handle(&self, _: &ed25519::PublicKey, _: u8, _: Bytes) -> Response {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.answer.clone().into()
    }
}

/// What a door was asked and answered.
struct Seen {
    /// Answers; `None` where none came within a minute.
    answers: Vec<Option<Bytes>>,
    /// Questions that got behind the door.
    asked: usize,
    /// Time that passed.
    took: Duration,
    acts: Acts,
}

/// Asks a door the same thing so many times, one after the other.
fn ask(adversary: Option<Adversary>, lane: u8, request: Bytes, answer: Bytes, times: usize) -> Seen {
    deterministic::Runner::timed(Duration::from_secs(1_000_000)).start(|context| async move {
        let acts = Acts::default();
        let rogue = adversary.map(|adversary| sample::rogue(&context, adversary, &acts));
        let fixed = Fixed { answer, asked: Arc::default() };
        let door = Door::new(fixed.clone(), rogue);
        let peer = ed25519::PrivateKey::from_seed(1).public_key();
        let begun = context.current();
        let mut answers = Vec::new();
        for _ in 0..times {
            let answer = select! {
                response = door.handle(&peer, lane, request.clone()) => {
                    Some(response.into_body().map(|body| Bytes::from(body.coalesce())).unwrap_or_default())
                },
                _ = context.sleep(Duration::from_secs(60)) => None,
            };
            answers.push(answer);
        }
        let took = context.current().duration_since(begun).unwrap();
        Seen { answers, asked: fixed.asked.load(Ordering::Relaxed), took, acts }
    })
}

const SHARDS: u8 = wire::LANE_NUMBER;
const CHAIN: u8 = chain::protocol::LANE_NUMBER;

fn shard() -> wire::Shard {
    let shards = List::new(vec![Digest([7; 32]); 4]).unwrap();
    let opening = Opening { k: 2, ciphertext_length: 34, shards };
    wire::Shard { index: 0, opening, bytes: Octets::new(vec![1; 17]).unwrap() }
}

fn manifest() -> Manifest {
    Manifest::Paged(List::new(vec![PageRef { id: Digest([1; 32]), length: 9, chunks: 1 }]).unwrap())
}

fn block(height: u64) -> FinalizedHeader {
    let header = sample::header(sample::keys()[0].public_key(), height);
    let block = header.digest();
    let finalization = Finalization {
        epoch: 0,
        view: height,
        parent_view: height - 1,
        block,
        committee_size: 4,
        signatures: vec![(0, proof::Signature([8; 64]))],
    };
    FinalizedHeader { header, descendants: List::default(), finalization }
}

#[test]
fn nothing_changes_without_a_rogue() {
    let seen = ask(None, CHAIN, Bytes::from_static(b"question"), Bytes::from_static(b"answer"), 3);
    assert_eq!(seen.answers, vec![Some(Bytes::from_static(b"answer")); 3]);
    assert_eq!((seen.asked, seen.acts.total()), (3, 0));
}

#[test]
fn an_equivocator_is_honest_to_gateways() {
    let request = chain::protocol::Request::Status.to_message();
    let seen = ask(Some(Adversary::Equivocator), CHAIN, request, Bytes::from_static(b"answer"), 50);
    assert_eq!(seen.answers, vec![Some(Bytes::from_static(b"answer")); 50]);
}

#[test]
fn a_liar_signs_for_what_it_does_not_store() {
    let (done, put) = (wire::Response::Done.encode(), wire::Request::PutShard(shard()).encode());
    let seen = ask(Some(Adversary::Liar), SHARDS, put, done.clone(), 100);
    assert_eq!(seen.answers, vec![Some(done); 100]);
    assert!((10..60).contains(&seen.asked), "some are stored: {}", seen.asked);

    let certify = wire::Request::Certify(wire::Certify { time_ms: 7, manifest: manifest() }).encode();
    let seen = ask(Some(Adversary::Liar), SHARDS, certify, wire::Response::NotHeld.encode(), 1);
    let answer = wire::Response::decode(seen.answers[0].clone().unwrap()).unwrap();
    let wire::Response::Receipt(receipt) = answer else { panic!("{answer:?}") };
    let key = sample::keys()[0].public_key();
    assert!(StorageReceipt::verify(&receipt, sample::genesis().id(), 0, manifest().id(), 7, &key));
    assert_eq!(seen.asked, 0, "it did not look");
}

#[test]
fn a_hoarder_takes_and_does_not_give() {
    let done = wire::Response::Done.encode();
    let put = wire::Request::PutShard(shard()).encode();
    let seen = ask(Some(Adversary::Hoarder), SHARDS, put, done.clone(), 20);
    assert_eq!(seen.answers, vec![Some(done); 20]);

    let held = wire::Response::Shard(shard()).encode();
    let get = wire::Request::GetShard(Digest([1; 32])).encode();
    let seen = ask(Some(Adversary::Hoarder), SHARDS, get, held.clone(), 100);
    let count = |wanted: &Option<Bytes>| seen.answers.iter().filter(|answer| *answer == wanted).count();
    assert!(count(&None) > 20, "often no answer at all");
    assert!(count(&Some(wire::Response::NotHeld.encode())) > 5, "sometimes a denial");
    assert!(count(&Some(held)) > 2, "sometimes honest");
}

#[test]
fn a_forger_alters_shards_and_they_decode() {
    let held = wire::Response::Shard(shard()).encode();
    let get = wire::Request::GetShard(Digest([1; 32])).encode();
    let seen = ask(Some(Adversary::Forger), SHARDS, get, held.clone(), 200);
    let forged: Vec<_> = seen.answers.iter().flatten().filter(|answer| **answer != held).collect();
    assert!((60..160).contains(&forged.len()), "{} of 200", forged.len());
    assert!(forged.iter().all(|answer| wire::Response::decode((*answer).clone()).is_ok()));
    assert_eq!(seen.acts.of("forger"), forged.len() as u64);
    assert!(seen.acts.counts().len() >= 5, "in many ways: {}", seen.acts);
}

#[test]
fn forgers_tell_one_lie_about_a_page() {
    let named = |name: &str| chain::protocol::ListedBucket {
        bucket: name.parse().unwrap(),
        created: proof::VersionId { height: 1, index: 0, operation: 0 },
        created_ms: 1,
    };
    let buckets = List::new(vec![named("one"), named("two")]).unwrap();
    let page = Page::Buckets(chain::protocol::BucketsPage { buckets, more: false });
    let answer = Answer::Page(PageAnswer { height: 9, page }).to_message();
    let of = chain::protocol::BucketsQuery { tenant: TenantId([7; 16]), after: Octets::default(), limit: 9 };
    let list = |digest_only| {
        let list = ListRequest { listing: Listing::Buckets(of.clone()), height: 9, tip: 9, digest_only };
        chain::protocol::Request::List(list).to_message()
    };
    let forged = |digest_only| {
        let seen = ask(Some(Adversary::Forger), CHAIN, list(digest_only), answer.clone(), 200);
        let answers = seen.answers.into_iter().flatten();
        answers.filter_map(|answer| Answer::from_message(answer).ok()).collect::<Vec<_>>()
    };
    let fewer = List::new(vec![named("one")]).unwrap();
    let fewer = Page::Buckets(chain::protocol::BucketsPage { buckets: fewer, more: false });
    let lie = PageAnswer { height: 9, page: fewer };
    assert!(forged(false).contains(&Answer::Page(lie.clone())), "the last entry is left out");
    let digests = forged(true);
    assert!(digests.contains(&Answer::PageDigest(lie.digest())), "another forger confirms the lie");
    let honest = Answer::from_message(answer.clone()).unwrap();
    let Answer::Page(honest) = honest else { panic!("it is a page") };
    assert!(digests.contains(&Answer::PageDigest(honest.digest())), "and sometimes the truth");
}

#[test]
fn a_forger_alters_state_and_outcomes() {
    let state =
        StateAnswer { block: block(5), proofs: List::default(), named: chain::protocol::Named::Nothing };
    let honest = Answer::State(state).to_message();
    let keys = List::new(vec![Digest([1; 32])]).unwrap();
    let read = ReadRequest { subject: chain::protocol::Subject::Keys(keys), min_height: 1 };
    let request = chain::protocol::Request::Read(read).to_message();
    let seen = ask(Some(Adversary::Forger), CHAIN, request, honest.clone(), 200);
    let forged = seen.answers.iter().flatten().filter(|answer| **answer != honest).count();
    assert!(forged > 3, "{forged} of 200, of which most have nothing to alter");

    let pending = Answer::Submitted(Submitted::Pending).to_message();
    let submit = chain::protocol::Request::Submit(sample::signed(7, 1)).to_message();
    let seen = ask(Some(Adversary::Forger), CHAIN, submit, pending, 100);
    let refused = Answer::Submitted(Submitted::Inadmissible(text("no"))).to_message();
    assert!(seen.answers.contains(&Some(refused)));
}

#[test]
fn a_censor_drops_the_victims_transactions_alone() {
    let decided = Bytes::from_static(b"decided");
    let submit = |tenant| chain::protocol::Request::Submit(sample::signed(tenant, 1)).to_message();
    let seen = ask(Some(Adversary::Censor), CHAIN, submit(7), decided.clone(), 100);
    assert!(seen.asked < 30, "most are dropped, and {} were not", seen.asked);
    let pending = Answer::Submitted(Submitted::Pending).to_message();
    let kept = seen.answers.iter().flatten().filter(|answer| **answer == pending).count();
    assert_eq!(kept, 100 - seen.asked, "as if it waited");
    let seen = ask(Some(Adversary::Censor), CHAIN, submit(8), decided, 100);
    assert_eq!(seen.asked, 100);
}

#[test]
fn a_laggard_answers_late_and_a_flooder_with_junk() {
    let get = wire::Request::GetShard(Digest([1; 32])).encode();
    let honest = wire::Response::NotHeld.encode();
    let seen = ask(Some(Adversary::Laggard), SHARDS, get.clone(), honest.clone(), 50);
    assert_eq!(seen.answers, vec![Some(honest.clone()); 50], "late, and honest");
    assert!(seen.took > Duration::from_secs(50), "{:?}", seen.took);

    let seen = ask(Some(Adversary::Flooder), SHARDS, get, honest.clone(), 50);
    let large = seen.answers.iter().flatten().filter(|answer| answer.len() > wire::SHARD_MAX).count();
    assert!((10..40).contains(&large), "{large} of 50");
}

#[test]
fn a_seed_gives_the_same_lies() {
    let held = wire::Response::Shard(shard()).encode();
    let get = wire::Request::GetShard(Digest([1; 32])).encode();
    let lies = || ask(Some(Adversary::Forger), SHARDS, get.clone(), held.clone(), 100).answers;
    assert_eq!(lies(), lies());
}
