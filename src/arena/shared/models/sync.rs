//! What the arena takes for the standard library's `sync`: the checker's, which also tells the models what is said to be
//! committed, and can be weaker than it should be, so that the models are seen to notice.

#[cfg(loom)]
pub(in crate::arena::shared) use loom::sync::{Mutex, MutexGuard};
#[cfg(shuttle)]
pub(in crate::arena::shared) use shuttle::sync::{Mutex, MutexGuard};

pub(in crate::arena::shared) mod atomic {
    use std::cell::Cell;

    #[cfg(loom)]
    use loom::sync::atomic as checked;
    #[cfg(shuttle)]
    use shuttle::sync::atomic as checked;

    pub(in crate::arena::shared) use checked::Ordering;

    use super::super::see_ready;

    /// What is wrong with the atomics.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(in super::super) enum Weakness {
        Nothing,
        /// No store is a `Release`.
        #[cfg(loom)]
        Store,
        /// No load is an `Acquire`.
        #[cfg(loom)]
        Load,
        /// Another thread may come between the two halves of an exchange.
        Exchange,
    }

    thread_local! {
        pub(in super::super) static WEAKNESS: Cell<Weakness> = const { Cell::new(Weakness::Nothing) };
    }

    pub(in crate::arena::shared) struct AtomicUsize(checked::AtomicUsize);

    impl AtomicUsize {
        pub(in crate::arena::shared) fn new(value: usize) -> Self {
            Self(checked::AtomicUsize::new(value))
        }

        pub(in crate::arena::shared) fn load(&self, order: Ordering) -> usize {
            #[cfg(loom)]
            let order = if WEAKNESS.get() == Weakness::Load { Ordering::Relaxed } else { order };
            self.0.load(order)
        }

        /// The mark of what is ready is all that is stored.
        pub(in crate::arena::shared) fn store(&self, value: usize, order: Ordering) {
            see_ready(value);
            #[cfg(loom)]
            let order = if WEAKNESS.get() == Weakness::Store { Ordering::Relaxed } else { order };
            self.0.store(value, order);
        }

        pub(in crate::arena::shared) fn compare_exchange(
            &self,
            from: usize,
            to: usize,
            success: Ordering,
            failure: Ordering,
        ) -> Result<usize, usize> {
            if WEAKNESS.get() == Weakness::Exchange {
                let found = self.0.load(failure);
                if found != from {
                    return Err(found);
                }
                self.0.store(to, success);
                return Ok(found);
            }
            self.0.compare_exchange(from, to, success, failure)
        }

        /// Where there is chance, it fails for no reason now and then.
        pub(in crate::arena::shared) fn compare_exchange_weak(
            &self,
            from: usize,
            to: usize,
            success: Ordering,
            failure: Ordering,
        ) -> Result<usize, usize> {
            #[cfg(shuttle)]
            if shuttle::rand::Rng::gen_ratio(&mut shuttle::rand::thread_rng(), 1, 8) {
                return Err(self.0.load(failure));
            }
            self.compare_exchange(from, to, success, failure)
        }
    }
}
