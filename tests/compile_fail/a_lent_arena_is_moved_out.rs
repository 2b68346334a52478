//! The arena is taken out of what was lent, by exchanging it for another.

use std::mem::MaybeUninit;

use mallocator::Mallocator;

fn main() {
    let mut other = Mallocator::new().unwrap();
    let mut memory = [MaybeUninit::uninit(); 1000];
    let mut lent = Mallocator::from_slice(&mut memory).unwrap();
    std::mem::swap(&mut *lent, &mut other);
}
