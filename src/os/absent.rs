//! What a platform may lack, each spelt once: a platform takes from here what its system does not have.
//!
//! What is an option of the builder is refused before any of these is called, by the constant beside it; what is
//! only advice is refused here, or followed by doing nothing, as each says.
#![allow(dead_code, reason = "each platform takes what it lacks, and none lacks all")]

use std::num::NonZeroUsize;
use std::ptr::NonNull;

use super::platform::{UNKNOWN, reserve};
use super::{Call, OsError};
use crate::protection::Protection;

/// What is answered for a system that has no such call.
pub(super) const fn refuse<T>(call: Call, len: usize) -> Result<T, OsError> {
    Err(OsError::new(call, len, UNKNOWN))
}

/// For a system whose refusals are not for a moment.
pub(super) const fn may_pass(_code: i32) -> bool {
    false
}

/// For a system that takes one address, and not a range of them: places are tried one after the other.
pub(super) const CAN_RESERVE_WITHIN: bool = false;

pub(super) const fn reserve_within(_: usize, _: usize, _: usize) -> Option<NonNull<u8>> {
    None
}

/// For a system without huge pages, or where none can be asked for.
pub(super) const fn huge_page() -> Option<usize> {
    None
}

pub(super) fn reserve_huge(
    size: usize,
    _: Option<NonZeroUsize>,
    _: usize,
    _: Protection,
) -> Result<NonNull<u8>, OsError> {
    refuse(Call::ReserveHuge, size)
}

/// For a system that takes no advice about huge pages.
pub(super) const fn advised_huge_page() -> Option<usize> {
    None
}

/// Nothing to align for.
pub(super) fn reserve_for_advice(size: usize, _: usize) -> Result<NonNull<u8>, OsError> {
    reserve(size, None)
}

pub(super) const unsafe fn advise_huge(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::AdviseHuge, len)
}

/// Where no advice puts anything on huge pages, small ones are what there is.
pub(super) const unsafe fn advise_small(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}

pub(super) const fn on_huge_pages(_: NonNull<u8>, _: usize) -> Option<usize> {
    None
}

/// For a system that cannot be told about memory that others should not see.
pub(super) const HAS_SECRET_ADVICE: bool = false;

pub(super) const unsafe fn exclude_from_dumps(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::ExcludeFromDumps, len)
}

pub(super) const unsafe fn wipe_on_fork(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::WipeOnFork, len)
}

pub(super) const unsafe fn omit_on_fork(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::OmitOnFork, len)
}

/// For a system that leaves nothing out of a fork, or has no forks: processes are told apart by their numbers.
pub(super) fn lineage() -> u64 {
    u64::from(std::process::id())
}
