//! A thread's share of an arena that threads share: it is a `Mallocator` like any other.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod common;
#[path = "common/typed.rs"]
mod typed;

use std::alloc::Layout;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as ArenaVec;
use mallocator::{Error, Mallocator, Protection, SyncMallocator};
use typed::{Checks, call_each};

fn shared(size: usize) -> SyncMallocator {
    Mallocator::builder().size(size).build_sync().unwrap()
}

/// Something of somebody else's, after what every share has.
fn foreign(shared: &SyncMallocator) -> &[u8] {
    shared.alloc_slice_fill_copy(64, 0xf0)
}

fn is_foreign(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0xf0)
}

fn call_each_on<'a>(arena: &'a Mallocator, tag: u8, checks: &mut Checks<'a>) -> Result<(), Error> {
    call_each!(arena, tag, checks);
    Ok(())
}

fn call_each_on_shared<'a>(arena: &'a SyncMallocator, tag: u8, checks: &mut Checks<'a>) -> Result<(), Error> {
    call_each!(arena, tag, checks);
    Ok(())
}

#[test]
fn every_typed_method_works_on_a_share_whatever_its_blocks() {
    for block in [0, 1, 300, 4096, 1 << 16] {
        let shared = shared(4 << 20);
        let arena = shared.try_local(block).unwrap();
        let mut checks = Checks::new();
        let mut others = Vec::new();
        for tag in 0..10 {
            call_each_on(arena, tag, &mut checks).unwrap();
            others.push(foreign(&shared));
            arena.scope(|scratch| {
                let mut inner = Checks::new();
                call_each_on(scratch, tag + 100, &mut inner).unwrap();
                others.push(foreign(&shared));
                scratch.scope(|deeper| call_each_on(deeper, tag + 50, &mut Checks::new())).unwrap();
            });
        }
        assert!(checks.iter().all(|check| check()) && others.into_iter().all(is_foreign), "{block}");
    }
}

#[test]
fn every_typed_method_works_on_what_threads_share_at_the_same_time() {
    let mut shared = shared(32 << 20);
    for _ in 0..2 {
        std::thread::scope(|threads| {
            for thread in 0..4_u8 {
                let shared = &shared;
                threads.spawn(move || {
                    let (mut checks, mut of_the_share) = (Checks::new(), Checks::new());
                    let share = shared.local();
                    for round in 0..10 {
                        call_each_on_shared(shared, thread * 50 + round, &mut checks).unwrap();
                        call_each_on(share, thread * 50 + round, &mut of_the_share).unwrap();
                    }
                    assert!(checks.iter().chain(&of_the_share).all(|check| check()));
                });
            }
        });
        shared.reset();
    }
}

/// The names of the functions that a file makes public, also those of a list of rows.
fn public(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let name = |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
    let functions = text.lines().filter_map(|line| Some(name(line.strip_prefix("    pub fn ")?)));
    let rows = text.lines().filter_map(|line| {
        let (first, rest) = line.strip_prefix("    ")?.split_once(" / ")?;
        (name(first) == first && first.starts_with("alloc")).then(|| [first.to_owned(), name(rest)])
    });
    functions.chain(rows.flatten()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_typed_method_of_an_arena_is_one_of_what_threads_share_and_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut of_an_arena = BTreeSet::new();
    for file in fs::read_dir(root.join("src/alloc")).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap() != "shared.rs" {
            of_an_arena.extend(public(&path));
        }
    }
    assert!(of_an_arena.len() > 40 && of_an_arena.contains("try_alloc_iter"), "{of_an_arena:?}");
    let of_shared: BTreeSet<_> = ["src/alloc/shared.rs", "src/arena/shared.rs"]
        .map(|path| public(&root.join(path)))
        .into_iter()
        .flatten()
        .collect();
    let tested = fs::read_to_string(root.join("tests/common/typed.rs")).unwrap();
    for name in of_an_arena {
        assert!(of_shared.contains(&name), "{name} is missing");
        assert!(
            [":", "("].iter().any(|after| tested.contains(&format!("arena.{name}{after}"))),
            "{name} is not tested"
        );
    }
}

#[test]
fn the_bookkeeping_of_a_share_takes_at_most_256_bytes_of_its_first_block() {
    let shared = shared(1 << 20);
    let arena = shared.try_local(4096).unwrap();
    assert_eq!(shared.used(), 4096);
    assert!(arena.used() <= 256, "{}", arena.used());
    assert_eq!(arena.ptr().addr().get() - shared.base().addr().get(), arena.used());
    let other = shared.try_local(1).unwrap();
    assert!(other.used() <= 256 && shared.used() <= 4096 + 256);
}

#[test]
fn a_share_has_what_its_documentation_says() {
    let shared = shared(1 << 20);
    shared.alloc_bytes(&[1; 1000]);
    let arena = shared.try_local(4096).unwrap();
    assert_eq!((arena.base(), arena.size()), (shared.base(), 1 << 20));
    assert_eq!((arena.committed(), arena.protection()), (shared.committed(), Protection::READ_WRITE));
    let bookkeeping = arena.used();
    let value = arena.alloc(7_u64);
    assert_eq!(arena.used(), bookkeeping + 8);
    assert_eq!(arena.available(), 4096 - arena.used() + shared.available());
    assert_eq!(arena.offset_of(value), Some(std::ptr::from_ref(value).addr() - shared.base().addr().get()));
    let elsewhere = shared.alloc(1);
    assert!(arena.contains(elsewhere) && !arena.contains(&1));
    assert_eq!(arena.ptr().addr().get(), std::ptr::from_ref(value).addr() + 8);
    let taken = shared.used();
    arena.alloc_slice_fill_copy(10_000, 1_u8); // another block; what was left of the first counts as used
    assert_eq!(arena.used(), 4096 + 10_000);
    assert!(shared.used() - taken >= 10_000);
    assert_eq!(arena.available(), shared.available());
    arena.scope(|scratch| {
        scratch.alloc([1_u8; 500]);
        assert_eq!(arena.used(), 4096 + 10_000);
        assert!(scratch.used() >= 4096 + 10_500);
    });
    let report = arena.report();
    assert!(!report.is_its_own());
    assert_eq!((report.size(), report.used()), (1 << 20, arena.used()));
    assert!(report.to_string().contains("1048576 bytes"));
    assert!(format!("{arena:?}").contains("Mallocator"));
    // SAFETY: nothing changes.
    let refused = unsafe { arena.protect(0..1, Protection::READ) };
    assert_eq!(refused, Err(Error::NotItsOwn { call: "protect" }));
    assert_eq!(arena.alloc(1), &1);
}

#[test]
fn shares_of_what_cannot_be_written_are_refused() {
    for protection in [Protection::READ, Protection::NO_ACCESS, Protection::READ_EXECUTE] {
        let shared = Mallocator::builder().protection(protection).build_sync().unwrap();
        let refused = Error::NotWritable { protection };
        assert_eq!(shared.try_local(4096).map(drop), Err(refused));
        assert_eq!(shared.batch(4096).try_alloc(1).map(drop), Err(refused));
        assert_eq!(shared.batch(4096).try_alloc_str("").map(drop), Err(refused));
        assert_eq!(shared.try_alloc(1).map(drop), Err(refused));
        assert_eq!(shared.try_alloc(()).map(drop), Err(refused));
        assert_eq!(shared.try_alloc_iter([1]).map(drop), Err(refused));
        assert_eq!(shared.alloc_string_raw("text", 1).map(drop), Err(refused));
        assert_eq!(shared.used(), 0);
        assert_eq!(shared.alloc_raw(100, 1).unwrap().len(), 100, "hands out addresses, and writes nothing");
    }
}

#[test]
fn an_exhausted_share_says_what_is_left_and_nothing_has_moved() {
    let shared = shared(1 << 16);
    let arena = shared.try_local(4096).unwrap();
    let direct = foreign(&shared);
    let state = || (arena.used(), arena.ptr(), shared.used(), arena.available());
    let before = state();
    for (size, align) in [(1 << 16, 1), (isize::MAX as usize, 1), (64, 1 << 40)] {
        let layout = Layout::from_size_align(size, align).unwrap();
        let expected = Error::Exhausted {
            size,
            available: arena.available(),
            align_log2: u8::try_from(align.trailing_zeros()).unwrap(),
        };
        assert_eq!(arena.try_alloc_layout(layout), Err(expected));
        assert_eq!(state(), before);
        arena.scope(|scratch| {
            scratch.alloc([1_u8; 100]);
            assert!(arena.try_alloc_layout(layout).is_err() && scratch.try_alloc_layout(layout).is_err());
        });
        assert_eq!(state(), before);
    }
    // What is taken for something that fails half way stays the share's, and is had by what comes next.
    let left = arena.available();
    assert!(arena.try_alloc_iter(0_u64..).is_err());
    assert!(left - arena.available() < 4096 && shared.available() == 0);
    // What is left is had, to the last byte, also in pieces.
    while arena.try_alloc([1_u8; 100]).is_ok() {}
    while arena.try_alloc(1_u8).is_ok() {}
    assert_eq!((arena.available(), shared.available()), (0, 0));
    let refused = arena.try_alloc(1_u8).unwrap_err();
    assert_eq!(refused, Error::Exhausted { size: 1, available: 0, align_log2: 0 });
    assert!(matches!(shared.try_local(1), Err(Error::Exhausted { .. })));
    assert!(is_foreign(direct));
}

#[test]
fn a_loop_of_scopes_near_the_end_of_a_block_takes_one_block_more_and_no_other() {
    for nested in [false, true] {
        let shared = shared(1 << 20);
        let arena = shared.try_local(4096).unwrap();
        arena.alloc_slice_fill_copy(4096 - arena.used() - 100, 1_u8);
        let others = foreign(&shared);
        let taken = shared.used();
        for _ in 0..1000 {
            arena.scope(|scratch| {
                scratch.alloc([2_u8; 60]);
                if nested {
                    scratch.scope(|deeper| deeper.alloc([3_u8; 200])[0]);
                } else {
                    scratch.alloc([3_u8; 200]);
                }
            });
        }
        assert!(shared.used() - taken <= 4096 + 128, "{} bytes", shared.used() - taken);
        assert!(is_foreign(others));
    }
}

#[test]
fn what_an_outer_arena_takes_in_a_loop_of_scopes_is_all_that_stays_taken() {
    let shared = shared(4 << 20);
    let arena = shared.try_local(4096).unwrap();
    let mut kept = Vec::new();
    for number in 0..1000_usize {
        arena.scope(|scratch| {
            scratch.scope(|deeper| {
                kept.push(arena.alloc([number; 20])); // 160 bytes, before anything of the scopes'
                deeper.alloc([0xff_u8; 300]);
            });
            scratch.alloc([0xff_u8; 300]);
        });
        if number % 10 == 0 {
            foreign(&shared);
        }
    }
    assert!(kept.iter().enumerate().all(|(number, values)| **values == [number; 20]));
    // 160 kB, and of each block no more lost than the scopes needed.
    assert!(shared.used() < 160_000 * 5 / 4, "{}", shared.used());
}

#[test]
fn a_live_scope_keeps_its_bytes_whichever_arena_refills() {
    for refills in 0..3 {
        let shared = shared(1 << 20);
        let arena = shared.try_local(4096).unwrap();
        let others = foreign(&shared);
        let first = arena.alloc([1_u8; 500]);
        arena.scope(|outer| {
            let second = outer.alloc([2_u8; 500]);
            outer.scope(|inner| {
                let third = inner.alloc([3_u8; 500]);
                let fourth = [arena, outer, inner][refills].alloc([4_u8; 4000]); // elsewhere
                let fifth = inner.alloc([5_u8; 500]);
                let sixth = outer.alloc([6_u8; 500]);
                let seventh = arena.alloc([7_u8; 500]);
                arena.scope(|again| _ = again.alloc([0xff_u8; 3000]));
                outer.scope(|again| _ = again.alloc([0xff_u8; 3000]));
                inner.alloc([0xff_u8; 3000]);
                let all = [&third[..], &fourth[..], &fifth[..], &sixth[..], &seventh[..]];
                assert!(all.iter().zip(3..).all(|(bytes, value)| bytes.iter().all(|byte| *byte == value)));
            });
            outer.alloc([0xff_u8; 3000]);
            assert_eq!((*first, *second), ([1; 500], [2; 500]));
        });
        arena.alloc([0xff_u8; 3000]);
        assert!(*first == [1; 500] && is_foreign(others));
    }
}

#[test]
fn what_was_pinned_by_an_outer_arena_in_another_block_outlives_the_scope() {
    let shared = shared(1 << 20);
    let arena = shared.try_local(4096).unwrap();
    let others = foreign(&shared);
    let kept = arena.scope(|outer| {
        outer.scope(|inner| {
            inner.alloc([1_u8; 3000]);
            let kept = arena.alloc([7_u8; 2000]);
            inner.alloc([1_u8; 3000]);
            let more = arena.alloc([8_u8; 3000]); // in a third block
            (kept, more)
        })
    });
    for _ in 0..20 {
        arena.alloc([0xff_u8; 1000]);
    }
    assert_eq!((*kept.0, *kept.1), ([7; 2000], [8; 3000]));
    assert!(is_foreign(others));
}

#[test]
fn a_vector_of_a_share_grows_in_place_across_its_blocks_while_nobody_took_anything() {
    let shared = shared(1 << 20);
    let arena = shared.try_local(4096).unwrap();
    let mut numbers = ArenaVec::new_in(arena);
    numbers.push(0_u64);
    let start = numbers.as_ptr();
    numbers.extend(1..50_000);
    assert_eq!(numbers.as_ptr(), start);
    assert!(numbers.iter().copied().eq(0..50_000));
    let used = arena.used();
    assert!(
        used <= 256 + (8 << 16) && shared.used() - used <= 4096,
        "blocks that follow one another are one"
    );
    // From here on it moves.
    let others = foreign(&shared);
    numbers.reserve_exact(10_000);
    assert_ne!(numbers.as_ptr(), start);
    numbers.extend(50_000..60_000);
    assert!(numbers.iter().copied().eq(0..60_000) && is_foreign(others));
    drop(numbers);
    assert!(arena.alloc([0xff_u8; 4000]).len() == 4000 && is_foreign(others));
}

#[test]
fn a_slice_from_an_iterator_grows_across_blocks_with_and_without_neighbours() {
    for neighbours in [false, true] {
        let shared = shared(4 << 20);
        let arena = shared.try_local(1000).unwrap();
        let mut others = Vec::new();
        let slice = arena.alloc_iter((0..100_000_u32).filter(|number| {
            if neighbours && number % 5000 == 0 {
                others.push(foreign(&shared));
            }
            number % 2 == 0
        }));
        assert!(slice.iter().copied().eq((0..100_000).step_by(2)));
        assert!(others.into_iter().all(is_foreign));
        if !neighbours {
            assert!(arena.used() <= 256 + 4 * 50_000, "what was too much is given back");
        }
    }
}

#[test]
fn batches_of_a_share_take_its_blocks_and_give_back_what_is_left() {
    let shared = shared(1 << 20);
    let arena = shared.try_local(4096).unwrap();
    let used = arena.used();
    let mut batch = arena.batch(512);
    let values: Vec<&mut u64> = (0..3000)
        .map(|number| {
            if number % 100 == 0 {
                foreign(&shared);
            }
            batch.alloc(number)
        })
        .collect();
    drop(batch);
    assert!(values.iter().zip(0..).all(|(value, number)| **value == number));
    assert!(arena.used() - used <= 24_000 + 7 * 4096, "{}", arena.used() - used);
    let used = arena.used();
    drop(arena.batch(512));
    let mut batch = arena.batch(512);
    batch.alloc(1_u8);
    drop(batch);
    assert_eq!(arena.used(), used + 1);
    // Also one that lives longer than the scope in which it took a block.
    let mut batch = arena.batch(3000);
    let inside = arena.scope(|scratch| {
        scratch.alloc([1_u8; 3000]);
        batch.alloc([7_u8; 100])
    });
    arena.alloc([0xff_u8; 3000]);
    let after = batch.alloc([8_u8; 100]);
    drop(batch);
    arena.alloc([0xff_u8; 3000]);
    assert_eq!((*inside, *after), ([7; 100], [8; 100]));
}

#[test]
fn a_rewind_across_blocks_goes_back_to_the_start_of_the_last_and_no_further() {
    let shared = shared(4 << 20);
    let arena = shared.try_local(4096).unwrap();
    let kept = arena.alloc([1_u8; 3000]);
    let mark = arena.mark();
    let others = foreign(&shared);
    let mut taken = None;
    for _ in 0..100 {
        let temporary = arena.alloc([2_u8; 3000]);
        let place = std::ptr::from_ref(temporary).addr();
        assert!(!others.as_ptr_range().contains(&std::ptr::from_ref(temporary).cast()));
        assert!(taken.is_none_or(|(before, used)| (before, used) == (place, shared.used())), "none leaks");
        taken = Some((place, shared.used()));
        // SAFETY: what was allocated since is not used again.
        unsafe { arena.rewind(mark) };
        assert!(arena.mark() > mark);
    }
    assert!(*kept == [1; 3000] && is_foreign(others));
}

#[test]
fn secrets_of_a_share_are_zeroed_at_once_in_its_block_and_elsewhere_at_the_reset() {
    let mut shared = Mallocator::builder().size(1 << 20).zero_on_release(true).build_sync().unwrap();
    let is_zero = |place: NonNull<u8>, len| {
        // SAFETY: the memory is committed, and nobody uses it.
        (0..len).all(|at| unsafe { place.add(at).read() } == 0)
    };
    let (left, elsewhere) = {
        let arena = shared.try_local(4096).unwrap();
        let place = arena.scope(|scratch| NonNull::from(scratch.alloc([0x5a_u8; 1000])).cast::<u8>());
        assert!(is_zero(place, 1000), "at once");
        foreign(&shared);
        let (left, elsewhere) = arena.scope(|scratch| {
            let left = NonNull::from(scratch.alloc([0x5a_u8; 3000])).cast::<u8>();
            (left, NonNull::from(scratch.alloc([0x5a_u8; 3000])).cast::<u8>())
        });
        assert!(is_zero(elsewhere, 3000), "in its present block, at once");
        (left, elsewhere)
    };
    shared.reset();
    assert!(is_zero(left, 3000) && is_zero(elsewhere, 3000), "what was left in another block, now");
}

#[test]
fn memory_of_a_share_that_was_taken_back_is_filled_as_in_other_arenas() {
    let shared = Mallocator::builder().size(1 << 20).debug_fill(true).build_sync().unwrap();
    let arena = shared.try_local(4096).unwrap();
    let stale = arena.scope(|scratch| NonNull::from(scratch.alloc([1_u8; 100])).cast::<u8>());
    // SAFETY: the memory is committed, and nobody uses it.
    assert!((0..100).all(|at| unsafe { stale.add(at).read() } == 0xdd));
}

#[test]
fn zeroes_of_shares_are_zero_after_resets_and_trims() {
    for debug_fill in [false, true] {
        let mut shared = Mallocator::builder().size(4 << 20).debug_fill(debug_fill).build_sync().unwrap();
        for round in 0..6 {
            let arena = shared.try_local(10_000).unwrap();
            for size in [1, 100, 3000, 20_000] {
                arena.scope(|scratch| scratch.alloc_slice_fill_copy(5000, 0xff_u8).len());
                let zeroes = arena.alloc_zeroed_bytes(size, 8);
                assert!(zeroes.iter().all(|&byte| byte == 0), "{size} bytes in round {round}");
                zeroes.fill(0xff);
                let (small, large) = (Layout::new::<[u8; 100]>(), Layout::new::<[u8; 7000]>());
                let block = arena.allocate_zeroed(small).unwrap();
                // SAFETY: the block is this test's, and used by its new name once it has grown.
                let grown = unsafe {
                    block.cast::<u8>().write_bytes(0xff, 100);
                    foreign(&shared);
                    &mut *arena.grow_zeroed(block.cast(), small, large).unwrap().as_ptr()
                };
                assert!(grown[..100].iter().all(|&byte| byte == 0xff));
                assert!(grown[100..].iter().all(|&byte| byte == 0), "grown in round {round}");
                grown.fill(0xff);
                assert!(shared.alloc_zeroed_bytes(500, 1).iter().all(|&byte| byte == 0));
            }
            shared.alloc_slice_fill_copy(100_000, 0xff_u8);
            shared.reset();
            if round % 2 == 1 {
                shared.trim();
            }
        }
    }
}

#[test]
fn many_shares_of_one_thread_are_apart() {
    let shared = shared(8 << 20);
    let mut checks = Checks::new();
    let arenas: Vec<&Mallocator> =
        (0..50).map(|number| shared.try_local(1 << (number % 14)).unwrap()).collect();
    for tag in 0..4 {
        for arena in &arenas {
            call_each_on(arena, tag, &mut checks).unwrap();
        }
    }
    assert!(checks.iter().all(|check| check()));
}
