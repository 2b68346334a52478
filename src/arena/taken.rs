//! A block in the making. It is taken before any caller's code runs, and whatever that code does (panic, allocate, lie about
//! lengths), it is kept as a whole or given back. What can be put into an arena is written over this, and so is the
//! `Allocator` trait.

use core::alloc::Layout;
use core::mem;
use core::ptr::NonNull;

use crate::arena::Mallocator;
use crate::arena::mallocator::dangling;
use crate::error::Error;
use crate::vm::poison;

/// A block of an arena that is the holder's. Dropped, which a panic does, it gives the block back, with what aligning it took,
/// if it is still the last.
pub(crate) struct Taken<'a> {
    arena: &'a Mallocator,
    start: NonNull<u8>,
    /// In bytes; 0 where there is no block yet.
    size: usize,
    /// Where the cursor was before the block was taken, or would have been, had the open scope ended then.
    before: usize,
    /// Where the first block starts of those that it has outgrown one after the other, and nothing between; its own if none.
    first: usize,
}

impl<'a> Taken<'a> {
    /// For one `T`.
    #[inline(always)]
    pub(crate) fn value<T>(arena: &'a Mallocator) -> Result<Self, Error> {
        let before = arena.settled();
        let start = arena.take::<T>()?.cast::<u8>();
        Ok(Self { arena, start, size: size_of::<T>(), before, first: start.addr().get() })
    }

    pub(crate) fn new(arena: &'a Mallocator, layout: Layout) -> Result<Self, Error> {
        let before = arena.settled();
        let start = arena.take_layout(layout)?;
        Ok(Self { arena, start, size: layout.size(), before, first: start.addr().get() })
    }

    /// No block yet, in an arena that can be written.
    #[inline]
    pub(crate) fn nothing<T>(arena: &'a Mallocator) -> Result<Self, Error> {
        arena.writable()?;
        let start = dangling(Layout::new::<T>());
        Ok(Self { arena, start, size: 0, before: arena.settled(), first: start.addr().get() })
    }

    /// A block that was kept before.
    ///
    /// # Safety
    /// The arena handed it out, `size` bytes, and it is the caller's.
    #[inline]
    pub(super) unsafe fn again(arena: &'a Mallocator, block: NonNull<u8>, size: usize) -> Self {
        let start = block.addr().get();
        // Derived from the base: the caller's pointer may reach no further than what he made of the block.
        let block = if size == 0 { block } else { arena.pointer(start) };
        Self { arena, start: block, size, before: start, first: start }
    }

    pub(crate) const fn arena(&self) -> &'a Mallocator {
        self.arena
    }

    #[inline(always)]
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The block is somebody's, for as long as the arena lets him have it.
    #[inline(always)]
    pub(crate) fn keep(self) -> NonNull<u8> {
        let start = self.start;
        mem::forget(self);
        start
    }

    /// Gives the end of the block back, or all of it, if it is the last of all.
    #[inline]
    pub(crate) fn shorten(&mut self, size: usize) {
        if self.size != size {
            let start = self.start.addr().get();
            let new_end = start + size;
            self.arena.lower_end(start, start + self.size, new_end, new_end);
            self.size = size;
        }
    }

    /// Makes the block larger: in place when it is the last and no scope is open, else by moving it. After an error it is as it
    /// was. `layout` is not smaller than the block, and has its alignment, or the contents are of bytes.
    #[inline]
    pub(crate) fn grow(&mut self, layout: Layout) -> Result<(), Error> {
        debug_assert!(layout.size() >= self.size);
        let (arena, start) = (self.arena, self.start.addr().get());
        let end = start + self.size;
        if self.size == 0 {
            *self = Self::new(arena, layout)?;
            return Ok(());
        }
        if start % layout.align() == 0 && arena.raise_in_place(end, start + layout.size()) {
            self.size = layout.size();
            return Ok(());
        }
        self.move_to(layout)
    }

    /// Moves as much of the contents as fit to another block. After an error it is as it was.
    #[inline(never)]
    pub(super) fn move_to(&mut self, layout: Layout) -> Result<(), Error> {
        let arena = self.arena;
        // The last block of all moves only where a view is open.
        let (before, was_last) = if arena.has_view() {
            let end = self.start.addr().get() + self.size;
            (arena.settled(), arena.is_last(self.first, end))
        } else {
            (arena.cursor(), false)
        };
        let other = arena.take_layout(layout)?;
        // SAFETY: the old block is the holder's and the new one was just taken, so they are apart; neither is smaller.
        unsafe { other.copy_from_nonoverlapping(self.start, self.size.min(layout.size())) };
        poison::hide(self.start, self.size);
        // In another block of a share it does not follow what it has outgrown: others have what lies between.
        if !was_last || self.first < arena.backing().floor() {
            (self.before, self.first) = (before, other.addr().get());
        }
        (self.start, self.size) = (other, layout.size());
        Ok(())
    }
}

impl Drop for Taken<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.size == 0 {
            return;
        }
        let end = self.start.addr().get() + self.size;
        if self.arena.cursor() == end {
            self.arena.lower(self.before);
        } else {
            self.arena.lower_end(self.first, end, self.first, self.before.min(self.first));
        }
    }
}
