//! Whether an answer holds. Trusts the genesis alone.

use super::views::{HeadView, NamedView, PayloadView, UploadView, VersionView};
use crate::{
    protocol::{
        Answer, Decision, Failure, Named, NamedVersion, ProvenExpiry, ReceiptAnswer, StateAnswer, Subject,
        TenantUpload,
    },
    state::InvalidProof,
};
use commonware_utils::sync::Mutex;
use ledger::{
    Record, key,
    record::{Bucket, Kind, UploadState},
};
use proof::{
    Digest, Lineage, Manifest, TenantId, VersionId,
    entry::VersionEntry,
    finality::{FinalityError, FinalizedHeader},
    merkle,
    transaction::{Attachment, Payload, Place},
    wire::DecodeExt as _,
};
use std::{collections::BTreeMap, sync::Arc};

/// Verified headers that are remembered, so that a block's signatures are checked once.
const KNOWN_MAX: usize = 256;

/// Why an answer is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejected {
    /// An honest node does not answer so.
    #[error("{0}")]
    False(Fault),
    /// The node cannot answer now, or does not want to.
    #[error("{0}")]
    Unable(String),
}

/// What is false about an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("it answered something else than was asked")]
    Kind,
    #[error("{0}")]
    Finality(#[from] FinalityError),
    #[error("it answered as of height {height} when at least {min_height} was asked for")]
    TooOld { height: u64, min_height: u64 },
    #[error("{0}")]
    Proof(#[from] InvalidProof),
    #[error("the state holds a record of another kind there")]
    Record,
    #[error("the entry is not the one that the record names")]
    Entry,
    #[error("the attached bytes are not those that the entry names")]
    Attached,
    #[error("the transaction is not at that place in the block")]
    Path,
    #[error("it calls a transaction expired whose time is not over, or that was decided")]
    Expiry,
    #[error("it says that the page is {said} when f + 1 nodes say {agreed}")]
    Page { said: Digest, agreed: Digest },
}

impl<F: Into<Fault>> From<F> for Rejected {
    fn from(fault: F) -> Self {
        Self::False(fault.into())
    }
}

/// The node's own reason for not answering, or that it answered something else.
pub(super) fn unexpected(answer: Answer) -> Rejected {
    match answer {
        Answer::Failed(Failure::Malformed) => {
            Rejected::Unable("it does not understand the request".to_owned())
        }
        Answer::Failed(Failure::Behind(height)) => {
            Rejected::Unable(format!("it has only got to height {height}"))
        }
        Answer::Failed(Failure::NotHeld) => {
            Rejected::Unable("it does not hold what was asked for".to_owned())
        }
        Answer::Failed(Failure::Overloaded) => Rejected::Unable("it is overloaded".to_owned()),
        _ => Fault::Kind.into(),
    }
}

/// Records under one finalized header.
pub(super) struct Proven {
    pub(super) block: Arc<FinalizedHeader>,
    pub(super) records: Vec<Option<Record>>,
    pub(super) named: Named,
}

/// Checks answers of one network's nodes.
pub(super) struct Verifier {
    lineage: Lineage,
    known: Mutex<BTreeMap<(u64, Digest), Arc<FinalizedHeader>>>,
}

impl Verifier {
    pub(super) fn new(lineage: Lineage) -> Self {
        Self { lineage, known: Mutex::default() }
    }

    /// Checks that the header is final. Gives the proof that was checked, which of a known block is the one known.
    pub(super) fn block(
        &self,
        block: FinalizedHeader,
        min_height: u64,
    ) -> Result<Arc<FinalizedHeader>, Rejected> {
        let height = block.header.height;
        if height < min_height {
            return Err(Fault::TooOld { height, min_height }.into());
        }
        let name = (height, block.header.digest());
        if let Some(known) = self.known.lock().get(&name) {
            return Ok(known.clone());
        }
        self.lineage.verify(&block)?;
        let block = Arc::new(block);
        let mut known = self.known.lock();
        known.insert(name, block.clone());
        if known.len() > KNOWN_MAX {
            known.pop_first();
        }
        Ok(block)
    }

    /// Checks the proofs of `subject`'s keys.
    pub(super) fn state(
        &self,
        subject: &Subject,
        min_height: u64,
        answer: StateAnswer,
    ) -> Result<Proven, Rejected> {
        let StateAnswer { block, proofs, named } = answer;
        let block = self.block(block, min_height)?;
        let keys = subject.keys();
        if proofs.len() != keys.len() {
            return Err(Fault::Kind.into());
        }
        let verify =
            |(key, proof): (_, &crate::state::StateProof)| proof.verify(key, &block.header.state_root);
        let records = keys.iter().zip(proofs.iter()).map(verify).collect::<Result<_, _>>()?;
        Ok(Proven { block, records, named })
    }

    /// Checks that `transaction` was decided as stated. The block in what is given was checked.
    pub(super) fn decision(&self, transaction: Digest, decision: Decision) -> Result<Decision, Rejected> {
        let block = self.block(decision.block, 0)?;
        let Decision { index, outcome, signature, path, .. } = decision;
        let leaf = merkle::Leaf { transaction, signature, outcome };
        let header = &block.header;
        if !merkle::verify(&header.transactions_root, header.transactions, index, &leaf, &path) {
            return Err(Fault::Path.into());
        }
        Ok(Decision { block: FinalizedHeader::clone(&block), index, outcome, signature, path })
    }

    /// Checks that the transaction has no outcome in a state at or after its expiry.
    pub(super) fn expiry(&self, id: Digest, expires_ms: u64, expired: ProvenExpiry) -> Result<(), Rejected> {
        let block = self.block(expired.block, 0)?;
        let record = expired.absence.verify(&key::outcome(&id), &block.header.state_root)?;
        if record.is_some() || block.header.time_ms < expires_ms {
            return Err(Fault::Expiry.into());
        }
        Ok(())
    }

    /// Checks a receipt for the transaction at `index` of the block of height `height`.
    pub(super) fn receipt(
        &self,
        height: u64,
        index: u32,
        receipt: ReceiptAnswer,
    ) -> Result<ReceiptAnswer, Rejected> {
        let ReceiptAnswer { transaction, decision } = receipt;
        let decision = self.decision(transaction.id(), decision)?;
        if decision.block.header.height != height || decision.index != index {
            return Err(Fault::Path.into());
        }
        Ok(ReceiptAnswer { transaction, decision })
    }
}

/// A bucket's record, unless the bucket was deleted.
pub(super) fn bucket(record: Option<Record>) -> Result<Option<Bucket>, Rejected> {
    match record {
        None => Ok(None),
        Some(Record::Bucket(bucket)) => Ok(Some(bucket).filter(|bucket| !bucket.deleted)),
        Some(_) => Err(Fault::Record.into()),
    }
}

/// What the two records of [`Subject::Head`] say.
pub(super) fn head(tenant: TenantId, place: &Place, proven: Proven) -> Result<HeadView, Rejected> {
    let [first, second] = <[_; 2]>::try_from(proven.records).map_err(|_| Fault::Kind)?;
    let Some(bucket) = bucket(first)? else { return Ok(HeadView::NoBucket) };
    let head = match second {
        None => return Ok(HeadView::Absent),
        Some(Record::Head(head)) => head,
        Some(_) => return Err(Fault::Record.into()),
    };
    // What is left of an earlier life of the bucket is not current any more.
    if !head.is_current(&bucket) {
        return Ok(HeadView::Absent);
    }
    view(tenant, place, head.version, &head.entry, &head.kind, proven.named, Some(&bucket))
}

/// What the three records of [`Subject::Shown`] say.
pub(super) fn version(
    tenant: TenantId,
    place: &Place,
    asked: VersionId,
    proven: Proven,
) -> Result<NamedView, Rejected> {
    let [first, second, third] = <[_; 3]>::try_from(proven.records).map_err(|_| Fault::Kind)?;
    let bucket = bucket(first)?;
    let hidden = match second {
        None => false,
        Some(Record::Hidden(record)) => record.hidden,
        Some(_) => return Err(Fault::Record.into()),
    };
    // What is left of an earlier life of the bucket is there for good when asked for by its id.
    let view = match third {
        None => HeadView::Absent,
        Some(Record::Version(record)) => {
            view(tenant, place, asked, &record.entry, &record.kind, proven.named, bucket.as_ref())?
        }
        Some(_) => return Err(Fault::Record.into()),
    };
    Ok(NamedView { life: bucket.map(|bucket| bucket.created), hidden, view })
}

/// The version that a record names, if what came with it is that.
fn view(
    tenant: TenantId,
    place: &Place,
    version: VersionId,
    entry: &Digest,
    kind: &Kind,
    named: Named,
    bucket: Option<&Bucket>,
) -> Result<HeadView, Rejected> {
    let Named::Version(named) = named else {
        return Err(Rejected::Unable("it withholds the entry that the state names".to_owned()));
    };
    let is_named = named.entry.digest() == *entry;
    if !is_named
        || (named.entry.tenant, named.entry.version) != (tenant, version)
        || named.entry.place != *place
    {
        return Err(Fault::Entry.into());
    }
    match kind {
        Kind::Marker => Ok(HeadView::Marker(named.entry)),
        Kind::Object => Ok(HeadView::Object(object(named, bucket)?)),
        // No version is of this kind, and a head of it is not current.
        Kind::Nothing => Err(Fault::Record.into()),
    }
}

/// The object, if the attached bytes are those that its entry names.
fn object(named: NamedVersion, bucket: Option<&Bucket>) -> Result<VersionView, Rejected> {
    let NamedVersion { entry, sealed, payload } = named;
    let VersionEntry { kind: proof::entry::VersionKind::Object(body), .. } = &entry else {
        return Err(Fault::Entry.into());
    };
    let (Some(sealed), Some(payload)) = (sealed.into_inner().pop(), payload.into_inner().pop()) else {
        return Err(Rejected::Unable("it withholds the bytes that the entry names".to_owned()));
    };
    let (name, inline) = match &body.payload {
        Payload::Inline(ciphertext) => (ciphertext, true),
        Payload::Stored(stored) => (&stored.manifest, false),
    };
    if Attachment::of(&sealed) != body.sealed || Attachment::of(&payload) != *name {
        return Err(Fault::Attached.into());
    }
    let bytes = payload.bytes().clone();
    let payload = if inline { PayloadView::Inline(bytes) } else { PayloadView::Manifest(manifest(bytes)?) };
    let lockable = bucket.is_some_and(|bucket| !bucket.lock.is_empty());
    let annotated = bucket.is_some_and(|bucket| bucket.annotated);
    Ok(VersionView { sealed: sealed.bytes().clone(), payload, entry, lockable, annotated })
}

/// A manifest whose bytes were checked. The ledger admits none that does not decode.
pub(super) fn manifest(bytes: bytes::Bytes) -> Result<Manifest, Rejected> {
    Manifest::decode(bytes).map_err(|_| Fault::Attached.into())
}

/// What the record of [`Subject::Upload`] says.
pub(super) fn upload(of: &TenantUpload, proven: Proven) -> Result<Option<UploadView>, Rejected> {
    let [record] = <[_; 1]>::try_from(proven.records).map_err(|_| Fault::Kind)?;
    let record = match record {
        None => return Ok(None),
        Some(Record::Upload(upload)) => upload,
        Some(_) => return Err(Fault::Record.into()),
    };
    let Named::Upload(named) = proven.named else {
        return Err(Rejected::Unable("it withholds the entry that the state names".to_owned()));
    };
    let entry = named.entry;
    if entry.digest() != record.entry || (entry.tenant, entry.upload) != (of.tenant, of.upload) {
        return Err(Fault::Entry.into());
    }
    if Attachment::of(&named.sealed) != entry.sealed {
        return Err(Fault::Attached.into());
    }
    let open = record.state == UploadState::Open;
    Ok(Some(UploadView { sealed: named.sealed.bytes().clone(), entry, revision: record.revision, open }))
}
