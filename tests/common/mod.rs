//! What the tests share: facts read from the operating system, and child processes.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "every test file includes it and uses a part of it"
)]

mod children;
#[cfg_attr(unix, path = "linux.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use std::ops::Range;

pub use children::{aborts, alone, alone_or, apart, describe, dies, is_child};
use mallocator::{Mallocator, Protection};
pub use system::{
    announce_faults, in_a_descendant_of_the_same_number, in_a_fork, limit_locked_memory, mapping_flags,
    page_at, reserve_bare, resident, writable_and_executable,
};
#[cfg(unix)]
pub use system::{mappings, resident_in};

/// What the operating system says of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Nobody's.
    Free,
    /// Reserved or committed, and not to be touched.
    Inaccessible,
    /// Committed.
    Accessible(Protection),
}

/// The address range of a reservation.
pub fn range_of(arena: &Mallocator) -> Range<usize> {
    let base = arena.base().addr().get();
    base..base + arena.size()
}

/// Asks the operating system whether exactly the committed part of the arena has its protection, and whether the
/// rest, and the page behind it, is inaccessible.
pub fn check_pages(arena: &Mallocator) {
    // On the heap a page is one by name, and nothing is asked.
    if cfg!(mallocator_heap) {
        return;
    }
    let range = range_of(arena);
    let committed = range.start + arena.committed();
    let page = mallocator::page_size();
    let expected = match arena.protection() {
        Protection::NO_ACCESS => Page::Inaccessible,
        protection => Page::Accessible(protection),
    };
    for address in [range.start, committed - page] {
        if address >= range.start && address < committed {
            assert_eq!(page_at(address), expected, "at {address:#x} of {arena:?}");
        }
    }
    for address in [committed, committed.midpoint(range.end), range.end - page, range.end] {
        if address >= committed {
            assert_eq!(page_at(address), Page::Inaccessible, "at {address:#x} of {arena:?}");
        }
    }
}

/// The bytes behind a pointer from one of the raw methods.
///
/// # Safety
/// They were written, and nobody writes to them.
pub unsafe fn bytes_at<'a>(block: std::ptr::NonNull<[u8]>) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { block.as_ref() }
}
