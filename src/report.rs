//! What an arena was granted, and how it stands: for people, and for tests.

use std::fmt;

use crate::builder::{allocation_granularity, page_size};
use crate::mallocator::Mallocator;
use crate::protection::Protection;
use crate::vm::Placement;

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
    name: Option<Box<str>>,
    base: usize,
    size: usize,
    committed: usize,
    used: usize,
    protection: Protection,
    placement: Placement,
}

impl Report {
    /// The name given to the builder.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::builder().size(1 << 20).name("frames").build()?;
    /// arena.alloc(1_u64);
    /// assert_eq!(arena.report().name(), Some("frames"));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
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
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, size, committed, used, protection, .. } = *self;
        writeln!(f, "arena       {}", self.name().unwrap_or("(unnamed)"))?;
        write!(f, "place       {base:#x}..{:#x}", base + size)?;
        match self.placement {
            Placement::Anywhere => writeln!(f, ", chosen by the system")?,
            Placement::At(_) => writeln!(f, ", as asked for")?,
            Placement::Near { address, distance } => {
                let farthest = base.abs_diff(address).max((base + size).abs_diff(address));
                writeln!(f, ", all within {farthest} bytes of {address:#x} ({distance} allowed)")?;
            }
        }
        writeln!(f, "protection  {protection}")?;
        writeln!(f, "reserved    {size:>15} bytes, with one inaccessible page behind them")?;
        writeln!(f, "committed   {committed:>15} bytes")?;
        writeln!(f, "used        {used:>15} bytes")?;
        write!(f, "units       pages of {} bytes, ", page_size())?;
        write!(f, "reservations at multiples of {}", allocation_granularity())
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
        Report {
            name: self.name().map(Into::into),
            base: self.base().addr().get(),
            size: self.size(),
            committed: self.committed(),
            used: self.used(),
            protection: self.protection(),
            placement: self.placement(),
        }
    }
}
