//! Work on behalf of requests that goes on when its request is gone.
//!
//! A request ends when its caller stops waiting, cancels it or disconnects, and the link then gives its room to another.
//! What was asked of the disk cannot be taken back: buffers stay until the disk has answered. So it is done in a task of
//! its own that has room here, and keeps it to the end. Otherwise whoever asks and cancels, again and again, or a disk
//! that hangs, would fill the memory with work that nobody waits for.

use commonware_runtime::Spawner;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Room for work.
#[derive(Clone)]
pub(crate) struct Work {
    room: Arc<Semaphore>,
    total: u32,
}

/// The runtime is shutting down.
pub(crate) struct Stopped;

impl Work {
    pub(crate) fn new(total: u32) -> Self {
        Self { room: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Waits until there is room for `cost`, all of it if it is more than that, and runs `job` to its end in a task of
    /// its own. Dropping the future while it waits for room leaves nothing behind.
    pub(crate) async fn run<E, T>(
        &self,
        context: &E,
        cost: usize,
        job: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Stopped>
    where
        E: Spawner,
        T: Send + 'static,
    {
        let cost = u32::try_from(cost).unwrap_or(u32::MAX).min(self.total);
        let room = self.room.clone().acquire_many_owned(cost).await.expect("never closed");
        // What it results in takes room too, until somebody has it.
        let task = context.child("work").spawn(move |_| async move { (job.await, room) });
        task.await.map(|(result, _room)| result).map_err(|_| Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_runtime::{Clock as _, Runner as _, deterministic};
    use futures::FutureExt as _;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    /// Who asks and cancels, again and again, has a bounded amount of work going on.
    #[test]
    fn work_that_nobody_waits_for_is_bounded() {
        deterministic::Runner::default().start(|context| async move {
            let work = Work::new(1000);
            let disk = Arc::new(Semaphore::new(0));
            let (parked, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let job = || {
                let (disk, parked, done) = (disk.clone(), parked.clone(), done.clone());
                async move {
                    parked.fetch_add(10, Ordering::Relaxed);
                    disk.acquire().await.expect("never closed").forget();
                    parked.fetch_sub(10, Ordering::Relaxed);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            };
            for _ in 0..10_000 {
                assert!(Box::pin(work.run(&context, 10, job())).now_or_never().is_none());
            }
            context.sleep(Duration::from_secs(1)).await;
            assert_eq!(parked.load(Ordering::Relaxed), 1000);
            disk.add_permits(10_000);
            context.sleep(Duration::from_secs(1)).await;
            assert_eq!(done.load(Ordering::Relaxed), 100, "what has begun is finished");
            assert!(work.run(&context, 5000, job()).await.is_ok(), "what costs more than all takes all");
            assert_eq!(work.room.available_permits(), 1000);
        });
    }
}
