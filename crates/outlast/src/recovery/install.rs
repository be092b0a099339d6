//! Installing a recovery: what each machine does with it.
//!
//! Configurations are changed in place: the lost nodes' keys are replaced by those of the nodes in their places, and all
//! else, comments too, stays. A permit to vote in the new epoch is written only while the genesis file does not have the
//! recovery yet, and the genesis file is replaced last. So a crash leaves what can be done again, and a node that may have
//! voted in the epoch never gets a permit again.

use crate::{
    failure::{Exit, Failure},
    files,
    founding::NodeAddresses,
    gateway::GatewayConfig,
};
use node::{config::load_lineage, voting::permit_in};
use proof::{Committee, Lineage, PublicKey, lineage::Recovery};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Where nodes are found now, by place, of those that have moved.
pub(crate) type Moved = BTreeMap<usize, NodeAddresses>;

/// What was done.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Installed {
    pub config: PathBuf,
    /// The node's place; none of a gateway.
    pub node: Option<usize>,
    pub genesis: PathBuf,
}

/// A configuration, and what is to become of it.
struct Target {
    path: PathBuf,
    genesis: PathBuf,
    node: Option<(usize, PathBuf)>,
    text: String,
}

/// Installs a recovery into these configurations, of nodes or gateways, and what they name.
pub(crate) fn install(
    configs: &[PathBuf],
    recovery: &Recovery,
    moved: &Moved,
) -> Result<Vec<Installed>, Failure> {
    // Nothing is written before all of it is known to fit.
    let mut lineages: BTreeMap<PathBuf, (Lineage, bool)> = BTreeMap::new();
    let mut targets = Vec::new();
    for path in configs {
        let raw = Raw::read(path)?;
        if !lineages.contains_key(&raw.genesis) {
            lineages.insert(raw.genesis.clone(), extended(&raw.genesis, recovery)?);
        }
        let (lineage, _) = &lineages[&raw.genesis];
        targets.push(raw.target(lineage, recovery, moved)?);
    }
    for target in &targets {
        files::replace(&target.path, target.text.as_bytes(), false)?;
        let (_, fresh) = &lineages[&target.genesis];
        if let (Some((_, permit)), true) = (&target.node, fresh) {
            files::replace(permit, b"", false)?;
        }
    }
    for (path, (lineage, _)) in lineages.iter().filter(|(_, (_, fresh))| *fresh) {
        files::replace(path, &lineage.to_file(), false)?;
    }
    let done = |target: Target| Installed {
        config: target.path,
        node: target.node.map(|(place, _)| place),
        genesis: target.genesis,
    };
    Ok(targets.into_iter().map(done).collect())
}

/// The genesis file with the recovery, and whether that is new to it.
fn extended(path: &Path, recovery: &Recovery) -> Result<(Lineage, bool), Failure> {
    let mut lineage = load_lineage(path)?;
    if lineage.recoveries().last() == Some(recovery) {
        return Ok((lineage, false));
    }
    let refused = |error: proof::lineage::RecoveryError| {
        Failure::new(Exit::NotProven, format!("{}: {error}", path.display()))
            .hint("`outlast recover approve` adds an approval; see that the genesis file is the newest")
    };
    lineage.recover(recovery.clone()).map_err(refused)?;
    Ok((lineage, true))
}

/// A configuration as it is.
struct Raw {
    path: PathBuf,
    base: PathBuf,
    text: String,
    genesis: PathBuf,
    /// Key file and permit, of a node.
    node: Option<(PathBuf, PathBuf)>,
}

impl Raw {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
        let base = files::directory_of(path).to_owned();
        let (genesis, node) = match toml::from_str::<node::config::Config>(&text) {
            Ok(config) => (config.genesis, Some((base.join(config.key), base.join(config.permit)))),
            Err(why) => match toml::from_str::<GatewayConfig>(&text) {
                Ok(config) => (config.genesis, None),
                Err(_) => {
                    let message =
                        format!("{} is no node's or gateway's configuration: {why}", path.display());
                    return Err(Failure::new(Exit::Configuration, message)
                        .hint("name node.toml or gateway.toml files, as `outlast init` writes them"));
                }
            },
        };
        Ok(Self { path: path.to_owned(), genesis: base.join(genesis), base, text, node })
    }

    /// What it is to become.
    fn target(self, lineage: &Lineage, recovery: &Recovery, moved: &Moved) -> Result<Target, Failure> {
        let committee = &recovery.terms.committee;
        let former = lineage.committee_of(committee.epoch() - 1).expect("the recovery follows an epoch");
        let text = renamed(&self.text, former, committee);
        let text = self.at(text, committee, moved)?;
        let node = match &self.node {
            None => None,
            Some((key, permit)) => {
                let own = node::config::load_key(key)?.public_key();
                let place = committee.index(&own).ok_or_else(|| {
                    let message = format!("the key in {} has no place in the new epoch", key.display());
                    Failure::new(Exit::Configuration, message)
                        .hint("a node that was replaced is not started any more; its successor has a key of its own")
                })?;
                Some((place as usize, permit_in(permit, committee.epoch())))
            }
        };
        Ok(Target { path: self.path, genesis: self.genesis, node, text })
    }

    /// With the addresses of nodes that have moved, and checked: it must list each node of the committee once.
    fn at(&self, mut text: String, committee: &Committee, moved: &Moved) -> Result<String, Failure> {
        let old = self.peers(&text)?;
        for (place, to) in moved {
            let from = committee.nodes().get(*place).and_then(|key| old.get(key));
            let Some((consensus, gateway)) = from else { continue };
            if let Some(consensus) = consensus {
                text = text.replace(&format!("\"{consensus}\""), &format!("\"{}\"", to.consensus));
            }
            text = text.replace(&format!("\"{gateway}\""), &format!("\"{}\"", to.gateway));
        }
        let peers = self.peers(&text)?;
        let listed: BTreeSet<PublicKey> = peers.keys().copied().collect();
        let expected: BTreeSet<PublicKey> = committee.nodes().iter().copied().collect();
        let is_there = |(place, to): (&usize, &NodeAddresses)| {
            let at = committee.nodes().get(*place).and_then(|key| peers.get(key));
            at.is_some_and(|(consensus, gateway)| {
                *gateway == to.gateway && consensus.is_none_or(|consensus| consensus == to.consensus)
            })
        };
        if listed == expected && moved.iter().all(is_there) {
            return Ok(text);
        }
        let message =
            format!("the nodes in {} are not those that the recovery begins with", self.path.display());
        Err(Failure::new(Exit::Configuration, message).hint(
            "put the [[nodes]] entries right by hand: each key in the place of the one that it replaces",
        ))
    }

    /// Addresses by key: for consensus, unless it is a gateway's configuration, and for gateways.
    #[allow(clippy::type_complexity)]
    fn peers(
        &self,
        text: &str,
    ) -> Result<BTreeMap<PublicKey, (Option<std::net::SocketAddr>, std::net::SocketAddr)>, Failure> {
        let wrong = |why: String| {
            Failure::new(Exit::Configuration, format!("{}: {why}", self.base.join(&self.path).display()))
        };
        let entries: Vec<(String, _)> = if self.node.is_some() {
            let config: node::config::Config =
                toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
            config.nodes.into_iter().map(|peer| (peer.key, (Some(peer.consensus), peer.gateway))).collect()
        } else {
            let config: GatewayConfig = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
            config.nodes.into_iter().map(|peer| (peer.key, (None, peer.gateway))).collect()
        };
        let keyed = entries.into_iter().map(|(key, at)| Some((PublicKey::from_hex(&key)?, at)));
        keyed
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("a node's key has 64 lower-case hexadecimal digits".into()))
    }
}

/// The text with each former key replaced by that of the node in its place. Keys are 64 digits that are nothing else.
fn renamed(text: &str, former: &Committee, committee: &Committee) -> String {
    let pairs = former.nodes().iter().zip(committee.nodes()).filter(|(old, new)| old != new);
    // By way of placeholders: nodes may have changed places.
    let pairs: Vec<_> = pairs.enumerate().collect();
    let mut text = text.to_owned();
    for (at, (old, _)) in &pairs {
        text = text.replace(&old.to_string(), &format!("<place {at}>"));
    }
    for (at, (_, new)) in &pairs {
        text = text.replace(&format!("<place {at}>"), &new.to_string());
    }
    text
}
