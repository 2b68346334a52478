//! Ranges of virtual memory: what is owned, and what has been asked of the system for it.

mod clean;
mod options;
mod place;
pub(crate) mod poison;
mod region;
pub(crate) mod reuse;

pub use options::{HugePages, OnFork};
pub(crate) use options::{Options, Placement};
pub(crate) use region::Region;
