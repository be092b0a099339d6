//! Multipart uploads by a client.
//!
//! The contents are those of the call that opens the upload; parts are ranges of it. Some parts are put twice, first with
//! other bytes; some uploads are aborted; a completion with an unknown outcome is asked for again.

use super::{
    attempt::{Caller, Stage, condition, metadata, outcome_of, pieces, written},
    client::Client,
    content, draw,
    gate::Gate,
};
use crate::history::{Condition, Content, Operation, Outcome, Refusal, Seen};
use proof::{UploadId, VersionId};
use rand::RngExt as _;
use std::ops::Range;
use vault::{Error, Metadata, PART_LENGTH_MIN};

/// Bytes of parts that are put twice, at most.
const DOUBLE_MAX: u64 = 64 << 10;

/// An open upload, as its client knows it.
#[derive(Clone)]
struct Open {
    key: String,
    upload: UploadId,
    content: Content,
}

impl<E: vault::Context, G: Fn() -> Gate<E> + Send + Sync> Client<E, G> {
    /// Uploads an object in one part, or in several.
    pub(super) async fn upload(&mut self, key: &str, large: bool) {
        let last = draw::length(&mut self.random, &self.caller.plan.sizes).min(200 << 10);
        let first = if large { PART_LENGTH_MIN + self.random.random_range(0..1000) } else { 0 };
        let length = first + last;
        let ranges = [0..first, first..length].into_iter().skip(usize::from(!large));
        let Some(open) = self.create_upload(key, length).await else { return };
        let mut parts = Vec::new();
        for (number, range) in (1..).zip(ranges) {
            if range.end - range.start <= DOUBLE_MAX && self.random.random_range(0..4) == 0 {
                // Other bytes, which are replaced.
                let other = 0..range.end - range.start;
                self.caller.put_part(&(self.gateway)(), &open, number, None, other).await;
            }
            let etag =
                self.caller.put_part(&(self.gateway)(), &open, number, Some(open.content), range).await;
            parts.extend(etag.map(|etag| (number, etag)));
        }
        let complete = parts.len() == if large { 2 } else { 1 };
        if !complete || self.random.random_range(0..5) == 0 {
            return self.caller.abort(&(self.gateway)(), &open).await;
        }
        let guard = self.condition(key);
        for _ in 0..2 {
            let (outcome, done) = self.caller.complete(&(self.gateway)(), &open, parts.clone(), guard).await;
            if let Some((version, write)) = done {
                self.remember_written(key, Some(version), write);
            }
            if !matches!(outcome, Outcome::Unknown(_) | Outcome::Refused(Refusal::Conflict)) {
                return;
            }
        }
    }

    async fn create_upload(&mut self, key: &str, length: u64) -> Option<Open> {
        let gate = (self.gateway)();
        let vault = gate.vault();
        let place = self.caller.plan.place(key);
        let work = |id| async move {
            match vault.create_upload(place, Metadata::default()).await {
                Ok(upload) => (Outcome::Ok(Seen::Upload(upload)), Some((upload, id))),
                Err(error) => (outcome_of(error, Stage::Submitting), None),
            }
        };
        let operation = |_| Operation::CreateUpload { key: key.to_owned() };
        let (upload, id) = self.caller.call(&gate, operation, work).await.1?;
        Some(Open { key: key.to_owned(), upload, content: Content { id, length } })
    }
}

impl<E: vault::Context> Caller<E> {
    /// Puts a range of `content`, or of contents of this call's own, as a part; gives its ETag if that is done.
    async fn put_part(
        &self,
        gate: &Gate<E>,
        open: &Open,
        number: u16,
        content: Option<Content>,
        range: Range<u64>,
    ) -> Option<String> {
        let vault = gate.vault();
        let (seed, place, upload) = (self.content_seed(), self.plan.place(&open.key), open.upload);
        let of = move |id, range: &Range<u64>| content.unwrap_or(Content { id, length: range.end });
        let (key, asked) = (open.key.clone(), range.clone());
        let operation =
            move |id| Operation::PutPart { key, upload, number, content: of(id, &asked), range: asked };
        let work = move |id| async move {
            let bytes = content::bytes(seed, of(id, &range).id, range);
            let taken = async {
                let mut writer = vault.put_part(&place, upload, number).await?;
                for piece in pieces(bytes) {
                    writer.write(piece).await?;
                }
                Ok::<_, Error>(writer)
            };
            let metadata = metadata(id);
            let etag = metadata.etag.clone();
            match taken.await {
                Err(error) => (outcome_of(error, Stage::Preparing), None),
                Ok(writer) => match writer.finish(metadata).await {
                    Ok(_) => (Outcome::Ok(Seen::Done), Some(etag)),
                    Err(error) => (outcome_of(error, Stage::Submitting), None),
                },
            }
        };
        self.call(gate, operation, work).await.1
    }

    /// Gives the version and the id of the call that wrote it, if that is done.
    async fn complete(
        &self,
        gate: &Gate<E>,
        open: &Open,
        parts: Vec<(u16, String)>,
        guard: Condition,
    ) -> (Outcome, Option<(VersionId, u64)>) {
        let vault = gate.vault();
        let Open { key, upload, content } = open.clone();
        let place = self.plan.place(&key);
        let work = move |id| async move {
            let completed =
                vault.complete_upload(&place, upload, parts, metadata(id), condition(guard)).await;
            let (outcome, version) = written(completed);
            (outcome, version.map(|version| (version, id)))
        };
        let operation = |_| Operation::CompleteUpload { key, upload, content, condition: guard };
        self.call(gate, operation, work).await
    }

    async fn abort(&self, gate: &Gate<E>, open: &Open) {
        let vault = gate.vault();
        let Open { key, upload, .. } = open.clone();
        let place = self.plan.place(&key);
        let work = move |_| async move {
            match vault.abort_upload(&place, upload).await {
                Ok(()) => (Outcome::Ok(Seen::Done), None::<()>),
                Err(error) => (outcome_of(error, Stage::Submitting), None),
            }
        };
        self.call(gate, |_| Operation::AbortUpload { key, upload }, work).await;
    }
}
