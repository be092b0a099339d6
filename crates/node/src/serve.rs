//! What stands in front of a node: whom it lets in, and where requests go.

use bytes::Bytes;
use chain::{application::Network, block::public_key, engine, index::Store, query::Query, reader::Reader};
use commonware_cryptography::ed25519;
use link::{Handler, Response};
use shards::Server as ShardServer;
use std::sync::Arc;
use tracing::debug;

/// What a node needs of its runtime.
pub trait Context: engine::Context + shards::store::Context {}
impl<E: engine::Context + shards::store::Context> Context for E {}

/// Answers gateways and other nodes. Clones share everything.
pub struct Front<E: Context, S: Store> {
    network: Arc<Network>,
    chain: Query<E, Reader<E>, S>,
    shards: ShardServer<E>,
}

impl<E: Context, S: Store> Clone for Front<E, S> {
    fn clone(&self) -> Self {
        Self { network: self.network.clone(), chain: self.chain.clone(), shards: self.shards.clone() }
    }
}

impl<E: Context, S: Store> Front<E, S> {
    /// Puts the two halves behind one door.
    pub fn new(network: Arc<Network>, chain: Query<E, Reader<E>, S>, shards: ShardServer<E>) -> Self {
        Self { network, chain, shards }
    }
}

impl<E: Context, S: Store> Handler for Front<E, S> {
    /// Nodes, approvers, and whoever may sign for a tenant.
    async fn admit(&self, peer: &ed25519::PublicKey) -> bool {
        let key = public_key(peer);
        let lineage = &self.network.lineage;
        lineage.committee().index(&key).is_some()
            || lineage.genesis().approvers.contains(&key)
            || self.chain.is_signer(&key)
    }

    async fn handle(&self, peer: &ed25519::PublicKey, lane: u8, request: Bytes) -> Response {
        match lane {
            chain::protocol::LANE_NUMBER => Response::from(self.chain.handle(request).await),
            shards::wire::LANE_NUMBER => self.shards.handle(request).await,
            _ => {
                debug!(%peer, lane, "a request on a lane that this version does not know");
                Response::overloaded()
            }
        }
    }
}
