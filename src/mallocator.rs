//! The arena: a cursor that moves through a region, the fast path that moves it, and what can be read of it.

use std::alloc::Layout;
use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::ptr::{self, NonNull};

use crate::error::{Error, granted};
use crate::protection::Protection;
use crate::pure::bump::{self, Block};
use crate::vm::{Placement, Region};

/// A bump allocator over one contiguous range of virtual memory.
///
/// It reserves the range once, commits memory as the cursor advances, hands out blocks by moving the cursor, and gives
/// everything back at once: by [`reset`](Self::reset), [`free`](Self::free), or when it is dropped. What it handed out
/// never moves. Values are not dropped.
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
    /// The address of the next free byte: from `region.base` to `region.end`.
    cursor: Cell<usize>,
    region: Region,
    placement: Placement,
    name: Option<Box<str>>,
    /// How far the fast path may move the cursor: the end of what is committed; 0 while ordinary stores would not work.
    limit: Cell<usize>,
}

// SAFETY: the region belongs to this value alone, and no operation depends on the thread it happens on.
unsafe impl Send for Mallocator {}

impl Mallocator {
    /// An arena over all of `region`.
    pub(crate) fn over(region: Region, placement: Placement, name: Option<Box<str>>) -> Self {
        let cursor = Cell::new(region.base().addr().get());
        let arena = Self { cursor, region, placement, name, limit: Cell::new(0) };
        arena.set_limit();
        arena
    }

    /// To be called after anything that changes what is committed or how it is protected.
    fn set_limit(&self) {
        let writable = self.region.protection().is_writable();
        let committed = self.region.base().addr().get() + self.region.committed();
        self.limit.set(if writable { committed } else { 0 });
    }

    pub(crate) const fn placement(&self) -> Placement {
        self.placement
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The address of the next free byte.
    #[inline(always)]
    pub(crate) fn cursor(&self) -> usize {
        self.cursor.get()
    }

    /// Moves the cursor back to `address`, which lies between the base and the cursor.
    #[inline]
    pub(crate) fn lower_cursor(&self, address: usize) {
        debug_assert!((self.region.base().addr().get()..=self.cursor.get()).contains(&address));
        self.cursor.set(address);
    }

    /// A pointer into the region, from its address.
    #[inline(always)]
    fn pointer(&self, address: usize) -> NonNull<u8> {
        let pointer = self.region.base().as_ptr().with_addr(address);
        // SAFETY: no address that is handed in is 0: all lie at or above the base.
        unsafe { NonNull::new_unchecked(pointer) }
    }

    /// Memory for one `T`, aligned, writable, owned by the caller until the arena takes it back. A zero-sized `T` takes
    /// none.
    #[inline(always)]
    pub(crate) fn take<T>(&self) -> Result<NonNull<T>, Error> {
        if size_of::<T>() == 0 {
            return self.writable().map(|()| NonNull::dangling());
        }
        // The cursor is an address of the region and a type's size and alignment sum to at most `isize::MAX`: no wrap.
        let end = bump::end_of_value(self.cursor.get(), size_of::<T>(), align_of::<T>());
        if end <= self.limit.get() {
            self.cursor.set(end);
            Ok(self.pointer(end - size_of::<T>()).cast())
        } else {
            self.take_slowly(Layout::new::<T>()).map(NonNull::cast)
        }
    }

    /// Memory for `layout`, aligned, writable, owned by the caller until the arena takes it back. A layout of size 0
    /// takes none.
    #[inline(always)]
    pub(crate) fn take_layout(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        if layout.size() == 0 {
            return self.writable().map(|()| dangling(layout));
        }
        let Block { start, end } = bump::place_layout(self.cursor.get(), layout.size(), layout.align());
        if end <= self.limit.get() {
            self.cursor.set(end);
            Ok(self.pointer(start))
        } else {
            self.take_slowly(layout)
        }
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        self.writable()?;
        self.take_anyhow(layout.size(), layout.align())
    }

    /// Whatever the protection, and for any `size`: commits what is needed and moves the cursor. `align` is a power of
    /// two.
    fn take_anyhow(&self, size: usize, align: usize) -> Result<NonNull<u8>, Error> {
        let Some(block) = bump::place(self.cursor.get(), size, align, self.region.end()) else {
            return Err(self.exhausted(size, align));
        };
        let committed = self.region.commit(block.end - self.region.base().addr().get());
        self.set_limit();
        committed?;
        self.cursor.set(block.end);
        Ok(self.pointer(block.start))
    }

    /// What is left is too small. `align` is a power of two.
    #[expect(clippy::cast_possible_truncation, reason = "a power of two has at most 63 zeros below it")]
    pub(crate) fn exhausted(&self, size: usize, align: usize) -> Error {
        Error::Exhausted { size, available: self.available(), align_log2: align.trailing_zeros() as u8 }
    }

    /// Whether ordinary stores work in the region.
    #[inline]
    fn writable(&self) -> Result<(), Error> {
        let protection = self.region.protection();
        if protection.is_writable() { Ok(()) } else { Err(Error::NotWritable { protection }) }
    }

    /// Moves the cursor up to a multiple of `align`, hands out the `size` bytes from there, and does not touch them:
    /// the `Alloc` of the original, checked.
    ///
    /// It works whatever the protection of the region. `size` may be 0: then the cursor is only aligned. The memory is
    /// not zeroed; what was never handed out before is zero.
    ///
    /// # Errors
    /// [`Error::InvalidAlignment`] when `align` is not a power of two; [`Error::Exhausted`] when the block does not fit
    /// in what is left; [`Error::Os`] when the system refuses memory. The cursor has not moved.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::new()?;
    /// let header = arena.alloc_raw(10, 1)?;
    /// let table = arena.alloc_raw(256, 64)?;
    /// assert_eq!(arena.offset_of(table.as_ptr().cast::<u8>()), Some(64));
    /// assert_eq!((header.len(), table.len(), arena.used()), (10, 256, 320));
    /// assert!(matches!(arena.alloc_raw(1, 3), Err(Error::InvalidAlignment { align: 3 })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn alloc_raw(&self, size: usize, align: usize) -> Result<NonNull<[u8]>, Error> {
        if !align.is_power_of_two() {
            return Err(Error::InvalidAlignment { align });
        }
        let start = match bump::place(self.cursor.get(), size, align, self.limit.get()) {
            Some(block) => {
                self.cursor.set(block.end);
                self.pointer(block.start)
            }
            None => self.take_anyhow(size, align)?,
        };
        Ok(NonNull::slice_from_raw_parts(start, size))
    }

    /// Memory for `layout`, uninitialised. A layout of size 0 takes none and gets a dangling pointer, aligned.
    ///
    /// Unlike [`alloc_raw`](Self::alloc_raw) it refuses a region that is not
    /// [writable](Protection::is_writable).
    ///
    /// # Panics
    /// When [`try_alloc_layout`](Self::try_alloc_layout) would return an error.
    ///
    /// ```
    /// use std::alloc::Layout;
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::new()?;
    /// let block = arena.alloc_layout(Layout::new::<[u64; 4]>());
    /// assert!(block.cast::<u64>().is_aligned());
    /// assert_eq!(arena.used(), 32);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        granted(self.try_alloc_layout(layout))
    }

    /// [`alloc_layout`](Self::alloc_layout) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// use std::alloc::Layout;
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::new()?;
    /// let refused = arena.try_alloc_layout(Layout::new::<[u8; 100_000]>());
    /// assert!(matches!(refused, Err(Error::Exhausted { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        self.take_layout(layout)
    }

    /// Where the reservation starts. It never changes.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.base().addr().get() % mallocator::allocation_granularity(), 0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn base(&self) -> NonNull<u8> {
        self.region.base()
    }

    /// The next free byte, before any alignment. In a full arena, the byte behind the reservation.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.ptr(), arena.base());
    /// arena.alloc_bytes(b"abc");
    /// assert_eq!(arena.ptr().addr().get(), arena.base().addr().get() + 3);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn ptr(&self) -> NonNull<u8> {
        self.pointer(self.cursor.get())
    }

    /// Bytes reserved: what was asked for, rounded up to pages.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::with_size(1)?;
    /// assert_eq!(arena.size(), mallocator::page_size());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn size(&self) -> usize {
        self.region.size()
    }

    /// Bytes handed out, with what aligning them took.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// arena.alloc(1_u8);
    /// arena.alloc(1_u32);
    /// assert_eq!(arena.used(), 8);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn used(&self) -> usize {
        self.cursor.get() - self.region.base().addr().get()
    }

    /// Bytes that are backed by the system: the first so many of the reservation, whole pages. Touching memory behind
    /// them is a fault.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::with_size(1 << 30)?;
    /// arena.alloc_bytes(&[7; 1_000_000]);
    /// assert!((1_000_000..1_200_000).contains(&arena.committed()));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn committed(&self) -> usize {
        self.region.committed()
    }

    /// Bytes left in the reservation.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// arena.alloc_bytes(&[7; 100]);
    /// assert_eq!(arena.available(), arena.size() - 100);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn available(&self) -> usize {
        self.region.end() - self.cursor.get()
    }

    /// What the pages may be used for: as built, or as [`protect`](Self::protect) last set it for the whole reservation.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// assert_eq!(Mallocator::new()?.protection(), Protection::READ_WRITE);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn protection(&self) -> Protection {
        self.region.protection()
    }

    /// Whether `ptr` points into the reservation, handed out or not. The byte behind it is not part of it.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert!(arena.contains(arena.alloc(1)));
    /// assert!(!arena.contains(&1));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn contains<T: ?Sized>(&self, ptr: *const T) -> bool {
        self.offset_of(ptr).is_some()
    }

    /// How many bytes behind the base `ptr` points, if it points into the reservation.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// arena.alloc_bytes(b"header");
    /// let text = arena.alloc_str("body");
    /// assert_eq!(arena.offset_of(text), Some(6));
    /// assert_eq!(arena.offset_of("elsewhere"), None);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn offset_of<T: ?Sized>(&self, ptr: *const T) -> Option<usize> {
        let offset = ptr.addr().wrapping_sub(self.region.base().addr().get());
        (offset < self.region.size()).then_some(offset)
    }

    /// The image built so far: all bytes from the base to the cursor.
    ///
    /// # Safety
    /// For as long as the slice lives:
    /// - every byte of it has been written, the gaps that alignment left and the padding inside values included (gaps
    ///   in memory that was never handed out before are zero, and count as written);
    /// - its pages can be read;
    /// - no `&mut` into it is used, and nothing writes to it.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// arena.alloc_bytes(&[0xb8, 42, 0, 0, 0]);
    /// arena.alloc_byte_string("c3")?;
    /// // SAFETY: plain bytes, all written, and no reference to them is kept.
    /// let image = unsafe { arena.used_bytes() };
    /// assert_eq!(image, [0xb8, 42, 0, 0, 0, 0xc3]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub unsafe fn used_bytes(&self) -> &[u8] {
        // SAFETY: the range lies in the committed prefix of the region; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts(self.region.base().as_ptr(), self.used()) }
    }

    /// Changes what the pages that hold any byte of `range` may be used for, and returns what the first of them was.
    /// `range` is in bytes from the base.
    ///
    /// Pages that are not committed yet are committed first. The whole reservation, `0..size()`, is special: only what
    /// is committed changes at once, what is committed later follows, and [`protection`](Self::protection) is the new
    /// one. So an arena changed as a whole to something that cannot be written refuses to be written, with
    /// [`Error::NotWritable`], instead of faulting.
    ///
    /// A change to an executable protection makes code that was written to the pages visible to instruction fetch
    /// (`FlushInstructionCache`), also when it changes nothing else.
    ///
    /// # Errors
    /// [`Error::RangeReversed`], [`Error::RangePastEnd`], [`Error::InvalidProtection`], [`Error::Unsupported`], or
    /// [`Error::Os`] when the system refuses. Then nothing has changed; if the system refuses to restore pages that
    /// it has changed, the arena counts as [`Protection::NO_ACCESS`].
    ///
    /// # Safety
    /// The pages of `range`, rounded outwards to [`page_size`](crate::page_size):
    /// - hold nothing that a live reference, or code that runs, still needs the old protection for;
    /// - are given back a protection that allows ordinary stores before anything is allocated in them again, also after
    ///   [`rewind`](Self::rewind) and [`reset`](Self::reset), unless the range is the whole reservation.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let arena = Mallocator::new()?;
    /// let table = arena.alloc_slice_copy(&[2, 3, 5, 7]);
    /// let table: &[i32] = table;
    /// // SAFETY: what is in the pages is only read from here on, and nothing more is allocated.
    /// let before = unsafe { arena.protect(0..arena.used(), Protection::READ)? };
    /// assert_eq!(before, Protection::READ_WRITE);
    /// assert_eq!(table[3], 7); // a store to it would be a fault
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub unsafe fn protect(&self, range: Range<usize>, protection: Protection) -> Result<Protection, Error> {
        // SAFETY: the caller's promise.
        let before = unsafe { self.region.protect(range, protection) };
        self.set_limit();
        before
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
        self.lower_cursor(self.region.base().addr().get());
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
        // SAFETY: nothing behind the cursor is handed out, and the limit follows.
        let outcome = unsafe { self.region.decommit(self.used()) };
        self.set_limit();
        Ok(outcome?)
    }

    /// Gives everything back to the system, address space and all. Dropping the arena does the same, but cannot say
    /// whether it worked.
    ///
    /// # Errors
    /// [`Error::Os`] when the system refuses. The memory is given back and the release tried once more; if that is refused
    /// too, what is lost is address space.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// arena.alloc_str("gone");
    /// arena.free()?;
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn free(self) -> Result<(), Error> {
        Ok(self.region.release()?)
    }
}

/// A pointer for a layout of size 0.
fn dangling(layout: Layout) -> NonNull<u8> {
    // SAFETY: an alignment is not 0.
    unsafe { NonNull::new_unchecked(ptr::without_provenance_mut(layout.align())) }
}

impl fmt::Debug for Mallocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mallocator")
            .field("name", &self.name())
            .field("base", &self.base())
            .field("size", &self.size())
            .field("committed", &self.committed())
            .field("used", &self.used())
            .field("protection", &self.protection())
            .finish()
    }
}
