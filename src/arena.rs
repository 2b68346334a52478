//! Arenas: the only place that moves a cursor.

mod allocator;
mod backing;
mod batch;
pub(crate) mod copy;
mod lent;
mod mallocator;
mod properties;
mod protect;
mod report;
mod scope;
mod shared;
mod taken;

pub(crate) use backing::release_kept;
pub use batch::Batch;
pub use lent::Lent;
pub use mallocator::Mallocator;
pub use report::Report;
pub use scope::Mark;
pub use shared::SyncMallocator;
pub(crate) use taken::Taken;
