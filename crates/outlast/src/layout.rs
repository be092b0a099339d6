//! Where `outlast up` keeps what it needs: every path below its directory, in one place.
//!
//! ```text
//! DIR/genesis                      what the network agrees on; the last file that founding writes
//! DIR/approvers/approver-<i>.key   keys of the approvers
//! DIR/config/node-<i>.toml         a node's configuration; .key its key, .permit its permit to vote
//! DIR/nodes/node-<i>/              all that node i stores; deleting it is what the network outlasts
//! DIR/votes/node-<i>/              what node i has voted for: small, and apart, so that it is not deleted with the rest
//! DIR/gateway/                     the first tenant's gateway: gateway.toml, tenant.key, master.key, access-keys.toml
//!                                  with `up --tls` also tls-cert.pem, tls-key.pem, and tls-ca.pem for clients
//! DIR/tenants/<name>/              the same for each further tenant
//! DIR/logs/<name>.log              what each process logs
//! DIR/.recovery/                    an approved recovery, until it is installed
//! DIR/lock                         held by the running `outlast up`
//! ```

use crate::failure::Failure;
use std::path::{Path, PathBuf};

/// File names within a gateway's directory.
pub(crate) const GATEWAY_CONFIG: &str = "gateway.toml";
pub(crate) const TENANT_KEY: &str = "tenant.key";
pub(crate) const MASTER_KEY: &str = "master.key";
pub(crate) const ACCESS_KEYS: &str = "access-keys.toml";
pub(crate) const TLS_CERTIFICATE: &str = "tls-cert.pem";
pub(crate) const TLS_KEY: &str = "tls-key.pem";
/// What clients are to trust.
pub(crate) const TLS_AUTHORITY: &str = "tls-ca.pem";
/// Shell settings that S3 clients understand.
pub(crate) const S3_ENVIRONMENT: &str = "s3.env";
/// Of `init`, in the directory of each node and gateway; of `up`, in DIR.
pub(crate) const GENESIS: &str = "genesis";
/// What founding moves into DIR, in this order. With the genesis file there, the network is founded.
pub(crate) const FOUNDED: [&str; 4] = ["approvers", "config", "gateway", GENESIS];

/// The directory of a network on one machine.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn genesis(&self) -> PathBuf {
        self.root.join(GENESIS)
    }

    /// Where founding prepares what it then moves into place.
    pub(crate) fn founding(&self) -> PathBuf {
        self.root.join(".founding")
    }

    /// Where a recovery is prepared.
    pub(crate) fn recovery(&self) -> PathBuf {
        self.root.join(".recovery")
    }

    pub(crate) fn approver_key(&self, index: usize) -> PathBuf {
        self.root.join(format!("approvers/approver-{index}.key"))
    }

    pub(crate) fn node_config(&self, index: usize) -> PathBuf {
        self.root.join(format!("config/{}.toml", node_name(index)))
    }

    pub(crate) fn node_key(&self, index: usize) -> PathBuf {
        self.root.join(format!("config/{}.key", node_name(index)))
    }

    pub(crate) fn node_directory(&self, index: usize) -> PathBuf {
        self.root.join(format!("nodes/{}", node_name(index)))
    }

    /// The gateway's directory of the first tenant, or of the one with this name.
    pub(crate) fn gateway(&self, tenant: Option<&str>) -> PathBuf {
        match tenant {
            None => self.root.join("gateway"),
            Some(name) => self.root.join("tenants").join(name),
        }
    }

    /// Names of the tenants besides the first.
    pub(crate) fn tenants(&self) -> Result<Vec<String>, Failure> {
        let directory = self.root.join("tenants");
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| Failure::file("list", &directory, &error))?,
        };
        let names = entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().into_string().ok());
        let is_one = |name: &String| self.gateway(Some(name)).join(GATEWAY_CONFIG).exists();
        let mut names: Vec<String> = names.filter(is_one).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The directories of all tenants' gateways.
    pub(crate) fn gateways(&self) -> Result<Vec<PathBuf>, Failure> {
        let tenants = self.tenants()?;
        Ok([self.gateway(None)]
            .into_iter()
            .chain(tenants.iter().map(|name| self.gateway(Some(name))))
            .collect())
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.root.join(format!("logs/{name}.log"))
    }
}

/// What a node is called.
pub(crate) fn node_name(index: usize) -> String {
    format!("node-{index}")
}
