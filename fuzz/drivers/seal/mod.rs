//! Arenas that are filled, sealed, read, unsealed and filled again, with and without a root, held against an image of the
//! bytes that were written.

mod rooted;

use std::ops::Range;

use mallocator::{Error, HugePages, Mallocator, Protection, SealError, Sealed, page_size};

use super::Input;
use crate::common::{Page, page_at};

/// One run: `bytes` decide everything.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    while !input.is_empty() {
        let arena = fresh(&mut input);
        match input.byte() % 4 {
            0 => rooted::words(&mut input, arena),
            1 => rooted::vector(&mut input, arena),
            _ => plain(&mut input, arena),
        }
    }
}

fn fresh(input: &mut Input<'_>) -> Mallocator {
    let size = input.one_of(&[1, 65_536, 1 << 20, 4 << 20]);
    match input.byte() % 4 {
        // That of an arena before, if it was left.
        0 | 1 => Mallocator::with_size(size).unwrap(),
        2 => Mallocator::builder().size(size).huge_pages(HugePages::Never).build().unwrap(),
        _ => Mallocator::builder().size(size).reuse(false).name("sealed").build().unwrap(),
    }
}

/// Half of them plain, the rest any bits at all.
fn protection(input: &mut Input<'_>) -> Protection {
    let byte = input.byte();
    match byte {
        0..=63 => Protection::READ,
        64..=95 => Protection::READ_EXECUTE,
        96..=191 => Protection::from_bits_retain(byte % 8),
        _ => Protection::from_bits_retain(input.byte()),
    }
}

/// The bytes of an arena, by offset, where they were written.
#[derive(Default)]
struct Image {
    bytes: Vec<Option<u8>>,
    /// Functions that return these numbers.
    functions: Vec<(usize, i32)>,
}

impl Image {
    fn wrote(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes.resize(self.bytes.len().max(offset + bytes.len()), None);
        for (place, &byte) in self.bytes[offset..].iter_mut().zip(bytes) {
            *place = Some(byte);
        }
    }

    /// What lies from `start` on, as far as the bytes were written.
    fn written(&self, range: Range<usize>) -> Option<Vec<u8>> {
        self.bytes.get(range)?.iter().copied().collect()
    }

    fn cut(&mut self, used: usize) {
        self.bytes.truncate(used);
        self.functions.retain(|&(offset, _)| offset < used);
    }

    /// The longest ranges of which every byte was written.
    fn runs(&self) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut start = None;
        for (index, byte) in self.bytes.iter().chain([&None]).enumerate() {
            match (start, byte) {
                (None, Some(_)) => start = Some(index),
                (Some(first), None) => {
                    runs.push(first..index);
                    start = None;
                }
                _ => {}
            }
        }
        runs
    }

    fn check(&self, arena: &Mallocator) {
        for run in self.runs() {
            // SAFETY: the bytes were handed out and written, can be read, and nobody has a reference to them.
            let bytes =
                unsafe { std::slice::from_raw_parts(arena.base().as_ptr().add(run.start), run.len()) };
            assert_eq!(self.written(run).as_deref(), Some(bytes));
        }
    }
}

/// Allocates a thing or two, and says where they are and what is in them.
fn put(arena: &Mallocator, input: &mut Input<'_>, image: &mut Image) {
    let byte = input.byte();
    let number = u64::from_ne_bytes(std::array::from_fn(|index| {
        byte.wrapping_mul(7).wrapping_add(index.to_le_bytes()[0])
    }));
    let mut wrote = |outcome: Result<&mut [u8], Error>| match outcome {
        Ok([]) => {}
        Ok(bytes) => image.wrote(arena.offset_of(bytes).unwrap(), bytes),
        Err(error) => assert!(matches!(error, Error::Exhausted { .. }), "{error}"),
    };
    match input.byte() % 12 {
        0 => wrote(arena.try_alloc(number).map(|number| bytes_of(std::slice::from_mut(number)))),
        1 => wrote(
            arena.try_alloc(u128::from(number) << 40).map(|number| bytes_of(std::slice::from_mut(number))),
        ),
        2 => wrote(arena.try_alloc([byte; 3]).map(|bytes| &mut bytes[..])),
        3 => wrote(arena.alloc_string::<u16>("na\u{ef}ve \u{1f600}").map(bytes_of)),
        4 => wrote(arena.alloc_byte_string("7f 45 0x4c \\x46")),
        5 => wrote(arena.try_alloc_zeroed_bytes(input.size(), 1 << (input.byte() % 13))),
        6 => {
            // Handed out and not written, past where huge pages begin.
            if arena.alloc_raw(input.size() * 50, 1).is_ok() {
                wrote(arena.try_alloc_bytes(&[byte; 9]));
            }
        }
        7 => {
            // mov eax, number; ret
            let code = [0xb8, byte, 1, 2, 0, 0xc3];
            if let Ok(code) = arena.try_alloc_bytes(&code) {
                let offset = arena.offset_of(code).unwrap();
                image.wrote(offset, code);
                image.functions.push((offset, i32::from(byte) + 0x2_0100));
            }
        }
        8 => {
            // Up to the end of a page, or of the arena.
            let room = arena.available() % page_size();
            wrote(arena.try_alloc_slice_fill_copy(room, byte));
        }
        _ => wrote(arena.try_alloc_slice_fill_copy(input.size(), byte)),
    }
}

/// Numbers as bytes.
fn bytes_of<T: Copy>(numbers: &mut [T]) -> &mut [u8] {
    let len = size_of_val(numbers);
    // SAFETY: the callers' are integers, which have no padding, and any bytes are an integer.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), len) }
}

/// An arena without a root.
fn plain(input: &mut Input<'_>, mut arena: Mallocator) {
    let mut image = Image::default();
    while !input.is_empty() {
        match input.byte() {
            0..=15 => {
                // What is taken outside of the scope stays, what is taken in it does not.
                let used = arena.used();
                let mut within = Image::default();
                arena.scope(|view| {
                    for _ in 0..input.byte() % 8 {
                        if input.byte() % 4 == 0 {
                            put(&arena, input, &mut image);
                        } else {
                            put(view, input, &mut within);
                        }
                    }
                    within.check(view);
                });
                assert!(arena.used() >= used.max(image.bytes.len()));
            }
            16..=23 => {
                arena.reset();
                image = Image::default();
            }
            24..=31 => {
                arena.try_trim().unwrap();
                assert_eq!(arena.committed(), arena.used().next_multiple_of(page_size()));
            }
            32..=39 => {
                let (mark, used) = (arena.mark(), arena.used());
                put(&arena, input, &mut Image::default());
                // SAFETY: what was allocated since is not used.
                unsafe { arena.rewind(mark) };
                assert_eq!(arena.used(), used);
            }
            40..=47 => break,
            48..=111 => {
                let Some(unsealed) = seal(input, arena, &mut image) else { return };
                arena = unsealed;
            }
            _ => put(&arena, input, &mut image),
        }
        assert!(arena.used() >= image.bytes.len());
    }
    image.check(&arena);
    if input.byte() % 2 == 0 {
        arena.free().unwrap();
    }
}

/// Why a seal cannot be had, if it cannot.
fn has_cause(protection: Protection, error: Error, rooted: bool) -> bool {
    let bits = protection.bits();
    let exists = super::exists(protection);
    let usual = cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));
    match error {
        Error::SealWritable { protection: said } => said == protection && bits & 2 != 0,
        Error::NotReadable { protection: said } => {
            said == protection && rooted && (bits & 1 == 0 || bits & 8 != 0)
        }
        Error::InvalidProtection(_) => !exists,
        Error::Unsupported { .. } => !cfg!(windows) && bits > 7 || !usual && bits & 4 != 0,
        Error::Os(_) => !usual || bits > 7,
        _ => false,
    }
}

/// The protections that are granted, where nothing is missing.
fn can_seal(protection: Protection) -> bool {
    [Protection::READ, Protection::READ_EXECUTE, Protection::EXECUTE, Protection::NO_ACCESS]
        .contains(&protection)
        || cfg!(windows) && protection.bits() > 7
}

/// Seals, reads, and unseals again, if the input does not end it in another way.
fn seal(input: &mut Input<'_>, arena: Mallocator, image: &mut Image) -> Option<Mallocator> {
    let asked = protection(input);
    let (base, size, used, before) = (arena.base(), arena.size(), arena.used(), arena.protection());
    image.check(&arena);
    let sealed = match arena.seal(asked) {
        Ok(sealed) => sealed,
        Err(refused) => {
            let refused: SealError = refused;
            let (arena, error) = refused.into_parts();
            assert!(has_cause(asked, error, false), "{error:?} {asked}");
            assert_eq!(
                (arena.base(), arena.size(), arena.used(), arena.protection()),
                (base, size, used, before)
            );
            image.check(&arena);
            return Some(arena);
        }
    };
    assert!(can_seal(asked), "{asked}");
    assert_eq!((sealed.base(), sealed.size(), sealed.used()), (base, size, used));
    assert_eq!(sealed.protection(), asked);
    if input.byte() % 2 == 0 {
        check_pages(base.addr().get(), size, used, asked);
    }
    if asked.is_readable() {
        for run in image.runs() {
            // SAFETY: every byte of it was written.
            assert_eq!(unsafe { sealed.bytes(run.clone()) }.ok(), image.written(run).as_deref());
        }
    }
    for &(offset, number) in &image.functions {
        // Where the bytes are still those of the function.
        if cfg!(target_arch = "x86_64") && asked.is_executable() && !asked.contains(Protection::GUARD) {
            // SAFETY: that is a function without arguments that returns a number.
            let function = unsafe { sealed.function::<extern "C" fn() -> i32>(offset) };
            assert_eq!(function.call(), number);
        }
    }
    for _ in 0..input.byte() % 8 {
        look(&sealed, input, image);
    }
    if input.byte() % 64 == 1 && asked.is_readable() {
        let image = &*image;
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for run in image.runs() {
                    // SAFETY: every byte of it was written.
                    assert_eq!(unsafe { sealed.bytes(run.clone()) }.ok(), image.written(run).as_deref());
                }
            });
        });
    }
    match input.byte() % 8 {
        0 => drop(sealed),
        1 => sealed.free().unwrap(),
        _ => {
            let arena = sealed.unseal().unwrap();
            assert_eq!(
                (arena.base(), arena.size(), arena.used(), arena.protection()),
                (base, size, used, before)
            );
            image.check(&arena);
            return Some(arena);
        }
    }
    None
}

/// What was handed out has the protection, to the page; what lies behind cannot be touched.
fn check_pages(base: usize, size: usize, used: usize, protection: Protection) {
    let state = match protection {
        Protection::NO_ACCESS => Page::Inaccessible,
        _ if protection.bits() > 7 => return,
        _ => Page::Accessible(protection),
    };
    let page = page_size();
    let sealed = used.div_ceil(page);
    for index in [0, sealed / 2, sealed.saturating_sub(1), sealed, sealed.midpoint(size / page), size / page]
    {
        let expected = if index < sealed { state } else { Page::Inaccessible };
        assert_eq!(page_at(base + index * page), expected, "page {index} of {used} bytes");
    }
}

/// Asks for a range, a value or a function, wherever that may be.
fn look(sealed: &Sealed, input: &mut Input<'_>, image: &Image) {
    let offset = offset(input, sealed);
    match input.byte() % 8 {
        0 | 1 => look_at_bytes(sealed, offset..self::offset(input, sealed), image),
        2 => look_at::<u8>(sealed, offset, image),
        3 => look_at::<u16>(sealed, offset, image),
        4 => look_at::<u64>(sealed, offset, image),
        5 => look_at::<u128>(sealed, offset, image),
        6 => look_at::<[u32; 3]>(sealed, offset, image),
        _ => {
            // SAFETY: nothing is called.
            let outcome = unsafe { sealed.try_function::<extern "C" fn()>(offset) };
            let protection = sealed.protection();
            let executable = protection.is_executable() && !protection.contains(Protection::GUARD);
            let end = offset.saturating_add(1);
            match outcome {
                Ok(function) => {
                    assert!(executable && end <= sealed.used());
                    // SAFETY: nothing is called.
                    let pointer = unsafe { function.pointer() } as *const u8;
                    assert_eq!((sealed.offset_of(pointer), sealed.contains(pointer)), (Some(offset), true));
                }
                Err(Error::NotExecutable { protection: said }) => assert!(said == protection && !executable),
                Err(error) => {
                    assert_eq!(error, Error::NotHandedOut { end, used: sealed.used() });
                    assert!(end > sealed.used());
                }
            }
        }
    }
}

fn offset(input: &mut Input<'_>, sealed: &Sealed) -> usize {
    match input.byte() {
        0..=95 => usize::from(input.byte()),
        96..=191 => input.word() % (sealed.used() + 1),
        192..=239 => sealed.used().saturating_sub(usize::from(input.byte() % 32)),
        240..=247 => sealed.used() + usize::from(input.byte()),
        248..=251 => usize::MAX - usize::from(input.byte()),
        _ => input.word(),
    }
}

/// Whether a read is to be refused with this error.
fn read_has_cause(sealed: &Sealed, offset: usize, len: usize, error: Error) -> bool {
    let (protection, end, used) = (sealed.protection(), offset.saturating_add(len), sealed.used());
    match error {
        Error::NotReadable { protection: said } => said == protection && !protection.is_readable(),
        Error::NotHandedOut { .. } => error == Error::NotHandedOut { end, used } && end > used,
        _ => false,
    }
}

fn look_at_bytes(sealed: &Sealed, range: Range<usize>, image: &Image) {
    let Range { start, end } = range;
    let written = image.written(range.clone());
    let refused = start > end || end > sealed.used() || !sealed.protection().is_readable();
    if written.is_none() && !refused {
        return;
    }
    // SAFETY: every byte of the range was written, or it is refused.
    let outcome = unsafe { sealed.bytes(range) };
    assert_eq!(outcome.is_err(), refused);
    match outcome {
        Ok(bytes) => assert_eq!(Some(bytes), written.as_deref()),
        Err(Error::RangeReversed { start: from, end: to }) => {
            assert!((from, to) == (start, end) && start > end);
        }
        Err(error) => {
            assert!(
                read_has_cause(sealed, start, end.saturating_sub(start), error),
                "{error:?} {start}..{end}"
            );
        }
    }
}

/// `T` is made of integers.
fn look_at<T: Copy + Sync>(sealed: &Sealed, offset: usize, image: &Image) {
    let len = size_of::<T>();
    let misaligned = offset % align_of::<T>() != 0;
    let end = offset.saturating_add(len);
    let written = image.written(offset..end);
    let refused = misaligned || end > sealed.used() || !sealed.protection().is_readable();
    if written.is_none() && !refused {
        return;
    }
    // SAFETY: any bytes are a `T`, and all of its bytes were written; or it is refused.
    let outcome = unsafe { sealed.get::<T>(offset) };
    assert_eq!(outcome.is_err(), refused);
    match outcome {
        Ok(value) => {
            // SAFETY: it is made of integers, which have no padding.
            let bytes = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), len) };
            assert_eq!(Some(bytes), written.as_deref());
        }
        Err(Error::Misaligned { offset: said, align }) => {
            assert!(misaligned && (said, align) == (offset, align_of::<T>()));
        }
        Err(error) => assert!(read_has_cause(sealed, offset, len, error), "{error:?} at {offset}"),
    }
}
