//! What can be put into an arena, a file for each kind. All of them stand on `take` and `take_layout`.

mod encoded;
mod iter;
mod raw;
mod shared;
mod slice;
mod slice_builder;
mod text;
mod value;

pub use encoded::CodeUnit;
