//! One reserved range, owned: it commits one growing prefix, and goes back to the system when dropped.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::os::{self, OsError};
use crate::protection::Protection;
use crate::pure::plan;
use crate::pure::runs::Runs;

/// Where a reservation is to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    Anywhere,
    At(usize),
    /// Every byte within `distance` of `address`.
    Near {
        address: usize,
        distance: usize,
    },
}

/// How often, and after how long, a commit is tried again that the system may yet grant.
const COMMIT_RETRIES: u32 = 5;
const COMMIT_PAUSE: Duration = Duration::from_millis(20);

/// A reserved range. The first [`committed`](Self::committed) bytes are committed; the rest cannot be touched,
/// nor can the page behind the range, which is reserved with it and never committed.
///
/// When a call is refused, the region is as it was.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    /// In bytes, whole pages, the page behind the range not counted.
    size: usize,
    committed: Cell<usize>,
    /// By offset. What is usual is what pages get when they are committed.
    protections: RefCell<Runs<Protection>>,
    released: bool,
}

impl Region {
    /// Reserves `size` bytes, rounded up to pages, and commits the first step, so that what the system
    /// refuses about `protection` is refused here.
    pub(crate) fn reserve(size: usize, placement: Placement, protection: Protection) -> Result<Self, Error> {
        check(protection)?;
        let page = os::page_size();
        let whole_pages = plan::round_up(size, page).filter(|&rounded| rounded > 0);
        let with_guard = |rounded: usize| plan::round_up(rounded + 1, page).map(|total| (rounded, total));
        let (size, total) = whole_pages.and_then(with_guard).ok_or(Error::InvalidSize { size })?;
        let region = Self {
            base: reserve_placed(size, total, placement)?,
            size,
            committed: Cell::new(0),
            protections: RefCell::new(Runs::everywhere(protection)),
            released: false,
        };
        // Cursor arithmetic relies on this; no system that is supported places its users higher.
        let address = region.base.addr().get();
        if address.checked_add(total).is_none_or(|end| isize::try_from(end).is_err()) {
            return Err(Error::InvalidAddress { address, granularity: os::granularity() });
        }
        region.commit(1)?;
        Ok(region)
    }

    pub(crate) const fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn committed(&self) -> usize {
        self.committed.get()
    }

    /// What pages get when they are committed, and have unless it was changed since.
    pub(crate) fn protection(&self) -> Protection {
        self.protections.borrow().usual()
    }

    /// The address of the first byte behind the range.
    pub(crate) fn end(&self) -> usize {
        self.base.addr().get() + self.size
    }

    /// Commits at least the first `needed` bytes, which must be at most `size`.
    pub(crate) fn commit(&self, needed: usize) -> Result<(), OsError> {
        let committed = self.committed.get();
        if needed <= committed {
            return Ok(());
        }
        let page = os::page_size();
        let ahead = plan::next_commit(committed, needed, self.size, page);
        let refusal = match self.commit_up_to(ahead) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        // Less may be granted than would have been convenient, and some of it a moment later.
        let exact = needed.next_multiple_of(page);
        if exact == ahead && !os::may_pass(&refusal) {
            return Err(refusal);
        }
        let mut outcome = self.commit_up_to(exact);
        for _ in 0..COMMIT_RETRIES {
            if !outcome.is_err_and(|refusal| os::may_pass(&refusal)) {
                break;
            }
            thread::sleep(COMMIT_PAUSE);
            outcome = self.commit_up_to(exact);
        }
        outcome
    }

    /// `end` is a multiple of the page size, above `committed` and at most `size`.
    fn commit_up_to(&self, end: usize) -> Result<(), OsError> {
        let committed = self.committed.get();
        // SAFETY: pages behind the committed prefix are reserved and not committed, and the region's.
        unsafe { os::commit(self.at(committed), end - committed, self.protection()) }?;
        self.committed.set(end);
        Ok(())
    }

    /// Decommits all but the first `kept` bytes, rounded up to pages.
    ///
    /// # Safety
    /// Nothing behind the first `kept` bytes is used again before it is committed again.
    pub(crate) unsafe fn decommit(&self, kept: usize) -> Result<(), OsError> {
        let committed = self.committed.get();
        let kept = kept.next_multiple_of(os::page_size());
        if kept < committed {
            // SAFETY: the range is in the committed prefix; the caller promises that it is not used.
            unsafe { os::decommit(self.at(kept), committed - kept) }?;
            self.committed.set(kept);
            self.protections.borrow_mut().clear(kept..committed);
        }
        Ok(())
    }

    /// Changes the protection of every page that has a byte of `range`, given as offsets, and says what the first of
    /// them had. Pages not yet committed are committed first, except when `range` is the whole region: then they get
    /// `protection` once they are.
    ///
    /// When the system refuses half way, what was changed is changed back; when it refuses that too, the region counts
    /// as `NO_ACCESS` from then on.
    ///
    /// # Safety
    /// No live reference into the pages loses what it needs, now or at a later access.
    pub(crate) unsafe fn protect(
        &self,
        range: Range<usize>,
        protection: Protection,
    ) -> Result<Protection, Error> {
        check(protection)?;
        let Range { start, end } = range;
        if start > end {
            return Err(Error::RangeReversed { start, end });
        }
        if end > self.size {
            return Err(Error::RangePastEnd { end, size: self.size });
        }
        let page = os::page_size();
        let before = self.protections.borrow().at(start);
        if start == end {
            return Ok(before);
        }
        let whole = start == 0 && end == self.size;
        let start = start / page * page;
        let end = if whole {
            self.committed.get()
        } else {
            let end = end.next_multiple_of(page);
            self.commit(end)?;
            end
        };
        if start < end {
            // SAFETY: the range lies in the committed prefix; the rest is the caller's promise.
            if let Err(refusal) = unsafe { self.set_pages(start..end, protection) } {
                self.restore(start..end);
                return Err(refusal.into());
            }
        }
        if whole {
            self.protections.replace(Runs::everywhere(protection));
        } else {
            self.protections.borrow_mut().set(start..end, protection);
        }
        Ok(before)
    }

    /// # Safety
    /// As [`protect`](Self::protect); `pages` lie in the committed prefix and are not empty.
    unsafe fn set_pages(&self, pages: Range<usize>, protection: Protection) -> Result<(), OsError> {
        let (start, len) = (self.at(pages.start), pages.len());
        // The caches are flushed by address, which takes pages that can be read.
        let for_flushing = protection | Protection::READ;
        // SAFETY: as the function's contract.
        unsafe {
            if protection.is_executable() {
                os::protect(start, len, for_flushing)?;
                os::flush_instruction_cache(start, len)?;
                if protection == for_flushing {
                    return Ok(());
                }
            }
            os::protect(start, len, protection)
        }
    }

    /// After a failure that may have changed some of `pages`.
    fn restore(&self, pages: Range<usize>) {
        let runs = self.protections.borrow().within(pages);
        let torn = runs.into_iter().any(|(run, protection)| {
            // SAFETY: the range lies in the committed prefix and gets what it had.
            unsafe { os::protect(self.at(run.start), run.len(), protection) }.is_err()
        });
        if torn {
            self.protections.replace(Runs::everywhere(Protection::NO_ACCESS));
        }
    }

    /// Gives the range back. After a refusal it is tried once more, as on drop.
    pub(crate) fn release(mut self) -> Result<(), OsError> {
        // SAFETY: the region owns the reservation and is consumed; `drop` knows whether it is gone.
        unsafe { os::release(self.base, self.total()) }?;
        self.released = true;
        Ok(())
    }

    /// The bytes reserved, the page behind the range counted.
    fn total(&self) -> usize {
        self.size + os::page_size()
    }

    /// The place at `offset`, with the provenance of the whole range.
    fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset <= self.size);
        // SAFETY: an offset up to `size` stays in the reservation, or at the page behind it.
        unsafe { self.base.add(offset) }
    }
}

impl Drop for Region {
    /// Nobody can be told of a refusal here, so the memory at least is given back, and the address space tried again.
    fn drop(&mut self) {
        if self.released {
            return;
        }
        // SAFETY: the region owns the reservation, and nothing of it is used after the drop.
        unsafe {
            if os::release(self.base, self.total()).is_err() {
                let _ = self.decommit(0);
                let _ = os::release(self.base, self.total());
            }
        }
    }
}

/// Refuses a protection that does not exist, or not here.
fn check(protection: Protection) -> Result<(), Error> {
    protection.to_win32()?;
    os::unsupported(protection).map_or(Ok(()), |option| Err(Error::Unsupported { option }))
}

/// Reserves `total` bytes, of which the first `size` are subject to `placement`.
fn reserve_placed(size: usize, total: usize, placement: Placement) -> Result<NonNull<u8>, Error> {
    let granularity = os::granularity();
    match placement {
        Placement::Anywhere => Ok(os::reserve(total, None)?),
        Placement::At(address) => {
            let usable = address.checked_add(total).is_some_and(|end| isize::try_from(end).is_ok());
            let at = NonZeroUsize::new(address).filter(|_| usable && address % granularity == 0);
            let at = at.ok_or(Error::InvalidAddress { address, granularity })?;
            os::reserve(total, Some(at)).map_err(|refusal| {
                if os::is_taken(&refusal) { Error::AddressInUse { address, size } } else { refusal.into() }
            })
        }
        Placement::Near { address, distance } => {
            let mut error = Error::OutOfReach { address, distance };
            for place in plan::places_near(address, distance, size, granularity) {
                match os::reserve(total, NonZeroUsize::new(place)) {
                    Ok(start) => return Ok(start),
                    Err(refusal) if os::is_taken(&refusal) => error = Error::OutOfReach { address, distance },
                    // A place too high, or a limit on the process: the next may be granted.
                    Err(refusal) => error = refusal.into(),
                }
            }
            Err(error)
        }
    }
}
