//! The index against a naive model: a list of everything that happened, filtered and sorted for each question.

use super::*;
use crate::protocol::{
    After, AfterVersion, BucketsQuery, KeyText, ObjectsQuery, PartsQuery, TenantPlace, UploadsQuery,
    VersionsQuery,
};
use ledger::Refusal;
use proof::{
    BucketName, Committee, Genesis, PublicKey, Signature, Transaction,
    transaction::{
        AbortUpload, CompleteUpload, CreateBucket, CreateUpload, DeleteBucket, HideVersion, PutMarker,
        PutPart, PutVersion, Succession, UndeleteBucket, UnhideVersion,
    },
    wire::Octets,
};
use proptest::{prelude::*, sample::Index as Choice};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

const TENANT: TenantId = TenantId([7; 16]);
const OTHER_TENANT: TenantId = TenantId([8; 16]);

fn genesis() -> Genesis {
    Genesis {
        name: Octets::default(),
        created_ms: 0,
        committee: Committee::new(0, vec![PublicKey([1; 32])]).unwrap(),
        approvers: List::default(),
        approvals_needed: 0,
        tenants: List::default(),
    }
}

fn bucket(number: u8) -> BucketName {
    // The second name begins with the first.
    ["abc", "abc-d", "xyz"][usize::from(number) % 3].parse().unwrap()
}

fn place(bucket_number: u8, key: &str) -> Place {
    Place { bucket: bucket(bucket_number), key: key.parse().unwrap() }
}

fn body(seed: u64) -> (Body, Vec<Bytes>) {
    let (sealed, payload) = (Bytes::from(format!("sealed {seed}")), Bytes::from(format!("payload {seed}")));
    let body = Body {
        ciphertext_length: payload.len() as u64,
        content: Digest([seed as u8; 32]),
        sealed: Attachment::of(&sealed),
        payload: Payload::Inline(Attachment::of(&payload)),
    };
    (body, vec![sealed, payload])
}

fn signed(nonce: u64, tenant: TenantId, operation: Operation, attachments: Vec<Bytes>) -> SignedTransaction {
    let transaction = Transaction {
        network: Digest::ZERO,
        tenant,
        signer: PublicKey([1; 32]),
        nonce: (u128::from(nonce)).to_be_bytes(),
        expires_ms: 0,
        preconditions: List::default(),
        operations: List::new(vec![operation]).unwrap(),
    };
    let attachments = attachments.into_iter().map(|bytes| Octets::new(bytes).unwrap()).collect();
    SignedTransaction {
        transaction,
        signature: Signature([0; 64]),
        attachments: List::new(attachments).unwrap(),
    }
}

/// What a random history does.
#[derive(Clone, Debug)]
enum Act {
    Create(u8),
    Delete(u8),
    Undelete(u8),
    /// Hide a version that is not, or show one that is.
    Toggle(Choice),
    Put(u8, String),
    Mark(u8, String),
    Open(u8, String),
    Part(Choice, u16),
    Complete(Choice),
    Abort(Choice),
    /// A refused put, which must leave no trace.
    Refused(u8, String),
    /// A put by another tenant, which must not show.
    Foreign(u8, String),
    /// The block ends here.
    Seal,
}

fn text() -> impl Strategy<Value = String> {
    let letter = prop_oneof![Just('a'), Just('b'), Just('/'), Just('\0'), Just('\u{1}'), Just('é')];
    prop::collection::vec(letter, 0..5).prop_map(|letters| letters.into_iter().collect())
}

fn key() -> impl Strategy<Value = String> {
    text().prop_map(|text| if text.is_empty() { "a".to_owned() } else { text })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => any::<u8>().prop_map(Act::Create),
        1 => any::<u8>().prop_map(Act::Delete),
        1 => any::<u8>().prop_map(Act::Undelete),
        10 => any::<Choice>().prop_map(Act::Toggle),
        12 => (0..3u8, key()).prop_map(|(bucket, key)| Act::Put(bucket, key)),
        4 => (0..3u8, key()).prop_map(|(bucket, key)| Act::Mark(bucket, key)),
        3 => (0..3u8, key()).prop_map(|(bucket, key)| Act::Open(bucket, key)),
        3 => (any::<Choice>(), 1..5u16).prop_map(|(upload, number)| Act::Part(upload, number)),
        1 => any::<Choice>().prop_map(Act::Complete),
        1 => any::<Choice>().prop_map(Act::Abort),
        1 => (0..3u8, key()).prop_map(|(bucket, key)| Act::Refused(bucket, key)),
        1 => (0..3u8, key()).prop_map(|(bucket, key)| Act::Foreign(bucket, key)),
        6 => Just(Act::Seal),
    ]
}

/// A turn in a bucket's life.
#[derive(Clone, Copy, PartialEq)]
enum Turned {
    Created,
    Deleted,
    Undeleted,
}

/// A line of a listing of versions: with whether it is current and whether hidden; or a common prefix.
type VersionLine = (String, Option<(VersionId, bool, bool)>);

/// All that happened, with the heights.
#[derive(Default)]
struct Model {
    /// (bucket, place in the chain, what happened there).
    buckets: Vec<(BucketName, VersionId, Turned)>,
    /// (place, version, whether it is an object).
    versions: Vec<(Place, VersionId, bool)>,
    /// (version, place in the chain, whether it is hidden from there on).
    hidden: Vec<(VersionId, VersionId, bool)>,
    /// (place, upload, opened).
    uploads: Vec<(Place, UploadId, VersionId)>,
    closed: BTreeMap<[u8; 16], u64>,
    parts: Vec<(UploadId, u16, VersionId)>,
}

impl Model {
    fn bucket_created(&self, name: &BucketName, height: u64) -> Option<VersionId> {
        let turns = self.buckets.iter().filter(|(of, at, _)| of == name && at.height <= height);
        let life = turns.fold((None, false), |(created, _), (_, at, turn)| match turn {
            Turned::Created => (Some(*at), true),
            Turned::Deleted => (created, false),
            Turned::Undeleted => (created, true),
        });
        life.0.filter(|_| life.1)
    }

    fn is_hidden(&self, version: VersionId, height: u64) -> bool {
        let mut changes = self.hidden.iter().filter(|(of, at, _)| *of == version && at.height <= height);
        changes.next_back().is_some_and(|(_, _, hidden)| *hidden)
    }

    /// The versions of a bucket's life, by key, newest first: with whether each is an object.
    fn versions(&self, bucket: &BucketName, height: u64) -> Option<BTreeMap<String, Vec<(VersionId, bool)>>> {
        let created = self.bucket_created(bucket, height)?;
        let mut versions = BTreeMap::<String, Vec<(VersionId, bool)>>::new();
        for (place, version, object) in self.versions.iter().rev() {
            if place.bucket == *bucket && version.height <= height && *version > created {
                versions.entry(place.key.to_string()).or_default().push((*version, *object));
            }
        }
        Some(versions)
    }

    /// The newest version of a key that is not hidden.
    fn current(&self, place: &Place, height: u64) -> Option<Option<(VersionId, bool)>> {
        let mut versions = self.versions(&place.bucket, height)?;
        let of_key = versions.remove(place.key.as_str()).unwrap_or_default();
        Some(of_key.into_iter().find(|(version, _)| !self.is_hidden(*version, height)))
    }

    fn buckets(&self, height: u64) -> Vec<(String, VersionId)> {
        let names: BTreeSet<&str> = self.buckets.iter().map(|(name, ..)| name.as_str()).collect();
        let lives =
            |name: &str| Some((name.to_owned(), self.bucket_created(&name.parse().unwrap(), height)?));
        names.into_iter().filter_map(lives).collect()
    }

    /// The current objects of a bucket, by key.
    fn objects(&self, bucket: &BucketName, height: u64) -> Option<BTreeMap<String, VersionId>> {
        let current = |(key, versions): (String, Vec<(VersionId, bool)>)| {
            let shown = versions.into_iter().find(|(version, _)| !self.is_hidden(*version, height));
            shown.filter(|(_, object)| *object).map(|(version, _)| (key, version))
        };
        Some(self.versions(bucket, height)?.into_iter().filter_map(current).collect())
    }

    fn uploads(&self, bucket: &BucketName, height: u64) -> Option<Vec<(String, UploadId)>> {
        let created = self.bucket_created(bucket, height)?;
        let open = |(place, upload, opened): &&(Place, UploadId, VersionId)| {
            place.bucket == *bucket
                && opened.height <= height
                && *opened >= created
                && self.closed.get(&upload.0).is_none_or(|closed| *closed > height)
        };
        let uploads = self.uploads.iter().filter(open);
        let mut uploads: Vec<_> =
            uploads.map(|(place, upload, _)| (place.key.to_string(), *upload)).collect();
        uploads.sort_by(|a, b| (&a.0, a.1.0).cmp(&(&b.0, b.1.0)));
        Some(uploads)
    }

    fn parts(&self, upload: UploadId, height: u64) -> BTreeMap<u16, VersionId> {
        let parts = self.parts.iter().filter(|(of, _, at)| *of == upload && at.height <= height);
        parts.map(|(_, number, version)| (*number, *version)).collect()
    }
}

/// A history in the making: blocks for the index, events for the model.
#[derive(Default)]
struct History {
    model: Model,
    blocks: Vec<(Vec<SignedTransaction>, Vec<u16>)>,
    block: (Vec<SignedTransaction>, Vec<u16>),
    nonce: u64,
}

impl History {
    fn of(acts: &[Act]) -> Self {
        let mut history = Self::default();
        for number in 0..2 {
            history.act(&Act::Create(number));
        }
        acts.iter().for_each(|act| history.act(act));
        history.seal();
        history
    }

    fn here(&self) -> VersionId {
        VersionId { height: self.blocks.len() as u64 + 1, index: self.block.0.len() as u32, operation: 0 }
    }

    fn seal(&mut self) {
        self.blocks.push(std::mem::take(&mut self.block));
    }

    fn push(&mut self, operation: Operation, attachments: Vec<Bytes>) {
        self.push_as(TENANT, operation, attachments, APPLIED);
    }

    fn push_as(&mut self, tenant: TenantId, operation: Operation, attachments: Vec<Bytes>, outcome: u16) {
        self.nonce += 1;
        self.block.0.push(signed(self.nonce, tenant, operation, attachments));
        self.block.1.push(outcome);
    }

    fn upload(&self, choice: &Choice) -> Option<(Place, UploadId)> {
        let open =
            |(_, upload, _): &&(Place, UploadId, VersionId)| !self.model.closed.contains_key(&upload.0);
        let open: Vec<_> = self.model.uploads.iter().filter(open).collect();
        (!open.is_empty()).then(|| choice.get(&open)).map(|(place, upload, _)| (place.clone(), *upload))
    }

    /// Hides or shows a version of a bucket's present life, as an honest gateway does.
    fn toggle(&mut self, choice: &Choice) {
        let (here, model) = (self.here(), &self.model);
        let alive = |(place, version, _): &&(Place, VersionId, bool)| {
            model.bucket_created(&place.bucket, here.height).is_some_and(|created| *version > created)
        };
        let versions: Vec<_> = model.versions.iter().filter(alive).collect();
        if versions.is_empty() {
            return;
        }
        let (place, version, _) = choice.get(&versions);
        let (place, version) = (place.clone(), *version);
        let head = |model: &Model| model.current(&place, here.height).expect("it lives").map(|(id, _)| id);
        let (before, hidden) = (head(model), model.is_hidden(version, here.height));
        self.model.hidden.push((version, here, !hidden));
        let after = head(&self.model);
        let succession =
            Succession { revision: 0, successor: List::new(after.into_iter().collect()).unwrap() };
        let current = before != after;
        self.push(
            if hidden {
                Operation::UnhideVersion(UnhideVersion { place, version, current })
            } else {
                let succession = List::new(Some(succession).filter(|_| current).into_iter().collect());
                Operation::HideVersion(HideVersion { place, version, succession: succession.unwrap() })
            },
            vec![],
        );
    }

    fn act(&mut self, act: &Act) {
        let here = self.here();
        let (body, attachments) = body(self.nonce);
        match act {
            Act::Create(number) => {
                self.model.buckets.push((bucket(*number), here, Turned::Created));
                self.push(Operation::CreateBucket(CreateBucket { bucket: bucket(*number) }), vec![]);
            }
            Act::Delete(number) => {
                self.model.buckets.push((bucket(*number), here, Turned::Deleted));
                self.push(Operation::DeleteBucket(DeleteBucket { bucket: bucket(*number) }), vec![]);
            }
            Act::Undelete(number) => {
                let bucket = bucket(*number);
                let turns = &self.model.buckets;
                let existed = turns.iter().any(|(of, _, turn)| *of == bucket && *turn == Turned::Created);
                if existed && self.model.bucket_created(&bucket, here.height).is_none() {
                    self.model.buckets.push((bucket.clone(), here, Turned::Undeleted));
                    self.push(Operation::UndeleteBucket(UndeleteBucket { bucket }), vec![]);
                }
            }
            Act::Toggle(choice) => self.toggle(choice),
            Act::Put(number, key) => {
                let place = place(*number, key);
                self.model.versions.push((place.clone(), here, true));
                self.push(Operation::PutVersion(PutVersion { place, body }), attachments);
            }
            Act::Mark(number, key) => {
                let place = place(*number, key);
                self.model.versions.push((place.clone(), here, false));
                self.push(Operation::PutMarker(PutMarker { place }), vec![]);
            }
            Act::Refused(number, key) => {
                let put = PutVersion { place: place(*number, key), body };
                let outcome = Refusal::NoSuchBucket.code();
                self.push_as(TENANT, Operation::PutVersion(put), attachments, outcome);
            }
            Act::Foreign(number, key) => {
                let put = PutVersion { place: place(*number, key), body };
                self.push_as(OTHER_TENANT, Operation::PutVersion(put), attachments, APPLIED);
            }
            Act::Open(number, key) => {
                let (place, upload) =
                    (place(*number, key), UploadId((!u128::from(self.nonce)).to_be_bytes()));
                self.model.uploads.push((place.clone(), upload, here));
                let operation = CreateUpload { upload, place, sealed: body.sealed };
                self.push(Operation::CreateUpload(operation), attachments[..1].to_vec());
            }
            Act::Part(choice, number) => {
                let Some((_, upload)) = self.upload(choice) else { return };
                self.model.parts.push((upload, *number, here));
                let operation = PutPart { upload, number: *number, body };
                self.push(Operation::PutPart(operation), attachments);
            }
            Act::Complete(choice) => {
                let Some((place, upload)) = self.upload(choice) else { return };
                self.model.closed.insert(upload.0, here.height);
                self.model.versions.push((place.clone(), here, true));
                self.push(Operation::CompleteUpload(CompleteUpload { upload, place, body }), attachments);
            }
            Act::Abort(choice) => {
                let Some((_, upload)) = self.upload(choice) else { return };
                self.model.closed.insert(upload.0, here.height);
                self.push(Operation::AbortUpload(AbortUpload { upload }), vec![]);
            }
            Act::Seal => self.seal(),
        }
    }

    fn apply_to<S: Store>(&self, index: &Index<S>) {
        self.apply_until(index, u64::MAX);
    }

    fn apply_until<S: Store>(&self, index: &Index<S>, last: u64) {
        let genesis = genesis();
        for (height, (transactions, outcomes)) in (1..=last).zip(&self.blocks) {
            let block = BlockContext { genesis: &genesis, network: Digest::ZERO, height, time_ms: height };
            index.apply(&block, transactions, outcomes).unwrap();
        }
    }
}

fn key_or_text(text: &str) -> KeyText {
    KeyText::new(text.as_bytes().to_vec()).unwrap()
}

/// A question about objects.
#[derive(Clone, Debug)]
struct Question {
    bucket: u8,
    prefix: String,
    delimiter: String,
    after: String,
    limit: u16,
    height: usize,
    /// How far beyond the height there is work that counts.
    ahead: u64,
    examined_max: usize,
}

impl Question {
    fn bounds<S: Store>(&self, index: &Index<S>, height: u64) -> Bounds {
        let tip = (height + self.ahead).min(index.height());
        Bounds { height, tip, examined_max: self.examined_max }
    }
}

/// As pages are read of what is current.
fn now<S: Store>(index: &Index<S>) -> Bounds {
    Bounds { height: index.height(), tip: index.height(), examined_max: EXAMINED_MAX }
}

fn question() -> impl Strategy<Value = Question> {
    let prefix = prop_oneof![2 => Just(String::new()), 2 => text()];
    let delimiter =
        prop_oneof![2 => Just(""), 4 => Just("/"), 1 => Just("a"), 1 => Just("//"), 1 => Just("\0")];
    let after = prop_oneof![2 => Just(String::new()), 1 => text()];
    let bounds = (0..4u64, 2..12usize);
    (0..3u8, prefix, delimiter, after, 1..6u16, any::<usize>(), bounds).prop_map(
        |(bucket, prefix, delimiter, after, limit, height, (ahead, examined_max))| Question {
            bucket,
            prefix,
            delimiter: delimiter.to_owned(),
            after,
            limit,
            height,
            ahead,
            examined_max,
        },
    )
}

/// One line of a listing: an object with its version, or a common prefix.
type Line = (String, Option<VersionId>);

/// The whole listing by the book, as S3 words it.
fn expected(objects: &BTreeMap<String, VersionId>, question: &Question) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (key, version) in objects {
        if !key.starts_with(&question.prefix) || (!question.after.is_empty() && *key <= question.after) {
            continue;
        }
        let rest = &key[question.prefix.len()..];
        let rolled = rest.find(&question.delimiter).filter(|_| !question.delimiter.is_empty());
        let line = match rolled {
            Some(at) => (key[..question.prefix.len() + at + question.delimiter.len()].to_owned(), None),
            None => (key.clone(), Some(*version)),
        };
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Reads a listing page by page.
fn listed<S: Store>(index: &Index<S>, question: &Question, bounds: Bounds) -> Option<Vec<Line>> {
    let mut query = ObjectsQuery {
        tenant: TENANT,
        bucket: bucket(question.bucket),
        prefix: key_or_text(&question.prefix),
        delimiter: key_or_text(&question.delimiter),
        after: if question.after.is_empty() {
            After::Start
        } else {
            After::Key(key_or_text(&question.after))
        },
        limit: question.limit,
    };
    let mut lines = Vec::new();
    loop {
        let page = match index.page_within(&Listing::Objects(query.clone()), bounds).unwrap() {
            Page::NoSuch => return None,
            Page::Objects(page) => page,
            other => panic!("{other:?}"),
        };
        let text = |key: &KeyText| String::from_utf8(key.to_vec()).unwrap();
        let mut of_page: Vec<Line> = page.prefixes.iter().map(|prefix| (text(prefix), None)).collect();
        for object in page.objects.iter() {
            let named = index.version(&TENANT, &object.entry.place, &object.entry.version).unwrap().unwrap();
            assert_eq!((&named.entry, named.sealed.first()), (&object.entry, Some(&object.sealed)));
            assert_eq!(Attachment::of(&object.sealed), object.entry.body().unwrap().sealed);
            assert_eq!(Attachment::of(&named.payload[0]), *payload(object.entry.body().unwrap()));
            of_page.push((object.entry.place.key.to_string(), Some(object.entry.version)));
        }
        of_page.sort();
        assert!(of_page.len() <= usize::from(question.limit).min(bounds.examined_max));
        lines.extend(of_page);
        match page.next.first() {
            Some(next) => query.after = next.clone(),
            None => return Some(lines),
        }
    }
}

/// A node that has got as far as the tip gives the same pages as one that has got further.
fn check_agreement<S: Store>(index: &Index<S>, history: &History, question: &Question, height: u64) {
    let bounds = question.bounds(index, height);
    let behind = Index::open(Memory::default()).unwrap();
    history.apply_until(&behind, bounds.tip);
    let (tenant, bucket, prefix) = (TENANT, bucket(question.bucket), key_or_text(&question.prefix));
    let (limit, delimiter) = (question.limit, key_or_text(&question.delimiter));
    for listing in [
        Listing::Objects(ObjectsQuery {
            tenant,
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            delimiter: delimiter.clone(),
            after: After::Start,
            limit,
        }),
        Listing::Versions(VersionsQuery {
            tenant,
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            delimiter,
            after: AfterVersion::Start,
            limit,
            hidden: false,
            exact: false,
        }),
        Listing::Uploads(UploadsQuery { tenant, bucket, prefix, after: List::default(), limit }),
    ] {
        let pages = [index.page_within(&listing, bounds), behind.page_within(&listing, bounds)];
        let [ahead, behind] = pages.map(Result::unwrap);
        assert_eq!(ahead, behind, "{listing:?} {bounds:?}");
    }
}

fn check_objects<S: Store>(index: &Index<S>, history: &History, questions: &[Question]) {
    for question in questions {
        let height = (question.height % (history.blocks.len() + 1)) as u64;
        let objects = history.model.objects(&bucket(question.bucket), height);
        let expected = objects.map(|objects| expected(&objects, question));
        let bounds = question.bounds(index, height);
        assert_eq!(listed(index, question, bounds), expected, "{question:?} at {height}");
    }
}

/// The whole listing of versions by the book.
fn expected_versions(model: &Model, question: &Question, height: u64, all: bool) -> Option<Vec<VersionLine>> {
    let mut lines: Vec<VersionLine> = Vec::new();
    for (key, versions) in model.versions(&bucket(question.bucket), height)? {
        if !key.starts_with(&question.prefix) || (!question.after.is_empty() && key <= question.after) {
            continue;
        }
        let shown = |version: &VersionId| !model.is_hidden(*version, height);
        let current = versions.iter().map(|(version, _)| *version).find(shown);
        let rest = &key[question.prefix.len()..];
        let rolled = rest.find(&question.delimiter).filter(|_| !question.delimiter.is_empty());
        for (version, _) in versions.iter().filter(|(version, _)| all || shown(version)) {
            let line = match rolled {
                Some(at) => (key[..question.prefix.len() + at + question.delimiter.len()].to_owned(), None),
                None => (key.clone(), Some((*version, current == Some(*version), !shown(version)))),
            };
            if line.1.is_some() || lines.last() != Some(&line) {
                lines.push(line);
            }
        }
    }
    Some(lines)
}

/// Reads a listing of versions page by page.
fn listed_versions<S: Store>(
    index: &Index<S>,
    question: &Question,
    bounds: Bounds,
    hidden: bool,
) -> Option<Vec<VersionLine>> {
    let mut query = VersionsQuery {
        tenant: TENANT,
        bucket: bucket(question.bucket),
        prefix: key_or_text(&question.prefix),
        delimiter: key_or_text(&question.delimiter),
        after: match question.after.as_str() {
            "" => AfterVersion::Start,
            text => AfterVersion::Key(key_or_text(text)),
        },
        limit: question.limit,
        hidden,
        exact: false,
    };
    let mut lines = Vec::new();
    loop {
        let page = match index.page_within(&Listing::Versions(query.clone()), bounds).unwrap() {
            Page::NoSuch => return None,
            Page::Versions(page) => page,
            other => panic!("{other:?}"),
        };
        let text = |key: &KeyText| String::from_utf8(key.to_vec()).unwrap();
        let mut of_page: Vec<VersionLine> = page.prefixes.iter().map(|prefix| (text(prefix), None)).collect();
        for version in page.versions.iter() {
            let VersionEntry { place, version: id, .. } = &version.entry;
            let named = index.version(&TENANT, place, id).unwrap().unwrap();
            assert_eq!((&named.entry, &named.sealed), (&version.entry, &version.sealed));
            let flags = (*id, version.current, !version.hidden.is_empty());
            of_page.push((place.key.to_string(), Some(flags)));
        }
        // Stable: the versions of a key stay newest first.
        of_page.sort_by(|a, b| a.0.cmp(&b.0));
        assert!(of_page.len() <= usize::from(question.limit));
        lines.extend(of_page);
        match page.next.first() {
            Some(AfterVersion::Key(key)) => panic!("a client may take {key:?} for a common prefix"),
            Some(next) => query.after = next.clone(),
            None => return Some(lines),
        }
    }
}

fn check_versions<S: Store>(index: &Index<S>, model: &Model, question: &Question, height: u64) {
    for all in [false, true] {
        let expected = expected_versions(model, question, height, all);
        let bounds = question.bounds(index, height);
        assert_eq!(listed_versions(index, question, bounds, all), expected, "{question:?} at {height}");
    }
    for (place, ..) in &model.versions {
        let of = TenantPlace { tenant: TENANT, place: place.clone() };
        let expected = match model.current(place, height) {
            None => Page::NoSuch,
            Some(current) => {
                Page::Current(List::new(current.map(|(version, _)| version).into_iter().collect()).unwrap())
            }
        };
        assert_eq!(
            index.page(&Listing::Current(of), height, height).unwrap(),
            expected,
            "{place:?} at {height}"
        );
    }
}

/// In this model the time of a block is its height.
fn check_moments<S: Store>(index: &Index<S>, history: &History, time_ms: u64, height: u64) {
    let filled = |at: &u64| !history.blocks[*at as usize - 1].0.is_empty();
    let expected = (1..=time_ms.min(height)).rev().find(filled);
    let Page::Moment(moment) = index.page(&Listing::Moment(time_ms), height, height).unwrap() else {
        panic!()
    };
    assert_eq!(moment.first().map(|moment| (moment.height, moment.time_ms)), expected.map(|at| (at, at)));
}

fn check_buckets<S: Store>(index: &Index<S>, model: &Model, height: u64) {
    let mut query = BucketsQuery { tenant: TENANT, after: Octets::default(), limit: 1 };
    let mut listed = Vec::new();
    loop {
        let Page::Buckets(page) = index.page(&Listing::Buckets(query.clone()), height, height).unwrap()
        else {
            panic!()
        };
        listed.extend(page.buckets.iter().map(|listed| (listed.bucket.to_string(), listed.created)));
        let Some((last, _)) = listed.last().filter(|_| page.more) else { break };
        query.after = Octets::new(last.clone().into_bytes()).unwrap();
    }
    assert_eq!(listed, model.buckets(height));
}

fn check_uploads<S: Store>(index: &Index<S>, model: &Model, question: &Question, height: u64) {
    let (prefix, bounds) = (&question.prefix, question.bounds(index, height));
    let mut query = UploadsQuery {
        tenant: TENANT,
        bucket: bucket(question.bucket),
        prefix: key_or_text(prefix),
        after: List::default(),
        limit: 2,
    };
    let mut listed: Vec<(String, UploadId)> = Vec::new();
    let expected = model.uploads(&query.bucket, height);
    loop {
        let page = match index.page_within(&Listing::Uploads(query.clone()), bounds).unwrap() {
            Page::NoSuch => return assert_eq!(expected, None),
            Page::Uploads(page) => page,
            other => panic!("{other:?}"),
        };
        for NamedUpload { entry, sealed } in page.uploads.iter() {
            assert_eq!(Attachment::of(sealed), entry.sealed);
            listed.push((entry.place.key.to_string(), entry.upload));
        }
        if page.next.is_empty() {
            break;
        }
        query.after = page.next;
    }
    let within = |uploads: Vec<(String, UploadId)>| {
        uploads.into_iter().filter(|(key, _)| key.starts_with(prefix.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(Some(listed), expected.map(within));
}

fn check_parts<S: Store>(index: &Index<S>, model: &Model, upload: UploadId, height: u64) {
    let mut query = PartsQuery { tenant: TENANT, upload, after: 0, limit: 2, payloads: true };
    let mut listed = BTreeMap::new();
    loop {
        let Page::Parts(page) = index.page(&Listing::Parts(query.clone()), height, height).unwrap() else {
            panic!()
        };
        for part in page.parts.iter() {
            assert_eq!(Attachment::of(&part.payload[0]), *payload(&part.entry.body));
            listed.insert(part.entry.number, part.entry.version);
        }
        let Some((last, _)) = listed.last_key_value().filter(|_| page.more) else { break };
        query.after = *last;
    }
    assert_eq!(listed, model.parts(upload, height));
}

fn check<S: Store>(store: S, acts: &[Act], questions: &[Question]) {
    let history = History::of(acts);
    let index = Index::open(store.clone()).unwrap();
    history.apply_to(&index);
    // Once more: every block is known.
    history.apply_to(&index);
    assert_eq!(Index::open(store).unwrap().height(), history.blocks.len() as u64);
    check_objects(&index, &history, questions);
    for question in questions {
        let height = (question.height % (history.blocks.len() + 1)) as u64;
        check_agreement(&index, &history, question, height);
        check_buckets(&index, &history.model, height);
        check_versions(&index, &history.model, question, height);
        check_moments(&index, &history, u64::from(question.limit) * 3, height);
        check_uploads(&index, &history.model, question, height);
        // Closed ones too.
        let opened = history.model.uploads.iter().filter(|(_, _, opened)| opened.height <= height);
        opened.for_each(|(_, upload, _)| check_parts(&index, &history.model, *upload, height));
    }
    for (height, (transactions, outcomes)) in (1..).zip(&history.blocks) {
        for (place, (signed, outcome)) in (0..).zip(transactions.iter().zip(outcomes)) {
            let row = TransactionRow { height, index: place, outcome: *outcome };
            assert_eq!(index.transaction(&signed.transaction.id()).unwrap(), Some(row));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn memory_lists_as_the_model_does(
        acts in prop::collection::vec(act(), 0..80),
        questions in prop::collection::vec(question(), 1..8),
    ) {
        check(Memory::default(), &acts, &questions);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn disk_lists_as_the_model_does(
        acts in prop::collection::vec(act(), 0..80),
        questions in prop::collection::vec(question(), 1..8),
    ) {
        let directory = tempfile::tempdir().unwrap();
        check(Disk::open(directory.path(), 1 << 20).unwrap(), &acts, &questions);
    }
}

#[test]
fn a_gap_is_refused_and_a_repetition_ignored() {
    let genesis = genesis();
    let index = Index::open(Memory::default()).unwrap();
    let block = |height| BlockContext { genesis: &genesis, network: Digest::ZERO, height, time_ms: 0 };
    assert!(matches!(index.apply(&block(2), &[], &[]), Err(ApplyError::Gap { height: 0, block: 2 })));
    index.apply(&block(1), &[], &[]).unwrap();
    index.apply(&block(1), &[], &[]).unwrap();
    assert_eq!(index.height(), 1);
}

/// Counts the rows that it shows.
#[derive(Clone)]
pub(super) struct Counting(Memory, Arc<AtomicUsize>);

impl Counting {
    pub(super) fn over(memory: Memory) -> Self {
        Self(memory, Arc::default())
    }

    /// The rows shown since this was asked before.
    pub(super) fn count(&self) -> usize {
        self.1.swap(0, Ordering::Relaxed)
    }
}

impl Store for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.0.get(key)
    }
    fn scan(&self, from: &[u8], until: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.0.scan(from, until, &mut |key, value| {
            self.1.fetch_add(1, Ordering::Relaxed);
            visit(key, value)
        })
    }
    fn commit(&self, rows: Vec<(Vec<u8>, Bytes)>) -> Result<(), StoreError> {
        self.0.commit(rows)
    }
}

/// Seeks, not scans: a listing of many keys under few prefixes must not look at them all.
#[test]
fn common_prefixes_are_leapt_over() {
    let mut acts = Vec::new();
    for prefix in 0..20 {
        acts.extend((0..200).map(|key| Act::Put(0, format!("{prefix:02}/{key:03}"))));
        acts.push(Act::Seal);
    }
    // Many versions of one key are leapt over too.
    acts.extend((0..500).map(|_| Act::Put(0, "00/000".to_owned())));
    let history = History::of(&acts);
    let store = Counting::over(Memory::default());
    let index = Index::open(store.clone()).unwrap();
    history.apply_to(&index);
    let question = |delimiter: &str| Question {
        bucket: 0,
        prefix: String::new(),
        delimiter: delimiter.to_owned(),
        after: String::new(),
        limit: 1000,
        height: 1,
        ahead: 0,
        examined_max: EXAMINED_MAX,
    };
    let bounds = now(&index);
    store.count();
    assert_eq!(listed(&index, &question("/"), bounds).unwrap().len(), 20);
    assert!(store.count() < 100);
    assert_eq!(listed(&index, &question(""), bounds).unwrap().len(), 4000);
    assert!(store.count() < 4100);
}

/// What is newer than a page, hidden or closed is not listed, but it is work.
#[test]
fn the_work_of_a_page_is_bounded() {
    const MANY: u64 = 50_000;
    let mut history = History::of(&[]);
    let early = history.blocks.len() as u64;
    for at in 0..MANY {
        history.act(&Act::Put(0, format!("newer/{at:05}")));
        history.act(&Act::Open(1, format!("closed/{at:05}")));
        let (_, upload, opened) = history.model.uploads.last().unwrap().clone();
        assert_eq!(opened, VersionId { operation: 0, ..opened });
        history.push(Operation::AbortUpload(AbortUpload { upload }), vec![]);
        if at % 1000 == 999 {
            history.seal();
        }
    }
    history.act(&Act::Open(1, "open".to_owned()));
    history.seal();
    let store = Counting::over(Memory::default());
    let index = Index::open(store.clone()).unwrap();
    history.apply_to(&index);
    let (tip, nothing) = (index.height(), KeyText::default());
    let objects = |after| {
        Listing::Objects(ObjectsQuery {
            tenant: TENANT,
            bucket: bucket(0),
            prefix: nothing.clone(),
            delimiter: nothing.clone(),
            after,
            limit: 1000,
        })
    };
    let versions = |after| {
        Listing::Versions(VersionsQuery {
            tenant: TENANT,
            bucket: bucket(0),
            prefix: nothing.clone(),
            delimiter: nothing.clone(),
            after,
            limit: 1000,
            hidden: true,
            exact: false,
        })
    };
    let uploads = |after| {
        let (tenant, bucket, prefix) = (TENANT, bucket(1), nothing.clone());
        Listing::Uploads(UploadsQuery { tenant, bucket, prefix, after, limit: 1000 })
    };
    store.count();
    let page = |listing: &Listing, height| {
        let page = index.page(listing, height, tip).unwrap();
        let count = store.count();
        assert!(count <= EXAMINED_MAX + 10, "{count} rows");
        page
    };
    let (mut pages, mut after) = (0, After::Start);
    while let Page::Objects(of) = page(&objects(after), early) {
        pages += 1;
        assert!(of.objects.is_empty() && of.prefixes.is_empty());
        let Some(next) = of.next.first() else { break };
        after = next.clone();
    }
    assert_eq!(pages, 5);
    let (mut pages, mut after) = (0, AfterVersion::Start);
    while let Page::Versions(of) = page(&versions(after), early) {
        pages += 1;
        assert!(of.versions.is_empty());
        let Some(next) = of.next.first() else { break };
        after = next.clone();
    }
    assert_eq!(pages, 5);
    for (height, open) in [(early, 0), (tip, 1)] {
        let (mut pages, mut after, mut found) = (0, List::default(), 0);
        while let Page::Uploads(of) = page(&uploads(after), height) {
            pages += 1;
            found += of.uploads.len();
            if of.next.is_empty() {
                break;
            }
            after = of.next;
        }
        assert_eq!((pages, found), (6, open));
    }
}
