//! The vault: one tenant's view of the network, and what all its operations share.

use crate::{ConnectError, Context, Error, Limits};
use blob::{Code, TenantKey};
use commonware_codec::{Copying, DecodeExt};
use commonware_cryptography::ed25519;
use commonware_utils::sync::Mutex;
use futures::{FutureExt, future::Either};
use proof::{Digest, Lineage, PublicKey, SecretKey, TenantId, genesis::link_namespace};
use rand_core::Rng;
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

/// First wait before a request that found no room is made again; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(25);
/// Longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Whose vault, and where its network is.
#[derive(Clone)]
pub struct Config {
    /// The network's founding facts: all that this gateway trusts.
    pub lineage: Lineage,
    /// The tenant.
    pub tenant: TenantId,
    /// A key that may sign for the tenant; also this gateway's identity towards the nodes.
    pub key: SecretKey,
    /// The tenant's master key: all that is stored is unreadable without it.
    pub master_key: Zeroizing<[u8; 32]>,
    /// Where the nodes serve gateways, in any order.
    pub nodes: Vec<(PublicKey, SocketAddr)>,
    /// What to spend.
    pub limits: Limits,
}

/// One tenant's view of the network. Clones share everything.
pub struct Vault<E: Context> {
    pub(crate) shared: Arc<Shared<E>>,
}

pub(crate) struct Shared<E: Context> {
    pub context: E,
    random: Mutex<E>,
    pub lineage: Lineage,
    pub network: Digest,
    pub tenant: TenantId,
    pub key: SecretKey,
    pub master_key: TenantKey,
    /// In the order of the committee.
    pub addresses: Vec<SocketAddr>,
    pub code: Code,
    pub chain: chain::client::Client<E>,
    pub shards: shards::Client<E>,
    pub limits: Limits,
    pub chunks_written: Arc<Semaphore>,
    pub chunks_read: Arc<Semaphore>,
    pub writers: Arc<Semaphore>,
}

impl<E: Context> Clone for Vault<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<E: Context> Vault<E> {
    /// Opens the vault. Connects to each node when first needed. Its tasks end with the last clone, or with the task
    /// that `context` belongs to.
    pub fn connect(context: E, config: Config) -> Result<Self, ConnectError> {
        let Config { lineage, tenant, key, master_key, nodes, limits } = config;
        let network = lineage.network();
        let address = |node: &PublicKey| {
            let found = nodes.iter().find(|(key, _)| key == node);
            found.map(|(_, address)| *address).ok_or(ConnectError::NoAddress(*node))
        };
        let committee = lineage.committee().nodes();
        let addresses = committee.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        let links: Vec<_> = committee
            .iter()
            .zip(&addresses)
            .map(|(node, address)| start_link(&context, network, &key, node, *address, &limits))
            .collect::<Result<_, _>>()?;
        let code = Code::new(lineage.committee().k(), lineage.committee().n())
            .expect("a committee has at least as many nodes as it needs shards");
        let chain = chain::client::Client::new(
            context.child("chain"),
            chain::client::Config {
                lineage: lineage.clone(),
                peers: links.clone(),
                read_timeout: limits.read_timeout,
                submit_timeout: limits.submit_timeout,
            },
        );
        let shards = shards::Client::new(context.child("shards"), &lineage, links);
        let shared = Shared {
            random: Mutex::new(context.child("random")),
            context,
            network,
            tenant,
            key,
            master_key: TenantKey::new(*master_key),
            addresses,
            code,
            chain,
            shards,
            chunks_written: Arc::new(Semaphore::new(limits.chunks_written)),
            chunks_read: Arc::new(Semaphore::new(limits.chunks_read)),
            writers: Arc::new(Semaphore::new(limits.writers)),
            limits,
            lineage,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The network's founding facts.
    pub fn lineage(&self) -> &Lineage {
        &self.shared.lineage
    }

    /// The tenant.
    pub fn tenant(&self) -> TenantId {
        self.shared.tenant
    }

    /// Bytes that nobody can guess and that were never used before.
    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.shared.random.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// Waits for room under a limit. Errors: `Overloaded`, when there is none for too long.
    pub(crate) async fn room(&self, limit: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = limit.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let patience = self.shared.context.sleep(self.shared.limits.patience);
        match futures::future::select(limit.clone().acquire_owned().boxed(), patience.boxed()).await {
            Either::Left((permit, _)) => Ok(permit.expect("never closed")),
            Either::Right(_) => Err(Error::Overloaded),
        }
    }

    /// Tries again, for as long as is bearable, what finds the network overloaded.
    pub(crate) async fn patiently<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let deadline = self.shared.context.current() + self.shared.limits.patience;
        let mut backoff = BACKOFF_MIN;
        loop {
            match attempt().await {
                Err(Error::Overloaded) if self.shared.context.current() + backoff < deadline => {
                    self.pause(backoff).await;
                    backoff = (2 * backoff).min(BACKOFF_MAX);
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits for half of `around` to one and a half of it, so that those who were refused together do not come back
    /// together.
    pub(crate) async fn pause(&self, around: Duration) {
        let share = u32::from(u16::from_be_bytes(self.random()));
        self.shared.context.sleep(around / 2 + around * share / u32::from(u16::MAX)).await;
    }
}

fn start_link<E: Context>(
    context: &E,
    network: Digest,
    key: &SecretKey,
    node: &PublicKey,
    address: SocketAddr,
    limits: &Limits,
) -> Result<link::Client, ConnectError> {
    let peer = ed25519::PublicKey::decode(Copying(&node.0)).map_err(|_| ConnectError::InvalidKey(*node))?;
    let key = Zeroizing::new(key.seed());
    let key = ed25519::PrivateKey::decode(Copying(&*key)).expect("any 32 bytes are a seed");
    let config = link::ClientConfig {
        key,
        namespace: link_namespace(network),
        peer,
        address,
        limits: limits.link.clone(),
    };
    Ok(link::Client::start(context.child("link"), config))
}
