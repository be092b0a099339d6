//! Executes lifecycle rules.
//!
//! Every gateway does, in the background, unless it is told not to; nothing is shared but the chain:
//!
//! 1. A round looks at each bucket with rules, page by page, below the prefixes that its rules name.
//! 2. What time it is the chain says. Of an object that is due, the version that was seen is deleted: a marker is put if
//!    that version is still current. So an object that was put meanwhile is not touched, and of several gateways one puts
//!    the marker.
//! 3. An upload that is due is aborted. A delete marker that is all that is shown of its key is hidden, where a rule
//!    says so.
//! 4. Actions are paced. When the network does not answer, the page is tried again later; a gateway that starts anew
//!    begins a new round, in which what was done is not met again.

use super::{
    rules::{End, Rule, prefixes},
    rules_of,
};
use crate::{store::Store, tagging};
use futures::StreamExt;
use proof::{BucketName, ObjectKey, VersionId};
use std::{future::Future, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};
use vault::{
    About, Condition, Error, ListRequest, Listed, ListedVersion, Place, Upload, UploadsRequest,
    VersionsAfter, VersionsRequest, tags_of,
};

/// Entries of a page.
const PAGE: usize = 1000;
/// Actions, or reads of tags, on the way at a time.
const AT_ONCE: usize = 8;
/// How long a network that does not answer is left alone.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a page is tried again before its bucket is left to the next round.
const TRIES_MAX: usize = 6;

/// How lifecycle rules are executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweeping {
    /// How long after a round the next one begins.
    pub every: Duration,
    /// Objects and uploads that are ended in a second, at most. Not zero.
    pub actions_per_second: u32,
}

impl Default for Sweeping {
    fn default() -> Self {
        Self { every: Duration::from_secs(60 * 60), actions_per_second: 100 }
    }
}

/// Executes the lifecycle rules of all buckets, again and again, until `shutdown` is ready.
pub async fn sweep<S: Store>(store: S, settings: Sweeping, shutdown: impl Future<Output = ()> + Send) {
    let sweeper = Sweeper { store, settings };
    tokio::select! {
        () = sweeper.rounds() => {}
        () = shutdown => {}
    }
}

struct Sweeper<S> {
    store: S,
    settings: Sweeping,
}

/// What was done in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Done {
    marked: u64,
    aborted: u64,
    removed: u64,
}

impl<S: Store> Sweeper<S> {
    async fn rounds(&self) {
        loop {
            match patiently(|| self.store.list_buckets()).await {
                Err(error) => tracing::warn!(%error, "lifecycle rules are not executed now"),
                Ok(buckets) => {
                    for bucket in buckets {
                        self.sweep_bucket(&bucket.name).await;
                    }
                }
            }
            sleep(self.settings.every).await;
        }
    }

    async fn sweep_bucket(&self, bucket: &BucketName) {
        let mut done = Done::default();
        let outcome = self.end_all(bucket, &mut done).await;
        if done != Done::default() {
            let Done { marked, aborted, removed } = done;
            tracing::info!(%bucket, marked, aborted, removed, "lifecycle rules executed");
        }
        match outcome {
            Ok(()) | Err(Error::NoSuchBucket) => {}
            Err(error) => tracing::warn!(%bucket, %error, "lifecycle rules are left to the next round"),
        }
    }

    async fn end_all(&self, bucket: &BucketName, done: &mut Done) -> Result<(), Error> {
        let about = About::BucketLifecycle(bucket.clone());
        let rules = rules_of(patiently(|| self.store.annotation(&about, None)).await?)?;
        for prefix in prefixes(&rules, |rule| matches!(rule.end, Some(End::Days(_) | End::Date(_)))) {
            self.end_objects(bucket, &rules, prefix, done).await?;
        }
        for prefix in prefixes(&rules, |rule| rule.abort_days.is_some()) {
            self.abort_uploads(bucket, &rules, prefix, done).await?;
        }
        for prefix in prefixes(&rules, |rule| rule.end == Some(End::Markers)) {
            self.remove_markers(bucket, &rules, prefix, done).await?;
        }
        Ok(())
    }

    async fn end_objects(
        &self,
        bucket: &BucketName,
        rules: &[Rule],
        prefix: String,
        done: &mut Done,
    ) -> Result<(), Error> {
        let (bucket, at) = (bucket.clone(), None);
        let mut request = ListRequest { bucket, prefix, delimiter: None, after: None, limit: PAGE, at };
        loop {
            let now_ms = patiently(|| self.store.time_ms()).await?;
            let page = patiently(|| self.store.list(request.clone())).await?;
            let ending = |object: &Listed| {
                let ends = |rule: &Rule| rule.ends(object.key.as_str(), object.length, object.time_ms);
                let due = rules.iter().filter(|rule| ends(rule).is_some_and(|end_ms| end_ms <= now_ms));
                let due: Vec<Rule> = due.cloned().collect();
                (!due.is_empty()).then(|| (object.key.clone(), object.version, due))
            };
            let ending: Vec<_> = page.objects.iter().filter_map(ending).collect();
            let bucket = &request.bucket;
            done.marked += self
                .paced(ending, |(key, version, due)| async move {
                    let place = Place { bucket: bucket.clone(), key };
                    self.end_object(&place, version, &due).await
                })
                .await?;
            match page.next {
                None => return Ok(()),
                after => request.after = after,
            }
        }
    }

    /// Whether it ended it.
    async fn end_object(&self, place: &Place, version: VersionId, due: &[Rule]) -> Result<bool, Error> {
        if due.iter().all(|rule| !rule.tags.is_empty()) {
            let about = tags_of(place, version);
            let tags = patiently(|| self.store.annotation(&about, None)).await?.unwrap_or_default();
            let tags = tagging::pairs(&tags).map_err(|_| Error::Damaged("tags do not decode".to_owned()))?;
            if !due.iter().any(|rule| rule.takes(&tags)) {
                return Ok(false);
            }
        }
        match patiently(|| self.store.delete(place, Condition::IfVersion(version))).await {
            Ok(_) => Ok(true),
            // Somebody else was faster, or put another version.
            Err(Error::PreconditionFailed | Error::Conflict | Error::NoSuchKey { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn abort_uploads(
        &self,
        bucket: &BucketName,
        rules: &[Rule],
        prefix: String,
        done: &mut Done,
    ) -> Result<(), Error> {
        let mut request = UploadsRequest { bucket: bucket.clone(), prefix, after: None, limit: PAGE };
        loop {
            let now_ms = patiently(|| self.store.time_ms()).await?;
            let page = patiently(|| self.store.list_uploads(request.clone())).await?;
            let after = page.uploads.last().map(|last| (last.place.key.to_string(), last.upload));
            let due = |upload: &Upload| {
                let aborts = |rule: &Rule| rule.aborts(upload.place.key.as_str(), upload.time_ms);
                rules.iter().filter_map(aborts).any(|end_ms| end_ms <= now_ms)
            };
            let ending = page.uploads.into_iter().filter(due).collect();
            done.aborted += self
                .paced(ending, |upload: Upload| async move {
                    match patiently(|| self.store.abort_upload(&upload.place, upload.upload)).await {
                        Ok(()) => Ok(true),
                        Err(Error::NoSuchUpload) => Ok(false),
                        Err(error) => Err(error),
                    }
                })
                .await?;
            if !page.more {
                return Ok(());
            }
            request.after = after;
        }
    }

    async fn remove_markers(
        &self,
        bucket: &BucketName,
        rules: &[Rule],
        prefix: String,
        done: &mut Done,
    ) -> Result<(), Error> {
        let mut request = VersionsRequest {
            bucket: bucket.clone(),
            prefix,
            exact: false,
            delimiter: None,
            after: None,
            limit: PAGE,
            hidden: false,
            at: None,
        };
        let mut alone = Alone::default();
        loop {
            let page = patiently(|| self.store.list_versions(request.clone())).await?;
            let ended = page.versions.iter().filter_map(|version| alone.next(version)).collect::<Vec<_>>();
            let last = if page.next.is_none() { alone.last() } else { None };
            let removed = ended.into_iter().chain(last);
            let removed =
                removed.filter(|(key, _)| rules.iter().any(|rule| rule.removes_marker(key.as_str())));
            let bucket = &request.bucket;
            done.removed += self
                .paced(removed.collect(), |(key, marker)| async move {
                    let (place, markers) = (Place { bucket: bucket.clone(), key }, [marker]);
                    let hidden = patiently(|| self.store.hide(&place, &markers, false)).await?;
                    Ok(!hidden.is_empty())
                })
                .await?;
            match page.next {
                None => return Ok(()),
                after @ Some(
                    VersionsAfter::Key(_) | VersionsAfter::Prefix(_) | VersionsAfter::Version(..),
                ) => {
                    request.after = after;
                }
            }
        }
    }

    /// Does what is to be done, few at a time and not too fast. How often `action` was true.
    async fn paced<T, F>(&self, actions: Vec<T>, action: impl Fn(T) -> F) -> Result<u64, Error>
    where
        F: Future<Output = Result<bool, Error>>,
    {
        let rate = f64::from(self.settings.actions_per_second.max(1));
        let (started, mut count) = (Instant::now(), 0);
        let mut outcomes = futures::stream::iter(actions).map(&action).buffer_unordered(AT_ONCE).enumerate();
        while let Some((at, outcome)) = outcomes.next().await {
            count += u64::from(outcome?);
            sleep_until(started + Duration::from_secs_f64((at + 1) as f64 / rate)).await;
        }
        Ok(count)
    }
}

/// Finds delete markers that are all that is listed of their keys.
#[derive(Default)]
struct Alone {
    /// The key met last, and its marker, if nothing else was met of it.
    met: Option<(ObjectKey, Option<VersionId>)>,
}

impl Alone {
    /// Takes the next version of a listing; gives the key before, when that was a marker alone.
    fn next(&mut self, version: &ListedVersion) -> Option<(ObjectKey, VersionId)> {
        if let Some((key, marker)) = &mut self.met
            && *key == version.key
        {
            *marker = None;
            return None;
        }
        let marker = (version.contents.is_none() && version.current).then_some(version.version);
        self.met.replace((version.key.clone(), marker)).and_then(|(key, marker)| Some((key, marker?)))
    }

    /// The same for the last key.
    fn last(&mut self) -> Option<(ObjectKey, VersionId)> {
        self.met.take().and_then(|(key, marker)| Some((key, marker?)))
    }
}

/// Tries again what failed because the network is busy or away.
async fn patiently<T, F>(attempt: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 1..TRIES_MAX {
        match attempt().await {
            Err(Error::Overloaded | Error::Unavailable(_) | Error::Unknown(_)) => sleep(PATIENCE).await,
            outcome => return outcome,
        }
    }
    attempt().await
}
