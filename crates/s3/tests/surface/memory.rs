//! A store in memory: the vault's contract, without nodes.

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use proof::{
    BucketName, Digest, ObjectKey, UploadId, VersionId, limits::RETENTION_MS_MAX, wire::Encode as _,
};
use s3::{ObjectWriter, PartWriter, Sink, Store, StoredObject};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};
use vault::{
    About, Bucket, Condition, DefaultRetention, Deleted, Error, HiddenVersion, ListAfter, ListRequest,
    Listed, ListedVersion, Metadata, Mode, Moment, Page, Part, PartsPage, Place, Retention, Settings, Upload,
    UploadsPage, UploadsRequest, VersionLock, VersionsAfter, VersionsPage, VersionsRequest, Written,
};

/// Block time of the first write.
const START_MS: u64 = 1_790_000_000_000;

#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<State>>);

/// From a height on: a document, or none.
type Said = (u64, Option<Vec<u8>>);

/// A place, ordered.
type Slot = (BucketName, ObjectKey);

fn slot(place: &Place) -> Slot {
    (place.bucket.clone(), place.key.clone())
}

#[derive(Default)]
struct State {
    height: u64,
    buckets: BTreeMap<BucketName, u64>,
    /// Heights at which buckets were created.
    born: BTreeMap<BucketName, u64>,
    versions: BTreeMap<Slot, Vec<Kept>>,
    /// Heights at which versions were hidden or shown.
    hidden: BTreeMap<VersionId, Vec<(u64, bool)>>,
    uploads: BTreeMap<UploadId, Open>,
    /// Buckets with object lock.
    lockable: BTreeMap<BucketName, Option<DefaultRetention>>,
    locks: BTreeMap<VersionId, VersionLock>,
    /// Documents by the heights from which on they are.
    annotations: BTreeMap<Bytes, Vec<Said>>,
    completed: BTreeMap<UploadId, VersionId>,
    failure: Option<Error>,
    /// How much later it is than the newest write.
    later_ms: u64,
    /// Reads wait for this to be released.
    gate: Option<Arc<tokio::sync::Semaphore>>,
}

#[derive(Clone)]
enum Kept {
    Object(Box<Object>),
    Marker(VersionId, u64),
}

#[derive(Clone)]
pub(crate) struct Object {
    version: VersionId,
    time_ms: u64,
    contents: Bytes,
    metadata: Metadata,
    parts: Vec<Part>,
}

struct Open {
    upload: Upload,
    parts: BTreeMap<u16, (Part, Bytes)>,
}

impl Kept {
    fn version(&self) -> VersionId {
        match self {
            Self::Object(object) => object.version,
            Self::Marker(marker, _) => *marker,
        }
    }
}

impl Memory {
    /// Lets every operation fail from now on.
    pub(crate) fn fail(&self, error: Option<Error>) {
        self.state().failure = error;
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time_ms: u64) {
        self.state().later_ms += time_ms;
    }

    /// Lets reads of contents wait until the semaphore gives permits.
    pub(crate) fn gate(&self, gate: Option<Arc<tokio::sync::Semaphore>>) {
        self.state().gate = gate;
    }

    /// Versions and markers of all keys.
    pub(crate) fn version_count(&self) -> usize {
        self.state().versions.values().map(Vec::len).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while holding it")
    }

    fn ready(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state();
        match &state.failure {
            Some(error) => Err(error.clone()),
            None => Ok(state),
        }
    }
}

impl State {
    fn next(&mut self) -> (VersionId, u64) {
        self.height += 1;
        let time_ms = START_MS + self.height * 1000 + self.later_ms;
        (VersionId { height: self.height, index: 0, operation: 0 }, time_ms)
    }

    /// Whether the bucket was there. Its life begins when it was first created.
    fn bucket_at(&self, bucket: &BucketName, height: u64) -> Result<(), Error> {
        let born = self.born.get(bucket).ok_or(Error::NoSuchBucket)?;
        if *born <= height { Ok(()) } else { Err(Error::NoSuchBucket) }
    }

    fn bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        self.buckets.get(bucket).map(|_| ()).ok_or(Error::NoSuchBucket)
    }

    fn is_hidden(&self, version: VersionId, height: u64) -> bool {
        let changes = self.hidden.get(&version).into_iter().flatten();
        changes.rev().find(|(at, _)| *at <= height).is_some_and(|(_, hidden)| *hidden)
    }

    /// What of a key's versions was there and not hidden at a height, newest first.
    fn shown<'a>(&'a self, slot: &Slot, height: u64) -> impl Iterator<Item = &'a Kept> {
        let versions = self.versions.get(slot).into_iter().flat_map(|versions| versions.iter().rev());
        versions
            .filter(move |kept| kept.version().height <= height && !self.is_hidden(kept.version(), height))
    }

    fn current(&self, place: &Place) -> Result<&Object, Error> {
        match self.shown(&slot(place), u64::MAX).next() {
            None => Err(Error::NoSuchKey { marker: None }),
            Some(Kept::Marker(marker, _)) => Err(Error::NoSuchKey { marker: Some(*marker) }),
            Some(Kept::Object(object)) => Ok(object),
        }
    }

    fn check(&self, place: &Place, condition: Condition) -> Result<(), Error> {
        self.bucket(&place.bucket)?;
        let current = self.current(place).ok().map(|object| object.version);
        let holds = match condition {
            Condition::None => true,
            Condition::IfAbsent => current.is_none(),
            Condition::IfVersion(version) => current == Some(version),
            Condition::IfPresent => current.is_some(),
        };
        if holds { Ok(()) } else { Err(Error::PreconditionFailed) }
    }

    fn add(
        &mut self,
        place: &Place,
        contents: Bytes,
        metadata: Metadata,
        parts: Vec<Part>,
        settings: Settings,
    ) -> Result<Written, Error> {
        let default = self.lockable.get(&place.bucket);
        if default.is_none() && (settings.retention.is_some() || settings.hold) {
            return Err(Error::NotLockable);
        }
        let default = default.cloned().flatten();
        let (version, time_ms) = self.next();
        let default = default
            .map(|default| Retention { mode: default.mode, until_ms: time_ms + default.period.as_ms() });
        let lock = VersionLock { retention: settings.retention.or(default), hold: settings.hold };
        self.locks.insert(version, lock);
        if let Some(tags) = settings.tags {
            let about = vault::tags_of(place, version).encode();
            self.annotations.entry(about).or_default().push((self.height, Some(tags)));
        }
        let object = Object { version, time_ms, contents, metadata, parts };
        self.versions.entry(slot(place)).or_default().push(Kept::Object(Box::new(object)));
        Ok(Written { version, time_ms, transaction: Digest([0; 32]) })
    }

    /// Whether the version is locked now; a bypass counts for governance mode.
    fn is_locked(&self, version: VersionId, bypass: bool) -> bool {
        let Some(lock) = self.locks.get(&version) else { return false };
        let now = START_MS + self.height * 1000;
        let active = lock.retention.as_ref().filter(|retention| retention.until_ms > now);
        lock.hold || active.is_some_and(|retention| !bypass || retention.mode == Mode::Compliance)
    }

    fn open(&mut self, place: &Place, upload: UploadId) -> Result<&mut Open, Error> {
        self.uploads.get_mut(&upload).filter(|open| open.upload.place == *place).ok_or(Error::NoSuchUpload)
    }
}

impl StoredObject for Object {
    fn version(&self) -> VersionId {
        self.version
    }

    fn time_ms(&self) -> u64 {
        self.time_ms
    }

    fn length(&self) -> u64 {
        self.contents.len() as u64
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

pub(crate) struct Writer {
    memory: Memory,
    place: Place,
    contents: Vec<u8>,
}

impl Sink for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.contents.extend_from_slice(&bytes);
        Ok(())
    }
}

impl ObjectWriter for Writer {
    async fn finish(
        self,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> Result<Written, Error> {
        let mut state = self.memory.ready()?;
        state.check(&self.place, condition)?;
        state.add(&self.place, self.contents.into(), metadata, Vec::new(), settings)
    }
}

pub(crate) struct Piece {
    memory: Memory,
    place: Place,
    upload: UploadId,
    number: u16,
    contents: Vec<u8>,
}

impl Sink for Piece {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.contents.extend_from_slice(&bytes);
        Ok(())
    }
}

impl PartWriter for Piece {
    async fn finish(self, metadata: Metadata) -> Result<Part, Error> {
        let mut state = self.memory.ready()?;
        let (_, time_ms) = state.next();
        let open = state.open(&self.place, self.upload)?;
        let part = Part { number: self.number, length: self.contents.len() as u64, time_ms, metadata };
        open.parts.insert(self.number, (part.clone(), self.contents.into()));
        Ok(part)
    }
}

impl Store for Memory {
    type Object = Object;
    type Writer = Writer;
    type PartWriter = Piece;
    type Reader = BoxStream<'static, Result<Bytes, Error>>;

    async fn list_buckets(&self) -> Result<Vec<Bucket>, Error> {
        let state = self.ready()?;
        let bucket =
            |(name, created_ms): (&BucketName, &u64)| Bucket { name: name.clone(), created_ms: *created_ms };
        Ok(state.buckets.iter().map(bucket).collect())
    }

    async fn create_bucket(&self, bucket: &BucketName) -> Result<Bucket, Error> {
        let mut state = self.ready()?;
        if state.buckets.contains_key(bucket) {
            return Err(Error::BucketExists);
        }
        let (version, created_ms) = state.next();
        state.buckets.insert(bucket.clone(), created_ms);
        state.born.entry(bucket.clone()).or_insert(version.height);
        Ok(Bucket { name: bucket.clone(), created_ms })
    }

    async fn head_bucket(&self, bucket: &BucketName) -> Result<Bucket, Error> {
        let state = self.ready()?;
        let created_ms = *state.buckets.get(bucket).ok_or(Error::NoSuchBucket)?;
        Ok(Bucket { name: bucket.clone(), created_ms })
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), Error> {
        let mut state = self.ready()?;
        state.bucket(bucket)?;
        let current = |slot: &Slot| {
            slot.0 == *bucket && matches!(state.shown(slot, u64::MAX).next(), Some(Kept::Object(_)))
        };
        if state.versions.keys().any(current) {
            return Err(Error::BucketNotEmpty);
        }
        state.buckets.remove(bucket);
        Ok(())
    }

    async fn put(&self, place: Place) -> Result<Writer, Error> {
        drop(self.ready()?);
        Ok(Writer { memory: self.clone(), place, contents: Vec::new() })
    }

    async fn copy(
        &self,
        source: &Object,
        place: Place,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> Result<Written, Error> {
        let mut state = self.ready()?;
        state.check(&place, condition)?;
        state.add(&place, source.contents.clone(), metadata, source.parts.clone(), settings)
    }

    async fn head(&self, place: &Place, version: Option<VersionId>) -> Result<Object, Error> {
        let state = self.ready()?;
        state.bucket(&place.bucket)?;
        let Some(wanted) = version else { return state.current(place).cloned() };
        match state.shown(&slot(place), u64::MAX).find(|kept| kept.version() == wanted) {
            None => Err(Error::NoSuchVersion),
            Some(Kept::Marker(marker, time_ms)) => Err(Error::Marker { marker: *marker, time_ms: *time_ms }),
            Some(Kept::Object(object)) => Ok((**object).clone()),
        }
    }

    async fn height_at(&self, moment: Moment) -> Result<u64, Error> {
        let newest = self.ready()?.height;
        match moment {
            Moment::Height(height) if height > newest => Err(Error::NotYet),
            Moment::Height(height) => Ok(height),
            Moment::TimeMs(time_ms) if time_ms > START_MS + newest * 1000 => Err(Error::NotYet),
            Moment::TimeMs(time_ms) => Ok(time_ms.saturating_sub(START_MS) / 1000),
        }
    }

    async fn time_ms(&self) -> Result<u64, Error> {
        let state = self.ready()?;
        Ok(START_MS + state.height * 1000 + state.later_ms)
    }

    async fn head_at(&self, place: &Place, version: Option<VersionId>, height: u64) -> Result<Object, Error> {
        let state = self.ready()?;
        state.bucket_at(&place.bucket, height)?;
        let kept = state
            .shown(&slot(place), height)
            .find(|kept| version.is_none_or(|version| kept.version() == version));
        match (kept, version) {
            (Some(Kept::Object(object)), _) => Ok((**object).clone()),
            (Some(Kept::Marker(marker, _)), None) => Err(Error::NoSuchKey { marker: Some(*marker) }),
            (Some(Kept::Marker(marker, time_ms)), Some(_)) => {
                Err(Error::Marker { marker: *marker, time_ms: *time_ms })
            }
            (None, None) => Err(Error::NoSuchKey { marker: None }),
            (None, Some(_)) => Err(Error::NoSuchVersion),
        }
    }

    fn read(&self, object: &Object, range: Range<u64>) -> Self::Reader {
        let contents = object.contents.slice(range.start as usize..range.end as usize);
        let pieces: Vec<Bytes> = (0..contents.len())
            .step_by(1 << 20)
            .map(|at| contents.slice(at..contents.len().min(at + (1 << 20))))
            .collect();
        let gate = self.state().gate.clone();
        futures::stream::iter(pieces)
            .then(move |piece| {
                let gate = gate.clone();
                async move {
                    if let Some(gate) = gate {
                        gate.acquire().await.expect("never closed").forget();
                    }
                    Ok(piece)
                }
            })
            .boxed()
    }

    async fn list(&self, request: ListRequest) -> Result<Page, Error> {
        let state = self.ready()?;
        match request.at {
            Some(height) => state.bucket_at(&request.bucket, height)?,
            None => state.bucket(&request.bucket)?,
        }
        let mut page = Page::default();
        let mut last = None;
        for slot @ (bucket, name) in state.versions.keys() {
            let key = name.as_str();
            if *bucket != request.bucket || !key.starts_with(&request.prefix) || !follows(key, &request.after)
            {
                continue;
            }
            let prefix = common_prefix(key, &request.prefix, request.delimiter.as_deref());
            if prefix.is_some() && page.prefixes.last() == prefix.as_ref() {
                continue;
            }
            let shown = state.shown(slot, request.at.unwrap_or(u64::MAX)).next();
            let Some(Kept::Object(object)) = shown else {
                // As nodes do: a page goes on after what was looked at last, listed or not.
                last = Some(ListAfter::Key(key.to_owned()));
                continue;
            };
            if page.objects.len() + page.prefixes.len() == request.limit {
                page.next = last;
                break;
            }
            match prefix {
                Some(prefix) => {
                    last = Some(ListAfter::Prefix(prefix.clone()));
                    page.prefixes.push(prefix);
                }
                None => {
                    last = Some(ListAfter::Key(key.to_owned()));
                    page.objects.push(Listed {
                        key: name.clone(),
                        version: object.version,
                        time_ms: object.time_ms,
                        length: object.length(),
                        metadata: object.metadata.clone(),
                    });
                }
            }
        }
        Ok(page)
    }

    async fn delete(&self, place: &Place, condition: Condition) -> Result<Deleted, Error> {
        let mut state = self.ready()?;
        state.check(place, condition)?;
        let (marker, time_ms) = state.next();
        state.versions.entry(slot(place)).or_default().push(Kept::Marker(marker, time_ms));
        Ok(Deleted { marker, time_ms, transaction: Digest([0; 32]) })
    }

    async fn list_versions(&self, request: VersionsRequest) -> Result<VersionsPage, Error> {
        let state = self.ready()?;
        match request.at {
            Some(height) => state.bucket_at(&request.bucket, height)?,
            None => state.bucket(&request.bucket)?,
        }
        let mut page = VersionsPage::default();
        let mut last = None;
        let height = request.at.unwrap_or(u64::MAX);
        for slot @ (bucket, name) in state.versions.keys() {
            let key = name.as_str();
            if *bucket != request.bucket || !key.starts_with(&request.prefix) {
                continue;
            }
            for (at, kept) in state.shown(slot, height).enumerate() {
                if !version_follows(key, kept.version(), &request.after) {
                    continue;
                }
                let prefix = common_prefix(key, &request.prefix, request.delimiter.as_deref());
                if prefix.is_some() && page.prefixes.last() == prefix.as_ref() {
                    continue;
                }
                if page.versions.len() + page.prefixes.len() == request.limit {
                    page.next = last.filter(|_| request.limit > 0);
                    return Ok(page);
                }
                if let Some(prefix) = prefix {
                    last = Some(VersionsAfter::Prefix(prefix.clone()));
                    page.prefixes.push(prefix);
                    continue;
                }
                last = Some(VersionsAfter::Version(key.to_owned(), kept.version()));
                let (time_ms, contents) = match kept {
                    Kept::Marker(_, time_ms) => (*time_ms, None),
                    Kept::Object(object) => {
                        (object.time_ms, Some((object.length(), object.metadata.clone())))
                    }
                };
                let (key, version) = (name.clone(), kept.version());
                let current = at == 0;
                page.versions.push(ListedVersion { key, version, time_ms, contents, current, hidden: None });
            }
        }
        Ok(page)
    }

    async fn create_lockable_bucket(&self, bucket: &BucketName) -> Result<Bucket, Error> {
        let created = self.create_bucket(bucket).await?;
        self.set_bucket_lock(bucket, None).await?;
        Ok(created)
    }

    async fn set_bucket_lock(
        &self,
        bucket: &BucketName,
        default: Option<DefaultRetention>,
    ) -> Result<(), Error> {
        let mut state = self.ready()?;
        state.bucket(bucket)?;
        if default.as_ref().is_some_and(|default| default.period.as_ms() > RETENTION_MS_MAX) {
            return Err(Error::InvalidRetention);
        }
        state.lockable.insert(bucket.clone(), default);
        Ok(())
    }

    async fn bucket_lock(&self, bucket: &BucketName) -> Result<Option<Option<DefaultRetention>>, Error> {
        let state = self.ready()?;
        state.bucket(bucket)?;
        Ok(state.lockable.get(bucket).cloned())
    }

    async fn lock(&self, object: &Object) -> Result<VersionLock, Error> {
        Ok(self.ready()?.locks.get(&object.version).cloned().unwrap_or_default())
    }

    async fn set_retention(
        &self,
        _: &Place,
        version: VersionId,
        retention: Option<Retention>,
        bypass: bool,
    ) -> Result<(), Error> {
        let mut state = self.ready()?;
        let locked = state.is_locked(version, bypass);
        let lock = state.locks.entry(version).or_default();
        let extends = lock.retention.as_ref().zip(retention.as_ref());
        let extends = extends.is_some_and(|(old, new)| old.mode == new.mode && new.until_ms >= old.until_ms);
        if locked && !lock.hold && !extends {
            return Err(Error::Locked("retained".to_owned()));
        }
        lock.retention = retention;
        Ok(())
    }

    async fn set_hold(&self, _: &Place, version: VersionId, hold: bool) -> Result<(), Error> {
        self.ready()?.locks.entry(version).or_default().hold = hold;
        Ok(())
    }

    async fn annotate(&self, about: About, document: Option<&[u8]>) -> Result<(), Error> {
        let mut state = self.ready()?;
        state.bucket(about.bucket())?;
        let height = state.next().0.height;
        let rows = state.annotations.entry(about.encode()).or_default();
        rows.push((height, document.map(<[u8]>::to_vec)));
        Ok(())
    }

    async fn annotation(&self, about: &About, at: Option<u64>) -> Result<Option<Vec<u8>>, Error> {
        let state = self.ready()?;
        if at.is_none() {
            state.bucket(about.bucket())?;
        }
        let rows = state.annotations.get(&about.encode()).into_iter().flatten();
        let row = rows.rev().find(|(height, _)| at.is_none_or(|at| *height <= at));
        Ok(row.and_then(|(_, document)| document.clone()))
    }

    async fn tags(&self, object: &Object, at: Option<u64>) -> Result<Option<Vec<u8>>, Error> {
        let place = {
            let state = self.ready()?;
            let holds = |kept: &Kept| kept.version() == object.version;
            let found = state.versions.iter().find(|(_, versions)| versions.iter().any(holds));
            let ((bucket, key), _) = found.expect("an object is of a place");
            Place { bucket: bucket.clone(), key: key.clone() }
        };
        self.annotation(&vault::tags_of(&place, object.version), at).await
    }

    async fn hide(
        &self,
        place: &Place,
        versions: &[VersionId],
        bypass: bool,
    ) -> Result<Vec<HiddenVersion>, Error> {
        let mut state = self.ready()?;
        state.bucket(&place.bucket)?;
        if versions.iter().any(|version| state.is_locked(*version, bypass)) {
            return Err(Error::Locked("locked".to_owned()));
        }
        let (at, _) = state.next();
        let shown: Vec<HiddenVersion> = state
            .shown(&slot(place), u64::MAX)
            .filter(|kept| versions.contains(&kept.version()))
            .map(|kept| HiddenVersion { version: kept.version(), marker: matches!(kept, Kept::Marker(..)) })
            .collect();
        for hidden in &shown {
            state.hidden.entry(hidden.version).or_default().push((at.height, true));
        }
        Ok(shown)
    }

    async fn object_parts(&self, object: &Object) -> Result<Vec<Part>, Error> {
        drop(self.ready()?);
        Ok(object.parts.clone())
    }

    async fn create_upload(&self, place: Place, metadata: Metadata) -> Result<UploadId, Error> {
        let mut state = self.ready()?;
        state.bucket(&place.bucket)?;
        let (version, time_ms) = state.next();
        let mut id = [0; 16];
        id[8..].copy_from_slice(&version.height.to_be_bytes());
        let upload = Upload { upload: UploadId(id), place, time_ms, metadata };
        state.uploads.insert(UploadId(id), Open { upload, parts: BTreeMap::new() });
        Ok(UploadId(id))
    }

    async fn head_upload(&self, place: &Place, upload: UploadId) -> Result<Upload, Error> {
        Ok(self.ready()?.open(place, upload)?.upload.clone())
    }

    async fn put_part(&self, place: &Place, upload: UploadId, number: u16) -> Result<Piece, Error> {
        self.ready()?.open(place, upload)?;
        Ok(Piece { memory: self.clone(), place: place.clone(), upload, number, contents: Vec::new() })
    }

    async fn complete_upload(
        &self,
        place: &Place,
        upload: UploadId,
        parts: Vec<(u16, String)>,
        metadata: Metadata,
        condition: Condition,
        settings: Settings,
    ) -> Result<Written, Error> {
        let mut state = self.ready()?;
        state.check(place, condition)?;
        let open = state.open(place, upload)?;
        let mut contents = Vec::new();
        let mut kept = Vec::new();
        for (index, (number, etag)) in parts.iter().enumerate() {
            let found = open.parts.get(number).filter(|(part, _)| part.metadata.etag == *etag);
            let (part, bytes) = found.ok_or(Error::InvalidPart { number: *number })?;
            if index + 1 < parts.len() && part.length < 5 << 20 {
                return Err(Error::PartTooSmall { number: *number, length: part.length });
            }
            contents.extend_from_slice(bytes);
            kept.push(part.clone());
        }
        state.uploads.remove(&upload);
        let written = state.add(place, contents.into(), metadata, kept, settings)?;
        state.completed.insert(upload, written.version);
        Ok(written)
    }

    async fn completed_upload(&self, place: &Place, upload: UploadId) -> Result<Object, Error> {
        let state = self.ready()?;
        let current = state.current(place).map_err(|_| Error::NoSuchUpload)?;
        let completed = state.completed.get(&upload) == Some(&current.version);
        completed.then(|| current.clone()).ok_or(Error::NoSuchUpload)
    }

    async fn abort_upload(&self, place: &Place, upload: UploadId) -> Result<(), Error> {
        let mut state = self.ready()?;
        state.open(place, upload)?;
        state.uploads.remove(&upload);
        Ok(())
    }

    async fn list_uploads(&self, request: UploadsRequest) -> Result<UploadsPage, Error> {
        let state = self.ready()?;
        state.bucket(&request.bucket)?;
        let mut uploads: Vec<Upload> = state.uploads.values().map(|open| open.upload.clone()).collect();
        let order = |upload: &Upload| (upload.place.key.as_str().to_owned(), upload.upload);
        uploads.retain(|upload| {
            upload.place.bucket == request.bucket
                && upload.place.key.as_str().starts_with(&request.prefix)
                && request.after.as_ref().is_none_or(|after| order(upload) > *after)
        });
        uploads.sort_by_key(order);
        let more = uploads.len() > request.limit;
        uploads.truncate(request.limit);
        Ok(UploadsPage { uploads, more })
    }

    async fn list_parts(
        &self,
        place: &Place,
        upload: UploadId,
        after: u16,
        limit: usize,
    ) -> Result<PartsPage, Error> {
        let mut state = self.ready()?;
        let open = state.open(place, upload)?;
        let mut parts: Vec<Part> = open.parts.values().map(|(part, _)| part.clone()).collect();
        parts.retain(|part| part.number > after);
        let more = parts.len() > limit;
        parts.truncate(limit);
        Ok(PartsPage { parts, more })
    }
}

fn follows(key: &str, after: &Option<ListAfter>) -> bool {
    match after {
        None => true,
        Some(ListAfter::Key(last)) => key > last.as_str(),
        Some(ListAfter::Prefix(prefix)) => key > prefix.as_str() && !key.starts_with(prefix.as_str()),
    }
}

fn version_follows(key: &str, version: VersionId, after: &Option<VersionsAfter>) -> bool {
    match after {
        None => true,
        Some(VersionsAfter::Key(last)) => key > last.as_str(),
        Some(VersionsAfter::Prefix(prefix)) => key > prefix.as_str() && !key.starts_with(prefix.as_str()),
        Some(VersionsAfter::Version(last, older)) => {
            key > last.as_str() || (key == last.as_str() && version < *older)
        }
    }
}

fn common_prefix(key: &str, prefix: &str, delimiter: Option<&str>) -> Option<String> {
    let end = key[prefix.len()..].find(delimiter?)? + delimiter?.len();
    Some(key[..prefix.len() + end].to_owned())
}
