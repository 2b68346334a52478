//! The heap: ranges are blocks of the global allocator, for interpreters that have no virtual memory (Miri). It is taken
//! under `cfg(miri)`, and anywhere by `--cfg mallocator_heap`, which `scripts/test-heap.sh` tests it by.
//!
//! A page here is 4096 bytes by name only: nothing can be forbidden, and nothing is a fault. What an interpreter does see is
//! a read of what is reserved or decommitted, as such bytes are uninitialised, and any use of a range that was released.
//!
//! | request | what is done |
//! |---|---|
//! | reserve | `alloc`, at the alignment of a page; the whole size counts as memory |
//! | `at` | refused as taken: every address is the allocator's to give |
//! | `near` | granted where the allocator happens to answer in reach; tried once |
//! | commit | the pages become zero |
//! | decommit | the pages become uninitialised, and stay the process's |
//! | discard | nothing |
//! | protect | nothing: every page can be read and written, none executed. What only Windows has is `Unsupported` |
//! | `lock` | refused, as of a system that does not know it |
//! | huge pages, dumps, forks | absent: `Unsupported`, or advice that is not taken |

use std::alloc::{Layout, alloc, dealloc};
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use super::absent::refuse;
pub(super) use super::absent::{
    HAS_SECRET_ADVICE, advise_huge, advise_small, advised_huge_page, exclude_from_dumps, huge_page, lineage,
    may_pass, omit_on_fork, on_huge_pages, reserve_for_advice, reserve_huge, wipe_on_fork,
};
use super::{Call, OsError};
use crate::protection::Protection;

/// A page by name.
const PAGE: usize = 4096;

/// `EEXIST`, and `ERROR_INVALID_ADDRESS`: codes are those of the system that the interpreter plays.
pub(super) const TAKEN: i32 = if cfg!(windows) { 487 } else { 17 };

/// `ENOMEM`, and `ERROR_NOT_ENOUGH_MEMORY`.
pub(super) const OUT_OF_MEMORY: i32 = if cfg!(windows) { 8 } else { 12 };

/// `ENOSYS`, and `ERROR_NOT_SUPPORTED`.
pub(super) const UNKNOWN: i32 = if cfg!(windows) {
    50
} else if cfg!(any(target_os = "linux", target_os = "android")) {
    38
} else {
    78
};

pub(super) const OMITTED: i32 = OUT_OF_MEMORY;

/// As large as it can be for an interpreter that makes many.
pub(super) const GROWING: usize = 64 << 20;

/// A commit writes to all that it commits.
pub(super) const COMMIT_IS_CHARGED: bool = true;

/// Every address is the allocator's to give.
pub(super) const CAN_CHOOSE_ADDRESS: bool = false;

pub(super) const PAGE_BEHIND_HUGE: bool = true;

pub(super) const fn name_of(call: Call) -> &'static str {
    match call {
        Call::Reserve => "alloc",
        Call::Release => "dealloc",
        // None of these asks anybody.
        Call::Commit | Call::Decommit | Call::Discard | Call::Protect | Call::FlushInstructionCache => {
            "bookkeeping"
        }
        // These are absent.
        Call::ReserveHuge
        | Call::AdviseHuge
        | Call::AdviseSmall
        | Call::Lock
        | Call::Unlock
        | Call::ExcludeFromDumps
        | Call::WipeOnFork
        | Call::OmitOnFork => "advice",
    }
}

pub(super) fn usual_cause(call: Call, code: i32) -> Option<&'static str> {
    match (call, code) {
        (Call::Reserve, OUT_OF_MEMORY) => {
            Some("usually more than the machine has: on the heap address space is memory")
        }
        (_, UNKNOWN) => Some("the heap stands in for virtual memory here, and cannot do that"),
        _ => None,
    }
}

pub(super) const fn page_size() -> usize {
    PAGE
}

pub(super) const fn granularity() -> usize {
    PAGE
}

pub(super) fn unsupported(protection: Protection) -> Option<&'static str> {
    let windows_only = [
        (Protection::GUARD, "Protection::GUARD"),
        (Protection::NO_CACHE, "Protection::NO_CACHE"),
        (Protection::WRITE_COMBINE, "Protection::WRITE_COMBINE"),
        (Protection::TARGETS_INVALID, "Protection::TARGETS_INVALID"),
    ];
    windows_only.iter().find(|(flag, _)| protection.intersects(*flag)).map(|(_, name)| *name)
}

fn layout_of(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, PAGE).ok().filter(|layout| layout.size() > 0)
}

pub(super) fn reserve(size: usize, at: Option<NonZeroUsize>) -> Result<NonNull<u8>, OsError> {
    if at.is_some() {
        return Err(OsError::new(Call::Reserve, size, TAKEN));
    }
    // SAFETY: the size is not 0.
    let start = layout_of(size).and_then(|layout| NonNull::new(unsafe { alloc(layout) }));
    start.ok_or(OsError::new(Call::Reserve, size, OUT_OF_MEMORY))
}

pub(super) const CAN_RESERVE_WITHIN: bool = true;

/// One try: the allocator does not say what else it has.
pub(super) fn reserve_within(size: usize, lowest: usize, last: usize) -> Option<NonNull<u8>> {
    let start = reserve(size, None).ok()?;
    let address = start.addr().get();
    if address < lowest || address + (size - 1) > last {
        // SAFETY: the block was made above, and nobody knows of it.
        let _ = unsafe { release(start, size) };
        return None;
    }
    Some(start)
}

pub(super) unsafe fn release(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    let layout = layout_of(len).ok_or(OsError::new(Call::Release, len, UNKNOWN))?;
    // SAFETY: `reserve` made the block with this layout: a reservation is released as a whole.
    unsafe { dealloc(start.as_ptr(), layout) };
    Ok(())
}

pub(super) unsafe fn commit(start: NonNull<u8>, len: usize, _: Protection) -> Result<(), OsError> {
    // SAFETY: the caller's: the range is a reservation's, and nobody else's.
    unsafe { start.write_bytes(0, len) };
    Ok(())
}

/// Bytes that are uninitialised are an interpreter's word for what must not be read. Compiled, this is nothing.
pub(super) const unsafe fn decommit(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    let mut at = 0;
    while at < len {
        // SAFETY: the caller's: whole pages of a reservation, of which nothing is used again.
        unsafe { start.add(at).cast::<MaybeUninit<[u8; PAGE]>>().write(MaybeUninit::uninit()) };
        at += PAGE;
    }
    Ok(())
}

/// Every page stays as it was.
pub(super) const unsafe fn discard(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}

pub(super) const unsafe fn protect(_: NonNull<u8>, _: usize, _: Protection) -> Result<(), OsError> {
    Ok(())
}

pub(super) const unsafe fn lock(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::Lock, len)
}

pub(super) const unsafe fn unlock(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    refuse(Call::Unlock, len)
}

/// Nothing can be executed here.
pub(super) const unsafe fn flush_instruction_cache(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}
