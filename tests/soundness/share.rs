//! Shares of an arena that threads share: no byte of one is ever another's, whatever scopes and outer arenas do.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use mallocator::{Mallocator, SyncMallocator};

use crate::shadow::drive;

fn shared(size: usize, debug_fill: bool) -> SyncMallocator {
    Mallocator::builder().size(size).debug_fill(debug_fill).build_sync().unwrap()
}

/// Bytes of somebody else, right after what a share has.
fn foreign(shared: &SyncMallocator) -> &mut [u8] {
    shared.alloc_slice_fill_copy(100_000, 0xf0)
}

/// Fills what the share can get without a neighbour's help, and says that the neighbour has what he had.
fn all_is_well(arena: &Mallocator, foreign: &[u8]) {
    for _ in 0..300 {
        arena.alloc([0x0a_u8; 100]);
    }
    assert!(foreign.iter().all(|&byte| byte == 0xf0));
}

#[test]
fn a_value_that_fails_in_another_block_does_not_take_an_open_scope_back_to_the_one_before() {
    for debug_fill in [true, false] {
        let shared = shared(1 << 20, debug_fill);
        let arena = shared.try_local(4096).unwrap();
        let foreign = foreign(&shared);
        arena.scope(|scratch| {
            scratch.alloc([1_u8; 3000]);
            assert!(arena.alloc_try_with(|| Err::<[u8; 2000], _>("refused")).is_err());
        });
        all_is_well(arena, foreign);
    }
}

#[test]
fn a_slice_that_outgrew_a_block_while_a_scope_is_open_gives_back_no_more_than_its_last_and_no_less() {
    // The place of 512 elements is the first in the second block; that of 1024 lies after it, and both go back.
    for last in [400, 1000] {
        for debug_fill in [true, false] {
            let shared = shared(1 << 20, debug_fill);
            let arena = shared.try_local(4096).unwrap();
            let foreign = foreign(&shared);
            arena.scope(|scratch| {
                let numbers = (0..=last).inspect(|number: &u32| {
                    if *number == last {
                        resume_unwind(Box::new("half way"));
                    }
                });
                let slice = || arena.alloc_iter(numbers.filter(|_| true));
                assert!(catch_unwind(AssertUnwindSafe(slice)).is_err());
                assert_eq!(scratch.used(), 4096);
                scratch.alloc([2_u8; 1000]);
            });
            all_is_well(arena, foreign);
        }
    }
}

/// Scopes on any ancestor, outer allocations at any level, refills, growth, failures and panics, on shares of three threads;
/// in the small arena, past its end.
#[test]
fn what_threads_hold_of_their_shares_is_never_overwritten() {
    for (size, block, debug_fill) in
        [(64 << 20, 1, true), (64 << 20, 4096, false), (64 << 20, 20_000, true), (1 << 19, 3000, true)]
    {
        let shared = shared(size, debug_fill);
        std::thread::scope(|threads| {
            for thread in 0..3 {
                let shared = &shared;
                threads.spawn(move || {
                    let direct = |size| {
                        let block = NonNull::from(shared.try_alloc_uninit_slice::<u8>(size).ok()?);
                        Some(NonNull::slice_from_raw_parts(block.cast(), size))
                    };
                    for round in 0..2 {
                        if let Ok(share) = shared.try_local(block) {
                            drive(thread * 1000 + round, 150, 3000, share, &direct);
                        }
                    }
                });
            }
        });
    }
}
