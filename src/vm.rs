//! Ranges of virtual memory: what is owned, and what has been asked of the system for it.

mod clean;
mod options;
mod place;
pub(crate) mod poison;
mod protections;
mod reservation;
pub(crate) mod reuse;
mod taken_back;

pub use options::{HugePages, OnFork};
pub(crate) use options::{Options, Placement};
pub(crate) use reservation::Region;
