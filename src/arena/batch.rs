//! An exclusive cursor for tight loops.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::ptr::NonNull;

use crate::arena::Mallocator;
use crate::arena::copy::copy_slice;
use crate::arena::mallocator::dangling;
use crate::error::{Error, unwrap_or_panic};
use crate::pure::bump::{self, Block};
use crate::vm::poison;

/// A block of an arena, and a cursor in it that is nobody else's. Made by [`Mallocator::batch`], also on a thread's
/// [share](crate::SyncMallocator::local) of what threads have in common.
///
/// Each allocation from an arena reads its cursor from memory and writes it back, as anybody may use the arena in between.
/// Nobody else can use a batch, so in a loop its cursor stays in a register. What it hands out borrows the arena and lives as
/// long as everything else in it, not only as long as the batch.
///
/// When the block is full the next is taken, in place while the block is the last thing in the arena. When the batch is
/// dropped, what is left of its block goes back if it is still the last.
///
/// ```
/// use mallocator::Mallocator;
///
/// struct Link<'a> {
///     number: u32,
///     before: Option<&'a Link<'a>>,
/// }
///
/// let arena = Mallocator::growing();
/// let mut batch = arena.batch(64 << 10);
/// let mut last = None;
/// for number in 0..100_000 {
///     last = Some(&*batch.alloc(Link { number, before: last }));
/// }
/// drop(batch);
/// let numbers = std::iter::successors(last, |link| link.before).map(|link| u64::from(link.number));
/// assert_eq!(numbers.sum::<u64>(), 4_999_950_000);
/// ```
#[must_use = "a batch takes nothing before something is allocated from it"]
#[derive(Debug)]
pub struct Batch<'m> {
    /// Where blocks come from, or why there are none.
    arena: Result<&'m Mallocator, Error>,
    /// From which every pointer that is handed out derives.
    base: NonNull<u8>,
    /// How much to take at a time, in bytes.
    block: usize,
    held: Held,
    /// Blocks are handed out as `&mut`, so that a batch may be no more than the arena is.
    _handed_out: PhantomData<&'m mut [u8]>,
}

/// What a batch has of its block; all zero before the first. Addresses.
#[derive(Clone, Copy, Debug)]
struct Held {
    cursor: usize,
    /// The end of the block.
    limit: usize,
}

impl Mallocator {
    /// A cursor of its own for a tight loop, which takes `block` bytes of the arena at a time, or as much as is left.
    ///
    /// A block is taken when something is first allocated. 64 KiB is a good size for many small things; what is left of the
    /// last block goes back when the batch is dropped, unless something else was allocated meanwhile.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let mut batch = arena.batch(4096);
    /// let (one, two) = (batch.alloc(1_u64), batch.alloc(2_u64));
    /// assert_eq!(*one + *two, 3);
    /// assert_eq!(arena.used(), 4096); // the block
    /// drop(batch);
    /// assert_eq!(arena.used(), 16);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn batch(&self, block: usize) -> Batch<'_> {
        Batch::of(Ok(self), block)
    }
}

impl<'m> Batch<'m> {
    #[inline]
    pub(super) fn of(arena: Result<&'m Mallocator, Error>, block: usize) -> Self {
        let base = arena.map_or(NonNull::dangling(), |arena| arena.backing().base());
        Batch { arena, base, block, held: Held { cursor: 0, limit: 0 }, _handed_out: PhantomData }
    }

    /// Moves `value` into the arena. It is not dropped when the arena takes its memory back.
    ///
    /// # Panics
    /// When [`try_alloc`](Self::try_alloc) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let mut batch = arena.batch(4096);
    /// let point = batch.alloc([1, 2]);
    /// point[1] = 3;
    /// assert_eq!(point, &[1, 3]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc<T>(&mut self, value: T) -> &'m mut T {
        unwrap_or_panic(self.try_alloc(value))
    }

    /// [`alloc`](Self::alloc) that returns the error. The value is dropped then.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::new()?;
    /// let mut batch = arena.batch(4096);
    /// assert_eq!(batch.try_alloc(7)?, &7);
    /// assert!(matches!(batch.try_alloc([0_u8; 100_000]), Err(Error::Exhausted { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc<T>(&mut self, value: T) -> Result<&'m mut T, Error> {
        self.try_alloc_with(|| value)
    }

    /// Finds a place for a value and then calls `make` for it, so that a large one need not be moved. `make` may allocate
    /// from the arena.
    ///
    /// # Panics
    /// When [`try_alloc_with`](Self::try_alloc_with) would return an error. When `make` panics, nothing is taken.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let mut batch = arena.batch(4096);
    /// let outer = batch.alloc_with(|| Some(arena.alloc(5)));
    /// assert_eq!(outer.as_deref(), Some(&5));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_with<T>(&mut self, make: impl FnOnce() -> T) -> &'m mut T {
        unwrap_or_panic(self.try_alloc_with(make))
    }

    /// [`alloc_with`](Self::alloc_with) that returns the error. `make` is not called then.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let mut batch = arena.batch(4096);
    /// assert!(batch.try_alloc_with(|| [1_u8; 100_000]).is_err());
    /// assert_eq!(batch.try_alloc_with(|| [1_u8; 1_000])?.len(), 1_000);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_with<T>(&mut self, make: impl FnOnce() -> T) -> Result<&'m mut T, Error> {
        let mut slot = if size_of::<T>() == 0 {
            self.arena?.writable()?;
            let slot = NonNull::<T>::dangling();
            // SAFETY: a value without a size needs no place.
            unsafe { slot.write(make()) };
            slot
        } else {
            // The cursor is 0 or an address of the region, and a type's size and alignment sum to at most `isize::MAX`.
            let mut start = aligned(self.held.cursor, align_of::<T>());
            if start + size_of::<T>() > self.held.limit {
                self.held = refill(self.arena, self.held, self.block, Layout::new::<T>())?;
                start = bump::place_layout(self.held.cursor, 0, align_of::<T>()).start;
            }
            let slot = self.pointer(start).cast();
            // Nobody can move the cursor meanwhile, and a refusal or a panic leaves it where it is.
            let value = make();
            self.held.cursor = start + size_of::<T>();
            // SAFETY: the slot is aligned and writable, and in the block, which is this batch's.
            unsafe { slot.write(value) };
            slot
        };
        // SAFETY: the slot was written, and is nobody else's for as long as the arena is borrowed.
        Ok(unsafe { slot.as_mut() })
    }

    /// Copies a slice into the arena.
    ///
    /// # Panics
    /// When [`try_alloc_slice_copy`](Self::try_alloc_slice_copy) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let mut batch = arena.batch(4096);
    /// assert_eq!(batch.alloc_slice_copy(&[2, 3, 5]), [2, 3, 5]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_slice_copy<T: Copy>(&mut self, source: &[T]) -> &'m mut [T] {
        unwrap_or_panic(self.try_alloc_slice_copy(source))
    }

    /// [`alloc_slice_copy`](Self::alloc_slice_copy) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.batch(4096).try_alloc_slice_copy(&[1.5, 2.5])?, [1.5, 2.5]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_slice_copy<T: Copy>(&mut self, source: &[T]) -> Result<&'m mut [T], Error> {
        let copy = self.take_layout(Layout::for_value(source))?;
        // SAFETY: the place has the layout of `source`, is nobody else's for as long as the arena is borrowed, and so does
        // not overlap `source`.
        unsafe {
            copy_slice(source, copy.as_ptr().cast());
            Ok(core::slice::from_raw_parts_mut(copy.as_ptr().cast(), source.len()))
        }
    }

    /// Copies a string into the arena, as UTF-8, with no NUL.
    ///
    /// # Panics
    /// When [`try_alloc_str`](Self::try_alloc_str) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let mut batch = arena.batch(4096);
    /// let (one, two) = (batch.alloc_str("one"), batch.alloc_str("two"));
    /// assert_eq!((&*one, &*two), ("one", "two"));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_str(&mut self, text: &str) -> &'m mut str {
        unwrap_or_panic(self.try_alloc_str(text))
    }

    /// [`alloc_str`](Self::alloc_str) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.batch(4096).try_alloc_str("naïve")?.len(), 6);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_str(&mut self, text: &str) -> Result<&'m mut str, Error> {
        let copy = self.try_alloc_slice_copy(text.as_bytes())?;
        // SAFETY: a copy of valid UTF-8.
        Ok(unsafe { core::str::from_utf8_unchecked_mut(copy) })
    }

    /// Memory for `layout`, aligned, writable, owned by the caller until the arena takes it back.
    #[inline(always)]
    fn take_layout(&mut self, layout: Layout) -> Result<NonNull<u8>, Error> {
        if layout.size() == 0 {
            return self.arena?.writable().map(|()| dangling(layout));
        }
        let mut place = bump::place_layout(self.held.cursor, layout.size(), layout.align());
        if place.end > self.held.limit {
            self.held = refill(self.arena, self.held, self.block, layout)?;
            place = bump::place_layout(self.held.cursor, layout.size(), layout.align());
        }
        self.held.cursor = place.end;
        Ok(self.pointer(place.start))
    }

    /// A pointer into the block, from its address.
    #[inline(always)]
    fn pointer(&self, address: usize) -> NonNull<u8> {
        let pointer = self.base.as_ptr().with_addr(address);
        // SAFETY: an address of the region, which does not start at 0.
        unsafe { NonNull::new_unchecked(pointer) }
    }
}

/// Rounds up by a jump that is rarely taken: where a value follows others that are aligned like it, as in a tight loop, the
/// next one waits for an addition only. Without the mark the compiler makes the jump a calculation.
#[inline(always)]
fn aligned(cursor: usize, align: usize) -> usize {
    #[cold]
    #[inline]
    const fn rarely() {}
    if cursor & (align - 1) == 0 {
        cursor
    } else {
        rarely();
        bump::place_layout(cursor, 0, align).start
    }
}

/// A block with room for `layout` above its cursor: the old one, longer, or another. By value, so that a batch whose methods are
/// inlined never has an address.
#[cold]
#[inline(never)]
fn refill(
    arena: Result<&Mallocator, Error>,
    held: Held,
    block: usize,
    layout: Layout,
) -> Result<Held, Error> {
    let arena = arena?;
    arena.writable()?;
    if held.limit != 0 {
        // In place, of what the arena has at hand; then with what may be had elsewhere. What is left may be less than a whole
        // block, and what is granted less than that.
        for room in [arena.at_hand(), arena.available()] {
            let most = held.limit.saturating_add(room);
            let needed = bump::place(held.cursor, layout.size(), layout.align(), most);
            if let Some(Block { end, .. }) = needed {
                let ample = held.limit.saturating_add(block).min(most).max(end);
                for limit in [ample, end] {
                    if arena.raise_in_place(held.limit, limit) {
                        return Ok(Held { limit, ..held });
                    }
                }
            }
        }
    }
    // Where a checker is to see each value, a block is one.
    let block = if poison::ON { 0 } else { block };
    let at_hand = bump::place(arena.innermost_cursor(), layout.size(), layout.align(), usize::MAX)
        .is_some_and(|place| place.end - arena.innermost_cursor() <= arena.at_hand());
    let room = if at_hand { arena.at_hand() } else { arena.available() };
    let ample = block.min(room).max(layout.size());
    let whole = Layout::from_size_align(ample, layout.align());
    let (start, size) = match whole.map(|whole| arena.take_layout(whole)) {
        Ok(Ok(start)) => (start, ample),
        _ => (arena.take_layout(layout)?, layout.size()),
    };
    // What is left of the old block stays taken: something else was allocated since.
    let start = start.addr().get();
    Ok(Held { cursor: start, limit: start + size })
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        let Held { cursor, limit } = self.held;
        if let Ok(arena) = self.arena {
            if cursor < limit {
                arena.lower_end(cursor, limit, cursor, cursor);
            }
        }
    }
}
