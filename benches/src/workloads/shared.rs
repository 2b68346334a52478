//! Two threads that fill warm memory: by arenas of their own, by shares of a common one, and by one atomic cursor.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::{share, targets};

use super::lives::{Line, fill, unfill};
use super::threads::together;
use super::{Entry, Process, Scale, Section, Task, Workload, entries};
use crate::peers::{
    Blink, Bump, BumpScope, BumpScope8, Glibc, Jemalloc, Mallocator, Mimalloc, Peer, Snmalloc,
};

pub(crate) fn workloads(scale: Scale) -> Vec<Workload> {
    let count = scale.of(1_000_000, 20_000);
    let mut entries = entries!(own_warm_arenas [] (count);
        Mallocator, Bump, BumpScope, BumpScope8, Blink, Glibc, Mimalloc, Jemalloc, Snmalloc);
    entries.insert(1, Entry { peer: targets::SHARE, task: Box::new(move || shares(count)) });
    entries.insert(2, Entry { peer: "mallocator, batches of one", task: Box::new(move || batches(count)) });
    entries.push(Entry { peer: "mallocator, one cursor", task: Box::new(move || one_cursor_of_ours(count)) });
    entries.push(Entry { peer: "one atomic cursor", task: Box::new(move || one_cursor(count)) });
    vec![Workload {
        name: "2 threads, warm",
        section: Section::Threads,
        process: Process::Shared,
        unit: "object and thread",
        units: count,
        rounds: scale.rounds(15),
        entries,
    }]
}

/// Two arenas, one for each thread, kept and reset. Each is boxed in room of its own, so that no two threads write to one
/// cache line.
fn own_warm_arenas<P: Peer + Send + 'static>(count: usize) -> Task {
    #[repr(align(128))]
    struct Apart<P>(P);

    let arenas = [0, 1].map(|_| Mutex::new(Box::new(Apart(P::create()))));
    Box::new(move |passes| -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..passes {
            total += together(|thread| {
                let mut arena = arenas[thread].lock().expect("no thread panicked");
                let last = fill(&arena.0, count);
                unfill(&arena.0, last);
                arena.0.reset();
            });
        }
        total
    })
}

/// An arena that both threads share, kept and reset, and of which each has a share.
fn shares(count: usize) -> Task {
    let builder = Mallocator::builder().size(1 << 30);
    let mut shared = builder.build_sync().expect("address space");
    Box::new(move |passes| -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..passes {
            total += together(|_| fill_share(shared.try_local(share::BLOCK).expect("memory"), count));
            shared.reset();
        }
        total
    })
}

/// As [`fill`].
#[inline(never)]
fn fill_share(arena: &Mallocator, count: usize) {
    let mut last = None;
    for number in 0..count {
        last = Some(NonNull::from(arena.alloc(Line::new(last, number))));
    }
    black_box(last);
}

/// The same by batches.
fn batches(count: usize) -> Task {
    const BLOCK: usize = 2 << 20;
    let builder = Mallocator::builder().size(1 << 30);
    let mut shared = builder.build_sync().expect("address space");
    Box::new(move |passes| -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..passes {
            total += together(|_| fill_batch(&mut shared.batch(BLOCK), count));
            shared.reset();
        }
        total
    })
}

/// As [`fill`].
#[inline(never)]
fn fill_batch(batch: &mut mallocator::Batch<'_>, count: usize) {
    let mut last = None;
    for number in 0..count {
        last = Some(NonNull::from(batch.alloc(Line::new(last, number))));
    }
    black_box(last);
}

/// The same arena without blocks: every allocation moves the one cursor.
fn one_cursor_of_ours(count: usize) -> Task {
    let builder = Mallocator::builder().size(1 << 30);
    let mut shared = builder.build_sync().expect("address space");
    Box::new(move |passes| -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..passes {
            total += together(|_| {
                for number in 0..count {
                    let object = shared.alloc_layout(Layout::new::<Line>()).cast::<Line>();
                    // SAFETY: the place was just handed out to this call, for the layout.
                    unsafe { object.write(Line::new(None, number)) };
                    black_box(object);
                }
            });
            shared.reset();
        }
        total
    })
}

/// What sharing costs without shares: every allocation moves the one cursor of both threads.
fn one_cursor(count: usize) -> Task {
    let mut room = vec![0u64; 2 * count * size_of::<Line>() / 8];
    let start = room.as_mut_ptr().expose_provenance();
    Box::new(move |passes| -> Duration {
        let mut total = Duration::ZERO;
        for _ in 0..passes {
            let cursor = AtomicUsize::new(start);
            total += together(|_| {
                for number in 0..count {
                    let object = cursor.fetch_add(size_of::<Line>(), Ordering::Relaxed);
                    let words = std::ptr::with_exposed_provenance_mut::<[u64; 8]>(object);
                    // SAFETY: the room is for both threads' objects, and no two calls were given the same one.
                    unsafe { words.write([number as u64; 8]) };
                    black_box(words);
                }
            });
        }
        black_box(&mut room);
        total
    })
}
