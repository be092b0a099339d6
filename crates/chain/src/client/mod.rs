//! The gateway's half of the [protocol](crate::protocol): it asks nodes, believes none, and gives only what is proved or
//! what more nodes than can be faulty agree on.
//!
//! * Reads ([`Client::head`] and the like) are linearizable over all gateways: `quorum.rs` says why. What they give is
//!   proved under the state root of a finalized header, absence included.
//! * Listings are what f + 1 nodes agree on, as of one height that is not below any write acknowledged before:
//!   `agreement.rs`.
//! * Submissions are acknowledged when proved and applied by a quorum: `tally.rs`.
//!
//! What is decided is in those three files and `verify.rs`, without any I/O. The rest sends and waits. Every wait ends
//! with the timeout of its operation; a node that is slow is not waited for; a node whose answer is false is reported
//! with the evidence and asked last for some minutes.

mod agreement;
mod calls;
mod error;
mod list;
mod peers;
mod quorum;
mod read;
mod receipt;
mod submit;
mod tally;
mod verify;
mod views;

pub use crate::protocol::{
    After, AfterPlace, AfterUpload, AfterVersion, BucketsQuery, ObjectsQuery, PartsQuery, Position,
    UploadsQuery, VersionsQuery,
};
pub use error::{ReadError, SubmitError};
pub use views::*;

use crate::protocol::{AnnotationQuery, Listing, Subject, TenantPlace, TenantUpload, TenantVersion};
use bytes::Bytes;
use commonware_runtime::{Clock, Metrics, Spawner};
use ledger::{Record, StateKey, key, record};
use peers::Peers;
use proof::{
    BucketName, Committee, Lineage, PublicKey, SignedTransaction, TenantId, UploadId, VersionId,
    finality::FinalizedHeader,
    transaction::{About, Place},
    wire::List,
};
use std::{sync::Arc, time::Duration};
use verify::Verifier;

/// What a client needs of its runtime.
pub trait Context: Spawner + Clock + Metrics {}

impl<E: Spawner + Clock + Metrics> Context for E {}

/// Whom to ask, and how long to wait.
#[derive(Clone)]
pub struct Config {
    /// The network's founding facts, and who decides since: all that the client trusts.
    pub lineage: Lineage,
    /// The nodes in the order of the committee.
    pub peers: Vec<link::Client>,
    /// A read, listing or receipt ends after this time at the latest.
    pub read_timeout: Duration,
    /// A submission ends after this time at the latest.
    pub submit_timeout: Duration,
}

/// The gateway's half of the chain. Clones share everything.
pub struct Client<E> {
    shared: Arc<Shared<E>>,
}

struct Shared<E> {
    peers: Peers<E>,
    verifier: Verifier,
    committee: Committee,
    read_timeout: Duration,
    submit_timeout: Duration,
}

impl<E> Clone for Client<E> {
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
        let Config { lineage, peers, read_timeout, submit_timeout } = config;
        let key =
            |peer: &link::Client| PublicKey(peer.peer().as_ref().try_into().expect("a key has 32 bytes"));
        let peers: Vec<_> = peers.into_iter().map(|peer| (key(&peer), peer)).collect();
        let keys = peers.iter().map(|(key, _)| key);
        assert!(keys.eq(lineage.committee().nodes()), "the peers are the committee's, in its order");
        let peers = Peers::new(context, peers.into_iter().map(|(key, peer)| (peer, key)).collect());
        let committee = lineage.committee().clone();
        let verifier = Verifier::new(lineage);
        Self { shared: Arc::new(Shared { peers, verifier, committee, read_timeout, submit_timeout }) }
    }

    fn context(&self) -> &E {
        self.shared.peers.context()
    }

    /// Has the transaction ordered. Done when it is proved applied and a quorum has applied its block. Submitting the
    /// same transaction again gives the same outcome.
    pub async fn submit(&self, transaction: SignedTransaction) -> Result<Committed, SubmitError> {
        self.submit_to_all(transaction).await
    }

    /// The newest block of those that a quorum of nodes, asked now, first proves, and that a quorum has applied: every write
    /// acknowledged before is in it.
    pub async fn tip(&self) -> Result<FinalizedHeader, ReadError> {
        let tip = self.read_tip(self.read_deadline()).await?;
        Ok(FinalizedHeader::clone(&tip))
    }

    /// What the state holds now at these keys, with the header that it is proved under.
    ///
    /// # Panics
    ///
    /// If there are no keys, or more than [`KEYS_MAX`](crate::protocol::KEYS_MAX).
    pub async fn records(
        &self,
        keys: &[StateKey],
    ) -> Result<(FinalizedHeader, Vec<Option<Record>>), ReadError> {
        assert!(!keys.is_empty(), "something is read");
        let keys = List::new(keys.to_vec()).expect("no more than KEYS_MAX keys");
        self.read(Subject::Keys(keys), |proven| Ok((FinalizedHeader::clone(&proven.block), proven.records)))
            .await
    }

    /// What a key holds now.
    pub async fn head(&self, tenant: TenantId, place: &Place) -> Result<HeadView, ReadError> {
        let subject = Subject::Head(TenantPlace { tenant, place: place.clone() });
        self.read(subject, |proven| verify::head(tenant, place, proven)).await
    }

    /// A version of a key, hidden or not.
    pub async fn version(
        &self,
        tenant: TenantId,
        place: &Place,
        version: VersionId,
    ) -> Result<NamedView, ReadError> {
        let subject = Subject::Shown(TenantVersion { tenant, place: place.clone(), version });
        self.read(subject, |proven| verify::version(tenant, place, version, proven)).await
    }

    /// The bucket's record; `None` when there is no such bucket or it was deleted.
    pub async fn bucket(
        &self,
        tenant: TenantId,
        bucket: &BucketName,
    ) -> Result<Option<record::Bucket>, ReadError> {
        let keys = List::new(vec![key::bucket(&tenant, bucket)]).expect("one key");
        self.read(Subject::Keys(keys), |mut proven| verify::bucket(proven.records.pop().flatten())).await
    }

    /// The upload, open or closed.
    pub async fn upload(&self, tenant: TenantId, upload: UploadId) -> Result<Option<UploadView>, ReadError> {
        let of = TenantUpload { tenant, upload };
        self.read(Subject::Upload(of.clone()), |proven| verify::upload(&of, proven)).await
    }

    /// A page of a tenant's buckets.
    pub async fn list_buckets(&self, query: BucketsQuery) -> Result<BucketsView, ReadError> {
        list::buckets(self.page(Listing::Buckets(query), None).await?)
    }

    /// A page of a bucket's current objects, now or as of a height; `None` when there is, or was, no such bucket.
    pub async fn list(&self, query: ObjectsQuery, at: Option<u64>) -> Result<Option<ObjectsView>, ReadError> {
        list::objects(self.page(Listing::Objects(query), at).await?)
    }

    /// A page of a bucket's versions and delete markers, now or as of a height; `None` as in [`Self::list`].
    pub async fn list_versions(
        &self,
        query: VersionsQuery,
        at: Option<u64>,
    ) -> Result<Option<VersionsView>, ReadError> {
        list::versions(self.page(Listing::Versions(query), at).await?)
    }

    /// Which version of a key was current at a height.
    pub async fn current_at(
        &self,
        tenant: TenantId,
        place: &Place,
        height: u64,
    ) -> Result<CurrentView, ReadError> {
        let of = TenantPlace { tenant, place: place.clone() };
        list::current(self.page(Listing::Current(of), Some(height)).await?)
    }

    /// The newest block with transactions whose time, milliseconds since the Unix epoch, is not after this one; `None`
    /// when all are later. The state after it is the network's at that time.
    pub async fn moment(&self, time_ms: u64) -> Result<Option<MomentView>, ReadError> {
        list::moment(self.page(Listing::Moment(time_ms), None).await?)
    }

    /// The sealed document that an annotation is, now or as of a height. A version is to be named by its id. `None`
    /// when there is, or was, no such bucket.
    pub async fn annotation(
        &self,
        tenant: TenantId,
        about: About,
        at: Option<u64>,
    ) -> Result<Option<Option<Bytes>>, ReadError> {
        list::annotation(self.page(Listing::Annotation(AnnotationQuery { tenant, about }), at).await?)
    }

    /// A page of a bucket's open uploads; `None` when there is no such bucket.
    pub async fn list_uploads(&self, query: UploadsQuery) -> Result<Option<UploadsView>, ReadError> {
        list::uploads(self.page(Listing::Uploads(query), None).await?)
    }

    /// A page of an upload's parts, also of a closed one's; `None` when there never was such an upload.
    pub async fn list_parts(&self, query: PartsQuery) -> Result<Option<PartsView>, ReadError> {
        list::parts(self.page(Listing::Parts(query), None).await?)
    }

    /// The transaction at this place in the chain, with its proof; `None` when no node that answers in time holds it and
    /// f + 1 say so.
    pub async fn receipt(&self, at: Position) -> Result<Option<ReceiptView>, ReadError> {
        self.find_receipt(at).await
    }

    /// Every node's own report, or why it gave none, in the order of the committee.
    pub async fn status(&self) -> Vec<NodeStatus> {
        self.ask_status().await
    }
}
