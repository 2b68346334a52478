//! How cost grows: with the size of one arena, and with the number of live ones. Every point is a fresh process.

use std::time::{Duration, Instant};

use crate::children::{Answer, Errand};
use crate::machine::{Memory, touch_memory};
use crate::peers::{Bump, BumpScope, Glibc, Mallocator, Named, Values};
use crate::results::Point;
use crate::rounds::order;
use crate::workloads::lives::{Line, fill};

/// What a chart's x axis is, and what stands on it.
pub(crate) struct Growth {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<u64>,
}

pub(crate) const BY_SIZE: &str = "by size";
pub(crate) const BY_ARENAS: &str = "by arenas";

/// How much each of many arenas holds.
const EACH: usize = 4096;

/// How much address space each of many Mallocators reserves: 10,000 of the default 64 GiB are more than a process has.
const RESERVED: usize = 1 << 20;

pub(crate) fn all(quick: bool) -> [Growth; 2] {
    let (largest, step, most) = if quick { (26, 4, 100) } else { (33, 1, 10_000) };
    [
        Growth { name: BY_SIZE, steps: (10..=largest).step_by(step).map(|power| 1 << power).collect() },
        Growth {
            name: BY_ARENAS,
            steps: [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000].into_iter().filter(|&n| n <= most).collect(),
        },
    ]
}

type Run = fn(&str, u64) -> Result<Answer, String>;

/// The peers of the charts, in the order of their legends.
const PEERS: [(&str, Run); 4] = [
    (Mallocator::NAME, run_peer::<Mallocator>),
    (Bump::NAME, run_peer::<Bump>),
    (BumpScope::NAME, run_peer::<BumpScope>),
    (Glibc::NAME, run_peer::<Glibc>),
];

pub(crate) fn peers() -> impl Iterator<Item = &'static str> {
    PEERS.iter().map(|(peer, _)| *peer)
}

/// The rounds of a point: fewer where each takes seconds.
pub(crate) fn rounds(name: &str, at: u64, quick: bool) -> u32 {
    match (quick, name) {
        (true, _) => 1,
        (_, BY_SIZE) if at > 2 << 30 => 1,
        (_, BY_SIZE) if at > 256 << 20 => 2,
        _ => 5,
    }
}

/// Measures one point of all peers, their rounds interleaved.
///
/// # Errors
/// A child that fails.
pub(crate) fn measure(name: &str, at: u64, quick: bool) -> Result<Vec<Point>, String> {
    let mut points: Vec<Point> = peers()
        .map(|peer| Point { peer, at, nanoseconds: Vec::new(), peak_bytes: u64::MAX, end_bytes: u64::MAX })
        .collect();
    for round in 0..rounds(name, at, quick) as usize {
        for place in order(round, points.len()) {
            let point = &mut points[place];
            if !quick {
                // General allocators take a third more than is stored.
                touch_memory(if name == BY_SIZE { at + at / 3 } else { 0 } + (256 << 20));
            }
            let Answer { nanoseconds, memory } = Errand::Growth { name, peer: point.peer, at }.run()?;
            point.nanoseconds.push(nanoseconds);
            // The least of the rounds: what the system adds of its own differs from process to process.
            point.peak_bytes = point.peak_bytes.min(memory.peak);
            point.end_bytes = point.end_bytes.min(memory.anonymous);
        }
    }
    Ok(points)
}

/// The child's side: one point of one peer.
///
/// # Errors
/// A peer or a chart that there is not.
pub(crate) fn run(name: &str, peer: &str, at: u64) -> Result<Answer, String> {
    let (_, run) = PEERS
        .iter()
        .find(|(name, _)| *name == peer)
        .ok_or_else(|| format!("there is no chart with {peer}"))?;
    run(name, at)
}

/// One of many arenas: made for little where a peer can be told.
trait Small: Values<Line> {
    fn small() -> Self {
        Self::create()
    }
}

impl Small for Mallocator {
    fn small() -> Self {
        Mallocator::with_size(RESERVED).expect("address space for one more arena")
    }
}

impl Small for Bump {}
impl Small for BumpScope {}
impl Small for Glibc {}

fn run_peer<V: Small>(name: &str, at: u64) -> Result<Answer, String> {
    match name {
        BY_SIZE => one_arena::<V>(at as usize / size_of::<Line>()),
        BY_ARENAS => many_arenas::<V>(at as usize),
        _ => Err(format!("there is no chart {name:?}")),
    }
}

fn one_arena<V: Small>(objects: usize) -> Result<Answer, String> {
    let before = Memory::before()?;
    let start = Instant::now();
    let values = V::create();
    fill(&values, objects);
    let answer = answer(start.elapsed(), before);
    drop(values);
    answer
}

fn many_arenas<V: Small>(count: usize) -> Result<Answer, String> {
    let mut arenas = Vec::with_capacity(count);
    let before = Memory::before()?;
    let start = Instant::now();
    for _ in 0..count {
        let values = V::small();
        fill(&values, EACH / size_of::<Line>());
        arenas.push(values);
    }
    let answer = answer(start.elapsed(), before);
    drop(arenas);
    answer
}

/// The memory is read while everything is still there.
fn answer(time: Duration, before: Memory) -> Result<Answer, String> {
    Ok(Answer { nanoseconds: time.as_nanos() as f64, memory: Memory::since(before)? })
}
