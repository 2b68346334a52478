//! Only the caller knows which bytes were written.
use mallocator::{Mallocator, Protection};

fn main() {
    let sealed = Mallocator::growing().seal(Protection::READ).unwrap();
    let _ = sealed.bytes(0..sealed.used());
    let _ = sealed.get::<u8>(0);
}
