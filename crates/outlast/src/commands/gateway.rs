//! `outlast gateway`: a tenant's gateway, which serves S3.
//!
//! It listens first, so that a port in use is said at once; then waits for the network; then says `ready` and serves.
//! It executes lifecycle rules besides, unless it is told not to. When the file of access keys changes, requests that come from then on are checked against the new keys, while those
//! in work go on. The TLS certificate is read again then, too.

use crate::{
    failure::{Exit, Failure},
    gateway::{self, Gateway, GatewayConfig, TlsFiles},
    keys::AccessKeys,
    output, ports,
    supervisor::{READY, shutdown},
};
use clap::Args;
use commonware_runtime::tokio::Context;
use std::{
    future::Future,
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tokio::{sync::oneshot, task::JoinSet, time::sleep};
use vault::Vault;

/// How often the file of access keys is looked at.
const KEYS_EVERY: Duration = Duration::from_secs(1);
/// How long requests in work may go on when the gateway stops. Below what its supervisor gives it.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How often the network is asked whether it answers, at the start.
const READY_EVERY: Duration = Duration::from_millis(100);

/// Run a gateway: S3 for one tenant
///
/// A gateway holds the tenant's keys and nothing else: lose it, start another. It runs next to the applications.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast gateway --config /etc/outlast/gateway.toml
  RUST_LOG=debug outlast gateway --config gateway.toml")]
pub(crate) struct Arguments {
    /// The gateway's configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Stop when standard input ends
    #[arg(long, hide = true)]
    supervised: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let gateway = GatewayConfig::load(&arguments.config)?;
    let listen = gateway.config.s3_listen;
    let change = "change s3_listen in its configuration";
    let listener = TcpListener::bind(listen).map_err(|error| ports::taken(listen, "S3", change, &error))?;
    let nonblocking = listener.set_nonblocking(true);
    nonblocking.map_err(|error| Failure::new(Exit::Failed, format!("cannot listen at {listen}: {error}")))?;
    let supervised = arguments.supervised;
    gateway::run(async |context| {
        let vault = Vault::connect(context, gateway.vault.clone())?;
        serve(listener, vault, gateway, shutdown(supervised)).await
    })
}

async fn serve(
    listener: TcpListener,
    vault: Vault<Context>,
    gateway: Gateway,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let mut shutdown = std::pin::pin!(shutdown);
    tokio::select! {
        () = network_answers(&vault) => {}
        () = &mut shutdown => return Ok(()),
    }
    let path = gateway.config.access_keys.clone();
    let mut seen = modified(&path);
    let mut servers = JoinSet::new();
    let mut current = Server::start(&mut servers, &listener, &vault, settings(&gateway.config)?)?;
    let sweeper = gateway.config.lifecycle.sweeping().map(|sweeping| {
        let (stop, stopped) = oneshot::channel::<()>();
        servers.spawn(s3::sweep(vault.clone(), sweeping, async move { drop(stopped.await) }));
        stop
    });
    tracing::info!(endpoint = gateway.config.endpoint(), "serving S3");
    output::line(READY)?;
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            () = sleep(KEYS_EVERY) => {}
        }
        let now = modified(&path);
        if now == seen {
            continue;
        }
        seen = now;
        match settings(&gateway.config) {
            Ok(settings) => {
                let keys = settings.keys.len();
                let next = Server::start(&mut servers, &listener, &vault, settings)?;
                std::mem::replace(&mut current, next).stop();
                tracing::info!(keys, "access keys changed");
            }
            Err(failure) => tracing::error!(%failure, "the changed access keys are not used"),
        }
    }
    tracing::info!("stopping");
    // The port is free at once, for the next gateway; requests in work go on.
    drop(listener);
    drop(sweeper);
    current.stop();
    while servers.join_next().await.is_some() {}
    Ok(())
}

/// Ready when the network gives agreed answers and a quorum of nodes takes shards.
async fn network_answers(vault: &Vault<Context>) {
    loop {
        if vault.list_buckets().await.is_ok() {
            let status = vault.status().await;
            let answering = status.nodes.iter().filter(|node| node.chain.is_ok() && node.shards.is_ok());
            if answering.count() >= status.quorum {
                return;
            }
        }
        sleep(READY_EVERY).await;
    }
}

/// One server with one set of access keys.
struct Server {
    stop: oneshot::Sender<()>,
}

impl Server {
    fn start(
        servers: &mut JoinSet<()>,
        listener: &TcpListener,
        vault: &Vault<Context>,
        settings: s3::Config,
    ) -> Result<Self, Failure> {
        let listener = listener.try_clone().and_then(tokio::net::TcpListener::from_std);
        let listener =
            listener.map_err(|error| Failure::new(Exit::Failed, format!("cannot listen: {error}")))?;
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        servers.spawn(s3::serve(listener, vault.clone(), settings, stopped));
        Ok(Self { stop })
    }

    /// Takes no more connections; requests in work go on.
    fn stop(self) {
        let _ = self.stop.send(());
    }
}

fn settings(config: &GatewayConfig) -> Result<s3::Config, Failure> {
    let keys = AccessKeys::load(&config.access_keys)?;
    let secret = |(id, secret): (&String, &str)| (id.clone(), s3::SecretKey::from(secret.to_owned()));
    Ok(s3::Config {
        keys: keys.secrets().map(secret).collect(),
        scopes: keys.scopes(&config.access_keys)?,
        region: config.region.clone(),
        shutdown_timeout: STOP_PATIENCE,
        domains: config.domains.clone(),
        key_requests_per_second: config.key_requests_per_second,
        tls: config.tls.as_ref().map(TlsFiles::load).transpose()?,
        ..s3::Config::default()
    })
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
