//! A rewind without unsafe.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    let mark = arena.mark();
    arena.rewind(mark);
}
