//! Random calls held against a model that is obvious: what was handed out is kept apart, aligned, inside, and intact.

mod common;

use mallocator::{Error, Mallocator, Mark};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Call {
    Raw { size: usize, align_log2: u32 },
    Layout { size: usize, align_log2: u32 },
    Byte(u8),
    Word(u64),
    Triple([u16; 3]),
    With(u128),
    Bytes(Vec<u8>),
    Words(Vec<u32>),
    Str(String),
    Units(String, usize),
    Packed(String, usize),
    Hex(Vec<u8>),
    Nothing,
    Mark,
    Rewind,
    Reset,
    Trim,
}

fn call() -> impl Strategy<Value = Call> {
    let size = prop_oneof![8 => 0..200_usize, 2 => 0..100_000_usize, 1 => any::<usize>()];
    let text = prop_oneof![3 => "[ -~]{0,40}", 1 => "\\PC{0,40}"];
    let width = prop_oneof![Just(1_usize), Just(2), Just(4)];
    prop_oneof![
        3 => (size.clone(), 0..18_u32).prop_map(|(size, align_log2)| Call::Raw { size, align_log2 }),
        3 => (size, 0..18_u32).prop_map(|(size, align_log2)| Call::Layout { size, align_log2 }),
        2 => any::<u8>().prop_map(Call::Byte),
        2 => any::<u64>().prop_map(Call::Word),
        2 => any::<[u16; 3]>().prop_map(Call::Triple),
        2 => any::<u128>().prop_map(Call::With),
        2 => vec(any::<u8>(), 0..3000).prop_map(Call::Bytes),
        2 => vec(any::<u32>(), 0..300).prop_map(Call::Words),
        2 => text.clone().prop_map(Call::Str),
        2 => (text.clone(), width.clone()).prop_map(|(text, width)| Call::Units(text, width)),
        2 => (text, width).prop_map(|(text, width)| Call::Packed(text, width)),
        2 => vec(any::<u8>(), 0..50).prop_map(Call::Hex),
        1 => Just(Call::Nothing),
        2 => Just(Call::Mark),
        1 => Just(Call::Rewind),
        1 => Just(Call::Reset),
        1 => Just(Call::Trim),
    ]
}

/// A block that is handed out: where, and what was written to it.
struct Block {
    offset: usize,
    bytes: Vec<u8>,
}

struct Model {
    arena: Mallocator,
    used: usize,
    blocks: Vec<Block>,
    marks: Vec<(Mark, usize)>,
}

impl Model {
    /// A call handed out `bytes.len()` bytes at `start`, or refused; `align` is what it promised.
    fn took(&mut self, outcome: Result<*const u8, Error>, bytes: Vec<u8>, align: usize) {
        let (base, size) = (self.arena.base().addr().get(), self.arena.size());
        let start = (base + self.used).next_multiple_of(align) - base;
        let fits = start.checked_add(bytes.len()).is_some_and(|end| end <= size);
        if bytes.is_empty() {
            assert!(outcome.is_ok());
        } else if let Ok(pointer) = outcome {
            assert!(fits);
            assert_eq!(pointer.addr(), base + start);
            assert!(self.arena.contains(pointer));
            self.used = start + bytes.len();
            self.blocks.push(Block { offset: start, bytes });
        } else {
            assert!(!fits, "{outcome:?} with {} left", self.arena.available());
            assert!(matches!(outcome, Err(Error::Exhausted { .. })));
        }
    }

    /// A raw block or a layout, which the model fills itself.
    fn took_raw(&mut self, outcome: Result<*mut u8, Error>, size: usize, align: usize) {
        let pattern = self.blocks.len().to_ne_bytes()[0];
        if let Ok(pointer) = outcome {
            // SAFETY: the arena has just handed out these bytes, which are nobody else's.
            unsafe { pointer.write_bytes(pattern, size) };
            self.took(Ok(pointer.cast_const()), vec![pattern; size], align);
        } else {
            let base = self.arena.base().addr().get();
            let start = (base + self.used).next_multiple_of(align) - base;
            assert!(start.saturating_add(size) > self.arena.size());
        }
    }

    fn make(&mut self, call: Call) {
        // The borrow of the arena has to end before the model takes note.
        macro_rules! took {
            ($outcome:expr, $bytes:expr, $align:expr) => {{
                let outcome = $outcome.map(|memory| std::ptr::from_ref(memory).cast::<u8>());
                let bytes = $bytes;
                self.took(outcome, bytes, $align);
            }};
        }
        match call {
            Call::Raw { size, align_log2 } => {
                let align = 1 << align_log2;
                let outcome = self.arena.alloc_raw(size, align).map(|block| block.as_ptr().cast::<u8>());
                if size == 0 && outcome.is_ok() {
                    let base = self.arena.base().addr().get();
                    self.used = (base + self.used).next_multiple_of(align) - base;
                } else {
                    self.took_raw(outcome, size, align);
                }
            }
            Call::Layout { size, align_log2 } => {
                let align = 1 << align_log2;
                if let Ok(layout) = std::alloc::Layout::from_size_align(size, align) {
                    let outcome = self.arena.try_alloc_layout(layout).map(std::ptr::NonNull::as_ptr);
                    self.took_raw(outcome, size, align);
                }
            }
            Call::Byte(value) => took!(self.arena.try_alloc(value), vec![value], 1),
            Call::Word(value) => took!(self.arena.try_alloc(value), value.to_ne_bytes().to_vec(), 8),
            Call::Triple(value) => {
                took!(
                    self.arena.try_alloc(value),
                    value.iter().flat_map(|unit| unit.to_ne_bytes()).collect(),
                    2
                );
            }
            Call::With(value) => {
                took!(self.arena.try_alloc_with(|| value), value.to_ne_bytes().to_vec(), align_of::<u128>());
            }
            Call::Bytes(bytes) => took!(self.arena.try_alloc_bytes(&bytes), bytes, 1),
            Call::Words(words) => {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
                took!(self.arena.try_alloc_slice_copy(&words), bytes, 4);
            }
            Call::Str(text) => took!(self.arena.try_alloc_str(&text), text.clone().into_bytes(), 1),
            Call::Units(text, width) => {
                let Some(bytes) = encoded(&text, width) else { return self.refuses(&text, width) };
                match width {
                    1 => took!(self.arena.alloc_string::<u8>(&text), bytes, 1),
                    2 => took!(self.arena.alloc_string::<u16>(&text), bytes, 2),
                    _ => took!(self.arena.alloc_string::<u32>(&text), bytes, 4),
                }
            }
            Call::Packed(text, width) => {
                let Some(bytes) = encoded(&text, width) else { return self.refuses(&text, width) };
                let outcome = self.arena.alloc_string_raw(&text, width);
                self.took(outcome.map(|block| block.as_ptr().cast::<u8>().cast_const()), bytes, 1);
            }
            Call::Hex(bytes) => {
                let text = format!("{bytes:02x?}");
                took!(self.arena.alloc_byte_string(&text), bytes, 1);
            }
            Call::Nothing => {
                self.arena.alloc(());
                self.arena.alloc_slice_copy::<u64>(&[]);
            }
            Call::Mark => self.marks.push((self.arena.mark(), self.used)),
            Call::Rewind => {
                if let Some((mark, used)) = self.marks.pop() {
                    // SAFETY: the model forgets what was allocated since.
                    unsafe { self.arena.rewind(mark) };
                    // A mark from before a rewind or reset may lie above the cursor: then nothing happens.
                    self.used = self.used.min(used);
                    let used = self.used;
                    self.blocks.retain(|block| block.offset + block.bytes.len() <= used);
                }
            }
            Call::Reset => {
                self.arena.reset();
                self.used = 0;
                self.blocks.clear();
                self.marks.clear();
            }
            Call::Trim => {
                self.arena.trim();
                assert_eq!(self.arena.committed(), self.used.next_multiple_of(mallocator::page_size()));
            }
        }
    }

    fn refuses(&mut self, text: &str, width: usize) {
        let index = text.char_indices().find(|(_, character)| u32::from(*character) > 0xff).unwrap().0;
        let error = self.arena.alloc_string_raw(text, width).unwrap_err();
        assert!(matches!(error, Error::CharacterDoesNotFit { index: at, width: 1, .. } if at == index));
    }

    /// What must hold after every call.
    fn check(&self) {
        let Self { arena, used, .. } = self;
        assert_eq!(arena.used(), *used);
        assert_eq!(arena.ptr().addr().get(), arena.base().addr().get() + used);
        assert_eq!(arena.available(), arena.size() - used);
        assert!(arena.used() <= arena.committed() && arena.committed() <= arena.size());
        let mut end = 0;
        for block in &self.blocks {
            assert!(block.offset >= end, "blocks overlap");
            end = block.offset + block.bytes.len();
            // SAFETY: the arena has handed out these bytes, they were written, and no reference to them is kept.
            let now = unsafe {
                std::slice::from_raw_parts(arena.base().as_ptr().add(block.offset), block.bytes.len())
            };
            assert_eq!(now, block.bytes, "contents changed");
        }
        assert!(end <= *used);
    }
}

fn encoded(text: &str, width: usize) -> Option<Vec<u8>> {
    let terminated = text.chars().chain(['\0']);
    match width {
        1 => terminated.map(|character| u8::try_from(u32::from(character)).ok()).collect(),
        2 => Some(text.encode_utf16().chain([0]).flat_map(u16::to_ne_bytes).collect()),
        _ => Some(terminated.flat_map(|character| u32::from(character).to_ne_bytes()).collect()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn blocks_are_apart_aligned_inside_and_keep_their_contents(
        size in prop_oneof![1..5_usize, 60..70_usize, 250..260_usize],
        calls in vec(call(), 1..120),
    ) {
        let arena = Mallocator::with_size(size * 4096).unwrap();
        let mut model = Model { arena, used: 0, blocks: Vec::new(), marks: Vec::new() };
        for call in calls {
            model.make(call);
            model.check();
        }
        common::check_pages(&model.arena);
        model.arena.free().unwrap();
    }
}
