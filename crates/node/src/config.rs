//! A node's configuration: one TOML file, paths in it relative to that file.

use proof::{Committee, Lineage, PublicKey, SecretKey, limits::GRACE_MS_MIN};
use serde::{Deserialize, Serialize};
use shards::ScrubPace;
use std::{
    net::SocketAddr,
    path::{Component, Path, PathBuf},
};

/// What a node is told.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The genesis file.
    pub genesis: PathBuf,
    /// The node's key: 64 hexadecimal digits in a file that only its owner may read.
    pub key: PathBuf,
    /// The permit to vote for the first time, made with the key. It is removed when it is used.
    pub permit: PathBuf,
    /// Where the node keeps its journal of votes and what vouches for it: `None` is beside the key, under its name with
    /// the ending `.votes`. It is small, and losing it is losing the vote; so it must not be below `directory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes_directory: Option<PathBuf>,
    /// Where the node keeps everything else: blocks, state, shards, index.
    pub directory: PathBuf,
    /// Where the node listens for other nodes.
    pub consensus_listen: SocketAddr,
    /// Where the node listens for gateways.
    pub gateway_listen: SocketAddr,
    /// Where the node serves metrics to Prometheus, if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_listen: Option<SocketAddr>,
    /// All nodes of the network, this one included.
    pub nodes: Vec<Peer>,
    /// How shards are kept.
    #[serde(default)]
    pub shards: Shards,
}

impl Config {
    /// Where journals of votes are.
    pub fn votes(&self) -> PathBuf {
        self.votes_directory.clone().unwrap_or_else(|| self.key.with_extension("votes"))
    }
}

/// Where a node is found.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its public key, 64 hexadecimal digits.
    pub key: String,
    /// Where other nodes reach it.
    pub consensus: SocketAddr,
    /// Where gateways reach it.
    pub gateway: SocketAddr,
}

/// How shards are kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shards {
    /// Bytes of a preallocated segment.
    pub segment_bytes: u64,
    /// Seconds that shards which no transaction refers to are kept: two hours at least.
    pub grace_seconds: u64,
    /// Bytes that shards may take in all, and two segments more for what frees space; none: as much as the disk has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// Bytes of shards that are healed in a second at most: what is lost comes back at this speed, and the network
    /// carries k times as much.
    pub heal_bytes_per_second: u64,
    /// Seconds in which all shards are read once, to find what has rotted.
    pub scrub_period_seconds: u64,
    /// Bytes that are read in a second at least, until all are.
    pub scrub_bytes_per_second: u64,
}

impl Default for Shards {
    fn default() -> Self {
        let scrub = ScrubPace::default();
        Self {
            segment_bytes: 256 << 20,
            grace_seconds: 24 * 60 * 60,
            bytes_max: None,
            heal_bytes_per_second: 32 << 20,
            scrub_period_seconds: scrub.period.as_secs(),
            scrub_bytes_per_second: scrub.bytes_per_second,
        }
    }
}

/// Why a configuration cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error(
        "cannot read {path}: {error}. Check the path and its permissions; `outlast init` writes a complete configuration"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The TOML is wrong.
    #[error("{path} is not a node's configuration: {error}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Box<toml::de::Error>,
    },
    /// A key file is wrong.
    #[error(
        "{path} is not a key: it must hold 64 lower-case hexadecimal digits. Restore it from your backup"
    )]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// A key file can be read by others.
    #[error(
        "{path} can be read by others (mode {mode:o}). Run `chmod 600 {path}`, and replace the key if others may have read it"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The genesis file is wrong.
    #[error("{path}: {error}. Copy the file again from another node")]
    Genesis {
        /// The file.
        path: PathBuf,
        /// Why.
        error: proof::genesis::GenesisError,
    },
    /// The peers are not the committee that decides now.
    #[error(
        "the nodes in the configuration are not those of the genesis file: {0}. Copy the [[nodes]] entries, or a newer genesis file, again from another node"
    )]
    Nodes(String),
    /// The journal of votes would go with the rest.
    #[error(
        "votes_directory {0} is below the node's directory: whoever deletes that would take the node's vote too. Choose a place apart from it"
    )]
    Votes(PathBuf),
    /// Shards might be dropped to which a transaction may still refer.
    #[error(
        "grace_seconds = {0} is too short: transactions may refer to shards more than an hour after they were put. Set it to 7200 or more, or leave it out for 24 hours"
    )]
    Grace(u64),
    /// The key is of no member.
    #[error(
        "the key {0} is of no node of this network, or no longer. Use the key file that belongs to this configuration"
    )]
    NotMember(PublicKey),
}

/// A configuration with all that it names read and checked.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, its paths resolved.
    pub config: Config,
    /// The founding facts, and who decides since.
    pub lineage: Lineage,
    /// The node's key.
    pub key: SecretKey,
    /// The node's place in the committee.
    pub index: u32,
    /// Addresses for consensus, in the order of the committee.
    pub consensus: Vec<SocketAddr>,
    /// Addresses for gateways, and for other nodes that heal, in the order of the committee.
    pub gateways: Vec<SocketAddr>,
}

impl Config {
    /// Reads the file at `path` and all that it names.
    pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let mut config: Self = toml::from_str(&text)
            .map_err(|error| ConfigError::Toml { path: path.into(), error: Box::new(error) })?;
        let base = path.parent().unwrap_or(Path::new("."));
        for path in [&mut config.genesis, &mut config.key, &mut config.permit, &mut config.directory] {
            *path = base.join(&*path);
        }
        config.votes_directory = config.votes_directory.map(|path| base.join(path));
        let (votes, directory) = (plain(&config.votes()), plain(&config.directory));
        if votes.starts_with(directory) {
            return Err(ConfigError::Votes(votes));
        }
        if config.shards.grace_seconds < GRACE_MS_MIN / 1000 {
            return Err(ConfigError::Grace(config.shards.grace_seconds));
        }
        let lineage = load_lineage(&config.genesis)?;
        let key = load_key(&config.key)?;
        let public_key = key.public_key();
        let index = lineage.committee().index(&public_key).ok_or(ConfigError::NotMember(public_key))?;
        let consensus = in_order(
            lineage.committee(),
            config.nodes.iter().map(|peer| (peer.key.as_str(), peer.consensus)),
        )?;
        let gateways =
            in_order(lineage.committee(), config.nodes.iter().map(|peer| (peer.key.as_str(), peer.gateway)))?;
        Ok(Loaded { config, lineage, key, index, consensus, gateways })
    }
}

/// A path without its dots, as far as that can be told without looking at the disk.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            component => plain.push(component),
        }
    }
    plain
}

/// The addresses of `nodes`, (public key, address), in the order of the committee.
pub fn in_order<'a>(
    committee: &Committee,
    nodes: impl Iterator<Item = (&'a str, SocketAddr)>,
) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut addresses = vec![None; committee.n()];
    for (key, address) in nodes {
        let index = PublicKey::from_hex(key).and_then(|key| committee.index(&key));
        let index = index.ok_or_else(|| ConfigError::Nodes(format!("{key} is not a member")))?;
        if addresses[index as usize].replace(address).is_some() {
            return Err(ConfigError::Nodes(format!("{key} is listed twice")));
        }
    }
    let missing = |index: usize| ConfigError::Nodes(format!("{} is not listed", committee.nodes()[index]));
    addresses.into_iter().enumerate().map(|(index, address)| address.ok_or_else(|| missing(index))).collect()
}

/// Reads a genesis file.
pub fn load_lineage(path: &Path) -> Result<Lineage, ConfigError> {
    Lineage::from_file(&read(path)?).map_err(|error| ConfigError::Genesis { path: path.into(), error })
}

/// Reads a key file: 64 hexadecimal digits, readable by its owner alone.
pub fn load_key(path: &Path) -> Result<SecretKey, ConfigError> {
    Ok(SecretKey::from_seed(load_secret(path)?))
}

/// Reads 32 secret bytes from a file of 64 hexadecimal digits, readable by its owner alone.
pub fn load_secret(path: &Path) -> Result<[u8; 32], ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path).map_err(|error| ConfigError::Read { path: path.into(), error })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(ConfigError::Exposed { path: path.into(), mode });
    }
    let bytes = read(path)?;
    let digits = std::str::from_utf8(&bytes).ok().map(str::trim).and_then(proof::Digest::from_hex);
    digits.map(|digest| digest.0).ok_or_else(|| ConfigError::Key { path: path.into() })
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|error| ConfigError::Read { path: path.into(), error })
}
