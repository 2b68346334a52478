//! An arena that threads share, under load, for real: so many allocations as `MALLOCATOR_STRESS` says.
//!
//! Every thread writes to what it gets, and when all have ended looks at it, and every block is held against those of the
//! others. In rounds, with a reset between, so that the number is not bounded by memory.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod common;

use std::alloc::Layout;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;

use allocator_api2::vec::Vec as AllocatorVec;
use mallocator::{Error, HugePages, Mallocator, SyncMallocator};

const THREADS: usize = 8;

/// Allocations of a thread in a round.
const EACH: usize = 25_000;

/// How many allocations are made in all.
fn allocations() -> usize {
    std::env::var("MALLOCATOR_STRESS").map_or(THREADS * EACH * 3, |number| number.parse().unwrap())
}

/// A block: where it begins, from the base on, and its size. What was written to it follows from these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Block(u64);

impl Block {
    const SIZE_BITS: u32 = 24;

    fn new(offset: usize, size: usize) -> Self {
        assert!(size < 1 << Self::SIZE_BITS && offset < 1 << 40);
        Self((offset as u64) << Self::SIZE_BITS | size as u64)
    }

    fn start(self) -> usize {
        usize::try_from(self.0 >> Self::SIZE_BITS).unwrap()
    }

    fn size(self) -> usize {
        usize::try_from(self.0 % (1 << Self::SIZE_BITS)).unwrap()
    }

    fn pattern(self, thread: usize) -> u8 {
        let hash = (self.0 ^ thread as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        u8::try_from(hash >> 56).unwrap()
    }
}

/// A thread of a round, and what it was given.
struct Worker<'a> {
    shared: &'a SyncMallocator,
    thread: usize,
    random: u64,
    blocks: &'a mut Vec<Block>,
    refused: usize,
}

impl Worker<'_> {
    fn random(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 33).unwrap() % below
    }

    fn layout(&mut self) -> Layout {
        // Few are large.
        let most = [16, 40, 40, 80, 80, 80, 80, 1000][self.random(8)];
        Layout::from_size_align(self.random(most) + 1, 1 << self.random(5)).unwrap()
    }

    /// Writes to the block, and keeps it for the end.
    fn own(&mut self, start: *mut u8, size: usize) {
        let block = Block::new(start.addr() - self.shared.base().addr().get(), size);
        // SAFETY: the block is this thread's.
        unsafe { start.write_bytes(block.pattern(self.thread), size) };
        self.blocks.push(block);
    }

    /// Until it is granted, where the system may refuse.
    fn insist<R>(&mut self, mut call: impl FnMut() -> Result<R, Error>) -> R {
        loop {
            match call() {
                Ok(granted) => return granted,
                Err(Error::Os(_)) => self.refused += 1,
                Err(other) => panic!("{other}"),
            }
            std::thread::yield_now();
        }
    }

    fn allocate_from(&mut self, arena: &Mallocator, number: usize) {
        for _ in 0..number {
            let layout = self.layout();
            let block = self.insist(|| arena.try_alloc_layout(layout));
            assert_eq!(block.addr().get() % layout.align(), 0);
            self.own(block.as_ptr(), layout.size());
        }
    }

    fn work(&mut self) {
        let shared = self.shared;
        let mut share = None;
        while self.blocks.len() < EACH {
            match self.random(100) {
                // Of a share that is used again and again, and of new ones.
                0..50 => {
                    let block = self.random(2000);
                    let arena = match share {
                        Some(arena) => arena,
                        None => self.insist(|| shared.try_local(block)),
                    };
                    share = (self.random(100) > 0).then_some(arena);
                    self.allocate_from(arena, 10);
                    arena.scope(|scratch| self.insist(|| scratch.try_alloc([0_u64; 10]).map(|_| ())));
                }
                50..95 => {
                    let layout = self.layout();
                    let block = self.insist(|| shared.try_alloc_layout(layout));
                    assert_eq!(block.addr().get() % layout.align(), 0);
                    self.own(block.as_ptr(), layout.size());
                }
                95..98 => {
                    let numbers = self.insist(|| shared.try_alloc_slice_fill_copy(4, 7_u64));
                    assert_eq!(numbers, [7; 4]);
                    self.own(numbers.as_mut_ptr().cast(), 32);
                }
                _ => {
                    let mut bytes = AllocatorVec::new_in(shared);
                    let len = self.random(500) + 1;
                    while bytes.len() < len {
                        let room = self.random(20) + 1;
                        while bytes.try_reserve(room).is_err() {
                            self.refused += 1;
                            std::thread::yield_now();
                        }
                        bytes.extend((0..room).map(|_| 7_u8));
                    }
                    assert!(bytes.iter().all(|&byte| byte == 7), "a vector that grew has lost something");
                    let bytes = bytes.leak();
                    self.own(bytes.as_mut_ptr(), bytes.len());
                }
            }
        }
    }

    /// Whether all that was written is there.
    fn look(&self) {
        for &block in &*self.blocks {
            let start = self.shared.base().as_ptr().wrapping_add(block.start());
            // SAFETY: the block is this thread's, and was written.
            let bytes = unsafe { std::slice::from_raw_parts(start, block.size()) };
            let pattern = block.pattern(self.thread);
            assert!(bytes.iter().all(|&byte| byte == pattern), "a block was changed");
        }
    }
}

/// One round: all threads at the same time, when `meanwhile` lets them begin, which goes on beside them until it is told to stop.
/// Says how often the system refused.
fn round(
    shared: &SyncMallocator,
    kept: &mut [Vec<Block>],
    number: usize,
    meanwhile: impl FnOnce(&dyn Fn(), &AtomicBool) + Send,
) -> usize {
    let (start, begin) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let stop = AtomicBool::new(false);
    let seed = |thread: usize| ((number * THREADS + thread + 1) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut workers: Vec<_> = kept
        .iter_mut()
        .enumerate()
        .map(|(thread, blocks)| {
            blocks.clear();
            Worker { shared, thread, random: seed(thread), blocks, refused: 0 }
        })
        .collect();
    std::thread::scope(|threads| {
        let running: Vec<_> = workers
            .iter_mut()
            .map(|worker| {
                threads.spawn(|| {
                    start.wait();
                    begin.wait();
                    worker.work();
                })
            })
            .collect();
        threads.spawn(|| {
            start.wait();
            meanwhile(&|| _ = begin.wait(), &stop);
        });
        let ended: Vec<_> = running.into_iter().map(ScopedJoinHandle::join).collect();
        // Whatever became of them, or this would wait for ever.
        stop.store(true, Ordering::Relaxed);
        for outcome in ended {
            outcome.unwrap();
        }
    });
    std::thread::scope(|threads| {
        for worker in &workers {
            threads.spawn(|| worker.look());
        }
    });
    workers.iter().map(|worker| worker.refused).sum()
}

/// As many rounds as `allocations` take. Says how many were made, and how often the system refused.
fn stress(allocations: usize, meanwhile: impl Fn(&dyn Fn(), &AtomicBool) + Sync) -> (usize, usize) {
    let builder = Mallocator::builder().size(1 << 28).huge_pages(HugePages::Never).build_sync();
    let mut shared = builder.unwrap();
    // Made once, with room for all: where the system refuses an arena, it refuses the heap as well.
    let room = EACH + 16;
    let mut kept: Vec<Vec<Block>> = (0..THREADS).map(|_| Vec::with_capacity(room)).collect();
    let mut all = Vec::with_capacity(THREADS * room);
    let (mut made, mut refused) = (0, 0);
    for number in 0..allocations.div_ceil(THREADS * EACH) {
        refused += round(&shared, &mut kept, number, &meanwhile);
        all.clear();
        all.extend(kept.iter().flatten());
        all.sort_unstable();
        let apart = |pair: &[Block]| pair[0].start() + pair[0].size() <= pair[1].start();
        assert!(all.windows(2).all(apart), "blocks overlap");
        let taken: usize = all.iter().map(|block| block.size()).sum();
        assert!(taken <= shared.used() && shared.used() <= shared.committed());
        made += all.len();
        shared.reset();
        shared.trim();
    }
    println!("{made} allocations, {refused} refusals");
    (made, refused)
}

#[test]
fn what_many_threads_take_is_apart_and_keeps_what_is_in_it() {
    let wanted = allocations();
    let (made, refused) = stress(wanted, |begin, _| begin());
    assert!(made >= wanted && refused == 0);
}

/// What is writable counts as data on Linux, so the commits are refused for a while, again and again.
#[cfg(target_os = "linux")]
#[test]
fn what_the_system_refuses_now_and_grants_later_is_lost_to_nobody() {
    use std::thread::sleep;
    use std::time::Duration;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    common::alone("what_the_system_refuses_now_and_grants_later_is_lost_to_nobody", || {
        let usual = getrlimit(Resource::Data);
        let nothing = Rlimit { current: Some(1), maximum: usual.maximum };
        let wanted = allocations().div_ceil(2);
        let (made, refused) = stress(wanted, |begin, stop| {
            setrlimit(Resource::Data, nothing).unwrap();
            // Nobody has enough to end before more is granted.
            begin();
            loop {
                sleep(Duration::from_millis(2));
                setrlimit(Resource::Data, usual).unwrap();
                sleep(Duration::from_millis(1));
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                setrlimit(Resource::Data, nothing).unwrap();
            }
        });
        assert!(made >= wanted && refused > 0);
    });
}
