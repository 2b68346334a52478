//! Copies of bytes, short ones without a call: names and words are what arenas are filled with, and a call to `memcpy`
//! costs more than they do.

use core::ptr;

/// Copies a slice: bytes as text has them, of whatever length; anything larger as `memcpy` does, which is less code, and none
/// of it a call where the length is known.
///
/// # Safety
/// `target` can be written for the length of `source`, and they do not overlap.
#[inline(always)]
pub(crate) unsafe fn copy_slice<T: Copy>(source: &[T], target: *mut T) {
    // SAFETY: the caller's.
    unsafe {
        if size_of::<T>() == 1 {
            copy_bytes(source.as_ptr().cast(), target.cast(), source.len());
        } else {
            ptr::copy_nonoverlapping(source.as_ptr(), target, source.len());
        }
    }
}

/// Copies `len` bytes, which may be uninitialised.
///
/// # Safety
/// `source` can be read and `target` written for `len` bytes, and they do not overlap.
#[inline(always)]
unsafe fn copy_bytes(source: *const u8, target: *mut u8, len: usize) {
    // SAFETY: every piece lies within `len` bytes of both, as is shown where it is made.
    let piece = |offset: usize, size: Size| unsafe {
        let (from, to) = (source.add(offset), target.add(offset));
        match size {
            Size::One => ptr::copy_nonoverlapping(from, to, 1),
            Size::Four => ptr::copy_nonoverlapping(from, to, 4),
            Size::Sixteen => ptr::copy_nonoverlapping(from, to, 16),
        }
    };
    match len {
        0 => {}
        // The first, the middle and the last are all there is.
        1..=3 => {
            for offset in [0, len / 2, len - 1] {
                piece(offset, Size::One);
            }
        }
        // Two fours from each end, one of which may be the same as its neighbour; no branch on the length, as lengths vary
        // from word to word. 4..8: all at 0 or all at the end. 8..16: two cover the first eight, two the last.
        // 16: the four quarters.
        4..=16 => {
            let step = (len >> 3) << 2;
            for offset in [0, step, len - 4 - step, len - 4] {
                piece(offset, Size::Four);
            }
        }
        17..=32 => {
            for offset in [0, len - 16] {
                piece(offset, Size::Sixteen);
            }
        }
        // SAFETY: the caller's.
        _ => unsafe { ptr::copy_nonoverlapping(source, target, len) },
    }
}

enum Size {
    One,
    Four,
    Sixteen,
}

#[cfg(test)]
mod tests {
    use super::copy_bytes;

    #[test]
    fn every_short_length_is_copied_and_not_a_byte_more() {
        let source: [u8; 100] = std::array::from_fn(|index| u8::try_from(index).unwrap() + 1);
        for len in 0..=90 {
            for offset in 0..8 {
                let mut target = [0; 100];
                // SAFETY: both have room for 8 + 90 bytes.
                unsafe { copy_bytes(source.as_ptr().add(offset), target.as_mut_ptr().add(1), len) };
                assert_eq!(target[1..=len], source[offset..offset + len], "{len} bytes from {offset}");
                assert!(target[0] == 0 && target[len + 1..].iter().all(|&byte| byte == 0), "{len} bytes");
            }
        }
    }
}
