//! Turns bytes into calls of the public API and holds the outcome against a model: blocks stay apart, aligned, inside and
//! intact, collections do what those of std do, whatever scopes, panics and exhaustion come between, and wherever the arena has
//! its memory from.
//!
//! The first byte says which kind of arena it is: below 64 a reservation of its own, below 160 a thread's share, else lent
//! memory. What is left of it by 4 is the size. The kinds that are not a reservation have a second byte, for details; what
//! follows has the same meaning for all.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use mallocator::Mallocator;

use super::Input;
use frame::{Frame, Level};
use near::Near;
use shadow::Shadow;

mod frame;
mod kinds;
mod near;
mod shadow;
pub mod threads;

/// Scopes are nested no deeper.
const DEPTH: usize = 8;

/// Where an arena has its memory from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A reservation of its own.
    Own,
    /// Blocks of what threads share, in this thread alone.
    Share,
    /// A slice, a box, a block of another arena.
    Lent,
    /// Shares in several threads at the same time.
    Threads,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Own, Self::Share, Self::Lent, Self::Threads];

    /// Which kind these bytes are for.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes.first() {
            None | Some(..64) => Self::Own,
            Some(64..160) => Self::Share,
            Some(160..) => Self::Lent,
        }
    }
}

/// How many calls of the API were made, by all runs, of each kind.
static CALLS: [AtomicU64; Kind::ALL.len()] = [const { AtomicU64::new(0) }; Kind::ALL.len()];

/// How many calls of the API were made, of each kind.
pub fn calls() -> [(Kind, u64); Kind::ALL.len()] {
    Kind::ALL.map(|kind| (kind, CALLS[kind as usize].load(Ordering::Relaxed)))
}

/// Says how many calls were made, of each kind, once in a million.
pub fn say_calls() {
    static SAID: AtomicU64 = AtomicU64::new(0);
    let calls = calls();
    let all = calls.iter().map(|(_, calls)| calls).sum();
    if all >= SAID.load(Ordering::Relaxed) + 1_000_000 {
        SAID.store(all, Ordering::Relaxed);
        eprintln!("{all} calls: {calls:?}");
    }
}

/// One run: `bytes` decide everything.
pub fn run(bytes: &[u8]) {
    run_as(Kind::of(bytes), bytes);
}

/// The same with another kind of arena than the first byte says.
pub fn run_as(kind: Kind, bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let size = [4096, 65_536, 262_144, 1 << 24][usize::from(input.byte() % 4)];
    let mut shadow = Shadow::new(kind);
    match kind {
        Kind::Own => kinds::own(size, &mut input, &mut shadow),
        Kind::Share => kinds::share(size, &mut input, &mut shadow),
        Kind::Lent => kinds::lent(size, &mut input, &mut shadow),
        Kind::Threads => threads::run(bytes),
    }
}

/// From an arena with nothing in it to where the input says that it is at its end.
fn round(arena: &Mallocator, near: Option<&Near<'_>>, input: &mut Input<'_>, shadow: &mut Shadow) {
    caught(|| level(arena, near, input, shadow, &mut []));
    shadow.check_all(arena);
}

/// What a driven panic carries.
struct Thrown;

/// Lets panics pass that are none of the driven ones.
fn caught(act: impl FnOnce()) {
    if let Err(thrown) = catch_unwind(AssertUnwindSafe(act)) {
        if !thrown.is::<Thrown>() {
            resume_unwind(thrown);
        }
    }
}

/// Runs one arena or view until the input says that it ends.
fn level(
    arena: &Mallocator,
    near: Option<&Near<'_>>,
    input: &mut Input<'_>,
    shadow: &mut Shadow,
    outer: &mut [&mut dyn Level],
) {
    let depth = outer.len();
    let mut frame = Frame::new(arena, near, depth);
    let mut levels: Vec<&mut dyn Level> =
        outer.iter_mut().map(|level| &mut **level as &mut dyn Level).collect();
    levels.push(&mut frame);
    while !input.is_empty() {
        match input.byte() {
            // Into a scope, opened on any of the arenas on the way.
            0..=15 if depth + 1 < DEPTH => {
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    arena.scope(|view| {
                        let outcome =
                            catch_unwind(AssertUnwindSafe(|| level(view, near, input, shadow, &mut levels)));
                        // While its blocks are there; a panic then goes on through the scope.
                        shadow.check_level(arena, depth + 1);
                        outcome.unwrap_or_else(|thrown| resume_unwind(thrown));
                    });
                }));
                shadow.count();
                shadow.forget(depth + 1);
                caught(|| outcome.unwrap_or_else(|thrown| resume_unwind(thrown)));
            }
            16..=23 => break,
            24..=25 => resume_unwind(Box::new(Thrown)),
            26..=89 => {
                let which = usize::from(input.byte()) % levels.len();
                levels[which].act(input, shadow);
            }
            _ => levels[depth].act(input, shadow),
        }
    }
    drop(levels);
    frame.check();
}
