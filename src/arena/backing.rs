//! Where the memory of an arena comes from, and how far it goes: a reservation of its own, a thread's share of a
//! [`SyncMallocator`](crate::SyncMallocator), or memory that somebody lent.
//!
//! Owner and views have one pointer to one of these. Marks on the address line of an arena, from its base up:
//!
//! ```text
//!   base                 cursor          high_water            ready            end
//!    |----- handed out -----|---- free, was used -|---- zero ----|-- not committed --|
//!    |--------- may not be zero from an earlier life ----| dirty_below
//! ```
//!
//! - `base`: where the arena begins; every pointer that it hands out derives from here.
//! - *cursor*: the next free byte. It is in the [`Mallocator`], or in the innermost of its views.
//! - `high_water`: where memory begins that was not written in this life of the range; counted only when a cursor is lowered,
//!   so that it may be below the cursor.
//! - `dirty_below`: the same of earlier lives: from there, and from the high water on, memory is zero.
//! - [`ready`](Backing::ready): what lies below can be touched. The limit of the fast path is a margin below.
//! - [`end`](Backing::end): what lies below can be had without asking anybody for another range.

use core::cell::Cell;
use core::ptr::NonNull;

use allocator_api2::boxed::Box;

use crate::arena::Mallocator;
use crate::arena::lent::Lender;
use crate::arena::shared::share::Share;
use crate::error::Error;
use crate::os::OsError;
use crate::protection::Protection;
use crate::vm::reuse::Kept;
use crate::vm::{Clean, Options, Reservation, clean, poison};

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Backing {
    base: NonNull<u8>,
    high_water: Cell<usize>,
    /// A cursor that is lowered from there, or from below, changes nothing: at most `high_water`, and 0 where something is
    /// always done.
    quiet_below: Cell<usize>,
    dirty_below: Cell<usize>,
    /// What is done to bytes that are taken back.
    clean: Clean,
    kind: Kind,
}

/// Whose memory it is.
#[derive(Debug)]
pub(super) enum Kind {
    /// A range that the arena has reserved.
    Own(Box<Reservation>),
    /// Blocks of a range that threads share.
    Share(Share),
    /// Memory that somebody else owns, or that came in a box: all of it is there, and writable.
    Lent(Lender),
}

thread_local! {
    /// Dropped, and so released, when the thread ends.
    static KEPT: Kept<Backing> = const { Kept::nothing() };
}

/// Puts bookkeeping on the heap. If that refuses, what was to be put there ends.
pub(super) fn boxed<T>(value: T) -> Result<Box<T>, Error> {
    Box::try_new(value).map_err(|_| Error::Heap { size: size_of::<T>() })
}

/// Releases what this thread keeps, and says whether there was anything.
pub(crate) fn release_kept() -> bool {
    KEPT.try_with(Kept::clear).unwrap_or(false)
}

impl Backing {
    pub(super) fn new(base: NonNull<u8>, dirty_below: usize, clean: Clean, kind: Kind) -> Self {
        Self {
            base,
            high_water: Cell::new(base.addr().get()),
            quiet_below: Cell::new(0),
            dirty_below: Cell::new(dirty_below),
            clean,
            kind,
        }
    }

    /// Over all of a range that was just reserved.
    pub(super) fn own(reservation: Box<Reservation>) -> Self {
        let base = reservation.base();
        Self::new(base, base.addr().get(), reservation.options().clean(), Kind::Own(reservation))
    }

    /// What this thread keeps, if it is what an arena would reserve that asks for `size` bytes and takes no less than `least`
    /// and has no other wishes. Its contents are whatever was left below [`dirty_below`](Self::dirty_below).
    #[inline]
    pub(super) fn kept(size: usize, least: usize) -> Option<Box<Self>> {
        // In the destructor of another thread-local there may be none left.
        let suits = |backing: &Self| backing.reservation().is_some_and(|range| range.suits(size, least));
        KEPT.try_with(|kept| kept.take_if(suits)).ok().flatten()
    }

    /// The end of an arena: its range is kept for the next one of this thread, in place of the one that it keeps, or released.
    ///
    /// # Safety
    /// It is the arena's, nothing in the range is used again before it is handed out again, and its high water is above every
    /// cursor.
    #[inline]
    pub(super) unsafe fn retire(backing: NonNull<Self>) {
        // SAFETY: the caller's.
        let this = unsafe { backing.as_ref() };
        if let Kind::Own(range) = &this.kind {
            if range.is_plain() && range.is_light(this.touched()) {
                this.begin_anew();
                // SAFETY: the backing of an arena that has its own range is in a box, and the caller's.
                let backing = unsafe { Box::from_raw(backing.as_ptr()) };
                let _ = KEPT.try_with(|kept| kept.keep(backing));
                return;
            }
        }
        // SAFETY: the caller's.
        unsafe { Self::retire_slow(backing) };
    }

    /// # Safety
    /// As for [`retire`](Self::retire).
    #[cold]
    unsafe fn retire_slow(backing: NonNull<Self>) {
        // SAFETY: the caller's.
        if let Kind::Lent(_) = unsafe { &backing.as_ref().kind } {
            // SAFETY: the caller's.
            return unsafe { Self::give_up(backing) };
        }
        // SAFETY: an arena that is neither lent its memory, nor a share, which nobody owns, has its backing in a box.
        let backing = unsafe { Box::from_raw(backing.as_ptr()) };
        // SAFETY: the caller's.
        if backing.reservation().is_some_and(Reservation::is_plain) && unsafe { backing.shed() }.is_ok() {
            backing.begin_anew();
            let _ = KEPT.try_with(|kept| kept.keep(backing));
        }
    }

    /// How many bytes from the base on may be in memory.
    fn touched(&self) -> usize {
        self.high_water.get() - self.base.addr().get()
    }

    /// The same of memory that was lent, in which the backing lies.
    ///
    /// # Safety
    /// As for [`retire`](Self::retire).
    #[cold]
    unsafe fn give_up(backing: NonNull<Self>) {
        // SAFETY: the caller's. Copies, as the backing goes with the memory.
        let (base, lender) = match unsafe { backing.as_ref() } {
            Self { base, kind: Kind::Lent(lender), .. } => (*base, *lender),
            _ => return,
        };
        lender.give_back(base);
    }

    /// Gives everything back to the system, address space and all, or to whoever lent it, and says what was refused.
    ///
    /// # Safety
    /// As for [`retire`](Self::retire).
    pub(super) unsafe fn release(backing: NonNull<Self>) -> Result<(), OsError> {
        // SAFETY: the caller's.
        if let Kind::Own(_) = unsafe { &backing.as_ref().kind } {
            // SAFETY: the backing of an arena that has its own range is in a box.
            return Box::into_inner(unsafe { Box::from_raw(backing.as_ptr()) }).release_owned();
        }
        // SAFETY: the caller's.
        unsafe { Self::give_up(backing) };
        Ok(())
    }

    /// Gives a range that the arena has reserved back to the system, and says what was refused.
    pub(super) fn release_owned(mut self) -> Result<(), OsError> {
        self.clean_all();
        match &mut self.kind {
            Kind::Own(range) => range.release(),
            Kind::Share(_) | Kind::Lent(_) => Ok(()),
        }
    }

    /// # Safety
    /// As for [`Reservation::shed`].
    unsafe fn shed(&self) -> Result<(), OsError> {
        let Some(range) = self.reservation() else { return Ok(()) };
        // SAFETY: the caller's.
        let outcome = unsafe { range.shed(self.touched()) };
        self.after_decommit();
        outcome
    }

    /// Before another life of the range begins, with a cursor at its base.
    #[inline]
    fn begin_anew(&self) {
        self.dirty_below.set(self.dirty());
        self.high_water.set(self.base.addr().get());
        self.quiet_below.set(0);
        if poison::ON {
            self.hide(self.base.addr().get(), self.ready());
        }
    }

    pub(super) const fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(super) const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The arena's own range, if it has one.
    #[inline]
    pub(super) fn reservation(&self) -> Option<&Reservation> {
        match &self.kind {
            Kind::Own(range) => Some(range),
            _ => None,
        }
    }

    /// The arena of a share, above all of its views.
    pub(super) fn root(&self) -> Option<NonNull<Mallocator>> {
        match &self.kind {
            Kind::Share(share) => share.root(),
            _ => None,
        }
    }

    pub(super) fn set_root(&self, root: NonNull<Mallocator>) {
        if let Kind::Share(share) = &self.kind {
            share.set_root(root);
        }
    }

    /// A checker is told that nobody has the bytes from `start` to `end`.
    pub(super) fn hide(&self, start: usize, end: usize) {
        if poison::ON {
            poison::hide(self.pointer(start), end - start);
        }
    }

    /// What lies below can be touched, if the protection allows it.
    pub(super) fn ready(&self) -> usize {
        match &self.kind {
            Kind::Own(range) => range.base().addr().get() + range.committed(),
            Kind::Share(share) => share.end(),
            Kind::Lent(lender) => lender.end(),
        }
    }

    /// What lies below can be had without asking anybody for another range.
    pub(super) fn end(&self) -> usize {
        match &self.kind {
            Kind::Own(range) => range.end(),
            Kind::Share(share) => share.end(),
            Kind::Lent(lender) => lender.end(),
        }
    }

    /// Where the range begins that the cursor is in: none goes below, however far it came.
    pub(super) fn floor(&self) -> usize {
        match &self.kind {
            Kind::Share(share) => share.start(),
            Kind::Own(_) | Kind::Lent(_) => self.base.addr().get(),
        }
    }

    /// What can be had after [`end`](Self::end), in bytes.
    pub(super) fn elsewhere(&self) -> usize {
        match &self.kind {
            Kind::Share(share) => share.shared().available(),
            _ => 0,
        }
    }

    /// The size of the range that pointers are looked for in.
    pub(super) fn size(&self) -> usize {
        match &self.kind {
            Kind::Own(range) => range.size(),
            Kind::Share(share) => share.shared().size(),
            Kind::Lent(lender) => lender.end() - self.base.addr().get(),
        }
    }

    pub(super) fn committed(&self) -> usize {
        match &self.kind {
            Kind::Own(range) => range.committed(),
            Kind::Share(share) => share.shared().committed(),
            Kind::Lent(_) => self.size(),
        }
    }

    /// What the arena has below `cursor`, in bytes.
    pub(super) fn used(&self, cursor: usize) -> usize {
        match &self.kind {
            Kind::Share(share) => share.used(cursor),
            _ => cursor - self.base.addr().get(),
        }
    }

    pub(super) fn protection(&self) -> Protection {
        match &self.kind {
            Kind::Own(range) => range.protection(),
            Kind::Share(share) => share.shared().protection(),
            Kind::Lent(_) => Protection::READ_WRITE,
        }
    }

    /// What was asked of the builder, or would have been.
    pub(super) fn options(&self) -> Options {
        match &self.kind {
            Kind::Own(range) => range.options().clone(),
            Kind::Share(share) => share.shared().options().clone(),
            Kind::Lent(_) => Options { debug_fill: self.clean == Clean::Fill, ..Options::new(self.size()) },
        }
    }

    /// Sees to it that everything below `end`, which is at most that of the range, can be touched.
    pub(super) fn make_ready(&self, end: usize) -> Result<(), OsError> {
        match &self.kind {
            Kind::Own(range) => range.commit(end - range.base().addr().get()),
            Kind::Share(_) | Kind::Lent(_) => Ok(()),
        }
    }

    /// More memory for an arena whose innermost cursor is at `cursor`, with room for `size` bytes at a multiple of `align`:
    /// the cursor to go on from, and below which nothing may be taken back any more, if it is another.
    #[cold]
    pub(super) fn refill(&self, cursor: usize, size: usize, align: usize) -> Result<Option<usize>, Error> {
        let refused = |available| Err(Error::exhausted(size, align, available));
        match &self.kind {
            Kind::Share(share) => {
                self.raise_high_water(cursor);
                let start = share.refill(cursor, size, align)?;
                self.hide(start, share.end());
                Ok((start != cursor).then_some(start))
            }
            Kind::Own(_) | Kind::Lent(_) => refused(self.end() - cursor),
        }
    }

    /// Whether there is memory up to `to` without a gap, or could be had.
    pub(super) fn extend(&self, to: usize) -> bool {
        to <= self.end()
            || match &self.kind {
                Kind::Share(share) => share.extend(to),
                Kind::Own(_) | Kind::Lent(_) => false,
            }
    }

    /// Gives memory back from the first page boundary at or above `cursor` on.
    ///
    /// # Safety
    /// Nothing above the cursor is in use, and nothing is used there before it is made ready again.
    pub(super) unsafe fn decommit(&self, cursor: usize) -> Result<(), OsError> {
        let Some(range) = self.reservation() else { return Ok(()) };
        // SAFETY: the caller's.
        let outcome = unsafe { range.decommit(cursor - self.base.addr().get()) };
        self.after_decommit();
        outcome
    }

    /// What is committed anew is zero.
    fn after_decommit(&self) {
        let ready = self.ready();
        self.high_water.set(self.high_water.get().min(ready));
        self.dirty_below.set(self.dirty_below.get().min(ready));
        self.quiet_below.set(0);
    }

    /// From here on memory is zero, where it is above every cursor.
    #[inline]
    pub(super) fn dirty(&self) -> usize {
        self.high_water.get().max(self.dirty_below.get())
    }

    /// So much may have been written, up to `address`.
    #[inline]
    pub(super) fn raise_high_water(&self, address: usize) {
        self.high_water.set(self.high_water.get().max(address));
    }

    /// To be called when a cursor is lowered from `end` to `start`: nothing between is used any more. Says whether anything
    /// was done about it, so that protections may have changed.
    #[inline]
    pub(super) fn reclaim(&self, start: usize, end: usize) -> bool {
        end > self.quiet_below.get() && self.reclaim_slow(start, end)
    }

    #[cold]
    #[inline(never)]
    fn reclaim_slow(&self, start: usize, end: usize) -> bool {
        self.raise_high_water(end);
        if !poison::ON && self.clean == Clean::Not {
            self.quiet_below.set(self.high_water.get());
            return false;
        }
        if start < end {
            self.clean_up(start, end);
        }
        start < end
    }

    fn clean_up(&self, start: usize, end: usize) {
        if let Some(range) = self.reservation() {
            return range.clean_up(start, end, self.clean);
        }
        let (bytes, len) = (self.pointer(start), end.min(self.end()).saturating_sub(start));
        let value = if self.clean == Clean::Zero { 0 } else { clean::PATTERN };
        let (len, fills) = match self.clean {
            Clean::Zero => (len, true),
            Clean::Fill => (len.min(clean::FILLED), !poison::ON),
            Clean::Not => (len, false),
        };
        if fills {
            poison::show(bytes, len);
            // SAFETY: the bytes are this arena's, are there and writable, and nobody uses them.
            unsafe { clean::set_all(bytes, len, value) };
        }
        poison::hide(bytes, end.min(self.end()).saturating_sub(start));
    }

    /// Where secrets may be left, they are no longer.
    fn clean_all(&self) {
        if let (Clean::Zero, Kind::Own(range)) = (self.clean, &self.kind) {
            if !range.is_released() {
                range.clean_up(self.base.addr().get(), self.dirty(), Clean::Zero);
            }
        }
    }

    /// A pointer into the range, from its address.
    #[inline(always)]
    pub(super) fn pointer(&self, address: usize) -> NonNull<u8> {
        let pointer = self.base.as_ptr().with_addr(address);
        // SAFETY: no address that is handed in is 0: all lie at or above the base.
        unsafe { NonNull::new_unchecked(pointer) }
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        self.clean_all();
    }
}
