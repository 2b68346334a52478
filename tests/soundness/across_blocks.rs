//! A share's blocks lie apart, and what lies between is others': nothing that is given back takes a cursor there.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mallocator::{Mallocator, SyncMallocator};

fn shared() -> SyncMallocator {
    Mallocator::builder().size(1 << 20).build_sync().unwrap()
}

#[test]
fn a_value_that_could_not_be_made_in_a_scope_takes_no_cursor_back_to_the_block_before() {
    let shared = shared();
    let one = shared.try_local(4096).unwrap();
    let neighbour = shared.alloc([7_u8; 8192]); // so that the share goes on elsewhere
    one.scope(|_| {
        one.alloc_try_with(|| Err::<[u8; 4000], _>(())).unwrap_err();
        assert!(one.used() < 1 << 20, "{}", one.used());
    });
    one.alloc([0xff_u8; 8000]);
    assert_eq!(neighbour, &[7; 8192]);
}

#[test]
fn a_slice_that_moved_to_the_next_block_in_a_scope_gives_back_that_alone() {
    let shared = shared();
    let one = shared.try_local(4096).unwrap();
    let neighbour = shared.alloc([7_u8; 8192]);
    one.scope(|_| {
        let endless = (0_u64..).inspect(|&number| assert!(number < 600));
        let failed = catch_unwind(AssertUnwindSafe(|| one.alloc_iter(endless.filter(|_| true)).len()));
        assert!(failed.is_err());
        one.alloc([0xff_u8; 6000]);
    });
    one.alloc([0xff_u8; 8000]);
    assert_eq!(neighbour, &[7; 8192]);
}

#[test]
fn threads_that_fail_in_scopes_on_their_shares_keep_what_is_theirs() {
    let shared = Mallocator::builder().size(1 << 24).build_sync().unwrap();
    std::thread::scope(|threads| {
        for thread in 0..2_u8 {
            let shared = &shared;
            threads.spawn(move || {
                let one = shared.try_local(4096).unwrap();
                let mut mine = Vec::new();
                for _ in 0..200 {
                    one.scope(|_| _ = one.try_alloc_try_with(|| Err::<[u8; 3000], _>(())));
                    mine.push(one.alloc([thread; 700]));
                }
                assert!(mine.iter().all(|block| **block == [thread; 700]));
            });
        }
    });
}

#[test]
fn the_image_of_a_share_has_nobody_else_s_bytes() {
    let shared = shared();
    let live = shared.alloc([const { Cell::new(7_u8) }; 512]); // which somebody may write to
    let share = shared.local();
    share.alloc_bytes(b"mine");
    // SAFETY: there is nothing in it.
    let image = unsafe { share.used_bytes() };
    assert!(image.is_empty() && !image.as_ptr_range().contains(&live.as_ptr().cast()));
}
