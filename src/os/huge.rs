//! Huge pages on Unix: Linux has two kinds, other systems none that can be asked for.
//!
//! Transparent ones come and go by advice, as the kernel finds memory for them
//! (<https://docs.kernel.org/admin-guide/mm/transhuge.html>). Reserved ones come from a pool that the administrator
//! fills, and are there for good (<https://docs.kernel.org/admin-guide/mm/hugetlbpage.html>).

use std::num::NonZeroUsize;
use std::ptr::NonNull;

use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, ProtFlags};

use super::{Call, NO_REPLACE, OsError, page_size, protect, release, reserve};
use crate::protection::Protection;

/// What one entry of the second lowest page table covers: 2 MiB with pages of 4 KiB.
pub(in crate::os) fn huge_page() -> Option<usize> {
    Some(page_size() * (page_size() / size_of::<u64>()))
}

/// With larger pages huge ones are 32 MiB and up: too much to take on advice.
pub(in crate::os) fn advised_huge_page() -> Option<usize> {
    huge_page().filter(|_| page_size() == 4096)
}

unsafe fn advise(call: Call, start: NonNull<u8>, len: usize, advice: Advice) -> Result<(), OsError> {
    // SAFETY: the caller's; neither advice changes what the range holds.
    unsafe { mm::madvise(start.as_ptr().cast(), len, advice) }
        .map_err(|errno| OsError::new(call, len, errno.raw_os_error()))
}

pub(in crate::os) unsafe fn advise_huge(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    unsafe { advise(Call::AdviseHuge, start, len, Advice::LinuxHugepage) }
}

/// A kernel without huge pages does not know the advice, and follows it.
pub(in crate::os) unsafe fn advise_small(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    let outcome = unsafe { advise(Call::AdviseSmall, start, len, Advice::LinuxNoHugepage) };
    outcome.or_else(|error| if error.code == Errno::INVAL.raw_os_error() { Ok(()) } else { Err(error) })
}

/// How often another place is looked for when somebody took the one that was just found.
const TRIES: usize = 8;

pub(in crate::os) fn reserve_huge(
    size: usize,
    at: Option<NonZeroUsize>,
    before: usize,
    protection: Protection,
) -> Result<NonNull<u8>, OsError> {
    let mut outcome = Err(refused(size, Errno::EXIST));
    for _ in 0..TRIES {
        outcome = reserve_huge_once(size, at, before, protection);
        let taken = outcome.is_err_and(|error| error.code == super::TAKEN);
        if !taken || at.is_some() {
            break;
        }
    }
    outcome
}

fn refused(size: usize, errno: Errno) -> OsError {
    OsError::new(Call::ReserveHuge, size, errno.raw_os_error())
}

/// Where there is not room enough to choose, huge pages begin later.
pub(in crate::os) fn reserve_for_advice(size: usize, offset: usize) -> Result<NonNull<u8>, OsError> {
    let aligned = huge_page().and_then(|unit| reserve_aligned(size, offset, unit).ok());
    aligned.map_or_else(|| reserve(size, None), Ok)
}

/// Reserves `size` bytes so that a multiple of `unit` lies at `offset`: more than that, of which the ends go back.
fn reserve_aligned(size: usize, offset: usize, unit: usize) -> Result<NonNull<u8>, OsError> {
    let slack = unit - page_size();
    let ample = size.checked_add(slack).ok_or_else(|| refused(size, Errno::NOMEM))?;
    let start = reserve(ample, None)?;
    let wanted = start.addr().get() + offset;
    let before = wanted.next_multiple_of(unit) - wanted;
    let behind = slack - before;
    // SAFETY: nobody knows of the mapping; all of this lies in it, as it starts at a page.
    unsafe {
        let aligned = start.add(before);
        // Giving an end back may be refused where the kernel has made one mapping of this and a neighbour: then all of it goes
        // back, if it can.
        give_back(start, before).inspect_err(|_| _ = release(start, ample))?;
        give_back(aligned.add(size), behind).inspect_err(|_| _ = release(aligned, size + behind))?;
        Ok(aligned)
    }
}

/// # Safety
/// As [`release`], but `len` may be 0.
unsafe fn give_back(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    if len == 0 { Ok(()) } else { unsafe { release(start, len) } }
}

/// Finds a hole with room for what lies before and behind the range too, gives back all of it but that, and maps the huge
/// pages there, if nobody was faster. A mapping made in place of the hole would leave one that others can be given when
/// it is refused.
fn reserve_huge_once(
    size: usize,
    at: Option<NonZeroUsize>,
    before: usize,
    protection: Protection,
) -> Result<NonNull<u8>, OsError> {
    let (page, huge) = (page_size(), huge_page().unwrap_or(1));
    let all = before + size + page;
    let hole = match at {
        Some(at) => reserve(all, NonZeroUsize::new(at.get() - before)),
        None => reserve_aligned(all, before, huge),
    };
    let hole = hole.map_err(|error| OsError { call: Call::ReserveHuge, ..error })?;
    // SAFETY: all of this lies in the hole, which is this function's; what is given back is not used again.
    let (start, behind) = unsafe {
        let start = hole.add(before);
        release(start, size)?;
        (start, start.add(size))
    };
    let outcome = map_huge(start, size, huge, protection);
    if outcome.is_err() {
        // SAFETY: nobody knows of the pages.
        unsafe {
            give_back(hole, before)?;
            release(behind, page)?;
        }
    }
    outcome
}

fn map_huge(
    start: NonNull<u8>,
    size: usize,
    huge: usize,
    protection: Protection,
) -> Result<NonNull<u8>, OsError> {
    // The size is named, as the default of the system may be another: its logarithm, in the highest bits.
    let named = MapFlags::from_bits_retain(huge.ilog2() << MAP_HUGE_SHIFT);
    let flags = MapFlags::PRIVATE | MapFlags::HUGETLB | NO_REPLACE | named;
    // SAFETY: no mapping is replaced.
    let mapped =
        unsafe { mm::mmap_anonymous(start.as_ptr().cast(), size, ProtFlags::READ | ProtFlags::WRITE, flags) };
    let mapped = NonNull::new(mapped.map_err(|errno| refused(size, errno))?.cast::<u8>());
    let mapped = mapped.ok_or_else(|| refused(size, Errno::NOMEM))?;
    let refuse = |error: OsError| {
        // SAFETY: the mapping was made above, and nobody knows of it.
        let _ = unsafe { mm::munmap(mapped.as_ptr().cast(), size) };
        Err(error)
    };
    if mapped != start {
        // Where it is only a hint: kernels before 4.17, and Android by way of `rustix`.
        return refuse(refused(size, Errno::EXIST));
    }
    // The pool has set the pages aside; a control group may still refuse them, and that is to be known now.
    // SAFETY: the mapping is this function's.
    match unsafe { mm::madvise(mapped.as_ptr().cast(), size, Advice::LinuxPopulateWrite) } {
        // Kernels before 5.14 do not know the advice.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return refuse(refused(size, errno)),
    }
    if protection != Protection::READ_WRITE {
        // SAFETY: as above.
        if let Err(error) = unsafe { protect(mapped, size, protection) } {
            return refuse(OsError { call: Call::ReserveHuge, ..error });
        }
    }
    Ok(mapped)
}

/// <https://man7.org/linux/man-pages/man2/mmap.2.html>, under `MAP_HUGE_2MB`.
const MAP_HUGE_SHIFT: u32 = 26;

/// From `/proc/self/smaps` (<https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html>).
pub(in crate::os) fn on_huge_pages(start: NonNull<u8>, len: usize) -> Option<usize> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    Some(huge_in(&smaps, start.addr().get(), start.addr().get() + len))
}

/// The bytes on huge pages that the mappings within `start..end` have.
fn huge_in(smaps: &str, start: usize, end: usize) -> usize {
    let (mut total, mut overlap) = (0, 0);
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(first), second) = (words.next(), words.next()) else { continue };
        if let Some((from, to)) = first.split_once('-') {
            let parsed = usize::from_str_radix(from, 16).ok().zip(usize::from_str_radix(to, 16).ok());
            overlap = parsed.map_or(0, |(from, to)| to.min(end).saturating_sub(from.max(start)));
        } else if ["AnonHugePages:", "Private_Hugetlb:"].contains(&first) {
            let kib: usize = second.and_then(|number| number.parse().ok()).unwrap_or(0);
            total += (kib * 1024).min(overlap);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::huge_in;

    #[test]
    fn the_huge_pages_of_the_mappings_in_a_range_are_counted() {
        let smaps = "\
55d0-55e0 r--p 00000000 fd:00 1 /bin/x\nSize: 4 kB\nAnonHugePages: 2048 kB\nVmFlags: rd mr\n\
10000000-10800000 rw-p 00000000 00:00 0\nSize: 8192 kB\nAnonHugePages: 4096 kB\nPrivate_Hugetlb: 0 kB\n\
10800000-10c00000 rw-p 00000000 00:0f 2 /anon_hugepage (deleted)\nPrivate_Hugetlb: 4096 kB\n\
10c00000-10d00000 ---p 00000000 00:00 0\nAnonHugePages: 0 kB\n";
        assert_eq!(huge_in(smaps, 0x1000_0000, 0x10d0_0000), 8 << 20);
        assert_eq!(huge_in(smaps, 0x1000_0000, 0x1080_0000), 4 << 20);
        assert_eq!(huge_in(smaps, 0x1070_0000, 0x1090_0000), 2 << 20);
        assert_eq!(huge_in(smaps, 0x2000_0000, 0x2000_1000), 0);
        assert_eq!(huge_in("", 0, usize::MAX), 0);
    }
}
