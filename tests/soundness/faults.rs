//! What an attack found that is neither about scopes nor about what callers do.

use std::alloc::Layout;
use std::time::{Duration, Instant};

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as ArenaVec;
use mallocator::{Mallocator, Protection, page_size};

use crate::common;

/// With guard pages the advice reached a page past the reservation, into whatever is mapped there.
#[test]
#[cfg(target_os = "linux")]
fn advice_for_huge_pages_stays_within_the_reservation() {
    common::alone("faults::advice_for_huge_pages_stays_within_the_reservation", || {
        for guard_pages in [false, true] {
            let builder = || Mallocator::builder().size(16 << 20).guard_pages(guard_pages).reuse(false);
            // Neighbours of the same kind, which the system places side by side; and the first has whatever else is there.
            let arenas: Vec<Mallocator> = (0..4).map(|_| builder().build().unwrap()).collect();
            let page = page_size();
            let advised = |address| common::mapping_flags(address).is_some_and(|flags| flags.contains(" hg"));
            for arena in [&arenas[0], &arenas[2]] {
                let base = arena.base().addr().get();
                let before = if guard_pages { page } else { 0 };
                // On both sides of the reservation, of which a page after the range is part.
                let outside = [base - before - 1, base + arena.size() + page];
                assert_eq!(outside.map(advised), [false, false]);
                arena.alloc_slice_fill_copy(10 << 20, 1_u8);
                let asked = arena.report().huge_asked();
                assert!(asked.is_none_or(|asked| asked.is_ok()), "what is not mapped: {asked:?}");
                if asked.is_some() && common::mapping_flags(base).is_some() {
                    assert!(advised(base + (8 << 20)), "within, it is given");
                }
                assert_eq!(outside.map(advised), [false, false], "guard pages: {guard_pages}");
            }
        }
    });
}

/// It allocated, and aborted where the arena was full.
#[test]
fn a_block_of_what_threads_share_shrinks_in_place_also_in_a_full_arena() {
    let mut shared = Mallocator::builder().size(1 << 20).build_sync().unwrap();
    let mut numbers: ArenaVec<u8, _> = ArenaVec::with_capacity_in(600_000, &shared);
    numbers.extend((0..500_000).map(|number: u32| number.to_le_bytes()[0]));
    shared.alloc_slice_fill_copy(shared.available(), 0xff_u8);
    let (place, used) = (numbers.as_ptr(), shared.used());
    for capacity in [550_000, 500_000] {
        numbers.shrink_to(capacity);
        assert_eq!((numbers.as_ptr(), numbers.capacity(), shared.used()), (place, capacity, used));
    }
    assert!(numbers.iter().zip(0_u32..).all(|(&byte, number)| byte == number.to_le_bytes()[0]));
    numbers.truncate(0);
    numbers.shrink_to_fit();
    assert_eq!(numbers.capacity(), 0);
    // Also to a larger alignment, where the block has it by chance.
    drop(numbers);
    shared.reset();
    let (old, new) = (Layout::from_size_align(100, 1).unwrap(), Layout::from_size_align(50, 64).unwrap());
    let block = shared.allocate(old).unwrap();
    shared.alloc_slice_fill_copy(shared.available(), 0xff_u8);
    // SAFETY: the block is live, and used by its new name from here on.
    let shrunk = unsafe { shared.shrink(block.cast(), old, new) }.unwrap();
    assert_eq!((shrunk.cast::<u8>(), shrunk.len()), (block.cast(), 50));
}

/// The same of a share.
#[test]
fn a_block_of_a_share_shrinks_in_place_also_in_a_full_arena() {
    let shared = Mallocator::builder().size(1 << 20).build_sync().unwrap();
    let arena = shared.try_local(4096).unwrap();
    let mut numbers: ArenaVec<u8, _> = ArenaVec::with_capacity_in(600_000, arena);
    numbers.resize(500_000, 7);
    arena.alloc_slice_fill_copy(arena.available(), 0xff_u8);
    let place = numbers.as_ptr();
    numbers.shrink_to_fit();
    assert_eq!((numbers.as_ptr(), numbers.capacity()), (place, 500_000));
    assert!(numbers.iter().all(|&number| number == 7));
}

/// The shortest of many times that it takes to give a box back, and to end a scope.
fn shortest(arena: &Mallocator) -> Duration {
    let times = (0..50).map(|_| {
        let start = Instant::now();
        for _ in 0..100 {
            drop(arena.alloc_boxed(1_u64));
            arena.scope(|scratch| scratch.alloc(1_u64) == &1);
        }
        start.elapsed()
    });
    times.min().unwrap()
}

/// It was linear in the number of runs: with 8,000 of them a hundred times what it is with none.
#[test]
fn giving_memory_back_takes_as_long_with_many_protected_runs_as_with_none() {
    for zero in [false, true] {
        let builder = Mallocator::builder().size(1 << 30).debug_fill(true).zero_on_release(zero);
        let arena = builder.build().unwrap();
        let none = shortest(&arena);
        for run in 0..8000 {
            let start = (100 + 2 * run) * page_size();
            // SAFETY: nothing is allocated there.
            unsafe { arena.protect(start..start + page_size(), Protection::READ) }.unwrap();
        }
        let many = shortest(&arena);
        assert!(many < 5 * none, "{many:?} against {none:?}");
    }
}
