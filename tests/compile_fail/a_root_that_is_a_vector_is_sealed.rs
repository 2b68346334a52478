//! A vector could grow, and its drop writes to the arena: what is sealed is the slice that it ends as.
use mallocator::{Mallocator, Protection, Root, Rooted, Vec};

struct Numbers;
impl Root for Numbers {
    type In<'a> = Vec<'a, u32>;
}

fn main() {
    let numbers = Rooted::<Numbers>::new(Mallocator::growing(), |arena| Vec::new_in(arena));
    let _ = numbers.seal(Protection::READ);
}
