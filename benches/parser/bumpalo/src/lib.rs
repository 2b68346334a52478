//! Stands in for the crate `bumpalo`, by a patch: the names of it that a parser uses, over [`Mallocator`].
//!
//! Every method is bumpalo's in what it takes, returns and panics on, and is one call.

// As in what is called: the parser's hot paths expect bumpalo's to be inlined.
#![allow(clippy::inline_always, clippy::mut_from_ref)]

use std::alloc::Layout;
use std::iter;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};
use mallocator::Mallocator;

/// An arena.
#[derive(Debug)]
pub struct Bump {
    arena: Mallocator,
}

impl Default for Bump {
    fn default() -> Self {
        Self::new()
    }
}

impl Bump {
    /// An empty arena.
    #[must_use]
    pub fn new() -> Self {
        Self { arena: Mallocator::growing() }
    }

    /// An arena with room for `capacity` bytes.
    ///
    /// # Panics
    /// If there is no room for so much.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        // Room is address space here; memory comes as it is used.
        let bump = Self::new();
        let room = bump.arena.available();
        assert!(
            capacity <= room,
            "out of memory: {capacity} bytes were asked for, and there is room for {room}"
        );
        bump
    }

    /// Moves a value into the arena.
    #[inline(always)]
    pub fn alloc<T>(&self, value: T) -> &mut T {
        self.arena.alloc(value)
    }

    /// Copies a string into the arena.
    #[inline(always)]
    pub fn alloc_str(&self, text: &str) -> &mut str {
        self.arena.alloc_str(text)
    }

    /// Copies a slice into the arena.
    #[inline(always)]
    pub fn alloc_slice_copy<T: Copy>(&self, source: &[T]) -> &mut [T] {
        self.arena.alloc_slice_copy(source)
    }

    /// Memory for `layout`, uninitialised.
    #[inline(always)]
    pub fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        self.arena.alloc_layout(layout)
    }

    /// Takes everything back.
    pub fn reset(&mut self) {
        self.arena.reset();
    }

    /// The bytes that the arena has from the system.
    pub fn allocated_bytes(&self) -> usize {
        self.arena.committed()
    }

    /// The start and the length of each chunk, as far as it was handed out: there is one.
    ///
    /// # Safety
    /// As with bumpalo's: nothing is allocated while the iterator lives, and what is read there was written.
    pub unsafe fn iter_allocated_chunks_raw(&self) -> impl Iterator<Item = (*mut u8, usize)> {
        iter::once((self.arena.base().as_ptr(), self.arena.used()))
    }
}

// SAFETY: that of the arena, which a reference does not move.
unsafe impl Allocator for &Bump {
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.arena.allocate(layout)
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { self.arena.deallocate(block, layout) }
    }

    #[inline(always)]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        unsafe { self.arena.grow(block, old, new) }
    }

    #[inline(always)]
    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        unsafe { self.arena.grow_zeroed(block, old, new) }
    }

    #[inline(always)]
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        unsafe { self.arena.shrink(block, old, new) }
    }
}
