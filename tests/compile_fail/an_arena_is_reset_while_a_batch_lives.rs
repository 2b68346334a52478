use mallocator::Mallocator;

fn main() {
    let mut arena = Mallocator::new().unwrap();
    let mut batch = arena.batch(4096);
    arena.reset();
    batch.alloc(1);
}
