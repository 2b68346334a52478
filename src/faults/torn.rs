//! Protections that could be neither changed nor changed back: nothing is touched any more, and no page is changed, as live
//! data may be beside what is given back.

use super::{Call, OUT_OF_MEMORY, Refuse, with_faults};
use crate::os::faulty;
use crate::{Error, Mallocator, Protection, page_size};

/// Every change of protection is refused from here on until something else is said, and nothing is counted anew.
fn refuse_changes(refuse: bool) {
    faulty::refuse(if refuse { Refuse::Every(&[Call::Protect]) } else { Refuse::Nothing });
}

/// An arena in which a change was refused, and taking it back too.
fn torn(zero_on_release: bool, debug_fill: bool) -> Mallocator {
    let builder = Mallocator::builder().size(1 << 20).reuse(false);
    let arena = builder.zero_on_release(zero_on_release).debug_fill(debug_fill).build().unwrap();
    arena.alloc([1_u8; 100]);
    refuse_changes(true);
    // SAFETY: what is in the arena is not used.
    let refused = unsafe { arena.protect(0..page_size(), Protection::READ) };
    assert!(matches!(refused, Err(Error::Os(_))));
    refuse_changes(false);
    assert_eq!(arena.protection(), Protection::NO_ACCESS);
    arena
}

/// The protections were "restored" to no access, on which what lies beside the box faulted.
#[test]
fn a_box_that_is_dropped_leaves_what_lies_beside_it_accessible() {
    for (zero, fill) in [(true, false), (false, true), (true, true), (false, false)] {
        let record = with_faults(Refuse::Nothing, OUT_OF_MEMORY, || {
            let builder = Mallocator::builder().size(1 << 20).reuse(false);
            let arena = builder.zero_on_release(zero).debug_fill(fill).build().unwrap();
            let beside = arena.alloc([7_u8; 100]);
            let boxed = arena.alloc_boxed([8_u8; 100]);
            refuse_changes(true);
            let elsewhere = 10 * page_size()..11 * page_size();
            // SAFETY: nothing is allocated there.
            assert!(unsafe { arena.protect(elsewhere.clone(), Protection::READ) }.is_err());
            refuse_changes(false);
            assert_eq!(arena.protection(), Protection::NO_ACCESS);
            drop(boxed);
            arena.scope(|_| {});
            let (mark, after) = (arena.mark(), arena.alloc_raw(10, 1));
            // SAFETY: nothing was written since.
            unsafe { arena.rewind(mark) };
            assert!(after.is_ok());
            assert_eq!(*beside, [7; 100]);
            beside.fill(9);
            assert!(matches!(arena.try_alloc(1), Err(Error::NotWritable { .. })));
            // Bytes that could not be made zero are told of.
            assert_eq!(arena.report().refused().is_some(), zero);
        });
        assert_eq!(record.leaked, 0);
    }
}

#[test]
fn once_all_of_it_is_given_a_protection_it_is_as_good_as_new() {
    let record = with_faults(Refuse::Nothing, OUT_OF_MEMORY, || {
        for (zero, fill) in [(true, false), (false, true)] {
            let mut arena = torn(zero, fill);
            let (page, size) = (page_size(), arena.size());
            // A part of it is not enough.
            // SAFETY: nothing in the arena is used.
            assert_eq!(unsafe { arena.protect(0..page, Protection::READ_WRITE) }, Ok(Protection::NO_ACCESS));
            assert!(matches!(arena.try_alloc(1), Err(Error::NotWritable { .. })));
            // SAFETY: as above.
            assert_eq!(unsafe { arena.protect(0..size, Protection::READ_WRITE) }, Ok(Protection::NO_ACCESS));
            assert_eq!(arena.protection(), Protection::READ_WRITE);
            arena.reset();
            arena.alloc_slice_fill_copy(size, 1_u8);
            let taken_back = arena.base();
            arena.reset();
            // SAFETY: the memory is committed, and nobody uses it.
            assert_eq!(unsafe { taken_back.read() }, if zero { 0 } else { 0xdd });
        }
    });
    assert_eq!(record.leaked, 0);
}

#[test]
fn nothing_asks_the_system_for_a_change_of_what_is_torn() {
    for (zero, fill) in [(true, false), (false, true)] {
        let record = with_faults(Refuse::Nothing, OUT_OF_MEMORY, || {
            let mut arena = torn(zero, fill);
            let asked = faulty::asked_so_far();
            arena.alloc_raw(1000, 1).unwrap();
            arena.scope(|view| view.alloc_raw(1000, 1).map(drop)).unwrap();
            arena.reset();
            assert_eq!(faulty::asked_so_far(), asked);
            arena.trim();
            assert!(arena.alloc_raw(1000, 1).is_ok());
            drop(arena);
        });
        assert_eq!(record.leaked, 0);
        let changes = record.asked.iter().filter(|call| **call == Call::Protect).count();
        assert_eq!(changes, record.refused.len());
    }
}

/// Nobody knows what the pages had: what is taken for it may be less than live data needs.
#[test]
fn a_change_that_is_refused_is_not_taken_back_where_it_is_not_known_what_there_was() {
    let record = with_faults(Refuse::Nothing, OUT_OF_MEMORY, || {
        let arena = torn(false, true);
        for range in [0..page_size(), page_size()..3 * page_size(), 0..arena.size()] {
            let asked = faulty::asked_so_far();
            refuse_changes(true);
            // SAFETY: nothing in the arena is used.
            assert!(unsafe { arena.protect(range, Protection::READ) }.is_err());
            refuse_changes(false);
            assert_eq!(faulty::asked_so_far(), asked + 1, "the change, and no way back");
            assert_eq!(arena.protection(), Protection::NO_ACCESS);
        }
    });
    assert_eq!(record.leaked, 0);
}
