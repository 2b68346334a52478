//! What is in an arena does not leave it, whatever the owner is called.
use mallocator::{Mallocator, Root, Rooted};

struct Text;
impl Root for Text {
    type In<'a> = &'a str;
}

fn main() {
    let mut kept = "";
    let text = Rooted::<Text>::new(Mallocator::growing(), |arena| &*arena.alloc_str("text"));
    text.with(|_, text| kept = text);
    drop(text);
    println!("{kept}");
}
