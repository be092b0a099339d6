//! The derived index: what listings are served from, and the bytes that the state names only by hash.
//!
//! It holds nothing that blocks do not, and can be rebuilt from them. [`Index::apply`] takes each block once, in order,
//! and writes what it adds together with its height in one atomic commit; after a crash the index is as it was after
//! some earlier block, and the blocks since are applied again.
//!
//! Rows are kept per version and position, never overwritten, so every read can be *as of* any height up to the
//! index's: it leaves out what is newer. Such a read gives the same on every node that has got so far, which is what
//! lets gateways compare pages between nodes.
//!
//! What is left out costs work too, and the work of a page is bounded. So what is newer than the height asked for counts,
//! but only up to a height that is given with it: what is newer than that too, nodes have more or less of. It is not
//! much where that height is recent, which [`Query`](crate::query::Query) sees to.

mod annotations;
mod disk;
mod layout;
mod listings;
mod memory;
#[cfg(test)]
mod model;
mod moments;
mod objects;
mod store;
mod versions;

pub use disk::Disk;
pub use layout::TransactionRow;
pub use memory::Memory;
pub use store::{Step, Store, StoreError, Visit};

use crate::{
    protocol::{Listing, NamedUpload, NamedVersion, Page, Sealed},
    rising::Rising,
};
use bytes::Bytes;
use layout::*;
use ledger::{APPLIED, BlockContext, Effect, SignerChanged, VisibilityChanged, effects};
use proof::{
    Digest, PublicKey, SignedTransaction, TenantId, UploadId, VersionId,
    entry::VersionEntry,
    limits::BLOCK_TRANSACTIONS_MAX,
    transaction::{Attachment, Body, Operation, Payload, Place},
    wire::{Encode, FixedSize as _, List},
};
use store::Bounds;

/// The index over rows in `S`. Clones share it.
#[derive(Clone)]
pub struct Index<S> {
    store: S,
    height: Rising,
}

/// Why a block was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Blocks before it are missing.
    #[error("the index is at height {height} and cannot take the block of height {block}")]
    Gap {
        /// The index's height.
        height: u64,
        /// The block's.
        block: u64,
    },
    /// The rows cannot be written. The index is not to be used any more.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Rows = Vec<(Vec<u8>, Bytes)>;

/// Keys, rows or uploads that one page looks at.
const EXAMINED_MAX: usize = 10_000;

impl<S: Store> Index<S> {
    /// The index in `store`, as far as it got.
    pub fn open(store: S) -> Result<Self, StoreError> {
        let height = match store.get(&Key::new(HEIGHT).done())? {
            Some(height) => decode(&height)?,
            None => 0,
        };
        Ok(Self { store, height: Rising::new(height) })
    }

    /// Height of the newest block applied; zero before the first.
    pub fn height(&self) -> u64 {
        self.height.get()
    }

    /// Waits until a block of at least `height` is applied.
    pub async fn reached(&self, height: u64) {
        self.height.reached(height).await;
    }

    /// Takes the block after the last. A block applied before is ignored. To be called by one writer.
    ///
    /// `outcomes` has one for each of `transactions`, which were admitted.
    pub fn apply(
        &self,
        block: &BlockContext<'_>,
        transactions: &[SignedTransaction],
        outcomes: &[u16],
    ) -> Result<(), ApplyError> {
        assert_eq!(transactions.len(), outcomes.len(), "a block has an outcome for each transaction");
        assert!(transactions.len() <= BLOCK_TRANSACTIONS_MAX, "a block is bounded");
        let height = self.height();
        if block.height <= height {
            return Ok(());
        }
        if block.height != height + 1 {
            return Err(ApplyError::Gap { height, block: block.height });
        }
        let mut rows = Rows::new();
        if !transactions.is_empty() {
            rows.push((moments::key(block.time_ms, block.height), Bytes::new()));
        }
        for (index, (signed, outcome)) in (0..).zip(transactions.iter().zip(outcomes)) {
            let row = TransactionRow { height: block.height, index, outcome: *outcome };
            rows.push((Key::new(TRANSACTIONS).digest(&signed.transaction.id()).done(), row.encode()));
            if *outcome == APPLIED {
                add_attachments(&mut rows, signed);
                for effect in effects(block, index, signed) {
                    add_effect(&mut rows, effect, signed);
                }
            }
        }
        if block.height == 1 {
            let founded = VersionId { height: 1, index: 0, operation: 0 };
            for tenant in block.genesis.tenants.iter() {
                rows.push(signer_row(&tenant.key, &tenant.tenant, &founded, true));
            }
        }
        rows.push((Key::new(HEIGHT).done(), block.height.encode()));
        self.store.commit(rows)?;
        self.height.raise(block.height);
        Ok(())
    }

    /// A version's entry with the bytes that it names.
    pub fn version(
        &self,
        tenant: &TenantId,
        place: &Place,
        version: &VersionId,
    ) -> Result<Option<NamedVersion>, StoreError> {
        let key = Key::new(VERSIONS).tenant(tenant).bucket(&place.bucket).key(place.key.as_str().as_bytes());
        let Some(row) = self.store.get(&key.newest_first(version).done())? else { return Ok(None) };
        let Turn::Version(VersionRow { entry, sealed }) = decode(&row)? else { return Ok(None) };
        let payload = entry.body().map(|body| self.attached(payload(body))).transpose()?;
        let payload = List::new(payload.into_iter().collect()).expect("one at the most");
        Ok(Some(NamedVersion { entry, sealed, payload }))
    }

    /// An upload's entry with its sealed body, also when it is closed.
    pub fn upload(&self, tenant: &TenantId, upload: &UploadId) -> Result<Option<NamedUpload>, StoreError> {
        let row = self.store.get(&Key::new(UPLOADS).tenant(tenant).upload(upload).done())?;
        row.map(|row| decode(&row)).transpose()
    }

    /// Where and how the transaction with this id was decided.
    pub fn transaction(&self, id: &Digest) -> Result<Option<TransactionRow>, StoreError> {
        let row = self.store.get(&Key::new(TRANSACTIONS).digest(id).done())?;
        row.map(|row| decode(&row)).transpose()
    }

    /// Whether the key may sign for any tenant.
    pub fn is_signer(&self, key: &PublicKey) -> Result<bool, StoreError> {
        let from = Key::new(SIGNERS).signer(key);
        let until = from.clone().raw(&[0xff; 32]).done();
        let (from, prefix) = (from.clone().done(), from.done().len());
        let (mut found, mut tenant) = (false, Vec::new());
        self.store.scan(&from, &until, &mut |row, value| {
            // Of each tenant's rows the first is the newest, and it alone counts.
            let of = &row[prefix..prefix + TenantId::SIZE];
            if of != tenant {
                tenant = of.to_vec();
                found |= value == [1];
            }
            Ok(if found { Step::Stop } else { Step::Next })
        })?;
        Ok(found)
    }

    /// A page as of `height`. What is newer counts as work up to the height `tip`.
    ///
    /// # Panics
    ///
    /// If `tip` is below `height`, or the index has not got to it.
    pub fn page(&self, listing: &Listing, height: u64, tip: u64) -> Result<Page, StoreError> {
        self.page_within(listing, Bounds { height, tip, examined_max: EXAMINED_MAX })
    }

    fn page_within(&self, listing: &Listing, bounds: Bounds) -> Result<Page, StoreError> {
        let Bounds { height, tip, .. } = bounds;
        assert!(height <= tip && tip <= self.height(), "a page is read as of a height that was applied");
        match listing {
            Listing::Buckets(query) => listings::buckets(&self.store, query, height),
            Listing::Objects(query) => objects::page(&self.store, query, bounds),
            Listing::Uploads(query) => listings::uploads(&self.store, query, bounds),
            Listing::Parts(query) => listings::parts(&self.store, query, height),
            Listing::Versions(query) => versions::page(&self.store, query, bounds),
            Listing::Current(of) => versions::current(&self.store, of, height),
            Listing::Moment(time_ms) => moments::page(&self.store, *time_ms, height),
            Listing::Annotation(query) => annotations::page(&self.store, query, height),
        }
    }

    fn attached<const MAX: usize>(&self, name: &Attachment) -> Result<proof::wire::Octets<MAX>, StoreError> {
        attached(&self.store, name)
    }
}

/// The attached bytes with this name.
fn attached<S: Store, const MAX: usize>(
    store: &S,
    name: &Attachment,
) -> Result<proof::wire::Octets<MAX>, StoreError> {
    let bytes = store.get(&Key::new(ATTACHMENTS).digest(&name.digest).done())?;
    let bytes = bytes.ok_or(StoreError::Damaged("attachment"))?;
    proof::wire::Octets::new(bytes).map_err(|_| StoreError::Damaged("attachment"))
}

/// What names a body's ciphertext or manifest.
fn payload(body: &Body) -> &Attachment {
    match &body.payload {
        Payload::Inline(ciphertext) => ciphertext,
        Payload::Stored(stored) => &stored.manifest,
    }
}

/// The ciphertexts and manifests of a transaction. Sealed bodies are kept beside their entries.
fn add_attachments(rows: &mut Rows, signed: &SignedTransaction) {
    for name in signed.transaction.operations.iter().filter_map(Operation::body).map(payload) {
        let bytes = signed.attachment(name).expect("an admitted transaction carries what it names");
        rows.push((Key::new(ATTACHMENTS).digest(&name.digest).done(), bytes.clone()));
    }
}

fn sealed(signed: &SignedTransaction, name: &Attachment) -> Sealed {
    let bytes = signed.attachment(name).expect("an admitted transaction carries what it names");
    Sealed::new(bytes.clone()).expect("an admitted sealed body is bounded")
}

fn version_row(entry: VersionEntry, signed: &SignedTransaction) -> (Vec<u8>, Bytes) {
    let key = entry.place.key.as_str().as_bytes();
    let row = Key::new(VERSIONS).tenant(&entry.tenant).bucket(&entry.place.bucket).key(key);
    let row = row.newest_first(&entry.version).done();
    let sealed = entry.body().map(|body| sealed(signed, &body.sealed)).into_iter().collect();
    let sealed = List::new(sealed).expect("one at the most");
    (row, Turn::Version(VersionRow { entry, sealed }).encode())
}

/// That a version was hidden or shown again, and what became current by it.
fn visibility_rows(rows: &mut Rows, change: VisibilityChanged) {
    let VisibilityChanged { tenant, place, version, changed, time_ms, hidden, current } = change;
    let key = |table| {
        let key = Key::new(table).tenant(&tenant).bucket(&place.bucket);
        key.key(place.key.as_str().as_bytes())
    };
    let row = key(HIDDEN).newest_first(&version).newest_first(&changed).done();
    rows.push((row, HiddenRow { hidden, time_ms }.encode()));
    if let Some(current) = current {
        let current = List::new(current.into_iter().collect()).expect("one at the most");
        rows.push((key(VERSIONS).newest_first(&changed).done(), Turn::Current(current).encode()));
    }
}

fn signer_row(key: &PublicKey, tenant: &TenantId, version: &VersionId, active: bool) -> (Vec<u8>, Bytes) {
    let row = Key::new(SIGNERS).signer(key).tenant(tenant).newest_first(version);
    (row.done(), u8::from(active).encode())
}

fn add_effect(rows: &mut Rows, effect: Effect, signed: &SignedTransaction) {
    match effect {
        Effect::BucketCreated(created) => {
            let key = Key::new(BUCKETS).tenant(&created.tenant).bucket(&created.bucket);
            rows.push((
                key.newest_first(&created.version).done(),
                BucketRow::Created(created.time_ms).encode(),
            ));
        }
        Effect::BucketDeleted(deleted) => {
            let key = Key::new(BUCKETS).tenant(&deleted.tenant).bucket(&deleted.bucket);
            rows.push((key.newest_first(&deleted.version).done(), BucketRow::Deleted.encode()));
        }
        Effect::BucketUndeleted(undeleted) => {
            let key = Key::new(BUCKETS).tenant(&undeleted.tenant).bucket(&undeleted.bucket);
            rows.push((key.newest_first(&undeleted.version).done(), BucketRow::Undeleted.encode()));
        }
        Effect::VersionAdded(entry) => rows.push(version_row(entry, signed)),
        Effect::VisibilityChanged(change) => visibility_rows(rows, change),
        Effect::UploadOpened(entry) => {
            let (tenant, upload, place) = (&entry.tenant, &entry.upload, &entry.place);
            let by_key = Key::new(UPLOADS_BY_KEY).tenant(tenant).bucket(&place.bucket);
            let by_key = by_key.key(place.key.as_str().as_bytes()).upload(upload).done();
            let by_id = Key::new(UPLOADS).tenant(tenant).upload(upload).done();
            rows.push((by_key, entry.version.encode()));
            let sealed = sealed(signed, &entry.sealed);
            rows.push((by_id, NamedUpload { entry, sealed }.encode()));
        }
        Effect::PartPut(tenant, entry) => {
            let key = Key::new(PARTS).tenant(&tenant).upload(&entry.upload).number(entry.number);
            let sealed = sealed(signed, &entry.body.sealed);
            rows.push((key.newest_first(&entry.version).done(), PartRow { entry, sealed }.encode()));
        }
        Effect::SignerChanged(SignerChanged { tenant, key, version, active }) => {
            rows.push(signer_row(&key, &tenant, &version, active));
        }
        Effect::Annotated(entry) => {
            let row = annotations::rows(&entry.tenant, &entry.about);
            let row = row.expect("an entry names versions by their ids").newest_first(&entry.changed);
            let sealed = entry.sealed.iter().map(|name| sealed(signed, name)).collect();
            let sealed = List::new(sealed).expect("one at the most");
            rows.push((row.done(), AnnotationRow { sealed }.encode()));
        }
        Effect::UploadClosed(closed) => {
            let key = Key::new(UPLOADS_CLOSED).tenant(&closed.tenant).upload(&closed.upload);
            rows.push((key.done(), closed.version.encode()));
        }
    }
}
