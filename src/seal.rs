//! Sealing: arenas that can no longer be written, and what is built in an arena and goes along with it.

mod function;
mod read_only;
mod rooted;
mod sealed;
#[cfg(test)]
mod tests;

pub use function::Function;
pub use read_only::{ReadOnly, for_read_only};
pub use rooted::{Root, Rooted, SealedRoot};
pub use sealed::{SealError, Sealed};
