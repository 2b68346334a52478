//! What is measured: the list of workloads, each with the peers it applies to.

mod cold;
pub(crate) mod collections;
pub(crate) mod hot;
pub(crate) mod lives;
mod shared;
mod threads;
mod trees;

use std::time::Duration;

/// Runs a workload so many times on what it has set up, and says how long that took, set-up and input not counted.
pub(crate) type Task = Box<dyn FnMut(u64) -> Duration>;

/// In which part of the report a workload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Hot,
    HotFallible,
    Blocks,
    Lives,
    Fresh,
    Collections,
    Programs,
    Threads,
}

impl Section {
    pub(crate) const ALL: [Self; 8] = [
        Self::Hot,
        Self::HotFallible,
        Self::Blocks,
        Self::Lives,
        Self::Fresh,
        Self::Collections,
        Self::Programs,
        Self::Threads,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Hot => "Single values, warm",
            Self::HotFallible => "Single values, warm, through the methods that return an error",
            Self::Blocks => "Layouts, strings, blocks, warm",
            Self::Lives => "Arenas that come and go",
            Self::Fresh => "First fill in a fresh process",
            Self::Collections => "Collections",
            Self::Programs => "Trees",
            Self::Threads => "Two threads",
        }
    }
}

/// Where the rounds of a workload run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    /// All peers in one process, turn by turn, each on memory it has used before.
    Shared,
    /// Each round of each peer in a process of its own.
    Fresh,
    /// The same, after a warm-up. Where memory comes from the heap and goes back to it, what a program has of it afterwards
    /// depends on what else lies there, which is not to be another peer's.
    Own,
}

impl Process {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Shared => "warm, in one process",
            Self::Fresh => "each in a fresh process",
            Self::Own => "each in a process of its own, warm",
        }
    }
}

/// One peer's part in a workload.
pub(crate) struct Entry {
    pub(crate) peer: &'static str,
    /// Sets up.
    pub(crate) task: Box<dyn Fn() -> Task>,
}

/// One row of the report.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) section: Section,
    pub(crate) process: Process,
    /// What one unit is, for "nanoseconds a ...".
    pub(crate) unit: &'static str,
    /// How many units a pass has.
    pub(crate) units: usize,
    pub(crate) rounds: u32,
    pub(crate) entries: Vec<Entry>,
}

/// The full size, or one that is enough to see that everything runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) quick: bool,
}

impl Scale {
    pub(crate) fn of(self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    pub(crate) fn rounds(self, full: u32) -> u32 {
        if self.quick { 3 } else { full }
    }
}

/// One peer's entry, for `entries!`.
macro_rules! entry {
    ($peer:ty, $task:ident [$($extra:ty),*] ($($argument:expr),*)) => {
        $crate::workloads::Entry {
            peer: <$peer as $crate::peers::Named>::NAME,
            task: Box::new(move || $task::<$peer, $($extra),*>($($argument),*)),
        }
    };
}

/// `entries!(task [extra types] (arguments); peers)`: one entry for each peer, all from the one generic function.
macro_rules! entries {
    ($task:ident $extra:tt $arguments:tt; $($peer:ty),+ $(,)?) => {
        vec![$($crate::workloads::entry!($peer, $task $extra $arguments)),+]
    };
}

/// The same with every peer that takes values of every type.
macro_rules! for_all {
    ($task:ident $extra:tt $arguments:tt) => {
        $crate::workloads::entries!($task $extra $arguments;
            $crate::peers::Mallocator, $crate::peers::Bump, $crate::peers::BumpScope, $crate::peers::BumpScope8,
            $crate::peers::Blink, $crate::peers::Glibc, $crate::peers::Mimalloc, $crate::peers::Jemalloc,
            $crate::peers::Snmalloc)
    };
}

/// The same, and typed-arena for values of one type.
macro_rules! for_values {
    ($task:ident $extra:tt $arguments:tt; $value:ty) => {
        $crate::workloads::entries!($task $extra $arguments;
            $crate::peers::Mallocator, $crate::peers::Bump, $crate::peers::BumpScope, $crate::peers::BumpScope8,
            $crate::peers::Blink, $crate::peers::TypedArena<$value>, $crate::peers::Glibc, $crate::peers::Mimalloc,
            $crate::peers::Jemalloc, $crate::peers::Snmalloc)
    };
}

pub(crate) use {entries, entry, for_all, for_values};

/// Every workload, in the order of the report.
pub(crate) fn all(scale: Scale) -> Vec<Workload> {
    let parts = [hot::workloads, lives::workloads, cold::workloads, collections::workloads, trees::workloads];
    let mut all: Vec<Workload> = parts.iter().flat_map(|part| part(scale)).collect();
    all.extend(threads::workloads(scale));
    all.extend(shared::workloads(scale));
    crate::share::join(&mut all);
    crate::batch::join(&mut all);
    all
}
