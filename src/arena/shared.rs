//! One range that many threads allocate from without a lock.

use std::alloc::Layout;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use allocator_api2::alloc::{AllocError, Allocator};

use crate::arena::dangling;
use crate::error::{Error, granted};
use crate::pure::bump::{self, Block};
use crate::vm::{Region, poison};

/// An arena that threads share: one range, whose cursor they move without a lock. Made by
/// [`Builder::build_sync`](crate::Builder::build_sync).
///
/// Threads that allocate from it in turn pass its cursor from one processor to the other, which takes tens of nanoseconds
/// each time. [`batch`](Self::batch) gives a thread blocks of its own, in which allocating takes less than one.
///
/// Nothing is given back before [`reset`](Self::reset), which nobody can call while anything handed out is in use.
///
/// ```
/// use mallocator::Mallocator;
///
/// let shared = Mallocator::builder().size(1 << 30).build_sync()?;
/// let sums: Vec<u64> = std::thread::scope(|threads| {
///     let work = |start: u64| {
///         let mut batch = shared.batch(256 << 10);
///         (start..start + 1000).map(|number| *batch.alloc(number)).sum()
///     };
///     let workers = [0, 1000].map(|start| threads.spawn(move || work(start)));
///     workers.map(|worker| worker.join().unwrap()).into()
/// });
/// assert_eq!(sums, [499_500, 1_499_500]);
/// # Ok::<(), mallocator::Error>(())
/// ```
// Cursor and limit are each on lines of their own: whoever reads the one is not held up by a write to the other. Two lines
// of 64 bytes, as processors fetch them in pairs.
#[repr(C)]
pub struct SyncMallocator {
    base: NonNull<u8>,
    /// The address behind the range.
    end: usize,
    /// From here on memory was never used, and is zero. Changed through `&mut` only.
    high: usize,
    /// Locked to commit more.
    region: Mutex<Region>,
    /// The address of the next free byte.
    cursor: Line,
    /// The end of what is committed; 0 where ordinary stores do not work. It only grows while the arena is shared.
    limit: Line,
}

#[repr(align(128))]
struct Line(AtomicUsize);

// SAFETY: the region is the arena's alone, and no operation on it depends on the thread.
unsafe impl Send for SyncMallocator {}
// SAFETY: the cursor is moved by compare-and-exchange, so that no two calls are given the same bytes; the region is used
// under its lock, and what is read without is never changed while the arena is shared.
unsafe impl Sync for SyncMallocator {}

impl SyncMallocator {
    pub(crate) fn over(region: Region) -> Self {
        let (base, end) = (region.base(), region.end());
        let limit = committed_end(&region);
        let start = base.addr().get();
        region.note(base.addr().get() + region.committed());
        let region = Mutex::new(region);
        Self {
            base,
            end,
            high: start,
            region,
            cursor: Line(AtomicUsize::new(start)),
            limit: Line(AtomicUsize::new(limit)),
        }
    }

    /// Nothing that holds the lock leaves the region half changed.
    fn region(&self) -> MutexGuard<'_, Region> {
        self.region.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Bytes handed out so far, with what aligning them took; blocks of batches count as a whole. Another thread may have
    /// allocated more before the caller reads it.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// shared.alloc_layout(std::alloc::Layout::new::<u64>());
    /// assert_eq!(shared.used(), 8);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn used(&self) -> usize {
        self.cursor.0.load(Ordering::Relaxed) - self.base.addr().get()
    }

    /// Bytes left, at this moment.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert_eq!(shared.available(), shared.size());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn available(&self) -> usize {
        self.end - self.cursor.0.load(Ordering::Relaxed)
    }

    /// Bytes that are backed by the system, at this moment.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert!(shared.committed() <= shared.size());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn committed(&self) -> usize {
        self.region().committed()
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
    /// let shared = Mallocator::builder().build_sync()?;
    /// let refused = shared.try_alloc_layout(Layout::new::<[u8; 100_000]>());
    /// assert!(matches!(refused, Err(Error::Exhausted { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn try_alloc_layout(&self, layout: Layout) -> Result<NonNull<u8>, Error> {
        if layout.size() == 0 {
            return self.writable().map(|()| dangling(layout));
        }
        let mut cursor = self.cursor.0.load(Ordering::Relaxed);
        loop {
            // It never passes the end, so it cannot wrap however often it is asked.
            let place = |(size, align)| bump::place(cursor, size, align, self.end);
            let (size, align) = (layout.size(), layout.align());
            let block = place(poison::spaced(size, align)).or_else(|| place((size, align)));
            let Some(Block { start, end }) = block else {
                self.writable()?;
                return Err(Error::exhausted(layout.size(), layout.align(), self.available()));
            };
            self.commit(end)?;
            match self.move_cursor(cursor, end) {
                Ok(()) => {
                    poison::hand_out(self.pointer(start), size);
                    return Ok(self.pointer(start));
                }
                Err(moved) => cursor = moved,
            }
        }
    }

    /// Moves the cursor from `from` up to `to`, what lies between being the caller's then, or says where the cursor is.
    ///
    /// No order is needed: what a block holds is nobody's before, and the arena is reset by its owner alone.
    fn move_cursor(&self, from: usize, to: usize) -> Result<(), usize> {
        self.cursor.0.compare_exchange_weak(from, to, Ordering::Relaxed, Ordering::Relaxed).map(drop)
    }

    /// The same for a block that is to grow in place: whether it did.
    pub(crate) fn raise_cursor(&self, from: usize, to: usize) -> bool {
        !poison::ON
            && to <= self.end
            && self.cursor.0.load(Ordering::Relaxed) == from
            && self.commit(to).is_ok()
            && self.cursor.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Sees to it that everything below `end` can be written.
    fn commit(&self, end: usize) -> Result<(), Error> {
        // Whoever sees the new limit sees the memory behind it committed.
        if end > self.limit.0.load(Ordering::Acquire) {
            let region = self.region();
            writable(&region)?;
            let outcome = region.commit(end - self.base.addr().get());
            // Where the cursor is nobody knows when the region ends.
            region.note(self.base.addr().get() + region.committed());
            self.limit.0.store(committed_end(&region), Ordering::Release);
            outcome?;
        }
        Ok(())
    }

    /// Whether ordinary stores work in the region.
    pub(crate) fn writable(&self) -> Result<(), Error> {
        writable(&self.region())
    }

    pub(crate) const fn end(&self) -> usize {
        self.end
    }

    fn pointer(&self, address: usize) -> NonNull<u8> {
        let pointer = self.base.as_ptr().with_addr(address);
        // SAFETY: an address of the range, which does not start at 0.
        unsafe { NonNull::new_unchecked(pointer) }
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
        let (base, cursor) = (self.base.addr().get(), self.cursor.0.get_mut());
        self.high = self.high.max(*cursor);
        let region = self.region.get_mut().unwrap_or_else(PoisonError::into_inner);
        if region.take_back(base, *cursor) {
            *self.limit.0.get_mut() = committed_end(region);
        }
        *cursor = base;
    }

    /// Gives the memory behind what is in use back to the system. When that refuses, it stays, and is used again.
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
        let used = self.used();
        let region = self.region.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: nothing behind the cursor is handed out, and the limit follows.
        let outcome = unsafe { region.decommit(used) };
        if outcome.is_ok() {
            self.high = self.high.min(self.base.addr().get() + region.committed());
        }
        *self.limit.0.get_mut() = committed_end(region);
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
        Ok(self.region.into_inner().unwrap_or_else(PoisonError::into_inner).release()?)
    }

    /// Clears what may not be zero of `len` bytes from `start` on, which were just handed out.
    ///
    /// # Safety
    /// The bytes belong to the caller and were not written since the arena handed them out.
    unsafe fn clear_dirty(&self, start: NonNull<u8>, len: usize) {
        let dirty = self.high.saturating_sub(start.addr().get()).min(len);
        // SAFETY: the caller's.
        unsafe { start.write_bytes(0, dirty) };
        poison::show(start, len);
    }
}

/// The address up to which memory can be written.
fn committed_end(region: &Region) -> usize {
    if region.protection().is_writable() { region.base().addr().get() + region.committed() } else { 0 }
}

fn writable(region: &Region) -> Result<(), Error> {
    let protection = region.protection();
    if protection.is_writable() { Ok(()) } else { Err(Error::NotWritable { protection }) }
}

/// For collections of one thread that live in what threads share. The last block grows in place; nothing is given back.
///
/// ```
/// use allocator_api2::vec::Vec;
/// use mallocator::Mallocator;
///
/// let shared = Mallocator::builder().size(1 << 20).build_sync()?;
/// let mut numbers = Vec::new_in(&shared);
/// numbers.extend(0..1000);
/// assert!(shared.contains(numbers.as_ptr()));
/// # Ok::<(), mallocator::Error>(())
/// ```
// SAFETY: blocks are apart and stay valid until the arena is dropped or borrowed mutably; moving the arena does not move
// its region.
unsafe impl Allocator for SyncMallocator {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let start = self.try_alloc_layout(layout).map_err(|_| AllocError)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = self.allocate(layout)?;
        // SAFETY: the block was just handed out to this call.
        unsafe { self.clear_dirty(block.cast(), layout.size()) };
        Ok(block)
    }

    unsafe fn deallocate(&self, _: NonNull<u8>, _: Layout) {}

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let start = block.addr().get();
        if old.size() != 0
            && start % new.align() == 0
            && self.raise_cursor(start + old.size(), start + new.size())
        {
            return Ok(NonNull::slice_from_raw_parts(self.pointer(start), new.size()));
        }
        let larger = self.allocate(new)?;
        // SAFETY: the old block is live and the new one was just taken, so they are apart, and `new` is not smaller.
        unsafe { larger.cast::<u8>().copy_from_nonoverlapping(block, old.size()) };
        poison::hide(self.pointer(start), old.size());
        Ok(larger)
    }

    unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's.
        let larger = unsafe { self.grow(block, old, new) }?;
        // SAFETY: what is behind the old bytes was just handed out to this call.
        unsafe { self.clear_dirty(larger.cast::<u8>().add(old.size()), new.size() - old.size()) };
        Ok(larger)
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
