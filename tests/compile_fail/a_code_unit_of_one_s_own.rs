//! A code unit of one's own.

use mallocator::Mallocator;

fn main() {
    #[derive(Clone, Copy)]
    struct Unit(u8);
    impl mallocator::CodeUnit for Unit {}
    let arena = Mallocator::growing();
    let _ = arena.alloc_string::<Unit>("text");
}
