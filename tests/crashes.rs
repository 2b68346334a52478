//! Mistakes that must be fatal, and at the very address: each is made by a child process.

mod common;

use common::dies;
use mallocator::{Mallocator, Protection};

/// Keeps the arena for as long as the child lives.
fn keep(arena: Mallocator) -> &'static Mallocator {
    Box::leak(Box::new(arena))
}

#[test]
fn a_write_right_behind_the_reservation_is_fatal() {
    dies("a_write_right_behind_the_reservation_is_fatal", || {
        let arena = keep(Mallocator::new().unwrap());
        arena.alloc_raw(arena.size(), 1).unwrap();
        arena.ptr().as_ptr()
    });
}

#[test]
fn a_write_a_page_behind_the_reservation_is_fatal() {
    dies("a_write_a_page_behind_the_reservation_is_fatal", || {
        let arena = keep(Mallocator::with_size(10 * mallocator::page_size()).unwrap());
        // A neighbour that would be hit if the page were not there.
        let _neighbour = keep(Mallocator::new().unwrap());
        arena.alloc_raw(arena.size(), 1).unwrap();
        arena.ptr().as_ptr().wrapping_add(mallocator::page_size() - 1)
    });
}

#[test]
fn a_write_right_behind_what_is_committed_is_fatal() {
    dies("a_write_right_behind_what_is_committed_is_fatal", || {
        let arena = keep(Mallocator::with_size(1 << 30).unwrap());
        arena.alloc_bytes(&[1; 1_000_000]);
        arena.base().as_ptr().wrapping_add(arena.committed())
    });
}

#[test]
fn a_write_far_behind_what_is_committed_is_fatal() {
    dies("a_write_far_behind_what_is_committed_is_fatal", || {
        let arena = keep(Mallocator::with_size(1 << 30).unwrap());
        arena.base().as_ptr().wrapping_add((1 << 30) - 1)
    });
}

#[test]
fn a_write_to_what_was_trimmed_is_fatal() {
    dies("a_write_to_what_was_trimmed_is_fatal", || {
        let mut arena = Mallocator::new().unwrap();
        arena.alloc(1);
        arena.reset();
        arena.trim();
        keep(arena).base().as_ptr()
    });
}

#[test]
fn a_write_to_what_was_freed_is_fatal() {
    dies("a_write_to_what_was_freed_is_fatal", || {
        let arena = Mallocator::with_size(1 << 20).unwrap();
        let base = arena.base().as_ptr();
        arena.alloc_bytes(&[1; 100_000]);
        arena.free().unwrap();
        base.wrapping_add(50_000)
    });
}

#[test]
fn a_write_to_what_was_dropped_is_fatal() {
    dies("a_write_to_what_was_dropped_is_fatal", || {
        Mallocator::builder().reuse(false).build().unwrap().base().as_ptr()
    });
}

#[test]
fn a_write_to_a_region_that_can_only_be_read_is_fatal() {
    dies("a_write_to_a_region_that_can_only_be_read_is_fatal", || {
        let arena = keep(Mallocator::builder().protection(Protection::READ).build().unwrap());
        arena.alloc_raw(100, 1).unwrap().as_ptr().cast()
    });
}

#[test]
fn a_write_to_a_page_protected_since_is_fatal() {
    dies("a_write_to_a_page_protected_since_is_fatal", || {
        let arena = keep(Mallocator::new().unwrap());
        let page = mallocator::page_size();
        let block = arena.alloc_raw(3 * page, 1).unwrap().as_ptr().cast::<u8>();
        // SAFETY: only the crime follows.
        unsafe { arena.protect(page + 1..page + 2, Protection::READ).unwrap() };
        // SAFETY: the pages before and behind are as they were.
        unsafe {
            block.add(page - 1).write_volatile(1);
            block.add(2 * page).write_volatile(1);
        }
        block.wrapping_add(2 * page - 1)
    });
}

#[test]
fn a_write_right_before_a_guarded_reservation_is_fatal() {
    dies("a_write_right_before_a_guarded_reservation_is_fatal", || {
        let arena = keep(Mallocator::builder().size(1 << 20).guard_pages(true).build().unwrap());
        arena.alloc(1);
        arena.base().as_ptr().wrapping_sub(1)
    });
}

#[test]
fn a_write_right_behind_a_guarded_reservation_is_fatal() {
    dies("a_write_right_behind_a_guarded_reservation_is_fatal", || {
        let arena = keep(Mallocator::builder().size(1 << 20).guard_pages(true).build().unwrap());
        arena.alloc_raw(arena.size(), 1).unwrap();
        arena.ptr().as_ptr()
    });
}

/// Windows alone has such pages; elsewhere the build is refused, and nobody gets so far.
#[test]
fn the_first_touch_of_a_guard_page_is_fatal() {
    let builder = Mallocator::builder().protection(Protection::READ_WRITE | Protection::GUARD);
    let built = builder.build();
    assert_eq!(built.is_ok(), cfg!(windows));
    if let Err(error) = built {
        assert_eq!(error, mallocator::Error::Unsupported { option: "Protection::GUARD" });
        return;
    }
    dies("the_first_touch_of_a_guard_page_is_fatal", || {
        let arena = keep(builder.build().unwrap());
        assert!(arena.try_alloc(1).is_err(), "no safe method touches it");
        arena.alloc_raw(100, 1).unwrap().as_ptr().cast()
    });
}
