//! The runtime as a process on a machine sees it: the deterministic runtime's tasks, metrics and randomness, and the
//! machine's own disk, clock and wires.

use super::{
    blob::Blob,
    disk::Disk,
    machine::Process,
    stream::{Listener, Sink, Stream},
};
use commonware_macros::select;
use commonware_parallel::Rayon;
use commonware_runtime::{
    BlobVersion, Clock, Error, Handle, Metrics, Name, Network, Resolver, Spawner, Storage, Strategizer,
    Supervisor, deterministic,
    signal::Signal,
    telemetry::metrics::{Metric, Registered},
};
use governor::clock::{Clock as GovernorClock, ReasonablyRealtime};
use rand_core::{TryCryptoRng, TryRng};
use std::{
    convert::Infallible,
    future::pending,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// A process's context.
pub struct Context {
    inner: deterministic::Context,
    process: Arc<Process>,
    disk: Disk,
}

impl Context {
    pub(super) fn new(inner: deterministic::Context, process: Arc<Process>) -> Self {
        let disk = process.disks[0].clone();
        Self { inner, process, disk }
    }

    /// The same, with the machine's second disk as its storage.
    pub fn on_second_disk(self) -> Self {
        Self { disk: self.process.disks[1].clone(), ..self }
    }

    /// Address of the machine.
    pub fn host(&self) -> IpAddr {
        self.process.host
    }
}

impl Supervisor for Context {
    fn name(&self) -> Name {
        self.inner.name()
    }

    fn child(&self, label: &'static str) -> Self {
        Self { inner: self.inner.child(label), process: self.process.clone(), disk: self.disk.clone() }
    }

    fn with_attribute(self, key: &'static str, value: impl std::fmt::Display) -> Self {
        Self { inner: self.inner.with_attribute(key, value), ..self }
    }
}

impl Spawner for Context {
    fn shared(self, blocking: bool) -> Self {
        Self { inner: self.inner.shared(blocking), ..self }
    }

    fn dedicated(self) -> Self {
        Self { inner: self.inner.dedicated(), ..self }
    }

    fn spawn<F, Fut, T>(self, f: F) -> Handle<T>
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let Self { inner, process, disk } = self;
        inner.spawn(move |inner| {
            let task = f(Self { inner, process: process.clone(), disk });
            process.run(task)
        })
    }

    /// Stops this process only.
    async fn stop(self, value: i32, timeout: Option<Duration>) -> Result<(), Error> {
        let stopped = self.process.stopper.lock().stop(value);
        let timeout = async {
            match timeout {
                Some(timeout) => self.sleep(timeout).await,
                None => pending().await,
            }
        };
        select! {
            stopped = stopped => stopped.map_err(|_| Error::Closed),
            _ = timeout => Err(Error::Timeout),
        }
    }

    fn stopped(&self) -> Signal {
        self.process.stopper.lock().stopped()
    }
}

impl Strategizer for Context {
    fn strategy(&self, parallelism: NonZeroUsize) -> Rayon {
        self.inner.strategy(parallelism)
    }
}

impl Metrics for Context {
    fn register<N: Into<String>, H: Into<String>, M: Metric>(
        &self,
        name: N,
        help: H,
        metric: M,
    ) -> Registered<M> {
        self.inner.register(name, help, metric)
    }

    /// The metrics of all machines; those of one have its name as the attribute `machine`.
    fn encode(&self) -> String {
        self.inner.encode()
    }
}

impl Clock for Context {
    fn current(&self) -> SystemTime {
        self.process.clock.now()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.process.clock.sleep(duration)
    }

    fn sleep_until(&self, deadline: SystemTime) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.process.clock.sleep_until(deadline)
    }
}

impl GovernorClock for Context {
    type Instant = SystemTime;

    fn now(&self) -> SystemTime {
        self.current()
    }
}

impl ReasonablyRealtime for Context {}

impl TryRng for Context {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.inner.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.inner.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.inner.try_fill_bytes(bytes)
    }
}

impl TryCryptoRng for Context {}

impl Network for Context {
    type Listener = Listener;

    /// Binds a port of the machine; an unspecified address or a loopback address means the machine's.
    async fn bind(&self, socket: SocketAddr) -> Result<Listener, Error> {
        self.process.wires.bind(&self.process.life, self.process.host, socket)
    }

    async fn dial(&self, socket: SocketAddr) -> Result<(Sink, Stream), Error> {
        self.process.wires.dial(&self.process.life, self.process.host, socket).await
    }
}

impl Resolver for Context {
    /// Machines' names lead to their addresses.
    async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Error> {
        match self.process.wires.resolve(host) {
            Some(address) => Ok(vec![address]),
            None => self.inner.resolve(host).await,
        }
    }
}

impl Storage for Context {
    type Blob = Blob;

    async fn open_versioned(
        &self,
        partition: &str,
        name: &[u8],
        versions: RangeInclusive<BlobVersion>,
    ) -> Result<(Blob, u64, BlobVersion), Error> {
        self.disk.open(&self.process.life, partition, name, versions).await
    }

    async fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        self.disk.remove(&self.process.life, partition, name).await
    }

    async fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        self.disk.scan(&self.process.life, partition).await
    }
}

/// Everything production code is generic over runs on this context.
const _: () = {
    const fn runs<E>()
    where
        E: link::Context
            + shards::store::Context
            + chain::engine::Context
            + vault::Context
            + chain::engine::Context,
        E: commonware_storage::Context + Resolver + Strategizer,
    {
    }
    runs::<Context>();
};
