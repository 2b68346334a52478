//! A slice in the making: its block is taken before any caller's code runs, and whatever that code does (panic, allocate,
//! lie about lengths), nothing is lost, doubled or left half done.

use std::alloc::Layout;
use std::mem;
use std::ptr::NonNull;
use std::slice;

use crate::arena::Mallocator;
use crate::error::Error;

/// A block of the arena and the elements made in it so far. Dropped before it is finished, it drops them and then gives
/// the block back, if it is still the last.
pub(crate) struct Filling<'a, T> {
    arena: &'a Mallocator,
    start: NonNull<T>,
    /// Elements there is room for.
    capacity: usize,
    /// Elements made.
    len: usize,
    /// Where the cursor was before the block was taken, or would have been, had the open scope ended then.
    before: usize,
    /// Where the first block starts of those that it has outgrown one behind the other, and nothing between; its own if none.
    first: usize,
}

impl<'a, T> Filling<'a, T> {
    pub(crate) fn with_capacity(arena: &'a Mallocator, capacity: usize) -> Result<Self, Error> {
        let layout = Self::layout(arena, capacity)?;
        let before = arena.settled();
        let start = arena.take_layout(layout)?.cast::<T>();
        let capacity = if size_of::<T>() == 0 { usize::MAX } else { capacity };
        Ok(Self { arena, start, capacity, len: 0, before, first: start.addr().get() })
    }

    /// With no block yet.
    #[inline]
    pub(crate) fn new(arena: &'a Mallocator) -> Result<Self, Error> {
        arena.writable()?;
        let start = NonNull::<T>::dangling();
        let capacity = if size_of::<T>() == 0 { usize::MAX } else { 0 };
        Ok(Self { arena, start, capacity, len: 0, before: arena.settled(), first: start.addr().get() })
    }

    fn layout(arena: &Mallocator, capacity: usize) -> Result<Layout, Error> {
        let too_large = |_| arena.exhausted(size_of::<T>().saturating_mul(capacity), align_of::<T>());
        Layout::array::<T>(capacity).map_err(too_large)
    }

    /// The size of the block in bytes.
    fn size(&self) -> usize {
        // No overflow: the block exists, or elements have no size.
        size_of::<T>() * if size_of::<T>() == 0 { 0 } else { self.capacity }
    }

    /// Elements that the first block has room for, if there is that much and no more are known of: as many as fit into a line
    /// of the cache. What is not needed goes back, unless something was allocated since.
    const FEW: usize = match size_of::<T>() {
        size @ 1..16 => 64 / size,
        _ => 4,
    };

    /// Makes room for at least so many more elements.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) -> Result<(), Error> {
        let needed = self.len.saturating_add(more);
        let ample = self.capacity.saturating_mul(2).max(needed).max(Self::FEW);
        // Less may be granted.
        self.grow_to(ample).or_else(|_| self.grow_to(needed))
    }

    fn grow_to(&mut self, capacity: usize) -> Result<(), Error> {
        if self.capacity == 0 {
            *self = Self::with_capacity(self.arena, capacity)?;
            return Ok(());
        }
        let new = Self::layout(self.arena, capacity)?;
        let old = Layout::array::<T>(self.capacity).unwrap_or(Layout::new::<()>());
        // The last block of all moves only where a view is open.
        let (before, was_last) = if self.arena.has_view() {
            let end = self.start.addr().get() + old.size();
            (self.arena.settled(), self.arena.is_last(self.first, end))
        } else {
            (self.arena.cursor(), false)
        };
        // SAFETY: the block was handed out for `old`, and `new` is larger.
        let start = unsafe { self.arena.grow_block(self.start.cast(), old, new) }?.cast();
        if start != self.start && !was_last {
            (self.before, self.first) = (before, start.addr().get());
        }
        (self.start, self.capacity) = (start, capacity);
        Ok(())
    }

    /// Adds an element. When there is no room for it, it is dropped.
    #[inline]
    pub(crate) fn push(&mut self, element: T) -> Result<(), Error> {
        if self.len == self.capacity {
            self.grow(1)?;
        }
        // SAFETY: there is room for one more, in a block that is nobody else's.
        unsafe { self.start.add(self.len).write(element) };
        self.len += 1;
        Ok(())
    }

    /// The elements made, for as long as the arena is borrowed. What is left of the block goes back.
    #[inline]
    pub(crate) fn finish(self) -> &'a mut [T] {
        let used = size_of::<T>() * self.len;
        self.arena.shorten_block(self.start.addr().get(), self.size(), used);
        let Self { start, len, .. } = self;
        mem::forget(self);
        // SAFETY: so many elements were made there, and the block is nobody else's for as long as the arena is borrowed.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) }
    }
}

impl<T: Copy> Filling<'_, T> {
    /// Adds copies of elements.
    pub(crate) fn extend(&mut self, elements: &[T]) -> Result<(), Error> {
        if self.capacity - self.len < elements.len() {
            self.grow(elements.len())?;
        }
        // SAFETY: there is room, in a block that is nobody else's, so not that of `elements`.
        unsafe {
            self.start.add(self.len).copy_from_nonoverlapping(NonNull::from(elements).cast(), elements.len());
        }
        self.len += elements.len();
        Ok(())
    }
}

impl<T> Drop for Filling<'_, T> {
    fn drop(&mut self) {
        /// Gives the block back after the elements are dropped, also if one of them panics.
        struct GiveBack<'a>(&'a Mallocator, usize, std::ops::Range<usize>);
        impl Drop for GiveBack<'_> {
            fn drop(&mut self) {
                self.0.give_back(self.1, self.2.clone());
            }
        }
        let end = self.start.addr().get() + self.size();
        let first = if self.size() == 0 { end } else { self.first };
        let _give_back = GiveBack(self.arena, self.before, first..end);
        // SAFETY: so many elements were made there, and nobody has them.
        unsafe { NonNull::slice_from_raw_parts(self.start, self.len).drop_in_place() };
    }
}
