//! Choosing ports, and saying which one is taken.

use crate::{
    failure::{Exit, Failure},
    founding::NodeAddresses,
};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

/// Where S3 is served if that port is free.
const S3_PORT: u16 = 9000;

/// Addresses on this machine for `n` nodes: from `base` on, ten apart, or wherever ports are free.
pub(crate) fn for_nodes(n: usize, base: Option<u16>) -> Result<Vec<NodeAddresses>, Failure> {
    let Some(base) = base else { return free(3 * n).map(|ports| ports.chunks(3).map(of_ports).collect()) };
    let port = |offset: usize| u16::try_from(usize::from(base) + offset).ok();
    let node =
        |index: usize| Some(of_ports(&[port(10 * index)?, port(10 * index + 1)?, port(10 * index + 2)?]));
    (0..n).map(node).collect::<Option<Vec<_>>>().filter(|_| base > 0).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("--port-base {base} leaves no room for {n} nodes below port 65536"))
            .hint("node i takes the ports BASE + 10 i, and the two after that")
    })
}

fn of_ports(ports: &[u16]) -> NodeAddresses {
    NodeAddresses { consensus: local(ports[0]), gateway: local(ports[1]), metrics: Some(local(ports[2])) }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Where to serve S3: as asked; else at the usual port, if it is free.
pub(crate) fn for_s3(asked: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    match asked {
        Some(address) if address.port() == 0 => Ok((address.ip(), free(1)?[0]).into()),
        Some(address) => Ok(address),
        None if TcpListener::bind(local(S3_PORT)).is_ok() => Ok(local(S3_PORT)),
        None => Ok(local(free(1)?[0])),
    }
}

/// Where free ports are looked for. They are written into the configuration and bound later, perhaps after the next
/// boot, so they lie below the ports that systems give to outgoing connections (32,768 and up on Linux).
const LASTING: std::ops::Range<u16> = 10_240..32_768;
const TRIES: usize = 4_096;

/// Ports that nobody listens on now and no outgoing connection will take.
fn free(count: usize) -> Result<Vec<u16>, Failure> {
    let listen = |_| TcpListener::bind(local(rand::random_range(LASTING))).ok();
    // All are held until all are known, so no port comes twice.
    let held: Vec<_> = (0..TRIES).filter_map(listen).take(count).collect();
    if held.len() < count {
        let message = format!("too few free ports between {} and {}", LASTING.start, LASTING.end);
        return Err(Failure::new(Exit::InUse, message).hint("`ss -ltn` shows which are taken"));
    }
    let ports = held.iter().map(|held| Ok(held.local_addr()?.port())).collect::<io::Result<_>>();
    ports.map_err(|error| Failure::new(Exit::Failed, format!("cannot find a free port: {error}")))
}

/// Checks that this process could listen at the address, which is for `what`; `change` says how to choose another.
pub(crate) fn check_free(address: SocketAddr, what: &str, change: &str) -> Result<(), Failure> {
    TcpListener::bind(address).map(drop).map_err(|error| taken(address, what, change, &error))
}

/// Why nothing can listen there.
pub(crate) fn taken(address: SocketAddr, what: &str, change: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let message = format!("{address}, for {what}, is in use by another process");
            Failure::new(Exit::InUse, message)
                .hint(format!("`ss -ltnp 'sport = :{}'` shows which; stop it, or {change}", address.port()))
        }
        io::ErrorKind::PermissionDenied => {
            Failure::new(Exit::InUse, format!("{address}, for {what}, is not allowed to this user"))
                .hint(format!("choose a port from 1024 on: {change}"))
        }
        _ => Failure::new(Exit::Configuration, format!("cannot listen at {address}, for {what}: {error}"))
            .hint(format!("is it an address of this machine? If not, {change}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_give_ten_ports_a_node() {
        let nodes = for_nodes(4, Some(7000)).unwrap();
        assert_eq!(nodes[2].consensus.port(), 7020);
        assert_eq!(nodes[2].gateway.port(), 7021);
        assert_eq!(nodes[2].metrics.unwrap().port(), 7022);
        assert_eq!(for_nodes(4, Some(65_510)).unwrap_err().exit, Exit::Usage);
        assert_eq!(for_nodes(4, Some(0)).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn free_ports_differ() {
        let nodes = for_nodes(10, None).unwrap();
        let ports = nodes.iter().flat_map(|node| [node.consensus, node.gateway, node.metrics.unwrap()]);
        let ports: std::collections::BTreeSet<u16> = ports.map(|address| address.port()).collect();
        assert_eq!(ports.len(), 30);
        assert!(ports.iter().all(|port| LASTING.contains(port)));
    }

    #[test]
    fn a_taken_port_is_named() {
        let held = TcpListener::bind(local(0)).unwrap();
        let address = held.local_addr().unwrap();
        let failure = check_free(address, "S3", "choose another with --s3-addr").unwrap_err();
        assert_eq!(failure.exit, Exit::InUse);
        assert!(failure.to_string().contains(&address.port().to_string()));
        assert!(failure.to_string().contains("--s3-addr"));
    }
}
