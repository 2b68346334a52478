//! Who else takes memory from what threads share, so that the blocks of a share are not next to each other: other shares, and
//! whoever asks the shared arena itself.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as AllocatorVec;
use mallocator::{Error, Mallocator, SyncMallocator};

use super::shadow::{Shadow, are};

/// Start, length and alignment.
type Place = (NonNull<u8>, usize, usize);

pub(super) struct Near<'a> {
    shared: &'a SyncMallocator,
    /// One time in so many something is taken; 0 for never.
    every: usize,
    asked: Cell<usize>,
    /// Another share.
    other: Option<&'a Mallocator>,
    /// A vector that lives in the shared arena itself; it counts.
    vec: RefCell<AllocatorVec<usize, &'a SyncMallocator>>,
    taken: RefCell<Vec<Place>>,
}

impl<'a> Near<'a> {
    pub(super) fn new(shared: &'a SyncMallocator, every: usize) -> Self {
        Self {
            shared,
            every,
            asked: Cell::new(0),
            other: shared.try_local(500).ok(),
            vec: RefCell::new(AllocatorVec::new_in(shared)),
            taken: RefCell::default(),
        }
    }

    /// How much of the shared arena is taken: it changes where a share gets more of it.
    pub(super) fn used(&self) -> usize {
        self.shared.used()
    }

    /// Takes something, or not.
    pub(super) fn disturb(&self) {
        let asked = self.asked.get();
        self.asked.set(asked + 1);
        if self.every == 0 || asked % self.every != 0 {
            return;
        }
        let (shared, turn) = (self.shared, asked / self.every);
        let outcome = match turn % 16 {
            0 | 8 => shared.try_alloc([turn; 2]).map(place),
            1 => shared.alloc_raw(1, 1).map(|block| (block.cast(), 1, 1)),
            2 => shared.try_alloc_slice_fill_iter((0..9).map(|number| number + turn)).map(places),
            3 => shared.try_alloc_iter((0..turn % 50).filter(|number| number % 3 != 0)).map(places),
            4 => shared.alloc_string::<u16>("naïve").map(places),
            5 => shared.try_alloc_zeroed_bytes(turn % 300, 8).map(|bytes| {
                assert!(are(bytes, 0), "not zero");
                places(bytes)
            }),
            6 => match self.resized(turn) {
                Some(place) => Ok(place),
                None => return,
            },
            7 => return self.push(),
            9 => shared.batch(100).try_alloc([turn; 5]).map(place),
            10 => shared.try_local(64).and_then(|arena| arena.try_alloc(turn)).map(place),
            11 => shared.try_alloc_fmt(format_args!("{turn}")).map(|text| {
                // SAFETY: the text is not used as text again.
                places(unsafe { text.as_bytes_mut() })
            }),
            turn => match self.other {
                Some(other) if turn == 12 => other.scope(|view| {
                    let _ = view.try_alloc([turn; 70]);
                    other.try_alloc(turn).map(place)
                }),
                Some(other) => other.try_alloc([turn; 17]).map(place),
                None => return,
            },
        };
        match outcome {
            Ok(place) => self.taken.borrow_mut().push(place),
            Err(error) => assert!(matches!(error, Error::Exhausted { .. }), "{error}"),
        }
    }

    /// A block of the shared arena itself, by its `Allocator` trait.
    fn resized(&self, turn: usize) -> Option<Place> {
        let [first, second] = [1 + turn % 40, 50 + turn % 100].map(|size| layout(size, 1 << (turn % 6)));
        let block = self.shared.allocate_zeroed(first).ok()?;
        // SAFETY: the block is live, has the first layout, and all of it is written before it is read.
        unsafe {
            assert!(are(block.as_ref(), 0), "not zero");
            block.cast::<u8>().write_bytes(0x5a, first.size());
            let Ok(grown) = self.shared.grow_zeroed(block.cast(), first, second) else {
                return Some((block.cast(), first.size(), first.align()));
            };
            let (kept, new) = grown.as_ref().split_at(first.size());
            assert!(are(kept, 0x5a) && are(new, 0), "contents");
            Some((grown.cast(), second.size(), second.align()))
        }
    }

    fn push(&self) {
        let mut vec = self.vec.borrow_mut();
        for _ in 0..5 {
            if vec.try_reserve(1).is_ok() {
                let len = vec.len();
                vec.push(len);
            }
        }
    }

    /// What was taken is remembered.
    pub(super) fn settle(&self, arena: &Mallocator, shadow: &mut Shadow) {
        for (start, len, align) in self.taken.borrow_mut().drain(..) {
            shadow.count();
            shadow.took(arena, start.as_ptr(), len, align, 0);
        }
    }

    pub(super) fn check(&self) {
        assert!(self.vec.borrow().iter().enumerate().all(|(index, &number)| index == number));
    }
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

fn place<T>(value: &mut T) -> Place {
    (NonNull::from(value).cast(), size_of::<T>(), align_of::<T>())
}

fn places<T>(values: &mut [T]) -> Place {
    (NonNull::from(&mut *values).cast(), size_of_val(values), align_of::<T>())
}
