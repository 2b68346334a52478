//! What can go wrong: one variant a cause, each with the numbers a person needs to act.

use std::fmt;

pub use crate::os::OsError;
use crate::protection::Protection;
pub use crate::protection::ProtectionError;

/// Why a call was refused. Whatever the variant, nothing was handed out, no protection changed, and the cursor is where
/// it was, apart from what the caller's own closures and iterators allocated, and what had to be moved because of that or
/// of an open scope.
///
/// It owns no heap memory and is at most 24 bytes, so that returning it costs the fast path nothing.
///
/// ```
/// use mallocator::{Error, Mallocator};
///
/// let arena = Mallocator::new()?; // 64 KiB
/// let error = arena.try_alloc_slice_copy(&[0_u8; 100_000]).unwrap_err();
/// assert!(matches!(error, Error::Exhausted { size: 100_000, available: 65_536, .. }));
/// assert_eq!(arena.used(), 0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// What is left of the reservation is too small, its beginning aligned as asked.
    Exhausted {
        /// Bytes asked for.
        size: usize,
        /// Bytes left in the reservation.
        available: usize,
        /// The alignment asked for, in bytes, is 2 to this power.
        align_log2: u8,
    },
    /// The alignment is not a power of two.
    InvalidAlignment {
        /// The alignment asked for.
        align: usize,
    },
    /// A reservation of 0 bytes, or of more than any object may have.
    InvalidSize {
        /// Bytes asked for.
        size: usize,
    },
    /// A reservation cannot start at this address: it is 0, not a multiple of the granularity, or too high.
    InvalidAddress {
        /// The address asked for.
        address: usize,
        /// What it must be a multiple of, in bytes: [`allocation_granularity`](crate::allocation_granularity).
        granularity: usize,
    },
    /// Something else lives in the range that was to be reserved, or in the page behind it.
    AddressInUse {
        /// The address asked for.
        address: usize,
        /// Bytes asked for there.
        size: usize,
    },
    /// No free range was found that lies wholly within the distance asked for.
    OutOfReach {
        /// The address to be near to.
        address: usize,
        /// The distance asked for, in bytes.
        distance: usize,
    },
    /// The protection is no combination that exists.
    InvalidProtection(ProtectionError),
    /// This platform has no such thing.
    Unsupported {
        /// The name of the flag or option.
        option: &'static str,
    },
    /// The call would write, or hand out memory to be written, in a region that takes no ordinary stores.
    NotWritable {
        /// The protection of the region.
        protection: Protection,
    },
    /// A seal takes writing away, and this protection does not.
    SealWritable {
        /// The protection asked for.
        protection: Protection,
    },
    /// The pages cannot be read.
    NotReadable {
        /// Their protection.
        protection: Protection,
    },
    /// The pages may not be executed.
    NotExecutable {
        /// Their protection.
        protection: Protection,
    },
    /// A range that passes the end of what was handed out.
    NotHandedOut {
        /// The end asked for, an offset in bytes.
        end: usize,
        /// Bytes handed out.
        used: usize,
    },
    /// A value of this type cannot be at this offset.
    Misaligned {
        /// The offset asked for, in bytes.
        offset: usize,
        /// The alignment of the type, in bytes.
        align: usize,
    },
    /// A character is too large for the code unit.
    CharacterDoesNotFit {
        /// The character.
        character: char,
        /// Its byte index in the text.
        index: usize,
        /// The width of the code unit in bytes.
        width: u8,
    },
    /// Code units are 1, 2 or 4 bytes wide.
    InvalidWidth {
        /// The width asked for, in bytes.
        width: usize,
    },
    /// A NUL inside a text that a NUL is to end.
    InteriorNul {
        /// Its byte index in the text.
        index: usize,
    },
    /// An implementation of `Display`, `Debug` or another formatting trait returned an error.
    Formatting,
    /// A character of a byte string is neither a hexadecimal digit, a prefix nor a separator.
    NotHex {
        /// The character.
        character: char,
        /// Its byte index in the text.
        index: usize,
    },
    /// A byte of a byte string has one digit.
    HalfByte {
        /// The digit.
        digit: char,
        /// Its byte index in the text.
        index: usize,
    },
    /// A `0x` or `\x` of a byte string has no digit behind it.
    BarePrefix {
        /// Its byte index in the text.
        index: usize,
    },
    /// A range whose end lies before its start.
    RangeReversed {
        /// The start, an offset in bytes.
        start: usize,
        /// The end, an offset in bytes.
        end: usize,
    },
    /// A range that passes the end of the reservation.
    RangePastEnd {
        /// The end asked for, an offset in bytes.
        end: usize,
        /// The size of the reservation in bytes.
        size: usize,
    },
    /// The global allocator refused memory for what an arena keeps about itself.
    Heap {
        /// Bytes asked for.
        size: usize,
    },
    /// Memory that was lent to an arena is too small for what the arena keeps in it about itself.
    TooSmall {
        /// Bytes lent.
        size: usize,
        /// Bytes needed, with what aligning them takes.
        needed: usize,
    },
    /// The call is about memory as a whole, and that of this arena is not its own: it is a thread's share of a
    /// [`SyncMallocator`](crate::SyncMallocator), or was lent by the caller.
    NotItsOwn {
        /// The name of the call.
        call: &'static str,
    },
    /// The operating system refused a call.
    Os(OsError),
}

const _: () = assert!(size_of::<Error>() <= 24);

impl Error {
    /// `available` bytes are too few. `align` is a power of two.
    #[expect(clippy::cast_possible_truncation, reason = "a power of two has at most 63 zeros below it")]
    pub(crate) const fn exhausted(size: usize, align: usize, available: usize) -> Self {
        Self::Exhausted { size, available, align_log2: align.trailing_zeros() as u8 }
    }
}

/// What an infallible method makes of its fallible twin: it panics with the message, at the line of the caller.
#[inline(always)]
#[track_caller]
pub(crate) fn unwrap_or_panic<T>(outcome: Result<T, Error>) -> T {
    #[cold]
    #[inline(never)]
    #[track_caller]
    fn refuse(error: Error) -> ! {
        panic!("{error}")
    }
    match outcome {
        Ok(value) => value,
        Err(error) => refuse(error),
    }
}

// One arm for each variant and none for the rest, so that a variant without a message does not compile.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exhausted { size, available, align_log2 } => exhausted(f, size, available, align_log2),
            Self::InvalidAlignment { align } => {
                write!(f, "an alignment of {align} was asked for, but alignments are powers of two from 1 up")
            }
            Self::InvalidSize { size } => invalid_size(f, size),
            Self::InvalidAddress { address, granularity } => invalid_address(f, address, granularity),
            Self::AddressInUse { address, size } => write!(
                f,
                "{size} bytes at {address:#x} were asked for, but something else lives in that range; \
                 use near() or leave the place to the system"
            ),
            Self::OutOfReach { address, distance } => write!(
                f,
                "no free range was found that lies wholly within {distance} bytes of {address:#x}; \
                 allow a larger distance or ask for a smaller size"
            ),
            Self::InvalidProtection(error) => error.fmt(f),
            Self::Unsupported { option } => {
                let (system, processor) = (std::env::consts::OS, std::env::consts::ARCH);
                write!(f, "{option} was asked for, which {system} on {processor} does not have")
            }
            Self::NotWritable { protection } => write!(
                f,
                "the region is {protection}, and this call hands out memory to be written; \
                 only alloc_raw works on such a region: write under READ_WRITE first, then protect"
            ),
            Self::SealWritable { protection } => write!(
                f,
                "a seal with {protection} was asked for, which can be written; \
                 seal with READ, READ_EXECUTE, EXECUTE or NO_ACCESS"
            ),
            Self::NotReadable { protection } => write!(
                f,
                "the region is {protection}, and this call reads it; seal with READ or READ_EXECUTE"
            ),
            Self::NotExecutable { protection } => write!(
                f,
                "the region is {protection}, and this call executes it; seal with READ_EXECUTE or EXECUTE"
            ),
            Self::NotHandedOut { end, used } => {
                write!(f, "the range ends at offset {end}, but {used} bytes were handed out")
            }
            Self::Misaligned { offset, align } => {
                write!(f, "offset {offset} was asked for, but the type is aligned to {align} bytes")
            }
            Self::CharacterDoesNotFit { character, index, width } => does_not_fit(f, character, index, width),
            Self::InvalidWidth { width } => {
                write!(f, "code units of {width} bytes were asked for, but they have 1, 2 or 4")
            }
            Self::InteriorNul { index } => write!(
                f,
                "byte {index} of the text is a NUL, which would end the C string there; \
                 cut the text, or use alloc_string, which keeps it"
            ),
            Self::Formatting => {
                f.write_str("a formatting trait returned an error while its text was written")
            }
            Self::NotHex { character, index } => not_hex(f, character, index),
            Self::HalfByte { digit, index } => write!(
                f,
                "{digit:?} at byte {index} of the text is half a byte: two digits make one, \
                 directly one after the other"
            ),
            Self::BarePrefix { index } => {
                write!(f, "the prefix at byte {index} of the text has no digits directly behind it")
            }
            Self::RangeReversed { start, end } => {
                write!(f, "the range {start}..{end} ends before it starts")
            }
            Self::RangePastEnd { end, size } => {
                write!(f, "the range ends at offset {end}, but the reservation ends at {size}")
            }
            Self::Heap { size } => heap(f, size),
            Self::TooSmall { size, needed } => too_small(f, size, needed),
            Self::NotItsOwn { call } => not_its_own(f, call),
            Self::Os(error) => error.fmt(f),
        }
    }
}

fn exhausted(f: &mut fmt::Formatter<'_>, size: usize, available: usize, align_log2: u8) -> fmt::Result {
    write!(f, "{size} bytes")?;
    if align_log2 > 0 {
        write!(f, " aligned to {}", 1_u64 << align_log2)?;
    }
    write!(
        f,
        " were asked for, but {available} are left in the reservation, which never moves; \
         reserve more (Mallocator::with_size: address space costs no memory), or reset it"
    )
}

fn invalid_size(f: &mut fmt::Formatter<'_>, size: usize) -> fmt::Result {
    if size == 0 {
        return f.write_str(
            "a reservation of 0 bytes was asked for; the least is 1, which is rounded up to a page",
        );
    }
    let most = isize::MAX;
    write!(
        f,
        "a reservation of {size} bytes was asked for, but no object may have more than \
         {most} (isize::MAX, less the rounding to pages)"
    )
}

fn invalid_address(f: &mut fmt::Formatter<'_>, address: usize, granularity: usize) -> fmt::Result {
    if address == 0 {
        return f.write_str("a reservation at address 0 was asked for, which is no address");
    }
    write!(
        f,
        "a reservation at {address:#x} was asked for, but reservations start at multiples of \
         {granularity:#x} (allocation_granularity()) in the lower half of the address space"
    )
}

fn does_not_fit(f: &mut fmt::Formatter<'_>, character: char, index: usize, width: u8) -> fmt::Result {
    let number = u32::from(character);
    let (most, wider) = if width == 1 { ("00FF", "u16") } else { ("FFFF", "u32") };
    write!(
        f,
        "{character:?} (U+{number:04X}) at byte {index} of the text \
         does not fit a {width}-byte unit, which holds U+0000 to U+{most}; use {wider}"
    )
}

fn not_hex(f: &mut fmt::Formatter<'_>, character: char, index: usize) -> fmt::Result {
    write!(f, "{character:?} at byte {index} of the text is no hexadecimal digit, no prefix ")?;
    f.write_str("(0x, \\x) and no separator (white space , ; : - _ | ' \" { } [ ] ( ))")
}

fn heap(f: &mut fmt::Formatter<'_>, size: usize) -> fmt::Result {
    write!(
        f,
        "{size} bytes for what the arena keeps about itself were asked for, and the global allocator \
         refused them; free something, or keep fewer arenas alive"
    )
}

fn too_small(f: &mut fmt::Formatter<'_>, size: usize, needed: usize) -> fmt::Result {
    write!(
        f,
        "an arena in {size} bytes of lent memory was asked for, but what it keeps there about itself \
         needs {needed}; lend more"
    )
}

fn not_its_own(f: &mut fmt::Formatter<'_>, call: &str) -> fmt::Result {
    write!(
        f,
        "{call} was asked for, but the memory of this arena is not its own: it is a share of a \
         SyncMallocator, or was lent; call {call} on the arena that reserved the memory"
    )
}

impl std::error::Error for Error {}

impl From<OsError> for Error {
    fn from(error: OsError) -> Self {
        Self::Os(error)
    }
}

impl From<ProtectionError> for Error {
    fn from(error: ProtectionError) -> Self {
        Self::InvalidProtection(error)
    }
}

impl From<crate::pure::hex::HexError> for Error {
    fn from(error: crate::pure::hex::HexError) -> Self {
        use crate::pure::hex::HexError;
        match error {
            HexError::Stranger { character, index } => Self::NotHex { character, index },
            HexError::HalfByte { digit, index } => Self::HalfByte { digit, index },
            HexError::BarePrefix { index } => Self::BarePrefix { index },
        }
    }
}
