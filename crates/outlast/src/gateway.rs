//! A gateway's configuration, and the vault it opens.

use crate::{
    failure::{Exit, Failure},
    files, layout,
};
use commonware_runtime::{Runner as _, tokio::Context};
use node::config::{in_order, load_key, load_lineage, load_secret};
use proof::{Lineage, PublicKey, TenantId};
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
};
use vault::Vault;
use zeroize::Zeroizing;

/// `gateway.toml`: paths in it are relative to it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayConfig {
    /// The genesis file.
    pub genesis: PathBuf,
    /// The tenant's id, 32 hexadecimal digits.
    pub tenant: String,
    /// The tenant's signing key.
    pub key: PathBuf,
    /// The tenant's master key: what is stored cannot be read without it.
    pub master_key: PathBuf,
    /// The S3 access keys.
    pub access_keys: PathBuf,
    /// Where S3 clients connect.
    pub s3_listen: SocketAddr,
    /// The region that S3 clients sign for.
    #[serde(default = "default_region")]
    pub region: String,
    /// Domains below which a host name is a bucket.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Requests of one S3 access key in a second; if not given, any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_requests_per_second: Option<NonZeroU32>,
    /// How lifecycle rules are executed.
    #[serde(default, skip_serializing_if = "LifecycleConfig::is_default")]
    pub lifecycle: LifecycleConfig,
    /// If given, S3 clients must speak TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// All nodes of the network.
    pub nodes: Vec<GatewayPeer>,
}

/// What a gateway shows to clients that speak TLS: PEM files.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsFiles {
    /// The chain of certificates, the gateway's own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// What clients that do not trust it already are to trust. The gateway itself does not need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
}

/// How this gateway executes lifecycle rules.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LifecycleConfig {
    /// Whether it does.
    pub enabled: bool,
    /// Seconds from the end of a round to the next.
    pub every_seconds: u32,
    /// Objects and uploads that it ends in a second, at most.
    pub actions_per_second: u32,
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        let s3::Sweeping { every, actions_per_second } = s3::Sweeping::default();
        Self { enabled: true, every_seconds: every.as_secs() as u32, actions_per_second }
    }
}

impl LifecycleConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What the surface needs to execute rules, if this gateway is to.
    pub(crate) fn sweeping(&self) -> Option<s3::Sweeping> {
        self.enabled.then(|| s3::Sweeping {
            every: std::time::Duration::from_secs(self.every_seconds.max(1).into()),
            actions_per_second: self.actions_per_second.max(1),
        })
    }
}

/// A node as a gateway finds it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayPeer {
    /// Its public key, 64 hexadecimal digits.
    pub key: String,
    /// Where it listens for gateways.
    pub gateway: SocketAddr,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

/// A configuration with all that it names read and checked.
pub(crate) struct Gateway {
    pub config: GatewayConfig,
    pub lineage: Lineage,
    pub vault: vault::Config,
}

impl GatewayConfig {
    /// How S3 clients on this machine reach it.
    pub(crate) fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", address(self.s3_listen))
    }

    /// The file's contents.
    pub(crate) fn to_file(&self) -> Vec<u8> {
        toml::to_string(self).expect("a configuration is a TOML table").into_bytes()
    }

    /// Reads the file alone; paths are as they are in it.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(Exit::Configuration, format!("cannot read {}: {error}", path.display())).hint(
                "`outlast up` makes a network with a gateway; --dir or OUTLAST_DIR says where it is, --gateway names \
                 another gateway's file",
            )
        })?;
        toml::from_str(&text).map_err(|error| {
            Failure::new(
                Exit::Configuration,
                format!("{} is no gateway's configuration: {error}", path.display()),
            )
            .hint("compare it with docs/deploy.md, or write it again with `outlast init`")
        })
    }

    /// Reads the file and all that it names.
    pub(crate) fn load(path: &Path) -> Result<Gateway, Failure> {
        let mut config = Self::read(path)?;
        let base = path.parent().unwrap_or(Path::new("."));
        for path in [&mut config.genesis, &mut config.key, &mut config.master_key, &mut config.access_keys] {
            *path = base.join(&*path);
        }
        if let Some(TlsFiles { certificate, key, authority }) = &mut config.tls {
            for path in [certificate, key].into_iter().chain(authority) {
                *path = base.join(&*path);
            }
        }
        let lineage = load_lineage(&config.genesis)?;
        let tenant = TenantId::from_hex(&config.tenant).ok_or_else(|| {
            Failure::new(Exit::Configuration, format!("{}: the tenant's id is wrong", path.display()))
                .hint("it has 32 lower-case hexadecimal digits")
        })?;
        let addresses =
            in_order(lineage.committee(), config.nodes.iter().map(|node| (node.key.as_str(), node.gateway)))?;
        let nodes =
            lineage.committee().nodes().iter().copied().zip(addresses).collect::<Vec<(PublicKey, _)>>();
        let vault = vault::Config {
            lineage: lineage.clone(),
            tenant,
            key: load_key(&config.key)?,
            master_key: Zeroizing::new(load_secret(&config.master_key)?),
            nodes,
            limits: vault::Limits::default(),
        };
        Ok(Gateway { config, lineage, vault })
    }
}

/// The files of a gateway's directory.
pub(crate) fn files(
    config: &GatewayConfig,
    key: &proof::SecretKey,
    master_key: &[u8; 32],
    access: &crate::keys::AccessKey,
) -> Vec<files::NewFile> {
    use crate::keys::{AccessKeys, to_file};
    use files::NewFile;
    vec![
        NewFile::public(layout::GATEWAY_CONFIG, config.to_file()),
        NewFile::secret(layout::TENANT_KEY, to_file(&key.seed())),
        NewFile::secret(layout::MASTER_KEY, to_file(master_key)),
        NewFile::secret(layout::ACCESS_KEYS, AccessKeys::of(access).to_file()),
        NewFile::secret(layout::S3_ENVIRONMENT, s3_environment(config, None, access)),
    ]
}

/// Settings that make aws, boto3 and others find the gateway, and trust `authority`: `. s3.env`.
pub(crate) fn s3_environment(
    config: &GatewayConfig,
    authority: Option<&Path>,
    access: &crate::keys::AccessKey,
) -> Vec<u8> {
    let (endpoint, region) = (config.endpoint(), &config.region);
    let trust = authority.map(|path| format!("export AWS_CA_BUNDLE='{}'\n", path.display()));
    format!(
        "export AWS_ENDPOINT_URL={endpoint}\nexport AWS_REGION={region}\nexport AWS_DEFAULT_REGION={region}\n\
         export AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}\n{}",
        access.id,
        *access.secret,
        trust.unwrap_or_default()
    )
    .into_bytes()
}

/// How clients on this machine reach what listens there.
pub(crate) fn address(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

/// Runs `work` with the vault that `gateway` opens, until it is done or the process is told to stop.
pub(crate) fn with_vault<T>(
    gateway: Gateway,
    work: impl AsyncFnOnce(Vault<Context>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    run(async |context| {
        let vault = Vault::connect(context, gateway.vault)?;
        tokio::select! {
            outcome = work(vault) => outcome,
            () = stop_asked() => Err(Failure::new(Exit::Failed, "stopped")),
        }
    })
}

/// Runs `work` on a runtime of its own, whose storage is empty and goes away with it.
pub(crate) fn run<T>(work: impl AsyncFnOnce(Context) -> Result<T, Failure>) -> Result<T, Failure> {
    let storage = RuntimeDirectory::make()?;
    let config = commonware_runtime::tokio::Config::new().with_storage_directory(&storage.0);
    commonware_runtime::tokio::Runner::new(config).start(|context| work(context))
}

/// A directory that the runtime insists on and a gateway never writes to. In memory where possible: the runtime syncs
/// the whole file system that it is on.
struct RuntimeDirectory(PathBuf);

impl RuntimeDirectory {
    fn make() -> Result<Self, Failure> {
        let memory = Path::new("/dev/shm");
        let name = format!("outlast-{}-{}", std::process::id(), proof::Digest(crate::keys::draw()));
        let places = [memory.to_owned(), std::env::temp_dir()];
        places.iter().for_each(|place| Self::clear(place));
        let mut made =
            places.iter().map(|place| place.join(&name)).map(|path| (files::make_directory(&path), path));
        let (first, path) = made.next().expect("two places");
        if first.is_ok() {
            return Ok(Self(path));
        }
        let (second, path) = made.next().expect("two places");
        second.map(|()| Self(path))
    }

    /// Removes what processes that were killed left in `place`. Whatever cannot be removed is left to its owner.
    fn clear(place: &Path) {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let owner = name.to_str().and_then(Self::owner);
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// The process whose directory has this name, if it is one: `outlast-PID-DIGEST`.
    fn owner(name: &str) -> Option<&str> {
        let (pid, digest) = name.strip_prefix("outlast-")?.split_once('-')?;
        let whole =
            pid.bytes().all(|byte| byte.is_ascii_digit()) && proof::Digest::from_hex(digest).is_some();
        whole.then_some(pid)
    }
}

impl Drop for RuntimeDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Ready when the process is told to stop: SIGINT or SIGTERM.
pub(crate) async fn stop_asked() {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).expect("signals can be listened for");
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate()));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_gone_processes_are_cleared() {
        let place = tempfile::tempdir().unwrap();
        let digest = proof::Digest::ZERO;
        let make =
            |name: String| std::fs::create_dir(place.path().join(&name)).map(|()| place.path().join(name));
        let gone = make(format!("outlast-4294967295-{digest}")).unwrap();
        let own = make(format!("outlast-{}-{digest}", std::process::id())).unwrap();
        let other = make("outlast-4294967295-photos".into()).unwrap();
        RuntimeDirectory::clear(place.path());
        assert!(!gone.exists() && own.exists() && other.exists());
    }

    #[test]
    fn clients_get_an_address_they_can_connect_to() {
        let reached = |listen: &str| address(listen.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:9000"), "127.0.0.1:9000");
        assert_eq!(reached("[::]:9000"), "[::1]:9000");
        assert_eq!(reached("10.1.2.3:80"), "10.1.2.3:80");
    }
    /// All that version 0.1 writes into `gateway.toml`.
    const COMPLETE: &str = r#"genesis = "genesis"
tenant = "00"
key = "tenant.key"
master_key = "master.key"
access_keys = "access-keys.toml"
s3_listen = "127.0.0.1:9000"
region = "eu-north-1"
domains = ["s3.example.com"]
key_requests_per_second = 100

[lifecycle]
enabled = false
every_seconds = 60
actions_per_second = 10

[tls]
certificate = "tls-cert.pem"
key = "tls-key.pem"
authority = "tls-ca.pem"

[[nodes]]
key = "00"
gateway = "127.0.0.1:1"
"#;

    /// Files that people and older releases have written are read for ever: fields are only added, and are optional.
    #[test]
    fn formats_are_frozen() {
        let complete: GatewayConfig = toml::from_str(COMPLETE).unwrap();
        assert_eq!(complete.to_file(), COMPLETE.as_bytes());
        let optional = [
            "region = \"eu-north-1\"\n",
            "domains = [\"s3.example.com\"]\n",
            "key_requests_per_second = 100\n",
            "[lifecycle]\nenabled = false\nevery_seconds = 60\nactions_per_second = 10\n",
            "[tls]\ncertificate = \"tls-cert.pem\"\nkey = \"tls-key.pem\"\nauthority = \"tls-ca.pem\"\n",
        ];
        let shortest = optional.iter().fold(COMPLETE.to_owned(), |text, line| text.replace(line, ""));
        let shortest: GatewayConfig = toml::from_str(&shortest).unwrap();
        assert_eq!((shortest.region.as_str(), shortest.domains.len()), ("us-east-1", 0));
        assert!(shortest.tls.is_none());
        assert_eq!(complete.lifecycle.sweeping(), None);
        assert_eq!(shortest.lifecycle.sweeping(), Some(s3::Sweeping::default()));
        assert!(toml::from_str::<GatewayConfig>(&format!("more = 1\n{COMPLETE}")).is_err());

        let access = crate::keys::AccessKey { id: "OLID".into(), secret: Zeroizing::new("SECRET".into()) };
        let keys = crate::keys::AccessKeys::of(&access);
        assert_eq!(keys.to_file(), b"[keys]\nOLID = \"SECRET\"\n");
        let environment = s3_environment(&complete, Some(Path::new("/x/tls-ca.pem")), &access);
        let settings = "export AWS_ENDPOINT_URL=https://127.0.0.1:9000\nexport AWS_REGION=eu-north-1\n\
                        export AWS_DEFAULT_REGION=eu-north-1\nexport AWS_ACCESS_KEY_ID=OLID\n\
                        export AWS_SECRET_ACCESS_KEY=SECRET\nexport AWS_CA_BUNDLE='/x/tls-ca.pem'\n";
        assert_eq!(environment, settings.as_bytes());
        let plain = s3_environment(&shortest, None, &access);
        assert!(plain.starts_with(b"export AWS_ENDPOINT_URL=http://127.0.0.1:9000\n"));
    }
}
