//! Scopes: who may end when, what an outer arena takes inside, and how far a cursor may go back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use corosensei::{Coroutine, CoroutineResult};
use mallocator::{Mallocator, Vec as ArenaVec};

use crate::common;

/// Closures can be suspended without returning, so scopes need not end in the order they should.
#[test]
fn scopes_that_end_out_of_order_abort() {
    common::aborts("scopes::scopes_that_end_out_of_order_abort", || {
        let arena: &'static Mallocator = Box::leak(Box::new(Mallocator::new().unwrap()));
        let scope_that_waits = || {
            Coroutine::<(), (), ()>::new(move |yielder, ()| {
                arena.scope(|scratch| {
                    scratch.alloc(1);
                    yielder.suspend(());
                });
            })
        };
        let (mut first, mut second) = (scope_that_waits(), scope_that_waits());
        first.resume(());
        second.resume(()); // opened in the first, which is the innermost
        first.resume(()); // ends it, while the second is open
    });
}

#[test]
fn scopes_that_are_suspended_and_end_in_order_are_fine() {
    let arena: &'static Mallocator = Box::leak(Box::new(Mallocator::new().unwrap()));
    let scope_that_waits = |number: u64| {
        Coroutine::<(), (), u64>::new(move |yielder, ()| {
            arena.scope(|scratch| {
                let kept = scratch.alloc(number);
                yielder.suspend(());
                *kept
            })
        })
    };
    let (mut first, mut second) = (scope_that_waits(1), scope_that_waits(2));
    first.resume(());
    second.resume(());
    let outer = arena.alloc(3_u64);
    assert!(matches!(second.resume(()), CoroutineResult::Return(2)));
    assert!(matches!(first.resume(()), CoroutineResult::Return(1)));
    assert_eq!((*outer, arena.used()), (3, 24), "what the outer arena took is pinned");
}

/// A coroutine that is forgotten leaves its scope open for ever, on a stack that is never freed.
#[test]
fn an_arena_with_a_forgotten_scope_can_be_used_moved_and_reset() {
    fn forget_a_scope(arena: &Mallocator) {
        // The borrow ends with the coroutine, which is forgotten; its scope is not closed.
        let arena: *const Mallocator = arena;
        let mut coroutine = Coroutine::<(), (), ()>::new(move |yielder, ()| {
            // SAFETY: the arena outlives the last time the coroutine runs.
            unsafe { &*arena }.scope(|scratch| {
                scratch.alloc_bytes(&[0xee; 5000]);
                yielder.suspend(());
            });
        });
        coroutine.resume(());
        std::mem::forget(coroutine);
    }
    /// Gives the memory of the box back, too.
    #[expect(clippy::boxed_local, reason = "that is what it is for")]
    fn move_out(arena: Box<Mallocator>) -> Mallocator {
        *arena
    }
    let arena = Box::new(Mallocator::new().unwrap());
    let kept = std::ptr::from_ref(arena.alloc(7_u64));
    forget_a_scope(&arena);
    let late = std::ptr::from_ref(arena.alloc(8_u64));
    assert!(arena.offset_of(late).unwrap() >= 5008);
    assert_eq!(arena.scope(|scratch| *scratch.alloc(9)), 9);
    // Moved, and used again: where it was is no longer its own. The forgotten view still points there.
    let mut moved = Box::new(move_out(arena));
    let later = std::ptr::from_ref(moved.alloc(10_u64));
    assert!(later > late);
    moved.scope(|scratch| {
        scratch.alloc(11);
        moved.alloc(12);
    });
    // SAFETY: all are still handed out, and nobody writes to them.
    unsafe { assert_eq!((*kept, *late, *later), (7, 8, 10)) };
    moved.reset();
    assert_eq!((moved.used(), moved.available()), (0, moved.size()));
    // The memory of the forgotten scope is used again, and is known not to be zero.
    assert!(moved.alloc_zeroed_bytes(6000, 1).iter().all(|&byte| byte == 0));
    assert_eq!(moved.used(), 6000);
    forget_a_scope(&moved);
    moved.try_trim().unwrap();
    *moved.alloc(1) += 1;
    moved.reset();
    // What the arena took while the scope was open is in use, so a trim keeps it.
    forget_a_scope(&moved);
    let block = moved.alloc_layout(std::alloc::Layout::new::<[u8; 64]>());
    // SAFETY: the block was just handed out.
    unsafe { block.write_bytes(7, 64) };
    let used = moved.used();
    moved.trim();
    assert_eq!(moved.used(), used);
    moved.alloc([0xff_u8; 1000]);
    // SAFETY: the block is still handed out.
    assert!(unsafe { block.cast::<[u8; 64]>().read() } == [7; 64]);
    forget_a_scope(&moved);
    moved.free().unwrap();
}

/// The naive walk calls itself at every level.
#[test]
fn an_outer_allocation_walks_ten_thousand_scopes_once() {
    fn nest(outer: &Mallocator, arena: &Mallocator, depth: u32) {
        if depth == 0 {
            for number in 0..1000 {
                assert_eq!(*outer.alloc(number), number);
            }
        } else {
            arena.scope(|view| nest(outer, view, depth - 1));
        }
    }
    let nested = std::thread::Builder::new().stack_size(256 << 20).spawn(|| {
        let arena = Mallocator::new().unwrap();
        nest(&arena, &arena, 10_000);
        assert_eq!(arena.used(), 4000);
    });
    nested.unwrap().join().unwrap();
}

#[test]
fn a_scope_gives_back_what_it_took_also_by_a_panic() {
    let arena = Mallocator::new().unwrap();
    let kept = arena.alloc(1_u64);
    for _ in 0..1000 {
        let sum =
            arena.scope(|scratch| scratch.alloc_slice_fill_with(1000, |index| index).iter().sum::<usize>());
        assert_eq!((sum, arena.used()), (499_500, 8));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            arena.scope(|scratch| {
                scratch.alloc([0_u8; 5000]);
                scratch.scope(|deeper| {
                    deeper.alloc([0_u8; 5000]);
                    std::panic::resume_unwind(Box::new(()));
                });
            });
        }));
        assert!(outcome.is_err());
        assert_eq!((*kept, arena.used()), (1, 8));
    }
    // The parent works as before.
    arena.alloc(2_u64);
    assert_eq!(arena.used(), 16);
}

#[test]
fn what_an_outer_arena_takes_inside_stays_and_what_it_costs_is_the_pinning_rule() {
    let arena = Mallocator::new().unwrap();
    arena.alloc(0_u64);
    let outer = arena.scope(|scratch| {
        let before = scratch.alloc([1_u8; 100]); // 8..108
        let outer = arena.alloc(2_u64); // 112..120
        let after = scratch.alloc([3_u8; 100]); // 120..220
        assert_eq!((before[99], *outer, after[99]), (1, 2, 3));
        assert_eq!((arena.used(), scratch.used()), (120, 220));
        outer
    });
    assert_eq!((*outer, arena.used()), (2, 120), "what the scope took below the pin stays");
    let next = arena.alloc(4_u64);
    assert_eq!((*outer, *next, arena.used()), (2, 4, 128));
}

#[test]
fn pins_reach_every_view_on_the_way_and_no_other() {
    let arena = Mallocator::new().unwrap();
    arena.scope(|one| {
        one.alloc(1_u64); // 0..8
        one.scope(|two| {
            two.alloc(2_u64); // 8..16
            two.scope(|three| {
                three.alloc(3_u64); // 16..24
                one.alloc(4_u64); // 24..32, pins two and three
                three.alloc(5_u64); // 32..40
                assert_eq!(three.used(), 40);
            });
            assert_eq!(two.used(), 32);
            two.alloc(6_u64); // 32..40
        });
        assert_eq!(one.used(), 32);
    });
    assert_eq!(arena.used(), 0);
}

#[test]
fn a_scope_opened_on_an_outer_arena_is_opened_on_the_innermost() {
    let arena = Mallocator::new().unwrap();
    arena.scope(|one| {
        let first = one.alloc([1_u64; 10]);
        arena.scope(|two| {
            let second = two.alloc([2_u64; 10]);
            arena.scope(|three| {
                let third = three.alloc([3_u64; 10]);
                let again = one.alloc([4_u64; 10]);
                assert_eq!((first[9], second[9], third[9], again[9]), (1, 2, 3, 4));
            });
            assert_eq!(second, &[2; 10]);
        });
        assert_eq!(first, &[1; 10]);
    });
    assert_eq!(arena.used(), 0);
}

#[test]
fn outer_vectors_grow_shrink_and_are_freed_three_scopes_deep() {
    let arena = Mallocator::with_size(1 << 24).unwrap();
    let mut vecs: [ArenaVec<'_, u64>; 3] = std::array::from_fn(|_| ArenaVec::new_in(&arena));
    vecs[0].extend(0..10);
    arena.scope(|one| {
        let mut inner = ArenaVec::new_in(one);
        inner.extend(1000..1010_u64);
        vecs[1].extend(0..100);
        one.scope(|two| {
            let mut innermost = ArenaVec::new_in(two);
            two.scope(|three| {
                let temporary = three.alloc([7_u64; 100]);
                for number in 10..1000 {
                    vecs[0].push(number);
                    inner.push(number + 1000);
                    innermost.push(number);
                    vecs[1].push(number + 90);
                }
                vecs[1].truncate(500);
                vecs[1].shrink_to_fit();
                vecs[2] = ArenaVec::with_capacity_in(5000, &arena);
                drop(std::mem::replace(&mut vecs[2], ArenaVec::new_in(&arena)));
                assert_eq!(temporary, &[7; 100]);
            });
            assert!(innermost.iter().copied().eq(10..1000));
        });
        assert!(inner.iter().copied().eq((1000..1010).chain(1010..2000)));
    });
    assert!(vecs[0].iter().copied().eq(0..1000));
    assert!(vecs[1].iter().copied().eq(0..500));
    vecs[2].extend(0..10_000);
    assert!(vecs[2].iter().copied().eq(0..10_000));
    assert!(vecs[0].iter().copied().eq(0..1000));
}

/// The scope's memory lies right behind the parent's last block.
#[test]
fn a_parent_s_last_block_never_grows_in_place_while_a_scope_is_open() {
    let arena = Mallocator::new().unwrap();
    let mut outer: ArenaVec<'_, u8> = ArenaVec::with_capacity_in(16, &arena);
    outer.resize(16, 1);
    let before = outer.as_ptr();
    arena.scope(|scratch| {
        let inner = scratch.alloc([2_u8; 16]);
        outer.resize(32, 1);
        assert_ne!(outer.as_ptr(), before);
        assert_eq!((&*outer, &*inner), (&[1; 32][..], &[2; 16]));
    });
    // Outside, it grows in place again.
    let before = outer.as_ptr();
    outer.resize(1000, 1);
    assert_eq!((outer.as_ptr(), &*outer), (before, &[1; 1000][..]));
}

#[test]
fn a_parent_s_last_block_freed_inside_lowers_the_parent_s_cursor_only() {
    let arena = Mallocator::new().unwrap();
    let block = arena.alloc_boxed([1_u8; 64]);
    arena.scope(|scratch| {
        let inner = scratch.alloc([2_u8; 64]);
        drop(block);
        assert_eq!(arena.used(), 0);
        let more = scratch.alloc([3_u8; 64]);
        assert_eq!((inner, more), (&mut [2; 64], &mut [3; 64]));
        assert_eq!(scratch.used(), 192);
    });
    assert_eq!(arena.used(), 0);
}

#[test]
fn a_mark_counts_what_is_pinned_and_a_rewind_goes_no_lower() {
    let arena = Mallocator::new().unwrap();
    let before = arena.mark();
    arena.scope(|scratch| {
        let start = scratch.mark();
        scratch.alloc([1_u8; 100]);
        let outer = arena.alloc_bytes(&[2; 28]); // 100..128
        let mark = arena.mark();
        scratch.alloc([3_u8; 100]);
        // SAFETY: nothing that the scope took is used again.
        unsafe { scratch.rewind(start) };
        assert_eq!((scratch.used(), &*outer), (128, &[2; 28][..]));
        scratch.alloc([4_u8; 100]);
        assert_eq!(outer, [2; 28]);
        // While the scope is open, nothing happens.
        // SAFETY: as above.
        unsafe { arena.rewind(mark) };
        assert_eq!(scratch.used(), 228);
        // SAFETY: as above; nothing of the outer arena before the scope is used again either.
        unsafe { arena.rewind(before) };
        assert_eq!((scratch.used(), arena.used()), (228, 128));
    });
    assert_eq!(arena.used(), 128);
    let mark = arena.mark();
    arena.alloc(1);
    // SAFETY: as above.
    unsafe { arena.rewind(mark) };
    assert_eq!(arena.used(), 128);
}

#[test]
fn a_rewind_in_a_scope_never_goes_below_where_it_began() {
    let arena = Mallocator::new().unwrap();
    let mark = arena.mark();
    let outer = arena.alloc([1_u8; 100]);
    arena.scope(|scratch| {
        scratch.alloc(2_u8);
        // SAFETY: against the contract, as the mark is the outer arena's; it must not take what is not the scope's.
        unsafe { scratch.rewind(mark) };
        assert_eq!(scratch.used(), 100);
        scratch.alloc([3_u8; 100]);
    });
    assert_eq!(outer, &[1; 100]);
}

#[test]
fn an_exhausted_arena_is_exhausted_in_a_scope_too_and_says_what_is_left() {
    let arena = Mallocator::new().unwrap();
    arena.alloc([0_u8; 60_000]);
    arena.scope(|scratch| {
        scratch.alloc([0_u8; 5000]);
        for arena in [scratch, &arena] {
            let refused = arena.try_alloc([0_u8; 1000]).unwrap_err();
            assert!(
                matches!(refused, mallocator::Error::Exhausted { size: 1000, available: 536, .. }),
                "{refused}"
            );
            assert_eq!(arena.available(), 536);
        }
    });
    assert_eq!(arena.available(), 5536);
    arena.alloc([0_u8; 5536]);
}

#[test]
fn a_region_that_is_not_writable_stays_so_in_and_after_scopes() {
    use mallocator::{Error, Protection};
    let protection = Protection::READ;
    let arena = Mallocator::builder().protection(protection).build().unwrap();
    let refused = Err(Error::NotWritable { protection });
    arena.scope(|scratch| {
        assert_eq!(scratch.try_alloc(1).map(drop), refused);
        assert_eq!(arena.try_alloc(1).map(drop), refused);
        assert_eq!(scratch.alloc_raw(10, 1).unwrap().addr(), arena.base().addr());
    });
    assert_eq!(arena.try_alloc(1).map(drop), refused);
    assert_eq!(arena.used(), 0);
}

#[test]
fn a_protection_changed_inside_a_scope_holds_outside() {
    use mallocator::Protection;
    let arena = Mallocator::new().unwrap();
    arena.scope(|scratch| {
        // SAFETY: nothing is in the arena.
        unsafe { scratch.protect(0..arena.size(), Protection::READ).unwrap() };
        assert!(scratch.try_alloc(1).is_err() && arena.try_alloc(1).is_err());
    });
    assert!(arena.try_alloc(1).is_err());
    arena.scope(|scratch| {
        // SAFETY: as above.
        unsafe { arena.protect(0..arena.size(), Protection::READ_WRITE).unwrap() };
        *scratch.alloc(1) += 1;
        *arena.alloc(1) += 1;
    });
    *arena.alloc(1) += 1;
    common::check_pages(&arena);
}
