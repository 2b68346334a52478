//! The cursor, and the two verbs that move it: up and down. They alone see to the limit of the fast path, the pins of views
//! and the water marks, which are drawn in `backing.rs`. Whoever moved a cursor by himself could forget one of them.

use core::ptr::NonNull;

use super::{Mallocator, Role};
use crate::error::Error;
use crate::pure::bump;
use crate::vm::poison;

impl Mallocator {
    /// The address of the next free byte of this arena or view. While a view is open on it, nothing is taken there.
    #[inline(always)]
    pub(in crate::arena) fn cursor(&self) -> usize {
        self.biased_cursor.get() - bump::BIAS
    }

    /// Where the next allocation begins, before it is aligned.
    pub(in crate::arena) fn innermost_cursor(&self) -> usize {
        self.innermost().cursor()
    }

    /// Bytes that can be had without asking for another range.
    pub(in crate::arena) fn at_hand(&self) -> usize {
        self.backing().end() - self.innermost_cursor()
    }

    #[inline(always)]
    pub(super) fn set_cursor(&self, address: usize) {
        self.biased_cursor.set(address + bump::BIAS);
    }

    /// To be called after anything that changes what is ready or how it is protected.
    pub(in crate::arena) fn set_limit(&self) {
        let limit = if self.writable().is_ok() { self.backing().ready() - bump::SLOW_MARGIN } else { 0 };
        self.innermost().limit.set(limit);
    }

    /// Up: memory for `size` bytes at a multiple of `align`, a power of two, at the innermost cursor, whatever the protection.
    /// `ample` is size and alignment of what is taken if there is room.
    pub(super) fn raise(
        &self,
        size: usize,
        align: usize,
        ample: (usize, usize),
    ) -> Result<NonNull<u8>, Error> {
        let (backing, innermost) = (self.backing(), self.innermost());
        let place = |(size, align)| bump::place(innermost.cursor(), size, align, backing.end());
        let block = match place(ample).or_else(|| place((size, align))) {
            Some(block) => block,
            None => self.refill(size, align, ample)?,
        };
        let ready = backing.make_ready(block.end);
        self.set_limit();
        ready?;
        innermost.set_cursor(block.end);
        self.pin_views(block.end);
        poison::hand_out(self.pointer(block.start), size);
        Ok(self.pointer(block.start))
    }

    /// Has the backing get more memory, and finds a place in it.
    #[cold]
    fn refill(&self, size: usize, align: usize, ample: (usize, usize)) -> Result<bump::Block, Error> {
        let (backing, innermost) = (self.backing(), self.innermost());
        let elsewhere = match backing.refill(innermost.cursor(), ample.0, ample.1) {
            Err(_) if ample != (size, align) => backing.refill(innermost.cursor(), size, align),
            other => other,
        };
        let elsewhere = elsewhere.map_err(|error| match error {
            Error::Exhausted { .. } => self.exhausted(size, align),
            other => other,
        })?;
        if let Some(start) = elsewhere {
            // What lies between is others', or may be: no cursor of the share goes back over it, whichever view asked.
            innermost.set_cursor(start);
            self.root().pin_all(start);
        }
        let place = |(size, align)| bump::place(innermost.cursor(), size, align, backing.end());
        place(ample).or_else(|| place((size, align))).ok_or_else(|| self.exhausted(size, align))
    }

    /// Up, in place: from `from` to `to`, if `from` is where the cursor is, no view is open, and there is room.
    pub(in crate::arena) fn raise_in_place(&self, from: usize, to: usize) -> bool {
        if poison::ON || self.cursor() != from || self.has_view() || !self.backing().extend(to) {
            return false;
        }
        if to > self.limit.get() {
            let ready = self.writable().is_ok() && self.backing().make_ready(to).is_ok();
            self.set_limit();
            if !ready {
                return false;
            }
        }
        self.set_cursor(to);
        true
    }

    /// Down: to `address`, but not below what is pinned or where the arena started, and never up.
    pub(in crate::arena) fn lower(&self, address: usize) {
        let start = match self.role {
            Role::Owner => self.base.addr().get(),
            Role::View { start } => start,
        };
        let lowest = start.max(self.pin.get());
        let cursor = self.cursor();
        let lowered = cursor.min(address.max(lowest));
        self.reclaim(lowered, cursor);
        self.set_cursor(lowered);
    }

    /// Down, from `end` to `new_end`, where a block of this arena that starts at `start` ends, if it is the last of all: in this
    /// arena, or, when it was taken while a view is open, in the innermost view. Then `pinned` is where what this arena has
    /// there ends, at most at `new_end`; of a share it may lie in an earlier block.
    pub(in crate::arena) fn lower_end(&self, start: usize, end: usize, new_end: usize, pinned: usize) {
        debug_assert!(start <= new_end && new_end <= end && pinned <= new_end);
        if poison::ON {
            return poison::hide(self.pointer(new_end), end - new_end);
        }
        if self.cursor() == end {
            return self.lower(new_end);
        }
        if self.has_view() && self.is_last(start, end) {
            // What was there before a block may be in another range of a share: what lies between is others'.
            let floor = self.backing().floor();
            let (new_end, pinned) = (new_end.max(floor).min(end), pinned.max(floor).min(end));
            self.reclaim(new_end, end);
            self.innermost().set_cursor(new_end);
            self.unpin(new_end);
            self.pin_views(new_end);
            if let Some(child) = self.child.get() {
                // SAFETY: a live view is on the stack of a scope that has not ended.
                unsafe { child.as_ref() }.pin.set(pinned);
            }
        }
    }

    /// Whether the block of this arena from `start` to `end` is the last in the innermost view, and was taken there.
    pub(in crate::arena) fn is_last(&self, start: usize, end: usize) -> bool {
        let innermost = self.innermost();
        // A view opened since starts after the block, and so does what is in it.
        innermost.cursor() == end && !matches!(innermost.role, Role::View { start: first } if first > start)
    }

    /// To be called when a cursor is lowered from `end` to `start`.
    #[inline]
    pub(super) fn reclaim(&self, start: usize, end: usize) {
        if self.backing().reclaim(start, end) {
            self.set_limit();
        }
    }

    /// Before everything that was handed out is forgotten.
    pub(super) fn note_high_water(&self) {
        let open = self.child.get().is_some();
        let backing = self.backing();
        backing.raise_high_water(if open { backing.ready() } else { self.cursor() });
    }

    /// Which of a share's arena and its views is above all others; of other arenas this one.
    fn root(&self) -> &Self {
        self.backing().root().map_or(self, |root| {
            // SAFETY: the arena of a share lies beside its backing, for as long.
            unsafe { root.as_ref() }
        })
    }
}
