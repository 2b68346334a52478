//! Batches: what they hand out, what they take, and what they give back.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mallocator::{Error, Mallocator, Protection, Vec as ArenaVec};
use proptest::prelude::*;

#[test]
fn what_a_batch_hands_out_outlives_it_and_is_packed() {
    let arena = Mallocator::new().unwrap();
    let (one, two, text) = {
        let mut batch = arena.batch(4096);
        (batch.alloc(1_u32), batch.alloc_with(|| 2_u32), batch.alloc_str("three"))
    };
    assert_eq!((&*one, &*two, &*text), (&1, &2, "three"));
    assert_eq!(arena.used(), 13);
    assert_eq!(
        (arena.offset_of(one), arena.offset_of(two), arena.offset_of(text)),
        (Some(0), Some(4), Some(8))
    );
}

#[test]
fn a_batch_takes_nothing_before_it_is_used_and_blocks_afterwards() {
    let mut arena = Mallocator::with_size(1 << 20).unwrap();
    let mut batch = arena.batch(1000);
    assert_eq!(arena.used(), 0);
    batch.alloc(());
    batch.alloc_slice_copy(&[0_u64; 0]);
    assert_eq!(arena.used(), 0, "what has no size takes nothing");
    batch.alloc(1_u8);
    assert_eq!(arena.used(), 1000);
    // Nothing lies behind the block: the next is the same, longer.
    batch.alloc([1_u8; 1000]);
    assert_eq!(arena.used(), 2000);
    // Larger than a block.
    batch.alloc([1_u8; 5000]);
    assert_eq!(arena.used(), 6001);
    drop(batch);
    assert_eq!(arena.used(), 6001);
    arena.reset();
    assert_eq!(arena.used(), 0);
}

#[test]
fn what_others_allocate_meanwhile_is_left_alone() {
    let arena = Mallocator::with_size(1 << 20).unwrap();
    let mut batch = arena.batch(256);
    let mut other = arena.batch(100);
    let mut vector = ArenaVec::new_in(&arena);
    let mut kept = Vec::new();
    for number in 0..1000_u32 {
        kept.push((number, batch.alloc(number)));
        if number % 7 == 0 {
            kept.push((number + 1, other.alloc(number + 1)));
        }
        if number % 100 == 0 {
            kept.push((number + 2, arena.alloc(number + 2)));
            vector.push(number);
        }
    }
    drop((batch, other));
    arena.alloc_slice_fill_copy(10_000, 0xff_u8);
    assert!(kept.iter().all(|(number, value)| number == &**value));
    assert_eq!(*vector, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
}

#[test]
fn the_tail_goes_back_only_while_it_is_the_last() {
    let arena = Mallocator::new().unwrap();
    let mut batch = arena.batch(1000);
    batch.alloc(1_u8);
    let behind = arena.alloc(2_u8);
    drop(batch);
    assert_eq!((arena.used(), arena.offset_of(behind)), (1001, Some(1000)));
    // Freed memory is dirty: a batch may have written to it.
    let mut batch = arena.batch(1000);
    batch.alloc([0xff_u8; 500]);
    drop(batch);
    assert_eq!(arena.used(), 1501);
    assert!(arena.alloc_zeroed_bytes(2000, 1).iter().all(|&byte| byte == 0));
}

#[test]
fn a_closure_that_panics_takes_nothing() {
    let arena = Mallocator::new().unwrap();
    let mut batch = arena.batch(100);
    batch.alloc(1_u8);
    let inner = Cell::new(None);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        batch.alloc_with(|| -> [u8; 50] {
            inner.set(Some(arena.alloc(7_u8)));
            panic!("half way")
        });
    }));
    assert!(outcome.is_err());
    let next = batch.alloc([2_u8; 50]);
    assert_eq!((arena.offset_of(next), inner.take()), (Some(1), Some(&mut 7)));
}

#[test]
fn refusals_leave_the_batch_as_it_was() {
    let arena = Mallocator::new().unwrap();
    let mut batch = arena.batch(1 << 40);
    assert!(matches!(batch.try_alloc([0_u8; 100_000]), Err(Error::Exhausted { size: 100_000, .. })));
    assert_eq!(arena.used(), 0);
    let one = batch.alloc(1_u64);
    assert_eq!(arena.used(), arena.size(), "as much as is left");
    assert!(batch.try_alloc_str(&"x".repeat(100_000)).is_err());
    assert!(batch.try_alloc_slice_copy(&[0_u64; 10_000]).is_err());
    assert!(batch.try_alloc_with(|| [0_u8; 65_529]).is_err());
    let rest = batch.alloc([2_u8; 65_528]);
    assert!(batch.try_alloc(3_u8).is_err());
    assert_eq!((*one, rest[0], rest[65_527]), (1, 2, 2));
    drop(batch);
    assert_eq!(arena.available(), 0);

    let read_only = Mallocator::builder().protection(Protection::READ).build().unwrap();
    let refused = |error| matches!(error, Error::NotWritable { .. });
    assert!(refused(read_only.batch(100).try_alloc(1).unwrap_err()));
    assert!(refused(read_only.batch(100).try_alloc(()).unwrap_err()));
    assert!(refused(read_only.batch(100).try_alloc_str("").unwrap_err()));
}

#[test]
fn batches_in_scopes_and_of_outer_arenas_inside_them() {
    let arena = Mallocator::with_size(1 << 20).unwrap();
    let mut outer = arena.batch(64);
    let mut kept = vec![outer.alloc(0_u64)];
    for number in 1..200 {
        arena.scope(|scratch| {
            let mut inner = scratch.batch(100);
            let temporary = inner.alloc([u64::MAX; 5]);
            kept.push(outer.alloc(number));
            let another = inner.alloc([u64::MAX; 20]);
            scratch.alloc_slice_fill_copy(300, 0xff_u8);
            assert_eq!((temporary[0], another[19]), (u64::MAX, u64::MAX));
        });
    }
    drop(outer);
    arena.alloc_slice_fill_copy(10_000, 0xff_u8);
    assert!(kept.iter().enumerate().all(|(number, value)| number as u64 == **value));
}

#[derive(Clone, Debug)]
enum Step {
    Alloc(usize),
    Text(usize),
    Arena(usize),
    Drop,
}

proptest! {
    /// Everything that two batches and their arena hand out stays apart and keeps its contents.
    #[test]
    fn blocks_are_apart(steps in prop::collection::vec((0..2_usize, prop_oneof![
        (0..4_usize).prop_map(Step::Alloc),
        (0..60_usize).prop_map(Step::Text),
        (0..200_usize).prop_map(Step::Arena),
        Just(Step::Drop),
    ]), 0..200), block in 1..300_usize) {
        let arena = Mallocator::builder().size(1 << 16).reuse(false).build().unwrap();
        let mut batches = [arena.batch(block), arena.batch(block * 2)];
        let mut kept: Vec<(&mut [u8], u8)> = Vec::new();
        for (number, (which, step)) in steps.into_iter().enumerate() {
            let fill = u8::try_from(number % 250).unwrap();
            let batch = &mut batches[which];
            match step {
                Step::Alloc(0) => kept.push((batch.alloc([fill; 3]), fill)),
                Step::Alloc(1) => *batch.alloc_with(|| [0_u64; 3]) = [7; 3],
                Step::Alloc(2) => *batch.alloc(0_u128) = u128::MAX,
                Step::Alloc(_) => kept.push((batch.alloc([fill; 40]), fill)),
                Step::Text(len) => kept.push((batch.alloc_slice_copy(&vec![fill; len]), fill)),
                Step::Arena(len) => kept.push((arena.alloc_slice_fill_copy(len, fill), fill)),
                Step::Drop => *batch = arena.batch(block),
            }
        }
        drop(batches);
        arena.alloc_slice_fill_copy(500, 0xff_u8);
        for (bytes, fill) in kept {
            prop_assert!(bytes.iter().all(|byte| *byte == fill));
        }
    }
}

#[repr(align(4096))]
#[derive(Clone, Copy)]
struct Page([u8; 4096]);

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
        assert!(
            mine.iter().all(|&byte| byte == 7)
                && after.iter().all(|&byte| byte == 8)
                && more.iter().all(|&byte| byte == 9)
        );
    });
    let kept = arena.alloc([3_u8; 5000]);
    assert!(kept.iter().all(|&byte| byte == 3));
}

#[test]
fn any_block_size_and_any_alignment() {
    #[repr(align(65536))]
    struct Wide(u8);
    for block in [0, 1, 7, 127, 4096, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX] {
        for size in [1 << 12, 1 << 16, 1 << 20] {
            let arena = Mallocator::with_size(size).unwrap();
            let shared = Mallocator::builder().size(size).build_sync().unwrap();
            for mut batch in [arena.batch(block), shared.batch(block)] {
                for _ in 0..40 {
                    if let Ok(byte) = batch.try_alloc(1_u8) {
                        assert_eq!(*byte, 1);
                    }
                    if let Ok(wide) = batch.try_alloc_with(|| Wide(2)) {
                        assert_eq!((wide.0, std::ptr::from_ref(wide).addr() % (1 << 16)), (2, 0));
                    }
                    if let Ok(page) = batch.try_alloc_slice_copy(&[Page([5; 4096]); 2]) {
                        assert!(page[1].0.iter().all(|&byte| byte == 5));
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
