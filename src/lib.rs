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

pub use alloc::CodeUnit;
pub use allocator_api2;
pub use arena::{Batch, Lent, Mallocator, Mark, Report, SyncMallocator};
pub use builder::{Builder, PAGE_GRANULARITY, allocation_granularity, page_size};
pub use collections::{Box, Vec};
#[cfg(feature = "hashbrown")]
pub use collections::{HashMap, HashSet};
pub use error::{Error, OsError, ProtectionError};
#[cfg(feature = "hashbrown")]
pub use hashbrown;
pub use protection::Protection;
#[doc(hidden)]
pub use seal::for_read_only;
pub use seal::{Function, ReadOnly, Root, Rooted, SealError, Sealed, SealedRoot};
pub use vm::{HugePages, OnFork};
