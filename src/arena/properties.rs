//! What can be read of an arena: where it is, how large, how full, and the bytes in it.

use core::fmt;
use core::ptr::NonNull;

use crate::arena::Mallocator;
use crate::arena::backing::Kind;
use crate::protection::Protection;
use crate::vm::poison;

impl Mallocator {
    /// Where the reservation starts. It never changes, and is the same in a scope.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.base().addr().get() % mallocator::allocation_granularity(), 0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn base(&self) -> NonNull<u8> {
        self.backing().base()
    }

    /// The next free byte, before any alignment. In a full arena, the byte behind the reservation.
    ///
    /// While a scope is open on the arena, where it will be afterwards: what the scope takes does not count.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.ptr(), arena.base());
    /// arena.alloc_bytes(b"abc");
    /// assert_eq!(arena.ptr().addr().get(), arena.base().addr().get() + 3);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn ptr(&self) -> NonNull<u8> {
        self.pointer(self.settled())
    }

    /// Bytes reserved: what was asked for, rounded up to pages.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::with_size(1)?;
    /// assert_eq!(arena.size(), mallocator::page_size());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn size(&self) -> usize {
        self.backing().size()
    }

    /// Bytes handed out, with what aligning them took. In a scope, those below it count too; while a scope is open on the
    /// arena, what the scope takes does not.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// arena.alloc(1_u8);
    /// arena.alloc(1_u32);
    /// assert_eq!(arena.used(), 8);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn used(&self) -> usize {
        self.backing().used(self.settled())
    }

    /// Bytes that are backed by the system: the first so many of the reservation, whole pages. Touching memory behind
    /// them is a fault.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::with_size(1 << 30)?;
    /// arena.alloc_bytes(&[7; 1_000_000]);
    /// assert!(arena.committed() >= 1_000_000);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn committed(&self) -> usize {
        self.backing().committed()
    }

    /// Bytes left in the reservation, for this arena and every scope in it.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// arena.alloc_bytes(&[7; 100]);
    /// assert_eq!(arena.available(), arena.size() - 100);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn available(&self) -> usize {
        self.at_hand() + self.backing().elsewhere()
    }

    /// What the pages may be used for: as built, or as [`protect`](Self::protect) last set it for the whole reservation.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// assert_eq!(Mallocator::new()?.protection(), Protection::READ_WRITE);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn protection(&self) -> Protection {
        self.backing().protection()
    }

    /// Whether `ptr` points into the reservation, handed out or not. The byte behind it is not part of it.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert!(arena.contains(arena.alloc(1)));
    /// assert!(!arena.contains(&1));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn contains<T: ?Sized>(&self, ptr: *const T) -> bool {
        self.offset_of(ptr).is_some()
    }

    /// How many bytes behind the base `ptr` points, if it points into the reservation.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// arena.alloc_bytes(b"header");
    /// let text = arena.alloc_str("body");
    /// assert_eq!(arena.offset_of(text), Some(6));
    /// assert_eq!(arena.offset_of("elsewhere"), None);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn offset_of<T: ?Sized>(&self, ptr: *const T) -> Option<usize> {
        let offset = ptr.addr().wrapping_sub(self.base().addr().get());
        (offset < self.backing().size()).then_some(offset)
    }

    /// Whether the memory is a reservation of the arena's own.
    pub(crate) fn is_its_own(&self) -> bool {
        self.backing().reservation().is_some()
    }

    /// The image built so far: all bytes from the base to the cursor. Of a thread's share, whose bytes are not in one piece, none.
    ///
    /// # Safety
    /// For as long as the slice lives:
    /// - every byte of it has been written since this arena was made, the gaps that alignment left and the padding inside
    ///   values included. Gaps in memory that was never handed out before, by this arena or the one whose range it
    ///   [took over](crate::Builder::reuse), are zero, and count as written, unless the memory was lent; what that earlier
    ///   arena has written does not, as the system takes it when it likes, under a slice that must not change;
    /// - its pages can be read;
    /// - what a scope took, where an outer arena took something after it, counts as not written;
    /// - nothing writes to it.
    ///
    /// And no `&mut` into it that was handed out before the call is used again, not even after the slice is gone.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// arena.alloc_bytes(&[0xb8, 42, 0, 0, 0]);
    /// arena.alloc_byte_string("c3")?;
    /// // SAFETY: plain bytes, all written, and no reference to them is kept.
    /// let image = unsafe { arena.used_bytes() };
    /// assert_eq!(image, [0xb8, 42, 0, 0, 0, 0xc3]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub unsafe fn used_bytes(&self) -> &[u8] {
        if let Kind::Share(_) = self.backing().kind() {
            return &[];
        }
        // With what lies between.
        poison::show(self.base(), self.used());
        // SAFETY: the range lies in the committed prefix of the range; the rest is the caller's promise.
        unsafe { core::slice::from_raw_parts(self.base().as_ptr(), self.used()) }
    }
}

impl fmt::Debug for Mallocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mallocator")
            .field("name", &self.backing().options().name.get())
            .field("base", &self.base())
            .field("size", &self.size())
            .field("committed", &self.committed())
            .field("used", &self.used())
            .field("protection", &self.protection())
            .finish()
    }
}
