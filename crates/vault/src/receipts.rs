//! Write receipts, with what opens their content commitments.

use crate::{Context, Error, Object, Vault, sealed::Runs, writer::opening};
use chain::client::{HeadView, Position};
use proof::{
    PublicKey, Receipt, VersionId,
    receipt::{ContentOpening, ContentRun},
    transaction::{Operation, Place},
    wire::List,
};

impl<E: Context> Vault<E> {
    /// The write receipt of a version (current when `None`), with the opening of its content commitment.
    /// Errors: as [`Self::head`]; a delete marker has a receipt too, without an opening.
    pub async fn receipt(&self, place: &Place, version: Option<VersionId>) -> Result<Receipt, Error> {
        let view = match version {
            Some(version) => self.version_view(place, version).await?,
            None => self.view(place).await?,
        };
        let (version, object) = match view {
            HeadView::Marker(entry) => (entry.version, None),
            HeadView::Object(view) => {
                let object = crate::object::open(&self.shared.master_key, self.shared.tenant, view)?;
                (object.version, Some(object))
            }
            HeadView::NoBucket => return Err(Error::NoSuchBucket),
            HeadView::Absent if version.is_some() => return Err(Error::NoSuchVersion),
            HeadView::Absent => return Err(Error::NoSuchKey { marker: None }),
        };
        let at = Position { height: version.height, index: version.index };
        let view = self
            .patiently(|| async { Ok(self.shared.chain.receipt(at.clone()).await?) })
            .await?
            .ok_or_else(|| Error::Unavailable("no node that answers holds the transaction".into()))?;
        let bodies = view.transaction.operations.iter().filter_map(Operation::body).count();
        let openings = match object {
            Some(object) if bodies == 1 => vec![self.opening(&object).await?],
            _ => Vec::new(),
        };
        let receipt = Receipt {
            network: self.shared.network,
            transaction: view.transaction,
            signature: view.signature,
            index: view.index,
            path: view.path,
            block: view.block,
            opening: List::new(openings).expect("one at the most"),
        };
        let proven = receipt.verify(&self.shared.lineage);
        proven.map_err(|error| Error::Damaged(format!("the receipt does not verify: {error}")))?;
        Ok(receipt)
    }

    /// The key that signed what happened at this place in the chain. Errors: `Unavailable`.
    pub async fn signer(&self, place: VersionId) -> Result<PublicKey, Error> {
        let at = Position { height: place.height, index: place.index };
        let view = self.patiently(|| async { Ok(self.shared.chain.receipt(at.clone()).await?) }).await?;
        let view =
            view.ok_or_else(|| Error::Unavailable("no node that answers holds the transaction".into()))?;
        Ok(view.transaction.signer)
    }

    async fn opening(&self, object: &Object) -> Result<ContentOpening, Error> {
        let sealed = &object.contents.sealed;
        let runs = match &sealed.runs {
            Runs::Whole(hash) => vec![ContentRun { length: sealed.length, hash: *hash }],
            Runs::Parts(origin) => self.parts_of(origin).await?.into_iter().map(|part| part.run).collect(),
        };
        Ok(opening(&sealed.salt, runs))
    }
}
