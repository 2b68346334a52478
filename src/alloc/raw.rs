//! Memory by size and alignment.

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::arena::Mallocator;
use crate::error::Error;

impl Mallocator {
    /// Moves the cursor up to a multiple of `align`, hands out the `size` bytes from there, and does not touch them:
    /// the `Alloc` of the original, checked.
    ///
    /// It works whatever the protection of the region. `size` may be 0: then the cursor is only aligned. What aligning
    /// skips is committed too. The memory is not zeroed; what was never handed out before is zero, unless the memory was
    /// lent, or the arena took over the range of an earlier one ([`Builder::reuse`](crate::Builder::reuse)).
    ///
    /// # Errors
    /// [`Error::InvalidAlignment`] when `align` is not a power of two; [`Error::Exhausted`] when the block does not fit
    /// in what is left; [`Error::Os`] when the system refuses memory. The cursor has not moved.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::new()?;
    /// let header = arena.alloc_raw(10, 1)?;
    /// let table = arena.alloc_raw(256, 64)?;
    /// assert_eq!(arena.offset_of(table.as_ptr().cast::<u8>()), Some(64));
    /// assert_eq!((header.len(), table.len(), arena.used()), (10, 256, 320));
    /// assert!(matches!(arena.alloc_raw(1, 3), Err(Error::InvalidAlignment { align: 3 })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn alloc_raw(&self, size: usize, align: usize) -> Result<NonNull<[u8]>, Error> {
        if !align.is_power_of_two() {
            return Err(Error::InvalidAlignment { align });
        }
        Ok(NonNull::slice_from_raw_parts(self.take_raw(size, align)?, size))
    }

    /// Memory for `layout`, uninitialised. A layout of size 0 takes none and gets a dangling pointer, aligned.
    ///
    /// Unlike [`alloc_raw`](Self::alloc_raw) it refuses a region that is not
    /// [writable](crate::Protection::is_writable).
    ///
    /// # Panics
    /// When [`try_alloc_layout`](Self::try_alloc_layout) would return an error.
    ///
    /// ```
    /// use std::alloc::Layout;
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::new()?;
    /// let block = arena.alloc_layout(Layout::new::<[u64; 4]>());
    /// assert!(block.cast::<u64>().is_aligned());
    /// assert_eq!(arena.used(), 32);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        self.take_layout_or_panic(layout)
    }

    /// [`alloc_layout`](Self::alloc_layout) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// use std::alloc::Layout;
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::new()?;
    /// let refused = arena.try_alloc_layout(Layout::new::<[u8; 100_000]>());
    /// assert!(matches!(refused, Err(Error::Exhausted { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        self.take_layout(layout)
    }
}
