//! What a client does with versions: hides them, undoes deletes, lists them, and looks into the past.

use super::{
    attempt::{Caller, Stage, outcome_of, seen, write_of},
    client::Client,
    draw,
    gate::Gate,
};
use crate::history::{AfterVersion, Operation, Outcome, Seen, Span, VersionSeen, VersionsSeen};
use proof::VersionId;
use rand::RngExt as _;
use vault::{ListedVersion, Moment, VersionsAfter, VersionsPage, VersionsRequest};

/// Pages of one listing of versions, at most.
const PAGES: usize = 3;

impl<E: vault::Context, G: Fn() -> Gate<E> + Send + Sync> Client<E, G> {
    /// Hides a version of the key that is known: mostly a young one, which may be current.
    pub(super) async fn hide(&mut self, key: &str) {
        let of_key: Vec<VersionId> =
            self.places.iter().filter(|(of, ..)| of == key).map(|(_, version, _)| *version).collect();
        let Some(newest) = of_key.iter().max().copied() else { return self.list_versions().await };
        let any = of_key[self.random.random_range(0..of_key.len())];
        let version = if self.random.random_range(0..3) > 0 { newest } else { any };
        let gate = (self.gateway)();
        let (vault, place) = (gate.vault(), self.caller.plan.place(key));
        let work = move |_| async move {
            match vault.hide(&place, &[version]).await {
                Ok(hidden) => {
                    let hidden = hidden.into_iter().map(|hidden| hidden.version).collect();
                    (Outcome::Ok(Seen::Hidden(hidden)), None::<()>)
                }
                Err(error) => (outcome_of(error, Stage::Submitting), None),
            }
        };
        let operation = |_| Operation::Hide { key: key.to_owned(), version };
        self.caller.call(&gate, operation, work).await;
    }

    pub(super) async fn undelete(&mut self, key: &str) {
        let gate = (self.gateway)();
        let (vault, place) = (gate.vault(), self.caller.plan.place(key));
        let work = move |_| async move {
            match vault.undelete(&place, None).await {
                Ok(count) => (Outcome::Ok(Seen::Undeleted(count)), None::<()>),
                Err(error) => (outcome_of(error, Stage::Submitting), None),
            }
        };
        self.caller.call(&gate, |_| Operation::Undelete { key: key.to_owned() }, work).await;
    }

    /// Lists versions, now or as of a height, with hidden ones or without.
    pub(super) async fn list_versions(&mut self) {
        let prefixes = ["", "", "a/", "k0", "none"];
        let prefix = prefixes[self.random.random_range(0..prefixes.len())];
        let limits = [1, 3, 10, 1000];
        let limit = limits[self.random.random_range(0..limits.len())];
        let hidden = self.random.random::<bool>();
        let at = if self.random.random_range(0..3) == 0 { self.height().await } else { None };
        let mut after = None;
        for _ in 0..PAGES {
            let gate = (self.gateway)();
            let page = self.caller.list_versions(&gate, prefix, hidden, after, limit, at).await;
            let Some(VersionsSeen { versions, next }) = page else { return };
            for VersionSeen { key, version, time_ms, .. } in versions {
                self.note(&key, version, time_ms);
            }
            after = next;
            if after.is_none() {
                return;
            }
        }
    }

    pub(super) async fn list_at(&mut self) {
        let at = self.height().await;
        self.list(at).await;
    }

    /// Reads the key, or a version of it, as of a height.
    pub(super) async fn get_at(&mut self, key: &str) {
        let Some(height) = self.height().await else { return self.list_versions().await };
        let version = if self.random.random_range(0..3) == 0 { self.any_known_version(key) } else { None };
        let gate = (self.gateway)();
        self.caller.read_at(&gate, key, version, height).await;
    }

    /// A height of the past: that of a version that is known, or near it, or found by its time.
    async fn height(&mut self) -> Option<u64> {
        if self.places.is_empty() {
            return None;
        }
        let (_, version, time_ms) = self.places[self.random.random_range(0..self.places.len())];
        match self.random.random_range(0..4) {
            0 => Some(version.height),
            1 => Some(version.height.saturating_sub(self.random.random_range(0..5))),
            _ => {
                let time_ms = time_ms.saturating_sub(draw::shift_ms(&mut self.random));
                let gate = (self.gateway)();
                let vault = gate.vault();
                let work = move |_| async move {
                    match vault.height_at(Moment::TimeMs(time_ms)).await {
                        Ok(height) => (Outcome::Ok(Seen::Height(height)), Some(height)),
                        Err(error) => (outcome_of(error, Stage::Preparing), None),
                    }
                };
                self.caller.call(&gate, |_| Operation::HeightAt { time_ms }, work).await.1
            }
        }
    }
}

impl<E: vault::Context> Caller<E> {
    /// Reads a version, hidden or not.
    pub(super) async fn kept(&self, gate: &Gate<E>, key: &str, version: VersionId) -> Outcome {
        let (vault, place) = (gate.vault(), self.plan.place(key));
        let work = move |_| async move {
            let read = async {
                let object = vault.kept(&place, version).await?;
                seen(&vault, &object, Span::Whole).await
            };
            match read.await {
                Ok(seen) => (Outcome::Ok(Seen::Object(seen)), None::<()>),
                Err(error) => (outcome_of(error, Stage::Preparing), None),
            }
        };
        self.call(gate, |_| Operation::Kept { key: key.to_owned(), version }, work).await.0
    }

    async fn read_at(&self, gate: &Gate<E>, key: &str, version: Option<VersionId>, height: u64) {
        let (vault, place) = (gate.vault(), self.plan.place(key));
        let work = move |_| async move {
            let read = async {
                let object = vault.head_at(&place, version, height).await?;
                seen(&vault, &object, Span::Whole).await
            };
            match read.await {
                Ok(seen) => (Outcome::Ok(Seen::Object(seen)), None::<()>),
                Err(error) => (outcome_of(error, Stage::Preparing), None),
            }
        };
        self.call(gate, |_| Operation::ReadAt { key: key.to_owned(), version, height }, work).await;
    }

    /// Lists a page of versions.
    pub(super) async fn list_versions(
        &self,
        gate: &Gate<E>,
        prefix: &str,
        hidden: bool,
        after: Option<AfterVersion>,
        limit: usize,
        at: Option<u64>,
    ) -> Option<VersionsSeen> {
        let (vault, prefix) = (gate.vault(), prefix.to_owned());
        let request = VersionsRequest {
            bucket: self.plan.bucket.clone(),
            prefix: prefix.clone(),
            exact: false,
            delimiter: None,
            after: after.clone().map(|(key, version)| match version {
                Some(version) => VersionsAfter::Version(key, version),
                None => VersionsAfter::Key(key),
            }),
            limit,
            hidden,
            at,
        };
        let work = move |_| async move {
            match vault.list_versions(request).await.map(page_seen) {
                Ok(page) => (Outcome::Ok(Seen::Versions(page.clone())), Some(page)),
                Err(error) => (outcome_of(error, Stage::Preparing), None),
            }
        };
        let operation = |_| Operation::ListVersions { prefix, hidden, after, limit, at };
        self.call(gate, operation, work).await.1
    }
}

fn page_seen(page: VersionsPage) -> VersionsSeen {
    let version = |listed: ListedVersion| VersionSeen {
        key: listed.key.to_string(),
        version: listed.version,
        time_ms: listed.time_ms,
        contents: listed.contents.map(|(length, metadata)| (length, write_of(&metadata))),
        current: listed.current,
        hidden: listed.hidden.map(|hiding| hiding.place.height),
    };
    VersionsSeen {
        versions: page.versions.into_iter().map(version).collect(),
        next: page.next.map(|next| match next {
            // Without a delimiter there are no common prefixes.
            VersionsAfter::Key(key) | VersionsAfter::Prefix(key) => (key, None),
            VersionsAfter::Version(key, version) => (key, Some(version)),
        }),
    }
}
