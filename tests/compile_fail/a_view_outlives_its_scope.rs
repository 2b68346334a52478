//! A view outlives its scope.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    let _view: &Mallocator = arena.scope(|view| view);
}
