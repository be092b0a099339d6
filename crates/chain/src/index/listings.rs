//! Listing buckets, open uploads and parts.

use super::{
    attached,
    layout::*,
    objects::{limit, text},
    payload,
    store::{Bounds, Step, Store, StoreError},
};
use crate::protocol::{
    AfterUpload, BucketsPage, BucketsQuery, ListedBucket, ListedPart, NamedUpload, PAGE_BYTES, Page,
    PartsPage, PartsQuery, UploadsPage, UploadsQuery,
};
use proof::{
    BucketName, TenantId, UploadId, VersionId,
    wire::{EncodeSize, List, Octets},
};

/// Where and when (block time, milliseconds) the life began that the bucket lived at `height`, if it did.
pub(super) fn bucket_created<S: Store>(
    store: &S,
    tenant: &TenantId,
    bucket: &BucketName,
    height: u64,
) -> Result<Option<(VersionId, u64)>, StoreError> {
    let rows = Key::new(BUCKETS).tenant(tenant).bucket(bucket);
    let from = rows.clone().newest_first(&newest(height)).done();
    let mut life = Life::default();
    store.scan(&from, &rows.past(), &mut |row, value| life.visit(split_version(row)?.1, decode(value)?))?;
    Ok(life.created)
}

/// What the turns of a bucket say, newest first: whether it lives, and where its life began.
#[derive(Default)]
struct Life {
    /// It was undeleted: the deletion before it does not count.
    undeleted: bool,
    created: Option<(VersionId, u64)>,
}

impl Life {
    fn visit(&mut self, at: VersionId, turn: BucketRow) -> Result<Step, StoreError> {
        match turn {
            BucketRow::Created(time_ms) => self.created = Some((at, time_ms)),
            BucketRow::Undeleted => self.undeleted = true,
            BucketRow::Deleted if self.undeleted => {}
            BucketRow::Deleted => return Ok(Step::Stop),
        }
        Ok(if self.created.is_some() { Step::Stop } else { Step::Next })
    }
}

/// A page of the buckets that lived at `height`.
pub(super) fn buckets<S: Store>(store: &S, query: &BucketsQuery, height: u64) -> Result<Page, StoreError> {
    let root = Key::new(BUCKETS).tenant(&query.tenant);
    let from = match query.after.is_empty() {
        true => root.clone().done(),
        false => root.clone().raw(&query.after).raw(&[1]).done(),
    };
    let mut page = Filling::new(query.limit);
    let mut life = Life::default();
    store.scan(&from, &root.clone().past(), &mut |row, value| {
        let (of_bucket, version) = split_version(row)?;
        if version.height > height {
            return Ok(Step::Seek(Key::from(of_bucket).newest_first(&newest(height)).done()));
        }
        if life.visit(version, decode(value)?)? == Step::Next {
            return Ok(Step::Next);
        }
        if let Some((created, created_ms)) = std::mem::take(&mut life).created {
            let name =
                of_bucket[root.len()..].strip_suffix(&[0]).ok_or(StoreError::Damaged("bucket name"))?;
            let name = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
            let bucket = name.ok_or(StoreError::Damaged("bucket name"))?;
            if !page.add(ListedBucket { bucket, created, created_ms }) {
                return Ok(Step::Stop);
            }
        }
        Ok(Step::Seek(Key::from(of_bucket).past()))
    })?;
    let (buckets, more) = page.done();
    Ok(Page::Buckets(BucketsPage { buckets, more }))
}

/// A page of the uploads that were open at a height. It ends when it is full, or after so many uploads: those that were
/// closed stay among the rows.
pub(super) fn uploads<S: Store>(store: &S, query: &UploadsQuery, bounds: Bounds) -> Result<Page, StoreError> {
    let Bounds { height, tip, examined_max } = bounds;
    let Some((created, _)) = bucket_created(store, &query.tenant, &query.bucket, height)? else {
        return Ok(Page::NoSuch);
    };
    let root = Key::new(UPLOADS_BY_KEY).tenant(&query.tenant).bucket(&query.bucket);
    let within = root.clone().key_prefix(&query.prefix);
    let from = match query.after.first() {
        None => root.clone().done(),
        Some(after) => root.clone().key(&after.key).upload(&after.upload).raw(&[0]).done(),
    };
    let from = from.max(within.clone().done());
    let mut page = Filling::new(query.limit);
    let (mut examined, mut last) = (0, query.after.first().cloned());
    store.scan(&from, &within.past(), &mut |row, value| {
        let opened: VersionId = decode(value)?;
        if opened.height > tip {
            return Ok(Step::Next);
        }
        if examined == examined_max {
            page.more = true;
            return Ok(Step::Stop);
        }
        examined += 1;
        let (of_key, id) = row.split_last_chunk().ok_or(StoreError::Damaged("short key"))?;
        let (key, upload) = (unescape(&of_key[root.len()..])?, UploadId(*id));
        let here = AfterUpload { key: text(&key)?, upload };
        if opened.height > height || opened < created {
            last = Some(here);
            return Ok(Step::Next);
        }
        if is_closed(store, &query.tenant, &upload, height)? {
            last = Some(here);
            return Ok(Step::Next);
        }
        let row = store.get(&Key::new(UPLOADS).tenant(&query.tenant).upload(&upload).done())?;
        let named: NamedUpload = decode(&row.ok_or(StoreError::Damaged("upload"))?)?;
        if !page.add(named) {
            return Ok(Step::Stop);
        }
        last = Some(here);
        Ok(Step::Next)
    })?;
    let (uploads, more) = page.done();
    let next = List::new(last.filter(|_| more).into_iter().collect()).expect("one at the most");
    Ok(Page::Uploads(UploadsPage { uploads, next }))
}

fn is_closed<S: Store>(
    store: &S,
    tenant: &TenantId,
    upload: &UploadId,
    height: u64,
) -> Result<bool, StoreError> {
    let row = store.get(&Key::new(UPLOADS_CLOSED).tenant(tenant).upload(upload).done())?;
    let closed: Option<VersionId> = row.map(|row| decode(&row)).transpose()?;
    Ok(closed.is_some_and(|closed| closed.height <= height))
}

/// A page of the newest parts, at `height`, of an upload that was open then or before.
pub(super) fn parts<S: Store>(store: &S, query: &PartsQuery, height: u64) -> Result<Page, StoreError> {
    let PartsQuery { tenant, upload, .. } = query;
    let Some(row) = store.get(&Key::new(UPLOADS).tenant(tenant).upload(upload).done())? else {
        return Ok(Page::NoSuch);
    };
    let opened: NamedUpload = decode(&row)?;
    if opened.entry.version.height > height {
        return Ok(Page::NoSuch);
    }
    let root = Key::new(PARTS).tenant(tenant).upload(upload);
    let from = root.clone().number(query.after).past();
    let mut page = Filling::new(query.limit);
    store.scan(&from, &root.past(), &mut |row, value| {
        let (of_number, version) = split_version(row)?;
        if version.height > height {
            return Ok(Step::Seek(Key::from(of_number).newest_first(&newest(height)).done()));
        }
        let PartRow { entry, sealed } = decode(value)?;
        let payload = match query.payloads {
            true => vec![attached(store, payload(&entry.body))?],
            false => Vec::new(),
        };
        let payload: List<Octets<_>, 1> = List::new(payload).expect("one at the most");
        let added = page.add(ListedPart { entry, sealed, payload });
        Ok(if added { Step::Seek(Key::from(of_number).past()) } else { Step::Stop })
    })?;
    let (parts, more) = page.done();
    Ok(Page::Parts(PartsPage { parts, more }))
}

/// A page's entries, up to its limits.
struct Filling<T> {
    entries: Vec<T>,
    limit: usize,
    bytes: usize,
    more: bool,
}

impl<T: EncodeSize> Filling<T> {
    fn new(asked: u16) -> Self {
        Self { entries: Vec::new(), limit: limit(asked), bytes: 0, more: false }
    }

    /// Adds one, unless the page is full.
    fn add(&mut self, entry: T) -> bool {
        if self.entries.len() == self.limit || self.bytes >= PAGE_BYTES {
            self.more = true;
            return false;
        }
        self.bytes += entry.encode_size();
        self.entries.push(entry);
        true
    }

    fn done<const MAX: usize>(self) -> (List<T, MAX>, bool) {
        (List::new(self.entries).unwrap_or_else(|_| unreachable!("at most `limit`")), self.more)
    }
}
