//! What a macro expands to in the definition counts, and not what it expands to where somebody looks again.
mallocator::read_only! {
    struct Counted {
        uses: mallocator_impure::cell_then_number!(),
    }
}

fn main() {}
