//! Sealing: an arena that can no longer be written, so that its pages can be shared, trusted and executed.

use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::slice;

use crate::arena::Mallocator;
use crate::error::Error;
use crate::protection::Protection;

/// An arena that was sealed by [`Mallocator::seal`]: nothing in it can be written, by anybody, until it is
/// [unsealed](Self::unseal).
///
/// As nothing changes, threads may share it. Bytes and values are read by their offset, which is `unsafe`, as only the
/// caller knows what was written there; a tree whose root comes along, with safe access, is a
/// [`SealedRoot`](crate::SealedRoot). Code is called through [`function`](Self::function).
///
/// ```
/// use mallocator::{Mallocator, Protection};
///
/// let arena = Mallocator::new()?;
/// let primes = arena.alloc_slice_copy(&[2_u32, 3, 5, 7]);
/// let offset = arena.offset_of(primes).unwrap();
/// let sealed = arena.seal(Protection::READ)?;
/// // SAFETY: four numbers were written there.
/// let primes = unsafe { sealed.get::<[u32; 4]>(offset)? };
/// std::thread::scope(|threads| threads.spawn(|| assert_eq!(primes[3], 7)).join()).unwrap();
/// # Ok::<(), mallocator::Error>(())
/// ```
pub struct Sealed {
    arena: Mallocator,
    // What threads may ask for at the same time; what the arena keeps for itself they may not.
    base: NonNull<u8>,
    size: usize,
    used: usize,
    protection: Protection,
    before: Protection,
}

// SAFETY: an arena may be sent, and the other fields speak of it.
unsafe impl Send for Sealed {}
// SAFETY: what is shared are the plain fields, and pages that nothing writes to; the arena, with its cells, is used only
// by whoever owns or exclusively borrows the whole. What threads are given references to by `get` is `Sync`, as it may lead
// out of the arena to what is written. What threads call is promised to bear that, by whoever made a function of it.
unsafe impl Sync for Sealed {}

/// A call that would have consumed an arena was refused: this gives back what was to be consumed, and says why.
///
/// ```
/// use mallocator::{Error, Mallocator, Protection};
///
/// let arena = Mallocator::new()?;
/// arena.alloc_str("kept");
/// let refused = arena.seal(Protection::READ_WRITE).unwrap_err(); // which would be no seal
/// let (arena, error) = refused.into_parts();
/// assert!(matches!(error, Error::SealWritable { .. }));
/// assert_eq!(arena.used(), 4);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct SealError<T = Mallocator> {
    kept: T,
    error: Error,
}

impl<T> SealError<T> {
    pub(crate) const fn new(kept: T, error: Error) -> Self {
        Self { kept, error }
    }

    /// Why it was refused.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator, Protection};
    ///
    /// let refused = Mallocator::new()?.seal(Protection::READ_WRITE).unwrap_err();
    /// assert!(matches!(refused.error(), Error::SealWritable { .. }));
    /// # Ok::<(), Error>(())
    /// ```
    pub const fn error(&self) -> Error {
        self.error
    }

    /// What was to be sealed or unsealed, and why it was not.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let refused = Mallocator::new()?.seal(Protection::READ_WRITE).unwrap_err();
    /// let (arena, error) = refused.into_parts();
    /// println!("{error}");
    /// arena.alloc(1); // as usable as before
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn into_parts(self) -> (T, Error) {
        (self.kept, self.error)
    }
}

impl<T> fmt::Display for SealError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T: fmt::Debug> std::error::Error for SealError<T> {}

impl<T> From<SealError<T>> for Error {
    fn from(refused: SealError<T>) -> Self {
        refused.error
    }
}

impl Mallocator {
    /// Makes everything that was handed out read-only, executable, or inaccessible, for good or until it is
    /// [unsealed](Sealed::unseal). It is exact to the page: the pages that hold a byte of what was handed out get
    /// `protection`, and the memory of those behind goes back to the system, so that touching them is a fault.
    ///
    /// Code that was written is made visible to instruction fetch. To write code and run it, write it under
    /// [`READ_WRITE`](Protection::READ_WRITE) and seal with [`READ_EXECUTE`](Protection::READ_EXECUTE): at no moment is
    /// it writable and executable.
    ///
    /// # Errors
    /// [`Error::SealWritable`] for a protection that allows writing, also behind a [`GUARD`](Protection::GUARD);
    /// [`Error::InvalidProtection`] and [`Error::Unsupported`]; [`Error::NotItsOwn`] where the memory came in a
    /// [box](Self::from_box) or was [lent](Self::from_raw_parts); [`Error::Os`] when the system refuses. The error
    /// [gives the arena back](SealError::into_parts) as it was; one whose pages could be neither changed nor changed back
    /// counts as [`Protection::NO_ACCESS`] and refuses to be written.
    ///
    /// # Platforms
    /// macOS with a hardened runtime makes no page executable that was writable, except with an entitlement. When the memory
    /// behind cannot go back, as on [huge pages that are required](crate::HugePages::Required), it gets the protection too.
    ///
    /// On aarch64, where each processor fetches instructions ahead, code that was sealed runs on every thread, whatever lay
    /// there before: Linux has the other processors drop what they had fetched, by `membarrier`. Kernels before 4.16, sandboxes
    /// that forbid the call, and the BSDs do not; there it runs on every thread that has since been started or has waited in
    /// the system (on a lock, a channel, a sleep), and nothing is promised of one that was spinning all the while.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let arena = Mallocator::with_size(1 << 30)?;
    /// arena.alloc_str("a table that must not change");
    /// let sealed = arena.seal(Protection::READ)?;
    /// assert_eq!((sealed.used(), sealed.protection()), (28, Protection::READ));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn seal(self, protection: Protection) -> Result<Sealed, SealError> {
        let before = self.protection();
        match self.seal_pages(protection) {
            Ok(()) => {
                let (base, size, used) = (self.base(), self.size(), self.used());
                Ok(Sealed { arena: self, base, size, used, protection, before })
            }
            Err(error) => Err(SealError::new(self, error)),
        }
    }

    /// Seals in place. Whoever holds the arena sees to it that nothing in it is written, and nothing of it changed, until
    /// [`unseal_pages`](Self::unseal_pages).
    pub(crate) fn seal_pages(&self, protection: Protection) -> Result<(), Error> {
        if protection.intersects(Protection::WRITE_ALONE) {
            return Err(Error::SealWritable { protection });
        }
        if !self.is_its_own() {
            return Err(Error::NotItsOwn { call: "seal" });
        }
        self.forget_views();
        // SAFETY: the owner is sealed as a whole: nobody is left who would write, and reading is checked from here on.
        unsafe { self.protect(0..self.size(), protection) }?;
        // What the system does not take back is protected like the rest.
        let _ = self.decommit_unused();
        Ok(())
    }

    /// Gives pages that were sealed the protection `before`.
    pub(crate) fn unseal_pages(&self, before: Protection) -> Result<(), Error> {
        // SAFETY: nothing loses what it needs: what reads and executes does so through a borrow of what is unsealed.
        unsafe { self.protect(0..self.size(), before) }.map(drop)
    }
}

impl Sealed {
    /// The address of the first byte, as [`Mallocator::base`].
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let arena = Mallocator::new()?;
    /// let base = arena.base();
    /// assert_eq!(arena.seal(Protection::READ)?.base(), base); // nothing moves
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes reserved.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// assert_eq!(Mallocator::with_size(1 << 20)?.seal(Protection::READ)?.size(), 1 << 20);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Bytes handed out before it was sealed: offsets from 0 to here can be read.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let arena = Mallocator::new()?;
    /// arena.alloc_str("four");
    /// assert_eq!(arena.seal(Protection::READ)?.used(), 4);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn used(&self) -> usize {
        self.used
    }

    /// What the pages may be used for.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let code = Mallocator::new()?.seal(Protection::READ_EXECUTE)?;
    /// assert_eq!(code.protection(), Protection::READ_EXECUTE);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn protection(&self) -> Protection {
        self.protection
    }

    /// Whether `ptr` points into the reservation.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let sealed = Mallocator::new()?.seal(Protection::READ)?;
    /// assert!(sealed.contains(sealed.base().as_ptr()) && !sealed.contains(&raw const sealed));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn contains<T: ?Sized>(&self, ptr: *const T) -> bool {
        self.offset_of(ptr).is_some()
    }

    /// How many bytes behind the base `ptr` points, if it points into the reservation.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let sealed = Mallocator::new()?.seal(Protection::READ)?;
    /// assert_eq!(sealed.offset_of(sealed.base().as_ptr()), Some(0));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn offset_of<T: ?Sized>(&self, ptr: *const T) -> Option<usize> {
        let offset = ptr.addr().wrapping_sub(self.base.addr().get());
        (offset < self.size).then_some(offset)
    }

    /// The bytes at `range`, in bytes from the base.
    ///
    /// # Errors
    /// [`Error::RangeReversed`], [`Error::NotHandedOut`] for what lies behind [`used`](Self::used),
    /// [`Error::NotReadable`].
    ///
    /// # Safety
    /// Every byte of the range was written since this arena was made: what alignment left between two allocations was not,
    /// and neither was the padding of a type. What the arena has written whose range this one
    /// [took over](crate::Builder::reuse) does not count: the system takes it when it likes, under a slice that must not
    /// change.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let arena = Mallocator::new()?;
    /// arena.alloc_byte_string("7f 45 4c 46")?;
    /// let sealed = arena.seal(Protection::READ)?;
    /// // SAFETY: four bytes were written.
    /// assert_eq!(unsafe { sealed.bytes(0..4)? }, b"\x7fELF");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub unsafe fn bytes(&self, range: Range<usize>) -> Result<&[u8], Error> {
        let Range { start, end } = range;
        let len = end.checked_sub(start).ok_or(Error::RangeReversed { start, end })?;
        let bytes = self.readable(start, len)?;
        // SAFETY: the range was handed out and can be read; nothing writes to it while the seal is borrowed. That it was
        // written is the caller's promise.
        Ok(unsafe { slice::from_raw_parts(bytes.as_ptr(), len) })
    }

    /// The `T` at `offset`, in bytes from the base.
    ///
    /// # Errors
    /// [`Error::NotHandedOut`] when it does not lie within [`used`](Self::used), [`Error::Misaligned`],
    /// [`Error::NotReadable`].
    ///
    /// # Safety
    /// - A `T` was written there since this arena was made.
    /// - What it refers to is there for as long as the lifetimes in `T` say: a `&'static str` in the arena is not.
    /// - Neither it nor what it refers to in this arena is written through it, which would be a fault: there it has no `Cell`,
    ///   no atomic, no lock.
    ///
    /// As any thread may ask for it, `T` is `Sync`: what it refers to elsewhere is shared as well.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let arena = Mallocator::new()?;
    /// let offset = arena.offset_of(arena.alloc(42_u64)).unwrap();
    /// let sealed = arena.seal(Protection::READ)?;
    /// // SAFETY: a number was written there.
    /// assert_eq!(unsafe { sealed.get::<u64>(offset)? }, &42);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # let sealed = mallocator::Mallocator::new().unwrap().seal(mallocator::Protection::READ).unwrap();
    /// // A cell that is elsewhere could be written, and by two threads at once.
    /// unsafe { sealed.get::<&std::cell::Cell<u64>>(0) };
    /// ```
    pub unsafe fn get<T: Sync>(&self, offset: usize) -> Result<&T, Error> {
        let place = self.readable(offset, size_of::<T>())?.cast::<T>();
        if !place.is_aligned() {
            return Err(Error::Misaligned { offset, align: align_of::<T>() });
        }
        // SAFETY: the place was handed out, is aligned and can be read; nothing writes to it while the seal is borrowed. That
        // it holds a `T` is the caller's promise.
        Ok(unsafe { place.as_ref() })
    }

    /// The place at `offset`, if `len` bytes there were handed out and can be read.
    fn readable(&self, offset: usize, len: usize) -> Result<NonNull<u8>, Error> {
        if !self.protection.is_readable() {
            return Err(Error::NotReadable { protection: self.protection });
        }
        self.handed_out(offset, len)
    }

    pub(crate) fn handed_out(&self, offset: usize, len: usize) -> Result<NonNull<u8>, Error> {
        let end = offset.saturating_add(len);
        if end > self.used {
            return Err(Error::NotHandedOut { end, used: self.used });
        }
        // SAFETY: the offset lies in the reservation.
        Ok(unsafe { self.base.add(offset) })
    }

    /// Makes it an arena again, with what was handed out where it was, and the protection it had: all pages get that of the
    /// arena, also those that [`protect`](Mallocator::protect) had given another.
    ///
    /// # Errors
    /// [`Error::Os`] when the system refuses; the error [gives back](SealError::into_parts) what is still sealed.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let arena = Mallocator::new()?;
    /// arena.alloc_str("first");
    /// let sealed = arena.seal(Protection::READ)?;
    /// let arena = sealed.unseal()?;
    /// arena.alloc_str("second");
    /// assert_eq!(arena.used(), 11);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn unseal(self) -> Result<Mallocator, SealError<Self>> {
        match self.arena.unseal_pages(self.before) {
            Ok(()) => Ok(self.arena),
            Err(error) => {
                // It is now what it was, or `NO_ACCESS`.
                let protection = self.arena.protection();
                Err(SealError::new(Self { protection, ..self }, error))
            }
        }
    }

    /// Gives everything back to the system at once. Dropping does the same, and cannot say whether it worked.
    ///
    /// # Errors
    /// Those of [`Mallocator::free`].
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// Mallocator::new()?.seal(Protection::READ)?.free()?;
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn free(self) -> Result<(), Error> {
        self.arena.free()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("base", &self.base)
            .field("size", &self.size)
            .field("used", &self.used)
            .field("protection", &self.protection)
            .finish_non_exhaustive()
    }
}
