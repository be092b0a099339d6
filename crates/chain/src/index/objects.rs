//! Listing a bucket's current objects.
//!
//! The rows of a key are visited newest first; the first that is not newer than the height asked for says what the key
//! held then: a version, or which one became current when others were hidden. Everything else is leapt over: older versions, and all of a common prefix once one object in it is seen.
//!
//! A page ends when it is full and one more entry is known to follow, or after so many keys: hidden keys, and those that
//! are newer, cost as much as listed ones, and a page's work must be bounded. What counts is the same on every node.

use super::{
    layout::*,
    listings::bucket_created,
    store::{Bounds, Step, Store, StoreError},
};
use crate::protocol::{
    After, KeyText, ListedObject, ObjectsPage, ObjectsQuery, PAGE_BYTES, PAGE_ENTRIES_MAX, Page,
};
use proof::{
    VersionId,
    entry::VersionKind,
    wire::{EncodeSize as _, List},
};

/// Older versions of a key that are cheaper to step over than to seek past.
const STEPS_MAX: usize = 4;

/// A page of the objects that were current at a height.
pub(super) fn page<S: Store>(store: &S, query: &ObjectsQuery, bounds: Bounds) -> Result<Page, StoreError> {
    let Some((created, _)) = bucket_created(store, &query.tenant, &query.bucket, bounds.height)? else {
        return Ok(Page::NoSuch);
    };
    let root = Key::new(VERSIONS).tenant(&query.tenant).bucket(&query.bucket);
    let within = root.clone().key_prefix(&query.prefix);
    let from = match &query.after {
        After::Start => root.clone().done(),
        After::Key(text) => root.clone().past_key(text).done(),
        After::Prefix(text) => root.clone().key_prefix(text).past(),
    };
    let from = from.max(within.clone().done());
    let mut walk = Walk::new(store, root, query, created, bounds);
    store.scan(&from, &within.past(), &mut |row, value| walk.visit(row, value))?;
    Ok(Page::Objects(walk.page()))
}

/// A page in the making.
struct Walk<'a, S> {
    store: &'a S,
    query: &'a ObjectsQuery,
    root: Key,
    created: VersionId,
    bounds: Bounds,
    limit: usize,
    objects: Vec<ListedObject>,
    prefixes: Vec<KeyText>,
    bytes: usize,
    examined: usize,
    /// The row keys of the key examined last begin so.
    current: Vec<u8>,
    steps: usize,
    /// Of this key newer rows were examined, and none that is not. Empty: of none.
    newer: Vec<u8>,
    /// What was examined last: where the next page begins, should this one end.
    last: After,
    next: Option<After>,
}

impl<'a, S: Store> Walk<'a, S> {
    fn new(store: &'a S, root: Key, query: &'a ObjectsQuery, created: VersionId, bounds: Bounds) -> Self {
        Self {
            store,
            query,
            root,
            created,
            bounds,
            limit: limit(query.limit),
            objects: Vec::new(),
            prefixes: Vec::new(),
            bytes: 0,
            examined: 0,
            current: Vec::new(),
            steps: 0,
            newer: Vec::new(),
            last: query.after.clone(),
            next: None,
        }
    }

    fn visit(&mut self, row: &[u8], value: &[u8]) -> Result<Step, StoreError> {
        let (of_key, version) = split_version(row)?;
        if of_key == self.current {
            return Ok(self.step_over(of_key));
        }
        if version.height > self.bounds.tip {
            return Ok(Step::Seek(Key::from(of_key).newest_first(&newest(self.bounds.tip)).done()));
        }
        let newer = std::mem::take(&mut self.newer);
        if !newer.is_empty() && newer != of_key {
            self.last = After::Key(text(&unescape(&newer[self.root.len()..])?)?);
        }
        if self.examined == self.bounds.examined_max {
            return Ok(self.stop());
        }
        self.examined += 1;
        if version.height > self.bounds.height {
            self.newer = of_key.to_vec();
            return Ok(Step::Seek(Key::from(of_key).newest_first(&newest(self.bounds.height)).done()));
        }
        self.current = of_key.to_vec();
        self.steps = 0;

        let key = unescape(&of_key[self.root.len()..])?;
        let row = match version > self.created {
            true => current_row(self.store, of_key, decode(value)?)?,
            false => None,
        };
        let Some(row) = row.filter(|row| row.entry.kind != VersionKind::Marker) else {
            self.last = After::Key(text(&key)?);
            return Ok(Step::Next);
        };
        if self.objects.len() + self.prefixes.len() == self.limit || self.bytes >= PAGE_BYTES {
            return Ok(self.stop());
        }
        match common_prefix(&key, &self.query.prefix, &self.query.delimiter) {
            Some(prefix) => self.add_prefix(text(prefix)?),
            None => self.add_object(text(&key)?, row),
        }
    }

    /// Older versions of the key examined last.
    fn step_over(&mut self, of_key: &[u8]) -> Step {
        self.steps += 1;
        if self.steps <= STEPS_MAX { Step::Next } else { Step::Seek(Key::from(of_key).past()) }
    }

    fn stop(&mut self) -> Step {
        self.next = Some(self.last.clone());
        Step::Stop
    }

    fn add_prefix(&mut self, prefix: KeyText) -> Result<Step, StoreError> {
        let past = self.root.clone().key_prefix(&prefix).past();
        self.bytes += prefix.encode_size();
        self.last = After::Prefix(prefix.clone());
        self.prefixes.push(prefix);
        Ok(Step::Seek(past))
    }

    fn add_object(&mut self, key: KeyText, row: VersionRow) -> Result<Step, StoreError> {
        let sealed =
            row.sealed.into_inner().pop().ok_or(StoreError::Damaged("an object without its body"))?;
        let object = ListedObject { entry: row.entry, sealed };
        self.bytes += object.encode_size();
        self.last = After::Key(key);
        self.objects.push(object);
        Ok(Step::Next)
    }

    fn page(self) -> ObjectsPage {
        ObjectsPage {
            objects: List::new(self.objects).expect("at most `limit`"),
            prefixes: List::new(self.prefixes).expect("at most `limit`"),
            next: List::new(self.next.into_iter().collect()).expect("one at the most"),
        }
    }
}

/// Entries of a page, of which `asked` are wanted.
pub(super) fn limit(asked: u16) -> usize {
    match usize::from(asked) {
        1..=PAGE_ENTRIES_MAX => usize::from(asked),
        _ => PAGE_ENTRIES_MAX,
    }
}

/// What of a key is rolled up, if the delimiter occurs after the prefix, with which the key begins.
pub(super) fn common_prefix<'k>(key: &'k [u8], prefix: &[u8], delimiter: &[u8]) -> Option<&'k [u8]> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = key.get(prefix.len()..)?;
    let at = rest.windows(delimiter.len()).position(|window| window == delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

/// The version that is current after this turn of the key whose rows begin with `of_key`.
pub(super) fn current_row<S: Store>(
    store: &S,
    of_key: &[u8],
    turn: Turn,
) -> Result<Option<VersionRow>, StoreError> {
    let current = match turn {
        Turn::Version(row) => return Ok(Some(row)),
        Turn::Current(current) => current,
    };
    let Some(version) = current.first() else { return Ok(None) };
    let row = store.get(&Key::from(of_key).newest_first(version).done())?;
    match decode(&row.ok_or(StoreError::Damaged("a version"))?)? {
        Turn::Version(row) => Ok(Some(row)),
        Turn::Current(_) => Err(StoreError::Damaged("a version")),
    }
}

pub(super) fn text(key: &[u8]) -> Result<KeyText, StoreError> {
    KeyText::new(key.to_vec()).map_err(|_| StoreError::Damaged("a key too long"))
}
