//! Where ranges may lie: a stack that grows has room below it.

use std::sync::atomic::{AtomicBool, Ordering};

use mallocator::{Error, Mallocator, page_size};

use crate::common;

/// Where the stack of the first thread is mapped: it grows downward by itself.
fn stack() -> std::ops::Range<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
    let (start, end) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
    usize::from_str_radix(start, 16).unwrap()..usize::from_str_radix(end, 16).unwrap()
}

/// As the kernel leaves it: 256 pages, that frames larger than a page step over nothing that is another's.
fn gap() -> usize {
    256 * page_size()
}

// Each alone, as they ask for the same places.

#[test]
fn nothing_is_placed_right_below_a_stack() {
    common::alone("places::nothing_is_placed_right_below_a_stack", || {
        let page = page_size();
        // The page behind the range lies below these too.
        for distance in [0, page, gap() / 2, gap() - page] {
            for guards in [false, true] {
                let address = stack().start - distance - 2 * page;
                let refused = Mallocator::builder().size(page).guard_pages(guards).at(address).build();
                let expected = Error::AddressInUse { address, size: page };
                assert_eq!(refused.map(|arena| arena.base()), Err(expected), "{distance:#x}");
            }
        }
        let address = stack().start - gap() - 2 * page;
        let granted = Mallocator::builder().size(page).at(address).build().unwrap();
        assert_eq!(granted.base().addr().get(), address, "further down it is nobody's");
    });
}

#[test]
fn near_a_stack_is_not_in_its_way() {
    common::alone("places::near_a_stack_is_not_in_its_way", || {
        let place = std::ptr::without_provenance::<u8>(stack().start);
        let builder = Mallocator::builder().size(4 * page_size()).near(place, 1 << 24);
        let arenas: Vec<_> = (0..100).map_while(|_| builder.build().ok()).collect();
        assert!(arenas.len() > 10, "{}", arenas.len());
        for arena in &arenas {
            let (start, stack) = (arena.base().addr().get(), stack());
            let end = start + arena.size() + page_size();
            assert!(end + gap() <= stack.start || start >= stack.end, "{start:#x} {stack:x?}");
        }
    });
}

/// Whether a place is taken must not be found out by taking it: what lies in the gap, if only for a moment, makes room for what
/// another thread asks for below it, and is in the way of what may be had.
#[test]
fn places_near_a_stack_are_the_same_while_other_threads_ask_for_some() {
    common::alone("places::places_near_a_stack_are_the_same_while_other_threads_ask_for_some", || {
        let (start, page) = (stack().start, page_size());
        let ask = |address| Mallocator::builder().size(page).at(address).build().map(|arena| arena.base());
        let (within, beyond) = (start - gap() / 2, start - gap() - 2 * page);
        let done = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = ask(start - 2 * page);
                }
            });
            let wrong = (0..10_000).find(|_| ask(within).is_ok() || ask(beyond).is_err());
            done.store(true, Ordering::Relaxed);
            assert_eq!(wrong, None);
        });
    });
}

/// What is refused for its place alone, and not for what lives there, says so as before.
#[test]
fn a_place_that_no_process_may_have_is_not_taken_for_one_in_use() {
    let refused = Mallocator::builder().size(page_size()).at(1 << 62).build();
    assert!(matches!(refused, Err(Error::Os(_))), "{refused:?}");
}
