//! Every combination of what a builder can be asked: what is granted is as it was asked for, and can be used as it says;
//! what is refused has a reason.
//!
//! A new option is a function like those in [`OPTIONS`], a line there, and, where it can be seen, a field of [`Asked`].

use std::alloc::Layout;
use std::cell::Cell;
use std::fmt;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use mallocator::{
    Builder, Error, HugePages, Mallocator, PAGE_GRANULARITY, Protection, SyncMallocator,
    allocation_granularity, page_size,
};

use super::Input;
use crate::common::{Page, page_at};

/// Chooses a value, tells the builder, and writes down what was asked.
type Choose = fn(&mut Input<'_>, &Run, &mut Asked, Builder) -> Builder;

/// The bits of the first two bytes of an attempt say which of them are chosen, so that one that is added at the end leaves
/// the meaning of the corpus as it is.
const OPTIONS: [Choose; 7] = [size, protection, at, near, huge_pages, reuse, name];

/// No more is ever committed of an arena, but for huge pages.
const MOST: usize = 1 << 20;

/// What was asked for.
#[derive(Debug)]
struct Asked {
    size: usize,
    protection: Protection,
    place: Place,
    huge_pages: HugePages,
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Anywhere,
    At(usize),
    Near { address: usize, distance: usize },
}

fn size(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    let page = page_size();
    let most = usize::MAX >> 1;
    asked.size = match input.byte() {
        0..=15 => 0,
        16..=79 => usize::from(input.byte()),
        80..=159 => input.one_of(&[1, page - 1, page, page + 1, PAGE_GRANULARITY, MOST - 1, MOST]),
        160..=199 => input.one_of(&[2 << 20, (3 << 20) + 1, 5 << 20, 1 << 30, 64 << 30, 1 << 40]),
        200..=223 => input.one_of(&[1 << 46, 1 << 47, 1 << 48, 1 << 60, 1 << 62]),
        224..=247 => {
            let ends = [0, 1, page - 1, page, page + 1, 2 * page, 3 * page].map(|less| most - less);
            input.one_of(&ends)
        }
        248..=251 => usize::MAX - input.size(),
        _ => input.word(),
    };
    builder.size(asked.size)
}

fn protection(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    asked.protection = any_protection(input);
    builder.protection(asked.protection)
}

fn any_protection(input: &mut Input<'_>) -> Protection {
    let byte = input.byte();
    // Half of them plain, the rest any bits at all.
    Protection::from_bits_retain(if byte < 128 { byte % 8 } else { input.byte() })
}

fn at(input: &mut Input<'_>, run: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    let place = run.place(input);
    asked.place = Place::At(place);
    builder.at(place)
}

fn near(input: &mut Input<'_>, run: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    let address = run.place(input);
    let page = page_size();
    let mut distances = vec![0, 1, page - 1, page, 2 * page, PAGE_GRANULARITY, MOST, 4 << 20];
    // A hundred thousand refusals take a while, so far away only where something near is free.
    if asked.size <= MOST && run.others.iter().any(|other| other.addr().abs_diff(address) <= MOST) {
        distances.extend([usize::MAX >> 33, 1 << 40, usize::MAX]);
    }
    let distance = input.one_of(&distances);
    asked.place = Place::Near { address, distance };
    builder.near(std::ptr::without_provenance::<u8>(address), distance)
}

fn huge_pages(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    let choice = input.one_of(&[HugePages::Never, HugePages::Transparent, HugePages::Required]);
    // What is required is had at once: few, or more than there are. Where the pool is empty every place near is tried in vain.
    let is_far = matches!(asked.place, Place::Near { distance, .. } if distance > MOST);
    if choice != HugePages::Required || !is_far && (asked.size <= 4 << 20 || asked.size > 1 << 46) {
        asked.huge_pages = choice;
    }
    builder.huge_pages(asked.huge_pages)
}

fn reuse(input: &mut Input<'_>, _: &Run, _: &mut Asked, builder: Builder) -> Builder {
    builder.reuse(input.byte() % 2 == 0)
}

fn name(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    let len = usize::from(input.byte() % 32);
    let name = String::from_utf8_lossy(input.take(len)).into_owned();
    let builder = builder.name(&name);
    asked.name = Some(name);
    builder
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

    /// Whether something is sure to be in the way of `size` bytes at `address`, and the page behind.
    fn is_taken(&self, address: usize, size: usize) -> bool {
        let end = address.saturating_add(size).saturating_add(page_size());
        self.others.iter().any(|other| address < other.addr() + other.size() && other.addr() < end)
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
        let first = page_of(other.protection());
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
                check_granted(run, &asked, arena.base(), arena.size(), arena.committed());
                share(input, arena, &asked);
            }
            Err(error) => check_refused(run, &asked, error),
        }
        return;
    }
    match builder.build() {
        Ok(arena) => {
            check_granted(run, &asked, arena.base(), arena.size(), arena.committed());
            check_properties(input, &arena, &asked);
            let arena = Using::new(arena, asked.huge_pages).all(input);
            run.gone = arena.addr();
            match input.byte() % 4 {
                0 => arena.free().unwrap(),
                1 if run.others.len() < 4 => run.others.push(arena),
                _ => drop(arena),
            }
        }
        Err(error) => check_refused(run, &asked, error),
    }
}

/// Why a protection cannot be had, if it cannot. Its bits: read, write, execute; guard, no cache, write combine; targets.
fn refusal_of(protection: Protection) -> Option<fn(&Error) -> bool> {
    let bits = protection.bits();
    let (access, special, targets) = (bits & 7, bits >> 3 & 7, bits >> 6 & 1);
    let exists = bits < 128
        && [0b000, 0b001, 0b011, 0b100, 0b101, 0b111].contains(&access)
        && [0, 1, 2, 4].contains(&special)
        && (special == 0 || access != 0)
        && (targets == 0 || access & 4 != 0);
    if !exists {
        Some(|error| matches!(error, Error::InvalidProtection(_)))
    } else if bits > 7 && !cfg!(windows) {
        Some(|error| matches!(error, Error::Unsupported { .. }))
    } else {
        None
    }
}

/// Whether this system, or one like it, may lack what was asked for, whatever the numbers.
fn may_be_missing(protection: Protection, error: &Error) -> bool {
    let usual = cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));
    match error {
        Error::Unsupported { .. } => !usual && protection.is_executable(),
        Error::Os(_) => !usual || protection.bits() > 7,
        _ => false,
    }
}

fn rounded(asked: &Asked) -> Option<usize> {
    // What huge pages round to is not known here; the size of the page behind is.
    let size = asked.size.checked_next_multiple_of(page_size())?;
    size.checked_add(page_size()).filter(|&total| isize::try_from(total).is_ok()).map(|_| size)
}

fn check_granted(run: &Run, asked: &Asked, base: NonNull<u8>, size: usize, committed: usize) {
    let (start, end) = (base.addr().get(), base.addr().get() + size);
    assert!(refusal_of(asked.protection).is_none(), "{asked:?}");
    let least = rounded(asked).filter(|&least| least > 0).unwrap_or_else(|| panic!("{asked:?}"));
    let unit = if asked.huge_pages == HugePages::Required { 1 << 30 } else { 1 };
    assert!(size == least || (size > least && size < least + unit), "{size} {asked:?}");
    assert_eq!((start % allocation_granularity(), size % page_size(), committed % page_size()), (0, 0, 0));
    assert!(committed <= size && isize::try_from(end).is_ok());
    assert!(
        run.others.iter().all(|other| end <= other.addr() || other.addr() + other.size() <= start),
        "overlap"
    );
    match asked.place {
        Place::Anywhere => {}
        Place::At(address) => assert_eq!(start, address),
        Place::Near { address, distance } => {
            let farthest = start.abs_diff(address).max((end - 1).abs_diff(address));
            assert!(farthest <= distance, "{farthest} {asked:?}");
        }
    }
}

/// Every refusal has a cause that was asked for.
fn check_refused(run: &Run, asked: &Asked, error: Error) {
    assert!(!error.to_string().is_empty());
    let total = rounded(asked).map_or(usize::MAX, |size| size + page_size());
    let required = asked.huge_pages == HugePages::Required;
    let has_cause = match error {
        Error::InvalidSize { size } => {
            size == asked.size && (rounded(asked).is_none_or(|size| size == 0) || required)
        }
        Error::InvalidAddress { address, granularity } => {
            let beyond = address.checked_add(total).is_none_or(|end| isize::try_from(end).is_err());
            asked.place == Place::At(address) && (address == 0 || address % granularity != 0 || beyond)
        }
        Error::AddressInUse { address, .. } => asked.place == Place::At(address),
        Error::OutOfReach { address, distance } => asked.place == Place::Near { address, distance },
        Error::Os(_) => {
            // What may be refused for its size, its place, or the lack of huge pages; all else ought to be had.
            asked.size > 1 << 32
                || asked.place != Place::Anywhere
                || required
                || may_be_missing(asked.protection, &error)
        }
        Error::Unsupported { .. } if required => true,
        Error::InvalidProtection(_) | Error::Unsupported { .. } => {
            refusal_of(asked.protection).is_some_and(|is| is(&error))
                || may_be_missing(asked.protection, &error)
        }
        _ => false,
    };
    assert!(has_cause, "{error:?} {asked:?}");
    if refusal_of(asked.protection).is_some() {
        assert!(matches!(
            error,
            Error::InvalidProtection(_) | Error::Unsupported { .. } | Error::InvalidSize { .. }
        ));
    }
    // What is known to be in the way is named.
    if let Place::At(address) = asked.place {
        let plain = !required && refusal_of(asked.protection).is_none() && (1..=MOST).contains(&asked.size);
        if plain && address % allocation_granularity() == 0 && run.is_taken(address, asked.size) {
            assert!(matches!(error, Error::AddressInUse { .. } | Error::InvalidAddress { .. }), "{error:?}");
        }
    }
}

fn check_properties(input: &mut Input<'_>, arena: &Mallocator, asked: &Asked) {
    let (start, size) = (arena.addr(), arena.size());
    assert_eq!((arena.used(), arena.available(), arena.ptr()), (0, size, arena.base()));
    assert_eq!(arena.protection(), asked.protection);
    let behind = arena.base().as_ptr().wrapping_add(size);
    assert!(arena.contains(arena.base().as_ptr()) && !arena.contains(behind));
    assert_eq!(arena.offset_of(behind.wrapping_sub(1)), Some(size - 1));
    // The system is asked, which takes a while.
    if input.byte() % 8 == 0 {
        let report = arena.report();
        assert_eq!((report.name(), report.base(), report.size()), (asked.name.as_deref(), start, size));
        assert_eq!((report.committed(), report.used()), (arena.committed(), 0));
        assert_eq!((report.protection(), report.huge_pages()), (asked.protection, asked.huge_pages));
        assert!(report.huge_asked().is_none() && report.huge_from().is_none_or(|from| from < size));
        assert!(report.to_string().contains(&size.to_string()));
        if let Some(name) = &asked.name {
            assert!(report.to_string().contains(name) && format!("{arena:?}").contains(&format!("{name:?}")));
        }
        if let Some(state) = page_of(asked.protection).filter(|_| arena.committed() > 0) {
            assert_eq!(page_at(start + arena.committed() - page_size()), state);
        }
        if asked.huge_pages != HugePages::Required {
            assert_eq!(page_at(start + size), Page::Inaccessible, "the page behind");
        }
    }
}

/// What the system says of a page under a plain protection. It says nothing of some of the others.
fn page_of(protection: Protection) -> Option<Page> {
    match protection {
        Protection::NO_ACCESS => Some(Page::Inaccessible),
        _ => Protection::READ_WRITE_EXECUTE.contains(protection).then_some(Page::Accessible(protection)),
    }
}

/// An arena in use, and what is known of it.
struct Using {
    arena: Mallocator,
    huge_pages: HugePages,
    /// What every page has, but for those that were set apart: by their number, of the first [`MOST`] bytes.
    usual: Protection,
    apart: Vec<Protection>,
    /// Bytes that were written, by their offset.
    written: Vec<(usize, u8)>,
    checks: Cell<usize>,
}

impl Using {
    fn new(arena: Mallocator, huge_pages: HugePages) -> Self {
        let usual = arena.protection();
        let apart = vec![usual; arena.size().min(MOST) / page_size()];
        Self { arena, huge_pages, usual, apart, written: Vec::new(), checks: Cell::new(0) }
    }

    fn all(mut self, input: &mut Input<'_>) -> Mallocator {
        for _ in 0..input.byte() % 24 {
            if input.is_empty() {
                break;
            }
            match input.byte() % 16 {
                0 => {
                    let (before, used) = (self.written.len(), self.arena.used());
                    let (usual, written) = (self.usual, &mut self.written);
                    self.arena.scope(|view| {
                        for _ in 0..input.byte() % 8 {
                            put(view, input, usual, written);
                        }
                    });
                    self.written.truncate(before);
                    assert_eq!(self.arena.used(), used);
                }
                1 => {
                    self.arena.reset();
                    self.written.clear();
                    assert_eq!((self.arena.used(), self.arena.available()), (0, self.arena.size()));
                }
                2 => self.trim(),
                3..=6 => self.protect(input),
                _ => put(&self.arena, input, self.usual, &mut self.written),
            }
            self.check();
        }
        self.arena
    }

    fn trim(&mut self) {
        self.arena.try_trim().unwrap();
        let committed = self.arena.committed();
        if self.huge_pages != HugePages::Required {
            assert_eq!(committed, self.arena.used().next_multiple_of(page_size()).min(committed));
        }
    }

    /// Takes protections away and gives them back: nothing is allocated in between, and no reference is kept.
    fn protect(&mut self, input: &mut Input<'_>) {
        let page = page_size();
        for _ in 0..=input.byte() % 4 {
            let protection = any_protection(input);
            let size = self.arena.size();
            let reach = self.apart.len() * page;
            let mut offset = || match input.byte() {
                0..=63 => usize::from(input.byte()) * page % (reach + 1),
                64..=127 => input.word() % (reach + 1),
                128..=191 => reach.saturating_sub(input.size()),
                192..=239 => self.arena.used().min(reach),
                // Not the end itself: all of a large arena would be committed.
                _ => size.saturating_add(1 + input.size()),
            };
            let (start, end) = (offset(), offset());
            let (start, end) = match input.byte() {
                0..=31 => (start, end),
                32..=95 => (0, size),
                _ => (start.min(end), start.max(end)),
            };
            self.protect_range(start, end, protection);
            self.check();
        }
        if self.apart.iter().any(|&protection| protection != self.usual) {
            let usual = self.usual;
            if input.byte() % 2 == 0 {
                // Page by page, as far as each needs it.
                for index in 0..self.apart.len() {
                    if self.apart[index] != usual {
                        self.protect_range(index * page, index * page + 1, usual);
                    }
                }
            } else {
                self.protect_range(0, self.arena.size(), usual);
            }
        }
        assert_eq!(self.arena.protection(), self.usual);
    }

    fn protect_range(&mut self, start: usize, end: usize, protection: Protection) {
        let (page, size, committed) = (page_size(), self.arena.size(), self.arena.committed());
        // Huge pages round to more than is known here, so all of them or none.
        let required = self.huge_pages == HugePages::Required;
        let (start, end) = if required && start < end { (0, size) } else { (start, end) };
        // SAFETY: no reference into the arena is live, and nothing is allocated before the pages are as they were, unless
        // the whole has changed.
        let outcome = unsafe { self.arena.protect(start..end, protection) };
        let refusal = refusal_of(protection);
        let error = match outcome {
            Ok(before) => {
                assert!(refusal.is_none() && start <= end && end <= size, "{start}..{end} {protection}");
                assert_eq!(before, self.apart.get(start / page).copied().unwrap_or(self.usual));
                let whole = start == 0 && end == size;
                if whole {
                    (self.usual, self.apart) = (protection, vec![protection; self.apart.len()]);
                    assert_eq!(self.arena.committed(), committed);
                } else if start < end {
                    self.apart[start / page..end.div_ceil(page)].fill(protection);
                    assert!(self.arena.committed() >= committed.max(end));
                }
                return assert_eq!(self.arena.protection(), self.usual);
            }
            Err(error) => error,
        };
        let has_cause = match error {
            Error::RangeReversed { start: from, end: to } => (from, to) == (start, end) && start > end,
            Error::RangePastEnd { end: to, size: whole } => (to, whole) == (end, size) && end > size,
            error => refusal.is_some_and(|is| is(&error)) || may_be_missing(protection, &error),
        };
        assert!(has_cause, "{error:?} {start}..{end} {protection}");
        assert_eq!((self.arena.protection(), self.arena.committed()), (self.usual, committed));
    }

    /// What was written is there, where it can be read, and the system says what is expected of a page.
    fn check(&self) {
        let page = page_size();
        for &(offset, byte) in &self.written {
            let protection = self.apart.get(offset / page).copied().unwrap_or(self.usual);
            if protection.is_readable() {
                // SAFETY: the byte was handed out and written, and its page can be read.
                assert_eq!(unsafe { self.arena.base().add(offset).read() }, byte, "at {offset}");
            }
        }
        // The system is asked now and then, as that takes a while.
        self.checks.set(self.checks.get() + 1);
        if self.checks.get() % 4 == 0 && self.huge_pages != HugePages::Required {
            let pages = self.arena.committed().min(MOST) / page;
            // The first, the last, and one of which neighbours differ.
            let differs = self.apart.windows(2).position(|pair| pair[0] != pair[1]).unwrap_or(0);
            for index in [0, differs, differs + 1, pages.saturating_sub(1)] {
                let expected = self.apart.get(index).and_then(|&protection| page_of(protection));
                if let Some(expected) = expected.filter(|_| index < pages) {
                    assert_eq!(page_at(self.arena.addr() + index * page), expected, "page {index}");
                }
            }
        }
    }
}

/// One thing into an arena or a view whose pages all have one protection.
fn put(arena: &Mallocator, input: &mut Input<'_>, protection: Protection, written: &mut Vec<(usize, u8)>) {
    let before = arena.used();
    let byte = input.byte();
    let len = if byte % 8 == 0 { 0 } else { input.size() };
    let filled = vec![byte; len];
    let number = u64::from_ne_bytes([byte; 8]);
    let (size, align, typed, outcome) = match input.byte() % 16 {
        0 | 1 => {
            // As much as is left, or more, but no more than may be committed.
            let size = match input.byte() {
                0 => input.word().max(MOST),
                1..=31 if arena.available() < MOST => arena.available() - len.min(arena.available()),
                _ => len,
            };
            let size = if size < arena.available() && before + size > MOST { 1 } else { size };
            let align = 1 << (input.byte() % 13);
            (size, align, false, arena.alloc_raw(size, align).map(NonNull::cast))
        }
        2 => (8, align_of::<u64>(), true, arena.try_alloc(number).map(|value| NonNull::from(value).cast())),
        3 => (0, 1, true, arena.try_alloc(()).map(|value| NonNull::from(value).cast())),
        4 => {
            let text = "a".repeat(len);
            (len, 1, true, arena.try_alloc_str(&text).map(|text| NonNull::from(text).cast()))
        }
        5 => (4 * (len + 1), 4, true, {
            arena.alloc_string::<u32>(&"b".repeat(len)).map(|text| NonNull::from(text).cast())
        }),
        6 => (len, 1, true, {
            arena
                .alloc_byte_string(&format!("{byte:02x} ").repeat(len))
                .map(|bytes| NonNull::from(bytes).cast())
        }),
        7 => {
            let align = 1 << (input.byte() % 13);
            let outcome = arena.try_alloc_zeroed_bytes(len, align);
            assert!(
                outcome.as_ref().is_ok_and(|bytes| bytes.iter().all(|&byte| byte == 0)) || outcome.is_err()
            );
            (len, align, true, outcome.map(|bytes| NonNull::from(bytes).cast()))
        }
        8 => {
            let text = arena.try_alloc_fmt(format_args!("{:>len$}", ""));
            (len, 1, true, text.map(|text| NonNull::from(text).cast()))
        }
        9 => {
            let layout = Layout::from_size_align(len, 1 << (input.byte() % 13)).unwrap();
            (len, layout.align(), true, arena.try_alloc_layout(layout))
        }
        10 => {
            let layout = Layout::from_size_align(len, 16).unwrap();
            // It does not say why.
            let writable = protection.is_writable();
            let outcome = arena.allocate(layout).map(NonNull::cast).map_err(|_| {
                if writable { exhausted(arena, len, 16) } else { Error::NotWritable { protection } }
            });
            (len, 16, true, outcome)
        }
        11 => (len + 1, 1, true, {
            let text = "c".repeat(len);
            arena.alloc_c_str_from(&text).map(|text| NonNull::from(text.to_bytes_with_nul()).cast())
        }),
        12 => (2 * len, 2, true, {
            let outcome = arena.try_alloc_slice_fill_with(len, |_| u16::from(byte));
            outcome.map(|numbers| NonNull::from(numbers).cast())
        }),
        // What is left of the batch's block goes back.
        13 => (8, align_of::<u64>(), true, {
            arena.batch(len).try_alloc(number).map(|value| NonNull::from(value).cast())
        }),
        _ => (len, 1, true, arena.try_alloc_bytes(&filled).map(|bytes| NonNull::from(bytes).cast::<u8>())),
    };
    let outcome: Result<NonNull<u8>, Error> = outcome;
    let nothing = typed && size == 0;
    let start = before.next_multiple_of(align);
    let fits = nothing || start.checked_add(size).is_some_and(|end| end <= arena.size());
    if typed && !protection.is_writable() {
        assert_eq!(outcome, Err(Error::NotWritable { protection }));
    } else if !fits {
        assert!(matches!(outcome, Err(Error::Exhausted { .. })), "{outcome:?}");
    } else {
        let place = outcome.unwrap_or_else(|error| panic!("{error}: {size} bytes at {start}"));
        assert_eq!(place.addr().get() % align, 0);
        if !nothing {
            assert_eq!((arena.offset_of(place.as_ptr()), arena.used()), place_of(arena, start, size));
            assert!(arena.committed() >= start + size);
            if protection.is_writable() && size > 0 {
                for offset in [start, start + size - 1] {
                    // SAFETY: it was just handed out, and ordinary stores work.
                    unsafe { arena.base().add(offset).write(byte) };
                    written.retain(|&(other, _)| other != offset);
                    written.push((offset, byte));
                }
            }
            return;
        }
    }
    assert_eq!(arena.used(), before);
}

/// At the end of the arena there is a place for nothing.
fn place_of(arena: &Mallocator, start: usize, size: usize) -> (Option<usize>, usize) {
    ((start < arena.size()).then_some(start), start + size)
}

fn exhausted(arena: &Mallocator, size: usize, align: usize) -> Error {
    let align_log2 = u8::try_from(align.trailing_zeros()).unwrap();
    Error::Exhausted { size, available: arena.available(), align_log2 }
}

/// The same for an arena that threads share.
fn share(input: &mut Input<'_>, mut arena: SyncMallocator, asked: &Asked) {
    let protection = asked.protection;
    assert_eq!((arena.used(), arena.available()), (0, arena.size()));
    assert!(arena.contains(arena.base().as_ptr()) && !format!("{arena:?}").is_empty());
    for _ in 0..input.byte() % 16 {
        let (before, byte, len) = (arena.used(), input.byte(), input.size());
        match input.byte() % 8 {
            0 => {
                arena.reset();
                assert_eq!(arena.used(), 0);
            }
            1 => {
                arena.try_trim().unwrap();
                assert!(arena.committed() >= arena.used());
            }
            2 | 3 => {
                let outcome = arena.batch(len).try_alloc([byte; 24]).map(|bytes| *bytes);
                let room = before.saturating_add(len.max(24) + 256) <= arena.size();
                refused_or(outcome, protection, room, |bytes| assert_eq!(bytes, [byte; 24]));
            }
            4 => {
                let layout = Layout::from_size_align(len, 1 << (input.byte() % 13)).unwrap();
                let fits = len == 0 || before.next_multiple_of(layout.align()) + len <= arena.size();
                let outcome = arena.allocate_zeroed(layout);
                assert_eq!(outcome.is_ok(), fits && protection.is_writable());
                if let Ok(block) = outcome {
                    // SAFETY: it was just handed out, zeroed.
                    assert!(unsafe { block.as_ref() }.iter().all(|&byte| byte == 0));
                }
            }
            _ => {
                let layout = Layout::from_size_align(len, 1 << (input.byte() % 13)).unwrap();
                let fits = len == 0 || before.next_multiple_of(layout.align()) + len <= arena.size();
                let outcome = arena.try_alloc_layout(layout);
                refused_or(outcome, protection, fits, |place| {
                    assert_eq!(place.addr().get() % layout.align(), 0);
                    // SAFETY: it was just handed out, and ordinary stores work.
                    unsafe { place.write_bytes(byte, len) };
                });
                assert!(fits || arena.used() == before);
            }
        }
    }
    if input.byte() % 2 == 0 {
        arena.free().unwrap();
    }
}

/// Refused where it cannot be written, granted where there is room for sure.
fn refused_or<T: fmt::Debug>(
    outcome: Result<T, Error>,
    protection: Protection,
    room: bool,
    check: impl FnOnce(T),
) {
    match outcome {
        Ok(thing) => {
            assert!(protection.is_writable());
            check(thing);
        }
        Err(Error::NotWritable { protection: said }) => assert!(said == protection && !said.is_writable()),
        Err(error) => assert!(matches!(error, Error::Exhausted { .. }) && !room, "{error:?}"),
    }
}
