//! What is done to bytes of a range that were taken back. It asks the heap for nothing: the heap's allocator may be the
//! arena's own user, and cursors are being moved.

use std::ops::Range;

use crate::os::{self, OsError};
use crate::protection::Protection;
use crate::vm::clean::{self, Clean};
use crate::vm::poison;
use crate::vm::reservation::Reservation;

impl Reservation {
    /// Does to the bytes at addresses `start..end`, which nobody uses, what is done to bytes that were taken back.
    pub(crate) fn clean_up(&self, start: usize, end: usize, clean: Clean) {
        let base = self.base.addr().get();
        let start = start - base;
        let end = (end - base).min(self.committed.get()).max(start);
        if self.is_here().is_err() {
            return;
        }
        match clean {
            Clean::Zero => {
                poison::show(self.at(start), end - start);
                self.set(start..end, 0);
            }
            // What is hidden needs no pattern.
            Clean::Fill if !poison::ON => {
                self.set(start..end.min(start.saturating_add(clean::FILLED)), clean::PATTERN);
            }
            _ => {}
        }
        poison::hide(self.at(start), end - start);
    }

    /// Sets bytes that nobody uses, where they can be written; zero they become everywhere, but where nobody knows what the
    /// pages may be used for.
    fn set(&self, range: Range<usize>, value: u8) {
        if self.torn.get().is_some() {
            self.refused.set(self.torn.get().filter(|_| value == 0).or(self.refused.get()));
            return;
        }
        for (run, protection) in self.protections.borrow().within(range) {
            let writable = protection.is_writable();
            // SAFETY: the run is committed, and nothing in it is used; that it can be written is seen to.
            let set = || unsafe { clean::set(self.at(run.start), run.len(), value) };
            if writable {
                set();
            } else if value == 0 {
                self.refused
                    .set(self.with_writable(run.clone(), protection, set).err().or(self.refused.get()));
                if self.torn.get().is_some() {
                    return;
                }
            }
        }
    }

    /// Calls `act` while the pages that have a byte of `range` can be written, whose protection is `protection`.
    fn with_writable(
        &self,
        range: Range<usize>,
        protection: Protection,
        act: impl Fn(),
    ) -> Result<(), OsError> {
        let page = self.steps.page;
        let pages = range.start / page * page..range.end.next_multiple_of(page);
        let (start, len) = (self.at(pages.start), pages.len());
        // SAFETY: the pages are committed, and nobody executes what is taken back.
        unsafe {
            os::protect(start, len, Protection::READ_WRITE)?;
            act();
            os::protect(start, len, protection)
        }
        .inspect_err(|&refusal| self.restore(pages, refusal))
    }
}
