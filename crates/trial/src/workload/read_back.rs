//! After all work: whatever there should be is read, and recorded.

use super::{WorkloadPlan, attempt::Caller, gate::Gate};
use crate::{
    check::{Kind, Versions},
    history::{After, History, Operation, Outcome, PageSeen, Phase, Recorder, Span},
};
use proof::VersionId;
use std::{collections::BTreeSet, time::Duration};

/// How often one thing is asked for before it counts as gone.
const ATTEMPTS: u32 = 5;
/// Wait between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// Reads, through one gateway that should be fresh, every version that any client was told of, by its version id and
/// byte for byte, also those that may have been hidden; then every key's current object; then lists everything, whole and in
/// small pages by prefix, and all versions.
pub async fn read_back<E: vault::Context>(context: E, gate: Gate<E>, plan: WorkloadPlan, recorder: Recorder) {
    let (versions, hidden) = recorder.with(|history| (Versions::of(history), maybe_hidden(history)));
    let mut keys: BTreeSet<String> = (0..plan.keys).map(|number| plan.key(number)).collect();
    keys.extend(versions.keys.keys().cloned());
    let client = plan.clients;
    let reading =
        ReadingBack { caller: Caller { context, plan, recorder, phase: Phase::ReadBack, client }, gate };
    for (key, id, _) in versions.all() {
        if hidden.contains(&(key.to_owned(), id)) {
            reading.kept(key, id).await;
        } else {
            reading.read(key, Some(id)).await;
        }
    }
    for key in &keys {
        reading.read(key, None).await;
    }
    reading.list(None, 1000).await;
    reading.list(Some("/"), 2).await;
    reading.versions(false, 30).await;
    reading.versions(true, 1000).await;
}

/// Versions that ordinary reads may not find: those that a client asked to hide, and markers, which undeleting hides.
fn maybe_hidden(history: &History) -> BTreeSet<(String, VersionId)> {
    let asked = history.calls.iter().filter_map(|call| match &call.operation {
        Operation::Hide { key, version } => Some((key.clone(), *version)),
        _ => None,
    });
    let versions = Versions::of(history);
    let markers = versions.all().filter(|(_, _, version)| version.kind == Kind::Marker);
    asked.chain(markers.map(|(key, id, _)| (key.to_owned(), id))).collect()
}

struct ReadingBack<E: vault::Context> {
    caller: Caller<E>,
    gate: Gate<E>,
}

impl<E: vault::Context> ReadingBack<E> {
    async fn read(&self, key: &str, version: Option<VersionId>) {
        for _ in 0..ATTEMPTS {
            let (outcome, _) = self.caller.read(&self.gate, key, version, Span::Whole).await;
            if !matches!(outcome, Outcome::Failed(_)) {
                return;
            }
            self.caller.context.sleep(PAUSE).await;
        }
    }

    async fn kept(&self, key: &str, version: VersionId) {
        for _ in 0..ATTEMPTS {
            if !matches!(self.caller.kept(&self.gate, key, version).await, Outcome::Failed(_)) {
                return;
            }
            self.caller.context.sleep(PAUSE).await;
        }
    }

    /// Lists all versions, hidden ones too.
    async fn versions(&self, hidden: bool, limit: usize) {
        let mut after = None;
        loop {
            let mut page = None;
            for _ in 0..ATTEMPTS {
                let asked = self.caller.list_versions(&self.gate, "", hidden, after.clone(), limit, None);
                page = asked.await;
                if page.is_some() {
                    break;
                }
                self.caller.context.sleep(PAUSE).await;
            }
            after = page.and_then(|page| page.next);
            if after.is_none() {
                return;
            }
        }
    }

    /// Lists all pages. A page that cannot be had ends it.
    async fn list(&self, delimiter: Option<&str>, limit: usize) {
        let mut after = None;
        while let Some(PageSeen { next: Some(next), .. }) = self.page(delimiter, after.take(), limit).await {
            after = Some(next);
        }
    }

    async fn page(&self, delimiter: Option<&str>, after: Option<After>, limit: usize) -> Option<PageSeen> {
        for _ in 0..ATTEMPTS {
            let page = self.caller.list(&self.gate, ("", delimiter), after.clone(), limit, None).await;
            if page.is_some() {
                return page;
            }
            self.caller.context.sleep(PAUSE).await;
        }
        None
    }
}
