//! Shares of one range in several threads at the same time, each with a shadow of its own; at the end all that was handed out
//! lies apart.

use std::ops::Range;

use super::near::Near;
use super::shadow::{Shadow, are_apart};
use super::{Input, Kind, kinds, round};

const THREADS: usize = 3;

/// The first byte says how large the range is, the second how, and after them each thread has its part of the rest. A third
/// byte says what is done between two rounds.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let size = [65_536, 262_144, 1 << 20, 1 << 24][usize::from(input.byte() % 4)];
    let (how, between) = (input.byte(), input.byte());
    let mut shared = kinds::shared(size, how / 32);
    let rest = bytes.get(3..).unwrap_or_default();
    let mut parts = rest.chunks(rest.len().div_ceil(THREADS * (1 + usize::from(between % 2))).max(1));
    loop {
        let work: Vec<&[u8]> = parts.by_ref().take(THREADS).collect();
        if work.is_empty() {
            break;
        }
        let mut taken: Vec<Range<usize>> = std::thread::scope(|threads| {
            let shared = &shared;
            let workers: Vec<_> = (0_u8..)
                .zip(&work)
                .map(|(thread, bytes)| {
                    let block = kinds::block(how.wrapping_add(thread));
                    threads.spawn(move || {
                        let mut shadow = Shadow::new(Kind::Threads);
                        let Ok(arena) = shared.try_local(block) else { return Vec::new() };
                        shadow.cover(arena);
                        let near = Near::new(shared, usize::from(how / 8 % 4));
                        let mut input = Input::new(bytes);
                        while !input.is_empty() {
                            round(arena, Some(&near), &mut input, &mut shadow);
                        }
                        near.check();
                        shadow.check_all(arena);
                        shadow.ranges().collect()
                    })
                })
                .collect();
            let joined = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined
                .flat_map(|taken| taken.unwrap_or_else(|thrown| std::panic::resume_unwind(thrown)))
                .collect()
        });
        taken.sort_unstable_by_key(|range| range.start);
        assert!(are_apart(taken.into_iter()), "overlap");
        assert!(shared.used() <= shared.committed() && shared.committed() <= shared.size());
        shared.reset();
        assert_eq!(shared.used(), 0);
        if between % 4 < 2 {
            shared.trim();
            assert_eq!(shared.committed(), 0);
        }
    }
    shared.free().unwrap();
}
