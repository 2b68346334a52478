//! A root borrows from its own arena.
use mallocator::{Mallocator, Root, Rooted};

struct Text;
impl Root for Text {
    type In<'a> = &'a str;
}

fn main() {
    let other = Mallocator::growing();
    let mut text = Rooted::<Text>::new(Mallocator::growing(), |arena| &*arena.alloc_str("text"));
    text.with_mut(|_, text| *text = other.alloc_str("elsewhere"));
    drop(other);
    text.with(|_, text| println!("{text}"));
}
