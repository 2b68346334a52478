//! Callers' code: closures, iterators, `Clone`, `Drop` and `Display` that panic, lie, allocate, and open scopes.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mallocator::{Error, Mallocator};

/// Panics without a message on the terminal.
fn throw() -> ! {
    resume_unwind(Box::new(()))
}

fn thrown(body: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(body)).is_err()
}

/// Counts how often it is dropped, and complains when that is twice.
struct Counted<'a> {
    dropped: &'a RefCell<Vec<u32>>,
    number: u32,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        assert!(!self.dropped.borrow().contains(&self.number), "dropped twice");
        self.dropped.borrow_mut().push(self.number);
    }
}

impl Clone for Counted<'_> {
    fn clone(&self) -> Self {
        if self.number == 3 {
            throw();
        }
        Counted { dropped: self.dropped, number: self.number + 100 }
    }
}

#[test]
fn a_clone_that_panics_half_way_drops_what_was_made_and_gives_the_block_back() {
    let arena = Mallocator::new().unwrap();
    let dropped = RefCell::new(Vec::new());
    let originals: Vec<Counted<'_>> = (0..5).map(|number| Counted { dropped: &dropped, number }).collect();
    arena.alloc(1_u8);
    assert!(thrown(|| _ = arena.alloc_slice_clone(&originals)));
    assert_eq!(*dropped.borrow(), [100, 101, 102]);
    assert_eq!(arena.used(), 1);
    assert!(thrown(|| _ = arena.alloc_slice_fill_clone(2, &originals[3])));
    assert_eq!(arena.used(), 1);
}

#[test]
fn an_element_whose_drop_panics_does_not_keep_the_block() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                throw();
            }
        }
    }
    let arena = Mallocator::new().unwrap();
    arena.alloc(1_u8);
    let made = Cell::new(0);
    // The arena has no room for the last, so the first is dropped, outside of a panic.
    let elements = std::iter::from_fn(|| {
        made.set(made.get() + 1);
        Some((Bomb, [0_u8; 50_000]))
    });
    assert!(thrown(|| _ = arena.try_alloc_iter(elements)));
    assert_eq!(arena.used(), 1);
}

/// The cursor of an arena stands still while a scope is open on it; what it took meanwhile lies above.
#[test]
fn a_slice_given_back_after_the_scope_it_was_begun_in_takes_nothing_else_with_it() {
    use corosensei::Coroutine;
    for panics in [true, false] {
        let arena: &'static Mallocator = Box::leak(Box::new(Mallocator::new().unwrap()));
        let mut scoped = Coroutine::<(), (), ()>::new(move |yielder, ()| {
            arena.scope(|scratch| {
                scratch.alloc(0_u64);
                yielder.suspend(());
            });
        });
        let mut kept = None;
        let mut made = 0_u64;
        let failed = thrown(|| {
            let elements = std::iter::from_fn(|| {
                made += 1;
                match made {
                    5 => {
                        scoped.resume(());
                        kept = Some(arena.alloc([7_u8; 64]));
                    }
                    20 => _ = scoped.resume(()),
                    30 if panics => throw(),
                    _ => {}
                }
                Some(made)
            });
            if arena.try_alloc_iter(elements).is_err() {
                throw();
            }
        });
        assert!(failed);
        let late = arena.alloc([0xff_u8; 256]);
        assert_eq!((kept.unwrap(), late), (&mut [7; 64], &mut [0xff; 256]));
    }
}

#[test]
fn a_slice_that_had_to_move_gives_back_only_where_it_moved_to() {
    let arena = Mallocator::new().unwrap();
    let mut kept = None;
    let mut made = 0_u64;
    let elements = std::iter::from_fn(|| {
        made += 1;
        if made == 2 {
            kept = Some(arena.alloc([7_u8; 64]));
        }
        Some(made)
    });
    assert!(arena.try_alloc_iter(elements).is_err());
    assert!(arena.available() > 60_000);
    arena.alloc([0xff_u8; 256]);
    assert_eq!(kept.unwrap(), &[7; 64]);
}

/// What an outer arena gives back inside a scope goes back to the innermost, whose it was.
#[test]
fn failures_of_an_outer_arena_inside_a_scope_leave_nothing_taken() {
    let arena = Mallocator::new().unwrap();
    arena.scope(|scratch| {
        let inner = scratch.alloc([1_u8; 100]);
        for _ in 0..100 {
            assert_eq!(arena.alloc_try_with(|| Err::<[u64; 10], _>(1)), Err(1));
            drop(arena.alloc_boxed([2_u8; 500]));
            assert!(thrown(
                || _ = arena.alloc_slice_fill_with(50, |index| if index == 40 { throw() } else { index })
            ));
        }
        assert!(scratch.used() < 110, "{}", scratch.used());
        let kept = arena.alloc_slice_fill_iter([3_u8; 10]);
        scratch.scope(|deeper| {
            let deepest = deeper.alloc([4_u8; 100]);
            drop(arena.alloc_boxed([5_u8; 500]));
            drop(scratch.alloc_boxed([5_u8; 500]));
            deeper.scope(|empty| {
                // The block lies in a view that is not the innermost any more.
                let boxed = scratch.alloc_boxed([6_u8; 50]);
                empty.scope(|_| drop(boxed));
                assert_eq!(empty.used(), scratch.used());
            });
            assert_eq!(deepest, &[4; 100]);
        });
        assert_eq!((inner, kept), (&mut [1; 100], &mut [3; 10][..]));
    });
    // What the scopes had below the last of it stays: 100 and 100 of theirs, 10 that were kept.
    assert!(arena.used() < 220, "{}", arena.used());
    arena.scope(|_| assert!(arena.try_alloc_iter(0_u64..).is_err()));
    assert!(arena.available() > 30_000, "{}", arena.available());
}

/// The block goes back after the elements are dropped, not before.
#[test]
fn elements_that_allocate_when_they_are_dropped_do_not_overwrite_one_another() {
    struct Allocates<'a>(&'a Mallocator, u64);
    impl Drop for Allocates<'_> {
        fn drop(&mut self) {
            assert!(self.1 < 100, "overwritten");
            self.0.alloc_slice_fill_copy(20, u64::MAX);
        }
    }
    let arena = Mallocator::new().unwrap();
    assert!(thrown(|| {
        arena.alloc_slice_fill_with(10, |index| {
            if index == 9 {
                throw();
            }
            Allocates(&arena, index as u64)
        });
    }));
}

#[test]
fn a_hint_that_is_true_is_taken_so_that_nothing_moves() {
    let arena = Mallocator::new().unwrap();
    let numbers = arena.alloc_iter((0..100_u64).inspect(|_| _ = arena.alloc(0_u8)));
    assert_eq!((arena.offset_of(numbers), arena.used()), (Some(0), 900));
}

#[test]
fn lengths_that_lie_are_not_believed() {
    struct Liar {
        said: usize,
        left: usize,
    }
    impl Iterator for Liar {
        type Item = u32;
        fn next(&mut self) -> Option<u32> {
            self.left = self.left.checked_sub(1)?;
            Some(7)
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            (self.said, Some(self.said))
        }
    }
    impl ExactSizeIterator for Liar {
        fn len(&self) -> usize {
            self.said
        }
    }
    let arena = Mallocator::new().unwrap();
    assert_eq!(arena.alloc_slice_fill_iter(Liar { said: 5, left: 2 }), [7; 2]);
    assert_eq!(arena.used(), 8);
    assert_eq!(arena.alloc_slice_fill_iter(Liar { said: 2, left: 5 }), [7; 2]);
    assert_eq!(arena.used(), 16);
    assert_eq!(arena.alloc_slice_fill_iter(Liar { said: 0, left: 5 }), []);
    let refused = arena.try_alloc_slice_fill_iter(Liar { said: usize::MAX, left: 5 });
    assert!(matches!(refused, Err(Error::Exhausted { size: usize::MAX, .. })));
    for said in [0, 2, 5, 9, 100_000, usize::MAX] {
        let used = arena.used();
        assert_eq!(arena.alloc_iter(Liar { said, left: 5 }), [7; 5]);
        assert_eq!(arena.used(), used + 20, "{said}");
    }
}

#[test]
fn an_iterator_that_allocates_from_the_arena_gets_memory_of_its_own() {
    let arena = Mallocator::new().unwrap();
    let mut others = Vec::new();
    let numbers = arena.alloc_iter((0..1000_u64).inspect(|&number| {
        if number % 7 == 0 {
            others.push((number, arena.alloc(number)));
        }
    }));
    assert!(numbers.iter().copied().eq(0..1000));
    assert!(others.iter().all(|(number, other)| *number == **other));
    let len = others.len();
    let filled = arena.alloc_slice_fill_with(100, |index| *arena.alloc(index));
    assert!(filled.iter().copied().eq(0..100));
    assert!(numbers.iter().copied().eq(0..1000) && others.len() == len);
}

#[test]
fn an_iterator_that_opens_scopes_does_not_disturb_its_slice() {
    let arena = Mallocator::new().unwrap();
    let numbers = arena.alloc_iter((0..500_u32).map(|number| {
        arena.scope(|scratch| {
            let copies = scratch.alloc_slice_fill_copy(50, number);
            arena.scope(|deeper| copies[0] + *deeper.alloc(0))
        })
    }));
    assert!(numbers.iter().copied().eq(0..500));
}

#[test]
fn an_iterator_that_is_consumed_in_a_scope_fills_a_slice_of_the_outer_arena() {
    let arena = Mallocator::new().unwrap();
    let numbers = arena.scope(|scratch| {
        let source = scratch.alloc_slice_fill_with(300, |index| index);
        arena.alloc_iter(source.iter().map(|number| {
            scratch.alloc(0xff_u8);
            number * 2
        }))
    });
    arena.alloc_slice_fill_copy(1000, 0xee_u8);
    assert!(numbers.iter().copied().eq((0..300).map(|number| number * 2)));
}

#[test]
fn a_closure_that_fails_gives_back_its_own_block_and_nobody_else_s() {
    let arena = Mallocator::new().unwrap();
    arena.alloc(1_u8);
    assert_eq!(arena.alloc_try_with(|| Err::<[u64; 10], _>("no")), Err("no"));
    assert_eq!(arena.used(), 1, "its block and the padding");
    let mut kept = None;
    let outcome = arena.alloc_try_with(|| {
        kept = Some(arena.alloc(5_u64));
        Err::<[u64; 10], _>("no")
    });
    assert_eq!(outcome, Err("no"));
    arena.alloc([0xff_u8; 1000]);
    assert_eq!(kept, Some(&mut 5));
}

#[test]
fn an_error_that_owns_memory_of_the_arena_is_moved_out_before_the_block_goes_back() {
    let arena = Mallocator::new().unwrap();
    let outcome = arena.alloc_try_with(|| Err::<[u64; 10], _>(arena.alloc_boxed([7_u64; 4])));
    let error = outcome.unwrap_err();
    arena.alloc([0xff_u8; 1000]);
    assert_eq!(*error, [7; 4]);
}

#[test]
fn a_closure_that_opens_a_scope_and_panics_in_it_leaves_nothing_open() {
    let arena = Mallocator::new().unwrap();
    assert!(thrown(|| {
        arena.alloc_with(|| -> [u64; 10] {
            arena.scope(|scratch| {
                scratch.alloc([1_u8; 100]);
                throw()
            })
        });
    }));
    assert_eq!(arena.used(), 0);
    *arena.alloc(1) += 1;
}

/// Two suspended closures: the block of one is still being made when a scope is opened behind it.
#[test]
fn a_closure_that_panics_while_a_scope_of_another_coroutine_is_open_takes_nothing_from_it() {
    use corosensei::{Coroutine, CoroutineResult};
    let arena: &'static Mallocator = Box::leak(Box::new(Mallocator::new().unwrap()));
    let mut making = Coroutine::<(), (), bool>::new(|yielder, ()| {
        thrown(|| {
            arena.alloc_with(|| -> [u64; 10] {
                yielder.suspend(());
                throw()
            });
        })
    });
    let mut scoped = Coroutine::<(), (), u64>::new(|yielder, ()| {
        arena.scope(|scratch| {
            let kept = scratch.alloc(7_u64);
            yielder.suspend(());
            *kept
        })
    });
    making.resume(());
    scoped.resume(());
    assert!(matches!(making.resume(()), CoroutineResult::Return(true)));
    let late = arena.alloc([0xff_u8; 1000]);
    assert!(matches!(scoped.resume(()), CoroutineResult::Return(7)));
    arena.alloc([0xee_u8; 1000]);
    assert_eq!(late, &[0xff; 1000]);
}

#[test]
fn formatting_that_fails_panics_or_allocates_leaves_nothing_behind() {
    struct Odd<'a>(&'a Mallocator, u8);
    impl fmt::Display for Odd<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("begun")?;
            match self.1 {
                0 => Err(fmt::Error),
                1 => throw(),
                _ => {
                    let inner = self.0.alloc_fmt(format_args!("<{}>", "inner"));
                    f.write_str(inner)
                }
            }
        }
    }
    let arena = Mallocator::new().unwrap();
    arena.alloc(1_u8);
    assert_eq!(arena.try_alloc_fmt(format_args!("{}", Odd(&arena, 0))), Err(Error::Formatting));
    assert_eq!(arena.used(), 1);
    assert!(thrown(|| _ = arena.try_alloc_fmt(format_args!("{}", Odd(&arena, 1)))));
    assert_eq!(arena.used(), 1);
    assert_eq!(arena.alloc_fmt(format_args!("[{}]", Odd(&arena, 2))), "[begun<inner>]");
    let long = "x".repeat(70_000);
    let used = arena.used();
    assert!(matches!(arena.try_alloc_fmt(format_args!("{long}")), Err(Error::Exhausted { .. })));
    assert_eq!(arena.used(), used);
}

/// It allocates as it is dropped, in the midst of the refusal, and of the panic.
#[test]
fn a_value_for_which_there_is_no_room_is_dropped_once() {
    struct Large<'a> {
        arena: &'a Mallocator,
        dropped: &'a Cell<u32>,
        _bytes: [u8; 70_000],
    }
    impl Drop for Large<'_> {
        fn drop(&mut self) {
            self.dropped.set(self.dropped.get() + 1);
            self.arena.alloc_str("dropped");
        }
    }
    let (arena, dropped) = (Mallocator::new().unwrap(), Cell::new(0));
    let value = || Large { arena: &arena, dropped: &dropped, _bytes: [7; 70_000] };
    assert!(arena.try_alloc(value()).is_err());
    assert!(thrown(|| _ = arena.alloc(value())));
    assert!(arena.batch(4096).try_alloc(value()).is_err());
    assert!(thrown(|| _ = arena.batch(4096).alloc(value())));
    arena.scope(|scratch| assert!(thrown(|| _ = scratch.alloc(value()))));
    assert_eq!((dropped.get(), arena.used()), (5, 5 * "dropped".len()));
}

#[test]
fn zero_sized_elements_are_made_and_dropped_and_take_no_memory() {
    struct Nothing<'a>(std::marker::PhantomData<&'a ()>);
    thread_local!(static DROPPED: Cell<u32> = const { Cell::new(0) });
    impl Drop for Nothing<'_> {
        fn drop(&mut self) {
            DROPPED.set(DROPPED.get() + 1);
        }
    }
    let arena = Mallocator::new().unwrap();
    let count = Cell::new(0);
    let make = |_| {
        count.set(count.get() + 1);
        if count.get() == 50 {
            throw();
        }
        Nothing(std::marker::PhantomData)
    };
    assert!(thrown(|| _ = arena.alloc_slice_fill_with(100, make)));
    assert_eq!((count.get(), DROPPED.get(), arena.used()), (50, 49, 0));
    assert_eq!(arena.alloc_iter(std::iter::repeat_n((), 1_000_000)).len(), 1_000_000);
    assert_eq!(arena.alloc_slice_fill_default::<()>(1_000_000).len(), 1_000_000);
    assert_eq!(arena.used(), 0);
}
