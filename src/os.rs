//! The contract that every platform fulfils, and the only door to the operating system.
//!
//! Each function here makes one request of the system, through the file in `os/` that belongs to the
//! platform. Policy (how much, when, what to do about a refusal) lives above, in `vm/`.
//!
//! Throughout, `start` and `len` are multiples of [`page_size`], `len` is not 0, and the range lies
//! in one reservation made by [`reserve`]; sizes are in bytes. A page of a reservation is in one of two states:
//!
//! | | touching it | costs memory | reads as |
//! |---|---|---|---|
//! | **reserved** | is a fault | no | |
//! | **committed** | is what its protection allows | once touched (Windows charges it at once) | zero until written |
//!
//! | call | from | to | when it fails |
//! |---|---|---|---|
//! | [`reserve`], [`reserve_within`], [`reserve_for_advice`] | free address space | reserved | nothing was reserved |
//! | [`commit`] | reserved | committed, zero | still reserved |
//! | [`decommit`] | committed | reserved | still committed, contents unspecified |
//! | [`discard`] | committed | committed, each page as it was or zero; the memory goes when it is wanted elsewhere | the same |
//! | [`advise_huge`], [`advise_small`] | reserved or committed | the same; on huge pages where possible, or never | the same |
//! | [`reserve_huge`] | free address space | committed, zero, in memory, on huge pages for good | nothing was reserved |
//! | [`protect`] | committed | committed, contents kept | some pages may have changed: set them again |
//! | [`release`] | a whole reservation | free address space | still reserved |
//! | [`lock`], [`unlock`] | committed | committed, never paged out, or again like others | some pages may have changed |
//! | [`exclude_from_dumps`] | reserved or committed | the same; not in what is written when the process crashes | the same |
//! | [`wipe_on_fork`], [`omit_on_fork`] | reserved or committed | the same; in a forked process zero, or not there | the same |
//! | [`flush_instruction_cache`] | committed | the same; what was written there can be executed | the same |
//!
//! No function allocates, panics, or leaves a state that this table does not name.

use std::fmt;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use crate::protection::Protection;

#[cfg(not(target_pointer_width = "64"))]
compile_error!("mallocator needs a 64-bit target: it reserves more address space than a smaller one has");

mod absent;
#[cfg(test)]
mod documented;
#[cfg(test)]
pub(crate) mod faulty;

#[cfg(not(any(unix, windows, miri, mallocator_heap, mallocator_template)))]
compile_error!(
    "mallocator reserves virtual memory, and knows how on Unix and Windows only; \
     CONTRIBUTING.md says how to add a platform"
);

// The first of these that applies: what was asked for by name, an interpreter, the system.
#[cfg(any(mallocator_template, not(any(unix, windows, miri, mallocator_heap))))]
#[path = "os/template.rs"]
mod platform;
#[cfg(all(any(miri, mallocator_heap), not(mallocator_template)))]
#[path = "os/heap.rs"]
mod platform;
#[cfg(all(unix, not(any(miri, mallocator_heap, mallocator_template))))]
#[path = "os/unix.rs"]
mod platform;
#[cfg(all(windows, not(any(miri, mallocator_heap, mallocator_template))))]
#[path = "os/windows.rs"]
mod platform;

/// What was asked of the system. The platform knows the name of the function behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Reserve,
    ReserveHuge,
    Commit,
    Decommit,
    Discard,
    AdviseHuge,
    AdviseSmall,
    Protect,
    Release,
    Lock,
    Unlock,
    ExcludeFromDumps,
    WipeOnFork,
    OmitOnFork,
    FlushInstructionCache,
}

/// A call that the operating system refused: which, on what range, and with what code.
///
/// Its message has the system's own text for the code and, where one is known, the usual cause.
///
/// ```
/// use mallocator::{Error, Mallocator};
///
/// // More than the address space of any current machine.
/// let error = Mallocator::with_size(1 << 60).unwrap_err();
/// let Error::Os(refusal) = error else { panic!("{error}") };
/// println!("{} says {}", refusal.call(), refusal.code()); // mmap, VirtualAlloc(MEM_RESERVE)
/// assert!(refusal.size() >= 1 << 60);
/// println!("{refusal}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OsError {
    size: usize,
    code: i32,
    call: Call,
}

impl OsError {
    const fn new(call: Call, size: usize, code: i32) -> Self {
        Self { size, code, call }
    }

    /// The name of the function that was refused: `"mmap"`, `"VirtualAlloc(MEM_COMMIT)"` and so on.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let Err(Error::Os(refusal)) = Mallocator::with_size(1 << 60) else { panic!("granted") };
    /// assert!(["mmap", "VirtualAlloc(MEM_RESERVE)", "alloc"].contains(&refusal.call()));
    /// ```
    pub fn call(&self) -> &'static str {
        platform::name_of(self.call)
    }

    /// The system's error code: `errno` on Unix, `GetLastError()` on Windows.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let Err(Error::Os(refusal)) = Mallocator::with_size(1 << 60) else { panic!("granted") };
    /// assert!(std::io::Error::from_raw_os_error(refusal.code()).raw_os_error().is_some());
    /// ```
    pub const fn code(&self) -> i32 {
        self.code
    }

    /// The size in bytes of the range the call was about.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let Err(Error::Os(refusal)) = Mallocator::with_size(1 << 60) else { panic!("granted") };
    /// assert!(refusal.size() > 1 << 60); // and the page behind it
    /// ```
    pub const fn size(&self) -> usize {
        self.size
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deed = match self.call {
            Call::Reserve => "reserve",
            Call::ReserveHuge => "reserve and commit on huge pages",
            Call::Commit => "commit",
            Call::Decommit => "decommit",
            Call::Discard => "discard",
            Call::AdviseHuge => "take the advice to use huge pages for",
            Call::AdviseSmall => "take the advice to use no huge pages for",
            Call::Protect => "protect",
            Call::Release => "release",
            Call::Lock => "lock",
            Call::Unlock => "unlock",
            Call::ExcludeFromDumps => "exclude from dumps",
            Call::WipeOnFork => "promise to wipe in forked processes",
            Call::OmitOnFork => "promise to leave out of forked processes",
            Call::FlushInstructionCache => "flush the instruction cache for",
        };
        let text = std::io::Error::from_raw_os_error(self.code);
        write!(f, "the system did not {deed} {} bytes: {}: {text}", self.size, self.call())?;
        if let Some(cause) = platform::usual_cause(self.call, self.code) {
            write!(f, "; {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for OsError {}

/// Whether the system refused a [`reserve`] at an address because something is there.
pub(crate) fn is_taken(error: &OsError) -> bool {
    matches!(error.call, Call::Reserve | Call::ReserveHuge) && error.code == platform::TAKEN
}

/// Whether the same call may be granted a moment later, because the system is making room.
pub(crate) fn may_pass(error: &OsError) -> bool {
    error.call == Call::Commit && platform::may_pass(error.code)
}

/// The size of a page in bytes: what commit and protect round to. A power of two.
pub(crate) fn page_size() -> usize {
    platform::page_size()
}

/// Where a reservation may start: a multiple of this many bytes, a power of two not below the page size.
pub(crate) fn granularity() -> usize {
    platform::granularity()
}

/// How much address space an arena takes that is to grow as if for ever, where the system grants as much.
pub(crate) const GROWING: usize = platform::GROWING;

/// Whether committed memory is charged to the process at once, and not only when it is touched.
pub(crate) const COMMIT_IS_CHARGED: bool = platform::COMMIT_IS_CHARGED;

/// The size in bytes of the huge pages that [`advise_huge`] may get, where advice can get any worth having.
pub(crate) fn advised_huge_page() -> Option<usize> {
    platform::advised_huge_page()
}

/// The size in bytes of the huge pages that [`reserve_huge`] gets, where the processor and the system have any.
pub(crate) fn huge_page() -> Option<usize> {
    platform::huge_page()
}

/// The first part of `protection` that this platform does not have.
pub(crate) fn unsupported(protection: Protection) -> Option<&'static str> {
    platform::unsupported(protection)
}

/// Reserves `size` bytes, at exactly `at` (a multiple of [`granularity`]) where it is given.
///
/// The result is not null. Another mapping is never replaced: when one lies in the range, the error
/// satisfies [`is_taken`]. No memory is used, and none is charged under any overcommit policy.
pub(crate) fn reserve(size: usize, at: Option<NonZeroUsize>) -> Result<NonNull<u8>, OsError> {
    seam::ask(Call::Reserve, size)?;
    let start = platform::reserve(size, at)?;
    seam::granted(Call::Reserve, start, size);
    Ok(start)
}

/// Reserves `size` bytes somewhere from address `lowest` to `last`, both included, in one call, if the system has such a call
/// and finds a place by it. Otherwise as [`reserve`].
pub(crate) fn reserve_within(size: usize, lowest: usize, last: usize) -> Option<NonNull<u8>> {
    seam::ask(Call::Reserve, size).ok()?;
    let start = platform::reserve_within(size, lowest, last)?;
    seam::granted(Call::Reserve, start, size);
    Some(start)
}

/// Whether [`reserve`] at an address is ever granted.
pub(crate) const CAN_CHOOSE_ADDRESS: bool = platform::CAN_CHOOSE_ADDRESS;

/// Whether [`reserve_within`] is worth asking.
pub(crate) const CAN_RESERVE_WITHIN: bool = platform::CAN_RESERVE_WITHIN;

/// Reserves `size` bytes so that, where address space allows, a multiple of [`advised_huge_page`] lies at `offset`, below
/// `size`. To be called only where there are such pages. Otherwise as [`reserve`].
pub(crate) fn reserve_for_advice(size: usize, offset: usize) -> Result<NonNull<u8>, OsError> {
    seam::ask(Call::Reserve, size)?;
    let start = platform::reserve_for_advice(size, offset)?;
    seam::granted(Call::Reserve, start, size);
    Ok(start)
}

/// Reserves and commits `size` bytes, a multiple of [`huge_page`], on huge pages, at exactly `at` (a multiple as well)
/// where it is given; they are in memory when it returns, so that touching them cannot fail.
///
/// On Unix `before` bytes before the range and the page behind it are reserved with it, so that [`release`] is given all of
/// that. Windows reserves huge pages by themselves, takes a `before` of 0 only, and ignores the size on release.
///
/// The result is not null. Another mapping is never replaced: when one lies in the range, the error satisfies
/// [`is_taken`]. The range is never decommitted.
pub(crate) fn reserve_huge(
    size: usize,
    at: Option<NonZeroUsize>,
    before: usize,
    protection: Protection,
) -> Result<NonNull<u8>, OsError> {
    seam::ask(Call::ReserveHuge, size)?;
    let start = platform::reserve_huge(size, at, before, protection)?;
    // SAFETY: as much is reserved before it.
    seam::granted(Call::Reserve, unsafe { start.sub(before) }, before + size + page_size());
    Ok(start)
}

/// Whether a page is reserved behind what [`reserve_huge`] returns.
pub(crate) const PAGE_BEHIND_HUGE: bool = platform::PAGE_BEHIND_HUGE;

/// Makes reserved pages accessible under `protection`. They read as zero.
///
/// # Safety
/// The range is reserved and not committed, and belongs to the caller.
pub(crate) unsafe fn commit(start: NonNull<u8>, len: usize, protection: Protection) -> Result<(), OsError> {
    seam::ask(Call::Commit, len)?;
    // SAFETY: handed on.
    unsafe { platform::commit(start, len, protection) }
}

/// Gives the memory of committed pages back and makes them inaccessible. The address space stays reserved.
///
/// # Safety
/// The range is committed, and belongs to the caller; nothing in it is used again.
pub(crate) unsafe fn decommit(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    seam::ask(Call::Decommit, len)?;
    // SAFETY: handed on.
    unsafe { platform::decommit(start, len) }
}

/// Lets the system have the memory of committed pages when it wants it, and leaves them accessible: until then touching
/// them costs nothing.
///
/// # Safety
/// The range is committed and writable, and belongs to the caller. A byte of it that was ever written is written again
/// before it is read; one that never was is zero as before.
pub(crate) unsafe fn discard(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    seam::ask(Call::Discard, len)?;
    // SAFETY: handed on.
    unsafe { platform::discard(start, len) }
}

/// Asks for huge pages for what is touched in the range from now on.
///
/// # Safety
/// The range belongs to the caller.
pub(crate) unsafe fn advise_huge(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    seam::ask(Call::AdviseHuge, len)?;
    // SAFETY: handed on.
    unsafe { platform::advise_huge(start, len) }
}

/// Asks for no huge pages in the range, whatever the system's default.
///
/// # Safety
/// The range belongs to the caller.
pub(crate) unsafe fn advise_small(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    seam::ask(Call::AdviseSmall, len)?;
    // SAFETY: handed on.
    unsafe { platform::advise_small(start, len) }
}

/// How many bytes of the range are on huge pages at this moment, if the system says; it takes a while.
pub(crate) fn on_huge_pages(start: NonNull<u8>, len: usize) -> Option<usize> {
    platform::on_huge_pages(start, len)
}

/// Changes what committed pages may be used for.
///
/// # Safety
/// The range is committed, and belongs to the caller; no live reference into it loses what it needs.
pub(crate) unsafe fn protect(start: NonNull<u8>, len: usize, protection: Protection) -> Result<(), OsError> {
    seam::ask(Call::Protect, len)?;
    // SAFETY: handed on.
    unsafe { platform::protect(start, len, protection) }
}

/// Gives a whole reservation back, address space and all.
///
/// # Safety
/// `start` and `len` are those of a reservation that belongs to the caller; nothing in it is used again.
pub(crate) unsafe fn release(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    seam::ask(Call::Release, len)?;
    // SAFETY: handed on.
    unsafe { platform::release(start, len) }?;
    seam::granted(Call::Release, start, len);
    Ok(())
}

/// Keeps committed pages in memory, out of swap space.
///
/// # Safety
/// The range is committed and accessible, and belongs to the caller.
pub(crate) unsafe fn lock(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    seam::ask(Call::Lock, len)?;
    // SAFETY: handed on.
    unsafe { platform::lock(start, len) }
}

/// Takes back [`lock`], of pages that are all locked.
///
/// # Safety
/// The range is committed, and belongs to the caller.
pub(crate) unsafe fn unlock(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    seam::ask(Call::Unlock, len)?;
    // SAFETY: handed on.
    unsafe { platform::unlock(start, len) }
}

/// Whether [`exclude_from_dumps`] exists here.
pub(crate) const CAN_EXCLUDE_FROM_DUMPS: bool = platform::HAS_SECRET_ADVICE;

/// Leaves the range, now and once it is committed, out of core dumps.
///
/// # Safety
/// The range belongs to the caller.
pub(crate) unsafe fn exclude_from_dumps(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    seam::ask(Call::ExcludeFromDumps, len)?;
    // SAFETY: handed on.
    unsafe { platform::exclude_from_dumps(start, len) }
}

/// Whether [`wipe_on_fork`] and [`omit_on_fork`] exist here.
pub(crate) const HAS_FORK_ADVICE: bool = platform::HAS_SECRET_ADVICE;

/// What a forked process finds in the range, now and once it is committed, is zero.
///
/// # Safety
/// The range belongs to the caller.
pub(crate) unsafe fn wipe_on_fork(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    seam::ask(Call::WipeOnFork, len)?;
    // SAFETY: handed on.
    unsafe { platform::wipe_on_fork(start, len) }
}

/// A forked process does not have the range, which is free address space there.
///
/// # Safety
/// The range belongs to the caller.
pub(crate) unsafe fn omit_on_fork(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    seam::ask(Call::OmitOnFork, len)?;
    // SAFETY: handed on.
    unsafe { platform::omit_on_fork(start, len) }
}

/// A number that this process shares with none that it was forked off, and with none that is forked off it. It asks the system
/// for a page the first time, and then for nothing; it does not wait, so a process that is forked off meanwhile can ask too.
///
/// Where the system cannot say, it is the process's number, which may come again.
pub(crate) fn lineage() -> u64 {
    platform::lineage()
}

/// What is said of a range that this process does not have, as it was [left out of it](omit_on_fork).
pub(crate) const fn omitted(len: usize) -> OsError {
    OsError::new(Call::Commit, len, platform::OMITTED)
}

/// Makes code that was written to the range visible to instruction fetch.
///
/// # Safety
/// The range is committed and readable, and belongs to the caller.
pub(crate) unsafe fn flush_instruction_cache(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    seam::ask(Call::FlushInstructionCache, len)?;
    // SAFETY: handed on.
    unsafe { platform::flush_instruction_cache(start, len) }
}

#[cfg(test)]
use faulty as seam;

/// Outside of tests nobody stands between a request and the system.
#[cfg(not(test))]
mod seam {
    use super::{Call, NonNull, OsError};

    #[inline(always)]
    pub(super) const fn ask(_: Call, _: usize) -> Result<(), OsError> {
        Ok(())
    }

    #[inline(always)]
    pub(super) const fn granted(_: Call, _: NonNull<u8>, _: usize) {}
}
