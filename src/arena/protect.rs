//! Changing what pages may be used for.

use core::ops::Range;

use crate::arena::Mallocator;
use crate::error::Error;
use crate::protection::Protection;

impl Mallocator {
    /// Changes what the pages that hold any byte of `range` may be used for, and returns what the first of them was.
    /// `range` is in bytes from the base.
    ///
    /// Pages that are not committed yet are committed first. The whole reservation, `0..size()`, is special: only what
    /// is committed changes at once, what is committed later follows, and [`protection`](Self::protection) is the new
    /// one. So an arena changed as a whole to something that cannot be written refuses to be written, with
    /// [`Error::NotWritable`], instead of faulting.
    ///
    /// A change to an executable protection makes code that was written to the pages visible to instruction fetch
    /// (`FlushInstructionCache`), also when it changes nothing else.
    ///
    /// # Errors
    /// [`Error::RangeReversed`], [`Error::RangePastEnd`], [`Error::InvalidProtection`], [`Error::Unsupported`],
    /// [`Error::NotItsOwn`], [`Error::Heap`] when there is no memory to keep a list of what the pages are, or
    /// [`Error::Os`] when the system refuses. Then no protection has changed, though more may be committed; if the system
    /// refuses to restore pages that it has changed, the arena counts as [`Protection::NO_ACCESS`].
    ///
    /// # Safety
    /// The pages of `range`, rounded outwards to [`page_size`](crate::page_size):
    /// - hold nothing that is used again in a way that needs the old protection, whether by a reference, code that runs, an
    ///   owner (a collection, a box, a [`Lent`](crate::Lent) arena; their drops write, too), a [`Batch`](crate::Batch), or an
    ///   allocation that a closure or an iterator is still making;
    /// - are given back a protection that allows ordinary stores before anything is allocated in them again, also after
    ///   [`rewind`](Self::rewind) and [`reset`](Self::reset), unless the range is the whole reservation;
    /// - with [`zero_on_release`](crate::Builder::zero_on_release), hold nothing that is taken back while another thread
    ///   executes code in them: they are writable for that moment, and not executable.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let arena = Mallocator::new()?;
    /// let table = arena.alloc_slice_copy(&[2, 3, 5, 7]);
    /// let table: &[i32] = table;
    /// // SAFETY: what is in the pages is only read from here on, and nothing more is allocated.
    /// let before = unsafe { arena.protect(0..arena.used(), Protection::READ)? };
    /// assert_eq!(before, Protection::READ_WRITE);
    /// assert_eq!(table[3], 7); // a store to it would be a fault
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub unsafe fn protect(&self, range: Range<usize>, protection: Protection) -> Result<Protection, Error> {
        let range_of_its_own = self.backing().reservation().ok_or(Error::NotItsOwn { call: "protect" })?;
        // SAFETY: the caller's promise.
        let before = unsafe { range_of_its_own.protect(range, protection) };
        self.set_limit();
        before
    }
}
