//! What every kind of arena must bear: allocations at random in a tree of scopes, each held with what was written there.

use std::alloc::Layout;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use mallocator::Mallocator;

/// A small generator of numbers, the same in every run.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap() % end
    }
}

/// A block that is held, and filled with its own pattern.
#[derive(Clone, Copy)]
struct Held {
    block: NonNull<u8>,
    layout: Layout,
    pattern: u8,
}

impl Held {
    fn holds(&self, len: usize) -> bool {
        // SAFETY: the block is held, so it is there and was filled, and nobody writes to it.
        let bytes = unsafe { std::slice::from_raw_parts(self.block.as_ptr(), len) };
        bytes.iter().all(|&byte| byte == self.pattern)
    }

    fn fill(&self) {
        // SAFETY: the block is held, and nobody else's.
        unsafe { self.block.write_bytes(self.pattern, self.layout.size()) };
    }
}

/// An arena or a scope in it, with what is held of it.
struct Level<'a> {
    arena: &'a Mallocator,
    held: Vec<Held>,
}

impl Level<'_> {
    fn check(&self) {
        for held in &self.held {
            assert!(held.holds(held.layout.size()), "{:?} {:?}", held.block, held.layout);
        }
    }
}

/// A tree of scopes, from the arena at its root to the innermost that is open.
pub(crate) struct Shadow<'a> {
    numbers: Numbers,
    patterns: u8,
    /// The largest block.
    largest: usize,
    levels: Vec<Level<'a>>,
    /// What somebody else allocates now and then.
    others: &'a dyn Fn(usize) -> Option<NonNull<[u8]>>,
    of_others: Vec<Held>,
}

/// Runs `steps` random steps on `arena`, in which blocks are at most `largest` bytes. `others` allocates beside it.
pub(crate) fn drive(
    seed: u64,
    steps: usize,
    largest: usize,
    arena: &Mallocator,
    others: &dyn Fn(usize) -> Option<NonNull<[u8]>>,
) {
    let mut shadow = Shadow {
        numbers: Numbers::new(seed),
        patterns: 0,
        largest,
        levels: vec![Level { arena, held: Vec::new() }],
        others,
        of_others: Vec::new(),
    };
    for _ in 0..steps {
        shadow.step(0);
    }
    shadow.check();
}

impl Shadow<'_> {
    fn next_pattern(&mut self) -> u8 {
        // Neither zero, nor what is left where memory was taken back.
        self.patterns = self.patterns % 200 + 1;
        self.patterns
    }

    fn layout(&mut self) -> Layout {
        let most = if self.numbers.below(8) == 0 { self.largest } else { 200 };
        let size = 1 + self.numbers.below(most);
        Layout::from_size_align(size, 1 << self.numbers.below(7)).unwrap()
    }

    fn any_level(&mut self) -> usize {
        self.numbers.below(self.levels.len())
    }

    fn hold(&mut self, level: usize, block: NonNull<u8>, layout: Layout) {
        assert_eq!(block.addr().get() % layout.align(), 0);
        let held = Held { block, layout, pattern: self.next_pattern() };
        held.fill();
        self.levels[level].held.push(held);
    }

    fn allocate(&mut self) {
        let (level, layout) = (self.any_level(), self.layout());
        if let Ok(block) = self.levels[level].arena.try_alloc_layout(layout) {
            self.hold(level, block, layout);
        }
    }

    /// Everything that is held is as it was written.
    fn check(&self) {
        self.levels.iter().for_each(Level::check);
        for held in &self.of_others {
            assert!(held.holds(held.layout.size()), "of others: {:?} {:?}", held.block, held.layout);
        }
    }

    fn step(&mut self, depth: usize) {
        match self.numbers.below(20) {
            0..=4 => self.allocate(),
            5 => self.others(),
            6 | 7 => self.change(),
            8 => self.give_back(),
            9 => self.fail(),
            10 => self.panic(),
            11 => self.collect(),
            12 => self.batch(),
            13 => self.rewind(),
            14 => self.zeroes(),
            15 | 16 if depth < 6 => self.scope(depth),
            _ => self.check(),
        }
    }

    fn others(&mut self) {
        let size = 1 + self.numbers.below(self.largest);
        if let Some(block) = (self.others)(size) {
            let layout = Layout::array::<u8>(block.len()).unwrap();
            let held = Held { block: block.cast(), layout, pattern: self.next_pattern() };
            held.fill();
            self.of_others.push(held);
        }
    }

    /// A block that is held grows or shrinks.
    fn change(&mut self) {
        let level = self.any_level();
        let arena = self.levels[level].arena;
        let Some(last) = self.levels[level].held.len().checked_sub(1) else { return };
        let index = if self.numbers.below(2) == 0 { last } else { self.numbers.below(last + 1) };
        let held = self.levels[level].held[index];
        let (old, asked) = (held.layout, self.layout());
        let new = Layout::from_size_align(asked.size(), old.align()).unwrap();
        // SAFETY: the block is held, and used by its new name from here on.
        let changed = unsafe {
            if new.size() >= old.size() {
                arena.grow(held.block, old, new)
            } else {
                arena.shrink(held.block, old, new)
            }
        };
        if let Ok(block) = changed {
            let moved = Held { block: block.cast(), layout: new, ..held };
            assert!(moved.holds(old.size().min(new.size())));
            moved.fill();
            self.levels[level].held[index] = moved;
        }
    }

    fn give_back(&mut self) {
        let level = self.any_level();
        if let Some(held) = self.levels[level].held.pop() {
            assert!(held.holds(held.layout.size()));
            // SAFETY: the block is held, and not used again.
            unsafe { self.levels[level].arena.deallocate(held.block, held.layout) };
        }
    }

    /// A value that cannot be made, while others are.
    fn fail(&mut self) {
        let level = self.any_level();
        let (arena, more) = (self.levels[level].arena, self.numbers.below(3));
        let mut make = || more.checked_sub(1).map(|more| (0..more).for_each(|_| self.allocate()));
        if more == 2 {
            let _ = arena.try_alloc_try_with(|| Err::<[u8; 3000], _>(make()));
        } else {
            let _ = arena.try_alloc_try_with(|| Err::<[u64; 40], _>(make()));
        }
    }

    /// An iterator that panics, after a while.
    fn panic(&mut self) {
        let level = self.any_level();
        let (arena, len) = (self.levels[level].arena, self.numbers.below(self.largest / 4));
        let busy = self.numbers.below(4) == 0;
        let elements = (0..=len).inspect(|&index| {
            if busy && index == len / 2 {
                self.allocate();
            }
            if index == len {
                resume_unwind(Box::new("as is wanted"));
            }
        });
        let outcome =
            catch_unwind(AssertUnwindSafe(|| arena.try_alloc_iter(elements.filter(|_| true)).is_err()));
        assert!(outcome.is_err() || outcome.is_ok_and(|refused| refused));
    }

    /// An iterator that says nothing of its length, and ends.
    fn collect(&mut self) {
        let level = self.any_level();
        let (arena, len) = (self.levels[level].arena, self.numbers.below(self.largest / 4));
        let busy = self.numbers.below(4) == 0;
        let elements = (0..len).map(|index| {
            if busy && index == len / 2 {
                self.allocate();
            }
            u32::try_from(index).unwrap()
        });
        if let Ok(numbers) = arena.try_alloc_iter(elements.filter(|_| true)) {
            assert!(numbers.iter().zip(0..).all(|(&number, index)| number == index) && numbers.len() == len);
            if len > 0 {
                let layout = Layout::for_value(numbers);
                self.hold(level, NonNull::from(numbers).cast(), layout);
            }
        }
    }

    fn batch(&mut self) {
        let level = self.any_level();
        let arena = self.levels[level].arena;
        let mut batch = arena.batch(1 << (5 + self.numbers.below(8)));
        for _ in 0..self.numbers.below(40) {
            if self.numbers.below(10) == 0 {
                self.allocate();
            }
            let Ok(numbers) = batch.try_alloc([0_u64; 7]) else { break };
            let layout = Layout::for_value(numbers);
            self.hold(level, NonNull::from(numbers).cast(), layout);
        }
    }

    /// The innermost arena goes back, and what was allocated from it since is not used again.
    fn rewind(&mut self) {
        let innermost = self.levels.len() - 1;
        let arena = self.levels[innermost].arena;
        let (mark, held) = (arena.mark(), self.levels[innermost].held.len());
        for _ in 0..self.numbers.below(10) {
            self.allocate();
        }
        self.levels[innermost].check();
        self.levels[innermost].held.truncate(held);
        // SAFETY: what was allocated since is not held any more.
        unsafe { arena.rewind(mark) };
    }

    fn zeroes(&mut self) {
        let (level, layout) = (self.any_level(), self.layout());
        let arena = self.levels[level].arena;
        if let Ok(zeroes) = arena.try_alloc_zeroed_bytes(layout.size(), layout.align()) {
            assert!(zeroes.iter().all(|&byte| byte == 0));
            self.hold(level, NonNull::from(zeroes).cast(), layout);
        }
    }

    /// A scope on any level.
    fn scope(&mut self, depth: usize) {
        let (opened_on, steps) = (self.any_level(), self.numbers.below(20));
        let arena = self.levels[opened_on].arena;
        arena.scope(|view| {
            // SAFETY: nothing but the lifetime differs; the level is gone before the view is.
            let arena = unsafe { &*std::ptr::from_ref(view) };
            self.levels.push(Level { arena, held: Vec::new() });
            for _ in 0..steps {
                self.step(depth + 1);
            }
            self.levels.pop().unwrap().check();
        });
    }
}
