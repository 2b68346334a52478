//! The `Allocator` trait of an arena that threads share.

use core::alloc::Layout;
use core::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use super::SyncMallocator;
use crate::arena::mallocator::dangling;
use crate::vm::poison;

/// For collections that live in what threads share, and for those of asynchronous code: a `&SyncMallocator` is `Send`, so that a
/// collection over it may be held across an `.await`. The last block grows in place, a block shrinks in place, and nothing is
/// given back before [`reset`](SyncMallocator::reset).
///
/// ```
/// use allocator_api2::vec::Vec;
/// use mallocator::Mallocator;
///
/// let shared = Mallocator::builder().size(1 << 20).build_sync()?;
/// let mut numbers = Vec::new_in(&shared);
/// numbers.extend(0..1000);
/// assert!(shared.contains(numbers.as_ptr()));
/// # Ok::<(), mallocator::Error>(())
/// ```
// SAFETY: blocks are apart and stay valid until the arena is dropped or borrowed mutably; moving the arena does not move
// its range.
unsafe impl Allocator for SyncMallocator {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let start = self.try_alloc_layout(layout).map_err(|_| AllocError)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.allocate(layout)?;
        // SAFETY: the block was just handed out to this call.
        unsafe { self.clear_dirty(block.cast(), layout.size()) };
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if poison::ON && layout.size() > 0 {
            poison::hide(self.pointer(block.addr().get()), layout.size());
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let start = block.addr().get();
        if old.size() != 0
            && start % new.align() == 0
            && self.raise_in_place(start + old.size(), start + new.size())
        {
            return Ok(NonNull::slice_from_raw_parts(self.pointer(start), new.size()));
        }
        // SAFETY: the caller's; `new` is not smaller.
        unsafe { self.move_block(block, old.size(), new) }
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        let larger = unsafe { self.grow(block, old, new) }?;
        // SAFETY: what lies after the old bytes was just handed out to this call.
        unsafe { self.clear_dirty(larger.cast::<u8>().add(old.size()), new.size() - old.size()) };
        Ok(larger)
    }

    /// In place, so that it is not refused where the arena is full.
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let start = block.addr().get();
        if new.size() == 0 {
            return Ok(NonNull::slice_from_raw_parts(dangling(new), 0));
        }
        if start % new.align() == 0 {
            let place = self.pointer(start);
            if poison::ON {
                // SAFETY: the end of the block.
                poison::hide(unsafe { place.add(new.size()) }, old.size() - new.size());
            }
            return Ok(NonNull::slice_from_raw_parts(place, new.size()));
        }
        // SAFETY: the caller's; `new` is not larger.
        unsafe { self.move_block(block, new.size(), new) }
    }
}

impl SyncMallocator {
    /// # Safety
    /// The block is the caller's, with `len` bytes at least, and so many have room in `new`.
    unsafe fn move_block(
        &self,
        block: NonNull<u8>,
        len: usize,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        let other = self.allocate(new)?;
        // SAFETY: the old block is live and the new one was just taken, so they are apart; the lengths are the caller's.
        unsafe { other.cast::<u8>().copy_from_nonoverlapping(block, len) };
        if len > 0 {
            poison::hide(self.pointer(block.addr().get()), len);
        }
        Ok(other)
    }
}
