//! What pages may be used for, and changes of it, which can be refused half way.

use std::ops::Range;

use crate::error::Error;
use crate::os::{self, OsError};
use crate::protection::Protection;
use crate::vm::reservation::{Reservation, check};

impl Reservation {
    /// Changes the protection of every page that has a byte of `range`, given as offsets, and says what the first of
    /// them had. Pages not yet committed are committed first, except when `range` is the whole range: then they get
    /// `protection` once they are. The heap is asked for memory, and given back what is not needed any more, before anything
    /// changes: whoever hears of that may use the arena.
    ///
    /// When the system refuses half way, what was changed is changed back; when it refuses that too, the range is
    /// [torn](Self::torn).
    ///
    /// # Safety
    /// No live reference into the pages loses what it needs, now or at a later access.
    pub(crate) unsafe fn protect(
        &self,
        range: Range<usize>,
        protection: Protection,
    ) -> Result<Protection, Error> {
        check(protection)?;
        self.is_here()?;
        self.plain.set(false);
        let Range { start, end } = range;
        if start > end {
            return Err(Error::RangeReversed { start, end });
        }
        if end > self.size {
            return Err(Error::RangePastEnd { end, size: self.size });
        }
        let whole = start == 0 && end == self.size;
        if start < end && !whole {
            self.make_room()?;
        }
        let before =
            self.torn.get().map_or_else(|| self.protections.borrow().at(start), |_| Protection::NO_ACCESS);
        if start == end {
            return Ok(before);
        }
        let page = self.steps.page;
        let start = start / page * page;
        let end = if whole { self.size } else { end.next_multiple_of(page) };
        self.change_pages(start..end, whole, protection)?;
        let mut protections = self.protections.borrow_mut();
        if whole {
            protections.set_everywhere(protection);
            self.protection.set(protection);
            self.torn.set(None);
        } else {
            protections.set(start..end, protection);
        }
        Ok(before)
    }

    /// Nobody has borrowed the protections while the heap is asked for memory, or is given some back.
    fn make_room(&self) -> Result<(), Error> {
        // Whoever gave memory, or took it, may have changed more.
        while let Some(wanted) = self.room_wanted() {
            let mut room = Vec::new();
            room.try_reserve_exact(wanted)
                .map_err(|_| Error::Heap { size: wanted * size_of::<(Range<usize>, Protection)>() })?;
            let old = self.protections.borrow_mut().moved_to(room);
            drop(old);
        }
        Ok(())
    }

    fn room_wanted(&self) -> Option<usize> {
        self.protections.borrow().room_wanted()
    }

    fn change_pages(&self, pages: Range<usize>, whole: bool, protection: Protection) -> Result<(), OsError> {
        let end = if whole {
            self.committed.get()
        } else {
            self.commit(pages.end)?;
            pages.end
        };
        if pages.start < end {
            // SAFETY: the range lies in the committed prefix; the rest is the promise of who called `protect`.
            unsafe { self.set_pages(pages.start..end, protection) }
                .inspect_err(|&refusal| self.restore(pages.start..end, refusal))?;
        }
        Ok(())
    }

    /// # Safety
    /// As [`protect`](Self::protect); `pages` lie in the committed prefix and are not empty.
    unsafe fn set_pages(&self, pages: Range<usize>, protection: Protection) -> Result<(), OsError> {
        let (start, len) = (self.at(pages.start), pages.len());
        // The caches are flushed by address, which takes pages that can be read.
        let for_flushing = protection | Protection::READ;
        // SAFETY: as the function's contract.
        unsafe {
            if protection.is_executable() {
                os::protect(start, len, for_flushing)?;
                os::flush_instruction_cache(start, len)?;
                if protection == for_flushing {
                    return Ok(());
                }
            }
            os::protect(start, len, protection)
        }
    }

    /// After a failure that may have changed some of `pages`.
    pub(super) fn restore(&self, pages: Range<usize>, refusal: OsError) {
        // What they had is not known, so that giving them that would take from live data what it has.
        if self.torn.get().is_some() {
            return;
        }
        // Each run, also after one that is refused.
        for (run, protection) in self.protections.borrow().within(pages) {
            // SAFETY: the range lies in the committed prefix and gets what it had.
            if unsafe { os::protect(self.at(run.start), run.len(), protection) }.is_err() {
                self.torn.set(Some(refusal));
                self.protection.set(Protection::NO_ACCESS);
            }
        }
    }
}
