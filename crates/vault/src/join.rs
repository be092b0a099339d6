//! Joining parts into an object: their chunks stay where they are, their segment keys are sealed again.

use crate::{
    Context, Error, OBJECT_LENGTH_MAX, PART_LENGTH_MIN, Vault,
    intake::{Packed, encrypt_inline},
    layout::Pages,
    multipart::OpenPart,
    sealed::Secret,
};
use blob::{DataKey, SegmentKey};
use proof::{
    Manifest,
    limits::CHUNK_LENGTH,
    manifest::{Page, SealedKey, Segment},
    receipt::ContentRun,
};

/// An object being joined, a part at a time.
pub(crate) struct Join<'a, E: Context> {
    vault: &'a Vault<E>,
    /// Numbers and ETags of the parts still to be added.
    wanted: &'a [(u16, String)],
    data_key: Secret,
    pages: Pages,
    runs: Vec<ContentRun>,
    length: u64,
}

/// An object that was joined.
pub(crate) struct Joined {
    pub data_key: Secret,
    pub runs: Vec<ContentRun>,
    pub length: u64,
    pub packed: Packed,
}

impl<'a, E: Context> Join<'a, E> {
    /// Joins the parts with these numbers, ascending, and ETags.
    pub(crate) fn new(vault: &'a Vault<E>, wanted: &'a [(u16, String)]) -> Self {
        let data_key = Secret::new(vault.random());
        Self { vault, wanted, data_key, pages: Pages::default(), runs: Vec::new(), length: 0 }
    }

    /// The number of the part to be added next.
    pub(crate) fn next_wanted(&self) -> Option<u16> {
        self.wanted.first().map(|(number, _)| *number)
    }

    /// Adds the upload's next part, if it is wanted. Errors: `InvalidPart`, `PartTooSmall`, `TooLarge`, `Damaged`.
    pub(crate) async fn add(&mut self, part: OpenPart, manifest: Option<Manifest>) -> Result<(), Error> {
        let Some(((number, etag), later)) = self.wanted.split_first() else { return Ok(()) };
        if part.number < *number {
            return Ok(());
        }
        if part.number > *number || part.metadata.etag != *etag {
            return Err(Error::InvalidPart { number: *number });
        }
        let length = part.run.length;
        if length < PART_LENGTH_MIN && !later.is_empty() {
            return Err(Error::PartTooSmall { number: *number, length });
        }
        self.length = self.length.saturating_add(length);
        if self.length > OBJECT_LENGTH_MAX {
            return Err(Error::TooLarge);
        }
        self.wanted = later;
        self.runs.push(part.run);
        // An empty part's one chunk is no part of the contents.
        if length > 0 {
            let manifest = manifest.ok_or_else(|| Error::Damaged("a part without a manifest".into()))?;
            self.add_chunks(&part.data_key.data_key(), manifest, length).await?;
        }
        Ok(())
    }

    async fn add_chunks(&mut self, part_key: &DataKey, manifest: Manifest, length: u64) -> Result<(), Error> {
        let data_key = self.data_key.data_key();
        let mut relisting =
            Relisting { part_key, data_key: &data_key, sealed_key: None, listed: 0, length: 0 };
        match manifest {
            Manifest::Direct(page) => self.relist(&mut relisting, &page).await?,
            Manifest::Paged(pages) => {
                for reference in pages.iter() {
                    let page = self.vault.get_page(reference).await?;
                    self.relist(&mut relisting, &page).await?;
                }
            }
        }
        if relisting.length == length { Ok(()) } else { Err(not_one_segment()) }
    }

    async fn relist(&mut self, relisting: &mut Relisting<'_>, page: &Page) -> Result<(), Error> {
        for full in relisting.add(&mut self.pages, page)? {
            self.vault.put_page(&full).await?;
        }
        Ok(())
    }

    /// All parts are added: has the nodes certify that they hold the object. Errors: `InvalidPart` when one was not.
    pub(crate) async fn finish(self) -> Result<Joined, Error> {
        if let Some(number) = self.next_wanted() {
            return Err(Error::InvalidPart { number });
        }
        let packed = if self.length == 0 {
            Packed::Inline(encrypt_inline(&self.data_key, &[]))
        } else {
            Packed::Stored(self.vault.certify(self.pages).await?)
        };
        Ok(Joined { data_key: self.data_key, runs: self.runs, length: self.length, packed })
    }
}

/// A part's chunks being listed in the object's manifest. A part is one segment.
struct Relisting<'a> {
    part_key: &'a DataKey,
    data_key: &'a DataKey,
    /// The segment's key, sealed for the object.
    sealed_key: Option<SealedKey>,
    /// Chunks listed.
    listed: u32,
    /// Their bytes of plaintext.
    length: u64,
}

impl Relisting<'_> {
    /// Lists the chunks of the part's next page, and gives the object's pages that became full.
    fn add(&mut self, pages: &mut Pages, page: &Page) -> Result<Vec<Page>, Error> {
        let mut full = Vec::new();
        for run in page.segments() {
            // Chunks follow each other without a gap, and none follows one that is not full.
            if run.first_chunk != self.listed || !self.length.is_multiple_of(CHUNK_LENGTH) {
                return Err(not_one_segment());
            }
            let sealed_key = self.seal_again(pages, run)?;
            for id in run.chunks.iter() {
                let length =
                    (run.length - u64::from(self.listed - run.first_chunk) * CHUNK_LENGTH).min(CHUNK_LENGTH);
                full.extend(pages.push(sealed_key, self.listed, *id, length));
                self.listed = self.listed.checked_add(1).ok_or_else(not_one_segment)?;
                self.length += length;
            }
        }
        Ok(full)
    }

    fn seal_again(&mut self, pages: &Pages, run: &Segment) -> Result<SealedKey, Error> {
        if let Some(sealed_key) = self.sealed_key {
            return Ok(sealed_key);
        }
        let key: SegmentKey = blob::unwrap_segment_key(self.part_key, 0, &run.sealed_key)
            .map_err(|_| Error::Damaged("a part's key does not open".into()))?;
        let sealed_key = blob::wrap_segment_key(self.data_key, pages.segment(), &key);
        self.sealed_key = Some(sealed_key);
        Ok(sealed_key)
    }
}

fn not_one_segment() -> Error {
    Error::Damaged("a part's manifest does not list one segment of its length".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Located, PagePlace, locate, pages_within};
    use proof::{Digest, wire::List};
    use proptest::prelude::*;

    fn id(part: usize, chunk: u64) -> Digest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(part as u64).to_be_bytes());
        bytes[8..16].copy_from_slice(&chunk.to_be_bytes());
        Digest(bytes)
    }

    fn keys(part: usize) -> (DataKey, SegmentKey) {
        (DataKey::new([part as u8; 32]), SegmentKey::new([!(part as u8); 32]))
    }

    /// A part as its writer lists it.
    fn part_pages(part: usize, length: u64) -> Vec<Page> {
        let (data_key, key) = keys(part);
        let sealed_key = blob::wrap_segment_key(&data_key, 0, &key);
        let (mut pages, mut done) = (Pages::default(), Vec::new());
        for chunk in 0..length.div_ceil(CHUNK_LENGTH) {
            let length = (length - chunk * CHUNK_LENGTH).min(CHUNK_LENGTH);
            done.extend(pages.push(sealed_key, chunk as u32, id(part, chunk), length));
        }
        let listed = pages.finish().unwrap();
        match listed.manifest {
            Manifest::Direct(page) => vec![page],
            Manifest::Paged(_) => done.into_iter().chain(listed.last_page).collect(),
        }
    }

    fn join(data_key: &DataKey, lengths: &[u64]) -> (Manifest, Vec<Page>) {
        let (mut pages, mut done) = (Pages::default(), Vec::new());
        for (part, length) in lengths.iter().enumerate() {
            let (part_key, _) = keys(part);
            let mut relisting =
                Relisting { part_key: &part_key, data_key, sealed_key: None, listed: 0, length: 0 };
            for page in part_pages(part, *length) {
                done.extend(relisting.add(&mut pages, &page).unwrap());
            }
            assert_eq!(relisting.length, *length);
        }
        let listed = pages.finish().unwrap();
        done.extend(listed.last_page);
        (listed.manifest, done)
    }

    fn all(manifest: &Manifest, pages: &[Page]) -> Vec<Located> {
        let everything = 0..u64::MAX;
        match manifest {
            Manifest::Direct(page) => locate(page, PagePlace { offset: 0, chunks: 0 }, &everything).unwrap(),
            Manifest::Paged(references) => pages_within(references, &everything)
                .unwrap()
                .iter()
                .zip(pages)
                .flat_map(|((_, place), page)| locate(page, *place, &everything).unwrap())
                .collect(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn an_object_is_its_parts_in_order(lengths in proptest::collection::vec(
            prop_oneof![1..=20 * CHUNK_LENGTH, 1..=5000 * CHUNK_LENGTH, Just(4096 * CHUNK_LENGTH)], 1..6,
        )) {
            let data_key = DataKey::new([77; 32]);
            let (manifest, pages) = join(&data_key, &lengths);
            prop_assert_eq!(manifest.length(), Some(lengths.iter().sum()));
            let mut located = all(&manifest, &pages).into_iter();
            for (part, length) in lengths.iter().enumerate() {
                for chunk in 0..length.div_ceil(CHUNK_LENGTH) {
                    let found = located.next().unwrap();
                    prop_assert_eq!((found.id, found.number), (id(part, chunk), chunk as u32));
                    prop_assert_eq!(found.length, (length - chunk * CHUNK_LENGTH).min(CHUNK_LENGTH));
                    if chunk % 512 == 0 {
                        let key = blob::unwrap_segment_key(&data_key, found.segment, &found.sealed_key).unwrap();
                        prop_assert!(key.as_bytes() == keys(part).1.as_bytes());
                    }
                }
            }
            prop_assert_eq!(located.next(), None);
        }
    }

    #[test]
    fn a_part_that_is_not_one_segment_is_damage() {
        let (part_key, key) = keys(1);
        let data_key = DataKey::new([77; 32]);
        let sealed_key = blob::wrap_segment_key(&part_key, 0, &key);
        let run = |first_chunk, length: u64| Segment {
            sealed_key,
            first_chunk,
            length,
            chunks: List::new(vec![id(1, 0); length.div_ceil(CHUNK_LENGTH) as usize]).unwrap(),
        };
        let add = |runs: Vec<Segment>| {
            let mut relisting = Relisting {
                part_key: &part_key,
                data_key: &data_key,
                sealed_key: None,
                listed: 0,
                length: 0,
            };
            relisting.add(&mut Pages::default(), &Page::new(runs).unwrap()).is_ok()
        };
        assert!(add(vec![run(0, CHUNK_LENGTH), run(1, 5)]));
        assert!(!add(vec![run(1, 5)]), "does not begin with its first chunk");
        assert!(!add(vec![run(0, CHUNK_LENGTH), run(2, 5)]), "a gap");
        assert!(!add(vec![run(0, CHUNK_LENGTH), run(0, 5)]), "two segments");
        assert!(!add(vec![run(0, 5), run(1, 5)]), "a chunk after one that is not full");
        assert!(
            !add(vec![Segment { sealed_key: SealedKey([0; 48]), ..run(0, 5) }]),
            "a key of something else"
        );
    }
}
