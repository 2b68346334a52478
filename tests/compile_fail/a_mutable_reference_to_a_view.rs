//! A mutable reference to a view.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    arena.scope(|view| {
        let view: &mut Mallocator = view;
        view.reset();
    });
}
