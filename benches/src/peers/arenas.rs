//! The arenas that take every type.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};
use allocator_api2_04::alloc::Allocator as Allocator04;
use blink_alloc::{Blink, BlinkAlloc};
use bump_scope::alloc::Global;
use bump_scope::settings::BumpSettings;
use bump_scope::traits::BumpAllocatorTyped;
use bumpalo::Bump;
use mallocator::Mallocator;

use super::{Named, Peer};

/// bump-scope with its default settings.
pub type BumpScope = bump_scope::Bump;

/// bump-scope with a cursor that stays aligned to 8 bytes, which is its fastest setting for words.
pub type BumpScope8 = bump_scope::Bump<Global, BumpSettings<8>>;

impl Named for Mallocator {
    const NAME: &'static str = "mallocator";
}

impl Peer for Mallocator {
    type Allocator<'a> = &'a Mallocator;

    #[inline]
    fn create() -> Self {
        Mallocator::growing()
    }

    #[inline]
    fn reset(&mut self) {
        Mallocator::reset(self);
    }

    #[inline]
    fn alloc<T: Copy>(&self, value: T) -> NonNull<T> {
        NonNull::from(Mallocator::alloc(self, value))
    }

    #[inline]
    fn try_alloc<T: Copy>(&self, value: T) -> Option<NonNull<T>> {
        Mallocator::try_alloc(self, value).ok().map(NonNull::from)
    }

    #[inline]
    fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        Mallocator::alloc_layout(self, layout)
    }

    #[inline]
    fn alloc_str(&self, text: &str) -> NonNull<u8> {
        NonNull::from(Mallocator::alloc_str(self, text)).cast()
    }

    #[inline]
    fn allocator(&self) -> &Mallocator {
        self
    }
}

impl Named for Bump {
    const NAME: &'static str = "bumpalo";
}

impl Peer for Bump {
    type Allocator<'a> = &'a Bump;

    #[inline]
    fn create() -> Self {
        Bump::new()
    }

    #[inline]
    fn reset(&mut self) {
        Bump::reset(self);
    }

    #[inline]
    fn alloc<T: Copy>(&self, value: T) -> NonNull<T> {
        NonNull::from(Bump::alloc(self, value))
    }

    #[inline]
    fn try_alloc<T: Copy>(&self, value: T) -> Option<NonNull<T>> {
        Bump::try_alloc(self, value).ok().map(NonNull::from)
    }

    #[inline]
    fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        Bump::alloc_layout(self, layout)
    }

    #[inline]
    fn alloc_str(&self, text: &str) -> NonNull<u8> {
        NonNull::from(Bump::alloc_str(self, text)).cast()
    }

    #[inline]
    fn allocator(&self) -> &Bump {
        self
    }
}

/// The two settings of bump-scope differ in their type only.
macro_rules! bump_scope_peer {
    ($type:ty, $name:literal) => {
        impl Named for $type {
            const NAME: &'static str = $name;
        }

        impl Peer for $type {
            type Allocator<'a> = &'a $type;

            #[inline]
            fn create() -> Self {
                Self::new()
            }

            #[inline]
            fn reset(&mut self) {
                Self::reset(self);
            }

            #[inline]
            fn alloc<T: Copy>(&self, value: T) -> NonNull<T> {
                NonNull::from(Self::alloc(self, value).into_mut())
            }

            #[inline]
            fn try_alloc<T: Copy>(&self, value: T) -> Option<NonNull<T>> {
                Self::try_alloc(self, value).ok().map(|object| NonNull::from(object.into_mut()))
            }

            #[inline]
            fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
                self.allocate_layout(layout)
            }

            #[inline]
            fn alloc_str(&self, text: &str) -> NonNull<u8> {
                NonNull::from(Self::alloc_str(self, text).into_mut()).cast()
            }

            #[inline]
            fn allocator(&self) -> &$type {
                self
            }
        }
    };
}

bump_scope_peer!(BumpScope, "bump-scope");
bump_scope_peer!(BumpScope8, "bump-scope, align 8");

impl Named for Blink {
    const NAME: &'static str = "blink-alloc";
}

impl Peer for Blink {
    type Allocator<'a> = BlinkFor02<'a>;

    #[inline]
    fn create() -> Self {
        Blink::new()
    }

    #[inline]
    fn reset(&mut self) {
        Blink::reset(self);
    }

    #[inline]
    fn alloc<T: Copy>(&self, value: T) -> NonNull<T> {
        NonNull::from(self.put_no_drop(value))
    }

    #[inline]
    fn try_alloc<T: Copy>(&self, value: T) -> Option<NonNull<T>> {
        self.emplace_no_drop().try_value(value).ok().map(NonNull::from)
    }

    #[inline]
    fn alloc_layout(&self, layout: Layout) -> NonNull<u8> {
        Blink::allocator(self).allocate(layout).expect("memory").cast()
    }

    #[inline]
    fn alloc_str(&self, text: &str) -> NonNull<u8> {
        NonNull::from(self.copy_str(text)).cast()
    }

    #[inline]
    fn allocator(&self) -> BlinkFor02<'_> {
        BlinkFor02(Blink::allocator(self))
    }
}

/// blink-alloc has the `Allocator` of allocator-api2 0.4 and the collections here want that of 0.2: the same methods, passed on.
#[derive(Clone, Copy)]
pub struct BlinkFor02<'a>(&'a BlinkAlloc);

type Answer = Result<NonNull<[u8]>, AllocError>;

// SAFETY: every method is that of the same contract in another version of the crate.
unsafe impl Allocator for BlinkFor02<'_> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Answer {
        Allocator04::allocate(self.0, layout).map_err(|_| AllocError)
    }

    #[inline]
    fn allocate_zeroed(&self, layout: Layout) -> Answer {
        Allocator04::allocate_zeroed(self.0, layout).map_err(|_| AllocError)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { Allocator04::deallocate(self.0, block, layout) };
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: the caller's.
        unsafe { Allocator04::grow(self.0, block, old, new) }.map_err(|_| AllocError)
    }

    #[inline]
    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: the caller's.
        unsafe { Allocator04::grow_zeroed(self.0, block, old, new) }.map_err(|_| AllocError)
    }

    #[inline]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: the caller's.
        unsafe { Allocator04::shrink(self.0, block, old, new) }.map_err(|_| AllocError)
    }
}
