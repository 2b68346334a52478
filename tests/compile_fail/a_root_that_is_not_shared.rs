//! Threads share what they may share.
use mallocator::{Mallocator, Protection, ReadOnly, Root, Rooted};
use std::marker::PhantomData;

struct Alone<'a>(&'a u32, PhantomData<*const ()>);
// SAFETY: a number, and nothing.
unsafe impl ReadOnly for Alone<'_> {}
impl Root for Alone<'_> {
    type In<'a> = Alone<'a>;
}

fn main() {
    let root = Rooted::<Alone>::new(Mallocator::growing(), |arena| Alone(arena.alloc(1), PhantomData));
    let root = root.seal(Protection::READ).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| root.with(|root| *root.0));
    });
}
