//! Views, and what is pinned in them.
//!
//! What a scope is given is a `Mallocator` too: a view, on the stack of [`scope`](Mallocator::scope), with a cursor of its
//! own that starts where its parent's stands. Owner and live views form a chain, and only its innermost member has a limit
//! above 0. So the fast path of the others fails at no cost, and their slow path takes the memory from the innermost and
//! *pins* it: each view on the way will leave its parent's cursor no lower than the end of what was taken.

use core::cell::Cell;
use core::ptr::NonNull;

use super::{Mallocator, Role};

impl Mallocator {
    /// A view of this arena or view, which has none: not open yet.
    ///
    /// It must not outlive the borrow of `self`.
    #[inline]
    pub(in crate::arena) fn view(&self) -> Self {
        Self {
            biased_cursor: self.biased_cursor.clone(),
            base: self.base,
            child: Cell::new(None),
            pin: Cell::new(0),
            backing: self.backing,
            role: Role::View { start: self.cursor() },
            limit: self.limit.clone(),
        }
    }

    /// Opens `view`, which was just made of it.
    ///
    /// # Safety
    /// `view` stays where it is until [`close`](Self::close) has been called, or for ever.
    #[inline]
    pub(in crate::arena) unsafe fn open(&self, view: &Self) {
        self.child.set(Some(NonNull::from(view)));
        self.limit.set(0);
    }

    /// Closes `view`, which was opened on this arena or view: the cursor goes back to where it was, or to the end of
    /// what was pinned.
    #[inline]
    pub(in crate::arena) fn close(&self, view: &Self) {
        if self.child.get() != Some(NonNull::from(view)) || view.child.get().is_some() {
            // A scope was suspended and ends before one that was opened in it later: whichever cursor went back now
            // would hand out memory that is in use.
            std::process::abort();
        }
        let settled = self.cursor().max(view.pin.get());
        // By way of the view, which is new: the parent may be a forgotten one of an arena that has moved since.
        view.reclaim(settled, view.cursor());
        self.child.set(None);
        self.set_cursor(settled);
        self.unpin(settled);
        self.limit.set(view.limit.get());
    }

    /// Forgets views that were never closed, as nobody is left to use them. What this arena took meanwhile stays taken.
    ///
    /// To be called by whoever owns the arena, or borrows it exclusively.
    pub(crate) fn forget_views(&self) {
        self.set_cursor(self.settled());
        if self.child.take().is_some() {
            self.reclaim(self.cursor(), self.backing().ready());
            self.set_limit();
        }
    }

    /// The end of the chain of live views, this one if it has none.
    #[inline]
    pub(in crate::arena) fn innermost(&self) -> &Self {
        let mut innermost = self;
        while let Some(child) = innermost.child.get() {
            // SAFETY: a live view is on the stack of a scope that has not ended, and does not move.
            innermost = unsafe { child.as_ref() };
        }
        innermost
    }

    /// Whether a scope is open on this arena or view.
    pub(in crate::arena) fn has_view(&self) -> bool {
        self.child.get().is_some()
    }

    /// Where the cursor will be when the open view has closed, if nothing more happens.
    pub(in crate::arena) fn settled(&self) -> usize {
        // SAFETY: a live view is on the stack of a scope that has not ended.
        let pin = self.child.get().map_or(0, |child| unsafe { child.as_ref() }.pin.get());
        self.cursor().max(pin)
    }

    /// Pins every view that is open on this arena or view, at the end of the last block that an outer arena has in them.
    pub(super) fn pin_views(&self, end: usize) {
        let mut view = self.child.get();
        while let Some(passed) = view {
            // SAFETY: a live view is on the stack of a scope that has not ended.
            let passed = unsafe { passed.as_ref() };
            passed.pin.set(end);
            view = passed.child.get();
        }
    }

    /// No cursor of this arena or of a view in it goes below `start` again.
    pub(super) fn pin_all(&self, start: usize) {
        self.pin.set(start);
        self.pin_views(start);
    }

    /// Nothing lies above `end`, so that what was pinned there is gone.
    pub(super) fn unpin(&self, end: usize) {
        self.pin.set(self.pin.get().min(end));
    }
}
