//! Windows: `VirtualAlloc` and its kin, through `windows-sys`.
//! <https://learn.microsoft.com/windows/win32/memory/virtual-memory-functions>
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "error codes are u32 here and i32 in std"
)]

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{
    ERROR_COMMITMENT_LIMIT, ERROR_DYNAMIC_CODE_BLOCKED, ERROR_INVALID_ADDRESS, ERROR_INVALID_PARAMETER,
    ERROR_NO_SYSTEM_RESOURCES, ERROR_NOT_ENOUGH_MEMORY, ERROR_NOT_SUPPORTED, ERROR_PRIVILEGE_NOT_HELD,
    ERROR_WORKING_SET_QUOTA, GetLastError, HANDLE,
};
use windows_sys::Win32::System::Diagnostics::Debug::FlushInstructionCache;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Memory::{
    GetLargePageMinimum, MEM_ADDRESS_REQUIREMENTS, MEM_COMMIT, MEM_DECOMMIT, MEM_EXTENDED_PARAMETER,
    MEM_LARGE_PAGES, MEM_RELEASE, MEM_RESERVE, MEM_RESET, MemExtendedParameterAddressRequirements,
    PAGE_NOACCESS, PAGE_READWRITE, VIRTUAL_ALLOCATION_TYPE, VirtualAlloc, VirtualFree, VirtualLock,
    VirtualProtect, VirtualUnlock,
};
use windows_sys::Win32::System::SystemInformation::{GetSystemInfo, SYSTEM_INFO};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::{Call, OsError};
use crate::protection::Protection;

/// Address space is cheap: more than anybody fills, and little of what there is.
pub(super) const GROWING: usize = 64 << 30;

pub(super) const COMMIT_IS_CHARGED: bool = true;

pub(super) const CAN_CHOOSE_ADDRESS: bool = true;

pub(super) const PAGE_BEHIND_HUGE: bool = false;

pub(super) const TAKEN: i32 = ERROR_INVALID_ADDRESS as i32;

pub(super) const OMITTED: i32 = ERROR_INVALID_ADDRESS as i32;

pub(super) const UNKNOWN: i32 = ERROR_NOT_SUPPORTED as i32;

// Windows takes no advice: nothing but `MEM_LARGE_PAGES` puts anything on huge pages, and nothing keeps memory out of dumps.
pub(super) use super::absent::{
    HAS_SECRET_ADVICE, advise_huge, advise_small, advised_huge_page, exclude_from_dumps, lineage,
    omit_on_fork, on_huge_pages, reserve_for_advice, wipe_on_fork,
};

#[cfg(test)]
pub(super) const OUT_OF_MEMORY: i32 = ERROR_NOT_ENOUGH_MEMORY as i32;

pub(super) fn name_of(call: Call) -> &'static str {
    match call {
        Call::Reserve => "VirtualAlloc(MEM_RESERVE)",
        Call::ReserveHuge => "VirtualAlloc(MEM_LARGE_PAGES)",
        Call::Commit => "VirtualAlloc(MEM_COMMIT)",
        Call::Decommit => "VirtualFree(MEM_DECOMMIT)",
        Call::Discard => "VirtualAlloc(MEM_RESET)",
        // Windows has no such advice, and none is given.
        Call::AdviseHuge | Call::AdviseSmall => "advice",
        Call::Protect => "VirtualProtect",
        Call::Release => "VirtualFree(MEM_RELEASE)",
        Call::Lock => "VirtualLock",
        Call::Unlock => "VirtualUnlock",
        // Windows has nothing of the kind, and is not asked.
        Call::ExcludeFromDumps | Call::WipeOnFork | Call::OmitOnFork => "advice",
        Call::FlushInstructionCache => "FlushInstructionCache",
    }
}

/// <https://learn.microsoft.com/windows/win32/debug/system-error-codes>
pub(super) fn usual_cause(call: Call, code: i32) -> Option<&'static str> {
    match (call, code as u32) {
        (Call::Reserve, ERROR_NOT_ENOUGH_MEMORY | ERROR_INVALID_PARAMETER) => {
            Some("usually a size beyond the address space of the process, or no free range that large in it")
        }
        (Call::ReserveHuge, ERROR_PRIVILEGE_NOT_HELD) => Some(
            "the process lacks SeLockMemoryPrivilege (\"Lock pages in memory\"): grant it to the account, log on again, \
             and enable it with AdjustTokenPrivileges",
        ),
        (Call::ReserveHuge, ERROR_NO_SYSTEM_RESOURCES | ERROR_NOT_ENOUGH_MEMORY) => Some(
            "usually no contiguous physical memory is left for large pages: reserve them soon after start",
        ),
        (Call::Commit, ERROR_COMMITMENT_LIMIT | ERROR_NOT_ENOUGH_MEMORY) => Some(
            "usually the commit charge of the system, or of the job, is at its limit: memory and page files together",
        ),
        (Call::Commit | Call::Protect, ERROR_DYNAMIC_CODE_BLOCKED) => {
            Some("the process runs under Arbitrary Code Guard, which forbids new executable memory")
        }
        (Call::Lock, ERROR_WORKING_SET_QUOTA) => {
            Some("usually the minimum working set is too small: see SetProcessWorkingSetSize")
        }
        _ => None,
    }
}

/// A page file that may grow does so after the refusal.
pub(super) const fn may_pass(code: i32) -> bool {
    code as u32 == ERROR_COMMITMENT_LIMIT
}

fn system_info() -> &'static SYSTEM_INFO {
    static INFO: OnceLock<Info> = OnceLock::new();
    struct Info(SYSTEM_INFO);
    // SAFETY: plain numbers, and addresses that nobody follows.
    unsafe impl Send for Info {}
    // SAFETY: as above.
    unsafe impl Sync for Info {}
    &INFO
        .get_or_init(|| {
            let mut info = SYSTEM_INFO::default();
            // SAFETY: `info` is a place for the answer.
            unsafe { GetSystemInfo(&raw mut info) };
            Info(info)
        })
        .0
}

pub(super) fn page_size() -> usize {
    system_info().dwPageSize as usize
}

pub(super) fn granularity() -> usize {
    system_info().dwAllocationGranularity as usize
}

pub(super) const fn unsupported(_: Protection) -> Option<&'static str> {
    None
}

/// The number for a protection; [`Protection::to_win32`] was asked when the region was built.
fn page_flags(protection: Protection) -> u32 {
    protection.to_win32().unwrap_or(PAGE_NOACCESS)
}

fn last_error(call: Call, size: usize) -> OsError {
    // SAFETY: no precondition.
    OsError::new(call, size, unsafe { GetLastError() } as i32)
}

/// An answer that is zero for failure.
fn checked(answer: i32, call: Call, len: usize) -> Result<(), OsError> {
    if answer == 0 { Err(last_error(call, len)) } else { Ok(()) }
}

pub(super) fn reserve(size: usize, at: Option<NonZeroUsize>) -> Result<NonNull<u8>, OsError> {
    let address = at.map_or(0, NonZeroUsize::get);
    // SAFETY: a new reservation never replaces another.
    let start = unsafe { VirtualAlloc(ptr::without_provenance(address), size, MEM_RESERVE, PAGE_NOACCESS) };
    NonNull::new(start.cast()).ok_or_else(|| last_error(Call::Reserve, size))
}

pub(super) const CAN_RESERVE_WITHIN: bool = true;

/// `VirtualAlloc2` with address requirements, which Windows 10 has since version 1803
/// (<https://learn.microsoft.com/windows/win32/api/memoryapi/nf-memoryapi-virtualalloc2>): looked up, as older systems, and
/// Wine, lack it or do not heed them.
pub(super) fn reserve_within(size: usize, lowest: usize, last: usize) -> Option<NonNull<u8>> {
    // SAFETY: the signature is the documented one.
    let allocate = unsafe {
        let library = GetModuleHandleW(windows_sys::w!("kernelbase.dll"));
        let found = GetProcAddress(library, windows_sys::s!("VirtualAlloc2"))?;
        std::mem::transmute::<unsafe extern "system" fn() -> isize, Allocate2>(found)
    };
    let (unit, info) = (granularity(), system_info());
    let lowest = lowest.max(info.lpMinimumApplicationAddress.addr()).checked_next_multiple_of(unit)?;
    // The last byte of the last unit that lies in the range as a whole.
    let behind = (last.min(info.lpMaximumApplicationAddress.addr()) + 1) / unit * unit;
    let last = behind.checked_sub(1).filter(|&last| last > lowest)?;
    let mut requirements = MEM_ADDRESS_REQUIREMENTS {
        LowestStartingAddress: ptr::without_provenance_mut(lowest),
        HighestEndingAddress: ptr::without_provenance_mut(last),
        Alignment: 0,
    };
    let mut parameter = MEM_EXTENDED_PARAMETER::default();
    parameter.Anonymous1._bitfield = MemExtendedParameterAddressRequirements as u64;
    parameter.Anonymous2.Pointer = (&raw mut requirements).cast();
    // SAFETY: a new reservation never replaces another; the parameter is what its kind says.
    let start = unsafe {
        allocate(GetCurrentProcess(), ptr::null(), size, MEM_RESERVE, PAGE_NOACCESS, &raw mut parameter, 1)
    };
    let start = NonNull::new(start.cast::<u8>())?;
    let address = start.addr().get();
    if address < lowest || address + (size - 1) > last {
        // SAFETY: the reservation was made above, and nobody knows of it.
        let _ = unsafe { release(start, size) };
        return None;
    }
    Some(start)
}

/// The type of `VirtualAlloc2`.
type Allocate2 = unsafe extern "system" fn(
    HANDLE,
    *const c_void,
    usize,
    VIRTUAL_ALLOCATION_TYPE,
    u32,
    *mut MEM_EXTENDED_PARAMETER,
    u32,
) -> *mut c_void;

/// <https://learn.microsoft.com/windows/win32/memory/large-page-support>: 0 where the processor has none.
pub(super) fn huge_page() -> Option<usize> {
    // SAFETY: no precondition.
    let size = unsafe { GetLargePageMinimum() };
    size.is_power_of_two().then_some(size)
}

/// Large pages are reserved and committed in one call, are always in memory, and are a reservation of their own.
pub(super) fn reserve_huge(
    size: usize,
    at: Option<NonZeroUsize>,
    before: usize,
    protection: Protection,
) -> Result<NonNull<u8>, OsError> {
    debug_assert!(before == 0, "nothing can be reserved with them");
    let address = ptr::without_provenance(at.map_or(0, NonZeroUsize::get));
    let kind = MEM_RESERVE | MEM_COMMIT | MEM_LARGE_PAGES;
    // SAFETY: a new reservation never replaces another.
    let start = unsafe { VirtualAlloc(address, size, kind, page_flags(protection)) };
    NonNull::new(start.cast()).ok_or_else(|| last_error(Call::ReserveHuge, size))
}

pub(super) unsafe fn commit(start: NonNull<u8>, len: usize, protection: Protection) -> Result<(), OsError> {
    // SAFETY: the caller's.
    let committed = unsafe { VirtualAlloc(start.as_ptr().cast(), len, MEM_COMMIT, page_flags(protection)) };
    checked(i32::from(!committed.is_null()), Call::Commit, len)
}

pub(super) unsafe fn decommit(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    checked(unsafe { VirtualFree(start.as_ptr().cast(), len, MEM_DECOMMIT) }, Call::Decommit, len)
}

/// `MEM_RESET` needs a valid protection and ignores it.
pub(super) unsafe fn discard(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    let reset = unsafe { VirtualAlloc(start.as_ptr().cast(), len, MEM_RESET, PAGE_READWRITE) };
    checked(i32::from(!reset.is_null()), Call::Discard, len)
}

pub(super) unsafe fn protect(start: NonNull<u8>, len: usize, protection: Protection) -> Result<(), OsError> {
    let mut before = 0;
    // SAFETY: the caller's; `before` is a place for the answer.
    let done = unsafe { VirtualProtect(start.as_ptr().cast(), len, page_flags(protection), &raw mut before) };
    checked(done, Call::Protect, len)
}

/// `MEM_RELEASE` takes a size of 0, and fails with any other.
pub(super) unsafe fn release(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    checked(unsafe { VirtualFree(start.as_ptr().cast(), 0, MEM_RELEASE) }, Call::Release, len)
}

pub(super) unsafe fn lock(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    checked(unsafe { VirtualLock(start.as_ptr().cast(), len) }, Call::Lock, len)
}

pub(super) unsafe fn unlock(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    checked(unsafe { VirtualUnlock(start.as_ptr().cast(), len) }, Call::Unlock, len)
}

pub(super) unsafe fn flush_instruction_cache(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the pseudo-handle of this process needs no closing; the range is the caller's.
    let flushed = unsafe { FlushInstructionCache(GetCurrentProcess(), start.as_ptr().cast(), len) };
    checked(flushed, Call::FlushInstructionCache, len)
}

#[cfg(test)]
mod tests {
    use super::{granularity, release, reserve_within};

    #[test]
    fn what_is_reserved_within_a_range_lies_there() {
        let here = (what_is_reserved_within_a_range_lies_there as fn() as *const ()).addr();
        assert_eq!(reserve_within(1, 0, 100), None, "no granule");
        for (distance, size) in [(1 << 31, 1 << 20), (1 << 30, 1 << 24), (1 << 20, 1 << 21), (0, 1)] {
            let (lowest, last) = (here.saturating_sub(distance), here + distance);
            let found = reserve_within(size, lowest, last);
            println!("{size} bytes within {distance} of {here:#x}: {found:?}");
            assert!(found.is_none() || size < distance, "there is no room");
            if let Some(start) = found {
                let address = start.addr().get();
                assert!(address % granularity() == 0 && lowest <= address && address + size - 1 <= last);
                // SAFETY: it is this test's.
                unsafe { release(start, size) }.unwrap();
            }
        }
    }
}
