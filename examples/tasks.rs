//! Asynchronous tasks that allocate from one arena: what a `&SyncMallocator` is for. A task may move from thread to thread at
//! each `.await`, so what it holds across one has to be `Send`; a `Vec` over a `&Mallocator` is not, one over a
//! `&SyncMallocator` is. `cargo run --release --example tasks`
#![cfg_attr(feature = "nightly", feature(allocator_api))]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use allocator_api2::vec::Vec as ArenaVec;
use mallocator::hashbrown::{DefaultHashBuilder, HashMap};
use mallocator::{Error, Mallocator, SyncMallocator};
use tokio::task::JoinSet;

/// Requests that are in flight at a time.
const REQUESTS: usize = 1000;

fn main() -> Result<(), Error> {
    run()
}

/// Here and in the tests.
pub(crate) fn run() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().expect("threads");
    let mut arena = Arc::new(Mallocator::builder().size(1 << 30).name("requests").build_sync()?);
    for wave in 1..=3 {
        let mut tasks = JoinSet::new();
        for request in 0..REQUESTS {
            let arena = Arc::clone(&arena);
            tasks.spawn_on(send(handle(arena, request)), runtime.handle());
        }
        let answers = runtime.block_on(tasks.join_all());
        let words: usize = answers.iter().map(|answer| answer.words).sum();
        let longest = answers.iter().map(|answer| answer.longest).max().unwrap_or(0);
        println!(
            "wave {wave}: {} requests, {words} different words, the longest list {longest}; {} KiB in the arena",
            answers.len(),
            arena.used() / 1024
        );
        // Every task is done, and so nobody has anything of the arena: all of it goes back at once.
        Arc::get_mut(&mut arena).expect("no task is left").reset();
    }
    costs()
}

/// A task may be sent to another thread at any `.await`: it does not compile otherwise.
fn send<T: Send>(task: T) -> T {
    task
}

struct Answer {
    words: usize,
    longest: usize,
}

/// Counts the words of a request that arrives line by line. The list, the map and the words lie in the arena, and are held
/// across every `.await`.
async fn handle(arena: Arc<SyncMallocator>, request: usize) -> Answer {
    let arena: &SyncMallocator = &arena;
    let mut order = ArenaVec::new_in(arena);
    let mut counts = HashMap::with_hasher_in(DefaultHashBuilder::default(), arena);
    for line in 0..10 {
        let text =
            arena.alloc_fmt(format_args!("request {request} has a line {line} and a line {}", line + 1));
        tokio::task::yield_now().await; // where the next line would be waited for
        for word in text.split(' ') {
            order.push(word);
            *counts.entry(word).or_insert(0_u32) += 1;
        }
    }
    Answer { words: counts.len(), longest: order.len() }
}

/// What an allocation costs when nobody else wants one at that moment.
fn costs() -> Result<(), Error> {
    // A build that is not optimised is no measure.
    const COUNT: u32 = if cfg!(debug_assertions) { 10_000 } else { 1_000_000 };
    let time = |name: &str, mut pass: Box<dyn FnMut() + '_>| {
        let once = |pass: &mut Box<dyn FnMut() + '_>| {
            let start = Instant::now();
            pass();
            start.elapsed()
        };
        let least = (0..9).map(|_| once(&mut pass)).min().unwrap_or_default();
        println!("{name:<44}{:>6.2} ns", least.as_secs_f64() * 1e9 / f64::from(COUNT));
    };
    println!("\na u32, the least of nine times {COUNT}, nobody contends:");
    let mut own = Mallocator::with_size(1 << 24)?;
    let mut shared = Mallocator::builder().size(1 << 24).build_sync()?;
    time(
        "Mallocator::alloc",
        Box::new(|| {
            (0..COUNT).for_each(|number| _ = black_box(own.alloc(number)));
            own.reset();
        }),
    );
    time(
        "SyncMallocator::local, and alloc on that",
        Box::new(|| {
            let arena = shared.local();
            (0..COUNT).for_each(|number| _ = black_box(arena.alloc(number)));
            shared.reset();
        }),
    );
    time(
        "SyncMallocator::alloc",
        Box::new(|| {
            (0..COUNT).for_each(|number| _ = black_box(shared.alloc(number)));
            shared.reset();
        }),
    );
    time("Box::new, and drop", Box::new(|| (0..COUNT).for_each(|number| drop(black_box(Box::new(number))))));
    Ok(())
}
