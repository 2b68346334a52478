//! Unix: `mmap` and its kin, through `rustix`. Linux is the measure; where the others differ, a comment says so.

use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};

use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, MprotectFlags, ProtFlags};

use super::{Call, OsError};
use crate::protection::Protection;

/// `MAP_NORESERVE` keeps the reservation out of the overcommit heuristics; the BSDs never count it.
/// <https://man7.org/linux/man-pages/man2/mmap.2.html>
#[cfg(not(any(target_os = "freebsd", target_os = "dragonfly", target_os = "redox", target_os = "hurd")))]
const RESERVE: MapFlags = MapFlags::PRIVATE.union(MapFlags::NORESERVE);
#[cfg(any(target_os = "freebsd", target_os = "dragonfly", target_os = "redox", target_os = "hurd"))]
const RESERVE: MapFlags = MapFlags::PRIVATE;

/// Plain `MAP_FIXED` replaces what is there. Linux 4.17 and later can refuse instead; older kernels and other
/// systems take the address as a hint and may return another, which `reserve` gives back.
#[cfg(target_os = "linux")]
const NO_REPLACE: MapFlags = MapFlags::FIXED_NOREPLACE;
#[cfg(not(target_os = "linux"))]
const NO_REPLACE: MapFlags = MapFlags::empty();

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "huge.rs"]
mod huge;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "lineage.rs"]
mod lineage;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "secret.rs"]
mod secret;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) use self::{
    huge::{
        advise_huge, advise_small, advised_huge_page, huge_page, on_huge_pages, reserve_for_advice,
        reserve_huge,
    },
    lineage::lineage,
    secret::{HAS_SECRET_ADVICE, exclude_from_dumps, omit_on_fork, wipe_on_fork},
};

// Elsewhere there is nothing of the kind, or nothing that can be asked for.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) use super::absent::{
    HAS_SECRET_ADVICE, advise_huge, advise_small, advised_huge_page, exclude_from_dumps, huge_page, lineage,
    omit_on_fork, on_huge_pages, reserve_for_advice, reserve_huge, wipe_on_fork,
};

// A hint is for one address, not for a range of them; memory is found at the first touch, not at the commit, so that
// waiting changes nothing.
pub(super) use super::absent::{CAN_RESERVE_WITHIN, may_pass, reserve_within};

/// Address space is cheap: more than anybody fills, and little of what there is.
pub(super) const GROWING: usize = 64 << 30;

pub(super) const COMMIT_IS_CHARGED: bool = false;

pub(super) const CAN_CHOOSE_ADDRESS: bool = true;

pub(super) const PAGE_BEHIND_HUGE: bool = true;

pub(super) const TAKEN: i32 = Errno::EXIST.raw_os_error();

/// What the kernel says of addresses that no mapping has.
pub(super) const OMITTED: i32 = Errno::NOMEM.raw_os_error();

/// What an unknown request is answered with.
pub(super) const UNKNOWN: i32 = Errno::NOTSUP.raw_os_error();

#[cfg(test)]
pub(super) const OUT_OF_MEMORY: i32 = Errno::NOMEM.raw_os_error();

pub(super) fn name_of(call: Call) -> &'static str {
    match call {
        Call::Reserve => "mmap",
        Call::ReserveHuge => "mmap(MAP_HUGETLB)",
        Call::Commit | Call::Protect => "mprotect",
        Call::Decommit if DECOMMIT_BY_MPROTECT => "madvise(MADV_DONTNEED), mprotect(PROT_NONE)",
        Call::Decommit => "mmap(MAP_FIXED, PROT_NONE)",
        Call::Discard => "madvise(MADV_FREE)",
        Call::AdviseHuge => "madvise(MADV_HUGEPAGE)",
        Call::AdviseSmall => "madvise(MADV_NOHUGEPAGE)",
        Call::Release => "munmap",
        Call::Lock => "mlock",
        Call::Unlock => "munlock",
        Call::ExcludeFromDumps => "madvise(MADV_DONTDUMP)",
        Call::WipeOnFork => "madvise(MADV_WIPEONFORK)",
        Call::OmitOnFork => "madvise(MADV_DONTFORK)",
        Call::FlushInstructionCache => "flush",
    }
}

/// <https://man7.org/linux/man-pages/man2/mmap.2.html>, <https://man7.org/linux/man-pages/man2/mprotect.2.html>,
/// <https://man7.org/linux/man-pages/man2/mlock.2.html>, under ERRORS.
pub(super) fn usual_cause(call: Call, code: i32) -> Option<&'static str> {
    match (call, Errno::from_raw_os_error(code)) {
        (Call::Reserve, Errno::NOMEM) => Some(
            "usually a limit on the address space (RLIMIT_AS: see `ulimit -v`), a size beyond what the processor can \
             address, or too many mappings (vm.max_map_count)",
        ),
        (Call::ReserveHuge, Errno::NOMEM | Errno::FAULT) => Some(
            "usually the pool of huge pages is too small: see vm.nr_hugepages and vm.nr_overcommit_hugepages, or a \
             limit of the control group (hugetlb.2MB.max)",
        ),
        (Call::ReserveHuge, Errno::INVAL | Errno::NODEV | Errno::NOSYS) => {
            Some("usually a kernel or processor without huge pages of this size")
        }
        (Call::AdviseHuge, Errno::INVAL) => Some("usually a kernel without transparent huge pages"),
        (Call::Commit, Errno::NOMEM) => Some(
            "usually strict accounting (vm.overcommit_memory = 2), a limit on data (RLIMIT_DATA: see `ulimit -d`), or \
             too many mappings (vm.max_map_count)",
        ),
        (Call::Protect | Call::Decommit | Call::Release, Errno::NOMEM) => {
            Some("usually too many mappings: the call would split one (vm.max_map_count)")
        }
        (Call::Discard | Call::Decommit, Errno::INVAL) => {
            Some("usually pages locked in memory (mlock, mlockall), which are not given back")
        }
        (Call::Commit | Call::Protect, Errno::ACCESS | Errno::PERM | Errno::NOTSUP) => Some(
            "usually a security policy (SELinux, PaX, a hardened runtime) that forbids executable memory",
        ),
        (Call::Lock, Errno::NOMEM | Errno::AGAIN | Errno::PERM) => Some(
            "usually a limit on locked memory (RLIMIT_MEMLOCK: see `ulimit -l`), or pages that allow no access",
        ),
        (Call::WipeOnFork, Errno::INVAL) => {
            Some("usually a kernel before 4.14, or huge pages from the pool, which are not wiped")
        }
        _ => None,
    }
}

pub(super) fn page_size() -> usize {
    rustix::param::page_size()
}

pub(super) fn granularity() -> usize {
    page_size()
}

pub(super) fn unsupported(protection: Protection) -> Option<&'static str> {
    let windows_only = [
        (Protection::GUARD, "Protection::GUARD"),
        (Protection::NO_CACHE, "Protection::NO_CACHE"),
        (Protection::WRITE_COMBINE, "Protection::WRITE_COMBINE"),
        (Protection::TARGETS_INVALID, "Protection::TARGETS_INVALID"),
    ];
    if let Some((_, name)) = windows_only.iter().find(|(flag, _)| protection.intersects(*flag)) {
        return Some(name);
    }
    // https://developer.apple.com/documentation/apple-silicon/porting-just-in-time-compilers-to-apple-silicon
    if cfg!(all(target_vendor = "apple", target_arch = "aarch64"))
        && protection.contains(Protection::READ_WRITE_EXECUTE)
    {
        return Some("Protection::READ_WRITE_EXECUTE");
    }
    if protection.is_executable() && !CAN_FLUSH {
        return Some("an executable protection");
    }
    None
}

/// A hint is honoured only where a mapping would be put without one: not within the gap (1 MiB with pages of 4 KiB) that the
/// kernel keeps free below a stack, as frames larger than a page may step over less. `MAP_FIXED_NOREPLACE` does not heed the
/// gap (<https://man7.org/linux/man-pages/man2/mmap.2.html>, under `MAP_GROWSDOWN`): what lay in it, if only for a moment, would
/// make room there for what another thread asks for. So the hint decides.
pub(super) fn reserve(size: usize, at: Option<NonZeroUsize>) -> Result<NonNull<u8>, OsError> {
    let start = map(size, at.map_or(0, NonZeroUsize::get), RESERVE)?;
    match at {
        Some(at) if start.addr() != at => {
            unmap_new(start, size)?;
            Err(why_not(size, at))
        }
        _ => Ok(start),
    }
}

/// Whether a place that was refused is taken, or too low or too high, found out without a mapping: one that is neither private
/// nor shared is none, which Linux says when it has looked at the place.
#[cfg(target_os = "linux")]
fn why_not(size: usize, at: NonZeroUsize) -> OsError {
    match map(size, at.get(), NO_REPLACE) {
        Err(refusal) if refusal.code != Errno::INVAL.raw_os_error() => refusal,
        Err(_) => taken(size),
        // A system that does not mind.
        Ok(start) => unmap_new(start, size).err().unwrap_or(taken(size)),
    }
}

#[cfg(not(target_os = "linux"))]
const fn why_not(size: usize, _: NonZeroUsize) -> OsError {
    taken(size)
}

const fn taken(size: usize) -> OsError {
    OsError::new(Call::Reserve, size, TAKEN)
}

fn map(size: usize, address: usize, flags: MapFlags) -> Result<NonNull<u8>, OsError> {
    let refused = |errno: Errno| OsError::new(Call::Reserve, size, errno.raw_os_error());
    let hint = ptr::without_provenance_mut(address);
    // SAFETY: a new mapping; no flag that replaces one is set.
    let start = unsafe { mm::mmap_anonymous(hint, size, ProtFlags::empty(), flags) }.map_err(refused)?;
    NonNull::new(start.cast::<u8>()).ok_or_else(|| refused(Errno::NOMEM))
}

/// Takes back what [`map`] made.
fn unmap_new(start: NonNull<u8>, size: usize) -> Result<(), OsError> {
    // SAFETY: the mapping was just made, and nobody knows of it.
    unsafe { mm::munmap(start.as_ptr().cast(), size) }
        .map_err(|errno| OsError::new(Call::Reserve, size, errno.raw_os_error()))
}

fn prot_flags(protection: Protection) -> MprotectFlags {
    let mut flags = MprotectFlags::empty();
    flags.set(MprotectFlags::READ, protection.contains(Protection::READ));
    flags.set(MprotectFlags::WRITE, protection.contains(Protection::READ_WRITE));
    flags.set(MprotectFlags::EXEC, protection.contains(Protection::EXECUTE));
    flags
}

unsafe fn mprotect(call: Call, start: NonNull<u8>, len: usize, flags: MprotectFlags) -> Result<(), OsError> {
    // SAFETY: the caller's.
    unsafe { mm::mprotect(start.as_ptr().cast(), len, flags) }
        .map_err(|errno| OsError::new(call, len, errno.raw_os_error()))
}

pub(super) unsafe fn commit(start: NonNull<u8>, len: usize, protection: Protection) -> Result<(), OsError> {
    // SAFETY: the caller's.
    let outcome = unsafe { mprotect(Call::Commit, start, len, prot_flags(protection)) };
    if outcome.is_err() {
        // Where the range is several mappings, as after a fork, the first may have been changed before the refusal.
        // SAFETY: as above: the range is to be reserved and not committed.
        let _ = unsafe { mprotect(Call::Commit, start, len, MprotectFlags::empty()) };
    }
    outcome
}

/// On Linux `MADV_DONTNEED` frees private pages at once, and they read as zero afterwards
/// (<https://man7.org/linux/man-pages/man2/madvise.2.html>). A fresh mapping in place of the old would do the same,
/// but a failure half way leaves a hole that another thread may be given.
const DECOMMIT_BY_MPROTECT: bool = cfg!(any(target_os = "linux", target_os = "android"));

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) unsafe fn decommit(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    let refused = |errno: Errno| OsError::new(Call::Decommit, len, errno.raw_os_error());
    // SAFETY: the caller's; should the second call fail, the pages are still committed, and zero.
    unsafe {
        mm::madvise(start.as_ptr().cast(), len, Advice::LinuxDontNeed).map_err(refused)?;
        mprotect(Call::Decommit, start, len, MprotectFlags::empty())
    }
}

/// Elsewhere advice promises neither zeroes nor memory: only a fresh mapping does.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) unsafe fn decommit(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    let flags = RESERVE.union(MapFlags::FIXED);
    // SAFETY: the caller owns the range that is replaced.
    unsafe { mm::mmap_anonymous(start.as_ptr().cast(), len, ProtFlags::empty(), flags) }
        .map(drop)
        .map_err(|errno| OsError::new(Call::Decommit, len, errno.raw_os_error()))
}

/// `MADV_FREE` lets the kernel take the pages when it wants them; until then they cost nothing to touch again.
#[cfg(any(target_os = "linux", target_os = "android"))]
const DISCARD: Advice = Advice::LinuxFree;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const DISCARD: Advice = Advice::DontNeed;

pub(super) unsafe fn discard(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    unsafe { mm::madvise(start.as_ptr().cast(), len, DISCARD) }
        .map_err(|errno| OsError::new(Call::Discard, len, errno.raw_os_error()))
}

pub(super) unsafe fn protect(start: NonNull<u8>, len: usize, protection: Protection) -> Result<(), OsError> {
    // SAFETY: the caller's.
    unsafe { mprotect(Call::Protect, start, len, prot_flags(protection)) }
}

pub(super) unsafe fn release(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    unsafe { mm::munmap(start.as_ptr().cast(), len) }
        .map_err(|errno| OsError::new(Call::Release, len, errno.raw_os_error()))
}

pub(super) unsafe fn lock(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    unsafe { mm::mlock(start.as_ptr().cast(), len) }
        .map_err(|errno| OsError::new(Call::Lock, len, errno.raw_os_error()))
}

pub(super) unsafe fn unlock(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    unsafe { mm::munlock(start.as_ptr().cast(), len) }
        .map_err(|errno| OsError::new(Call::Unlock, len, errno.raw_os_error()))
}

/// Whether code can be made visible to instruction fetch here.
const CAN_FLUSH: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// x86 keeps instruction fetch coherent with stores.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn flush_instruction_cache(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}

#[cfg(all(target_arch = "aarch64", target_vendor = "apple"))]
pub(super) unsafe fn flush_instruction_cache(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    unsafe extern "C" {
        // `man 3 sys_icache_invalidate`, in libSystem.
        fn sys_icache_invalidate(start: *mut std::ffi::c_void, len: usize);
    }
    // SAFETY: the caller owns the range.
    unsafe { sys_icache_invalidate(start.as_ptr().cast(), len) };
    Ok(())
}

/// Arm Architecture Reference Manual for A-profile, "Synchronization and coherency issues between data and instruction
/// accesses": clean the data cache to the point of unification, then invalidate the instruction cache.
#[cfg(all(target_arch = "aarch64", not(target_vendor = "apple")))]
pub(super) unsafe fn flush_instruction_cache(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    use std::arch::asm;
    let cache_type: u64;
    // SAFETY: CTR_EL0 may be read here; kernels that trap it emulate it.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) cache_type, options(nomem, nostack, preserves_flags)) };
    let line = |log2_words: u64| 4_usize << (log2_words & 0xf);
    let end = start.addr().get() + len;
    let lines = |size: usize| (start.addr().get() & !(size - 1)..end).step_by(size);
    // SAFETY: cache maintenance by address, on pages that the caller can read.
    unsafe {
        for address in lines(line(cache_type >> 16)) {
            asm!("dc cvau, {}", in(reg) address, options(nostack, preserves_flags));
        }
        asm!("dsb ish", options(nostack, preserves_flags));
        for address in lines(line(cache_type)) {
            asm!("ic ivau, {}", in(reg) address, options(nostack, preserves_flags));
        }
        asm!("dsb ish", "isb", options(nostack, preserves_flags));
    }
    synchronize_other_cores();
    Ok(())
}

/// The instruction caches of all cores are clean by now, but what another core has fetched before it may still run: it takes
/// an `isb` there too, or an exception, before the core runs code that lies where other code lay. `membarrier` has every
/// core that runs a thread of this process do so; the others do when they are given one.
/// <https://man7.org/linux/man-pages/man2/membarrier.2.html>
///
/// The first call of a process registers it. Kernels before 4.16, and sandboxes, may refuse both: then a thread that has
/// entered the kernel since, as one does that was started or had to wait, runs what was written; of one that was spinning all
/// the while that is not promised.
#[cfg(all(target_arch = "aarch64", any(target_os = "linux", target_os = "android")))]
fn synchronize_other_cores() {
    use rustix::thread::{MembarrierCommand, membarrier};
    let synchronize = || membarrier(MembarrierCommand::PrivateExpeditedSyncCore);
    if synchronize() == Err(Errno::PERM) {
        let registered = membarrier(MembarrierCommand::RegisterPrivateExpeditedSyncCore);
        let _ = registered.and_then(|()| synchronize());
    }
}

/// The BSDs have no such call.
#[cfg(all(
    target_arch = "aarch64",
    not(any(target_os = "linux", target_os = "android", target_vendor = "apple"))
))]
const fn synchronize_other_cores() {}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) unsafe fn flush_instruction_cache(_: NonNull<u8>, _: usize) -> Result<(), OsError> {
    Ok(())
}
