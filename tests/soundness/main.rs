//! Holes that were found by attacking the design, one test each: a test fails where its rule is not kept.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

#[path = "../common/mod.rs"]
mod common;

mod across_blocks;
mod blocks;
mod callers;
mod errors;
mod faults;
mod lent;
mod pages;
#[cfg(target_os = "linux")]
mod places;
mod scopes;
mod shadow;
mod share;
mod zero;
