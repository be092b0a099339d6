//! A whole network on this machine: founded or found again, its ports checked, its processes started.

use crate::{
    failure::{Exit, Failure},
    files::{self, Lock},
    founding::{self, Founders, NodeAddresses},
    gateway::{self, GatewayConfig},
    keys::{AccessKey, AccessKeys},
    layout::{self, Layout, node_name},
    ports,
    supervisor::{Event, Process, Supervisor},
    tls,
};
use node::config::{Config as NodeConfig, Loaded};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc::UnboundedReceiver,
    time::timeout,
};

/// Nodes of a network whose founder did not say how many.
const NODES_DEFAULT: usize = 4;
/// How long nodes may take to stop when their supervisor is gone.
const FORMER_PATIENCE: Duration = Duration::from_secs(20);
/// How long after that ports may stay taken.
const PORT_PATIENCE: Duration = Duration::from_secs(3);
/// What the first tenant's gateway is called.
pub(crate) const GATEWAY: &str = "gateway";

/// What whoever starts the network asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub nodes: Option<usize>,
    pub s3_addr: Option<SocketAddr>,
    pub port_base: Option<u16>,
    /// Whether S3 clients are to speak TLS from now on.
    pub tls: bool,
    pub log_json: bool,
}

/// A network that is ready to be started. Nobody else works on its directory.
pub(crate) struct Network {
    pub layout: Layout,
    /// Whether this run founded it.
    pub fresh: bool,
    pub nodes: Vec<Loaded>,
    pub gateway: GatewayConfig,
    pub access: AccessKey,
    tenants: Vec<String>,
    log_json: bool,
    _lock: Lock,
}

impl Network {
    /// Founds the network in the directory, or finds it again.
    pub(crate) fn prepare(layout: Layout, wishes: &Wishes) -> Result<Self, Failure> {
        files::make_directory(layout.root())?;
        let lock = Lock::take(layout.root(), "outlast up")?;
        let fresh = !founding::is_founded(&layout)?;
        if fresh {
            let n = wishes.nodes.unwrap_or(NODES_DEFAULT);
            let (addresses, s3) = (ports::for_nodes(n, wishes.port_base)?, ports::for_s3(wishes.s3_addr)?);
            let founders = Founders::draw("outlast on one machine", n)?;
            check_ports(&addresses, s3)?;
            founding::found(&layout, &founders.on_one_machine(&addresses, s3))?;
        }
        if layout.recovery().exists() {
            let message = format!("{} has a recovery that is not finished", layout.root().display());
            return Err(Failure::new(Exit::Configuration, message)
                .hint("run `outlast recover` again: it goes on with it"));
        }
        let lineage = node::config::load_lineage(&layout.genesis())?;
        let n = lineage.committee().n();
        let nodes = (0..n).map(|index| load_node(&layout, index));
        let nodes = nodes.collect::<Result<Vec<_>, Failure>>()?;
        if !fresh {
            check_wishes(&layout, &nodes, wishes)?;
            move_s3(&layout, wishes.s3_addr)?;
            await_former(&nodes)?;
            let addresses: Vec<_> = nodes.iter().map(addresses).collect();
            let s3 = GatewayConfig::read(&gateway_file(&layout, None))?.s3_listen;
            patiently(PORT_PATIENCE, || check_ports(&addresses, s3))?;
        }
        if wishes.tls {
            tls::enable(&layout.gateway(None))?;
        }
        let gateway = GatewayConfig::load(&gateway_file(&layout, None))?.config;
        let access = AccessKeys::load(&gateway.access_keys)?.first();
        if wishes.tls {
            write_environment(&layout, &gateway, &access)?;
        }
        let tenants = layout.tenants()?;
        Ok(Self { layout, fresh, nodes, gateway, access, tenants, log_json: wishes.log_json, _lock: lock })
    }

    /// Starts the processes. Comes back at once; [`Running::ready`] waits.
    pub(crate) fn start(self) -> Result<Running, Failure> {
        let (supervisor, events) = Supervisor::start(self.processes())?;
        Ok(Running { network: self, supervisor, events, pids: BTreeMap::new() })
    }

    fn processes(&self) -> Vec<Process> {
        let process = |name: String, command: &str, config: PathBuf| Process {
            tells_ready: command == GATEWAY,
            token: None,
            log: self.layout.log(&name),
            arguments: self.arguments(command, &config),
            name,
        };
        let nodes = self.nodes.iter().enumerate().map(|(index, node)| Process {
            token: Some(node.config.directory.join("lock")),
            ..process(node_name(index), "node", self.layout.node_config(index))
        });
        let gateway = process(GATEWAY.to_owned(), GATEWAY, gateway_file(&self.layout, None));
        let tenants = self
            .tenants
            .iter()
            .map(|name| process(format!("gateway-{name}"), GATEWAY, gateway_file(&self.layout, Some(name))));
        nodes.chain([gateway]).chain(tenants).collect()
    }

    fn arguments(&self, command: &str, config: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            vec![command.into(), "--supervised".into(), "--config".into(), config.into()];
        if self.log_json {
            arguments.extend(["--log-format".into(), "json".into()]);
        }
        arguments
    }

    /// Where S3 clients find it.
    pub(crate) fn s3_endpoint(&self) -> String {
        self.gateway.endpoint()
    }
}

/// A network whose processes run.
pub(crate) struct Running {
    pub network: Network,
    pub supervisor: Supervisor,
    pub events: UnboundedReceiver<Event>,
    /// Of the processes that run, by name.
    pub pids: BTreeMap<String, u32>,
}

impl Running {
    /// Waits until the gateway says that a quorum answers it, and S3 answers us. Each event is shown to `seen`.
    pub(crate) async fn ready(&mut self, mut seen: impl FnMut(&Event)) -> Result<(), Failure> {
        loop {
            let event = self.events.recv().await.expect("the children's tasks outlive this");
            seen(&event);
            self.note(&event);
            if matches!(&event, Event::Ready { name } if name == GATEWAY) {
                return s3_answers(&self.network.gateway).await;
            }
        }
    }

    /// Remembers which process runs under which id.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::Started { name, pid } => drop(self.pids.insert(name.clone(), *pid)),
            Event::Ended { name, .. } => drop(self.pids.remove(name)),
            Event::Ready { .. } | Event::NotStarted { .. } => {}
        }
    }
}

/// A node's configuration, which must be that of the node it is called after.
fn load_node(layout: &Layout, index: usize) -> Result<Loaded, Failure> {
    let path = layout.node_config(index);
    let loaded = NodeConfig::load(&path)?;
    if loaded.index as usize == index {
        return Ok(loaded);
    }
    let message = format!("{} has the key of {}", path.display(), node_name(loaded.index as usize));
    Err(Failure::new(Exit::Configuration, message).hint("put the key files back where they belong"))
}

fn gateway_file(layout: &Layout, tenant: Option<&str>) -> PathBuf {
    layout.gateway(tenant).join(layout::GATEWAY_CONFIG)
}

fn addresses(node: &Loaded) -> NodeAddresses {
    NodeAddresses {
        consensus: node.config.consensus_listen,
        gateway: node.config.gateway_listen,
        metrics: node.config.metrics_listen,
    }
}

fn check_ports(nodes: &[NodeAddresses], s3: SocketAddr) -> Result<(), Failure> {
    for (index, node) in nodes.iter().enumerate() {
        let change = format!(
            "change it in config/{0}.toml (and in the [[nodes]] of all configurations); on a first run, choose others \
             with --port-base",
            node_name(index)
        );
        let check =
            |address, what: &str| ports::check_free(address, &format!("{} of node-{index}", what), &change);
        check(node.consensus, "consensus")?;
        check(node.gateway, "gateways")?;
        node.metrics.map_or(Ok(()), |metrics| check(metrics, "metrics"))?;
    }
    ports::check_free(s3, "S3", "choose another address with --s3-addr")
}

/// What was decided when the network was founded cannot be asked for differently now.
fn check_wishes(layout: &Layout, nodes: &[Loaded], wishes: &Wishes) -> Result<(), Failure> {
    let n = nodes.len();
    if let Some(asked) = wishes.nodes.filter(|asked| *asked != n) {
        let message = format!("the network in {} has {n} nodes, not {asked}", layout.root().display());
        return Err(Failure::new(Exit::Usage, message)
            .hint("leave --nodes out, or found another network with another --dir"));
    }
    let base = nodes.first().map(|node| node.config.consensus_listen.port());
    if let Some(asked) = wishes.port_base.filter(|asked| Some(*asked) != base) {
        let message =
            format!("the ports of this network were chosen when it was founded, and not from {asked} on");
        return Err(Failure::new(Exit::Usage, message).hint("leave --port-base out"));
    }
    Ok(())
}

/// Waits for nodes of an earlier run, whose supervisor was killed: they are about to stop by themselves.
fn await_former(nodes: &[Loaded]) -> Result<(), Failure> {
    patiently(FORMER_PATIENCE, || {
        let directories = nodes.iter().flat_map(|node| [node.config.directory.clone(), node.config.votes()]);
        let held = directories.into_iter().find(|directory| Lock::is_held(directory));
        held.map_or(Ok(()), |directory| {
            let directory = directory.display();
            let message = format!("a process of an earlier run still works on {directory}");
            Err(Failure::new(Exit::InUse, message)
                .hint(format!("`fuser {directory}/lock` shows which; stop it first")))
        })
    })
}

/// Tries again until it is done or patience is over.
fn patiently(patience: Duration, attempt: impl Fn() -> Result<(), Failure>) -> Result<(), Failure> {
    let deadline = Instant::now() + patience;
    loop {
        match attempt() {
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            outcome => return outcome,
        }
    }
}

/// Serves S3 at another address from now on.
fn move_s3(layout: &Layout, asked: Option<SocketAddr>) -> Result<(), Failure> {
    let path = gateway_file(layout, None);
    let mut config = GatewayConfig::read(&path)?;
    let Some(asked) = asked.filter(|asked| *asked != config.s3_listen) else { return Ok(()) };
    config.s3_listen = ports::for_s3(Some(asked))?;
    let directory = layout.gateway(None);
    let access = AccessKeys::load(&directory.join(&config.access_keys))?.first();
    let made_here =
        |tls: &gateway::TlsFiles| tls.authority.as_deref() == Some(layout::TLS_AUTHORITY.as_ref());
    if config.tls.as_ref().is_some_and(made_here) {
        tls::make(&directory, config.s3_listen, &config.domains)?;
    }
    write_environment(layout, &config, &access)?;
    files::replace(&path, &config.to_file(), false)
}

/// Writes how S3 clients find, and come to trust, the first tenant's gateway.
fn write_environment(layout: &Layout, config: &GatewayConfig, access: &AccessKey) -> Result<(), Failure> {
    let directory = std::path::absolute(layout.gateway(None));
    let directory = directory.map_err(|error| Failure::file("find", &layout.gateway(None), &error))?;
    let authority = config.tls.as_ref().and_then(|tls| tls.authority.as_ref());
    let authority = authority.map(|path| directory.join(path));
    let environment = gateway::s3_environment(config, authority.as_deref(), access);
    files::replace(&directory.join(layout::S3_ENVIRONMENT), &environment, true)
}

/// Asks the S3 endpoint anything over HTTP: any answer will do. Who speaks TLS answers that with an alert.
async fn s3_answers(gateway: &GatewayConfig) -> Result<(), Failure> {
    const TLS_ALERT: u8 = 21;
    let (endpoint, address) = (gateway.endpoint(), gateway::address(gateway.s3_listen));
    let expected: &[u8] = if gateway.tls.is_some() { &[TLS_ALERT] } else { b"HTTP/1.1 " };
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(Duration::from_secs(10), ask).await;
    let refused = |why: String| {
        Failure::new(
            Exit::Unavailable,
            format!("the gateway is ready, but {endpoint} does not answer: {why}"),
        )
        .hint("logs/gateway.log in the network's directory says more")
    };
    match answer {
        Ok(Ok(answer)) if answer == expected => Ok(()),
        Ok(Ok(_)) => {
            Err(refused("what listens there does not speak HTTP, or not over TLS as configured".into()))
        }
        Ok(Err(error)) => Err(refused(error.to_string())),
        Err(_) => Err(refused("no answer in 10 s".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(layout: &Layout, wishes: &Wishes) -> Result<Network, Failure> {
        Network::prepare(layout.clone(), wishes)
    }

    #[test]
    fn a_second_run_finds_what_the_first_founded() {
        let base = tempfile::tempdir().unwrap();
        let layout = Layout::new(base.path().join("net"));
        let anywhere = Wishes { s3_addr: Some("127.0.0.1:0".parse().unwrap()), ..Wishes::default() };
        let first = prepare(&layout, &anywhere).unwrap();
        assert!(first.fresh);
        assert_eq!(first.nodes.len(), NODES_DEFAULT);
        assert_eq!(first.processes().len(), NODES_DEFAULT + 1);
        let (secret, network) = (first.access.secret.clone(), first.nodes[0].lineage.network());
        drop(first);
        let second = prepare(&layout, &Wishes::default()).unwrap();
        assert!(!second.fresh);
        assert_eq!(second.access.secret, secret);
        assert_eq!(second.nodes[0].lineage.network(), network);
    }

    #[test]
    fn a_second_process_and_other_wishes_are_refused() {
        let base = tempfile::tempdir().unwrap();
        let layout = Layout::new(base.path());
        let wishes =
            Wishes { nodes: Some(1), s3_addr: Some("127.0.0.1:0".parse().unwrap()), ..Wishes::default() };
        let held = prepare(&layout, &wishes).unwrap();
        assert_eq!(prepare(&layout, &Wishes::default()).err().unwrap().exit, Exit::InUse);
        drop(held);
        let more = prepare(&layout, &Wishes { nodes: Some(4), ..Wishes::default() }).err().unwrap();
        assert_eq!(more.exit, Exit::Usage);
        assert!(more.message.contains("has 1 nodes"), "{more}");
        let odd = Layout::new(base.path().join("odd"));
        assert_eq!(
            prepare(&odd, &Wishes { nodes: Some(3), ..Wishes::default() }).err().unwrap().exit,
            Exit::Usage
        );
        assert!(!odd.genesis().exists(), "nothing half done");
    }

    #[test]
    fn tls_stays_once_it_was_asked_for() {
        let base = tempfile::tempdir().unwrap();
        let layout = Layout::new(base.path());
        let at = |tls, text: &str| {
            let s3_addr = Some(text.parse().unwrap());
            Wishes { nodes: Some(1), s3_addr, tls, ..Wishes::default() }
        };
        let authority = || std::fs::read(layout.gateway(None).join(layout::TLS_AUTHORITY)).unwrap();
        let first = prepare(&layout, &at(true, "127.0.0.1:0")).unwrap();
        assert!(first.s3_endpoint().starts_with("https://127.0.0.1:"));
        let environment = std::fs::read_to_string(layout.gateway(None).join(layout::S3_ENVIRONMENT)).unwrap();
        assert!(environment.contains("AWS_CA_BUNDLE='/") && environment.contains("URL=https://"));
        drop(first);
        let made = authority();
        let second = prepare(&layout, &Wishes::default()).unwrap();
        assert!(second.s3_endpoint().starts_with("https://"));
        drop(second);
        assert_eq!(authority(), made, "made once");
        drop(prepare(&layout, &at(true, "127.0.0.2:0")).unwrap());
        assert_ne!(authority(), made, "the certificate names the address");
    }

    #[test]
    fn s3_can_move() {
        let base = tempfile::tempdir().unwrap();
        let layout = Layout::new(base.path());
        let at =
            |text: &str| Wishes { nodes: Some(1), s3_addr: Some(text.parse().unwrap()), ..Wishes::default() };
        drop(prepare(&layout, &at("127.0.0.1:0")).unwrap());
        let moved = prepare(&layout, &at("127.0.0.2:0")).unwrap();
        assert_eq!(moved.gateway.s3_listen.ip().to_string(), "127.0.0.2");
        let environment = std::fs::read_to_string(layout.gateway(None).join(layout::S3_ENVIRONMENT)).unwrap();
        assert!(environment.contains(&moved.s3_endpoint()));
    }
}
