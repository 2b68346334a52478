//! Refusals one by one: what the error says, what was done instead, and that nothing is lost.

use super::{Call, OUT_OF_MEMORY, Refuse, name_of, refused_so_far, with_faults};
use crate::os::{self, faulty};
use crate::vm::{Options, Reservation};
use crate::{Error, HugePages, Mallocator, Protection};

/// What is committed first, in bytes, of a range that is too small for huge pages.
const FIRST_STEP: usize = if os::COMMIT_IS_CHARGED { 1 << 16 } else { 1 << 20 };

fn readable(arena: &Mallocator) -> bool {
    arena.protection().is_readable()
}

/// Runs one step and, when it is refused, checks that the arena is as it was.
fn step(
    arena: &mut Mallocator,
    errors: &mut Vec<Error>,
    act: impl FnOnce(&mut Mallocator) -> Result<(), Error>,
) {
    let state = |arena: &Mallocator| {
        // SAFETY: all that is handed out was written, in one piece, and no reference is kept.
        let image = readable(arena).then(|| unsafe { arena.used_bytes() }.to_vec());
        (arena.ptr(), arena.protection(), image)
    };
    let (before, refused) = (state(arena), refused_so_far());
    if let Err(error) = act(arena) {
        assert!(arena.committed() <= arena.size() && arena.used() <= arena.committed());
        match error {
            // A protection that was to be changed was not, or could not be restored.
            Error::NotWritable { protection } => assert!(!protection.is_writable() && !errors.is_empty()),
            Error::Os(_) => assert!(refused_so_far() > refused, "{error}"),
            _ => panic!("{error}"),
        }
        if arena.protection() != Protection::NO_ACCESS {
            assert_eq!(state(arena), before, "after {error}");
        }
        errors.push(error);
    }
}

/// A little of everything that asks the system for something.
fn main_job() -> Vec<Error> {
    let mut errors = Vec::new();
    let code = main_job as fn() -> Vec<Error> as *const ();
    let built = [
        Mallocator::builder().size(1 << 24).name("main job").build(),
        Mallocator::builder().near(code, 1 << 40).build(),
        Mallocator::builder().protection(Protection::READ_EXECUTE).build(),
    ];
    for arena in built {
        let mut arena = match arena {
            Ok(arena) => arena,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        let size = arena.size();
        if arena.protection().is_writable() {
            for block in 0..6_u8 {
                step(&mut arena, &mut errors, |arena| {
                    arena.try_alloc_bytes(&vec![block; size / 10]).map(drop)
                });
            }
            step(&mut arena, &mut errors, |arena| arena.alloc_string::<u8>("text").map(drop));
            step(&mut arena, &mut errors, |arena| arena.alloc_byte_string("00 11 22").map(drop));
        } else {
            step(&mut arena, &mut errors, |arena| arena.alloc_raw(size, 1).map(drop));
        }
        let page = crate::page_size();
        for (range, protection) in [
            (0..page, Protection::READ),
            (page..3 * page, Protection::READ_EXECUTE),
            (2 * page..3 * page, Protection::READ),
            (2 * page..3 * page, Protection::READ_WRITE),
            (0..size, Protection::READ_EXECUTE),
            (0..size, Protection::READ_WRITE),
        ] {
            // SAFETY: no reference into the arena is alive.
            step(&mut arena, &mut errors, |arena| unsafe { arena.protect(range, protection) }.map(drop));
        }
        arena.reset();
        for protection in [Protection::EXECUTE, Protection::READ_WRITE] {
            step(&mut arena, &mut errors, |arena| {
                // SAFETY: as above.
                unsafe { arena.protect(1..page, protection) }.map(drop)
            });
        }
        // Nothing may be kept here: trimming may give the memory back before it is refused.
        step(&mut arena, &mut errors, Mallocator::try_trim);
        step(&mut arena, &mut errors, |arena| arena.try_alloc_bytes(&vec![9; size / 2]).map(drop));
        if let Err(error) = arena.free() {
            errors.push(error);
        }
    }
    errors
}

#[test]
fn whichever_request_is_refused_once_an_error_names_it_and_nothing_is_lost() {
    let mut named = std::collections::HashSet::new();
    for k in 0.. {
        let mut errors = Vec::new();
        let record = with_faults(Refuse::Only(k), OUT_OF_MEMORY, || errors = main_job());
        assert_eq!(record.leaked, 0, "request {k}");
        let Some(&call) = record.refused.first() else {
            // How many places are tried nearby depends on what else is there.
            assert!(k > 50 && k >= record.asked.len(), "{k} requests");
            assert_eq!(errors, []);
            break;
        };
        match (&*errors, call) {
            ([Error::Os(error), not_writable @ ..], call) => {
                assert!(not_writable.iter().all(|error| matches!(error, Error::NotWritable { .. })));
                assert_eq!(error.call(), name_of(call));
                assert_eq!(error.code(), OUT_OF_MEMORY);
                assert!(Error::Os(*error).to_string().contains(error.call()), "{error}");
                named.insert(error.call());
            }
            // Less memory was granted than would have been convenient; another place was found.
            // Small pages do as well.
            ([], Call::Commit | Call::Reserve | Call::AdviseHuge) => {}
            _ => panic!("request {k}, {call:?}: {errors:?}"),
        }
    }
    let asked = [Call::Reserve, Call::Commit, Call::Decommit, Call::Protect, Call::Release];
    for call in asked.into_iter().chain([Call::FlushInstructionCache]) {
        assert!(named.contains(name_of(call)), "{call:?} of {named:?}");
    }
}

#[test]
fn when_everything_is_refused_from_some_request_on_nothing_is_lost() {
    for k in 0.. {
        let mut errors = Vec::new();
        let record = with_faults(Refuse::From(k), OUT_OF_MEMORY, || errors = main_job());
        assert_eq!(record.leaked, 0, "from request {k}");
        assert_eq!(errors.is_empty(), record.refused.is_empty(), "from request {k}: {errors:?}");
        if record.refused.is_empty() {
            assert!(k > 50, "{k} requests");
            break;
        }
    }
}

#[test]
fn a_drop_that_is_refused_gives_the_memory_back_and_tries_again() {
    let record = with_faults(Refuse::Only(2), OUT_OF_MEMORY, || {
        drop(Mallocator::builder().reuse(false).build());
    });
    assert_eq!(record.asked, [Call::Reserve, Call::Commit, Call::Release, Call::Decommit, Call::Release]);
    assert_eq!(record.leaked, 0);
}

#[test]
fn a_free_that_is_refused_says_so_and_tries_again() {
    let record = with_faults(Refuse::Only(2), OUT_OF_MEMORY, || {
        let refused = Mallocator::new().unwrap().free();
        assert!(matches!(refused, Err(Error::Os(error)) if error.call() == name_of(Call::Release)));
    });
    assert_eq!(record.asked, [Call::Reserve, Call::Commit, Call::Release, Call::Release]);
    assert_eq!(record.leaked, 0);
}

#[test]
fn a_step_too_large_is_followed_by_one_just_large_enough() {
    let record = with_faults(Refuse::Only(2), OUT_OF_MEMORY, || {
        let mut region = Reservation::reserve(Options::new(1 << 21)).unwrap();
        region.commit(region.committed() + 1).unwrap();
        assert_eq!(region.committed(), FIRST_STEP + crate::page_size());
        region.release().unwrap();
    });
    let commit = Call::Commit;
    assert_eq!(record.asked, [Call::Reserve, commit, commit, commit, Call::Release]);
}

#[test]
fn a_step_just_large_enough_is_asked_for_once() {
    let record = with_faults(Refuse::Only(2), OUT_OF_MEMORY, || {
        let region = Reservation::reserve(Options::new(1 << 21)).unwrap();
        let refused = region.commit(region.size());
        assert!(refused.is_err());
        assert_eq!(region.committed(), FIRST_STEP);
    });
    assert_eq!(record.asked, [Call::Reserve, Call::Commit, Call::Commit, Call::Release]);
}

/// `ERROR_COMMITMENT_LIMIT`: the page file may be growing. The number means nothing of the kind on Unix.
#[test]
fn a_commit_that_may_yet_be_granted_is_tried_again() {
    const COMMITMENT_LIMIT: i32 = 1455;
    for (refuse, tries) in [(Refuse::Only(2), 2), (Refuse::From(2), 7)] {
        let record = with_faults(refuse, COMMITMENT_LIMIT, || {
            let region = Reservation::reserve(Options::new(1 << 21)).unwrap();
            let outcome = region.commit(region.size());
            let passed = faulty::may_pass(COMMITMENT_LIMIT) && matches!(refuse, Refuse::Only(_));
            assert_eq!(outcome.is_ok(), passed);
            assert_eq!(region.committed(), if passed { 1 << 21 } else { FIRST_STEP });
        });
        let commits = record.asked.iter().filter(|&&call| call == Call::Commit).count();
        assert_eq!(commits, 1 + if faulty::may_pass(COMMITMENT_LIMIT) { tries } else { 1 });
    }
}

/// The requests after the refused one say what is restored: each run to what it had.
#[test]
fn a_change_refused_half_way_is_taken_back_run_by_run() {
    let page = crate::page_size();
    let record = with_faults(Refuse::Only(4), OUT_OF_MEMORY, || {
        let region = Reservation::reserve(Options::new(1 << 16)).unwrap();
        let protect = |range, protection| {
            // SAFETY: nothing is in the region.
            unsafe { region.protect(range, protection) }
        };
        protect(page..2 * page, Protection::READ).unwrap();
        protect(2 * page..3 * page, Protection::NO_ACCESS).unwrap();
        assert!(protect(0..4 * page, Protection::READ).is_err());
        // SAFETY: the first and last pages can be written again.
        unsafe {
            region.base().write(1);
            region.base().add(3 * page).write(1);
        }
        let now = |index: usize| protect(index * page..index * page, Protection::READ).unwrap();
        let before =
            [Protection::READ_WRITE, Protection::READ, Protection::NO_ACCESS, Protection::READ_WRITE];
        assert_eq!([0, 1, 2, 3].map(now), before);
    });
    assert_eq!(record.asked[4..], [[Call::Protect; 5].as_slice(), &[Call::Release]].concat());
}

#[test]
fn an_arena_whose_protection_cannot_be_restored_refuses_to_be_written() {
    with_faults(Refuse::From(2), OUT_OF_MEMORY, || {
        let arena = Mallocator::new().unwrap();
        let page = crate::page_size();
        // SAFETY: no reference into the arena is alive.
        let refused = unsafe { arena.protect(0..page, Protection::READ) };
        assert!(matches!(refused, Err(Error::Os(_))));
        assert_eq!(arena.protection(), Protection::NO_ACCESS);
        assert!(matches!(arena.try_alloc(1), Err(Error::NotWritable { .. })));
    });
}

#[test]
fn growing_halves_until_the_system_grants() {
    let record = with_faults(Refuse::Only(0), OUT_OF_MEMORY, || {
        assert_eq!(Mallocator::growing().size(), 32 << 30);
    });
    assert_eq!(record.leaked, 0);
    let record = with_faults(Refuse::From(0), OUT_OF_MEMORY, || {
        assert!(matches!(Mallocator::try_growing(), Err(Error::Os(error)) if error.size() < 0x3_0000));
    });
    assert_eq!(record.asked, [Call::Reserve; 21], "64 GiB down to 64 KiB");
}

/// How often the system is asked on the way to 64 GiB, and to 1 MiB.
#[test]
fn filling_an_arena_asks_the_system_rarely() {
    for (size, most) in [(64_usize << 30, 130), (1 << 20, 16), (1 << 16, 1)] {
        let record = with_faults(Refuse::Nothing, OUT_OF_MEMORY, || {
            let region = Reservation::reserve(Options::new(size)).unwrap();
            // Windows charges what is committed, and a machine need not have so much.
            let end = if os::COMMIT_IS_CHARGED { size.min(1 << 30) } else { size };
            while region.committed() < end {
                let committed = region.committed();
                region.commit(committed + 1).unwrap();
                let step = region.committed() - committed;
                if os::COMMIT_IS_CHARGED {
                    assert!(step <= (committed / 8).max(1 << 16) + crate::page_size());
                } else {
                    assert!(step <= (committed / 8).max(1 << 21));
                }
            }
        });
        let commits = record.asked.iter().filter(|&&call| call == Call::Commit).count();
        println!("{commits} commits of {} requests for {size} bytes", record.asked.len());
        assert!(commits <= most, "{commits} for {size} bytes");
        assert!(record.asked.len() <= commits + 3, "and one each to reserve, advise and release");
    }
}

#[test]
fn huge_pages_that_are_refused_are_named_or_done_without() {
    let required = || Mallocator::builder().size(1 << 21).huge_pages(HugePages::Required).build();
    let record = with_faults(Refuse::Only(0), OUT_OF_MEMORY, || match required() {
        Err(Error::Os(error)) => {
            assert_eq!(error.call(), name_of(Call::ReserveHuge));
            assert!(error.to_string().contains("huge pages"), "{error}");
        }
        outcome => assert!(matches!(outcome, Err(Error::Unsupported { .. })), "{outcome:?}"),
    });
    assert_eq!(record.leaked, 0);
    // The first request is the reservation, then the first commit; the advice comes before the second.
    let record = with_faults(Refuse::Only(2), OUT_OF_MEMORY, || {
        let arena = Mallocator::builder().size(1 << 24).reuse(false).build().unwrap();
        let filled = arena.try_alloc_bytes(&[1; 1 << 20]);
        if let Some(asked) = arena.report().huge_asked() {
            assert!(filled.is_ok() && asked.is_err() && arena.report().to_string().contains("refused"));
        }
    });
    assert_eq!(record.leaked, 0);
}

/// A range that cannot be made light is released instead of kept; a range that cannot be reserved is tried again without
/// what the thread keeps.
#[test]
fn what_a_thread_keeps_is_never_in_the_way() {
    for k in 0..12 {
        let record = with_faults(Refuse::Only(k), OUT_OF_MEMORY, || {
            let Ok(arena) = Mallocator::with_size(1 << 24) else { return };
            let place = arena.base();
            let filled = arena.try_alloc_slice_fill_copy(1 << 23, 1_u8).is_ok();
            drop(arena);
            let again = Mallocator::with_size(1 << 24).unwrap();
            // The request that is refused may be the one for this.
            let zeroes = again.try_alloc_zeroed_bytes(1 << 23, 1);
            assert!(zeroes.is_err() || zeroes.is_ok_and(|zeroes| zeroes.iter().all(|&byte| byte == 0)));
            assert!(filled || again.base() == place);
        });
        assert_eq!(record.leaked, 0, "request {k}");
    }
    with_faults(Refuse::Only(2), OUT_OF_MEMORY, || {
        drop(Mallocator::with_size(1 << 20));
        assert!(Mallocator::with_size(1 << 21).is_ok());
    });
}

/// What one arena left lies behind what the next ones use: there is nothing more to give back.
#[test]
fn after_a_large_arena_small_ones_ask_for_nothing() {
    let requests = |small| {
        let run = || {
            for size in [1 << 23].into_iter().chain(vec![1 << 10; small]) {
                let arena = Mallocator::with_size(1 << 24).unwrap();
                let bytes = arena.alloc_zeroed_bytes(size, 1);
                assert!(bytes.iter().all(|&byte| byte == 0));
                bytes.fill(1);
            }
        };
        with_faults(Refuse::Only(usize::MAX), OUT_OF_MEMORY, run).asked.len()
    };
    assert_eq!(requests(9), requests(0));
}

/// A range of this size does not fit in the highest places there are, and some are refused before it does.
#[test]
fn a_search_nearby_goes_on_below_places_that_are_too_high() {
    let highest = std::ptr::without_provenance::<u8>(1 << 47);
    with_faults(Refuse::Nothing, OUT_OF_MEMORY, || {
        for size in [1, 64 << 30] {
            assert!(Mallocator::builder().size(size).near(highest, 1 << 40).build().is_ok(), "{size}");
        }
    });
}

#[test]
fn a_search_nearby_that_meets_only_refusals_says_what_they_were() {
    let here = 0;
    // Not at the first: that may be for the place. But soon.
    for huge_pages in [HugePages::Never, HugePages::Required] {
        let record = with_faults(Refuse::From(0), OUT_OF_MEMORY, || {
            let builder = Mallocator::builder().huge_pages(huge_pages);
            let refused = builder.near(&raw const here, usize::MAX).build();
            assert!(matches!(refused, Err(Error::Os(_))) || huge_pages == HugePages::Required, "{refused:?}");
        });
        let most = 64 + usize::from(os::CAN_RESERVE_WITHIN);
        assert!(record.asked.len() <= most, "{} requests", record.asked.len());
    }
    with_faults(Refuse::From(0), faulty::TAKEN, || {
        let refused = Mallocator::builder().near(&raw const here, 1 << 20).build();
        assert!(matches!(refused, Err(Error::OutOfReach { distance: 0x10_0000, .. })), "{refused:?}");
        let refused = Mallocator::builder().at(0x7000_0000).build();
        assert!(matches!(refused, Err(Error::AddressInUse { address: 0x7000_0000, .. })), "{refused:?}");
    });
    // However far the search may go, it ends.
    let record = with_faults(Refuse::From(0), faulty::TAKEN, || {
        assert!(Mallocator::builder().near(&raw const here, usize::MAX).build().is_err());
    });
    assert!(record.asked.len() <= (1 << 17) + usize::from(os::CAN_RESERVE_WITHIN));
}

/// What the contract says of what these leave in the pages.
#[test]
fn discarding_and_locking_fulfil_their_contract() {
    let region = Reservation::reserve(Options::new(1 << 16)).unwrap();
    let (start, page) = (region.base(), crate::page_size());
    // SAFETY: the pages are committed, writable and this test's.
    unsafe {
        start.write_bytes(7, 1 << 16);
        os::discard(start, page).unwrap();
        start.write_bytes(8, page);
        assert_eq!((start.read(), start.add(page).read()), (8, 7));
        os::lock(start, page).unwrap();
        start.write_bytes(9, page);
        assert_eq!(start.read(), 9);
    }
}

/// What is there when a range that cannot be released is looked at again.
#[test]
fn a_secret_is_zero_before_its_pages_are_given_back() {
    const NOTHING_BACK: &[Call] = &[Call::Release, Call::Decommit];
    type End = fn(Mallocator);
    let ends: [End; 4] = [
        drop,
        |arena| assert!(arena.free().is_err()),
        |arena| drop(arena.seal(Protection::READ_EXECUTE).unwrap()),
        |arena| {
            // SAFETY: nobody uses what is in the arena any more.
            unsafe { arena.protect(0..arena.size(), Protection::NO_ACCESS) }.unwrap();
            drop(arena);
        },
    ];
    for (index, end) in ends.into_iter().enumerate() {
        let mut place = None;
        let record = with_faults(Refuse::Every(NOTHING_BACK), OUT_OF_MEMORY, || {
            let arena = Mallocator::builder().size(1 << 16).zero_on_release(true).build().unwrap();
            arena.alloc_slice_copy(&[0x5a_u8; 5000]);
            place = Some((arena.base(), arena.size() + crate::page_size()));
            end(arena);
        });
        assert_eq!(record.leaked, 1);
        let (base, len) = place.unwrap();
        // SAFETY: the range was left where it was, and is this test's now.
        unsafe {
            os::protect(base, crate::page_size(), Protection::READ).unwrap();
            assert!(std::slice::from_raw_parts(base.as_ptr(), 4096).iter().all(|&byte| byte == 0), "{index}");
            faulty::release_unseen(base, len).unwrap();
        }
    }
}

/// The requests of a seal are the change of the pages, for code a flush between, and the way back.
#[test]
fn a_seal_that_is_refused_gives_the_arena_back_as_it_was() {
    for (protection, k) in
        [(Protection::READ, 2), (Protection::READ_EXECUTE, 2), (Protection::READ_EXECUTE, 3)]
    {
        let record = with_faults(Refuse::Only(k), OUT_OF_MEMORY, || {
            let arena = Mallocator::builder().reuse(false).build().unwrap();
            let kept = arena.alloc_str("kept").as_ptr();
            let (arena, error) = arena.seal(protection).unwrap_err().into_parts();
            assert!(matches!(error, Error::Os(_)));
            assert_eq!((arena.protection(), arena.used()), (Protection::READ_WRITE, 4));
            // SAFETY: the text is there, and nobody writes to it.
            assert_eq!(unsafe { std::slice::from_raw_parts(kept, 4) }, b"kept");
            arena.alloc(1);
            let sealed = arena.seal(protection).unwrap();
            assert_eq!(sealed.protection(), protection);
        });
        assert_eq!(record.leaked, 0);
    }
}

#[test]
fn an_arena_whose_seal_can_be_neither_made_nor_taken_back_refuses_to_be_written() {
    struct Text;
    impl crate::Root for Text {
        type In<'a> = &'a str;
    }
    with_faults(Refuse::From(2), OUT_OF_MEMORY, || {
        let arena = Mallocator::builder().reuse(false).build().unwrap();
        arena.alloc(1);
        let (arena, _) = arena.seal(Protection::READ).unwrap_err().into_parts();
        assert_eq!(arena.protection(), Protection::NO_ACCESS);
        assert!(matches!(arena.try_alloc(1), Err(Error::NotWritable { .. })));
    });
    with_faults(Refuse::From(2), OUT_OF_MEMORY, || {
        let arena = Mallocator::builder().reuse(false).build().unwrap();
        let text = crate::Rooted::<Text>::new(arena, |arena| &*arena.alloc_str("out of reach"));
        let (text, _) = text.seal(Protection::READ).unwrap_err().into_parts();
        let read = std::panic::AssertUnwindSafe(|| text.with(|_, text| text.len()));
        assert!(std::panic::catch_unwind(read).is_err(), "and not a fault");
        assert_eq!(text.into_arena().protection(), Protection::NO_ACCESS);
    });
    with_faults(Refuse::From(3), OUT_OF_MEMORY, || {
        let arena = Mallocator::builder().reuse(false).build().unwrap();
        let text = crate::Rooted::<Text>::new(arena, |arena| &*arena.alloc_str("out of reach"));
        let sealed = text.seal(Protection::READ).unwrap();
        let (sealed, _) = sealed.unseal().unwrap_err().into_parts();
        let read = std::panic::AssertUnwindSafe(|| sealed.with(|text| text.len()));
        assert!(std::panic::catch_unwind(read).is_err(), "and not a fault");
    });
}

#[test]
fn pages_that_stay_are_locked_again_whichever_request_was_refused() {
    const CASES: [&[Call]; 2] = [&[Call::Unlock], &[Call::Decommit]];
    for refuse in CASES {
        let record = with_faults(Refuse::Every(refuse), OUT_OF_MEMORY, || {
            let region = Reservation::reserve(Options { lock: true, ..Options::new(1 << 16) }).unwrap();
            // SAFETY: nothing in the region is used.
            assert_eq!(faulty::call_of(unsafe { region.decommit(0) }.unwrap_err()), refuse[0]);
            assert_eq!(region.refused(), None);
            assert_eq!(region.committed(), 1 << 16);
        });
        assert_eq!(record.asked[record.asked.len() - 2..], [Call::Lock, Call::Release]);
    }
}
