//! Turns bytes into calls of the public API and holds the outcome against a model: blocks stay apart, aligned, inside and
//! intact, collections do what those of std do, whatever scopes, panics and exhaustion come between.

#![allow(clippy::too_many_lines, reason = "one arm for each call")]

use std::collections::{BTreeMap, HashMap as StdHashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use allocator_api2::alloc::Allocator;
use mallocator::{Batch, Error, HashMap, Mallocator, Vec as ArenaVec};

use super::Input;

/// Scopes are nested no deeper.
const DEPTH: usize = 8;

/// How many calls of the API were made, by all runs.
pub static CALLS: AtomicU64 = AtomicU64::new(0);

/// One run: `bytes` decide everything.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let size = [4096, 65_536, 262_144, 1 << 24][usize::from(input.byte() % 4)];
    let mut arena = Mallocator::with_size(size).unwrap();
    let mut shadow = Shadow { blocks: BTreeMap::new(), range: 0..0, next: 1 };
    shadow.range = arena.base().addr().get()..arena.base().addr().get() + arena.size();
    while !input.is_empty() {
        let ended = catch_unwind(AssertUnwindSafe(|| level(&arena, &mut input, &mut shadow, &mut [])));
        if let Err(thrown) = ended {
            if !thrown.is::<Thrown>() {
                resume_unwind(thrown);
            }
        }
        shadow.check_all();
        shadow.forget(0);
        arena.reset();
        assert_eq!(arena.used(), 0);
        let next = input.byte();
        if next % 2 == 0 {
            arena.trim();
            assert_eq!(arena.committed(), 0);
        }
        if next % 3 == 0 {
            // The next arena gets the range of this one, dirt and all.
            drop(arena);
            arena = Mallocator::with_size(size).unwrap();
            assert_eq!(shadow.range.start, arena.base().addr().get());
        }
    }
    arena.free().unwrap();
}

/// What a driven panic carries.
struct Thrown;

/// What is known of a live block.
struct Block {
    len: usize,
    pattern: u8,
    depth: usize,
}

struct Shadow {
    /// By address.
    blocks: BTreeMap<usize, Block>,
    range: std::ops::Range<usize>,
    next: u8,
}

impl Shadow {
    /// A call handed out `len` bytes: they are written, and remembered.
    fn took(&mut self, arena: &Mallocator, start: *mut u8, len: usize, align: usize, depth: usize) {
        let address = start.addr();
        assert_eq!(address % align, 0, "misaligned");
        if len == 0 {
            return;
        }
        let end = address + len;
        assert!(self.range.start <= address && end <= self.range.end, "outside");
        assert!(end <= self.range.start + arena.committed(), "not committed");
        let before = self.blocks.range(..end).next_back();
        assert!(before.is_none_or(|(&start, block)| start + block.len <= address), "overlap");
        self.next = self.next.wrapping_mul(5).wrapping_add(3);
        // SAFETY: the arena has just handed out these bytes, and they are used through raw pointers only.
        unsafe { start.write_bytes(self.next, len) };
        self.blocks.insert(address, Block { len, pattern: self.next, depth });
        if self.next % 8 == 0 {
            self.check_near(arena, address);
        }
    }

    fn check(arena: &Mallocator, address: usize, block: &Block) {
        let start = arena.base().as_ptr().with_addr(address);
        // SAFETY: the block is live and was written.
        let bytes = unsafe { std::slice::from_raw_parts(start, block.len) };
        assert!(bytes.iter().all(|&byte| byte == block.pattern), "contents changed");
    }

    fn check_near(&self, arena: &Mallocator, address: usize) {
        for (&address, block) in self.blocks.range(..=address).rev().take(3) {
            Self::check(arena, address, block);
        }
    }

    fn check_level(&self, arena: &Mallocator, depth: usize) {
        for (&address, block) in self.blocks.iter().filter(|(_, block)| block.depth >= depth) {
            Self::check(arena, address, block);
        }
    }

    fn check_all(&self) {
        let mut end = 0;
        for (&address, block) in &self.blocks {
            assert!(address >= end, "overlap");
            end = address + block.len;
        }
    }

    /// The scope at `depth` has ended, and those in it.
    fn forget(&mut self, depth: usize) {
        self.blocks.retain(|_, block| block.depth < depth);
    }
}

/// An arena or view on the way to the innermost, and the collections that live in it.
trait Level {
    fn act(&mut self, input: &mut Input<'_>, shadow: &mut Shadow);
}

struct Frame<'a> {
    arena: &'a Mallocator,
    depth: usize,
    vec: ArenaVec<'a, u32>,
    vec_model: Vec<u32>,
    bytes: ArenaVec<'a, u8>,
    bytes_model: Vec<u8>,
    batch: Batch<'a>,
    map: HashMap<'a, u8, u64>,
    map_model: StdHashMap<u8, u64>,
}

/// Runs one arena or view until the input says that it ends.
fn level(arena: &Mallocator, input: &mut Input<'_>, shadow: &mut Shadow, outer: &mut [&mut dyn Level]) {
    let depth = outer.len();
    let mut frame = Frame {
        arena,
        depth,
        vec: ArenaVec::new_in(arena),
        vec_model: Vec::new(),
        bytes: ArenaVec::new_in(arena),
        bytes_model: Vec::new(),
        batch: arena.batch(300),
        map: HashMap::new_in(arena),
        map_model: StdHashMap::new(),
    };
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
                            catch_unwind(AssertUnwindSafe(|| level(view, input, shadow, &mut levels)));
                        // While its blocks are there; a panic then goes on through the scope.
                        shadow.check_level(arena, depth + 1);
                        outcome.unwrap_or_else(|thrown| resume_unwind(thrown));
                    });
                }));
                CALLS.fetch_add(1, Ordering::Relaxed);
                shadow.forget(depth + 1);
                if let Err(thrown) = outcome {
                    if !thrown.is::<Thrown>() {
                        resume_unwind(thrown);
                    }
                }
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

impl Frame<'_> {
    fn check(&self) {
        assert_eq!(*self.vec, *self.vec_model);
        assert_eq!(*self.bytes, *self.bytes_model);
        assert_eq!(self.map.len(), self.map_model.len());
        assert!(self.map_model.iter().all(|(key, value)| self.map.get(key) == Some(value)));
    }

    /// A pointer that was handed out, or a refusal for lack of room.
    fn took<T: ?Sized>(&self, shadow: &mut Shadow, outcome: Result<&mut T, Error>) {
        match outcome {
            Ok(memory) => {
                let (len, align) = (size_of_val(memory), align_of_val(memory));
                shadow.took(self.arena, std::ptr::from_mut(memory).cast(), len, align, self.depth);
            }
            Err(error) => assert!(matches!(error, Error::Exhausted { .. }), "{error}"),
        }
    }
}

impl<'a> Frame<'a> {
    fn took_from_batch<T: ?Sized + 'a>(
        &mut self,
        shadow: &mut Shadow,
        alloc: impl FnOnce(&mut Batch<'a>) -> Result<&'a mut T, Error>,
    ) {
        let outcome = alloc(&mut self.batch);
        self.took(shadow, outcome);
    }
}

impl Frame<'_> {
    /// What a method hands out as `&` is nobody's once the reference is gone.
    fn took_copy(&self, shadow: &mut Shadow, outcome: Result<&[u8], Error>) {
        match outcome {
            Ok(bytes) => {
                let start = self.arena.base().as_ptr().with_addr(bytes.as_ptr().addr());
                shadow.took(self.arena, start, bytes.len(), 1, self.depth);
            }
            Err(error) => assert!(matches!(error, Error::Exhausted { .. }), "{error}"),
        }
    }

    /// A block through the `Allocator` trait, made larger or smaller, and given back or kept.
    fn resized(&self, shadow: &mut Shadow, first: std::alloc::Layout, second: std::alloc::Layout) {
        let arena = self.arena;
        let Ok(block) = arena.allocate_zeroed(first) else { return };
        // SAFETY: the block is live, has the first layout, and all of it is written before it is read.
        unsafe {
            assert!(block.as_ref().iter().all(|&byte| byte == 0), "not zero");
            block.cast::<u8>().write_bytes(0x5a, first.size());
            let resized = if second.size() >= first.size() {
                arena.grow_zeroed(block.cast(), first, second)
            } else {
                arena.shrink(block.cast(), first, second)
            };
            let Ok(resized) = resized else {
                assert!(block.as_ref().iter().all(|&byte| byte == 0x5a), "contents after a refusal");
                return arena.deallocate(block.cast(), first);
            };
            let kept = first.size().min(second.size());
            let bytes = resized.as_ref();
            assert_eq!((bytes.len(), bytes.as_ptr().addr() % second.align()), (second.size(), 0));
            assert!(bytes[..kept].iter().all(|&byte| byte == 0x5a), "contents");
            assert!(bytes[kept..].iter().all(|&byte| byte == 0), "not zero");
            if second.size() % 2 == 0 {
                arena.deallocate(resized.cast(), second);
            } else {
                shadow.took(arena, resized.as_ptr().cast(), second.size(), second.align(), self.depth);
            }
        }
    }
}

impl Level for Frame<'_> {
    fn act(&mut self, input: &mut Input<'_>, shadow: &mut Shadow) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let arena = self.arena;
        match input.byte() % 40 {
            0 => {
                let (size, align) = (input.size(), 1 << (input.byte() % 14));
                let before = arena.used();
                match arena.alloc_raw(size, align) {
                    Ok(block) => shadow.took(arena, block.as_ptr().cast(), size, align, self.depth),
                    Err(_) => assert_eq!(arena.used(), before),
                }
            }
            1 => self.took(shadow, arena.try_alloc(7_u64)),
            2 => self.took(shadow, arena.try_alloc([7_u8; 3])),
            3 => self.took(shadow, arena.try_alloc(7_u128)),
            4 => self.took(shadow, arena.try_alloc(())),
            5 => {
                let inner = std::cell::Cell::new(None);
                let outcome = arena.try_alloc_with(|| {
                    inner.set(Some(arena.try_alloc([1_u16; 5])));
                    [2_u32; 7]
                });
                self.took(shadow, outcome);
                if let Some(inner) = inner.take() {
                    self.took(shadow, inner);
                }
            }
            6 => {
                let before = arena.used();
                let outcome = arena.try_alloc_try_with(|| Err::<[u64; 20], u8>(1));
                assert!(outcome.is_err() || arena.used() == before || outcome == Ok(Err(1)));
            }
            7 => {
                let size = input.size();
                self.took(shadow, arena.try_alloc_slice_copy(&vec![1_u32; size]));
            }
            8 => self.took(shadow, arena.try_alloc_bytes(&[1; 40])),
            9 => self.took(shadow, arena.try_alloc_str("twelve bytes")),
            10 => {
                let (size, align) = (input.size(), 1 << (input.byte() % 14));
                let outcome = arena.try_alloc_zeroed_bytes(size, align);
                if let Ok(bytes) = &outcome {
                    assert!(bytes.iter().all(|&byte| byte == 0), "not zero");
                    assert!(bytes.as_ptr().addr() % align == 0);
                }
                self.took(shadow, outcome);
            }
            11 => {
                let size = u64::try_from(input.size()).unwrap();
                // The length is known only to the second.
                self.took(shadow, arena.try_alloc_iter((0..size).filter(|number| number % 3 != 0)));
                self.took(shadow, arena.try_alloc_slice_fill_iter(vec![1_u16; 9]));
            }
            12 => {
                let size = u8::try_from(input.size() % 50).unwrap();
                let mut others = Vec::new();
                let outcome = arena.try_alloc_iter((0..size).map(|number| {
                    others.push(arena.try_alloc(number));
                    u64::from(number)
                }));
                self.took(shadow, outcome);
                for other in others {
                    self.took(shadow, other);
                }
            }
            13 => {
                let size = input.size();
                let outcome = arena.try_alloc_fmt(format_args!("{size:>width$}", width = size % 300));
                self.took(
                    shadow,
                    outcome.map(|text| {
                        assert_eq!(*text, format!("{size:>width$}", width = size % 300));
                        // SAFETY: the text is not used as text again.
                        unsafe { text.as_bytes_mut() }
                    }),
                );
            }
            14 => self.took(shadow, arena.alloc_string::<u16>("naïve €")),
            15 => {
                if let Ok(block) = arena.alloc_string_raw("packed", 4) {
                    shadow.took(arena, block.as_ptr().cast(), 28, 1, self.depth);
                }
            }
            16 => self.took(shadow, arena.alloc_byte_string("00 ab f9 0x42")),
            17 => {
                let size = input.size();
                self.took(shadow, arena.try_alloc_slice_fill_with(size, |index| index));
            }
            18 => {
                // A box of the same memory as everything else, dropped at once.
                if let Ok(boxed) = arena.try_alloc_boxed([3_u8; 33]) {
                    let kept = arena.try_alloc(9_u8);
                    assert_eq!(*boxed, [3; 33]);
                    self.took(shadow, kept);
                }
            }
            19 => {
                let used = arena.used();
                let mark = arena.mark();
                let size = input.size();
                let _ = arena.try_alloc_slice_fill_copy(size, 1_u8);
                // SAFETY: what was allocated since is not used.
                unsafe { arena.rewind(mark) };
                assert!(arena.used() >= used, "a rewind goes no lower than its mark");
            }
            20 => {
                let size = input.size();
                if self.vec.try_reserve(size).is_ok() {
                    assert!(self.vec.capacity() >= self.vec.len() + size);
                }
            }
            21 => {
                let size = input.size();
                if self.bytes.try_reserve_exact(size).is_ok() {
                    self.bytes.resize(self.bytes.len() + size, 5);
                    self.bytes_model.resize(self.bytes_model.len() + size, 5);
                }
            }
            22 => {
                self.vec.shrink_to_fit();
                self.bytes.shrink_to_fit();
            }
            23 => {
                let keep = input.size();
                self.vec.truncate(keep);
                self.vec_model.truncate(keep);
                self.bytes.truncate(keep);
                self.bytes_model.truncate(keep);
            }
            24..=26 => {
                for _ in 0..input.byte() % 32 {
                    if self.vec.try_reserve(1).is_ok() {
                        let number = u32::from(input.byte());
                        self.vec.push(number);
                        self.vec_model.push(number);
                    }
                }
            }
            27..=29 => {
                if self.map.try_reserve(1).is_ok() {
                    let (key, value) = (input.byte(), u64::from(input.byte()));
                    assert_eq!(self.map.insert(key, value), self.map_model.insert(key, value));
                }
            }
            30 => {
                let key = input.byte();
                assert_eq!(self.map.remove(&key), self.map_model.remove(&key));
            }
            31 => {
                let outcome = arena.try_alloc_c_str(c"twelve bytes");
                if let Ok(text) = outcome {
                    assert_eq!(text, c"twelve bytes");
                }
                // Nobody has the text any more, so its memory may be written.
                self.took_copy(shadow, outcome.map(std::ffi::CStr::to_bytes_with_nul));
                assert!(arena.alloc_c_str_from("a\0b").is_err());
                self.took_copy(shadow, arena.alloc_c_str_from("four").map(std::ffi::CStr::to_bytes_with_nul));
            }
            32 => {
                let text = std::ffi::OsStr::new("of the system");
                self.took_copy(shadow, arena.try_alloc_os_str(text).map(std::ffi::OsStr::as_encoded_bytes));
            }
            33 => {
                let before = arena.used();
                assert!(arena.alloc_string::<u8>("€").is_err() && arena.alloc_byte_string("0x4").is_err());
                assert_eq!(arena.used(), before);
                self.took(shadow, arena.alloc_string::<u8>("naïve"));
                self.took(shadow, arena.alloc_string::<u32>("😀"));
            }
            34 => {
                self.took(shadow, arena.try_alloc_default::<[u64; 3]>());
                self.took(shadow, arena.try_alloc_uninit::<[u32; 5]>());
                self.took(shadow, arena.try_alloc_uninit_slice::<u16>(7));
            }
            35 => {
                let size = input.size();
                self.took(shadow, arena.try_alloc_slice_clone(&vec![1_u16; size]));
                self.took(shadow, arena.try_alloc_slice_fill_clone(size, &1_u8));
                self.took(shadow, arena.try_alloc_slice_fill_default::<u64>(3));
            }
            36..=38 => {
                let mut layout = |most: u8| {
                    let (size, align) = (input.size(), 1 << (input.byte() % most));
                    std::alloc::Layout::from_size_align(size, align).unwrap()
                };
                let (first, second) = (layout(8), layout(13));
                self.resized(shadow, first, second);
            }
            _ => {
                self.check();
                for _ in 0..input.byte() % 16 {
                    match input.byte() {
                        0..=9 => self.batch = arena.batch(input.size()),
                        10..=99 => self.took_from_batch(shadow, |batch| batch.try_alloc([1_u64; 3])),
                        100..=149 => self.took_from_batch(shadow, |batch| batch.try_alloc_with(|| 1_u8)),
                        _ => {
                            let text = vec![1_u16; input.size()];
                            self.took_from_batch(shadow, |batch| batch.try_alloc_slice_copy(&text));
                        }
                    }
                }
            }
        }
    }
}
