//! A share, and what is in it, is used after a reset of the arena that it is a share of.

use mallocator::Mallocator;

fn main() {
    let mut shared = Mallocator::builder().build_sync().unwrap();
    let share = shared.local();
    let text = share.alloc_str("gone");
    shared.reset();
    share.alloc(text.len());
}
