//! Going back: remember where the cursor is, and return to it.

use crate::mallocator::Mallocator;

/// Where the cursor of an arena was. Made by [`Mallocator::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    address: usize,
}

impl Mallocator {
    /// Remembers how much is in use, for [`rewind`](Self::rewind).
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let before = arena.mark();
    /// arena.alloc(1);
    /// assert!(arena.mark() > before);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn mark(&self) -> Mark {
        Mark { address: self.cursor() }
    }

    /// Takes back everything that was handed out since `mark`. When less is in use than then, nothing happens.
    ///
    /// # Safety
    /// - `mark` was made by this arena.
    /// - Nothing that was allocated since is used again.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let kept = arena.alloc(1);
    /// let mark = arena.mark();
    /// arena.alloc_bytes(&[0; 1000]);
    /// // SAFETY: the thousand bytes are not used again.
    /// unsafe { arena.rewind(mark) };
    /// assert_eq!((arena.used(), *kept), (4, 1));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub unsafe fn rewind(&self, mark: Mark) {
        if mark.address < self.cursor() {
            self.lower_cursor(mark.address);
        }
    }
}
