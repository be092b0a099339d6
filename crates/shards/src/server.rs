//! The node's half of the protocol: answers the requests of lane [`LANE_NUMBER`](crate::wire::LANE_NUMBER).
//!
//! Whoever the node admits may put and get: shards are ciphertext, named by hashes, and what no transaction references
//! is dropped after the grace period. The link bounds the bytes of requests in progress; what requests have asked of the
//! disk, and goes on when they are gone, is bounded here (see `work`).

use crate::{
    store::{Context, ShardStore, StoreError, StoredShard},
    wire::{self, Certify, REASON_MAX, Request, Response, Shard},
    work::{Stopped, Work},
};
use blob::Code;
use bytes::Bytes;
use proof::{
    Committee, Digest, Manifest, SecretKey, StorageReceipt,
    limits::CERTIFICATE_CLOCK_MS_MAX,
    wire::{DecodeExt, Encode, Octets},
};
use std::{collections::BTreeSet, sync::Arc};

/// Bytes being written to the disk or read from it, or waiting for it, on behalf of requests.
const DISK_BYTES: u32 = 256 << 20;
/// As how many bytes a small record counts.
const DISK_BYTES_MIN: usize = 64 << 10;
/// Manifests being certified.
const CERTIFICATIONS: u32 = 1024;
/// Manifests with pages, which have to be read for it, being certified.
const PAGED_CERTIFICATIONS: u32 = 8;

/// As which node to answer.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The network's id.
    pub network: Digest,
    /// The epoch's nodes.
    pub committee: Committee,
    /// This node's index among them.
    pub node: u8,
    /// This node's key, with which it signs storage receipts.
    pub key: SecretKey,
}

/// Answers requests. Clones share the store.
pub struct Server<E: Context> {
    store: ShardStore<E>,
    config: Arc<ServerConfig>,
    code: Code,
    disk_bytes: Work,
    certifications: Work,
}

impl<E: Context> Clone for Server<E> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            config: self.config.clone(),
            code: self.code.clone(),
            disk_bytes: self.disk_bytes.clone(),
            certifications: self.certifications.clone(),
        }
    }
}

impl<E: Context> Server<E> {
    /// A server of what `store` holds.
    ///
    /// # Panics
    ///
    /// If the committee has no node with the index, or the key is another's.
    pub fn new(store: ShardStore<E>, config: ServerConfig) -> Self {
        let ours = config.committee.nodes().get(usize::from(config.node));
        assert!(ours == Some(&config.key.public_key()), "the key is not that of the node at the index");
        let code =
            Code::new(config.committee.k(), config.committee.n()).expect("a committee's sizes make a code");
        let (disk_bytes, certifications) = (Work::new(DISK_BYTES), Work::new(CERTIFICATIONS));
        Self { store, config: Arc::new(config), code, disk_bytes, certifications }
    }

    /// Answers one request, which has arrived on lane [`LANE_NUMBER`](crate::wire::LANE_NUMBER).
    pub async fn handle(&self, request: Bytes) -> link::Response {
        let length = request.len();
        let Ok(request) = Request::decode(request) else {
            return encoded(refused("not a request of this protocol"));
        };
        let answer = match request {
            Request::PutShard(shard) => self.put_shard(length, shard).await,
            Request::PutPage(page) => {
                let store = self.store.clone();
                let put = async move { store.put_page(page.bytes().clone()).await };
                self.on_disk(length, put).await.map(|_| Response::Done)
            }
            Request::Certify(certify) => self.certify(certify).await,
            Request::GetShard(chunk) => match self.read_shard(chunk).await {
                Ok(Some(shard)) => {
                    return link::Response::ok(wire::shard_response(
                        shard.index,
                        &shard.opening,
                        shard.bytes,
                    ));
                }
                other => other.map(|_| Response::NotHeld),
            },
            Request::GetPage(page) => match self.read_page(page).await {
                Ok(Some(page)) => return link::Response::ok(wire::page_response(page)),
                other => other.map(|_| Response::NotHeld),
            },
            Request::Status => Ok(Response::Status(self.store.status())),
            Request::Holds(ids) => self
                .store
                .holds(&ids)
                .map(|flags| Response::Held(Octets::new(flags).expect("one for each of no more ids"))),
        };
        encoded(answer.unwrap_or_else(|error| match error {
            StoreError::Full => Response::Full,
            StoreError::Damaged(_) => Response::NotHeld,
            StoreError::Mismatch | StoreError::NotAPage => refused(&error.to_string()),
            StoreError::Failed(_) | StoreError::Unusable(_) => Response::Failed,
        }))
    }

    async fn put_shard(&self, length: usize, shard: Shard) -> Result<Response, StoreError> {
        if shard.index != self.config.node {
            return Ok(refused("the shard is another node's"));
        }
        if let Err(error) = self.code.check_opening(&shard.opening) {
            return Ok(refused(&error.to_string()));
        }
        let store = self.store.clone();
        let append =
            async move { store.append(&shard.opening, shard.index, shard.bytes.bytes().clone()).await };
        self.on_disk(length, append).await.map(|()| Response::Done)
    }

    async fn read_shard(&self, chunk: Digest) -> Result<Option<StoredShard>, StoreError> {
        let Some(length) = self.store.length(&chunk)? else { return Ok(None) };
        let store = self.store.clone();
        self.on_disk(length, async move { store.read(&chunk).await }).await
    }

    async fn read_page(&self, page: Digest) -> Result<Option<Bytes>, StoreError> {
        let Some(length) = self.store.length(&page)? else { return Ok(None) };
        let store = self.store.clone();
        self.on_disk(length, async move { store.read_page(&page).await }).await
    }

    /// Does what reads or writes so many bytes, whether or not the request is still there.
    async fn on_disk<T: Send + 'static>(
        &self,
        bytes: usize,
        job: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = self.disk_bytes.run(self.store.context(), bytes.max(DISK_BYTES_MIN), job).await;
        done.unwrap_or_else(stopped)
    }

    /// Signs for a manifest all of which is here, once it is synced. Its grace period starts anew after the look at the
    /// clock, so it is kept at least as long as the receipt's time makes others believe.
    async fn certify(&self, certify: Certify) -> Result<Response, StoreError> {
        if self.store.now_ms().abs_diff(certify.time_ms) > CERTIFICATE_CLOCK_MS_MAX {
            return Ok(refused(
                "the clocks of the gateway and of the node are more than 10 minutes apart: set them by NTP",
            ));
        }
        let cost = match &certify.manifest {
            Manifest::Direct(_) => 1,
            Manifest::Paged(pages) => {
                // What is said once is read once, or little said would be much work.
                let distinct: BTreeSet<_> = pages.iter().map(|page| page.id).collect();
                if distinct.len() < pages.len() {
                    return Ok(refused("the manifest names a page twice"));
                }
                CERTIFICATIONS / PAGED_CERTIFICATIONS
            }
        };
        let (store, config) = (self.store.clone(), self.config.clone());
        let certify = async move {
            let Certify { time_ms, manifest } = certify;
            let missing = store.missing(&manifest).await?;
            if !missing.is_empty() {
                return Ok(Response::Missing(missing));
            }
            store.sync().await?;
            let ServerConfig { network, committee, node, key } = &*config;
            let (epoch, manifest) = (committee.epoch(), manifest.id());
            Ok(Response::Receipt(StorageReceipt::sign(*network, epoch, manifest, time_ms, *node, key)))
        };
        let done = self.certifications.run(self.store.context(), cost as usize, certify).await;
        done.unwrap_or_else(stopped)
    }
}

fn stopped<T>(_: Stopped) -> Result<T, StoreError> {
    Err(StoreError::Failed("the node is shutting down".into()))
}

fn refused(reason: &str) -> Response {
    let end = reason.floor_char_boundary(REASON_MAX);
    Response::Refused(Octets::new(reason.as_bytes()[..end].to_vec()).expect("cut to its limit"))
}

fn encoded(response: Response) -> link::Response {
    response.encode().into()
}
