//! What Linux can be told about memory that others should not see.
//! <https://man7.org/linux/man-pages/man2/madvise.2.html>

use std::ptr::NonNull;

use rustix::mm::{self, Advice};

use super::{Call, OsError};

pub(in crate::os) const HAS_SECRET_ADVICE: bool = true;

unsafe fn advise(call: Call, start: NonNull<u8>, len: usize, advice: Advice) -> Result<(), OsError> {
    // SAFETY: the caller's; none of these changes what the range holds in this process.
    unsafe { mm::madvise(start.as_ptr().cast(), len, advice) }
        .map_err(|errno| OsError::new(call, len, errno.raw_os_error()))
}

pub(in crate::os) unsafe fn exclude_from_dumps(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    unsafe { advise(Call::ExcludeFromDumps, start, len, Advice::LinuxDontDump) }
}

pub(in crate::os) unsafe fn wipe_on_fork(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    unsafe { advise(Call::WipeOnFork, start, len, Advice::LinuxWipeOnFork) }
}

pub(in crate::os) unsafe fn omit_on_fork(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: the caller's.
    unsafe { advise(Call::OmitOnFork, start, len, Advice::LinuxDontFork) }
}
