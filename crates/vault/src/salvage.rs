//! What a tenant stored, read from bare disks: no network, no running node.
//!
//! 1. Whoever reads the files finds out which blocks are final ([`chain::bare`]), and gives them here in ascending order.
//!    [`Catalogue::add`] follows what they did to this tenant's buckets and keys, by the ledger's own rules.
//! 2. [`Catalogue::select`] says which versions there are: the current ones, or all.
//! 3. [`Salvage::open`] opens a version from its block: the sealed body opens only under the tenant's key and for this
//!    key of this bucket. [`Salvage::read`] gathers each chunk from k of the shard logs, checks and decodes it, and gives
//!    out the plaintext in order. Memory is one chunk.
//!
//! What comes out is what the tenant's gateway once stored, or an error: the chain binds the manifest, the manifest binds
//! the chunks, a chunk's id binds its shards. So no directory is trusted with anything.

use crate::{
    Error, Object,
    layout::{Located, PagePlace, locate, matches, pages_within},
    object,
};
use blob::{CheckedShard, Code, SegmentKey, TenantKey};
use bytes::Bytes;
use chain::{
    block::Block,
    client::{PayloadView, VersionView},
};
use ledger::{APPLIED, BlockContext, Effect, effects};
use proof::{
    BucketName, Committee, Digest, Genesis, Manifest, ObjectKey, TenantId, VersionId,
    entry::VersionEntry,
    manifest::{Page, PageRef},
    transaction::{Operation, Payload, Place},
    wire::DecodeExt as _,
};
use shards::bare::{BareShard, Files, Found, Log};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};
use zeroize::Zeroizing;

pub use chain::bare as blocks;
pub use shards::bare as logs;

/// What happened to a tenant's buckets and keys. Memory is about 100 bytes for each version, and the keys.
pub struct Catalogue {
    genesis: Genesis,
    network: Digest,
    tenant: TenantId,
    buckets: BTreeMap<BucketName, Bucket>,
}

#[derive(Default)]
struct Bucket {
    /// Where its present life began: what is older does not count.
    born: Option<VersionId>,
    deleted: bool,
    keys: BTreeMap<ObjectKey, Key>,
}

#[derive(Default)]
struct Key {
    versions: Vec<Version>,
    hidden: BTreeSet<VersionId>,
    current: Option<VersionId>,
}

#[derive(Clone, Copy)]
struct Version {
    version: VersionId,
    time_ms: u64,
    ciphertext_length: u64,
    marker: bool,
}

/// A version of an object that is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Where.
    pub place: Place,
    /// Which. Its height is the block that has it.
    pub version: VersionId,
    /// Block time, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Bytes of ciphertext: a little more than of plaintext.
    pub ciphertext_length: u64,
    /// Whether it is what its key holds now.
    pub current: bool,
    /// Whether it was deleted by its id.
    pub hidden: bool,
}

impl Catalogue {
    /// Of a tenant of this network.
    pub fn new(genesis: Genesis, tenant: TenantId) -> Self {
        Self { network: genesis.id(), genesis, tenant, buckets: BTreeMap::new() }
    }

    /// Follows a final block. They come in ascending order.
    pub fn add(&mut self, block: &Block) {
        let context = BlockContext {
            genesis: &self.genesis,
            network: self.network,
            height: block.header.height,
            time_ms: block.header.time_ms,
        };
        let mut all = Vec::new();
        for (index, (signed, outcome)) in (0..).zip(block.transactions.iter().zip(block.outcomes.iter())) {
            if *outcome == APPLIED && signed.transaction.tenant == self.tenant {
                all.extend(effects(&context, index, signed));
            }
        }
        all.into_iter().for_each(|effect| self.follow(effect));
    }

    fn follow(&mut self, effect: Effect) {
        match effect {
            Effect::BucketCreated(created) => {
                let bucket = self.buckets.entry(created.bucket).or_default();
                (bucket.born, bucket.deleted) = (Some(created.version), false);
            }
            Effect::BucketDeleted(deleted) => self.buckets.entry(deleted.bucket).or_default().deleted = true,
            Effect::BucketUndeleted(undeleted) => {
                self.buckets.entry(undeleted.bucket).or_default().deleted = false;
            }
            Effect::VersionAdded(entry) => {
                let (version, time_ms) = (entry.version, entry.time_ms);
                let ciphertext_length = entry.body().map_or(0, |body| body.ciphertext_length);
                let marker = entry.body().is_none();
                let key = self.key(entry.place);
                key.versions.push(Version { version, time_ms, ciphertext_length, marker });
                key.current = Some(version);
            }
            Effect::VisibilityChanged(change) => {
                let key = self.key(change.place);
                if change.hidden {
                    key.hidden.insert(change.version);
                } else {
                    key.hidden.remove(&change.version);
                }
                if let Some(current) = change.current {
                    key.current = current;
                }
            }
            // What was never completed was never acknowledged as an object.
            Effect::UploadOpened(_) | Effect::PartPut(..) | Effect::UploadClosed(_) => {}
            // Locks and tags are not the contents.
            Effect::Annotated(_) => {}
            Effect::SignerChanged(_) => {}
        }
    }

    fn key(&mut self, place: Place) -> &mut Key {
        self.buckets.entry(place.bucket).or_default().keys.entry(place.key).or_default()
    }

    /// The objects that are current, in the order of buckets and keys; or all versions of objects that ever were, those of
    /// a key oldest first.
    pub fn select(&self, bucket: Option<&BucketName>, all: bool) -> Vec<Selected> {
        let mut selected = Vec::new();
        let buckets = self.buckets.iter().filter(|(name, _)| bucket.is_none_or(|wanted| wanted == *name));
        for (name, bucket) in buckets {
            for (key, of) in &bucket.keys {
                let lives =
                    |version: &VersionId| !bucket.deleted && bucket.born.is_none_or(|born| *version > born);
                for found in of.versions.iter().filter(|found| !found.marker) {
                    let current = of.current == Some(found.version) && lives(&found.version);
                    if current || all {
                        selected.push(Selected {
                            place: Place { bucket: name.clone(), key: key.clone() },
                            version: found.version,
                            time_ms: found.time_ms,
                            ciphertext_length: found.ciphertext_length,
                            current,
                            hidden: of.hidden.contains(&found.version),
                        });
                    }
                }
            }
        }
        selected
    }

    /// Whether the tenant ever had this bucket.
    pub fn knows(&self, bucket: &BucketName) -> bool {
        self.buckets.contains_key(bucket)
    }
}

/// Why a version could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// Too few shards of a chunk are in these directories.
    #[error(
        "chunk {chunk}: {whole} of the {needed} shards needed are in these directories, {damaged} more are damaged"
    )]
    TooFew {
        /// The chunk.
        chunk: Digest,
        /// Shards found whole.
        whole: usize,
        /// Shards found damaged.
        damaged: usize,
        /// Shards needed.
        needed: usize,
    },
    /// A page of its manifest is nowhere.
    #[error("the manifest's page {page} is in none of these directories{}", if *.damaged { " undamaged" } else { "" })]
    NoPage {
        /// The page.
        page: Digest,
        /// Whether a directory has it damaged.
        damaged: bool,
    },
    /// It was not written as it says, or not under this tenant's key.
    #[error(transparent)]
    Object(#[from] Error),
    /// What was read could not be passed on.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

/// The shard logs of some nodes.
pub struct Shelf<F> {
    logs: Vec<Log<F>>,
    code: Code,
}

impl<F: Files> Shelf<F> {
    /// Of a network whose nodes these are.
    pub fn new(committee: &Committee, logs: Vec<Log<F>>) -> Self {
        let code = Code::new(committee.k(), committee.n()).expect("a committee's numbers are a code's");
        Self { logs, code }
    }

    /// A chunk's ciphertext, from any k different shards.
    fn chunk(&self, id: &Digest) -> Result<Bytes, SalvageError> {
        let needed = self.code.k();
        let (mut shards, mut damaged) = (BTreeMap::<usize, CheckedShard>::new(), 0);
        let mut opening = None;
        for log in &self.logs {
            match log.shard(id) {
                Found::Whole(BareShard { index, opening: of, bytes }) => {
                    // The id binds the opening, so all that are found are equal.
                    if let Ok(shard) = self.code.check_shard(&of, index, bytes) {
                        shards.insert(index, shard);
                        opening = Some(of);
                    } else {
                        damaged += 1;
                    }
                }
                Found::Damaged => damaged += 1,
                Found::Nothing => {}
            }
            if shards.len() == needed {
                break;
            }
        }
        let shards: Vec<_> = shards.into_values().collect();
        match opening {
            Some(opening) if shards.len() >= needed => self.code.decode(&opening, &shards).map_err(|_| {
                Error::Damaged(format!("chunk {id}: its writer did not encode it consistently")).into()
            }),
            _ => Err(SalvageError::TooFew { chunk: *id, whole: shards.len(), damaged, needed }),
        }
    }

    fn page(&self, reference: &PageRef) -> Result<Page, SalvageError> {
        let mut damaged = false;
        for log in &self.logs {
            match log.page(&reference.id) {
                Found::Whole(page) if matches(&page, reference) => return Ok(page),
                Found::Nothing => {}
                Found::Whole(_) | Found::Damaged => damaged = true,
            }
        }
        Err(SalvageError::NoPage { page: reference.id, damaged })
    }

    /// Of how many different shards each chunk of a manifest has, whole: the least. All of them are read.
    pub fn redundancy(&self, manifest: &Manifest) -> usize {
        let mut least = self.code.n();
        let mut look = |page: &Page| {
            for chunk in page.chunks() {
                let whole = self.logs.iter().filter_map(|log| match log.shard(chunk) {
                    Found::Whole(BareShard { index, opening, bytes }) => {
                        self.code.check_shard(&opening, index, bytes).is_ok().then_some(index)
                    }
                    _ => None,
                });
                least = least.min(whole.collect::<BTreeSet<_>>().len());
            }
        };
        match manifest {
            Manifest::Direct(page) => look(page),
            Manifest::Paged(pages) => {
                for reference in pages.iter() {
                    match self.page(reference) {
                        Ok(page) => look(&page),
                        Err(_) => return 0,
                    }
                }
            }
        }
        least
    }
}

/// The payload of every version of every tenant that a final block added: `None` for one that is in the block itself.
pub fn payloads(block: &Block) -> impl Iterator<Item = Option<Manifest>> {
    let applied = block.transactions.iter().zip(block.outcomes.iter());
    let applied = applied.filter(|(_, outcome)| **outcome == APPLIED);
    applied.flat_map(|(signed, _)| {
        signed.transaction.operations.iter().filter_map(|operation| {
            // Parts are what completed uploads consist of.
            let body = match operation {
                Operation::PutPart(_) => None,
                operation => operation.body(),
            }?;
            Some(match &body.payload {
                Payload::Inline(_) => None,
                Payload::Stored(stored) => {
                    let bytes = signed.attachment(&stored.manifest).expect("a block has what it names");
                    Some(
                        Manifest::decode(bytes.clone()).expect("the ledger admits none that does not decode"),
                    )
                }
            })
        })
    })
}

/// Reads a tenant's objects from shard logs.
pub struct Salvage<F> {
    shelf: Shelf<F>,
    key: TenantKey,
    genesis: Genesis,
    tenant: TenantId,
}

impl<F: Files> Salvage<F> {
    /// Of the tenant with this master key.
    pub fn new(
        genesis: Genesis,
        tenant: TenantId,
        master_key: &Zeroizing<[u8; 32]>,
        logs: Vec<Log<F>>,
    ) -> Self {
        let shelf = Shelf::new(&genesis.committee, logs);
        Self { shelf, key: TenantKey::new(**master_key), genesis, tenant }
    }

    /// Opens a version, given the final block that has it. Errors: `Damaged`.
    pub fn open(&self, block: &Block, selected: &Selected) -> Result<Object, Error> {
        let context = BlockContext {
            genesis: &self.genesis,
            network: block.header.network,
            height: block.header.height,
            time_ms: block.header.time_ms,
        };
        let index = selected.version.index;
        let signed = block.transactions.get(index as usize).ok_or_else(absent)?;
        let is_it = |effect| match effect {
            Effect::VersionAdded(entry) if entry.version == selected.version => Some(entry),
            _ => None,
        };
        let entry: VersionEntry =
            effects(&context, index, signed).into_iter().find_map(is_it).ok_or_else(absent)?;
        let body = entry.body().ok_or_else(absent)?;
        let attached = |name| signed.attachment(name).cloned().ok_or_else(absent);
        let payload = match &body.payload {
            Payload::Inline(name) => PayloadView::Inline(attached(name)?),
            Payload::Stored(stored) => {
                let manifest = Manifest::decode(attached(&stored.manifest)?);
                let manifest = manifest.map_err(|_| Error::Damaged("a manifest is none".into()))?;
                PayloadView::Manifest(manifest)
            }
        };
        let sealed = attached(&body.sealed)?;
        object::open(
            &self.key,
            self.tenant,
            VersionView { entry, sealed, payload, lockable: false, annotated: false },
        )
    }

    /// Gives the object's bytes to `take`, in order.
    pub fn read(
        &self,
        object: &Object,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), SalvageError> {
        if object.length == 0 {
            return Ok(());
        }
        let whole = 0..object.length;
        match &object.contents.ciphertext {
            PayloadView::Inline(ciphertext) => {
                let key = SegmentKey::new(*object.contents.sealed.data_key.bytes());
                let plaintext =
                    blob::open_chunk(&self.shelf.code, &key, 0, ciphertext).map_err(|_| undecryptable())?;
                Ok(take(&plaintext)?)
            }
            PayloadView::Manifest(Manifest::Direct(page)) => {
                let place = PagePlace { offset: 0, chunks: 0 };
                self.chunks(object, locate(page, place, &whole)?, &mut take)
            }
            PayloadView::Manifest(Manifest::Paged(pages)) => {
                for (reference, place) in pages_within(pages, &whole)? {
                    let page = self.shelf.page(&reference)?;
                    self.chunks(object, locate(&page, place, &whole)?, &mut take)?;
                }
                Ok(())
            }
        }
    }

    fn chunks(
        &self,
        object: &Object,
        located: Vec<Located>,
        take: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), SalvageError> {
        let data_key = object.contents.sealed.data_key.data_key();
        for located in located {
            let key = blob::unwrap_segment_key(&data_key, located.segment, &located.sealed_key)
                .map_err(|_| undecryptable())?;
            let ciphertext = self.shelf.chunk(&located.id)?;
            let plaintext = blob::open_chunk(&self.shelf.code, &key, located.number, &ciphertext)
                .map_err(|_| undecryptable())?;
            if plaintext.len() as u64 != located.length {
                return Err(Error::Damaged("a chunk is not as long as its manifest says".into()).into());
            }
            take(&plaintext)?;
        }
        Ok(())
    }
}

fn absent() -> Error {
    Error::Damaged("the block does not have the version".into())
}

fn undecryptable() -> Error {
    Error::Damaged("a chunk does not decrypt".into())
}
