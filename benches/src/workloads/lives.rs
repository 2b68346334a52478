//! Arenas that come and go in a loop: created, filled, dropped. And the objects of 64 bytes that they are filled with.

use std::hint::black_box;
use std::ptr::NonNull;
use std::time::Instant;

use super::{Process, Scale, Section, Task, Workload, for_values};
use crate::inputs;
use crate::peers::Values;

/// An object of 64 bytes. It knows the one before it, so that all are reachable and a general allocator can free them.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Line {
    previous: Option<NonNull<Line>>,
    _number: u64,
    _rest: [u64; 6],
}

impl Line {
    #[inline]
    pub(crate) fn new(previous: Option<NonNull<Self>>, number: usize) -> Self {
        Self { previous, _number: number as u64, _rest: [0; 6] }
    }
}

/// Puts in so many objects and returns the last.
#[inline(never)]
pub(crate) fn fill<V: Values<Line>>(values: &V, count: usize) -> Option<NonNull<Line>> {
    let mut last = None;
    for number in 0..count {
        last = Some(values.alloc(Line::new(last, number)));
    }
    black_box(last)
}

/// Gives back what [`fill`] has put in, if that has to be done singly.
#[inline(never)]
pub(crate) fn unfill<V: Values<Line>>(values: &V, mut last: Option<NonNull<Line>>) {
    if V::FREES {
        while let Some(line) = last {
            // SAFETY: `fill` made the chain, and each object is read before it is freed, once.
            unsafe {
                last = line.as_ref().previous;
                values.free(line);
            }
        }
    }
}

/// One arena from its making to its end.
#[inline]
fn live<V: Values<Line>>(count: usize) {
    let values = V::create();
    let last = fill(&values, count);
    unfill(&values, last);
}

pub(crate) fn workloads(scale: Scale) -> Vec<Workload> {
    const SIZES: [(&str, usize); 4] = [
        ("fill and drop, 4 KiB", 4 << 10),
        ("fill and drop, 64 KiB", 64 << 10),
        ("fill and drop, 1 MiB", 1 << 20),
        ("fill and drop, 64 MiB", 64 << 20),
    ];
    let live = |name, unit, units, rounds, entries| Workload {
        name,
        section: Section::Lives,
        process: Process::Own,
        unit,
        units,
        rounds: scale.rounds(rounds),
        entries,
    };
    let creations = scale.of(1000, 100);
    let requests = scale.of(1_000_000, 200);
    let mut all = vec![live(
        "create, 1 allocation, drop",
        "arena",
        creations,
        21,
        for_values!(create [] (creations); u64),
    )];
    for (name, bytes) in SIZES {
        let count = scale.of(bytes, bytes.min(1 << 20)) / size_of::<Line>();
        let rounds = if bytes > 1 << 20 { 15 } else { 21 };
        all.push(live(name, "object", count, rounds, for_values!(fill_and_drop [] (count); Line)));
    }
    all.push(Workload {
        // A million are warm soon enough.
        process: Process::Fresh,
        ..live("requests, 1 to 64 KiB each", "arena", requests, 5, for_values!(serve [] (requests); Line))
    });
    all
}

fn create<V: Values<u64> + 'static>(count: usize) -> Task {
    Box::new(move |passes| {
        let start = Instant::now();
        for _ in 0..passes {
            create_pass::<V>(count);
        }
        start.elapsed()
    })
}

#[inline(never)]
fn create_pass<V: Values<u64>>(count: usize) {
    for number in 0..count {
        let values = V::create();
        let value = black_box(values.alloc(number as u64));
        if V::FREES {
            // SAFETY: it was just put in, and nobody else has it.
            unsafe { values.free(value) };
        }
    }
}

fn fill_and_drop<V: Values<Line> + 'static>(count: usize) -> Task {
    Box::new(move |passes| {
        let start = Instant::now();
        for _ in 0..passes {
            live::<V>(count);
        }
        start.elapsed()
    })
}

/// A server's loop: an arena for each request, whose sizes nobody knows before.
fn serve<V: Values<Line> + 'static>(count: usize) -> Task {
    let sizes = inputs::sizes(count);
    Box::new(move |passes| {
        let start = Instant::now();
        for _ in 0..passes {
            for &size in &sizes {
                live::<V>(size / size_of::<Line>());
            }
        }
        start.elapsed()
    })
}
