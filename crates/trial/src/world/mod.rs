//! The simulated world: machines with disks and clocks of their own, and the wires between them, on the deterministic
//! runtime.
//!
//! Production code runs unchanged on [`Context`], which is a runtime context of one process on one [`Machine`]. What a
//! test does to a machine from outside is what happens to real ones: processes are killed and power fails
//! ([`Machine::kill`]); disks fill up, fail, rot and are replaced ([`Disk`]); clocks are wrong ([`Clock`]); wires are
//! slow, fall silent in one direction, or break ([`Wires`]); what nodes say comes twice ([`echo`]).
//!
//! Everything follows from the deterministic runtime's seed. The runtime must be configured to catch panics, as a panic
//! ends a process and not the world. Nothing of the world except a [`Snapshot`] may outlive the runtime's root task.

mod blob;
mod clock;
mod context;
mod disk;
pub mod echo;
mod file;
mod machine;
mod pages;
mod stream;
mod wires;

pub use self::{
    blob::Blob,
    clock::Clock,
    context::Context,
    disk::{Disk, DiskFaults, Snapshot},
    machine::{Ending, Loss, Machine},
    stream::{Listener, Sink, Stream},
    wires::{Wire, Wires},
};
use commonware_runtime::{Supervisor as _, deterministic};
use commonware_utils::sync::Mutex;
use rand::Rng as _;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

/// The world. Clones share it.
#[derive(Clone)]
pub struct World(Arc<Core>);

struct Core {
    context: deterministic::Context,
    wires: Wires,
    /// Seeds for what is drawn outside of the runtime's order of tasks.
    seeds: Mutex<deterministic::Context>,
    machines: Mutex<u8>,
}

impl World {
    /// An empty world with perfect wires.
    pub fn new(context: deterministic::Context) -> Self {
        let mut seeds = context.child("seeds");
        let wires = Wires::new(context.child("wires"), seeds.next_u64());
        Self(Arc::new(Core { context, wires, seeds: Mutex::new(seeds), machines: Mutex::new(0) }))
    }

    /// Adds a machine: two empty disks, a clock that is right, the next address of 10.0.0.0/24.
    ///
    /// # Panics
    ///
    /// When there are more than 254.
    pub fn machine(&self, name: &str) -> Machine {
        let number = {
            let mut machines = self.0.machines.lock();
            *machines = machines.checked_add(1).filter(|number| *number < 255).expect("the network is full");
            *machines
        };
        let host = IpAddr::V4(Ipv4Addr::new(10, 0, 0, number));
        self.0.wires.name(name, host);
        let disk = || Disk::new(self.0.context.child("disk"), self.0.seeds.lock().next_u64());
        Machine::new(self.0.context.child("machine"), name, host, [disk(), disk()], self.0.wires.clone())
    }

    /// The network between the machines.
    pub fn wires(&self) -> &Wires {
        &self.0.wires
    }

    /// The runtime beneath, with true time.
    pub fn context(&self) -> &deterministic::Context {
        &self.0.context
    }
}
