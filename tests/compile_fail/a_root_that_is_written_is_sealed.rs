//! A write to sealed pages is a fault, so nothing with a cell is sealed.
use mallocator::{Mallocator, Protection, Root, Rooted};
use std::cell::Cell;

struct Counter;
impl Root for Counter {
    type In<'a> = &'a Cell<u32>;
}

fn main() {
    let counter = Rooted::<Counter>::new(Mallocator::growing(), |arena| &*arena.alloc(Cell::new(1)));
    let _ = counter.seal(Protection::READ);
}
