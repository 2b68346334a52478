//! Vectors and hash maps: each peer through its `Allocator`, under the same collection code.

use std::hint::black_box;
use std::time::{Duration, Instant};

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as ArenaVec;
use hashbrown::{DefaultHashBuilder, HashMap};

use super::{Process, Scale, Section, Task, Workload, for_all};
use crate::peers::Peer;

pub(crate) fn workloads(scale: Scale) -> Vec<Workload> {
    let row = |name, process, unit, units, rounds, entries| Workload {
        name,
        section: Section::Collections,
        process,
        unit,
        units,
        rounds: scale.rounds(rounds),
        entries,
    };
    let (fresh, shared) = (Process::Fresh, Process::Shared);
    let pushes = scale.of(10_000_000, 100_000);
    let inserts = scale.of(1_000_000, 20_000);
    let many = scale.of(100_000_000, 1_000_000);
    vec![
        row("Vec, 10 M u64, cold", fresh, "push", pushes, 11, for_all!(push [] (pushes))),
        row("Vec, 10 M u64, warm", shared, "push", pushes, 15, for_all!(push [] (pushes))),
        row("two Vecs in turn, cold", fresh, "push", pushes, 11, for_all!(push_in_turn [] (pushes))),
        row("hashbrown, 1 M inserts, cold", fresh, "insert", inserts, 15, for_all!(insert [] (inserts))),
        row("hashbrown, 1 M inserts, warm", shared, "insert", inserts, 15, for_all!(insert [] (inserts))),
        row("Vec, 100 M u32, push and sum", fresh, "element", many, 5, for_all!(push_and_sum [] (many))),
    ]
}

/// Passes over one arena, which is made within the time and goes back after each pass.
fn passes<P: Peer + 'static>(mut pass: impl FnMut(&P) + 'static) -> Task {
    let mut peer = None;
    Box::new(move |passes| -> Duration {
        let start = Instant::now();
        for _ in 0..passes {
            let peer = peer.get_or_insert_with(P::create);
            pass(peer);
            peer.reset();
        }
        start.elapsed()
    })
}

pub(crate) fn push<P: Peer + 'static>(count: usize) -> Task {
    passes(move |peer: &P| push_pass(peer.allocator(), count))
}

#[inline(never)]
fn push_pass<A: Allocator>(allocator: A, count: usize) {
    let mut numbers = ArenaVec::new_in(allocator);
    for number in 0..count as u64 {
        numbers.push(number);
    }
    black_box(numbers.as_ptr());
}

fn push_in_turn<P: Peer + 'static>(count: usize) -> Task {
    passes(move |peer: &P| push_in_turn_pass(peer.allocator(), peer.allocator(), count / 2))
}

#[inline(never)]
fn push_in_turn_pass<A: Allocator>(left: A, right: A, count: usize) {
    let (mut left, mut right) = (ArenaVec::new_in(left), ArenaVec::new_in(right));
    for number in 0..count as u64 {
        left.push(number);
        right.push(number);
    }
    black_box((left.as_ptr(), right.as_ptr()));
}

fn insert<P: Peer + 'static>(count: usize) -> Task {
    passes(move |peer: &P| insert_pass(peer.allocator(), count))
}

#[inline(never)]
fn insert_pass<A: Allocator + Clone>(allocator: A, count: usize) {
    let mut map = HashMap::with_hasher_in(DefaultHashBuilder::default(), allocator);
    for number in 0..count as u64 {
        // Odd: every key is another one, and neighbours are far apart.
        map.insert(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number);
    }
    black_box(&map);
}

fn push_and_sum<P: Peer + 'static>(count: usize) -> Task {
    passes(move |peer: &P| push_and_sum_pass(peer.allocator(), count))
}

#[inline(never)]
fn push_and_sum_pass<A: Allocator>(allocator: A, count: usize) {
    let mut numbers = ArenaVec::new_in(allocator);
    for number in 0..count as u32 {
        numbers.push(number);
    }
    let sum: u64 = black_box(&numbers).iter().map(|&number| u64::from(number)).sum();
    let last = count as u64 - 1;
    assert_eq!(sum, last * (last + 1) / 2, "the elements are still there");
}
