//! A platform that is neither Unix nor Windows: one clear message. To add a platform, start from a copy.

use std::num::NonZeroUsize;
use std::ptr::NonNull;

use super::{Call, OsError};
use crate::protection::Protection;

compile_error!(
    "mallocator reserves virtual memory, and knows how on Unix and Windows only; \
     CONTRIBUTING.md says how to add a platform"
);

pub(super) const TAKEN: i32 = 0;

pub(super) const OMITTED: i32 = 0;

const UNKNOWN: i32 = 0;

#[path = "no_secret.rs"]
mod secret;
pub(super) use secret::{HAS_SECRET_ADVICE, exclude_from_dumps, omit_on_fork, wipe_on_fork};

pub(super) fn name_of(_: Call) -> &'static str {
    ""
}

pub(super) fn usual_cause(_: Call, _: i32) -> Option<&'static str> {
    None
}

pub(super) fn may_pass(_: i32) -> bool {
    false
}

pub(super) fn page_size() -> usize {
    4096
}

pub(super) fn granularity() -> usize {
    page_size()
}

pub(super) fn unsupported(_: Protection) -> Option<&'static str> {
    Some("virtual memory")
}

pub(super) fn reserve(size: usize, _: Option<NonZeroUsize>) -> Result<NonNull<u8>, OsError> {
    Err(OsError::new(Call::Reserve, size, 0))
}

pub(super) const CAN_RESERVE_WITHIN: bool = false;

pub(super) const fn reserve_within(_: usize, _: usize, _: usize) -> Option<NonNull<u8>> {
    None
}

pub(super) fn reserve_for_advice(size: usize, _: usize) -> Result<NonNull<u8>, OsError> {
    Err(OsError::new(Call::Reserve, size, 0))
}

pub(super) const COMMIT_IS_CHARGED: bool = false;

pub(super) const PAGE_BEHIND_HUGE: bool = true;

pub(super) fn huge_page() -> Option<usize> {
    None
}

pub(super) fn advised_huge_page() -> Option<usize> {
    None
}

pub(super) fn reserve_huge(
    size: usize,
    _: Option<NonZeroUsize>,
    _: usize,
    _: Protection,
) -> Result<NonNull<u8>, OsError> {
    Err(OsError::new(Call::ReserveHuge, size, 0))
}

pub(super) unsafe fn advise_huge(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}

pub(super) unsafe fn advise_small(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}

pub(super) fn on_huge_pages(_: NonNull<u8>, _: usize) -> Option<usize> {
    None
}

pub(super) unsafe fn commit(_: NonNull<u8>, _: usize, _: Protection) -> Result<(), OsError> {
    Ok(())
}

pub(super) unsafe fn decommit(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}

pub(super) unsafe fn discard(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}

pub(super) unsafe fn protect(_: NonNull<u8>, _: usize, _: Protection) -> Result<(), OsError> {
    Ok(())
}

pub(super) unsafe fn release(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}

pub(super) unsafe fn lock(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}

pub(super) unsafe fn unlock(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}

pub(super) unsafe fn flush_instruction_cache(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}
