//! What a gateway knows of the chain.

mod error;
mod views;

pub use crate::protocol::{After, AfterUpload, BucketsQuery, ObjectsQuery, PartsQuery, Position, UploadsQuery};
pub use error::{ReadError, SubmitError};
pub use views::*;

use commonware_runtime::{Clock, Metrics, Spawner};
use ledger::{Record, StateKey, record};
use proof::{
    BucketName, Genesis, SignedTransaction, TenantId, UploadId, VersionId, finality::FinalizedHeader,
    transaction::Place,
};
use std::{sync::Arc, time::Duration};

/// What a client needs of its runtime.
pub trait Context: Spawner + Clock + Metrics {}

impl<E: Spawner + Clock + Metrics> Context for E {}

/// Whom to ask, and how long to wait.
#[derive(Clone)]
pub struct Config {
    /// The network's founding facts: all that the client trusts.
    pub genesis: Genesis,
    /// The nodes in the order of the committee.
    pub peers: Vec<link::Client>,
    /// A read, listing or receipt ends after this time at the latest.
    pub read_timeout: Duration,
    /// A submission ends after this time at the latest.
    pub submit_timeout: Duration,
}

/// The gateway's half of the chain. Clones share everything.
pub struct Client<E: Context> {
    shared: Arc<Shared<E>>,
}

struct Shared<E> {
    _context: E,
}

impl<E: Context> Clone for Client<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<E: Context> Client<E> {
    /// A client of this network.
    ///
    /// # Panics
    ///
    /// If the peers are not those of the committee, in its order.
    pub fn new(context: E, config: Config) -> Self {
        let _ = (context, config);
        todo!()
    }

    /// Has the transaction ordered. Done when it is proven applied and a quorum has applied its block.
    pub async fn submit(&self, transaction: SignedTransaction) -> Result<Committed, SubmitError> {
        let _ = (transaction, &self.shared);
        todo!()
    }

    /// The newest block that a quorum of nodes, asked now, proves: every write acknowledged before is in it.
    pub async fn tip(&self) -> Result<FinalizedHeader, ReadError> {
        todo!()
    }

    /// What the state holds at up to eight keys, now.
    pub async fn records(&self, keys: &[StateKey]) -> Result<(FinalizedHeader, Vec<Option<Record>>), ReadError> {
        let _ = keys;
        todo!()
    }

    /// What a key holds now.
    pub async fn head(&self, tenant: TenantId, place: &Place) -> Result<HeadView, ReadError> {
        let _ = (tenant, place);
        todo!()
    }

    /// A version of a key.
    pub async fn version(&self, tenant: TenantId, place: &Place, version: VersionId) -> Result<HeadView, ReadError> {
        let _ = (tenant, place, version);
        todo!()
    }

    /// The bucket's record; `None` when there is no such bucket or it was deleted.
    pub async fn bucket(&self, tenant: TenantId, bucket: &BucketName) -> Result<Option<record::Bucket>, ReadError> {
        let _ = (tenant, bucket);
        todo!()
    }

    /// The upload, open or closed.
    pub async fn upload(&self, tenant: TenantId, upload: UploadId) -> Result<Option<UploadView>, ReadError> {
        let _ = (tenant, upload);
        todo!()
    }

    /// A page of a tenant's buckets.
    pub async fn list_buckets(&self, query: BucketsQuery) -> Result<BucketsView, ReadError> {
        let _ = query;
        todo!()
    }

    /// A page of a bucket's current objects; `None` when there is no such bucket.
    pub async fn list(&self, query: ObjectsQuery) -> Result<Option<ObjectsView>, ReadError> {
        let _ = query;
        todo!()
    }

    /// A page of a bucket's open uploads; `None` when there is no such bucket.
    pub async fn list_uploads(&self, query: UploadsQuery) -> Result<Option<UploadsView>, ReadError> {
        let _ = query;
        todo!()
    }

    /// A page of an open upload's parts; `None` when there is no such open upload.
    pub async fn list_parts(&self, query: PartsQuery) -> Result<Option<PartsView>, ReadError> {
        let _ = query;
        todo!()
    }

    /// The transaction at this place in the chain, with its proof; `None` when f + 1 nodes do not hold it.
    pub async fn receipt(&self, at: Position) -> Result<Option<ReceiptView>, ReadError> {
        let _ = at;
        todo!()
    }

    /// Every node's own report, or why it gave none.
    pub async fn status(&self) -> Vec<NodeStatus> {
        todo!()
    }
}
