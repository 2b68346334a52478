//! A share outlives the arena that it is a share of.

use mallocator::Mallocator;

fn main() {
    let share = {
        let shared = Mallocator::builder().build_sync().unwrap();
        shared.local()
    };
    share.alloc(1);
}
