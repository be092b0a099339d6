//! Single calls of a vault: made, given up after a while, and recorded.

use super::{
    WorkloadPlan,
    gate::{Broken, Gate},
    now_ms,
};
use crate::history::{
    After, BytesSeen, Condition, ObjectSeen, Operation, Outcome, PageSeen, Phase, Recorder, Refusal, Seen,
    Span,
};
use bytes::Bytes;
use futures::StreamExt as _;
use proof::VersionId;
use std::{future::Future, ops::Range};
use vault::{Error, ListAfter, ListRequest, Listed, Metadata, Object, Page, Place, Vault, Written};

/// Bytes that a client gives to a writer at a time.
const PIECE: usize = 100_000;

/// How far an operation had got when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It changes nothing, or had not yet asked for any change.
    Preparing,
    /// It had asked for its change, or was about to.
    Submitting,
}

/// What a vault's error means, by its documentation. `Overloaded` says only that nothing is acknowledged: a transaction
/// that some nodes had room for may still be applied. `Unavailable` says that nothing was done.
pub(super) fn outcome_of(error: Error, stage: Stage) -> Outcome {
    let refused = match error {
        Error::NoSuchBucket => Refusal::NoSuchBucket,
        Error::BucketExists => Refusal::BucketExists,
        Error::NoSuchKey { marker } => Refusal::NoSuchKey { marker },
        Error::NoSuchVersion => Refusal::NoSuchVersion,
        Error::Marker { marker, time_ms } => Refusal::Marker { marker, time_ms },
        Error::NoSuchUpload => Refusal::NoSuchUpload,
        Error::InvalidPart { .. } => Refusal::InvalidPart,
        Error::PreconditionFailed => Refusal::PreconditionFailed,
        Error::Conflict => Refusal::Conflict,
        Error::NotYet => Refusal::NotYet,
        Error::Damaged(why) => return Outcome::Damaged(why),
        Error::Overloaded | Error::Unknown(_) if stage == Stage::Submitting => {
            return Outcome::Unknown(error.to_string());
        }
        Error::Overloaded
        | Error::Unknown(_)
        | Error::Unavailable(_)
        | Error::Full
        | Error::QuotaExceeded
        | Error::BucketNotEmpty
        | Error::InvalidPartOrder
        | Error::PartTooSmall { .. }
        | Error::TooLarge
        | Error::MetadataTooLarge
        | Error::NotLockable
        | Error::Locked(_)
        | Error::InvalidRetention
        | Error::NotAllowed(_) => return Outcome::Failed(error.to_string()),
    };
    Outcome::Refused(refused)
}

/// What one client's calls have in common.
pub(super) struct Caller<E: vault::Context> {
    pub context: E,
    pub plan: WorkloadPlan,
    pub recorder: Recorder,
    pub phase: Phase,
    pub client: u32,
}

impl<E: vault::Context> Caller<E> {
    /// What contents are derived from: the history's seed, which plans of several phases share.
    pub(super) fn content_seed(&self) -> u64 {
        self.recorder.with(|history| history.seed)
    }

    /// Makes a call through a gateway and records it. `work` is given the call's id; with the outcome it may give more
    /// to its caller.
    pub(super) async fn call<T, F>(
        &self,
        gate: &Gate<E>,
        operation: impl FnOnce(u64) -> Operation,
        work: impl FnOnce(u64) -> F,
    ) -> (Outcome, Option<T>)
    where
        T: Send + 'static,
        F: Future<Output = (Outcome, Option<T>)> + Send + 'static,
    {
        let mut is_read = false;
        let id = self.recorder.invoke(self.phase, (self.client, gate.number), now_ms(&self.context), |id| {
            let operation = operation(id);
            is_read = operation.is_read();
            operation
        });
        let lost = |why| (if is_read { Outcome::Failed(why) } else { Outcome::Unknown(why) }, None);
        let done = self.context.timeout(self.plan.give_up, gate.run(!is_read, work(id))).await;
        let (outcome, more) = match done {
            Ok(Ok(done)) => done,
            Ok(Err(Broken::Refused)) => (Outcome::Failed("the gateway is not there".into()), None),
            Ok(Err(Broken::Lost)) => lost("the gateway died".into()),
            Err(_) => lost(format!("given up after {:?}", self.plan.give_up)),
        };
        self.recorder.complete(id, now_ms(&self.context), outcome.clone());
        (outcome, more)
    }

    /// Reads a key's current object or a version, and gives it.
    pub(super) async fn read(
        &self,
        gate: &Gate<E>,
        key: &str,
        version: Option<VersionId>,
        span: Span,
    ) -> (Outcome, Option<Object>) {
        let vault = gate.vault();
        let place = self.plan.place(key);
        let operation = Operation::Read { key: key.to_owned(), version, span: span.clone() };
        let work = |_| async move {
            match read(vault, place, version, span).await {
                Ok((seen, object)) => (Outcome::Ok(Seen::Object(seen)), Some(object)),
                Err(error) => (outcome_of(error, Stage::Preparing), None),
            }
        };
        self.call(gate, |_| operation, work).await
    }

    /// Lists a page.
    pub(super) async fn list(
        &self,
        gate: &Gate<E>,
        (prefix, delimiter): (&str, Option<&str>),
        after: Option<After>,
        limit: usize,
        at: Option<u64>,
    ) -> Option<PageSeen> {
        let vault = gate.vault();
        let (prefix, delimiter) = (prefix.to_owned(), delimiter.map(str::to_owned));
        let request = ListRequest {
            bucket: self.plan.bucket.clone(),
            prefix: prefix.clone(),
            delimiter: delimiter.clone(),
            after: after.clone().map(|after| match after {
                After::Key(key) => ListAfter::Key(key),
                After::Prefix(prefix) => ListAfter::Prefix(prefix),
            }),
            limit,
            at,
        };
        let work = |_| async move {
            match vault.list(request).await.map(page_seen) {
                Ok(page) => (Outcome::Ok(Seen::Page(page.clone())), Some(page)),
                Err(error) => (outcome_of(error, Stage::Preparing), None),
            }
        };
        self.call(gate, |_| Operation::List { prefix, delimiter, after, limit, at }, work).await.1
    }
}

async fn read<E: vault::Context>(
    vault: Vault<E>,
    place: Place,
    version: Option<VersionId>,
    span: Span,
) -> Result<(ObjectSeen, Object), Error> {
    let object = vault.head(&place, version).await?;
    let seen = seen(&vault, &object, span).await?;
    Ok((seen, object))
}

/// What is seen of an object when so much of it is read.
pub(super) async fn seen<E: vault::Context>(
    vault: &Vault<E>,
    object: &Object,
    span: Span,
) -> Result<ObjectSeen, Error> {
    let bytes = match span {
        Span::Head => None,
        Span::Whole => Some(read_bytes(vault, object, 0..object.length).await?),
        Span::Range(range) => Some(read_bytes(vault, object, range).await?),
    };
    Ok(ObjectSeen {
        key: object.place.key.to_string(),
        version: object.version,
        time_ms: object.time_ms,
        length: object.length,
        write: write_of(&object.metadata),
        bytes,
    })
}

async fn read_bytes<E: vault::Context>(
    vault: &Vault<E>,
    object: &Object,
    range: Range<u64>,
) -> Result<BytesSeen, Error> {
    let mut reader = vault.read(object, range);
    // This is `content::hash`, of pieces.
    let (mut hasher, mut length) = (blake3::Hasher::new(), 0);
    while let Some(piece) = reader.next().await {
        let piece = piece?;
        hasher.update(&piece);
        length += piece.len() as u64;
    }
    Ok(BytesSeen { length, hash: *hasher.finalize().as_bytes() })
}

fn page_seen(page: Page) -> PageSeen {
    let object = |listed: Listed| ObjectSeen {
        key: listed.key.to_string(),
        version: listed.version,
        time_ms: listed.time_ms,
        length: listed.length,
        write: write_of(&listed.metadata),
        bytes: None,
    };
    PageSeen {
        objects: page.objects.into_iter().map(object).collect(),
        prefixes: page.prefixes,
        next: page.next.map(|next| match next {
            ListAfter::Key(key) => After::Key(key),
            ListAfter::Prefix(prefix) => After::Prefix(prefix),
        }),
    }
}

/// Metadata that name the call that wrote the version.
pub(super) fn metadata(call: u64) -> Metadata {
    Metadata { etag: format!("w{call}"), ..Metadata::default() }
}

pub(super) fn write_of(metadata: &Metadata) -> Option<u64> {
    metadata.etag.strip_prefix('w')?.parse().ok()
}

/// The vault's condition of this name.
pub(super) fn condition(condition: Condition) -> vault::Condition {
    match condition {
        Condition::None => vault::Condition::None,
        Condition::IfAbsent => vault::Condition::IfAbsent,
        Condition::IfVersion(version) => vault::Condition::IfVersion(version),
    }
}

/// What came of a write, and its version.
pub(super) fn written(result: Result<Written, Error>) -> (Outcome, Option<VersionId>) {
    match result {
        Ok(Written { version, time_ms, .. }) => {
            (Outcome::Ok(Seen::Written { version, time_ms }), Some(version))
        }
        Err(error) => (outcome_of(error, Stage::Submitting), None),
    }
}

/// What a client gives to a writer, piece by piece.
pub(super) fn pieces(bytes: Vec<u8>) -> impl Iterator<Item = Bytes> {
    let mut rest = Bytes::from(bytes);
    std::iter::from_fn(move || (!rest.is_empty()).then(|| rest.split_to(rest.len().min(PIECE))))
}
