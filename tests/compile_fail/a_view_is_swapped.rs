//! A view is swapped.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    let mut other = Mallocator::growing();
    arena.scope(|view| std::mem::swap(&mut *view, &mut other));
}
