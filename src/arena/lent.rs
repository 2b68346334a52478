//! Arenas over memory that the caller has: a buffer, a box, a block of another arena, a mapped file.

use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::ptr::NonNull;
use std::boxed::Box;

use crate::arena::Mallocator;
use crate::arena::backing::{Backing, Kind};
use crate::error::Error;
use crate::pure::bump;
use crate::vm::{Clean, Options, poison};

/// Memory that an arena has and that is not from the system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lender {
    end: usize,
    /// Address and size of the box that goes with the arena.
    boxed: Option<NonNull<[MaybeUninit<u8>]>>,
}

impl Lender {
    pub(super) const fn end(&self) -> usize {
        self.end
    }

    /// The end of the arena, which began at `base`. By value: what it was read from may go with the box.
    pub(super) fn give_back(self, base: NonNull<u8>) {
        poison::hand_out(base, self.end - base.addr().get());
        if let Some(boxed) = self.boxed {
            // SAFETY: it was made of a box, which nobody else has, and of which nothing is used any more.
            drop(unsafe { Box::from_raw(boxed.as_ptr()) });
        }
    }
}

/// What the first byte that can be handed out is aligned to.
const BASE_ALIGN: usize = 16;

/// The most that bookkeeping takes, what aligning it takes included.
const MOST_BOOKKEEPING: usize = 256;

const _: () = assert!(size_of::<Backing>() + align_of::<Backing>() + BASE_ALIGN <= MOST_BOOKKEEPING);

/// An arena over memory that was lent, for as long as it is lent. Made by [`Mallocator::from_slice`].
///
/// It is used as the [`Mallocator`] that it derefs to. When it is dropped, the memory is the lender's again.
///
/// ```
/// use std::mem::MaybeUninit;
/// use mallocator::Mallocator;
///
/// let mut buffer = [MaybeUninit::uninit(); 4096]; // on the stack
/// let mut arena = Mallocator::from_slice(&mut buffer)?;
/// assert_eq!(arena.alloc_str("no system call, no heap"), "no system call, no heap");
/// arena.reset();
/// assert_eq!(arena.used(), 0);
/// # Ok::<(), mallocator::Error>(())
/// ```
///
/// What it hands out cannot outlive the loan:
///
/// ```compile_fail,E0597
/// use std::mem::MaybeUninit;
/// use mallocator::Mallocator;
///
/// let text = {
///     let mut buffer = [MaybeUninit::uninit(); 4096];
///     let arena = Mallocator::from_slice(&mut buffer).unwrap();
///     &*arena.alloc_str("gone")
/// };
/// println!("{text}");
/// ```
///
/// Nor can the arena:
///
/// ```compile_fail,E0597
/// use std::mem::MaybeUninit;
/// use mallocator::{Lent, Mallocator};
///
/// let arena: Lent<'_>;
/// let mut buffer = vec![MaybeUninit::<u8>::uninit(); 4096];
/// arena = Mallocator::from_slice(&mut buffer).unwrap(); // the buffer would go first
/// ```
// Not `DerefMut`: a `&mut Mallocator` could be exchanged for another, and blocks would outlive their memory.
pub struct Lent<'m> {
    arena: Mallocator,
    _memory: PhantomData<&'m mut [MaybeUninit<u8>]>,
}

impl Lent<'_> {
    /// Takes back everything that was handed out, as [`Mallocator::reset`].
    ///
    /// ```
    /// use std::mem::MaybeUninit;
    /// use mallocator::Mallocator;
    ///
    /// let mut buffer = [MaybeUninit::uninit(); 1024];
    /// let mut arena = Mallocator::from_slice(&mut buffer)?;
    /// for request in 0..1000 {
    ///     arena.alloc_fmt(format_args!("request {request}"));
    ///     arena.reset();
    /// }
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn reset(&mut self) {
        self.arena.reset();
    }
}

/// The arena's drop reads its bookkeeping, which lies in the memory. With a drop of its own the memory has to outlive this: without
/// one, the compiler sees a `Mallocator`, which has no lifetime, and a marker, which has no drop, and lets the memory go first.
impl Drop for Lent<'_> {
    fn drop(&mut self) {}
}

impl Deref for Lent<'_> {
    type Target = Mallocator;

    #[inline]
    fn deref(&self) -> &Mallocator {
        &self.arena
    }
}

impl fmt::Debug for Lent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lent").field(&self.arena).finish()
    }
}

impl Mallocator {
    /// An arena over memory that the caller lends: a buffer on the stack, a static, a block of another arena.
    ///
    /// Its bookkeeping lies at the start of the memory and takes at most 256 bytes; [`base`](Self::base) is the first byte
    /// after it. The system is never asked for anything, and nothing is released that is not the arena's own. All of the memory
    /// counts as committed and as used before, so that [`alloc_zeroed_bytes`](Self::alloc_zeroed_bytes) clears it.
    /// [`protect`](Self::protect) is [`Error::NotItsOwn`]. In a build with debug assertions, bytes that are taken back become
    /// 0xDD, as in other arenas; secrets the lender has to clear.
    ///
    /// With one of the features for checkers, memory that was not handed out is hidden until the arena is dropped: one that is
    /// forgotten leaves it hidden.
    ///
    /// # Errors
    /// [`Error::TooSmall`] when there is no room for the bookkeeping and a byte.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// // Many small arenas in one large one.
    /// let outer = Mallocator::with_size(1 << 20)?;
    /// let sums = (0..100).map(|number| {
    ///     let inner = Mallocator::from_slice(outer.alloc_uninit_slice(1024))?;
    ///     Ok(inner.alloc_slice_fill_with(10, |index| index * number).iter().sum())
    /// });
    /// let sums: Result<Vec<usize>, mallocator::Error> = sums.collect();
    /// assert_eq!(sums?[99], 4455);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn from_slice(memory: &mut [MaybeUninit<u8>]) -> Result<Lent<'_>, Error> {
        // SAFETY: the memory is borrowed exclusively for as long as what is returned lives.
        let arena = unsafe { over(NonNull::from(memory), false) }?;
        Ok(Lent { arena, _memory: PhantomData })
    }

    /// An arena over the memory of a box, which goes back to the heap with the arena. Otherwise as
    /// [`from_slice`](Self::from_slice).
    ///
    /// # Errors
    /// [`Error::TooSmall`] when there is no room for the bookkeeping and a byte. The box is dropped then.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// fn numbers() -> Result<Mallocator, mallocator::Error> {
    ///     Mallocator::from_box(Box::new_uninit_slice(1 << 16))
    /// }
    /// let arena = numbers()?;
    /// assert_eq!(arena.alloc(7), &7);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn from_box(memory: Box<[MaybeUninit<u8>]>) -> Result<Self, Error> {
        let memory = NonNull::from(Box::leak(memory));
        // SAFETY: the memory was the box's, and is nobody's now.
        unsafe { over(memory, true) }.inspect_err(|_| {
            // SAFETY: it was made of a box above, and is not used.
            drop(unsafe { Box::from_raw(memory.as_ptr()) });
        })
    }

    /// An arena over `size` bytes from `start` on, whosever they are: a mapped file, memory that processes share, pinned
    /// memory of a device. Otherwise as [`from_slice`](Self::from_slice); nothing is released.
    ///
    /// # Errors
    /// [`Error::TooSmall`] when there is no room for the bookkeeping and a byte.
    ///
    /// # Safety
    /// Until the arena and everything that borrows from it is gone (one that was forgotten is never gone):
    /// - the bytes are one allocation, can be read and written by ordinary loads and stores, and stay where they are;
    /// - nobody else reads or writes them, in this process or another, but what was handed out, by whoever has it.
    ///
    /// ```
    /// use std::ptr::NonNull;
    /// use mallocator::Mallocator;
    ///
    /// let mut buffer = vec![0_u64; 1000];
    /// let start = NonNull::from(&mut buffer[..]).cast::<u8>();
    /// // SAFETY: the buffer outlives the arena, and is not used meanwhile.
    /// let arena = unsafe { Mallocator::from_raw_parts(start, 8000)? };
    /// assert!(arena.available() > 7700);
    /// # drop(arena);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub unsafe fn from_raw_parts(start: NonNull<u8>, size: usize) -> Result<Self, Error> {
        // SAFETY: the caller's.
        unsafe { over(NonNull::slice_from_raw_parts(start.cast(), size), false) }
    }
}

/// # Safety
/// The memory is the arena's, writable, and stays where it is, until the arena is gone. It was a box if `boxed`.
unsafe fn over(memory: NonNull<[MaybeUninit<u8>]>, boxed: bool) -> Result<Mallocator, Error> {
    let (start, size) = (memory.cast::<u8>(), memory.len());
    let address = start.addr().get();
    let too_small = |needed| Error::TooSmall { size, needed };
    let places = bump::place(address, size_of::<Backing>(), align_of::<Backing>(), usize::MAX)
        .and_then(|header| Some((header.start, bump::place(header.end, 1, BASE_ALIGN, usize::MAX)?)));
    let (header, first) = places.ok_or(too_small(MOST_BOOKKEEPING))?;
    let needed = first.end - address;
    // The end of an allocation is no higher than `isize::MAX`, on which the cursor's arithmetic relies.
    let end = address.checked_add(size).filter(|&end| isize::try_from(end).is_ok());
    let end = end.filter(|_| size >= needed).ok_or(too_small(needed))?;
    let place = |address: usize| {
        // SAFETY: an address in the memory, which is not null.
        unsafe { NonNull::new_unchecked(start.as_ptr().with_addr(address)) }
    };
    let base = place(first.start);
    let lender = Lender { end, boxed: boxed.then_some(memory) };
    let clean = if Options::DEBUG_FILL { Clean::Fill } else { Clean::Not };
    let backing = place(header).cast::<Backing>();
    // SAFETY: the place is aligned, in the memory, and writable; what is written there is the arena's.
    let arena = unsafe {
        backing.write(Backing::new(base, end, clean, Kind::Lent(lender)));
        Mallocator::over_raw(backing)
    };
    poison::hide(base, end - base.addr().get());
    Ok(arena)
}
