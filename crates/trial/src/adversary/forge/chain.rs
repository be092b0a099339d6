//! Answers about the chain.
//!
//! Pages of listings are altered by a fixed rule, so that all forgers of a network tell the same lie: f of them agree.

use super::{Forged, flip};
use crate::adversary::{Rogue, chance::Chance, rogue::Context};
use bytes::Bytes;
use chain::protocol::{
    Answer, BucketsPage, Decision, Failure, ListRequest, ListedBucket, Named, ObjectsPage, Page, PageAnswer,
    PartsPage, ReadRequest, Request, StateAnswer, StatusAnswer, Submitted, UploadsPage, VersionsPage, text,
};
use proof::{
    Digest, VersionId,
    finality::FinalizedHeader,
    wire::{List, Octets},
};

/// In so many of a hundred cases he does something.
const SHARE: u32 = 60;

/// The request for the whole page of which `list` asks the digest.
pub(in crate::adversary) fn whole_page(list: &Option<ListRequest>) -> Option<Bytes> {
    let list = list.as_ref().filter(|list| list.digest_only)?;
    Some(Request::List(ListRequest { digest_only: false, ..list.clone() }).to_message())
}

/// What he says instead of `honest`. To a request for a page's digest `honest` is the page.
pub(in crate::adversary) fn forge<E: Context>(rogue: &Rogue<E>, request: &Request, honest: Bytes) -> Forged {
    let chance = rogue.chance();
    let Ok(answer) = Answer::from_message(honest.clone()) else { return Forged::honest(honest) };
    let (stale, others) = {
        let mut memory = rogue.memory().lock();
        let others = memory.chain();
        memory.note_chain(honest.clone());
        (memory.stale(question(request), &honest, chance.once_in(8)), others)
    };
    let decode = |message: Bytes| Answer::from_message(message).expect("it was decoded when it passed");
    let stale = stale.map(decode).filter(|stale| *stale != answer);
    let other = chance.one_of(&others).cloned().map(decode);
    let lie = if chance.percent(SHARE) { altered(chance, request, &answer, stale, other) } else { None };
    // What he put in its place may happen to be the same.
    let lie = lie.filter(|(lie, _)| *lie != answer);
    let (answer, act) = lie.map_or((answer, None), |(answer, act)| (answer, Some(act)));
    let answer = match (request, answer) {
        (Request::List(list), Answer::Page(page)) if list.digest_only => Answer::PageDigest(page.digest()),
        (_, answer) => answer,
    };
    let message = answer.to_message();
    if act.is_some() && chance.once_in(10) {
        return Forged::act(flip(chance, &message), "flipped a bit of an answer");
    }
    Forged { message, act }
}

/// The request without its height: what was once a good answer to it.
fn question(request: &Request) -> Bytes {
    match request.clone() {
        Request::Tip(_) => Request::Tip(0),
        Request::Read(read) => Request::Read(ReadRequest { min_height: 0, ..read }),
        Request::List(list) => Request::List(ListRequest { height: 0, tip: 0, digest_only: false, ..list }),
        other => other,
    }
    .to_message()
}

type Lie = (Answer, &'static str);

fn altered(
    chance: &Chance,
    request: &Request,
    honest: &Answer,
    stale: Option<Answer>,
    other: Option<Answer>,
) -> Option<Lie> {
    match honest.clone() {
        Answer::Submitted(submitted) => submission(chance, submitted, other),
        Answer::Tip(block) => Some(match (chance.below(3), stale) {
            (0, _) => (Answer::Failed(Failure::Behind(block.header.height / 2)), "said that it is behind"),
            (1, _) => (Answer::Tip(raised(block)), "raised a height"),
            (_, Some(stale)) => (stale, "gave an old tip again"),
            _ => return None,
        }),
        Answer::State(state) => self::state(chance, state, stale, other),
        Answer::Page(page) => {
            let (page, act) = match stale {
                Some(Answer::Page(old)) if chance.percent(30) => {
                    (PageAnswer { height: page.height, ..old }, "gave an old page as of a new height")
                }
                _ => (PageAnswer { height: page.height, page: fewer(page.page) }, "altered a page"),
            };
            debug_assert!(matches!(request, Request::List(_)), "only a listing is answered with a page");
            Some((Answer::Page(page), act))
        }
        Answer::Receipt(mut receipt) => {
            let act = match (chance.below(3), other) {
                (0, Some(Answer::Receipt(other))) => {
                    receipt = other;
                    "gave another transaction's receipt"
                }
                (1, _) => return Some((Answer::Failed(Failure::NotHeld), "denied to hold a receipt")),
                _ => {
                    receipt.decision = turned(receipt.decision);
                    "turned an outcome round"
                }
            };
            Some((Answer::Receipt(receipt), act))
        }
        Answer::Status(status) => {
            let far = status.height + 1_000_000;
            let status = StatusAnswer { height: far, index_height: far, pending: u32::MAX, ..status };
            Some((Answer::Status(status), "boasted"))
        }
        Answer::Failed(_) => other.map(|other| (other, "gave something else")),
        Answer::PageDigest(_) => Some((Answer::PageDigest(Digest(chance.bytes())), "invented a digest")),
    }
}

/// What became of a transaction, turned into something else.
fn submission(chance: &Chance, submitted: Submitted, other: Option<Answer>) -> Option<Lie> {
    let said = |submitted, act| Some((Answer::Submitted(submitted), act));
    let elsewhere = match other {
        Some(Answer::Submitted(Submitted::Decided(other))) => Some(other),
        _ => None,
    };
    match submitted {
        Submitted::Decided(decision) => match (chance.below(5), elsewhere) {
            (0, Some(other)) => said(Submitted::Decided(other), "gave another transaction's decision"),
            (1, _) => said(Submitted::Inadmissible(text("no")), "called a decided transaction inadmissible"),
            (2, _) => said(Submitted::Pending, "hid a decision"),
            (3, _) => {
                let block = raised(decision.block);
                said(Submitted::Decided(Decision { block, ..decision }), "raised a height")
            }
            _ => said(Submitted::Decided(turned(decision)), "turned an outcome round"),
        },
        Submitted::Pending | Submitted::Overloaded => match elsewhere {
            Some(other) if chance.percent(50) => {
                said(Submitted::Decided(other), "called a waiting transaction decided")
            }
            _ => said(Submitted::Inadmissible(text("no")), "called a waiting transaction inadmissible"),
        },
        Submitted::Inadmissible(_) => match elsewhere {
            Some(other) => said(Submitted::Decided(other), "called an inadmissible transaction decided"),
            None => said(Submitted::Pending, "kept an inadmissible transaction waiting"),
        },
        Submitted::Expired(_) => said(Submitted::Pending, "hid an expiry"),
    }
}

/// Applied what was refused, refused what was applied.
fn turned(decision: Decision) -> Decision {
    Decision { outcome: u16::from(decision.outcome == ledger::APPLIED), ..decision }
}

/// A header that says to be of a later block.
fn raised(mut block: FinalizedHeader) -> FinalizedHeader {
    block.header.height += 1_000;
    block
}

/// Records and what they name, altered.
fn state(
    chance: &Chance,
    mut state: StateAnswer,
    stale: Option<Answer>,
    other: Option<Answer>,
) -> Option<Lie> {
    let stale = stale.and_then(of_state);
    let other = other.and_then(of_state);
    let act = match (chance.below(10), stale, other) {
        (0..3, Some(stale), _) => {
            state = stale;
            "gave an old answer again"
        }
        (3, Some(stale), _) => {
            state.block = stale.block;
            "gave new records under an old header"
        }
        (4, Some(stale), _) => {
            (state.proofs, state.named) = (stale.proofs, stale.named);
            "gave old records under a new header"
        }
        (5, _, Some(other)) => {
            state.named = other.named;
            "gave another key's entry"
        }
        (6, _, Some(other)) => {
            state.proofs = other.proofs;
            "gave another key's records"
        }
        (7, _, _) => {
            state.named = Named::Nothing;
            "withheld an entry"
        }
        (8, _, _) => {
            state.block = raised(state.block);
            "raised a height"
        }
        _ => {
            state.named = spoiled(chance, state.named);
            "altered an entry"
        }
    };
    Some((Answer::State(state), act))
}

fn of_state(answer: Answer) -> Option<StateAnswer> {
    match answer {
        Answer::State(state) => Some(state),
        _ => None,
    }
}

/// What a record names, with something else in it.
fn spoiled(chance: &Chance, named: Named) -> Named {
    match named {
        Named::Version(mut version) => {
            match chance.below(3) {
                0 => version.entry.time_ms += 1,
                1 => {
                    let sealed = version.sealed.iter().map(|sealed| flipped(chance, sealed)).collect();
                    version.sealed = List::new(sealed).expect("as many as before");
                }
                _ => {
                    let payload = version.payload.iter().map(|payload| flipped(chance, payload)).collect();
                    version.payload = List::new(payload).expect("as many as before");
                }
            }
            Named::Version(version)
        }
        Named::Upload(mut upload) => {
            upload.sealed = flipped(chance, &upload.sealed);
            Named::Upload(upload)
        }
        Named::Nothing => Named::Nothing,
    }
}

fn flipped<const MAX: usize>(chance: &Chance, octets: &Octets<MAX>) -> Octets<MAX> {
    Octets::new(flip(chance, octets)).expect("as long as before")
}

/// The page by which all forgers replace this one: its last entry left out; of an empty page, something invented.
pub(super) fn fewer(page: Page) -> Page {
    match page {
        Page::NoSuch => Page::Objects(ObjectsPage {
            objects: List::default(),
            prefixes: List::default(),
            next: List::default(),
        }),
        Page::Buckets(page) if page.buckets.is_empty() => {
            let invented = ListedBucket {
                bucket: "invented".parse().expect("a bucket's name"),
                created: VersionId { height: 1, index: 0, operation: 0 },
                created_ms: 1,
            };
            let buckets = List::new(vec![invented]).expect("one bucket");
            Page::Buckets(BucketsPage { buckets, ..page })
        }
        Page::Buckets(page) => Page::Buckets(BucketsPage { buckets: less(page.buckets), ..page }),
        Page::Objects(page) if page.objects.is_empty() && page.prefixes.is_empty() => Page::NoSuch,
        Page::Objects(page) if page.objects.is_empty() => {
            Page::Objects(ObjectsPage { prefixes: less(page.prefixes), ..page })
        }
        Page::Objects(page) => {
            Page::Objects(ObjectsPage { objects: less(page.objects), next: List::default(), ..page })
        }
        Page::Versions(page) if page.versions.is_empty() => Page::NoSuch,
        Page::Versions(page) => {
            Page::Versions(VersionsPage { versions: less(page.versions), next: List::default(), ..page })
        }
        Page::Current(_) | Page::Moment(_) => Page::NoSuch,
        Page::Annotation(sealed) if sealed.is_empty() => Page::NoSuch,
        Page::Annotation(sealed) => Page::Annotation(less(sealed)),
        Page::Uploads(page) if page.uploads.is_empty() => Page::NoSuch,
        Page::Uploads(page) => {
            Page::Uploads(UploadsPage { uploads: less(page.uploads), next: List::default() })
        }
        Page::Parts(page) if page.parts.is_empty() => Page::NoSuch,
        Page::Parts(page) => Page::Parts(PartsPage { parts: less(page.parts), more: false }),
    }
}

fn less<T: std::fmt::Debug, const MAX: usize>(list: List<T, MAX>) -> List<T, MAX> {
    let mut items = list.into_inner();
    items.pop();
    List::new(items).expect("fewer than before")
}
