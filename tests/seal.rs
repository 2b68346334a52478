//! Sealing: what is sealed cannot be written, can be read, shared and executed, and becomes an arena again.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod common;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use common::{Page, page_at};
use mallocator::{
    Error, HugePages, Mallocator, PAGE_GRANULARITY, Protection, ReadOnly, Root, Rooted, SealError, Sealed,
    SealedRoot, Vec as ArenaVec,
};

const SEALS: [Protection; 4] =
    [Protection::READ, Protection::READ_EXECUTE, Protection::EXECUTE, Protection::NO_ACCESS];

fn page_of(protection: Protection) -> Page {
    if protection == Protection::NO_ACCESS { Page::Inaccessible } else { Page::Accessible(protection) }
}

/// The states of the pages that hold a byte of `range`, in bytes from `base`.
fn pages(base: usize, range: Range<usize>) -> impl Iterator<Item = Page> {
    let page = mallocator::page_size();
    (range.start / page..range.end.div_ceil(page)).map(move |index| page_at(base + index * page))
}

#[test]
fn a_seal_is_exact_to_the_page_and_covers_everything_handed_out() {
    common::alone("a_seal_is_exact_to_the_page_and_covers_everything_handed_out", || {
        let page = mallocator::page_size();
        for used in [0, 1, page - 1, page, page + 1, 3 * page, 40 * page + 5] {
            for protection in SEALS {
                let arena = Mallocator::builder().size(1 << 20).huge_pages(HugePages::Never).build().unwrap();
                arena.alloc_raw(used, 1).unwrap();
                let sealed = arena.seal(protection).unwrap();
                let base = sealed.base().addr().get();
                assert!(
                    pages(base, 0..used).all(|state| state == page_of(protection)),
                    "{protection} {used}"
                );
                let end = used.next_multiple_of(page);
                assert!(pages(base, end..sealed.size() + page).all(|state| state == Page::Inaccessible));
                assert_eq!((sealed.used(), sealed.size()), (used, 1 << 20));
            }
        }
    });
}

#[test]
fn what_is_unsealed_is_the_arena_it_was() {
    for protection in SEALS {
        let arena = Mallocator::with_size(1 << 22).unwrap();
        let address = arena.alloc_slice_copy(&[7_u64; 1000]).as_ptr();
        arena.alloc_bytes(&[1; 1 << 20]);
        let used = arena.used();
        let mut arena = arena.seal(protection).unwrap().unseal().unwrap();
        common::check_pages(&arena);
        assert_eq!((arena.protection(), arena.used()), (Protection::READ_WRITE, used));
        let offset = arena.offset_of(address).unwrap();
        // SAFETY: a thousand numbers were written there.
        let numbers = unsafe { arena.base().add(offset).cast::<[u64; 1000]>().as_mut() };
        assert_eq!(numbers, &[7; 1000]);
        numbers.fill(8);
        arena.alloc_bytes(&[1; 1 << 20]);
        arena.reset();
        assert!(arena.alloc_zeroed_bytes(1 << 20, 1).iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_seal_to_something_writable_is_refused_and_gives_the_arena_back() {
    let writable = [Protection::READ_WRITE, Protection::READ_WRITE_EXECUTE];
    let guarded = writable.map(|protection| protection | Protection::GUARD);
    for protection in writable.into_iter().chain(guarded) {
        let arena = Mallocator::new().unwrap();
        let text = arena.alloc_str("kept").as_ptr();
        let refused: SealError = arena.seal(protection).unwrap_err();
        assert_eq!(refused.error(), Error::SealWritable { protection });
        assert!(refused.to_string().contains("READ_EXECUTE"), "{refused}");
        let (arena, error) = refused.into_parts();
        assert_eq!(error, Error::SealWritable { protection });
        assert_eq!(
            (arena.used(), arena.offset_of(text), arena.protection()),
            (4, Some(0), Protection::READ_WRITE)
        );
        common::check_pages(&arena);
    }
    let refused = Mallocator::new().unwrap().seal(Protection::from_bits_retain(0x80)).unwrap_err();
    assert!(matches!(Error::from(refused), Error::InvalidProtection(_)));
}

#[test]
fn bytes_and_values_are_read_by_offset_and_nothing_else_is() {
    let arena = Mallocator::new().unwrap();
    arena.alloc_bytes(b"12345678");
    arena.alloc(0x0102_0304_0506_0708_u64);
    let sealed = arena.seal(Protection::READ).unwrap();
    // SAFETY: sixteen bytes were written, without gaps.
    unsafe {
        assert_eq!(sealed.bytes(2..4), Ok(&b"34"[..]));
        assert_eq!(sealed.bytes(16..16), Ok(&b""[..]));
        assert_eq!(sealed.get::<u64>(8), Ok(&0x0102_0304_0506_0708));
        assert_eq!(sealed.get::<()>(16), Ok(&()));
        assert_eq!(sealed.bytes(0..17), Err(Error::NotHandedOut { end: 17, used: 16 }));
        let reversed = Range { start: 3, end: 2 };
        assert_eq!(sealed.bytes(reversed), Err(Error::RangeReversed { start: 3, end: 2 }));
        assert_eq!(sealed.get::<u64>(4), Err(Error::Misaligned { offset: 4, align: 8 }));
        assert_eq!(sealed.get::<u64>(16), Err(Error::NotHandedOut { end: 24, used: 16 }));
        assert_eq!(sealed.get::<u8>(usize::MAX), Err(Error::NotHandedOut { end: usize::MAX, used: 16 }));
        let refused = sealed.try_function::<extern "C" fn()>(0).unwrap_err();
        assert_eq!(refused, Error::NotExecutable { protection: Protection::READ });
    }
    assert!(sealed.contains(sealed.base().as_ptr()) && !sealed.contains(&raw const sealed));
    for protection in [Protection::EXECUTE, Protection::NO_ACCESS] {
        let arena = Mallocator::new().unwrap();
        arena.alloc(1_u8);
        let sealed = arena.seal(protection).unwrap();
        // SAFETY: a byte was written.
        assert_eq!(unsafe { sealed.bytes(0..1) }, Err(Error::NotReadable { protection }));
        // SAFETY: as above.
        assert_eq!(unsafe { sealed.get::<u8>(0) }, Err(Error::NotReadable { protection }));
    }
}

#[test]
fn sealed_arenas_are_shared_by_threads() {
    let arena = Mallocator::with_size(1 << 20).unwrap();
    let numbers = arena.alloc_iter(0..10_000_u32);
    assert_eq!(arena.offset_of(numbers.as_ptr()), Some(0));
    let sealed: Sealed = arena.seal(Protection::READ).unwrap();
    std::thread::scope(|threads| {
        for start in 0..4_u16 {
            let sealed = &sealed;
            threads.spawn(move || {
                for index in (start..10_000_u16).step_by(4) {
                    // SAFETY: ten thousand numbers were written there.
                    assert_eq!(unsafe { sealed.get::<u32>(usize::from(index) * 4) }, Ok(&u32::from(index)));
                }
            });
        }
    });
    std::thread::spawn(move || sealed.free().unwrap()).join().unwrap();
}

#[test]
fn a_write_to_what_is_sealed_is_fatal() {
    common::dies("a_write_to_what_is_sealed_is_fatal", || {
        let arena = Mallocator::new().unwrap();
        let last = arena.alloc_bytes(&[1; 5000])[4999..].as_mut_ptr();
        let sealed = Box::leak(Box::new(arena.seal(Protection::READ).unwrap()));
        assert!(sealed.contains(last));
        last
    });
}

#[test]
fn a_write_right_behind_the_pages_of_what_is_sealed_is_fatal() {
    common::dies("a_write_right_behind_the_pages_of_what_is_sealed_is_fatal", || {
        let arena = Mallocator::new().unwrap();
        arena.alloc_bytes(&[1; 10]);
        let sealed = Box::leak(Box::new(arena.seal(Protection::READ).unwrap()));
        sealed.base().as_ptr().wrapping_add(mallocator::page_size())
    });
}

/// A function that returns its argument and seven.
fn plus_seven(arena: &Mallocator) -> &[u8] {
    if cfg!(target_arch = "aarch64") {
        arena.alloc_byte_string("00 1c 00 11 c0 03 5f d6").unwrap() // add w0, w0, #7; ret
    } else if cfg!(windows) {
        arena.alloc_byte_string("8d 41 07 c3").unwrap() // lea eax, [rcx + 7]; ret
    } else {
        arena.alloc_byte_string("8d 47 07 c3").unwrap() // lea eax, [rdi + 7]; ret
    }
}

#[test]
fn code_is_written_then_sealed_then_called_and_changed_and_called_again() {
    let mut arena = Mallocator::new().unwrap();
    for round in 0..10_u8 {
        // Elsewhere each time, and over what was code before.
        arena.alloc_slice_fill_copy(16 * usize::from(round), 0_u8);
        let offset = arena.offset_of(plus_seven(&arena).as_ptr()).unwrap();
        let code = arena.seal(Protection::READ_EXECUTE).unwrap();
        // SAFETY: that is such a function.
        let function = unsafe { code.function::<extern "C" fn(i32) -> i32>(offset) };
        assert_eq!(function.call(round.into()), i32::from(round) + 7);
        assert!(format!("{function:?}").contains("Function"));
        // SAFETY: as above.
        let careful = unsafe { code.function::<unsafe extern "C" fn(i32) -> i32>(offset) };
        // SAFETY: any number will do; the pages are there.
        assert_eq!(unsafe { (careful.call(1), careful.pointer()(2)) }, (8, 9));
        // SAFETY: nothing is called.
        let behind = unsafe { code.try_function::<extern "C" fn()>(code.used()) };
        assert!(matches!(behind, Err(Error::NotHandedOut { .. })));
        arena = code.unseal().unwrap();
        arena.reset();
    }
}

/// Each time other code lies at the same place, and the thread that calls it never waits in the system for it.
#[test]
fn sealed_code_is_called_by_a_thread_that_was_running_before() {
    const ROUNDS: u32 = 300;
    // mov w0, #number; ret: and mov eax, number; ret.
    let write = |arena: &Mallocator, number: u32| {
        if cfg!(target_arch = "aarch64") {
            let words = [0x5280_0000 | number << 5, 0xd65f_03c0];
            arena.alloc_bytes(words.map(u32::to_le_bytes).as_flattened());
        } else {
            let [low, high, ..] = number.to_le_bytes();
            arena.alloc_bytes(&[0xb8, low, high, 0, 0, 0xc3]);
        }
    };
    let (code, said) = (AtomicPtr::new(std::ptr::null_mut::<Sealed>()), AtomicU32::new(0));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..ROUNDS {
                let sealed = loop {
                    // SAFETY: what is there is sealed until the number was said.
                    match unsafe { code.load(Ordering::Acquire).as_ref() } {
                        Some(sealed) => break sealed,
                        None => std::hint::spin_loop(),
                    }
                };
                // SAFETY: such a function was written at the start.
                let number = unsafe { sealed.function::<extern "C" fn() -> u32>(0) }.call();
                code.store(std::ptr::null_mut(), Ordering::Relaxed);
                said.store(number, Ordering::Release);
            }
        });
        let (mut arena, mut stale) = (Mallocator::new().unwrap(), 0);
        for number in 1..=ROUNDS {
            write(&arena, number);
            let mut sealed = arena.seal(Protection::READ_EXECUTE).unwrap();
            said.store(0, Ordering::Relaxed);
            code.store(&raw mut sealed, Ordering::Release);
            while said.load(Ordering::Acquire) == 0 {
                std::hint::spin_loop();
            }
            stale += u32::from(said.load(Ordering::Relaxed) != number);
            arena = sealed.unseal().unwrap();
            arena.reset();
        }
        assert_eq!(stale, 0, "what lay there before was run");
    });
}

/// A scope that is suspended for ever would leave its arena without a limit, and what it holds behind what is sealed.
#[test]
fn a_forgotten_scope_does_not_outlive_a_seal() {
    use corosensei::{Coroutine, CoroutineResult};
    let arena = Box::new(Mallocator::new().unwrap());
    arena.alloc(1);
    let place: *const Mallocator = &raw const *arena;
    let mut suspended = Coroutine::new(move |yielder, ()| {
        // SAFETY: the arena is there while the coroutine runs.
        unsafe { &*place }.scope(|scratch| {
            scratch.alloc([2_u8; 10_000]);
            yielder.suspend(());
        });
    });
    assert!(matches!(suspended.resume(()), CoroutineResult::Yield(())));
    std::mem::forget(suspended);
    let arena = (*arena).seal(Protection::READ).unwrap().unseal().unwrap();
    arena.alloc(3);
    assert_eq!(arena.used(), 8);
    common::check_pages(&arena);
}

struct Words;
impl Root for Words {
    type In<'a> = ArenaVec<'a, &'a str>;
}

struct Slice;
impl Root for Slice {
    type In<'a> = &'a [&'a str];
}

fn rooted(text: &str) -> Rooted<Slice> {
    Rooted::new(Mallocator::with_size(PAGE_GRANULARITY).unwrap(), |arena| {
        let text: &str = arena.alloc_str(text);
        &*arena.alloc_iter(text.split(' '))
    })
}

#[test]
fn a_root_is_returned_stored_and_sent_with_its_arena() {
    let many: Vec<Rooted<Slice>> = ["a", "a bee", "a bee sees"].map(rooted).into();
    let counts = std::thread::spawn(move || {
        many.iter().map(|words| words.with(|_, words| words.len())).collect::<Vec<_>>()
    });
    assert_eq!(counts.join().unwrap(), [1, 2, 3]);
}

#[test]
fn a_root_grows_in_the_arena_that_holds_it() {
    let mut words = Rooted::<Words>::new(Mallocator::growing(), |arena| ArenaVec::new_in(arena));
    for count in 1..1000 {
        words.with_mut(|arena, words| words.push(arena.alloc_fmt(format_args!("{count}"))));
    }
    let last = words.with(|_, words| words.last().unwrap().to_string());
    assert_eq!(last, "999");
    let mut arena = words.into_arena();
    arena.reset();
    assert_eq!(arena.used(), 0);
}

#[test]
fn a_root_is_dropped_once_and_before_its_arena() {
    static DROPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    struct Loud<'a>(&'a str);
    impl Drop for Loud<'_> {
        fn drop(&mut self) {
            DROPPED.lock().unwrap().push(self.0.to_owned());
        }
    }
    struct LoudRoot;
    impl Root for LoudRoot {
        type In<'a> = Loud<'a>;
    }
    let build = |text: &'static str| {
        Rooted::<LoudRoot>::new(Mallocator::new().unwrap(), |arena| Loud(arena.alloc_str(text)))
    };
    drop(build("dropped"));
    build("taken apart").into_arena();
    let mut replaced = build("first");
    replaced.with_mut(|arena, root| *root = Loud(arena.alloc_str("second")));
    drop(replaced);
    assert_eq!(*DROPPED.lock().unwrap(), ["dropped", "taken apart", "first", "second"]);
}

#[test]
fn building_that_fails_or_panics_loses_nothing() {
    let arena = Mallocator::new().unwrap();
    let refused = Rooted::<Slice>::try_new(arena, |arena| {
        arena.alloc_str("built until then");
        Err("no")
    });
    let (arena, error) = refused.unwrap_err();
    assert_eq!((arena.used(), error), (16, "no"));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Rooted::<Slice>::new(arena, |arena| {
            arena.alloc_str("built until then");
            panic!("while it is built")
        })
    }));
    assert!(caught.is_err());
}

/// A reference in an argument must hold until its call ends, and these calls end after the arena has. Without an
/// interpreter that knows the rule a breach of it cannot be seen; with one, each of these lines shows it.
#[test]
fn a_root_that_is_a_unique_reference_is_passed_by_value_to_what_ends_its_arena() {
    struct Unique;
    impl Root for Unique {
        type In<'a> = &'a mut u64;
    }
    #[inline(never)]
    fn pass<T>(value: T) -> T {
        value
    }
    #[inline(never)]
    fn read_and_drop(number: Rooted<Unique>) -> u64 {
        let read = number.with(|_, number| **number);
        drop(number);
        read
    }
    let build = || Rooted::<Unique>::new(Mallocator::with_size(1).unwrap(), |arena| arena.alloc(41));
    drop(build());
    let mut number = pass(build());
    number.with_mut(|_, number| **number += 1);
    assert_eq!(read_and_drop(number), 42);
    assert_eq!(pass(build()).into_arena().used(), 8);
    pass(build()).into_arena().free().unwrap();
    drop(pass(Some(build())));
    std::thread::spawn(move || drop(pass(build()))).join().unwrap();
}

mallocator::read_only! {
    /// A tree of numbers.
    #[derive(Debug, PartialEq)]
    enum Tree<'a> {
        /// One.
        Leaf(u64),
        Named { name: &'a str, tree: &'a Tree<'a> },
        Many(&'a [Tree<'a>]),
        Nothing,
    }
}
mallocator::read_only! {
    /// What is sealed.
    pub struct Program<'a> {
        /// What it computes.
        tree: &'a Tree<'a>,
        /// What it is called.
        pub name: Option<&'a str>,
    }
}
impl Root for Program<'_> {
    type In<'a> = Program<'a>;
}
impl Tree<'_> {
    fn sum(&self) -> u64 {
        match self {
            Self::Leaf(number) => *number,
            Self::Named { name, tree } => name.len() as u64 + tree.sum(),
            Self::Many(trees) => trees.iter().map(Tree::sum).sum(),
            Self::Nothing => 0,
        }
    }
}

fn program(leaves: u64) -> Rooted<Program<'static>> {
    Rooted::new(Mallocator::growing(), |arena| {
        let many = Tree::Many(arena.alloc_iter((0..leaves).map(Tree::Leaf).chain([Tree::Nothing])));
        let tree = arena.alloc(Tree::Named { name: arena.alloc_str("sum"), tree: arena.alloc(many) });
        Program { tree, name: Some("sums") }
    })
}

#[test]
fn a_tree_is_sealed_with_its_root_and_read_by_many_threads_at_once() {
    let sealed: SealedRoot<Program> = program(100_000).seal(Protection::READ).unwrap();
    assert_eq!(sealed.protection(), Protection::READ);
    let expected = 3 + 100_000 * 99_999 / 2;
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| assert_eq!(sealed.with(|program| program.tree.sum()), expected));
        }
    });
    let place = sealed.with(|program| std::ptr::from_ref(program.tree).addr());
    assert_eq!(page_at(place), Page::Accessible(Protection::READ));
    // What is read may leave, as long as the seal is borrowed.
    let name: Option<&str> = sealed.with(|program| program.name);
    assert_eq!(name, Some("sums"));
    let mut program = sealed.unseal().unwrap();
    program.with_mut(|arena, program| program.tree = arena.alloc(Tree::Nothing));
    assert_eq!(program.with(|_, program| program.tree.sum()), 0);
}

#[test]
fn a_root_that_could_not_be_read_is_not_sealed() {
    for protection in [Protection::EXECUTE, Protection::NO_ACCESS, Protection::READ | Protection::GUARD] {
        let refused = rooted("a bee").seal(protection).unwrap_err();
        assert_eq!(refused.error(), Error::NotReadable { protection });
        let (words, _) = refused.into_parts();
        assert_eq!(words.with(|_, words| words[1].len()), 3);
    }
    let refused = rooted("a bee").seal(Protection::READ_WRITE).unwrap_err();
    assert!(matches!(refused.error(), Error::SealWritable { .. }));
}

#[test]
fn what_is_only_read_is_known() {
    fn is<T: ReadOnly + ?Sized>() {}
    is::<(u8, char, &[Option<Result<i128, &str>>; 3])>();
    is::<Tree>();
    is::<Program>();
    is::<(std::num::NonZero<u8>, std::marker::PhantomData<std::cell::Cell<u8>>)>();
}

/// Names as the macro may use inside, and shapes at an end of what it takes.
mod shapes {
    mallocator::read_only! {
        pub struct Named<'field, 'a> {
            pub(super) field: &'field u32,
            pub item: &'a [Tuple<'a>],
            pub r#type: (),
        }
    }
    mallocator::read_only! {
        pub struct Empty {}
    }
    mallocator::read_only! {
        pub enum Tuple<'a> {
            Only(u8, &'a str, [u8; 3]),
        }
    }
    mallocator::read_only! {
        #[derive(Clone, Copy)]
        pub enum One {
            Field { field: u8, value: u16 },
        }
    }
    mallocator::read_only! {
        pub enum Never {}
    }
    mallocator::read_only! {
        pub enum Option {
            Some(u8),
            None,
        }
    }
}

#[test]
fn definitions_of_every_shape_are_taken() {
    use shapes::{Empty, Named, Never, One, Option, Tuple};
    fn is<T: ReadOnly>() {}
    is::<(Named, Empty, Tuple, One, Never, Option)>();
    let Tuple::Only(number, text, bytes) = Tuple::Only(1, "2", [3; 3]);
    let One::Field { field, value } = One::Field { field: 4, value: 5 };
    assert_eq!((number, text, bytes, field, value), (1, "2", [3; 3], 4, 5));
    let named = Named { field: &6, item: &[], r#type: () };
    assert_eq!((named.field, named.item.len(), named.r#type), (&6, 0, ()));
    let Empty {} = Empty {};
    assert!(matches!([Option::Some(7), Option::None], [Option::Some(7), Option::None]));
}
