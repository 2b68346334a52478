//! The global allocator as a caller of the library: it may allocate from arenas, and it may refuse.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

use allocator_api2::vec::Vec as ArenaVec;
use mallocator::{Error, Mallocator, Protection, Root, Rooted, SyncMallocator, page_size};

/// What this thread has the heap do.
struct Heap;

thread_local! {
    /// Calls that asked for memory, or gave some back.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    /// How many requests are granted before one is refused.
    static GRANTED: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Whether all that follow are refused too.
    static AND_ALL_AFTER: Cell<bool> = const { Cell::new(false) };
    /// From where every call takes a note.
    static NOTEBOOK: Cell<Option<Notebook>> = const { Cell::new(None) };
    static NOTES: Cell<Notes> = const { Cell::new(Notes { count: 0, places: [None; MOST_NOTES] }) };
}

#[derive(Clone, Copy)]
enum Notebook {
    Arena(&'static Mallocator),
    Shared(&'static SyncMallocator),
}

/// More than any test here makes.
const MOST_NOTES: usize = 512;

#[derive(Clone, Copy)]
struct Notes {
    count: usize,
    places: [Option<&'static [usize; 8]>; MOST_NOTES],
}

/// A note that knows its number.
fn note() {
    let Ok(Some(notebook)) = NOTEBOOK.try_with(Cell::get) else { return };
    let mut notes = NOTES.get();
    if notes.count < MOST_NOTES {
        let text = [notes.count; 8];
        let place = match notebook {
            Notebook::Arena(arena) => {
                // What is taken back is looked for among the protections.
                arena.scope(|scratch| _ = scratch.try_alloc(text));
                arena.try_alloc(text)
            }
            Notebook::Shared(shared) => shared.try_alloc(text),
        };
        if let Ok(place) = place {
            notes.places[notes.count] = Some(place);
            notes.count += 1;
            NOTES.set(notes);
        }
    }
}

fn called() {
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
    note();
}

// SAFETY: the system's allocator, which is called for all that is granted; the arenas are used by their safe methods.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        called();
        let granted = GRANTED.try_with(|granted| {
            let left = granted.get();
            granted.set(match left {
                usize::MAX => left,
                0 if AND_ALL_AFTER.get() => 0,
                0 => usize::MAX,
                _ => left - 1,
            });
            left > 0
        });
        if granted == Ok(false) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        called();
        // SAFETY: the caller's.
        unsafe { System.dealloc(block, layout) };
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

/// Calls to the heap while `act` runs.
fn calls<R>(act: impl FnOnce() -> R) -> usize {
    let before = CALLS.get();
    let _keep = std::mem::ManuallyDrop::new(act());
    CALLS.get() - before
}

/// Runs `act` while every call to the heap takes a note in the arena, then fills what is left of the arena, and looks at
/// each note, of which there must be some if `some`.
fn noting<R>(notebook: Notebook, some: bool, act: impl FnOnce() -> R) -> R {
    NOTES.set(Notes { count: 0, places: [None; MOST_NOTES] });
    NOTEBOOK.set(Some(notebook));
    let outcome = act();
    NOTEBOOK.set(None);
    for _ in 0..2000 {
        let later = match notebook {
            Notebook::Arena(arena) => arena.try_alloc([usize::MAX; 16]).map(drop),
            Notebook::Shared(shared) => shared.try_alloc([usize::MAX; 16]).map(drop),
        };
        if later.is_err() {
            break;
        }
    }
    let notes = NOTES.get();
    assert!(notes.count > 0 || !some, "the heap was called");
    for (number, place) in notes.places.iter().take(notes.count).enumerate() {
        assert_eq!(**place.as_ref().unwrap(), [number; 8], "a note was handed out again, or overwritten");
    }
    outcome
}

/// One of each kind of options about bytes that are taken back; with protections that differ from page to page if `striped`.
fn arenas(striped: bool) -> Vec<Mallocator> {
    [(false, false), (true, false), (false, true)]
        .into_iter()
        .map(|(fill, zero)| {
            let builder = Mallocator::builder().size(1 << 22).debug_fill(fill).zero_on_release(zero);
            let arena = builder.name("of the heap's").build().unwrap();
            if striped {
                stripe(&arena, 40);
            }
            arena
        })
        .collect()
}

/// Every other page from the hundredth on cannot be written.
fn stripe(arena: &Mallocator, pages: usize) {
    for page in 0..pages {
        let start = (100 + 2 * page) * page_size();
        // SAFETY: nothing is allocated there.
        unsafe { arena.protect(start..start + page_size(), Protection::READ) }.unwrap();
    }
}

fn kept(arena: Mallocator) -> &'static Mallocator {
    Box::leak(Box::new(arena))
}

struct Numbers;

impl Root for Numbers {
    type In<'a> = &'a [u64];
}

#[test]
fn memory_is_taken_and_given_back_without_a_call_to_the_heap() {
    for striped in [false, true] {
        for mut arena in arenas(striped) {
            let none = |what: &str, act: &mut dyn FnMut(&Mallocator)| {
                assert_eq!(calls(|| act(&arena)), 0, "{what}, striped: {striped}");
            };
            none("values", &mut |arena| _ = arena.alloc([1_u64; 100]));
            none("commits", &mut |arena| _ = arena.alloc_slice_fill_copy(10_000, 1_u8));
            none("scopes", &mut |arena| {
                arena.scope(|scratch| scratch.scope(|deeper| *arena.alloc(7) + *deeper.alloc(1)));
            });
            none("boxes", &mut |arena| drop(arena.alloc_boxed([1_u8; 500])));
            none("vectors", &mut |arena| {
                let mut numbers = ArenaVec::new_in(arena);
                numbers.extend(0..1000);
                arena.alloc(1);
                numbers.extend(0..1000);
                numbers.truncate(10);
                numbers.shrink_to_fit();
            });
            none("failures", &mut |arena| _ = arena.alloc_try_with(|| Err::<[u8; 100], _>(())));
            none("iterators", &mut |arena| _ = arena.alloc_iter((0..1000).filter(|number| number % 2 == 0)));
            none("texts", &mut |arena| _ = arena.alloc_fmt(format_args!("{} {}", 1, "two")));
            none("batches", &mut |arena| _ = arena.batch(4096).alloc(1));
            none("marks", &mut |arena| {
                let mark = arena.mark();
                arena.alloc([1_u8; 5000]);
                // SAFETY: nothing that was allocated since is used.
                unsafe { arena.rewind(mark) };
            });
            none("exhaustion", &mut |arena| assert!(arena.try_alloc_zeroed_bytes(1 << 30, 1).is_err()));
            assert_eq!(calls(|| arena.reset()), 0, "striped: {striped}");
            arena.alloc_slice_fill_copy(100_000, 1_u8);
            assert_eq!(calls(|| arena.trim()), 0, "striped: {striped}");
        }
    }
    let mut shared = Mallocator::builder().size(1 << 22).name("shared").build_sync().unwrap();
    let what_threads_do = |shared: &SyncMallocator| {
        let share = shared.local();
        share.scope(|scratch| {
            scratch.alloc_slice_fill_copy(300_000, 1_u8);
            share.alloc([1_u8; 1000]);
        });
        shared.alloc_iter((0..1000).filter(|number| number % 2 == 0));
        shared.batch(4096).alloc(1);
    };
    assert_eq!(calls(|| what_threads_do(&shared)), 0);
    assert_eq!(calls(|| shared.reset()), 0);
    assert_eq!(calls(|| shared.trim()), 0);
}

#[test]
fn a_heap_that_allocates_from_the_arena_is_never_given_memory_twice() {
    for striped in [false, true] {
        for arena in arenas(striped).into_iter().map(kept) {
            let notebook = Notebook::Arena(arena);
            noting(notebook, true, || {
                let on_the_heap = String::from("on the heap");
                arena.scope(|scratch| _ = scratch.alloc(on_the_heap.len()));
                drop(arena.alloc_boxed(Box::new([1_u8; 64])));
                let boxes = arena.alloc_iter((0..50).map(Box::new));
                assert!(boxes.iter().map(|number| **number).eq(0..50));
                let _ = arena.alloc_try_with(|| Err::<[u8; 100], _>(Box::new(1)));
                let mut names = ArenaVec::new_in(arena);
                names.extend((0..100).map(|number: u32| number.to_string()));
                assert!(names.iter().zip(0..).all(|(name, number)| *name == number.to_string()));
                arena.scope(|scratch| {
                    let text = scratch.alloc_fmt(format_args!("{}", String::from("x")));
                    names.push(text.to_owned());
                });
            });
        }
    }
}

#[test]
fn a_heap_that_allocates_from_the_arena_whose_protections_change_is_never_given_memory_twice() {
    for arena in arenas(false).into_iter().map(kept) {
        noting(Notebook::Arena(arena), true, || {
            stripe(arena, 40);
            // What a note was written to is on the first pages, which stay writable.
            assert!(arena.report().to_string().contains("of the heap's"));
            assert!(format!("{arena:?}").contains("of the heap's"));
        });
    }
}

/// Nothing can be written from some moment on, and the notes are refused then, not written to pages that would fault.
#[test]
fn a_heap_that_allocates_from_the_arena_is_refused_once_its_pages_cannot_be_written() {
    for arena in arenas(false).into_iter().map(kept) {
        stripe(arena, 40);
        noting(Notebook::Arena(arena), false, || {
            for protection in [Protection::READ, Protection::READ_WRITE, Protection::READ_EXECUTE] {
                // SAFETY: what was noted is only read.
                unsafe { arena.protect(0..arena.size(), protection) }.unwrap();
                drop(vec![1_u8; 10]);
            }
        });
        assert!(arena.try_alloc(1).is_err());
    }
}

#[test]
fn a_heap_that_allocates_from_another_arena_is_not_in_the_way_of_building_sealing_and_rooting() {
    for arena in arenas(false).into_iter().map(kept) {
        noting(Notebook::Arena(arena), true, || {
            let build = || Mallocator::builder().size(1 << 20).name("built").reuse(false).build().unwrap();
            let numbers =
                Rooted::<Numbers>::new(build(), |arena| &*arena.alloc_iter((0..100).map(|n| *Box::new(n))));
            let sealed = numbers.seal(Protection::READ).unwrap();
            assert_eq!(sealed.with(|numbers| numbers.iter().sum::<u64>()), 4950);
            drop(sealed);
            let sealed = build().seal(Protection::READ).unwrap();
            drop(sealed.unseal().unwrap());
            build().free().unwrap();
            drop(Mallocator::growing());
            drop(Mallocator::growing());
        });
    }
}

/// Its lock is not held while the heap is called.
#[test]
fn a_heap_that_allocates_from_a_shared_arena_neither_waits_for_itself_nor_is_given_memory_twice() {
    for debug_fill in [false, true] {
        let builder = Mallocator::builder().size(1 << 28).debug_fill(debug_fill).name("threads'");
        let shared: &'static SyncMallocator = Box::leak(Box::new(builder.build_sync().unwrap()));
        noting(Notebook::Shared(shared), true, || {
            let share = shared.local();
            // So that a note takes memory that is not committed yet.
            shared.alloc_layout(Layout::from_size_align(shared.committed() - shared.used(), 1).unwrap());
            assert_eq!(share.report().name(), Some("threads'"));
            shared.alloc_layout(Layout::from_size_align(shared.committed() - shared.used(), 1).unwrap());
            assert!(format!("{share:?}").contains("threads'"));
            let boxes = share.alloc_iter((0..50).map(Box::new));
            assert!(boxes.iter().map(|number| **number).eq(0..50));
            drop(share.alloc_boxed(Box::new(1)));
            let texts = shared.alloc_iter((0..100).map(|number| number.to_string()));
            assert!(texts.iter().zip(0..).all(|(text, number)| *text == number.to_string()));
        });
    }
}

/// With every number of requests granted before one is refused: an error that says so, nothing aborts, and no range is left
/// behind.
#[test]
fn a_heap_that_refuses_is_an_error_and_nothing_is_left_behind() {
    // Alone: the address space of the process is measured.
    common::alone("a_heap_that_refuses_is_an_error_and_nothing_is_left_behind", refuse_everything_once);
}

fn refuse_everything_once() {
    type Attempt = fn() -> Result<(), Error>;
    let attempts: [(&str, Attempt); 10] = [
        ("try_growing", || Mallocator::try_growing().map(drop)),
        ("with_size", || Mallocator::with_size(1 << 20).map(drop)),
        ("new", || Mallocator::new().map(drop)),
        ("build", || Mallocator::builder().size(1 << 20).reuse(false).build().map(drop)),
        ("build at its best", || {
            let builder = Mallocator::builder().size(1 << 20).guard_pages(true).zero_on_release(true);
            builder.near(&raw const HEAP, 1 << 40).build().map(drop)
        }),
        ("build with a name", || Mallocator::builder().size(1 << 20).name("a name").build().map(drop)),
        ("build from a copy", || {
            let builder = Mallocator::builder().size(1 << 20).name("a name");
            builder.clone().build().map(drop)
        }),
        ("build_sync", || Mallocator::builder().size(1 << 20).build_sync().map(drop)),
        ("build_sync with a name", || Mallocator::builder().name("a name").build_sync().map(drop)),
        ("protect", || {
            let arena = Mallocator::builder().size(1 << 20).reuse(false).build()?;
            arena.alloc(1_u64);
            let before = (arena.used(), arena.protection());
            // SAFETY: nothing is allocated there.
            let changed = unsafe { arena.protect(page_size()..2 * page_size(), Protection::READ) };
            if changed.is_err() {
                assert_eq!((arena.used(), arena.protection()), before);
                arena.alloc_slice_fill_copy(3 * page_size(), 1_u8);
            }
            changed.map(drop)
        }),
    ];
    for ((name, attempt), all_after) in attempts.into_iter().flat_map(|one| [(one, false), (one, true)]) {
        AND_ALL_AFTER.set(all_after);
        let mut refusals = 0;
        for granted in 0.. {
            let spaces = address_space();
            GRANTED.set(granted);
            let outcome = attempt();
            GRANTED.set(usize::MAX);
            match outcome {
                Err(Error::Heap { size }) => {
                    assert!(size > 0, "{name}");
                    assert_eq!(address_space(), spaces, "{name} after {granted}");
                    refusals += 1;
                }
                Ok(()) => break,
                other => panic!("{name} after {granted}: {other:?}"),
            }
        }
        assert!(refusals > 0, "{name}");
        // Whatever is kept for the next is not for the next attempt.
        let _ = Mallocator::with_size(usize::MAX / 4);
    }
}

/// What is reserved by this process, in kibibytes, where the system tells without the heap's help.
#[cfg(target_os = "linux")]
fn address_space() -> usize {
    use std::io::Read;
    let mut text = [0_u8; 128];
    let len = std::fs::File::open("/proc/self/statm").unwrap().read(&mut text).unwrap();
    let text = std::str::from_utf8(&text[..len]).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

#[cfg(not(target_os = "linux"))]
fn address_space() -> usize {
    0
}
