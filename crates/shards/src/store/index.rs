//! What the store holds and where, and what the chain uses of it. Pure: no I/O, no clock.
//!
//! An id is *pending* from the time it was appended until the chain *references* it. A pending id may be dropped when
//! its grace period is over; a referenced one never. An id that the chain references but that is not here is *missing*
//! (see `absent`).

use crate::store::{
    absent::Absent,
    record::{Kind, RecordHeader, SLOT},
};
use proof::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// Where a record is, and what its header says. 20 bytes: there is one per record in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) segment: u32,
    /// The record's first slot.
    slot: u32,
    payload: u32,
    opening: u16,
    kind: Kind,
    index: u8,
}

impl Location {
    pub(crate) fn new(segment: u32, offset: u64, header: &RecordHeader) -> Self {
        Self {
            segment,
            slot: u32::try_from(offset / SLOT).expect("a segment has fewer than 2^32 slots"),
            payload: header.payload,
            opening: header.opening,
            kind: header.kind,
            index: header.index,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn offset(&self) -> u64 {
        u64::from(self.slot) * SLOT
    }

    /// The header that the record there has.
    pub(crate) fn header(&self, id: Digest) -> RecordHeader {
        RecordHeader { kind: self.kind, index: self.index, opening: self.opening, payload: self.payload, id }
    }

    /// Bytes of its slots.
    pub(crate) fn extent(&self) -> u64 {
        self.header(Digest::ZERO).extent()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Pending { since_ms: u64 },
    Referenced,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    location: Option<Location>,
    used: Use,
}

/// Bytes of one segment, of which records that are still in use.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    reserved: u64,
    live: u64,
    /// No more writes go there, and all that were are synced.
    sealed: bool,
    /// Some of it could not be read when the store was opened, so records may be there that the index lacks.
    suspect: bool,
}

/// Counts of what a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
    pub(crate) live_bytes: u64,
    pub(crate) held: u64,
    pub(crate) pending: u64,
    pub(crate) missing: u64,
    pub(crate) unresolved: u64,
    pub(crate) endangered: u64,
    pub(crate) unhealable: u64,
    pub(crate) inconsistent: u64,
}

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: BTreeMap<Digest, Entry>,
    segments: BTreeMap<u32, Extent>,
    /// Referenced pages that are not here, so that the chunks they stand for are unknown.
    unresolved: BTreeSet<Digest>,
    /// What the chain references and is not here.
    absent: Absent,
    reserved_bytes: u64,
    held: u64,
    pending: u64,
}

impl Index {
    /// What is missing.
    pub(crate) fn absent(&mut self) -> &mut Absent {
        &mut self.absent
    }

    /// Where `id` is, if it is here.
    pub(crate) fn find(&self, id: &Digest) -> Option<Location> {
        self.entries.get(id).and_then(|entry| entry.location)
    }

    /// Whether `id` is here. If it is pending, its grace period starts anew: somebody counts on it.
    pub(crate) fn touch(&mut self, id: &Digest, kind: Kind, now_ms: u64) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        if let Use::Pending { since_ms } = &mut entry.used {
            *since_ms = now_ms.max(*since_ms);
        }
        entry.location.is_some_and(|location| location.kind == kind)
    }

    /// Puts the record of `id` at `location`; one it had before is dead from now on. The place must be reserved.
    pub(crate) fn insert(&mut self, id: Digest, location: Location, now_ms: u64) {
        let used = match location.kind {
            Kind::Reference => Use::Referenced,
            Kind::Shard | Kind::Page => Use::Pending { since_ms: now_ms },
        };
        let before = self.entries.get(&id).copied();
        let used = before.map_or(used, |entry| entry.used);
        self.entries.insert(id, Entry { location: Some(location), used });
        self.segment(location.segment).live += location.extent();
        match before {
            Some(Entry { location: Some(old), .. }) => {
                self.segment(old.segment).live -= old.extent();
                return;
            }
            Some(_) => self.absent.remove(&id),
            None => {}
        }
        self.held += 1;
        self.pending += u64::from(used != Use::Referenced);
    }

    /// Moves `id` from one place to another, unless it is no longer at the first.
    pub(crate) fn relocate(&mut self, id: Digest, from: Location, to: Location, now_ms: u64) {
        if self.find(&id) == Some(from) {
            self.insert(id, to, now_ms);
        }
    }

    /// Forgets the record at `location`, which turned out to be damaged. Whether it was still what counts. What the
    /// chain references is to be healed at once, and while a page of it is not here its chunks are not known to be all
    /// there are.
    pub(crate) fn lose(&mut self, id: &Digest, location: Location) -> bool {
        let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.location == Some(location)) else {
            return false;
        };
        let used = entry.used;
        entry.location = None;
        self.segment(location.segment).live -= location.extent();
        self.held -= 1;
        if used == Use::Referenced && location.kind != Kind::Reference {
            self.absent.insert(*id, 0);
            if location.kind == Kind::Page {
                self.unresolved.insert(*id);
            }
        } else {
            self.entries.remove(id);
            self.pending -= u64::from(used != Use::Referenced);
        }
        true
    }

    /// Marks `id` as used by the chain. Whether that is news. If it is not here, it is to be healed from `due_ms` on.
    pub(crate) fn mark(&mut self, id: &Digest, due_ms: u64) -> bool {
        match self.entries.get_mut(id) {
            Some(Entry { used: Use::Referenced, .. }) => return false,
            Some(entry) => {
                entry.used = Use::Referenced;
                self.pending -= 1;
            }
            None => {
                self.entries.insert(*id, Entry { location: None, used: Use::Referenced });
                self.absent.insert(*id, due_ms);
            }
        }
        true
    }

    /// Marks a page as used by the chain, whose chunks are unknown until [`Self::set_resolved`]: in one step, so that
    /// none of them is dropped in between.
    pub(crate) fn mark_page(&mut self, id: &Digest, due_ms: u64) -> bool {
        let is_news = self.mark(id, due_ms);
        if is_news {
            self.unresolved.insert(*id);
        }
        is_news
    }

    /// Notes that the chunks of a page are marked.
    pub(crate) fn set_resolved(&mut self, page: &Digest) {
        self.unresolved.remove(page);
    }

    pub(crate) fn is_unresolved(&self, page: &Digest) -> bool {
        self.unresolved.contains(page)
    }

    /// Drops what has been pending since `before_ms` or longer, unless unknown chunks may be among it. Number dropped.
    pub(crate) fn expire(&mut self, before_ms: u64) -> u64 {
        if !self.unresolved.is_empty() {
            return 0;
        }
        let mut expired = Vec::new();
        self.entries.retain(|_, entry| match (entry.used, entry.location) {
            (Use::Pending { since_ms }, Some(location)) if since_ms <= before_ms => {
                expired.push(location);
                false
            }
            _ => true,
        });
        for location in &expired {
            self.segment(location.segment).live -= location.extent();
        }
        self.held -= expired.len() as u64;
        self.pending -= expired.len() as u64;
        expired.len() as u64
    }

    /// Adds `bytes` to what is reserved in a segment.
    pub(crate) fn reserve(&mut self, segment: u32, bytes: u64) {
        self.segment(segment).reserved += bytes;
        self.reserved_bytes += bytes;
    }

    /// Notes that a segment gets no more writes and is synced.
    pub(crate) fn seal(&mut self, segment: u32) {
        self.segment(segment).sealed = true;
    }

    /// Notes that part of a segment could not be read.
    pub(crate) fn suspect(&mut self, segment: u32) {
        self.segment(segment).suspect = true;
    }

    /// Bytes reserved in all segments.
    pub(crate) fn reserved_bytes(&self) -> u64 {
        self.reserved_bytes
    }

    /// Forgets an empty segment.
    pub(crate) fn remove_segment(&mut self, segment: u32) {
        let Some(extent) = self.segments.remove(&segment) else { return };
        assert!(extent.live == 0, "segment {segment} holds records in use");
        self.reserved_bytes -= extent.reserved;
    }

    /// Sealed segments without a record in use.
    pub(crate) fn dead_segments(&self) -> Vec<u32> {
        self.collectable().filter(|(_, extent)| extent.live == 0).map(|(number, _)| number).collect()
    }

    /// Up to `limit` sealed segments of which less than half is in use, or that are less than an eighth of a full one:
    /// those are left by restarts.
    pub(crate) fn sparse_segments(&self, segment_bytes: u64, limit: usize) -> Vec<u32> {
        let sparse =
            |extent: &Extent| extent.live * 2 < extent.reserved || extent.reserved < segment_bytes / 8;
        let mut found: Vec<_> =
            self.collectable().filter(|(_, extent)| extent.live > 0 && sparse(extent)).collect();
        found.sort_by_key(|(number, extent)| (extent.live, *number));
        found.into_iter().take(limit).map(|(number, _)| number).collect()
    }

    fn collectable(&self) -> impl Iterator<Item = (u32, &Extent)> {
        let collectable = self.segments.iter().filter(|(_, extent)| extent.sealed && !extent.suspect);
        collectable.map(|(number, extent)| (*number, extent))
    }

    /// The records of these segments.
    pub(crate) fn records_in(&self, segments: &[u32]) -> Vec<(Digest, Location)> {
        let here = |location: &Location| segments.contains(&location.segment);
        let located = self.entries.iter().filter_map(|(id, entry)| Some((*id, entry.location?)));
        let mut records: Vec<_> = located.filter(|(_, location)| here(location)).collect();
        records.sort_by_key(|(_, location)| (location.segment, location.slot));
        records
    }

    /// Bytes of records in use.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.segments.values().map(|extent| extent.live).sum()
    }

    /// Numbers of all segments.
    pub(crate) fn segment_numbers(&self) -> Vec<u32> {
        self.segments.keys().copied().collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            segments: self.segments.len() as u64,
            bytes: self.reserved_bytes(),
            live_bytes: self.live_bytes(),
            held: self.held,
            pending: self.pending,
            missing: self.absent.len(),
            unresolved: self.unresolved.len() as u64,
            endangered: self.absent.endangered(),
            unhealable: self.absent.unhealable(),
            inconsistent: self.absent.inconsistent(),
        }
    }

    fn segment(&mut self, segment: u32) -> &mut Extent {
        self.segments.entry(segment).or_default()
    }
}
