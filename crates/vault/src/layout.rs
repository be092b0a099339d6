//! Where an object's bytes are: pure arithmetic over manifests.
//!
//! A manifest lists chunks in order; [`Pages`] makes one, [`locate`] and [`pages_within`] find a range in one. Chunks
//! are counted through the whole object. A segment's *number*, under which its key is wrapped, is the count of the
//! object's chunks before it: unique among an object's segments, which are never empty, and known from any page
//! without its predecessors.

use crate::Error;
use proof::{
    Digest, Manifest,
    limits::{CHUNK_LENGTH, CHUNK_TAG_LENGTH, DIRECT_CHUNKS_MAX, PAGE_CHUNKS_MAX, PAGE_SEGMENTS_MAX},
    manifest::{Page, PageRef, SealedKey, Segment},
    wire::List,
};
use std::ops::Range;

/// Lists chunks in order, a page at a time: memory is one page, whatever the object's length.
#[derive(Default)]
pub(crate) struct Pages {
    runs: Vec<Run>,
    /// Chunks in `runs`.
    chunks: usize,
    done: Vec<PageRef>,
    /// Chunks of all pages.
    total: u32,
}

/// A segment's chunks, as far as they are in this page.
struct Run {
    sealed_key: SealedKey,
    first_chunk: u32,
    length: u64,
    chunks: Vec<Digest>,
}

/// A manifest, and the last page if it is a paged one: nodes must hold it as they hold those before.
pub(crate) struct Listed {
    pub manifest: Manifest,
    pub last_page: Option<Page>,
}

impl Pages {
    /// The number of a segment that begins with the next chunk.
    pub(crate) fn segment(&self) -> u32 {
        self.total
    }

    /// Lists the next chunk: number `number` of the segment with this key, `length` bytes of plaintext. Gives the
    /// page that was full before it.
    pub(crate) fn push(
        &mut self,
        sealed_key: SealedKey,
        number: u32,
        id: Digest,
        length: u64,
    ) -> Option<Page> {
        let goes_on = number > 0 && !self.runs.is_empty();
        let full = self.chunks == PAGE_CHUNKS_MAX || (!goes_on && self.runs.len() == PAGE_SEGMENTS_MAX);
        let page = full.then(|| self.close());
        match self.runs.last_mut() {
            Some(run) if number > 0 => {
                run.length += length;
                run.chunks.push(id);
            }
            _ => self.runs.push(Run { sealed_key, first_chunk: number, length, chunks: vec![id] }),
        }
        self.chunks += 1;
        self.total += 1;
        page
    }

    fn close(&mut self) -> Page {
        let page = self.take();
        let length = page.length();
        self.done.push(PageRef { id: page.id(), length, chunks: page.chunks().count() as u32 });
        page
    }

    fn take(&mut self) -> Page {
        self.chunks = 0;
        let segments = self.runs.drain(..).map(|run| Segment {
            sealed_key: run.sealed_key,
            first_chunk: run.first_chunk,
            length: run.length,
            chunks: List::new(run.chunks).expect("a page is closed before it has more"),
        });
        Page::new(segments.collect()).expect("all chunks but a segment's last are full, and the page was not")
    }

    /// The manifest. Errors: `TooLarge` when it would have too many pages.
    pub(crate) fn finish(mut self) -> Result<Listed, Error> {
        if self.done.is_empty() && self.chunks <= DIRECT_CHUNKS_MAX {
            return Ok(Listed { manifest: Manifest::Direct(self.take()), last_page: None });
        }
        let last_page = (!self.runs.is_empty()).then(|| self.close());
        let pages = List::new(self.done).map_err(|_| Error::TooLarge)?;
        Ok(Listed { manifest: Manifest::Paged(pages), last_page })
    }
}

/// A chunk, and which of its bytes are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub id: Digest,
    /// The segment's number.
    pub segment: u32,
    pub sealed_key: SealedKey,
    /// The chunk's number in its segment.
    pub number: u32,
    /// Bytes of plaintext.
    pub length: u64,
    /// The wanted ones.
    pub wanted: Range<usize>,
}

/// A page's place in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PagePlace {
    /// Bytes of plaintext before it.
    pub offset: u64,
    /// Chunks before it.
    pub chunks: u32,
}

/// The pages that hold some of `range`, with their places. Errors: `Damaged`.
pub(crate) fn pages_within(
    pages: &[PageRef],
    range: &Range<u64>,
) -> Result<Vec<(PageRef, PagePlace)>, Error> {
    let (mut place, mut within) = (PagePlace { offset: 0, chunks: 0 }, Vec::new());
    for page in pages {
        let end = place.offset.checked_add(page.length).ok_or_else(damaged)?;
        if place.offset < range.end && range.start < end {
            within.push((page.clone(), place));
        }
        place = PagePlace { offset: end, chunks: place.chunks.checked_add(page.chunks).ok_or_else(damaged)? };
    }
    Ok(within)
}

/// The chunks of a page that hold some of the object's `range`. Errors: `Damaged`.
pub(crate) fn locate(page: &Page, place: PagePlace, range: &Range<u64>) -> Result<Vec<Located>, Error> {
    let (mut offset, mut chunks, mut located) = (place.offset, place.chunks, Vec::new());
    for run in page.segments() {
        let end = offset.checked_add(run.length).ok_or_else(damaged)?;
        let wanted = range.start.max(offset)..range.end.min(end);
        if !wanted.is_empty() {
            let number = chunks.checked_sub(run.first_chunk).ok_or_else(damaged)?;
            locate_in(run, number, wanted.start - offset..wanted.end - offset, &mut located)?;
        }
        offset = end;
        chunks = chunks.checked_add(run.chunks.len() as u32).ok_or_else(damaged)?;
    }
    Ok(located)
}

/// The chunks of one run that hold some of `wanted`, counted from the run's begin and not empty.
fn locate_in(
    run: &Segment,
    segment: u32,
    wanted: Range<u64>,
    located: &mut Vec<Located>,
) -> Result<(), Error> {
    for index in wanted.start / CHUNK_LENGTH..wanted.end.div_ceil(CHUNK_LENGTH) {
        let begin = index * CHUNK_LENGTH;
        let length = (run.length - begin).min(CHUNK_LENGTH);
        let from = wanted.start.saturating_sub(begin);
        let to = (wanted.end - begin).min(length);
        located.push(Located {
            id: run.chunks[index as usize],
            segment,
            sealed_key: run.sealed_key,
            number: run.first_chunk.checked_add(index as u32).ok_or_else(damaged)?,
            length,
            wanted: from as usize..to as usize,
        });
    }
    Ok(())
}

/// Whether a page is as its reference says.
pub(crate) fn matches(page: &Page, reference: &PageRef) -> bool {
    page.length() == reference.length && page.chunks().count() == reference.chunks as usize
}

/// Bytes of ciphertext of what a manifest lists; `None` when the stated lengths overflow.
pub(crate) fn ciphertext_length(manifest: &Manifest) -> Option<u64> {
    manifest.length()?.checked_add(manifest.chunks() * CHUNK_TAG_LENGTH)
}

fn damaged() -> Error {
    Error::Damaged("a manifest's lengths contradict each other".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::wire::{Encode, EncodeSize};
    use proptest::prelude::*;

    /// A chunk as the simple model has it: a list of all.
    #[derive(Clone, Debug, PartialEq)]
    struct Chunk {
        id: Digest,
        segment: u32,
        number: u32,
        offset: u64,
        length: u64,
    }

    fn name(count: usize) -> Digest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(count as u64).to_be_bytes());
        Digest(bytes)
    }

    fn key(segment: u32) -> SealedKey {
        SealedKey([segment as u8; 48])
    }

    fn model(segments: &[u64]) -> Vec<Chunk> {
        let (mut chunks, mut offset) = (Vec::new(), 0);
        for length in segments {
            let segment = chunks.len() as u32;
            for number in 0..length.div_ceil(CHUNK_LENGTH) {
                let length = (length - number * CHUNK_LENGTH).min(CHUNK_LENGTH);
                let (id, number) = (name(chunks.len()), number as u32);
                chunks.push(Chunk { id, segment, number, offset, length });
                offset += length;
            }
        }
        chunks
    }

    fn lay(chunks: &[Chunk]) -> (Manifest, Vec<Page>) {
        let (mut pages, mut done) = (Pages::default(), Vec::new());
        for chunk in chunks {
            if chunk.number == 0 {
                assert_eq!(pages.segment(), chunk.segment);
            }
            done.extend(pages.push(key(chunk.segment), chunk.number, chunk.id, chunk.length));
        }
        let listed = pages.finish().unwrap();
        done.extend(listed.last_page);
        (listed.manifest, done)
    }

    fn find(manifest: &Manifest, pages: &[Page], range: &Range<u64>) -> Vec<Located> {
        match manifest {
            Manifest::Direct(page) => locate(page, PagePlace { offset: 0, chunks: 0 }, range).unwrap(),
            Manifest::Paged(references) => {
                let within = pages_within(references, range).unwrap();
                let page = |reference: &PageRef| pages.iter().find(|page| page.id() == reference.id).unwrap();
                within
                    .iter()
                    .flat_map(|(page_ref, place)| locate(page(page_ref), *place, range).unwrap())
                    .collect()
            }
        }
    }

    fn check(segments: &[u64], ranges: &[Range<u64>]) {
        let chunks = model(segments);
        let (manifest, pages) = lay(&chunks);
        assert_eq!(manifest.length(), Some(segments.iter().sum()));
        assert_eq!(manifest.chunks(), chunks.len() as u64);
        if let Manifest::Paged(references) = &manifest {
            assert!(references.iter().zip(&pages).all(|(reference, page)| matches(page, reference)));
        }
        for range in ranges {
            let expected = chunks.iter().filter_map(|chunk| {
                let end = chunk.offset + chunk.length;
                let wanted = range.start.max(chunk.offset)..range.end.min(end);
                (!wanted.is_empty()).then(|| Located {
                    id: chunk.id,
                    segment: chunk.segment,
                    sealed_key: key(chunk.segment),
                    number: chunk.number,
                    length: chunk.length,
                    wanted: (wanted.start - chunk.offset) as usize..(wanted.end - chunk.offset) as usize,
                })
            });
            assert_eq!(find(&manifest, &pages, range), expected.collect::<Vec<_>>(), "{range:?}");
        }
    }

    fn segment() -> impl Strategy<Value = u64> {
        prop_oneof![
            1..=3 * CHUNK_LENGTH,
            Just(CHUNK_LENGTH),
            (1..200u64).prop_map(|chunks| chunks * CHUNK_LENGTH),
            1..=(4200 * CHUNK_LENGTH),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn ranges_are_where_the_model_has_them(
            segments in proptest::collection::vec(segment(), 0..12),
            cuts in proptest::collection::vec((0..=1000u64, 0..=1000u64, 0..3u64), 8),
        ) {
            let length: u64 = segments.iter().sum();
            let at = |part: u64| (u128::from(length) * u128::from(part) / 1000) as u64;
            let ranges: Vec<_> = cuts.iter().map(|(from, to, more)| at(*from)..at(*to) + more).collect();
            check(&segments, &ranges);
        }
    }

    #[test]
    fn manifests_are_direct_up_to_their_limit() {
        for (chunks, direct) in
            [(0, true), (1, true), (DIRECT_CHUNKS_MAX, true), (DIRECT_CHUNKS_MAX + 1, false)]
        {
            let (manifest, pages) = lay(&model(&[chunks as u64 * CHUNK_LENGTH]));
            assert_eq!(matches!(manifest, Manifest::Direct(_)), direct, "{chunks} chunks");
            assert_eq!(pages.len(), usize::from(!direct));
        }
    }

    #[test]
    fn pages_split_at_their_limits() {
        let full = PAGE_CHUNKS_MAX as u64;
        let lengths = |segments: &[u64]| {
            let (_, pages) = lay(&model(segments));
            pages.iter().map(|page| (page.segments().len(), page.chunks().count())).collect::<Vec<_>>()
        };
        assert_eq!(lengths(&[full * CHUNK_LENGTH]), [(1, 4096)]);
        assert_eq!(lengths(&[full * CHUNK_LENGTH + 1]), [(1, 4096), (1, 1)]);
        assert_eq!(lengths(&[(full - 1) * CHUNK_LENGTH, 5 * CHUNK_LENGTH]), [(2, 4096), (1, 4)]);
        // More segments than a page lists, though fewer chunks.
        assert_eq!(lengths(&[7; PAGE_SEGMENTS_MAX + 1]), [(2048, 2048), (1, 1)]);
        assert!(lay(&model(&[7; PAGE_SEGMENTS_MAX])).1[0].encode_size() < proof::limits::PAGE_BYTES_MAX);
        check(&[7; PAGE_SEGMENTS_MAX + 1], &[0..u64::MAX, 7 * 2047 + 3..7 * 2048 + 3]);
    }

    #[test]
    fn the_largest_object_fits() {
        let (manifest, pages) = lay(&model(&[crate::OBJECT_LENGTH_MAX]));
        assert_eq!(pages.len(), 1280);
        assert!(manifest.encode().len() < 64 * 1024);
        assert_eq!(ciphertext_length(&manifest), Some(crate::OBJECT_LENGTH_MAX + 16 * (5 << 20)));
        // The worst parts: of 5 GiB and a byte less than a chunk's multiple, and as many as make 5 TiB.
        let parts = vec![crate::PART_LENGTH_MAX - 1; 1024];
        assert!(lay(&model(&parts)).1.len() <= proof::limits::PAGES_MAX);
    }

    #[test]
    fn contradictory_lengths_are_damage_not_panics() {
        let page = |first_chunk| {
            let chunks = List::new(vec![name(0), name(1)]).unwrap();
            let segment = Segment { sealed_key: key(0), first_chunk, length: CHUNK_LENGTH + 1, chunks };
            Page::new(vec![segment]).unwrap()
        };
        let begin = PagePlace { offset: 0, chunks: 0 };
        assert!(matches!(locate(&page(1), begin, &(0..1)), Err(Error::Damaged(_))));
        let late = PagePlace { offset: 0, chunks: u32::MAX };
        assert!(matches!(locate(&page(0), late, &(0..1)), Err(Error::Damaged(_))));
        let far = PagePlace { offset: u64::MAX, chunks: 0 };
        assert!(matches!(locate(&page(0), far, &(0..1)), Err(Error::Damaged(_))));
        let end = PagePlace { offset: 0, chunks: u32::MAX - 2 };
        assert!(locate(&page(u32::MAX - 2), end, &(0..u64::MAX)).is_ok());
        let reference = PageRef { id: name(0), length: u64::MAX, chunks: u32::MAX };
        let twice = [reference.clone(), reference];
        assert!(matches!(pages_within(&twice, &(0..1)), Err(Error::Damaged(_))));
    }
}
