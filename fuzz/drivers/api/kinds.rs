//! Where arenas have their memory from, and what whoever owns it does between two rounds.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use mallocator::{Error, Lent, Mallocator, Protection, SyncMallocator};

use super::near::Near;
use super::shadow::Shadow;
use super::{Input, round};

pub(super) fn own(size: usize, input: &mut Input<'_>, shadow: &mut Shadow) {
    let mut arena = Mallocator::with_size(size).unwrap();
    shadow.cover(&arena);
    let base = arena.base();
    while !input.is_empty() {
        round(&arena, None, input, shadow);
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
            assert_eq!(base, arena.base());
        }
    }
    arena.free().unwrap();
}

/// A range that threads share. `how` decides its options.
pub(super) fn shared(size: usize, how: u8) -> SyncMallocator {
    let builder = Mallocator::builder().size(size);
    let builder = match how % 4 {
        0 => builder.debug_fill(false),
        1 => builder.debug_fill(true),
        2 => builder.zero_on_release(true),
        _ => builder,
    };
    builder.build_sync().unwrap()
}

/// How much a share takes at a time, by a byte.
pub(super) fn block(how: u8) -> usize {
    [1, 100, 300, 1000, 4096, 65_536, 1 << 20, usize::MAX][usize::from(how % 8)]
}

pub(super) fn share(size: usize, input: &mut Input<'_>, shadow: &mut Shadow) {
    let how = input.byte();
    let every = [1, 2, 5, 0][usize::from(how / 8 % 4)];
    let mut shared = shared(size, how / 32);
    while !input.is_empty() {
        {
            let arena = shared.try_local(block(how)).unwrap();
            shadow.cover(arena);
            // SAFETY: it is refused.
            let refused = unsafe { arena.protect(0..1, Protection::READ) };
            assert!(matches!(refused, Err(Error::NotItsOwn { .. })));
            let near = Near::new(&shared, every);
            round(arena, Some(&near), input, shadow);
            near.check();
            assert!(arena.used() <= shared.used() && shared.used() <= shared.committed());
        }
        shadow.forget(0);
        shared.reset();
        assert_eq!(shared.used(), 0);
        let next = input.byte();
        if next % 2 == 0 {
            shared.trim();
            assert_eq!(shared.committed(), 0);
        }
        if next % 3 == 0 {
            drop(shared);
            shared = self::shared(size, how / 32);
        }
    }
    shared.free().unwrap();
}

/// What lies before and after memory that is lent: this pattern, which nobody may write over.
const AROUND: u8 = 0xa7;

/// How much lies after it. Before it are one to 32 bytes.
const AFTER: usize = 64;

pub(super) fn lent(size: usize, input: &mut Input<'_>, shadow: &mut Shadow) {
    let how = input.byte();
    // With a few hundred bytes it is full soon.
    let size = if how >= 192 { size / 8 } else { size };
    let before = 1 + usize::from(how / 6 % 32);
    let all = before + size + AFTER;
    let heap = |size: usize| -> Box<[MaybeUninit<u8>]> { Box::new_uninit_slice(size) };
    match how % 6 {
        0 => within(&mut heap(all), before, false, input, shadow),
        1 => within(&mut heap(all), before, true, input, shadow),
        2 => rounds(size, || Loan::Owned(Mallocator::from_box(heap(size)).unwrap()), input, shadow),
        3 => {
            let outer = Mallocator::with_size(all + 4096).unwrap();
            outer.alloc_bytes(&[1; 77]);
            within(outer.alloc_uninit_slice(all), before, false, input, shadow);
            outer.free().unwrap();
        }
        4 => {
            // With room for two blocks of the largest, and for others.
            let shared = shared(all + (3 << 20), how);
            let outer = shared.try_local(block(how / 6)).unwrap();
            let memory = outer.alloc_uninit_slice(all);
            let near = Near::new(&shared, 1);
            (0..40).for_each(|_| near.disturb());
            within(memory, before, false, input, shadow);
            near.check();
        }
        _ => {
            let mut memory = heap(all + 1024);
            let outer = Mallocator::from_slice(&mut memory).unwrap();
            outer.alloc_bytes(&[1; 77]);
            within(outer.alloc_uninit_slice(all), before, true, input, shadow);
        }
    }
}

/// An arena over a memory's middle.
fn within(
    memory: &mut [MaybeUninit<u8>],
    before: usize,
    raw: bool,
    input: &mut Input<'_>,
    shadow: &mut Shadow,
) {
    let (front, rest) = memory.split_at_mut(before);
    let (middle, back) = rest.split_at_mut(rest.len() - AFTER);
    front.fill(MaybeUninit::new(AROUND));
    back.fill(MaybeUninit::new(AROUND));
    let (start, len) = (NonNull::from(&mut *middle).cast::<u8>(), middle.len());
    let lend = || {
        // SAFETY: the memory is lent once, as the arena before is gone.
        unsafe {
            if raw {
                Loan::Owned(Mallocator::from_raw_parts(start, len).unwrap())
            } else {
                let middle = NonNull::slice_from_raw_parts(start.cast(), len).as_mut();
                Loan::Borrowed(Mallocator::from_slice(middle).unwrap())
            }
        }
    };
    rounds(len, lend, input, shadow);
    for byte in front.iter().chain(&*back) {
        // SAFETY: written above.
        assert_eq!(unsafe { byte.assume_init() }, AROUND, "beside what was lent");
    }
}

/// An arena over lent memory, as its owner has it.
enum Loan<'a> {
    Borrowed(Lent<'a>),
    Owned(Mallocator),
}

impl Loan<'_> {
    fn arena(&self) -> &Mallocator {
        match self {
            Self::Borrowed(lent) => lent,
            Self::Owned(arena) => arena,
        }
    }
}

fn rounds<'a>(size: usize, mut lend: impl FnMut() -> Loan<'a>, input: &mut Input<'_>, shadow: &mut Shadow) {
    let mut loan = Some(lend());
    while !input.is_empty() {
        let arena = loan.as_ref().unwrap().arena();
        shadow.cover(arena);
        assert!(arena.size() < size && arena.size() + 256 >= size && arena.committed() == arena.size());
        round(arena, None, input, shadow);
        assert_eq!(arena.used() + arena.available(), arena.size());
        // SAFETY: it is refused.
        let refused = unsafe { arena.protect(0..1, Protection::READ) };
        assert!(matches!(refused, Err(Error::NotItsOwn { .. })));
        shadow.forget(0);
        match loan.as_mut().unwrap() {
            Loan::Borrowed(arena) => arena.reset(),
            Loan::Owned(arena) => {
                arena.reset();
                arena.trim();
                assert_eq!(arena.committed(), arena.size());
            }
        }
        assert_eq!(loan.as_ref().unwrap().arena().used(), 0);
        if input.byte() % 3 == 0 {
            drop(loan.take());
            loan = Some(lend());
        }
    }
    if let Some(Loan::Owned(arena)) = loan {
        arena.free().unwrap();
    }
}
