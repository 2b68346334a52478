//! What is to be reached: the ratio to bumpalo, by workload.

/// A ratio that a peer is not to exceed.
pub(crate) struct Target {
    pub(crate) workload: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) ratio: f64,
}

const fn target(workload: &'static str, peer: &'static str, ratio: f64) -> Target {
    Target { workload, peer, ratio }
}

/// The name that [`Mallocator`](mallocator::Mallocator)'s batches have in tables.
pub(crate) const BATCH: &str = "mallocator batch";

use crate::results::SUBJECT;

pub(crate) const TARGETS: &[Target] = &[
    target("alloc(u64)", SUBJECT, 1.0),
    target("alloc(u64)", BATCH, 0.80),
    target("alloc([u8; 3])", SUBJECT, 0.85),
    target("alloc([u8; 3])", BATCH, 0.40),
    target("alloc(24 bytes)", SUBJECT, 0.93),
    target("alloc(24 bytes)", BATCH, 0.70),
    target("runtime layouts", SUBJECT, 0.80),
    target("alloc_str, 3..=12 bytes", SUBJECT, 0.70),
    target("4 KiB blocks, warm", SUBJECT, 0.50),
    target("create, 1 allocation, drop", SUBJECT, 0.82),
    target("fill and drop, 4 KiB", SUBJECT, 0.58),
    target("fill and drop, 64 KiB", SUBJECT, 0.73),
    target("fill and drop, 1 MiB", SUBJECT, 0.63),
    target("fill and drop, 64 MiB", SUBJECT, 0.24),
    target("first fill, 1 MiB", SUBJECT, 0.60),
    target("first fill, 8 MiB", SUBJECT, 0.25),
    target("first fill, 64 MiB", SUBJECT, 0.25),
    target("Vec, 10 M u64, cold", SUBJECT, 0.10),
    target("Vec, 10 M u64, warm", SUBJECT, 0.17),
    target("two Vecs in turn, cold", SUBJECT, 0.21),
    target("hashbrown, 1 M inserts, cold", SUBJECT, 0.43),
    target("hashbrown, 1 M inserts, warm", SUBJECT, 0.97),
    target("tree of 10 k nodes", SUBJECT, 0.86),
    target("binary-trees 20", SUBJECT, 0.80),
    target("2 threads, own arena, cold", SUBJECT, 0.56),
    target("2 threads, warm", "mallocator, shared", 0.97),
];

/// The target of a peer in a workload, if there is one.
pub(crate) fn of(workload: &str, peer: &str) -> Option<f64> {
    TARGETS
        .iter()
        .find(|target| target.workload == workload && target.peer == peer)
        .map(|target| target.ratio)
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
