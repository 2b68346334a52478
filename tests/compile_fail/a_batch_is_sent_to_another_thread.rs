use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::new().unwrap();
    let mut batch = arena.batch(4096);
    std::thread::scope(|threads| {
        threads.spawn(move || batch.alloc(1));
    });
}
