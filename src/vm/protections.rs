//! What pages may be used for, and changes of it, which can be refused half way.

use std::ops::Range;

use crate::error::Error;
use crate::os::{self, OsError};
use crate::protection::Protection;
use crate::pure::runs::Runs;
use crate::vm::reservation::{Reservation, check};

/// What a change of protections leaves over. It has heap memory, and is dropped last of all: whoever gives that memory back may
/// use the arena.
#[derive(Debug, Default)]
#[must_use = "to be dropped once the arena is as it is to be"]
pub(crate) struct Leftover(Option<Runs<Protection>>);

impl Reservation {
    /// Changes the protection of every page that has a byte of `range`, given as offsets, and says what the first of
    /// them had. Pages not yet committed are committed first, except when `range` is the whole range: then they get
    /// `protection` once they are. `before_the_change` is called when all heap memory has been asked for.
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
        leftover: &mut Leftover,
        before_the_change: impl FnOnce(),
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
        let page = self.steps.page;
        let before =
            self.torn.get().map_or_else(|| self.protections.borrow().at(start), |_| Protection::NO_ACCESS);
        if start == end {
            return Ok(before);
        }
        let whole = start == 0 && end == self.size;
        let start = start / page * page;
        let end = if whole { self.size } else { end.next_multiple_of(page) };
        let changed =
            if whole { Runs::everywhere(protection) } else { self.with_change(start..end, protection)? };
        before_the_change();
        let outcome = self.change_pages(start..end, whole, protection);
        leftover.0 = Some(match outcome {
            Ok(()) => self.protections.replace(changed),
            Err(_) => changed,
        });
        if outcome.is_ok() && whole {
            self.protection.set(protection);
            self.torn.set(None);
        }
        Ok(outcome.map(|()| before)?)
    }

    /// The protections as they will be. Nobody has borrowed them while the heap is asked for memory.
    fn with_change(&self, range: Range<usize>, protection: Protection) -> Result<Runs<Protection>, Error> {
        loop {
            let wanted = self.protections.borrow().most_after_a_change();
            let mut room = Vec::new();
            room.try_reserve_exact(wanted)
                .map_err(|_| Error::Heap { size: wanted * size_of::<(Range<usize>, Protection)>() })?;
            let now = self.protections.borrow();
            // Whoever gave the memory may have changed more.
            if now.most_after_a_change() <= room.capacity() {
                return Ok(now.changed(range, protection, room));
            }
        }
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
