//! Bytes that were handed out: how far they go, and what is done to those that were taken back.

use std::ops::Range;

use crate::os::{self, OsError};
use crate::protection::Protection;
use crate::vm::clean::{self, Clean};
use crate::vm::poison;
use crate::vm::reservation::Region;

impl Region {
    /// The highest address that may have been written, where it is above every cursor.
    #[inline]
    pub(crate) fn high(&self) -> usize {
        self.high.get().max(self.dirt.get())
    }

    /// Before another life of the range begins, with a cursor at its base.
    #[inline]
    pub(crate) fn begin_anew(&self) {
        self.dirt.set(self.high());
        self.high.set(self.base.addr().get());
        self.quiet.set(0);
        poison::hide(self.base, self.committed.get());
    }

    /// So much may have been written, up to `address`.
    #[inline]
    pub(crate) fn note(&self, address: usize) {
        self.high.set(self.high.get().max(address));
    }

    /// Whether anything is done about bytes that are taken back.
    const fn cleans(&self) -> bool {
        poison::ON || !matches!(self.clean, Clean::Not)
    }

    /// To be called when a cursor is lowered from `end` to `start`: nothing between is used any more. Says whether anything
    /// was done about it, and protections may have changed.
    #[inline]
    pub(crate) fn take_back(&self, start: usize, end: usize) -> bool {
        end > self.quiet.get() && self.take_back_slowly(start, end)
    }

    #[cold]
    #[inline(never)]
    fn take_back_slowly(&self, start: usize, end: usize) -> bool {
        self.note(end);
        if !self.cleans() {
            self.quiet.set(self.high.get());
            return false;
        }
        if start < end {
            self.clean_up(start, end);
        }
        start < end
    }

    /// Does to the bytes at addresses `start..end` what is done to bytes that were taken back.
    pub(super) fn clean_up(&self, start: usize, end: usize) {
        let base = self.base.addr().get();
        let start = start - base;
        let end = (end - base).min(self.committed.get()).max(start);
        if self.is_here().is_err() {
            return;
        }
        match self.clean {
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

    /// Sets bytes that nobody uses, where they can be written; zero they become everywhere.
    fn set(&self, range: Range<usize>, value: u8) {
        let runs = self.protections.borrow().within(range);
        for (run, protection) in runs {
            let writable = protection.is_writable();
            // SAFETY: the run is committed, and nothing in it is used; that it can be written is seen to.
            let set = || unsafe { clean::set(self.at(run.start), run.len(), value) };
            if writable {
                set();
            } else if value == 0 {
                self.refused
                    .set(self.with_writable(run.clone(), protection, set).err().or(self.refused.get()));
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
        .inspect_err(|_| self.restore(pages))
    }
}
