//! Reused memory for chunks in flight.

use bytes::Bytes;
use std::{
    collections::VecDeque,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
};

/// Idle buffers kept. Two per chunk in flight; 1.25 MiB each for full chunks at (2, 4).
const IDLE_MAX: usize = 32;
/// Smaller buffers are left to the allocator, which hands out memory already touched.
const POOLED_MIN: usize = 32 * 1024;

/// A bounded set of idle buffers, shared by its clones.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Pool {
    /// A buffer of `length` bytes whose contents are left from earlier use: the caller writes all of it.
    pub(crate) fn take(&self, length: usize) -> Buffer {
        if length < POOLED_MIN {
            return Buffer { memory: vec![0; length], length, pool: None };
        }
        // Sizes in steps of an eighth to a quarter, so that near lengths share buffers.
        let size = length.next_multiple_of(length.next_power_of_two() / 8);
        let memory = self.take_idle(size).unwrap_or_else(|| vec![0; size]);
        Buffer { memory, length, pool: Some(self.clone()) }
    }

    /// The most recently returned buffer of this size: the likeliest to be in the cache.
    fn take_idle(&self, size: usize) -> Option<Vec<u8>> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = idle.iter().rposition(|memory| memory.len() == size)?;
        idle.remove(index)
    }

    fn put_back(&self, memory: Vec<u8>) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = if idle.len() == IDLE_MAX { idle.pop_front() } else { None };
        idle.push_back(memory);
        drop(idle);
        drop(oldest);
    }
}

/// Bytes that go back to their pool when dropped.
pub(crate) struct Buffer {
    memory: Vec<u8>,
    length: usize,
    pool: Option<Pool>,
}

impl Buffer {
    /// Forgets all but the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// The same bytes, shared and never written again.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.put_back(std::mem::take(&mut self.memory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(pool: &Pool) -> usize {
        pool.0.lock().unwrap().len()
    }

    #[test]
    fn a_buffer_returns_when_its_last_slice_is_dropped() {
        let pool = Pool::default();
        let bytes = pool.take(1 << 20).freeze();
        let slice = bytes.slice(5..7);
        drop(bytes);
        assert_eq!(idle(&pool), 0);
        drop(slice);
        assert_eq!(idle(&pool), 1);
        let again = pool.take((1 << 20) - 100);
        assert_eq!((idle(&pool), again.len()), (0, (1 << 20) - 100), "a near length takes the same buffer");
    }

    #[test]
    fn small_buffers_are_not_kept_and_idle_ones_are_bounded() {
        let pool = Pool::default();
        drop(pool.take(POOLED_MIN - 1));
        assert_eq!(idle(&pool), 0);
        let taken: Vec<_> = (0..2 * IDLE_MAX).map(|_| pool.take(POOLED_MIN)).collect();
        drop(taken);
        assert_eq!(idle(&pool), IDLE_MAX);
        // Buffers of a size no longer asked for give way.
        let taken: Vec<_> = (0..IDLE_MAX).map(|_| pool.take(2 * POOLED_MIN)).collect();
        drop(taken);
        assert!(pool.take_idle(POOLED_MIN).is_none());
    }
}
