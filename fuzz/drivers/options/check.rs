//! Whether what is granted is what was asked for, and what is refused has a cause.

use std::ptr::NonNull;

use mallocator::{Error, HugePages, Mallocator, OnFork, Protection, allocation_granularity, page_size};

use super::{Addr, Asked, Input, MOST, Place, Run};
use crate::common::{Page, mapping_flags, page_at};

/// Why a protection cannot be had, if it cannot.
pub(super) fn refusal_of(protection: Protection) -> Option<fn(&Error) -> bool> {
    let bits = protection.bits();
    let exists = super::super::exists(protection);
    if !exists {
        Some(|error| matches!(error, Error::InvalidProtection(_)))
    } else if bits > 7 && !cfg!(windows) {
        Some(|error| matches!(error, Error::Unsupported { .. }))
    } else {
        None
    }
}

/// Whether this system, or one like it, may lack what was asked for, whatever the numbers.
pub(super) fn may_be_missing(protection: Protection, error: &Error) -> bool {
    let usual = cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));
    match error {
        Error::Unsupported { .. } => !usual && protection.is_executable(),
        Error::Os(_) => !usual || protection.bits() > 7,
        _ => false,
    }
}

fn rounded(asked: &Asked) -> Option<usize> {
    // What huge pages round to is not known here; the size of the page behind is.
    let size = asked.size.checked_next_multiple_of(page_size())?;
    size.checked_add(page_size() + asked.before())
        .filter(|&total| isize::try_from(total).is_ok())
        .map(|_| size)
}

pub(super) fn granted(run: &Run, asked: &Asked, base: NonNull<u8>, size: usize, committed: usize) {
    let (start, end) = (base.addr().get(), base.addr().get() + size);
    assert!(refusal_of(asked.protection).is_none(), "{asked:?}");
    let secret = asked.exclude_from_dumps || asked.on_fork != OnFork::Copy;
    assert!(cfg!(target_os = "linux") || !secret, "{asked:?}");
    assert!(!asked.lock || asked.protection != Protection::NO_ACCESS, "such pages cannot be locked");
    let least = rounded(asked).filter(|&least| least > 0).unwrap_or_else(|| panic!("{asked:?}"));
    let unit = if asked.huge_pages == HugePages::Required { 1 << 30 } else { 1 };
    assert!(size == least || (size > least && size < least + unit), "{size} {asked:?}");
    assert_eq!((start % allocation_granularity(), size % page_size(), committed % page_size()), (0, 0, 0));
    assert!(committed <= size && isize::try_from(end).is_ok());
    assert!(
        run.others.iter().all(|other| end <= other.addr() || other.addr() + other.size() <= start),
        "overlap"
    );
    match asked.place {
        Place::Anywhere => {}
        Place::At(address) => assert_eq!(start, address),
        Place::Near { address, distance } => {
            let farthest = start.abs_diff(address).max((end - 1).abs_diff(address));
            assert!(farthest <= distance, "{farthest} {asked:?}");
        }
    }
}

/// Whether this system, or one like it, lacks an option that was asked for, by the name that the error gives it.
fn is_missing(asked: &Asked, option: &str) -> bool {
    let required = asked.huge_pages == HugePages::Required;
    match option {
        "guard_pages with HugePages::Required" => cfg!(windows) && required && asked.guard_pages,
        "HugePages::Required" => required,
        "exclude_from_dumps" => !cfg!(target_os = "linux") && asked.exclude_from_dumps,
        "OnFork::Wipe" => !cfg!(target_os = "linux") && asked.on_fork == OnFork::Wipe,
        "OnFork::Omit" => !cfg!(target_os = "linux") && asked.on_fork == OnFork::Omit,
        _ => false,
    }
}

/// Every refusal has a cause that was asked for.
pub(super) fn refused(run: &Run, asked: &Asked, error: Error) {
    assert!(!error.to_string().is_empty());
    let total = rounded(asked).map_or(usize::MAX, |size| size + page_size() + asked.before());
    let required = asked.huge_pages == HugePages::Required;
    let has_cause = match error {
        Error::InvalidSize { size } => {
            size == asked.size && (rounded(asked).is_none_or(|size| size == 0) || required)
        }
        Error::InvalidAddress { address, granularity } => {
            let beyond = address.checked_add(total).is_none_or(|end| isize::try_from(end).is_err());
            asked.place == Place::At(address)
                && (address <= asked.before() || address % granularity != 0 || beyond)
        }
        Error::AddressInUse { address, .. } => asked.place == Place::At(address),
        Error::OutOfReach { address, distance } => asked.place == Place::Near { address, distance },
        Error::Os(_) => {
            // What may be refused for its size, its place, or the lack of huge pages; all else ought to be had.
            asked.size > 1 << 32
                || asked.place != Place::Anywhere
                || required
                || asked.lock
                || may_be_missing(asked.protection, &error)
        }
        Error::Unsupported { option } if is_missing(asked, option) => true,
        Error::InvalidProtection(_) | Error::Unsupported { .. } => {
            refusal_of(asked.protection).is_some_and(|is| is(&error))
                || may_be_missing(asked.protection, &error)
        }
        _ => false,
    };
    assert!(has_cause, "{error:?} {asked:?}");
    if refusal_of(asked.protection).is_some() {
        assert!(matches!(
            error,
            Error::InvalidProtection(_) | Error::Unsupported { .. } | Error::InvalidSize { .. }
        ));
    }
    // What is known to be in the way is named.
    if let Place::At(address) = asked.place {
        let missing = matches!(error, Error::Unsupported { option } if is_missing(asked, option));
        let plain = !required
            && !missing
            && refusal_of(asked.protection).is_none()
            && (1..=MOST).contains(&asked.size);
        if plain
            && address % allocation_granularity() == 0
            && run.is_taken(address, asked.before(), asked.size)
        {
            assert!(matches!(error, Error::AddressInUse { .. } | Error::InvalidAddress { .. }), "{error:?}");
        }
    }
}

pub(super) fn properties(input: &mut Input<'_>, arena: &Mallocator, asked: &Asked) {
    let (start, size) = (arena.addr(), arena.size());
    assert_eq!((arena.used(), arena.available(), arena.ptr()), (0, size, arena.base()));
    assert_eq!(arena.protection(), asked.protection);
    let behind = arena.base().as_ptr().wrapping_add(size);
    assert!(arena.contains(arena.base().as_ptr()) && !arena.contains(behind));
    assert_eq!(arena.offset_of(behind.wrapping_sub(1)), Some(size - 1));
    // The system is asked, which takes a while.
    let looks = input.byte();
    if looks % 8 == 0 {
        report(arena, asked);
        if let Some(state) = page_of(asked.protection).filter(|_| arena.committed() > 0) {
            assert_eq!(page_at(start + arena.committed() - page_size()), state);
        }
        if asked.huge_pages != HugePages::Required {
            assert_eq!(page_at(start + size), Page::Inaccessible, "the page behind");
        }
        if asked.guard_pages {
            assert_eq!(page_at(start - 1), Page::Inaccessible, "the pages before");
            assert_eq!(page_at(start - allocation_granularity()), Page::Inaccessible, "all of them");
            assert_eq!(page_at(start + size), Page::Inaccessible, "the page behind");
        }
    }
    if looks % 128 == 0 {
        flags(arena, asked);
    }
}

/// The report says what was asked for.
fn report(arena: &Mallocator, asked: &Asked) {
    let (start, size, report) = (arena.addr(), arena.size(), arena.report());
    assert_eq!((report.name(), report.base(), report.size()), (asked.name.as_deref(), start, size));
    assert_eq!((report.committed(), report.used()), (arena.committed(), 0));
    assert_eq!((report.protection(), report.huge_pages()), (asked.protection, asked.huge_pages));
    assert!(report.huge_asked().is_none() && report.huge_from().is_none_or(|from| from < size));
    assert_eq!((report.guard_pages(), report.locked()), (asked.guard_pages, asked.lock));
    assert_eq!((report.excluded_from_dumps(), report.on_fork()), (asked.exclude_from_dumps, asked.on_fork));
    assert_eq!((report.zero_on_release(), report.debug_fill()), (asked.zero_on_release, asked.debug_fill));
    assert_eq!(report.refused(), None);
    let text = report.to_string();
    let says = |words: &str| text.contains(words);
    assert!(says(&size.to_string()));
    // A name may say anything.
    if let Some(name) = &asked.name {
        assert!(says(name) && format!("{arena:?}").contains(&format!("{name:?}")));
    } else {
        assert_eq!(says("pages before and behind"), asked.guard_pages);
        assert_eq!(says("locked in memory"), asked.lock);
        assert_eq!(says("not in core dumps"), asked.exclude_from_dumps);
        assert_eq!(says("in a forked process"), asked.on_fork != OnFork::Copy);
        assert_eq!(says("zeroed when taken back"), asked.zero_on_release);
    }
}

/// And so does the system of the memory.
fn flags(arena: &Mallocator, asked: &Asked) {
    for offset in [0, arena.size() - 1] {
        let Some(flags) = mapping_flags(arena.addr() + offset) else { return };
        let has = |flag| flags.split_whitespace().any(|word| word == flag);
        // Memory on huge pages of the pool is never dumped on some systems, and may be locked.
        let required = asked.huge_pages == HugePages::Required;
        assert!(has("dd") == asked.exclude_from_dumps || required, "{flags} {asked:?}");
        assert_eq!(has("dc"), asked.on_fork == OnFork::Omit, "{flags} {asked:?}");
        assert_eq!(has("wf"), asked.on_fork == OnFork::Wipe, "{flags} {asked:?}");
        assert!(has("lo") == (asked.lock && offset < arena.committed()) || required, "{flags} {asked:?}");
    }
}

/// What the system says of a page under a plain protection. It says nothing of some of the others.
pub(super) fn page_of(protection: Protection) -> Option<Page> {
    match protection {
        Protection::NO_ACCESS => Some(Page::Inaccessible),
        _ => Protection::READ_WRITE_EXECUTE.contains(protection).then_some(Page::Accessible(protection)),
    }
}
