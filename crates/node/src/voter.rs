//! The runtime of consensus, apart from the node's own: its only storage is the journal of votes.
//!
//! A runtime has one storage directory, and the journal must not be in the one with the bulk (see [`crate::voting`]). So
//! consensus runs in a second one, with a thread of its own, which bulk work cannot keep busy either. Its tasks talk to
//! the rest of the node through the same channels as ever. If one of them panics, that runtime ends, and with it the
//! node, whose task of consensus has then ended.

use commonware_runtime::{Runner as _, Spawner as _, Supervisor as _, tokio};
use futures::channel::oneshot;
use std::{io, path::PathBuf, thread::JoinHandle, time::Duration};

/// Threads: consensus checks a few signatures in each view, and waits for the disk.
const THREADS: usize = 1;

/// The runtime, which ends when this is dropped.
pub(crate) struct Voter {
    context: tokio::Context,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Voter {
    /// Starts it on the directory of the journal. Waits for a former one that still works there.
    pub(crate) fn start(journals: PathBuf) -> io::Result<Self> {
        let (end, ended) = oneshot::channel::<()>();
        let (started, starting) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("voter".into()).spawn(move || {
            let config = tokio::Config::new().with_worker_threads(THREADS).with_storage_directory(journals);
            tokio::Runner::new(config).start(|context| async move {
                let _ = started.send(context.child("voter"));
                let _ = ended.await;
            });
        })?;
        // It panics when it cannot use the directory, and says why.
        let context = starting.recv().map_err(|_| io::Error::other("the journal of votes cannot be used"))?;
        Ok(Self { context, end: Some(end), thread: Some(thread) })
    }

    /// A context whose storage is that of the journal.
    pub(crate) fn context(&self) -> tokio::Context {
        self.context.child("consensus")
    }

    /// Asks its tasks to end.
    pub(crate) async fn stop(&self, timeout: Duration) {
        // What it has sent is synced: a task that is slow to stop leaves nothing that a restart does not recover.
        let _ = self.context.child("stop").stop(0, Some(timeout)).await;
    }
}

impl Drop for Voter {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was told where it happened.
            let _ = thread.join();
        }
    }
}
