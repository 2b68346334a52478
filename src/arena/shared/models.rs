//! Models of what threads do to an arena that they share, for checkers that try one order of events after the other:
//! `scripts/test-models.sh`. It is the arena itself that runs, on real pages.
//!
//! `loom` tries every order within a bound, and what weak memory may show a thread; `shuttle` tries some orders of more
//! threads. Both run all threads of a model in one of the system, in turns, so that the seam that refuses calls counts those of
//! all threads, and what follows needs no lock.
//!
//! What must hold in each order, and is seen by [`Shadow`]:
//!
//! - Blocks are apart, aligned and in the range, and keep what was written to them.
//! - Every byte that is handed out can be written, and its commit *happened before*, as the memory model has it: else another
//!   processor might not know of it. The mark of what is committed is never ahead of the commits.
//! - A call that is refused takes nothing, and leaves nothing behind: afterwards as much is taken as was granted, and no more.

use core::alloc::Layout;
use core::ptr::NonNull;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use allocator_api2::alloc::Allocator;
#[cfg(mallocator_loom)]
use loom::thread;
#[cfg(mallocator_shuttle)]
use shuttle::thread;

use self::sync::atomic::{WEAKNESS, Weakness};
use super::SyncMallocator;
use crate::arena::Mallocator;
use crate::error::Error;
use crate::os::faulty::{self, OUT_OF_MEMORY, Refuse};
use crate::os::{Call, page_size};
use crate::pure::plan::LEAST_FREE;

#[cfg(mallocator_loom)]
mod every_order;
#[cfg(mallocator_shuttle)]
mod some_orders;
pub(super) mod sync;

/// What is known of the arena of the model that runs.
#[derive(Default)]
struct Shadow {
    base: Option<NonNull<u8>>,
    /// The end of what the arena says is committed.
    ready: usize,
    /// What was committed since the arena was made.
    commits: Vec<(Range<usize>, Rc<Event>)>,
    /// By their start: the end, and what was written.
    blocks: BTreeMap<usize, (usize, Option<u8>)>,
    /// The sizes of all blocks.
    taken: usize,
}

thread_local! {
    static SHADOW: RefCell<Shadow> = RefCell::default();
}

/// Something that must have happened before something else.
struct Event {
    #[cfg(mallocator_loom)]
    cell: loom::cell::UnsafeCell<()>,
}

impl Event {
    /// It happens now.
    fn now() -> Self {
        let event = Self {
            #[cfg(mallocator_loom)]
            cell: loom::cell::UnsafeCell::new(()),
        };
        #[cfg(mallocator_loom)]
        event.cell.with_mut(|_| ());
        event
    }

    #[cfg_attr(mallocator_shuttle, expect(clippy::unused_self, reason = "there all is seen in one order"))]
    fn happened_before(&self) {
        #[cfg(mallocator_loom)]
        self.cell.with(|_| ());
    }
}

/// Whether the system lets the byte be written, which becomes 0.
fn is_writable(byte: NonNull<u8>) -> bool {
    static ZEROES: LazyLock<File> = LazyLock::new(|| File::open("/dev/zero").unwrap());
    // SAFETY: the system looks after itself where it cannot write.
    unsafe { libc::read(ZEROES.as_raw_fd(), byte.as_ptr().cast(), 1) == 1 }
}

/// The arena is about to tell everybody that all below `end` is committed.
fn see_ready(end: usize) {
    let (base, ready) = SHADOW.with_borrow(|shadow| (shadow.base, shadow.ready));
    let base = base.expect("the arena is known");
    assert!(end >= ready, "what is committed only grows");
    if end > ready {
        let last = base.map_addr(|_| (end - 1).try_into().unwrap());
        assert!(is_writable(last), "what is not committed counts as ready");
        let event = Rc::new(Event::now());
        SHADOW.with_borrow_mut(|shadow| {
            shadow.ready = end;
            shadow.commits.push((ready..end, event));
        });
    }
}

/// A block was handed out: nobody else has it, and it can be written, with `mark`.
fn own(block: NonNull<u8>, size: usize, mark: u8) {
    let (start, end) = own_unwritten(block, size, Some(mark));
    let at = |address: usize| block.map_addr(|_| address.try_into().unwrap());
    for byte in [start, end - 1] {
        assert!(is_writable(at(byte)), "a byte is handed out that is not committed");
    }
    for (from, to) in written(start, end) {
        // SAFETY: the block is this thread's.
        unsafe { at(from).write_bytes(mark, to - from) };
    }
}

/// The same of a block that its thread does not write to here.
fn own_unwritten(block: NonNull<u8>, size: usize, mark: Option<u8>) -> (usize, usize) {
    let (start, end) = (block.addr().get(), block.addr().get() + size);
    let commits: Vec<_> = SHADOW.with_borrow_mut(|shadow| {
        assert!(
            shadow.base.unwrap().addr().get() <= start && end <= shadow.ready,
            "outside of what is ready"
        );
        let before = shadow.blocks.range(..end).next_back();
        assert!(before.is_none_or(|(_, &(before, _))| before <= start), "blocks overlap");
        shadow.blocks.insert(start, (end, mark));
        shadow.taken += size;
        let concerned = shadow.commits.iter().filter(|(range, _)| range.start < end && start < range.end);
        concerned.map(|(_, event)| Rc::clone(event)).collect()
    });
    for event in commits {
        event.happened_before();
    }
    (start, end)
}

/// A block grew in place, or its owner takes it back.
fn disown(block: NonNull<u8>) {
    SHADOW.with_borrow_mut(|shadow| {
        let start = block.addr().get();
        let (end, _) = shadow.blocks.remove(&start).expect("a block");
        shadow.taken -= end - start;
    });
}

/// Of a large block the ends are written, as touching pages takes time.
fn written(start: usize, end: usize) -> [(usize, usize); 2] {
    let part = (end - start).min(100);
    [(start, start + part), (end - part, end)]
}

/// Whether all blocks have what was written to them.
fn look_at_all_blocks() {
    SHADOW.with_borrow(|shadow| {
        for (&start, &(end, mark)) in &shadow.blocks {
            for (from, to) in written(start, end) {
                let place = shadow.base.unwrap().map_addr(|_| from.try_into().unwrap());
                // SAFETY: a block that was handed out; the threads have ended.
                let bytes = unsafe { core::slice::from_raw_parts(place.as_ptr(), to - from) };
                assert!(
                    mark.is_none_or(|mark| bytes.iter().all(|&byte| byte == mark)),
                    "a block was changed"
                );
            }
        }
    });
}

/// Bytes that blocks have.
fn taken() -> usize {
    SHADOW.with_borrow(|shadow| shadow.taken)
}

/// What an arena asks for to begin with: a reservation, and the first step.
const FIRST_CALLS: usize = 2;

/// The request for the second step is refused, and no other.
const THE_SECOND_STEP: Refuse = Refuse::Only(FIRST_CALLS);

/// It is refused, and whatever is asked for then.
const ALL_BUT_THE_FIRST_STEP: Refuse = Refuse::From(FIRST_CALLS);

/// One model, in one order.
struct Model {
    shared: Arc<SyncMallocator>,
    /// How much was taken before the threads began.
    before: usize,
}

impl Model {
    /// An arena of `size` bytes, all but `free` of whose first step, or of the whole, is taken.
    fn new(size: usize, free: usize, refuse: Refuse) -> Self {
        SHADOW.with_borrow_mut(|shadow| assert!(shadow.blocks.is_empty() && shadow.base.is_none()));
        faulty::begin(refuse, OUT_OF_MEMORY);
        // A pattern in a whole step would take most of the time.
        let shared = Mallocator::builder().size(size).debug_fill(false).build_sync().unwrap();
        let first = size.next_multiple_of(page_size()).min(LEAST_FREE);
        assert_eq!(shared.committed(), first);
        SHADOW.with_borrow_mut(|shadow| {
            shadow.base = Some(shared.base());
            shadow.ready = shared.base().addr().get() + first;
        });
        let before = first - free;
        if before > 0 {
            own(shared.alloc_layout(Layout::from_size_align(before, 1).unwrap()), before, 0xff);
        }
        Self { shared: Arc::new(shared), before }
    }

    /// Runs `work` in so many threads, of which this is one, each with its number.
    fn run(self, threads: usize, work: impl Fn(&SyncMallocator, usize) + Send + Sync + 'static) -> Self {
        let work = Arc::new(work);
        let others: Vec<_> = (1..threads)
            .map(|thread| {
                let (work, shared) = (Arc::clone(&work), Arc::clone(&self.shared));
                thread::spawn(move || work(&shared, thread))
            })
            .collect();
        work(&self.shared, 0);
        for other in others {
            other.join().unwrap();
        }
        look_at_all_blocks();
        assert!(self.shared.used() >= taken(), "blocks beyond the cursor");
        assert!(
            self.shared.used() <= self.shared.committed() && self.shared.committed() <= self.shared.size()
        );
        self
    }

    /// What the threads took, in bytes, with what lies between their blocks.
    fn used(&self) -> usize {
        self.shared.used() - self.before
    }

    /// The end: after a reset the arena is whole again, and at last the system. Says how many requests were refused.
    fn end(self) -> usize {
        SHADOW.take();
        let Some(mut shared) = Arc::into_inner(self.shared) else { panic!("a thread has the arena") };
        let committed = shared.committed();
        shared.reset();
        assert_eq!((shared.used(), shared.committed()), (0, committed));
        drop(shared);
        let record = faulty::end();
        assert_eq!(record.leaked, 0);
        assert!(record.refused.iter().all(|&call| call == Call::Commit), "{:?}", record.refused);
        record.refused.len()
    }
}

/// Whether a model fails, and says so, when the atomics have a weakness.
fn is_seen(weakness: Weakness, expected: &str, check: impl FnOnce() + Send + 'static) {
    // In a thread, as nothing is cleaned up.
    let outcome = std::thread::spawn(move || {
        WEAKNESS.set(weakness);
        check();
    });
    let said = outcome.join().expect_err("nothing was noticed");
    let said = said.downcast_ref::<&str>().map(ToString::to_string).or_else(|| said.downcast_ref().cloned());
    assert!(said.as_ref().is_some_and(|said| said.contains(expected)), "{said:?}");
}

/// What is written to the blocks of a thread.
fn mark(thread: usize, number: usize) -> u8 {
    u8::try_from(thread * 16 + number % 16).unwrap()
}

/// Where the system may refuse: whether the block was granted.
fn granted(shared: &SyncMallocator, size: usize, mark: u8) -> bool {
    match shared.try_alloc_layout(Layout::from_size_align(size, 8).unwrap()) {
        Ok(block) => own(block, size, mark),
        Err(Error::Os(_)) => return false,
        Err(other) => panic!("{other}"),
    }
    true
}

/// Layouts of all kinds, and a value.
fn layouts_are_apart(threads: usize, each: usize) {
    const LAYOUTS: [(usize, usize); 4] = [(1, 1), (100, 32), (24, 8), (300, 1)];
    let model = Model::new(1 << 16, (1 << 16) - 1, Refuse::Nothing).run(threads, move |shared, thread| {
        for number in 0..each {
            let (size, align) = LAYOUTS[(thread + number) % LAYOUTS.len()];
            let block = shared.alloc_layout(Layout::from_size_align(size, align).unwrap());
            assert_eq!(block.addr().get() % align, 0);
            own(block, size, mark(thread, number));
        }
    });
    let gaps = threads * each * 31;
    assert!(model.used() <= taken() + gaps, "more is taken than was handed out");
    assert_eq!(model.end(), 0);
}

/// By the typed methods, one of which grows what it has.
fn values_are_apart(threads: usize) {
    let model = Model::new(1 << 16, 1 << 16, Refuse::Nothing).run(threads, |shared, thread| {
        let number = shared.alloc(thread as u64);
        own(NonNull::from(number).cast(), 8, mark(thread, 0));
        let some = shared.alloc_iter((0..20_u8).filter(|number| number % 2 == 0));
        assert!(some.iter().copied().eq((0..20).step_by(2)));
        own(NonNull::from(&mut *some).cast(), 10, mark(thread, 1));
    });
    assert_eq!(model.end(), 0);
}

/// Blocks of `block` bytes, of which the first of all crosses a step.
fn a_step_is_crossed(threads: usize, each: usize, block: usize) {
    let model = Model::new(2 * LEAST_FREE, block / 2, Refuse::Nothing).run(threads, move |shared, thread| {
        for number in 0..each {
            assert!(granted(shared, block, mark(thread, number)));
        }
    });
    assert!(model.used() <= threads * each * block + 7, "all is used");
    assert_eq!(model.shared.committed(), 2 * LEAST_FREE);
    assert_eq!(model.end(), 0);
}

/// The step that is crossed is refused once, and is as large as what is wanted, so that one of the calls is refused, and the
/// same call is granted then.
fn a_refused_call_is_granted_when_it_is_made_again(threads: usize, each: usize) {
    let size = LEAST_FREE + page_size();
    let model = Model::new(size, 64, THE_SECOND_STEP).run(threads, move |shared, thread| {
        for number in 0..each {
            let refused = (0..3).take_while(|_| !granted(shared, 48, mark(thread, number))).count();
            assert!(refused <= 1, "refused {refused} times, and the system refuses once");
        }
    });
    assert_eq!(model.used(), threads * each * 48, "a refused call has taken something");
    assert_eq!(model.end(), 1);
}

/// The step that was planned is refused, and what is wanted of it granted: no call notices.
fn a_smaller_step_is_granted(threads: usize, each: usize) {
    let model = Model::new(2 * LEAST_FREE, 64, THE_SECOND_STEP).run(threads, move |shared, thread| {
        for number in 0..each {
            assert!(granted(shared, 3000, mark(thread, number)));
        }
    });
    assert_eq!(model.used(), threads * each * 3000);
    assert_eq!(model.end(), 1);
}

/// The system has no more: what is left is handed out, to nobody twice.
fn what_is_there_is_granted_when_the_system_has_no_more(threads: usize, each: usize) {
    let room = threads * each - 1;
    let model =
        Model::new(2 * LEAST_FREE, room * 48, ALL_BUT_THE_FIRST_STEP).run(threads, move |shared, thread| {
            for number in 0..each {
                granted(shared, 48, mark(thread, number));
                assert!(!granted(shared, LEAST_FREE / 2, 0), "more than is there");
            }
        });
    assert_eq!((model.used(), taken()), (room * 48, model.shared.used()));
    assert_eq!(model.shared.committed(), LEAST_FREE);
    assert!(model.end() > threads * each);
}

/// Every thread takes until nothing is left, and asks for what nobody has.
fn the_end_is_the_end_for_all(threads: usize, room: usize) {
    let block = page_size() / room / 8 * 8;
    let model = Model::new(1, page_size(), Refuse::Nothing).run(threads, move |shared, thread| {
        let layout = Layout::from_size_align(block, 8).unwrap();
        for number in 0.. {
            match shared.try_alloc_layout(layout) {
                Ok(place) => own(place, block, mark(thread, number)),
                Err(Error::Exhausted { .. }) => break,
                Err(other) => panic!("{other}"),
            }
        }
        let all_there_is = Layout::from_size_align(isize::MAX as usize, 1).unwrap();
        assert!(matches!(shared.try_alloc_layout(all_there_is), Err(Error::Exhausted { .. })));
    });
    assert_eq!((model.used(), taken()), (room * block, room * block), "something was lost");
    assert_eq!(model.end(), 0);
}

/// What a thread does with a share: blocks so small that it is filled up again and again.
fn use_share(shared: &SyncMallocator, thread: usize, each: usize) {
    let share = loop {
        match shared.try_local(128) {
            Ok(share) => break share,
            Err(Error::Os(_)) => {}
            Err(other) => panic!("{other}"),
        }
    };
    own_unwritten(NonNull::from(share).cast(), size_of::<Mallocator>(), None);
    for number in 0..each {
        let size = [72, 24, 200][number % 3];
        let layout = Layout::from_size_align(size, 8).unwrap();
        let block = loop {
            match share.try_alloc_layout(layout) {
                Ok(block) => break block,
                Err(Error::Os(_)) => {}
                Err(other) => panic!("{other}"),
            }
        };
        own(block, size, mark(thread, number));
    }
    // What it needs of another block is lost, what it took is not.
    share.scope(|scratch| {
        let block = NonNull::from(scratch.alloc([0_u64; 10]));
        own(block.cast(), 80, 0xee);
        disown(block.cast());
    });
    own(NonNull::from(share.alloc(0_u64)).cast(), 8, mark(thread, each));
}

/// Shares, the first `direct` threads without one.
fn shares_are_apart(threads: usize, direct: usize, each: usize, free: usize, refuse: Refuse) -> usize {
    Model::new(2 * LEAST_FREE, free, refuse)
        .run(threads, move |shared, thread| {
            if thread >= direct {
                return use_share(shared, thread, each);
            }
            for number in 0..each {
                while !granted(shared, 40, mark(thread, number)) {}
            }
        })
        .end()
}

/// Blocks that grow in place while they are the last, and move otherwise.
fn blocks_grow(threads: usize, steps: usize, free: usize) {
    let model = Model::new(2 * LEAST_FREE, free, Refuse::Nothing).run(threads, move |shared, thread| {
        let layout = |step| Layout::from_size_align(32_usize << step, 8).unwrap();
        let mut block = shared.allocate(layout(0)).unwrap().cast::<u8>();
        own(block, layout(0).size(), mark(thread, 0));
        for step in 1..=steps {
            let (old, new) = (layout(step - 1), layout(step));
            // SAFETY: the block is this thread's, and of this layout.
            let grown = unsafe { shared.grow(block, old, new) }.unwrap().cast::<u8>();
            // SAFETY: so much was written.
            let kept = unsafe { core::slice::from_raw_parts(grown.as_ptr(), 32) };
            assert!(kept.iter().all(|&byte| byte == mark(thread, step - 1)), "it has lost what it had");
            // One that has moved is nobody's, and stays taken.
            if grown == block {
                disown(block);
            }
            own(grown, new.size(), mark(thread, step));
            block = grown;
        }
    });
    assert_eq!(model.used(), taken() - model.before, "all that was taken is known");
    assert_eq!(model.end(), 0);
}
