//! typed-arena: values of one type.

use std::ptr::NonNull;

use typed_arena::Arena;

use super::{Named, Values};

/// typed-arena. It has no reset: a new one takes the place of the old.
pub struct TypedArena<T>(Arena<T>);

impl<T> Named for TypedArena<T> {
    const NAME: &'static str = "typed-arena";
}

impl<T: Copy> Values<T> for TypedArena<T> {
    const FREES: bool = false;

    #[inline]
    fn create() -> Self {
        Self(Arena::new())
    }

    #[inline]
    fn reset(&mut self) {
        // Room for as much as there was, in one piece, as the others keep.
        self.0 = Arena::with_capacity(self.0.len());
    }

    #[inline]
    fn alloc(&self, value: T) -> NonNull<T> {
        NonNull::from(self.0.alloc(value))
    }

    #[inline]
    unsafe fn free(&self, _: NonNull<T>) {}
}
