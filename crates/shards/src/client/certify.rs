//! Gathering a certificate, and repairing what nodes lack for it.

use crate::{
    client::{
        Client, ClientContext, Error, Shared,
        error::{Failure, sum},
        nodes::take_lagging,
    },
    wire::{self, CONTROL, Certify, Missing, Request, Response},
};
use bytes::Bytes;
use commonware_runtime::IoBufs;
use commonware_utils::SystemTimeExt;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream, stream::FuturesUnordered};
use proof::{AvailabilityCertificate, Digest, Manifest, StorageReceipt, wire::Encode};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Waits before a node is asked again: the first, which doubles up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(2);
const RETRY_MAX: Duration = Duration::from_millis(500);
/// Chunks repaired at the same time for one node.
const REPAIRS: usize = 4;
/// How often one chunk or page is pushed to a node that lacks it. It may have crashed before the sync, and so lack again
/// what it has acknowledged.
const REPAIRS_OF_ONE: u32 = 3;

/// One manifest on its way to its certificate.
struct Certification {
    id: Digest,
    manifest: Manifest,
    /// The certificate's time.
    time_ms: u64,
    request: Bytes,
    deadline: SystemTime,
}

impl<E: ClientContext> Client<E> {
    /// Receipts of a quorum that all a manifest names is on their disks, synced. The certificate is good for a
    /// transaction that is made at once: see [`proof::limits::CERTIFICATE_AGE_MS_MAX`].
    pub async fn certify(&self, manifest: &Manifest) -> Result<AvailabilityCertificate, Error> {
        let shared = &self.shared;
        let time_ms = shared.context.current().epoch_millis();
        let certification = Arc::new(Certification {
            id: manifest.id(),
            manifest: manifest.clone(),
            time_ms,
            request: Request::Certify(Certify { time_ms, manifest: manifest.clone() }).encode(),
            deadline: shared.after(shared.limits.certify_timeout),
        });
        type Outcome = (usize, Result<StorageReceipt, Failure>);
        let mut asked: FuturesUnordered<BoxFuture<'static, Outcome>> = (0..shared.nodes.len())
            .map(|node| {
                let (shared, certification) = (shared.clone(), certification.clone());
                async move { (node, shared.certify_at(node, &certification).await) }.boxed()
            })
            .collect();

        let needed = shared.committee.quorum();
        let (mut receipts, mut failed) = (Vec::new(), Vec::new());
        while let Some((node, outcome)) = asked.next().await {
            match outcome {
                Ok(receipt) => receipts.push(receipt),
                Err(failure) => {
                    shared.blame(node, &failure);
                    failed.push((node, failure));
                }
            }
            if receipts.len() == needed {
                shared.let_lag_certifying(asked.map(drop).collect().boxed());
                let certificate = AvailabilityCertificate::new(shared.committee.epoch(), time_ms, receipts);
                debug_assert_eq!(
                    certificate.verify(shared.network, &shared.committee, certification.id),
                    Ok(())
                );
                return Ok(certificate);
            }
            if failed.len() > shared.nodes.len() - needed {
                break;
            }
        }
        Err(sum(receipts.len(), needed, &failed, None))
    }
}

impl<E: ClientContext> Shared<E> {
    /// One node's receipt. What it lacks is pushed to it from the others, until it has all or the time is over.
    async fn certify_at(
        &self,
        node: usize,
        certification: &Certification,
    ) -> Result<StorageReceipt, Failure> {
        let deadline = certification.deadline;
        let mut repaired = BTreeMap::new();
        let mut retry = RETRY_FIRST;
        loop {
            let request: IoBufs = certification.request.clone().into();
            let problem = match self.call(node, CONTROL, request, deadline).await {
                Ok(Response::Receipt(receipt)) => return self.check_receipt(node, certification, receipt),
                Ok(Response::Missing(missing)) => {
                    let is_progress = self.repair(node, certification, &missing, &mut repaired).await?;
                    if is_progress {
                        retry = RETRY_FIRST;
                        continue;
                    }
                    Failure::NotHeld
                }
                Ok(_) => return Err(Failure::Lied("an answer that does not fit the question".into())),
                Err(failure) if failure.may_pass() => failure,
                Err(failure) => return Err(failure),
            };
            if !self.pause(retry, deadline).await {
                return Err(problem);
            }
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    fn check_receipt(
        &self,
        node: usize,
        certification: &Certification,
        receipt: StorageReceipt,
    ) -> Result<StorageReceipt, Failure> {
        let Certification { id: manifest, time_ms, .. } = *certification;
        let (epoch, key) = (self.committee.epoch(), &self.committee.nodes()[node]);
        let is_good =
            usize::from(receipt.node) == node && receipt.verify(self.network, epoch, manifest, time_ms, key);
        if is_good {
            return Ok(receipt);
        }
        Err(Failure::Lied(format!("for manifest {manifest} a receipt that does not verify: {receipt:?}")))
    }

    /// Pushes what a node lacks, except what is on its way to it already. Whether anything was pushed for the first time.
    async fn repair(
        &self,
        node: usize,
        certification: &Certification,
        missing: &Missing,
        repaired: &mut BTreeMap<Digest, u32>,
    ) -> Result<bool, Failure> {
        if missing.is_empty() || !certification.names(missing) {
            return Err(Failure::Lied(format!("lacks what manifest {} does not name", certification.id)));
        }
        let absent = |id: &&Digest| !self.nodes[node].is_in_flight(id);
        let pages: Vec<Digest> = missing.pages.iter().filter(absent).copied().collect();
        let chunks: Vec<Digest> = missing.chunks.iter().filter(absent).copied().collect();
        let mut is_progress = false;
        for id in pages.iter().chain(&chunks) {
            let times = repaired.entry(*id).or_default();
            *times += 1;
            is_progress |= *times == 1;
            if *times > REPAIRS_OF_ONE {
                return Err(Failure::Lied(format!(
                    "lacks {id}, which it has acknowledged {REPAIRS_OF_ONE} times"
                )));
            }
        }
        if repaired.len() as u64 > certification.named() {
            return Err(Failure::Lied(format!("lacks more than manifest {} names", certification.id)));
        }
        for page in pages {
            self.repair_page(node, page, certification.deadline).await?;
        }
        let mut repairs = stream::iter(chunks)
            .map(|chunk| self.repair_chunk(node, chunk, certification.deadline))
            .buffer_unordered(REPAIRS);
        while let Some(result) = repairs.next().await {
            result?;
        }
        Ok(is_progress)
    }

    /// Rebuilds a chunk from the other nodes' shards and pushes this node's.
    async fn repair_chunk(&self, node: usize, chunk: Digest, deadline: SystemTime) -> Result<(), Failure> {
        let k = self.committee.k();
        let mut order = self.by_preference(|node| node >= k);
        order.retain(|other| *other != node);
        let unavailable =
            |error: &dyn std::fmt::Display| Failure::Unreachable(format!("not repaired: {error}"));
        let (opening, shards) =
            self.gather_shards(&chunk, order).await.map_err(|error| unavailable(&error))?;
        let rebuilt = self.code.rebuild(&opening, &shards).map_err(|error| unavailable(&error))?;
        let shard = rebuilt.shards[node].clone();
        let request = wire::put_shard_request(node as u8, &opening, shard);
        self.put(node, chunk, request, deadline, &AtomicBool::new(false)).await
    }

    /// Pushes a page that another node holds.
    async fn repair_page(&self, node: usize, page: Digest, deadline: SystemTime) -> Result<(), Failure> {
        let mut order = self.by_preference(|_| false);
        order.retain(|other| *other != node);
        let gathered = self.gather_page(&page, order).await;
        let (_, encoded) =
            gathered.map_err(|error| Failure::Unreachable(format!("not repaired: {error}")))?;
        self.put(node, page, wire::put_page_request(encoded), deadline, &AtomicBool::new(false)).await
    }

    /// Lets the slowest nodes' certification, and with it their repair, go on in the background.
    fn let_lag_certifying(self: &Arc<Self>, others: BoxFuture<'static, ()>) {
        if !take_lagging(&self.lagging_certifications, 1, self.limits.lagging_certifications) {
            return;
        }
        let shared = self.clone();
        let task = async move {
            others.await;
            shared.lagging_certifications.fetch_sub(1, Ordering::Relaxed);
        };
        // The task that takes it ends only with the runtime.
        let _ = self.background.send(task.boxed());
    }
}

impl Certification {
    /// How many chunks and pages the manifest names.
    fn named(&self) -> u64 {
        let pages = match &self.manifest {
            Manifest::Direct(_) => 0,
            Manifest::Paged(pages) => pages.len() as u64,
        };
        self.manifest.chunks().saturating_add(pages)
    }

    /// Whether the manifest may name all of this. The chunks of pages are not known here, only how many they are.
    fn names(&self, missing: &Missing) -> bool {
        match &self.manifest {
            Manifest::Direct(page) => {
                missing.pages.is_empty()
                    && missing.chunks.iter().all(|id| page.chunks().any(|chunk| chunk == id))
            }
            Manifest::Paged(pages) => missing.pages.iter().all(|id| pages.iter().any(|page| page.id == *id)),
        }
    }
}
