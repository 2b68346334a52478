//! One range that many threads allocate from without a lock.

use core::alloc::Layout;
use core::fmt;
use core::ptr::NonNull;

use crate::arena::backing::{Backing, boxed};
use crate::arena::mallocator::dangling;
use crate::error::{Error, unwrap_or_panic};
use crate::protection::Protection;
use crate::pure::bump::{self, Block};
use crate::vm::{Options, Reservation, poison};
use atomics::{Line, Lock, Ordering};

mod allocator;
mod atomics;
#[cfg(all(test, any(mallocator_loom, mallocator_shuttle)))]
mod models;
pub(super) mod share;

/// An arena that threads share: one range, whose cursor they move without a lock. Made by
/// [`Builder::build_sync`](crate::Builder::build_sync).
///
/// It has every method of a [`Mallocator`](crate::Mallocator) that puts something in. Each of them moves the common cursor,
/// which takes some ten nanoseconds more than in an arena of one's own, and threads that do it in turn pass that cursor from
/// one processor to the other, which takes tens of nanoseconds each time. So a thread that allocates much takes a share,
/// [`local`](Self::local), which is a `Mallocator` like any other. What is shared is for the rest: for asynchronous tasks, as a
/// `&SyncMallocator` is `Send`, and for what is allocated now and then.
///
/// Nothing is given back before [`reset`](Self::reset), which nobody can call while anything handed out is in use.
///
/// ```
/// use mallocator::Mallocator;
///
/// let shared = Mallocator::builder().size(1 << 30).build_sync()?;
/// let sums: Vec<u64> = std::thread::scope(|threads| {
///     let work = |start: u64| {
///         let arena = shared.local();
///         (start..start + 1000).map(|number| *arena.alloc(number)).sum()
///     };
///     let workers = [0, 1000].map(|start| threads.spawn(move || work(start)));
///     workers.map(|worker| worker.join().unwrap()).into()
/// });
/// assert_eq!(sums, [499_500, 1_499_500]);
/// # Ok::<(), mallocator::Error>(())
/// ```
///
/// # Fork
/// The arena has a lock, which is held while the system is asked for memory. A process that is forked off in that moment by
/// another thread has the lock held for ever: as with every lock, allocate there only from arenas of its own.
// Cursor and limit are each on lines of their own: whoever reads the one is not held up by a write to the other.
#[repr(C)]
pub struct SyncMallocator {
    base: NonNull<u8>,
    /// The address after the range.
    end: usize,
    /// From here on memory was never used, and is zero. This, and what follows, is changed through `&mut` only.
    dirty_below: usize,
    protection: Protection,
    options: Options,
    /// Locked to commit more.
    backing: Lock<Backing>,
    /// The address of the next free byte.
    cursor: Line,
    /// The end of what is committed. It only grows while the arena is shared.
    ready: Line,
}

// SAFETY: the backing is the arena's alone, and no operation on it depends on the thread.
unsafe impl Send for SyncMallocator {}
// SAFETY: the cursor is moved by compare-and-exchange, so that no two calls are given the same bytes; the backing is used
// under its lock, and what is read without is never changed while the arena is shared.
unsafe impl Sync for SyncMallocator {}

impl SyncMallocator {
    pub(crate) fn over(reservation: Reservation) -> Result<Self, Error> {
        // A copy, as whoever wants to know asks the heap for memory, which is not done under the lock.
        let options = reservation.options().clone();
        options.name.granted()?;
        let backing = Backing::own(boxed(reservation)?);
        let (base, end) = (backing.base(), backing.end());
        let (start, ready) = (base.addr().get(), backing.ready());
        // Where the cursor is nobody knows when the range ends.
        backing.raise_high_water(ready);
        Ok(Self {
            base,
            end,
            dirty_below: start,
            protection: backing.protection(),
            options,
            backing: Lock::new(backing),
            cursor: Line::new(start),
            ready: Line::new(ready),
        })
    }

    /// Where the reservation starts.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert_eq!(shared.base().addr().get() % mallocator::allocation_granularity(), 0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes reserved.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().size(1 << 20).build_sync()?;
    /// assert_eq!(shared.size(), 1 << 20);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn size(&self) -> usize {
        self.end - self.base.addr().get()
    }

    /// Bytes handed out so far, with what aligning them took; blocks of shares count as a whole. Another thread may have
    /// allocated more before the caller reads it.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// shared.alloc_layout(std::alloc::Layout::new::<u64>());
    /// assert_eq!(shared.used(), 8);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn used(&self) -> usize {
        self.cursor.load(Ordering::Relaxed) - self.base.addr().get()
    }

    /// Bytes left, at this moment.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert_eq!(shared.available(), shared.size());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn available(&self) -> usize {
        self.end - self.cursor.load(Ordering::Relaxed)
    }

    /// Bytes that are backed by the system, at this moment.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert!(shared.committed() <= shared.size());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn committed(&self) -> usize {
        self.ready.load(Ordering::Relaxed) - self.base.addr().get()
    }

    /// Whether `ptr` points into the reservation, handed out or not.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert!(shared.contains(shared.batch(4096).alloc(1)));
    /// assert!(!shared.contains(&1));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn contains<T: ?Sized>(&self, ptr: *const T) -> bool {
        (self.base.addr().get()..self.end).contains(&ptr.addr())
    }

    /// Memory for `layout`, uninitialised. A layout of size 0 takes none and gets a dangling pointer, aligned.
    ///
    /// # Panics
    /// When [`try_alloc_layout`](Self::try_alloc_layout) would return an error.
    ///
    /// ```
    /// use std::alloc::Layout;
    ///
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert!(shared.alloc_layout(Layout::new::<u64>()).cast::<u64>().is_aligned());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[track_caller]
    pub fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        unwrap_or_panic(self.try_alloc_layout(layout))
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
    /// let shared = Mallocator::builder().build_sync()?;
    /// let refused = shared.try_alloc_layout(Layout::new::<[u8; 100_000]>());
    /// assert!(matches!(refused, Err(Error::Exhausted { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        self.writable()?;
        if layout.size() == 0 {
            return Ok(dangling(layout));
        }
        let (size, align) = (layout.size(), layout.align());
        Ok(self.pointer(self.take(size, align, poison::with_red_zone(size, align))?))
    }

    /// Moves the cursor up to a multiple of `align`, and hands out the `size` bytes from there, whatever the protection:
    /// [`Mallocator::alloc_raw`](crate::Mallocator::alloc_raw) for threads that share an arena.
    ///
    /// # Errors
    /// [`Error::InvalidAlignment`] when `align` is not a power of two; [`Error::Exhausted`]; [`Error::Os`] when the system
    /// refuses memory.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert_eq!(shared.alloc_raw(10, 1)?.len(), 10);
    /// assert_eq!(shared.alloc_raw(10, 64)?.cast::<u8>().addr().get() % 64, 0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn alloc_raw(&self, size: usize, align: usize) -> Result<NonNull<[u8]>, Error> {
        if !align.is_power_of_two() {
            return Err(Error::InvalidAlignment { align });
        }
        let start = self.take(size, align, (size, align))?;
        Ok(NonNull::slice_from_raw_parts(self.pointer(start), size))
    }

    /// The address of `size` bytes at a multiple of `align`, a power of two, committed, and nobody else's. `ample` is size and
    /// alignment of what is taken if there is room.
    fn take(&self, size: usize, align: usize, ample: (usize, usize)) -> Result<usize, Error> {
        let mut cursor = self.cursor.load(Ordering::Relaxed);
        loop {
            // It never passes the end, so it cannot wrap however often it is asked.
            let place = |(size, align)| {
                let (size, align) = poison::in_units(size, align);
                bump::place(cursor, size, align, self.end)
            };
            let Some(Block { start, end }) = place(ample).or_else(|| place((size, align))) else {
                return Err(Error::exhausted(size, align, self.available()));
            };
            self.make_ready(end)?;
            // No order is needed: what a block holds is nobody's before, and the arena is reset by its owner alone.
            match self.cursor.exchange_weak(cursor, end) {
                Ok(_) => {
                    poison::hand_out(self.pointer(start), size);
                    return Ok(start);
                }
                Err(moved) => cursor = moved,
            }
        }
    }

    /// Moves the cursor up from `from` to `to`, for a block that is to grow in place: whether it did.
    fn raise_in_place(&self, from: usize, to: usize) -> bool {
        !poison::ON
            && to <= self.end
            && self.cursor.load(Ordering::Relaxed) == from
            && self.make_ready(to).is_ok()
            && self.cursor.exchange(from, to).is_ok()
    }

    /// Sees to it that everything below `end` is committed.
    fn make_ready(&self, end: usize) -> Result<(), Error> {
        // Whoever sees the new mark sees the memory below it committed.
        if end > self.ready.load(Ordering::Acquire) {
            let backing = self.backing.lock();
            let outcome = backing.make_ready(end);
            backing.raise_high_water(backing.ready());
            self.ready.store(backing.ready(), Ordering::Release);
            outcome?;
        }
        Ok(())
    }

    /// Whether ordinary stores work in the range.
    pub(crate) fn writable(&self) -> Result<(), Error> {
        let protection = self.protection;
        if protection.is_writable() { Ok(()) } else { Err(Error::NotWritable { protection }) }
    }

    pub(super) const fn end(&self) -> usize {
        self.end
    }

    pub(super) const fn protection(&self) -> Protection {
        self.protection
    }

    pub(super) const fn options(&self) -> &Options {
        &self.options
    }

    fn pointer(&self, address: usize) -> NonNull<u8> {
        let pointer = self.base.as_ptr().with_addr(address);
        // SAFETY: an address of the range, which does not start at 0.
        unsafe { NonNull::new_unchecked(pointer) }
    }

    /// Clears what may not be zero of `len` bytes from `start` on, which were just handed out.
    ///
    /// # Safety
    /// The bytes belong to the caller and were not written since the arena handed them out.
    unsafe fn clear_dirty(&self, start: NonNull<u8>, len: usize) {
        let dirty = self.dirty_below.saturating_sub(start.addr().get()).min(len);
        // SAFETY: the caller's.
        unsafe { start.write_bytes(0, dirty) };
        poison::show(start, len);
    }

    /// After everything that changes what is committed or how it is protected.
    fn look_again(&mut self) {
        let backing = self.backing.get_mut();
        self.protection = backing.protection();
        self.ready = Line::new(backing.ready());
    }

    /// Takes back everything that was handed out. The memory stays committed.
    ///
    /// ```
    /// let mut shared = mallocator::Mallocator::builder().build_sync()?;
    /// shared.batch(4096).alloc(1);
    /// shared.reset();
    /// assert_eq!(shared.used(), 0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn reset(&mut self) {
        let (base, cursor) = (self.base.addr().get(), self.cursor.load(Ordering::Relaxed));
        self.dirty_below = self.dirty_below.max(cursor);
        self.cursor = Line::new(base);
        self.backing.get_mut().reclaim(base, cursor);
        self.look_again();
    }

    /// Gives the memory above what is in use back to the system. When that refuses, it stays, and is used again.
    ///
    /// ```
    /// let mut shared = mallocator::Mallocator::builder().build_sync()?;
    /// shared.batch(4096).alloc(1);
    /// shared.reset();
    /// shared.trim();
    /// assert_eq!(shared.committed(), 0);
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
    /// let mut shared = mallocator::Mallocator::builder().build_sync()?;
    /// shared.try_trim()?;
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn try_trim(&mut self) -> Result<(), Error> {
        let cursor = self.cursor.load(Ordering::Relaxed);
        // SAFETY: nothing above the cursor is handed out, and what is ready is looked at again.
        let outcome = unsafe { self.backing.get_mut().decommit(cursor) };
        self.look_again();
        self.dirty_below = self.dirty_below.min(self.ready.load(Ordering::Relaxed));
        Ok(outcome?)
    }

    /// Gives everything back to the system. Dropping the arena does the same, but cannot say whether it worked.
    ///
    /// # Errors
    /// [`Error::Os`] when the system refuses, as for [`Mallocator::free`](crate::Mallocator::free).
    ///
    /// ```
    /// mallocator::Mallocator::builder().build_sync()?.free()?;
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn free(self) -> Result<(), Error> {
        Ok(self.backing.into_inner().release_owned()?)
    }
}

impl fmt::Debug for SyncMallocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncMallocator")
            .field("base", &self.base)
            .field("size", &self.size())
            .field("committed", &self.committed())
            .field("used", &self.used())
            .finish_non_exhaustive()
    }
}
