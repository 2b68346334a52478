//! No part of the macro promises anything about a definition that it does not see.
struct Counted(std::cell::Cell<u32>);

mallocator::read_only!(@check Counted [] []);

fn main() {}
