//! What checkers are told: which bytes of a range may be touched, by the address sanitizer (feature `asan`) and by valgrind's
//! memcheck (feature `valgrind`). Without these features it is nothing, and costs nothing.
//!
//! With one of them, what is not handed out is hidden, and so is what was taken back. Values and layouts start at a multiple
//! of eight bytes, and have a hidden zone behind them; what threads take from one arena lies in eights of its own; nothing that
//! was given back is handed out again before the cursor goes back over it; and a block that grows moves, so that the old one
//! can be hidden.

use std::ptr::NonNull;

/// Whether there is a checker to be told.
pub(crate) const ON: bool = cfg!(any(feature = "asan", feature = "valgrind"));

/// How many hidden bytes lie behind a value.
const ZONE: usize = 16;

/// What values start at a multiple of: the unit in which the address sanitizer remembers what may be touched.
const UNIT: usize = 8;

/// Size and alignment of the room that a layout takes, where there is room.
pub(crate) const fn with_red_zone(size: usize, align: usize) -> (usize, usize) {
    if ON { (size + ZONE, if align < UNIT { UNIT } else { align }) } else { (size, align) }
}

/// Size and alignment of the room that a layout takes where threads take turns: whole units, as two threads whose blocks meet in
/// one would both write what the sanitizer knows of it.
pub(crate) const fn in_units(size: usize, align: usize) -> (usize, usize) {
    match size.checked_next_multiple_of(UNIT) {
        Some(whole) if ON => (whole, if align < UNIT { UNIT } else { align }),
        _ => (size, align),
    }
}

/// Nobody may touch this.
#[inline(always)]
pub(crate) fn hide(start: NonNull<u8>, len: usize) {
    #[cfg(feature = "asan")]
    asan::poison(start, len);
    #[cfg(feature = "valgrind")]
    memcheck::make(memcheck::NO_ACCESS, start, len);
    let _ = (start, len);
}

/// Its owner may write to it, and read what was written.
#[inline(always)]
pub(crate) fn hand_out(start: NonNull<u8>, len: usize) {
    #[cfg(feature = "asan")]
    asan::unpoison(start, len);
    #[cfg(feature = "valgrind")]
    memcheck::make(memcheck::UNDEFINED, start, len);
    let _ = (start, len);
}

/// It may be read and written.
#[inline(always)]
pub(crate) fn show(start: NonNull<u8>, len: usize) {
    #[cfg(feature = "asan")]
    asan::unpoison(start, len);
    #[cfg(feature = "valgrind")]
    memcheck::make(memcheck::DEFINED, start, len);
    let _ = (start, len);
}

/// It goes back to the system, and somebody else may be given it.
#[inline(always)]
pub(crate) fn forget(start: NonNull<u8>, len: usize) {
    // The other checker sees by itself what is mapped.
    #[cfg(feature = "asan")]
    asan::unpoison(start, len);
    let _ = (start, len);
}

/// <https://github.com/google/sanitizers/wiki/AddressSanitizerManualPoisoning>
#[cfg(feature = "asan")]
mod asan {
    use std::ffi::c_void;
    use std::ptr::NonNull;

    unsafe extern "C" {
        // Of the sanitizer's runtime: a program that is built without it does not link.
        fn __asan_poison_memory_region(start: *const c_void, len: usize);
        fn __asan_unpoison_memory_region(start: *const c_void, len: usize);
    }

    pub(super) fn poison(start: NonNull<u8>, len: usize) {
        // SAFETY: only notes about the range are changed.
        unsafe { __asan_poison_memory_region(start.as_ptr().cast(), len) };
    }

    pub(super) fn unpoison(start: NonNull<u8>, len: usize) {
        // SAFETY: as above.
        unsafe { __asan_unpoison_memory_region(start.as_ptr().cast(), len) };
    }
}

/// Client requests: a sequence of instructions that does nothing, and that valgrind knows.
/// <https://valgrind.org/docs/manual/manual-core-adv.html#manual-core-adv.clientreq>,
/// <https://valgrind.org/docs/manual/mc-manual.html#mc-manual.clientreqs>
#[cfg(feature = "valgrind")]
mod memcheck {
    use std::arch::asm;
    use std::ptr::NonNull;

    #[cfg(not(target_arch = "x86_64"))]
    compile_error!("the feature `valgrind` of mallocator is for x86-64 alone");

    /// Requests of memcheck begin with the letters M and C.
    const BASE: usize = ((b'M' as usize) << 24) | ((b'C' as usize) << 16);
    pub(super) const NO_ACCESS: usize = BASE;
    pub(super) const UNDEFINED: usize = BASE + 1;
    pub(super) const DEFINED: usize = BASE + 2;

    pub(super) fn make(what: usize, start: NonNull<u8>, len: usize) {
        if len == 0 {
            return;
        }
        let request = [what, start.addr().get(), len, 0, 0, 0];
        // SAFETY: the rotations add up to two whole turns, and the exchange is of a register with itself; valgrind reads the
        // request, writes the answer, and changes notes about the range.
        unsafe {
            asm!(
                "rol rdi, 3",
                "rol rdi, 13",
                "rol rdi, 61",
                "rol rdi, 51",
                "xchg rbx, rbx",
                in("rax") request.as_ptr(),
                inout("rdx") 0_usize => _,
                out("rdi") _,
                options(nostack),
            );
        }
    }
}
