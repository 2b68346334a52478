//! What threads meet at: the standard library's atomics and lock, or, in the models, those of a checker that tries many orders.

use std::sync::PoisonError;

use sync::atomic::AtomicUsize;
pub(super) use sync::atomic::Ordering;
use sync::{Mutex, MutexGuard};

#[cfg(all(test, any(loom, shuttle)))]
use super::models::sync;
#[cfg(not(all(test, any(loom, shuttle))))]
use std::sync;

/// A number on lines of the cache of its own. Two lines of 64 bytes, as processors fetch them in pairs.
#[repr(align(128))]
pub(super) struct Line(AtomicUsize);

impl Line {
    pub(super) fn new(value: usize) -> Self {
        Self(AtomicUsize::new(value))
    }

    pub(super) fn load(&self, order: Ordering) -> usize {
        self.0.load(order)
    }

    /// Tells others of what was just done.
    pub(super) fn store(&self, value: usize, order: Ordering) {
        self.0.store(value, order);
    }

    /// Changes it from `from` to `to`, or says what it is. No order is kept; it may fail for no reason.
    pub(super) fn exchange_weak(&self, from: usize, to: usize) -> Result<usize, usize> {
        self.0.compare_exchange_weak(from, to, Ordering::Relaxed, Ordering::Relaxed)
    }

    /// The same that fails for a reason alone.
    pub(super) fn exchange(&self, from: usize, to: usize) -> Result<usize, usize> {
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
    }
}

/// A lock whose holders leave nothing half changed, so that a panic of one of them is nothing to the others.
pub(super) struct Lock<T>(Mutex<T>);

pub(super) type LockGuard<'a, T> = MutexGuard<'a, T>;

impl<T> Lock<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(super) fn lock(&self) -> LockGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
