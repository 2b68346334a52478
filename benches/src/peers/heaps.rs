//! The general allocators, each called through its `GlobalAlloc` value and not as the program's allocator, so that all of them
//! can be in one process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use super::{Named, Peer};

/// A general allocator. A value of it is a handle: there is nothing to create and nothing to reset.
#[derive(Clone, Copy, Debug)]
pub struct Heap<G>(G);

/// A `GlobalAlloc` that can be named in a constant.
pub trait General: GlobalAlloc + Copy + 'static {
    /// What it is called in tables.
    const NAME: &'static str;
    /// The handle.
    const HANDLE: Self;
}

/// Names a general allocator: its handle must be `Copy`, which not every crate's type is.
macro_rules! general {
    ($heap:ident, $handle:ident, $allocator:expr, $name:literal) => {
        /// The handle of the allocator that is its name.
        #[derive(Clone, Copy, Debug)]
        pub struct $handle;

        #[doc = concat!("The general allocator ", $name, ".")]
        pub type $heap = Heap<$handle>;

        // SAFETY: every method is the allocator's own.
        unsafe impl GlobalAlloc for $handle {
            #[inline]
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                // SAFETY: the caller's.
                unsafe { $allocator.alloc(layout) }
            }

            #[inline]
            unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
                // SAFETY: the caller's.
                unsafe { $allocator.dealloc(block, layout) };
            }

            #[inline]
            unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
                // SAFETY: the caller's.
                unsafe { $allocator.alloc_zeroed(layout) }
            }

            #[inline]
            unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
                // SAFETY: the caller's.
                unsafe { $allocator.realloc(block, layout, new_size) }
            }
        }

        impl General for $handle {
            const NAME: &'static str = $name;
            const HANDLE: Self = $handle;
        }
    };
}

general!(Glibc, GlibcHandle, System, "glibc");
general!(Mimalloc, MimallocHandle, mimalloc::MiMalloc, "mimalloc");
general!(Jemalloc, JemallocHandle, tikv_jemallocator::Jemalloc, "jemalloc");
general!(Snmalloc, SnmallocHandle, snmalloc_rs::SnMalloc, "snmalloc");

impl<G: General> Named for Heap<G> {
    const NAME: &'static str = G::NAME;
}

impl<G: General> Peer for Heap<G> {
    const FREES: bool = true;

    type Allocator<'a> = Self;

    #[inline]
    fn create() -> Self {
        Self(G::HANDLE)
    }

    #[inline]
    fn reset(&mut self) {}

    #[inline]
    fn alloc<T: Copy>(&self, value: T) -> NonNull<T> {
        let object = self.alloc_layout(Layout::new::<T>()).cast();
        // SAFETY: the block is for a `T`.
        unsafe { object.write(value) };
        object
    }

    #[inline]
    fn try_alloc<T: Copy>(&self, value: T) -> Option<NonNull<T>> {
        let object = self.block(Layout::new::<T>())?.cast();
        // SAFETY: the block is for a `T`.
        unsafe { object.write(value) };
        Some(object)
    }

    #[inline]
    fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        match self.block(layout) {
            Some(block) => block,
            None => std::alloc::handle_alloc_error(layout),
        }
    }

    #[inline]
    fn alloc_str(&self, text: &str) -> NonNull<u8> {
        let copy = self.alloc_layout(Layout::for_value(text));
        // SAFETY: the new block has room for the text and is apart from it.
        unsafe { copy.copy_from_nonoverlapping(NonNull::from(text).cast(), text.len()) };
        copy
    }

    #[inline]
    fn allocator(&self) -> Self {
        *self
    }

    #[inline]
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { self.0.dealloc(block.as_ptr(), layout) };
    }
}

impl<G: General> Heap<G> {
    #[inline]
    fn block(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return NonNull::new(std::ptr::without_provenance_mut(layout.align()));
        }
        // SAFETY: the size is not zero.
        NonNull::new(unsafe { self.0.alloc(layout) })
    }
}

#[inline]
fn sized(block: Option<NonNull<u8>>, size: usize) -> Result<NonNull<[u8]>, AllocError> {
    block.map(|start| NonNull::slice_from_raw_parts(start, size)).ok_or(AllocError)
}

// SAFETY: the blocks are those of a general allocator, and every copy of the handle is the same allocator.
unsafe impl<G: General> Allocator for Heap<G> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        sized(self.block(layout), layout.size())
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return self.allocate(layout);
        }
        // SAFETY: the size is not zero.
        sized(NonNull::new(unsafe { self.0.alloc_zeroed(layout) }), layout.size())
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller's; blocks of no size were never asked for.
            unsafe { self.0.dealloc(block.as_ptr(), layout) };
        }
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        unsafe { self.resize(block, old, new) }
    }

    #[inline]
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        unsafe { self.resize(block, old, new) }
    }
}

impl<G: General> Heap<G> {
    /// # Safety
    /// As for `Allocator::grow` and `Allocator::shrink`.
    #[inline]
    unsafe fn resize(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.size() != 0 && new.size() != 0 && old.align() == new.align() {
            // SAFETY: the caller's, and neither size is zero: `realloc` may extend in place or remap.
            return sized(
                NonNull::new(unsafe { self.0.realloc(block.as_ptr(), old, new.size()) }),
                new.size(),
            );
        }
        let moved = self.allocate(new)?;
        // SAFETY: the two blocks are apart, and each has room for the shorter length.
        unsafe {
            moved.cast().copy_from_nonoverlapping(block, old.size().min(new.size()));
            self.deallocate(block, old);
        }
        Ok(moved)
    }
}
