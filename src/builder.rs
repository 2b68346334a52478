//! What to reserve, and how: the ways to make a `Mallocator`.

use crate::arena::{Mallocator, SyncMallocator, release_kept};
use crate::error::{Error, unwrap_or_panic};
use crate::os::{self, GROWING};
use crate::protection::Protection;
use crate::vm::{HugePages, Name, OnFork, Options, Placement, Reservation};

/// 64 KiB: the size of a [`Mallocator::new`], and where Windows places reservations. The same on every platform; what
/// the system at hand has is [`allocation_granularity`].
///
/// ```
/// use mallocator::{Mallocator, PAGE_GRANULARITY};
///
/// let arena = Mallocator::builder().size(4 * PAGE_GRANULARITY).build()?;
/// assert_eq!(arena.size(), 262_144);
/// # Ok::<(), mallocator::Error>(())
/// ```
pub const PAGE_GRANULARITY: usize = 0x1_0000;

/// The size of a page in bytes: what commit and protect round to. 4096 on x86-64, 16 KiB on Apple silicon.
///
/// ```
/// assert!(mallocator::page_size().is_power_of_two());
/// ```
pub fn page_size() -> usize {
    os::page_size()
}

/// Where a reservation may start: at a multiple of this many bytes. 64 KiB on Windows, the page size on Unix.
///
/// ```
/// assert_eq!(mallocator::allocation_granularity() % mallocator::page_size(), 0);
/// ```
pub fn allocation_granularity() -> usize {
    os::granularity()
}

/// What to reserve, and how. Made by [`Mallocator::builder`].
///
/// It can be kept and built from again; two options that say where (`at` and `near`) replace one another.
///
/// ```
/// use mallocator::{Mallocator, Protection};
///
/// let builder = Mallocator::builder().size(1 << 30).protection(Protection::READ_WRITE).name("frames");
/// let (left, right) = (builder.build()?, builder.build()?);
/// assert!(!left.contains(right.base().as_ptr()));
/// # Ok::<(), mallocator::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder reserves nothing until it is built"]
pub struct Builder {
    options: Options,
}

impl Builder {
    /// How much to reserve, in bytes, rounded up to pages. The default is [`PAGE_GRANULARITY`], 64 KiB.
    ///
    /// Address space costs nothing: reserve as much as could ever be wanted. Memory is committed as the arena fills.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::builder().size(64 << 30).build()?;
    /// assert_eq!(arena.size(), 64 << 30);
    /// assert!(arena.committed() < 1 << 20);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn size(mut self, bytes: usize) -> Self {
        self.options.size = bytes;
        self
    }

    /// What the pages may be used for. The default is [`Protection::READ_WRITE`].
    ///
    /// ```
    /// use mallocator::{Error, Mallocator, Protection};
    ///
    /// let addresses = Mallocator::builder().protection(Protection::NO_ACCESS).build()?;
    /// assert!(addresses.alloc_raw(100, 16).is_ok()); // hands out addresses; nothing is written
    /// assert!(matches!(addresses.try_alloc(1), Err(Error::NotWritable { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub const fn protection(mut self, protection: Protection) -> Self {
        self.options.protection = protection;
        self
    }

    /// Reserve at exactly this address, which must be a multiple of [`allocation_granularity`]. What lives there, or in
    /// the page behind the range, which stays inaccessible, is never replaced.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::new()?;
    /// let taken = Mallocator::builder().at(arena.base().addr().get()).build();
    /// assert!(matches!(taken, Err(Error::AddressInUse { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub const fn at(mut self, address: usize) -> Self {
        self.options.placement = Placement::At(address);
        self
    }

    /// Reserve where every byte lies within `max_distance` bytes of `ptr`: `i32::MAX` for what a 32-bit relative call
    /// is to reach. Only the address of `ptr` counts.
    ///
    /// Windows finds a place by itself (`VirtualAlloc2` with address requirements, since version 1803 of Windows 10). Elsewhere
    /// up to 131,072 places are tried, in steps from 256 MiB down to pages (64 KiB on Windows); fewer where the system
    /// refuses one after the other for another reason than that it is taken. Stay away from the stack: memory reserved in the
    /// range that it grows into ends its growth. What Linux keeps free right below it, 1 MiB, stays so.
    /// refuses one after the other for another reason than that it is taken. Stay away from the stack: memory reserved in the
    /// range that it grows into ends its growth. What Linux keeps free right below it, 1 MiB, stays so.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let callee = i32::abs as fn(i32) -> i32 as *const ();
    /// let arena = Mallocator::builder().size(1 << 20).near(callee, i32::MAX as usize).build()?;
    /// assert!(arena.base().addr().get().abs_diff(callee.addr()) <= i32::MAX as usize);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn near<T: ?Sized>(mut self, ptr: *const T, max_distance: usize) -> Self {
        self.options.placement = Placement::Near { address: ptr.addr(), distance: max_distance };
        self
    }

    /// Whether the memory is to be on huge pages. The default is [`HugePages::Transparent`]: what lies behind the first
    /// 128 KiB is, where the system has them to give.
    ///
    /// ```
    /// use mallocator::{Error, HugePages, Mallocator};
    ///
    /// let small = Mallocator::builder().size(1 << 30).huge_pages(HugePages::Never).build()?;
    /// match Mallocator::builder().size(4 << 20).huge_pages(HugePages::Required).build() {
    ///     Ok(arena) => assert_eq!(arena.committed(), arena.size()),
    ///     Err(Error::Os(refusal)) => println!("{refusal}"), // says which setting or privilege is missing
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub const fn huge_pages(mut self, huge_pages: HugePages) -> Self {
        self.options.huge_pages = huge_pages;
        self
    }

    /// Whether the range may be one that an earlier arena of this thread left, and may be left for a later one. The
    /// default is `true`: making and dropping an arena then costs nanoseconds, and not the microseconds that the system
    /// takes for a range.
    ///
    /// A thread keeps one range, of the arena that was dropped last, and for an arena of the same size: address space, and up
    /// to 1 MiB of memory. On Linux the system may count a huge page of 2 MiB more until it takes it back (`LazyFree` in
    /// `/proc/self/smaps`). One with any other option than its size, or that [`protect`](Mallocator::protect) was called
    /// on, is never kept; nor is it when it ends by [`free`](Mallocator::free). The end of the thread releases it.
    ///
    /// Memory of a range that was used before holds what was left there, and
    /// [`alloc_zeroed_bytes`](Mallocator::alloc_zeroed_bytes) knows that. Where the gaps that alignment leaves must be
    /// zero, as in an image that is written to a file, say `false`.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let first = Mallocator::with_size(1 << 20)?;
    /// let place = first.base();
    /// drop(first);
    /// let second = Mallocator::with_size(1 << 20)?; // nothing is asked of the system
    /// assert_eq!(second.base(), place);
    ///
    /// let fresh = Mallocator::builder().size(1 << 20).reuse(false).build()?;
    /// assert_ne!(fresh.base(), place);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn reuse(mut self, reuse: bool) -> Self {
        self.options.reuse = reuse;
        self
    }

    /// Whether inaccessible pages lie right before the range, as one always does right behind it, so that running off either
    /// end is a fault. The default is `false`. It takes address space, one [`allocation_granularity`], and no memory.
    ///
    /// Not with [`HugePages::Required`] on Windows, where nothing can be reserved around large pages.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::builder().size(1 << 20).guard_pages(true).build()?;
    /// assert!(arena.report().guard_pages());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn guard_pages(mut self, guard_pages: bool) -> Self {
        self.options.guard_pages = guard_pages;
        self
    }

    /// Whether memory is locked as it is committed, so that it never goes to swap space. The default is `false`.
    ///
    /// Such an arena commits 64 KiB at a time, or an eighth of what it has, and all of that is in memory at once. A step that
    /// the system refuses to lock is not committed, and the call that needs it is [`Error::Os`].
    ///
    /// What a process may lock is limited: on Unix by `RLIMIT_MEMLOCK`
    /// (<https://man7.org/linux/man-pages/man2/mlock.2.html>), often 8 MiB; on Windows by its working set, of which the least
    /// is some 200 KiB before `SetProcessWorkingSetSize`
    /// (<https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtuallock>). Pages that allow no access cannot
    /// be locked. A forked process has the memory, and not the lock.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// match Mallocator::builder().size(1 << 20).lock(true).build() {
    ///     Ok(secrets) => assert!(secrets.report().locked()),
    ///     Err(Error::Os(refusal)) => println!("{refusal}"), // says which limit
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub const fn lock(mut self, lock: bool) -> Self {
        self.options.lock = lock;
        self
    }

    /// Whether the memory stays out of what is written when the process crashes. The default is `false`.
    ///
    /// Linux alone: `madvise(MADV_DONTDUMP)`. Elsewhere [`build`](Self::build) is [`Error::Unsupported`]. A debugger, or
    /// whoever may read the memory of the process, still sees it.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// match Mallocator::builder().exclude_from_dumps(true).build() {
    ///     Ok(secrets) => assert!(secrets.report().excluded_from_dumps()),
    ///     Err(Error::Unsupported { option }) => println!("not on this system: {option}"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub const fn exclude_from_dumps(mut self, exclude: bool) -> Self {
        self.options.exclude_from_dumps = exclude;
        self
    }

    /// What a process made by `fork` has of the memory. The default is [`OnFork::Copy`], as for all memory. The others are
    /// Linux's alone: elsewhere [`build`](Self::build) is [`Error::Unsupported`].
    ///
    /// ```
    /// use mallocator::{Error, Mallocator, OnFork};
    ///
    /// match Mallocator::builder().on_fork(OnFork::Omit).build() {
    ///     Ok(secrets) => assert_eq!(secrets.report().on_fork(), OnFork::Omit),
    ///     Err(Error::Unsupported { option }) => println!("not on this system: {option}"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub const fn on_fork(mut self, on_fork: OnFork) -> Self {
        self.options.on_fork = on_fork;
        self
    }

    /// Whether bytes become zero when they are taken back: by [`reset`](Mallocator::reset), [`rewind`](Mallocator::rewind),
    /// the end of a scope, a collection that gives its block back, a drop, [`free`](Mallocator::free). The default is
    /// `false`. No optimiser removes it. It takes time, for each byte taken back.
    ///
    /// What a collection outgrew is taken back with the rest of the arena and not before, and what a scope holds below something
    /// that an outer arena took, or tried to take, with that outer arena's. An arena that is forgotten
    /// (`mem::forget`), or that is there when the process exits, takes nothing back. Pages that cannot be written are made
    /// writable for the moment; should the system refuse that, the bytes stay, and
    /// [`Report::refused`](crate::Report::refused) tells.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let secrets = Mallocator::builder().zero_on_release(true).build()?;
    /// let key = secrets.scope(|scratch| scratch.alloc(*b"secret").as_ptr());
    /// // SAFETY: the memory is committed, and nobody uses it.
    /// assert_eq!(unsafe { key.read() }, 0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn zero_on_release(mut self, zero: bool) -> Self {
        self.options.zero_on_release = zero;
        self
    }

    /// Whether bytes become 0xDD when they are taken back while the arena lives, so that a use after that is seen. The default
    /// is `true` where the library is built with debug assertions, else `false`.
    ///
    /// At most 16 MiB are filled at a time, and of more than 64 KiB nothing that is still zero, so that memory that was never
    /// used is not used for this. [`zero_on_release`](Self::zero_on_release) goes before it.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::builder().debug_fill(true).build()?;
    /// let stale = arena.scope(|scratch| std::ptr::from_ref(scratch.alloc(42_u8)));
    /// // SAFETY: the memory is committed, and nobody uses it.
    /// assert_eq!(unsafe { stale.read() }, 0xdd);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn debug_fill(mut self, fill: bool) -> Self {
        self.options.debug_fill = fill;
        self
    }

    /// A name for people: it is in the [`Report`](crate::Report) and in the `Debug` output.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::builder().name("syntax trees").build()?;
    /// assert!(arena.report().to_string().contains("syntax trees"));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn name(mut self, name: &str) -> Self {
        self.options.name = Name::new(name);
        self
    }

    /// Reserves, and commits the first step (64 KiB on Windows; elsewhere, where that costs nothing, 128 KiB to 1 MiB; no more
    /// than there is), so that a protection that the system does not allow is refused here and not at a later allocation.
    ///
    /// # Errors
    /// - [`Error::InvalidSize`]: 0, or more than any object may have.
    /// - [`Error::InvalidProtection`], [`Error::Unsupported`]: no such protection, or no such option on this platform.
    /// - [`Error::InvalidAddress`], [`Error::AddressInUse`], [`Error::OutOfReach`]: from [`at`](Self::at) and
    ///   [`near`](Self::near).
    /// - [`Error::Os`]: the system refused; [`Error::Heap`]: the heap refused some hundred bytes for bookkeeping.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::builder().size(100).build()?;
    /// assert_eq!(arena.size(), mallocator::page_size());
    /// assert!(matches!(Mallocator::builder().size(0).build(), Err(Error::InvalidSize { size: 0 })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn build(&self) -> Result<Mallocator, Error> {
        let plain = self.options.are_plain();
        let kept = plain.then(|| Mallocator::kept(self.options.size, self.options.size)).flatten();
        kept.map_or_else(|| fresh(&self.options), Ok)
    }

    /// The same for an arena that threads share. Its range is never kept for another.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let shared = Mallocator::builder().size(1 << 30).build_sync()?;
    /// let answer = std::thread::scope(|threads| threads.spawn(|| shared.batch(4096).alloc(42)).join().unwrap());
    /// assert_eq!(answer, &42);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn build_sync(&self) -> Result<SyncMallocator, Error> {
        SyncMallocator::over(reserve(&self.options)?)
    }
}

/// An arena on a range that the system has just given.
#[cold]
fn fresh(options: &Options) -> Result<Mallocator, Error> {
    fresh_for(options, options.size)
}

/// The same, where `asked` is what the caller would rather have.
fn fresh_for(options: &Options, asked: usize) -> Result<Mallocator, Error> {
    let mut reservation = reserve(options)?;
    reservation.set_asked(asked);
    Mallocator::over(reservation)
}

impl Mallocator {
    /// Reserves [`PAGE_GRANULARITY`] bytes, 64 KiB, readable and writable: the default of the original.
    ///
    /// # Errors
    /// [`Error::Os`] when the system refuses.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::new()?;
    /// assert_eq!(arena.size(), 64 * 1024);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn new() -> Result<Self, Error> {
        Self::with_size(PAGE_GRANULARITY)
    }

    /// Reserves `bytes` bytes, rounded up to pages, readable and writable. Memory is committed as the arena fills, so
    /// a generous size costs nothing.
    ///
    /// # Errors
    /// [`Error::InvalidSize`] for 0 or more than any object may have, [`Error::Os`] when the system refuses.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::with_size(1 << 30)?;
    /// assert_eq!(arena.available(), 1 << 30);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn with_size(bytes: usize) -> Result<Self, Error> {
        Self::kept(bytes, bytes).map_or_else(|| fresh(&Options::new(bytes)), Ok)
    }

    /// Reserves 64 GiB, or as much as the system grants of it by halving: an arena that grows as if for ever. An interpreter
    /// that has no virtual memory is asked for 64 MiB.
    ///
    /// # Panics
    /// When the system does not even grant 64 KiB. [`try_growing`](Self::try_growing) returns the error instead.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::growing();
    /// let number = arena.alloc(42);
    /// *number += 1;
    /// assert_eq!(*number, 43);
    /// ```
    #[inline]
    #[track_caller]
    pub fn growing() -> Self {
        unwrap_or_panic(Self::try_growing())
    }

    /// [`growing`](Self::growing) that returns the error.
    ///
    /// # Errors
    /// [`Error::Os`] when the system does not even grant 64 KiB.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::try_growing()?;
    /// assert!(arena.size() >= 64 * 1024);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_growing() -> Result<Self, Error> {
        Self::kept(GROWING, PAGE_GRANULARITY).map_or_else(fresh_growing, Ok)
    }

    /// Every option there is. Nothing is reserved before [`build`](Builder::build).
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let arena = Mallocator::builder().size(1 << 20).protection(Protection::READ_WRITE).build()?;
    /// assert_eq!(arena.size(), 1 << 20);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn builder() -> Builder {
        Builder { options: Options::new(PAGE_GRANULARITY) }
    }
}

/// A range that the system has just given.
fn reserve(options: &Options) -> Result<Reservation, Error> {
    let outcome = Reservation::reserve(options.clone());
    // What the thread keeps may be in the way of a limit, or in the place that is wanted.
    let in_the_way =
        matches!(outcome, Err(Error::Os(_) | Error::AddressInUse { .. } | Error::OutOfReach { .. }));
    if in_the_way && release_kept() { Reservation::reserve(options.clone()) } else { outcome }
}

#[cold]
fn fresh_growing() -> Result<Mallocator, Error> {
    let mut bytes = GROWING;
    loop {
        match fresh_for(&Options::new(bytes), GROWING) {
            Err(Error::Os(_)) if bytes > PAGE_GRANULARITY => bytes /= 2,
            outcome => return outcome,
        }
    }
}
