//! An arena in use: things are put into it, pages change their protection, memory goes back and comes again.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use mallocator::{Error, HugePages, Mallocator, Protection, page_size};

use super::check::{may_be_missing, page_of, refusal_of};
use super::choose::any_protection;
use super::{Addr, Asked, Input, MOST};
use crate::common::page_at;

/// What becomes of bytes that are taken back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum After {
    Zero,
    Pattern,
    Nothing,
}

impl After {
    pub(super) fn of(asked: &Asked) -> Self {
        match (asked.zero_on_release, asked.debug_fill) {
            (true, _) => Self::Zero,
            (false, true) => Self::Pattern,
            (false, false) => Self::Nothing,
        }
    }
}

/// An arena in use, and what is known of it.
pub(super) struct Using {
    arena: Mallocator,
    huge_pages: HugePages,
    lock: bool,
    after: After,
    /// What every page has, but for those that were set apart: by their number, of the first [`MOST`] bytes.
    usual: Protection,
    apart: Vec<Protection>,
    /// Bytes that were written, by their offset.
    written: Vec<(usize, u8)>,
    checks: Cell<usize>,
}

impl Using {
    pub(super) fn new(arena: Mallocator, asked: &Asked) -> Self {
        let usual = arena.protection();
        let apart = vec![usual; arena.size().min(MOST) / page_size()];
        Self {
            arena,
            huge_pages: asked.huge_pages,
            lock: asked.lock,
            after: After::of(asked),
            usual,
            apart,
            written: Vec::new(),
            checks: Cell::new(0),
        }
    }

    pub(super) fn all(mut self, input: &mut Input<'_>) -> Mallocator {
        for _ in 0..input.byte() % 24 {
            if input.is_empty() {
                break;
            }
            match input.byte() % 16 {
                0 => {
                    let (before, used) = (self.written.len(), self.arena.used());
                    let (usual, lock, written) = (self.usual, self.lock, &mut self.written);
                    self.arena.scope(|view| {
                        for _ in 0..input.byte() % 8 {
                            put(view, input, usual, lock, written);
                        }
                    });
                    assert_eq!(self.arena.used(), used);
                    self.check_taken_back(before);
                }
                1 => {
                    self.arena.reset();
                    assert_eq!((self.arena.used(), self.arena.available()), (0, self.arena.size()));
                    self.check_taken_back(0);
                }
                2 => self.trim(),
                3..=6 => self.protect(input),
                _ => put(&self.arena, input, self.usual, self.lock, &mut self.written),
            }
            self.check();
        }
        self.arena
    }

    /// All that was written but the first `kept` was just taken back.
    fn check_taken_back(&mut self, kept: usize) {
        let page = page_size();
        for (offset, byte) in self.written.drain(kept.min(self.written.len())..) {
            let protection = self.apart.get(offset / page).copied().unwrap_or(self.usual);
            if offset < self.arena.used() || offset >= self.arena.committed() || !protection.is_readable() {
                continue;
            }
            // SAFETY: the byte is committed and can be read, and nobody has it.
            let left = unsafe { self.arena.base().add(offset).read() };
            let expected = match self.after {
                After::Zero => 0,
                // A piece that is zero as a whole is left.
                After::Pattern if protection.is_writable() && byte != 0 => 0xdd,
                After::Pattern => continue,
                After::Nothing => byte,
            };
            assert_eq!(left, expected, "at {offset}, where {byte} was");
        }
        // A report takes a while on Linux.
        if self.after == After::Zero && self.checks.get() % 32 == 0 {
            assert_eq!(self.arena.report().refused(), None);
        }
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
            error => {
                let unlocked = self.lock && matches!(error, Error::Os(_));
                unlocked || refusal.is_some_and(|is| is(&error)) || may_be_missing(protection, &error)
            }
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
fn put(
    arena: &Mallocator,
    input: &mut Input<'_>,
    protection: Protection,
    lock: bool,
    written: &mut Vec<(usize, u8)>,
) {
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
    } else if !lock || !matches!(outcome, Err(Error::Os(_) | Error::Exhausted { .. })) {
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
