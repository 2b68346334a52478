//! Any thread may read what is sealed, and a cell that it leads to, elsewhere, is not for any thread.
use mallocator::{Mallocator, Protection};
use std::cell::Cell;

#[derive(Clone, Copy)]
struct Handle(&'static Cell<u64>);

fn main() {
    let arena = Mallocator::new().unwrap();
    let cell: &'static Cell<u64> = Box::leak(Box::new(Cell::new(0)));
    let offset = arena.offset_of(arena.alloc(Handle(cell))).unwrap();
    let sealed = arena.seal(Protection::READ).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                // SAFETY: a handle was written there, and it has no cell in the arena.
                let handle = unsafe { sealed.get::<Handle>(offset).unwrap() };
                handle.0.set(handle.0.get() + 1);
            });
        }
    });
}
