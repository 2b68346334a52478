//! Memory that others should not see: locked, left out of dumps and forks, zero once it is taken back.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod common;

use std::ptr::NonNull;

use common::{Page, alone, page_at};
use mallocator::{Box as ArenaBox, Builder, Error, Mallocator, OnFork, Protection, Vec as ArenaVec};

const SECRET: [u8; 32] = *b"a key that must not be found ...";

/// What was granted, unless this system has no such thing.
fn where_it_exists(builder: &Builder) -> Option<Mallocator> {
    let outcome = builder.build();
    let exists = !matches!(outcome, Err(Error::Unsupported { .. }));
    assert_eq!(exists, cfg!(target_os = "linux"));
    exists.then(|| outcome.unwrap())
}

/// The flag of the mapping at `address` that Linux has for an advice.
fn has_flag(address: usize, flag: &str) -> bool {
    common::mapping_flags(address).is_none_or(|flags| flags.split_whitespace().any(|word| word == flag))
}

#[test]
fn locked_memory_is_locked_as_it_is_committed() {
    let arena = Mallocator::builder().size(1 << 20).lock(true).build().unwrap();
    let (base, page) = (arena.base().addr().get(), mallocator::page_size());
    assert!(arena.report().locked() && arena.report().to_string().contains("locked in memory"));
    assert_eq!(arena.committed(), 64 * 1024);
    assert!(has_flag(base, "lo"));
    arena.alloc_bytes(&[1; 100_000]);
    assert!(has_flag(base + arena.committed() - page, "lo"));
    common::check_pages(&arena);
    let mut arena = arena.seal(Protection::READ).unwrap().unseal().unwrap();
    arena.reset();
    arena.try_trim().unwrap(); // given back, though it was locked
    assert_eq!((arena.committed(), page_at(base)), (0, Page::Inaccessible));
    arena.alloc_bytes(&[1; 100]);
    assert!(has_flag(base, "lo"));
    assert_eq!(arena.report().refused(), None);
}

#[test]
fn memory_that_may_not_be_locked_is_not_committed() {
    alone("memory_that_may_not_be_locked_is_not_committed", || {
        if !common::limit_locked_memory(128 * 1024) {
            return println!("no such limit here");
        }
        let arena = Mallocator::builder().size(1 << 20).lock(true).build().unwrap();
        let kept = arena.alloc_bytes(&[7; 60_000]);
        let used = arena.used();
        let Err(Error::Os(refusal)) = arena.try_alloc_bytes(&[1; 200_000]) else { panic!("granted") };
        assert_eq!(refusal.call(), "mlock");
        assert!(refusal.to_string().contains("RLIMIT_MEMLOCK"), "{refusal}");
        assert_eq!((arena.used(), arena.committed()), (used, 64 * 1024));
        common::check_pages(&arena);
        assert!(arena.try_alloc_bytes(&[1; 60_000]).is_ok(), "what fits is granted");
        assert!(kept.iter().all(|&byte| byte == 7));
        let other = Mallocator::builder().size(1 << 20).lock(true).build();
        assert!(matches!(other, Err(Error::Os(refusal)) if refusal.call() == "mlock"), "{other:?}");
        drop(arena);
        assert!(Mallocator::builder().size(1 << 20).lock(true).build().is_ok(), "and given back");
    });
}

#[test]
fn what_allows_no_access_is_not_locked() {
    let outcome = Mallocator::builder().protection(Protection::NO_ACCESS).lock(true).build();
    assert!(matches!(outcome, Err(Error::Os(_))), "{outcome:?}");
}

#[test]
fn memory_is_left_out_of_dumps_from_end_to_end() {
    let builder = Mallocator::builder().size(1 << 24).exclude_from_dumps(true);
    let Some(arena) = where_it_exists(&builder) else { return };
    arena.alloc_bytes(&[1; 1_000_000]);
    for offset in [0, arena.committed() - 1, arena.size() - 1] {
        assert!(has_flag(arena.base().addr().get() + offset, "dd"), "{offset}");
    }
    assert!(arena.report().to_string().contains("not in core dumps"));
    let plain = Mallocator::with_size(1 << 24).unwrap();
    assert!(common::mapping_flags(plain.base().addr().get()).is_none_or(|flags| !flags.contains(" dd")));
}

#[test]
fn a_forked_process_finds_what_the_option_says() {
    alone("a_forked_process_finds_what_the_option_says", || {
        for on_fork in [OnFork::Copy, OnFork::Wipe, OnFork::Omit] {
            let builder = Mallocator::builder().size(1 << 24).on_fork(on_fork);
            let granted =
                if on_fork == OnFork::Copy { builder.build().ok() } else { where_it_exists(&builder) };
            let Some(arena) = granted else { continue };
            let key = arena.alloc(SECRET).as_ptr();
            arena.alloc_bytes(&[1; 1 << 21]);
            assert_eq!(arena.report().on_fork(), on_fork);
            let place = key.addr();
            // SAFETY: where the memory is there, it can be read.
            let bytes = || unsafe { std::slice::from_raw_parts(key, 32) };
            let found = common::in_a_fork(|| match on_fork {
                OnFork::Copy => bytes() == SECRET,
                OnFork::Wipe => bytes() == [0; 32],
                _ => page_at(place) == Page::Free,
            });
            assert!(found.unwrap_or(true), "{on_fork:?}");
            assert_eq!(bytes(), SECRET, "this process keeps it");
        }
    });
}

#[test]
fn an_arena_that_a_fork_does_not_have_leaves_alone_what_lives_there() {
    alone("an_arena_that_a_fork_does_not_have_leaves_alone_what_lives_there", || {
        let builder = Mallocator::builder().size(1 << 22).on_fork(OnFork::Omit).zero_on_release(true);
        let Some(mut arena) = where_it_exists(&builder) else { return };
        arena.alloc(SECRET);
        let base = arena.base().addr().get();
        let intact = common::in_a_fork(move || {
            // Something else of the new process, at the same address.
            let other = Mallocator::builder().size(1 << 22).at(base).build().unwrap();
            let text = other.alloc_str("something else");
            let refused = arena.try_alloc_uninit_slice::<u8>(3 << 20);
            let refused = matches!(refused, Err(Error::Os(_)));
            arena.reset();
            let trimmed = arena.try_trim().is_err();
            drop(arena);
            refused
                && trimmed
                && text == "something else"
                && page_at(base) == Page::Accessible(Protection::READ_WRITE)
        });
        assert!(intact.unwrap_or(true));
    });
}

/// The numbers of processes come again; which of them has an arena is told otherwise.
#[test]
fn a_descendant_that_is_given_the_number_of_the_owner_is_not_taken_for_it() {
    alone("a_descendant_that_is_given_the_number_of_the_owner_is_not_taken_for_it", || {
        let builder = Mallocator::builder().size(1 << 20).on_fork(OnFork::Omit);
        if where_it_exists(&builder).is_none() {
            return;
        }
        let make = || {
            let arena = builder.build().unwrap();
            arena.alloc(SECRET);
            arena
        };
        let intact = common::in_a_descendant_of_the_same_number(make, |mut arena| {
            let base = arena.base().addr().get();
            // Something else of the new process, at the same address.
            let other = Mallocator::builder().size(1 << 20).at(base).build().unwrap();
            let text = other.alloc_str("something else");
            arena.reset();
            let trimmed = arena.try_trim().is_err();
            drop(arena);
            trimmed && page_at(base) == Page::Accessible(Protection::READ_WRITE) && text == "something else"
        });
        if intact.is_none() {
            println!("this process may not choose the number of another");
        }
        assert!(intact.unwrap_or(true));
    });
}

fn zeroing() -> Mallocator {
    Mallocator::builder().size(1 << 20).zero_on_release(true).build().unwrap()
}

/// Whether the secret is anywhere in what the arena has committed.
fn holds_a_secret(arena: &Mallocator) -> bool {
    // SAFETY: the memory is committed and can be read; nobody writes to it meanwhile.
    let bytes = unsafe { std::slice::from_raw_parts(arena.base().as_ptr(), arena.committed()) };
    bytes.windows(8).any(|window| SECRET.chunks(8).any(|part| part == window))
}

#[test]
fn what_is_taken_back_is_zero() {
    let mut arena = zeroing();
    arena.alloc(SECRET);
    assert!(holds_a_secret(&arena));
    arena.reset();
    assert!(!holds_a_secret(&arena), "reset");

    let mark = arena.mark();
    arena.alloc_slice_copy(&[SECRET; 300]);
    // SAFETY: the slice is not used again.
    unsafe { arena.rewind(mark) };
    assert!(!holds_a_secret(&arena), "rewind");

    let kept = arena.alloc([1_u8; 32]);
    arena.scope(|scratch| {
        scratch.alloc(SECRET);
        scratch.scope(|scratch| {
            scratch.alloc(SECRET);
        });
    });
    assert!(!holds_a_secret(&arena), "the end of a scope");
    assert_eq!(kept, &[1; 32]);

    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        arena.scope(|scratch| {
            scratch.alloc(SECRET);
            panic!("out of the scope");
        })
    }));
    assert!(caught.is_err() && !holds_a_secret(&arena), "a panic out of a scope");

    drop(ArenaBox::new_in(SECRET, &arena));
    assert!(!holds_a_secret(&arena), "a box");
    let mut vec = ArenaVec::with_capacity_in(64, &arena);
    vec.extend([SECRET; 64]);
    vec.truncate(0);
    vec.shrink_to_fit();
    assert!(!holds_a_secret(&arena), "a vector that shrinks");
    drop(vec);
    let refused =
        arena.alloc_try_with(|| if arena.used() > 0 { Err::<[u8; 32], _>(SECRET) } else { Ok(SECRET) });
    assert!(refused.is_err() && !holds_a_secret(&arena), "a value that was not to be");
    let mut batch = arena.batch(4096);
    batch.alloc(7_u8);
    drop(batch);
    arena.reset();
    assert!(!holds_a_secret(&arena));
}

#[test]
fn what_lies_in_pages_that_cannot_be_written_is_zero_too() {
    let page = mallocator::page_size();
    for protection in [Protection::READ, Protection::READ_EXECUTE, Protection::NO_ACCESS] {
        let mut arena = zeroing();
        let place = arena.alloc_slice_copy(&[SECRET; 1000]).as_ptr().addr() - arena.base().addr().get();
        // SAFETY: the slice is not used again, and nothing is allocated before the pages can be written.
        unsafe { arena.protect(page..3 * page, protection).unwrap() };
        arena.reset();
        let state = if protection == Protection::NO_ACCESS {
            Page::Inaccessible
        } else {
            Page::Accessible(protection)
        };
        assert_eq!(page_at(arena.base().addr().get() + page), state, "as it was");
        // SAFETY: nothing is in the arena.
        unsafe { arena.protect(0..arena.size(), Protection::READ_WRITE).unwrap() };
        assert!(!holds_a_secret(&arena), "{protection} {place}");
        assert_eq!(arena.report().refused(), None);
    }
    // What was sealed is taken back when it is an arena again.
    let arena = zeroing();
    arena.alloc_slice_copy(&[SECRET; 1000]);
    let mut arena = arena.seal(Protection::READ).unwrap().unseal().unwrap();
    assert!(holds_a_secret(&arena));
    arena.reset();
    assert!(!holds_a_secret(&arena));
}

/// A scope that was forgotten may have used anything behind.
#[test]
fn what_a_forgotten_scope_has_used_is_zero_after_a_reset() {
    use corosensei::{Coroutine, CoroutineResult};
    let arena = Box::new(zeroing());
    let place: *const Mallocator = &raw const *arena;
    let mut suspended = Coroutine::new(move |yielder, ()| {
        // SAFETY: the arena is there while the coroutine runs.
        unsafe { &*place }.scope(|scratch| {
            scratch.alloc(SECRET);
            yielder.suspend(());
        });
    });
    assert!(matches!(suspended.resume(()), CoroutineResult::Yield(())));
    assert!(holds_a_secret(&arena));
    std::mem::forget(suspended);
    let mut arena = *arena;
    arena.reset();
    assert!(!holds_a_secret(&arena));
}

#[test]
fn memory_that_was_never_used_is_not_used_for_zeroes_or_patterns() {
    alone("memory_that_was_never_used_is_not_used_for_zeroes_or_patterns", || {
        for builder in [
            Mallocator::builder().zero_on_release(true),
            Mallocator::builder().zero_on_release(false).debug_fill(true),
        ] {
            let mut arena = builder.size(1 << 30).build().unwrap();
            arena.alloc_uninit_slice::<u8>(1 << 25);
            let before = common::resident();
            arena.reset();
            // Windows gives memory also where it is only read, and charged it before.
            assert!(cfg!(windows) || common::resident() < before + (1 << 22));
        }
    });
}

#[test]
fn threads_leave_nothing_behind() {
    let mut shared = Mallocator::builder().size(1 << 20).zero_on_release(true).build_sync().unwrap();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let mut batch = shared.batch(1000);
                for _ in 0..100 {
                    batch.alloc(SECRET);
                }
            });
        }
    });
    let used = shared.used();
    shared.reset();
    // SAFETY: the memory is committed, and nobody writes to it.
    let bytes = unsafe { std::slice::from_raw_parts(shared.base().as_ptr(), used) };
    assert!(used > 12_800 && bytes.iter().all(|&byte| byte == 0));
}

#[test]
fn a_use_after_a_scope_reads_a_pattern_where_that_is_wanted() {
    alone("a_use_after_a_scope_reads_a_pattern_where_that_is_wanted", || {
        let stale = |arena: &Mallocator| {
            let text: NonNull<[u8]> = arena.scope(|scratch| NonNull::from(&*scratch.alloc([b'x'; 100])));
            // SAFETY: the memory is committed, and nobody writes to it.
            unsafe { text.as_ref() }.to_vec()
        };
        let filling = Mallocator::builder().debug_fill(true).build().unwrap();
        assert_eq!(stale(&filling), [0xdd; 100]);
        assert!(filling.alloc_zeroed_bytes(200, 1).iter().all(|&byte| byte == 0));
        let leaving = Mallocator::builder().debug_fill(false).build().unwrap();
        assert_eq!(stale(&leaving), [b'x'; 100]);
        let default = Mallocator::new().unwrap();
        assert_eq!(stale(&default), if cfg!(debug_assertions) { [0xdd; 100] } else { [b'x'; 100] });
    });
}

#[test]
fn guard_pages_lie_on_both_sides() {
    let page = mallocator::page_size();
    let around = |arena: &Mallocator| {
        let base = arena.base().addr().get();
        assert!(arena.report().to_string().contains("before and behind"));
        assert_eq!(page_at(base - 1), Page::Inaccessible);
        assert_eq!(page_at(base + arena.size()), Page::Inaccessible);
        assert_eq!(base % mallocator::allocation_granularity(), 0);
        arena.alloc_raw(arena.size(), 1).unwrap();
        common::check_pages(arena);
    };
    for size in [1, page, 1 << 20, 1 << 24] {
        let builder = Mallocator::builder().size(size).guard_pages(true);
        let arena = builder.build().unwrap();
        let base = arena.base().addr().get();
        around(&arena);
        let taken = builder.clone().at(base).build();
        assert!(matches!(taken, Err(Error::AddressInUse { .. })), "{taken:?}");
        let near = builder.near(arena.base().as_ptr(), 1 << 40).build().unwrap();
        around(&near);
    }
    let lowest = mallocator::allocation_granularity();
    let refused = Mallocator::builder().guard_pages(true).at(lowest).build();
    assert!(matches!(refused, Err(Error::InvalidAddress { .. })), "no room for the guard: {refused:?}");
}

#[test]
fn a_place_with_guards_is_free_as_a_whole_afterwards() {
    alone("a_place_with_guards_is_free_as_a_whole_afterwards", || {
        let builder = Mallocator::builder().size(1 << 20).guard_pages(true).reuse(false);
        let arena = builder.build().unwrap();
        let base = arena.base().addr().get();
        arena.free().unwrap();
        assert_eq!(
            (page_at(base - 1), page_at(base), page_at(base + (1 << 20))),
            (Page::Free, Page::Free, Page::Free)
        );
        let again = builder.at(base).build().unwrap();
        assert_eq!(again.base().addr().get(), base);
        drop(again);
        assert_eq!(page_at(base - 1), Page::Free);
    });
}
