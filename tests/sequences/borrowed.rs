//! Arenas whose memory is not their own: shares, and those over lent memory. What their owners do between the calls.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use mallocator::{Error, Lent, Mallocator, Protection, SyncMallocator};

use super::calls::call;
use super::model::Model;

/// Nobody but the owner of the pages changes what they may be used for.
fn not_its_own(arena: &Mallocator) {
    // SAFETY: it is refused.
    let refused = unsafe { arena.protect(0..1, Protection::READ) };
    assert!(matches!(refused, Err(Error::NotItsOwn { .. })));
}

/// Shares, one after the other, of a range that is reset and trimmed between.
pub(super) fn share(model: &mut Model) {
    let Some(shared) = model.build_sync() else { return };
    let shared = Box::into_raw(Box::new(shared));
    for _ in 0..=model.random.below(4) {
        // SAFETY: nobody else has it, and nothing that was handed out is used but by the model, which derives from the base.
        round(model, unsafe { &*shared });
        model.shared = None;
        // SAFETY: as above; the share is gone.
        between(model, unsafe { &mut *shared });
    }
    // SAFETY: it was a box, and nobody has it any more.
    let shared = unsafe { Box::from_raw(shared) };
    model.left(shared.base());
    if model.random.rarely(2) {
        shared.free().unwrap();
    }
}

/// Calls of one share.
fn round(model: &mut Model, shared: &'static SyncMallocator) {
    let block = if model.random.rarely(8) { model.random.absurd() } else { 4 * model.random.size() };
    let outcome = if block % 8 == 0 { shared.try_local(block / 2) } else { shared.try_local(block) };
    let arena = match outcome {
        Ok(arena) => arena,
        Err(Error::NotWritable { protection }) => {
            return assert!(protection == model.protection && !model.writable());
        }
        Err(Error::Exhausted { .. }) => return assert!(shared.available() < 512),
        Err(error) => return assert!(model.lock, "{error:?}"),
    };
    assert!(model.writable() && arena.base() == shared.base() && arena.size() == shared.size());
    model.shared = Some(shared);
    let calls = model.random.below(10);
    for _ in 0..calls {
        call(model, &[arena]);
        assert!(arena.used() <= shared.used() && shared.used() <= shared.committed());
    }
    not_its_own(arena);
    if model.random.rarely(32) {
        // Another thread has a share of its own of what this one has memory in.
        std::thread::scope(|threads| {
            let used = threads.spawn(|| {
                if let Ok(arena) = shared.try_local(300) {
                    call(model, &[arena]);
                }
            });
            used.join().unwrap_or_else(|thrown| std::panic::resume_unwind(thrown));
        });
    }
}

fn between(model: &mut Model, shared: &mut SyncMallocator) {
    if model.writable() {
        model.check(shared.base());
    }
    if model.random.rarely(2) {
        shared.reset();
        assert_eq!(shared.used(), 0);
        model.took_back_from(shared.base(), 0..shared.committed(), None);
    }
    if model.random.rarely(3) {
        shared.try_trim().unwrap();
        assert_eq!(shared.committed(), shared.used().next_multiple_of(mallocator::page_size()));
    }
}

/// An arena over lent memory, as its owner has it.
enum Loan<'a> {
    Borrowed(Lent<'a>),
    Owned(Mallocator),
}

/// What lies around memory that is lent: bytes of this value.
const AROUND: u8 = 0xa5;

pub(super) fn lent(model: &mut Model) {
    model.begin();
    let size = model.random.one_of(&[0, 100, 300, 1000, 5000, 70_000]) + model.random.below(300);
    let (before, all) = (1 + model.random.below(40), size + 100);
    let mut boxed = Box::new_uninit_slice(all);
    match model.random.below(4) {
        0 => {
            let boxed = Box::new_uninit_slice(size);
            lives(model, size, Mallocator::from_box(boxed).map(Loan::Owned));
        }
        1 => within(model, &mut boxed, before),
        2 => {
            let outer = Mallocator::with_size(2 * all).unwrap();
            let others = outer.alloc_bytes(&[AROUND; 33]);
            within(model, outer.alloc_uninit_slice(all), before);
            assert_eq!(others, [AROUND; 33]);
        }
        _ => {
            let shared = Mallocator::builder().size(2 * all + 65_536).build_sync().unwrap();
            let outer = shared.try_local(model.random.size()).unwrap();
            let memory = outer.alloc_uninit_slice(all);
            let others = shared.alloc_bytes(&[AROUND; 33]);
            within(model, memory, before);
            assert_eq!(others, [AROUND; 33]);
        }
    }
}

/// An arena over all of a memory but `before` bytes at its start and some at its end.
fn within(model: &mut Model, memory: &mut [MaybeUninit<u8>], before: usize) {
    memory.fill(MaybeUninit::new(AROUND));
    let size = memory.len() - 100;
    let (front, rest) = memory.split_at_mut(before);
    let (middle, back) = rest.split_at_mut(size);
    let loan = if model.random.rarely(3) {
        // SAFETY: the memory is borrowed exclusively until this function ends.
        unsafe { Mallocator::from_raw_parts(NonNull::from(middle).cast(), size) }.map(Loan::Owned)
    } else {
        Mallocator::from_slice(middle).map(Loan::Borrowed)
    };
    lives(model, size, loan);
    for byte in front.iter().chain(&*back) {
        // SAFETY: written above.
        assert_eq!(unsafe { byte.assume_init() }, AROUND, "beside what was lent");
    }
}

fn lives(model: &mut Model, size: usize, loan: Result<Loan<'_>, Error>) {
    let mut loan = match loan {
        Ok(loan) => loan,
        Err(Error::TooSmall { size: said, needed }) => {
            return assert!(said == size && size < needed && needed <= 300, "{size} {needed}");
        }
        Err(error) => panic!("{error:?}"),
    };
    for _ in 0..=model.random.below(3) {
        let arena = match &loan {
            Loan::Borrowed(lent) => lent,
            Loan::Owned(arena) => arena,
        };
        assert!(arena.size() < size && arena.size() + 256 >= size && arena.committed() == arena.size());
        let calls = model.random.below(10);
        for _ in 0..calls {
            call(model, &[arena]);
        }
        assert!(arena.used() >= model.end() && arena.available() == arena.size() - arena.used());
        not_its_own(arena);
        let base = arena.base();
        match &mut loan {
            Loan::Borrowed(lent) => lent.reset(),
            Loan::Owned(arena) => {
                arena.reset();
                arena.try_trim().unwrap();
                assert_eq!((arena.used(), arena.committed()), (0, arena.size()));
            }
        }
        model.left(base);
    }
    if let Loan::Owned(arena) = loan {
        if model.random.rarely(2) {
            return arena.free().unwrap();
        }
        if model.random.rarely(4) {
            // Its pages are others' too.
            let refused = arena.seal(Protection::READ).unwrap_err();
            assert!(matches!(refused.error(), Error::NotItsOwn { .. }), "{refused:?}");
        }
    }
}
