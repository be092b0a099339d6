//! The consensus network: one authenticated, encrypted connection between each two nodes, a channel per purpose.
//!
//! Bulk bytes never travel here: a shard ahead of a vote would delay it. Quotas are small, because each channel's
//! mailbox is sized by them.

use crate::block::{Block, engine_key};
use commonware_consensus::{
    marshal::{self, standard::Standard},
    simplex::{self, scheme::ed25519::Scheme},
};
use commonware_cryptography::{Signer as _, ed25519, sha256};
use commonware_p2p::{
    Address, AddressableManager as _,
    authenticated::lookup::{self, Network},
    max_message_size,
};
use commonware_runtime::{Clock, Metrics, Network as RuntimeNetwork, Quota, Resolver, Spawner};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZU32, NZUsize, TryCollect, ordered::Map};
use proof::{Lineage, limits::TRANSACTION_BYTES_MAX};
use rand_core::CryptoRng;
use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

/// The links' cipher and handshake.
pub type Upgrader = Cups<Sake<ed25519::PrivateKey>, link::Aes256Gcm>;
/// The set of peers, as the network keeps it.
pub type Oracle = lookup::Oracle<ed25519::PublicKey>;

/// Operations that state sync asks for at once.
pub const SYNC_BATCH: u64 = 128;

/// How far the clocks of two nodes may be apart for them to connect.
const SYNCHRONY_BOUND: Duration = Duration::from_secs(5);
const HANDSHAKE_AGE_MAX: Duration = Duration::from_secs(10);
const MAILBOX: usize = 256;

/// One sender and receiver per purpose.
pub struct Channels<S, R> {
    /// Notarize, nullify and finalize votes.
    pub votes: (S, R),
    /// Certificates.
    pub certificates: (S, R),
    /// Missing certificates.
    pub resolver: (S, R),
    /// Missing blocks.
    pub backfill: (S, R),
    /// New blocks.
    pub broadcast: (S, R),
    /// State sync.
    pub state_sync: (S, R),
    /// Transactions that some node has not got.
    pub gossip: (S, R),
    /// What nodes remember of one another's votes.
    pub inquiry: (S, R),
}

/// The channels' numbers and messages per second and peer, in the order of [`Channels`].
pub const QUOTAS: [(u64, NonZeroU32); 8] = [
    (0, NZU32!(512)),
    (1, NZU32!(512)),
    (2, NZU32!(128)),
    (3, NZU32!(256)),
    (4, NZU32!(256)),
    (5, NZU32!(64)),
    (6, NZU32!(64)),
    (7, NZU32!(16)),
];

impl<S, R> Channels<S, R> {
    /// Registers each channel, in order, with `register`.
    pub fn register(mut register: impl FnMut(u64, Quota) -> (S, R)) -> Self {
        let [votes, certificates, resolver, backfill, broadcast, state_sync, gossip, inquiry] =
            QUOTAS.map(|(channel, per_second)| register(channel, Quota::per_second(per_second)));
        Self { votes, certificates, resolver, backfill, broadcast, state_sync, gossip, inquiry }
    }
}

/// Where a node listens and where it finds the others.
pub struct Addresses {
    /// Where this node listens.
    pub listen: SocketAddr,
    /// Where the nodes are, in the order of the committee.
    pub nodes: Vec<SocketAddr>,
}

/// Bytes of the largest message between nodes.
pub fn message_bytes_max<E>(nodes: u32) -> u32
where
    E: commonware_storage::Context + Spawner,
{
    max_message_size(&[
        simplex::max_payload_size::<Scheme, sha256::Digest>(nodes),
        marshal::max_payload_size::<Standard<Block>, Scheme>(nodes, &()),
        crate::engine::state_sync_bytes_max::<E>(),
        TRANSACTION_BYTES_MAX,
    ])
}

/// The namespace of handshakes between nodes. Nodes of different epochs do not hear one another: votes of another epoch
/// would be taken for a crime.
fn namespace(lineage: &Lineage) -> Vec<u8> {
    let epoch = match lineage.committee().epoch() {
        0 => Vec::new(),
        epoch => epoch.to_be_bytes().to_vec(),
    };
    [b"outlast/p2p/1".as_slice(), &lineage.network().0, &epoch].concat()
}

/// Starts the network of the newest committee.
pub fn start<E>(
    context: E,
    lineage: &Lineage,
    key: ed25519::PrivateKey,
    addresses: Addresses,
) -> (Channels<lookup::Sender<ed25519::PublicKey, E>, lookup::Receiver<ed25519::PublicKey>>, Oracle)
where
    E: commonware_storage::Context + Spawner + Clock + Metrics + RuntimeNetwork + Resolver + CryptoRng,
{
    let committee = lineage.committee();
    assert_eq!(committee.n(), addresses.nodes.len(), "one address a node");
    let upgrader: Upgrader = Cups::new(
        Sake {
            signer: key.clone(),
            synchrony_bound: SYNCHRONY_BOUND,
            max_handshake_age: HANDSHAKE_AGE_MAX,
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    // Nodes of one network may share a machine or a NAT, so the presets that count connections per address do not fit.
    let mut config = lookup::Config::local(
        upgrader,
        &namespace(lineage),
        addresses.listen,
        NZUsize!(proof::limits::NODES_MAX),
        message_bytes_max::<E>(committee.n() as u32),
        NZUsize!(MAILBOX),
    );
    config.max_peers_per_set =
        std::num::NonZeroUsize::new(committee.n()).expect("a committee has at least one node");
    config.tracked_peer_sets = NZUsize!(1);
    let (mut network, mut oracle) = Network::new(context, config);
    let peers: Map<ed25519::PublicKey, Address> = committee
        .nodes()
        .iter()
        .zip(&addresses.nodes)
        .map(|(key, address)| (engine_key(key), Address::Symmetric(*address)))
        .try_collect()
        .expect("a committee has distinct keys");
    assert!(committee.index(&crate::block::public_key(&key.public_key())).is_some(), "a node is a member");
    oracle.track(committee.epoch(), peers);
    let channels = Channels::register(|channel, quota| network.register(channel, quota));
    network.start();
    (channels, oracle)
}
