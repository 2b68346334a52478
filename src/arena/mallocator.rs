//! The arena: a cursor that moves through a region, the fast path that moves it, and the slow path behind it.

use std::alloc::Layout;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use allocator_api2::boxed::Box;

use crate::error::{Error, granted};
use crate::pure::bump::{self, Block};
use crate::vm::{Region, poison, reuse};

/// A bump allocator over one contiguous range of virtual memory.
///
/// It reserves the range once, commits memory as the cursor advances, hands out blocks by moving the cursor, and gives
/// everything back at once: by [`reset`](Self::reset), [`free`](Self::free), or when it is dropped. What it handed out
/// never moves. Values are not dropped; [`alloc_boxed`](Self::alloc_boxed) makes one that is.
///
/// An arena can be sent to another thread but not shared by two.
///
/// ```
/// use mallocator::Mallocator;
///
/// let arena = Mallocator::with_size(1 << 30)?; // address space; no memory yet
/// let name = arena.alloc_str("x");
/// let point = arena.alloc([1.0, 2.0]);
/// point[0] += 1.0;
/// assert_eq!((&*name, point), ("x", &mut [2.0, 2.0]));
/// assert_eq!(arena.used(), 24); // a byte, seven to align, sixteen
/// # Ok::<(), mallocator::Error>(())
/// ```
// The order of the fields is fixed so that cursor and limit are apart: next to each other, aarch64 would load both at
// once, which cannot be forwarded from the store of the allocation before.
#[repr(C)]
pub struct Mallocator {
    /// The address of the next free byte, from `region.base` to `region.end`, and [`bump::AHEAD`] more.
    pub(super) ahead: Cell<usize>,
    /// The base of the region, from which every pointer that is handed out derives.
    pub(super) base: NonNull<u8>,
    /// The live view that was opened on this arena or view.
    pub(super) child: Cell<Option<NonNull<Mallocator>>>,
    /// The end of the last block that an outer arena took while this view was the innermost or on the way to it; 0 when
    /// none did. The cursor goes no lower.
    pub(super) pin: Cell<usize>,
    /// What the owner owns, and its views share.
    pub(super) region: NonNull<Region>,
    pub(super) role: Role,
    /// How far the fast path goes: [`bump::RESERVE`] bytes below the end of what is committed; 0 while a view is open on this
    /// one, and while ordinary stores would not work.
    pub(super) limit: Cell<usize>,
}

#[derive(Clone, Copy)]
pub(super) enum Role {
    /// The region is a box of its own, released with it.
    Owner,
    View {
        /// Where the cursor started.
        start: usize,
    },
}

// SAFETY: the region belongs to the owner alone, no operation depends on the thread it happens on, and a view cannot be
// moved out of the scope it belongs to.
unsafe impl Send for Mallocator {}

impl Mallocator {
    /// An arena over all of `region`, with nothing in it.
    #[inline]
    pub(crate) fn over(region: Box<Region>) -> Self {
        let base = region.base();
        let end = base.addr().get() + region.committed();
        let limit = if region.protection().is_writable() { end - bump::RESERVE } else { 0 };
        Self {
            ahead: Cell::new(base.addr().get() + bump::AHEAD),
            base,
            child: Cell::new(None),
            pin: Cell::new(0),
            region: NonNull::from(Box::leak(region)),
            role: Role::Owner,
            limit: Cell::new(limit),
        }
    }

    /// To be called when a cursor is lowered from `end` to `start`.
    #[inline]
    pub(super) fn take_back(&self, start: usize, end: usize) {
        if self.region().take_back(start, end) {
            self.set_limit();
        }
    }

    /// Before everything that was handed out is forgotten.
    fn note_all(&self) {
        let open = self.child.get().is_some();
        self.region().note(if open { self.committed_end() } else { self.cursor() });
    }

    /// To be called after anything that changes what is committed or how it is protected.
    pub(crate) fn set_limit(&self) {
        let limit = if self.writable().is_ok() { self.committed_end() - bump::RESERVE } else { 0 };
        self.innermost().limit.set(limit);
    }

    /// The address of the first byte that is not committed.
    pub(super) fn committed_end(&self) -> usize {
        self.base.addr().get() + self.region().committed()
    }

    #[inline]
    pub(crate) fn region(&self) -> &Region {
        // SAFETY: the owner holds the region until it is dropped, and a view does not outlive the borrow of the owner.
        unsafe { self.region.as_ref() }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.region().options().name.as_deref()
    }

    /// The address of the next free byte of this arena or view. While a view is open on it, nothing is taken there.
    #[inline(always)]
    pub(crate) fn cursor(&self) -> usize {
        self.ahead.get() - bump::AHEAD
    }

    #[inline(always)]
    pub(super) fn set_cursor(&self, address: usize) {
        self.ahead.set(address + bump::AHEAD);
    }

    /// Moves the cursor down to `address`, but not below what is pinned or where it started, and never up.
    pub(crate) fn lower_cursor(&self, address: usize) {
        let start = match self.role {
            Role::Owner => self.base.addr().get(),
            Role::View { start } => start,
        };
        let lowest = start.max(self.pin.get());
        let cursor = self.cursor();
        let lowered = cursor.min(address.max(lowest));
        self.take_back(lowered, cursor);
        self.set_cursor(lowered);
    }

    /// Gives the memory from `new_end` to `end` back, the end of a block of this arena that starts at `start`, if it is the
    /// last of all: in this arena, or, when it was taken while a view is open, in the innermost view. Then `pinned` is where
    /// what this arena has there ends, at most at `new_end`.
    pub(crate) fn lower_end(&self, start: usize, end: usize, new_end: usize, pinned: usize) {
        debug_assert!(start <= new_end && new_end <= end && pinned <= new_end);
        if poison::ON {
            return poison::hide(self.pointer(new_end), end - new_end);
        }
        if self.cursor() == end {
            return self.lower_cursor(new_end);
        }
        if self.has_view() && self.is_last(start, end) {
            self.take_back(new_end, end);
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
    pub(crate) fn is_last(&self, start: usize, end: usize) -> bool {
        let innermost = self.innermost();
        // A view opened since starts behind the block, and so does what is in it.
        innermost.cursor() == end && !matches!(innermost.role, Role::View { start: first } if first > start)
    }

    /// Moves the cursor up from `from` to `to`, if `from` is where it is, no view is open, and there is room.
    pub(crate) fn raise_cursor(&self, from: usize, to: usize) -> bool {
        if poison::ON || self.cursor() != from || self.has_view() || to > self.region().end() {
            return false;
        }
        if to > self.limit.get() {
            let committed =
                self.writable().is_ok() && self.region().commit(to - self.base.addr().get()).is_ok();
            self.set_limit();
            if !committed {
                return false;
            }
        }
        self.set_cursor(to);
        true
    }

    /// How many of the bytes from `start` on may not be zero, if they were just handed out and not written.
    pub(crate) fn dirty(&self, start: usize) -> usize {
        self.region().high().saturating_sub(start)
    }

    /// A pointer into the region, from its address.
    #[inline(always)]
    pub(crate) fn pointer(&self, address: usize) -> NonNull<u8> {
        let pointer = self.base.as_ptr().with_addr(address);
        // SAFETY: no address that is handed in is 0: all lie at or above the base.
        unsafe { NonNull::new_unchecked(pointer) }
    }

    /// Memory for one `T`, aligned, writable, owned by the caller until the arena takes it back. A zero-sized `T` takes
    /// none.
    #[inline(always)]
    pub(crate) fn take<T>(&self) -> Result<NonNull<T>, Error> {
        match self.take_if_at_hand() {
            Some(slot) => Ok(slot),
            None => self.take_slowly(Layout::new::<T>()).map(NonNull::cast),
        }
    }

    /// [`take`](Self::take), or a panic at the line of the caller.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn take_or_panic<T>(&self) -> NonNull<T> {
        match self.take_if_at_hand() {
            Some(slot) => slot,
            None => self.take_slowly_or_panic(Layout::new::<T>()).cast(),
        }
    }

    /// The fast path of [`take`](Self::take).
    #[inline(always)]
    fn take_if_at_hand<T>(&self) -> Option<NonNull<T>> {
        if size_of::<T>() == 0 {
            return None;
        }
        // The cursor is an address of the region, which ends a page below `isize::MAX`, and a type's size and alignment sum
        // to at most that: no wrap.
        let Block { start, end } = bump::place_value_ahead(self.ahead.get(), size_of::<T>(), align_of::<T>());
        let reach = bump::reach(self.ahead.get(), end, size_of::<T>(), align_of::<T>());
        (!poison::ON && reach <= self.limit.get()).then(|| {
            self.ahead.set(end);
            self.pointer(start).cast()
        })
    }

    /// Memory for `layout`, aligned, writable, owned by the caller until the arena takes it back. A layout of size 0
    /// takes none.
    #[inline(always)]
    pub(crate) fn take_layout(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        match self.take_layout_if_at_hand(layout) {
            Some(block) => Ok(block),
            None => self.take_slowly(layout),
        }
    }

    /// [`take_layout`](Self::take_layout), or a panic at the line of the caller.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn take_layout_or_panic(&self, layout: Layout) -> NonNull<u8> {
        match self.take_layout_if_at_hand(layout) {
            Some(block) => block,
            None => self.take_slowly_or_panic(layout),
        }
    }

    /// The fast path of [`take_layout`](Self::take_layout).
    #[inline(always)]
    fn take_layout_if_at_hand(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return None;
        }
        let Block { start, end } = bump::place_layout_ahead(self.ahead.get(), layout.size(), layout.align());
        (!poison::ON && end <= self.limit.get()).then(|| {
            self.ahead.set(end);
            self.pointer(start)
        })
    }

    /// The same for the calls of the original, which are packed byte for byte also where a checker is told.
    #[inline(always)]
    pub(crate) fn take_packed(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        if poison::ON && layout.size() > 0 {
            self.writable()?;
            return self.take_raw(layout.size(), layout.align());
        }
        self.take_layout(layout)
    }

    /// Memory for any `size`, which may be 0, whatever the protection. `align` is a power of two.
    pub(crate) fn take_raw(&self, size: usize, align: usize) -> Result<NonNull<u8>, Error> {
        match bump::place(self.cursor(), size, align, self.limit.get()) {
            Some(block) if !poison::ON => {
                self.set_cursor(block.end);
                Ok(self.pointer(block.start))
            }
            _ => self.take_anyhow(size, align, (size, align)),
        }
    }

    /// What an infallible method calls: it answers in a register, so that what is inlined is small and needs no stack.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn take_slowly_or_panic(&self, layout: Layout) -> NonNull<u8> {
        granted(self.take_slowly(layout))
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        self.writable()?;
        if layout.size() == 0 {
            return Ok(dangling(layout));
        }
        let (size, align) = (layout.size(), layout.align());
        self.take_anyhow(size, align, poison::spaced(size, align))
    }

    /// Whatever the protection, and for any `size`: commits what is needed, and moves the innermost cursor. `align` is a
    /// power of two. `ample` is size and alignment of what is taken if there is room.
    fn take_anyhow(&self, size: usize, align: usize, ample: (usize, usize)) -> Result<NonNull<u8>, Error> {
        let (region, innermost) = (self.region(), self.innermost());
        let place = |(size, align)| bump::place(innermost.cursor(), size, align, region.end());
        let Some(block) = place(ample).or_else(|| place((size, align))) else {
            return Err(self.exhausted(size, align));
        };
        let committed = region.commit(block.end - self.base.addr().get());
        self.set_limit();
        committed?;
        innermost.set_cursor(block.end);
        self.pin_views(block.end);
        poison::hand_out(self.pointer(block.start), size);
        Ok(self.pointer(block.start))
    }

    /// What is left is too small. `align` is a power of two.
    pub(crate) fn exhausted(&self, size: usize, align: usize) -> Error {
        Error::exhausted(size, align, self.available())
    }

    /// Whether ordinary stores work in the region.
    #[inline]
    pub(crate) fn writable(&self) -> Result<(), Error> {
        let protection = self.region().protection();
        if protection.is_writable() { Ok(()) } else { Err(Error::NotWritable { protection }) }
    }

    /// Takes back everything that was handed out. The memory stays committed, for the next round.
    ///
    /// ```
    /// let mut arena = mallocator::Mallocator::new()?;
    /// arena.alloc_str("gone");
    /// arena.reset();
    /// assert_eq!(arena.used(), 0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    ///
    /// What was handed out cannot be used afterwards:
    ///
    /// ```compile_fail,E0502
    /// let mut arena = mallocator::Mallocator::new().unwrap();
    /// let text = arena.alloc_str("gone");
    /// arena.reset();
    /// println!("{text}");
    /// ```
    pub fn reset(&mut self) {
        self.forget_views();
        self.lower_cursor(0);
    }

    /// Gives the memory behind what is in use back to the system: after a [`reset`](Self::reset), all of it. The address
    /// space stays reserved, and is committed again when it is wanted.
    ///
    /// When the system refuses, the memory stays committed and will be used again;
    /// [`try_trim`](Self::try_trim) tells.
    ///
    /// ```
    /// let mut arena = mallocator::Mallocator::with_size(1 << 30)?;
    /// arena.alloc_bytes(&[1; 1_000_000]);
    /// arena.reset();
    /// arena.trim();
    /// assert_eq!(arena.committed(), 0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn trim(&mut self) {
        let _ = self.try_trim();
    }

    /// [`trim`](Self::trim) that returns the error.
    ///
    /// # Errors
    /// [`Error::Os`] when the system refuses to take memory back. The arena can be used as before.
    ///
    /// ```
    /// let mut arena = mallocator::Mallocator::new()?;
    /// arena.alloc(1);
    /// arena.try_trim()?;
    /// assert_eq!(arena.committed(), mallocator::page_size());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn try_trim(&mut self) -> Result<(), Error> {
        self.forget_views();
        self.decommit_unused()
    }

    /// Gives the memory behind the cursor back. No view is open.
    pub(crate) fn decommit_unused(&self) -> Result<(), Error> {
        // SAFETY: nothing behind the cursor is handed out, and the limit follows.
        let outcome = unsafe { self.region().decommit(self.used()) };
        self.set_limit();
        Ok(outcome?)
    }

    /// Gives everything back to the system, address space and all, at once. Dropping the arena may keep the range for the next
    /// arena of the thread ([`Builder::reuse`](crate::Builder::reuse)), and cannot say whether it worked.
    ///
    /// # Errors
    /// [`Error::Os`] when the system refuses. The memory is given back and the release tried once more; if that is refused
    /// too, what is lost is address space. Also when all was given back, and [`Report::refused`](crate::Report::refused)
    /// would have told of something.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// arena.alloc_str("gone");
    /// arena.free()?;
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn free(self) -> Result<(), Error> {
        // A view is never owned.
        let arena = ManuallyDrop::new(self);
        arena.note_all();
        // SAFETY: an arena that somebody owns is the owner of its region, and this is its end.
        let region = unsafe { Box::from_raw(arena.region.as_ptr()) };
        Ok(Box::into_inner(region).release()?)
    }
}

impl Drop for Mallocator {
    /// The region goes to the thread, for the next arena like it, or back to the system.
    #[inline]
    fn drop(&mut self) {
        if let Role::Owner = self.role {
            self.note_all();
            // SAFETY: the region is the owner's, and this is its end; no borrow of the arena is left.
            unsafe { reuse::keep(Box::from_raw(self.region.as_ptr())) };
        }
    }
}

/// A pointer for a layout of size 0.
pub(crate) fn dangling(layout: Layout) -> NonNull<u8> {
    // SAFETY: an alignment is not 0.
    unsafe { NonNull::new_unchecked(ptr::without_provenance_mut(layout.align())) }
}
