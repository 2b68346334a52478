//! Where the system cannot be told about memory that others should not see. Nobody calls these: the option is refused
//! before.

use std::ptr::NonNull;

use super::{Call, OsError, UNKNOWN};

pub(in crate::os) const HAS_SECRET_ADVICE: bool = false;

pub(in crate::os) const unsafe fn exclude_from_dumps(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    Err(OsError::new(Call::ExcludeFromDumps, len, UNKNOWN))
}

pub(in crate::os) const unsafe fn wipe_on_fork(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    Err(OsError::new(Call::WipeOnFork, len, UNKNOWN))
}

pub(in crate::os) const unsafe fn omit_on_fork(_: NonNull<u8>, len: usize) -> Result<(), OsError> {
    Err(OsError::new(Call::OmitOnFork, len, UNKNOWN))
}
