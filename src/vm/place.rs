//! Where a range is reserved: anywhere, at an address, or near one.

use std::num::NonZeroUsize;
use std::ptr::NonNull;

use crate::error::Error;
use crate::os::{self, OsError};
use crate::pure::plan;
use crate::vm::options::Placement;

/// After so many refusals in a row that do not say that a place is taken, no other place is tried, as it is not for the place:
/// a limit on the process, or too few huge pages. A place that is too high is refused in the same words, so it is not the
/// first that ends the search; and more are, the larger the range, before the lower ones come that it fits in.
const MOST_REFUSALS: usize = 64;

/// Reserves `total` bytes near an address, where the system finds a place by itself.
pub(super) fn reserve_near_at_once(total: usize, placement: Placement) -> Option<NonNull<u8>> {
    let Placement::Near { address, distance } = placement else { return None };
    if !os::CAN_RESERVE_WITHIN {
        return None;
    }
    os::reserve_within(total, address.saturating_sub(distance), address.saturating_add(distance))
}

/// An address behind bytes that are reserved too.
pub(super) fn nonzero(address: usize) -> NonZeroUsize {
    NonZeroUsize::new(address).unwrap_or(NonZeroUsize::MAX)
}

/// Reserves by `reserve`, which is given and returns the place of `size` bytes that are subject to `placement`, at a
/// multiple of `granularity`; in all `total` bytes, of which `before` lie before that place.
pub(super) fn reserve_placed(
    size: usize,
    before: usize,
    total: usize,
    placement: Placement,
    granularity: usize,
    reserve: impl Fn(Option<NonZeroUsize>) -> Result<NonNull<u8>, OsError>,
) -> Result<NonNull<u8>, Error> {
    match placement {
        Placement::Anywhere => Ok(reserve(None)?),
        Placement::At(address) => {
            let usable = address > before
                && address.checked_add(total).is_some_and(|end| isize::try_from(end).is_ok());
            let at = NonZeroUsize::new(address).filter(|_| usable && address % granularity == 0);
            let at = at.ok_or(Error::InvalidAddress { address, granularity })?;
            reserve(Some(at)).map_err(|refusal| {
                if os::is_taken(&refusal) { Error::AddressInUse { address, size } } else { refusal.into() }
            })
        }
        Placement::Near { address, distance } if !os::CAN_CHOOSE_ADDRESS => {
            Err(Error::OutOfReach { address, distance })
        }
        Placement::Near { address, distance } => {
            let mut error = Error::OutOfReach { address, distance };
            let mut refusals = 0;
            let most_refusals = MOST_REFUSALS + size / plan::FARTHEST_STEP * 2;
            let places = plan::places_near(address, distance, size, granularity);
            for place in places.filter(|&place| place > before) {
                match reserve(NonZeroUsize::new(place)) {
                    Ok(start) => return Ok(start),
                    Err(refusal) if os::is_taken(&refusal) => {
                        (error, refusals) = (Error::OutOfReach { address, distance }, 0);
                    }
                    // A place too high, or a limit on the process: the next may be granted.
                    Err(refusal) => (error, refusals) = (refusal.into(), refusals + 1),
                }
                if refusals == most_refusals {
                    break;
                }
            }
            Err(error)
        }
    }
}
