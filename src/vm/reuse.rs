//! The range that a thread keeps: asking the system for one takes microseconds, making an arena of one at hand takes none.

use std::cell::Cell;

use allocator_api2::boxed::Box;

use crate::vm::Region;

thread_local! {
    /// A region with nothing in it that is plain. Dropped, and so released, when the thread ends.
    static KEPT: Cell<Option<Box<Region>>> = const { Cell::new(None) };
}

/// The region that the thread keeps, if it is what a plain arena would be that asks for `size` bytes and takes no less than
/// `least`. Its contents are whatever was left below its high-water mark.
#[inline]
pub(crate) fn take(size: usize, least: usize) -> Option<Box<Region>> {
    // In the destructor of another thread-local there may be none left.
    let kept = KEPT.try_with(Cell::take).ok().flatten()?;
    if kept.asked() == size && kept.size() >= least {
        return Some(kept);
    }
    let _ = KEPT.try_with(|slot| slot.set(Some(kept)));
    None
}

/// Keeps a region for the next arena of this thread, in place of the one it keeps, or releases it.
///
/// # Safety
/// Nothing in the region is used again before it is handed out again, and its high-water mark is above every cursor.
#[inline]
pub(crate) unsafe fn keep(region: Box<Region>) {
    // SAFETY: the caller's.
    if region.is_plain() && (region.is_light() || unsafe { region.shed() }.is_ok()) {
        region.begin_anew();
        let _ = KEPT.try_with(|slot| slot.set(Some(region)));
    }
}

/// Releases what the thread keeps, and says whether there was anything.
pub(crate) fn clear() -> bool {
    KEPT.try_with(Cell::take).is_ok_and(|kept| kept.is_some())
}
