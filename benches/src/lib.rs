//! Measures Mallocator against other arenas and against general allocators, and writes a report.
//!
//! The peers are behind two small traits ([`peers`]), every workload is one generic function over them, and the rounds
//! of all peers are interleaved. What is to be reached is a table in `targets.rs`.

// Counts and times become floating-point numbers, all of them far below 2^52.
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

#[cfg(not(target_os = "linux"))]
compile_error!("the benchmark reads its memory from Linux' /proc");

pub mod batch;
mod children;
mod command;
mod growth;
pub mod inputs;
mod machine;
pub mod peers;
mod report;
mod results;
mod rounds;
pub mod share;
mod targets;
mod workloads;

pub use command::run;
