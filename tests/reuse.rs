//! Ranges that a thread keeps for its next arena: which, how much of them, and what is left in them. Whether one was released
//! is asked in a process of its own: in this one another thread may be given the place at once.

mod common;

use common::{Page, alone, check_pages, page_at, resident};
use mallocator::{Error, HugePages, Mallocator, OnFork, Protection};

const MIB: usize = 1 << 20;

fn base(arena: &Mallocator) -> usize {
    arena.base().addr().get()
}

#[test]
fn the_next_arena_of_the_size_gets_the_range_and_one_of_another_size_does_not() {
    let place = base(&Mallocator::with_size(MIB).unwrap());
    let other = Mallocator::with_size(2 * MIB).unwrap();
    assert_ne!(base(&other), place);
    let same = Mallocator::with_size(MIB).unwrap();
    assert_eq!((base(&same), same.used(), same.ptr()), (place, 0, same.base()));
    check_pages(&same);
    // The range is in use: the next is another.
    assert_ne!(base(&Mallocator::with_size(MIB).unwrap()), place);
    let growing = base(&Mallocator::growing());
    assert_eq!(base(&Mallocator::growing()), growing);
}

#[test]
fn one_range_is_kept_the_last() {
    alone("one_range_is_kept_the_last", || {
        let (one, two) = (Mallocator::with_size(MIB).unwrap(), Mallocator::with_size(MIB).unwrap());
        let (first, second) = (base(&one), base(&two));
        drop(one);
        drop(two);
        assert_eq!(page_at(first), Page::Free);
        assert_eq!(base(&Mallocator::with_size(MIB).unwrap()), second);
    });
}

#[test]
fn an_arena_with_an_option_neither_takes_nor_leaves_a_range() {
    alone("an_arena_with_an_option_neither_takes_nor_leaves_a_range", || {
        let place = base(&Mallocator::with_size(MIB).unwrap());
        let plain = || Mallocator::builder().size(MIB);
        let here = 0;
        let advised =
            [plain().exclude_from_dumps(true), plain().on_fork(OnFork::Wipe), plain().on_fork(OnFork::Omit)];
        for builder in [
            plain().reuse(false),
            plain().guard_pages(true),
            plain().lock(true),
            plain().zero_on_release(true),
            plain().debug_fill(!cfg!(debug_assertions)),
            plain().name("named"),
            plain().huge_pages(HugePages::Never),
            plain().protection(Protection::READ_WRITE_EXECUTE),
            plain().near(&raw const here, 1 << 46),
        ]
        .into_iter()
        .chain(advised)
        {
            let arena = match builder.build() {
                Err(Error::Unsupported { .. }) => continue,
                arena => arena.unwrap(),
            };
            let elsewhere = base(&arena);
            assert_ne!(elsewhere, place);
            drop(arena);
            assert_eq!(page_at(elsewhere), Page::Free, "released");
        }
        assert_eq!(base(&plain().build().unwrap()), place, "still kept");
    });
}

#[test]
fn a_kept_range_is_not_in_the_way_of_an_arena_that_wants_its_place() {
    // Alone: another thread may be given the place in between.
    alone("a_kept_range_is_not_in_the_way_of_an_arena_that_wants_its_place", || {
        let place = base(&Mallocator::with_size(MIB).unwrap());
        let there = Mallocator::builder().size(MIB).at(place).build().unwrap();
        assert_eq!(base(&there), place);
        check_pages(&there);
    });
}

#[test]
fn a_range_whose_protection_was_ever_changed_is_released() {
    alone("a_range_whose_protection_was_ever_changed_is_released", || {
        for whole in [false, true] {
            let arena = Mallocator::with_size(MIB).unwrap();
            let (place, range) = (base(&arena), if whole { 0..MIB } else { 0..1 });
            for protection in [Protection::READ, Protection::READ_WRITE] {
                // SAFETY: nothing is in the arena.
                unsafe { arena.protect(range.clone(), protection).unwrap() };
            }
            drop(arena);
            assert_eq!(page_at(place), Page::Free);
        }
        let sealed = Mallocator::with_size(MIB).unwrap().seal(Protection::READ).unwrap();
        let place = sealed.base().addr().get();
        drop(sealed.unseal().unwrap());
        assert_eq!(page_at(place), Page::Free);
    });
}

#[test]
fn what_is_freed_is_released() {
    alone("what_is_freed_is_released", || {
        let arena = Mallocator::with_size(MIB).unwrap();
        let place = base(&arena);
        arena.free().unwrap();
        assert_eq!(page_at(place), Page::Free);
    });
}

#[test]
fn the_end_of_the_thread_releases_what_it_kept() {
    alone("the_end_of_the_thread_releases_what_it_kept", || {
        let place = std::thread::spawn(|| base(&Mallocator::with_size(MIB).unwrap())).join().unwrap();
        assert_eq!(page_at(place), Page::Free);
    });
}

#[test]
fn an_arena_that_ends_while_its_thread_does_is_released_too() {
    alone("an_arena_that_ends_while_its_thread_does_is_released_too", || {
        use std::cell::RefCell;
        thread_local! {
            static ARENA: RefCell<Option<Mallocator>> = const { RefCell::new(None) };
            static SECOND: RefCell<Option<Mallocator>> = const { RefCell::new(None) };
        }
        let places = std::thread::spawn(|| {
            ARENA.set(Some(Mallocator::with_size(MIB).unwrap()));
            let place = ARENA.with_borrow(|arena| base(arena.as_ref().unwrap()));
            SECOND.set(Some(Mallocator::with_size(MIB).unwrap()));
            let second = SECOND.with_borrow(|arena| base(arena.as_ref().unwrap()));
            drop(Mallocator::with_size(MIB)); // what the thread keeps ends last or first
            [place, second]
        });
        for place in places.join().unwrap() {
            assert_eq!(page_at(place), Page::Free);
        }
    });
}

#[test]
fn an_arena_that_was_sent_leaves_its_range_to_the_thread_it_ends_in() {
    alone("an_arena_that_was_sent_leaves_its_range_to_the_thread_it_ends_in", || {
        let arena = Mallocator::with_size(MIB).unwrap();
        let place = base(&arena);
        let again = std::thread::spawn(move || {
            drop(arena);
            base(&Mallocator::with_size(MIB).unwrap())
        });
        assert_eq!(again.join().unwrap(), place);
        assert_eq!(page_at(place), Page::Free);
    });
}

/// Every way to be asked for zeroes, on a range that an earlier arena filled.
#[test]
fn zeroes_are_zero_in_a_range_that_was_used_before() {
    for filled in [100, 5000, MIB / 4, MIB, 3 * MIB, 20 * MIB] {
        for in_a_scope in [false, true] {
            let arena = Mallocator::with_size(64 * MIB).unwrap();
            let place = base(&arena);
            if in_a_scope {
                arena.scope(|scope| scope.alloc_slice_fill_copy(filled, 0xff_u8).len());
            } else {
                arena.alloc_slice_fill_copy(filled, 0xff_u8);
            }
            drop(arena);
            let arena = Mallocator::with_size(64 * MIB).unwrap();
            assert_eq!(base(&arena), place);
            check_pages(&arena);
            arena.alloc(1_u8);
            assert!(arena.alloc_zeroed_bytes(filled + 10_000, 1).iter().all(|&byte| byte == 0));
        }
    }
}

#[test]
fn a_kept_range_holds_little_and_nothing_behind_can_be_touched() {
    alone("a_kept_range_holds_little_and_nothing_behind_can_be_touched", || {
        let block = vec![1; MIB];
        drop(Mallocator::with_size(256 * MIB));
        let before = resident();
        let arena = Mallocator::with_size(256 * MIB).unwrap();
        for _ in 0..200 {
            arena.alloc_bytes(&block);
        }
        let place = base(&arena);
        assert!(resident() > before + 190 * MIB);
        drop(arena);
        // Where the kernel may take a huge page back any time, it still counts here.
        let kept = resident().saturating_sub(before);
        assert!(kept < 3 * MIB, "{kept} bytes");
        assert_eq!(page_at(place + 4 * MIB), Page::Inaccessible);
        let arena = Mallocator::with_size(256 * MIB).unwrap();
        assert_eq!(base(&arena), place);
        assert!(arena.committed() <= 3 * MIB);
        check_pages(&arena);
        arena.alloc_bytes(&block);
        arena.alloc_bytes(&block);
        arena.alloc_bytes(&block);
        check_pages(&arena);
    });
}

/// No request reaches the system, so its count of mappings and the place stay the same.
#[test]
fn a_million_arenas_one_after_the_other_are_one_range() {
    let place = base(&Mallocator::growing());
    for number in 0..1_000_000_u32 {
        let arena = Mallocator::growing();
        assert_eq!((*arena.alloc(number), base(&arena)), (number, place));
    }
}
