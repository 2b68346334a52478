//! Ranges of virtual memory: what is owned, and what has been asked of the system for it.

pub(crate) mod clean;
mod options;
mod place;
pub(crate) mod poison;
mod protections;
mod reclaimed;
mod reservation;
pub(crate) mod reuse;

pub(crate) use clean::Clean;
pub use options::{HugePages, OnFork};
pub(crate) use options::{Name, Options, Placement};
pub(crate) use reservation::Reservation;
