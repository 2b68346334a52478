//! Ranges of virtual memory: what is owned, and what has been asked of the system for it.

mod options;
mod region;
pub(crate) mod reuse;

pub use options::HugePages;
pub(crate) use options::{Options, Placement};
pub(crate) use region::Region;
