//! The template of a platform: every function of the contract, and each refuses. To add a platform, start from a copy.
//!
//! It compiles, so that it stays complete: `--cfg mallocator_template` puts it in the place of the system's own platform. No
//! arena can be made over it.

use std::num::NonZeroUsize;
use std::ptr::NonNull;

use super::absent::refuse;
use super::{Call, OsError};
use crate::protection::Protection;

// What the system does not have stays taken from here; what it has takes the place of its name in this list.
pub(super) use super::absent::{
    CAN_RESERVE_WITHIN, HAS_SECRET_ADVICE, advise_huge, advise_small, advised_huge_page, exclude_from_dumps,
    huge_page, lineage, may_pass, omit_on_fork, on_huge_pages, reserve_for_advice, reserve_huge,
    reserve_within, wipe_on_fork,
};

/// The system's code for an address that is taken.
pub(super) const TAKEN: i32 = 1;

/// The system's code for a range that is not there.
pub(super) const OMITTED: i32 = 2;

/// The system's code for a request that it does not know.
pub(super) const UNKNOWN: i32 = 3;

/// The system's code for too little memory.
#[cfg(test)]
pub(super) const OUT_OF_MEMORY: i32 = 4;

/// Address space is cheap: more than anybody fills, and little of what there is.
pub(super) const GROWING: usize = 64 << 30;

pub(super) const COMMIT_IS_CHARGED: bool = false;

pub(super) const CAN_CHOOSE_ADDRESS: bool = true;

pub(super) const PAGE_BEHIND_HUGE: bool = true;

/// The name of the system's function, as its manual has it.
pub(super) const fn name_of(_: Call) -> &'static str {
    "nothing"
}

/// What is usually behind a code of the system, with the manual's address in a comment.
pub(super) const fn usual_cause(_: Call, _: i32) -> Option<&'static str> {
    Some("this is the template of a platform, which has no memory")
}

pub(super) const fn page_size() -> usize {
    4096
}

pub(super) const fn granularity() -> usize {
    page_size()
}

/// The first part of a protection that the system does not have, by its name.
pub(super) const fn unsupported(_: Protection) -> Option<&'static str> {
    None
}

pub(super) const fn reserve(size: usize, _: Option<NonZeroUsize>) -> Result<NonNull<u8>, OsError> {
    refuse(Call::Reserve, size)
}

pub(super) const unsafe fn release(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::Release, len)
}

pub(super) const unsafe fn commit(_: NonNull<u8>, len: usize, _: Protection) -> Result<(), OsError> {
    refuse(Call::Commit, len)
}

pub(super) const unsafe fn decommit(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::Decommit, len)
}

pub(super) const unsafe fn discard(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::Discard, len)
}

pub(super) const unsafe fn protect(_: NonNull<u8>, len: usize, _: Protection) -> Result<(), OsError> {
    refuse(Call::Protect, len)
}

pub(super) const unsafe fn lock(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::Lock, len)
}

pub(super) const unsafe fn unlock(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::Unlock, len)
}

pub(super) const unsafe fn flush_instruction_cache(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::FlushInstructionCache, len)
}
