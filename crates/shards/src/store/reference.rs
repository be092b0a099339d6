//! What the chain uses of the store.
//!
//! The node passes every manifest of the chain to [`ShardStore::reference`], block by block. Their ids are marked in
//! memory at once and written as references (see `record`) once enough have gathered, one synced before the next is
//! begun. After a restart the node passes again what lies above [`ShardStore::referenced_height`]: marking twice is
//! marking once. References are a chain: if one is ever lost, those behind it count as lost too, and the height
//! restored is the one before it.
//!
//! A page stands for its chunks. While a referenced page is not here its chunks are unknown and nothing is dropped.

use crate::store::{
    Context, ShardStore, Shared, StoreError,
    index::Location,
    log::Job,
    record::{Kind, REFERENCE_IDS_MAX, Record, Reference},
};
use bytes::Bytes;
use proof::{
    Digest, Manifest,
    manifest::Page,
    wire::{DecodeExt, List},
};
use std::{collections::BTreeMap, sync::atomic::Ordering};

/// A reference is written when it has this many ids: one and a half kilobytes short of two slots.
const WRITE_IDS: usize = 200;
/// Or when it covers this many heights, so that little has to be passed again after a restart.
const WRITE_HEIGHTS: u64 = 1024;

/// References that are marked but not written.
#[derive(Debug)]
pub(crate) struct Unwritten {
    /// The last reference written.
    previous: Digest,
    /// The height up to which they are written.
    written: u64,
    chunks: Vec<Digest>,
    pages: Vec<Digest>,
}

impl Default for Unwritten {
    fn default() -> Self {
        Self { previous: Digest::ZERO, written: 0, chunks: Vec::new(), pages: Vec::new() }
    }
}

impl<E: Context> ShardStore<E> {
    /// Marks what these manifests name as used by the chain. Together with earlier calls they are all manifests of the
    /// blocks up to `height`.
    pub async fn reference(&self, height: u64, manifests: &[Manifest]) -> Result<(), StoreError> {
        let mut unwritten = self.shared.unwritten.lock().await;
        self.shared.check()?;
        let due_ms = self.shared.late_ms();
        for manifest in manifests {
            match manifest {
                Manifest::Direct(page) => {
                    let mut index = self.shared.index.lock();
                    unwritten.chunks.extend(page.chunks().filter(|chunk| index.mark(chunk, due_ms)));
                }
                Manifest::Paged(pages) => {
                    for page in pages.iter() {
                        if self.shared.index.lock().mark_page(&page.id, due_ms) {
                            unwritten.pages.push(page.id);
                            mark_chunks(&self.shared, page.id).await?;
                        }
                    }
                }
            }
        }
        self.shared.referenced_height.fetch_max(height, Ordering::Relaxed);
        let ids = unwritten.chunks.len() + unwritten.pages.len();
        if ids >= WRITE_IDS || height.saturating_sub(unwritten.written) >= WRITE_HEIGHTS {
            self.write(&mut unwritten).await?;
        }
        Ok(())
    }

    /// The height up to which the manifests of the chain are known here.
    pub fn referenced_height(&self) -> u64 {
        self.shared.referenced_height.load(Ordering::Relaxed)
    }

    /// Writes and syncs all references gathered.
    pub(crate) async fn write_references(&self) -> Result<(), StoreError> {
        let mut unwritten = self.shared.unwritten.lock().await;
        self.write(&mut unwritten).await
    }

    async fn write(&self, unwritten: &mut Unwritten) -> Result<(), StoreError> {
        let height = self.referenced_height();
        if height <= unwritten.written {
            return Ok(());
        }
        while !unwritten.chunks.is_empty() || !unwritten.pages.is_empty() || unwritten.written < height {
            let first = |ids: &[Digest]| {
                let ids = ids[..ids.len().min(REFERENCE_IDS_MAX)].to_vec();
                List::<_, REFERENCE_IDS_MAX>::new(ids).expect("cut to its limit")
            };
            let (chunks, pages) = (first(&unwritten.chunks), first(&unwritten.pages));
            let is_last = chunks.len() == unwritten.chunks.len() && pages.len() == unwritten.pages.len();
            // Only the last of several reaches the height.
            let covered = if is_last { height } else { unwritten.written };
            let (cut_chunks, cut_pages) = (chunks.len(), pages.len());
            let reference = Reference { previous: unwritten.previous, height: covered, chunks, pages };
            let record = Record::reference(&reference);
            let id = record.id;
            self.ask(|reply| Job::Append { record, reply }).await?;
            self.sync().await?;
            unwritten.chunks.drain(..cut_chunks);
            unwritten.pages.drain(..cut_pages);
            unwritten.previous = id;
            unwritten.written = covered;
        }
        Ok(())
    }
}

/// Marks the chunks of a page that was marked, if it is here. If it is put while it is read in vain, it is resolved
/// then.
async fn mark_chunks<E: Context>(shared: &Shared<E>, id: Digest) -> Result<(), StoreError> {
    match shared.read(&id, Kind::Page).await {
        Ok(Some(checked)) => {
            resolve(shared, id, checked.record.payload);
            Ok(())
        }
        Ok(None) | Err(StoreError::Damaged(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Marks the chunks of a page that has just come to be known, if it is referenced.
pub(crate) fn resolve<E: Context>(shared: &Shared<E>, id: Digest, page: Bytes) {
    let due_ms = shared.late_ms();
    let mut index = shared.index.lock();
    if index.is_unresolved(&id) {
        let page = Page::decode(page).expect("what is no page is not stored as one");
        for chunk in page.chunks() {
            index.mark(chunk, due_ms);
        }
        index.set_resolved(&id);
    }
}

/// Marks again what the references of a store that is being opened say.
pub(crate) async fn restore<E: Context>(
    shared: &Shared<E>,
    records: &[(Digest, Location)],
) -> Result<(), StoreError> {
    let mut references = BTreeMap::new();
    for (id, location) in records {
        match shared.read_at(id, *location).await {
            Ok(checked) => {
                let checked = checked.expect("segments stay while the store is being opened");
                let reference = Reference::decode(checked.record.payload);
                references.insert(*id, reference.map_err(|_| StoreError::Damaged(*id))?);
            }
            Err(StoreError::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let chained = chained(&references);
    for (id, location) in records.iter().filter(|(id, _)| !chained.contains(id)) {
        shared.index.lock().lose(id, *location);
    }
    let mut unwritten = Unwritten::default();
    for id in chained {
        let reference = &references[&id];
        for chunk in reference.chunks.iter() {
            shared.index.lock().mark(chunk, 0);
        }
        for page in reference.pages.iter() {
            if shared.index.lock().mark_page(page, 0) {
                mark_chunks(shared, *page).await?;
            }
        }
        if reference.height >= unwritten.written {
            (unwritten.previous, unwritten.written) = (id, reference.height);
        }
    }
    shared.referenced_height.store(unwritten.written, Ordering::Relaxed);
    *shared.unwritten.lock().await = unwritten;
    Ok(())
}

/// The ids of the references that an unbroken chain leads to, each after the one before it.
fn chained(references: &BTreeMap<Digest, Reference>) -> Vec<Digest> {
    let mut next: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
    for (id, reference) in references {
        next.entry(reference.previous).or_default().push(*id);
    }
    // The ids are hashes of what names the previous one, so there is no circle.
    let mut chained = next.remove(&Digest::ZERO).unwrap_or_default();
    let mut done = 0;
    while done < chained.len() {
        chained.extend(next.remove(&chained[done]).into_iter().flatten());
        done += 1;
    }
    chained
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(previous: u8, height: u64) -> Reference {
        let (chunks, pages) = (List::default(), List::default());
        Reference { previous: Digest([previous; 32]), height, chunks, pages }
    }

    #[test]
    fn a_lost_reference_breaks_the_chain() {
        let id = |byte| Digest([byte; 32]);
        let mut references = BTreeMap::from([
            (id(9), reference(0, 4)),
            (id(5), reference(9, 4)),
            (id(7), reference(5, 9)),
            (id(3), reference(7, 12)),
        ]);
        assert_eq!(chained(&references), [id(9), id(5), id(7), id(3)]);
        references.remove(&id(5));
        assert_eq!(chained(&references), [id(9)]);
        references.insert(id(1), reference(9, 6));
        assert_eq!(chained(&references), [id(9), id(1)]);
    }
}
