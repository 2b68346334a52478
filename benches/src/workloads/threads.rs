//! Two threads, each with an arena of its own.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::lives::{Line, fill};
use super::{Process, Scale, Section, Task, Workload, for_values};
use crate::peers::Values;

pub(crate) fn workloads(scale: Scale) -> Vec<Workload> {
    let count = scale.of(1_000_000, 20_000);
    vec![Workload {
        name: "2 threads, own arena, cold",
        section: Section::Threads,
        process: Process::Fresh,
        unit: "object and thread",
        units: count,
        rounds: scale.rounds(15),
        entries: for_values!(own_arenas [] (count); Line),
    }]
}

/// Runs the same on two threads that begin together, telling each its number, and returns the time of the slower.
pub(crate) fn together(run: impl Fn(usize) + Sync) -> Duration {
    let barrier = Barrier::new(2);
    let timed = |thread| {
        barrier.wait();
        let start = Instant::now();
        run(thread);
        start.elapsed()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| timed(1));
        let this = timed(0);
        this.max(other.join().expect("the other thread runs to its end"))
    })
}

fn own_arenas<V: Values<Line> + 'static>(count: usize) -> Task {
    Box::new(move |passes| {
        (0..passes)
            .map(|_| {
                together(|_| {
                    let values = V::create();
                    fill(&values, count);
                    std::mem::forget(values);
                })
            })
            .sum()
    })
}
