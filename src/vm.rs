//! Ranges of virtual memory: what is owned, and what has been asked of the system for it.

mod region;

pub(crate) use region::{Placement, Region};
