//! An arena outlives the memory that it was lent.

use std::mem::MaybeUninit;

use mallocator::Mallocator;

fn main() {
    let lent = {
        let mut memory = [MaybeUninit::uninit(); 1000];
        Mallocator::from_slice(&mut memory).unwrap()
    };
    lent.alloc(1);
}
