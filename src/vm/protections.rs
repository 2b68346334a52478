//! What pages may be used for, and changes of it, which can be refused half way.

use std::ops::Range;

use crate::error::Error;
use crate::os::{self, OsError};
use crate::protection::Protection;
use crate::pure::runs::Runs;
use crate::vm::reservation::{Region, check};

impl Region {
    /// Changes the protection of every page that has a byte of `range`, given as offsets, and says what the first of
    /// them had. Pages not yet committed are committed first, except when `range` is the whole region: then they get
    /// `protection` once they are.
    ///
    /// When the system refuses half way, what was changed is changed back; when it refuses that too, the region counts
    /// as `NO_ACCESS` from then on.
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
        let page = self.steps.page;
        let before = self.protections.borrow().at(start);
        if start == end {
            return Ok(before);
        }
        let whole = start == 0 && end == self.size;
        let start = start / page * page;
        let end = if whole {
            self.committed.get()
        } else {
            let end = end.next_multiple_of(page);
            self.commit(end)?;
            end
        };
        if start < end {
            // SAFETY: the range lies in the committed prefix; the rest is the caller's promise.
            if let Err(refusal) = unsafe { self.set_pages(start..end, protection) } {
                self.restore(start..end);
                return Err(refusal.into());
            }
        }
        if whole {
            self.protections.replace(Runs::everywhere(protection));
        } else {
            self.protections.borrow_mut().set(start..end, protection);
        }
        Ok(before)
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
    pub(super) fn restore(&self, pages: Range<usize>) {
        let runs = self.protections.borrow().within(pages);
        let mut torn = false;
        // Each run, also behind one that is refused.
        for (run, protection) in runs {
            // SAFETY: the range lies in the committed prefix and gets what it had.
            torn |= unsafe { os::protect(self.at(run.start), run.len(), protection) }.is_err();
        }
        if torn {
            self.protections.replace(Runs::everywhere(Protection::NO_ACCESS));
        }
    }
}
