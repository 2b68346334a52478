//! "Never used, so zero" holds only above the highest cursor there ever was: every way to lower a cursor is tried, and
//! zeroes are asked for where it was.

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};

use allocator_api2::alloc::Allocator;
use mallocator::{Mallocator, Vec as ArenaVec};

const DIRT: usize = 5000;

/// Dirties `DIRT` bytes with `dirty`, which gives them back, and asks for zeroes there in every way there is.
fn zeroes_after(dirty: impl Fn(&mut Mallocator)) {
    let asks: [&dyn Fn(&Mallocator) -> bool; 3] = [
        &|arena| arena.alloc_zeroed_bytes(2 * DIRT, 1).iter().all(|&byte| byte == 0),
        &|arena| {
            let block = arena.allocate_zeroed(Layout::new::<[u8; 2 * DIRT]>()).unwrap();
            // SAFETY: the block is this test's, and was cleared.
            unsafe { block.as_ref() }.iter().all(|&byte| byte == 0)
        },
        &|arena| {
            let (old, new) = (Layout::new::<[u8; 8]>(), Layout::new::<[u8; 2 * DIRT]>());
            let block = arena.allocate(old).unwrap().cast();
            // SAFETY: the block is live and has the old layout; what was added was cleared.
            unsafe {
                block.cast::<u64>().write_unaligned(u64::MAX);
                let block = arena.grow_zeroed(block, old, new).unwrap();
                let block = block.as_ref();
                block[..8] == [0xff; 8] && block[8..].iter().all(|&byte| byte == 0)
            }
        },
    ];
    // What debug builds do about what is taken back hides what is known of it.
    for builder in [false, true].map(|fill| Mallocator::builder().debug_fill(fill)) {
        for ask in asks {
            let mut arena = builder.build().unwrap();
            arena.alloc(1_u8);
            dirty(&mut arena);
            assert!(arena.used() < 100, "it was given back: {}", arena.used());
            assert!(ask(&arena));
        }
    }
}

#[test]
fn after_a_deallocation() {
    zeroes_after(|arena| drop(arena.alloc_boxed([0xff_u8; DIRT])));
}

#[test]
fn after_a_shrink() {
    zeroes_after(|arena| {
        let mut bytes = ArenaVec::with_capacity_in(DIRT, &*arena);
        bytes.resize(DIRT, 0xff_u8);
        bytes.truncate(1);
        bytes.shrink_to_fit();
        bytes.leak();
    });
}

#[test]
fn after_a_rewind() {
    zeroes_after(|arena| {
        let mark = arena.mark();
        arena.alloc([0xff_u8; DIRT]);
        // SAFETY: not used again.
        unsafe { arena.rewind(mark) };
    });
}

#[test]
fn after_a_scope() {
    zeroes_after(|arena| {
        arena.scope(|scratch| _ = scratch.alloc([0xff_u8; DIRT]));
    });
    zeroes_after(|arena| {
        arena.scope(|one| one.scope(|two| two.scope(|three| _ = three.alloc([0xff_u8; DIRT]))));
    });
}

#[test]
fn after_a_reset() {
    zeroes_after(|arena| {
        arena.alloc([0xff_u8; DIRT]);
        arena.reset();
    });
}

#[test]
fn after_a_reset_and_a_trim() {
    zeroes_after(|arena| {
        arena.alloc([0xff_u8; DIRT]);
        arena.reset();
        arena.alloc(1_u8);
        arena.trim(); // keeps the first page, which is not zero
    });
}

/// What is known of the memory before it was given back is not true of the memory after.
#[test]
fn after_a_trim_and_another_use() {
    zeroes_after(|arena| {
        for _ in 0..2 {
            arena.alloc([0xff_u8; DIRT]);
            arena.reset();
            arena.trim();
            arena.alloc([0xff_u8; DIRT]);
            arena.reset();
        }
    });
}

#[test]
fn after_another_life_of_the_range() {
    for trimmed in [false, true] {
        zeroes_after(|arena| {
            let mut places = Vec::new();
            for _ in 0..3 {
                arena.alloc([0xff_u8; DIRT]);
                arena.reset();
                if trimmed {
                    arena.trim();
                }
                drop(std::mem::replace(arena, Mallocator::with_size(1 << 12).unwrap()));
                *arena = Mallocator::new().unwrap();
                places.push(arena.base());
            }
            assert_eq!(places[1], places[2], "the thread kept the range");
            arena.alloc([0xff_u8; DIRT]);
            arena.reset();
        });
    }
}

#[test]
fn after_an_error_and_a_panic_half_way() {
    zeroes_after(|arena| {
        let mut made = 0;
        let outcome = arena.try_alloc_try_with(|| {
            // The closure has the place written by a helper that failed then; here, by itself and below.
            Err::<[u8; DIRT], ()>(())
        });
        assert_eq!(outcome, Ok(Err(())));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            arena.alloc_slice_fill_with(DIRT, |_| {
                made += 1;
                if made == DIRT {
                    std::panic::resume_unwind(Box::new(()));
                }
                0xff_u8
            });
        }));
        assert!(outcome.is_err());
    });
}

#[test]
fn after_an_iterator_that_said_too_much() {
    struct TooMuch(usize);
    impl Iterator for TooMuch {
        type Item = u8;
        fn next(&mut self) -> Option<u8> {
            self.0 = self.0.checked_sub(1)?;
            Some(0xff)
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (DIRT, None)
        }
    }
    zeroes_after(|arena| {
        assert_eq!(arena.alloc_iter(TooMuch(3)), [0xff; 3]);
    });
}

/// The kernel's zeroes are used where they are: a large block costs no memory until it is written.
#[test]
fn memory_that_was_never_used_is_not_touched() {
    crate::common::alone("zero::memory_that_was_never_used_is_not_touched", || {
        let arena = Mallocator::with_size(1 << 30).unwrap();
        let before = crate::common::resident();
        let zeroes = arena.alloc_zeroed_bytes(256 << 20, 1);
        let cost = crate::common::resident().saturating_sub(before);
        assert!(cost < 2 << 20, "{cost} bytes");
        assert_eq!((zeroes[0], zeroes[(256 << 20) - 1]), (0, 0));
    });
}
