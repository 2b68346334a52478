#![doc = include_str!("../README.md")]

mod alloc;
mod builder;
mod error;
mod mallocator;
mod os;
mod protection;
mod pure;
mod report;
mod scope;
mod vm;

pub use alloc::CodeUnit;
pub use builder::{Builder, PAGE_GRANULARITY, allocation_granularity, page_size};
pub use error::{Error, OsError, ProtectionError};
pub use mallocator::Mallocator;
pub use protection::Protection;
pub use report::Report;
pub use scope::Mark;
