//! Values.

use crate::error::{Error, granted};
use crate::mallocator::Mallocator;

impl Mallocator {
    /// Moves `value` into the arena. It is not dropped when the arena takes its memory back.
    ///
    /// # Panics
    /// When [`try_alloc`](Self::try_alloc) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let point = arena.alloc([1, 2]);
    /// point[1] = 3;
    /// assert_eq!(point, &[1, 3]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc<T>(&self, value: T) -> &mut T {
        granted(self.try_alloc(value))
    }

    /// [`alloc`](Self::alloc) that returns the error. The value is dropped then.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::new()?;
    /// assert_eq!(arena.try_alloc(7)?, &7);
    /// assert!(matches!(arena.try_alloc([0_u8; 100_000]), Err(Error::Exhausted { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc<T>(&self, value: T) -> Result<&mut T, Error> {
        let mut slot = self.take::<T>()?;
        // SAFETY: the slot is aligned, writable and nobody else's for as long as the arena is borrowed.
        unsafe {
            slot.write(value);
            Ok(slot.as_mut())
        }
    }

    /// Finds a place for a value and then calls `make` for it, so that a large one need not be moved. `make` may
    /// itself allocate from the arena.
    ///
    /// # Panics
    /// When [`try_alloc_with`](Self::try_alloc_with) would return an error. When `make` panics, the place is given
    /// back if it is still the last.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let outer = arena.alloc_with(|| Some(arena.alloc(5)));
    /// assert_eq!(outer.as_deref(), Some(&5));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_with<T>(&self, make: impl FnOnce() -> T) -> &mut T {
        granted(self.try_alloc_with(make))
    }

    /// [`alloc_with`](Self::alloc_with) that returns the error. `make` is not called then.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::new()?;
    /// assert!(arena.try_alloc_with(|| [1_u8; 100_000]).is_err());
    /// assert_eq!(arena.try_alloc_with(|| [1_u8; 1_000])?.len(), 1_000);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_with<T>(&self, make: impl FnOnce() -> T) -> Result<&mut T, Error> {
        let before = self.cursor();
        let mut slot = self.take::<T>()?;
        let unfinished = Unfinished { arena: self, before, after: self.cursor() };
        let value = make();
        std::mem::forget(unfinished);
        // SAFETY: the slot is aligned, writable and nobody else's for as long as the arena is borrowed; what `make`
        // allocated lies behind it.
        unsafe {
            slot.write(value);
            Ok(slot.as_mut())
        }
    }
}

/// A block whose contents the caller is still making. Dropped, which a panic does, it gives the block back, but only
/// if nothing was allocated behind it.
struct Unfinished<'a> {
    arena: &'a Mallocator,
    before: usize,
    after: usize,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.arena.cursor() == self.after {
            self.arena.lower_cursor(self.before);
        }
    }
}
