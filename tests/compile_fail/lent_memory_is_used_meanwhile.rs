//! Memory is used by its owner while an arena has it.

use std::mem::MaybeUninit;

use mallocator::Mallocator;

fn main() {
    let mut memory = [MaybeUninit::new(0_u8); 1000];
    let lent = Mallocator::from_slice(&mut memory).unwrap();
    memory[500].write(1);
    lent.alloc(1);
}
