//! Every combination of what a builder can be asked: what is granted is as it was asked for, and can be used as it says;
//! what is refused has a reason.
//!
//! A new option is a function like those in [`choose`], a line in its list, and, where it can be seen, a field of [`Asked`]
//! and a check.

mod check;
mod choose;
mod share;
mod using;

use mallocator::{
    HugePages, Mallocator, OnFork, PAGE_GRANULARITY, Protection, allocation_granularity, page_size,
};

use super::Input;
use crate::common::page_at;
use choose::OPTIONS;
use using::Using;

/// No more is ever committed of an arena, but for huge pages.
const MOST: usize = 1 << 20;

/// What was asked for.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question with two answers")]
struct Asked {
    size: usize,
    protection: Protection,
    place: Place,
    huge_pages: HugePages,
    name: Option<String>,
    guard_pages: bool,
    lock: bool,
    exclude_from_dumps: bool,
    on_fork: OnFork,
    zero_on_release: bool,
    debug_fill: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Anywhere,
    At(usize),
    Near { address: usize, distance: usize },
}

impl Asked {
    /// How many bytes are reserved before the range.
    fn before(&self) -> usize {
        if self.guard_pages { allocation_granularity() } else { 0 }
    }
}

/// What a run has left behind so far.
struct Run {
    /// Arenas that are kept to be in the way.
    others: Vec<Mallocator>,
    /// Where one was that is gone.
    gone: usize,
}

trait Addr {
    fn addr(&self) -> usize;
}

impl Addr for Mallocator {
    fn addr(&self) -> usize {
        self.base().addr().get()
    }
}

impl Run {
    /// Free or taken, of any alignment, or no address at all.
    fn place(&self, input: &mut Input<'_>) -> usize {
        let step = allocation_granularity();
        let place = match input.byte() {
            0..=15 => 0,
            16..=31 => input.word(),
            32..=63 => input.word() % (1 << 47) / step * step,
            64..=95 => usize::MAX / 2 / step * step - step * usize::from(input.byte()),
            96..=159 => self.gone,
            _ => self.others.last().map_or(self.gone, Addr::addr),
        };
        match input.byte() {
            0..=127 => place,
            128..=191 => place.wrapping_add(step * usize::from(input.byte())),
            192..=223 => place.wrapping_sub(step * usize::from(input.byte())),
            _ => place.wrapping_add(usize::from(input.byte())),
        }
    }

    /// Whether something is sure to be in the way of `size` bytes at `address`, of what lies `before` and the page behind.
    fn is_taken(&self, address: usize, before: usize, size: usize) -> bool {
        let (start, end) =
            (address.saturating_sub(before), address.saturating_add(size).saturating_add(page_size()));
        self.others.iter().any(|other| start < other.addr() + other.size() && other.addr() < end)
    }
}

/// One run: `bytes` decide everything.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut run = Run { others: Vec::new(), gone: 0 };
    while !input.is_empty() {
        attempt(&mut input, &mut run);
    }
    for other in &run.others {
        let first = check::page_of(other.protection());
        assert!(other.committed() == 0 || first.is_none_or(|state| page_at(other.addr()) == state));
    }
}

fn attempt(input: &mut Input<'_>, run: &mut Run) {
    let mut asked = Asked {
        size: PAGE_GRANULARITY,
        protection: Protection::READ_WRITE,
        place: Place::Anywhere,
        huge_pages: HugePages::Transparent,
        name: None,
        guard_pages: false,
        lock: false,
        exclude_from_dumps: false,
        on_fork: OnFork::Copy,
        zero_on_release: false,
        debug_fill: cfg!(debug_assertions),
    };
    let chosen = u16::from_le_bytes([input.byte(), input.byte()]);
    let mut builder = Mallocator::builder();
    for (index, choose) in OPTIONS.iter().enumerate() {
        if chosen >> index & 1 == 1 {
            builder = choose(input, run, &mut asked, builder);
        }
    }
    if input.byte() % 4 == 0 {
        match builder.build_sync() {
            Ok(arena) => {
                check::granted(run, &asked, arena.base(), arena.size(), arena.committed());
                share::share(input, arena, &asked);
            }
            Err(error) => check::refused(run, &asked, error),
        }
        return;
    }
    match builder.build() {
        Ok(arena) => {
            check::granted(run, &asked, arena.base(), arena.size(), arena.committed());
            check::properties(input, &arena, &asked);
            let arena = Using::new(arena, &asked).all(input);
            run.gone = arena.addr();
            match input.byte() % 4 {
                0 => arena.free().unwrap(),
                1 if run.others.len() < 4 => run.others.push(arena),
                _ => drop(arena),
            }
        }
        Err(error) => check::refused(run, &asked, error),
    }
}
