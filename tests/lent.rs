//! Arenas over memory that the caller has: all of it can be used, and it is the caller's again afterwards.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

#[path = "common/typed.rs"]
mod typed;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::OpenOptions;
use std::mem::{self, MaybeUninit};
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as ArenaVec;
use mallocator::{Error, Lent, Mallocator, Protection, Root, Rooted};
use memmap2::MmapMut;
use typed::{Checks, call_each};

/// Counts what this thread has of the heap.
struct Counting;

thread_local! {
    static BLOCKS: Cell<isize> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count(blocks: isize) {
    let _ = BLOCKS.try_with(|count| count.set(count.get() + blocks));
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-1);
        // SAFETY: the caller's.
        unsafe { System.dealloc(block, layout) };
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

fn call_each_on<'a>(arena: &'a Mallocator, tag: u8, checks: &mut Checks<'a>) -> Result<(), Error> {
    call_each!(arena, tag, checks);
    Ok(())
}

/// Everything that an arena can do, on one with 100 KiB or more.
fn works(arena: &Mallocator) {
    let mut checks = Checks::new();
    for tag in 0..3 {
        call_each_on(arena, tag, &mut checks).unwrap();
        arena.scope(|scratch| {
            call_each_on(scratch, tag + 100, &mut Checks::new()).unwrap();
            scratch.scope(|deeper| {
                arena.alloc([tag; 100]);
                deeper.alloc([tag; 100]);
            });
        });
    }
    let mut numbers = ArenaVec::new_in(arena);
    numbers.extend(0..1000);
    let place = numbers.as_ptr();
    numbers.extend(1000..2000);
    assert_eq!(numbers.as_ptr(), place, "the last grows in place");
    assert!(numbers.iter().copied().eq(0..2000));
    let mut batch = arena.batch(1000);
    let in_batch: Vec<&mut u64> = (0..300).map(|number| batch.alloc(number)).collect();
    drop(batch);
    assert!(in_batch.iter().zip(0..).all(|(value, number)| **value == number));
    assert!(checks.iter().all(|check| check()));
    assert!(arena.contains(numbers.as_ptr()) && !arena.contains(&1));
    let used = arena.used();
    assert_eq!(arena.ptr().addr().get(), arena.base().addr().get() + used);
    assert_eq!(used + arena.available(), arena.size());
    let refused = arena.try_alloc_slice_fill_copy(1 << 40, 1_u8).unwrap_err();
    assert!(matches!(refused, Error::Exhausted { available, .. } if available == arena.available()));
    assert_eq!(arena.used(), used);
}

#[test]
fn a_buffer_of_any_size_at_any_offset_is_an_arena_or_says_what_it_would_need() {
    #[repr(align(64))]
    struct Buffer([MaybeUninit<u8>; 512]);
    let mut buffer = Buffer([MaybeUninit::new(0x5a); 512]);
    let outside = |buffer: &Buffer, offset: usize, size: usize| {
        // SAFETY: all of it was written, and nothing has it.
        let intact = |byte: &MaybeUninit<u8>| unsafe { byte.assume_init() } == 0x5a;
        buffer.0[..offset].iter().all(intact) && buffer.0[offset + size..].iter().all(intact)
    };
    for offset in 0..16 {
        let mut least = None;
        for size in 0..400 {
            buffer.0[offset..offset + size].fill(MaybeUninit::new(0));
            let memory = &mut buffer.0[offset..offset + size];
            let (start, end) = (memory.as_ptr().addr(), memory.as_ptr_range().end.addr());
            match Mallocator::from_slice(memory) {
                Ok(arena) => {
                    assert!(least.is_none_or(|needed| size >= needed));
                    let base = arena.base().addr().get();
                    assert!(base - start <= 256 && base % 16 == 0, "bookkeeping of {} bytes", base - start);
                    assert_eq!((arena.size(), arena.available()), (end - base, end - base));
                    assert!(arena.available() > 0);
                    // To the last byte, and no further.
                    arena.alloc_slice_fill_copy(arena.available(), 0xff_u8);
                    assert_eq!(arena.ptr().addr().get(), end);
                    assert!(matches!(arena.try_alloc(1_u8), Err(Error::Exhausted { available: 0, .. })));
                }
                Err(error) => {
                    let Error::TooSmall { size: lent, needed } = error else { panic!("{error}") };
                    assert!(lent == size && needed > size && needed <= 256);
                    assert!(least.is_none_or(|least| least == needed), "it does not depend on the size");
                    least = Some(needed);
                }
            }
            assert!(outside(&buffer, offset, size), "{size} bytes at {offset}");
            buffer.0[offset..offset + size].fill(MaybeUninit::new(0x5a));
        }
        let needed = least.unwrap();
        assert_eq!(Mallocator::from_slice(&mut buffer.0[offset..offset + needed]).unwrap().available(), 1);
        buffer.0.fill(MaybeUninit::new(0x5a));
    }
}

#[test]
fn a_buffer_on_the_stack_is_an_arena_without_a_call_to_the_heap() {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let calls = CALLS.get();
    let mut arena = Mallocator::from_slice(&mut buffer).unwrap();
    for round in 0..100 {
        let text = arena.alloc_fmt(format_args!("round {round}"));
        assert_eq!(text.len(), if round < 10 { 7 } else { 8 });
        arena.scope(|scratch| drop(scratch.alloc_boxed([1_u8; 1000])));
        arena.reset();
        assert_eq!(arena.used(), 0);
    }
    drop(arena);
    assert_eq!(CALLS.get(), calls);
}

#[test]
fn everything_that_an_arena_can_do_works_on_lent_memory() {
    let mut memory = vec![MaybeUninit::uninit(); 1 << 20];
    let mut arena = Mallocator::from_slice(&mut memory).unwrap();
    for _ in 0..3 {
        works(&arena);
        arena.reset();
        assert_eq!(arena.used(), 0);
    }
    assert!(format!("{arena:?}").contains("Lent"));
    drop(arena);
    let mut owned = Mallocator::from_box(Box::new_uninit_slice(1 << 20)).unwrap();
    for _ in 0..3 {
        works(&owned);
        owned.reset();
        owned.trim();
        assert_eq!((owned.used(), owned.committed()), (0, owned.size()), "nothing is given back");
    }
}

#[test]
fn a_static_is_an_arena_for_as_long_as_the_process_lives() {
    static mut MEMORY: [MaybeUninit<u8>; 200_000] = [MaybeUninit::uninit(); 200_000];
    let place = &raw mut MEMORY;
    // SAFETY: this is the only use of it.
    let memory = unsafe { &mut *place };
    let arena: &'static Lent<'static> = Box::leak(Box::new(Mallocator::from_slice(memory).unwrap()));
    let text: &'static str = arena.alloc_str("for good");
    works(arena);
    assert_eq!(text, "for good");
}

#[test]
fn ten_thousand_little_arenas_in_a_large_one_are_apart() {
    let outer = Mallocator::with_size(64 << 20).unwrap();
    let arenas: Vec<Lent<'_>> =
        (0..10_000).map(|_| Mallocator::from_slice(outer.alloc_uninit_slice(1000)).unwrap()).collect();
    let values: Vec<&mut [u16]> =
        arenas.iter().zip(0..).map(|(arena, tag)| arena.alloc_slice_fill_copy(300, tag)).collect();
    for arena in &arenas {
        arena.scope(|scratch| scratch.alloc_slice_fill_copy(scratch.available(), 0xff_u8).len());
        assert!(outer.contains(arena.base().as_ptr()));
    }
    for (values, tag) in values.iter().zip(0..) {
        assert!(values.iter().all(|&value| value == tag));
    }
    let used = outer.used();
    drop(arenas);
    assert_eq!(outer.used(), used);
    outer.alloc_slice_fill_copy(1000, 1_u8);
}

#[test]
fn a_box_goes_back_to_the_heap_with_its_arena_and_once() {
    let ends: [fn(Mallocator); 5] = [
        drop,
        |arena| arena.free().unwrap(),
        |arena| drop(arena.seal(Protection::READ).unwrap_err().into_parts().0),
        |arena| {
            std::thread::scope(|threads| {
                threads.spawn(move || arena.alloc_str("elsewhere").len()).join().map(drop)
            })
            .unwrap();
        },
        |arena| {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                arena.scope(|scratch| {
                    scratch.alloc(1);
                    std::panic::resume_unwind(Box::new("out"));
                })
            }));
        },
    ];
    for (index, end) in ends.into_iter().enumerate() {
        let blocks = BLOCKS.get();
        let arena = Mallocator::from_box(Box::new_uninit_slice(10_000)).unwrap();
        assert_eq!(BLOCKS.get(), blocks + 1);
        arena.alloc_slice_fill_copy(arena.available() - 100, 1_u8);
        end(arena);
        // Blocks that another thread gives back it counts itself.
        assert!(BLOCKS.get() == blocks || index == 3, "{index}");
    }
    let blocks = BLOCKS.get();
    for size in [0, 1, 50] {
        let refused = Mallocator::from_box(Box::new_uninit_slice(size)).map(drop);
        assert!(matches!(refused, Err(Error::TooSmall { size: lent, .. }) if lent == size));
    }
    assert_eq!(BLOCKS.get(), blocks);
}

#[test]
fn a_vector_s_spare_capacity_is_an_arena_beside_what_the_vector_holds() {
    let mut numbers: Vec<u8> = Vec::with_capacity(10_000);
    numbers.extend([7; 1000]);
    {
        let arena = Mallocator::from_slice(numbers.spare_capacity_mut()).unwrap();
        assert!(arena.available() > 8700);
        arena.alloc_slice_fill_copy(arena.available(), 0xff_u8);
    }
    assert_eq!(numbers, [7; 1000]);
    numbers.extend([8; 9000]);
    assert!(numbers[1000..].iter().all(|&number| number == 8));
}

#[test]
fn memory_is_its_lender_s_again_after_a_drop_and_after_it_was_forgotten() {
    let mut memory = vec![MaybeUninit::new(0_u8); 10_000];
    for forget in [false, true] {
        for round in 0..3_u8 {
            let arena = Mallocator::from_slice(&mut memory).unwrap();
            arena.alloc_slice_fill_copy(arena.available(), round);
            if forget {
                mem::forget(arena);
            } else {
                drop(arena);
            }
            memory.fill(MaybeUninit::new(round));
            // SAFETY: all of it was just written.
            assert!(memory.iter().all(|byte| unsafe { byte.assume_init() } == round));
        }
    }
    let start = NonNull::from(&mut memory[..]).cast::<u8>();
    for free in [false, true] {
        // SAFETY: the memory outlives the arena, and is not used meanwhile.
        let arena = unsafe { Mallocator::from_raw_parts(start, 10_000) }.unwrap();
        works_a_little(&arena);
        if free {
            arena.free().unwrap();
        } else {
            drop(arena);
        }
        memory.fill(MaybeUninit::new(1));
    }
}

fn works_a_little(arena: &Mallocator) {
    let text = arena.alloc_str("kept");
    arena.scope(|scratch| scratch.alloc_slice_fill_copy(scratch.available(), 0xff_u8).len());
    assert_eq!(text, "kept");
}

/// What was lent may hold anything.
#[test]
fn zeroes_in_dirty_memory_are_zero() {
    let mut memory = vec![MaybeUninit::new(0xff_u8); 100_000];
    let mut arena = Mallocator::from_slice(&mut memory).unwrap();
    for _ in 0..3 {
        assert!(arena.alloc_zeroed_bytes(10_000, 64).iter().all(|&byte| byte == 0));
        let layout = Layout::new::<[u8; 1000]>();
        let block = arena.allocate_zeroed(layout).unwrap();
        // SAFETY: the block is this test's, and used by its new name once it has grown.
        let grown = unsafe {
            assert!(block.as_ref().iter().all(|&byte| byte == 0));
            &*arena.grow_zeroed(block.cast(), layout, Layout::new::<[u8; 5000]>()).unwrap().as_ptr()
        };
        assert!(grown.iter().all(|&byte| byte == 0));
        arena.scope(|scratch| {
            scratch.alloc_slice_fill_copy(20_000, 0xff_u8);
        });
        assert!(arena.alloc_zeroed_bytes(arena.available(), 1).iter().all(|&byte| byte == 0));
        arena.reset();
        arena.alloc_slice_fill_copy(arena.available(), 0xff_u8);
        arena.reset();
    }
}

#[test]
fn what_is_not_the_arena_s_own_is_neither_protected_nor_sealed_and_the_arena_comes_back() {
    struct Text;
    impl Root for Text {
        type In<'a> = &'a str;
    }
    let mut memory = [MaybeUninit::uninit(); 1000];
    let lent = Mallocator::from_slice(&mut memory).unwrap();
    // SAFETY: nothing changes.
    let refused = unsafe { lent.protect(0..1, Protection::READ) };
    assert_eq!(refused, Err(Error::NotItsOwn { call: "protect" }));
    assert!(!lent.report().is_its_own() && lent.protection() == Protection::READ_WRITE);
    lent.alloc(1);

    let arena = Mallocator::from_box(Box::new_uninit_slice(10_000)).unwrap();
    let kept = arena.alloc_str("kept").as_ptr();
    for protection in [Protection::READ, Protection::READ_EXECUTE, Protection::NO_ACCESS] {
        // SAFETY: nothing changes.
        let refused = unsafe { arena.protect(0..arena.size(), protection) };
        assert_eq!(refused, Err(Error::NotItsOwn { call: "protect" }));
    }
    let (arena, error) = arena.seal(Protection::READ).unwrap_err().into_parts();
    assert_eq!((error, arena.used()), (Error::NotItsOwn { call: "seal" }, 4));
    // SAFETY: the text is there, and nobody writes to it.
    assert_eq!(unsafe { std::slice::from_raw_parts(kept, 4) }, b"kept");
    arena.alloc(1);

    let text = Rooted::<Text>::new(arena, |arena| &*arena.alloc_str("the root of a box"));
    assert_eq!(text.with(|_, text| text.len()), 17);
    let (text, error) = text.seal(Protection::READ).unwrap_err().into_parts();
    assert_eq!(error, Error::NotItsOwn { call: "seal" });
    assert_eq!(text.with(|arena, text| (arena.alloc(1) == &1, text.len())), (true, 17));
    let blocks = BLOCKS.get();
    drop(text);
    assert_eq!(BLOCKS.get(), blocks - 2, "the arena's box, and the one it lies in");
}

#[test]
fn arenas_over_boxes_and_lent_memory_go_from_thread_to_thread() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    let boxed = sent(Mallocator::from_box(Box::new_uninit_slice(1 << 20)).unwrap());
    boxed.alloc_str("here");
    let mut memory = vec![MaybeUninit::uninit(); 1 << 20];
    let mut lent = sent(Mallocator::from_slice(&mut memory).unwrap());
    let boxed = std::thread::scope(|threads| {
        let work = threads.spawn(|| {
            works(&boxed);
            boxed
        });
        threads.spawn(|| {
            works(&lent);
            lent.reset();
        });
        work.join().unwrap()
    });
    assert!(boxed.used() > 4);
    works(&lent);
}

#[test]
fn what_is_written_through_an_arena_over_a_mapped_file_is_in_the_file() {
    let path = std::env::temp_dir().join(format!("mallocator-lent-{}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    file.set_len(100_000).unwrap();
    // SAFETY: nobody else has the file.
    let mut map = unsafe { MmapMut::map_mut(&file) }.unwrap();
    let offset = {
        let start = NonNull::from(&mut map[..]).cast::<u8>();
        // SAFETY: the mapping outlives the arena, and is not used meanwhile.
        let arena = unsafe { Mallocator::from_raw_parts(start, 100_000) }.unwrap();
        let text = arena.alloc_str("written through the arena");
        arena.alloc_slice_fill_copy(arena.available(), b'x');
        text.as_ptr().addr() - start.addr().get()
    };
    assert!(map[offset..].starts_with(b"written through the arena"));
    map.flush().unwrap();
    let text = std::fs::read(&path).unwrap();
    drop(map);
    std::fs::remove_file(&path).unwrap();
    assert!(text[offset..].starts_with(b"written through the arena"));
    assert!(text[offset + 25..].iter().all(|&byte| byte == b'x'), "to the end");
}

#[test]
fn memory_that_processes_share_is_an_arena_and_still_mapped_afterwards() {
    let mut map = MmapMut::map_anon(1 << 20).unwrap();
    for round in 0..2 {
        let memory = &mut map[..];
        let start = NonNull::from(memory).cast::<u8>();
        // SAFETY: the mapping outlives the arena, and is not used meanwhile.
        let mut arena = unsafe { Mallocator::from_raw_parts(start, 1 << 20) }.unwrap();
        works(&arena);
        arena.reset();
        let place = arena.alloc_slice_fill_copy(1000, round).as_ptr().addr() - start.addr().get();
        if round == 0 {
            arena.free().unwrap();
        } else {
            drop(arena);
        }
        assert_eq!(map[place..place + 1000], [round; 1000]);
        map.fill(0xff);
    }
}
