//! After all work: whatever there should be is read, and recorded.

use super::{WorkloadPlan, attempt::Caller};
use crate::{
    check::Versions,
    history::{After, Outcome, PageSeen, Phase, Recorder, Span},
};
use proof::VersionId;
use std::{collections::BTreeSet, time::Duration};
use vault::Vault;

/// How often one thing is asked for before it counts as gone.
const ATTEMPTS: u32 = 5;
/// Wait between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// Reads, through one gateway that should be fresh, every version that any client was told of, by its version id and
/// byte for byte; then every key's current object; then lists everything, whole and in small pages by prefix.
pub async fn read_back<E: vault::Context>(
    context: E,
    vault: Vault<E>,
    gateway: u32,
    plan: WorkloadPlan,
    recorder: Recorder,
) {
    let versions = recorder.with(Versions::of);
    let mut keys: BTreeSet<String> = (0..plan.keys).map(|number| plan.key(number)).collect();
    keys.extend(versions.keys.keys().cloned());
    let client = plan.clients;
    let reading = ReadingBack {
        caller: Caller { context, plan, recorder, phase: Phase::ReadBack, client },
        gateway,
        vault,
    };
    for (key, id, _) in versions.all() {
        reading.read(key, Some(id)).await;
    }
    for key in &keys {
        reading.read(key, None).await;
    }
    reading.list(None, 1000).await;
    reading.list(Some("/"), 2).await;
}

struct ReadingBack<E: vault::Context> {
    caller: Caller<E>,
    gateway: u32,
    vault: Vault<E>,
}

impl<E: vault::Context> ReadingBack<E> {
    async fn read(&self, key: &str, version: Option<VersionId>) {
        for _ in 0..ATTEMPTS {
            let by = (self.gateway, self.vault.clone());
            let (outcome, _) = self.caller.read(by, key, version, Span::Whole).await;
            if !matches!(outcome, Outcome::Failed(_)) {
                return;
            }
            self.caller.context.sleep(PAUSE).await;
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
            let by = (self.gateway, self.vault.clone());
            let page = self.caller.list(by, ("", delimiter), after.clone(), limit).await;
            if page.is_some() {
                return page;
            }
            self.caller.context.sleep(PAUSE).await;
        }
        None
    }
}
