//! One client at work.

use super::{
    WorkloadPlan,
    attempt::{Caller, Stage, condition, metadata, outcome_of, pieces, written},
    content,
    draw::{self, Guard, Wish},
    gate::Gate,
};
use crate::history::{
    Condition, Content, ObjectSeen, Operation, Outcome, PageSeen, Phase, Recorder, Seen, Span,
};
use proof::VersionId;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::collections::BTreeMap;
use vault::Deleted;

/// Versions of a key that a client remembers.
const REMEMBERED: usize = 16;
/// Versions of all keys that it remembers to find moments of the past by.
const PLACES: usize = 60;
/// Pages of one listing, at most.
const PAGES: usize = 4;

/// Does what `plan` says that client number `client` does, and records it. Before each call `gateway` gives the gateway
/// to use.
pub async fn run_client<E: vault::Context>(
    context: E,
    plan: WorkloadPlan,
    client: u32,
    recorder: Recorder,
    gateway: impl Fn() -> Gate<E> + Send + Sync,
) {
    let random =
        StdRng::seed_from_u64(plan.seed ^ (u64::from(client) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let operations = plan.operations;
    let caller = Caller { context, plan, recorder, phase: Phase::Work, client };
    let mut client = Client { caller, random, gateway, known: BTreeMap::new(), places: Vec::new() };
    for _ in 0..operations {
        let pause = draw::think(&mut client.random, &client.caller.plan);
        client.caller.context.sleep(pause).await;
        client.step().await;
    }
}

/// A version that a client knows, and the call that wrote it.
#[derive(Clone, Copy)]
struct Known {
    version: VersionId,
    write: u64,
}

pub(super) struct Client<E: vault::Context, G> {
    pub caller: Caller<E>,
    pub random: StdRng,
    pub gateway: G,
    /// By key, the last one seen last.
    known: BTreeMap<String, Vec<Known>>,
    /// Versions of any kind, with their block times, to find moments of the past by.
    pub(super) places: Vec<(String, VersionId, u64)>,
}

impl<E: vault::Context, G: Fn() -> Gate<E> + Send + Sync> Client<E, G> {
    async fn step(&mut self) {
        let wish = draw::wish(&mut self.random, &self.caller.plan.weights);
        let key = draw::key(&mut self.random, &self.caller.plan);
        match wish {
            Wish::Put => self.put(&key).await,
            Wish::Copy => self.copy(&key).await,
            Wish::Delete => self.delete(&key).await,
            Wish::Get => self.get(&key, None, Span::Whole).await,
            Wish::GetRange => {
                let about = self.length_about(&key);
                let range = draw::range(&mut self.random, about);
                self.get(&key, None, Span::Range(range)).await;
            }
            Wish::GetVersion => match self.any_known(&key) {
                Some(known) => self.get(&key, Some(known.version), Span::Whole).await,
                None => self.get(&key, None, Span::Whole).await,
            },
            Wish::Head => self.get(&key, None, Span::Head).await,
            Wish::List => self.list(None).await,
            Wish::ListAt => self.list_at().await,
            Wish::GetAt => self.get_at(&key).await,
            Wish::Hide => self.hide(&key).await,
            Wish::Undelete => self.undelete(&key).await,
            Wish::ListVersions => self.list_versions().await,
            Wish::Upload => self.upload(&key, false).await,
            Wish::UploadLarge => self.upload(&key, true).await,
        }
    }

    async fn put(&mut self, key: &str) {
        let length = draw::length(&mut self.random, &self.caller.plan.sizes);
        let guard = self.condition(key);
        let gate = (self.gateway)();
        let vault = gate.vault();
        let (seed, place) = (self.caller.content_seed(), self.caller.plan.place(key));
        let operation =
            |id| Operation::Put { key: key.to_owned(), content: Content { id, length }, condition: guard };
        let work = |id| async move {
            let bytes = content::bytes(seed, id, 0..length);
            let taken = async {
                let mut writer = vault.put(place).await?;
                for piece in pieces(bytes) {
                    writer.write(piece).await?;
                }
                Ok::<_, vault::Error>(writer)
            };
            match taken.await {
                Err(error) => (outcome_of(error, Stage::Preparing), None),
                Ok(writer) => {
                    let (outcome, version) = written(writer.finish(metadata(id), condition(guard)).await);
                    (outcome, version.map(|version| Known { version, write: id }))
                }
            }
        };
        let (outcome, known) = self.caller.call(&gate, operation, work).await;
        if let Outcome::Ok(Seen::Written { version, time_ms }) = outcome {
            self.note(key, version, time_ms);
        }
        self.remember(key, known);
    }

    async fn delete(&mut self, key: &str) {
        // A delete on condition that there is nothing is of no use to anybody.
        let guard = match self.condition(key) {
            Condition::IfAbsent => Condition::None,
            guard => guard,
        };
        let gate = (self.gateway)();
        let vault = gate.vault();
        let place = self.caller.plan.place(key);
        let operation = |_| Operation::Delete { key: key.to_owned(), condition: guard };
        let work = |_| async move {
            match vault.delete(&place, condition(guard)).await {
                Ok(Deleted { marker: version, time_ms, .. }) => {
                    (Outcome::Ok(Seen::Written { version, time_ms }), None::<()>)
                }
                Err(error) => (outcome_of(error, Stage::Submitting), None),
            }
        };
        let (outcome, _) = self.caller.call(&gate, operation, work).await;
        if let Outcome::Ok(Seen::Written { version, time_ms }) = outcome {
            self.note(key, version, time_ms);
        }
    }

    /// Copies a version that is known to `key`.
    async fn copy(&mut self, key: &str) {
        let source = draw::key(&mut self.random, &self.caller.plan);
        let Some(Known { version, write }) = self.any_known(&source) else {
            return self.get(&source, None, Span::Head).await;
        };
        let from = (self.gateway)();
        let (_, object) = self.caller.read(&from, &source, Some(version), Span::Head).await;
        let (Some(object), Some(content)) = (object, self.content_of(write)) else { return };
        let guard = self.condition(key);
        let gate = (self.gateway)();
        let vault = gate.vault();
        let place = self.caller.plan.place(key);
        let key_copied = key.to_owned();
        let operation = |_| Operation::Copy { source, version, key: key_copied, content, condition: guard };
        let work = |id| async move {
            let (outcome, version) =
                written(vault.copy(&object, place, metadata(id), condition(guard)).await);
            (outcome, version.map(|version| Known { version, write: id }))
        };
        let (outcome, known) = self.caller.call(&gate, operation, work).await;
        if let Outcome::Ok(Seen::Written { version, time_ms }) = outcome {
            self.note(key, version, time_ms);
        }
        self.remember(key, known);
    }

    async fn get(&mut self, key: &str, version: Option<VersionId>, span: Span) {
        let (outcome, _) = self.caller.read(&(self.gateway)(), key, version, span).await;
        if let Outcome::Ok(Seen::Object(seen)) = &outcome {
            self.learn(seen);
        }
    }

    /// Lists what has some prefix, with or without a delimiter, with pages of some size; goes on for some pages.
    pub(super) async fn list(&mut self, at: Option<u64>) {
        let prefixes = ["", "", "a/", "a/b/", "k", "none"];
        let prefix = prefixes[self.random.random_range(0..prefixes.len())];
        let delimiter = self.random.random::<bool>().then_some("/");
        let limits = [1, 2, 3, 1000];
        let limit = limits[self.random.random_range(0..limits.len())];
        let mut after = None;
        for _ in 0..PAGES {
            let page = self.caller.list(&(self.gateway)(), (prefix, delimiter), after, limit, at).await;
            let Some(PageSeen { objects, next, .. }) = page else { return };
            objects.iter().for_each(|seen| self.learn(seen));
            match next {
                Some(next) => after = Some(next),
                None => return,
            }
        }
    }

    /// A condition for a write of `key`.
    pub(super) fn condition(&mut self, key: &str) -> Condition {
        match draw::guard(&mut self.random, &self.caller.plan) {
            Guard::None => Condition::None,
            Guard::IfAbsent => Condition::IfAbsent,
            Guard::IfVersion => {
                let last = self.known.get(key).and_then(|known| known.last());
                last.map_or(Condition::IfAbsent, |known| Condition::IfVersion(known.version))
            }
        }
    }

    fn any_known(&mut self, key: &str) -> Option<Known> {
        let known = self.known.get(key).filter(|known| !known.is_empty())?;
        Some(known[self.random.random_range(0..known.len())])
    }

    fn content_of(&self, write: u64) -> Option<Content> {
        self.caller.recorder.with(|history| history.content_of(write))
    }

    /// Bytes that the current object may have.
    fn length_about(&self, key: &str) -> u64 {
        let last = self.known.get(key).and_then(|known| known.last());
        let content = last.and_then(|known| self.content_of(known.write));
        content.map_or(1000, |content| content.length)
    }

    /// Some version of the key that is known to be an object's.
    pub(super) fn any_known_version(&mut self, key: &str) -> Option<VersionId> {
        self.any_known(key).map(|known| known.version)
    }

    /// A version of any kind that the client was told of.
    pub(super) fn note(&mut self, key: &str, version: VersionId, time_ms: u64) {
        if self.places.iter().all(|(_, noted, _)| *noted != version) {
            self.places.push((key.to_owned(), version, time_ms));
        }
        if self.places.len() > PLACES {
            self.places.remove(0);
        }
    }

    fn learn(&mut self, seen: &ObjectSeen) {
        self.note(&seen.key, seen.version, seen.time_ms);
        let known = seen.write.map(|write| Known { version: seen.version, write });
        self.remember(&seen.key, known);
    }

    pub(super) fn remember_written(&mut self, key: &str, version: Option<VersionId>, write: u64) {
        self.remember(key, version.map(|version| Known { version, write }));
    }

    fn remember(&mut self, key: &str, new: Option<Known>) {
        let Some(new) = new else { return };
        let known = self.known.entry(key.to_owned()).or_default();
        known.retain(|old| old.version != new.version);
        known.push(new);
        if known.len() > REMEMBERED {
            known.remove(0);
        }
    }
}
