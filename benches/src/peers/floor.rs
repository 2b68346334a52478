//! No allocator: what the system's own pages cost whoever fills memory for the first time.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use super::{Named, Values};

const HUGE: usize = 2 << 20;
/// More than any first fill needs.
const SIZE: usize = 128 << 20;

/// One mapping on huge pages from its first byte, and a pointer that goes up, never compared with anything.
pub struct HugePages(Cell<NonNull<u8>>);

impl Named for HugePages {
    const NAME: &'static str = "floor: huge pages";
}

impl<T: Copy> Values<T> for HugePages {
    const FREES: bool = false;

    #[inline]
    fn create() -> Self {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, with room for an aligned range within, and advice about that.
        let start = unsafe {
            let mapped = libc::mmap(ptr::null_mut(), SIZE + HUGE, access, kind | libc::MAP_NORESERVE, -1, 0);
            assert_ne!(mapped, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
            let start = mapped.cast::<u8>().add(mapped.cast::<u8>().align_offset(HUGE));
            libc::madvise(start.cast(), SIZE, libc::MADV_HUGEPAGE);
            start
        };
        Self(Cell::new(NonNull::new(start).expect("a mapping")))
    }

    /// Not needed where each pass is a process.
    fn reset(&mut self) {}

    #[inline]
    fn alloc(&self, value: T) -> NonNull<T> {
        assert!(
            align_of::<T>() <= 8 && size_of::<T>().is_multiple_of(8),
            "from one multiple of 8 to the next"
        );
        let slot = self.0.get().cast::<T>();
        // SAFETY: the workloads put in less than there is.
        unsafe {
            slot.write(value);
            self.0.set(self.0.get().add(size_of::<T>()));
        }
        slot
    }

    #[inline]
    unsafe fn free(&self, _: NonNull<T>) {}
}
