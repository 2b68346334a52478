//! What becomes of bytes that were taken back: nothing, zero for secrets, or a pattern that is seen in a debugger.

use std::ptr::NonNull;

/// What is done to bytes that are taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clean {
    /// They stay as they are.
    Not,
    /// They become 0xDD, up to [`FILLED`] of them.
    Fill,
    /// They become zero, all of them, and no optimiser takes that away.
    Zero,
}

/// What is read where memory was taken back: no text, no small number, and as an address one that no user has.
pub(crate) const PATTERN: u8 = 0xdd;

/// How much is filled at a time: enough to be seen, and a bound on the time.
pub(crate) const FILLED: usize = 16 << 20;

/// How many bytes are looked at before they are written, where there are many.
const PIECE: usize = 4096;

/// Up to so many are written without a look.
const FEW: usize = 16 * PIECE;

/// Sets `len` bytes to `value`; of many not those pieces that are zero as a whole: they were never used, or it is zero that
/// is wanted, and memory is only had where it is written.
///
/// # Safety
/// The bytes can be read and written, and nobody else uses them.
pub(crate) unsafe fn set(start: NonNull<u8>, len: usize, value: u8) {
    // An interpreter takes a look at what is undefined for a mistake.
    if len <= FEW || cfg!(miri) {
        // SAFETY: the caller's.
        return unsafe { set_all(start, len, value) };
    }
    let mut at = 0;
    while at < len {
        let piece = PIECE.min(len - at);
        // SAFETY: the caller's.
        unsafe {
            let start = start.add(at);
            if !is_zero(observed(start), piece) {
                start.write_bytes(value, piece);
                observed(start);
            }
        }
        at += piece;
    }
}

/// Sets `len` bytes to `value`, whatever they are: for memory that is there as a whole, and may never have been written.
///
/// # Safety
/// The bytes can be written, and nobody else uses them.
pub(crate) unsafe fn set_all(start: NonNull<u8>, len: usize, value: u8) {
    // SAFETY: the caller's.
    unsafe { start.write_bytes(value, len) };
    observed(start);
}

/// # Safety
/// The bytes can be read, and were [`observed`].
unsafe fn is_zero(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: the caller's; any bytes are numbers.
    let (head, words, tail) = unsafe {
        let bytes = std::slice::from_raw_parts(start.as_ptr(), len);
        bytes.align_to::<u64>()
    };
    head.iter().chain(tail).all(|&byte| byte == 0) && words.iter().fold(0, |any, &word| any | word) == 0
}

/// As far as the compiler knows, what lies there is read and written here: what was stored before cannot be left out, and
/// what is loaded after is not undefined, as padding is.
#[inline]
fn observed(start: NonNull<u8>) -> NonNull<u8> {
    // Interpreters have no assembler.
    #[cfg(all(
        not(miri),
        any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            target_arch = "riscv64",
            target_arch = "loongarch64"
        )
    ))]
    // SAFETY: no instruction.
    unsafe {
        std::arch::asm!("/* {} */", in(reg) start.as_ptr(), options(nostack, preserves_flags));
    }
    std::hint::black_box(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_that_hold_something_are_set_and_others_left() {
        const ALL: usize = 20 * PIECE;
        for (offset, len) in [(0, ALL), (3, 18 * PIECE + 1), (7, 0), (5, FEW), (0, ALL - 5)] {
            for (value, used) in [(0, 0..ALL), (PATTERN, 0..ALL), (PATTERN, offset..offset + 1)] {
                let mut bytes = vec![0_u8; ALL];
                bytes[used].fill(1);
                let before = bytes.clone();
                // SAFETY: the bytes are this test's.
                unsafe { set(NonNull::from(&mut bytes[..]).cast::<u8>().add(offset), len, value) };
                for (piece, old) in
                    bytes[offset..offset + len].chunks(PIECE).zip(before[offset..].chunks(PIECE))
                {
                    let left = len > FEW && old[..piece.len()].iter().all(|&byte| byte == 0);
                    let expected = if left { 0 } else { value };
                    assert!(piece.iter().all(|&byte| byte == expected), "{offset} {len} {value}");
                }
                assert!(
                    bytes[..offset] == before[..offset] && bytes[offset + len..] == before[offset + len..]
                );
            }
        }
    }
}
