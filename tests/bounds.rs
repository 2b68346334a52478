//! Sizes and alignments at every edge: exact success or an error, and never a wrap.

mod common;

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use mallocator::{Error, Mallocator};

/// 0, 1, 2^k - 1, 2^k, 2^k + 1, `isize::MAX`, `isize::MAX + 1`, `usize::MAX`.
fn edges() -> Vec<usize> {
    let powers = (0..usize::BITS).map(|k| 1_usize << k);
    let mut edges: Vec<usize> = powers.flat_map(|power| [power - 1, power, power + 1]).collect();
    edges.extend([usize::MAX, isize::MAX as usize, isize::MAX as usize + 1]);
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// What `alloc_raw` should do, worked out in numbers too wide to wrap: the new offset of `ptr`, or the error.
fn expected(arena: &Mallocator, size: usize, align: usize) -> Result<(usize, usize), Error> {
    if align.count_ones() != 1 {
        return Err(Error::InvalidAlignment { align });
    }
    let (base, ptr) = (arena.base().addr().get() as u128, arena.ptr().addr().get() as u128);
    let start = ptr.div_ceil(align as u128) * align as u128;
    let end = start + size as u128;
    if end > base + arena.size() as u128 {
        let align_log2 = u8::try_from(align.ilog2()).unwrap();
        return Err(Error::Exhausted { size, available: arena.available(), align_log2 });
    }
    Ok((usize::try_from(start - base).unwrap(), usize::try_from(end - base).unwrap()))
}

#[test]
fn every_size_and_alignment_at_an_edge_is_exact_or_an_error() {
    let arena = Mallocator::with_size(1 << 22).unwrap();
    let edges = edges();
    let (mut granted, mut refused) = (0, 0);
    for used in [0, 1, 4095, 4096, 65_535, (1 << 22) - 1, 1 << 22] {
        arena.alloc_raw(used - arena.used(), 1).unwrap();
        let mark = arena.mark();
        for &size in &edges {
            for &align in &edges {
                let expected = expected(&arena, size, align);
                match arena.alloc_raw(size, align) {
                    Ok(block) => {
                        let (start, end) = expected.unwrap();
                        assert_eq!(block.addr().get() - arena.base().addr().get(), start);
                        assert_eq!((block.len(), arena.used()), (size, end));
                        assert_eq!(block.addr().get() % align, 0);
                        granted += 1;
                    }
                    Err(error) => {
                        assert_eq!(Err(error), expected);
                        assert_eq!(arena.used(), used);
                        refused += 1;
                    }
                }
                // SAFETY: nothing that was allocated since is used again.
                unsafe { arena.rewind(mark) };
            }
        }
    }
    assert!(granted > 1000 && refused > 100_000, "{granted} {refused}");
    common::check_pages(&arena);
}

#[test]
fn every_layout_at_an_edge_is_exact_or_an_error() {
    let arena = Mallocator::with_size(1 << 22).unwrap();
    for used in [0, 1, 4095, (1 << 22) - 1, 1 << 22] {
        arena.alloc_raw(used - arena.used(), 1).unwrap();
        let mark = arena.mark();
        for size in edges() {
            for align in (0..usize::BITS).map(|k| 1_usize << k) {
                let Ok(layout) = Layout::from_size_align(size, align) else { continue };
                let outcome = arena.try_alloc_layout(layout);
                if size == 0 {
                    assert_eq!(outcome.unwrap().addr().get() % align, 0);
                    assert_eq!(arena.used(), used, "a zero-sized layout moves nothing");
                    continue;
                }
                // SAFETY: nothing that was allocated since is used again.
                unsafe { arena.rewind(mark) };
                match (outcome, expected(&arena, size, align)) {
                    (Ok(block), Ok((start, _))) => {
                        assert_eq!(block.addr().get() - arena.base().addr().get(), start);
                    }
                    (outcome, expected) => assert_eq!(outcome.map(drop), expected.map(drop)),
                }
            }
        }
    }
}

#[test]
fn the_last_byte_can_be_allocated_and_no_more() {
    let arena = Mallocator::new().unwrap();
    arena.alloc_raw(arena.size() - 1, 1).unwrap();
    *arena.alloc(0_u8) = 7;
    assert_eq!((arena.available(), arena.used()), (0, arena.size()));
    assert_eq!(arena.alloc_raw(0, 1).unwrap().len(), 0);
    let full = Error::Exhausted { size: 1, available: 0, align_log2: 0 };
    assert_eq!(arena.alloc_raw(1, 1), Err(full));
    assert_eq!(arena.try_alloc(1_u8), Err(full));
    assert_eq!(arena.try_alloc_bytes(&[1]), Err(full));
    assert_eq!(arena.try_alloc_str("a"), Err(full));
    assert_eq!(arena.alloc_string_raw("", 1), Err(full));
    assert_eq!(arena.alloc_byte_string("00"), Err(full));
    assert_eq!(arena.try_alloc_with(|| -> u8 { panic!("is not called") }), Err(full));
    assert_eq!(arena.used(), arena.size());
}

#[test]
fn a_value_that_fits_but_for_its_alignment_is_refused() {
    let arena = Mallocator::with_size(1).unwrap();
    arena.alloc_raw(arena.size() - 12, 1).unwrap();
    arena.alloc(1_u8);
    assert!(matches!(
        arena.try_alloc(1_u128),
        Err(Error::Exhausted { size: 16, available: 11, align_log2: 4 })
    ));
    assert_eq!(arena.available(), 11);
    arena.alloc(1_u64);
    assert_eq!(arena.available(), 0);
}

#[test]
fn zero_sized_values_never_touch_the_cursor() {
    #[derive(Clone, Copy)]
    #[repr(align(4096))]
    struct Wide;
    let arena = Mallocator::new().unwrap();
    arena.alloc(1_u8);
    arena.alloc(());
    assert_eq!(std::ptr::from_ref(arena.alloc(Wide)).addr() % 4096, 0);
    assert_eq!(std::ptr::from_ref(arena.alloc_with(|| Wide)).addr() % 4096, 0);
    assert_eq!(arena.alloc_slice_copy(&[Wide; 9]).len(), 9);
    assert_eq!(arena.alloc_slice_copy::<u64>(&[]).len(), 0);
    assert_eq!((arena.alloc_bytes(&[]).len(), arena.alloc_str("").len()), (0, 0));
    assert_eq!(arena.alloc_byte_string(" ").unwrap().len(), 0);
    assert_eq!(arena.used(), 1);
    // In a full arena too.
    arena.alloc_raw(arena.available(), 1).unwrap();
    arena.alloc(());
    arena.alloc(Wide);
}

/// The panic hook belongs to the process, so this test has one of its own.
#[test]
fn an_infallible_method_that_fails_says_everything_at_the_line_of_the_caller() {
    common::alone("an_infallible_method_that_fails_says_everything_at_the_line_of_the_caller", || {
        static SAID: Mutex<String> = Mutex::new(String::new());
        std::panic::set_hook(Box::new(|info| *SAID.lock().unwrap() = info.to_string()));
        let arena = Mallocator::new().unwrap();
        arena.alloc_bytes(&[0; 100]);
        let calls: [(u32, &dyn Fn()); 6] = [
            (line!(), &|| _ = arena.alloc([0_u8; 100_000])),
            (line!(), &|| _ = arena.alloc_with(|| [0_u8; 100_000])),
            (line!(), &|| _ = arena.alloc_bytes(&[0; 100_000])),
            (line!(), &|| _ = arena.alloc_slice_copy(&[0_u8; 100_000])),
            (line!(), &|| _ = arena.alloc_str(&"a".repeat(100_000))),
            (line!(), &|| _ = arena.alloc_layout(Layout::new::<[u8; 100_000]>())),
        ];
        let outcomes = calls.map(|(line, call)| {
            assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
            (line, SAID.lock().unwrap().clone())
        });
        drop(std::panic::take_hook());
        for (line, said) in outcomes {
            for part in ["100000 bytes", "65436 are left", "with_size", &format!("bounds.rs:{line}:")] {
                assert!(said.contains(part), "{part} in {said}");
            }
        }
        assert_eq!(arena.used(), 100);
    });
}

#[test]
fn sizes_that_cannot_be_reserved_are_errors() {
    let most = isize::MAX as usize;
    for size in [0, usize::MAX, most + 1, most, most - mallocator::page_size()] {
        assert_eq!(Mallocator::with_size(size).unwrap_err(), Error::InvalidSize { size });
    }
    // Larger than the address space of any machine at hand.
    for size in [most / 2, 1 << 60, 1 << 57] {
        let Err(Error::Os(error)) = Mallocator::with_size(size) else { panic!() };
        // With the page behind the range, and what it takes to place huge pages.
        let least = size.next_multiple_of(mallocator::page_size()) + mallocator::page_size();
        assert!((least..=least + (2 << 20)).contains(&error.size()), "{}", error.size());
        assert_ne!(error.code(), 0);
    }
    for size in [1, 4095, 4096, 4097] {
        let arena = Mallocator::with_size(size).unwrap();
        assert_eq!(arena.size(), size.next_multiple_of(mallocator::page_size()));
    }
}
