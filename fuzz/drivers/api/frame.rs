//! The calls that are made of an arena or a view, and what they must have done.

#![allow(clippy::too_many_lines, reason = "one arm for each call")]

use std::collections::HashMap as StdHashMap;
use std::sync::OnceLock;

use allocator_api2::alloc::Allocator;
use mallocator::{Batch, Error, HashMap, Mallocator, Vec as ArenaVec};

use super::Input;
use super::near::Near;
use super::shadow::{Shadow, are};

/// An arena or view on the way to the innermost, and the collections that live in it.
pub(super) trait Level {
    fn act(&mut self, input: &mut Input<'_>, shadow: &mut Shadow);
}

pub(super) struct Frame<'a, 'n> {
    arena: &'a Mallocator,
    near: Option<&'a Near<'n>>,
    depth: usize,
    vec: ArenaVec<'a, u32>,
    vec_model: Vec<u32>,
    bytes: ArenaVec<'a, u8>,
    bytes_model: Vec<u8>,
    batch: Batch<'a>,
    map: HashMap<'a, u8, u64>,
    map_model: StdHashMap<u8, u64>,
}

impl<'a, 'n> Frame<'a, 'n> {
    pub(super) fn new(arena: &'a Mallocator, near: Option<&'a Near<'n>>, depth: usize) -> Self {
        Self {
            arena,
            near,
            depth,
            vec: ArenaVec::new_in(arena),
            vec_model: Vec::new(),
            bytes: ArenaVec::new_in(arena),
            bytes_model: Vec::new(),
            batch: arena.batch(300),
            map: HashMap::new_in(arena),
            map_model: StdHashMap::new(),
        }
    }
}

impl Frame<'_, '_> {
    pub(super) fn check(&self) {
        assert_eq!(*self.vec, *self.vec_model);
        assert_eq!(*self.bytes, *self.bytes_model);
        assert_eq!(self.map.len(), self.map_model.len());
        assert!(self.map_model.iter().all(|(key, value)| self.map.get(key) == Some(value)));
    }

    /// Where others take memory, they may now.
    fn disturb(&self) {
        if let Some(near) = self.near {
            near.disturb();
        }
    }

    /// What is used before something that is to leave it as it is, for [`unmoved`](Self::unmoved).
    fn used(&self) -> (usize, usize) {
        (self.arena.used(), self.near.map_or(0, Near::used))
    }

    /// As much is used as before, and no more but what a share left at the end of a block, as it took another.
    fn unmoved(&self, before: (usize, usize)) -> bool {
        let (used, shared) = self.used();
        used == before.0 || used > before.0 && shared > before.1
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

impl<'a> Frame<'a, '_> {
    fn took_from_batch<T: ?Sized + 'a>(
        &mut self,
        shadow: &mut Shadow,
        alloc: impl FnOnce(&mut Batch<'a>) -> Result<&'a mut T, Error>,
    ) {
        let outcome = alloc(&mut self.batch);
        self.took(shadow, outcome);
    }
}

impl Frame<'_, '_> {
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
            assert!(are(block.as_ref(), 0), "not zero");
            block.cast::<u8>().write_bytes(0x5a, first.size());
            let resized = if second.size() >= first.size() {
                arena.grow_zeroed(block.cast(), first, second)
            } else {
                arena.shrink(block.cast(), first, second)
            };
            let Ok(resized) = resized else {
                assert!(are(block.as_ref(), 0x5a), "contents after a refusal");
                return arena.deallocate(block.cast(), first);
            };
            let kept = first.size().min(second.size());
            let bytes = resized.as_ref();
            assert_eq!((bytes.len(), bytes.as_ptr().addr() % second.align()), (second.size(), 0));
            assert!(are(&bytes[..kept], 0x5a), "contents");
            assert!(are(&bytes[kept..], 0), "not zero");
            if second.size() % 2 == 0 {
                arena.deallocate(resized.cast(), second);
            } else {
                shadow.took(arena, resized.as_ptr().cast(), second.size(), second.align(), self.depth);
            }
        }
    }
}

impl Level for Frame<'_, '_> {
    fn act(&mut self, input: &mut Input<'_>, shadow: &mut Shadow) {
        shadow.count();
        self.disturb();
        self.act_once(input, shadow);
        if let Some(near) = self.near {
            near.settle(self.arena, shadow);
        }
    }
}

impl Frame<'_, '_> {
    fn act_once(&mut self, input: &mut Input<'_>, shadow: &mut Shadow) {
        let arena = self.arena;
        match input.byte() % 40 {
            0 => {
                let (size, align) = (input.size(), 1 << (input.byte() % 14));
                let before = self.used();
                match arena.alloc_raw(size, align) {
                    Ok(block) => shadow.took(arena, block.as_ptr().cast(), size, align, self.depth),
                    Err(_) => assert!(self.unmoved(before)),
                }
            }
            1 => self.took(shadow, arena.try_alloc(7_u64)),
            2 => self.took(shadow, arena.try_alloc([7_u8; 3])),
            3 => self.took(shadow, arena.try_alloc(7_u128)),
            4 => self.took(shadow, arena.try_alloc(())),
            5 => {
                let inner = std::cell::Cell::new(None);
                let outcome = arena.try_alloc_with(|| {
                    self.disturb();
                    inner.set(Some(arena.try_alloc([1_u16; 5])));
                    [2_u32; 7]
                });
                self.took(shadow, outcome);
                if let Some(inner) = inner.take() {
                    self.took(shadow, inner);
                }
            }
            6 => {
                let before = self.used();
                let outcome = arena.try_alloc_try_with(|| {
                    self.disturb();
                    Err::<[u64; 20], u8>(1)
                });
                assert!(outcome.is_err() || outcome == Ok(Err(1)));
                assert!(self.unmoved(before) || !gives_back());
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
                    assert!(are(bytes, 0), "not zero");
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
                    self.disturb();
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
                let before = self.used();
                assert!(arena.alloc_string::<u8>("€").is_err() && arena.alloc_byte_string("0x4").is_err());
                assert!(self.unmoved(before));
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

/// Whether what is given back is handed out again: not where a checker is told.
fn gives_back() -> bool {
    static GIVES_BACK: OnceLock<bool> = OnceLock::new();
    *GIVES_BACK.get_or_init(|| {
        let arena = Mallocator::with_size(4096).unwrap();
        matches!(arena.try_alloc_try_with(|| Err::<u64, u8>(1)), Ok(Err(1))) && arena.used() == 0
    })
}
