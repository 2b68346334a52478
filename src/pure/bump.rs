//! Cursor arithmetic: where a block goes, given where the last one ended.
//!
//! Addresses of a reservation are at most `isize::MAX` (user space ends far below, and
//! [`Reservation`](crate::vm::Reservation) checks it), which is why the unchecked forms cannot wrap.

/// A block that has found its place: `start` is aligned, `end` is the cursor after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Places `size` bytes at the first multiple of `align` that is not below `cursor`, or says `None`
/// when they would pass `limit`. Any numbers may be given; `align` must be a power of two.
pub(crate) fn place(cursor: usize, size: usize, align: usize, limit: usize) -> Option<Block> {
    debug_assert!(align.is_power_of_two());
    let start = cursor.checked_add(align - 1)? & align.wrapping_neg();
    let end = start.checked_add(size)?;
    (end <= limit).then_some(Block { start, end })
}

/// Places a block whose size need not be a multiple of its alignment, without a check.
///
/// `cursor` and `size + align - 1` must each be at most `isize::MAX`, as [`std::alloc::Layout`]
/// promises of its size and alignment.
#[inline(always)]
pub(crate) const fn place_layout(cursor: usize, size: usize, align: usize) -> Block {
    debug_assert!(align.is_power_of_two());
    let start = (cursor + (align - 1)) & align.wrapping_neg();
    Block { start, end: start + size }
}

/// How many bytes above its true place an arena keeps its cursor. A value aligned to 8, as most are, then starts at the cursor
/// rounded down, and the next cursor does not wait for that: two operations from one to the next, and the shortest code there is.
pub(crate) const BIAS: usize = 7;

/// Places a value whose size is a multiple of its alignment, as every Rust type's is. `biased` and the end that is returned
/// are [`BIAS`] above what they name.
///
/// With `size` a multiple of `align`, which divides 8: the cursor is `biased - 7`, the value starts at that plus `align - 1`
/// rounded down, and ends `size` behind; seven more than that has the low bits of `align - 1` all set. (With an alignment of
/// 8 the end follows from the start as fast, in one instruction less.)
///
/// The cursor must be below `isize::MAX - BIAS` and `size + align - 1` at most `isize::MAX`, so that the sum fits.
#[inline(always)]
pub(crate) const fn place_value_biased(biased: usize, size: usize, align: usize) -> Block {
    debug_assert!(align.is_power_of_two() && size % align == 0);
    if align < BIAS + 1 {
        let start = (biased - (BIAS + 1 - align)) & align.wrapping_neg();
        Block { start, end: (biased + size) | (align - 1) }
    } else {
        place_layout_biased(biased, size, align)
    }
}

/// The limit of an arena's fast path is so many bytes below the end of what it has. The few values that would still have found
/// room there take the slow path, which is exact.
pub(crate) const SLOW_MARGIN: usize = 128;

/// What to compare with that limit before a value is placed: its end, or the cursor, which is known two operations earlier,
/// where the value is so small that the margin holds it and what aligns it. `biased` and `end` are [`BIAS`] above what they name.
#[inline(always)]
pub(crate) const fn reach(biased: usize, end: usize, size: usize, align: usize) -> usize {
    if size + align <= SLOW_MARGIN { biased } else { end }
}

/// Places a block whose size need not be a multiple of its alignment. `biased` and the end that is returned are [`BIAS`]
/// above what they name; otherwise as [`place_layout`].
#[inline(always)]
pub(crate) const fn place_layout_biased(biased: usize, size: usize, align: usize) -> Block {
    debug_assert!(align.is_power_of_two());
    let start = (biased + align - (BIAS + 1)) & align.wrapping_neg();
    Block { start, end: start + size + BIAS }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The obvious definition: try every address in turn.
    fn slow(cursor: usize, size: usize, align: usize, limit: usize) -> Option<Block> {
        (cursor..=limit)
            .find(|start| start % align == 0)
            .map(|start| Block { start, end: start + size })
            .filter(|block| block.end <= limit)
    }

    #[test]
    fn every_small_case_agrees_with_the_obvious_definition() {
        for align in [1, 2, 4, 8, 16, 32] {
            for limit in 0..40 {
                for cursor in 0..=limit {
                    for size in 0..48 {
                        let expected = slow(cursor, size, align, limit);
                        assert_eq!(
                            place(cursor, size, align, limit),
                            expected,
                            "cursor {cursor} size {size} align {align} limit {limit}"
                        );
                        let unlimited = slow(cursor, size, align, 1000).unwrap();
                        assert_eq!(place_layout(cursor, size, align), unlimited);
                        let biased = Block { end: unlimited.end + BIAS, ..unlimited };
                        assert_eq!(place_layout_biased(cursor + BIAS, size, align), biased);
                        if size % align == 0 {
                            assert_eq!(place_value_biased(cursor + BIAS, size, align), biased);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_within_reach_ends_within_the_margin() {
        let exact = 1 << 12;
        for align in [1, 2, 4, 8, 16, 32, 64, 128] {
            for size in (0..200).step_by(align) {
                for cursor in exact - 400..=exact {
                    let Block { end, .. } = place_value_biased(cursor + BIAS, size, align);
                    if reach(cursor + BIAS, end, size, align) <= exact - SLOW_MARGIN {
                        assert!(end - BIAS <= exact, "cursor {cursor} size {size} align {align}");
                    } else {
                        let ample = size + align + SLOW_MARGIN + BIAS;
                        assert!(cursor + ample > exact, "refused: cursor {cursor} size {size} align {align}");
                    }
                }
            }
        }
    }

    #[test]
    fn huge_numbers_are_refused_and_never_wrap() {
        let limit = isize::MAX as usize;
        for cursor in [1, 4096, limit - 1, limit] {
            for align in [1, 2, 1 << 62, 1 << 63] {
                for size in [limit + 1, usize::MAX - 4095, usize::MAX] {
                    assert_eq!(place(cursor, size, align, limit), None, "{cursor} {size} {align}");
                }
            }
            assert_eq!(place(cursor, 0, 1 << 63, limit), None, "no multiple of 2^63 but 0 is in reach");
        }
        assert_eq!(place(limit, 0, 1, limit), Some(Block { start: limit, end: limit }));
        assert_eq!(place(limit - 1, 1, 1, limit), Some(Block { start: limit - 1, end: limit }));
        assert_eq!(place(usize::MAX, 0, 2, usize::MAX), None, "rounding up would wrap");
    }

    #[test]
    fn the_unchecked_forms_hold_at_the_edge_of_their_contract() {
        let edge = isize::MAX as usize;
        assert_eq!(place_layout(edge, edge, 1), Block { start: edge, end: usize::MAX - 1 });
        let biased = edge - 1; // of a cursor seven lower
        let block = Block { start: biased - BIAS, end: biased + edge };
        assert_eq!(
            (place_value_biased(biased, edge, 1), place_layout_biased(biased, edge, 1)),
            (block, block)
        );
        let block = Block { start: 1 << 62, end: (1 << 63) + BIAS };
        assert_eq!(place_value_biased((1 << 62) + BIAS, 1 << 62, 1 << 62), block);
    }
}
