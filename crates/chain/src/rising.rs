//! A height that rises, and those who wait for it.
//!
//! Waiters are woken in the order in which they began to wait, which `tokio::sync::watch` does not do: it spreads them by
//! chance, and a simulation would not repeat.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

/// A height that many read and wait for. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Rising(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    height: AtomicU64,
    risen: Notify,
}

impl Rising {
    /// At `height` to begin with.
    pub fn new(height: u64) -> Self {
        Self(Arc::new(Inner { height: AtomicU64::new(height), risen: Notify::new() }))
    }

    /// Where it is.
    pub fn get(&self) -> u64 {
        self.0.height.load(Ordering::Acquire)
    }

    /// Raises it to `height`, if it is lower, and wakes those who wait for that.
    pub fn raise(&self, height: u64) {
        if self.0.height.fetch_max(height, Ordering::AcqRel) < height {
            self.0.risen.notify_waiters();
        }
    }

    /// Waits until it is at `height` at least, and says where it is then.
    pub async fn reached(&self, height: u64) -> u64 {
        loop {
            let mut risen = pin!(self.0.risen.notified());
            // From here on no rise is missed.
            risen.as_mut().enable();
            let now = self.get();
            if now >= height {
                return now;
            }
            risen.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_utils::sync::Mutex;
    use futures::{FutureExt, StreamExt, stream::FuturesUnordered};

    #[test]
    fn a_wait_ends_when_the_height_is_reached_and_not_before() {
        let rising = Rising::new(3);
        assert_eq!(rising.reached(3).now_or_never(), Some(3));
        let mut waiting = pin!(rising.reached(6));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        rising.raise(5);
        assert_eq!(waiting.as_mut().now_or_never(), None);
        rising.raise(4);
        assert_eq!(rising.get(), 5, "it never falls");
        rising.raise(7);
        assert_eq!(waiting.now_or_never(), Some(7));
    }

    #[test]
    fn those_who_wait_are_woken_in_their_order() {
        let rising = Rising::default();
        let woken = Mutex::new(Vec::new());
        let mut waiting: FuturesUnordered<_> = (0..100)
            .map(|index| {
                let (rising, woken) = (&rising, &woken);
                async move {
                    rising.reached(1).await;
                    woken.lock().push(index);
                }
            })
            .collect();
        // Every future has a waker of its own here, and is polled when it is woken.
        assert_eq!(waiting.next().now_or_never(), None);
        assert!(woken.lock().is_empty());
        rising.raise(1);
        assert_eq!(waiting.count().now_or_never(), Some(100));
        assert!(woken.lock().iter().copied().eq(0..100), "{:?}", woken.lock());
    }
}
