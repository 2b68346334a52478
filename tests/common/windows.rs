//! Facts from `VirtualQuery` and the process counters, and the address of a fault.

use mallocator::Protection;
use windows_sys::Win32::Foundation::{
    EXCEPTION_ACCESS_VIOLATION, STATUS_GUARD_PAGE_VIOLATION, STATUS_STACK_BUFFER_OVERRUN,
};
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, EXCEPTION_POINTERS, SEM_NOGPFAULTERRORBOX, SetErrorMode,
};
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_FREE, MEM_PRIVATE, MEM_RESERVE, MEMORY_BASIC_INFORMATION, PAGE_EXECUTE_READWRITE,
    PAGE_EXECUTE_WRITECOPY, PAGE_NOACCESS, VirtualAlloc, VirtualQuery,
};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::Page;

/// The state of the page at `address`, from `VirtualQuery`.
pub fn page_at(address: usize) -> Page {
    let mut info = MEMORY_BASIC_INFORMATION::default();
    // SAFETY: `info` is a place for the answer; the address is only asked about.
    let answered =
        unsafe { VirtualQuery(std::ptr::without_provenance(address), &raw mut info, size_of_val(&info)) };
    assert_ne!(answered, 0);
    match info.State {
        MEM_FREE => Page::Free,
        MEM_RESERVE => Page::Inaccessible,
        MEM_COMMIT if info.Protect == PAGE_NOACCESS => Page::Inaccessible,
        MEM_COMMIT => Page::Accessible(Protection::from_win32(info.Protect).unwrap()),
        other => panic!("{other:#x}"),
    }
}

/// Every range of the process that is writable and executable at once, from `VirtualQuery`. Images do not count: the
/// system, and Wine in ways of its own, maps and patches them.
pub fn writable_and_executable() -> Vec<String> {
    let mut found = Vec::new();
    let mut address = 0;
    loop {
        let mut info = MEMORY_BASIC_INFORMATION::default();
        // SAFETY: `info` is a place for the answer; the address is only asked about.
        let answered =
            unsafe { VirtualQuery(std::ptr::without_provenance(address), &raw mut info, size_of_val(&info)) };
        if answered == 0 {
            return found; // behind the last address
        }
        let both = info.Protect & (PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY) != 0;
        if info.State == MEM_COMMIT && info.Type == MEM_PRIVATE && both {
            found.push(format!("{:p}, {:#x} bytes", info.BaseAddress, info.RegionSize));
        }
        address = info.BaseAddress.addr() + info.RegionSize;
    }
}

/// The resident memory of the process in bytes.
pub fn resident() -> usize {
    let mut counters = PROCESS_MEMORY_COUNTERS::default();
    // SAFETY: `counters` is a place for the answer.
    let done = unsafe {
        K32GetProcessMemoryInfo(GetCurrentProcess(), &raw mut counters, size_of_val(&counters) as u32)
    };
    assert_ne!(done, 0);
    counters.WorkingSetSize
}

/// Reserves address space as the library does, for as long as the process lives.
pub fn reserve_bare(size: usize) {
    // SAFETY: a new reservation.
    let start = unsafe { VirtualAlloc(std::ptr::null(), size, MEM_RESERVE, PAGE_NOACCESS) };
    assert!(!start.is_null());
}

/// From here on, a fault prints its address before it kills the process as it would have.
pub fn announce_faults() {
    unsafe extern "system" fn announce(info: *mut EXCEPTION_POINTERS) -> i32 {
        // SAFETY: the system hands over the record of the exception.
        let record = unsafe { &*(*info).ExceptionRecord };
        if [EXCEPTION_ACCESS_VIOLATION, STATUS_GUARD_PAGE_VIOLATION].contains(&record.ExceptionCode) {
            println!("faulted at {:#x}", record.ExceptionInformation[1]);
        }
        0 // EXCEPTION_CONTINUE_SEARCH
    }
    // SAFETY: a valid handler. No debugger is to be started for the fault.
    unsafe {
        SetErrorMode(SEM_NOGPFAULTERRORBOX);
        assert!(!AddVectoredExceptionHandler(1, Some(announce)).is_null());
    }
}

/// Whether a process ended as one does that touches what it may not.
pub fn died_of_a_fault(status: std::process::ExitStatus) -> bool {
    [Some(EXCEPTION_ACCESS_VIOLATION), Some(STATUS_GUARD_PAGE_VIOLATION)].contains(&status.code())
}

/// Whether a process aborted, which is a fast failure here.
pub fn aborted(status: std::process::ExitStatus) -> bool {
    status.code() == Some(STATUS_STACK_BUFFER_OVERRUN)
}

/// Windows has no such flags.
pub fn mapping_flags(_: usize) -> Option<String> {
    None
}

/// Windows limits the working set instead.
pub fn limit_locked_memory(_: u64) -> bool {
    false
}

/// Windows does not fork.
pub fn in_a_fork(_: impl FnOnce() -> bool) -> Option<bool> {
    None
}

/// Nor does a process choose a number there.
pub fn in_a_descendant_of_the_same_number<T>(
    _: impl FnOnce() -> T,
    _: impl FnOnce(T) -> bool,
) -> Option<bool> {
    None
}
