//! Writing an object's bytes.

use crate::{Condition, Context, Error, Metadata, Part, Vault, Written};
use bytes::Bytes;
use proof::{UploadId, transaction::Place};

/// An object being written. Dropping it abandons the write: nothing was or will be visible.
pub struct Writer<E: Context> {
    vault: Vault<E>,
    place: Place,
}

impl<E: Context> Writer<E> {
    /// Takes the next bytes, any number. Waits while enough are on the way to the nodes.
    ///
    /// # Errors
    ///
    /// `TooLarge`, `Overloaded`, `Full`, `Unavailable`. The writer is of no use after an error.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let _ = (&self.vault, &self.place, bytes);
        todo!()
    }

    /// Makes what was written the key's current version, if the condition holds. Returns when that is final.
    ///
    /// # Errors
    ///
    /// Those of [`Self::write`], and `NoSuchBucket`, `PreconditionFailed`, `MetadataTooLarge`, `NotAllowed`,
    /// `Unknown`.
    pub async fn finish(self, metadata: Metadata, condition: Condition) -> Result<Written, Error> {
        let _ = (metadata, condition);
        todo!()
    }
}

/// A part of a multipart upload being written. Dropping it abandons the part.
pub struct PartWriter<E: Context> {
    vault: Vault<E>,
    upload: UploadId,
    number: u16,
}

impl<E: Context> PartWriter<E> {
    /// As [`Writer::write`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let _ = (&self.vault, &self.upload, &self.number, bytes);
        todo!()
    }

    /// Makes what was written the upload's part of this number. Returns when that is final.
    ///
    /// # Errors
    ///
    /// Those of [`Writer::finish`], and `NoSuchUpload`.
    pub async fn finish(self, metadata: Metadata) -> Result<Part, Error> {
        let _ = metadata;
        todo!()
    }
}
