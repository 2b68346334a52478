//! The range that a thread keeps: asking the system for one takes microseconds, making an arena of one at hand takes none.
//! Which ranges may be kept, what they may keep in memory, and the place where one is.

use std::cell::Cell;

use allocator_api2::boxed::Box;

use crate::os::{self, OsError};
use crate::vm::reservation::Reservation;

/// One range, in whatever an arena has it in, that is plain and has nothing in it.
pub(crate) struct Kept<T>(Cell<Option<Box<T>>>);

impl<T> Kept<T> {
    pub(crate) const fn nothing() -> Self {
        Self(Cell::new(None))
    }

    /// What is kept, if it is `wanted`.
    #[inline]
    pub(crate) fn take_if(&self, wanted: impl FnOnce(&T) -> bool) -> Option<Box<T>> {
        let kept = self.0.take()?;
        if wanted(&kept) {
            return Some(kept);
        }
        self.0.set(Some(kept));
        None
    }

    /// In place of what is kept.
    #[inline]
    pub(crate) fn keep(&self, range: Box<T>) {
        self.0.set(Some(range));
    }

    /// Releases what is kept, and says whether there was anything.
    pub(crate) fn clear(&self) -> bool {
        self.0.take().is_some()
    }
}

/// How many bytes of a range that a thread keeps may stay in memory.
const MOST_KEPT: usize = 1 << 20;

impl Reservation {
    /// Whether an arena that asks for `size` bytes and takes no less than `least` may have the range.
    #[inline]
    pub(crate) fn suits(&self, size: usize, least: usize) -> bool {
        self.asked == size && self.size() >= least
    }

    /// `size` was asked for before, and refused.
    pub(crate) fn set_asked(&mut self, size: usize) {
        self.asked = size;
    }

    /// Whether a thread may keep the range for the next arena: nothing sets it apart from others.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.plain.get()
    }

    /// Whether so little of the range is in memory that a thread may keep it as it is, if the first `touched` bytes may be.
    #[inline]
    pub(crate) fn is_light(&self, touched: usize) -> bool {
        touched <= self.steps.huge.map_or(MOST_KEPT, |huge| huge.from)
    }

    /// Makes the range one that a thread may keep: at most 1 MiB of it stays in memory, not counted what the system can take
    /// whenever it wants it.
    ///
    /// # Safety
    /// Nothing in the range is used again before it is handed out again.
    pub(crate) unsafe fn shed(&self, touched: usize) -> Result<(), OsError> {
        let Some(huge) = self.steps.huge else {
            // SAFETY: the caller's.
            return unsafe { self.decommit(MOST_KEPT) };
        };
        if touched <= huge.from {
            return Ok(());
        }
        // The first huge page is dear to get and cheap to hand back for a while.
        let kept = self.committed().min(huge.from + huge.page);
        // SAFETY: the caller's.
        unsafe {
            self.decommit(kept)?;
            os::discard(self.at(huge.from), kept - huge.from)
        }
    }
}
