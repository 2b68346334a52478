//! A view is moved out.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    let _view = arena.scope(|view| *view);
}
