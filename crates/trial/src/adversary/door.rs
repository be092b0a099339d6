//! What a rogue makes of requests to his node.

use super::{
    Adversary, Rogue,
    forge::{self, Forged},
    rogue::Context,
};
use bytes::Bytes;
use chain::protocol::{self, Answer, Submitted};
use commonware_cryptography::ed25519;
use link::{Handler, Response};
use proof::wire::{DecodeExt as _, Encode as _, List, Octets};
use shards::wire;
use std::time::Duration;

/// How long an honest node keeps a submission waiting, about.
const WAIT: Duration = Duration::from_millis(2_000);

/// What answers requests, with a rogue before it if there is one. Clones share everything.
pub struct Door<E, H> {
    inner: H,
    rogue: Option<Rogue<E>>,
}

impl<E, H: Clone> Clone for Door<E, H> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), rogue: self.rogue.clone() }
    }
}

impl<E: Context, H: Handler> Door<E, H> {
    /// Puts the rogue before `inner`. Without one it changes nothing.
    pub fn new(inner: H, rogue: Option<Rogue<E>>) -> Self {
        Self { inner, rogue }
    }
}

/// A request, as far as a rogue understands it.
enum Asked {
    Shards(wire::Request),
    Chain(protocol::Request),
    Other,
}

impl Asked {
    fn read(lane: u8, request: &Bytes) -> Self {
        match lane {
            wire::LANE_NUMBER => wire::Request::decode(request.clone()).map_or(Self::Other, Self::Shards),
            protocol::LANE_NUMBER => {
                protocol::Request::from_message(request.clone()).map_or(Self::Other, Self::Chain)
            }
            _ => Self::Other,
        }
    }
}

impl<E: Context, H: Handler> Handler for Door<E, H> {
    async fn admit(&self, peer: &ed25519::PublicKey) -> bool {
        self.inner.admit(peer).await
    }

    async fn handle(&self, peer: &ed25519::PublicKey, lane: u8, request: Bytes) -> Response {
        let Some(rogue) = &self.rogue else { return self.inner.handle(peer, lane, request).await };
        let asked = Asked::read(lane, &request);
        let honestly = || self.inner.handle(peer, lane, request.clone());
        match rogue.adversary() {
            Adversary::Equivocator | Adversary::Perjurer => honestly().await,
            Adversary::Liar => match rogue.lie(&asked) {
                Some(lie) => lie,
                None => honestly().await,
            },
            Adversary::Hoarder => match rogue.hoard(&asked) {
                Some(Excuse::Never) => futures::future::pending().await,
                Some(Excuse::Answer(response)) => response,
                None => honestly().await,
            },
            Adversary::Forger => {
                // What the request would be if it asked for the whole page: its forgery has the digest to tell.
                let whole = forge::whole_page(&asked_list(&asked));
                let answered = match whole {
                    Some(whole) => self.inner.handle(peer, lane, whole).await,
                    None => honestly().await,
                };
                rogue.forge(asked, answered)
            }
            Adversary::Censor => match &asked {
                Asked::Chain(protocol::Request::Submit(signed))
                    if rogue.dislikes(signed) && rogue.chance().percent(90) =>
                {
                    rogue.count("took a transaction and dropped it");
                    rogue.context().sleep(WAIT).await;
                    Answer::Submitted(Submitted::Pending).to_message().into()
                }
                _ => honestly().await,
            },
            Adversary::Flooder => {
                rogue.note(&asked);
                let answered = honestly().await;
                rogue.swell(&asked, answered)
            }
            Adversary::Laggard => {
                let delay = rogue.lateness();
                rogue.count(if delay > Duration::from_secs(5) {
                    "answered far too late"
                } else {
                    "answered late"
                });
                rogue.context().sleep(delay).await;
                honestly().await
            }
        }
    }
}

fn asked_list(asked: &Asked) -> Option<protocol::ListRequest> {
    match asked {
        Asked::Chain(protocol::Request::List(list)) => Some(list.clone()),
        _ => None,
    }
}

/// How a hoarder does not answer.
enum Excuse {
    /// The caller waits until he has enough of it.
    Never,
    Answer(Response),
}

fn shards_response(response: wire::Response) -> Response {
    response.encode().into()
}

impl<E: Context> Rogue<E> {
    /// What a liar says, if he lies.
    fn lie(&self, asked: &Asked) -> Option<Response> {
        let Asked::Shards(request) = asked else { return None };
        let chance = self.chance();
        let (answer, act) = match request {
            wire::Request::PutShard(_) | wire::Request::PutPage(_) if chance.percent(70) => {
                (wire::Response::Done, "took what it did not store")
            }
            wire::Request::Certify(wire::Certify { time_ms, manifest }) => {
                let receipt = self.storage_receipt(manifest.id(), *time_ms);
                (wire::Response::Receipt(receipt), "signed without looking")
            }
            wire::Request::GetShard(_) | wire::Request::GetPage(_) if chance.percent(50) => {
                (wire::Response::NotHeld, "denied what it may hold")
            }
            wire::Request::Status => (wire::Response::Status(boast()), "boasted"),
            _ => return None,
        };
        self.count(act);
        Some(shards_response(answer))
    }

    /// What a hoarder does instead of giving something back, if he does.
    fn hoard(&self, asked: &Asked) -> Option<Excuse> {
        use protocol::Request::{List, Read, Receipt, Tip};
        let chance = self.chance();
        let denial = match asked {
            Asked::Shards(wire::Request::GetShard(_) | wire::Request::GetPage(_)) => {
                shards_response(wire::Response::NotHeld)
            }
            Asked::Chain(Read(_) | List(_) | Receipt(_)) => {
                Answer::Failed(protocol::Failure::NotHeld).to_message().into()
            }
            Asked::Chain(Tip(_)) if chance.percent(40) => {
                Answer::Failed(protocol::Failure::Behind(0)).to_message().into()
            }
            _ => return None,
        };
        match chance.below(100) {
            0..50 => {
                self.count("never answered");
                Some(Excuse::Never)
            }
            50..75 => {
                self.count("denied to hold it");
                Some(Excuse::Answer(denial))
            }
            75..88 => {
                self.count("said that it is overloaded");
                Some(Excuse::Answer(Response::overloaded()))
            }
            _ => None,
        }
    }

    /// What a forger makes of an honest answer.
    fn forge(&self, asked: Asked, answered: Response) -> Response {
        let Some(honest) = answered.into_body() else { return Response::overloaded() };
        let honest = Bytes::from(honest.coalesce());
        let forged = match asked {
            Asked::Shards(request) => forge::shards(self, &request, honest),
            Asked::Chain(request) => forge::chain(self, &request, honest),
            Asked::Other => Forged::honest(honest),
        };
        if let Some(act) = forged.act {
            self.count(act);
        }
        forged.message.into()
    }

    /// Keeps what is worth being repeated.
    fn note(&self, asked: &Asked) {
        if let Asked::Chain(protocol::Request::Submit(signed)) = asked {
            self.memory().lock().note_transaction(signed.clone());
        }
    }

    /// What a flooder makes of an honest answer: as large as it may be, and larger.
    fn swell(&self, asked: &Asked, answered: Response) -> Response {
        let chance = self.chance();
        if chance.percent(50) {
            return answered;
        }
        self.count("answered with junk");
        match asked {
            Asked::Shards(wire::Request::GetShard(_)) => {
                let bytes = Octets::new(chance.junk(wire::SHARD_MAX)).expect("as long as a shard may be");
                let hashes = (0..proof::limits::NODES_MAX).map(|_| proof::Digest(chance.bytes())).collect();
                let shards = List::new(hashes).expect("as many as nodes may be");
                let opening = proof::manifest::Opening { k: 255, ciphertext_length: u32::MAX, shards };
                shards_response(wire::Response::Shard(wire::Shard { index: 255, opening, bytes }))
            }
            Asked::Shards(wire::Request::GetPage(_)) => {
                let page = chance.junk(proof::limits::PAGE_BYTES_MAX);
                shards_response(wire::Response::Page(Octets::new(page).expect("as long as a page may be")))
            }
            Asked::Chain(protocol::Request::List(list)) if !list.digest_only => {
                let text = || Octets::new(chance.junk(1024)).expect("as long as a key may be");
                let prefixes = (0..protocol::PAGE_ENTRIES_MAX).map(|_| text()).collect();
                let page = protocol::ObjectsPage {
                    objects: List::default(),
                    prefixes: List::new(prefixes).expect("as many as a page may have"),
                    next: List::new(vec![protocol::After::Start]).expect("one"),
                };
                let page = protocol::Page::Objects(page);
                let height = if chance.percent(50) { list.height } else { u64::MAX };
                Answer::Page(protocol::PageAnswer { height, page }).to_message().into()
            }
            Asked::Chain(protocol::Request::Read(_)) => chance.junk(link::BODY_MAX).into(),
            _ => chance.junk(1 + chance.below(64 << 10)).into(),
        }
    }

    /// How late a laggard is: mostly bearable, sometimes not.
    fn lateness(&self) -> Duration {
        let chance = self.chance();
        match chance.below(100) {
            0..60 => chance.ms(30..600),
            60..90 => chance.ms(600..5_000),
            _ => chance.ms(5_000..40_000),
        }
    }
}

/// A shard log that could not be better.
fn boast() -> wire::NodeStatus {
    wire::NodeStatus {
        bytes: 0,
        live_bytes: 0,
        bytes_max: u64::MAX,
        segments: 1,
        held: u64::MAX,
        pending: 0,
        missing: 0,
        unresolved: 0,
        damaged: 0,
        referenced_height: u64::MAX,
        endangered: 0,
        unhealable: 0,
        inconsistent: 0,
        healed: 0,
        healed_bytes: 0,
        heal_failures: 0,
        heal_bytes_per_second: 0,
        heal_seconds: 0,
        scrubbed_passes: 0,
        scrubbed_bytes: 0,
        failed: 0,
    }
}
