//! `slow`: all that comes from and goes to one node passes through wires that carry [`BYTES_PER_SECOND`] each way and take
//! half of [`ROUND_TRIP`] each way: consensus, gateway, and healing. The network's configuration names the wires' ends.
//!
//! Expected: when the wires are made fast, the node gets what it lacks. What it costs everybody that one node is slow is in
//! the table: how long the writing took, and the longest stall.

use super::{HEAL_PATIENCE, Prepared, configure};
use crate::{
    drill::ground::{Ground, drawn, names},
    failure::Failure,
    files,
    gateway::GatewayConfig,
    layout::{self, Layout},
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc},
    time::{Instant, sleep_until},
};

const BYTES_PER_SECOND: u64 = 1_000_000;
const ROUND_TRIP: Duration = Duration::from_millis(500);
/// Bytes that are carried at once.
const PIECE_BYTES: usize = 16 << 10;
/// Pieces on their way on a connection, at most: more than the wire holds.
const PIECES: usize = 64;

/// Wires around one node.
pub(in crate::drill) struct Wires {
    pub node: usize,
    pace: Arc<Pace>,
}

/// How fast all connections together are.
struct Pace {
    slow: AtomicBool,
    /// When the wire is free again, to the node and from it.
    free: [Mutex<Instant>; 2],
}

impl Pace {
    /// Waits until the wire has taken so many bytes; they arrive at the time that this gives.
    async fn take(&self, way: usize, bytes: usize) -> Instant {
        let now = Instant::now();
        if !self.slow.load(Relaxed) {
            return now;
        }
        let mut free = self.free[way].lock().await;
        let sent = (*free).max(now) + Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND as f64);
        *free = sent;
        drop(free);
        sleep_until(sent).await;
        sent + ROUND_TRIP / 2
    }
}

/// Puts wires before a node, and before the others as it sees them.
pub(super) async fn prepare(layout: &Layout, n: usize) -> Result<Prepared, Failure> {
    let node = drawn(n, 1)[0];
    let now = Instant::now();
    let pace = Arc::new(Pace { slow: AtomicBool::new(true), free: [Mutex::new(now), Mutex::new(now)] });
    let mut own = Vec::new();
    configure(layout, node, |config| own = config.nodes.clone())?;
    let key = own[node].key.clone();
    let addresses: Vec<SocketAddr> = own.iter().flat_map(|peer| [peer.consensus, peer.gateway]).collect();
    let mut wired = BTreeMap::new();
    for address in addresses {
        let inward = [own[node].consensus, own[node].gateway].contains(&address);
        wired.insert(address, wire(address, inward, pace.clone()).await?);
    }
    for other in 0..n {
        configure(layout, other, |config| {
            for peer in &mut config.nodes {
                // A node has wires to all others if it is the slow one, otherwise to the slow one.
                if (other == node) != (peer.key == key) {
                    (peer.consensus, peer.gateway) = (wired[&peer.consensus], wired[&peer.gateway]);
                }
            }
        })?;
    }
    let path = layout.gateway(None).join(layout::GATEWAY_CONFIG);
    let mut gateway = GatewayConfig::read(&path)?;
    for peer in gateway.nodes.iter_mut().filter(|peer| peer.key == key) {
        peer.gateway = wired[&peer.gateway];
    }
    files::replace(&path, &gateway.to_file(), false)?;
    Ok(Prepared::Slow(Wires { node, pace }))
}

/// A wire to this address: gives where it begins. `inward` is to the slow node.
async fn wire(to: SocketAddr, inward: bool, pace: Arc<Pace>) -> Result<SocketAddr, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::new(crate::failure::Exit::Failed, format!("cannot listen on this machine: {error}"))
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let pace = pace.clone();
            tokio::spawn(async move {
                let Ok(far) = TcpStream::connect(to).await else { return };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                let (there, back) = if inward { (0, 1) } else { (1, 0) };
                // When one direction ends the connection does, as far as both ends can tell.
                tokio::select! {
                    () = carry(from_near, to_far, &pace, there) => {}
                    () = carry(from_far, to_near, &pace, back) => {}
                }
            });
        }
    });
    Ok(address)
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, pace: &Pace, way: usize) {
    let (sender, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let read = async move {
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            match from.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(length) => piece.truncate(length),
            }
            let arrives = pace.take(way, piece.len()).await;
            if sender.send((arrives, piece)).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((arrives, piece)) = pieces.recv().await {
            sleep_until(arrives).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}

pub(super) async fn harm(ground: &mut Ground<'_>, wires: &Wires) -> Result<(), Failure> {
    let name = names(&[wires.node]);
    ground.fault_begins();
    ground.tell(format!(
        "{name} is behind {} kB/s and {} ms",
        BYTES_PER_SECOND / 1000,
        ROUND_TRIP.as_millis()
    ));
    ground.acknowledged(100).await;
    let state = ground.ailments(&[wires.node], true).await;
    let state = if state.is_empty() { format!("{name} has kept up") } else { state.join("; ") };
    ground.tell(format!("all is written; {state}"));
    wires.pace.slow.store(false, Relaxed);
    ground.fault_ends();
    ground.tell(format!("{name} is as fast as the others"));
    ground.await_healed(&[wires.node], HEAL_PATIENCE).await;
    Ok(())
}
