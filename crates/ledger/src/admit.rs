//! What a transaction must be for any block to hold it: everything that can be decided without the state.
//!
//! Checks are ordered by their cost: shapes and lengths, then hashes of attachments, then the signer's signature, then
//! the certificates (a quorum of signatures each).

use proof::{
    Committee, Digest, Manifest, SignedTransaction,
    availability::CertificateError,
    limits::{
        CERTIFICATE_AGE_MS_MAX, CHUNK_LENGTH, CHUNK_TAG_LENGTH, DIRECT_CHUNKS_MAX, INLINE_MAX,
        PAGE_CHUNKS_MAX, PART_NUMBER_MAX, SEALED_MAX, TRANSACTION_BYTES_MAX,
    },
    transaction::{Attachment, Body, Operation, Payload, Place, Stored, Target},
    wire::{DecodeExt, EncodeSize, Error},
};

/// Why a transaction is not one. It must not be in a block and leaves no trace.
#[derive(Debug, thiserror::Error)]
pub enum Inadmissible {
    /// For another network.
    #[error("the transaction is for network {0}, not for this one; check the genesis file")]
    OtherNetwork(Digest),
    /// It does nothing.
    #[error("the transaction has no operations")]
    Empty,
    /// Its encoding is longer than [`TRANSACTION_BYTES_MAX`].
    #[error(
        "the transaction has {0} bytes; at most {TRANSACTION_BYTES_MAX} are allowed: store the data instead of inlining it"
    )]
    TooLarge(usize),
    /// It creates a tenant or limits one and is of another one, or does other things as well.
    #[error(
        "a transaction that creates a tenant or sets its quota must be of that tenant and do nothing else"
    )]
    MixedCreation,
    /// A sealed attachment is longer than [`SEALED_MAX`].
    #[error("sealed metadata has {0} bytes; at most {SEALED_MAX} are allowed: shorten the user metadata")]
    SealedTooLarge(u32),
    /// An inline ciphertext does not have the stated length, or one that a single chunk of inline size can have.
    #[error("an inline ciphertext has {CHUNK_TAG_LENGTH} to {INLINE_MAX} bytes as stated, not {0}")]
    InlineLength(u32),
    /// An operation is about a version that no operation before it makes at its place.
    #[error("operation {0} of the transaction does not make the version that a later one is about")]
    Target(u16),
    /// A part number out of range.
    #[error("part numbers are 1 to {PART_NUMBER_MAX}, not {0}")]
    PartNumber(u16),
    /// A part whose ciphertext is inline.
    #[error("the ciphertext of a part must be stored, not inline")]
    PartInline,
    /// The attachments are not those that the operations name, in order.
    #[error("the attachments are not those that the transaction names")]
    Attachments,
    /// A manifest does not decode.
    #[error("a manifest does not decode: {0}")]
    Manifest(Error),
    /// A manifest is empty, too long to be direct, or names a page that cannot be.
    #[error(
        "a manifest is empty, lists more than {DIRECT_CHUNKS_MAX} chunks directly, or names an impossible page"
    )]
    ManifestShape,
    /// A manifest's chunks do not add up to the ciphertext.
    #[error("a manifest's chunks do not add up to {0} bytes of ciphertext")]
    ManifestLength(u64),
    /// It may be executed when nodes no longer keep what a certificate says they hold.
    #[error(
        "a certificate is of time {0} ms, more than an hour before the transaction expires: have the nodes certify the manifest again"
    )]
    CertificateOld(u64),
    /// The signature is not the signer's.
    #[error("the transaction's signature does not verify")]
    Signature,
    /// A certificate does not prove that a quorum stores what its manifest lists.
    #[error("a manifest is not proved available: {0}")]
    Certificate(#[from] CertificateError),
}

/// Checks all of a transaction that needs no state. `network` is the genesis' id, `committee` the one that decides now.
pub fn admit(signed: &SignedTransaction, committee: &Committee, network: Digest) -> Result<(), Inadmissible> {
    let transaction = &signed.transaction;
    if transaction.network != network {
        return Err(Inadmissible::OtherNetwork(transaction.network));
    }
    check_shape(signed)?;
    if !signed.attachments_match() {
        return Err(Inadmissible::Attachments);
    }
    for (stored, body) in stored(signed) {
        check_age(signed, stored)?;
        check_manifest(signed, stored, body)?;
    }
    if !transaction.verify(&signed.signature) {
        return Err(Inadmissible::Signature);
    }
    for (stored, _) in stored(signed) {
        stored.certificate.verify(network, committee, stored.manifest.digest)?;
    }
    Ok(())
}

/// The bodies whose ciphertext the nodes hold.
fn stored(signed: &SignedTransaction) -> impl Iterator<Item = (&Stored, &Body)> {
    let bodies = signed.transaction.operations.iter().filter_map(Operation::body);
    bodies.filter_map(|body| match &body.payload {
        Payload::Stored(stored) => Some((stored, body)),
        Payload::Inline(_) => None,
    })
}

fn check_shape(signed: &SignedTransaction) -> Result<(), Inadmissible> {
    let transaction = &signed.transaction;
    if transaction.operations.is_empty() {
        return Err(Inadmissible::Empty);
    }
    let bytes = signed.encode_size();
    if bytes > TRANSACTION_BYTES_MAX {
        return Err(Inadmissible::TooLarge(bytes));
    }
    let governed = transaction.operations.iter().filter_map(Operation::governs);
    let own = governed.clone().filter(|tenant| *tenant == transaction.tenant).count();
    if governed.count() > 0 && own != transaction.operations.len() {
        return Err(Inadmissible::MixedCreation);
    }
    let made_before = |at: usize, made: u16, place: &Place| {
        let made = usize::from(made);
        made < at && transaction.operations[made].makes() == Some(place)
    };
    for (at, operation) in transaction.operations.iter().enumerate() {
        check_operation(operation)?;
        if let Some((place, Target::Made(made))) = operation.target()
            && !made_before(at, *made, place)
        {
            return Err(Inadmissible::Target(*made));
        }
    }
    Ok(())
}

fn check_operation(operation: &Operation) -> Result<(), Inadmissible> {
    if let Operation::CreateUpload(create) = operation {
        check_sealed(&create.sealed)?;
    }
    if let Operation::Annotate(annotate) = operation {
        annotate.sealed.iter().try_for_each(check_sealed)?;
    }
    if let Operation::PutPart(put) = operation {
        if !(1..=PART_NUMBER_MAX).contains(&put.number) {
            return Err(Inadmissible::PartNumber(put.number));
        }
        if matches!(put.body.payload, Payload::Inline(_)) {
            return Err(Inadmissible::PartInline);
        }
    }
    operation.body().map_or(Ok(()), check_body)
}

fn check_body(body: &Body) -> Result<(), Inadmissible> {
    check_sealed(&body.sealed)?;
    let Payload::Inline(ciphertext) = &body.payload else { return Ok(()) };
    let length = u64::from(ciphertext.length);
    let fits = (CHUNK_TAG_LENGTH..=INLINE_MAX as u64).contains(&length) && length == body.ciphertext_length;
    if fits { Ok(()) } else { Err(Inadmissible::InlineLength(ciphertext.length)) }
}

fn check_sealed(sealed: &Attachment) -> Result<(), Inadmissible> {
    if sealed.length as usize > SEALED_MAX {
        Err(Inadmissible::SealedTooLarge(sealed.length))
    } else {
        Ok(())
    }
}

/// The transaction expires while every node that signed still keeps what the chain does not refer to.
fn check_age(signed: &SignedTransaction, stored: &Stored) -> Result<(), Inadmissible> {
    let time_ms = stored.certificate.time_ms;
    if signed.transaction.expires_ms > time_ms.saturating_add(CERTIFICATE_AGE_MS_MAX) {
        return Err(Inadmissible::CertificateOld(time_ms));
    }
    Ok(())
}

/// The manifest decodes, can be, and lists as many bytes as the body states.
fn check_manifest(signed: &SignedTransaction, stored: &Stored, body: &Body) -> Result<(), Inadmissible> {
    let encoded = signed.attachment(&stored.manifest).ok_or(Inadmissible::Attachments)?;
    let manifest = Manifest::decode(encoded.clone()).map_err(Inadmissible::Manifest)?;
    if !possible(&manifest) {
        return Err(Inadmissible::ManifestShape);
    }
    let tags = manifest.chunks() * CHUNK_TAG_LENGTH;
    match manifest.length().and_then(|length| length.checked_add(tags)) {
        Some(length) if length == body.ciphertext_length => Ok(()),
        _ => Err(Inadmissible::ManifestLength(body.ciphertext_length)),
    }
}

/// Whether the manifest lists something, and each page that it names could exist: chunks have 1 to [`CHUNK_LENGTH`]
/// bytes. What the pages say is not known here; nodes know it when they sign storage receipts.
fn possible(manifest: &Manifest) -> bool {
    match manifest {
        Manifest::Direct(page) => (1..=DIRECT_CHUNKS_MAX).contains(&page.chunks().count()),
        Manifest::Paged(pages) => {
            let page_possible = |chunks: u64, length: u64| {
                (1..=PAGE_CHUNKS_MAX as u64).contains(&chunks)
                    && (chunks..=chunks * CHUNK_LENGTH).contains(&length)
            };
            !pages.is_empty() && pages.iter().all(|page| page_possible(u64::from(page.chunks), page.length))
        }
    }
}
