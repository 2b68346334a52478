//! What the pages of a reservation may be used for, and how Windows spells it.

use std::fmt;

use bitflags::bitflags;

bitflags! {
    /// What the pages of a reservation may be used for.
    ///
    /// The first six are plain; platforms that lack one say so at [`build`](crate::Builder::build). The modifiers
    /// [`GUARD`](Self::GUARD), [`NO_CACHE`](Self::NO_CACHE), [`WRITE_COMBINE`](Self::WRITE_COMBINE) and
    /// [`TARGETS_INVALID`](Self::TARGETS_INVALID) are added to one of them with `|`; they exist on Windows alone, and
    /// elsewhere a build that asks for one is [`Error::Unsupported`](crate::Error::Unsupported). The bits are this crate's own:
    /// see [`to_win32`](Self::to_win32) for the numbers of the Windows API.
    ///
    /// ```
    /// use mallocator::Protection;
    ///
    /// let protection = Protection::READ_WRITE | Protection::GUARD;
    /// assert!(!protection.is_writable()); // the first access to a guard page is a fault
    /// assert_eq!(protection.to_string(), "READ_WRITE | GUARD");
    /// assert_eq!(protection.to_win32()?, 0x104); // PAGE_READWRITE | PAGE_GUARD
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    ///
    #[doc = include_str!("../docs/protections.md")]
    #[derive(Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Protection: u8 {
        /// Read, write and execute: `PAGE_EXECUTE_READWRITE`.
        ///
        /// Memory that is writable and executable at once turns a stray write into running code. Write with
        /// [`READ_WRITE`](Self::READ_WRITE) and change to [`READ_EXECUTE`](Self::READ_EXECUTE) instead, where you can.
        /// macOS on Apple silicon refuses it.
        const READ_WRITE_EXECUTE = 0b111;
        /// Read and write: `PAGE_READWRITE`. The default.
        const READ_WRITE = 0b011;
        /// Read and execute: `PAGE_EXECUTE_READ`.
        const READ_EXECUTE = 0b101;
        /// Read: `PAGE_READONLY`.
        const READ = 0b001;
        /// Execute: `PAGE_EXECUTE`. Most processors let such pages be read as well.
        const EXECUTE = 0b100;
        /// No access at all: `PAGE_NOACCESS`. Every touch is a fault.
        const NO_ACCESS = 0;

        /// The first access to a page is a fault, and takes the modifier off: `PAGE_GUARD`. Windows alone; not with
        /// [`NO_ACCESS`](Self::NO_ACCESS), [`NO_CACHE`](Self::NO_CACHE) or [`WRITE_COMBINE`](Self::WRITE_COMBINE).
        const GUARD = 1 << 3;
        /// Not cached by the processor: `PAGE_NOCACHE`. Windows alone; not with [`NO_ACCESS`](Self::NO_ACCESS),
        /// [`GUARD`](Self::GUARD) or [`WRITE_COMBINE`](Self::WRITE_COMBINE).
        const NO_CACHE = 1 << 4;
        /// Writes are combined on their way to memory: `PAGE_WRITECOMBINE`. Windows alone; not with
        /// [`NO_ACCESS`](Self::NO_ACCESS), [`GUARD`](Self::GUARD) or [`NO_CACHE`](Self::NO_CACHE).
        const WRITE_COMBINE = 1 << 5;
        /// No location in the pages is a valid target of an indirect call under Control Flow Guard:
        /// `PAGE_TARGETS_INVALID`. Windows alone; with an executable protection.
        const TARGETS_INVALID = 1 << 6;
        /// The same bit as [`TARGETS_INVALID`](Self::TARGETS_INVALID), as it is in the Windows API
        /// (`PAGE_TARGETS_NO_UPDATE`, 0x40000000): when a protection is *changed*, it leaves the valid targets as they are.
        const TARGETS_NO_UPDATE = 1 << 6;
    }
}

/// The Win32 spelling of the six plain protections.
const PLAIN: [(Protection, u32); 6] = [
    (Protection::NO_ACCESS, 0x01),
    (Protection::READ, 0x02),
    (Protection::READ_WRITE, 0x04),
    (Protection::EXECUTE, 0x10),
    (Protection::READ_EXECUTE, 0x20),
    (Protection::READ_WRITE_EXECUTE, 0x40),
];

/// The Win32 spelling of the modifiers.
const MODIFIERS: [(Protection, u32); 4] = [
    (Protection::GUARD, 0x100),
    (Protection::NO_CACHE, 0x200),
    (Protection::WRITE_COMBINE, 0x400),
    (Protection::TARGETS_INVALID, 0x4000_0000),
];

const PAGE_WRITECOPY: u32 = 0x08;
const PAGE_EXECUTE_WRITECOPY: u32 = 0x80;

impl Protection {
    /// The bits of the plain protections.
    const ACCESS: Self = Self::READ_WRITE_EXECUTE;
    /// The modifiers that take ordinary stores away: a guard page faults once, and on the others atomics
    /// fault or stores are reordered.
    const NOT_ORDINARY: Self = Self::GUARD.union(Self::NO_CACHE).union(Self::WRITE_COMBINE);
    /// The bit of writing, which is no protection by itself.
    pub(crate) const WRITE_ALONE: Self = Self::READ_WRITE.difference(Self::READ);

    /// Whether ordinary stores work: the pages can be written, and none of [`GUARD`](Self::GUARD),
    /// [`NO_CACHE`](Self::NO_CACHE) and [`WRITE_COMBINE`](Self::WRITE_COMBINE) is set.
    ///
    /// Only such a region can be written through the safe methods of [`Mallocator`](crate::Mallocator); on any
    /// other they are [`Error::NotWritable`](crate::Error::NotWritable).
    ///
    /// ```
    /// use mallocator::Protection;
    ///
    /// assert!(Protection::READ_WRITE.is_writable());
    /// assert!(!Protection::READ_EXECUTE.is_writable());
    /// assert!(!(Protection::READ_WRITE | Protection::NO_CACHE).is_writable());
    /// ```
    pub const fn is_writable(self) -> bool {
        self.intersects(Self::WRITE_ALONE) && !self.intersects(Self::NOT_ORDINARY)
    }

    /// Whether ordinary loads work: the pages can be read and [`GUARD`](Self::GUARD) is not set.
    ///
    /// ```
    /// use mallocator::Protection;
    ///
    /// assert!(Protection::READ.is_readable());
    /// assert!(!Protection::NO_ACCESS.is_readable());
    /// ```
    pub const fn is_readable(self) -> bool {
        self.contains(Self::READ) && !self.intersects(Self::GUARD)
    }

    /// Whether the pages may be executed.
    ///
    /// ```
    /// use mallocator::Protection;
    ///
    /// assert!(Protection::READ_EXECUTE.is_executable());
    /// assert!(!Protection::READ_WRITE.is_executable());
    /// ```
    pub const fn is_executable(self) -> bool {
        self.contains(Self::EXECUTE)
    }

    /// The number that the Windows API has for this protection, on every platform: the
    /// [memory protection constants](https://learn.microsoft.com/windows/win32/memory/memory-protection-constants).
    ///
    /// # Errors
    /// A [`ProtectionError`] where Windows has no such combination; as an [`Error`](crate::Error) it is
    /// [`InvalidProtection`](crate::Error::InvalidProtection).
    ///
    /// ```
    /// use mallocator::Protection;
    ///
    /// assert_eq!(Protection::READ_EXECUTE.to_win32()?, 0x20); // PAGE_EXECUTE_READ
    /// assert!((Protection::NO_ACCESS | Protection::GUARD).to_win32().is_err());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn to_win32(self) -> Result<u32, ProtectionError> {
        let bits = self.bits() & !Self::all().bits();
        if bits != 0 {
            return Err(ProtectionError::UnknownBits { bits });
        }
        let access = self & Self::ACCESS;
        let Some(&(_, page)) = PLAIN.iter().find(|(plain, _)| *plain == access) else {
            return Err(ProtectionError::WriteWithoutRead);
        };
        if let Some(clash) = self.clash() {
            return Err(clash);
        }
        let set = MODIFIERS.iter().filter(|(modifier, _)| self.contains(*modifier));
        Ok(set.fold(page, |number, (_, bit)| number | bit))
    }

    /// Reads a number of the Windows API, on every platform.
    ///
    /// # Errors
    /// A [`ProtectionError`] when `page` is no protection that `VirtualAlloc` takes. `PAGE_WRITECOPY` and
    /// `PAGE_EXECUTE_WRITECOPY` are among those: they are for mapped files.
    ///
    /// ```
    /// use mallocator::Protection;
    ///
    /// assert_eq!(Protection::from_win32(0x04)?, Protection::READ_WRITE);
    /// let refused = Protection::from_win32(0x08).unwrap_err();
    /// assert!(refused.to_string().contains("PAGE_WRITECOPY"));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn from_win32(page: u32) -> Result<Self, ProtectionError> {
        let modifier_bits = MODIFIERS.iter().fold(0, |bits, (_, bit)| bits | bit);
        let plain = page & !modifier_bits;
        let Some(&(access, _)) = PLAIN.iter().find(|(_, number)| *number == plain) else {
            return Err(match plain {
                PAGE_WRITECOPY => ProtectionError::WriteCopy,
                PAGE_EXECUTE_WRITECOPY => ProtectionError::ExecuteWriteCopy,
                _ => ProtectionError::Unknown { page },
            });
        };
        let set = MODIFIERS.iter().filter(|(_, bit)| page & bit != 0);
        let protection = set.fold(access, |protection, (modifier, _)| protection | *modifier);
        protection.clash().map_or(Ok(protection), Err)
    }

    /// The rule of the Windows API that this combination of modifiers breaks.
    fn clash(self) -> Option<ProtectionError> {
        let special = self & Self::NOT_ORDINARY;
        if special.bits().count_ones() > 1 {
            Some(ProtectionError::ModifiersExclude { protection: self })
        } else if !special.is_empty() && !self.intersects(Self::ACCESS) {
            Some(ProtectionError::ModifierNeedsAccess { protection: self })
        } else if self.contains(Self::TARGETS_INVALID) && !self.is_executable() {
            Some(ProtectionError::TargetsNeedExecute { protection: self })
        } else {
            None
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.intersects(Self::ACCESS) {
            f.write_str("NO_ACCESS")?;
            if !self.is_empty() {
                f.write_str(" | ")?;
            }
        }
        bitflags::parser::to_writer(self, f)
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a number or a combination of flags is not a protection.
///
/// ```
/// use mallocator::{Protection, ProtectionError};
///
/// assert_eq!(Protection::from_win32(0x08), Err(ProtectionError::WriteCopy));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtectionError {
    /// Pages that can be written but not read exist on no platform.
    WriteWithoutRead,
    /// [`GUARD`](Protection::GUARD), [`NO_CACHE`](Protection::NO_CACHE) and [`WRITE_COMBINE`](Protection::WRITE_COMBINE)
    /// exclude one another.
    ModifiersExclude {
        /// What was asked for.
        protection: Protection,
    },
    /// [`GUARD`](Protection::GUARD), [`NO_CACHE`](Protection::NO_CACHE) and [`WRITE_COMBINE`](Protection::WRITE_COMBINE)
    /// cannot modify [`NO_ACCESS`](Protection::NO_ACCESS).
    ModifierNeedsAccess {
        /// What was asked for.
        protection: Protection,
    },
    /// [`TARGETS_INVALID`](Protection::TARGETS_INVALID) modifies executable pages only.
    TargetsNeedExecute {
        /// What was asked for.
        protection: Protection,
    },
    /// `PAGE_WRITECOPY` (0x08) is for views of files.
    WriteCopy,
    /// `PAGE_EXECUTE_WRITECOPY` (0x80) is for views of files.
    ExecuteWriteCopy,
    /// A [`Protection`] made of raw bits has some that mean nothing.
    UnknownBits {
        /// Those bits.
        bits: u8,
    },
    /// The number is none of the Windows API's.
    Unknown {
        /// The number given.
        page: u32,
    },
}

impl fmt::Display for ProtectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const VIEWS_ONLY: &str = "is for views of files: VirtualAlloc does not take it; use READ_WRITE";
        match self {
            Self::WriteWithoutRead => {
                f.write_str("pages that can be written but not read exist on no platform: use READ_WRITE")
            }
            Self::ModifiersExclude { protection } => {
                write!(f, "{protection}: of GUARD, NO_CACHE and WRITE_COMBINE only one can be set")
            }
            Self::ModifierNeedsAccess { protection } => {
                write!(
                    f,
                    "{protection}: GUARD, NO_CACHE and WRITE_COMBINE need READ, WRITE or EXECUTE beside them"
                )
            }
            Self::TargetsNeedExecute { protection } => {
                write!(f, "{protection}: TARGETS_INVALID needs EXECUTE beside it")
            }
            Self::WriteCopy => write!(f, "PAGE_WRITECOPY (0x08) {VIEWS_ONLY}"),
            Self::ExecuteWriteCopy => write!(f, "PAGE_EXECUTE_WRITECOPY (0x80) {VIEWS_ONLY}"),
            Self::UnknownBits { bits } => write!(f, "the bits {bits:#x} of a Protection mean nothing"),
            Self::Unknown { page } => {
                write!(f, "{page:#x} is no protection that VirtualAlloc takes: ")?;
                f.write_str(
                    "one of 0x01, 0x02, 0x04, 0x10, 0x20, 0x40, with 0x100, 0x200, 0x400 or 0x40000000",
                )
            }
        }
    }
}

impl std::error::Error for ProtectionError {}
