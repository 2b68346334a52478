//! The `Allocator` trait: collections that live in an arena.

use std::alloc::Layout;
use std::ops::Range;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use crate::arena::{Mallocator, dangling};
use crate::error::Error;
use crate::vm::poison;

impl Mallocator {
    /// Makes a block larger: in place when it is the last and no scope is open, else by moving it.
    ///
    /// # Safety
    /// As for [`Allocator::grow`]: `block` was handed out by this arena for `old`, and `new` is not smaller.
    pub(crate) unsafe fn grow_block(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<u8>, Error> {
        debug_assert!(new.size() >= old.size());
        let start = block.addr().get();
        let fits = old.size() != 0 && start % new.align() == 0;
        if fits && self.raise_cursor(start + old.size(), start + new.size()) {
            return Ok(self.pointer(start));
        }
        let larger = self.take_layout(new)?;
        // SAFETY: the old block is live and the new one was just taken, so they are apart, and `new` is not smaller.
        unsafe { larger.copy_from_nonoverlapping(block, old.size()) };
        poison::hide(self.pointer(start), old.size());
        Ok(larger)
    }

    /// Gives the end of a block back, or all of it, if it is the last.
    pub(crate) fn shorten_block(&self, start: usize, old_size: usize, new_size: usize) {
        if old_size != new_size {
            let new_end = start + new_size;
            self.lower_end(start, start + old_size, new_end, new_end);
        }
    }

    /// Gives a block back whose contents were not finished, and what aligning it took, if it is the last. `before` is where
    /// the cursor was, or would have been, had the open scope ended then.
    pub(crate) fn give_back(&self, before: usize, block: Range<usize>) {
        if block.is_empty() {
            return;
        }
        if self.cursor() == block.end {
            self.lower_cursor(before);
        } else {
            self.lower_end(block.start, block.end, block.start, before.min(block.start));
        }
    }

    /// Clears what may not be zero of `len` bytes from `start` on, which were just handed out.
    ///
    /// # Safety
    /// The bytes belong to the caller and were not written since the arena handed them out.
    pub(crate) unsafe fn clear_dirty(&self, start: NonNull<u8>, len: usize) {
        let dirty = self.dirty(start.addr().get()).min(len);
        // SAFETY: the caller's.
        unsafe { start.write_bytes(0, dirty) };
        poison::show(start, len);
    }
}

/// What it hands out lives until the arena is dropped, freed or reset, none of which a borrow allows.
///
/// The last block grows and shrinks in place, and is given back; memory of others stays taken until the arena goes back.
/// When the arena is exhausted or not writable, allocation fails, and most collections then abort through
/// [`handle_alloc_error`](std::alloc::handle_alloc_error): use their `try_reserve` where that matters. A vector doubles as
/// it grows, and fails once twice its size does not fit: one that is to fill a reservation is grown by
/// `try_reserve_exact`, in steps, each of which is in place while the vector is the last.
///
/// ```
/// use allocator_api2::vec::Vec;
/// use mallocator::Mallocator;
///
/// let arena = Mallocator::with_size(1 << 20)?;
/// let mut numbers = Vec::new_in(&arena);
/// numbers.extend(0..1000);
/// assert!(arena.contains(numbers.as_ptr()));
///
/// // Owned: it grows to the end of the reservation and never moves.
/// let mut bytes = Vec::new_in(Mallocator::with_size(1 << 20)?);
/// let start: *const u8 = { bytes.push(0); bytes.as_ptr() };
/// while bytes.len() < 1_000_000 {
///     bytes.try_reserve_exact(10_000).unwrap();
///     bytes.resize(bytes.len() + 10_000, 1);
/// }
/// assert_eq!(bytes.as_ptr(), start);
/// # Ok::<(), mallocator::Error>(())
/// ```
// SAFETY: blocks are apart and stay valid until the arena is dropped or borrowed mutably; moving the arena does not move
// its region.
unsafe impl Allocator for Mallocator {
    #[inline]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        sized(self.take_layout(layout), layout)
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.take_layout(layout);
        if let Ok(start) = block {
            // SAFETY: the block was just handed out to this call.
            unsafe { self.clear_dirty(start, layout.size()) };
        }
        sized(block, layout)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.shorten_block(block.addr().get(), layout.size(), 0);
    }

    /// Not inlined: a collection grows seldom, and the loops that fill it keep their variables in registers.
    #[inline(never)]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        sized(unsafe { self.grow_block(block, old, new) }, new)
    }

    #[inline(never)]
    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        let larger = unsafe { self.grow_block(block, old, new) };
        if let Ok(start) = larger {
            // SAFETY: what is behind the old bytes was just handed out to this call.
            unsafe { self.clear_dirty(start.add(old.size()), new.size() - old.size()) };
        }
        sized(larger, new)
    }

    #[inline]
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        debug_assert!(new.size() <= old.size());
        let start = block.addr().get();
        if start % new.align() == 0 {
            self.shorten_block(start, old.size(), new.size());
            let same = if new.size() == 0 { dangling(new) } else { self.pointer(start) };
            return sized(Ok(same), new);
        }
        let aligned = self.take_layout(new);
        if let Ok(aligned) = aligned {
            // SAFETY: the old block is live and the new one was just taken, so they are apart, and `old` is not smaller.
            unsafe { aligned.copy_from_nonoverlapping(block, new.size()) };
            poison::hide(self.pointer(start), old.size());
        }
        sized(aligned, new)
    }
}

/// What the trait wants to hear: exactly the bytes asked for.
fn sized(block: Result<NonNull<u8>, Error>, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
    block.map(|start| NonNull::slice_from_raw_parts(start, layout.size())).map_err(|_| AllocError)
}
