//! `outlast init`: the files of a network on several machines.

use crate::{
    cli::Global,
    failure::{Exit, Failure},
    files,
    founding::{Founders, NodeAddresses},
    layout::node_name,
};
use clap::Args;
use serde_json::json;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// Write the files of a network on several machines
///
/// Makes a complete directory for each node and one for a gateway: copy each to its machine, and the approvers' keys
/// to their owners. Nobody but the gateway's machine may have the gateway's directory: it holds the tenant's keys.
/// docs/deploy.md goes through it step by step, with systemd units.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast init --out net --node 10.0.0.1:7000:7001 --node 10.0.0.2:7000:7001 \\
                         --node 10.0.0.3:7000:7001 --node 10.0.0.4:7000:7001
  outlast init --out net --nodes 10.0.0.1:7000:7001,10.0.0.2:7000:7001,10.0.0.3:7000:7001,10.0.0.4:7000:7001")]
pub(crate) struct Arguments {
    /// Where to write: a directory that is empty or not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A node's address, its port for other nodes, and its port for gateways; once for each of 3f + 1 nodes
    #[arg(long = "node", value_name = "IP:PORT:PORT", value_parser = parse_node)]
    node: Vec<NodeAddresses>,
    /// The same for all nodes at once
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_node, conflicts_with = "node")]
    nodes: Vec<NodeAddresses>,
    /// The network's name for people
    #[arg(long, default_value = "outlast")]
    name: String,
    /// Where the gateway serves S3
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9000")]
    s3_addr: SocketAddr,
}

/// Reads `IP:PORT:PORT`; an IPv6 address is in brackets.
pub(super) fn parse_node(text: &str) -> Result<NodeAddresses, String> {
    let wrong = || format!("{text} is not IP:PORT:PORT, e.g. 10.0.0.1:7000:7001 or [fd00::1]:7000:7001");
    let mut parts = text.rsplitn(3, ':');
    let mut next = || parts.next().ok_or_else(wrong);
    let (gateway, consensus, host) = (next()?, next()?, next()?);
    let host: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().map_err(|_| wrong())?;
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    let (consensus, gateway) = (port(consensus)?, port(gateway)?);
    if consensus == gateway || host.is_unspecified() {
        return Err(format!("{text}: two ports at an address that others can reach are needed"));
    }
    let at = |port| SocketAddr::new(host, port);
    Ok(NodeAddresses { consensus: at(consensus), gateway: at(gateway), metrics: None })
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let nodes = [arguments.node.as_slice(), &arguments.nodes].concat();
    let all: BTreeSet<SocketAddr> = nodes.iter().flat_map(|node| [node.consensus, node.gateway]).collect();
    if all.len() != 2 * nodes.len() {
        return Err(Failure::new(Exit::Usage, "two nodes have the same address"));
    }
    if std::fs::read_dir(&arguments.out).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("{} is not empty", arguments.out.display());
        return Err(Failure::new(Exit::Conflict, message)
            .hint("keys are never written over: choose another directory with --out"));
    }
    let founders = Founders::draw(&arguments.name, nodes.len()).map_err(|failure| {
        failure.hint("name 4, 7, 10, ... nodes (3f + 1 survive the loss of f) with --node IP:PORT:PORT")
    })?;
    let files = founders.on_many_machines(&nodes, arguments.s3_addr);
    files::write_new(&arguments.out, &files)?;
    let machines: BTreeSet<IpAddr> = nodes.iter().map(|node| node.consensus.ip()).collect();
    let out = arguments.out.display();
    let shown = json!({
        "dir": arguments.out,
        "network": founders.genesis.id().to_string(),
        "genesis": arguments.out.join("genesis"),
        "faults": founders.genesis.committee.f(),
        "machines": machines.len(),
        "nodes": nodes.iter().enumerate().map(|(index, node)| json!({
            "directory": arguments.out.join(node_name(index)),
            "consensus": node.consensus,
            "gateway": node.gateway,
        })).collect::<Vec<_>>(),
        "gateway": arguments.out.join("gateway"),
        "access_key": founders.tenant.access.id,
    });
    global.output().show(&shown, |_| {
        let mut lines = vec![format!("network {} of {} nodes:", founders.genesis.id(), nodes.len())];
        lines.extend(nodes.iter().enumerate().map(|(index, node)| {
            format!(
                "  {out}/{name}  to {}: outlast node --config {name}/node.toml",
                node.consensus.ip(),
                name = node_name(index)
            )
        }));
        lines.push(format!(
            "  {out}/gateway  next to the applications: outlast gateway --config gateway/gateway.toml"
        ));
        lines.push(format!("  {out}/approvers  one key to each approver, offline"));
        if machines.len() < nodes.len() {
            lines.push("WARNING: some nodes share a machine: what takes it takes all of them.".to_owned());
        }
        lines.push(format!("Then delete {out}: together, these keys are the network."));
        lines.join("\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_an_address_and_two_ports() {
        let node = parse_node("10.0.0.1:7000:7001").unwrap();
        assert_eq!(node.consensus, "10.0.0.1:7000".parse().unwrap());
        assert_eq!(node.gateway, "10.0.0.1:7001".parse().unwrap());
        assert_eq!(parse_node("[fd00::1]:7000:7001").unwrap().gateway, "[fd00::1]:7001".parse().unwrap());
        for text in
            ["", "10.0.0.1", "10.0.0.1:7000", "host:1:2", "10.0.0.1:0:1", "10.0.0.1:1:1", "0.0.0.0:1:2"]
        {
            assert!(parse_node(text).is_err(), "{text}");
        }
    }
}
