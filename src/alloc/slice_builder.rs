//! A slice in the making: a block in the making, and the elements in it. Whatever the caller's code does meanwhile, none of
//! them is lost or doubled.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};
use core::ptr::{self, NonNull};
use core::slice;

use crate::arena::{Mallocator, Taken};
use crate::error::Error;

/// A block of the arena and the elements made in it so far. Dropped before it is finished, it drops them and then gives
/// the block back, if it is still the last.
pub(crate) struct SliceBuilder<'a, T> {
    taken: Taken<'a>,
    /// Elements there is room for.
    capacity: usize,
    /// Elements made.
    len: usize,
    _elements: PhantomData<T>,
}

impl<'a, T> SliceBuilder<'a, T> {
    pub(crate) fn with_capacity(arena: &'a Mallocator, capacity: usize) -> Result<Self, Error> {
        let taken = Taken::new(arena, Self::layout(arena, capacity)?)?;
        let capacity = if size_of::<T>() == 0 { usize::MAX } else { capacity };
        Ok(Self { taken, capacity, len: 0, _elements: PhantomData })
    }

    /// With no block yet.
    #[inline]
    pub(crate) fn new(arena: &'a Mallocator) -> Result<Self, Error> {
        let capacity = if size_of::<T>() == 0 { usize::MAX } else { 0 };
        Ok(Self { taken: Taken::nothing::<T>(arena)?, capacity, len: 0, _elements: PhantomData })
    }

    fn layout(arena: &Mallocator, capacity: usize) -> Result<Layout, Error> {
        let too_large = |_| arena.exhausted(size_of::<T>().saturating_mul(capacity), align_of::<T>());
        Layout::array::<T>(capacity).map_err(too_large)
    }

    fn start(&self) -> NonNull<T> {
        self.taken.start().cast()
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
        let layout = Self::layout(self.taken.arena(), capacity)?;
        self.taken.grow(layout)?;
        self.capacity = capacity;
        Ok(())
    }

    /// Adds an element. When there is no room for it, it is dropped.
    #[inline]
    pub(crate) fn push(&mut self, element: T) -> Result<(), Error> {
        if self.len == self.capacity {
            self.grow(1)?;
        }
        // SAFETY: there is room for one more, in a block that is nobody else's.
        unsafe { self.start().add(self.len).write(element) };
        self.len += 1;
        Ok(())
    }

    /// The elements made, for as long as the arena is borrowed. What is left of the block goes back.
    #[inline]
    pub(crate) fn finish(self) -> &'a mut [T] {
        let builder = ManuallyDrop::new(self);
        // SAFETY: the builder is not used again.
        let (mut taken, len) = unsafe { (ptr::read(&raw const builder.taken), builder.len) };
        taken.shorten(size_of::<T>() * len);
        let start = taken.keep().cast::<T>();
        // SAFETY: so many elements were made there, and the block is nobody else's for as long as the arena is borrowed.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) }
    }
}

impl<T: Copy> SliceBuilder<'_, T> {
    /// Adds copies of elements.
    pub(crate) fn extend(&mut self, elements: &[T]) -> Result<(), Error> {
        if self.capacity - self.len < elements.len() {
            self.grow(elements.len())?;
        }
        // SAFETY: there is room, in a block that is nobody else's, so not that of `elements`.
        unsafe {
            self.start()
                .add(self.len)
                .copy_from_nonoverlapping(NonNull::from(elements).cast(), elements.len());
        }
        self.len += elements.len();
        Ok(())
    }
}

impl<T> Drop for SliceBuilder<'_, T> {
    /// The elements, and then, by the drop of the field, their block, also when one of them panics.
    fn drop(&mut self) {
        if mem::needs_drop::<T>() {
            // SAFETY: so many elements were made there, and nobody has them.
            unsafe { NonNull::slice_from_raw_parts(self.start(), self.len).drop_in_place() };
        }
    }
}
