//! Trees of small nodes: one that is built, summed and dropped, and the program "binary-trees" of the benchmarks game.

use std::hint::black_box;
use std::ptr::NonNull;
use std::time::Instant;

use super::{Process, Scale, Section, Task, Workload, for_values};
use crate::peers::Values;

#[derive(Clone, Copy)]
struct Node {
    left: Option<NonNull<Node>>,
    right: Option<NonNull<Node>>,
    value: u64,
}

#[derive(Clone, Copy)]
struct Pair {
    children: Option<(NonNull<Pair>, NonNull<Pair>)>,
}

pub(crate) fn workloads(scale: Scale) -> Vec<Workload> {
    let nodes = scale.of(10_000, 1000);
    let depth = scale.of(20, 10);
    vec![
        Workload {
            name: "tree of 10 k nodes",
            section: Section::Programs,
            process: Process::Shared,
            unit: "node",
            units: nodes,
            rounds: scale.rounds(21),
            entries: for_values!(tree [] (nodes); Node),
        },
        Workload {
            name: "binary-trees 20",
            section: Section::Programs,
            process: Process::Shared,
            unit: "run",
            units: 1,
            rounds: scale.rounds(5),
            entries: for_values!(binary_trees [] (depth); Pair),
        },
    ]
}

fn tree<V: Values<Node> + 'static>(nodes: usize) -> Task {
    let mut values = V::create();
    Box::new(move |passes| {
        let start = Instant::now();
        for _ in 0..passes {
            let root = build(&values, 0, nodes as u64);
            let expected = (nodes as u64 - 1) * nodes as u64 / 2;
            assert_eq!(sum(black_box(root)), expected, "every node is there");
            if V::FREES {
                fell(&values, root);
            }
            values.reset();
        }
        start.elapsed()
    })
}

/// The nodes of the values from `first` to before `end`.
#[inline(never)]
fn build<V: Values<Node>>(values: &V, first: u64, end: u64) -> Option<NonNull<Node>> {
    if first == end {
        return None;
    }
    let middle = first + (end - first) / 2;
    let left = build(values, first, middle);
    let right = build(values, middle + 1, end);
    Some(values.alloc(Node { left, right, value: middle }))
}

fn sum(node: Option<NonNull<Node>>) -> u64 {
    node.map_or(0, |node| {
        // SAFETY: `build` made the tree, which lives until the end of the pass.
        let node = unsafe { node.as_ref() };
        sum(node.left) + node.value + sum(node.right)
    })
}

fn fell<V: Values<Node>>(values: &V, node: Option<NonNull<Node>>) {
    if let Some(node) = node {
        // SAFETY: `build` made the tree, and each node is read before it is freed, once.
        unsafe {
            let Node { left, right, .. } = node.read();
            fell(values, left);
            fell(values, right);
            values.free(node);
        }
    }
}

/// <https://benchmarksgame-team.pages.debian.net/benchmarksgame/description/binarytrees.html>, on one thread: an arena for
/// each tree that is dropped, as the programs with arenas there have.
fn binary_trees<V: Values<Pair> + 'static>(depth: usize) -> Task {
    Box::new(move |passes| {
        let start = Instant::now();
        for _ in 0..passes {
            binary_trees_pass::<V>(depth);
        }
        start.elapsed()
    })
}

#[inline(never)]
fn binary_trees_pass<V: Values<Pair>>(depth: usize) {
    const LEAST: usize = 4;
    let depth = depth.max(LEAST + 2);
    black_box(plant_and_fell::<V>(depth + 1));
    let long_lived = V::create();
    let long_lived_root = grow(&long_lived, depth);
    for tree in (LEAST..=depth).step_by(2) {
        let trees = 1 << (depth - tree + LEAST);
        let nodes: u64 = (0..trees).map(|_| plant_and_fell::<V>(tree)).sum();
        assert_eq!(nodes, trees * ((2 << tree) - 1), "every node is there");
    }
    black_box(count(long_lived_root));
    if V::FREES {
        uproot(&long_lived, long_lived_root);
    }
}

fn plant_and_fell<V: Values<Pair>>(depth: usize) -> u64 {
    let values = V::create();
    let root = grow(&values, depth);
    let nodes = count(root);
    if V::FREES {
        uproot(&values, root);
    }
    nodes
}

#[inline(never)]
fn grow<V: Values<Pair>>(values: &V, depth: usize) -> NonNull<Pair> {
    let children = (depth > 0).then(|| (grow(values, depth - 1), grow(values, depth - 1)));
    values.alloc(Pair { children })
}

fn count(root: NonNull<Pair>) -> u64 {
    // SAFETY: `grow` made the tree, which is still there.
    match unsafe { root.as_ref() }.children {
        Some((left, right)) => 1 + count(left) + count(right),
        None => 1,
    }
}

fn uproot<V: Values<Pair>>(values: &V, root: NonNull<Pair>) {
    // SAFETY: `grow` made the tree, and each node is read before it is freed, once.
    unsafe {
        if let Some((left, right)) = root.read().children {
            uproot(values, left);
            uproot(values, right);
        }
        values.free(root);
    }
}
