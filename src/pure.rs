//! Functions over integers and text. They know no pointer and no operating system, so they can be
//! tested on every small input.
#![forbid(unsafe_code)]

pub(crate) mod bump;
pub(crate) mod hex;
pub(crate) mod plan;
pub(crate) mod runs;
