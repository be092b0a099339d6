//! A gateway as clients reach it: their calls are tasks of its process, and end with it.
//!
//! So a gateway that dies in the middle of a call stops there, wherever that is, as the real one does: nothing is
//! finished, nothing is said. What a client knows then is that the connection broke. A [`Trap`] makes that happen
//! within a write: after so many steps of the process's tasks since it began.

use crate::world::Machine;
use commonware_runtime::Handle;
use commonware_utils::sync::Mutex;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use vault::Vault;

/// A gateway's process. Clones share it.
pub struct Gate<E: vault::Context> {
    /// The gateway's number.
    pub number: u32,
    vault: Vault<E>,
    context: Arc<E>,
    trap: Trap,
}

impl<E: vault::Context> Clone for Gate<E> {
    fn clone(&self) -> Self {
        let Self { number, vault, context, trap } = self;
        Self { number: *number, vault: vault.clone(), context: context.clone(), trap: trap.clone() }
    }
}

/// Kills a gateway in the middle of the next write. Clones share it.
#[derive(Clone)]
pub struct Trap {
    machine: Machine,
    steps: Arc<Mutex<Option<u32>>>,
}

impl Trap {
    /// One that is not set, for the gateway on this machine.
    pub fn new(machine: Machine) -> Self {
        Self { machine, steps: Arc::default() }
    }

    /// The gateway dies so many steps of its tasks after it begins the next write.
    pub fn set(&self, steps: u32) {
        *self.steps.lock() = Some(steps);
    }

    fn spring(&self) {
        if let Some(steps) = self.steps.lock().take() {
            self.machine.kill_after(steps);
        }
    }
}

/// Why a call has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The gateway is not there: nothing of the call was done.
    Refused,
    /// The gateway died, or the client gave up, after the call began.
    Lost,
}

impl<E: vault::Context> Gate<E> {
    /// A gateway's vault, the context of the process that it is in, and the trap of its machine.
    pub fn new(number: u32, vault: Vault<E>, context: E, trap: Trap) -> Self {
        Self { number, vault, context: Arc::new(context), trap }
    }

    /// What kills it in the middle of a write.
    pub fn trap(&self) -> &Trap {
        &self.trap
    }

    /// Its vault.
    pub fn vault(&self) -> Vault<E> {
        self.vault.clone()
    }

    /// Does a call's work in the gateway's process. When this is dropped, so is the work.
    pub fn run<T, F>(
        &self,
        writes: bool,
        work: F,
    ) -> impl Future<Output = Result<T, Broken>> + Send + 'static + use<E, T, F>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let begun = Arc::new(AtomicBool::new(false));
        let (trap, began) = (self.trap.clone(), begun.clone());
        let task = self.context.child("call").spawn(move |_| async move {
            began.store(true, Ordering::Relaxed);
            if writes {
                trap.spring();
            }
            work.await
        });
        let mut task = Aborted(task);
        async move {
            let ended = (&mut task.0).await;
            ended.map_err(|_| if begun.load(Ordering::Relaxed) { Broken::Lost } else { Broken::Refused })
        }
    }
}

/// A task that ends when this is dropped.
struct Aborted<T: Send + 'static>(Handle<T>);

impl<T: Send + 'static> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
