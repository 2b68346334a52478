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
use crate::pure::plan::{self, Huge, Steps};
use crate::pure::runs::Runs;
use crate::vm::options::{HugePages, Options, Placement};

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
    /// The highest address that may have been written since the range was last taken, where it is above every cursor.
    high: Cell<usize>,
    /// As far may have been written before: from there, and from `high`, on memory is zero.
    dirt: Cell<usize>,
    /// The size that was asked for.
    asked: usize,
    /// Whether the next arena of the size may have the range, as nothing sets it apart from others.
    plain: Cell<bool>,
    steps: Steps,
    /// What the system said when it was asked for huge pages, if it was.
    advised: Cell<Option<Result<(), OsError>>>,
    /// By offset. What is usual is what pages get when they are committed.
    protections: RefCell<Runs<Protection>>,
    options: Options,
    /// The bytes reserved, the page behind the range counted.
    total: usize,
    released: bool,
}

impl Region {
    /// Reserves what `options` say, their size rounded up to pages, and commits the first step, so that what the system
    /// refuses about the protection is refused here.
    pub(crate) fn reserve(options: Options) -> Result<Self, Error> {
        check(options.protection)?;
        if options.huge_pages == HugePages::Required {
            return Self::reserve_huge(options);
        }
        let page = os::page_size();
        let invalid = Error::InvalidSize { size: options.size };
        let size = plan::round_up(options.size, page).filter(|&rounded| rounded > 0).ok_or(invalid)?;
        let transparent = options.huge_pages == HugePages::Transparent;
        let huge = os::advised_huge_page().filter(|&huge| transparent && size >= plan::SMALL_PART + huge);
        let total = size.checked_add(page).and_then(|total| plan::round_up(total, page)).ok_or(invalid)?;
        let base = match huge {
            // So that huge pages begin right behind the small part wherever the system puts the range.
            Some(_) if options.placement == Placement::Anywhere => {
                os::reserve_for_advice(total, plan::SMALL_PART)?
            }
            _ => reserve_placed(size, total, options.placement, os::granularity(), |at| {
                os::reserve(total, at)
            })?,
        };
        let steps = Steps {
            page,
            least: if os::COMMIT_IS_CHARGED { plan::LEAST_CHARGED } else { plan::LEAST_FREE },
            huge: huge.and_then(|huge| Huge::of(base.addr().get(), size, huge)),
        };
        let region = Self::over(base, size, total, steps, options)?;
        if region.options.huge_pages == HugePages::Never {
            // SAFETY: the range is the region's.
            unsafe { os::advise_small(region.base, region.size) }?;
        }
        region.commit(1)?;
        Ok(region)
    }

    fn reserve_huge(options: Options) -> Result<Self, Error> {
        let page = os::huge_page().ok_or(Error::Unsupported { option: "HugePages::Required" })?;
        let invalid = Error::InvalidSize { size: options.size };
        let size = plan::round_up(options.size, page).filter(|&rounded| rounded > 0).ok_or(invalid)?;
        let total = size.checked_add(os::page_size()).and_then(|total| plan::round_up(total, 1));
        let total = total.ok_or(invalid)?;
        let base = reserve_placed(size, total, options.placement, page, |at| {
            os::reserve_huge(size, at, options.protection)
        })?;
        let steps = Steps { page, least: size, huge: None };
        let region = Self::over(base, size, total, steps, options)?;
        region.committed.set(size);
        Ok(region)
    }

    fn over(
        base: NonNull<u8>,
        size: usize,
        total: usize,
        steps: Steps,
        options: Options,
    ) -> Result<Self, Error> {
        let region = Self {
            base,
            size,
            committed: Cell::new(0),
            high: Cell::new(base.addr().get()),
            dirt: Cell::new(base.addr().get()),
            asked: options.size,
            plain: Cell::new(options.are_plain()),
            steps,
            advised: Cell::new(None),
            protections: RefCell::new(Runs::everywhere(options.protection)),
            options,
            total,
            released: false,
        };
        // Cursor arithmetic relies on this; no system that is supported places its users higher.
        let address = region.base.addr().get();
        if address.checked_add(total).is_none_or(|end| isize::try_from(end).is_err()) {
            return Err(Error::InvalidAddress { address, granularity: os::granularity() });
        }
        Ok(region)
    }

    pub(crate) const fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// The size that was asked for, and that an arena must ask for to get this range again.
    pub(crate) const fn asked(&self) -> usize {
        self.asked
    }

    /// `size` was asked for before, and refused.
    pub(crate) fn set_asked(&mut self, size: usize) {
        self.asked = size;
    }

    pub(crate) const fn options(&self) -> &Options {
        &self.options
    }

    /// Where huge pages begin, if the range is to have any: an offset.
    pub(crate) fn huge_from(&self) -> Option<usize> {
        self.steps.huge.map(|huge| huge.from)
    }

    /// What the system said when it was asked for huge pages, if it was.
    pub(crate) fn advised(&self) -> Option<Result<(), OsError>> {
        self.advised.get()
    }

    /// How many bytes are on huge pages, if the system says.
    pub(crate) fn on_huge_pages(&self) -> Option<usize> {
        os::on_huge_pages(self.base, self.size)
    }

    pub(crate) fn committed(&self) -> usize {
        self.committed.get()
    }

    /// The highest address that may have been written, where it is above every cursor.
    #[inline]
    pub(crate) fn high(&self) -> usize {
        self.high.get().max(self.dirt.get())
    }

    /// Before another life of the range begins, with a cursor at its base.
    #[inline]
    pub(crate) fn begin_anew(&self) {
        self.dirt.set(self.high());
        self.high.set(self.base.addr().get());
    }

    /// To be called before a cursor is lowered from `address`.
    #[inline]
    pub(crate) fn note(&self, address: usize) {
        self.high.set(self.high.get().max(address));
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
        if let Some(huge) = self.steps.huge.filter(|huge| needed > huge.from) {
            self.ask_for_huge_pages(huge);
        }
        let ahead = plan::next_commit(committed, needed, self.size, self.steps);
        let refusal = match self.commit_up_to(ahead) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        // Less may be granted than would have been convenient, and some of it a moment later.
        let exact = needed.next_multiple_of(self.steps.page);
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

    /// Once, for everything behind the small part, the page behind the range too, so that all of it stays one mapping. A
    /// refusal changes nothing but speed, and is in the report.
    fn ask_for_huge_pages(&self, huge: Huge) {
        if self.advised.get().is_none() {
            // SAFETY: the range is the region's.
            let outcome = unsafe { os::advise_huge(self.at(huge.from), self.total - huge.from) };
            self.advised.set(Some(outcome));
        }
    }

    /// `end` is a multiple of the page size, above `committed` and at most `size`.
    fn commit_up_to(&self, end: usize) -> Result<(), OsError> {
        let committed = self.committed.get();
        // SAFETY: pages behind the committed prefix are reserved and not committed, and the region's.
        unsafe { os::commit(self.at(committed), end - committed, self.protection()) }?;
        self.committed.set(end);
        Ok(())
    }

    /// Decommits all but the first `kept` bytes, rounded up to pages; of a region that is on huge pages for good, nothing.
    ///
    /// # Safety
    /// Nothing behind the first `kept` bytes is used again before it is committed again.
    pub(crate) unsafe fn decommit(&self, kept: usize) -> Result<(), OsError> {
        let committed = self.committed.get();
        let kept = kept.next_multiple_of(self.steps.page);
        if kept < committed && self.options.huge_pages != HugePages::Required {
            // SAFETY: the range is in the committed prefix; the caller promises that it is not used.
            unsafe { os::decommit(self.at(kept), committed - kept) }?;
            self.committed.set(kept);
            let clean = self.base.addr().get() + kept;
            self.high.set(self.high.get().min(clean));
            self.dirt.set(self.dirt.get().min(clean));
            self.protections.borrow_mut().clear(kept..committed);
        }
        Ok(())
    }

    /// Makes the range one that a thread may keep for the next arena: at most [`KEPT`](Self::KEPT) bytes of it stay in
    /// memory, not counted what the system can take whenever it wants it.
    ///
    /// # Safety
    /// Nothing in the region is used again before it is handed out again.
    pub(crate) unsafe fn shed(&self) -> Result<(), OsError> {
        let touched = self.high.get() - self.base.addr().get();
        let Some(huge) = self.steps.huge else {
            // SAFETY: the caller's.
            return unsafe { self.decommit(Self::KEPT) };
        };
        if touched <= huge.from {
            return Ok(());
        }
        // The first huge page is dear to get and cheap to hand back for a while.
        let kept = self.committed.get().min(huge.from + huge.page);
        // SAFETY: the caller's.
        unsafe {
            self.decommit(kept)?;
            os::discard(self.at(huge.from), kept - huge.from)
        }
    }

    /// How many bytes of a range that a thread keeps may stay in memory.
    const KEPT: usize = 1 << 20;

    /// Whether so little of the range is in memory that a thread may keep it as it is.
    #[inline]
    pub(crate) fn is_light(&self) -> bool {
        self.high.get() - self.base.addr().get() <= self.steps.huge.map_or(Self::KEPT, |huge| huge.from)
    }

    /// Whether a thread may keep the range for the next arena.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain.get()
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
        self.plain.set(false);
        let Range { start, end } = range;
        if start > end {
            return Err(Error::RangeReversed { start, end });
        }
        if end > self.size {
            return Err(Error::RangePastEnd { end, size: self.size });
        }
        let page = self.steps.page;
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
        unsafe { os::release(self.base, self.total) }?;
        self.released = true;
        Ok(())
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
            if os::release(self.base, self.total).is_err() {
                let _ = self.decommit(0);
                let _ = os::release(self.base, self.total);
            }
        }
    }
}

/// Refuses a protection that does not exist, or not here.
fn check(protection: Protection) -> Result<(), Error> {
    protection.to_win32()?;
    os::unsupported(protection).map_or(Ok(()), |option| Err(Error::Unsupported { option }))
}

/// Reserves `total` bytes by `reserve`, of which the first `size` are subject to `placement`, at a multiple of
/// `granularity`.
fn reserve_placed(
    size: usize,
    total: usize,
    placement: Placement,
    granularity: usize,
    reserve: impl Fn(Option<NonZeroUsize>) -> Result<NonNull<u8>, OsError>,
) -> Result<NonNull<u8>, Error> {
    match placement {
        Placement::Anywhere => Ok(reserve(None)?),
        Placement::At(address) => {
            let usable = address.checked_add(total).is_some_and(|end| isize::try_from(end).is_ok());
            let at = NonZeroUsize::new(address).filter(|_| usable && address % granularity == 0);
            let at = at.ok_or(Error::InvalidAddress { address, granularity })?;
            reserve(Some(at)).map_err(|refusal| {
                if os::is_taken(&refusal) { Error::AddressInUse { address, size } } else { refusal.into() }
            })
        }
        Placement::Near { address, distance } => {
            let mut error = Error::OutOfReach { address, distance };
            for place in plan::places_near(address, distance, size, granularity) {
                match reserve(NonZeroUsize::new(place)) {
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
