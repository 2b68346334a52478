//! One reserved range, owned: it commits one growing prefix, and goes back to the system when dropped.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::os::{self, OsError};
use crate::protection::Protection;
use crate::pure::plan::{self, Huge, Steps};
use crate::pure::runs::Runs;
use crate::vm::options::{HugePages, OnFork, Options, Placement};
use crate::vm::place::{nonzero, reserve_near_at_once, reserve_placed};
use crate::vm::poison;

/// How often, and after how long, a commit is tried again that the system may yet grant.
const COMMIT_RETRIES: u32 = 5;
const COMMIT_PAUSE: Duration = Duration::from_millis(20);

/// A reserved range. The first [`committed`](Self::committed) bytes are committed; the rest cannot be touched,
/// nor can the page behind the range, which is reserved with it and never committed, nor what lies before it.
///
/// When a call is refused, the region is as it was.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(super) base: NonNull<u8>,
    /// In bytes, whole pages, the page behind the range not counted.
    pub(super) size: usize,
    pub(super) committed: Cell<usize>,
    /// The size that was asked for.
    pub(super) asked: usize,
    /// Whether the next arena of the size may have the range, as nothing sets it apart from others.
    pub(super) plain: Cell<bool>,
    pub(super) steps: Steps,
    /// What the system said when it was asked for huge pages, if it was.
    pub(super) advised: Cell<Option<Result<(), OsError>>>,
    /// By offset. What is usual is what pages get when they are committed.
    pub(super) protections: RefCell<Runs<Protection>>,
    pub(super) options: Options,
    /// How many bytes are reserved before the base.
    pub(super) before: usize,
    /// The bytes reserved, with those before the range and the page behind it.
    pub(super) total: usize,
    /// Why pages may have a protection that nobody asked for: a change was refused half way, and taking it back too. Until
    /// all of the range is given a protection, it counts as inaccessible, and no page of it is touched or changed.
    pub(super) torn: Cell<Option<OsError>>,
    /// What pages get when they are committed, and have unless it was changed since; of a torn range none.
    pub(super) protection: Cell<Protection>,
    /// The last refusal to make bytes zero that were taken back, or to lock them again.
    pub(super) refused: Cell<Option<OsError>>,
    /// The process that has the range, where one that was forked off it has not.
    pub(super) process: Option<Identity>,
    pub(super) released: bool,
}

/// Its lineage and its number: an emulator may take the advice that the first relies on, and not follow it.
type Identity = (u64, u32);

fn identity() -> Identity {
    (os::lineage(), std::process::id())
}

impl Reservation {
    /// Reserves what `options` say, their size rounded up to pages, and commits the first step, so that what the system
    /// refuses about the protection is refused here.
    pub(crate) fn reserve(options: Options) -> Result<Self, Error> {
        check(options.protection)?;
        check_options(&options)?;
        options.name.granted()?;
        if options.huge_pages == HugePages::Required {
            return Self::reserve_huge(options);
        }
        let page = os::page_size();
        let invalid = Error::InvalidSize { size: options.size };
        let size = plan::round_up(options.size, page).filter(|&rounded| rounded > 0).ok_or(invalid)?;
        // Locked memory is limited, and all in memory: it is had in small pages, a few at a time.
        let transparent = options.huge_pages == HugePages::Transparent && !options.lock;
        let huge = os::advised_huge_page().filter(|&huge| transparent && size >= plan::SMALL_PART + huge);
        let before = Self::before(&options);
        let total = size.checked_add(page + before).and_then(|total| plan::round_up(total, page));
        let total = total.ok_or(invalid)?;
        let base = match huge {
            // So that huge pages begin right behind the small part wherever the system puts the range.
            Some(_) if options.placement == Placement::Anywhere => {
                let start = os::reserve_for_advice(total, before + plan::SMALL_PART)?;
                // SAFETY: as much is reserved.
                unsafe { start.add(before) }
            }
            _ => {
                let start = reserve_near_at_once(total, options.placement);
                // SAFETY: as much is reserved.
                let found = start.map(|start| unsafe { start.add(before) });
                found.map_or_else(
                    || {
                        reserve_placed(size, before, total, options.placement, os::granularity(), |at| {
                            let start = os::reserve(total, at.map(|at| nonzero(at.get() - before)))?;
                            // SAFETY: as much is reserved.
                            Ok(unsafe { start.add(before) })
                        })
                    },
                    Ok,
                )?
            }
        };
        let charged = os::COMMIT_IS_CHARGED || options.lock;
        let steps = Steps {
            page,
            least: if charged { plan::LEAST_CHARGED } else { plan::LEAST_FREE },
            huge: huge.and_then(|huge| Huge::of(base.addr().get(), size, huge)),
        };
        let region = Self::over(base, size, total, steps, options)?;
        region.commit(1)?;
        Ok(region)
    }

    fn reserve_huge(options: Options) -> Result<Self, Error> {
        let page = os::huge_page().ok_or(Error::Unsupported { option: "HugePages::Required" })?;
        let invalid = Error::InvalidSize { size: options.size };
        let size = plan::round_up(options.size, page).filter(|&rounded| rounded > 0).ok_or(invalid)?;
        let before = Self::before(&options);
        let total = size.checked_add(os::page_size() + before).and_then(|total| plan::round_up(total, 1));
        let total = total.ok_or(invalid)?;
        let base = reserve_placed(size, before, total, options.placement, page, |at| {
            os::reserve_huge(size, at, before, options.protection)
        })?;
        let steps = Steps { page, least: size, huge: None };
        let region = Self::over(base, size, total, steps, options)?;
        region.committed.set(size);
        region.lock(0, size)?;
        poison::hide(base, size);
        Ok(region)
    }

    /// What is reserved before the base: where reservations start at multiples of the granularity, so does the range.
    fn before(options: &Options) -> usize {
        if options.guard_pages { os::granularity() } else { 0 }
    }

    /// The region over what was just reserved, `size` bytes at `base` and more around them, with all advice given that
    /// is about the whole of it.
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
            asked: options.size,
            plain: Cell::new(options.are_plain()),
            steps,
            advised: Cell::new(None),
            protections: RefCell::new(Runs::everywhere(options.protection)),
            before: Self::before(&options),
            total,
            torn: Cell::new(None),
            protection: Cell::new(options.protection),
            refused: Cell::new(None),
            process: (options.on_fork == OnFork::Omit).then(identity),
            options,
            released: false,
        };
        // Cursor arithmetic relies on this; no system that is supported places its users higher.
        let address = region.base.addr().get();
        if address.checked_add(total).is_none_or(|end| isize::try_from(end).is_err()) {
            return Err(Error::InvalidAddress { address, granularity: os::granularity() });
        }
        let (start, options) = (region.start(), &region.options);
        // SAFETY: the range is the region's.
        unsafe {
            if options.huge_pages == HugePages::Never {
                os::advise_small(start, total)?;
            }
            if options.exclude_from_dumps {
                os::exclude_from_dumps(start, total)?;
            }
            match options.on_fork {
                OnFork::Copy => {}
                OnFork::Wipe => os::wipe_on_fork(start, total)?,
                OnFork::Omit => os::omit_on_fork(start, total)?,
            }
        }
        Ok(region)
    }

    /// Where the reservation begins.
    fn start(&self) -> NonNull<u8> {
        // SAFETY: as much is reserved before the base.
        unsafe { self.base.sub(self.before) }
    }

    /// Whether this process has the range: one that was forked off may not.
    pub(super) fn is_here(&self) -> Result<(), OsError> {
        let here = self.process.is_none_or(|process| process == identity());
        if here { Ok(()) } else { Err(os::omitted(self.size)) }
    }

    /// Why bytes that were taken back are not zero, or not locked, if that was ever refused.
    pub(crate) fn refused(&self) -> Option<OsError> {
        self.refused.get()
    }

    pub(crate) const fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) const fn size(&self) -> usize {
        self.size
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

    /// What pages get when they are committed, and have unless it was changed since.
    pub(crate) fn protection(&self) -> Protection {
        self.protection.get()
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
        self.is_here()?;
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
            let outcome =
                unsafe { os::advise_huge(self.at(huge.from), self.total - self.before - huge.from) };
            self.advised.set(Some(outcome));
        }
    }

    /// `end` is a multiple of the page size, above `committed` and at most `size`.
    pub(super) fn commit_up_to(&self, end: usize) -> Result<(), OsError> {
        let committed = self.committed.get();
        // SAFETY: pages behind the committed prefix are reserved and not committed, and the region's.
        unsafe { os::commit(self.at(committed), end - committed, self.protection()) }?;
        if let Err(refusal) = self.lock(committed, end) {
            // Some may be locked, and would not be given back.
            // SAFETY: the pages were just committed, and nobody knows.
            unsafe {
                let _ = os::unlock(self.at(committed), end - committed);
                let _ = os::decommit(self.at(committed), end - committed);
            }
            return Err(refusal);
        }
        poison::hide(self.at(committed), end - committed);
        self.committed.set(end);
        Ok(())
    }

    /// Keeps the pages from offset `start` to `end` in memory, if that is wanted.
    pub(super) fn lock(&self, start: usize, end: usize) -> Result<(), OsError> {
        if !self.options.lock {
            return Ok(());
        }
        // SAFETY: the pages are committed, and the region's.
        unsafe { os::lock(self.at(start), end - start) }
    }

    /// Decommits all but the first `kept` bytes, rounded up to pages; of a region that is on huge pages for good, nothing.
    ///
    /// # Safety
    /// Nothing behind the first `kept` bytes is used again before it is committed again.
    pub(crate) unsafe fn decommit(&self, kept: usize) -> Result<(), OsError> {
        let committed = self.committed.get();
        let kept = kept.next_multiple_of(self.steps.page);
        if kept < committed && self.options.huge_pages != HugePages::Required {
            self.is_here()?;
            // SAFETY: the range is in the committed prefix; the caller promises that it is not used.
            unsafe { self.decommit_pages(kept, committed) }?;
            self.committed.set(kept);
            self.protections.borrow_mut().clear_from(kept);
        }
        Ok(())
    }

    /// # Safety
    /// As [`decommit`](Self::decommit), of the pages from offset `start` to `end`.
    pub(super) unsafe fn decommit_pages(&self, start: usize, end: usize) -> Result<(), OsError> {
        let (place, len) = (self.at(start), end - start);
        // Pages that are locked are not given back.
        // SAFETY: all that is committed is locked; otherwise the caller's.
        let outcome = unsafe {
            let unlocked = if self.options.lock { os::unlock(place, len) } else { Ok(()) };
            unlocked.and_then(|()| os::decommit(place, len))
        };
        match outcome {
            Ok(()) => poison::forget(place, len),
            // Where the pages are several mappings, some may be unlocked also when that was refused.
            Err(_) => self.refused.set(self.lock(start, end).err().or(self.refused.get())),
        }
        outcome
    }

    /// Gives the range back. After a refusal it is tried once more, on drop. A refusal that was only noted is told here, as
    /// nobody can ask any more.
    pub(crate) fn release(&mut self) -> Result<(), OsError> {
        self.release_once()?;
        self.refused.get().map_or(Ok(()), Err)
    }

    /// Whether the range is no longer there.
    pub(crate) const fn is_released(&self) -> bool {
        self.released
    }

    fn release_once(&mut self) -> Result<(), OsError> {
        if self.is_here().is_ok() {
            // SAFETY: the region owns the reservation, and nothing of it is used any more.
            unsafe { os::release(self.start(), self.total) }?;
            poison::forget(self.base, self.committed.get());
        }
        self.released = true;
        Ok(())
    }

    /// The place at `offset`, with the provenance of the whole range.
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset <= self.size);
        // SAFETY: an offset up to `size` stays in the reservation, or at the page behind it.
        unsafe { self.base.add(offset) }
    }
}

impl Drop for Reservation {
    /// Nobody can be told of a refusal here, so the memory at least is given back, and the address space tried again.
    fn drop(&mut self) {
        if !self.released && self.release_once().is_err() {
            // SAFETY: nothing of the region is used after the drop.
            let _ = unsafe { self.decommit(0) };
            let _ = self.release_once();
        }
    }
}

/// Refuses a protection that does not exist, or not here.
pub(super) fn check(protection: Protection) -> Result<(), Error> {
    protection.to_win32()?;
    os::unsupported(protection).map_or(Ok(()), |option| Err(Error::Unsupported { option }))
}

/// Refuses an option that this system does not have.
fn check_options(options: &Options) -> Result<(), Error> {
    let required = options.huge_pages == HugePages::Required;
    let granted = [
        (options.guard_pages && required, os::PAGE_BEHIND_HUGE, "guard_pages with HugePages::Required"),
        (options.exclude_from_dumps, os::CAN_EXCLUDE_FROM_DUMPS, "exclude_from_dumps"),
        (options.on_fork == OnFork::Wipe, os::HAS_FORK_ADVICE, "OnFork::Wipe"),
        (options.on_fork == OnFork::Omit, os::HAS_FORK_ADVICE, "OnFork::Omit"),
    ];
    match granted.into_iter().find(|(wanted, exists, _)| *wanted && !exists) {
        Some((_, _, option)) => Err(Error::Unsupported { option }),
        None => Ok(()),
    }
}
