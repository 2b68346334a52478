//! Text as Rust has it: UTF-8.

use crate::error::{Error, granted};
use crate::mallocator::Mallocator;

impl Mallocator {
    /// Copies a string into the arena, as UTF-8, with no NUL.
    ///
    /// # Panics
    /// When [`try_alloc_str`](Self::try_alloc_str) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let name = arena.alloc_str("main");
    /// name.make_ascii_uppercase();
    /// assert_eq!(name, "MAIN");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_str(&self, text: &str) -> &mut str {
        granted(self.try_alloc_str(text))
    }

    /// [`alloc_str`](Self::alloc_str) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_str("naïve")?.len(), 6);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_str(&self, text: &str) -> Result<&mut str, Error> {
        let copy = self.try_alloc_slice_copy(text.as_bytes())?;
        // SAFETY: a copy of valid UTF-8.
        Ok(unsafe { std::str::from_utf8_unchecked_mut(copy) })
    }
}
