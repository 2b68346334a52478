//! Batches: refusals, panics, scopes, and what they give back.
#![cfg_attr(feature = "nightly", feature(allocator_api))]
#![allow(clippy::pedantic, clippy::undocumented_unsafe_blocks, missing_docs)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use mallocator::{Error, Mallocator};

#[repr(align(4096))]
#[derive(Clone, Copy)]
struct Page(#[allow(dead_code)] [u8; 4096]);

/// "The cursor has not moved": what fitted before a refusal fits after it.
#[test]
fn a_refused_value_takes_nothing_of_the_block() {
    let arena = Mallocator::new().unwrap();
    let mut batch = arena.batch(arena.size());
    batch.alloc_slice_copy(&vec![1_u8; arena.size() - 4000]);
    assert!(matches!(batch.try_alloc(Page([0; 4096])), Err(Error::Exhausted { .. })));
    assert!(batch.try_alloc(1_u8).is_ok(), "4000 bytes are left");
}

/// The same, seen from the arena: what is left goes back.
#[test]
fn what_is_left_goes_back_after_a_refusal() {
    let arena = Mallocator::new().unwrap();
    let mut batch = arena.batch(arena.size());
    batch.alloc_slice_copy(&vec![1_u8; arena.size() - 4000]);
    assert!(batch.try_alloc(Page([0; 4096])).is_err());
    drop(batch);
    assert_eq!(arena.available(), 4000);
}

/// "When `make` panics, nothing is taken."
#[test]
fn a_value_whose_making_panics_takes_nothing() {
    let arena = Mallocator::new().unwrap();
    let mut batch = arena.batch(arena.size());
    batch.alloc(1_u8);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        batch.alloc_with(|| -> Page { std::panic::resume_unwind(Box::new(())) });
    }));
    assert!(outcome.is_err());
    drop(batch);
    assert_eq!(arena.used(), 1);
}

#[test]
fn a_batch_of_an_outer_arena_ends_in_the_scope_after_the_next_block_was_refused() {
    let arena = Mallocator::new().unwrap();
    let mut batch = arena.batch(1000);
    batch.alloc(1_u8);
    arena.scope(|view| {
        let mine = view.alloc([7_u8; 100]);
        batch.alloc_slice_copy(&[2_u8; 990]);
        assert!(batch.try_alloc_with(|| [0_u8; 1 << 16]).is_err());
        let after = view.alloc([8_u8; 100]);
        drop(batch);
        let more = view.alloc([9_u8; 3000]);
        assert!(mine.iter().all(|&b| b == 7) && after.iter().all(|&b| b == 8) && more.iter().all(|&b| b == 9));
    });
    let kept = arena.alloc([3_u8; 5000]);
    assert!(kept.iter().all(|&b| b == 3));
}

#[test]
fn any_block_size_and_any_alignment() {
    #[repr(align(65536))]
    struct Wide(#[allow(dead_code)] u8);
    for block in [0, 1, 7, 127, 4096, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX] {
        for size in [1 << 12, 1 << 16, 1 << 20] {
            let arena = Mallocator::with_size(size).unwrap();
            let shared = Mallocator::builder().size(size).build_sync().unwrap();
            for mut batch in [arena.batch(block), shared.batch(block)] {
                for _ in 0..40 {
                    if let Ok(byte) = batch.try_alloc(1_u8) {
                        assert_eq!(*byte, 1);
                    }
                    if let Ok(slot) = batch.try_alloc_with(std::mem::MaybeUninit::<Wide>::uninit) {
                        unsafe { slot.as_mut_ptr().cast::<u8>().write_bytes(2, size_of::<Wide>()) };
                    }
                    if let Ok(page) = batch.try_alloc_slice_copy(&[Page([5; 4096]); 2]) {
                        assert!(page[1].0.iter().all(|&b| b == 5));
                    }
                    assert!(batch.try_alloc_slice_copy::<Page>(&[]).is_ok());
                }
                assert!(batch.try_alloc(()).is_ok());
            }
            assert!(arena.used() <= arena.size() && shared.used() <= shared.size());
            assert!(arena.used() <= arena.committed() && shared.used() <= shared.committed());
        }
    }
}

#[test]
fn threads_fill_a_shared_range_to_the_end_and_nothing_overlaps() {
    for (size, block) in [(1 << 16, 0), (1 << 20, 300), (1 << 22, 70_000), (1 << 22, usize::MAX), (4096, 64)] {
        let mut shared = Mallocator::builder().size(size).build_sync().unwrap();
        for round in 0..3_u8 {
            std::thread::scope(|threads| {
                for id in 0..4_u8 {
                    let shared = &shared;
                    threads.spawn(move || {
                        use allocator_api2::alloc::Allocator;
                        let mut batch = shared.batch(block);
                        let mut mine: Vec<&mut [u8]> = Vec::new();
                        let mark = id * 3 + round * 40 + 1;
                        let mut refused = 0;
                        for turn in 0.. {
                            let len = 1 + (turn * 7 + id as usize * 13) % 90;
                            match turn % 5 {
                                0..=2 => match batch.try_alloc_slice_copy(&vec![mark; len]) {
                                    Ok(bytes) => mine.push(bytes),
                                    Err(_) => refused += 1,
                                },
                                3 => {
                                    let layout = std::alloc::Layout::from_size_align(len, 8).unwrap();
                                    match shared.allocate_zeroed(layout) {
                                        Ok(mut bytes) => {
                                            let bytes = unsafe { bytes.as_mut() };
                                            assert!(bytes.iter().all(|&byte| byte == 0), "not zero");
                                            bytes.fill(mark);
                                            mine.push(bytes);
                                        }
                                        Err(_) => refused += 1,
                                    }
                                }
                                _ => {
                                    let mut list = allocator_api2::vec::Vec::new_in(shared);
                                    while list.len() < len && list.try_reserve(1).is_ok() {
                                        list.push(mark);
                                    }
                                    assert!(list.iter().all(|&b| b == mark));
                                    if !list.is_empty() {
                                        mine.push(list.leak());
                                    }
                                }
                            }
                            if refused > 20 {
                                break;
                            }
                        }
                        assert!(mine.iter().all(|bytes| bytes.iter().all(|&byte| byte == mark)), "overlap");
                    });
                }
            });
            assert!(shared.used() <= shared.size());
            shared.reset();
            if round == 1 {
                shared.trim();
                assert_eq!(shared.committed(), 0);
            }
        }
    }
}
