//! An arena is lent to another thread.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    std::thread::scope(|threads| {
        threads.spawn(|| arena.alloc(1));
        arena.alloc(2);
    });
}
