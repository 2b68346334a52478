//! The arena as its users see it: properties, going back, closures that misbehave, and what it prints.

mod common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mallocator::{Error, Mallocator, PAGE_GRANULARITY, Protection};

#[test]
fn the_default_is_the_original_s() {
    let arena = Mallocator::new().unwrap();
    assert_eq!((PAGE_GRANULARITY, arena.size()), (0x1_0000, 0x1_0000));
    assert_eq!((arena.ptr(), arena.used(), arena.available()), (arena.base(), 0, 0x1_0000));
    assert_eq!(arena.protection(), Protection::READ_WRITE);
}

#[test]
fn contains_and_offset_of_cover_the_reservation_and_not_a_byte_more() {
    let arena = Mallocator::with_size(1 << 20).unwrap();
    let base = arena.base().as_ptr();
    for (offset, inside) in
        [(0, true), (1, true), ((1 << 20) - 1, true), (1 << 20, false), ((1 << 20) + 1, false)]
    {
        assert_eq!(arena.contains(base.wrapping_add(offset)), inside, "{offset}");
        assert_eq!(arena.offset_of(base.wrapping_add(offset)), inside.then_some(offset));
    }
    assert!(!arena.contains(base.wrapping_sub(1)));
    assert_eq!(arena.offset_of(base.wrapping_sub(1)), None);
    assert!(!arena.contains(std::ptr::null::<u8>()));
    assert!(!arena.contains(std::ptr::without_provenance::<u8>(usize::MAX)));
    let slice = arena.alloc_slice_copy(&[1_u64, 2, 3]);
    assert_eq!(arena.offset_of(&raw const *slice), Some(0));
}

#[test]
fn the_image_is_every_byte_from_the_base_to_the_cursor() {
    let arena = Mallocator::new().unwrap();
    arena.alloc_bytes(b"abc");
    arena.alloc(0x0403_0201_u32.to_le());
    arena.alloc_string_raw("hi", 2).unwrap();
    // SAFETY: plain bytes, and no reference to them is kept.
    assert_eq!(unsafe { arena.used_bytes() }, b"abc\0\x01\x02\x03\x04h\0i\0\0\0");
}

#[test]
fn a_rewind_takes_back_what_came_since_and_never_goes_up() {
    let arena = Mallocator::new().unwrap();
    let kept = arena.alloc(1_u64);
    let (low, used) = (arena.mark(), arena.used());
    arena.alloc_bytes(&[2; 100]);
    let high = arena.mark();
    assert!(low < high);
    // SAFETY: what was allocated since is not used again, here and below.
    unsafe { arena.rewind(low) };
    assert_eq!((arena.used(), *kept), (used, 1));
    // SAFETY: as above.
    unsafe { arena.rewind(high) };
    assert_eq!(arena.used(), used);
    let again = arena.alloc_bytes(&[3; 10]);
    assert_eq!(arena.offset_of(again), Some(8));
}

#[test]
fn a_reset_keeps_the_memory_and_the_next_round_gets_it() {
    let mut arena = Mallocator::with_size(1 << 20).unwrap();
    let mut first = None;
    for round in 0..100_u64 {
        let values = arena.alloc_slice_copy(&[round; 1000]);
        let at = std::ptr::from_ref(values).addr();
        assert_eq!(*first.get_or_insert(at), at);
        assert_eq!(values, [round; 1000]);
        arena.reset();
        assert_eq!((arena.used(), arena.ptr()), (0, arena.base()));
    }
    assert!(arena.committed() >= 8000);
}

#[test]
fn a_closure_that_allocates_gets_memory_of_its_own() {
    let arena = Mallocator::new().unwrap();
    let outer = arena.alloc_with(|| {
        let inner = arena.alloc([1_u64; 4]);
        let innermost = arena.alloc_with(|| [*arena.alloc(2_u64); 4]);
        [inner[0], innermost[0], 3, 4]
    });
    assert_eq!(outer, &[1, 2, 3, 4]);
    let other = arena.alloc([5_u64; 4]);
    assert_eq!((outer, other), (&mut [1, 2, 3, 4], &mut [5; 4]));
}

#[test]
fn a_closure_that_panics_gives_its_block_back() {
    let arena = Mallocator::new().unwrap();
    arena.alloc(1_u8);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        arena.alloc_with(|| -> [u64; 100] { panic!("half way") });
    }));
    assert!(outcome.is_err());
    assert_eq!(arena.used(), 1, "the padding too");
}

#[test]
fn a_closure_that_allocates_and_then_panics_takes_nothing_from_what_it_allocated() {
    let arena = Mallocator::new().unwrap();
    let kept = Cell::new(None);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        arena.alloc_with(|| -> [u64; 100] {
            kept.set(Some(arena.alloc(7)));
            panic!("half way")
        });
    }));
    assert!(outcome.is_err());
    let kept = kept.take().unwrap();
    arena.alloc_bytes(&[0xff; 5000]);
    assert_eq!(*kept, 7);
}

#[test]
fn values_are_not_dropped_and_refused_values_are() {
    struct Counts<'a>(&'a Cell<u32>, #[expect(dead_code, reason = "makes it large")] [u8; 40_000]);
    impl Drop for Counts<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let dropped = Cell::new(0);
    let arena = Mallocator::new().unwrap();
    arena.alloc(Counts(&dropped, [0; 40_000]));
    assert_eq!(dropped.get(), 0);
    assert!(arena.try_alloc(Counts(&dropped, [0; 40_000])).is_err());
    assert_eq!(dropped.get(), 1);
    drop(arena);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn a_builder_can_be_kept_and_cloned() {
    let builder = Mallocator::builder().size(1 << 20).name("twice");
    let (one, other) = (builder.build().unwrap(), builder.clone().size(1 << 21).build().unwrap());
    assert_eq!((one.size(), other.size()), (1 << 20, 1 << 21));
    assert_eq!((one.report().name(), other.report().name()), (Some("twice"), Some("twice")));
}

#[test]
fn the_report_says_what_was_granted() {
    let here = 0;
    let arena =
        Mallocator::builder().size(1 << 20).name("a name").near(&raw const here, 1 << 40).build().unwrap();
    arena.alloc_bytes(&[1; 300_000]);
    let report = arena.report();
    assert_eq!((report.size(), report.used(), report.committed()), (1 << 20, 300_000, arena.committed()));
    assert_eq!((report.base(), report.protection()), (arena.base().addr().get(), Protection::READ_WRITE));
    let text = report.to_string();
    let base = format!("{:#x}", report.base());
    for part in ["a name", "1048576", "300000", &base, "READ_WRITE", "1099511627776 allowed"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let base = arena.base().addr().get();
    arena.free().unwrap();
    let placed = Mallocator::builder().at(base).build().unwrap().report();
    assert!(placed.to_string().contains("as asked for") && placed.to_string().contains("(unnamed)"));
    assert!(Mallocator::new().unwrap().report().to_string().contains("chosen by the system"));
}

#[test]
fn an_arena_can_be_printed() {
    let arena = Mallocator::builder().name("shown").build().unwrap();
    arena.alloc(1_u8);
    let text = format!("{arena:?}");
    for part in ["Mallocator", "shown", "used: 1", "size: 65536", "protection: READ_WRITE"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn errors_are_small_and_every_message_has_its_numbers() {
    assert!(size_of::<Error>() <= 24);
    assert!(size_of::<Result<&mut u64, Error>>() <= 24);
    for (error, parts) in [
        (
            Error::Exhausted { size: 7, available: 3, align_log2: 5 },
            &["7 bytes", "aligned to 32", "3 are left"][..],
        ),
        (Error::Exhausted { size: 7, available: 3, align_log2: 63 }, &["aligned to 9223372036854775808"]),
        (Error::Exhausted { size: 7, available: 3, align_log2: 0 }, &["7 bytes were asked for", "with_size"]),
        (Error::InvalidAlignment { align: 3 }, &["3", "powers of two"]),
        (Error::InvalidSize { size: 0 }, &["0 bytes"]),
        (Error::InvalidSize { size: usize::MAX }, &["18446744073709551615", "9223372036854775807"]),
        (Error::InvalidAddress { address: 0, granularity: 4096 }, &["address 0"]),
        (Error::InvalidAddress { address: 17, granularity: 4096 }, &["0x11", "0x1000"]),
        (Error::AddressInUse { address: 4096, size: 9 }, &["9 bytes", "0x1000"]),
        (Error::OutOfReach { address: 4096, distance: 9 }, &["9 bytes", "0x1000"]),
        (Error::Unsupported { option: "this" }, &["this", std::env::consts::OS]),
        (Error::NotWritable { protection: Protection::READ }, &["READ", "alloc_raw"]),
        (
            Error::CharacterDoesNotFit { character: '😀', index: 4, width: 2 },
            &["'😀' (U+1F600) at byte 4", "2-byte unit", "U+FFFF", "u32"],
        ),
        (Error::CharacterDoesNotFit { character: '€', index: 4, width: 1 }, &["U+00FF", "u16"]),
        (Error::InvalidWidth { width: 3 }, &["3 bytes", "1, 2 or 4"]),
        (Error::NotHex { character: '\n', index: 4 }, &["'\\n' at byte 4", "0x"]),
        (Error::HalfByte { digit: 'f', index: 4 }, &["'f' at byte 4"]),
        (Error::BarePrefix { index: 4 }, &["byte 4", "prefix"]),
        (Error::RangeReversed { start: 5, end: 4 }, &["5..4"]),
        (Error::RangePastEnd { end: 5, size: 4 }, &["5", "4"]),
    ] {
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "{part:?} in {text:?}");
        }
    }
}
