//! A blob's bytes, kept sparsely: pages that were never written, or only with zeros, take no room. Copies share their
//! pages until one of them writes.

use memchr::memmem::Finder;
use std::{collections::BTreeMap, sync::Arc};

/// Bytes of a page.
pub(super) const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;

type Page = Arc<[u8; PAGE]>;

/// The bytes. A page that is missing is all zeros.
#[derive(Clone, Default)]
pub(super) struct Pages {
    len: u64,
    pages: BTreeMap<u64, Page>,
}

impl Pages {
    /// Bytes, those of holes included.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Pages that take room.
    pub(super) fn allocated(&self) -> u64 {
        self.pages.len() as u64
    }

    /// How many pages a write of `len` bytes at `offset` would have to add.
    pub(super) fn missing(&self, offset: u64, len: u64) -> u64 {
        let Some(touched) = touched(offset, len) else { return 0 };
        let wanted = touched.end() - touched.start() + 1;
        wanted - self.pages.range(touched).count() as u64
    }

    /// Fills `out`, which starts as zeros, with the bytes from `offset` on. They must be within the length.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) {
        let Some(touched) = touched(offset, out.len() as u64) else { return };
        for (&index, page) in self.pages.range(touched) {
            let (within, without, len) = overlap(index, offset, out.len());
            out[without..without + len].copy_from_slice(&page[within..within + len]);
        }
    }

    /// Writes `bytes` at `offset`, growing as needed.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let Some(touched) = touched(offset, bytes.len() as u64) else { return };
        for index in touched {
            let (within, without, len) = overlap(index, offset, bytes.len());
            let bytes = &bytes[without..without + len];
            if let Some(page) = self.pages.get_mut(&index) {
                Arc::make_mut(page)[within..within + len].copy_from_slice(bytes);
            } else if bytes.iter().any(|byte| *byte != 0) {
                let mut page = [0; PAGE];
                page[within..within + len].copy_from_slice(bytes);
                self.pages.insert(index, Arc::new(page));
            }
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    /// Cuts, or extends with zeros.
    pub(super) fn resize(&mut self, len: u64) {
        if len < self.len {
            drop(self.pages.split_off(&len.div_ceil(PAGE_BYTES)));
            let kept = (len % PAGE_BYTES) as usize;
            if kept != 0
                && let Some(page) = self.pages.get_mut(&(len / PAGE_BYTES))
            {
                Arc::make_mut(page)[kept..].fill(0);
            }
        }
        self.len = len;
    }

    /// Takes over, without copying them, the pages of `other` which a write of `len` bytes at `offset` touches.
    pub(super) fn share(&mut self, other: &Self, offset: u64, len: u64) {
        let Some(touched) = touched(offset, len) else { return };
        for index in touched {
            match other.pages.get(&index) {
                Some(page) => self.pages.insert(index, page.clone()),
                None => self.pages.remove(&index),
            };
        }
        self.len = other.len;
    }

    /// The `index`-th of the pages that take room, modulo their number.
    pub(super) fn nth(&self, index: u64) -> Option<u64> {
        let index = index.checked_rem(self.allocated())?;
        self.pages.keys().nth(index as usize).copied()
    }

    /// The first byte that is not zero in `page`, from `start` on and around.
    pub(super) fn written_in(&self, page: u64, start: usize) -> Option<u64> {
        let bytes = self.pages.get(&page)?;
        let found = (0..PAGE).map(|step| (start + step) % PAGE).find(|at| bytes[*at] != 0)?;
        Some(page * PAGE_BYTES + found as u64)
    }

    /// Flips the bits of `mask` in the byte at `offset`, if there is one.
    pub(super) fn flip(&mut self, offset: u64, mask: u8) {
        if let Some(page) = self.pages.get_mut(&(offset / PAGE_BYTES)) {
            Arc::make_mut(page)[(offset % PAGE_BYTES) as usize] ^= mask;
        }
    }

    /// Shows what takes room, run by run: its offset, and its bytes.
    pub(super) fn each_run(&self, mut look: impl FnMut(u64, &[u8])) {
        let (mut start, mut run) = (0, Vec::new());
        for (&index, page) in &self.pages {
            let offset = index * PAGE_BYTES;
            if start + run.len() as u64 != offset {
                look(start, &run);
                run.clear();
            }
            if run.is_empty() {
                start = offset;
            }
            run.extend_from_slice(page.as_slice());
        }
        look(start, &run);
    }

    /// Where the needle is, if it is. Pages that `known` has too were searched there; only what crosses their
    /// borders is looked at again.
    pub(super) fn find(&self, finder: &Finder<'_>, known: Option<&Self>) -> Option<u64> {
        let edge = finder.needle().len().saturating_sub(1);
        // The end of what was searched, to find what lies across pages, and the page that would continue it.
        let mut tail: Vec<u8> = Vec::new();
        let mut next = None;
        for (&index, page) in &self.pages {
            let shared =
                known.and_then(|known| known.pages.get(&index)).is_some_and(|same| Arc::ptr_eq(same, page));
            let start = index * PAGE_BYTES;
            if next != Some(index) {
                tail.clear();
            }
            let joint = tail.len();
            tail.extend_from_slice(&page[..edge.min(PAGE)]);
            if let Some(at) = finder.find(&tail) {
                return Some((start + at as u64).saturating_sub(joint as u64));
            }
            if !shared && let Some(at) = finder.find(page.as_slice()) {
                return Some(start + at as u64);
            }
            keep_end(&mut tail, joint, page.as_slice(), edge);
            next = Some(index + 1);
        }
        None
    }
}

/// Makes `tail` the last `edge` bytes of what it held before `joint`, followed by `page`.
fn keep_end(tail: &mut Vec<u8>, joint: usize, page: &[u8], edge: usize) {
    tail.truncate(joint);
    tail.extend_from_slice(&page[page.len().saturating_sub(edge)..]);
    let surplus = tail.len().saturating_sub(edge);
    tail.drain(..surplus);
}

/// The pages that `len` bytes at `offset` touch.
fn touched(offset: u64, len: u64) -> Option<std::ops::RangeInclusive<u64>> {
    let last = (offset + len).checked_sub(1).filter(|_| len != 0)?;
    Some(offset / PAGE_BYTES..=last / PAGE_BYTES)
}

/// Where a page and `len` bytes at `offset` meet: position in the page, position in the bytes, length.
fn overlap(page: u64, offset: u64, len: usize) -> (usize, usize, usize) {
    let start = page * PAGE_BYTES;
    let within = offset.saturating_sub(start) as usize;
    let without = start.saturating_sub(offset) as usize;
    (within, without, (PAGE - within).min(len - without))
}
