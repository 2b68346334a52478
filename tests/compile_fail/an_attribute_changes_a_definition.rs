//! What an attribute makes of a definition is not what the macro has looked at.
mod doc {
    pub use std::prelude::v1::derive as of_another_kind;
}

mallocator::read_only! {
    #[doc::of_another_kind(Clone)]
    struct Number {
        number: u32,
    }
}

fn main() {}
