//! Arenas: the only place that moves a cursor.

mod allocator;
mod batch;
mod chain;
pub(crate) mod copy;
mod mallocator;
mod properties;
mod protect;
mod report;
mod scope;
mod shared;
#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use mallocator::Mallocator;
pub(crate) use mallocator::dangling;
pub use report::Report;
pub use scope::Mark;
pub use shared::SyncMallocator;
