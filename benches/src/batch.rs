//! Mallocator's batches, as a peer of their own in the rows that single values have.

use std::ptr::NonNull;

use mallocator::{Batch, Mallocator};

use crate::peers::{Cursors, Named};
use crate::targets;
use crate::workloads::hot::{Object, Three, values};
use crate::workloads::{Entry, Workload};

/// How much a batch takes from its arena at once.
const BLOCK: usize = 256 << 10;

/// An arena whose loops hold a batch.
#[derive(Debug)]
pub struct Batched(Mallocator);

impl Named for Batched {
    const NAME: &'static str = targets::BATCH;
}

impl<T: Copy + 'static> Cursors<T> for Batched {
    const FREES: bool = false;

    type Cursor<'a> = Batch<'a>;

    #[inline]
    fn create() -> Self {
        Self(Mallocator::growing())
    }

    #[inline]
    fn reset(&mut self) {
        self.0.reset();
    }

    #[inline]
    fn cursor(&self) -> Batch<'_> {
        self.0.batch(BLOCK)
    }

    #[inline]
    fn put<'a>(cursor: &mut Batch<'a>, value: T) -> NonNull<T>
    where
        Self: 'a,
    {
        NonNull::from(cursor.alloc(value))
    }

    #[inline]
    unsafe fn free(&self, _: NonNull<T>) {}
}

/// Puts batches beside the arena itself.
pub(crate) fn join(workloads: &mut [Workload]) {
    for workload in workloads {
        let units = workload.units;
        match workload.name {
            "alloc(u64)" => insert::<u64>(&mut workload.entries, units),
            "alloc([u8; 3])" => insert::<[u8; 3]>(&mut workload.entries, units),
            "alloc(24 bytes)" => insert::<Three>(&mut workload.entries, units),
            _ => {}
        }
    }
}

fn insert<T: Object>(entries: &mut Vec<Entry>, count: usize) {
    let task = Box::new(move || values::<Batched, T>(count));
    entries.insert(1, Entry { peer: Batched::NAME, task });
}
