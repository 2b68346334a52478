//! The first fill of a process: nothing was ever touched, so the system has to hand over every page.

use std::time::Instant;

use super::lives::{Line, fill};
use super::{Process, Scale, Section, Task, Workload, entry, for_values};
use crate::peers::{HugePages, Values};

pub(crate) fn workloads(scale: Scale) -> Vec<Workload> {
    const SIZES: [(&str, usize); 3] =
        [("first fill, 1 MiB", 1 << 20), ("first fill, 8 MiB", 8 << 20), ("first fill, 64 MiB", 64 << 20)];
    SIZES
        .into_iter()
        .map(|(name, bytes)| {
            let count = scale.of(bytes, bytes.min(1 << 20)) / size_of::<Line>();
            let mut entries = for_values!(first_fill [] (count); Line);
            entries.push(entry!(HugePages, first_fill [] (count)));
            Workload {
                name,
                section: Section::Fresh,
                process: Process::Fresh,
                unit: "object",
                units: count,
                rounds: scale.rounds(21),
                entries,
            }
        })
        .collect()
}

/// The making of the arena counts, its end does not: the process ends with it.
fn first_fill<V: Values<Line> + 'static>(count: usize) -> Task {
    Box::new(move |passes| {
        let start = Instant::now();
        for _ in 0..passes {
            let values = V::create();
            fill(&values, count);
            std::mem::forget(values);
        }
        start.elapsed()
    })
}
