//! The entries that operations leave behind, as functions of their position in the chain. Execution writes their
//! hashes to the state; effects carry them whole. Both make them here, so they agree.

use crate::execute::BlockContext;
use proof::{
    TenantId, VersionId,
    entry::{AnnotationEntry, PartEntry, UploadEntry, VersionEntry, VersionKind},
    transaction::{About, Annotate, CreateUpload, Place, PutPart, Target, TargetAt},
};

/// Where an operation is in the chain.
#[derive(Clone, Copy)]
pub(crate) struct Position {
    pub(crate) tenant: TenantId,
    pub(crate) version: VersionId,
    pub(crate) time_ms: u64,
}

impl Position {
    /// Of the operation number `operation` of the transaction number `index` of the block.
    pub(crate) fn new(block: &BlockContext<'_>, index: u32, operation: usize, tenant: TenantId) -> Self {
        let operation =
            u16::try_from(operation).expect("a transaction has at most OPERATIONS_MAX operations");
        let version = VersionId { height: block.height, index, operation };
        Self { tenant, version, time_ms: block.time_ms }
    }

    pub(crate) fn version_entry(&self, place: &Place, kind: VersionKind) -> VersionEntry {
        let Self { tenant, version, time_ms } = *self;
        VersionEntry { tenant, place: place.clone(), version, time_ms, kind }
    }

    pub(crate) fn upload_entry(&self, create: &CreateUpload) -> UploadEntry {
        let Self { tenant, version, time_ms } = *self;
        let CreateUpload { upload, place, sealed } = create.clone();
        UploadEntry { tenant, upload, place, version, time_ms, sealed }
    }

    pub(crate) fn annotation_entry(&self, annotate: &Annotate) -> AnnotationEntry {
        let Self { tenant, version: changed, time_ms } = *self;
        let about = self.named(&annotate.about);
        AnnotationEntry { tenant, about, changed, time_ms, sealed: annotate.sealed.clone() }
    }

    /// With a version that this transaction makes named by its id.
    fn named(&self, about: &About) -> About {
        match about.clone() {
            About::VersionTags(TargetAt { place, version: Target::Made(operation) }) => {
                let version = Target::Version(VersionId { operation, ..self.version });
                About::VersionTags(TargetAt { place, version })
            }
            about => about,
        }
    }

    pub(crate) fn part_entry(&self, put: &PutPart) -> PartEntry {
        let Self { version, time_ms, .. } = *self;
        let PutPart { upload, number, body } = put.clone();
        PartEntry { upload, number, version, time_ms, body }
    }
}
