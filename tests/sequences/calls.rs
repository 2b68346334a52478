//! The calls that an arena or a scope takes by a shared reference.

use std::alloc::Layout;
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use mallocator::{Batch, CodeUnit, Error, HashMap, Mallocator, Vec as ArenaVec};

use super::QUIET;
use super::model::Model;

/// Scopes are nested no deeper.
const DEPTH: usize = 4;

/// What the panics carry that are meant.
struct Thrown;

/// Not by `panic!`, which would be printed.
fn throw() -> ! {
    resume_unwind(Box::new(Thrown))
}

/// `None` after a panic that was meant.
pub(super) fn caught<T>(act: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(value) => Some(value),
        Err(thrown) if thrown.is::<Thrown>() => None,
        Err(thrown) => resume_unwind(thrown),
    }
}

/// Where something is that was handed out: address, bytes, alignment.
type Place = (NonNull<u8>, usize, usize);

fn place<T>(value: &mut T) -> Place {
    (NonNull::from(value).cast(), size_of::<T>(), align_of::<T>())
}

fn places<T>(values: &mut [T]) -> Place {
    (NonNull::from(&mut *values).cast(), size_of_val(values), align_of::<T>())
}

/// What is only borrowed for reading is not marked.
const NOTHING: Place = (NonNull::dangling(), 0, 1);

/// An iterator that says anything about its length, and ends as it likes.
struct Lying<'a> {
    said: usize,
    left: usize,
    throws_at: usize,
    arena: Option<&'a Mallocator>,
}

impl Iterator for Lying<'_> {
    type Item = Box<usize>;

    fn next(&mut self) -> Option<Box<usize>> {
        self.left = self.left.checked_sub(1)?;
        if self.left == self.throws_at {
            throw();
        }
        if let Some(arena) = self.arena.filter(|_| self.left % 4 == 1) {
            let _ = arena.try_alloc(self.left);
        }
        Some(Box::new(self.left))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.said, Some(self.said))
    }
}

impl ExactSizeIterator for Lying<'_> {
    fn len(&self) -> usize {
        self.said
    }
}

/// A text that cannot be written, or not without a panic.
struct Bad(bool);

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half of it")?;
        if self.0 { throw() } else { Err(fmt::Error) }
    }
}

/// Nothing drops what is in an arena, so this does.
fn drop_all(values: &mut [Box<usize>]) -> Place {
    for pair in values.windows(2) {
        assert_eq!(*pair[0], *pair[1] + 1);
    }
    // SAFETY: nobody uses the values any more; their place is marked as that of bytes.
    unsafe { std::ptr::drop_in_place(values) };
    places(values)
}

const TEXTS: [&str; 8] = ["", "a", "plain text", "über", "\u{1f980} crab", "a\0b", "f0 9f", "0x7f,45 4c-4"];

/// One call of the innermost of `chain`, or now and then of one further out.
pub(super) fn call(model: &mut Model, chain: &[&Mallocator]) {
    let depth = if model.random.rarely(5) { model.random.below(chain.len()) } else { chain.len() - 1 };
    let arena = chain[depth];
    model.outer = depth + 1 < chain.len() || model.forgotten;
    model.neighbour(arena);
    match model.random.below(40) {
        0..=5 => scope(model, chain),
        6 | 7 => batch(model, chain, depth),
        8 | 9 => vector(model, chain, depth),
        10 => map(model, arena),
        11 => boxed(model, arena),
        12 => look(model, arena),
        13 => refused_by_a_panic(model, arena),
        14..=19 => raw(model, arena, depth),
        20..=23 => throwing(model, arena, depth),
        24..=30 => text(model, arena, depth),
        _ => value(model, arena, depth),
    }
    if model.writable() {
        model.check(arena.base());
    }
}

/// Holds an outcome against the model. What was handed out has `needed` bytes at the most, with what aligning them takes.
fn settle(
    model: &mut Model,
    arena: &Mallocator,
    depth: usize,
    before: usize,
    needed: usize,
    outcome: Result<Place, Error>,
) {
    match outcome {
        Ok((start, len, align)) => model.took(arena, start, len, align, depth),
        Err(error) => model.refused(arena, &error, before, needed),
    }
}

fn value(model: &mut Model, arena: &Mallocator, depth: usize) {
    let (before, len) = (arena.used(), model.random.size());
    let number = model.random.next();
    let (needed, outcome) = match model.random.below(14) {
        0 | 1 => (16, arena.try_alloc(number).map(place)),
        2 => (8, arena.try_alloc([7_u16; 3]).map(place)),
        3 => (32, arena.try_alloc_with(|| u128::from(number)).map(place)),
        4 => (8192, arena.try_alloc([1_u8; 5000]).map(place)),
        5 => {
            let fails = number % 2 == 0;
            let make = || if fails { Err(number) } else { Ok([number; 3]) };
            match arena.try_alloc_try_with(make) {
                Ok(Ok(value)) => (32, Ok(place(value))),
                Ok(Err(error)) => {
                    assert!(fails && error == number);
                    return model.gave_back(arena, before, true);
                }
                Err(error) => (32, Err(error)),
            }
        }
        6 => (4 * len + 4, arena.try_alloc_slice_copy(&vec![9_u32; len]).map(places)),
        7 => (2 * len + 2, arena.try_alloc_slice_clone(&vec![9_u16; len]).map(places)),
        8 => (8 * len + 8, {
            let outcome = arena.try_alloc_slice_fill_with(len, |index| index);
            outcome.map(|slice| {
                assert!(slice.iter().enumerate().all(|(index, &value)| index == value));
                places(slice)
            })
        }),
        9 => (8 * len + 8, arena.try_alloc_slice_fill_copy(len, number).map(places)),
        10 => (8 * len + 8, arena.try_alloc_slice_fill_clone(len, &number).map(places)),
        11 => (2 * len + 2, arena.try_alloc_slice_fill_default::<u16>(len).map(places)),
        12 => (16, arena.try_alloc_default::<u64>().map(place)),
        _ => (0, arena.try_alloc(()).map(place)),
    };
    settle(model, arena, depth, before, needed, outcome);
}

/// By numbers, which may be any.
fn raw(model: &mut Model, arena: &Mallocator, depth: usize) {
    let before = arena.used();
    let random = &mut model.random;
    let len = if random.rarely(4) { random.absurd() } else { random.size() };
    let align = match random.below(16) {
        0 => random.one_of(&[0, 3, 6, 24, usize::MAX]),
        1 => 1 << random.below(64),
        _ => 1 << random.below(8),
    };
    // Now and then the cursor goes far away from what is touched otherwise.
    let len = if random.rarely(100) { arena.available().saturating_sub(len) } else { len };
    let needed = len.saturating_add(align);
    let kind = random.below(6);
    let outcome = match kind {
        0 | 1 => arena.alloc_raw(len, align).map(|block| (block.cast(), len, align)),
        2 | 3 => match Layout::from_size_align(len, align) {
            Ok(layout) => arena.try_alloc_layout(layout).map(|start| (start, len, align)),
            Err(_) => return,
        },
        4 => {
            let zeroed = arena.try_alloc_zeroed_bytes(len, align);
            zeroed.map(|bytes| {
                let (first, last) = (&bytes[..len.min(4096)], &bytes[len.saturating_sub(64)..]);
                assert!(first.iter().chain(last).all(|&byte| byte == 0));
                (NonNull::from(bytes).cast(), len, align)
            })
        }
        _ => {
            let outcome = arena.try_alloc_uninit_slice::<u32>(len);
            let outcome = outcome.map(places);
            return settle(model, arena, depth, before, len.saturating_mul(4).saturating_add(4), outcome);
        }
    };
    match outcome {
        Err(Error::InvalidAlignment { align: said }) => {
            assert!(said == align && !align.is_power_of_two());
            assert_eq!(arena.used(), before);
        }
        Ok(_) if kind < 2 && !model.writable() => assert!(arena.committed() >= arena.used()),
        outcome => settle(model, arena, depth, before, needed, outcome),
    }
}

fn encoded<W: CodeUnit>(arena: &Mallocator, text: &str) -> Result<Place, Error> {
    arena.alloc_string::<W>(text).map(places)
}

fn text(model: &mut Model, arena: &Mallocator, depth: usize) {
    let before = arena.used();
    let text = model.random.one_of(&TEXTS);
    let width = model.random.one_of(&[1, 2, 4, 0, 3, usize::MAX]);
    let needed = 4 * text.len() + 8;
    let outcome = match model.random.below(12) {
        0 | 1 => arena.try_alloc_str(text).map(|copy| {
            assert_eq!(copy, text);
            (NonNull::from(copy).cast(), text.len(), 1)
        }),
        2 => {
            // It grows as it is written, and may have to move.
            let outcome = arena.try_alloc_fmt(format_args!("{text} {width} {text}"));
            let outcome = outcome.map(|copy| (NonNull::from(&mut *copy).cast(), copy.len(), 1));
            return settle(model, arena, depth, before, usize::MAX, outcome);
        }
        3 => {
            let outcome = caught(|| arena.try_alloc_fmt(format_args!("{text} {}", Bad(width == 3))));
            assert!(matches!(
                outcome,
                None | Some(Err(Error::Formatting
                    | Error::Exhausted { .. }
                    | Error::NotWritable { .. }
                    | Error::Os(_)))
            ));
            return model.gave_back(arena, before, true);
        }
        4 => arena.try_alloc_c_str(c"C").map(|copy: &CStr| {
            assert_eq!(copy, c"C");
            NOTHING
        }),
        5 => arena.alloc_c_str_from(text).map(|copy| {
            assert_eq!(copy.to_bytes(), text.as_bytes());
            NOTHING
        }),
        6 => arena.try_alloc_os_str(OsStr::new(text)).map(|copy| {
            assert_eq!(copy, OsStr::new(text));
            NOTHING
        }),
        7 => arena.try_alloc_bytes(text.as_bytes()).map(places),
        8 => encoded::<u8>(arena, text),
        9 => encoded::<u16>(arena, text),
        10 => arena.alloc_string_raw(text, width).map(|block| (block.cast(), block.len(), 1)),
        _ => arena.alloc_byte_string(text).map(places),
    };
    match outcome {
        Err(
            Error::InteriorNul { .. }
            | Error::CharacterDoesNotFit { .. }
            | Error::InvalidWidth { .. }
            | Error::NotHex { .. }
            | Error::HalfByte { .. },
        ) => assert_eq!(arena.used(), before),
        outcome => settle(model, arena, depth, before, needed, outcome),
    }
}

/// Code of the caller that runs in the middle of it: it lies, allocates and panics.
fn throwing(model: &mut Model, arena: &Mallocator, depth: usize) {
    let before = arena.used();
    let random = &mut model.random;
    let left = random.below(20);
    let said = if random.rarely(2) { random.below(24) } else { random.absurd() };
    let throws_at = if random.rarely(3) { random.below(20) } else { usize::MAX };
    let inner = Some(arena).filter(|_| random.rarely(3));
    let lying = Lying { said, left, throws_at, arena: inner };
    let kind = random.below(4);
    let outcome = caught(|| match kind {
        0 => arena.try_alloc_slice_fill_iter(lying).map(drop_all),
        1 => arena.try_alloc_iter(lying).map(drop_all),
        2 => arena
            .try_alloc_slice_fill_with(left, |index| {
                if index == throws_at {
                    throw();
                }
                Box::new(left - index)
            })
            .map(drop_all),
        _ => arena.try_alloc_with(|| if left == throws_at { throw() } else { [left; 2] }).map(place),
    });
    match outcome {
        Some(Ok((start, len, align))) => model.took(arena, start, len, align, depth),
        // What the caller's code has allocated stays.
        None | Some(Err(_)) if inner.is_some() && kind < 2 => assert!(arena.used() >= before),
        Some(Err(error)) => model.refused(arena, &error, before, usize::MAX),
        None => model.gave_back(arena, before, true),
    }
}

/// The variants that panic where others return an error.
fn refused_by_a_panic(model: &mut Model, arena: &Mallocator) {
    // As much as is left, and one.
    let len = arena.available() + 1;
    if !model.random.rarely(8) || len > 1 << 16 {
        return;
    }
    let before = arena.used();
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| arena.alloc_uninit_slice::<u8>(len).len()));
    QUIET.set(false);
    assert!(outcome.is_err());
    assert_eq!(arena.used(), before);
}

fn look(model: &mut Model, arena: &Mallocator) {
    let mark = arena.mark();
    assert_eq!(mark, arena.mark());
    assert!(arena.used() <= arena.committed() && arena.committed() <= arena.size());
    if model.random.rarely(16) {
        assert!(!format!("{arena:?}").is_empty());
    }
    // On Linux a report reads how much is on huge pages, which takes as long as fifty sequences.
    if model.random.rarely(4096) {
        let report = arena.report();
        assert_eq!((report.used(), report.size()), (arena.used(), arena.size()));
        assert!(!report.to_string().is_empty());
    }
}

fn scope(model: &mut Model, chain: &[&Mallocator]) {
    let depth = chain.len();
    if depth > DEPTH {
        return;
    }
    // Whichever is asked, it is the innermost that is opened.
    let opener = chain[model.random.below(depth)];
    let innermost = chain[depth - 1];
    let before = innermost.used();
    caught(|| {
        opener.scope(|view| {
            let mut inner = [view; DEPTH + 1];
            inner[..depth].copy_from_slice(chain);
            for _ in 0..model.random.below(6) {
                call(model, &inner[..=depth]);
            }
            if model.random.rarely(6) {
                throw();
            }
        });
    });
    assert!(innermost.used() >= before);
    model.took_back(innermost, Some(depth - 1));
}

fn batch(model: &mut Model, chain: &[&Mallocator], depth: usize) {
    let arena = chain[depth];
    let block = if model.random.rarely(8) { model.random.absurd() } else { 4 * model.random.size() };
    let mut batch: Batch<'_> = arena.batch(block);
    for _ in 0..model.random.below(8) {
        let len = model.random.size();
        let outcome = match model.random.below(8) {
            0 => batch.try_alloc_slice_copy(&vec![3_u16; len]).map(places),
            1 => batch.try_alloc_str("in a batch").map(|text| (NonNull::from(text).cast(), 10, 1)),
            2 => {
                let thrown = caught(|| batch.try_alloc_with::<u64>(|| throw()));
                assert!(thrown.is_none_or(|outcome| outcome.is_err()));
                continue;
            }
            3 => {
                scope(model, chain);
                continue;
            }
            _ => batch.try_alloc(len).map(place),
        };
        match outcome {
            Ok((start, len, align)) => model.took(arena, start, len, align, depth),
            Err(error) => model.refused(arena, &error, arena.used(), usize::MAX),
        }
    }
}

/// A vector that grows while scopes are open, and is dropped or left.
fn vector(model: &mut Model, chain: &[&Mallocator], depth: usize) {
    let mut vec = ArenaVec::<usize>::new_in(chain[depth]);
    for _ in 0..=model.random.below(4) {
        for _ in 0..model.random.below(20) {
            // Without room `push` would end the process, as it does with any allocator.
            if vec.try_reserve(1).is_ok() {
                vec.push(vec.len());
            }
        }
        if model.random.rarely(4) {
            vec.truncate(4);
            vec.shrink_to_fit();
        }
        if chain.len() <= DEPTH && model.random.rarely(2) {
            let inner = caught(|| {
                chain[chain.len() - 1].scope(|view| {
                    if model.random.rarely(4) {
                        // It ends where the scope begins.
                        vec.truncate(4);
                        vec.shrink_to_fit();
                    }
                    let mut scratch = ArenaVec::<u8>::new_in(view);
                    if scratch.try_reserve_exact(50).is_ok() {
                        scratch.resize(50, 0xee);
                    }
                    if vec.try_reserve(8).is_ok() {
                        vec.push(vec.len());
                    }
                    assert!(scratch.iter().all(|&byte| byte == 0xee));
                });
            });
            assert!(inner.is_some());
        } else {
            scope(model, chain);
        }
        assert!(vec.iter().enumerate().all(|(index, &value)| index == value));
    }
    let refused = vec.try_reserve_exact(model.random.absurd());
    assert!(refused.is_err() && (model.writable() || vec.capacity() == 0));
    if model.random.rarely(2) {
        std::mem::forget(vec);
    }
}

fn map(model: &mut Model, arena: &Mallocator) {
    let mut map = HashMap::<usize, usize>::new_in(arena);
    for number in 0..model.random.below(20) {
        if map.try_reserve(1).is_ok() {
            map.insert(number, number);
        }
    }
    assert!(map.iter().all(|(key, value)| key == value));
    assert!(model.writable() || map.is_empty());
}

fn boxed(model: &mut Model, arena: &Mallocator) {
    let before = arena.used();
    match arena.try_alloc_boxed(String::from("heap")) {
        Ok(boxed) => assert_eq!(*boxed, "heap"),
        Err(error) => model.refused(arena, &error, before, 64),
    }
}
