//! A machine: a disk, a clock, an address, and at most one process.
//!
//! A process is a tree of tasks under one root. It ends when its root returns, when any of its tasks panics, or when it
//! is killed. Its end is one moment: from then on no task of it is polled, its handles on files and connections are
//! dead, and the machine may start the next process. What is left of the tasks is dropped by the executor soon after.

use super::{clock::Clock, context::Context, disk::Disk, wires::Wires};
use commonware_runtime::{Error, Handle, Spawner as _, Supervisor as _, deterministic, signal::Stopper};
use commonware_utils::{channel::oneshot, sync::Mutex};
use std::{
    any::Any,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

/// What is lost when a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process: the system keeps what was written, resets its connections and refuses new ones.
    Process,
    /// Power: writes that were not synced are kept, lost or torn, each by itself, and peers hear nothing.
    Power,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its root task returned.
    Returned,
    /// A task panicked, with this message.
    Panicked(String),
    /// It was killed.
    Killed(Loss),
}

/// Whether a process is still there. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Life(Arc<AtomicBool>);

impl Life {
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error if it is over.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.is_over() { Err(Error::Closed) } else { Ok(()) }
    }

    /// Whether this is the other's process.
    pub(super) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What all tasks of a process share.
pub(super) struct Process {
    pub(super) life: Life,
    pub(super) host: IpAddr,
    /// The first is for most things, the second for what should be apart.
    pub(super) disks: [Disk; 2],
    pub(super) clock: Clock,
    pub(super) wires: Wires,
    pub(super) stopper: Mutex<Stopper>,
    /// Steps of tasks until the process is killed, if it is to be.
    fuse: Arc<Mutex<Option<u32>>>,
    /// Weak: the machine holds the process.
    machine: Weak<Core>,
}

impl Process {
    /// Runs a task of the process: not after its end; and a panic in it is the end.
    pub(super) async fn run<T>(self: Arc<Self>, task: impl Future<Output = T>) -> T {
        let mut task = pin!(task);
        poll_fn(|context| {
            if self.life.is_over() {
                return Poll::Pending;
            }
            if self.burns_down() {
                self.end(Ending::Killed(Loss::Process));
                return Poll::Pending;
            }
            match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context))) {
                Ok(polled) => polled,
                Err(panic) => {
                    self.end(Ending::Panicked(message(panic.as_ref())));
                    resume_unwind(panic)
                }
            }
        })
        .await
    }

    /// One step more of one task more. Whether it is one too many.
    fn burns_down(&self) -> bool {
        let mut fuse = self.fuse.lock();
        match &mut *fuse {
            None => false,
            Some(0) => {
                *fuse = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }

    fn end(&self, ending: Ending) {
        if let Some(machine) = self.machine.upgrade() {
            machine.end(&self.life, ending, Loss::Process);
        }
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

/// A machine. Clones share it.
#[derive(Clone)]
pub struct Machine(Arc<Core>);

struct Core {
    name: String,
    host: IpAddr,
    disks: [Disk; 2],
    clock: Clock,
    wires: Wires,
    context: deterministic::Context,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<(Life, Handle<()>)>,
    fuse: Arc<Mutex<Option<u32>>>,
    ending: Option<Ending>,
    waiting: Vec<oneshot::Sender<Ending>>,
}

impl Core {
    /// Ends the process, if it is the one that runs.
    fn end(&self, life: &Life, ending: Ending, loss: Loss) {
        let mut state = self.state.lock();
        let Some((_, root)) = state.running.take_if(|(running, _)| running.same(life)) else { return };
        life.0.store(true, Ordering::Relaxed);
        state.ending = Some(ending.clone());
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.disks.iter().for_each(|disk| disk.end(loss));
        self.wires.end(self.host, life, loss);
        root.abort();
        for waiter in waiting {
            // A waiter may have gone.
            let _ = waiter.send(ending.clone());
        }
    }
}

impl Machine {
    pub(super) fn new(
        context: deterministic::Context,
        name: &str,
        host: IpAddr,
        disks: [Disk; 2],
        wires: Wires,
    ) -> Self {
        Self(Arc::new(Core {
            name: name.to_owned(),
            host,
            disks,
            clock: Clock::new(context.child("clock")),
            wires,
            context,
            state: Mutex::default(),
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its address.
    pub fn host(&self) -> IpAddr {
        self.0.host
    }

    /// A port of it.
    pub fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.0.host, port)
    }

    /// Its disk.
    pub fn disk(&self) -> &Disk {
        &self.0.disks[0]
    }

    /// Its second disk, for little that should be apart from the rest.
    pub fn second_disk(&self) -> &Disk {
        &self.0.disks[1]
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Starts a process, with power if that was lost. What the disk has is durable, as the production runtime sees to
    /// at its start.
    ///
    /// # Panics
    ///
    /// If a process runs already.
    pub fn start<F, Fut>(&self, f: F)
    where
        F: FnOnce(Context) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        assert!(!self.running(), "{} runs a process already", self.0.name);
        self.0.disks.iter().for_each(Disk::begin);
        self.0.wires.begin(self.0.host);
        let fuse = Arc::<Mutex<Option<u32>>>::default();
        let process = Arc::new(Process {
            fuse: fuse.clone(),
            life: Life::default(),
            host: self.0.host,
            disks: self.0.disks.clone(),
            clock: self.0.clock.clone(),
            wires: self.0.wires.clone(),
            stopper: Mutex::default(),
            machine: Arc::downgrade(&self.0),
        });
        let life = process.life.clone();
        let context = self.0.context.child("process").with_attribute("machine", &self.0.name);
        let root = context.spawn(move |context| {
            let context = Context::new(context, process.clone());
            process.clone().run(async move {
                f(context).await;
                process.end(Ending::Returned);
            })
        });
        let mut state = self.0.state.lock();
        state.ending = None;
        state.running = Some((life, root));
        state.fuse = fuse;
    }

    /// Kills the process that runs, if one does, after so many more steps of its tasks: between two awaits, wherever
    /// that happens to be.
    pub fn kill_after(&self, steps: u32) {
        let state = self.0.state.lock();
        if state.running.is_some() {
            *state.fuse.lock() = Some(steps);
        }
    }

    /// Ends the process, if one runs, and takes from the disk what `loss` takes, even if none does.
    pub fn kill(&self, loss: Loss) {
        let running = self.0.state.lock().running.as_ref().map(|(life, _)| life.clone());
        match running {
            Some(life) => self.0.end(&life, Ending::Killed(loss), loss),
            None => {
                self.0.disks.iter().for_each(|disk| disk.end(loss));
                self.0.wires.end(self.0.host, &Life::default(), loss);
            }
        }
    }

    /// Whether a process runs.
    pub fn running(&self) -> bool {
        self.0.state.lock().running.is_some()
    }

    /// What the panic said that ended the last process, if one did and none has been started since.
    pub fn panicked(&self) -> Option<String> {
        match &self.0.state.lock().ending {
            Some(Ending::Panicked(message)) => Some(message.clone()),
            _ => None,
        }
    }

    /// Waits for the end of the process that runs; if none runs, tells how the last one ended, or waits for the first.
    pub async fn ended(&self) -> Ending {
        let waiting = {
            let mut state = self.0.state.lock();
            if let Some(ending) = &state.ending {
                return ending.clone();
            }
            let (ended, waiting) = oneshot::channel();
            state.waiting.push(ended);
            waiting
        };
        waiting.await.expect("the machine is there as long as this borrows it")
    }
}
