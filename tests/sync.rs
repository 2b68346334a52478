//! An arena that threads share: blocks stay apart whoever takes them, and refusals leave it as it was.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod common;

use std::alloc::Layout;
use std::sync::Barrier;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as AllocatorVec;
use mallocator::{Error, Mallocator, Protection, SyncMallocator};

const THREADS: usize = 4;

fn shared(size: usize) -> SyncMallocator {
    Mallocator::builder().size(size).build_sync().unwrap()
}

/// Runs `work` in several threads at the same time.
fn in_threads<R: Send>(work: impl Fn(u8) -> R + Sync) -> Vec<R> {
    let start = Barrier::new(THREADS);
    std::thread::scope(|threads| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (work, start) = (&work, &start);
                threads.spawn(move || {
                    start.wait();
                    work(u8::try_from(thread).unwrap())
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

/// Everything that was handed out, with what was written there.
fn apart(mut blocks: Vec<(usize, usize)>) {
    blocks.sort_unstable();
    assert!(blocks.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "blocks overlap");
}

#[test]
fn layouts_of_many_threads_are_apart_and_aligned() {
    let shared = shared(64 << 20);
    let blocks = in_threads(|thread| {
        let mut blocks = Vec::new();
        for number in 0..5_000_usize {
            let layout = Layout::from_size_align(number * 7 % 300 + 1, 1 << (number % 8)).unwrap();
            let block = shared.alloc_layout(layout);
            assert_eq!(block.addr().get() % layout.align(), 0);
            // SAFETY: the block is this thread's.
            unsafe { block.write_bytes(thread, layout.size()) };
            blocks.push((block.addr().get(), layout.size()));
        }
        for &(address, size) in &blocks {
            let start = shared.base().as_ptr().with_addr(address);
            // SAFETY: the block is this thread's, and was written.
            let bytes = unsafe { std::slice::from_raw_parts(start, size) };
            assert!(bytes.iter().all(|&byte| byte == thread));
        }
        blocks
    });
    apart(blocks.concat());
    assert!(shared.used() <= shared.committed());
}

#[test]
fn batches_of_many_threads_are_apart_and_keep_what_is_in_them() {
    let mut shared = shared(64 << 20);
    for round in 0..3 {
        let sums = in_threads(|thread| {
            let mut batch = shared.batch(4096);
            let values: Vec<&mut u64> =
                (0..20_000).map(|number| batch.alloc(number * 10 + u64::from(thread))).collect();
            let texts: Vec<&mut str> =
                (0..100).map(|_| batch.alloc_str(&"x".repeat(thread.into()))).collect();
            assert!(texts.iter().all(|text| text.len() == usize::from(thread)));
            values.iter().map(|value| **value % 10).sum::<u64>()
        });
        assert_eq!(sums, [0, 20_000, 40_000, 60_000], "round {round}");
        shared.reset();
        assert_eq!(shared.used(), 0);
        if round == 1 {
            shared.trim();
            assert_eq!(shared.committed(), 0);
        }
    }
}

#[test]
fn the_end_of_the_range_is_the_end_for_all() {
    let shared = shared(1 << 20);
    let granted = in_threads(|_| {
        let mut granted = 0;
        while let Ok(block) = shared.try_alloc_layout(Layout::new::<[u8; 100]>()) {
            // SAFETY: the block is this thread's.
            unsafe { block.write_bytes(1, 100) };
            granted += 100;
        }
        // However often it is asked for too much.
        for _ in 0..1000 {
            let huge = Layout::from_size_align(isize::MAX as usize, 1).unwrap();
            assert!(matches!(shared.try_alloc_layout(huge), Err(Error::Exhausted { .. })));
            assert!(shared.batch(1 << 20).try_alloc([0_u8; 200]).is_err());
        }
        granted
    });
    assert_eq!(granted.iter().sum::<usize>(), shared.used());
    assert!(shared.available() < 100);
}

#[test]
fn zeroes_are_zero_after_a_reset_and_after_a_trim() {
    let mut shared = shared(16 << 20);
    for round in 0..4 {
        in_threads(|_| {
            let layout = Layout::new::<[u8; 10_000]>();
            let block = shared.allocate_zeroed(layout).unwrap();
            // SAFETY: the block was cleared, is this thread's, and is given to no other.
            let grown = unsafe {
                assert!(block.as_ref().iter().all(|&byte| byte == 0));
                block.cast::<u8>().write_bytes(0xff, layout.size());
                shared.grow_zeroed(block.cast(), layout, Layout::new::<[u8; 30_000]>()).unwrap()
            };
            // SAFETY: as above.
            let bytes = unsafe { &mut *grown.as_ptr() };
            assert!(bytes[..10_000].iter().all(|&byte| byte == 0xff));
            assert!(bytes[10_000..].iter().all(|&byte| byte == 0));
            bytes.fill(0xff);
        });
        shared.reset();
        if round % 2 == 1 {
            shared.alloc_layout(Layout::new::<u8>());
            shared.trim();
        }
    }
}

#[test]
fn vectors_grow_in_place_while_they_are_the_last() {
    let shared = shared(1 << 20);
    let mut numbers = AllocatorVec::new_in(&shared);
    numbers.push(0);
    let start = numbers.as_ptr();
    numbers.extend(1..10_000);
    assert_eq!(numbers.as_ptr(), start);
    let behind = shared.batch(64).alloc(7);
    numbers.extend(10_000..30_000);
    assert_ne!(numbers.as_ptr(), start);
    assert!(numbers.iter().copied().eq(0..30_000));
    assert_eq!(*behind, 7);
}

#[test]
fn a_region_that_cannot_be_written_is_not() {
    for protection in [Protection::READ, Protection::NO_ACCESS] {
        let shared = Mallocator::builder().protection(protection).build_sync().unwrap();
        let refused = |error| matches!(error, Error::NotWritable { .. });
        assert!(refused(shared.try_alloc_layout(Layout::new::<u8>()).unwrap_err()));
        assert!(refused(shared.try_alloc_layout(Layout::new::<[u8; 1 << 20]>()).unwrap_err()));
        assert!(refused(shared.try_alloc_layout(Layout::new::<()>()).unwrap_err()));
        assert!(refused(shared.batch(100).try_alloc(1).unwrap_err()));
        assert!(shared.allocate(Layout::new::<u8>()).is_err());
    }
}

#[test]
fn properties_and_release() {
    let shared = Mallocator::builder().size(100).build_sync().unwrap();
    assert_eq!(shared.size(), mallocator::page_size());
    assert_eq!((shared.used(), shared.available()), (0, shared.size()));
    assert!(shared.contains(shared.base().as_ptr()) && !shared.contains(&raw const shared));
    assert!(format!("{shared:?}").contains("SyncMallocator"));
    assert!(Mallocator::builder().size(0).build_sync().is_err());
}

#[test]
fn a_freed_range_is_gone() {
    // Alone: another thread may be given the range at once.
    common::alone("a_freed_range_is_gone", || {
        let shared = Mallocator::builder().size(100).build_sync().unwrap();
        let place = shared.base().addr().get();
        shared.free().unwrap();
        assert_eq!(common::page_at(place), common::Page::Free);
    });
}
