//! As with a field of a structure: here the macro is expanded in a variant, behind one that is only read.
mallocator::read_only! {
    enum Counted {
        Not { name: u32 },
        Once(u32, mallocator_impure::cell_then_number!()),
    }
}

fn main() {}
