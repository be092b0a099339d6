//! Founding a network: drawing its keys and writing its files.
//!
//! `outlast up` founds into its directory in three steps, each durable before the next:
//!
//! 1. All files are written below `DIR/.founding`.
//! 2. They are moved into place, the genesis file last. With it the network is founded.
//! 3. `DIR/.founding` is removed.
//!
//! A run that finds `.founding` without a genesis file takes back what step 2 moved, and begins again: no process has
//! used these keys. A run that finds neither in a directory that is not empty touches nothing. So keys that a network
//! may have used are never drawn again.

use crate::{
    failure::{Exit, Failure},
    files::{self, NewFile},
    gateway::{self, GatewayConfig, GatewayPeer},
    keys::{self, AccessKey},
    layout::{self, Layout, node_name},
};
use proof::{Committee, Genesis, SecretKey, TenantId, genesis::GenesisTenant, wire::List, wire::Octets};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};
use zeroize::Zeroizing;

/// Approvers of a new network, and how many of them must agree.
const APPROVERS: usize = 3;
const APPROVALS_NEEDED: u8 = 2;
/// Name of the first tenant.
pub(crate) const FIRST_TENANT: &str = "main";

/// Where a node of a new network listens and is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeAddresses {
    /// Where other nodes reach it.
    pub consensus: SocketAddr,
    /// Where gateways reach it.
    pub gateway: SocketAddr,
    /// Where it serves metrics.
    pub metrics: Option<SocketAddr>,
}

/// Everything that is drawn at random for a new network.
pub(crate) struct Founders {
    pub genesis: Genesis,
    /// In the order of the committee.
    pub nodes: Vec<SecretKey>,
    pub approvers: Vec<SecretKey>,
    pub tenant: Tenant,
}

/// What a tenant's gateway needs to be one.
pub(crate) struct Tenant {
    pub id: TenantId,
    pub key: SecretKey,
    pub master_key: Zeroizing<[u8; 32]>,
    pub access: AccessKey,
}

impl Tenant {
    pub(crate) fn draw() -> Self {
        Self {
            id: TenantId(keys::draw()),
            key: keys::draw_signing(),
            master_key: Zeroizing::new(keys::draw()),
            access: AccessKey::draw(),
        }
    }
}

impl Founders {
    /// Draws the keys of a network of `n` nodes.
    pub(crate) fn draw(name: &str, n: usize) -> Result<Self, Failure> {
        let mut nodes: Vec<SecretKey> = (0..n).map(|_| keys::draw_signing()).collect();
        nodes.sort_unstable_by_key(SecretKey::public_key);
        let approvers: Vec<SecretKey> = (0..APPROVERS).map(|_| keys::draw_signing()).collect();
        let tenant = Tenant::draw();
        let public = |keys: &[SecretKey]| keys.iter().map(SecretKey::public_key).collect::<Vec<_>>();
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let founded = GenesisTenant {
            tenant: tenant.id,
            name: Octets::new(FIRST_TENANT.as_bytes()).expect("a short name"),
            key: tenant.key.public_key(),
        };
        let genesis = Genesis {
            name: Octets::new(name.as_bytes().to_vec())
                .map_err(|_| usage("a network's name has at most 64 bytes".into()))?,
            created_ms: now.as_millis() as u64,
            committee: Committee::new(0, public(&nodes)).map_err(|error| usage(error.to_string()))?,
            approvers: List::new(public(&approvers)).expect("a few approvers"),
            approvals_needed: APPROVALS_NEEDED,
            tenants: List::new(vec![founded]).expect("one tenant"),
        };
        Ok(Self { genesis, nodes, approvers, tenant })
    }

    fn peers(&self, addresses: &[NodeAddresses]) -> Vec<node::config::Peer> {
        let peer = |(key, at): (&SecretKey, &NodeAddresses)| node::config::Peer {
            key: key.public_key().to_string(),
            consensus: at.consensus,
            gateway: at.gateway,
        };
        self.nodes.iter().zip(addresses).map(peer).collect()
    }

    fn gateway_config(
        &self,
        addresses: &[NodeAddresses],
        s3_listen: SocketAddr,
        genesis: &str,
    ) -> GatewayConfig {
        let peer = |(key, at): (&SecretKey, &NodeAddresses)| GatewayPeer {
            key: key.public_key().to_string(),
            gateway: at.gateway,
        };
        gateway_config(
            self.tenant.id,
            genesis,
            s3_listen,
            self.nodes.iter().zip(addresses).map(peer).collect(),
        )
    }

    fn approver_files(&self) -> impl Iterator<Item = NewFile> {
        let file = |(index, key): (usize, &SecretKey)| {
            NewFile::secret(format!("approvers/approver-{index}.key"), keys::to_file(&key.seed()))
        };
        self.approvers.iter().enumerate().map(file)
    }

    fn gateway_files(&self, config: &GatewayConfig) -> Vec<NewFile> {
        gateway::files(config, &self.tenant.key, &self.tenant.master_key, &self.tenant.access)
    }

    /// The files of a network on one machine: see [`layout`].
    pub(crate) fn on_one_machine(&self, addresses: &[NodeAddresses], s3_listen: SocketAddr) -> Vec<NewFile> {
        let gateway = self.gateway_config(addresses, s3_listen, "../genesis");
        let mut files: Vec<NewFile> = self.approver_files().collect();
        for (index, (key, at)) in self.nodes.iter().zip(addresses).enumerate() {
            let name = node_name(index);
            let config = node::config::Config {
                genesis: "../genesis".into(),
                key: format!("{name}.key").into(),
                permit: format!("{name}.permit").into(),
                votes_directory: Some(format!("../votes/{name}").into()),
                directory: format!("../nodes/{name}").into(),
                consensus_listen: at.consensus,
                gateway_listen: at.gateway,
                metrics_listen: at.metrics,
                nodes: self.peers(addresses),
                shards: node::config::Shards::default(),
            };
            files.extend(below(Path::new("config"), node_files(&name, key, &config)));
        }
        files.extend(below(Path::new("gateway"), self.gateway_files(&gateway)));
        files.push(NewFile::public(layout::GENESIS, self.genesis.to_file()));
        files
    }

    /// The files of a network on several machines: a complete directory for each node and for the gateway.
    pub(crate) fn on_many_machines(
        &self,
        addresses: &[NodeAddresses],
        s3_listen: SocketAddr,
    ) -> Vec<NewFile> {
        let genesis = || NewFile::public(layout::GENESIS, self.genesis.to_file());
        let mut files: Vec<NewFile> = self.approver_files().chain([genesis()]).collect();
        for (index, (key, at)) in self.nodes.iter().zip(addresses).enumerate() {
            let config = node::config::Config {
                genesis: layout::GENESIS.into(),
                key: "node.key".into(),
                permit: "node.permit".into(),
                votes_directory: Some("votes".into()),
                directory: "data".into(),
                consensus_listen: anywhere(at.consensus),
                gateway_listen: anywhere(at.gateway),
                metrics_listen: at.metrics,
                nodes: self.peers(addresses),
                shards: node::config::Shards::default(),
            };
            let own = node_files("node", key, &config).into_iter().chain([genesis()]);
            files.extend(below(Path::new(&node_name(index)), own));
        }
        let gateway = self.gateway_config(addresses, s3_listen, layout::GENESIS);
        files
            .extend(below(Path::new("gateway"), self.gateway_files(&gateway).into_iter().chain([genesis()])));
        files
    }
}

/// The same port at every address of the machine.
pub(crate) fn anywhere(at: SocketAddr) -> SocketAddr {
    match at {
        SocketAddr::V4(at) => SocketAddr::from(([0; 4], at.port())),
        SocketAddr::V6(at) => SocketAddr::from(([0; 16], at.port())),
    }
}

/// The configuration of a gateway whose files lie beside it.
pub(crate) fn gateway_config(
    tenant: TenantId,
    genesis: &str,
    s3_listen: SocketAddr,
    nodes: Vec<GatewayPeer>,
) -> GatewayConfig {
    GatewayConfig {
        genesis: genesis.into(),
        tenant: tenant.to_string(),
        key: layout::TENANT_KEY.into(),
        master_key: layout::MASTER_KEY.into(),
        access_keys: layout::ACCESS_KEYS.into(),
        s3_listen,
        tls: None,
        region: "us-east-1".to_owned(),
        lifecycle: Default::default(),
        domains: Vec::new(),
        key_requests_per_second: None,
        nodes,
    }
}

fn node_files(name: &str, key: &SecretKey, config: &node::config::Config) -> Vec<NewFile> {
    let toml = toml::to_string(config).expect("a configuration is a TOML table");
    vec![
        NewFile::public(format!("{name}.toml"), toml),
        NewFile::secret(format!("{name}.key"), keys::to_file(&key.seed())),
        NewFile::public(format!("{name}.permit"), ""),
    ]
}

fn below(directory: &Path, files: impl IntoIterator<Item = NewFile>) -> impl Iterator<Item = NewFile> {
    files.into_iter().map(move |file| NewFile { path: directory.join(&file.path), ..file })
}

/// Whether a network is founded here. Clears away what an interrupted founding left. The directory's lock is held.
///
/// # Errors
///
/// When the directory holds other things.
pub(crate) fn is_founded(layout: &Layout) -> Result<bool, Failure> {
    let founded = layout.genesis().exists();
    if !founded && layout.founding().exists() {
        for name in layout::FOUNDED {
            files::remove_directory(&layout.root().join(name))?;
        }
    }
    files::remove_directory(&layout.founding())?;
    if founded {
        return Ok(true);
    }
    let foreign = foreign_entry(layout.root())?;
    foreign.map_or(Ok(false), |entry| {
        let message = format!(
            "{} holds no network (there is no genesis file) but is not empty: there is {}",
            layout.root().display(),
            entry.display()
        );
        Err(Failure::new(Exit::Configuration, message).hint(
            "choose an empty directory with --dir; or, if this was a network, put its genesis file back",
        ))
    })
}

fn foreign_entry(root: &Path) -> Result<Option<PathBuf>, Failure> {
    let entries = fs::read_dir(root).map_err(|error| Failure::file("list", root, &error))?;
    let names = entries.filter_map(Result::ok).map(|entry| PathBuf::from(entry.file_name()));
    let mut foreign = names.filter(|name| !["lock", "lost+found"].iter().any(|own| name == Path::new(own)));
    Ok(foreign.next())
}

/// Founds a network in the directory, in the steps above. The directory's lock is held.
pub(crate) fn found(layout: &Layout, files: &[NewFile]) -> Result<(), Failure> {
    let prepared = layout.founding();
    files::write_new(&prepared, files)?;
    files::sync_directory(layout.root())?;
    for name in layout::FOUNDED {
        let (from, to) = (prepared.join(name), layout.root().join(name));
        fs::rename(&from, &to).map_err(|error| Failure::file("move into place", &to, &error))?;
        files::sync_directory(layout.root())?;
    }
    files::remove_directory(&prepared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use node::config::Config;

    fn addresses(n: u16) -> Vec<NodeAddresses> {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let node = |i: u16| NodeAddresses { consensus: at(7000 + i), gateway: at(7100 + i), metrics: None };
        (0..n).map(node).collect()
    }

    fn founded(n: u16) -> (tempfile::TempDir, Layout, Vec<NewFile>) {
        let base = tempfile::tempdir().unwrap();
        let layout = Layout::new(base.path());
        let founders = Founders::draw("test", usize::from(n)).unwrap();
        let files = founders.on_one_machine(&addresses(n), "127.0.0.1:9000".parse().unwrap());
        (base, layout, files)
    }

    #[test]
    fn a_founded_network_loads() {
        let (_base, layout, files) = founded(4);
        assert!(!is_founded(&layout).unwrap());
        found(&layout, &files).unwrap();
        assert!(is_founded(&layout).unwrap());
        for index in 0..4 {
            let loaded = Config::load(&layout.node_config(index)).unwrap();
            assert_eq!(loaded.index as usize, index, "a node is called by its place in the committee");
            assert!(loaded.config.permit.exists());
            assert!(!loaded.config.votes().starts_with(&loaded.config.directory));
            assert_eq!(loaded.gateways, addresses(4).iter().map(|at| at.gateway).collect::<Vec<_>>());
        }
        let gateway = GatewayConfig::load(&layout.gateway(None).join(layout::GATEWAY_CONFIG)).unwrap();
        assert_eq!(gateway.lineage.genesis().tenants[0].tenant, gateway.vault.tenant);
        let approver = node::config::load_key(&layout.approver_key(2)).unwrap();
        assert!(gateway.lineage.genesis().approvers.contains(&approver.public_key()));
    }

    #[test]
    fn votes_below_the_data_are_refused() {
        let (_base, layout, files) = founded(4);
        found(&layout, &files).unwrap();
        let path = layout.node_config(0);
        let text = fs::read_to_string(&path).unwrap();
        for below in ["../nodes/node-0", "../nodes/node-0/votes", "../config/../nodes/node-0/v"] {
            fs::write(&path, text.replace("../votes/node-0", below)).unwrap();
            assert!(matches!(Config::load(&path), Err(node::config::ConfigError::Votes(_))), "{below}");
        }
        // Left out, they lie beside the key.
        fs::write(&path, text.replace("votes_directory = \"../votes/node-0\"\n", "")).unwrap();
        assert_eq!(Config::load(&path).unwrap().config.votes().file_name().unwrap(), "node-0.votes");
    }

    #[test]
    fn a_crash_at_any_step_is_recovered_and_keys_in_use_are_kept() {
        for moved in 0..=layout::FOUNDED.len() {
            let (_base, layout, files) = founded(1);
            files::write_new(&layout.founding(), &files).unwrap();
            for name in &layout::FOUNDED[..moved] {
                fs::rename(layout.founding().join(name), layout.root().join(name)).unwrap();
            }
            let complete = moved == layout::FOUNDED.len();
            assert_eq!(is_founded(&layout).unwrap(), complete, "{moved} moved");
            if !complete {
                found(&layout, &files).unwrap();
            }
            assert!(is_founded(&layout).unwrap());
            assert!(Config::load(&layout.node_config(0)).is_ok());
            assert!(!layout.founding().exists());
        }
    }

    #[test]
    fn what_is_not_ours_is_not_touched() {
        let (_base, layout, files) = founded(1);
        found(&layout, &files).unwrap();
        fs::remove_file(layout.genesis()).unwrap();
        let refused = is_founded(&layout).unwrap_err();
        assert_eq!(refused.exit, Exit::Configuration);
        assert!(layout.node_config(0).exists(), "keys without a genesis file are kept");
    }

    #[test]
    fn each_machine_gets_a_complete_directory() {
        let base = tempfile::tempdir().unwrap();
        let founders = Founders::draw("test", 4).unwrap();
        let files = founders.on_many_machines(&addresses(4), "0.0.0.0:9000".parse().unwrap());
        files::write_new(base.path(), &files).unwrap();
        for index in 0..4 {
            let alone = tempfile::tempdir().unwrap();
            let moved = alone.path().join("n");
            fs::rename(base.path().join(node_name(index)), &moved).unwrap();
            let loaded = Config::load(&moved.join("node.toml")).unwrap();
            assert_eq!(loaded.index as usize, index);
            assert!(loaded.config.consensus_listen.ip().is_unspecified());
            assert_eq!(loaded.consensus[index], addresses(4)[index].consensus);
        }
        assert!(GatewayConfig::load(&base.path().join("gateway/gateway.toml")).is_ok());
    }
}
