//! A thread's share of an arena that threads have in common, as a peer of its own beside Mallocator's rows: it is to cost what
//! an arena of the thread's own costs.

use std::alloc::Layout;
use std::ptr::NonNull;

use mallocator::{Mallocator, SyncMallocator};

use crate::peers::{Named, Peer};
use crate::targets;
use crate::workloads::hot::{Three, strings, values};
use crate::workloads::{Entry, Task, Workload, collections};

/// How much a share takes at once.
pub(crate) const BLOCK: usize = 256 << 10;

/// A shared arena, and one share of it.
#[derive(Debug)]
pub struct Share {
    arena: &'static Mallocator,
    /// Leaked, as the share borrows it.
    shared: NonNull<SyncMallocator>,
}

impl Share {
    fn of(shared: NonNull<SyncMallocator>) -> Self {
        // SAFETY: it was leaked; only `reset` borrows it in another way, when the old share is not used any more.
        let arena = unsafe { shared.as_ref() }.try_local(BLOCK).expect("address space");
        Self { arena, shared }
    }
}

impl Named for Share {
    const NAME: &'static str = targets::SHARE;
}

impl Peer for Share {
    type Allocator<'a> = &'a Mallocator;

    fn create() -> Self {
        let shared = Mallocator::builder().size(64 << 30).build_sync().expect("address space");
        Self::of(NonNull::from(Box::leak(Box::new(shared))))
    }

    fn reset(&mut self) {
        let mut shared = self.shared;
        // SAFETY: nothing of the share is used any more.
        unsafe { shared.as_mut() }.reset();
        *self = Self::of(shared);
    }

    #[inline]
    fn alloc<T: Copy>(&self, value: T) -> NonNull<T> {
        NonNull::from(self.arena.alloc(value))
    }

    #[inline]
    fn try_alloc<T: Copy>(&self, value: T) -> Option<NonNull<T>> {
        self.arena.try_alloc(value).ok().map(NonNull::from)
    }

    #[inline]
    fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        self.arena.alloc_layout(layout)
    }

    #[inline]
    fn alloc_str(&self, text: &str) -> NonNull<u8> {
        NonNull::from(self.arena.alloc_str(text)).cast()
    }

    #[inline]
    fn allocator(&self) -> &Mallocator {
        self.arena
    }
}

/// Puts shares beside the arena itself.
pub(crate) fn join(workloads: &mut [Workload]) {
    for workload in workloads {
        let units = workload.units;
        let task: Option<Box<dyn Fn() -> Task>> = match workload.name {
            "alloc(u64)" => Some(Box::new(move || values::<Share, u64>(units))),
            "alloc(24 bytes)" => Some(Box::new(move || values::<Share, Three>(units))),
            "alloc_str, 3..=12 bytes" => Some(Box::new(move || strings::<Share>(units))),
            "Vec, 10 M u64, warm" => Some(Box::new(move || collections::push::<Share>(units))),
            _ => None,
        };
        workload.entries.splice(1..1, task.map(|task| Entry { peer: Share::NAME, task }));
    }
}
