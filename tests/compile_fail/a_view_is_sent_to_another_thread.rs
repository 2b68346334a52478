//! A view is sent to another thread.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    arena.scope(|view| {
        std::thread::scope(|threads| {
            threads.spawn(move || view.alloc(1));
        });
    });
}
