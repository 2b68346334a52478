//! The image is read without unsafe.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    println!("{:?}", arena.used_bytes());
}
