//! What can be put into an arena, a file for each kind. All of them stand on `take` and `take_layout`.

mod encoded;
mod filling;
mod iter;
mod raw;
mod slice;
mod text;
mod value;

pub use encoded::CodeUnit;
