//! What can be asked of a range.

use crate::error::Error;
use crate::protection::Protection;
use crate::vm::clean::Clean;

/// Where a reservation is to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    Anywhere,
    At(usize),
    /// Every byte within `distance` of `address`.
    Near {
        address: usize,
        distance: usize,
    },
}

/// Whether an arena's memory is on huge pages, for [`Builder::huge_pages`](crate::Builder::huge_pages).
///
/// A huge page is 2 MiB where pages are 4 KiB. Memory on huge pages is faster to get, by three times and more when it is
/// touched first, and faster to use, as the processor finds it with less looking up; it is had 2 MiB at a time.
///
/// ```
/// use mallocator::{HugePages, Mallocator};
///
/// let arena = Mallocator::builder().size(1 << 30).huge_pages(HugePages::Never).build()?;
/// assert_eq!(arena.report().huge_pages(), HugePages::Never);
/// assert_eq!(Mallocator::new()?.report().huge_pages(), HugePages::Transparent);
/// # Ok::<(), mallocator::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HugePages {
    /// Small pages only, whatever the system's default: on Linux `madvise(MADV_NOHUGEPAGE)` at
    /// [`build`](crate::Builder::build).
    Never,
    /// The first 128 KiB on small pages, what lies behind on huge ones if the system has them to give: the default.
    ///
    /// On Linux the range is placed so that the boundary is one of huge pages, and `madvise(MADV_HUGEPAGE)` is called once,
    /// when the arena first grows past it. What came of it is in the [`Report`](crate::Report). Other systems are not
    /// asked; nor is Linux with pages larger than 4 KiB, where a huge page is 32 MiB or more.
    /// <https://docs.kernel.org/admin-guide/mm/transhuge.html>
    #[default]
    Transparent,
    /// All of it, and now: the size is rounded up to huge pages, and they are taken, committed and brought into memory by
    /// [`build`](crate::Builder::build), which fails when there are not enough. They are never given back before the arena
    /// is dropped, and [`protect`](crate::Mallocator::protect) rounds to them.
    ///
    /// Linux takes them from a pool that the administrator fills (`vm.nr_hugepages`;
    /// <https://docs.kernel.org/admin-guide/mm/hugetlbpage.html>). Windows wants the privilege `SeLockMemoryPrivilege`
    /// (<https://learn.microsoft.com/windows/win32/memory/large-page-support>), and there the page behind the range is not
    /// reserved. Elsewhere it is [`Error::Unsupported`].
    Required,
}

/// What a process made by `fork` has of an arena, for [`Builder::on_fork`](crate::Builder::on_fork).
///
/// `fork` itself is unsafe in Rust. In the new process an arena that is not [`Copy`](Self::Copy) may be dropped, and nothing
/// else may be done with it or with what was allocated in it: nor may a [`Rooted`](crate::Rooted) or a collection be dropped
/// whose contents have a drop of their own. However the new
/// process was made, and whatever its number, it is told from the old one by a page that the kernel wipes; where a kernel
/// (before 4.14) or an emulator has no such page, by the number alone.
///
/// ```
/// use mallocator::{Error, Mallocator, OnFork};
///
/// match Mallocator::builder().on_fork(OnFork::Wipe).build() {
///     Ok(secrets) => assert_eq!(secrets.report().on_fork(), OnFork::Wipe),
///     Err(Error::Unsupported { option }) => println!("not on this system: {option}"),
///     Err(error) => return Err(error),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnFork {
    /// A copy of it, as of everything else: the default.
    #[default]
    Copy,
    /// The range, with zeroes in it: Linux alone, `madvise(MADV_WIPEONFORK)`.
    /// <https://man7.org/linux/man-pages/man2/madvise.2.html>
    Wipe,
    /// Nothing: the addresses are free there. Linux alone, `madvise(MADV_DONTFORK)`. Dropping the arena there gives back
    /// nothing, as something else may live at its address.
    Omit,
}

/// A name for people, if there is one. Asking the heap for room for it can be refused; that is an error where it is to be used,
/// and where it is only told there is none then.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Nothing,
    Given(String),
    Refused { size: usize },
}

impl Name {
    pub(crate) fn new(name: &str) -> Self {
        let mut copy = String::new();
        match copy.try_reserve_exact(name.len()) {
            Ok(()) => {
                copy.push_str(name);
                Self::Given(copy)
            }
            Err(_) => Self::Refused { size: name.len() },
        }
    }

    pub(crate) fn get(&self) -> Option<&str> {
        match self {
            Self::Given(name) => Some(name),
            Self::Nothing | Self::Refused { .. } => None,
        }
    }

    /// Whether there was room for it.
    pub(crate) const fn granted(&self) -> Result<(), Error> {
        match *self {
            Self::Refused { size } => Err(Error::Heap { size }),
            Self::Nothing | Self::Given(_) => Ok(()),
        }
    }
}

impl Clone for Name {
    fn clone(&self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Given(name) => Self::new(name),
            Self::Refused { size } => Self::Refused { size: *size },
        }
    }
}

/// What to reserve, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question with two answers")]
pub(crate) struct Options {
    pub(crate) size: usize,
    pub(crate) protection: Protection,
    pub(crate) placement: Placement,
    pub(crate) huge_pages: HugePages,
    /// Whether the thread may keep the range for the next arena like it.
    pub(crate) reuse: bool,
    /// Whether inaccessible pages lie before the range, as they do behind it.
    pub(crate) guard_pages: bool,
    /// Whether what is committed never leaves memory for swap space.
    pub(crate) lock: bool,
    pub(crate) exclude_from_dumps: bool,
    pub(crate) on_fork: OnFork,
    /// Whether bytes that are taken back become zero.
    pub(crate) zero_on_release: bool,
    /// Whether bytes that are taken back become a pattern.
    pub(crate) debug_fill: bool,
    pub(crate) name: Name,
}

impl Options {
    pub(crate) const fn new(size: usize) -> Self {
        Self {
            size,
            protection: Protection::READ_WRITE,
            placement: Placement::Anywhere,
            huge_pages: HugePages::Transparent,
            reuse: true,
            guard_pages: false,
            lock: false,
            exclude_from_dumps: false,
            on_fork: OnFork::Copy,
            zero_on_release: false,
            debug_fill: Self::DEBUG_FILL,
            name: Name::Nothing,
        }
    }

    /// Whether nothing but the size was chosen, so that any range of the size will do.
    pub(crate) fn are_plain(&self) -> bool {
        *self == Self::new(self.size)
    }

    /// What is done about mistakes where nobody asked.
    pub(crate) const DEBUG_FILL: bool = cfg!(debug_assertions);

    /// What becomes of bytes that are taken back.
    pub(crate) const fn clean(&self) -> Clean {
        if self.zero_on_release {
            Clean::Zero
        } else if self.debug_fill {
            Clean::Fill
        } else {
            Clean::Not
        }
    }
}
