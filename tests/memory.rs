//! What an arena costs, and when: reserving, committing, and giving back.

mod common;

use common::{Page, alone, check_pages, page_at, range_of, resident};
use mallocator::{Error, Mallocator, Protection};

const MIB: usize = 1 << 20;

#[test]
fn reserving_64_gib_costs_under_1_mib() {
    alone("reserving_64_gib_costs_under_1_mib", || {
        drop(Mallocator::new().unwrap());
        let before = resident();
        common::reserve_bare(64 << 30);
        let bare = resident().saturating_sub(before);
        let before = resident();
        let arena = Mallocator::with_size(64 << 30).unwrap();
        *arena.alloc(1) += 1;
        let cost = resident().saturating_sub(before);
        // Wine keeps a byte for every page that is reserved, 16 MiB here. Linux keeps nothing.
        assert!(cost < MIB + bare, "{cost} bytes, and {bare} for the bare reservation");
        assert!(cfg!(windows) || bare < 16 << 10, "{bare}");
        assert_eq!((arena.size(), arena.available()), (64 << 30, (64 << 30) - 4));
        assert!(arena.committed() < MIB);
        check_pages(&arena);
        arena.free().unwrap();
    });
}

#[test]
fn reset_and_trim_give_the_memory_back() {
    alone("reset_and_trim_give_the_memory_back", || {
        let block = vec![1; 8 * MIB];
        // A checker keeps notes of what is touched, and the pattern of debug builds touches.
        let mut arena = Mallocator::builder().size(1 << 30).debug_fill(false).build().unwrap();
        let before = resident();
        for _ in 0..8 {
            arena.alloc_bytes(&block);
        }
        assert!(resident() >= before + 60 * MIB, "the memory is in use");
        arena.reset();
        assert!(resident() >= before + 60 * MIB, "a reset keeps it");
        arena.trim();
        let kept = resident().saturating_sub(before);
        assert!(kept < MIB / 2, "{kept} bytes are still resident");
        assert_eq!(arena.committed(), 0);
        check_pages(&arena);
        // It can be used again, and is zero.
        let again = arena.alloc_raw(8 * MIB, 1).unwrap();
        // SAFETY: what was trimmed reads as zero.
        assert!(unsafe { common::bytes_at(again) }.iter().all(|&byte| byte == 0));
        check_pages(&arena);
    });
}

#[test]
fn trim_keeps_what_is_in_use() {
    let mut arena = Mallocator::with_size(16 * MIB).unwrap();
    let page = mallocator::page_size();
    let kept = std::ptr::from_ref(arena.alloc_bytes(&[7; 100]));
    let mark = arena.mark();
    arena.alloc_bytes(&vec![8; 4 * MIB]);
    // SAFETY: the four mebibytes are not used again.
    unsafe { arena.rewind(mark) };
    assert!(arena.committed() >= 4 * MIB);
    arena.try_trim().unwrap();
    assert_eq!(arena.committed(), page);
    // SAFETY: the hundred bytes are still handed out, and nobody writes to them.
    assert_eq!(unsafe { &*kept }, [7; 100]);
    check_pages(&arena);
    arena.try_trim().unwrap();
    assert_eq!(arena.committed(), page, "nothing more to give");
}

#[test]
fn only_what_is_committed_can_be_touched_at_every_step() {
    let arena = Mallocator::with_size(32 * MIB).unwrap();
    check_pages(&arena);
    let mut committed = arena.committed();
    let mut steps = 0;
    while arena.available() > 0 {
        arena.alloc_bytes(&[1; 1000][..arena.available().min(1000)]);
        if arena.committed() != committed {
            assert!(arena.committed() > committed, "it only grows");
            let step = arena.committed() - committed;
            // Where committing costs nothing, steps are larger, and end where huge pages do.
            let most = if cfg!(windows) { 65_536 } else { 2 * MIB };
            assert!(step <= (committed / 8).max(most) + mallocator::page_size(), "{step} after {committed}");
            committed = arena.committed();
            steps += 1;
            check_pages(&arena);
        }
    }
    assert!((10..60).contains(&steps), "{steps} steps");
    assert_eq!(arena.committed(), arena.size());
    check_pages(&arena);
}

#[test]
fn a_freed_range_is_gone_and_can_be_reserved_again() {
    alone("a_freed_range_is_gone_and_can_be_reserved_again", || {
        let arena = Mallocator::with_size(MIB).unwrap();
        arena.alloc_bytes(&[1; 100_000]);
        let range = range_of(&arena);
        arena.free().unwrap();
        for address in [range.start, range.start + 100_000, range.end - 1, range.end] {
            assert_eq!(page_at(address), Page::Free, "{address:#x}");
        }
        let again = Mallocator::builder().size(MIB).at(range.start).build().unwrap();
        assert_eq!(range_of(&again), range);
        let fresh = again.alloc_raw(100_000, 1).unwrap();
        // SAFETY: fresh memory reads as zero.
        assert!(unsafe { common::bytes_at(fresh) }.iter().all(|&byte| byte == 0));
        drop(again);
        assert_eq!(page_at(range.start), Page::Free);
    });
}

#[test]
fn a_place_that_is_taken_is_refused_and_left_alone() {
    let arena = Mallocator::with_size(4 * MIB).unwrap();
    let text = arena.alloc_str("still here");
    let base = arena.base().addr().get();
    for (address, size) in [(base, 1), (base + 2 * MIB, MIB), (base - MIB, 2 * MIB), (base - MIB, 16 * MIB)] {
        let refused = Mallocator::builder().at(address).size(size).build().unwrap_err();
        assert_eq!(
            refused,
            Error::AddressInUse { address, size: size.next_multiple_of(mallocator::page_size()) }
        );
    }
    assert_eq!(text, "still here");
    check_pages(&arena);
}

#[test]
fn addresses_where_nothing_can_start_are_refused() {
    let granularity = mallocator::allocation_granularity();
    let most = isize::MAX as usize;
    for address in
        [0, 1, granularity - 1, granularity + 1, most, most + 1, usize::MAX / granularity * granularity]
    {
        let refused = Mallocator::builder().at(address).build().unwrap_err();
        assert_eq!(refused, Error::InvalidAddress { address, granularity });
    }
}

#[test]
fn near_means_every_byte_within_the_distance() {
    let code = near_means_every_byte_within_the_distance as fn() as *const ();
    let elsewhere = Mallocator::with_size(MIB).unwrap();
    for target in [code.addr(), elsewhere.base().addr().get() + 1000] {
        for distance in [i32::MAX as usize, 1 << 30, 1 << 40] {
            let target_ptr = std::ptr::without_provenance::<u8>(target);
            let arena = Mallocator::builder().size(16 * MIB).near(target_ptr, distance).build().unwrap();
            let range = range_of(&arena);
            assert!(range.start.abs_diff(target) <= distance && (range.end - 1).abs_diff(target) <= distance);
            arena.alloc_bytes(&[1; MIB]);
            check_pages(&arena);
        }
        let refused =
            Mallocator::builder().size(MIB).near(std::ptr::without_provenance::<u8>(target), MIB / 4).build();
        assert_eq!(refused.unwrap_err(), Error::OutOfReach { address: target, distance: MIB / 4 });
    }
    // The last of `at` and `near` counts.
    let arena = Mallocator::builder().at(1).near(code, 1 << 40).build().unwrap();
    assert!(arena.base().addr().get().abs_diff(code.addr()) <= 1 << 40);
}

#[test]
fn ten_thousand_arenas_are_made_and_dropped_without_a_trace() {
    alone("ten_thousand_arenas_are_made_and_dropped_without_a_trace", || {
        let round = || {
            let arena = Mallocator::with_size(64 << 20).unwrap();
            arena.alloc_bytes(&[1; 10_000]);
        };
        (0..100).for_each(|_| round());
        let before = resident();
        (0..10_000).for_each(|_| round());
        let cost = resident().saturating_sub(before);
        assert!(cost < MIB / 2, "{cost} bytes");
    });
}

#[test]
fn an_arena_moves_to_another_thread_and_what_it_handed_out_stays() {
    let arena = Mallocator::new().unwrap();
    let base = arena.base().addr();
    arena.alloc_str("from the first thread");
    let arena = std::thread::spawn(move || {
        arena.alloc_str("from the second");
        assert_eq!(arena.base().addr(), base);
        arena
    });
    let arena = arena.join().unwrap();
    // SAFETY: plain bytes, and no reference to them is kept.
    assert_eq!(unsafe { arena.used_bytes() }, b"from the first threadfrom the second");
    assert_eq!(arena.protection(), Protection::READ_WRITE);
}
