#![doc = include_str!("../README.md")]
#![cfg_attr(feature = "nightly", feature(allocator_api, box_into_inner))]

mod alloc;
mod allocator;
mod batch;
mod builder;
mod collections;
mod error;
mod function;
mod mallocator;
mod os;
mod properties;
mod protect;
mod protection;
mod pure;
mod read_only;
mod report;
mod rooted;
mod scope;
mod seal;
mod sync;
mod vm;
#[doc = include_str!("../docs/what-can-fail.md")]
pub mod what_can_fail {}

pub use alloc::CodeUnit;
pub use allocator_api2;
pub use batch::Batch;
pub use builder::{Builder, PAGE_GRANULARITY, allocation_granularity, page_size};
pub use collections::{Box, Vec};
#[cfg(feature = "hashbrown")]
pub use collections::{HashMap, HashSet};
pub use error::{Error, OsError, ProtectionError};
pub use function::Function;
#[cfg(feature = "hashbrown")]
pub use hashbrown;
pub use mallocator::Mallocator;
pub use protection::Protection;
pub use read_only::ReadOnly;
#[doc(hidden)]
pub use read_only::for_read_only;
pub use report::Report;
pub use rooted::{Root, Rooted, SealedRoot};
pub use scope::Mark;
pub use seal::{SealError, Sealed};
pub use sync::SyncMallocator;
pub use vm::{HugePages, OnFork};
