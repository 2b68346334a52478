//! A value leaves its scope through a variable.

use mallocator::Mallocator;

fn main() {
    let arena = Mallocator::growing();
    let mut kept: Option<&u32> = None;
    arena.scope(|scratch| kept = Some(scratch.alloc(1)));
    println!("{kept:?}");
}
