//! The arena: a cursor that moves through a range, the fast path that moves it, and the slow path after it.

use core::alloc::Layout;
use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};

use allocator_api2::boxed::Box;

use crate::arena::backing::{Backing, boxed};
use crate::error::{Error, unwrap_or_panic};
use crate::pure::bump::{self, Block};
use crate::vm::{Reservation, poison};

// Inside of this module, as nobody else is to reach the cursor.
#[path = "chain.rs"]
mod chain;
#[path = "cursor.rs"]
mod cursor;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;

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
    /// The address of the next free byte, and [`bump::BIAS`] more.
    biased_cursor: Cell<usize>,
    /// From which every pointer that is handed out derives.
    base: NonNull<u8>,
    /// The live view that was opened on this arena or view.
    child: Cell<Option<NonNull<Mallocator>>>,
    /// The end of the last block that an outer arena took while this view was the innermost or on the way to it; 0 when
    /// none did. The cursor goes no lower.
    pin: Cell<usize>,
    /// Where the memory comes from: what the owner owns, and its views share.
    backing: NonNull<Backing>,
    role: Role,
    /// How far the fast path goes: [`bump::SLOW_MARGIN`] bytes below the end of what is ready; 0 while a view is open on this
    /// one, and while ordinary stores would not work.
    limit: Cell<usize>,
}

#[derive(Clone, Copy)]
enum Role {
    /// The backing is the arena's, and ends with it.
    Owner,
    /// Of an owner, or a thread's share of a range.
    View {
        /// Where the cursor started.
        start: usize,
    },
}

// SAFETY: the backing belongs to the owner alone, nothing that it is made of is bound to a thread, no operation depends on the
// thread it happens on, and a view cannot be moved out of the scope it belongs to.
unsafe impl Send for Mallocator {}

impl Mallocator {
    /// An arena over a range that was just reserved.
    pub(crate) fn over(reservation: Reservation) -> Result<Self, Error> {
        boxed(Backing::own(boxed(reservation)?)).map(Self::over_boxed)
    }

    /// An arena over the range that this thread keeps, if it is what an arena would reserve that asks for `size` bytes and takes
    /// no less than `least` and has no other wishes.
    #[inline]
    pub(crate) fn kept(size: usize, least: usize) -> Option<Self> {
        Backing::kept(size, least).map(|backing| {
            // Nobody has changed what its pages may be used for.
            let limit = backing.ready() - bump::SLOW_MARGIN;
            Self::at_base(NonNull::from(Box::leak(backing)), limit)
        })
    }

    #[inline]
    fn over_boxed(backing: Box<Backing>) -> Self {
        // SAFETY: what was in the box is this arena's.
        unsafe { Self::over_raw(NonNull::from(Box::leak(backing))) }
    }

    /// An arena over all of `backing`, with nothing in it.
    ///
    /// # Safety
    /// It is the arena's from here on, until it is [retired](Backing::retire).
    #[inline]
    pub(super) unsafe fn over_raw(backing: NonNull<Backing>) -> Self {
        // SAFETY: the caller's.
        let source = unsafe { backing.as_ref() };
        let limit = if source.protection().is_writable() { source.ready() - bump::SLOW_MARGIN } else { 0 };
        Self::at_base(backing, limit)
    }

    #[inline]
    fn at_base(backing: NonNull<Backing>, limit: usize) -> Self {
        // SAFETY: whoever calls this has it for the arena.
        let base = unsafe { backing.as_ref() }.base();
        Self {
            biased_cursor: Cell::new(base.addr().get() + bump::BIAS),
            base,
            child: Cell::new(None),
            pin: Cell::new(0),
            backing,
            role: Role::Owner,
            limit: Cell::new(limit),
        }
    }

    /// A thread's share, which takes nothing below `start` back. It is nobody's: the backing outlives it.
    pub(super) fn share(backing: NonNull<Backing>, base: NonNull<u8>, start: usize) -> ManuallyDrop<Self> {
        let share = Self {
            biased_cursor: Cell::new(start + bump::BIAS),
            base,
            child: Cell::new(None),
            pin: Cell::new(start),
            backing,
            role: Role::View { start },
            limit: Cell::new(0),
        };
        share.set_limit();
        ManuallyDrop::new(share)
    }

    #[inline]
    pub(super) fn backing(&self) -> &Backing {
        // SAFETY: the owner holds it until it is dropped, and a view does not outlive the borrow of the owner; that of a share
        // lies in the range that the share borrows.
        unsafe { self.backing.as_ref() }
    }

    /// How many of the bytes from `start` on may not be zero, if they were just handed out and not written.
    fn dirty(&self, start: usize) -> usize {
        self.backing().dirty().saturating_sub(start)
    }

    /// Clears what may not be zero of `len` bytes from `start` on, which were just handed out.
    ///
    /// # Safety
    /// The bytes belong to the caller and were not written since the arena handed them out.
    pub(crate) unsafe fn clear_dirty(&self, start: NonNull<u8>, len: usize) {
        let dirty = self.dirty(start.addr().get()).min(len);
        // SAFETY: the caller's.
        unsafe { start.write_bytes(0, dirty) };
        poison::show(start, len);
    }

    /// A pointer into the range, from its address.
    #[inline(always)]
    pub(super) fn pointer(&self, address: usize) -> NonNull<u8> {
        let pointer = self.base.as_ptr().with_addr(address);
        // SAFETY: no address that is handed in is 0: all lie at or above the base.
        unsafe { NonNull::new_unchecked(pointer) }
    }

    /// Memory for one `T`, aligned, writable, owned by the caller until the arena takes it back. A zero-sized `T` takes
    /// none.
    #[inline(always)]
    pub(crate) fn take<T>(&self) -> Result<NonNull<T>, Error> {
        match self.take_fast() {
            Some(slot) => Ok(slot),
            None => self.take_slow(Layout::new::<T>()).map(NonNull::cast),
        }
    }

    /// [`take`](Self::take), or a panic at the line of the caller.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn take_or_panic<T>(&self) -> NonNull<T> {
        match self.take_fast() {
            Some(slot) => slot,
            None => self.take_slow_or_panic(Layout::new::<T>()).cast(),
        }
    }

    /// The fast path of [`take`](Self::take).
    #[inline(always)]
    fn take_fast<T>(&self) -> Option<NonNull<T>> {
        if size_of::<T>() == 0 {
            return None;
        }
        // The cursor is an address of the range, which ends a page below `isize::MAX`, and a type's size and alignment sum
        // to at most that: no wrap.
        let biased = self.biased_cursor.get();
        let Block { start, end } = bump::place_value_biased(biased, size_of::<T>(), align_of::<T>());
        let reach = bump::reach(biased, end, size_of::<T>(), align_of::<T>());
        (!poison::ON && reach <= self.limit.get()).then(|| {
            self.biased_cursor.set(end);
            self.pointer(start).cast()
        })
    }

    /// Memory for `layout`, aligned, writable, owned by the caller until the arena takes it back. A layout of size 0
    /// takes none.
    #[inline(always)]
    pub(crate) fn take_layout(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        match self.take_layout_fast(layout) {
            Some(block) => Ok(block),
            None => self.take_slow(layout),
        }
    }

    /// [`take_layout`](Self::take_layout), or a panic at the line of the caller.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn take_layout_or_panic(&self, layout: Layout) -> NonNull<u8> {
        match self.take_layout_fast(layout) {
            Some(block) => block,
            None => self.take_slow_or_panic(layout),
        }
    }

    /// The fast path of [`take_layout`](Self::take_layout).
    #[inline(always)]
    fn take_layout_fast(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.size() == 0 {
            return None;
        }
        let biased = self.biased_cursor.get();
        let Block { start, end } = bump::place_layout_biased(biased, layout.size(), layout.align());
        (!poison::ON && end <= self.limit.get()).then(|| {
            self.biased_cursor.set(end);
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
                self.biased_cursor.set(block.end + bump::BIAS);
                Ok(self.pointer(block.start))
            }
            _ => self.raise(size, align, (size, align)),
        }
    }

    /// What an infallible method calls: it answers in a register, so that what is inlined is small and needs no stack.
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn take_slow_or_panic(&self, layout: Layout) -> NonNull<u8> {
        unwrap_or_panic(self.take_slow(layout))
    }

    #[cold]
    #[inline(never)]
    fn take_slow(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        self.writable()?;
        if layout.size() == 0 {
            return Ok(dangling(layout));
        }
        let (size, align) = (layout.size(), layout.align());
        self.raise(size, align, poison::with_red_zone(size, align))
    }

    /// What is left is too small. `align` is a power of two.
    pub(crate) fn exhausted(&self, size: usize, align: usize) -> Error {
        Error::exhausted(size, align, self.available())
    }

    /// Whether ordinary stores work in the range.
    #[inline]
    pub(crate) fn writable(&self) -> Result<(), Error> {
        let protection = self.backing().protection();
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
        self.lower(0);
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

    /// Gives the memory above the cursor back. No view is open.
    pub(crate) fn decommit_unused(&self) -> Result<(), Error> {
        // SAFETY: nothing above the cursor is handed out, and the limit follows.
        let outcome = unsafe { self.backing().decommit(self.cursor()) };
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
        arena.note_high_water();
        // SAFETY: an arena that somebody owns has its backing for itself, and this is its end.
        Ok(unsafe { Backing::release(arena.backing) }?)
    }
}

impl Drop for Mallocator {
    /// The range goes to the thread, for the next arena like it, or back to the system, or to whoever lent it.
    #[inline]
    fn drop(&mut self) {
        if let Role::Owner = self.role {
            self.note_high_water();
            // SAFETY: the backing is the owner's, and this is its end; no borrow of the arena is left.
            unsafe { Backing::retire(self.backing) };
        }
    }
}

/// A pointer for a layout of size 0.
pub(crate) fn dangling(layout: Layout) -> NonNull<u8> {
    // SAFETY: an alignment is not 0.
    unsafe { NonNull::new_unchecked(ptr::without_provenance_mut(layout.align())) }
}
