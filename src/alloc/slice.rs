//! Slices.

use std::alloc::Layout;
use std::slice;

use crate::error::{Error, granted};
use crate::mallocator::Mallocator;

impl Mallocator {
    /// Copies a slice into the arena.
    ///
    /// # Panics
    /// When [`try_alloc_slice_copy`](Self::try_alloc_slice_copy) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let primes = arena.alloc_slice_copy(&[2, 3, 5]);
    /// primes[0] = 7;
    /// assert_eq!(primes, [7, 3, 5]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_slice_copy<T: Copy>(&self, source: &[T]) -> &mut [T] {
        granted(self.try_alloc_slice_copy(source))
    }

    /// [`alloc_slice_copy`](Self::alloc_slice_copy) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_slice_copy(&[1.5, 2.5])?, [1.5, 2.5]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_slice_copy<T: Copy>(&self, source: &[T]) -> Result<&mut [T], Error> {
        let copy = self.take_layout(Layout::for_value(source))?.cast::<T>();
        // SAFETY: the block has the layout of `source`, is nobody else's for as long as the arena is borrowed, and so
        // does not overlap `source`.
        unsafe {
            copy.copy_from_nonoverlapping(slice_start(source), source.len());
            Ok(slice::from_raw_parts_mut(copy.as_ptr(), source.len()))
        }
    }

    /// Copies bytes into the arena, at the next free byte: the `AllocBytes` of the original.
    ///
    /// # Panics
    /// When [`try_alloc_bytes`](Self::try_alloc_bytes) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.alloc_bytes(&[0x7f, b'E', b'L', b'F']), b"\x7fELF");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_bytes(&self, bytes: &[u8]) -> &mut [u8] {
        self.alloc_slice_copy(bytes)
    }

    /// [`alloc_bytes`](Self::alloc_bytes) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert!(arena.try_alloc_bytes(&[0; 100_000]).is_err());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_bytes(&self, bytes: &[u8]) -> Result<&mut [u8], Error> {
        self.try_alloc_slice_copy(bytes)
    }
}

fn slice_start<T>(slice: &[T]) -> std::ptr::NonNull<T> {
    std::ptr::NonNull::from(slice).cast()
}
