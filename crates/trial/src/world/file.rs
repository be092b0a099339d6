//! One blob on a disk: what processes read, what would survive a power failure, and the changes in between.
//!
//! Changes go to the live bytes at once and wait in a journal. A sync shares the live pages with the durable bytes. A
//! power failure decides about each waiting change by itself: kept, lost, or torn at sectors. So may a failed sync, and
//! then live bytes and durable ones differ although nothing waits.

use super::pages::{PAGE, Pages};
use commonware_runtime::{BlobVersion, Error, IoBuf};
use memchr::memmem::Finder;
use rand::{RngExt, rngs::StdRng};
use std::{
    borrow::Cow,
    collections::{BTreeSet, VecDeque},
};

/// What a disk writes whole or not at all, bytes.
const SECTOR: u64 = 512;
/// Bytes of waiting writes beyond which the system writes the oldest back of its own accord.
const JOURNAL_BYTES_MAX: usize = 16 << 20;

#[derive(Clone)]
enum Change {
    /// Bytes at an offset. Durable already, if `synced`: kept here only for its place among the others.
    Write {
        offset: u64,
        bytes: IoBuf,
        synced: bool,
    },
    Resize(u64),
}

/// A blob.
#[derive(Clone)]
pub(super) struct File {
    /// Version of the contents, as the owner chose it at creation.
    pub(super) version: BlobVersion,
    /// The open that holds it, if one does.
    pub(super) open: Option<u64>,
    /// Whether a name leads to it.
    pub(super) linked: bool,
    /// Whether it has its header: a creation that failed leaves a name without.
    pub(super) created: bool,
    /// A sync failed: nothing is promised any more until the process starts anew.
    pub(super) failed: Option<Error>,
    /// Pages that cannot be read until they are written again.
    bad: BTreeSet<u64>,
    live: Pages,
    durable: Pages,
    journal: VecDeque<(u64, Change)>,
    journal_bytes: usize,
    /// Changes so far.
    changes: u64,
}

impl File {
    /// An empty blob with a name.
    pub(super) fn new(version: BlobVersion) -> Self {
        Self {
            version,
            open: None,
            linked: true,
            created: false,
            failed: None,
            bad: BTreeSet::new(),
            live: Pages::default(),
            durable: Pages::default(),
            journal: VecDeque::new(),
            journal_bytes: 0,
            changes: 0,
        }
    }

    /// What processes see.
    pub(super) fn live(&self) -> &Pages {
        &self.live
    }

    /// Whether changes wait for a sync.
    pub(super) fn dirty(&self) -> bool {
        !self.journal.is_empty()
    }

    /// The changes up to now, for [`Self::sync`].
    pub(super) fn mark(&self) -> u64 {
        self.changes
    }

    /// The page at `offset` cannot be read any more.
    pub(super) fn spoil(&mut self, offset: u64) {
        self.bad.insert(offset / PAGE as u64);
    }

    /// Whether any of these bytes cannot be read.
    pub(super) fn is_spoilt(&self, offset: u64, len: u64) -> bool {
        self.bad.range(offset / PAGE as u64..(offset + len).div_ceil(PAGE as u64)).next().is_some()
    }

    /// Writes, and makes these bytes durable if `sync`.
    pub(super) fn write(&mut self, offset: u64, bytes: IoBuf, sync: bool) {
        // Whole pages are given a new place.
        let written = offset.div_ceil(PAGE as u64)..(offset + bytes.len() as u64) / PAGE as u64;
        self.bad.retain(|page| !written.contains(page));
        self.live.write(offset, bytes.as_ref());
        if sync {
            self.durable.write(offset, bytes.as_ref());
            if !self.dirty() {
                self.durable.share(&self.live, offset, bytes.len() as u64);
                return;
            }
        }
        self.journal_bytes += bytes.len();
        self.wait(Change::Write { offset, bytes, synced: sync });
        while self.journal_bytes > JOURNAL_BYTES_MAX {
            self.write_back();
        }
    }

    /// Cuts or extends.
    pub(super) fn resize(&mut self, len: u64) {
        self.live.resize(len);
        self.wait(Change::Resize(len));
    }

    fn wait(&mut self, change: Change) {
        self.changes += 1;
        self.journal.push_back((self.changes, change));
    }

    /// Makes the oldest waiting change durable.
    fn write_back(&mut self) {
        match self.journal.pop_front() {
            Some((_, Change::Write { offset, bytes, .. })) => {
                self.journal_bytes -= bytes.len();
                self.durable.write(offset, bytes.as_ref());
            }
            Some((_, Change::Resize(len))) => self.durable.resize(len),
            None => {}
        }
    }

    /// Makes the changes up to `mark` durable.
    pub(super) fn sync(&mut self, mark: u64) {
        if mark == self.changes {
            return self.flush();
        }
        while self.journal.front().is_some_and(|(change, _)| *change <= mark) {
            self.write_back();
        }
    }

    /// Makes all changes durable, without copying. Pages that only resizes touched end alike on both sides; the others
    /// are taken over from the live bytes.
    pub(super) fn flush(&mut self) {
        for (_, change) in &self.journal {
            if let Change::Resize(len) = change {
                self.durable.resize(*len);
            }
        }
        for (_, change) in self.journal.drain(..) {
            if let Change::Write { offset, bytes, .. } = change {
                self.durable.share(&self.live, offset, bytes.len() as u64);
            }
        }
        self.journal_bytes = 0;
        debug_assert_eq!(self.durable.len(), self.live.len());
    }

    /// What processes would see if they read past the system's cache.
    pub(super) fn uncached(&self) -> Cow<'_, Pages> {
        let mut pages = Cow::Borrowed(&self.durable);
        for (_, change) in &self.journal {
            // Such a read waits for the system to write back what waits.
            match change {
                Change::Write { offset, bytes, .. } => pages.to_mut().write(*offset, bytes.as_ref()),
                Change::Resize(len) => pages.to_mut().resize(*len),
            }
        }
        pages
    }

    /// Makes durable all that processes see.
    pub(super) fn settle(&mut self) {
        self.flush();
        self.durable = self.live.clone();
    }

    /// The power fails.
    pub(super) fn lose(&mut self, rng: &mut StdRng) {
        self.decide(rng);
        self.live = self.durable.clone();
    }

    /// The system could not write back what waits, and forgets that: processes go on seeing it. The length is not
    /// forgotten, it is kept with the names.
    pub(super) fn forget(&mut self, rng: &mut StdRng) {
        self.decide(rng);
        self.durable.resize(self.live.len());
    }

    /// Decides about each change that waits.
    fn decide(&mut self, rng: &mut StdRng) {
        for (_, change) in self.journal.drain(..) {
            match change {
                Change::Write { offset, bytes, synced: true } => self.durable.write(offset, bytes.as_ref()),
                Change::Write { offset, bytes, synced: false } => {
                    for part in kept(offset, bytes.len() as u64, rng) {
                        let piece = (part.start - offset) as usize..(part.end - offset) as usize;
                        self.durable.write(part.start, &bytes.as_ref()[piece]);
                    }
                }
                Change::Resize(len) => {
                    if rng.random_bool(0.5) {
                        self.durable.resize(len);
                    }
                }
            }
        }
        self.journal_bytes = 0;
    }

    /// Flips a bit of a byte that is not zero in one of the pages, of which `index` says which; says where.
    pub(super) fn rot(&mut self, index: u64, rng: &mut impl RngExt) -> Option<u64> {
        // What rots is what the system has written back: nothing that waits may bring the old bytes again.
        self.flush();
        let page = self.live.nth(index)?;
        let offset = self.live.written_in(page, rng.random_range(0..PAGE))?;
        let mask = 1 << rng.random_range(0..8);
        self.live.flip(offset, mask);
        self.durable.flip(offset, mask);
        Some(offset)
    }

    /// Where the needle is, in the live bytes or the durable ones.
    pub(super) fn find(&self, finder: &Finder<'_>) -> Option<u64> {
        self.live.find(finder, None).or_else(|| self.durable.find(finder, Some(&self.live)))
    }
}

/// What is left of a write that was not synced: all, nothing, its beginning, or some of its sectors.
fn kept(offset: u64, len: u64, rng: &mut StdRng) -> Vec<std::ops::Range<u64>> {
    let end = offset + len;
    match rng.random_range(0..6) {
        0 | 1 => std::iter::once(offset..end).collect(),
        2 | 3 => Vec::new(),
        4 => {
            let sectors = end.div_ceil(SECTOR) - offset / SECTOR;
            let cut = (offset / SECTOR + rng.random_range(0..=sectors)) * SECTOR;
            std::iter::once(offset..cut.clamp(offset, end)).collect()
        }
        _ => (offset / SECTOR..end.div_ceil(SECTOR))
            .filter(|_| rng.random_bool(0.5))
            .map(|sector| (sector * SECTOR).max(offset)..((sector + 1) * SECTOR).min(end))
            .collect(),
    }
}
