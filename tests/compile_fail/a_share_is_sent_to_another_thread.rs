//! A share is sent to another thread.

use mallocator::Mallocator;

fn main() {
    let shared = Mallocator::builder().build_sync().unwrap();
    let share = shared.local();
    std::thread::scope(|threads| {
        threads.spawn(move || share.alloc(1));
    });
}
