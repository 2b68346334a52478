//! What is to be reached: the ratio to bumpalo, by workload.

use crate::results::SUBJECT;

/// A ratio that a peer is not to exceed.
pub(crate) struct Target {
    pub(crate) workload: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) ratio: f64,
    /// Why a run may miss it, where that was looked into.
    pub(crate) why: &'static str,
}

impl Target {
    const fn because(mut self, why: &'static str) -> Self {
        self.why = why;
        self
    }

    /// What a row is called.
    pub(crate) fn row(&self) -> String {
        row(self.workload, self.peer)
    }
}

/// What the row of one of ours is called in tables.
pub(crate) fn row(workload: &str, peer: &str) -> String {
    match peer.trim_start_matches(SUBJECT).trim_start_matches([',', ' ']) {
        "" => workload.to_owned(),
        suffix => format!("{workload} ({suffix})"),
    }
}

const fn target(workload: &'static str, peer: &'static str, ratio: f64) -> Target {
    Target { workload, peer, ratio, why: "" }
}

/// The name that [`Mallocator`](mallocator::Mallocator)'s batches have in tables.
pub(crate) const BATCH: &str = "mallocator batch";

/// The name that a thread's share of a [`SyncMallocator`](mallocator::SyncMallocator) has in tables.
pub(crate) const SHARE: &str = "mallocator share";

pub(crate) const TARGETS: &[Target] = &[
    target("alloc(u64)", SUBJECT, 1.0),
    target("alloc(u64)", BATCH, 0.80).because("an object takes 1.5 or 2 cycles by where the loop lies in lines of 64 bytes, 0.65 or 0.86 of bumpalo; as often the one as the other, the median falls between."),
    target("alloc(u64)", SHARE, 1.0),
    target("alloc([u8; 3])", SUBJECT, 0.85).because("three stores an object (the cursor, two bytes, one byte), as in bumpalo; they are the limit: 14 instructions an object with the loop, 16 in bumpalo. From process to process it takes 0.70 to 0.77 ns, bumpalo 0.82 or 0.83."),
    target("alloc([u8; 3])", BATCH, 0.40),
    target("alloc(24 bytes)", SUBJECT, 0.93),
    target("alloc(24 bytes)", BATCH, 0.70).because("three stores an object are all that is left in the loop, and the limit, of 0.56 ns. In one process of six it took 0.80, for as long as that lived: by where its memory happened to lie."),
    target("alloc(24 bytes)", SHARE, 0.93).because("as for the batch: in some processes both take half as long again, for as long as those live."),
    target("runtime layouts", SUBJECT, 0.80),
    target("alloc_str, 3..=12 bytes", SUBJECT, 0.70),
    target("alloc_str, 3..=12 bytes", SHARE, 0.70),
    target("4 KiB blocks, warm", SUBJECT, 0.50).because("the written words are a page apart, so that all of them share the same few sets of the caches: the time is that of bringing lines in, 12 cycles a block for 18 instructions. A loop that writes the same words with no allocator takes 3.2 to 3.3 ns, and with 500 blocks, which fit, 2.4 to 2.6, this arena 2.6."),
    target("create, 1 allocation, drop", SUBJECT, 0.82),
    target("fill and drop, 4 KiB", SUBJECT, 0.58),
    target("fill and drop, 64 KiB", SUBJECT, 0.73).because("six stores an object, at most one and a half in a cycle: writing the same objects into an array takes 0.92 to 0.95 ns."),
    target("fill and drop, 1 MiB", SUBJECT, 0.63),
    target("fill and drop, 64 MiB", SUBJECT, 0.24),
    target("first fill, 1 MiB", SUBJECT, 0.60).because("one huge page is cleared for it, and 128 KiB stay on small pages, so that an arena that stays small costs neither the time nor 2 MiB; without that see `floor` below."),
    target("first fill, 8 MiB", SUBJECT, 0.25).because("the kernel clears a huge page at about 12 GB/s, which is all but a few per cent of the time: a loop over one mapping on huge pages, with no allocator at all (`floor` below), takes about as long. The rest is the first 128 KiB, on small pages."),
    target("first fill, 64 MiB", SUBJECT, 0.25).because("the kernel clears a huge page at about 12 GB/s, which is all but a few per cent of the time: a loop over one mapping on huge pages, with no allocator at all (`floor` below), takes about as long."),
    target("Vec, 10 M u64, cold", SUBJECT, 0.10),
    target("Vec, 10 M u64, warm", SUBJECT, 0.17),
    target("Vec, 10 M u64, warm", SHARE, 0.17),
    target("two Vecs in turn, cold", SUBJECT, 0.21),
    target("hashbrown, 1 M inserts, cold", SUBJECT, 0.43).because("hashing and cache misses are nearly all of it: with memory that costs nothing, as in the warm row, it would be at 0.45 to 0.47."),
    target("hashbrown, 1 M inserts, warm", SUBJECT, 0.97).because("a map allocates twenty times in a million inserts: all peers are within the noise of each other."),
    target("tree of 10 k nodes", SUBJECT, 0.86).because("calls and returns are the time, not allocations, of which each is 6 instructions here and 10 in bumpalo, and the stores of the node. Those come so close that the load of the cursor is ready before what the last node has stored there, and is then repeated: of building, 5.05 ns a node here, 5.1 with a pointer that is moved and never compared, 4.56 in bumpalo, whose cursor lies behind a pointer and is loaded later, and 4.23 where eight additions that change nothing delay the load. Summing takes 1.6 in each. With all of that the target could not be reached."),
    target("binary-trees 20", SUBJECT, 0.80).because("as for the tree above, and the making and dropping of many arenas."),
    target("2 threads, own arena, cold", SUBJECT, 0.56),
    target("2 threads, warm", SHARE, 1.0),
    target("2 threads, warm", "mallocator, batches of one", 0.97),
];

/// The target of a peer in a workload, if there is one.
pub(crate) fn of(workload: &str, peer: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.workload == workload && target.peer == peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::{Scale, all};

    #[test]
    fn every_target_is_of_a_workload() {
        let workloads = all(Scale { quick: true });
        for target in TARGETS {
            assert!(workloads.iter().any(|workload| workload.name == target.workload), "{}", target.workload);
        }
    }

    #[test]
    fn every_workload_has_the_reference_and_a_name_of_its_own() {
        let workloads = all(Scale { quick: true });
        for (index, workload) in workloads.iter().enumerate() {
            let named = |peer| workload.entries.iter().filter(|entry| entry.peer == peer).count();
            assert_eq!((named(crate::results::REFERENCE), named(SUBJECT)), (1, 1), "{}", workload.name);
            assert!(workloads[..index].iter().all(|other| other.name != workload.name), "{}", workload.name);
        }
    }
}
