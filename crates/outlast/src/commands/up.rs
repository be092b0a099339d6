//! `outlast up`: a whole network on this machine, kept running.

use crate::{
    cli::Global,
    failure::{Exit, Failure},
    gateway::stop_asked,
    layout,
    network::{Network, Running, Wishes},
    output::Output,
    printer::Printer,
    supervisor::{Event, supervisor_gone},
};
use clap::Args;
use serde_json::{Value, json};
use std::{io::IsTerminal as _, net::SocketAddr};

/// Start a network on this machine, and keep it running
///
/// The first run makes keys and the genesis file below --dir; later runs go on with them. Every node and the gateway
/// is a process of its own, started again when it ends. Ctrl-C stops all of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast up                                    four nodes below ./outlast-data, S3 at 127.0.0.1:9000
  outlast up --dir /srv/outlast --nodes 7       survives the loss of any two nodes
  outlast up --s3-addr 0.0.0.0:9000             S3 for other machines too
  outlast up --tls                              S3 over TLS, with a certificate made here
  outlast up --json | jq .                      the first line has endpoint and keys; events follow

Try what it is for:  rm -rf outlast-data/nodes/node-2  while it runs.")]
pub(crate) struct Arguments {
    /// Nodes of a new network: 1 (for development), 4, 7 or 10
    #[arg(long, value_name = "N", value_parser = parse_nodes)]
    nodes: Option<usize>,
    /// Where to serve S3 [default: 127.0.0.1:9000, or another port if that is taken]
    #[arg(long, value_name = "IP:PORT")]
    s3_addr: Option<SocketAddr>,
    /// First port of a new network: node i takes BASE + 10 i and the next two [default: any free ports]
    #[arg(long, value_name = "BASE")]
    port_base: Option<u16>,
    /// Serve S3 over TLS from now on, with a certificate that is made once [default: as the configuration says]
    #[arg(long)]
    tls: bool,
    /// Stop when standard input ends
    #[arg(long, hide = true)]
    supervised: bool,
}

fn parse_nodes(text: &str) -> Result<usize, String> {
    let n = text.parse().map_err(|_| "not a number".to_owned())?;
    if [1, 4, 7, 10].contains(&n) {
        Ok(n)
    } else {
        Err("a network on one machine has 1, 4, 7 or 10 nodes".into())
    }
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let wishes = Wishes {
        nodes: arguments.nodes,
        s3_addr: arguments.s3_addr,
        port_base: arguments.port_base,
        tls: arguments.tls,
        log_json: global.log_format == crate::logging::LogFormat::Json,
    };
    let network = Network::prepare(global.layout(), &wishes)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
    runtime.block_on(keep_up(global.output(), network, arguments.supervised))
}

async fn keep_up(output: Output, network: Network, supervised: bool) -> Result<(), Failure> {
    let stop = async {
        tokio::select! {
            () = stop_asked() => {}
            () = supervisor_gone(), if supervised => {}
        }
    };
    let mut stop = std::pin::pin!(stop);
    if !output.json {
        announce(&network);
    }
    let mut printer = Printer::start();
    let mut running = network.start()?;
    let mut early = Vec::new();
    let ready = tokio::select! {
        ready = running.ready(|event| early.extend(tell_early(output, &mut printer, event))) => ready.map(|()| true),
        () = &mut stop => Ok(false),
    };
    let outcome = match ready {
        Ok(true) => {
            printer.output(tell_ready(output, &running));
            early.into_iter().for_each(|event| printer.output(event));
            tokio::select! {
                outcome = follow(output, &mut printer, &mut running) => outcome,
                () = &mut stop => Ok(()),
            }
        }
        Ok(false) => Ok(()),
        Err(failure) => Err(failure),
    };
    if !output.json {
        printer.error("stopping".into());
    }
    running.supervisor.stop().await;
    printer.finish().await;
    outcome
}

/// What must be known before anything is stored.
fn announce(network: &Network) {
    let (n, dir) = (network.nodes.len(), network.layout.root().display());
    let verb = if network.fresh { "founded" } else { "found again" };
    eprintln!("a network of {n} node{} {verb} in {dir}; starting", if n == 1 { "" } else { "s" });
    if n == 1 {
        eprintln!(
            "WARNING: ONE NODE IS FOR DEVELOPMENT: whoever deletes it deletes everything. Use --nodes 4 or more."
        );
    } else {
        eprintln!(
            "note: all nodes share this machine: this protects against deletion, not against a fire. For several \
             machines: outlast init --help"
        );
    }
}

/// Before the network is ready nothing but its first line may be printed, so events wait for their turn.
fn tell_early(output: Output, printer: &mut Printer, event: &Event) -> Option<String> {
    if output.json {
        return Some(describe(event).to_string());
    }
    if matches!(event, Event::Ended { .. } | Event::NotStarted { .. }) {
        printer.error(say(event));
    }
    None
}

fn tell_ready(output: Output, running: &Running) -> String {
    let network = &running.network;
    let directory = network.layout.gateway(None);
    let nodes: Vec<Value> = (0..network.nodes.len())
        .map(|index| {
            json!({
                "index": index,
                "directory": network.layout.node_directory(index),
                "pid": running.pids.get(&layout::node_name(index)),
                "key": network.nodes[index].key.public_key().to_string(),
            })
        })
        .collect();
    let lineage = &network.nodes[0].lineage;
    let authority = network.gateway.tls.as_ref().and_then(|tls| tls.authority.as_ref());
    let first = json!({
        "s3_endpoint": network.s3_endpoint(),
        "s3_ca": authority,
        "access_key": network.access.id,
        "secret_key": *network.access.secret,
        "region": network.gateway.region,
        "dir": network.layout.root(),
        "genesis": network.layout.genesis(),
        "network": lineage.network().to_string(),
        "faults": lineage.committee().f(),
        "nodes": nodes,
    });
    output.render(&first, |_| {
        // A secret belongs on a terminal, not into what a terminal's output is kept in.
        let secret = if network.fresh || std::io::stdout().is_terminal() {
            network.access.secret.to_string()
        } else {
            format!("in {}", directory.join(layout::ACCESS_KEYS).display())
        };
        let environment = directory.join(layout::S3_ENVIRONMENT);
        let trust = authority.map(|path| format!("trust        {}\n", path.display())).unwrap_or_default();
        format!(
            "\nS3 endpoint  {}\naccess key   {}\nsecret key   {secret}\nregion       {}\n{trust}\n\
             The network answers; up to {} of its {} nodes may be lost. Try:\n\n  \
             . {} && aws s3 mb s3://photos && aws s3 ls\n  \
             outlast --dir {dir} put README.md photos/README.md\n  \
             outlast --dir {dir} status\n\nCtrl-C stops it; the same command starts it again.",
            network.s3_endpoint(),
            network.access.id,
            network.gateway.region,
            lineage.committee().f(),
            lineage.committee().n(),
            environment.display(),
            dir = network.layout.root().display(),
        )
    })
}

/// Tells what happens, for as long as it does.
async fn follow(output: Output, printer: &mut Printer, running: &mut Running) -> Result<(), Failure> {
    loop {
        tokio::select! {
            event = running.events.recv() => {
                let Some(event) = event else { return Ok(()) };
                running.note(&event);
                printer.output(output.render(&describe(&event), |_| say(&event)));
            }
            failure = printer.failed() => return Err(failure),
        }
    }
}

fn describe(event: &Event) -> Value {
    match event {
        Event::Started { name, pid } => json!({ "event": "started", "name": name, "pid": pid }),
        Event::Ready { name } => json!({ "event": "ready", "name": name }),
        Event::Ended { name, reason, restart_ms } => {
            json!({ "event": "ended", "name": name, "reason": reason, "restart_ms": restart_ms })
        }
        Event::NotStarted { name, reason, restart_ms } => {
            json!({ "event": "not started", "name": name, "reason": reason, "restart_ms": restart_ms })
        }
    }
}

fn say(event: &Event) -> String {
    let seconds = |ms: &u64| *ms as f64 / 1000.0;
    match event {
        Event::Started { name, pid } => format!("{name} started, process {pid}"),
        Event::Ready { name } => format!("{name} is ready"),
        Event::Ended { name, reason, restart_ms } => {
            format!("{name} ended ({reason}); starting it again in {} s", seconds(restart_ms))
        }
        Event::NotStarted { name, reason, restart_ms } => {
            format!("{name} cannot be started ({reason}); trying again in {} s", seconds(restart_ms))
        }
    }
}
