//! Arenas over lent memory: random work in a tree of scopes, with the lender's bytes on both sides.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use mallocator::Mallocator;

use crate::shadow::drive;

#[test]
fn what_is_held_of_a_lent_arena_is_never_overwritten_and_nothing_beside_it_is_touched() {
    for seed in 0..12 {
        let size = 3000 << (seed % 6);
        let mut memory = vec![MaybeUninit::new(0x5a_u8); size + 200];
        // Not aligned to anything.
        let (before, inner) = memory.split_at_mut(101);
        let (inner, after) = inner.split_at_mut(size);
        let arena = Mallocator::from_slice(inner).unwrap();
        drive(seed.try_into().unwrap(), 300, 1000, &arena, &|_| None);
        drop(arena);
        // SAFETY: all of it was written.
        let intact = |byte: &MaybeUninit<u8>| unsafe { byte.assume_init() } == 0x5a;
        assert!(before.iter().chain(&*after).all(intact));
    }
}

/// A lent arena in a share of what threads share, and another beside it.
#[test]
fn a_lent_arena_in_a_share_and_what_lies_beside_it_are_apart() {
    let shared = Mallocator::builder().size(16 << 20).debug_fill(true).build_sync().unwrap();
    let share = shared.try_local(10_000).unwrap();
    let mut inner = Vec::new();
    for seed in 0..4 {
        let arena = Mallocator::from_slice(share.alloc_uninit_slice(50_000)).unwrap();
        let others = |size| {
            let block = NonNull::from(share.try_alloc_uninit_slice::<u8>(size).ok()?);
            Some(NonNull::slice_from_raw_parts(block.cast(), size))
        };
        drive(seed, 200, 2000, &arena, &others);
        drive(seed, 100, 2000, share, &|_| None);
        arena.scope(|scratch| scratch.alloc_slice_fill_copy(scratch.available(), 0xff_u8).len());
        inner.push(arena);
    }
}
