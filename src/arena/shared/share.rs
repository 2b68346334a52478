//! A thread's share of a shared arena: blocks of its own, in which nobody else allocates. It *is* a [`Mallocator`], so that
//! every typed method, scopes and collections work on it. Its header lies in its own first block and lives as long as what it
//! hands out.

use core::cell::Cell;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;

use super::SyncMallocator;
use crate::arena::backing::{Backing, Kind};
use crate::arena::{Batch, Mallocator};
use crate::error::{Error, unwrap_or_panic};
use crate::pure::bump;

/// Where the memory of a share comes from. Addresses of its blocks rise.
#[derive(Debug)]
pub(in crate::arena) struct Share {
    shared: NonNull<SyncMallocator>,
    /// The share itself, above all of its views.
    root: Cell<Option<NonNull<Mallocator>>>,
    /// How much to take at a time, in bytes; 0 for just what is wanted.
    block: usize,
    /// The start of the present block.
    start: Cell<usize>,
    /// The end of the present block.
    end: Cell<usize>,
    /// The size of all blocks before it.
    earlier: Cell<usize>,
}

impl Share {
    fn new(shared: &SyncMallocator, block: usize, start: usize, end: usize) -> Self {
        Self {
            shared: NonNull::from(shared),
            root: Cell::new(None),
            block,
            start: Cell::new(start),
            end: Cell::new(end),
            earlier: Cell::new(0),
        }
    }

    pub(in crate::arena) fn shared(&self) -> &SyncMallocator {
        // SAFETY: a share borrows what it is a share of.
        unsafe { self.shared.as_ref() }
    }

    pub(in crate::arena) fn root(&self) -> Option<NonNull<Mallocator>> {
        self.root.get()
    }

    pub(in crate::arena) fn set_root(&self, root: NonNull<Mallocator>) {
        self.root.set(Some(root));
    }

    pub(in crate::arena) fn start(&self) -> usize {
        self.start.get()
    }

    pub(in crate::arena) fn end(&self) -> usize {
        self.end.get()
    }

    /// How much of the shared range the share has, what lies above the cursor not counted.
    pub(in crate::arena) fn used(&self, cursor: usize) -> usize {
        self.earlier.get() + cursor - self.start.get()
    }

    pub(in crate::arena) const fn block(&self) -> usize {
        self.block
    }

    /// Makes the present block reach to `to`, and farther if there is more, if nobody took anything after it.
    pub(in crate::arena) fn extend(&self, to: usize) -> bool {
        let end = self.end.get();
        let ample = end.saturating_add(self.block).min(self.shared().end()).max(to);
        let raised = [ample, to].into_iter().find(|&to| self.shared().raise_in_place(end, to));
        raised.map(|to| self.end.set(to)).is_some()
    }

    /// More memory, with room for `size` bytes at a multiple of `align`, from `cursor` on, or, as is returned, elsewhere.
    pub(in crate::arena) fn refill(&self, cursor: usize, size: usize, align: usize) -> Result<usize, Error> {
        let in_place = bump::place(cursor, size, align, self.shared().end());
        if in_place.is_some_and(|place| self.extend(place.end)) {
            return Ok(cursor);
        }
        let (start, end) = self.shared().block(self.block, size, align)?;
        self.earlier.set(self.earlier.get() + self.end.get() - self.start.get());
        self.start.set(start);
        self.end.set(end);
        Ok(start)
    }
}

/// What lies at the start of a share's first block.
#[repr(C)]
struct Header {
    arena: ManuallyDrop<Mallocator>,
    backing: Backing,
}

impl SyncMallocator {
    /// A share of the arena for the thread that calls it: a [`Mallocator`] whose memory nobody else allocates in, so that
    /// allocating from it costs what it costs in an arena of the thread's own. Every method that takes a `&self` works on it:
    /// scopes at any depth, collections that grow, iterators, batches.
    ///
    /// It takes blocks of a 64th of the arena, from 4 KiB to 256 KiB, in place while nobody else took anything, and has about
    /// 250 bytes of bookkeeping in the first; [`try_local`](Self::try_local) lets one choose. Each call makes another share: make
    /// one for a thread, or for a task, and hand it on. What is left of its last block stays taken until
    /// [`reset`](Self::reset), and so does what a scope left in a block before, when it needed another.
    ///
    /// # What differs on a share
    /// - [`base`](Mallocator::base), [`size`](Mallocator::size), [`committed`](Mallocator::committed),
    ///   [`contains`](Mallocator::contains) and [`offset_of`](Mallocator::offset_of) speak of the shared range,
    ///   [`used`](Mallocator::used) of what the share has taken of it, its bookkeeping included, and
    ///   [`available`](Mallocator::available) of what is left to it at this moment.
    /// - [`protect`](Mallocator::protect) is [`Error::NotItsOwn`]: other threads have memory in the same pages. Methods that
    ///   take `&mut self` or `self`, as `reset`, `trim`, `free` and `seal` do, do not exist on it: they are the shared arena's.
    /// - What fails half way, as an iterator that has no end, leaves the share with the blocks that it took for it.
    /// - Bytes that are taken back in its block are zeroed, filled or hidden as the options of the shared arena say; what is
    ///   left in a block that it has no more than the end of, when the shared arena is reset.
    ///
    /// # Panics
    /// When [`try_local`](Self::try_local) would return an error.
    ///
    /// ```
    /// use mallocator::{Mallocator, Vec};
    ///
    /// let shared = Mallocator::builder().size(1 << 30).build_sync()?;
    /// let words = std::thread::scope(|threads| {
    ///     let work = |text: &'static str| {
    ///         let arena = shared.local();
    ///         let mut words = Vec::new_in(arena);
    ///         words.extend(text.split(' ').map(|word| &*arena.alloc_str(word)));
    ///         &*words.leak()
    ///     };
    ///     ["a bee", "sees the sea"].map(|text| threads.spawn(move || work(text)).join().unwrap())
    /// });
    /// assert_eq!(words, [&["a", "bee"][..], &["sees", "the", "sea"]]); // they outlive their threads
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[track_caller]
    pub fn local(&self) -> &Mallocator {
        unwrap_or_panic(self.try_local((self.size() / 64).clamp(4 << 10, 256 << 10)))
    }

    /// [`local`](Self::local) with blocks of `block` bytes, or as much as is left, that returns the error.
    ///
    /// 256 KiB is a good size, 2 MiB where much is allocated: the fewer blocks, the less threads meet. Blocks start on cache
    /// lines of their own.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`] when not even the bookkeeping fits, or [`Error::Os`] when the system refuses
    /// memory.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let shared = Mallocator::builder().size(1 << 16).build_sync()?;
    /// let arena = shared.try_local(4096)?;
    /// assert_eq!(arena.scope(|scratch| scratch.alloc_slice_fill_copy(10_000, 1_u8).len()), 10_000);
    /// shared.alloc_slice_fill_copy(shared.available(), 0_u8);
    /// assert!(matches!(shared.try_local(4096), Err(Error::Exhausted { available: 0, .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn try_local(&self, block: usize) -> Result<&Mallocator, Error> {
        self.writable()?;
        let (start, end) = self.block(block.max(1), size_of::<Header>(), align_of::<Header>())?;
        let header = self.pointer(start).cast::<Header>();
        let first = start + size_of::<Header>();
        let share = Share::new(self, block, start, end);
        // SAFETY: the block is aligned, writable and nobody else's for as long as the arena is borrowed.
        let arena = unsafe {
            let header = header.as_ptr();
            self.open(share, first, &raw mut (*header).backing, &raw mut (*header).arena)
        };
        Ok(arena)
    }

    /// Writes a share to its places, and says where the arena is.
    ///
    /// # Safety
    /// The places are aligned, writable, and nobody else's for as long as what is returned is used.
    unsafe fn open<'a>(
        &self,
        share: Share,
        first: usize,
        backing: *mut Backing,
        arena: *mut ManuallyDrop<Mallocator>,
    ) -> &'a Mallocator {
        let end = share.end();
        // SAFETY: the caller's.
        unsafe {
            backing.write(Backing::new(
                self.base,
                self.dirty_below,
                self.options.clean(),
                Kind::Share(share),
            ));
            arena.write(Mallocator::share(NonNull::new_unchecked(backing), self.base, first));
            (*backing).set_root(NonNull::new_unchecked(arena).cast());
            (*backing).hide(first, end);
            &*arena
        }
    }

    /// Calls `f` with a share that takes just what it needs, and so has nothing left when it ends: what makes every typed
    /// method one of the shared arena too. What it hands out lives as long as the shared arena is borrowed, which `f` cannot say:
    /// it returns pointers.
    #[inline]
    pub(crate) fn with_share<R>(&self, f: impl FnOnce(&Mallocator) -> R) -> R {
        // An empty block: the first allocation asks for one.
        let at = self.base.addr().get();
        let (mut backing, mut arena) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: the places are on this stack until `f` returns.
        f(unsafe { self.open(Share::new(self, 0, at, at), at, backing.as_mut_ptr(), arena.as_mut_ptr()) })
    }

    /// A batch on a share of the thread that calls it: [`local`](Self::local) and [`Mallocator::batch`] in one, with blocks of
    /// `block` bytes, or as much as is left. What is left of the last stays taken until [`reset`](Self::reset).
    ///
    /// Unlike a batch of a [`Mallocator`] it takes its first block at once. Where there is none, each allocation from it says
    /// why.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().size(1 << 30).build_sync()?;
    /// std::thread::scope(|threads| {
    ///     for thread in 0..4 {
    ///         let shared = &shared;
    ///         threads.spawn(move || {
    ///             let mut batch = shared.batch(256 << 10);
    ///             (0..10_000).for_each(|number| _ = batch.alloc(number * thread));
    ///         });
    ///     }
    /// });
    /// assert_eq!(shared.used(), 4 * (256 << 10));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn batch(&self, block: usize) -> Batch<'_> {
        Batch::of(self.try_local(block), block)
    }

    /// A block for a share, whole if there is as much, else with room for `size` bytes at `align`: from where to where.
    pub(in crate::arena) fn block(
        &self,
        block: usize,
        size: usize,
        align: usize,
    ) -> Result<(usize, usize), Error> {
        // Two threads that write to neighbouring blocks are not to share a line.
        let whole = (block.max(size), align.max(LINES));
        let tries = if block == 0 { [(size, align); 2] } else { [whole, (size, align)] };
        let mut outcome = Err(Error::exhausted(size, align, 0));
        for (size, align) in tries {
            outcome = self.take(size, align, (size, align)).map(|start| (start, start + size));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

/// What blocks are aligned to: two lines of 64 bytes, as processors fetch them in pairs.
const LINES: usize = 128;

const _: () = assert!(size_of::<Header>() <= 256 && align_of::<Header>() <= LINES);

#[cfg(test)]
mod tests {
    use crate::arena::Mallocator;

    /// A scope is open on a share whose block is nearly full, and the memory after that block is somebody else's; then `act`
    /// has the share. What it gives back leaves no cursor in the old block, as the end is that of the new one.
    fn in_a_scope_at_the_end_of_a_block(act: impl FnOnce(&Mallocator)) {
        let shared = Mallocator::builder().size(1 << 16).build_sync().unwrap();
        let arena = shared.try_local(1000).unwrap();
        let fill = |arena: &Mallocator| (0..3).for_each(|_| _ = arena.alloc_slice_fill_copy(500, 8_u8));
        let others: &mut [u8] = arena.scope(|scratch| {
            scratch.alloc_uninit_slice::<u8>(scratch.available() - shared.available() - 100);
            let others = shared.alloc_slice_fill_copy(5000, 7);
            act(arena);
            fill(scratch);
            others
        });
        fill(arena);
        assert!(others.iter().all(|&byte| byte == 7));
    }

    #[test]
    fn what_an_outer_share_gives_back_in_another_block_takes_no_cursor_to_the_old_one() {
        in_a_scope_at_the_end_of_a_block(|arena| {
            assert_eq!(arena.try_alloc_try_with(|| Err::<[u8; 500], _>(1)), Ok(Err(1)));
        });
    }

    #[test]
    fn what_grew_into_another_block_and_is_given_back_takes_no_cursor_to_the_old_one() {
        in_a_scope_at_the_end_of_a_block(|arena| {
            // Of unknown length: it starts in the old block, moves, and is given back by a panic.
            let numbers =
                (0..100_u64).filter(|&number| number < 50 || std::panic::resume_unwind(Box::new(0)));
            let alloc = std::panic::AssertUnwindSafe(|| arena.alloc_iter(numbers).len());
            assert!(std::panic::catch_unwind(alloc).is_err());
        });
    }
}
