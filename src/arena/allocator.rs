//! The `Allocator` trait: collections that live in an arena.

use core::alloc::Layout;
use core::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use crate::arena::mallocator::dangling;
use crate::arena::{Mallocator, Taken};
use crate::error::Error;

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
        // SAFETY: the caller's.
        let mut taken = unsafe { Taken::again(self, block, layout.size()) };
        taken.shorten(0);
        taken.keep();
    }

    /// Not inlined: a collection grows seldom, and the loops that fill it keep their variables in registers.
    #[inline(never)]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        let mut taken = unsafe { Taken::again(self, block, old.size()) };
        let grown = taken.grow(new);
        let start = taken.keep();
        sized(grown.map(|()| start), new)
    }

    #[inline(never)]
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

    #[inline]
    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        debug_assert!(new.size() <= old.size());
        // SAFETY: the caller's.
        let mut taken = unsafe { Taken::again(self, block, old.size()) };
        if block.addr().get() % new.align() == 0 {
            taken.shorten(new.size());
            let same = taken.keep();
            return sized(Ok(if new.size() == 0 { dangling(new) } else { same }), new);
        }
        let moved = taken.move_to(new);
        let start = taken.keep();
        sized(moved.map(|()| start), new)
    }
}

/// What the trait wants to hear: exactly the bytes asked for.
fn sized(block: Result<NonNull<u8>, Error>, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
    block.map(|start| NonNull::slice_from_raw_parts(start, layout.size())).map_err(|_| AllocError)
}
