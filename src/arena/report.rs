//! What an arena was granted, and how it stands: for people, and for tests.

use core::fmt;

use crate::arena::Mallocator;
use crate::arena::backing::Kind;
use crate::error::OsError;
use crate::os;
use crate::protection::Protection;
use crate::vm::{HugePages, OnFork, Options, Placement, Reservation};

/// What each option of the [`Builder`](crate::Builder) was granted, and the sizes at the moment of
/// [`Mallocator::report`]. To be printed.
///
/// ```
/// use mallocator::Mallocator;
///
/// let arena = Mallocator::builder().size(1 << 20).name("frames").build()?;
/// arena.alloc_str("hello");
/// let report = arena.report();
/// assert_eq!((report.size(), report.used()), (1 << 20, 5));
/// println!("{report}");
/// # Ok::<(), mallocator::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    options: Options,
    memory: Memory,
    base: usize,
    size: usize,
    committed: usize,
    used: usize,
    protection: Protection,
    huge_from: Option<usize>,
    huge_asked: Option<Result<(), OsError>>,
    on_huge_pages: Option<usize>,
    refused: Option<OsError>,
}

/// Whose memory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    Own,
    Share { block: usize },
    Lent,
}

impl Report {
    /// Whether the memory is a reservation of the arena's own. It is not where the arena is a thread's
    /// [share](crate::SyncMallocator::local), or its memory was [lent](Mallocator::from_slice).
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let shared = Mallocator::builder().size(1 << 20).build_sync()?;
    /// assert!(Mallocator::new()?.report().is_its_own() && !shared.local().report().is_its_own());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn is_its_own(&self) -> bool {
        matches!(self.memory, Memory::Own)
    }

    /// The name given to the builder.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::builder().size(1 << 20).name("frames").build()?;
    /// arena.alloc(1_u64);
    /// assert_eq!(arena.report().name(), Some("frames"));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.options.name.get()
    }

    /// The address of the reservation.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::builder().size(1 << 20).name("frames").build()?;
    /// arena.alloc(1_u64);
    /// assert_eq!(arena.report().base(), arena.base().addr().get());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn base(&self) -> usize {
        self.base
    }

    /// Bytes reserved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::builder().size(1 << 20).name("frames").build()?;
    /// arena.alloc(1_u64);
    /// assert_eq!(arena.report().size(), 1 << 20);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Bytes backed by the system.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::builder().size(1 << 20).name("frames").build()?;
    /// arena.alloc(1_u64);
    /// assert_eq!(arena.report().committed(), arena.committed());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn committed(&self) -> usize {
        self.committed
    }

    /// Bytes handed out, with what aligning them took.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::builder().size(1 << 20).name("frames").build()?;
    /// arena.alloc(1_u64);
    /// assert_eq!(arena.report().used(), 8);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn used(&self) -> usize {
        self.used
    }

    /// What the pages may be used for.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::builder().size(1 << 20).name("frames").build()?;
    /// arena.alloc(1_u64);
    /// assert!(arena.report().protection().is_writable());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn protection(&self) -> Protection {
        self.protection
    }

    /// What was asked of the builder about huge pages. What came of it is in the three methods below.
    ///
    /// ```
    /// use mallocator::{HugePages, Mallocator};
    ///
    /// assert_eq!(Mallocator::new()?.report().huge_pages(), HugePages::Transparent);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn huge_pages(&self) -> HugePages {
        self.options.huge_pages
    }

    /// The offset in bytes behind which memory is, or will be, on huge pages; `None` where none are wanted, the system takes
    /// no advice, or the range has no room for one behind its small part.
    ///
    /// ```
    /// use mallocator::{HugePages, Mallocator};
    ///
    /// let never = Mallocator::builder().size(1 << 30).huge_pages(HugePages::Never).build()?;
    /// assert_eq!(never.report().huge_from(), None);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn huge_from(&self) -> Option<usize> {
        self.huge_from
    }

    /// What the system said when it was asked for huge pages: `None` when it was not asked yet, or is not to be. An error
    /// means that the arena goes on with small pages.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::with_size(1 << 30)?;
    /// arena.alloc(1);
    /// assert_eq!(arena.report().huge_asked(), None); // in its small part
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn huge_asked(&self) -> Option<Result<(), OsError>> {
        self.huge_asked
    }

    /// Bytes that are on huge pages at this moment, if the system says: Linux does, in `/proc/self/smaps`. What it has taken
    /// the advice for it may still put on small pages, for want of memory in one piece, or where the administrator has
    /// switched huge pages off.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::with_size(1 << 30)?;
    /// arena.alloc_bytes(&[1; 10_000_000]);
    /// println!("{:?} bytes are on huge pages", arena.report().on_huge_pages());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn on_huge_pages(&self) -> Option<usize> {
        self.on_huge_pages
    }

    /// Whether there are inaccessible pages before the range too.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::builder().guard_pages(true).build()?;
    /// assert!(arena.report().guard_pages());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn guard_pages(&self) -> bool {
        self.options.guard_pages
    }

    /// Whether what is committed is locked in memory.
    ///
    /// ```
    /// assert!(!mallocator::Mallocator::new()?.report().locked());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn locked(&self) -> bool {
        self.options.lock
    }

    /// Whether the memory stays out of core dumps.
    ///
    /// ```
    /// assert!(!mallocator::Mallocator::new()?.report().excluded_from_dumps());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn excluded_from_dumps(&self) -> bool {
        self.options.exclude_from_dumps
    }

    /// What a forked process has of the memory.
    ///
    /// ```
    /// use mallocator::{Mallocator, OnFork};
    ///
    /// assert_eq!(Mallocator::new()?.report().on_fork(), OnFork::Copy);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn on_fork(&self) -> OnFork {
        self.options.on_fork
    }

    /// Whether bytes become zero when they are taken back.
    ///
    /// ```
    /// let secrets = mallocator::Mallocator::builder().zero_on_release(true).build()?;
    /// assert!(secrets.report().zero_on_release());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn zero_on_release(&self) -> bool {
        self.options.zero_on_release
    }

    /// Whether bytes become 0xDD when they are taken back.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::builder().debug_fill(true).build()?;
    /// assert!(arena.report().debug_fill());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn debug_fill(&self) -> bool {
        self.options.debug_fill
    }

    /// The last refusal by the system of what an option promises and no call could return: bytes that were taken back are not
    /// zero, or pages that could not be given back are no longer locked. `None` is what to expect.
    ///
    /// ```
    /// let secrets = mallocator::Mallocator::builder().zero_on_release(true).build()?;
    /// assert_eq!(secrets.report().refused(), None);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn refused(&self) -> Option<OsError> {
        self.refused
    }

    fn fmt_secrets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on_fork = match self.options.on_fork {
            OnFork::Copy => None,
            OnFork::Wipe => Some("zero in a forked process"),
            OnFork::Omit => Some("not there in a forked process"),
        };
        let granted = [
            self.options.lock.then_some("locked in memory"),
            self.options.exclude_from_dumps.then_some("not in core dumps"),
            on_fork,
            self.options.zero_on_release.then_some("zeroed when taken back"),
        ];
        let mut granted = granted.into_iter().flatten();
        if let Some(first) = granted.next() {
            write!(f, "secrets     {first}")?;
            granted.try_for_each(|next| write!(f, ", {next}"))?;
            writeln!(f)?;
        }
        match self.refused {
            Some(refusal) => writeln!(f, "refused     {refusal}"),
            None => Ok(()),
        }
    }

    fn fmt_huge_pages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "huge pages  ")?;
        match (self.options.huge_pages, self.huge_from) {
            (HugePages::Never, _) => write!(f, "never")?,
            (HugePages::Required, _) => write!(f, "all of it")?,
            (HugePages::Transparent, None) => write!(f, "none: too small a range, or not on this system")?,
            (HugePages::Transparent, Some(from)) => {
                write!(f, "behind the first {from} bytes, ")?;
                match self.huge_asked {
                    None => write!(f, "not asked for yet")?,
                    Some(Ok(())) => write!(f, "asked for")?,
                    Some(Err(refusal)) => write!(f, "refused: {refusal}")?,
                }
            }
        }
        match self.on_huge_pages {
            Some(bytes) => writeln!(f, "; {bytes} bytes are on them"),
            None => writeln!(f),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, size, committed, used, protection, .. } = *self;
        writeln!(f, "arena       {}", self.name().unwrap_or("(unnamed)"))?;
        write!(f, "place       {base:#x}..{:#x}", base + size)?;
        match self.options.placement {
            Placement::Anywhere => writeln!(f, ", chosen by the system")?,
            Placement::At(_) => writeln!(f, ", as asked for")?,
            Placement::Near { address, distance } => {
                let farthest = base.abs_diff(address).max((base + size).abs_diff(address));
                writeln!(f, ", all within {farthest} bytes of {address:#x} ({distance} allowed)")?;
            }
        }
        writeln!(f, "protection  {protection}")?;
        let page_behind = os::PAGE_BEHIND_HUGE || self.options.huge_pages != HugePages::Required;
        let around = match (self.options.guard_pages, page_behind) {
            (true, _) => ", with inaccessible pages before and behind them",
            (false, true) => ", with one inaccessible page behind them",
            (false, false) => "",
        };
        writeln!(f, "reserved    {size:>15} bytes{around}")?;
        writeln!(f, "committed   {committed:>15} bytes")?;
        writeln!(f, "used        {used:>15} bytes")?;
        self.fmt_huge_pages(f)?;
        self.fmt_secrets(f)?;
        write!(f, "units       pages of {} bytes, ", os::page_size())?;
        write!(f, "reservations at multiples of {}", os::granularity())
    }
}

impl Mallocator {
    /// How the arena stands.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.report().base(), arena.base().addr().get());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn report(&self) -> Report {
        let backing = self.backing();
        let range = backing.reservation();
        Report {
            options: backing.options(),
            memory: match backing.kind() {
                Kind::Own(_) => Memory::Own,
                Kind::Share(share) => Memory::Share { block: share.block() },
                Kind::Lent(_) => Memory::Lent,
            },
            base: self.base().addr().get(),
            size: self.size(),
            committed: self.committed(),
            used: self.used(),
            protection: self.protection(),
            huge_from: range.and_then(Reservation::huge_from),
            huge_asked: range.and_then(Reservation::advised),
            on_huge_pages: range.and_then(Reservation::on_huge_pages),
            refused: range.and_then(Reservation::refused),
        }
    }
}
