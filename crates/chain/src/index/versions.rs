//! Listing a bucket's versions and delete markers, and finding a key's current one.
//!
//! Of the rows of a key, newest first, the first that is not newer than the height asked for says which version is
//! current. Whether a version was hidden then, the newest row about it says that is not newer either.
//!
//! A page ends when it is full and one more entry is known to follow, or after so many rows. It may end
//! amid the versions of a key, so that a key of any depth is listed in bounded steps.

use super::{
    layout::*,
    listings::bucket_created,
    objects::{common_prefix, limit, text},
    store::{Bounds, Step, Store, StoreError},
};
use crate::protocol::{
    AfterPlace, AfterVersion, HiddenSince, KeyText, ListedVersion, PAGE_BYTES, Page, TenantPlace,
    VersionsPage, VersionsQuery,
};
use proof::{
    VersionId,
    wire::{EncodeSize as _, List},
};

/// The key's version that was current at `height`.
pub(super) fn current<S: Store>(store: &S, of: &TenantPlace, height: u64) -> Result<Page, StoreError> {
    let TenantPlace { tenant, place } = of;
    let Some((created, _)) = bucket_created(store, tenant, &place.bucket, height)? else {
        return Ok(Page::NoSuch);
    };
    let of_key = Key::new(VERSIONS).tenant(tenant).bucket(&place.bucket).key(place.key.as_str().as_bytes());
    let current = current_of(store, &of_key.done(), created, height)?;
    Ok(Page::Current(List::new(current.into_iter().collect()).expect("one at the most")))
}

/// The version that was current at `height` of the key whose rows begin with `of_key`, in the life of its bucket that
/// began at `created`.
fn current_of<S: Store>(
    store: &S,
    of_key: &[u8],
    created: VersionId,
    height: u64,
) -> Result<Option<VersionId>, StoreError> {
    let rows = Key::from(of_key);
    let from = rows.clone().newest_first(&newest(height)).done();
    let until = rows.newest_first(&created).done();
    let mut current = None;
    store.scan(&from, &until, &mut |row, value| {
        current = after(split_version(row)?.1, &decode(value)?);
        Ok(Step::Stop)
    })?;
    Ok(current)
}

/// The version that is current after a turn at this place in the chain.
fn after(place: VersionId, turn: &Turn) -> Option<VersionId> {
    match turn {
        Turn::Version(_) => Some(place),
        Turn::Current(current) => current.first().copied(),
    }
}

/// A page of the versions that there were at a height.
pub(super) fn page<S: Store>(store: &S, query: &VersionsQuery, bounds: Bounds) -> Result<Page, StoreError> {
    let Some((created, _)) = bucket_created(store, &query.tenant, &query.bucket, bounds.height)? else {
        return Ok(Page::NoSuch);
    };
    let root = Key::new(VERSIONS).tenant(&query.tenant).bucket(&query.bucket);
    let within = match query.exact {
        true => root.clone().key(&query.prefix),
        false => root.clone().key_prefix(&query.prefix),
    };
    let from = match &query.after {
        AfterVersion::Start => root.clone().done(),
        AfterVersion::Key(text) => root.clone().past_key(text).done(),
        AfterVersion::Prefix(text) => root.clone().key_prefix(text).past(),
        // A row's key is followed at once by itself with a zero byte.
        AfterVersion::Place(after) => {
            root.clone().key(&after.key).newest_first(&after.version).raw(&[0]).done()
        }
    };
    let from = from.max(within.clone().done());
    let mut walk = Walk::new(store, root, query, created, bounds);
    store.scan(&from, &within.past(), &mut |row, value| walk.visit(row, value))?;
    Ok(Page::Versions(walk.page()))
}

/// A page in the making.
struct Walk<'a, S> {
    store: &'a S,
    query: &'a VersionsQuery,
    root: Key,
    created: VersionId,
    bounds: Bounds,
    limit: usize,
    versions: Vec<ListedVersion>,
    prefixes: Vec<KeyText>,
    bytes: usize,
    examined: usize,
    /// The row keys of the key at hand begin so.
    of_key: Vec<u8>,
    /// Its current version.
    current: Option<VersionId>,
    /// What was examined last: where the next page begins, should this one end.
    last: AfterVersion,
    next: Option<AfterVersion>,
}

impl<'a, S: Store> Walk<'a, S> {
    fn new(store: &'a S, root: Key, query: &'a VersionsQuery, created: VersionId, bounds: Bounds) -> Self {
        Self {
            store,
            query,
            root,
            created,
            bounds,
            limit: limit(query.limit),
            versions: Vec::new(),
            prefixes: Vec::new(),
            bytes: 0,
            examined: 0,
            of_key: Vec::new(),
            current: None,
            last: query.after.clone(),
            next: None,
        }
    }

    fn visit(&mut self, row: &[u8], value: &[u8]) -> Result<Step, StoreError> {
        let (of_key, place) = split_version(row)?;
        if place.height > self.bounds.tip {
            return Ok(Step::Seek(Key::from(of_key).newest_first(&newest(self.bounds.tip)).done()));
        }
        if self.examined == self.bounds.examined_max {
            return Ok(self.stop());
        }
        self.examined += 1;
        let key = unescape(&of_key[self.root.len()..])?;
        // Not the key alone, which a client could not tell from a common prefix.
        let here = AfterVersion::Place(AfterPlace { key: text(&key)?, version: place });
        if place.height > self.bounds.height {
            self.last = here;
            return Ok(Step::Seek(Key::from(of_key).newest_first(&newest(self.bounds.height)).done()));
        }
        if place < self.created {
            self.last = here;
            return Ok(Step::Seek(Key::from(of_key).past()));
        }
        let turn: Turn = decode(value)?;
        if of_key != self.of_key {
            self.begin_key(of_key, place, &turn, &key)?;
        }
        let Turn::Version(version) = turn else { return Ok(self.pass(here)) };
        let hidden = self.hidden(of_key, place)?;
        if hidden.is_some() && !self.query.hidden {
            return Ok(self.pass(here));
        }
        if self.versions.len() + self.prefixes.len() == self.limit || self.bytes >= PAGE_BYTES {
            return Ok(self.stop());
        }
        match common_prefix(&key, &self.query.prefix, &self.query.delimiter) {
            Some(prefix) => self.add_prefix(text(prefix)?),
            None => Ok(self.add_version(version, hidden, here)),
        }
    }

    /// Finds out which version of a key is current: the first row visited tells, unless the page begins amid the key.
    fn begin_key(
        &mut self,
        of_key: &[u8],
        place: VersionId,
        turn: &Turn,
        key: &[u8],
    ) -> Result<(), StoreError> {
        self.of_key = of_key.to_vec();
        let amid = matches!(&self.query.after, AfterVersion::Place(after) if *after.key == *key);
        self.current = match amid {
            true => current_of(self.store, of_key, self.created, self.bounds.height)?,
            false => after(place, turn),
        };
        Ok(())
    }

    /// Since when the version was hidden, at the height, if it was.
    fn hidden(&self, of_key: &[u8], version: VersionId) -> Result<Option<HiddenSince>, StoreError> {
        let (_, names) = of_key.split_first().ok_or(StoreError::Damaged("short key"))?;
        let rows = Key::new(HIDDEN).raw(names).newest_first(&version);
        let from = rows.clone().newest_first(&newest(self.bounds.height)).done();
        let mut since = None;
        self.store.scan(&from, &rows.past(), &mut |row, value| {
            let HiddenRow { hidden, time_ms } = decode(value)?;
            let changed = split_version(row)?.1;
            since = hidden.then_some(HiddenSince { changed, time_ms });
            Ok(Step::Stop)
        })?;
        Ok(since)
    }

    fn pass(&mut self, here: AfterVersion) -> Step {
        self.last = here;
        Step::Next
    }

    fn stop(&mut self) -> Step {
        self.next = Some(self.last.clone());
        Step::Stop
    }

    fn add_prefix(&mut self, prefix: KeyText) -> Result<Step, StoreError> {
        let past = self.root.clone().key_prefix(&prefix).past();
        self.bytes += prefix.encode_size();
        self.last = AfterVersion::Prefix(prefix.clone());
        self.prefixes.push(prefix);
        Ok(Step::Seek(past))
    }

    fn add_version(&mut self, row: VersionRow, hidden: Option<HiddenSince>, here: AfterVersion) -> Step {
        let VersionRow { entry, sealed } = row;
        let current = self.current == Some(entry.version);
        let hidden = List::new(hidden.into_iter().collect()).expect("one at the most");
        let version = ListedVersion { entry, sealed, current, hidden };
        self.bytes += version.encode_size();
        self.versions.push(version);
        self.pass(here)
    }

    fn page(self) -> VersionsPage {
        VersionsPage {
            versions: List::new(self.versions).expect("at most `limit`"),
            prefixes: List::new(self.prefixes).expect("at most `limit`"),
            next: List::new(self.next.into_iter().collect()).expect("one at the most"),
        }
    }
}
