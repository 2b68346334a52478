//! A vector outlives its scope.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    let _numbers = arena.scope(|scratch| {
        let mut numbers = mallocator::Vec::new_in(scratch);
        numbers.push(1);
        numbers
    });
}
