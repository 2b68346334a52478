//! A sealed arena is no arena: it has nothing that writes.
use mallocator::{Mallocator, Protection};

fn main() {
    let sealed = Mallocator::growing().seal(Protection::READ).unwrap();
    sealed.alloc(1);
}
