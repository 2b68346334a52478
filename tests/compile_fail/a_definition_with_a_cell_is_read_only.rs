//! The macro looks at every field.
mallocator::read_only! {
    enum Counted {
        Not,
        Once(std::cell::Cell<u32>),
    }
}

fn main() {}
