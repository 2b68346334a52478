//! What the checkers see: each crime is committed by a child process, a hundred times and each time another way, and the
//! checker must report every single one.
//!
//! Run by `scripts/test-asan.sh` with the feature `asan`, and by `scripts/test-valgrind.sh` with the feature `valgrind`.
#![cfg(any(feature = "asan", feature = "valgrind"))]
#![cfg_attr(feature = "nightly", feature(allocator_api))]

use std::env;
use std::process::{Command, Output};

use mallocator::{Batch, Box as ArenaBox, Mallocator, Vec as ArenaVec};

/// How often each crime is committed.
const TIMES: usize = 100;

/// A crime: it sets the stage for its n-th time, and returns the byte that must not be touched.
type Crime = fn(usize) -> *const u8;

/// What every crime happens on is kept until the process ends, so that nothing but the crime is a mistake.
fn arena() -> &'static Mallocator {
    Box::leak(Box::new(Mallocator::with_size(1 << 20).unwrap()))
}

/// Memory for a value of a size that differs from time to time.
fn typed(arena: &Mallocator, time: usize) -> (*const u8, usize) {
    arena.alloc_bytes(&vec![1; time % 7]); // the values before are of any size
    let place: &mut [u8] = match time % 5 {
        0 => arena.alloc_slice_fill_copy(time + 1, 1),
        1 => arena.alloc_str("text of sixteen.").as_bytes_mut_here(),
        2 => arena.alloc([1_u8; 13]),
        3 => arena.alloc_zeroed_bytes(time + 1, 1 << (time % 6)),
        _ => arena.alloc_iter((0..=time).map(|_| 1)),
    };
    (place.as_ptr(), place.len())
}

trait AsBytes {
    fn as_bytes_mut_here(&mut self) -> &mut [u8];
}
impl AsBytes for str {
    fn as_bytes_mut_here(&mut self) -> &mut [u8] {
        // SAFETY: the bytes are only read.
        unsafe { self.as_bytes_mut() }
    }
}

const CRIMES: [(&str, Crime); 12] = [
    ("a_use_after_a_scope", |time| {
        let arena = arena();
        arena.scope(|scratch| {
            let (place, len) = typed(scratch, time);
            place.wrapping_add(time % len)
        })
    }),
    ("an_overflow_by_one_byte", |time| {
        let arena = arena();
        let (place, len) = typed(arena, time);
        typed(arena, time); // a neighbour
        place.wrapping_add(len)
    }),
    ("a_read_of_memory_never_allocated", |time| {
        let arena = arena();
        typed(arena, time);
        arena.ptr().as_ptr().wrapping_add(time * 100)
    }),
    ("an_underflow_by_one_byte", |time| {
        let arena = arena();
        typed(arena, time);
        let value = arena.alloc(time);
        std::ptr::from_ref(value).cast::<u8>().wrapping_sub(1)
    }),
    ("a_use_after_a_rewind", |time| {
        let arena = arena();
        let mark = arena.mark();
        let (place, _) = typed(arena, time);
        // SAFETY: nothing is used again, but for the crime.
        unsafe { arena.rewind(mark) };
        place
    }),
    ("a_use_after_a_reset", |time| {
        let mut arena = Mallocator::with_size(1 << 20).unwrap();
        let (place, _) = typed(&arena, time);
        arena.reset();
        std::mem::forget(arena);
        place
    }),
    ("a_use_after_a_drop", |time| {
        let arena = arena();
        let boxed = ArenaBox::new_in([time; 3], arena);
        let place: *const [usize; 3] = &raw const *boxed;
        drop(boxed);
        place.cast()
    }),
    ("a_use_of_what_a_vector_outgrew", |time| {
        let arena = arena();
        let mut vec = ArenaVec::with_capacity_in(time + 1, arena);
        vec.push(time);
        let place = vec.as_ptr();
        vec.reserve(time + 2);
        std::mem::forget(vec);
        place.cast()
    }),
    ("an_overflow_in_a_batch", |time| {
        let mut batch: Batch = arena().batch(4096);
        let place = std::ptr::from_ref(batch.alloc([1_u8; 11])).cast::<u8>();
        batch.alloc(time);
        place.wrapping_add(11)
    }),
    ("an_overflow_in_an_arena_that_threads_share", |time| {
        let shared = Box::leak(Box::new(Mallocator::builder().size(1 << 20).build_sync().unwrap()));
        let mut batch = shared.batch(4096);
        let place = std::ptr::from_ref(batch.alloc([1_u16; 5])).cast::<u8>();
        batch.alloc(time);
        place.wrapping_add(10)
    }),
    ("a_use_of_the_range_of_an_arena_that_ended", |time| {
        let first = Mallocator::with_size(1 << 20).unwrap();
        let (place, _) = typed(&first, time);
        drop(first);
        let second = arena();
        assert!(second.contains(place), "the thread kept the range");
        place
    }),
    ("an_overflow_inside_of_a_scope", |time| {
        let arena = arena();
        arena.scope(|scratch| {
            let (place, len) = typed(scratch, time);
            typed(arena, time); // the outer arena takes from behind it
            typed(scratch, time);
            assert_eq!(see(place), 0, "what is there may be used");
            place.wrapping_add(len)
        })
    }),
];

/// Touches a byte, so that no compiler leaves it out.
fn see(place: *const u8) -> u8 {
    // SAFETY: none, where this is the crime.
    unsafe { place.read_volatile() }.wrapping_mul(0)
}

const CRIME: &str = "MALLOCATOR_TEST_CRIME";

/// Runs this test in a process of its own, which commits the crime `times`.
fn child(test: &str, times: std::ops::Range<usize>, under: &[&str]) -> Output {
    let executable = env::current_exe().unwrap();
    let executable = executable.to_str().unwrap();
    let words: Vec<&str> =
        under.iter().copied().chain([executable, test, "--exact", "--nocapture"]).collect();
    let times = format!("{} {}", times.start, times.end);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(["--test-threads=1"]).env(CRIME, times);
    // Names of functions take the sanitizer longer than all the rest.
    command.env("ASAN_OPTIONS", "symbolize=0:detect_leaks=0").output().unwrap()
}

/// What the child does: true if this is one.
fn is_done_here(crime: Crime) -> bool {
    let Ok(times) = env::var(CRIME) else { return false };
    let (start, end) = times.split_once(' ').unwrap();
    for time in start.parse().unwrap()..end.parse::<usize>().unwrap() {
        let place = crime(time);
        println!("touching");
        see(place);
        println!("survived");
    }
    true
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// It dies of the first mistake, so there is a child for each.
#[cfg(feature = "asan")]
fn is_always_caught(test: &str, crime: Crime) {
    if is_done_here(crime) {
        return;
    }
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                loop {
                    let time = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if time >= TIMES {
                        break;
                    }
                    let output = child(test, time..time + 1, &[]);
                    let (said, report) = (text(&output.stdout), text(&output.stderr));
                    let caught = report.contains("AddressSanitizer: use-after-poison");
                    assert!(
                        caught && said.contains("touching") && !said.contains("survived"),
                        "time {time}: {said}\n{report}"
                    );
                }
            });
        }
    });
}

/// It reports and goes on, so one child is enough, and each mistake must be reported.
#[cfg(all(feature = "valgrind", not(feature = "asan")))]
fn is_always_caught(test: &str, crime: Crime) {
    if is_done_here(crime) {
        return;
    }
    let output = child(test, 0..TIMES, &["valgrind", "--error-limit=no", "--leak-check=no"]);
    let (said, report) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(said.matches("survived").count(), TIMES, "{said}\n{report}");
    let summary = report.rsplit("ERROR SUMMARY: ").next().unwrap().split(' ').next().unwrap();
    assert_eq!(summary.parse(), Ok(TIMES), "{report}");
    assert!(report.contains("Invalid read of size 1"), "{report}");
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let (_, crime) = CRIMES.into_iter().find(|(name, _)| *name == stringify!($name)).unwrap();
                is_always_caught(stringify!($name), crime);
            }
        )*

        #[test]
        fn every_crime_is_a_test() {
            assert_eq!(CRIMES.map(|(name, _)| name), [$(stringify!($name)),*]);
        }
    };
}
tests!(
    a_use_after_a_scope
    an_overflow_by_one_byte
    a_read_of_memory_never_allocated
    an_underflow_by_one_byte
    a_use_after_a_rewind
    a_use_after_a_reset
    a_use_after_a_drop
    a_use_of_what_a_vector_outgrew
    an_overflow_in_a_batch
    an_overflow_in_an_arena_that_threads_share
    a_use_of_the_range_of_an_arena_that_ended
    an_overflow_inside_of_a_scope
);

/// The original's four calls leave nothing between, and what they hand out may be used to the last byte.
#[test]
fn the_calls_of_the_original_stay_packed() {
    let arena = arena();
    let mut offset = 0;
    for len in [1, 3, 8, 13, 100] {
        let raw = arena.alloc_raw(len, 1).unwrap().cast::<u8>();
        // SAFETY: the block was handed out.
        unsafe { raw.write_bytes(1, len) };
        assert_eq!(arena.offset_of(raw.as_ptr()), Some(offset));
        assert_eq!(arena.offset_of(arena.alloc_bytes(&vec![2; len]).as_ptr()), Some(offset + len));
        let text = arena.alloc_string_raw("ab", 2).unwrap();
        assert_eq!(arena.offset_of(text.as_ptr().cast::<u8>()), Some(offset + 2 * len));
        let bytes = arena.alloc_byte_string("01 02 03").unwrap();
        assert_eq!(arena.offset_of(bytes.as_ptr()), Some(offset + 2 * len + 6));
        offset += 2 * len + 9;
        assert_eq!(arena.used(), offset);
    }
    // SAFETY: all of it was written.
    let sum: usize = unsafe { arena.used_bytes() }.iter().map(|&byte| usize::from(byte)).sum();
    assert_eq!(sum, 3 * (1 + 3 + 8 + 13 + 100) + 5 * (usize::from(b'a' + b'b') + 6));
}

/// What the sanitizer knows of eight bytes is one byte, which two threads must not both write.
#[test]
fn what_threads_are_given_lies_in_units_of_its_own() {
    let shared = Mallocator::builder().size(1 << 20).build_sync().unwrap();
    let mut units = std::collections::HashSet::new();
    let mut is_alone = |block: &[u8]| {
        // What is empty may lie anywhere.
        let start = if block.is_empty() { 0 } else { block.as_ptr().addr() };
        (start / 8..(start + block.len()).div_ceil(8)).for_each(|unit| assert!(units.insert(unit), "shared"));
    };
    for size in (0..40).chain([1, 1, 1]) {
        let block = shared.alloc_raw(size, 1).unwrap();
        // SAFETY: the block is this test's, and of all sizes.
        unsafe {
            block.cast::<u8>().write_bytes(1, size);
            is_alone(block.as_ref());
        }
        is_alone(shared.alloc_string::<u8>(&"x".repeat(size)).unwrap());
        is_alone(shared.alloc_byte_string(&"00 ".repeat(size)).unwrap());
        is_alone(shared.alloc_bytes(&vec![1; size]));
        is_alone(shared.try_local(1 + size).unwrap().alloc_slice_fill_copy(size, 1));
    }
    assert_eq!(shared.alloc_raw(shared.available(), 1).unwrap().len() % 8, 0);
    assert_eq!(shared.available(), 0);
}

#[test]
fn values_start_at_units_and_have_a_zone_behind_them() {
    let arena = arena();
    let first = std::ptr::from_ref(arena.alloc(1_u8)).addr();
    let second = std::ptr::from_ref(arena.alloc([1_u8; 3])).addr();
    let third = std::ptr::from_ref(arena.alloc(1_u128)).addr();
    assert_eq!((first % 8, second % 8, third % 16), (0, 0, 0));
    assert!(second - first > 16 && third - second >= 3 + 16);
}

/// The last bytes of a reservation can be had though no zone fits behind them.
#[test]
fn a_reservation_can_be_filled() {
    let arena = Mallocator::with_size(mallocator::page_size()).unwrap();
    arena.alloc_slice_fill_copy(arena.size(), 1_u8);
    assert_eq!(arena.available(), 0);
}
