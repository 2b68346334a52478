#![doc = include_str!("../README.md")]
#![cfg_attr(feature = "nightly", feature(allocator_api, box_into_inner))]

mod alloc;
mod arena;
mod builder;
mod collections;
mod error;
#[cfg(test)]
mod faults;
mod os;
mod protection;
mod pure;
mod seal;
mod vm;
#[doc = include_str!("../docs/what-can-fail.md")]
pub mod what_can_fail {}

// Sizes of the system.
pub use builder::{PAGE_GRANULARITY, allocation_granularity, page_size};

// Arenas: one's own, threads', over the caller's memory.
pub use arena::{Batch, Lent, Mallocator, Mark, Report, SyncMallocator};
pub use builder::Builder;
pub use protection::Protection;
pub use vm::{HugePages, OnFork};

// What is put in.
pub use alloc::CodeUnit;
pub use collections::{Box, Vec};
#[cfg(feature = "hashbrown")]
pub use collections::{HashMap, HashSet};

// Arenas that can no longer be written, and arenas with what was built in them.
#[doc(hidden)]
pub use seal::for_read_only;
pub use seal::{Function, ReadOnly, Root, Rooted, SealError, Sealed, SealedRoot};

// What can go wrong.
pub use error::{Error, OsError, ProtectionError};

// Crates whose types are in the interface.
pub use allocator_api2;
#[cfg(feature = "hashbrown")]
pub use hashbrown;
