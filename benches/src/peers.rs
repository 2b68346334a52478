//! Who is measured, behind two small traits, so that every workload is written once.
//!
//! [`Peer`] is what arenas and general allocators have in common: a new one, a value, a layout, a string, an `Allocator`
//! for collections. [`Values`] is the part of it that an arena of one type has too. Only public interfaces are used, each in the
//! way its documentation shows first.

mod arenas;
mod floor;
mod heaps;
mod typed;

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;

pub use arenas::{BumpScope, BumpScope8};
pub use floor::HugePages;
pub use heaps::{Glibc, Heap, Jemalloc, Mimalloc, Snmalloc};
pub use typed::TypedArena;

pub use blink_alloc::Blink;
pub use bumpalo::Bump;
pub use mallocator::Mallocator;

/// What a peer is called in tables.
pub trait Named {
    /// The name.
    const NAME: &'static str;
}

/// An allocator that takes values of every type. Nothing put in is ever dropped, so everything is `Copy`.
pub trait Peer: Named + Sized {
    /// Whether each block has to be given back singly, by [`free`](Self::free): a general allocator.
    const FREES: bool = false;

    /// What collections allocate from.
    type Allocator<'a>: Allocator + Clone
    where
        Self: 'a;

    /// A new one, made as its users make it.
    fn create() -> Self;

    /// Takes everything back at once; a general allocator does nothing.
    fn reset(&mut self);

    /// Puts a value in.
    fn alloc<T: Copy>(&self, value: T) -> NonNull<T>;

    /// Puts a value in, or says that it does not fit.
    fn try_alloc<T: Copy>(&self, value: T) -> Option<NonNull<T>>;

    /// Memory for a layout.
    fn alloc_layout(&self, layout: Layout) -> NonNull<u8>;

    /// A copy of a string.
    fn alloc_str(&self, text: &str) -> NonNull<u8>;

    /// What collections allocate from.
    fn allocator(&self) -> Self::Allocator<'_>;

    /// Gives a block back, where that is needed.
    ///
    /// # Safety
    /// The block came from this peer for this layout and is not used again.
    #[inline]
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        let _ = (block, layout);
    }
}

/// An allocator of values of one type.
pub trait Values<T: Copy>: Named + Sized {
    /// Whether each value has to be given back singly.
    const FREES: bool;

    /// A new one.
    fn create() -> Self;

    /// Takes everything back at once, but for what has to be given back singly.
    fn reset(&mut self);

    /// Puts a value in.
    fn alloc(&self, value: T) -> NonNull<T>;

    /// Gives a value back, where that is needed.
    ///
    /// # Safety
    /// The value came from this peer and is not used again.
    unsafe fn free(&self, value: NonNull<T>);
}

impl<T: Copy, P: Peer> Values<T> for P {
    const FREES: bool = P::FREES;

    #[inline]
    fn create() -> Self {
        P::create()
    }

    #[inline]
    fn reset(&mut self) {
        P::reset(self);
    }

    #[inline]
    fn alloc(&self, value: T) -> NonNull<T> {
        P::alloc(self, value)
    }

    #[inline]
    unsafe fn free(&self, value: NonNull<T>) {
        // SAFETY: the caller's; the layout is the value's.
        unsafe { P::free(self, value.cast(), Layout::new::<T>()) };
    }
}

/// What a tight loop allocates through: the arena itself, or a cursor taken out of it before the loop.
pub trait Cursors<T: Copy>: Named + Sized {
    /// Whether each value has to be given back singly.
    const FREES: bool;

    /// What the loop holds.
    type Cursor<'a>
    where
        Self: 'a;

    /// A new one.
    fn create() -> Self;

    /// Takes everything back at once.
    fn reset(&mut self);

    /// What the loop is to hold.
    fn cursor(&self) -> Self::Cursor<'_>;

    /// Puts a value in.
    fn put<'a>(cursor: &mut Self::Cursor<'a>, value: T) -> NonNull<T>
    where
        Self: 'a;

    /// Gives a value back, where that is needed.
    ///
    /// # Safety
    /// The value came from this peer and is not used again.
    unsafe fn free(&self, value: NonNull<T>);
}

/// Those that a loop allocates from without a cursor of its own.
pub trait Direct {}

impl<P: Peer> Direct for P {}

impl<P> Direct for Fallible<P> {}

impl<T> Direct for TypedArena<T> {}

impl<T: Copy, V: Values<T> + Direct> Cursors<T> for V {
    const FREES: bool = V::FREES;

    type Cursor<'a>
        = &'a V
    where
        V: 'a;

    #[inline]
    fn create() -> Self {
        V::create()
    }

    #[inline]
    fn reset(&mut self) {
        V::reset(self);
    }

    #[inline]
    fn cursor(&self) -> &V {
        self
    }

    #[inline]
    fn put<'a>(cursor: &mut &'a V, value: T) -> NonNull<T>
    where
        V: 'a,
    {
        cursor.alloc(value)
    }

    #[inline]
    unsafe fn free(&self, value: NonNull<T>) {
        // SAFETY: the caller's.
        unsafe { V::free(self, value) };
    }
}

/// The same allocator through its fallible methods, as a peer of its own.
#[derive(Debug)]
pub struct Fallible<P>(P);

impl<P: Named> Named for Fallible<P> {
    const NAME: &'static str = P::NAME;
}

impl<T: Copy, P: Peer> Values<T> for Fallible<P> {
    const FREES: bool = P::FREES;

    #[inline]
    fn create() -> Self {
        Self(P::create())
    }

    #[inline]
    fn reset(&mut self) {
        self.0.reset();
    }

    /// The end of the program where the caller would handle the error: the loop has the same branch.
    #[inline]
    fn alloc(&self, value: T) -> NonNull<T> {
        match self.0.try_alloc(value) {
            Some(object) => object,
            None => std::process::abort(),
        }
    }

    #[inline]
    unsafe fn free(&self, value: NonNull<T>) {
        // SAFETY: the caller's; the layout is the value's.
        unsafe { self.0.free(value.cast(), Layout::new::<T>()) };
    }
}
